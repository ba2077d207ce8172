//! PIP-Net: prototypes that are channels, learned from two views of a picture, and a scoring sheet of them.

mod loss;

use candle_core::{DType, Device, Tensor};
use interp_net::finding::random::stream;
use interp_net::finding::{Claim, Entry, Quantity, Relation, Unfit, build};
use interp_net::ops::{Curve, Over};
use interp_net::{Graph, Keep, Network, NodeId, Op, Params, Role, Tape, Want};
use rand::Rng;
use rand_distr::{Distribution, Normal, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::loss::{Views, Weights};
use super::prototypes::{largest, no_maps, weight_of};
use super::{Companion, Insertion, Site, strength};
use crate::prior::{Now, Prior, Scope, State, Step, Term, change, project};
use crate::{LearnError, Result};

/// Everything behind the node is replaced: at each position the channels are shares of one of several prototypes, a picture has of each what it has most of at a position, and classes
/// are sums of what is there with weights that are never negative (PIP-Net, Nauta et al. 2023, CVPR).
///
/// Nodes: `NAME.channels`, a 1x1 convolution where `prototypes` says how many there are to be; `NAME.map`, a softmax over channels; `NAME.presence`, the largest over positions; `NAME`, the same
/// without what is below 0.1, which is left in only in training; `NAME.classes`, a linear map without bias, from weights drawn around 1.
///
/// Each batch is seen a second time, with other brightness, contrast and colors and with noise. To the loss come: `align` times how far the shares of both views are apart at the same position, the
/// mean of `-ln <p, q>`; `tanh` times the mean over prototypes of `-ln tanh` of what the batch has of it, so that each is used; `classes` times the cross-entropy of `ln(1 + s^2)` of the
/// sums s. Give labels a weight of 0: the loss of classes is this one, and labels with a weight teach beside it from the first step. In the first share `pretrain` of training the weight of `align` grows from 0 to 1, that of `tanh` is 5, and classes are not
/// learned.
///
/// Claimed is that no weight of `NAME.classes` is negative.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipNet {
    /// Prototypes, made by a 1x1 convolution; without this key, the channels of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prototypes: Option<usize>,
    /// Share of training in which prototypes alone are learned, in [0, 1).
    #[serde(default = "pretrain")]
    pub pretrain: f64,
    /// Weight of how far two views are apart.
    #[serde(default = "align")]
    pub align: f64,
    /// Weight of the use of every prototype.
    #[serde(default = "two")]
    pub tanh: f64,
    /// Weight of the loss of classes.
    #[serde(default = "two")]
    pub classes: f64,
    /// What every weight of `NAME.classes` loses at each step after the first share, so that few are left.
    #[serde(default = "shrink")]
    pub shrink: f64,
    /// How much the second view differs: the largest change of brightness and of the logarithm of contrast, half of it for each color besides and for the noise, in deviations of pixel values.
    #[serde(default = "change_of_view")]
    pub change: f64,
}

fn pretrain() -> f64 {
    0.15
}

fn align() -> f64 {
    5.0
}

fn two() -> f64 {
    2.0
}

fn shrink() -> f64 {
    1e-3
}

fn change_of_view() -> f64 {
    0.4
}

pub(super) const ENTRY: Entry<dyn Insertion> = Entry {
    name: "pipnet",
    summary: "prototypes that are channels, and classes as sums of what is there (PIP-Net)",
    example: "kind = \"pipnet\"\nafter = \"features.14\"\n",
    build: |section| build(section, |settings: PipNet| Box::new(settings)),
    schema: || schemars::schema_for!(PipNet),
};

/// Below this nothing is there, outside of training.
const ABSENT: f32 = 0.1;

/// Weight of the use of every prototype while prototypes alone are learned.
const TANH_FIRST: f64 = 5.0;

/// Mean and deviation of the first weights of classes.
const FIRST: [f32; 2] = [1.0, 0.1];

/// Most prototypes: more are for larger machines.
const MOST: usize = 4096;

impl Insertion for PipNet {
    fn check(&self) -> Result<(), Unfit> {
        let count = self.prototypes.unwrap_or(2);
        Unfit::unless((2..=MOST).contains(&count), "prototypes", format!("must be 2 to {MOST}, not {count}"))?;
        let share = self.pretrain;
        Unfit::unless((0.0..1.0).contains(&share), "pretrain", format!("must be in [0, 1), not {share}"))?;
        let weights = [
            ("align", self.align),
            ("tanh", self.tanh),
            ("classes", self.classes),
            ("shrink", self.shrink),
            ("change", self.change),
        ];
        weights.into_iter().try_for_each(|(key, weight)| strength(key, weight))
    }

