//! Concepts that a linear probe finds, and that single channels detect.

use std::collections::BTreeSet;

use interp_audit::dissection::{Directions, Dissection, Layer, Probe, Settings, Unit, dissected, probes};
use interp_audit::{Memory, Observer, observe};
use interp_data::Split;
use interp_net::NodeId;

use super::networks::Pupil;
use crate::Result;
use crate::programs::layers::activations;

/// The concepts of a network, in any of its layers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Concepts {
    /// All that can be found: a channel that answers to a concept alone would overlap it enough.
    pub(super) reachable: BTreeSet<String>,
    /// Those of them that a linear probe finds.
    pub(super) probed: BTreeSet<String>,
    /// Those of them that a channel detects.
    pub(super) detected: BTreeSet<String>,
}

impl Concepts {
    /// Those that a probe finds and a channel detects.
    pub(super) fn both(&self) -> usize {
        self.probed.intersection(&self.detected).count()
    }
}

/// Looks for concepts in all activations, by their own directions, learned from other pictures, and by channels.
pub(super) fn concepts(pupil: &Pupil, memory: Memory) -> Result<Concepts> {
    let net = &pupil.network;
    let learned = pupil.pictures(Split::Validation, |source| source.train = 0)?;
    let asked = pupil.pictures(Split::Test, |source| source.train = 0)?;
    let nodes = activations(&net.graph, &[])?;
    let mut directions: Vec<Directions<'_>> = nodes.iter().map(|&node| Directions::new(net, &learned, node)).collect();
    let mut observers: Vec<&mut dyn Observer> = directions.iter_mut().map(|one| one as &mut dyn Observer).collect();
    observe(net, &learned, &mut observers, memory)?;
    let (names, along): (Vec<Vec<String>>, Vec<Probe>) =
        directions.into_iter().map(|one| Ok(one.found()?)).collect::<Result<Vec<_>>>()?.into_iter().unzip();
    let all = along.into_iter().chain(probes(net, &nodes, 0)?).collect();
    let found = dissected(net, &asked, all, &Settings::default(), memory)?;
    Ok(Concepts::of(&found, &nodes, &names))
}

impl Concepts {
    /// Of the overlaps of channels, and of directions, which are those of these names by node.
    fn of(found: &Dissection, nodes: &[NodeId], names: &[Vec<String>]) -> Self {
        let least = Settings::default().iou;
        let mut concepts = Self::default();
        for (place, concept) in found.concepts.iter().enumerate().filter(|(_, concept)| concept.ceiling > least) {
            let finds =
                |unit: &Unit| unit.overlaps.iter().any(|overlap| overlap.concept == place && overlap.iou > least);
            let of_channel = |layer: &Layer| !layer.rotated && layer.units.iter().any(finds);
            let of_direction = |layer: &Layer| {
                let names = nodes.iter().position(|&node| node == layer.node).map_or(&[][..], |at| &names[at]);
                layer.rotated && layer.units.iter().zip(names).any(|(unit, name)| *name == concept.name && finds(unit))
            };
            concepts.reachable.insert(concept.name.clone());
            if found.layers.iter().any(of_direction) {
                concepts.probed.insert(concept.name.clone());
            }
            if found.layers.iter().any(of_channel) {
                concepts.detected.insert(concept.name.clone());
            }
        }
        concepts
    }
}
