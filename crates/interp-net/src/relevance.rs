//! Layer-wise relevance propagation: an output handed back to what made it, layer by layer, so that as little as possible is lost.

use candle_core::{DType, Device, Tensor};
use interp_ops as ops;

use crate::backward::Rules;
use crate::layer::Layer;
use crate::layout::{each, in_logical_order, in_memory_order};
use crate::{NetError, Network, NodeId, Op, Result, Tape};

/// How the relevance of what a convolution or linear map makes is shared among what it reads. With `z_ij = x_i w_ij`, input `i` has of
/// the relevance of `j` the part `z_ij / (sum_i z_ij + b_j)`; rules differ in what takes the place of `z` and `b`.
#[derive(Clone, Debug, PartialEq)]
pub enum RelevanceRule {
    /// As it is.
    Epsilon,
    /// Positive weights and biases count `1 + gamma` times (Montavon et al. 2019, "Layer-wise relevance propagation: an overview",
    /// section 10.2).
    Gamma(f64),
    /// What is positive alone: positive inputs with positive weights, negative ones with negative weights, and positive biases (z+ of
    /// Montavon et al. 2017, arXiv 1512.02479, equation 12).
    Positive,
    /// For inputs between bounds, one for each channel: `z_ij = x_i w_ij - low_i max(w_ij, 0) - high_i min(w_ij, 0)`, without bias (zB
    /// of the same, equation 15).
    Bounded {
        /// The least that a channel can be.
        low: Vec<f64>,
        /// The most.
        high: Vec<f64>,
    },
}

/// Which rule is whose.
#[derive(Clone, Debug, PartialEq)]
pub struct Propagation {
    /// Added to every denominator, with its sign: of what is divided by little, little is told. With 0, relevance of what adds up to 0 is lost.
    pub epsilon: f64,
    /// The rule of layers that read the input.
    pub first: RelevanceRule,
    /// That of other convolutions.
    pub convolution: RelevanceRule,
    /// That of linear maps.
    pub linear: RelevanceRule,
}

/// Relevance at the input, and what became of the rest.
#[derive(Clone, Debug)]
pub struct Relevance {
    /// Of the shape of the input.
    pub input: Tensor,
    /// What each layer did not hand on, from the last to the first.
    pub lost: Vec<Lost>,
}

/// What a node did not hand on.
#[derive(Clone, Debug, PartialEq)]
pub struct Lost {
    /// The node; of a convolution that runs as one with its batch norm, the norm.
    pub node: NodeId,
    /// By picture: the relevance that came less what was handed on.
    pub by_picture: Vec<f64>,
}

impl Network {
    /// Hands `seed`, the relevance of the output (N, classes), back to the input, after a pass in evaluation that kept all.
    ///
    /// A batch norm behind a convolution is one layer with it. Sums, means and interpolation share in proportion to what they add;
    /// maxima hand all to where they lie; activations, gates and what only moves numbers hand on what they get.
    ///
    /// # Errors
    /// [`NetError::NoRule`] where relevance reaches a handcrafted description or routing, [`NetError::NotKept`] where an activation was
    /// not kept, and where bounds are not as many as channels.
    pub fn relevance(&self, tape: &Tape, seed: &Tensor, rules: &Propagation) -> Result<Relevance> {
        let mut arrived = vec![None; self.graph.nodes().len()];
        arrived[self.graph.output()] = Some(seed.clone());
        let mut hand = Hand { network: self, tape, rules, arrived, lost: vec![] };
        for id in (1..self.graph.nodes().len()).rev() {
            hand.on(id)?;
        }
        let none = || NetError::Graph { node: "input".into(), problem: "the output does not depend on it".into() };
        let input = hand.arrived[0].take().ok_or_else(none)?;
        Ok(Relevance { input, lost: hand.lost })
    }
}

/// State of a propagation.
struct Hand<'a> {
    network: &'a Network,
    tape: &'a Tape,
    rules: &'a Propagation,
    /// The relevance of nodes that have some, and have not handed it on.
    arrived: Vec<Option<Tensor>>,
    lost: Vec<Lost>,
}

