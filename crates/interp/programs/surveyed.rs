//! What surveys of neurons share: their arguments, and making them.

use clap::Args;
use interp_audit::neurons::{Survey, Surveyor};
use interp_audit::{Memory, Pictures, observe};
use interp_net::{Graph, Network, NodeId};

use super::layers::activations;
use crate::Result;

/// Which neurons, and how many of their answers.
#[derive(Args, Clone, Debug)]
pub(super) struct Surveyed {
    /// Nodes, by patterns; by default all activations
    #[arg(long, value_delimiter = ',', value_name = "GLOB")]
    layers: Vec<String>,
    /// The largest answers that are looked at of each neuron, one for each picture
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u16).range(2..))]
    pub(super) count: u16,
    /// Memory that activations may take, such as 512MiB; results do not depend on it
    #[arg(long, default_value = "1GiB", value_parser = super::memory)]
    pub(super) memory: Memory,
}

impl Surveyed {
    /// The nodes asked about.
    pub(super) fn nodes(&self, graph: &Graph) -> Result<Vec<NodeId>> {
        activations(graph, &self.layers)
    }

    /// One that others may observe the same pass with.
    pub(super) fn surveyor(&self, network: &Network, pictures: &Pictures) -> Result<Surveyor> {
        Ok(Surveyor::new(network, pictures, &self.nodes(&network.graph)?, self.count.into()))
    }

    /// A survey by a pass of its own.
    pub(super) fn survey(&self, network: &Network, pictures: &Pictures) -> Result<Survey> {
        let mut surveyor = self.surveyor(network, pictures)?;
        observe(network, pictures, &mut [&mut surveyor], self.memory)?;
        Ok(surveyor.found)
    }
}
