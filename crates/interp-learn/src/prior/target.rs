//! A share of zeros as the target, in place of a strength to tune.

use std::cmp::Ordering;

use candle_core::{DType, Device, Tensor};
use interp_net::finding::{Claim, Quantity, Relation, Unfit};
use interp_net::{Params, Role};

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
        if let Some(kept) = held(state, index)? {
            change(params, position, |w| mask(w, &kept))?;
        }
    }
    Ok(())
}

/// The positions of what is added to, or multiplies, each channel that node number `index` makes: gain and shift of the batch norm that
/// alone reads it, else its bias.
pub(super) fn after_filter(params: &Params, scope: &Scope, index: usize) -> Vec<usize> {
    let (node, roles) = match scope.norms[index] {
        Some(norm) => (norm, [Role::Gain, Role::Shift].as_slice()),
        None => (scope.nodes[index], [Role::Bias].as_slice()),
    };
    roles.iter().filter_map(|&role| params.position(node, role)).collect()
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

    /// Whether of layers of so many things each the `least` largest can stay at the target, and `fixed` others of all that cannot go.
    pub(super) fn keeps(&self, layers: &[usize], fixed: usize, least: usize, things: &str) -> Result<(), Unfit> {
        Unfit::unless(least > 0, "min_channels", "must be at least 1, not 0")?;
        let go = layers.iter().map(|&count| count.saturating_sub(least)).sum::<usize>();
        let most = go as f64 / (layers.iter().sum::<usize>() + fixed).max(1) as f64;
        let target = self.target.unwrap_or_default();
        let others = if fixed > 0 { format!(", and {fixed} that cannot go") } else { String::new() };
        let problem =
            format!("must be at most {most:.4}, as {least} of the {things} of each layer stay{others}, not {target}");
        Unfit::unless(self.target.is_none() || target <= most, "target", problem)
    }

    /// The first state.
    pub(super) fn start(&self, scope: &Scope) -> Result<State> {
        let mut state = nothing_held(scope)?;
        state.numbers.insert("strength".into(), self.strength);
        Ok(state)
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
            return hold(state, kept(target, &sizes()?));
        }
        let error = cubic(target, ramp) - share;
        let strength = self.strength(state) * (GAIN * error * weight).exp();
        state.numbers.insert("strength".into(), strength.clamp(1e-12, 1e12));
        Ok(())
    }

    /// The claim that at least the target is reached, if there is one.
    pub(super) fn claim(&self, quantity: Quantity, scope: &Scope) -> Vec<Claim> {
        let (nodes, scope, relation) = (scope.names.clone(), scope.label.clone(), Relation::AtLeast);
        let claim = |bound| Claim { quantity, nodes, scope, relation, bound };
        self.target.map(claim).into_iter().collect()
    }
}

/// The learning rate as a share of the highest so far. Where it has become low, the strength has little effect on
/// the zeros and so little to learn from them; it would run away, and be far too high in the next phase. (In a first warm-up each
/// rate is the highest so far: there the strength grows as if steps were whole, and comes down after it.)
fn weight_of(now: Now<'_>, scope: &Scope, state: &mut State) -> f64 {
    let rate = highest_rate(now, scope);
    let peak = state.numbers.get("peak").copied().unwrap_or(0.0).max(rate);
    state.numbers.insert("peak".into(), peak);
    if peak > 0.0 { rate / peak } else { 0.0 }
}

/// The highest learning rate of a scope's parameters; 0 where nothing is trained.
pub(super) fn highest_rate(now: Now<'_>, scope: &Scope) -> f64 {
    scope.positions.iter().map(|&position| now.rates[position]).fold(0.0, f64::max)
}

fn key(index: usize) -> String {
    format!("kept.{index}")
}

/// The share that is to be zero when the share `ramp` of the way is done.
pub(super) fn cubic(target: f64, ramp: f64) -> f64 {
    target * (1.0 - (1.0 - ramp.min(1.0)).powi(3))
}

/// The size of the largest of the smallest things that make up `share` of all, 0 where these are none; and how many of
/// this size are among them. Sizes are not negative.
pub(super) fn limit(share: f64, sizes: &[Vec<f32>]) -> (f32, usize) {
    let all = || sizes.iter().flatten();
    let count = sizes.iter().map(Vec::len).sum::<usize>();
    let least = (share * count as f64).ceil() as usize;
    let Some(last) = least.checked_sub(1).filter(|last| *last < count) else { return (0.0, least) };
    // Sizes in the order of their bits: those that share their upper half with the one in question are few, and found by counting.
    let upper = |size: &f32| (size.to_bits() >> 16) as usize;
    let mut counts = vec![0usize; 1 << 16];
    all().for_each(|size| counts[upper(size)] += 1);
    let (mut bucket, mut below) = (0, 0);
    while below + counts[bucket] <= last {
        below += counts[bucket];
        bucket += 1;
    }
    let mut near: Vec<f32> = all().filter(|size| upper(size) == bucket).copied().collect();
    let limit = *near.select_nth_unstable_by(last - below, f32::total_cmp).1;
    (limit, least - below - near.iter().filter(|size| size.total_cmp(&limit).is_lt()).count())
}