impl Hand<'_> {
    /// Hands on what has arrived at a node.
    fn on(&mut self, id: NodeId) -> Result<()> {
        let Some(relevance) = self.arrived[id].take() else { return Ok(()) };
        let node = &self.network.graph.nodes()[id];
        let input = node.inputs[0];
        match node.op {
            Op::Input { .. } => Ok(()),
            Op::Conv2d { .. } | Op::ConvTranspose2d { .. } | Op::Linear { .. } => self.weighted(id, None, &relevance),
            Op::BatchNorm { .. } => match self.network.graph.conv_before(id) {
                Some((conv, _)) => self.weighted(conv, Some(id), &relevance),
                None => self.in_proportion(id, &relevance),
            },
            Op::BCosConv2d { .. }
            | Op::AvgPool { .. }
            | Op::AdaptiveAvgPool { .. }
            | Op::GlobalAvgPool
            | Op::UpsampleNearest { .. }
            | Op::UpsampleBilinear { .. } => self.in_proportion(id, &relevance),
            Op::Add => self.add(id, &relevance),
            Op::Concat => self.concat(id, &relevance),
            Op::Relu
            | Op::Sigmoid
            | Op::Threshold { .. }
            | Op::KWinners { .. }
            | Op::UncenteredNorm { .. }
            | Op::Gated { .. }
            | Op::Multiply => self.give(input, relevance),
            Op::MaxPool { .. } | Op::Mirror { .. } | Op::Sample | Op::PadShortcut { .. } => {
                let below = self.network.swept_to(input, self.tape, &[(id, relevance)], Rules::Held)?;
                self.give(input, below)
            }
            Op::OnOff | Op::Complement => self.both_signs(id, &relevance),
            Op::Describe { .. }
            | Op::Prototypes { .. }
            | Op::Saliency
            | Op::Route { .. }
            | Op::Step
            | Op::Softmax { .. } => {
                let method = "layer-wise relevance propagation";
                Err(NetError::NoRule { method, node: node.name.clone(), op: node.op.label() })
            }
        }
    }

    fn give(&mut self, id: NodeId, relevance: Tensor) -> Result<()> {
        let sum = match self.arrived[id].take() {
            Some(have) => self.network.named(id, ops::add(&have, &relevance))?,
            None => relevance,
        };
        self.arrived[id] = Some(sum);
        Ok(())
    }

    /// Notes what was lost on the way through a node.
    fn lose(&mut self, node: NodeId, came: &Tensor, went: &[Tensor]) -> Result<()> {
        let mut by_picture = sums(came)?;
        for part in went {
            by_picture.iter_mut().zip(sums(part)?).for_each(|(lost, sum)| *lost -= sum);
        }
        self.lost.push(Lost { node, by_picture });
        Ok(())
    }

    /// Numbers that are added up with fixed weights: each gets the part of the relevance that it is of the sum.
    fn in_proportion(&mut self, id: NodeId, relevance: &Tensor) -> Result<()> {
        let input = self.network.graph.nodes()[id].inputs[0];
        let share = self.per_unit(relevance, self.tape.at(&self.network.graph, id)?)?;
        let back = self.network.swept_to(input, self.tape, &[(id, share)], Rules::Held)?;
        let below = times(self.tape.at(&self.network.graph, input)?, &back)?;
        self.lose(id, relevance, std::slice::from_ref(&below))?;
        self.give(input, below)
    }

    fn add(&mut self, id: NodeId, relevance: &Tensor) -> Result<()> {
        let graph = &self.network.graph;
        let share = self.per_unit(relevance, self.tape.at(graph, id)?)?;
        let part = |&input: &NodeId| times(self.tape.at(graph, input)?, &share);
        let parts = graph.nodes()[id].inputs.iter().map(part).collect::<Result<Vec<_>>>()?;
        self.lose(id, relevance, &parts)?;
        graph.nodes()[id].inputs.iter().zip(parts).try_for_each(|(&input, part)| self.give(input, part))
    }

    fn concat(&mut self, id: NodeId, relevance: &Tensor) -> Result<()> {
        let graph = &self.network.graph;
        let mut first = 0;
        for &input in &graph.nodes()[id].inputs {
            let channels = graph.shape(input)[0];
            let part = self.network.named(id, ops::concat_backward(relevance, first, channels))?;
            self.give(input, part)?;
            first += channels;
        }
        Ok(())
    }

    /// A number that is there twice, with both signs or as what is missing to 1: the relevance of both is its own.
    fn both_signs(&mut self, id: NodeId, relevance: &Tensor) -> Result<()> {
        let input = self.network.graph.nodes()[id].inputs[0];
        let channels = self.network.graph.shape(input)[0];
        let half = |first: usize| self.network.named(id, ops::concat_backward(relevance, first, channels));
        let (there, missing) = (half(0)?, half(channels)?);
        self.give(input, there)?;
        self.give(input, missing)
    }

    /// A convolution or linear map, with the batch norm that follows it.
    fn weighted(&mut self, id: NodeId, norm: Option<NodeId>, relevance: &Tensor) -> Result<()> {
        let network = self.network;
        let (input, last) = (network.graph.nodes()[id].inputs[0], norm.unwrap_or(id));
        let rule = match (input, &network.graph.nodes()[id].op) {
            (0, _) => &self.rules.first,
            (_, Op::Linear { .. }) => &self.rules.linear,
            _ => &self.rules.convolution,
        };
        let layer = Layer::new(network, id, norm)?;
        let x = self.tape.at(&network.graph, input)?;
        let below = match rule {
            RelevanceRule::Epsilon => {
                let share = self.per_unit(relevance, self.tape.at(&network.graph, last)?)?;
                times(x, &layer.back(x, &layer.weight, &share)?)?
            }
            RelevanceRule::Gamma(gamma) => {
                let more = |w: &Tensor| Ok::<_, NetError>((w + (w.relu()? * *gamma)?)?);
                let (weight, bias) = (more(&layer.weight)?, layer.bias.as_ref().map(more).transpose()?);
                let share = self.per_unit(relevance, &layer.forward(x, &weight, bias.as_ref())?)?;
                times(x, &layer.back(x, &weight, &share)?)?
            }
            RelevanceRule::Positive => self.positive(&layer, x, relevance)?,
            RelevanceRule::Bounded { low, high } => self.bounded(&layer, x, relevance, [low, high])?,
        };
        self.lose(last, relevance, std::slice::from_ref(&below))?;
        self.give(input, below)
    }

    /// z+.
    fn positive(&self, layer: &Layer<'_>, x: &Tensor, relevance: &Tensor) -> Result<Tensor> {
        let more = layer.weight.relu()?;
        let bias = layer.bias.as_ref().map(Tensor::relu).transpose()?;
        let above = layer.network.named(layer.id, ops::relu(x))?;
        let sum = layer.forward(&above, &more, bias.as_ref())?;
        let below = each([x, &above], |[x, above]| x - above)?;
        if below.min_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()? >= 0.0 {
            let share = self.per_unit(relevance, &sum)?;
            return times(&above, &layer.back(x, &more, &share)?);
        }
        let less = (&layer.weight - &more)?;
        let sum = layer.network.named(layer.id, ops::add(&sum, &layer.forward(&below, &less, None)?))?;
        let share = self.per_unit(relevance, &sum)?;
        let parts = [times(&above, &layer.back(x, &more, &share)?)?, times(&below, &layer.back(x, &less, &share)?)?];
        layer.network.named(layer.id, ops::add(&parts[0], &parts[1]))
    }

    /// zB.
    fn bounded(
        &self,
        layer: &Layer<'_>,
        x: &Tensor,
        relevance: &Tensor,
        [low, high]: [&Vec<f64>; 2],
    ) -> Result<Tensor> {
        let (low, high) = (channelwise(low, x)?, channelwise(high, x)?);
        let more = layer.weight.relu()?;
        let less = (&layer.weight - &more)?;
        let terms = [(x, &layer.weight), (&low, &more), (&high, &less)];
        let sums = terms.map(|(x, weight)| layer.forward(x, weight, None));
        let [whole, above, under] = sums;
        let sum = each([&whole?, &above?, &under?], |[whole, above, under]| (whole - above)? - under)?;
        let share = self.per_unit(relevance, &sum)?;
        let parts = terms.map(|(x, weight)| times(x, &layer.back(x, weight, &share)?));
        let [whole, above, under] = parts;
        each([&whole?, &above?, &under?], |[whole, above, under]| (whole - above)? - under)
    }

    /// Relevance divided by what it is the relevance of, held away from 0; where nothing does that, what is divided by 0 is lost.
    fn per_unit(&self, relevance: &Tensor, sum: &Tensor) -> Result<Tensor> {
        let epsilon = self.rules.epsilon;
        each([relevance, sum], |[relevance, sum]| {
            if epsilon < f64::from(f32::MIN_POSITIVE) {
                return sum.eq(0.0)?.where_cond(&sum.zeros_like()?, &(relevance / &sum)?);
            }
            relevance / sum.ge(0.0)?.where_cond(&(&sum + epsilon)?, &(&sum - epsilon)?)?
        })
    }
}

fn times(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    each([a, b], |[a, b]| a * b)
}

/// A tensor like `x` (N, C, H, W) or (N, C) that is one number in each channel.
fn channelwise(numbers: &[f64], x: &Tensor) -> Result<Tensor> {
    let row = Tensor::new(numbers, &Device::Cpu)?.to_dtype(x.dtype())?.to_device(x.device())?;
    let like = in_memory_order(x)?; // channels last
    in_logical_order(&row.broadcast_as(like.shape())?.contiguous()?)
}

/// The sum over each picture.
fn sums(x: &Tensor) -> Result<Vec<f64>> {
    let pictures = x.dim(0)?;
    let rows = in_memory_order(x)?.reshape((pictures, x.elem_count() / pictures.max(1)))?;
    Ok(rows.to_dtype(DType::F64)?.sum(1)?.to_device(&Device::Cpu)?.to_vec1()?)
}
