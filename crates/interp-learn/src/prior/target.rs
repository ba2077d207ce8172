//! A share of zeros as the target, in place of a strength to tune.

use candle_core::{DType, Device, Tensor};
use interp_net::Params;
use interp_net::finding::{Claim, Quantity, Relation, Unfit};

use super::{Now, Scope, State, change, share, values};
use crate::Result;

/// Controls the strength of a sparsity prior so that the share of zeros follows
/// `target (1 - (1 - t)^3)`, t from 0 to 1 over the first `reached_at` of the steps in which the prior steers (the cubic schedule
/// of Zhu and Gupta 2017, arXiv 1710.01878, eq. 1). Then what is still missing is made up by zeroing
/// the smallest, zeros are held from then on, and nothing is shrunk any more, so that the rest can
/// recover (as the relaxed lasso refits; Meinshausen 2007).
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) strength: f64,
    pub(super) target: Option<f64>,
    pub(super) reached_at: f64,
}

/// The sizes of one parameter's things as [`Target::control`] takes them: what is not trained at present
/// (learning rate 0) and not zero is never to be zeroed.
pub(super) fn unless_frozen(mut sizes: Vec<f32>, rate: f64) -> Vec<f32> {
    if rate == 0.0 {
        sizes.iter_mut().filter(|size| **size != 0.0).for_each(|size| *size = f32::INFINITY);
    }
    sizes
}

/// The absolute values of all parameters of a scope, as [`Target::control`] takes them.
pub(super) fn magnitudes(params: &Params, scope: &Scope, now: Now<'_>) -> Result<Vec<Vec<f32>>> {
    let of = |&p: &usize| Ok(unless_frozen(values(params, p)?.into_iter().map(f32::abs).collect(), now.rates[p]));
    scope.positions.iter().map(of).collect()
}

/// Makes zero again what is held, where each thing is one number.
pub(super) fn enforce(params: &mut Params, scope: &Scope, state: &State) -> Result<()> {
    for (index, &position) in scope.positions.iter().enumerate() {
        if let Some(kept) = Target::kept(state, index)? {
            change(params, position, |w| mask(w, &kept))?;
        }
    }
    Ok(())
}

/// Makes zero what is not kept.
pub(super) fn mask(w: &mut [f32], kept: &[u8]) {
    w.iter_mut().zip(kept).filter(|(_, kept)| **kept == 0).for_each(|(w, _)| *w = 0.0);
}

/// How fast the logarithm of the strength follows the error in the share of zeros.
const GAIN: f64 = 0.5;

impl Target {
    pub(super) fn check(&self) -> Result<(), Unfit> {
        let usable = self.strength > 0.0 && self.strength.is_finite();
        Unfit::unless(usable, "strength", format!("must be above 0, not {}", self.strength))?;
        self.target.map_or(Ok(()), |target| share("target", target))?;
        share("reached_at", self.reached_at)
    }

    /// The first state.
    pub(super) fn start(&self, scope: &Scope) -> Result<State> {
        let mut state = State::default();
        state.numbers.insert("strength".into(), self.strength);
        // Saved states always have the same tensors; an empty one stands for "nothing held yet".
        for index in 0..scope.positions.len() {
            state.tensors.insert(key(index), Tensor::zeros(0, DType::U8, &Device::Cpu)?);
        }
        Ok(state)
    }

    /// Whether weights are still shrunk.
    pub(super) fn is_shrinking(&self, state: &State) -> bool {
        !state.numbers.contains_key("held")
    }

    /// The present strength.
    pub(super) fn strength(&self, state: &State) -> f64 {
        state.numbers.get("strength").copied().unwrap_or(self.strength)
    }

    /// Adapts the strength to the share of things that are zero; at the end of the ramp decides what is held
    /// there. `sizes` gives for each parameter the size of each thing.
    pub(super) fn control(
        &self,
        scope: &Scope,
        state: &mut State,
        now: Now<'_>,
        share: f64,
        sizes: impl FnOnce() -> Result<Vec<Vec<f32>>>,
    ) -> Result<()> {
        let Some(target) = self.target else { return Ok(()) };
        let weight = weight_of(now, scope, state);
        if weight == 0.0 {
            return Ok(()); // Nothing is trained, so nothing can be made zero.
        }
        let ramp = now.progress / self.reached_at;
        if ramp >= 1.0 {
            return hold(state, target, &sizes()?);
        }
        let wanted = target * (1.0 - (1.0 - ramp).powi(3));
        let error = wanted - share;
        let strength = self.strength(state) * (GAIN * error * weight).exp();
        state.numbers.insert("strength".into(), strength.clamp(1e-12, 1e12));
        Ok(())
    }

