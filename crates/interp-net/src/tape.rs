//! What a forward pass leaves behind.

use candle_core::Tensor;

use crate::{Graph, Mode, NetError, NodeId, Result};

/// What an operation must remember for its backward pass beside its input and output.
#[derive(Clone, Debug)]
pub(crate) enum Saved {
    /// Nothing.
    Nothing,
    /// Positions of the maxima.
    Argmax(Tensor),
    /// The noise of a sample.
    Noise(Tensor),
    /// Mean and biased variance of the batch, and number of values of a channel.
    Statistics { mean: Tensor, variance: Tensor, count: usize },
}

/// Named activations of one forward pass.
#[derive(Clone, Debug)]
pub struct Tape {
    pub(crate) activations: Vec<Option<Tensor>>,
    pub(crate) saved: Vec<Saved>,
    pub(crate) mode: Mode,
    pub(crate) batch: usize,
}

impl Tape {
    /// The activation of a node.
    ///
    /// # Errors
    /// If it was not kept.
    pub fn at(&self, graph: &Graph, id: NodeId) -> Result<&Tensor> {
        self.activations[id].as_ref().ok_or_else(|| NetError::NotKept(graph.nodes()[id].name.clone()))
    }

    /// The activation of the node called `name`.
    ///
    /// # Errors
    /// If there is no such node, or its activation was not kept.
    pub fn get(&self, graph: &Graph, name: &str) -> Result<&Tensor> {
        self.at(graph, graph.id(name)?)
    }

    /// How the pass was run.
    pub fn mode(&self) -> &Mode {
        &self.mode
    }

    /// The last activation: `(N, classes)` of a classifier.
    ///
    /// # Errors
    /// If the pass ended before the last node.
    pub fn output(&self, graph: &Graph) -> Result<&Tensor> {
        self.at(graph, graph.output())
    }
}
