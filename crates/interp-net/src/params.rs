//! Parameters and running statistics, in the graph's order.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use crate::{Graph, NetError, Node, NodeId, Op, Result};

/// What a tensor is to its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Of a convolution, linear map or prototypes: `(out, in / groups, ...)`; of a transposed convolution `(in, out / groups, ...)`; of a linear
    /// map of a map `(out, in * height * width)`.
    Weight,
    /// Added to a convolution's or linear map's output.
    Bias,
    /// What a batch norm multiplies with.
    Gain,
    /// What a batch norm adds.
    Shift,
    /// Up to what absolute value a threshold gives zero, per channel, or one for all.
    Threshold,
    /// A batch norm's mean in evaluation.
    RunningMean,
    /// A batch norm's variance in evaluation.
    RunningVariance,
}

impl Role {
    /// Whether an optimizer changes it; running statistics come from forward passes.
    pub fn is_trained(self) -> bool {
        !matches!(self, Self::RunningMean | Self::RunningVariance)
    }

    /// PyTorch's word after the node's name; where it has none, the letter of the literature.
    fn suffix(self) -> &'static str {
        match self {
            Self::Weight | Self::Gain => "weight",
            Self::Bias | Self::Shift => "bias",
            Self::Threshold => "theta",
            Self::RunningMean => "running_mean",
            Self::RunningVariance => "running_var",
        }
    }
}

/// One tensor of a network.
#[derive(Clone, Debug)]
pub struct Param {
    /// The node's name and PyTorch's suffix: `features.0.weight`.
    pub name: String,
    /// The node it belongs to.
    pub node: NodeId,
    /// What it is to the node.
    pub role: Role,
    /// The values: contiguous, without gradient tracking.
    pub value: Tensor,
}

/// Where a tensor of a network belongs.
pub(crate) struct Slot {
    pub(crate) name: String,
    pub(crate) node: NodeId,
    pub(crate) role: Role,
    pub(crate) shape: Vec<usize>,
}

/// Those of a network, in the order of [`Params`].
pub(crate) fn slots(graph: &Graph) -> Vec<Slot> {
    let of_node = |(node, n): (NodeId, &Node)| {
        let shapes = shapes(&n.op, n.inputs.first().map_or(&[], |&i| graph.shape(i)));
        let slot = |(role, shape): (Role, Vec<usize>)| Slot {
            name: format!("{}.{}", n.name, role.suffix()),
            node,
            role,
            shape,
        };
        shapes.into_iter().map(slot).collect::<Vec<_>>()
    };
    graph.nodes().iter().enumerate().flat_map(of_node).collect()
}

impl Graph {
    /// Name and shape of every tensor of a network of this structure, in the order of [`Params::list`].
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        slots(self).into_iter().map(|slot| (slot.name, slot.shape)).collect()
    }
}

/// All tensors of a network, in the graph's order and within a node in the order of [`Role`].
#[derive(Clone, Debug)]
pub struct Params {
    list: Vec<Param>,
    nodes: Vec<Range<usize>>,
}

impl Params {
    /// Parameters of the shapes that `graph` asks for, each made by `value`.
    ///
    /// # Errors
    /// The first that `value` gives.
    pub(crate) fn build(graph: &Graph, value: impl Fn(&Slot) -> Result<Tensor>) -> Result<Self> {
        let mut params = Self { list: vec![], nodes: vec![0..0; graph.nodes().len()] };
        for slot in slots(graph) {
            let (value, at) = (value(&slot)?, params.list.len());
            let Slot { name, node, role, .. } = slot;
            let range = &mut params.nodes[node];
            *range = if range.start == range.end { at..at + 1 } else { range.start..at + 1 };
            params.list.push(Param { name, node, role, value });
        }
        Ok(params)
    }

    /// All of them, in order.
    pub fn list(&self) -> &[Param] {
        &self.list
    }

    /// Position of the tensor that plays `role` at `node`.
    pub fn position(&self, node: NodeId, role: Role) -> Option<usize> {
        self.nodes[node].clone().find(|&i| self.list[i].role == role)
    }