    /// For the parameter number `index` of the scope: 1 for what may be other than zero, 0 for what is
    /// held at zero; `None` before anything is held.
    pub(super) fn kept(state: &State, index: usize) -> Result<Option<Vec<u8>>> {
        match state.tensors.get(&key(index)) {
            Some(kept) if state.numbers.contains_key("held") => Ok(Some(kept.to_vec1()?)),
            _ => Ok(None),
        }
    }

    /// The claim that at least the target is reached, if there is one.
    pub(super) fn claim(&self, quantity: Quantity, scope: &Scope) -> Vec<Claim> {
        let (nodes, scope, relation) = (scope.names.clone(), scope.label.clone(), Relation::AtLeast);
        let claim = |bound| Claim { quantity, nodes, scope, relation, bound };
        self.target.map(claim).into_iter().collect()
    }
}

/// The learning rate as a share of the highest so far. Where it is low, the strength has little effect on
/// the zeros and so little to learn from them; it would run away, and be far too high in the next phase.
fn weight_of(now: Now<'_>, scope: &Scope, state: &mut State) -> f64 {
    let rate = scope.positions.iter().map(|&position| now.rates[position]).fold(0.0, f64::max);
    let peak = state.numbers.get("peak").copied().unwrap_or(0.0).max(rate);
    state.numbers.insert("peak".into(), peak);
    if peak > 0.0 { rate / peak } else { 0.0 }
}

fn key(index: usize) -> String {
    format!("kept.{index}")
}

/// Holds at zero what is zero, and of the rest as many of the smallest as the target asks for. What is
/// of infinite size is never zeroed.
fn hold(state: &mut State, target: f64, sizes: &[Vec<f32>]) -> Result<()> {
    let mut order: Vec<(f32, usize, usize)> = vec![];
    for (param, sizes) in sizes.iter().enumerate() {
        order.extend(sizes.iter().enumerate().map(|(i, &size)| (size, param, i)));
    }
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let least = (target * order.len() as f64).ceil() as usize;
    let mut kept: Vec<Vec<u8>> = sizes.iter().map(|s| vec![1; s.len()]).collect();
    for (rank, &(size, param, i)) in order.iter().enumerate() {
        if size == 0.0 || (rank < least && size.is_finite()) {
            kept[param][i] = 0;
        }
    }
    for (index, kept) in kept.into_iter().enumerate() {
        let length = kept.len();
        state.tensors.insert(key(index), Tensor::from_vec(kept, length, &Device::Cpu)?);
    }
    state.numbers.insert("held".into(), 1.0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holding_makes_up_what_is_missing_and_spares_the_infinite() {
        let mut state = State::default();
        hold(&mut state, 0.5, &[vec![0.0, 3.0, 1.0], vec![2.0, f32::INFINITY, 9.0]]).unwrap();
        assert_eq!(Target::kept(&state, 0).unwrap().unwrap(), [0, 1, 0]);
        assert_eq!(Target::kept(&state, 1).unwrap().unwrap(), [0, 1, 1]);
        hold(&mut state, 0.9, &[vec![f32::INFINITY, 1.0]]).unwrap();
        assert_eq!(Target::kept(&state, 0).unwrap().unwrap(), [1, 0]);
    }

    fn scope() -> Scope {
        Scope { label: String::new(), nodes: vec![], names: vec![], positions: vec![0] }
    }

    // Half-way up the ramp the share should be 0.8 (1 - 0.5^3) = 0.7; a quarter of the things are zero, so
    // that the logarithm of the strength grows by GAIN * 0.45.
    #[test]
    fn the_strength_follows_the_cubic_ramp() {
        let aim = Target { strength: 2.0, target: Some(0.8), reached_at: 0.5 };
        let mut state = State::default();
        let sizes = || Ok(vec![vec![0.0, 1.0], vec![1.0, 1.0]]);
        aim.control(&scope(), &mut state, Now { rates: &[0.1], progress: 0.25 }, 0.25, sizes).unwrap();
        assert!((aim.strength(&state) - 2.0 * (0.5f64 * 0.45).exp()).abs() < 1e-12);
        assert!(aim.is_shrinking(&state));
        // At a tenth of the highest rate it grows by a tenth; at none, not at all.
        for (rate, expected) in [(0.01, 1.1), (0.0, 1.1)] {
            aim.control(&scope(), &mut state, Now { rates: &[rate], progress: 0.25 }, 0.25, sizes).unwrap();
            assert!((aim.strength(&state) - 2.0 * (0.5f64 * 0.45 * expected).exp()).abs() < 1e-12);
        }
        aim.control(&scope(), &mut state, Now { rates: &[0.1], progress: 0.5 }, 0.25, sizes).unwrap();
        assert!(!aim.is_shrinking(&state));
        // ceil(0.8 * 4) = 4: all, and in the order of their positions among equals.
        assert_eq!(Target::kept(&state, 1).unwrap().unwrap(), [0, 0]);
    }
}
