//! L1 on weights and the elastic net, by proximal step.

use interp_net::finding::{Claim, Entry, Quantity, Unfit, build};
use interp_net::{Network, Params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::target::{self, Target, magnitudes};
use super::{Now, Prior, Scope, State, change};
use crate::Result;
use crate::settings::natural;

/// `strength * sum |w|`, by its proximal map after every step: `w = sign(w) max(|w| - rate strength, 0)`
/// (ISTA; Daubechies, Defrise and De Mol 2004; Parikh and Boyd 2014, section 6.5.2). Zeros are exact.
///
/// With `ridge` it is the elastic net, `strength * sum |w| + ridge / 2 * sum w^2` (Zou and Hastie 2005): the result of
/// the map above is divided by `1 + rate ridge`, which is the proximal map of both together. Of weights that do the
/// same, L1 alone keeps any one; the elastic net keeps them alike.
///
/// The map takes the rate as it is: with momentum m, whose steps come to `rate / (1 - m)` times the gradient, what is least in the
/// end is the loss with `(1 - m) * strength`.
///
/// With `target` the strength is not constant but controlled: the share of zeros follows `target (1 - (1 - t)^3)`, t from 0 to 1 by
/// `reached_at`; then what is missing is zeroed, the smallest first, and zeros stay. The ridge stays as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct L1 {
    /// Weight of the penalty, constant unless there is a target.
    pub strength: f64,
    /// Weight of half the sum of squares, for as long as weights are shrunk.
    pub ridge: f64,
    /// Share of exact zeros to reach, and to claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// Share of the steps in which the prior steers by which the target is reached; after it zeros stay, and
    /// nothing is shrunk.
    pub reached_at: f64,
}

impl Default for L1 {
    fn default() -> Self {
        Self { strength: 1e-4, ridge: 0.0, target: None, reached_at: 0.6 }
    }
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "l1",
    summary: "exactly zero weights: L1 or elastic net by proximal step, to a target share of zeros",
    example: "kind = \"l1\"\nnodes = [\"features.*\"]\ntarget = 0.9\n",
    build: |section| build(section, |settings: L1| Box::new(settings)),
    schema: || schemars::schema_for!(L1),
};

impl L1 {
    fn aim(&self) -> Target {
        Target { strength: self.strength, target: self.target, reached_at: self.reached_at }
    }
}

impl Prior for L1 {
    fn check(&self, _net: &Network, _scope: &Scope) -> Result<(), Unfit> {
        self.aim().check()?;
        Unfit::unless(natural(self.ridge), "ridge", format!("must be 0 or more, not {}", self.ridge))
    }

    fn prepare(&self, _net: &mut Network, scope: &Scope) -> Result<State> {
        self.aim().start(scope)
    }

    fn after_step(&self, params: &mut Params, scope: &Scope, state: &mut State, now: Now<'_>) -> Result<()> {
        let aim = self.aim();
        if target::is_held(state) {
            return Ok(());
        }
        let (mut zeros, mut count) = (0, 0);
        for &position in &scope.positions {
            let rate = now.rates[position];
            change(params, position, |w| {
                shrink(w, rate * aim.strength(state), rate * self.ridge);
                zeros += w.iter().filter(|w| **w == 0.0).count();
                count += w.len();
            })?;
        }
        let share = zeros as f64 / count.max(1) as f64;
        aim.control(scope, state, now, share, || magnitudes(params, scope, now))
    }

    fn enforce(&self, params: &mut Params, scope: &Scope, state: &State) -> Result<()> {
        target::enforce(params, scope, state)
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        self.aim().claim(Quantity::ZeroWeights, scope)
    }
}

/// The proximal map of `threshold * |w| + ridge / 2 * w^2`.
fn shrink(w: &mut [f32], threshold: f64, ridge: f64) {
    soft_threshold(w, threshold as f32);
    if ridge > 0.0 {
        w.iter_mut().for_each(|w| *w /= (1.0 + ridge) as f32);
    }
}

/// The proximal map of `threshold * |w|`.
fn soft_threshold(w: &mut [f32], threshold: f32) {
    w.iter_mut().for_each(|w| *w -= w.clamp(-threshold, threshold));
}

#[cfg(test)]
mod tests {
    use super::*;

    // rate * strength = 0.1.
    #[test]
    fn proximal_map() {
        let mut w = [0.05, -0.3, 0.0];
        soft_threshold(&mut w, 0.1);
        assert_eq!(w[0], 0.0);
        assert!((w[1] + 0.2).abs() < 1e-7);
        for _ in 0..100 {
            soft_threshold(&mut w, 1e-3);
        }
        assert_eq!([w[0], w[2]], [0.0, 0.0]);
    }

    // S_0.1(v) / (1 + 0.25), and 0.5 a (w - b)^2 + strength |w| + ridge / 2 w^2 has its minimum at
    // S_strength(a b) / (a + ridge).
    #[test]
    fn elastic_net() {
        let mut w = [0.05, -0.3, 0.6];
        shrink(&mut w, 0.1, 0.25);
        assert_eq!(w[0], 0.0);
        assert!((w[1] + 0.16).abs() < 1e-7 && (w[2] - 0.4).abs() < 1e-7, "{w:?}");
        let (a, strength, ridge, rate) = (2.0f32, 0.5, 3.0, 0.05);
        for (b, minimum) in [(1.0f32, 0.3f32), (0.2, 0.0), (-0.6, -0.14)] {
            let mut w = [0.3f32];
            for _ in 0..2000 {
                w[0] -= rate as f32 * a * (w[0] - b);
                shrink(&mut w, rate * strength, rate * ridge);
            }
            assert!((w[0] - minimum).abs() < 1e-5, "{} for {b}", w[0]);
        }
    }

    // 0.5 a (w - b)^2 + strength |w| has its minimum at the soft threshold of b by strength / a.
    #[test]
    fn proximal_descent_finds_the_closed_form() {
        let (a, strength, rate) = (2.0f32, 0.5f32, 0.05f32);
        for (b, minimum) in [(1.0f32, 0.75f32), (0.2, 0.0), (-0.6, -0.35)] {
            let mut w = [0.3f32];
            for _ in 0..2000 {
                w[0] -= rate * a * (w[0] - b);
                soft_threshold(&mut w, rate * strength);
            }
            assert!((w[0] - minimum).abs() < 1e-5, "{} for {b}", w[0]);
        }
    }
}