    /// The tensor that plays `role` at `node`, if the node has one.
    pub fn find(&self, node: NodeId, role: Role) -> Option<&Tensor> {
        self.position(node, role).map(|i| &self.list[i].value)
    }

    /// The tensor that plays `role` at `node`.
    ///
    /// # Errors
    /// If the node has none.
    pub(crate) fn get(&self, node: NodeId, role: Role) -> Result<&Tensor> {
        self.find(node, role)
            .ok_or_else(|| NetError::Architecture(format!("node {node} has no {} parameter", role.suffix())))
    }

    /// Replaces the values at a position of [`Params::list`]; they are brought to where the present ones lie.
    ///
    /// # Errors
    /// If the shape differs, or the device has no room.
    pub fn set(&mut self, position: usize, value: Tensor) -> Result<()> {
        let param = &mut self.list[position];
        if param.value.shape() != value.shape() {
            let problem = format!("`{}` has shape {:?}, not {:?}", param.name, param.value.shape(), value.shape());
            return Err(NetError::Architecture(problem));
        }
        param.value = value.to_device(param.value.device())?.detach();
        Ok(())
    }

    /// The same in another precision.
    ///
    /// # Errors
    /// Where a tensor cannot be converted.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        self.each(|value| value.to_dtype(dtype))
    }

    /// The same in the memory of a device.
    ///
    /// # Errors
    /// Where the device has no room.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        self.each(|value| value.to_device(device))
    }

    fn each(&self, change: impl Fn(&Tensor) -> candle_core::Result<Tensor>) -> Result<Self> {
        let mut all = self.clone();
        for param in &mut all.list {
            param.value = change(&param.value)?;
        }
        Ok(all)
    }
}

/// Roles and shapes of an operation's parameters, given the shape of its input.
fn shapes(op: &Op, input: &[usize]) -> Vec<(Role, Vec<usize>)> {
    let with_bias = |weight: Vec<usize>, out: usize, bias: bool| {
        let mut all = vec![(Role::Weight, weight)];
        if bias {
            all.push((Role::Bias, vec![out]));
        }
        all
    };
    match *op {
        Op::Conv2d { out_channels, kernel: [h, w], groups, bias, .. } => {
            with_bias(vec![out_channels, input[0] / groups, h, w], out_channels, bias)
        }
        Op::ConvTranspose2d { out_channels, kernel: [h, w], groups, bias, .. } => {
            with_bias(vec![input[0], out_channels / groups, h, w], out_channels, bias)
        }
        Op::Linear { out_features, bias } => with_bias(vec![out_features, input.iter().product()], out_features, bias),
        Op::BatchNorm { .. } => [Role::Gain, Role::Shift, Role::RunningMean, Role::RunningVariance]
            .map(|role| (role, vec![input[0]]))
            .to_vec(),
        Op::Threshold { shared, .. } => vec![(Role::Threshold, vec![if shared { 1 } else { input[0] }])],
        Op::BCosConv2d { out_channels, kernel: [h, w], .. } => vec![(Role::Weight, vec![out_channels, input[0], h, w])],
        Op::Prototypes { count, .. } => vec![(Role::Weight, vec![count, input[0]])],
        Op::UncenteredNorm { .. } => [Role::Gain, Role::RunningVariance].map(|role| (role, vec![input[0]])).to_vec(),
        Op::Input { .. }
        | Op::Describe { .. }
        | Op::Relu
        | Op::Sigmoid
        | Op::Step
        | Op::Softmax { .. }
        | Op::KWinners { .. }
        | Op::OnOff
        | Op::Complement
        | Op::Concat
        | Op::Saliency
        | Op::Route { .. }
        | Op::Gated { .. }
        | Op::Sample
        | Op::MaxPool { .. }
        | Op::AvgPool { .. }
        | Op::AdaptiveAvgPool { .. }
        | Op::GlobalAvgPool
        | Op::UpsampleNearest { .. }
        | Op::UpsampleBilinear { .. }
        | Op::Mirror { .. }
        | Op::Multiply
        | Op::Add
        | Op::PadShortcut { .. } => vec![],
    }
}
