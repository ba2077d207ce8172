//! Which nodes an analysis of channels looks at.

use interp_net::{Graph, NodeId, Op};

use crate::{Error, Result};

/// The nodes that patterns name; without patterns all activations, or where there are none all convolutions.
pub(crate) fn activations(graph: &Graph, patterns: &[String]) -> Result<Vec<NodeId>> {
    if !patterns.is_empty() {
        return Ok(graph.select(patterns, "node", |node| !matches!(node.op, Op::Input { .. }))?);
    }
    let of = |fits: fn(&Op) -> bool| -> Vec<NodeId> {
        (1..graph.nodes().len()).filter(|&id| fits(&graph.nodes()[id].op)).collect()
    };
    let activations = of(Op::is_activation);
    if !activations.is_empty() {
        return Ok(activations);
    }
    let convolutions = of(|op| matches!(op, Op::Conv2d { .. } | Op::BCosConv2d { .. }));
    match convolutions.is_empty() {
        true => {
            Err(Error::Usage("the network has neither activations nor convolutions: name nodes by --layers".into()))
        }
        false => Ok(convolutions),
    }
}
