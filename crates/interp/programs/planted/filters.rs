//! Filters that are made zero, copies of others, or silent, and found again.

use std::collections::BTreeSet;

use candle_core::Tensor;
use interp_audit::neurons::survey;
use interp_audit::weights::filters;
use interp_audit::{Memory, Pictures};
use interp_data::Split;
use interp_finding::random::{shuffle, stream};
use interp_net::{Graph, Network, NodeId, Op, Role};

use super::networks::Pupil;
use crate::Result;

/// Filters of each layer that are made zero, that are made copies, and that are made silent.
const PLANTED: usize = 3;
/// How much larger or smaller, in turn, the weights of a copy are: cosines of 0.995.
const NOISE: f32 = 0.1;

/// How many were planted, how many of them were found, and how many more were found that were not there before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Count {
    pub(super) planted: usize,
    pub(super) found: usize,
    pub(super) others: usize,
}

impl Count {
    /// Of what was planted, what was found before and what is found now.
    fn of<T: Ord + Copy>(planted: &BTreeSet<T>, before: &BTreeSet<T>, after: &BTreeSet<T>) -> Self {
        let planted: BTreeSet<T> = planted.difference(before).copied().collect();
        let others = after.difference(before).filter(|one| !planted.contains(one)).count();
        Self { planted: planted.len(), found: planted.intersection(after).count(), others }
    }
}

/// What is planted, in this order.
pub(super) const KINDS: [&str; 3] =
    ["filters that are all zero", "filters that are copies", "channels that never answer"];

/// A filter, by its node and channel.
type One = (NodeId, usize);
/// Two of a node.
type Two = (NodeId, [usize; 2]);

/// A convolution with the batch norm and the activation behind it.
struct Place {
    weight: usize,
    conv: NodeId,
    norm: NodeId,
    active: NodeId,
}

/// Plants each kind into every convolution that has filters enough, and looks for it.
pub(super) fn planted(pupil: &Pupil, seed: u64) -> Result<[Count; 3]> {
    let net = &pupil.network;
    let (mut changed, mut silenced) = (net.clone(), net.clone());
    let (mut zero, mut same, mut silent) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for place in places(net) {
        let weight = &net.params.list()[place.weight].value;
        let count = weight.dims()[0];
        let mut order: Vec<usize> = (0..count).collect();
        shuffle(&mut stream(seed, "planted filters", place.conv as u64, 0), &mut order);
        let mut rows = weight.flatten_from(1)?.to_vec2::<f32>()?;
        let [dead, copies, models] = [0, 1, 2].map(|part| &order[part * PLANTED..(part + 1) * PLANTED]);
        for (&copy, &model) in copies.iter().zip(models) {
            // Not quite the same, of the other sign and half as long: it must not be the length that tells.
            let near =
                |(at, weight): (usize, &f32)| -0.5 * weight * if at % 2 == 0 { 1.0 + NOISE } else { 1.0 - NOISE };
            rows[copy] = rows[model].iter().enumerate().map(near).collect();
            same.insert((place.conv, [copy.min(model), copy.max(model)]));
        }
        dead.iter().for_each(|&filter| rows[filter].fill(0.0));
        zero.extend(dead.iter().map(|&filter| (place.conv, filter)));
        let weight = Tensor::new(rows, weight.device())?.reshape(weight.dims())?;
        changed.params.set(place.weight, weight)?;
        silence(&mut silenced, place.norm, dead)?;
        silent.extend(dead.iter().map(|&filter| (place.active, filter)));
    }
    let [before, after] = [by_weights(net)?, by_weights(&changed)?];
    let pictures = pupil.pictures(Split::Validation, |_| ())?;
    let [answered, answering] = [by_answers(net, &pictures)?, by_answers(&silenced, &pictures)?];
    Ok([
        Count::of(&zero, &before.0, &after.0),
        Count::of(&same, &before.1, &after.1),
        Count::of(&silent, &answered, &answering),
    ])
}

/// The convolutions in front of a batch norm and a ReLU.
fn places(net: &Network) -> Vec<Place> {
    let nodes = net.graph.nodes();
    let behind = |id: NodeId, is: fn(&Op) -> bool| {
        (0..nodes.len()).find(|&other| nodes[other].inputs == [id] && is(&nodes[other].op))
    };
    let place = |conv: NodeId| {
        let is_plain = matches!(nodes[conv].op, Op::Conv2d { groups: 1, .. });
        let weight = net.params.position(conv, Role::Weight).filter(|_| is_plain)?;
        let norm = behind(conv, |op| matches!(op, Op::BatchNorm { .. }))?;
        let active = behind(norm, |op| matches!(op, Op::Relu))?;
        let has_enough = net.params.list()[weight].value.dims()[0] >= 3 * PLANTED;
        has_enough.then_some(Place { weight, conv, norm, active })
    };
    (0..nodes.len()).filter_map(place).collect()
}

/// Makes channels of a batch norm -1 whatever they get.
fn silence(net: &mut Network, norm: NodeId, channels: &[usize]) -> Result<()> {
    for (role, value) in [(Role::Gain, 0.0), (Role::Shift, -1.0)] {
        let Some(position) = net.params.position(norm, role) else { continue };
        let old = &net.params.list()[position].value;
        let mut values = old.to_vec1::<f32>()?;
        channels.iter().for_each(|&channel| values[channel] = value);
        let new = Tensor::new(values, old.device())?;
        net.params.set(position, new)?;
    }
    Ok(())
}

/// Filters that are all zero, and pairs that are the same.
fn by_weights(net: &Network) -> Result<(BTreeSet<One>, BTreeSet<Two>)> {
    let found = filters(net)?;
    let zero = found.iter().flat_map(|layer| layer.zero.iter().map(|&filter| (layer.node, filter)));
    let same = found.iter().flat_map(|layer| layer.same.iter().map(|&pair| (layer.node, pair)));
    Ok((zero.collect(), same.collect()))
}

/// Channels of ReLUs that answer to no picture.
fn by_answers(net: &Network, pictures: &Pictures) -> Result<BTreeSet<One>> {
    let is_relu = |graph: &Graph, id: NodeId| matches!(graph.nodes()[id].op, Op::Relu);
    let nodes: Vec<NodeId> = (0..net.graph.nodes().len()).filter(|&id| is_relu(&net.graph, id)).collect();
    let found = survey(net, pictures, &nodes, 1, Memory::default())?;
    let dead = found.layers.iter().flat_map(|layer| {
        let dead = layer.units.iter().enumerate().filter(|(_, unit)| unit.is_dead());
        dead.map(move |(channel, _)| (layer.node, channel))
    });
    Ok(dead.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    // 1 was there before, so that 2 and 3 are planted; 2 is found again, and 5 is another.
    #[test]
    fn counts_by_hand() {
        let count = Count::of(&[1, 2, 3].into(), &[1, 4].into(), &[1, 2, 4, 5].into());
        assert_eq!(count, Count { planted: 2, found: 1, others: 1 });
    }
}
