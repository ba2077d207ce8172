//! Class-specific filters: each channel that a classifier reads speaks for few classes.

use candle_core::{D, DType, Device, Tensor};
use interp_net::finding::{Claim, Entry, Quantity, Relation, Unfit, build};
use interp_net::ops::scalars::log_softmax;
use interp_net::{Network, NodeId, Params, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::follow::{Follow, beyond, trained};
use super::{Now, Prior, Scope, State, Step, Term, share, values};
use crate::Result;

/// A gate matrix G (classes, channels) in [0, 1] says which channels of the last maps are for which classes (Liang et al. 2020, arXiv
/// 2007.08194). Beside the logits `W f + b` of the means f of channels, those of a second path are learned, in which only the channels
/// of the picture's label y are open: `strength` times the cross-entropy of `W (G_y f) + b` is added to the loss (eq. 3). What a class
/// needs has to be in its own channels.
///
/// Gates take steps of their own, down a running mean of the second path's gradients in units of its root mean square over all gates, plus
/// 10 for all where a channel is open to more than one class on average (the L1 term of eq. 3, `max(|G|_1 - channels, 0)`). After each step
/// gates are brought back to [0, 1], and those of each channel divided by the largest, so that every channel has a class (eq. 4).
/// The gates end with training: nothing of them is in the network that is saved.
///
/// Both paths are learned at every step, where the paper takes turns. The strength is controlled: its logarithm follows what the
/// claimed share lacks, in running means over batches, of a tenth of the way from `target` to 1 beyond it.
/// `nodes` is the layer that reads the means of maps: a linear map after a global average, or a 1x1 convolution before one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassFilters {
    /// Weight of the second path's loss at the first step.
    #[serde(default = "one")]
    pub strength: f64,
    /// The share of a channel's evidence that is for one class, the mean over channels, to reach and to claim; above 1 / K of K classes. For a
    /// class speaks what is positive of the channel's mean over its pictures times its weight, less the mean of those for all classes.
    pub target: f64,
}

fn one() -> f64 {
    1.0
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "class_filters",
    summary: "channels that speak for few classes, by gates that open a second path to those of the label",
    example: "kind = \"class_filters\"\nnodes = [\"linear\"]\ntarget = 0.5\n",
    build: |section| build(section, |settings: ClassFilters| Box::new(settings)),
    schema: || schemars::schema_for!(ClassFilters),
};

/// How fast the logarithm of the strength follows the error in the share, at every step.
const GAIN: f64 = 0.05;

/// The largest strength: more leaves nothing of the loss.
const MOST: f64 = 10.0;

/// How far beyond the target training aims, as a share of what is left.
const MARGIN: f64 = 0.1;

/// How far gates go in a step.
const STEP: f64 = 0.005;

/// How strongly gates are shut while too many are open, in units of the gradients' root mean square: few gradients are as large.
const DENSITY: f64 = 10.0;

/// Share of the old in running means.
const MEMORY: f64 = 0.9;

/// Names of what the state holds for head number `index`, each (K, C): gates, the running mean of their gradients, and the means of
/// channels over the pictures of each class.
fn keys(index: usize) -> [String; 3] {
    ["gates", "gradient", "means"].map(|name| format!("{name}.{index}"))
}

/// The numbers that the state holds under a name.
fn recall(state: &State, key: &str) -> Result<Vec<f64>> {
    Ok(state.tensors.get(key).map(|t| t.flatten_all()?.to_vec1()).transpose()?.unwrap_or_default())
}

/// What reads the means: weights (K, C) and biases (K), in f64.
struct Head {
    weights: Vec<f64>,
    biases: Vec<f64>,
}

/// The cross-entropy of the second path, a mean over pictures, and its gradients.
struct Path {
    value: f64,
    /// (N, C)
    means: Vec<f64>,
    /// (K, C)
    weights: Vec<f64>,
    /// (K)
    biases: Vec<f64>,
    /// (K, C)
    gates: Vec<f64>,
}

impl Head {
    fn channels(&self) -> usize {
        self.weights.len() / self.biases.len().max(1)
    }

