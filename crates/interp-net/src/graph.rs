//! The graph: nodes, names, shapes, selection by pattern.

use std::collections::{BTreeMap, BTreeSet};

use globset::GlobBuilder;
use interp_ops::{Conv2d, Pool2d, Then};
use serde::{Deserialize, Serialize};

use crate::error::hint;
use crate::{NetError, Op, Result};

/// Position of a node in its graph; inputs have smaller ones than their users.
pub type NodeId = usize;

/// One operation with its unique name and where its inputs come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique name, such as `features.3` or `layer1.0.relu1`.
    pub name: String,
    /// What it computes.
    #[serde(flatten)]
    pub op: Op,
    /// Where its inputs come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<NodeId>,
    /// What each of its channels stands for, such as `hue/red`, where that was decided before training; else none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<String>,
}

/// Nodes in an order in which they can be computed. The first is the input, the last the output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Node>", into = "Vec<Node>")]
pub struct Graph {
    nodes: Vec<Node>,
    ids: BTreeMap<String, NodeId>,
    shapes: Vec<Vec<usize>>,
}

/// Nodes that can run as one operation.
pub(crate) struct Fused {
    /// The convolution they begin with, if it runs with them.
    pub(crate) conv: Option<(NodeId, Conv2d)>,
    /// The batch norm they begin with otherwise.
    pub(crate) norm: NodeId,
    /// All but the last.
    pub(crate) inner: Vec<NodeId>,
    /// What comes after the batch norm.
    pub(crate) then: Then,
}

impl Fused {
    /// A batch norm alone.
    pub(crate) fn alone(norm: NodeId) -> Self {
        Self { conv: None, norm, inner: vec![], then: Then::Nothing }
    }
}

impl Graph {
    /// A graph of the input alone.
    ///
    /// # Errors
    /// If one of the three is 0.
    pub fn new(channels: usize, height: usize, width: usize) -> Result<Self> {
        Self::of_input(Op::Input { channels, height, width })
    }

    /// A graph of this input alone.
    pub(crate) fn of_input(input: Op) -> Result<Self> {
        let mut graph = Self { nodes: vec![], ids: BTreeMap::new(), shapes: vec![] };
        graph.add("input", input, &[])?;
        Ok(graph)
    }

    /// The same graph with other operations at some nodes: `op` is given each but the input.
    ///
    /// # Errors
    /// If an operation does not fit its inputs.
    pub(crate) fn with_operations(&self, op: impl Fn(NodeId) -> Op) -> Result<Self> {
        let mut graph = Self::of_input(self.nodes[0].op.clone())?;
        for (id, node) in self.nodes.iter().enumerate().skip(1) {
            graph.copy(node, op(id), &node.inputs)?;
        }
        Ok(graph)
    }

    /// Whether another graph has the same nodes, by name and in the same order.
    pub fn has_nodes_of(&self, other: &Self) -> bool {
        self.nodes.iter().map(|node| &node.name).eq(other.nodes.iter().map(|node| &node.name))
    }

    /// Whether its nodes have the names and operations of those of another graph, but for what activations do and for channels that
    /// may have been cut out.
    pub fn has_layers_of(&self, other: &Self) -> bool {
        let alike = |(own, theirs): (&Node, &Node)| {
            own.op.resembles(&theirs.op) || (own.op.is_activation() && theirs.op.is_activation())
        };
        self.has_nodes_of(other) && self.nodes.iter().zip(&other.nodes).all(alike)
    }

    /// Adds a node and gives its id.
    ///
    /// # Errors
    /// If the name is taken, an input does not exist, or the operation does not fit its inputs.
    pub fn add(&mut self, name: impl Into<String>, op: Op, inputs: &[NodeId]) -> Result<NodeId> {
        self.push(Node { name: name.into(), op, inputs: inputs.to_vec(), units: vec![] })
    }

    /// Adds a node that follows the last one, and whose channels stand for something: as many names as channels.
    ///
    /// # Errors
    /// As [`Graph::add`], and if there are more or fewer names, or one is given twice.
    pub fn then_named(&mut self, name: impl Into<String>, op: Op, units: Vec<String>) -> Result<NodeId> {
        let inputs = vec![self.output()];
        self.push(Node { name: name.into(), op, inputs, units })
    }

