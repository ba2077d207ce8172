//! L0: gates that open and shut filters, trained with them.

use candle_core::{Device, Tensor};
use interp_net::finding::random::stream;
use interp_net::finding::{Claim, Entry, Quantity, Unfit, build};
use interp_net::ops::scalars::logistic;
use interp_net::{Network, NodeId, Op, Params};
use rand::Rng;
use rand::distr::Open01;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::target::{Target, after_filter, held, is_held, spare, unless_frozen};
use super::{Now, Prior, Scope, State, change, refuse_transposed, values};
use crate::Result;

/// Each filter is multiplied with a gate z that is exactly 0 with a probability that is trained: `z = min(1, max(0, s (zeta -
/// gamma) + gamma))`, `s = sigmoid((ln u - ln(1 - u) + log_alpha) / beta)`, u uniform in (0, 1) and drawn anew at every step
/// (hard concrete gates; Louizos, Welling and Kingma 2018, arXiv 1712.01312, eqs. 10 and 11; gamma -0.1, zeta 1.1, beta 2/3).
/// `strength * sum P(z > 0)`, `P(z > 0) = sigmoid(log_alpha - beta ln(-gamma / zeta))` (eq. 12), is added to the loss: the
/// expected number of filters, a count, which has a gradient although zeros are exact.
///
/// Log alphas take steps of their own, down a running mean of their gradients in units of its root mean square over all gates.
/// Where a batch norm alone reads the filter, the gate multiplies its gain and shift: a norm would undo a gate before it. The
/// strength is controlled, so that the expected share of zeros follows the ramp `target (1 - (1 - t)^3)`, t from 0 to 1 by `reached_at` (the multiplier of the
/// constraint, as in Gallego-Posada et al. 2022, arXiv 2208.04425). At the ramp's end the gates become numbers without noise
/// (eq. 13), which go into gains, shifts and weights; filters whose gate is 0, and the least likely besides, as many as are
/// missing, are zero with their gains and shifts from then on: `interp-train compact` cuts them out. The gate that is the most
/// likely to be open in a layer stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct L0 {
    /// Share of filters to make exactly zero, and to claim.
    pub target: f64,
    /// Share of the steps in which the prior steers by which the target is reached; after it there are no gates any more.
    #[serde(default = "reached_at")]
    pub reached_at: f64,
}

fn reached_at() -> f64 {
    0.6
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "l0",
    summary: "whole filters exactly zero, by gates that are trained with them (hard concrete), to a target share",
    example: "kind = \"l0\"\nnodes = [\"features.*\"]\ntarget = 0.5\n",
    build: |section| build(section, |settings: L0| Box::new(settings)),
    schema: || schemars::schema_for!(L0),
};

/// The ends that gates are stretched to before they are cut to 0 and 1.
const ENDS: [f64; 2] = [-0.1, 1.1];

/// The temperature: how far from 0 and 1 gates are.
const BETA: f64 = 2.0 / 3.0;

/// Log alpha before the first step: a gate is open in 98 of 100 steps.
const FIRST: f64 = 2.2;

/// Log alpha stays within this of 0: beyond, nothing would bring it back.
const WIDEST: f64 = 4.605_170_185_988_092; // ln 100

/// How far log alphas go in a step.
const STEP: f64 = 0.02;

/// Share of the old in the running mean of a gate's gradients: most of one step's is noise.
const MEMORY: f64 = 0.99;

/// The strength before it is controlled, in units of the gradients' root mean square.
const STRENGTH: f64 = 1.0;

/// The probability that a gate is not 0.
fn open(log_alpha: f64) -> f64 {
    logistic(log_alpha - BETA * (-ENDS[0] / ENDS[1]).ln())
}

/// `s` stretched and cut.
fn cut(s: f64) -> f64 {
    (s * (ENDS[1] - ENDS[0]) + ENDS[0]).clamp(0.0, 1.0)
}