    /// Of means of channels (N, C) through gates (K, C).
    fn path(&self, means: &[f64], labels: &[u32], gates: &[f64]) -> Path {
        let (channels, classes) = (self.channels(), self.biases.len());
        let zeros = || vec![0.0; self.weights.len()];
        let mut path = Path { value: 0.0, means: vec![], weights: zeros(), biases: vec![0.0; classes], gates: zeros() };
        for (f, &label) in means.chunks_exact(channels).zip(labels) {
            let own = label as usize * channels..(label as usize + 1) * channels;
            let open: Vec<f64> = f.iter().zip(&gates[own.clone()]).map(|(f, gate)| f * gate).collect();
            let (loss, slopes) = cross_entropy(&self.logits(&open), label as usize, labels.len());
            path.value += loss;
            let mut by_open = vec![0.0; channels];
            let rows = self.weights.chunks_exact(channels).zip(path.weights.chunks_exact_mut(channels));
            for (((weights, by_weights), by_bias), slope) in rows.zip(&mut path.biases).zip(slopes) {
                *by_bias += slope;
                by_weights.iter_mut().zip(&open).for_each(|(sum, open)| *sum += slope * open);
                by_open.iter_mut().zip(weights).for_each(|(sum, w)| *sum += slope * w);
            }
            path.gates[own.clone()].iter_mut().zip(&by_open).zip(f).for_each(|((sum, g), f)| *sum += g * f);
            path.means.extend(by_open.iter().zip(&gates[own]).map(|(g, gate)| g * gate));
        }
        path
    }

    fn logits(&self, open: &[f64]) -> Vec<f64> {
        let dot = |row: &[f64]| row.iter().zip(open).map(|(w, f)| w * f).sum::<f64>();
        self.weights.chunks_exact(self.channels().max(1)).zip(&self.biases).map(|(row, bias)| dot(row) + bias).collect()
    }
}

/// `-ln softmax(logits)` at the label and its slopes, as one of `count`.
fn cross_entropy(logits: &[f64], label: usize, count: usize) -> (f64, Vec<f64>) {
    let logs = log_softmax(logits.iter().copied(), 1.0);
    let slope = |(k, log): (usize, &f64)| (log.exp() - f64::from(u8::from(k == label))) / count as f64;
    (-logs[label] / count as f64, logs.iter().enumerate().map(slope).collect())
}

/// Gates (K, C) a step down their gradients, brought back to where they may be.
fn stepped(gates: &[f64], gradient: &[f64], channels: usize) -> Vec<f64> {
    let square = gradient.iter().map(|g| g * g).sum::<f64>() / gradient.len().max(1) as f64;
    let size = square.sqrt().max(f64::MIN_POSITIVE);
    let many = if gates.iter().sum::<f64>() > channels as f64 { DENSITY } else { 0.0 };
    let step = |(gate, gradient): (&f64, &f64)| (gate - STEP * (gradient / size + many)).clamp(0.0, 1.0);
    let mut gates: Vec<f64> = gates.iter().zip(gradient).map(step).collect();
    for channel in 0..channels {
        let most = gates.iter().skip(channel).step_by(channels).copied().fold(0.0, f64::max);
        if most > 0.0 {
            gates.iter_mut().skip(channel).step_by(channels).for_each(|gate| *gate /= most);
        }
    }
    gates
}

impl Head {
    /// The mean over channels of the largest share that a class has of a channel's evidence, by means of channels over the pictures of each
    /// class (K, C); of channels that speak for none nothing is said.
    fn one_class(&self, means: &[f64]) -> f64 {
        let (channels, classes) = (self.channels(), self.biases.len());
        let of_channel = |channel: usize| {
            let weight = |class: usize| self.weights[class * channels + channel];
            let mean = (0..classes).map(weight).sum::<f64>() / classes as f64;
            let evidence = |class: usize| (means[class * channels + channel] * (weight(class) - mean)).max(0.0);
            let sum = (0..classes).map(evidence).sum::<f64>();
            (sum > 0.0).then(|| (0..classes).map(evidence).fold(0.0, f64::max) / sum)
        };
        let shares: Vec<f64> = (0..channels).filter_map(of_channel).collect();
        shares.iter().sum::<f64>() / shares.len().max(1) as f64
    }
}

