//! Learning rates over a phase.

use std::f64::consts::PI;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the learning rate of a phase is multiplied with as the phase goes on, after its warm-up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// 1 throughout.
    Constant,
    /// `(1 + cos(pi t)) / 2`, t from 0 to 1 over the phase after warm-up (Loshchilov and Hutter 2017, eq. 5).
    #[default]
    Cosine,
    /// Multiplied by `factor` at each of the shares `at` of the phase after warm-up.
    Step {
        /// Shares of what follows warm-up, in (0, 1).
        at: Vec<f64>,
        /// Usually 0.1.
        factor: f64,
    },
}

impl Schedule {
    /// The factor at `progress` in [0, 1) of the phase.
    pub fn factor(&self, progress: f64) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Cosine => (1.0 + (PI * progress).cos()) / 2.0,
            Self::Step { at, factor } => factor.powi(at.iter().filter(|&&share| progress >= share).count() as i32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms() {
        assert_eq!(Schedule::Constant.factor(0.7), 1.0);
        let cosine: Vec<f64> = [0.0, 1.0 / 3.0, 0.5, 1.0].map(|t| Schedule::Cosine.factor(t)).to_vec();
        cosine.iter().zip([1.0, 0.75, 0.5, 0.0]).for_each(|(a, b)| assert!((a - b).abs() < 1e-12));
        let step = Schedule::Step { at: vec![0.5, 0.75], factor: 0.1 };
        let factors = [0.0, 0.49, 0.5, 0.8].map(|t| step.factor(t));
        factors.iter().zip([1.0, 1.0, 0.1, 0.01]).for_each(|(a, b)| assert!((a - b).abs() < 1e-12));
    }
}