    /// Says what each channel of a node stands for: as many names as channels.
    ///
    /// # Errors
    /// If there are more or fewer names, or one is given twice.
    pub fn name_units(&mut self, node: NodeId, units: Vec<String>) -> Result<()> {
        let wrong = |problem| NetError::Graph { node: self.nodes[node].name.clone(), problem };
        check_units(&units, self.shapes[node][0]).map_err(wrong)?;
        self.nodes[node].units = units;
        Ok(())
    }

    /// Adds a node of another graph, with this operation and these inputs.
    pub(crate) fn copy(&mut self, node: &Node, op: Op, inputs: &[NodeId]) -> Result<NodeId> {
        self.push(Node { op, inputs: inputs.to_vec(), ..node.clone() })
    }

    fn push(&mut self, node: Node) -> Result<NodeId> {
        let id = self.nodes.len();
        let wrong = |problem| NetError::Graph { node: node.name.clone(), problem };
        self.check(&node).map_err(wrong)?;
        let inputs: Vec<&[usize]> = node.inputs.iter().map(|&i| self.shapes[i].as_slice()).collect();
        let shape = output_shape(&node.op, &inputs).and_then(in_bounds).map_err(wrong)?;
        check_units(&node.units, shape[0]).map_err(wrong)?;
        self.ids.insert(node.name.clone(), id);
        self.shapes.push(shape);
        self.nodes.push(node);
        Ok(id)
    }

    /// Adds a node that follows the last one.
    ///
    /// # Errors
    /// As [`Graph::add`].
    pub fn then(&mut self, name: impl Into<String>, op: Op) -> Result<NodeId> {
        let last = self.output();
        self.add(name, op, &[last])
    }

    fn check(&self, node: &Node) -> std::result::Result<(), String> {
        let (least, most) = node.op.arity();
        if node.name.is_empty() || self.ids.contains_key(&node.name) {
            return Err("the name is empty or taken".into());
        }
        if node.op.sizes().iter().any(|&size| size > LONGEST) {
            return Err(format!("a size or step is over {LONGEST}"));
        }
        if matches!(node.op, Op::Input { .. }) != self.nodes.is_empty() {
            return Err("the first node, and no other, must be the input".into());
        }
        if !(least..=most).contains(&node.inputs.len()) {
            return Err(format!("takes {least} input(s) or more, not {}", node.inputs.len()));
        }
        match node.inputs.iter().find(|&&input| input >= self.nodes.len()) {
            Some(input) => Err(format!("input {input} does not come before it")),
            None => Ok(()),
        }
    }

    /// The nodes, inputs before users.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The last node.
    pub fn output(&self) -> NodeId {
        self.nodes.len() - 1
    }

    /// Shape of a node's activation without N: `(C, H, W)` or `(F)`.
    pub fn shape(&self, id: NodeId) -> &[usize] {
        &self.shapes[id]
    }

    /// Number of outputs: the classes of a classifier.
    pub fn outputs(&self) -> usize {
        self.shapes[self.output()].iter().product()
    }

    /// The node called `name`.
    ///
    /// # Errors
    /// If there is none; the nearest name is offered.
    pub fn id(&self, name: &str) -> Result<NodeId> {
        self.find(name).ok_or_else(|| NetError::UnknownNode { name: name.into(), hint: hint(name, self.names()) })
    }

    /// The node called `name`, if there is one.
    pub(crate) fn find(&self, name: &str) -> Option<NodeId> {
        self.ids.get(name).copied()
    }

    /// Ids of the nodes whose names match one of the glob patterns (`features.*`, `layer?.0.conv1`)
    /// and for which `fits` holds, in the graph's order.
    ///
    /// # Errors
    /// If a pattern is malformed or matches no node that fits; `what` names what should have been matched.
    pub fn select(&self, patterns: &[String], what: &'static str, fits: impl Fn(&Node) -> bool) -> Result<Vec<NodeId>> {
        let mut chosen = vec![false; self.nodes.len()];
        for pattern in patterns {
            let none = || {
                let usable: Vec<&Node> = self.nodes.iter().filter(|&node| fits(node)).collect();
                let wide = usable.iter().flat_map(|node| wide_of(node));
                let all: Vec<String> = usable.iter().map(|node| node.name.clone()).chain(wide).collect();
                NetError::NoMatch {
                    pattern: pattern.clone(),
                    what,
                    hint: hint(pattern, all.iter().map(String::as_str)),
                }
            };
            let glob = GlobBuilder::new(pattern).build().map_err(|_| none())?.compile_matcher();
            let matches = |node: &Node| glob.is_match(&node.name) && fits(node);
            let before = self.nodes.iter().filter(|&node| matches(node)).count();
            if before == 0 {
                return Err(none());
            }
            self.nodes.iter().zip(&mut chosen).for_each(|(node, chosen)| *chosen |= matches(node));
        }
        Ok((0..self.nodes.len()).filter(|&id| chosen[id]).collect())
    }

