//! A graph with its parameters.

use candle_core::{DType, Device};

use crate::{Graph, NodeId, Params, Result, init};

/// A graph with its parameters beside it.
#[derive(Clone, Debug)]
pub struct Network {
    /// Structure.
    pub graph: Graph,
    /// Values.
    pub params: Params,
}

impl Network {
    /// A network with random first values, a function of `seed` alone.
    ///
    /// # Errors
    /// Where parameters cannot be made.
    pub fn new(graph: Graph, seed: u64) -> Result<Self> {
        let params = Params::build(&graph, |slot| init::first_value(&graph, slot, seed))?;
        Ok(Self { graph, params })
    }

    /// The same network with what neurons do with their input in `model`, where that has the same nodes: thresholds that it has not of
    /// this kind start from their first values.
    ///
    /// # Errors
    /// Where such a network cannot be made.
    pub fn with_activations_of(&self, model: &Graph) -> Result<Self> {
        let other = |id: NodeId| {
            let (own, theirs) = (&self.graph.nodes()[id].op, &model.nodes()[id].op);
            (own.is_activation() && theirs.is_activation() && !own.resembles(theirs)).then(|| theirs.clone())
        };
        if !self.graph.has_nodes_of(model) {
            return Ok(self.clone());
        }
        let graph = self.graph.with_operations(|id| other(id).unwrap_or_else(|| self.graph.nodes()[id].op.clone()))?;
        let mut network = Self::new(graph, 0)?;
        for param in self.params.list().iter().filter(|param| other(param.node).is_none()) {
            if let Some(position) = network.params.position(param.node, param.role) {
                network.params.set(position, param.value.clone())?;
            }
        }
        Ok(network)
    }

    /// The same network in another precision; f64 is there to check f32.
    ///
    /// # Errors
    /// Where a tensor cannot be converted.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        Ok(Self { graph: self.graph.clone(), params: self.params.to_dtype(dtype)? })
    }

    /// The same network with its parameters in the memory of a device, where it then runs: activations and gradients
    /// lie there too.
    ///
    /// # Errors
    /// Where the device has no room.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        Ok(Self { graph: self.graph.clone(), params: self.params.to_device(device)? })
    }

    /// Where the network runs: the device of its parameters, and the CPU if it has none.
    pub fn device(&self) -> Device {
        self.params.list().first().map_or(Device::Cpu, |param| param.value.device().clone())
    }

    /// Number of trained parameters.
    pub fn parameters(&self) -> usize {
        self.params.list().iter().filter(|p| p.role.is_trained()).map(|p| p.value.elem_count()).sum()
    }

    /// Multiply-adds for one image.
    pub fn multiply_adds(&self) -> usize {
        (0..self.graph.nodes().len()).map(|id| self.graph.multiply_adds(id)).sum()
    }
}
