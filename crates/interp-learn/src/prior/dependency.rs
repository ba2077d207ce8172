//! Groups of all that makes, scales and reads a channel: what must be zero for it to be cut out.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use interp_net::{Network, NodeId, Op, Params, Role};

use super::target::spare;
use super::{Now, Scope, State, change, values};
use crate::Result;

/// Channels that are the same, by [`interp_net::Channels`], are one group: of every convolution or linear map that makes
/// them the filter and bias, of every batch norm on the way gain and shift, of every one that reads them the weights on
/// them. A weight between two such channels is in both groups.
pub(super) struct Groups {
    slices: Vec<Slices>,
    /// Numbers in each group.
    sizes: Vec<usize>,
}

/// How the slices of a parameter along an axis fall into groups.
struct Slices {
    position: usize,
    axis: usize,
    /// For each slice its group counted from 1; 0 is none.
    groups: Vec<u32>,
}

/// What the names of the tensors of a state begin with.
const KEY: &str = "slices.";

impl Slices {
    /// The groups of the stretches of a parameter of shape `dims`, in the order of its numbers.
    fn stretches(&self, dims: &[usize]) -> impl Iterator<Item = Option<usize>> + '_ {
        let outer = dims[..self.axis].iter().product();
        (0..outer).flat_map(move |_: usize| self.groups.iter().map(counted_from_0))
    }

    /// Numbers that lie side by side in a slice.
    fn stretch(&self, dims: &[usize]) -> usize {
        dims[self.axis + 1..].iter().product::<usize>().max(1)
    }
}

impl Groups {
    /// The groups of the channels that the scope's nodes make, those that have to stay left out.
    pub(super) fn of(net: &Network, scope: &Scope) -> Self {
        let channels = net.graph.channels();
        let mut groups = BTreeMap::new();
        for &number in scope.nodes.iter().flat_map(|&id| channels.of(id)) {
            let next = groups.len() as u32 + 1;
            if !channels.is_fixed(number) {
                groups.entry(number).or_insert(next);
            }
        }
        let of_node = |id: NodeId| -> Vec<u32> {
            channels.of(id).iter().map(|number| groups.get(number).copied().unwrap_or(0)).collect()
        };
        let mut slices = vec![];
        for (position, param) in net.params.list().iter().enumerate().filter(|(_, param)| param.role.is_trained()) {
            let node = &net.graph.nodes()[param.node];
            let (made, read) = match (&node.op, param.role) {
                (Op::Conv2d { groups: 1, .. } | Op::Linear { .. }, Role::Weight) => (0, Some(1)),
                (Op::ConvTranspose2d { groups: 1, .. }, Role::Weight) => (1, Some(0)),
                (_, Role::Bias | Role::Gain | Role::Shift) => (0, None),
                _ => continue,
            };
            slices.push(Slices { position, axis: made, groups: of_node(param.node) });
            slices.extend(read.map(|axis| {
                let groups = of_node(node.inputs[0]);
                // Of a linear map that reads a map each channel is as many numbers side by side as the map has cells.
                let cells = param.value.dims()[axis] / groups.len().max(1);
                Slices { position, axis, groups: groups.iter().flat_map(|&group| vec![group; cells]).collect() }
            }));
        }
        slices.retain(|slices| slices.groups.iter().any(|group| *group > 0));
        Self { sizes: sizes(&slices, groups.len(), &net.params), slices }
    }

    /// Puts them into a state.
    pub(super) fn save(&self, state: &mut State) -> Result<()> {
        for Slices { position, axis, groups } in &self.slices {
            let tensor = Tensor::from_slice(groups, groups.len(), &Device::Cpu)?;
            state.tensors.insert(format!("{KEY}{position}.{axis}"), tensor);
        }
        Ok(())
    }

    /// Those that were put into a state.
    pub(super) fn from(state: &State, params: &Params) -> Result<Self> {
        let mut slices = vec![];
        for (key, tensor) in &state.tensors {
            let place = key.strip_prefix(KEY).and_then(|place| place.split_once('.'));
            let place = place.and_then(|(position, axis)| Some((position.parse().ok()?, axis.parse().ok()?)));
            if let Some((position, axis)) = place {
                slices.push(Slices { position, axis, groups: tensor.to_vec1()? });
            }
        }
        let count = slices.iter().flat_map(|slices| &slices.groups).max().map_or(0, |&group| group as usize);
        Ok(Self { sizes: sizes(&slices, count, params), slices })
    }

