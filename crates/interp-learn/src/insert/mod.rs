//! Inserted layers: what is put into a network of any architecture for a function of its own.
//!
//! One more is one file here: settings (their documentation: equation, source), an `impl Insertion` that says what nodes
//! there are, what they start from and what steers them, and a line in [`ENTRIES`]. The twin goes without, unless it lacks teachers alone.

mod attention;
mod concept_bottleneck;
mod concept_whitening;
mod pipnet;
mod prototypes;
mod sparse_code;

use std::sync::Arc;

use interp_data::Annotations;
use interp_net::finding::{Entry, Unfit};
use interp_net::{Graph, Network, NodeId};

use crate::Result;
use crate::prior::Prior;

pub use attention::{Attended, Attention};
pub use concept_bottleneck::{ConceptBottleneck, Head, Taught, Units};
pub use concept_whitening::ConceptWhitening;
pub use pipnet::PipNet;
pub use prototypes::{Prototypes, Similarity};
pub use sparse_code::{Kind, SparseCode};

/// All inserted layers.
pub const ENTRIES: &[&Entry<dyn Insertion>] = &[
    &attention::ENTRY,
    &concept_bottleneck::ENTRY,
    &concept_whitening::ENTRY,
    &pipnet::ENTRY,
    &prototypes::ENTRY,
    &sparse_code::ENTRY,
];

/// Where a layer is put in, and what is known there.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The network's structure without it.
    pub graph: &'a Graph,
    /// The node behind which it comes.
    pub after: NodeId,
    /// Its name: what its nodes' names begin with.
    pub name: &'a str,
    /// Classes of the data.
    pub classes: usize,
    /// Their names, where these are known.
    pub class_names: &'a [String],
    /// Which concepts the pictures to train with show, where it [asks](Insertion::concepts) for some.
    pub annotations: Option<&'a Arc<Annotations>>,
}

/// A prior that comes with an inserted layer.
pub struct Companion {
    /// How training is steered.
    pub prior: Box<dyn Prior>,
    /// Names of the nodes that it acts on.
    pub nodes: Vec<String>,
}

/// Settings that put a layer into a network.
pub trait Insertion: Send + Sync {
    /// The concepts that it needs to know of in every picture, as [`Annotations::of`] takes them.
    fn concepts(&self) -> &[String] {
        &[]
    }

    /// Says which of its settings is out of range.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    fn check(&self) -> Result<(), Unfit> {
        Ok(())
    }

    /// The structure with it.
    ///
    /// # Errors
    /// If it does not fit there.
    fn graph(&self, site: &Site<'_>) -> Result<Graph>;

    /// Puts first values of its own in place of the random ones of its nodes.
    ///
    /// # Errors
    /// If values cannot be set.
    fn start(&self, _net: &mut Network, _name: &str, _seed: u64) -> Result<()> {
        Ok(())
    }

    /// What steers it, under its name.
    fn companion(&self, _site: &Site<'_>) -> Option<Companion> {
        None
    }
}

/// Refuses a weight below 0.
fn strength(key: &str, value: f64) -> Result<(), Unfit> {
    Unfit::unless(value >= 0.0 && value.is_finite(), key, format!("must be 0 or more, not {value}"))
}