/// The gate without noise.
fn settled(log_alpha: f64) -> f64 {
    cut(logistic(log_alpha))
}

/// The gate drawn by `u`, and its derivative by log alpha.
fn drawn(log_alpha: f64, u: f64) -> (f64, f64) {
    let s = logistic((u.ln() - (1.0 - u).ln() + log_alpha) / BETA);
    let gate = cut(s);
    let slope = if gate > 0.0 && gate < 1.0 { (ENDS[1] - ENDS[0]) * s * (1.0 - s) / BETA } else { 0.0 };
    (gate, slope)
}

/// Names of what the state holds for node number `index`: log alpha and the running mean of its gradients.
fn keys(index: usize) -> [String; 2] {
    ["log_alpha", "gradient"].map(|name| format!("{name}.{index}"))
}

/// The numbers that the state holds under a name; none where it has none.
fn recall(state: &State, key: &str) -> Result<Vec<f64>> {
    let found: Option<Vec<f32>> = state.tensors.get(key).map(Tensor::to_vec1).transpose()?;
    Ok(found.unwrap_or_default().into_iter().map(f64::from).collect())
}

fn keep(state: &mut State, key: String, numbers: impl Iterator<Item = f64>) -> Result<()> {
    let numbers: Vec<f32> = numbers.map(|number| number as f32).collect();
    let count = numbers.len();
    state.tensors.insert(key, Tensor::from_vec(numbers, count, &Device::Cpu)?);
    Ok(())
}

/// The log alphas of the filters of node number `index`.
fn log_alphas(state: &State, index: usize) -> Result<Vec<f64>> {
    recall(state, &keys(index)[0])
}

/// The name, among the numbers, of whether node number `index` was not trained at the last step.
fn frozen(index: usize) -> String {
    format!("frozen.{index}")
}

/// The gates of node number `index` with their derivatives. Those of what is not trained have no noise, and are open where they
/// never were trained.
fn gates(scope: &Scope, state: &State, index: usize, noisy: bool) -> Result<Vec<(f64, f64)>> {
    if state.numbers.get(&frozen(index)) == Some(&1.0) {
        let gate = |log_alpha| if log_alpha == f64::from(FIRST as f32) { 1.0 } else { settled(log_alpha) };
        return Ok(log_alphas(state, index)?.into_iter().map(|log_alpha| (gate(log_alpha), 0.0)).collect());
    }
    let steps = state.numbers.get("steps").copied().unwrap_or_default();
    let mut draws = stream(state.seed, "gates", steps as u64, scope.positions[index] as u64);
    let mut gate = |log_alpha| match noisy {
        true => drawn(log_alpha, draws.sample(Open01)),
        false => (settled(log_alpha), 0.0),
    };
    Ok(log_alphas(state, index)?.into_iter().map(&mut gate).collect())
}

/// The positions of what the gates of node number `index` multiply: gain and shift of its batch norm, else weight and bias.
fn gated(params: &Params, scope: &Scope, index: usize) -> Vec<usize> {
    let own = scope.norms[index].is_none().then_some(scope.positions[index]);
    own.into_iter().chain(after_filter(params, scope, index)).collect()
}

/// Multiplies what belongs to each filter; by 0 it becomes 0, whatever it is.
fn multiply(params: &mut Params, position: usize, factors: &[f64]) -> Result<()> {
    change(params, position, |all| {
        let width = all.len() / factors.len().max(1);
        for (own, &factor) in all.chunks_exact_mut(width.max(1)).zip(factors) {
            own.iter_mut().for_each(|v| *v = if factor == 0.0 { 0.0 } else { *v * factor as f32 });
        }
    })
}

impl L0 {
    fn aim(&self) -> Target {
        Target { strength: STRENGTH, target: Some(self.target), reached_at: self.reached_at }
    }

