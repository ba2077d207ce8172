//! L1 on weights, by proximal step.

use interp_net::finding::{Claim, Entry, Quantity, Unfit, build};
use interp_net::{Network, Params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::target::{Target, unless_frozen};
use super::{Now, Prior, Scope, State, change, values};
use crate::Result;

/// `strength * sum |w|`, by its proximal map after every step: `w = sign(w) max(|w| - rate strength, 0)`
/// (ISTA; Daubechies, Defrise and De Mol 2004; Parikh and Boyd 2014, section 6.5.2). Zeros are exact.
///
/// With `target` the strength is not constant but controlled: see `prior/target.rs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct L1 {
    /// Weight of the penalty, constant unless there is a target.
    pub strength: f64,
    /// Share of exact zeros to reach, and to claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// Share of the steps in which the prior steers by which the target is reached; after it zeros stay, and
    /// nothing is shrunk.
    pub reached_at: f64,
}

impl Default for L1 {
    fn default() -> Self {
        Self { strength: 1e-4, target: None, reached_at: 0.6 }
    }
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "l1",
    summary: "exactly zero weights: L1 by proximal step, to a target share of zeros",
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
        self.aim().check()
    }

    fn prepare(&self, _net: &mut Network, scope: &Scope) -> Result<State> {
        self.aim().start(scope)
    }

    fn after_step(&self, params: &mut Params, scope: &Scope, state: &mut State, now: Now<'_>) -> Result<()> {
        let aim = self.aim();
        if !aim.is_shrinking(state) {
            return Ok(());
        }
        let (mut zeros, mut count) = (0, 0);
        for &position in &scope.positions {
            let threshold = (now.rates[position] * aim.strength(state)) as f32;
            change(params, position, |w| {
                soft_threshold(w, threshold);
                zeros += w.iter().filter(|w| **w == 0.0).count();
                count += w.len();
            })?;
        }
        let size = |&p: &usize| {
            let sizes = values(params, p)?.into_iter().map(f32::abs).collect();
            Ok(unless_frozen(sizes, now.rates[p]))
        };
        let share = zeros as f64 / count.max(1) as f64;
        aim.control(scope, state, now, share, || scope.positions.iter().map(size).collect())
    }

    fn enforce(&self, params: &mut Params, scope: &Scope, state: &State) -> Result<()> {
        for (index, &position) in scope.positions.iter().enumerate() {
            if let Some(kept) = Target::kept(state, index)? {
                change(params, position, |w| {
                    w.iter_mut().zip(&kept).filter(|(_, k)| **k == 0).for_each(|(w, _)| *w = 0.0)
                })?;
            }
        }
        Ok(())
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        self.aim().claim(Quantity::ZeroWeights, scope)
    }
}

/// The proximal map of `threshold * |w|`.
fn soft_threshold(w: &mut [f32], threshold: f32) {
    w.iter_mut().for_each(|w| *w -= w.clamp(-threshold, threshold));
}

#[cfg(test)]
mod tests {
    use super::*;

    // adhoc b.2: rate * strength = 0.1.
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