/// Takes the means of pictures (N, C) into the running means by class (K, C); classes that are not in the batch keep theirs.
fn remember(by_class: &mut [f64], means: &[f64], labels: &[u32], channels: usize) {
    for (class, own) in by_class.chunks_exact_mut(channels).enumerate() {
        let of_class = means.chunks_exact(channels).zip(labels).filter(|(_, label)| **label as usize == class);
        let (mut sums, mut count) = (vec![0.0; channels], 0);
        of_class.for_each(|(row, _)| {
            sums.iter_mut().zip(row).for_each(|(sum, f)| *sum += f);
            count += 1;
        });
        if count > 0 {
            // What was never seen begins with what is.
            let new = |(mean, sum): (&mut f64, f64)| {
                let kept = if *mean == 0.0 { 0.0 } else { MEMORY };
                *mean = kept * *mean + (1.0 - kept) * sum / f64::from(count);
            };
            own.iter_mut().zip(sums).for_each(new);
        }
    }
}

impl ClassFilters {
    fn follow(&self) -> Follow {
        Follow { first: self.strength, gain: GAIN, most: MOST }
    }
}

impl Prior for ClassFilters {
    fn acts_on(&self, net: &Network, id: NodeId) -> bool {
        net.graph.evidence_maps(id).is_some()
    }

    fn check(&self, net: &Network, _scope: &Scope) -> Result<(), Unfit> {
        self.follow().check()?;
        share("target", self.target)?;
        let classes = net.graph.shape(net.graph.output())[0];
        let problem =
            format!("must be above 1/{classes}, what channels have that speak for all alike, not {}", self.target);
        Unfit::unless(self.target * classes as f64 > 1.0, "target", problem)
    }

    fn prepare(&self, net: &mut Network, scope: &Scope) -> Result<State> {
        let mut state = State::default();
        for (index, (&id, maps)) in scope.nodes.iter().zip(self.taps(net, scope)).enumerate() {
            let dims = (net.graph.shape(id)[0], net.graph.shape(maps)[0]);
            let [gates, gradient, means] = keys(index);
            state.tensors.insert(gates, Tensor::ones(dims, DType::F64, &Device::Cpu)?);
            for zeros in [gradient, means] {
                state.tensors.insert(zeros, Tensor::zeros(dims, DType::F64, &Device::Cpu)?);
            }
        }
        Ok(state)
    }

    fn taps(&self, net: &Network, scope: &Scope) -> Vec<NodeId> {
        scope.nodes.iter().filter_map(|&id| net.graph.evidence_maps(id)).collect()
    }

    fn penalty(&self, step: &Step<'_>, scope: &Scope, state: &mut State) -> Result<Option<Term>> {
        let strength = self.follow().strength(state, "strength");
        let (mut term, mut found) = (Term::default(), 1.0f64);
        for (index, (&id, maps)) in scope.nodes.iter().zip(self.taps(step.net, scope)).enumerate() {
            let at = step.tape.at(&step.net.graph, maps)?;
            let means = at.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.mean((D::Minus2, D::Minus1))?; // (N, C)
            let numbers: Vec<f64> = means.flatten_all()?.to_vec1()?;
            let (bias, head) = head(&step.net.params, id, scope.positions[index])?;
            let [gates, gradient, by_class] = keys(index);
            let path = head.path(&numbers, &step.batch.labels, &recall(state, &gates)?);
            term.value += strength * path.value;
            term.nodes.push((maps, spread(path.means, strength, at)?));
            let of_params = [(Some(scope.positions[index]), path.weights), (bias, path.biases)];
            for (position, gradient) in of_params {
                let Some(position) = position else { continue };
                let like = &step.net.params.list()[position].value;
                term.params.push((position, like_of(gradient, strength, like)?));
            }
            update(state, &gradient, |old| {
                old.iter_mut().zip(&path.gates).for_each(|(old, new)| *old = MEMORY * *old + (1.0 - MEMORY) * new);
            })?;
            update(state, &by_class, |old| remember(old, &numbers, &step.batch.labels, head.channels()))?;
            found = found.min(head.one_class(&recall(state, &by_class)?));
        }
        let weight = trained(state, step.now);
        self.follow().adapt(state, "strength", beyond(self.target, MARGIN) - found, weight);
        state.numbers.insert("share".into(), found);
        Ok(Some(term))
    }