    /// What can run as one operation that ends with the node `id`: a batch norm, with a ReLU, and with the max pooling by
    /// windows side by side after it, each the only user of the one before.
    pub(crate) fn fused(&self, id: NodeId) -> Option<Fused> {
        match self.nodes[id].op {
            Op::BatchNorm { .. } => Some(Fused::alone(id)),
            Op::Relu => {
                let norm = self.used_only_by(id)?;
                let is_norm = matches!(self.nodes[norm].op, Op::BatchNorm { .. });
                is_norm.then(|| Fused { inner: vec![norm], then: Then::Relu, ..Fused::alone(norm) })
            }
            // Of large windows each would be searched many times, once for every chunk of pixels that it lies in.
            Op::MaxPool { kernel, stride, padding: [0, 0], ceil_mode: false }
                if kernel == stride && kernel[0] * kernel[1] <= 16 =>
            {
                let relu = self.used_only_by(id)?;
                let Fused { norm, .. } = self.fused(relu).filter(|fused| fused.then == Then::Relu)?;
                Some(Fused { inner: vec![norm, relu], then: Then::ReluMaxPool { kernel }, ..Fused::alone(norm) })
            }
            _ => None,
        }
    }

    /// The convolution before the node `id`, if nobody else uses it.
    pub(crate) fn conv_before(&self, id: NodeId) -> Option<(NodeId, Conv2d)> {
        let conv = self.used_only_by(id)?;
        match self.nodes[conv].op {
            Op::Conv2d { stride, padding, dilation, groups, .. } => {
                Some((conv, Op::conv_geometry(stride, padding, dilation, groups)))
            }
            _ => None,
        }
    }

    /// The batch norm that reads the node `id`, if nobody else does.
    pub fn norm_after(&self, id: NodeId) -> Option<NodeId> {
        let user = (id + 1..self.nodes.len()).find(|&user| self.nodes[user].inputs.contains(&id))?;
        let is_norm = matches!(self.nodes[user].op, Op::BatchNorm { .. });
        (is_norm && self.used_only_by(user) == Some(id)).then_some(user)
    }

    /// The first input of the node `id`, if nobody else uses it.
    fn used_only_by(&self, id: NodeId) -> Option<NodeId> {
        let input = *self.nodes[id].inputs.first()?;
        let users = self.nodes.iter().flat_map(|n| &n.inputs).filter(|&&other| other == input).count();
        (users == 1).then_some(input)
    }

    /// Which activations a backward sweep reads: the inputs of convolutions, linear maps, norms, descriptions, saliency, routing,
    /// prototypes, samples and gates, the outputs of B-cos convolutions, thresholds (of hard ones the inputs), k winners, sigmoids and softmaxes, and those of ReLUs that follow no
    /// batch norm alone.
    pub(crate) fn read_backward(&self) -> Vec<bool> {
        let mut read = vec![false; self.nodes.len()];
        (0..self.nodes.len()).for_each(|id| self.mark_read(id, &mut read));
        read
    }

    /// Marks what the sweep reads at the node `id`.
    fn mark_read(&self, id: NodeId, read: &mut [bool]) {
        let node = &self.nodes[id];
        match node.op {
            Op::Conv2d { .. }
            | Op::ConvTranspose2d { .. }
            | Op::Linear { .. }
            | Op::BatchNorm { .. }
            | Op::Describe { .. }
            | Op::UncenteredNorm { .. }
            | Op::Route { .. }
            | Op::Sample
            | Op::Prototypes { .. }
            | Op::Saliency => read[node.inputs[0]] = true,
            Op::Gated { .. } | Op::Multiply => node.inputs.iter().for_each(|&input| read[input] = true),
            Op::BCosConv2d { .. } => (read[node.inputs[0]], read[id]) = (true, true),
            Op::Threshold { curve, .. } if curve.reads_input() => read[node.inputs[0]] = true,
            Op::Threshold { .. } | Op::KWinners { .. } | Op::Sigmoid | Op::Softmax { .. } => read[id] = true,
            Op::Relu => read[id] |= self.fused(id).is_none(),
            _ => {}
        }
    }