    /// A step of all log alphas that are trained, down their gradients divided by the root mean square of all of them.
    fn descend(&self, state: &mut State, scope: &Scope, now: Now<'_>) -> Result<()> {
        let gradients =
            (0..scope.nodes.len()).map(|index| recall(state, &keys(index)[1])).collect::<Result<Vec<_>>>()?;
        let size = root_mean_square(&gradients.concat()).max(f64::MIN_POSITIVE);
        let strength = self.aim().strength(state);
        for (index, gradient) in gradients.iter().enumerate().filter(|(i, _)| now.rates[scope.positions[*i]] > 0.0) {
            let step = |(log_alpha, gradient): (f64, &f64)| {
                let penalty = strength * open(log_alpha) * (1.0 - open(log_alpha));
                (log_alpha - STEP * (gradient / size + penalty)).clamp(-WIDEST, WIDEST)
            };
            let before = log_alphas(state, index)?;
            keep(state, keys(index)[0].clone(), before.into_iter().zip(gradient).map(step))?;
        }
        Ok(())
    }

    /// From now on there are no gates: what they are without noise is in the parameters. One that stays although it is
    /// shut is taken for open.
    fn fold(&self, params: &mut Params, scope: &Scope, state: &State) -> Result<()> {
        for index in 0..scope.nodes.len() {
            let gates = gates(scope, state, index, false)?;
            let factors: Vec<f64> = gates.iter().map(|&(gate, _)| if gate == 0.0 { 1.0 } else { gate }).collect();
            for position in gated(params, scope, index) {
                multiply(params, position, &factors)?;
            }
        }
        Ok(())
    }
}

/// How likely gates are open, as [`Target::control`] takes sizes: 0 where a gate is 0 without noise.
fn sizes(log_alphas: Vec<f64>, rate: f64) -> Vec<f32> {
    let likely = spare(log_alphas.iter().map(|&log_alpha| open(log_alpha) as f32).collect(), 1);
    let shut = |log_alpha: f64, size: f32| size.is_finite() && settled(log_alpha) == 0.0;
    let sizes = log_alphas.iter().zip(likely).map(|(&log_alpha, size)| if shut(log_alpha, size) { 0.0 } else { size });
    unless_frozen(sizes.collect(), rate)
}

impl Prior for L0 {
    // Of the weights of a B-cos convolution the direction alone counts: a gate would have no effect, and no gradient.
    fn acts_on(&self, net: &Network, id: NodeId) -> bool {
        !matches!(net.graph.nodes()[id].op, Op::BCosConv2d { .. })
    }

    fn check(&self, net: &Network, scope: &Scope) -> Result<(), Unfit> {
        self.aim().check()?;
        refuse_transposed(net, scope)?;
        let filters: Vec<usize> = scope.positions.iter().map(|&p| net.params.list()[p].value.dims()[0]).collect();
        self.aim().keeps(&filters, 0, 1, "filters")
    }

    fn prepare(&self, net: &mut Network, scope: &Scope) -> Result<State> {
        let mut state = self.aim().start(scope)?;
        state.numbers.insert("steps".into(), 0.0);
        for (index, &position) in scope.positions.iter().enumerate() {
            let filters = net.params.list()[position].value.dims()[0];
            for (key, first) in keys(index).into_iter().zip([FIRST, 0.0]) {
                keep(&mut state, key, std::iter::repeat_n(first, filters))?;
            }
        }
        Ok(state)
    }

    fn realize(&self, params: &mut Params, scope: &Scope, state: &State, noisy: bool) -> Result<()> {
        for index in (0..scope.nodes.len()).filter(|_| !is_held(state)) {
            let gates: Vec<f64> = gates(scope, state, index, noisy)?.into_iter().map(|(gate, _)| gate).collect();
            for position in gated(params, scope, index) {
                multiply(params, position, &gates)?;
            }
        }
        Ok(())
    }

