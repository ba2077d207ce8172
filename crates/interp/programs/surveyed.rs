//! What analyses of neurons share: their arguments, the survey, and what is measured with it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use clap::Args;
use interp_audit::color::{UnitHues, unit_hues};
use interp_audit::neurons::{Index, Selectivity, Survey, Surveyor, untrained};
use interp_audit::{Memory, Pictures, observe};
use interp_net::{Graph, Network, NodeId};

use super::layers::activations;
use super::on_pictures::Opened;
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

/// Selectivities by layer and channel.
pub(super) type Selectivities = Vec<Vec<Option<Selectivity>>>;

/// The hues that neurons see, by layer and channel.
pub(super) type Hues = Vec<Vec<Option<UnitHues>>>;

/// A network of which something is measured, each thing once.
struct OfNetwork {
    network: Network,
    survey: Survey,
    indexes: RefCell<BTreeMap<&'static str, Rc<Selectivities>>>,
}

impl OfNetwork {
    fn new(network: Network, survey: Survey) -> Self {
        Self { network, survey, indexes: RefCell::default() }
    }

    fn index(&self, index: Index, pictures: &Pictures, memory: Memory) -> Result<Rc<Selectivities>> {
        if let Some(known) = self.indexes.borrow().get(index.name()) {
            return Ok(Rc::clone(known));
        }
        let batch = memory.pictures(&self.network.graph);
        let found = Rc::new(index.of(&self.network, pictures, &self.survey, batch)?);
        self.indexes.borrow_mut().insert(index.name(), Rc::clone(&found));
        Ok(found)
    }
}

/// The neurons of a network on pictures: a survey, and what several analyses read of it, which is measured when the first of them asks.
pub(super) struct Atlas<'a> {
    surveyed: &'a Surveyed,
    pictures: &'a Pictures,
    own: OfNetwork,
    /// The same network with random weights.
    random: RefCell<Option<Rc<OfNetwork>>>,
    hues: RefCell<Option<Rc<Hues>>>,
}

impl<'a> Atlas<'a> {
    /// Those of a survey.
    pub(super) fn new(surveyed: &'a Surveyed, opened: &'a Opened, survey: Survey) -> Self {
        let own = OfNetwork::new(opened.network.clone(), survey);
        Self { surveyed, pictures: &opened.pictures, own, random: RefCell::default(), hues: RefCell::default() }
    }

    pub(super) fn survey(&self) -> &Survey {
        &self.own.survey
    }

    /// Memory that activations may take.
    pub(super) fn memory(&self) -> Memory {
        self.surveyed.memory
    }

    /// The largest answers that are looked at of each neuron.
    pub(super) fn count(&self) -> usize {
        self.surveyed.count.into()
    }

    /// How much of answers is lost.
    pub(super) fn index(&self, index: Index) -> Result<Rc<Selectivities>> {
        self.own.index(index, self.pictures, self.surveyed.memory)
    }

    /// The same of the network with random weights.
    pub(super) fn random_index(&self, index: Index) -> Result<Rc<Selectivities>> {
        let known = self.random.borrow().clone();
        let random = match known {
            Some(random) => random,
            None => {
                let network = untrained(&self.own.network)?;
                let survey = self.surveyed.survey(&network, self.pictures)?;
                let random = Rc::new(OfNetwork::new(network, survey));
                *self.random.borrow_mut() = Some(Rc::clone(&random));
                random
            }
        };
        random.index(index, self.pictures, self.surveyed.memory)
    }

    /// The hues that neurons see; of pictures with colors.
    pub(super) fn hues(&self) -> Result<Rc<Hues>> {
        if let Some(known) = &*self.hues.borrow() {
            return Ok(Rc::clone(known));
        }
        let found = Rc::new(unit_hues(&self.own.network, self.pictures, &self.own.survey)?);
        *self.hues.borrow_mut() = Some(Rc::clone(&found));
        Ok(found)
    }
}