    fn after_step(&self, params: &mut Params, scope: &Scope, state: &mut State, now: Now<'_>) -> Result<()> {
        for (index, &position) in scope.positions.iter().enumerate().filter(|(_, p)| now.rates[**p] > 0.0) {
            let [gates, gradient, _] = keys(index);
            let (gradient, channels) = (recall(state, &gradient)?, params.list()[position].value.dims()[1]);
            update(state, &gates, |gates| gates.copy_from_slice(&stepped(gates, &gradient, channels)))?;
        }
        Ok(())
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        vec![Claim {
            quantity: Quantity::ClassEvidence,
            nodes: scope.names.clone(),
            scope: scope.label.clone(),
            relation: Relation::AtLeast,
            bound: self.target,
        }]
    }
}

/// The head and the position of its biases; without, they are 0.
fn head(params: &Params, id: NodeId, position: usize) -> Result<(Option<usize>, Head)> {
    let wide = |position: usize| {
        Ok::<_, crate::LearnError>(values(params, position)?.into_iter().map(f64::from).collect::<Vec<_>>())
    };
    let bias = params.position(id, Role::Bias);
    let classes = params.list()[position].value.dims()[0];
    let biases = bias.map_or(Ok(vec![0.0; classes]), wide)?;
    Ok((bias, Head { weights: wide(position)?, biases }))
}

/// Changes numbers that the state holds.
fn update(state: &mut State, key: &str, change: impl FnOnce(&mut [f64])) -> Result<()> {
    let Some(tensor) = state.tensors.get(key) else { return Ok(()) };
    let (dims, mut numbers) = (tensor.dims().to_vec(), recall(state, key)?);
    change(&mut numbers);
    state.tensors.insert(key.to_owned(), Tensor::from_vec(numbers, dims, &Device::Cpu)?);
    Ok(())
}

/// Numbers, `scale` times as large, as a tensor of another's shape, type and place.
fn like_of(numbers: Vec<f64>, scale: f64, like: &Tensor) -> Result<Tensor> {
    let scaled: Vec<f64> = numbers.into_iter().map(|number| scale * number).collect();
    Ok(Tensor::from_vec(scaled, like.dims(), &Device::Cpu)?.to_dtype(like.dtype())?.to_device(like.device())?)
}

/// A gradient by means over positions (N, C) as one by maps (N, C, H, W), `scale` times as large.
fn spread(by_means: Vec<f64>, scale: f64, maps: &Tensor) -> Result<Tensor> {
    let (n, c, height, width) = maps.dims4()?;
    let shares: Vec<f64> = by_means.into_iter().map(|g| scale * g / (height * width) as f64).collect();
    let shares = Tensor::from_vec(shares, (n, c, 1, 1), &Device::Cpu)?;
    Ok(shares.broadcast_as(maps.shape())?.contiguous()?.to_dtype(maps.dtype())?.to_device(maps.device())?)
}

#[cfg(test)]
mod tests {
    use interp_data::Batch;
    use interp_net::zoo::{Architecture, BagNet, ResNet, SqueezeNet, Vgg};
    use interp_net::{Draw, Graph, Keep, Mode, Op};

    use super::*;

    fn noise(count: usize, seed: f64) -> Vec<f64> {
        (0..count).map(|i| ((i as f64 + 1.0) * 12.9898 + seed).sin()).collect()
    }

    // Of two classes and two channels, each open to its own class: for a picture of the first class the logits are 2 * 1.5 + 0.5 and
    // -1 * 1.5, whatever the second channel is; all open, 2 * 1.5 + 4 + 0.5 and -1 * 1.5 + 12.
    #[test]
    fn the_second_path_by_hand() {
        let head = Head { weights: vec![2.0, 1.0, -1.0, 3.0], biases: vec![0.5, 0.0] };
        let loss = |gates: &[f64], second: f64| head.path(&[1.5, second], &[0], gates).value;
        let expected = |logits: [f64; 2]| (1.0 + (logits[1] - logits[0]).exp()).ln();
        let own = [1.0, 0.0, 0.0, 1.0];
        assert!((loss(&own, 4.0) - expected([3.5, -1.5])).abs() < 1e-12 && loss(&own, 4.0) == loss(&own, 9.0));
        assert!((loss(&[1.0; 4], 4.0) - expected([7.5, 10.5])).abs() < 1e-12);
        let path = head.path(&[1.5, 4.0], &[0], &own);
        assert_eq!((path.means[1], path.weights[1], path.weights[3], path.gates[2]), (0.0, 0.0, 0.0, 0.0));
        assert!(path.gates[1] != 0.0, "what opens a gate again");
    }

