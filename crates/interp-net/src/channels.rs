//! Which channels of a network are the same: handed on, added to each other, or put beside others.

use crate::{Graph, NodeId, Op};

/// The channels of all nodes, with one number for those that can only be there, or be cut out, together.
#[derive(Clone, Debug)]
pub struct Channels {
    /// For every node the numbers of its channels.
    numbers: Vec<Vec<usize>>,
    /// By number, whether they have to stay.
    fixed: Vec<bool>,
}

impl Channels {
    /// The numbers of a node's channels.
    pub fn of(&self, id: NodeId) -> &[usize] {
        &self.numbers[id]
    }

    /// Whether the channels of this number have to stay: those of the input and the output, and those that an operation
    /// takes together, such as a convolution in groups.
    pub fn is_fixed(&self, number: usize) -> bool {
        self.fixed[number]
    }

    /// All numbers are below.
    pub fn count(&self) -> usize {
        self.fixed.len()
    }
}

impl Graph {
    /// Which channels are the same.
    pub fn channels(&self) -> Channels {
        let mut ties = Ties::new(self);
        for (id, node) in self.nodes().iter().enumerate() {
            if !node.units.is_empty() {
                ties.fix(id);
            }
            let of_input = |index: usize| self.shape(node.inputs[index])[0];
            match node.op {
                // Channels of their own; what comes in is read channel by channel.
                Op::Conv2d { groups: 1, .. } | Op::ConvTranspose2d { groups: 1, .. } | Op::Linear { .. } => {}
                Op::Input { .. }
                | Op::Conv2d { .. }
                | Op::ConvTranspose2d { .. }
                | Op::BCosConv2d { .. }
                | Op::OnOff
                | Op::Complement
                | Op::Prototypes { .. }
                | Op::Saliency
                | Op::Route { .. }
                | Op::Softmax { .. }
                | Op::Sample
                | Op::Describe { .. } => {
                    node.inputs.iter().chain([&id]).for_each(|&node| ties.fix(node));
                }
                Op::PadShortcut { out_channels, before, .. } => {
                    let sides = Op::sides(out_channels, before, of_input(0)).unwrap_or_default();
                    ties.tie(id, sides[0], node.inputs[0]);
                }
                Op::Concat => {
                    let mut first = 0;
                    for (index, &input) in node.inputs.iter().enumerate() {
                        ties.tie(id, first, input);
                        first += of_input(index);
                    }
                }
                Op::Gated { .. } | Op::Multiply => {
                    ties.tie(id, 0, node.inputs[0]);
                    ties.fix(node.inputs[1]);
                    // Weights of channels of their own stay beside what they weigh.
                    if of_input(1) == of_input(0) && node.op == Op::Multiply {
                        ties.fix(node.inputs[0]);
                    }
                }
                Op::BatchNorm { .. }
                | Op::UncenteredNorm { .. }
                | Op::Relu
                | Op::Sigmoid
                | Op::Step
                | Op::KWinners { .. }
                | Op::Threshold { .. }
                | Op::Mirror { .. }
                | Op::MaxPool { .. }
                | Op::AvgPool { .. }
                | Op::AdaptiveAvgPool { .. }
                | Op::GlobalAvgPool
                | Op::UpsampleNearest { .. }
                | Op::UpsampleBilinear { .. }
                | Op::Add => node.inputs.iter().for_each(|&input| ties.tie(id, 0, input)),
            }
        }
        ties.fix(self.output());
        ties.channels()
    }
}

/// Channels in one row, tied to each other: a forest, in which each leads to an earlier one that is the same, or to itself.
struct Ties {
    /// For every node the channels that it has in the row.
    nodes: Vec<std::ops::Range<usize>>,
    earlier: Vec<usize>,
    fixed: Vec<bool>,
}

impl Ties {
    fn new(graph: &Graph) -> Self {
        let mut end = 0;
        let channels = (0..graph.nodes().len()).map(|id| {
            let start = end;
            end += graph.shape(id)[0];
            start..end
        });
        let nodes = channels.collect();
        Self { nodes, earlier: (0..end).collect(), fixed: vec![false; end] }
    }

    /// The first of the channels that are the same.
    fn first(&self, mut channel: usize) -> usize {
        while self.earlier[channel] != channel {
            channel = self.earlier[channel];
        }
        channel
    }

    /// Makes the channels of a node, from one on, the same as those of its input.
    fn tie(&mut self, id: NodeId, from: usize, input: NodeId) {
        for (channel, other) in self.nodes[input].clone().enumerate() {
            let pair = [self.nodes[id].start + from + channel, other].map(|channel| self.first(channel));
            self.earlier[pair[0].max(pair[1])] = pair[0].min(pair[1]);
        }
    }

    /// Says that the channels of a node have to stay.
    fn fix(&mut self, id: NodeId) {
        self.fixed[self.nodes[id].clone()].fill(true);
    }

    fn channels(self) -> Channels {
        let mut fixed = vec![false; self.fixed.len()];
        (0..fixed.len()).for_each(|channel| fixed[self.first(channel)] |= self.fixed[channel]);
        let of_node = |node: &std::ops::Range<usize>| node.clone().map(|channel| self.first(channel)).collect();
        Channels { numbers: self.nodes.iter().map(of_node).collect(), fixed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stem of two channels, a block beside a shortcut that puts one zero channel on either side, a join.
    #[test]
    fn channels_are_followed_through_sums_shortcuts_and_joins() {
        let mut graph = Graph::new(3, 4, 4).unwrap();
        graph.then("stem", Op::conv3x3(2, 1)).unwrap();
        let stem = graph.then("relu", Op::Relu).unwrap();
        graph.then("conv", Op::conv3x3(4, 2)).unwrap();
        let branch = graph.then("bn", Op::batch_norm()).unwrap();
        let op = Op::PadShortcut { out_channels: 4, stride: 2, before: None };
        let beside = graph.add("beside", op, &[stem]).unwrap();
        let sum = graph.add("sum", Op::Add, &[branch, beside]).unwrap();
        let join = graph.add("join", Op::Concat, &[sum, branch]).unwrap();
        let mean = graph.then("mean", Op::GlobalAvgPool).unwrap();
        graph.then("head", Op::Linear { out_features: 2, bias: true }).unwrap();
        let channels = graph.channels();
        let stem = channels.of(stem);
        assert_eq!(channels.of(1), stem);
        assert_eq!(channels.of(sum)[1..3], *stem);
        assert_eq!(channels.of(branch), channels.of(sum));
        assert_eq!(channels.of(join), [channels.of(sum), channels.of(branch)].concat());
        assert_eq!(channels.of(mean), channels.of(join));
        assert!((0..4).all(|c| !channels.is_fixed(channels.of(sum)[c])));
        assert!([0, graph.output()].iter().all(|&id| channels.of(id).iter().all(|&c| channels.is_fixed(c))));
    }
}