    fn before_step(
        &self,
        params: &Params,
        grads: &[Option<Tensor>],
        scope: &Scope,
        state: &mut State,
        now: Option<Now<'_>>,
    ) -> Result<Vec<(usize, Tensor)>> {
        let mut factors = vec![];
        if is_held(state) {
            return Ok(factors);
        }
        for index in 0..scope.nodes.len() {
            let gates = gates(scope, state, index, now.is_some())?;
            let mut slopes = vec![0.0; gates.len()];
            for position in gated(params, scope, index) {
                if let Some(grad) = &grads[position] {
                    add_products(&mut slopes, &values(params, position)?, &grad.flatten_all()?.to_vec1()?);
                }
                let mut dims = vec![1; params.list()[position].value.rank()];
                dims[0] = gates.len();
                let gates: Vec<f32> = gates.iter().map(|&(gate, _)| gate as f32).collect();
                factors.push((position, Tensor::from_vec(gates, dims, params.list()[position].value.device())?));
            }
            let key = &keys(index)[1];
            let old = recall(state, key)?;
            let new = slopes.iter().zip(&gates).map(|(slope, (_, by_log_alpha))| slope * by_log_alpha);
            let mean = old.into_iter().zip(new).map(|(old, new)| MEMORY * old + (1.0 - MEMORY) * new);
            keep(state, key.clone(), mean)?;
        }
        now.map_or(Ok(()), |now| self.descend(state, scope, now))?;
        Ok(factors)
    }

    fn after_step(&self, params: &mut Params, scope: &Scope, state: &mut State, now: Now<'_>) -> Result<()> {
        if is_held(state) {
            return Ok(());
        }
        let steps = state.numbers.get("steps").copied().unwrap_or_default();
        state.numbers.insert("steps".into(), steps + 1.0);
        for (index, &position) in scope.positions.iter().enumerate() {
            state.numbers.insert(frozen(index), f64::from(u8::from(now.rates[position] == 0.0)));
        }
        let all = (0..scope.nodes.len()).map(|index| log_alphas(state, index)).collect::<Result<Vec<_>>>()?;
        let likely: Vec<f64> = all.iter().flatten().map(|&log_alpha| open(log_alpha)).collect();
        let share = 1.0 - likely.iter().sum::<f64>() / likely.len().max(1) as f64;
        state.numbers.insert("zeros".into(), share);
        let sizes = || Ok(all.into_iter().zip(&scope.positions).map(|(all, &p)| sizes(all, now.rates[p])).collect());
        self.aim().control(scope, state, now, share, sizes)?;
        if is_held(state) {
            state.restart_average = true; // Of values before the fold, which were gated.
            return self.fold(params, scope, state);
        }
        Ok(())
    }

    fn enforce(&self, params: &mut Params, scope: &Scope, state: &State) -> Result<()> {
        for index in 0..scope.nodes.len() {
            if let Some(kept) = held(state, index)? {
                let factors: Vec<f64> = kept.into_iter().map(f64::from).collect();
                let mut positions = gated(params, scope, index);
                positions.push(scope.positions[index]);
                positions.into_iter().try_for_each(|position| multiply(params, position, &factors))?;
            }
        }
        Ok(())
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        self.aim().claim(Quantity::ZeroFilters, scope)
    }
}

fn root_mean_square(all: &[f64]) -> f64 {
    (all.iter().map(|x| x * x).sum::<f64>() / all.len().max(1) as f64).sqrt()
}

/// Adds for each filter the sum of `values * grads` over what belongs to it: the derivative by its gate.
fn add_products(sums: &mut [f64], values: &[f32], grads: &[f32]) {
    let width = (values.len() / sums.len().max(1)).max(1);
    for (sum, (values, grads)) in sums.iter_mut().zip(values.chunks_exact(width).zip(grads.chunks_exact(width))) {
        *sum += values.iter().zip(grads).map(|(v, g)| f64::from(*v) * f64::from(*g)).sum::<f64>();
    }
}

#[cfg(test)]
mod tests {
    use interp_net::ops::{Targets, cross_entropy};
    use interp_net::{Draw, Graph, Keep, Mode, Role, Want};

