//! A strength that follows a share, in place of one to tune.

use interp_net::finding::Unfit;

use super::{Now, State};

/// The strength of a penalty, whose logarithm follows what a share found in the batch lacks of an aim.
#[derive(Clone, Copy, Debug)]
pub(super) struct Follow {
    /// The strength before it is controlled.
    pub(super) first: f64,
    /// How fast the logarithm follows.
    pub(super) gain: f64,
    /// The largest strength.
    pub(super) most: f64,
}

/// The smallest strength: it would take long to come back from less.
const LEAST: f64 = 1e-3;

impl Follow {
    /// Refuses a first strength outside of what it may become.
    pub(super) fn check(&self) -> Result<(), Unfit> {
        let problem = format!("must be between {LEAST} and {}, not {}", self.most, self.first);
        Unfit::unless((LEAST..=self.most).contains(&self.first), "strength", problem)
    }

    /// The present strength, by its name in the state.
    pub(super) fn strength(&self, state: &State, key: &str) -> f64 {
        state.numbers.get(key).copied().unwrap_or(self.first)
    }

    /// Follows what is lacking, as far as something is trained: `weight` is what [`trained`] says.
    pub(super) fn adapt(&self, state: &mut State, key: &str, lacking: f64, weight: f64) {
        let strength = self.strength(state, key) * (self.gain * weight * lacking).exp();
        state.numbers.insert(key.to_owned(), strength.clamp(LEAST, self.most));
    }
}

/// The highest learning rate of the step as a share of the highest so far: what is hardly trained cannot follow.
pub(super) fn trained(state: &mut State, now: Now<'_>) -> f64 {
    let rate = now.rates.iter().copied().fold(0.0, f64::max);
    let peak = state.numbers.get("peak").copied().unwrap_or(0.0).max(rate);
    state.numbers.insert("peak".into(), peak);
    if peak > 0.0 { rate / peak } else { 0.0 }
}

/// The aim that lies a share of the way from a target to 1 beyond it, so that the target is reached on other pictures too.
pub(super) fn beyond(target: f64, margin: f64) -> f64 {
    target + margin * (1.0 - target)
}
