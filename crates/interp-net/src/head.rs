//! Networks for other classes.

use crate::{Graph, Network, NodeId, Op, Result};

/// A network that has the tensors of a file but for those of its last layer.
#[derive(Clone, Debug)]
pub struct NewHead {
    /// The network.
    pub network: Network,
    /// The names, in the network, of the tensors of its last layer: they have first values, and none of the file's.
    pub fresh: Vec<String>,
}

impl NewHead {
    pub(crate) fn of(network: Network) -> Self {
        let head = network.graph.head();
        let own = network.params.list().iter().filter(|param| head.contains(&param.node));
        Self { fresh: own.map(|param| param.name.clone()).collect(), network }
    }
}

impl Graph {
    /// The layers whose outputs are the classes: those with weights from which no other leads to the output, and norms and thresholds
    /// behind them, in the graph's order. Several where logits are summed.
    pub fn head(&self) -> Vec<NodeId> {
        let mut asked = vec![false; self.nodes().len()];
        asked[self.output()] = true;
        let mut head = vec![];
        for id in (1..self.nodes().len()).rev() {
            let node = &self.nodes()[id];
            if !asked[id] {
                continue;
            }
            match node.op {
                Op::Conv2d { .. }
                | Op::ConvTranspose2d { .. }
                | Op::BCosConv2d { .. }
                | Op::Linear { .. }
                | Op::Prototypes { .. } => {
                    head.push(id);
                    continue;
                }
                Op::BatchNorm { .. } | Op::UncenteredNorm { .. } | Op::Threshold { .. } => head.push(id),
                _ => {}
            }
            node.op.handed_on(&node.inputs).iter().for_each(|&input| asked[input] = true);
        }
        head.reverse();
        head
    }

    /// The same structure for the pictures and the classes of another one: with the input of that, and its operations in the
    /// [`Graph::head`].
    ///
    /// # Errors
    /// If an operation does not fit its inputs.
    pub fn with_ends_of(&self, other: &Self) -> Result<Self> {
        let head = self.head();
        let mut graph = Self::of_input(other.nodes()[0].op.clone())?;
        for (id, node) in self.nodes().iter().enumerate().skip(1) {
            let theirs = if head.contains(&id) { other.find(&node.name) } else { None };
            let op = theirs.map_or(&node.op, |id| &other.nodes()[id].op);
            graph.copy(node, op.clone(), &node.inputs)?;
        }
        Ok(graph)
    }
}