    use super::*;

    // P(z > 0) = sigmoid(log alpha - 2/3 ln(0.1 / 1.1)), and the gate is min(1, max(0, 1.2 sigmoid(log alpha) - 0.1)) (Louizos, Welling and Kingma 2018, eqs. 12 and 13).
    #[test]
    fn closed_forms() {
        for (log_alpha, likely, gate) in [(0.0, 0.831822, 0.5), (2.0, 0.973367, 0.956956), (-2.0, 0.400975, 0.043044)] {
            assert!((open(log_alpha) - likely).abs() < 5e-7, "{}", open(log_alpha));
            assert!((settled(log_alpha) - gate).abs() < 5e-7, "{}", settled(log_alpha));
        }
        assert!((WIDEST - 100f64.ln()).abs() < 1e-12 && (-WIDEST - 0.01f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn gates_are_open_as_often_as_said() {
        let mut draws = stream(3, "test", 0, 0);
        for log_alpha in [0.0, 2.0, -2.0] {
            let open_ones = (0..100_000).filter(|_| drawn(log_alpha, draws.sample(Open01)).0 > 0.0).count();
            assert!((open_ones as f64 / 1e5 - open(log_alpha)).abs() < 0.005, "{open_ones} at {log_alpha}");
        }
    }

    #[test]
    fn the_derivative_of_a_gate_by_central_differences() {
        for log_alpha in [-2.0, 0.3, 2.0] {
            for u in [0.1, 0.4, 0.6, 0.9] {
                let slope = (drawn(log_alpha + 1e-6, u).0 - drawn(log_alpha - 1e-6, u).0) / 2e-6;
                assert!((slope - drawn(log_alpha, u).1).abs() < 1e-7, "{slope} at {log_alpha}, {u}");
            }
        }
    }

    /// A convolution with a batch norm and one without, each of four filters, with their gates half-way.
    fn network() -> (Network, L0, Scope, State) {
        let mut graph = Graph::new(1, 6, 6).unwrap();
        graph.then("a", Op::conv3x3(4, 1)).unwrap();
        graph.then("norm", Op::batch_norm()).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        graph.then("b", Op::conv(4, 3, 1, 1, true)).unwrap();
        graph.then("mean", Op::GlobalAvgPool).unwrap();
        graph.then("head", Op::Linear { out_features: 3, bias: true }).unwrap();
        let mut net = Network::new(graph, 1).unwrap();
        let bias = net.params.position(4, Role::Bias).unwrap();
        change(&mut net.params, bias, |w| w.copy_from_slice(&[0.5, -0.5, 0.3, 0.2])).unwrap();
        let prior = L0 { target: 0.5, reached_at: 0.5 };
        let scope = Scope::new(&net, &["a".into(), "b".into()], prior.roles()).unwrap();
        let mut state = prior.prepare(&mut net, &scope).unwrap();
        for index in 0..2 {
            let halfway = Tensor::new(&[0.1f32, -0.4, 0.6, -1.0], &Device::Cpu).unwrap();
            state.tensors.insert(keys(index)[0].clone(), halfway);
        }
        (net, prior, scope, state)
    }

    /// What is frozen later keeps the gates that it learned, without noise; what never was trained has none.
    #[test]
    fn frozen_gates_stay_as_they_are() {
        let (mut net, prior, scope, mut state) = network();
        let now = Now { rates: &vec![0.0; net.params.list().len()], progress: 0.1 };
        prior.after_step(&mut net.params, &scope, &mut state, now).unwrap();
        let expected = [0.1f32, -0.4, 0.6, -1.0].map(|log_alpha| (settled(f64::from(log_alpha)), 0.0));
        assert_eq!(gates(&scope, &state, 0, true).unwrap(), expected);
        keep(&mut state, keys(1)[0].clone(), [FIRST; 4].into_iter()).unwrap();
        assert_eq!(gates(&scope, &state, 1, true).unwrap(), [(1.0, 0.0); 4]);
    }

    fn picture() -> Tensor {
        let pixels: Vec<f32> = (0..144).map(|i| (i as f32 * 0.7).sin()).collect();
        Tensor::from_vec(pixels, (4, 1, 6, 6), &Device::Cpu).unwrap()
    }

    /// The loss of four pictures with noisy gates, and its gradients.
    fn pass(net: &Network, prior: &L0, scope: &Scope, state: &State) -> (f64, Vec<Option<Tensor>>) {
        let mut gated = net.clone();
        prior.realize(&mut gated.params, scope, state, true).unwrap();
        let tape =
            gated.forward(&picture(), Mode::Train { frozen: vec![], draw: Draw::default() }, &Keep::All).unwrap();
        let loss =
            cross_entropy(tape.output(&gated.graph).unwrap(), Targets::Classes(&[0, 1, 2, 0]), 0.0, None).unwrap();
        let all: Vec<usize> = (0..net.params.list().len()).collect();
        let want = Want { nodes: vec![], params: all.clone() };
        let grads = gated.backward(&tape, &[(net.graph.output(), loss.grad)], &want).unwrap();
        (loss.loss, all.iter().map(|&p| grads.param(p).cloned()).collect())
    }

    // A step moves log alphas by -STEP times the derivative of the loss, in units of its root mean square over all of them,
    // and that of the penalty; gradients at parameters are those of the loss through the gates.
    #[test]
    fn gradients_go_through_the_gates() {
        let (net, prior, scope, state) = network();
        let (_, grads) = pass(&net, &prior, &scope, &state);
        let rates = vec![0.01; net.params.list().len()];
        let mut stepped = state.clone();
        let now = Now { rates: &rates, progress: 0.1 };
        let factors = prior.before_step(&net.params, &grads, &scope, &mut stepped, Some(now)).unwrap();
        let slope = |change: &dyn Fn(f32) -> (Network, State)| {
            let at = |by: f32| {
                let (net, state) = change(by);
                pass(&net, &prior, &scope, &state).0
            };
            (at(0.01) - at(-0.01)) / 0.02
        };
        let gates: Vec<(usize, usize)> = (0..2).flat_map(|index| (0..4).map(move |filter| (index, filter))).collect();
        let slopes: Vec<f64> = gates
            .iter()
            .map(|&(index, filter)| {
                slope(&|by| {
                    let mut state = state.clone();
                    let moved = log_alphas(&state, index).unwrap().into_iter().enumerate();
                    let moved = moved.map(|(i, all)| if i == filter { all + f64::from(by) } else { all });
                    keep(&mut state, keys(index)[0].clone(), moved).unwrap();
                    (net.clone(), state)
                })
            })
            .collect();
        let size = root_mean_square(&slopes);
        assert!(slopes.iter().filter(|slope| slope.abs() > 0.1 * size).count() > 3, "{slopes:?}");
        for (&(index, filter), slope) in gates.iter().zip(&slopes) {
            let [before, after] = [&state, &stepped].map(|state| log_alphas(state, index).unwrap()[filter]);
            let expected = slope / size + STRENGTH * open(before) * (1.0 - open(before));
            let found = (before - after) / STEP;
            assert!((found - expected).abs() < 0.02, "{found}, not {expected}");
        }
        assert_eq!(factors.len(), 4);
        for (position, factor) in factors {
            let found = grads[position].as_ref().unwrap().broadcast_mul(&factor).unwrap();
            let found: Vec<f32> = found.flatten_all().unwrap().to_vec1().unwrap();
            for (i, found) in found.iter().enumerate().step_by(3) {
                let moved = |by: f32| {
                    let mut net = net.clone();
                    change(&mut net.params, position, |w| w[i] += by).unwrap();
                    (net, state.clone())
                };
                let expected = slope(&moved);
                assert!((f64::from(*found) - expected).abs() < 1e-4 + 0.01 * expected.abs(), "{found}, not {expected}");
            }
        }
    }

    // The same at any time, another at every step, for every layer and every seed.
    #[test]
    fn noise_is_a_function_of_seed_step_and_layer() {
        let (_, _, scope, mut state) = network();
        let first = gates(&scope, &state, 0, true).unwrap();
        assert_eq!(gates(&scope, &state, 0, true).unwrap(), first);
        assert_ne!(gates(&scope, &state, 1, true).unwrap(), first);
        state.numbers.insert("steps".into(), 1.0);
        assert_ne!(gates(&scope, &state, 0, true).unwrap(), first);
        state.numbers.insert("steps".into(), 0.0);
        state.seed = 7;
        assert_ne!(gates(&scope, &state, 0, true).unwrap(), first);
    }

    /// At the end of the ramp the network without gates is the one with gates that have no noise, less the filters that go;
    /// these can be cut out.
    #[test]
    fn gates_are_folded_at_the_end_of_the_ramp() {
        let (mut net, prior, scope, mut state) = network();
        let gates = Tensor::new(&[4.0f32, -4.0, 1.0, -3.0], &Device::Cpu).unwrap();
        (0..2).for_each(|index| drop(state.tensors.insert(keys(index)[0].clone(), gates.clone())));
        let outputs = |net: &Network| {
            let tape = net.forward(&picture(), Mode::Eval, &Keep::Output).unwrap();
            tape.output(&net.graph).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let mut gated = net.clone();
        prior.realize(&mut gated.params, &scope, &state, false).unwrap();
        let rates = vec![0.1; net.params.list().len()];
        prior.after_step(&mut net.params, &scope, &mut state, Now { rates: &rates, progress: 0.5 }).unwrap();
        prior.enforce(&mut net.params, &scope, &state).unwrap();
        assert_eq!(outputs(&net), outputs(&gated));
        let zeros: Vec<bool> = values(&net.params, 0).unwrap().chunks(9).map(|f| f.iter().all(|w| *w == 0.0)).collect();
        assert_eq!(zeros, [false, true, false, true]);
        let before = values(&net.params, 1).unwrap();
        prior.realize(&mut net.params, &scope, &state, true).unwrap();
        assert_eq!(values(&net.params, 1).unwrap(), before, "no gates any more");
        let cuts = net.compact().unwrap().cuts;
        assert_eq!(cuts.iter().map(|cut| cut.after).collect::<Vec<_>>(), [2, 2]);
    }

    /// What never was trained is run and folded as it is, from its first step on.
    #[test]
    fn what_is_not_trained_has_no_gates() {
        let (mut net, prior, scope, mut state) = network();
        keep(&mut state, keys(0)[0].clone(), [FIRST; 4].into_iter()).unwrap();
        let mut rates = vec![0.1; net.params.list().len()];
        rates[scope.positions[0]] = 0.0;
        prior.after_step(&mut net.params, &scope, &mut state, Now { rates: &rates, progress: 0.1 }).unwrap();
        assert_eq!(gates(&scope, &state, 0, true).unwrap(), vec![(1.0, 0.0); 4]);
        assert_ne!(gates(&scope, &state, 1, true).unwrap(), vec![(1.0, 0.0); 4]);
        let before = values(&net.params, 1).unwrap();
        prior.after_step(&mut net.params, &scope, &mut state, Now { rates: &rates, progress: 1.0 }).unwrap();
        prior.enforce(&mut net.params, &scope, &state).unwrap();
        assert_eq!(values(&net.params, 1).unwrap(), before);
    }

    // Of three gates that are shut the likeliest stays.
    #[test]
    fn a_layer_keeps_a_filter() {
        assert_eq!(sizes(vec![-4.0, -2.9, -3.5], 0.1), [0.0, f32::INFINITY, 0.0]);
        assert_eq!(sizes(vec![-4.0, 0.0], 0.0), [0.0, f32::INFINITY]);
    }
}
