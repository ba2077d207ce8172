//! The thresholds of soft thresholds, read and changed after training.

use candle_core::{DType, Device, Tensor};

use crate::{NetError, Network, NodeId, Result, Role};

impl Network {
    /// The nodes that have thresholds, with the threshold of each channel, in the graph's order.
    ///
    /// # Errors
    /// Where parameters cannot be read.
    pub fn thresholds(&self) -> Result<Vec<(NodeId, Vec<f32>)>> {
        let all = self.params.list().iter().filter(|param| param.role == Role::Threshold);
        all.map(|param| Ok((param.node, param.value.to_dtype(DType::F32)?.to_vec1()?))).collect()
    }

    /// Sets the thresholds of a node, one for each channel.
    ///
    /// # Errors
    /// If the node has no thresholds or another number of them, or one is below 0 or not finite.
    pub fn set_thresholds(&mut self, node: NodeId, thresholds: Vec<f32>) -> Result<()> {
        let wrong = |problem: String| NetError::Graph { node: self.graph.nodes()[node].name.clone(), problem };
        let position = self.params.position(node, Role::Threshold);
        let position = position.ok_or_else(|| wrong("has no thresholds".into()))?;
        if let Some(bad) = thresholds.iter().find(|theta| !(**theta >= 0.0 && theta.is_finite())) {
            return Err(wrong(format!("a threshold must be 0 or more and finite, not {bad}")));
        }
        let (count, dtype) = (thresholds.len(), self.params.list()[position].value.dtype());
        self.params.set(position, Tensor::from_vec(thresholds, count, &Device::Cpu)?.to_dtype(dtype)?)
    }
}