    /// The same of a pass in evaluation, where no gradient of a parameter is asked for: what is affine reads nothing, a ReLU its output.
    pub(crate) fn read_without_params(&self) -> Vec<bool> {
        let is_read = |node: &Node| !node.op.is_affine() || matches!(node.op, Op::UncenteredNorm { .. });
        let others = self.nodes.iter().enumerate().filter(|(_, node)| is_read(node));
        let mut read = vec![false; self.nodes.len()];
        for (id, node) in others {
            self.mark_read(id, &mut read);
            read[id] |= node.op == Op::Relu;
        }
        read
    }

    /// Multiply-adds of a node for one image: convolutions, plain, transposed and B-cos, linear maps and prototypes; 0 for the rest, as is
    /// usual.
    pub fn multiply_adds(&self, id: NodeId) -> usize {
        let node = &self.nodes[id];
        let coming_in = || self.shapes[node.inputs[0]][0];
        match &node.op {
            Op::Conv2d { kernel: [h, w], groups, .. } => {
                self.shapes[id].iter().product::<usize>() * (coming_in() / groups) * h * w
            }
            Op::Prototypes { .. } => self.shapes[id].iter().product::<usize>() * coming_in(),
            Op::BCosConv2d { kernel: [h, w], .. } => self.shapes[id].iter().product::<usize>() * coming_in() * h * w,
            Op::ConvTranspose2d { out_channels, kernel: [h, w], groups, .. } => {
                self.shapes[node.inputs[0]].iter().product::<usize>() * (out_channels / groups) * h * w
            }
            Op::Linear { out_features, .. } => {
                self.shapes[node.inputs[0]].iter().fold(*out_features, |all, &side| all.saturating_mul(side))
            }
            _ => 0,
        }
    }

    /// The maps in which the layer `id` finds evidence for classes, cell by cell: it is the last, a linear map, and reads their means over
    /// positions, or a 1x1 convolution that reads them, and the means of what it makes are the output. `None` for other layers.
    pub fn evidence_maps(&self, id: NodeId) -> Option<NodeId> {
        let is_mean = |id: NodeId| self.nodes[id].op == Op::GlobalAvgPool;
        let (last, input) = (self.output(), *self.nodes[id].inputs.first()?);
        match self.nodes[id].op {
            Op::Linear { .. } if id == last && is_mean(input) => self.nodes[input].inputs.first().copied(),
            Op::Conv2d { kernel: [1, 1], stride: [1, 1], padding: [0, 0], groups: 1, .. } => {
                (is_mean(last) && self.nodes[last].inputs == [id]).then_some(input)
            }
            _ => None,
        }
    }

    /// Zero channels that a shortcut without parameters adds before and after those coming in.
    pub(crate) fn sides(&self, id: NodeId) -> Option<[usize; 2]> {
        let Op::PadShortcut { out_channels, before, .. } = self.nodes[id].op else { return None };
        Op::sides(out_channels, before, self.shapes[self.nodes[id].inputs[0]][0])
    }

    fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.nodes.iter().map(|node| node.name.as_str())
    }
}

/// The patterns for all that begins as a node's name does up to a dot: `features.*` of `features.0`.
fn wide_of(node: &Node) -> impl Iterator<Item = String> {
    node.name.match_indices('.').map(|(dot, _)| format!("{}.*", &node.name[..dot]))
}

impl TryFrom<Vec<Node>> for Graph {
    type Error = NetError;

    fn try_from(nodes: Vec<Node>) -> Result<Self> {
        let mut graph = Self { nodes: vec![], ids: BTreeMap::new(), shapes: vec![] };
        if nodes.is_empty() {
            return Err(NetError::Architecture("a graph needs at least an input node".into()));
        }
        for node in nodes {
            graph.push(node)?;
        }
        Ok(graph)
    }
}

impl From<Graph> for Vec<Node> {
    fn from(graph: Graph) -> Self {
        graph.nodes
    }
}