    fn graph(&self, site: &Site<'_>) -> Result<Graph> {
        let &Site { graph, after, name, classes, .. } = site;
        let &[channels, height, width] = graph.shape(after) else { return Err(no_maps(site)) };
        let part = |part: &str| format!("{name}.{part}");
        let names = (1..=self.prototypes.unwrap_or(channels)).map(|at| format!("prototype {at}")).collect();
        let threshold = Op::Threshold { curve: Curve::Hard, shared: true, initial: f64::from(ABSENT) };
        Ok(graph.ended(after, |graph, after| {
            let mut last = after;
            if let Some(count) = self.prototypes {
                last = graph.add(part("channels"), Op::conv(count, 1, 1, 0, true), &[after])?;
            }
            graph.add(part("map"), Op::Softmax { over: Over::Channels }, &[last])?;
            graph.then(part("presence"), largest([height, width]))?;
            graph.then_named(name, threshold, names)?;
            graph.then(part("classes"), Op::Linear { out_features: classes, bias: false }).map(|_| ())
        })?)
    }

    fn start(&self, net: &mut Network, name: &str, seed: u64) -> Result<()> {
        let position = weight_of(net, &format!("{name}.classes"))?;
        let mut random = stream(seed, &format!("pipnet/{name}"), 0, 0);
        let normal = Normal::new(FIRST[0], FIRST[1]).map_err(|e| LearnError::State(e.to_string()))?;
        change(&mut net.params, position, |w| w.iter_mut().for_each(|w| *w = normal.sample(&mut random).max(0.0)))
    }

    fn companion(&self, site: &Site<'_>) -> Option<Companion> {
        let prior = ViewsLoss { name: site.name.to_owned(), settings: self.clone() };
        let nodes = ["map", "classes"].map(|part| format!("{}.{part}", site.name)).to_vec();
        Some(Companion { prior: Box::new(prior), nodes })
    }
}

/// Gradients at nodes.
type Seeds = Vec<(NodeId, Tensor)>;

/// What is learned from two views.
struct ViewsLoss {
    /// The layer's name.
    name: String,
    settings: PipNet,
}

/// The number of the state that counts steps.
const STEPS: &str = "steps";

impl ViewsLoss {
    /// The nodes of shares, of what is there, and of classes.
    fn nodes(&self, net: &Network) -> Result<[NodeId; 3]> {
        let node = |part: &str| net.graph.id(&format!("{}.{part}", self.name));
        Ok([node("map")?, node("presence")?, node("classes")?])
    }

    fn weights(&self, progress: f64) -> Weights {
        let PipNet { pretrain, align, tanh, classes, .. } = self.settings;
        match progress <= pretrain {
            true => Weights { align: progress / pretrain, tanh: TANH_FIRST, classes: 0.0 },
            false => Weights { align, tanh, classes },
        }
    }

    /// Another view of pictures (N, C, H, W): with other contrast and brightness, all channels together and each by itself, and noise.
    fn view(&self, pictures: &Tensor, seed: u64, step: u64) -> Result<Tensor> {
        let (count, channels, height, width) = pictures.dims4()?;
        let pictures = pictures.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.contiguous()?;
        let mut numbers = pictures.flatten_all()?.to_vec1::<f32>()?;
        let most = self.settings.change as f32;
        let mut random = stream(seed, "pipnet/view", step, 0);
        let within = |random: &mut _| if most > 0.0 { Rng::random_range(random, -most..=most) } else { 0.0 };
        for picture in numbers.chunks_exact_mut((channels * height * width).max(1)) {
            let (contrast, brightness) = (within(&mut random).exp(), within(&mut random));
            let noise = within(&mut random).abs() / 2.0;
            for channel in picture.chunks_exact_mut((height * width).max(1)) {
                let (gain, offset) =
                    (contrast * (within(&mut random) / 2.0).exp(), brightness + within(&mut random) / 2.0);
                for pixel in channel {
                    let grain: f32 = StandardNormal.sample(&mut random);
                    *pixel = gain * *pixel + offset + noise * grain;
                }
            }
        }
        Ok(Tensor::from_vec(numbers, (count, channels, height, width), &Device::Cpu)?)
    }

    fn positions(&self, params: &Params) -> Result<[usize; 2]> {
        let find = |name: String| {
            let position = params.list().iter().position(|param| param.name == name);
            position.ok_or_else(|| LearnError::State(format!("there is no parameter `{name}`")))
        };
        Ok([find(format!("{}.theta", self.name))?, find(format!("{}.classes.weight", self.name))?])
    }

