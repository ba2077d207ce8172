//! Smaller networks that compute the same: channels that are zero wherever they are read are cut out.

use candle_core::{DType, Device, Tensor};

use crate::{Channels, Network, NodeId, Op, Params, Result, Role};

/// A network without the channels that it does not need.
#[derive(Clone, Debug)]
pub struct Compact {
    /// The smaller network. In evaluation its outputs are those of the larger one, to rounding.
    pub network: Network,
    /// Its convolutions and linear maps that have fewer channels.
    pub cuts: Vec<Cut>,
}

/// A node that has lost channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Name of the node.
    pub node: String,
    /// Its channels before.
    pub before: usize,
    /// Its channels after.
    pub after: usize,
}

impl Network {
    /// Cuts out the channels that are zero for every image wherever a convolution or linear map reads them: those of which
    /// filters are zero, and those whose batch norm has gain zero and a shift that the ReLU after it takes away. Channels that
    /// are the same ([`Channels`]) go together: those that are added to each other (residual sums), when all of them are zero in
    /// the sum. One channel of each layer stays. Not cut: what groups of channels and B-cos
    /// convolutions see, the input and the output.
    ///
    /// # Errors
    /// Where parameters cannot be read or made.
    pub fn compact(&self) -> Result<Compact> {
        let kept = kept(self, &self.graph.channels(), &constants(self)?);
        let mut graph = crate::Graph::of_input(self.graph.nodes()[0].op.clone())?;
        let mut cuts = vec![];
        for (id, node) in self.graph.nodes().iter().enumerate().skip(1) {
            let (before, after) = (self.graph.shape(id)[0], kept[id].len());
            let op = match node.op {
                Op::PadShortcut { stride, .. } => self.shortcut(id, stride, &kept[id], kept[node.inputs[0]].len()),
                ref op => op.with_channels(after),
            };
            if op != node.op && !matches!(op, Op::PadShortcut { .. }) {
                cuts.push(Cut { node: node.name.clone(), before, after });
            }
            graph.copy(node, op, &node.inputs)?;
        }
        let params = Params::build(&graph, |slot| {
            let Some(param) = self.params.list().iter().find(|param| param.name == slot.name) else {
                return Err(crate::NetError::Architecture(format!("there is no `{}`", slot.name)));
            };
            let input = self.graph.nodes()[param.node].inputs[0];
            self.slice(param.node, slot.role, &param.value, &kept[input], &kept[param.node])
        })?;
        Ok(Compact { network: Self { graph, params }, cuts })
    }

    /// What is left of a shortcut without parameters: `inputs` channels among those of `kept`.
    fn shortcut(&self, id: NodeId, stride: usize, kept: &[u32], inputs: usize) -> Op {
        let first = self.graph.sides(id).map_or(0, |sides| sides[0] as u32);
        let before = kept.iter().filter(|channel| **channel < first).count();
        let out_channels = kept.len();
        let is_even = Op::sides(out_channels, None, inputs) == Op::sides(out_channels, Some(before), inputs);
        Op::PadShortcut { out_channels, stride, before: (!is_even).then_some(before) }
    }

    /// The part of a parameter that belongs to some channels going in and out.
    fn slice(&self, id: NodeId, role: Role, value: &Tensor, inputs: &[u32], outputs: &[u32]) -> Result<Tensor> {
        let select = |value: &Tensor, channels: &[u32], axis: usize| -> Result<Tensor> {
            if channels.len() == value.dims()[axis] {
                return Ok(value.clone());
            }
            let index = Tensor::new(channels, value.device())?;
            Ok(value.index_select(&index, axis)?)
        };
        let value = match (&self.graph.nodes()[id].op, role) {
            (Op::ConvTranspose2d { groups: 1, .. }, Role::Weight) => select(&select(value, inputs, 0)?, outputs, 1)?,
            (Op::ConvTranspose2d { .. }, Role::Weight) => value.clone(),
            (Op::Threshold { shared: true, .. }, _) => value.clone(),
            (Op::Conv2d { groups: 1, .. }, Role::Weight) => select(&select(value, outputs, 0)?, inputs, 1)?,
            (Op::Linear { .. }, Role::Weight) => {
                let channels = self.graph.shape(self.graph.nodes()[id].inputs[0])[0];
                let by_channel = select(value, outputs, 0)?.reshape((outputs.len(), channels, ()))?; // (out, C, H W)
                select(&by_channel, inputs, 1)?.flatten_from(1)?
            }
            _ => select(value, outputs, 0)?,
        };
        Ok(value.contiguous()?)
    }
}

/// For every node the channels that stay.
fn kept(net: &Network, channels: &Channels, constants: &[Vec<Option<f64>>]) -> Vec<Vec<u32>> {
    let mut needed: Vec<bool> = (0..channels.count()).map(|number| channels.is_fixed(number)).collect();
    let nodes = net.graph.nodes();
    for node in nodes.iter().filter(|node| reads_one_by_one(&node.op)) {
        let read = channels.of(node.inputs[0]).iter().zip(&constants[node.inputs[0]]);
        read.for_each(|(&number, constant)| needed[number] |= *constant != Some(0.0));
    }
    for id in 0..nodes.len() {
        if channels.of(id).iter().all(|&number| !needed[number]) {
            needed[channels.of(id)[0]] = true;
        }
    }
    let stay =
        |id: NodeId| (0u32..).zip(channels.of(id)).filter(|(_, number)| needed[**number]).map(|(c, _)| c).collect();
    (0..nodes.len()).map(stay).collect()
}