    #[test]
    fn gradients_are_central_differences() {
        let labels = [2, 0, 1, 2];
        let first = [noise(4 * 3, 0.0), noise(3 * 3, 1.0), noise(3, 2.0), noise(3 * 3, 3.0)];
        let path =
            |at: &[Vec<f64>; 4]| Head { weights: at[1].clone(), biases: at[2].clone() }.path(&at[0], &labels, &at[3]);
        let found = path(&first);
        for (which, gradient) in [found.means, found.weights, found.biases, found.gates].into_iter().enumerate() {
            for (index, gradient) in gradient.into_iter().enumerate() {
                let moved = |by: f64| {
                    let mut moved = first.clone();
                    moved[which][index] += by;
                    path(&moved).value
                };
                let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((slope - gradient).abs() < 1e-9, "{which} {index}: {gradient}, not {slope}");
            }
        }
    }

    // Gradients 3, -3 in units of 3, and 10 while more than one gate a channel is open: 0.5 - 0.055 and 0.6 - 0.045, then the larger is 1.
    #[test]
    fn gates_stay_where_they_may_be() {
        let stepped = |gates: &[f64], gradient: &[f64]| stepped(gates, gradient, 1);
        let close = |a: &[f64], b: [f64; 2]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(close(&stepped(&[0.5, 0.6], &[3.0, -3.0]), [0.445 / 0.555, 1.0]));
        assert!(close(&stepped(&[0.5, 0.4], &[3.0, -3.0]), [1.0, 0.405 / 0.495]), "no more than one is open");
        assert_eq!(stepped(&[1.0, 0.01], &[-1.0, 1.0]), [1.0, 0.0]);
        assert_eq!(stepped(&[1.0, 0.0], &[0.0, 0.0]), [1.0, 0.0]);
    }

