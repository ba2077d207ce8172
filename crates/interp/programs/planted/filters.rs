//! Filters that are made zero, copies of others, or silent, and found again.

use std::collections::BTreeSet;

use candle_core::Tensor;
use interp_audit::neurons::survey;
use interp_audit::weights::filters;
use interp_audit::{Memory, Pictures};
use interp_data::Split;
use interp_finding::random::{shuffle, stream};
use interp_net::{Network, NodeId, Op, Role};

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

    fn add(&mut self, other: Self) {
        self.planted += other.planted;
        self.found += other.found;
        self.others += other.others;
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
pub(super) fn planted(pupil: &Pupil, seed: u64, memory: Memory) -> Result<[Count; 3]> {
    let net = &pupil.network;
    let pictures = pupil.pictures(Split::Validation, |source| source.train = 0)?;
    let before = by_weights(net)?;
    let (mut changed, mut zero, mut same) = (net.clone(), BTreeSet::new(), BTreeSet::new());
    let mut silent = Count::default();
    for place in places(net) {
        let weight = &net.params.list()[place.weight].value;
        let is_same = |filter: &usize| before.1.iter().any(|(node, pair)| *node == place.conv && pair.contains(filter));
        // What is a copy already must not be copied, or a third would be found that was not planted.
        let mut order: Vec<usize> = (0..weight.dims()[0]).filter(|filter| !is_same(filter)).collect();
        if order.len() < 3 * PLANTED {
            continue;
        }
        shuffle(&mut stream(seed, "planted filters", place.conv as u64, 0), &mut order);
        let [dead, copies, models] = [0, 1, 2].map(|part| &order[part * PLANTED..(part + 1) * PLANTED]);
        changed.params.set(place.weight, with_copies(weight, dead, copies, models)?)?;
        zero.extend(dead.iter().map(|&filter| (place.conv, filter)));
        same.extend(copies.iter().zip(models).map(|(&a, &b)| (place.conv, [a.min(b), a.max(b)])));
        // One layer at a time: what gets nothing from a silent channel may fall silent too.
        let mut silenced = net.clone();
        silence(&mut silenced, place.norm, dead)?;
        let answers = |net: &Network| by_answers(net, &pictures, place.active, memory);
        silent.add(Count::of(&dead.iter().copied().collect(), &answers(net)?, &answers(&silenced)?));
    }
    let after = by_weights(&changed)?;
    Ok([Count::of(&zero, &before.0, &after.0), Count::of(&same, &before.1, &after.1), silent])
}

/// Weights of a convolution with filters made zero, and others made nearly what models are: of the other sign and half as long, since it must not be the
/// length that tells.
fn with_copies(weight: &Tensor, dead: &[usize], copies: &[usize], models: &[usize]) -> Result<Tensor> {
    let mut rows = weight.flatten_from(1)?.to_vec2::<f32>()?;
    for (&copy, &model) in copies.iter().zip(models) {
        let near = |(at, weight): (usize, &f32)| -0.5 * weight * if at % 2 == 0 { 1.0 + NOISE } else { 1.0 - NOISE };
        rows[copy] = rows[model].iter().enumerate().map(near).collect();
    }
    dead.iter().for_each(|&filter| rows[filter].fill(0.0));
    Ok(Tensor::new(rows, weight.device())?.reshape(weight.dims())?)
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
        Some(Place { weight, conv, norm, active })
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

/// Channels of a node that answer to no picture.
fn by_answers(net: &Network, pictures: &Pictures, node: NodeId, memory: Memory) -> Result<BTreeSet<usize>> {
    let found = survey(net, pictures, &[node], 1, memory)?;
    let units = found.layers.iter().flat_map(|layer| layer.units.iter().enumerate());
    Ok(units.filter(|(_, unit)| unit.is_dead()).map(|(channel, _)| channel).collect())
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
