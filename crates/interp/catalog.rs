//! The extensions that the programs know.

use interp_data::Source;
use interp_finding::Entry;
use interp_learn::distill::{self, Distillation};
use interp_learn::insert::{self, Insertion};
use interp_learn::prior::{self, Prior};
use interp_net::zoo::{self, Architecture};

/// Tables of extensions. A downstream crate adds lines of its own and has the same programs.
pub struct Catalog {
    /// Data sets.
    pub data: Vec<&'static Entry<dyn Source>>,
    /// Architectures.
    pub models: Vec<&'static Entry<dyn Architecture>>,
    /// Layers that are put into networks.
    pub insertions: Vec<&'static Entry<dyn Insertion>>,
    /// Priors.
    pub priors: Vec<&'static Entry<dyn Prior>>,
    /// Ways of learning from a teacher.
    pub distillations: Vec<&'static Entry<dyn Distillation>>,
}

impl Default for Catalog {
    fn default() -> Self {
        Self {
            data: interp_data::sources().collect(),
            models: zoo::ENTRIES.to_vec(),
            insertions: insert::ENTRIES.to_vec(),
            priors: prior::ENTRIES.to_vec(),
            distillations: distill::ENTRIES.to_vec(),
        }
    }
}
