//! Attention of the network's own: where it says that it looks.

use candle_core::Tensor;
use interp_net::finding::{Entry, build};
use interp_net::{Graph, Keep, Mode, NodeId, Op};

use super::{Attribution, Channels, Method, NoSettings, Question};
use crate::{AuditError, Result};

/// The weights that the last layer of attention to positions multiplies with: the same map for every class.
struct Attention;

pub(super) const ENTRY: Entry<dyn Method> = Entry {
    name: "attention",
    summary: "where the network itself says that it looks, if it has attention to positions",
    example: "kind = \"attention\"\n",
    build: |section| build(section, |NoSettings {}| Box::new(Attention)),
    schema: || schemars::schema_for!(NoSettings),
};

/// The weights of the last multiplication of maps that has one for each position.
fn weights(graph: &Graph) -> Option<NodeId> {
    let of = |id: NodeId| {
        let node = &graph.nodes()[id];
        let &[_, weights] = node.inputs.as_slice() else { return None };
        let is_map = matches!(graph.shape(weights), [1, h, w] if h * w > 1);
        (node.op == Op::Multiply && is_map).then_some(weights)
    };
    (0..graph.nodes().len()).rev().find_map(of)
}

impl Method for Attention {
    fn attribute(&self, question: &Question<'_>) -> Result<Attribution> {
        let net = question.net;
        let weights = weights(&net.graph).ok_or(AuditError::NoAttention)?;
        let maps: Tensor = question.in_parts(1, |_, x, _| {
            let tape = net.run_to(x, weights, Mode::Eval, &Keep::Output)?;
            Ok(tape.at(&net.graph, weights)?.squeeze(1)?.contiguous()?)
        })?;
        Ok(Attribution::of(maps, Channels::Sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_map_of_weights_is_taken() {
        let mut graph = Graph::new(3, 4, 4).unwrap();
        let first = graph.then("score", Op::conv(1, 1, 1, 0, true)).unwrap();
        graph.add("look", Op::Multiply, &[0, first]).unwrap();
        let second = graph.then("again", Op::conv(1, 1, 1, 0, true)).unwrap();
        let look = graph.add("look again", Op::Multiply, &[2, second]).unwrap();
        assert_eq!(weights(&graph), Some(second));
        let mean = graph.then("mean", Op::GlobalAvgPool).unwrap();
        graph.add("of channels", Op::Multiply, &[look, mean]).unwrap();
        assert_eq!(weights(&graph), Some(second), "weights of channels are no map");
        assert_eq!(weights(&Graph::new(3, 4, 4).unwrap()), None);
    }
}