    /// Gradients at the three nodes, as tensors beside their activations.
    fn seeds(&self, net: &Network, tape: &Tape, gradients: [Vec<f64>; 3]) -> Result<Seeds> {
        let mut seeds = vec![];
        for (id, gradient) in self.nodes(net)?.into_iter().zip(gradients) {
            let at = tape.at(&net.graph, id)?;
            let seed = Tensor::from_vec(gradient, at.dims(), &Device::Cpu)?;
            seeds.push((id, seed.to_dtype(at.dtype())?.to_device(at.device())?));
        }
        Ok(seeds)
    }

    /// The loss over both views, with gradients at the nodes of each.
    fn of_views(&self, step: &Step<'_>, other: &Tape) -> Result<(f64, [Seeds; 2])> {
        let net = step.net;
        let nodes = self.nodes(net)?;
        let at = |tape: &Tape, which: usize| -> Result<Vec<f64>> {
            let at = tape.at(&net.graph, nodes[which])?.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
            Ok(at.contiguous()?.flatten_all()?.to_vec1()?)
        };
        let tapes = [step.tape, other];
        let [first, second] =
            tapes.map(|tape| -> Result<[Vec<f64>; 3]> { Ok([at(tape, 0)?, at(tape, 1)?, at(tape, 2)?]) });
        let [map, _, _] = nodes.map(|id| net.graph.shape(id));
        let (prototypes, positions) = (map[0], map[1..].iter().product());
        let views = Views { labels: &step.batch.labels, prototypes, positions, views: [first?, second?] };
        let (value, [own, others]) = views.loss(self.weights(step.now.progress));
        Ok((value, [self.seeds(net, step.tape, own)?, self.seeds(net, other, others)?]))
    }
}

impl Prior for ViewsLoss {
    fn roles(&self) -> &'static [Role] {
        &[]
    }

    fn prepare(&self, _net: &mut Network, _scope: &Scope) -> Result<State> {
        let mut state = State::default();
        state.numbers.insert(STEPS.into(), 0.0);
        Ok(state)
    }

    fn taps(&self, net: &Network, _scope: &Scope) -> Vec<NodeId> {
        self.nodes(net).map_or(vec![], |nodes| [&[0], &nodes[..]].concat())
    }

    /// In training what is little there counts too.
    fn realize(&self, params: &mut Params, _scope: &Scope, _state: &State, noisy: bool) -> Result<()> {
        let [threshold, _] = self.positions(params)?;
        change(params, threshold, |theta| theta.fill(if noisy { 0.0 } else { ABSENT }))
    }

    fn penalty(&self, step: &Step<'_>, scope: &Scope, state: &mut State) -> Result<Option<Term>> {
        let net = step.net;
        let steps = state.numbers.entry(STEPS.into()).or_default();
        let view = self.view(step.tape.at(&net.graph, 0)?, state.seed, *steps as u64)?;
        *steps += 1.0;
        let dtype = step.tape.at(&net.graph, 0)?.dtype();
        let keep = Keep::Backward(self.taps(net, scope));
        let other = net.forward(&view.to_dtype(dtype)?, step.tape.mode().clone(), &keep)?;
        let (value, [own, others]) = self.of_views(step, &other)?;
        let is_trained = |position: &usize| net.params.list()[*position].role.is_trained();
        let params: Vec<usize> = (0..net.params.list().len()).filter(is_trained).collect();
        let grads = net.backward(&other, &others, &Want { nodes: vec![], params: params.clone() })?;
        let params = params.into_iter().filter_map(|position| Some((position, grads.param(position)?.clone())));
        Ok(Some(Term { value, nodes: own, params: params.collect() }))
    }

    fn after_step(&self, params: &mut Params, _scope: &Scope, _state: &mut State, now: Now<'_>) -> Result<()> {
        let [_, classes] = self.positions(params)?;
        let shrinks = now.progress > self.settings.pretrain && now.rates.get(classes).is_some_and(|rate| *rate > 0.0);
        let by = if shrinks { self.settings.shrink as f32 } else { 0.0 };
        change(params, classes, |w| w.iter_mut().for_each(|w| *w -= by))
    }

    fn enforce(&self, params: &mut Params, _scope: &Scope, _state: &State) -> Result<()> {
        let [threshold, classes] = self.positions(params)?;
        change(params, threshold, |theta| theta.fill(ABSENT))?;
        change(params, classes, project)
    }

    fn claims(&self, _scope: &Scope) -> Vec<Claim> {
        let node = format!("{}.classes", self.name);
        vec![Claim {
            quantity: Quantity::NegativeWeights,
            scope: node.clone(),
            nodes: vec![node],
            relation: Relation::AtMost,
            bound: 0.0,
        }]
    }
}

#[cfg(test)]
mod tests;
