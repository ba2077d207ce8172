//! Hoyer-square: small weights become smaller, large ones larger.

use candle_core::Tensor;
use interp_net::finding::{Claim, Entry, Quantity, Unfit, build};
use interp_net::{Network, Params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::target::{self, Target, highest_rate, kept, magnitudes};
use super::{Now, Prior, Scope, State, Step, Term, values};
use crate::Result;

/// `strength * sum over layers of (sum |w|)^2 / sum w^2`, added to the loss (Yang, Wen and Li 2020, DeepHoyer, arXiv
/// 1908.09979). The fraction is about the number of weights that count: 1 where one alone is other than zero, n where
/// n are equal, and the same for weights twice as large. So L1's pull on what is large is not there: weights below
/// `sum w^2 / sum |w|` become smaller, those above it larger.
///
/// Gradients make no exact zeros. With `target`, the penalty is there for the first `reached_at` of the steps in which
/// the prior steers; then the smallest of all layers together become zero, as many as the target asks for, and are held
/// so, and the rest recovers. The strength is constant: it decides how little is lost at that step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hoyer {
    /// Weight of the penalty.
    pub strength: f64,
    /// Share of exact zeros to reach, and to claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// Share of the steps in which the prior steers after which the target is reached and the penalty ends.
    pub reached_at: f64,
}

impl Default for Hoyer {
    fn default() -> Self {
        Self { strength: 1e-4, target: None, reached_at: 0.6 }
    }
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "hoyer",
    summary: "few weights that count: Hoyer-square as a penalty, then exact zeros to a target share",
    example: "kind = \"hoyer\"\nnodes = [\"features.*\"]\ntarget = 0.8\n",
    build: |section| build(section, |settings: Hoyer| Box::new(settings)),
    schema: || schemars::schema_for!(Hoyer),
};

impl Hoyer {
    fn aim(&self) -> Target {
        Target { strength: self.strength, target: self.target, reached_at: self.reached_at }
    }

    /// Whether the penalty has done its work.
    fn is_over(&self, now: Now<'_>) -> bool {
        self.target.is_some() && now.progress >= self.reached_at
    }
}

impl Prior for Hoyer {
    fn check(&self, _net: &Network, _scope: &Scope) -> Result<(), Unfit> {
        self.aim().check()
    }

    fn prepare(&self, _net: &mut Network, scope: &Scope) -> Result<State> {
        target::nothing_held(scope)
    }

    fn penalty(&self, step: &Step<'_>, scope: &Scope, _state: &mut State) -> Result<Option<Term>> {
        if self.is_over(step.now) {
            return Ok(None);
        }
        let mut term = Term::default();
        for &position in &scope.positions {
            let w = values(&step.net.params, position)?;
            let found = HoyerSquare::of(w.iter().map(|&w| f64::from(w)));
            let scaled: Vec<f32> = w.iter().map(|&w| (self.strength * found.slope(f64::from(w))) as f32).collect();
            let at = &step.net.params.list()[position].value;
            term.value += self.strength * found.value();
            term.params.push((position, Tensor::from_vec(scaled, at.dims(), at.device())?.to_dtype(at.dtype())?));
        }
        Ok(Some(term))
    }

    fn after_step(&self, params: &mut Params, scope: &Scope, state: &mut State, now: Now<'_>) -> Result<()> {
        match self.target {
            Some(target) if self.is_over(now) && !target::is_held(state) && highest_rate(now, scope) > 0.0 => {
                target::hold(state, kept(target, &magnitudes(params, scope, now)?))
            }
            _ => Ok(()),
        }
    }

    fn enforce(&self, params: &mut Params, scope: &Scope, state: &State) -> Result<()> {
        target::enforce(params, scope, state)
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        self.aim().claim(Quantity::ZeroWeights, scope)
    }
}

/// `(sum |w|)^2 / sum w^2`.
struct HoyerSquare {
    /// The sum of absolute values, a.
    absolute: f64,
    /// The sum of squares, q.
    squares: f64,
}

impl HoyerSquare {
    fn of(w: impl Iterator<Item = f64>) -> Self {
        let (absolute, squares) = w.fold((0.0, 0.0), |(absolute, squares), w| (absolute + w.abs(), squares + w * w));
        Self { absolute, squares }
    }

    /// 0 where all weights are 0.
    fn value(&self) -> f64 {
        if self.squares == 0.0 { 0.0 } else { self.absolute * self.absolute / self.squares }
    }

    /// The derivative by a weight, `2 a / q^2 (q sign(w) - a w)`; 0 by one that is 0.
    fn slope(&self, w: f64) -> f64 {
        let Self { absolute, squares } = *self;
        if w == 0.0 { 0.0 } else { 2.0 * absolute / (squares * squares) * (squares * w.signum() - absolute * w) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hoyer_square(w: &[f64]) -> (f64, Vec<f64>) {
        let found = HoyerSquare::of(w.iter().copied());
        (found.value(), w.iter().map(|&w| found.slope(w)).collect())
    }

    // (|3| + |4|)^2 / (9 + 16) = 1.96.
    #[test]
    fn closed_form() {
        let (value, gradient) = hoyer_square(&[3.0, 4.0]);
        assert!((value - 1.96).abs() < 1e-12, "{value}");
        assert!((gradient[0] - 0.0896).abs() < 1e-12 && (gradient[1] + 0.0672).abs() < 1e-12, "{gradient:?}");
        assert!((3.0 * gradient[0] + 4.0 * gradient[1]).abs() < 1e-12, "the same at any scale");
        assert_eq!(hoyer_square(&[0.0, -2.0, 0.0]), (1.0, vec![0.0; 3]));
        assert_eq!(hoyer_square(&[0.5; 4]), (4.0, vec![0.0; 4]));
        assert_eq!(hoyer_square(&[0.0, 0.0]), (0.0, vec![0.0; 2]));
    }

    #[test]
    fn gradient_by_central_differences() {
        let w = [0.3, -0.7, 0.05, 1.2, -0.01];
        let (_, gradient) = hoyer_square(&w);
        for i in 0..w.len() {
            let moved = |by: f64| {
                let mut w = w;
                w[i] += by;
                hoyer_square(&w).0
            };
            let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((slope - gradient[i]).abs() < 1e-7, "{slope}, not {}", gradient[i]);
        }
        // Below sum w^2 / sum |w| = 0.895 towards zero, above it away.
        for (w, gradient) in w.iter().zip(&gradient) {
            assert_eq!(w * gradient > 0.0, w.abs() < 0.895, "{w}");
        }
    }
}