/// No side of an activation is longer than this; a file that asks for more is broken or hostile.
const LONGEST: usize = 1 << 16;

/// What is wrong with the names of a node's channels.
fn check_units(units: &[String], channels: usize) -> std::result::Result<(), String> {
    if !units.is_empty() && units.len() != channels {
        return Err(format!("{} names for {channels} channels", units.len()));
    }
    let mut seen = BTreeSet::new();
    match units.iter().find(|name| !seen.insert(*name)) {
        Some(name) => Err(format!("two of its channels are called `{name}`")),
        None => Ok(()),
    }
}

fn in_bounds(shape: Vec<usize>) -> std::result::Result<Vec<usize>, String> {
    match shape.iter().all(|&side| side <= LONGEST) {
        true => Ok(shape),
        false => Err(format!("its output would be of shape {shape:?}, over {LONGEST} on a side")),
    }
}

/// Shape of an operation's output, without N, from those of its inputs.
fn output_shape(op: &Op, inputs: &[&[usize]]) -> std::result::Result<Vec<usize>, String> {
    let image = || match inputs[0] {
        &[c, h, w] => Ok((c, [h, w])),
        other => Err(format!("needs an input of shape (channels, height, width), not {other:?}")),
    };
    let windows = |size: [usize; 2], kernel: [usize; 2], out: Option<[usize; 2]>| {
        out.ok_or_else(|| format!("a window of {kernel:?} does not fit into a map of {size:?} with its padding"))
    };
    let pooled = |kernel: [usize; 2], pool: Pool2d| {
        let (channels, size) = image()?;
        windows(size, kernel, pool.output_size(size)).map(|[h, w]| vec![channels, h, w])
    };
    let resized = |[h, w]: [usize; 2]| match h.min(w) {
        0 => Err(format!("an output of {h}x{w} has no cells")),
        _ => image().map(|(channels, _)| vec![channels, h, w]),
    };
    match op {
        &Op::Input { channels, height, width } if channels.min(height).min(width) > 0 => {
            Ok(vec![channels, height, width])
        }
        Op::Input { .. } => Err("the input must have at least one channel and one pixel".into()),
        &Op::Conv2d { out_channels, kernel, stride, padding, dilation, groups, .. } => {
            let (channels, size) = image()?;
            if groups == 0 || out_channels == 0 || channels % groups != 0 || out_channels % groups != 0 {
                return Err(format!("{groups} groups do not divide {channels} channels in and {out_channels} out"));
            }
            let [h, w] =
                windows(size, kernel, Op::conv_geometry(stride, padding, dilation, groups).output_size(size, kernel))?;
            Ok(vec![out_channels, h, w])
        }
        &Op::ConvTranspose2d { out_channels, kernel, stride, padding, output_padding, dilation, groups, .. } => {
            let (channels, size) = image()?;
            if groups == 0 || out_channels == 0 || channels % groups != 0 || out_channels % groups != 0 {
                return Err(format!("{groups} groups do not divide {channels} channels in and {out_channels} out"));
            }
            let transposed = Op::transposed_geometry(stride, padding, output_padding, dilation, groups);
            let problem = || {
                format!(
                    "a map of {size:?} leaves no output, or the output padding is too large: {kernel:?}, {transposed:?}"
                )
            };
            let [h, w] = transposed.output_size(size, kernel).ok_or_else(problem)?;
            Ok(vec![out_channels, h, w])
        }
        &Op::BCosConv2d { out_channels, kernel, stride, padding, exponent } => {
            let (_, size) = image()?;
            if out_channels == 0 || !(exponent >= 1.0 && exponent.is_finite()) {
                return Err(format!("needs a filter and an exponent from 1 on, not {out_channels} and {exponent}"));
            }
            let [h, w] = windows(size, kernel, Op::pool_geometry(kernel, stride, padding, false).output_size(size))?;
            Ok(vec![out_channels, h, w])
        }
        &Op::MaxPool { kernel, stride, padding, ceil_mode } => {
            pooled(kernel, Op::pool_geometry(kernel, stride, padding, ceil_mode))
        }
        &Op::AvgPool { kernel, stride, padding } => pooled(kernel, Op::pool_geometry(kernel, stride, padding, false)),
        Op::Describe { by } => {
            let (channels, [h, w]) = image()?;
            let [wanted, out] = by.channels();
            match channels == wanted {
                true => Ok(vec![out, h, w]),
                false => Err(format!("describes pictures of {wanted} channel(s), not {channels}")),
            }
        }
        Op::BatchNorm { .. } | Op::UncenteredNorm { .. } => image().map(|_| inputs[0].to_vec()),
        Op::Threshold { initial, .. } if (*initial as f32).is_finite() => Ok(inputs[0].to_vec()),
        Op::Threshold { initial, .. } => Err(format!("a threshold cannot start from {initial}")),
        &(Op::AdaptiveAvgPool { size } | Op::UpsampleNearest { size } | Op::UpsampleBilinear { size, .. }) => {
            resized(size)
        }
        Op::KWinners { count: 0 } => Err("somebody must win".into()),
        Op::KWinners { .. } => Ok(inputs[0].to_vec()),
        Op::OnOff | Op::Complement => image().map(|(channels, [h, w])| vec![2 * channels, h, w]),
        &Op::Mirror { border } => {
            let (channels, [h, w]) = image()?;
            match (1..=h.min(w)).contains(&border) {
                true => Ok(vec![channels, h + 2 * border, w + 2 * border]),
                false => Err(format!("a border of {border}: must be 1 or more, and no wider than maps of {h}x{w}")),
            }
        }
        Op::Relu | Op::Sigmoid | Op::Step | Op::Softmax { .. } => Ok(inputs[0].to_vec()),
        Op::Multiply => {
            let fits = match *inputs[0] {
                [channels, height, width] => inputs[1] == [1, height, width] || inputs[1] == [channels],
                _ => false,
            };
            match fits || inputs[0] == inputs[1] {
                true => Ok(inputs[0].to_vec()),
                false => Err(format!("weights of {:?} are none for {:?}", inputs[1], inputs[0])),
            }
        }
        Op::Prototypes { count: 0, .. } => Err("needs at least one prototype".into()),
        &Op::Prototypes { count, .. } => image().map(|(_, [h, w])| vec![count, h, w]),
        Op::Saliency => image().map(|(_, [h, w])| vec![1, h, w]),
        Op::GlobalAvgPool => image().map(|(channels, _)| vec![channels]),
        &Op::Linear { out_features, .. } if out_features > 0 => Ok(vec![out_features]),
        Op::Linear { .. } => Err("needs at least one output".into()),
        &Op::Route { top } => match *inputs[0] {
            [count] if (1..=count).contains(&top) => Ok(vec![count]),
            _ => Err(format!("needs a vector, and 1 or more of its numbers to stay, not {:?} and {top}", inputs[0])),
        },
        &Op::Gated { channel } => match *inputs[1] {
            [count] if channel < count => Ok(inputs[0].to_vec()),
            _ => Err(format!("needs a vector of gates with a channel {channel}, not {:?}", inputs[1])),
        },
        Op::Sample => match inputs[0][0] {
            channels if channels % 2 == 0 => {
                Ok(std::iter::once(channels / 2).chain(inputs[0][1..].iter().copied()).collect())
            }
            odd => Err(format!("needs as many means as log-variances, not {odd} channels together")),
        },
        Op::Add => match inputs.iter().all(|shape| *shape == inputs[0]) {
            true => Ok(inputs[0].to_vec()),
            false => Err(format!("adds inputs of one shape, not {inputs:?}")),
        },
        Op::Concat => {
            let alike = |shape: &[usize]| shape.len() == inputs[0].len() && shape[1..] == inputs[0][1..];
            if !inputs.iter().all(|shape| alike(shape)) {
                return Err(format!("joins maps of one height and width, or vectors, not {inputs:?}"));
            }
            let mut shape = inputs[0].to_vec();
            shape[0] = inputs.iter().fold(0, |sum: usize, shape| sum.saturating_add(shape[0]));
            Ok(shape)
        }
        &Op::PadShortcut { out_channels, stride, before } => {
            let (channels, [h, w]) = image()?;
            if stride == 0 || Op::sides(out_channels, before, channels).is_none() {
                let sides = before.map_or("evenly".into(), |before| format!("by {before} before them"));
                return Err(format!("cannot widen {channels} channels {sides} to {out_channels} at stride {stride}"));
            }
            Ok(vec![out_channels, h.div_ceil(stride), w.div_ceil(stride)])
        }
    }
}