    // Less their means 1, 0, 0 and 1 the weights of the first class are 1, 2, -1 and 1, of the second the opposite: channel 0 speaks for the
    // first with 3 alone, of channel 1, whose mean is below 0 for the second, 4 and 2, channel 2 for the second; channel 3 is never active.
    #[test]
    fn evidence_by_hand() {
        let head = Head { weights: vec![2.0, 2.0, -1.0, 2.0, 0.0, -2.0, 1.0, 0.0], biases: vec![0.0; 2] };
        let share = head.one_class(&[3.0, 2.0, 5.0, 0.0, 1.0, -1.0, 1.0, 0.0]);
        assert!((share - (1.0 + 4.0 / 6.0 + 1.0) / 3.0).abs() < 1e-12, "{share}");
        let mut means = vec![0.0; 4];
        remember(&mut means, &[1.0, 2.0, 3.0, 6.0], &[1, 1], 2);
        assert_eq!(means, [0.0, 0.0, 2.0, 4.0], "what was never seen begins with what is");
        remember(&mut means, &[3.0, 4.0], &[1], 2);
        assert!(means.iter().zip([0.0, 0.0, 2.1, 4.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{means:?}");
    }

    /// Maps of 2x2 cells, and either head: the means read by a linear map, or votes of cells, averaged.
    fn network(head: &str) -> Network {
        let mut graph = Graph::new(1, 4, 4).unwrap();
        graph.then("first", Op::conv3x3(5, 2)).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        let [one, two] = match head {
            "linear" => [("mean", Op::GlobalAvgPool), ("linear", Op::Linear { out_features: 3, bias: true })],
            _ => [("conv", Op::conv(3, 1, 1, 0, true)), ("mean", Op::GlobalAvgPool)],
        };
        graph.then(one.0, one.1).unwrap();
        graph.then(two.0, two.1).unwrap();
        Network::new(graph, 1).unwrap()
    }

    /// The gradients of a training step by the weights of both layers and by the biases are those of the penalty's value.
    #[test]
    fn the_term_is_the_gradient_of_its_value() {
        let images: Vec<f32> = noise(4 * 16, 0.5).into_iter().map(|v| v as f32).collect();
        let x = Tensor::from_vec(images.clone(), (4, 1, 4, 4), &Device::Cpu).unwrap();
        let batch = Batch { images, labels: vec![2, 1, 0, 1], indices: vec![0, 1, 2, 3], masks: None };
        let prior = ClassFilters { strength: 0.7, target: 0.5 };
        for name in ["linear", "conv"] {
            let mut net = network(name);
            let scope = Scope::of_prior(&net, &["*".into()], &prior).unwrap();
            assert_eq!(scope.names, [name]);
            let mut state = prior.prepare(&mut net, &scope).unwrap();
            let gates: Vec<f64> = noise(15, 4.0).into_iter().map(f64::abs).collect();
            update(&mut state, "gates.0", |all| all.copy_from_slice(&gates)).unwrap();
            let run = |net: &Network| {
                let keep = Keep::Backward(prior.taps(net, &scope));
                let tape = net.forward(&x, Mode::Train { frozen: vec![], draw: Draw::default() }, &keep).unwrap();
                let step = Step { net, tape: &tape, batch: &batch, now: Now { rates: &[], progress: 0.5 } };
                let term = prior.penalty(&step, &scope, &mut state.clone()).unwrap().unwrap();
                (term, tape)
            };
            let (term, tape) = run(&net);
            assert!(term.value > 0.1, "{}", term.value);
            let want = interp_net::Want { nodes: vec![], params: vec![0] };
            let first = net.backward(&tape, &term.nodes, &want).unwrap().param(0).unwrap().clone();
            let own: Vec<_> = [(0, first)].into_iter().chain(term.params).collect();
            assert_eq!(own.len(), 3);
            for (position, gradient) in own {
                for (index, gradient) in
                    gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().enumerate()
                {
                    let mut moved = |by: f32| {
                        super::super::change(&mut net.params, position, |w| w[index] += by).unwrap();
                        let value = run(&net).0.value;
                        super::super::change(&mut net.params, position, |w| w[index] -= by).unwrap();
                        value
                    };
                    let slope = (moved(1e-3) - moved(-1e-3)) / 2e-3;
                    let off = (slope - f64::from(gradient)).abs();
                    assert!(off < 1e-3, "{name} {position} {index}: {gradient}, not {slope}");
                }
            }
        }
    }

    #[test]
    fn what_has_no_channels_for_classes_is_refused() {
        let net = |model: &dyn Architecture| Network::new(model.graph([3, 32, 32], 10).unwrap(), 0).unwrap();
        let check = |net: &Network, nodes: &str, strength: f64, target: f64| -> crate::Result<()> {
            let prior = ClassFilters { strength, target };
            let scope = Scope::of_prior(net, &[nodes.into()], &prior)?;
            Ok(prior.check(net, &scope)?)
        };
        let vgg = net(&Vgg { depth: 8, width: 0.125, ..Vgg::default() });
        assert!(check(&vgg, "classifier", 1.0, 0.5).is_ok() && check(&net(&BagNet::default()), "*", 1.0, 0.5).is_ok());
        assert!(check(&net(&ResNet::default()), "linear", 1.0, 0.11).is_ok());
        let refusal = |strength: f64, target: f64| check(&vgg, "*", strength, target).unwrap_err().to_string();
        assert!(refusal(1.0, 0.1).contains("1/10") && refusal(1.0, 1.0).contains("target"));
        assert!(refusal(0.0, 0.5).contains("strength") && refusal(f64::NAN, 0.5).contains("strength"));
        for nodes in ["features.*", "avgpool"] {
            assert!(check(&vgg, nodes, 1.0, 0.5).unwrap_err().to_string().contains("can act on"));
        }
        assert!(check(&net(&SqueezeNet::default()), "*", 1.0, 0.5).is_err());
    }
}
