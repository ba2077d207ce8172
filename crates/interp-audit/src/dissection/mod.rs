//! Network dissection: which concepts the channels of a layer detect.
//!
//! A channel is a detector of a concept where the pixels at which it answers most are those that show the concept (Bau et al. 2017, "Network
//! dissection", section 2). [`Thresholds`] finds above which activation that is, by a pass over pictures; [`dissect`] compares, in another, with the
//! concepts that the data set knows.

mod bits;
mod directions;
mod enlarged;
mod largest;
mod overlap;
mod threshold;

pub use bits::Bits;
pub use directions::Directions;
pub use overlap::{Concept, Dissection, Example, Layer, Overlap, Unit, dissect};
pub use threshold::{Probe, Thresholds, probes};

use interp_net::Network;

use crate::{Memory, Pictures, Result, observe};

/// What is called a detector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The share of a channel's cells over all pictures, those of its largest activations, that count as its answers.
    pub quantile: f64,
    /// The intersection of these with a concept over their union, above which a channel is its detector.
    pub iou: f64,
    /// Pictures that are kept of every channel.
    pub examples: usize,
}

impl Default for Settings {
    /// Those of the paper.
    fn default() -> Self {
        Self { quantile: 0.005, iou: 0.04, examples: 4 }
    }
}

/// Finds the thresholds of probes and compares what is above them with concepts, in as many passes as memory makes necessary.
///
/// # Errors
/// Those of [`dissect`].
pub fn dissected(
    net: &Network,
    pictures: &Pictures,
    probes: Vec<Probe>,
    settings: &Settings,
    memory: Memory,
) -> Result<Dissection> {
    let mut found = Dissection { concepts: vec![], layers: vec![] };
    for mut part in Thresholds::parts(net, pictures, probes, settings.quantile, memory.half()) {
        observe(net, pictures, &mut [&mut part], memory.half())?;
        found.extend(dissect(net, pictures, part, settings, memory)?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