/// For each thing 0 where it is to be zero: what is zero, and as many of the smallest as make up `share` of all (of
/// equals the first); 1 elsewhere. What is of infinite size always stays.
pub(super) fn kept(share: f64, sizes: &[Vec<f32>]) -> Vec<Vec<u8>> {
    let (limit, mut at_limit) = limit(share, sizes);
    let mut goes = |size: f32| {
        let small = match size.total_cmp(&limit) {
            Ordering::Less => true,
            Ordering::Equal if at_limit > 0 => {
                at_limit -= 1;
                true
            }
            _ => false,
        };
        size == 0.0 || (small && size.is_finite())
    };
    sizes.iter().map(|sizes| sizes.iter().map(|&size| u8::from(!goes(size))).collect()).collect()
}

/// The state of a prior that will hold zeros.
pub(super) fn nothing_held(scope: &Scope) -> Result<State> {
    let mut state = State::default();
    // Saved states always have the same tensors; an empty one stands for "nothing held yet".
    for index in 0..scope.positions.len() {
        state.tensors.insert(key(index), Tensor::zeros(0, DType::U8, &Device::Cpu)?);
    }
    Ok(state)
}

/// From now on holds at zero what is not kept.
pub(super) fn hold(state: &mut State, kept: Vec<Vec<u8>>) -> Result<()> {
    for (index, kept) in kept.into_iter().enumerate() {
        let length = kept.len();
        state.tensors.insert(key(index), Tensor::from_vec(kept, length, &Device::Cpu)?);
    }
    state.numbers.insert("held".into(), 1.0);
    Ok(())
}

/// Whether zeros are held, and nothing is made zero any more.
pub(super) fn is_held(state: &State) -> bool {
    state.numbers.contains_key("held")
}

/// For the parameter number `index` of the scope: 1 for what may be other than zero, 0 for what is held at zero;
/// `None` before anything is held.
pub(super) fn held(state: &State, index: usize) -> Result<Option<Vec<u8>>> {
    match state.tensors.get(&key(index)) {
        Some(kept) if is_held(state) => Ok(Some(kept.to_vec1()?)),
        _ => Ok(None),
    }
}

/// The sizes of a layer's things with the `count` largest (of equals the first) taken for infinite, so that they stay.
pub(super) fn spare(mut sizes: Vec<f32>, count: usize) -> Vec<f32> {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by(|&a, &b| sizes[b].total_cmp(&sizes[a]));
    order.into_iter().take(count).for_each(|index| sizes[index] = f32::INFINITY);
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_made_up_by_the_smallest_and_the_infinite_is_spared() {
        assert_eq!(kept(0.5, &[vec![0.0, 3.0, 1.0], vec![2.0, f32::INFINITY, 9.0]]), [[0, 1, 0], [0, 1, 1]]);
        assert_eq!(kept(0.9, &[vec![f32::INFINITY, 1.0]]), [[1, 0]]);
        // Of equals the first; what is zero in any case; what is not a number never.
        assert_eq!(kept(0.5, &[vec![2.0, 1.0], vec![2.0, 2.0]]), [[0, 0], [1, 1]]);
        assert_eq!(kept(0.25, &[vec![0.0, 0.0, 5.0, 0.0]]), [[0, 0, 1, 0]]);
        assert_eq!(kept(0.0, &[vec![0.0, 5.0]]), [[0, 1]]);
        assert_eq!(kept(0.9, &[vec![f32::NAN, 1.0, 3.0]]), [[1, 0, 0]]);
    }

    #[test]
    fn the_limit_is_the_size_of_the_last_that_goes() {
        assert_eq!(limit(0.5, &[vec![2.0, 1.0], vec![2.0, 2.0]]), (2.0, 1));
        assert_eq!(limit(0.5, &[vec![4.0, 3.0, 1.0, 2.0]]), (2.0, 1));
        assert_eq!(limit(0.0, &[vec![1.0]]), (0.0, 0));
    }

    #[test]
    fn of_equals_the_first_is_the_largest() {
        assert_eq!(spare(vec![1.0, 2.0, 2.0], 1), [1.0, f32::INFINITY, 2.0]);
        assert_eq!(spare(vec![3.0, 1.0, 2.0, 2.0], 2), [f32::INFINITY, 1.0, f32::INFINITY, 2.0]);
        assert_eq!(spare(vec![1.0], 8), [f32::INFINITY]);
    }

    fn scope() -> Scope {
        Scope { label: String::new(), nodes: vec![], names: vec![], positions: vec![0], norms: vec![], known: None }
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
        assert!(!is_held(&state));
        // At a tenth of the highest rate it grows by a tenth; at none, not at all.
        for (rate, expected) in [(0.01, 1.1), (0.0, 1.1)] {
            aim.control(&scope(), &mut state, Now { rates: &[rate], progress: 0.25 }, 0.25, sizes).unwrap();
            assert!((aim.strength(&state) - 2.0 * (0.5f64 * 0.45 * expected).exp()).abs() < 1e-12);
        }
        aim.control(&scope(), &mut state, Now { rates: &[0.1], progress: 0.5 }, 0.25, sizes).unwrap();
        assert!(is_held(&state));
        // ceil(0.8 * 4) = 4: all, and in the order of their positions among equals.
        assert_eq!(held(&state, 1).unwrap().unwrap(), [0, 0]);
    }
}
