//! Concepts that a linear probe finds, and that single channels detect.

use std::collections::BTreeSet;
use std::sync::Arc;

use interp_audit::dissection::{Directions, Dissection, Layer, Probe, Settings, Unit, dissected, probes};
use interp_audit::{Memory, Observer, Pictures, observe};
use interp_data::{Dataset, Info, Split, Truth};
use interp_net::NodeId;

use super::networks::Pupil;
use crate::Result;
use crate::programs::layers::activations;

/// Shares of cells that are a channel's answers: those of Bau et al. 2017, of Bau et al. 2020 ("Understanding the role of individual units in a deep neural
/// network"), and twice as many: of independent places as many pixels overlap nothing by more than half of what counts.
pub(super) const QUANTILES: [f64; 3] = [0.005, 0.01, 0.02];

/// The concepts of a network, in any of its layers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Concepts {
    /// All that can be found: a channel that answers to a concept alone would overlap it enough.
    pub(super) reachable: BTreeSet<String>,
    /// Those of them that a linear probe finds.
    pub(super) probed: BTreeSet<String>,
    /// Those of them that a channel detects.
    pub(super) detected: BTreeSet<String>,
    /// Those of them that a channel detects where concepts are taken to be where they are in the next picture: by being in like places.
    pub(super) displaced: BTreeSet<String>,
}

impl Concepts {
    /// Those that a probe finds and a channel detects.
    pub(super) fn both(&self) -> usize {
        self.probed.intersection(&self.detected).count()
    }
}

/// Looks for concepts in all activations, by their own directions, learned from other pictures, and by channels; for each of [`QUANTILES`].
pub(super) fn concepts(pupil: &Pupil, memory: Memory) -> Result<[Concepts; 3]> {
    let net = &pupil.network;
    let learned = pupil.pictures(Split::Validation, |source| source.train = 0)?;
    let asked = pupil.pictures(Split::Test, |source| source.train = 0)?;
    let nodes = activations(&net.graph, &[])?;
    let mut directions: Vec<Directions<'_>> = nodes.iter().map(|&node| Directions::new(net, &learned, node)).collect();
    let mut observers: Vec<&mut dyn Observer> = directions.iter_mut().map(|one| one as &mut dyn Observer).collect();
    observe(net, &learned, &mut observers, memory)?;
    let (names, along): (Vec<Vec<String>>, Vec<Probe>) =
        directions.into_iter().map(|one| Ok(one.found()?)).collect::<Result<Vec<_>>>()?.into_iter().unzip();
    let channels = probes(net, &nodes, 0)?;
    let displaced = Pictures { data: Arc::new(Displaced(Arc::clone(&asked.data))), ..asked.clone() };
    let of = |quantile: f64| -> Result<Concepts> {
        let settings = Settings { quantile, ..Settings::default() };
        let all = along.iter().chain(&channels).cloned().collect();
        let found = Concepts::of(&dissected(net, &asked, all, &settings, memory)?, &nodes, &names);
        let elsewhere = Concepts::of(&dissected(net, &displaced, channels.clone(), &settings, memory)?, &nodes, &names);
        Ok(Concepts { displaced: elsewhere.detected, ..found })
    };
    let [paper, later, twice] = QUANTILES;
    Ok([of(paper)?, of(later)?, of(twice)?])
}

/// Pictures of which that is said to be known which is known of the next.
struct Displaced(Arc<dyn Dataset>);

impl Dataset for Displaced {
    fn info(&self) -> &Info {
        self.0.info()
    }

    fn len(&self, split: Split) -> usize {
        self.0.len(split)
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        self.0.label(split, index)
    }

    fn image(&self, split: Split, index: usize, out: &mut [f32]) -> interp_data::Result<()> {
        self.0.image(split, index, out)
    }

    fn truth(&self, split: Split, index: usize) -> interp_data::Result<Option<Truth>> {
        self.0.truth(split, (index + 1) % self.0.len(split).max(1))
    }
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

#[cfg(test)]
mod tests {
    use interp_data::concepts::{Concepts as Made, ConceptsSource};

    use super::*;

    // Of three pictures the first has what is known of the second, and the last of the first; pictures and labels stay.
    #[test]
    fn displaced_pictures_have_the_truth_of_the_next() {
        let source = ConceptsSource { train: 0, val: 0, test: 3, ..ConceptsSource::default() };
        let data: Arc<dyn Dataset> = Arc::new(Made::open(&source, &|_, _| ()).unwrap());
        let moved = Displaced(Arc::clone(&data));
        for (at, next) in [(0, 1), (1, 2), (2, 0)] {
            assert_eq!(moved.truth(Split::Test, at).unwrap(), data.truth(Split::Test, next).unwrap());
            assert_eq!(moved.label(Split::Test, at), data.label(Split::Test, at));
        }
    }
}