    /// The norm of each group divided by the root of its size; infinite where any of it is not trained at present and not zero.
    pub(super) fn norms(&self, params: &Params, now: Now<'_>) -> Result<Vec<f32>> {
        let (mut squares, mut frozen) = (vec![0.0f64; self.sizes.len()], vec![false; self.sizes.len()]);
        for slices in &self.slices {
            let (numbers, dims) = (values(params, slices.position)?, params.list()[slices.position].value.dims());
            for (group, part) in slices.stretches(dims).zip(numbers.chunks_exact(slices.stretch(dims))) {
                if let Some(group) = group {
                    squares[group] += part.iter().map(|&w| f64::from(w) * f64::from(w)).sum::<f64>();
                    frozen[group] |= now.rates[slices.position] == 0.0;
                }
            }
        }
        let norm = |(group, &square): (usize, &f64)| match frozen[group] && square != 0.0 {
            true => f32::INFINITY,
            false => (square / self.sizes[group].max(1) as f64).sqrt() as f32,
        };
        Ok(squares.iter().enumerate().map(norm).collect())
    }

    /// Multiplies the numbers of each group; by zero they become zero, whatever they are.
    pub(super) fn scale(&self, params: &mut Params, factors: &[f32]) -> Result<()> {
        for slices in &self.slices {
            let dims = params.list()[slices.position].value.dims().to_vec();
            change(params, slices.position, |numbers| {
                for (group, part) in slices.stretches(&dims).zip(numbers.chunks_exact_mut(slices.stretch(&dims))) {
                    match group.map_or(1.0, |group| factors[group]) {
                        1.0 => {}
                        0.0 => part.fill(0.0),
                        factor => part.iter_mut().for_each(|w| *w *= factor),
                    }
                }
            })?;
        }
        Ok(())
    }

    /// [`Groups::norms`], those of the `least` largest channels of each of the scope's parameters taken for infinite, so that
    /// they stay.
    pub(super) fn spared(&self, params: &Params, scope: &Scope, now: Now<'_>, least: usize) -> Result<Vec<f32>> {
        let norms = self.norms(params, now)?;
        let mut spared = norms.clone();
        for groups in self.made(params, scope) {
            let sizes = groups.iter().map(|group| group.map_or(f32::INFINITY, |group| norms[group])).collect();
            let stays = spare(sizes, least).into_iter().map(f32::is_infinite);
            let stay = groups.iter().zip(stays).filter_map(|(group, stays)| group.filter(|_| stays));
            stay.for_each(|group| spared[group] = f32::INFINITY);
        }
        Ok(spared)
    }

    /// For each of the scope's parameters the groups of the channels that it makes.
    pub(super) fn made(&self, params: &Params, scope: &Scope) -> Vec<Vec<Option<usize>>> {
        let of = |&position: &usize| {
            let made = self.slices.iter().find(|slices| slices.position == position && slices.axis == 0);
            let none = || vec![None; params.list()[position].value.dims()[0]];
            made.map_or_else(none, |made| made.groups.iter().map(counted_from_0).collect())
        };
        scope.positions.iter().map(of).collect()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.sizes.len()
    }
}

/// A group as it is counted otherwise.
fn counted_from_0(group: &u32) -> Option<usize> {
    (*group as usize).checked_sub(1)
}

/// Numbers in each of `count` groups.
fn sizes(slices: &[Slices], count: usize, params: &Params) -> Vec<usize> {
    let mut sizes = vec![0; count];
    for slices in slices {
        let dims = params.list()[slices.position].value.dims();
        slices.stretches(dims).flatten().for_each(|group| sizes[group] += slices.stretch(dims));
    }
    sizes
}

#[cfg(test)]
mod tests {
    use interp_net::Graph;

    use super::*;

    /// A stem of two channels to which a block of two layers adds, and a classifier. All weights are 2, gains 1, shifts 0.
    fn network() -> Network {
        let mut graph = Graph::new(1, 4, 4).unwrap();
        let stem = graph.then("stem", Op::conv(2, 1, 1, 0, true)).unwrap();
        graph.then("inner", Op::conv(3, 1, 1, 0, false)).unwrap();
        graph.then("norm", Op::batch_norm()).unwrap();
        let branch = graph.then("outer", Op::conv(2, 1, 1, 0, false)).unwrap();
        graph.add("sum", Op::Add, &[stem, branch]).unwrap();
        graph.then("mean", Op::GlobalAvgPool).unwrap();
        graph.then("head", Op::Linear { out_features: 4, bias: true }).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        for position in 0..net.params.list().len() {
            if net.params.list()[position].role == Role::Weight {
                change(&mut net.params, position, |w| w.fill(2.0)).unwrap();
            }
        }
        net
    }