/// Whether a node weighs each channel that it reads by itself, so that one of zeros is as good as none.
fn reads_one_by_one(op: &Op) -> bool {
    matches!(op, Op::Conv2d { groups: 1, .. } | Op::ConvTranspose2d { groups: 1, .. } | Op::Linear { .. })
}

/// For every node and channel the value that it has at every position for every image in evaluation, if there is one.
fn constants(net: &Network) -> Result<Vec<Vec<Option<f64>>>> {
    let mut constants: Vec<Vec<Option<f64>>> = Vec::with_capacity(net.graph.nodes().len());
    for (id, node) in net.graph.nodes().iter().enumerate() {
        let first = node.inputs.first().map_or(&[][..], |&input| &constants[input]);
        let channels = net.graph.shape(id)[0];
        let found = match node.op {
            Op::Conv2d { groups: 1, .. } | Op::ConvTranspose2d { groups: 1, .. } | Op::Linear { .. } => {
                of_weights(net, id, first)?
            }
            Op::BatchNorm { eps, .. } => of_norm(net, id, eps, first)?,
            // What is not a number stays so, and is not zero.
            Op::Relu => first.iter().map(|c| c.map(|value| if value <= 0.0 { 0.0 } else { value })).collect(),
            // What is above zero may win or not.
            Op::KWinners { .. } => first.iter().map(|c| c.filter(|value| *value <= 0.0).map(|_| 0.0)).collect(),
            Op::Threshold { curve, .. } => {
                let thresholds = numbers(net, id, Role::Threshold)?;
                let of_each = first.iter().zip(thresholds.iter().cycle());
                of_each.map(|(constant, &theta)| constant.map(|value| curve.of(value, theta))).collect()
            }
            // Padding is zero: only zeros stay the same at the borders, and behind a gate.
            Op::AvgPool { .. } | Op::Gated { .. } | Op::Multiply => {
                first.iter().map(|constant| constant.filter(|value| *value == 0.0)).collect()
            }
            Op::Mirror { .. }
            | Op::MaxPool { .. }
            | Op::AdaptiveAvgPool { .. }
            | Op::GlobalAvgPool
            | Op::UpsampleNearest { .. }
            | Op::UpsampleBilinear { .. } => first.to_vec(),
            Op::Add => {
                let sum = |channel: usize| node.inputs.iter().map(|&input| constants[input][channel]).sum();
                (0..channels).map(sum).collect()
            }
            Op::Concat => node.inputs.iter().flat_map(|&input| constants[input].clone()).collect(),
            Op::PadShortcut { .. } => {
                let [before, after] = net.graph.sides(id).unwrap_or_default().map(|count| vec![Some(0.0); count]);
                [&before, first, &after].into_iter().flatten().copied().collect()
            }
            Op::Input { .. }
            | Op::Conv2d { .. }
            | Op::ConvTranspose2d { .. }
            | Op::BCosConv2d { .. }
            | Op::UncenteredNorm { .. }
            | Op::OnOff
            | Op::Describe { .. }
            | Op::Complement
            | Op::Sigmoid
            | Op::Step
            | Op::Softmax { .. }
            | Op::Route { .. }
            | Op::Sample
            | Op::Prototypes { .. }
            | Op::Saliency => vec![None; channels],
        };
        constants.push(found);
    }
    Ok(constants)
}

/// Of a convolution or linear map: the bias, where all weights on what is not zero are zero.
fn of_weights(net: &Network, id: NodeId, inputs: &[Option<f64>]) -> Result<Vec<Option<f64>>> {
    let weight = net.params.get(id, Role::Weight)?;
    let turned = matches!(net.graph.nodes()[id].op, Op::ConvTranspose2d { .. });
    let weight = if turned { weight.transpose(0, 1)?.contiguous()? } else { weight.clone() };
    let outputs = weight.dims()[0];
    // Those of a linear map are the cells of the map it reads.
    let taps = (weight.dims()[1..].iter().product::<usize>() / inputs.len().max(1)).max(1);
    let weight = weight.to_dtype(DType::F64)?.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<f64>()?;
    let bias = match net.params.find(id, Role::Bias) {
        Some(_) => numbers(net, id, Role::Bias)?,
        None => vec![0.0; outputs],
    };
    let filters = weight.chunks_exact((inputs.len() * taps).max(1));
    let sees_nothing = |filter: &[f64]| {
        let parts = filter.chunks_exact(taps).zip(inputs).filter(|(_, constant)| **constant != Some(0.0));
        parts.flat_map(|(part, _)| part).all(|w| *w == 0.0)
    };
    Ok(filters.zip(bias).map(|(filter, bias)| sees_nothing(filter).then_some(bias)).collect())
}

/// Of a batch norm: the shift where the gain is zero, else what becomes of a constant.
fn of_norm(net: &Network, id: NodeId, eps: f64, inputs: &[Option<f64>]) -> Result<Vec<Option<f64>>> {
    let [gain, shift, mean, variance] =
        [Role::Gain, Role::Shift, Role::RunningMean, Role::RunningVariance].map(|role| numbers(net, id, role));
    let (gain, shift, mean, variance) = (gain?, shift?, mean?, variance?);
    let of_channel = |c: usize| match gain[c] {
        0.0 => Some(shift[c]),
        gain => inputs[c].map(|value| (value - mean[c]) / (variance[c] + eps).sqrt() * gain + shift[c]),
    };
    Ok((0..gain.len()).map(of_channel).collect())
}

fn numbers(net: &Network, id: NodeId, role: Role) -> Result<Vec<f64>> {
    let value = net.params.get(id, role)?;
    Ok(value.to_dtype(DType::F64)?.to_device(&Device::Cpu)?.to_vec1()?)
}
