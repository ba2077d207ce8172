//! How far the channels that stand for concepts tell pictures that show them from others.

use interp_data::Annotations;
use interp_net::{Network, NodeId};

use crate::Result;
use crate::pass::{Observer, Sample, numbers};
use crate::pictures::{Gauge, Pictures};

/// Of each channel that stands for a concept its largest value in each picture, and whether the picture shows the concept.
pub(crate) struct ConceptArea(Vec<Layer>);

struct Layer {
    node: NodeId,
    known: Annotations,
    /// The channel of each concept.
    channels: Vec<usize>,
    /// By concept: the value, and what is true.
    seen: Vec<Vec<(f64, bool)>>,
}

impl ConceptArea {
    /// Nothing seen yet, for those of the nodes some of whose channels have the name of a concept: `factor/value`.
    pub(crate) fn of(net: &Network, pictures: &Pictures, nodes: &[NodeId]) -> Result<Self> {
        let mut layers = vec![];
        for &node in nodes {
            let named = |(_, unit): &(usize, &String)| unit.contains('/');
            let (channels, names): (Vec<usize>, Vec<String>) = net.graph.nodes()[node]
                .units
                .iter()
                .enumerate()
                .filter(named)
                .map(|(at, unit)| (at, unit.clone()))
                .unzip();
            if !names.is_empty() {
                let known = Annotations::named(&*pictures.data, pictures.split, &names)?;
                layers.push(Layer { node, known, seen: vec![vec![]; names.len()], channels });
            }
        }
        Ok(Self(layers))
    }
}

impl Observer for ConceptArea {
    fn taps(&self) -> Vec<NodeId> {
        self.0.iter().map(|layer| layer.node).collect()
    }

    fn observe(&mut self, net: &Network, sample: &Sample<'_>) -> Result<()> {
        for layer in &mut self.0 {
            let shape = net.graph.shape(layer.node);
            let cells = shape[1..].iter().product::<usize>().max(1);
            let maps = numbers(sample.tape.at(&net.graph, layer.node)?)?;
            for (picture, &index) in maps.chunks_exact(cells * shape[0]).zip(&sample.batch.indices) {
                let row = layer.known.row(index);
                for ((seen, &channel), truth) in layer.seen.iter_mut().zip(&layer.channels).zip(row) {
                    let largest = picture[channel * cells..][..cells].iter().copied().fold(f64::NEG_INFINITY, larger);
                    if !truth.is_nan() {
                        seen.push((largest, *truth > 0.5));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The larger number; what is not a number stays so.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

impl Gauge for ConceptArea {
    fn value(&self) -> Option<f64> {
        let found: Vec<f64> = self.0.iter().flat_map(|layer| &layer.seen).filter_map(|seen| area(seen)).collect();
        (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
    }
}

/// The share of pairs of a picture that shows the concept and one that does not in which the first has the larger value, half of those with equal ones
/// counted: the area under the ROC curve. `None` where there is no pair, not a number where a value is none.
fn area(seen: &[(f64, bool)]) -> Option<f64> {
    let shown = seen.iter().filter(|(_, shown)| *shown).count() as f64;
    let absent = seen.len() as f64 - shown;
    if shown * absent == 0.0 {
        return None;
    }
    if seen.iter().any(|(value, _)| value.is_nan()) {
        return Some(f64::NAN);
    }
    let mut sorted = seen.to_vec();
    sorted.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
    let (mut below, mut won) = (0.0, 0.0);
    // -0 and 0 are equal, and lie beside each other.
    for same in sorted.chunk_by(|(a, _), (b, _)| a == b) {
        let yes = same.iter().filter(|(_, shown)| *shown).count() as f64;
        let no = same.len() as f64 - yes;
        won += yes * (below + no / 2.0);
        below += no;
    }
    Some(won / (shown * absent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_in_order() {
        let seen = |values: &[(f64, u8)]| values.iter().map(|&(value, shown)| (value, shown == 1)).collect::<Vec<_>>();
        // Of four pairs three: 2 > 1, 4 > 1 and 4 > 3, not 2 > 3.
        assert_eq!(area(&seen(&[(1.0, 0), (2.0, 1), (3.0, 0), (4.0, 1)])), Some(0.75));
        assert_eq!(area(&seen(&[(1.0, 0), (2.0, 1)])), Some(1.0));
        assert_eq!(area(&seen(&[(1.0, 1), (2.0, 0)])), Some(0.0));
        assert_eq!(area(&seen(&[(0.0, 1), (-0.0, 0)])), Some(0.5), "equal");
        assert_eq!(area(&seen(&[(1.0, 1), (2.0, 1)])), None);
        assert!(area(&seen(&[(f64::NAN, 1), (2.0, 0)])).is_some_and(f64::is_nan));
        assert!(larger(f64::NAN, 1.0).is_nan() && larger(1.0, f64::NAN).is_nan() == larger(f64::NAN, 1.0).is_nan());
    }
}