    fn groups(net: &Network, nodes: &str) -> (Scope, Groups) {
        let scope = Scope::new(net, &[nodes.into()], &[Role::Weight]).unwrap();
        let groups = Groups::of(net, &scope);
        (scope, groups)
    }

    // A channel of the sum: its filter of one weight and its bias in the stem, three weights of the inner layer that read
    // it, a filter of three of the outer one, four weights of the classifier: 12. An inner channel: two weights, gain,
    // shift, two weights that read it: 6. Those of the classifier stay.
    #[test]
    fn a_group_is_all_that_makes_and_reads_a_channel() {
        let net = network();
        let (scope, groups) = groups(&net, "*");
        let mut sizes = groups.sizes.clone();
        sizes.sort_unstable();
        assert_eq!(sizes, [6, 6, 6, 12, 12]);
        let made = groups.made(&net.params, &scope);
        assert_eq!(made[0], made[2], "the stem and the outer layer make the same channels");
        assert_eq!(made[3], [None; 4]);
    }

    // Three filters of one weight and a bias each, and of two outputs the weights on the four cells of each channel: 10.
    #[test]
    fn what_reads_a_channel_of_a_map_are_the_weights_on_its_cells() {
        let mut graph = Graph::new(1, 2, 2).unwrap();
        graph.then("conv", Op::conv(3, 1, 1, 0, true)).unwrap();
        graph.then("head", Op::Linear { out_features: 2, bias: true }).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let (scope, groups) = groups(&net, "conv");
        assert_eq!(groups.sizes, [10; 3]);
        let mut factors = vec![1.0; 3];
        factors[groups.made(&net.params, &scope)[0][1].unwrap()] = 0.0;
        groups.scale(&mut net.params, &factors).unwrap();
        let head = net.params.find(net.graph.id("head").unwrap(), Role::Weight).unwrap().to_vec2::<f32>().unwrap();
        assert!(head.iter().all(|row| row.iter().enumerate().all(|(at, w)| (*w == 0.0) == (4..8).contains(&at))));
        let small = net.compact().unwrap().network;
        assert_eq!(small.graph.shape(small.graph.id("conv").unwrap()), [2, 2, 2]);
    }

    // The root of the mean square: of a channel of the sum 11 numbers are 2 and the bias 0, of an inner one four are 2,
    // one is 1 and one 0. What is not trained is never small.
    #[test]
    fn norms_by_hand() {
        let net = network();
        let (scope, groups) = groups(&net, "*");
        let norms = |rates: &[f64]| groups.norms(&net.params, Now { rates, progress: 0.5 }).unwrap();
        let (rates, made) = (vec![0.1; net.params.list().len()], groups.made(&net.params, &scope));
        let of = |norms: &[f32], layer: usize| norms[made[layer][0].unwrap()];
        let found = norms(&rates);
        assert!((of(&found, 0) - (44.0f32 / 12.0).sqrt()).abs() < 1e-6);
        assert!((of(&found, 1) - (17.0f32 / 6.0).sqrt()).abs() < 1e-6);
        let mut rates = rates;
        rates[net.params.position(net.graph.id("norm").unwrap(), Role::Gain).unwrap()] = 0.0;
        let found = norms(&rates);
        assert!(of(&found, 0).is_finite() && of(&found, 1).is_infinite());
    }

    /// Zero together, a group is what [`Network::compact`] cuts out; a state has all of it.
    #[test]
    fn what_is_zero_together_is_cut() {
        let mut net = network();
        let mut state = State::default();
        groups(&net, "*").1.save(&mut state).unwrap();
        let groups = Groups::from(&state, &net.params).unwrap();
        let scope = Scope::new(&net, &["*".into()], &[Role::Weight]).unwrap();
        let made = groups.made(&net.params, &scope);
        let mut factors = vec![1.0; groups.count()];
        factors[made[0][1].unwrap()] = 0.0;
        factors[made[1][2].unwrap()] = 0.0;
        groups.scale(&mut net.params, &factors).unwrap();
        let small = net.compact().unwrap().network;
        let channels = |node: &str| small.graph.shape(small.graph.id(node).unwrap())[0];
        assert_eq!(["stem", "inner", "outer", "head"].map(channels), [1, 2, 1, 4]);
    }
}
