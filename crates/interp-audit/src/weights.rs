//! Weights of convolutions: what is wrong with them, and what they are together with those before.

use std::collections::BTreeSet;

use candle_core::{DType, Device, Tensor};
use interp_net::{Keep, Mode, Network, NodeId, Op, Role};

use crate::pass::numbers;
use crate::{AuditError, Result};

/// The cosine from which on filters are the same but for a factor.
pub const SAME: f64 = 0.95;
/// Cycles in a pixel from which on a frequency is high: half of the highest.
const HIGH: f64 = 0.25;

/// What is to be seen of the filters of a convolution by themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct Filters {
    /// The node.
    pub node: NodeId,
    /// Filters.
    pub count: usize,
    /// Those whose weights are all zero.
    pub zero: Vec<usize>,
    /// Pairs, of the others, that are the same but for a factor: their cosine, without its sign, is above [`SAME`].
    pub same: Vec<[usize; 2]>,
    /// The share of the energy of filters (sum of squares) that lies in high frequencies, in a row or a column more than a quarter of a cycle in a
    /// pixel; of filters that are not zero the mean. `None` of kernels of one pixel.
    pub noise: Option<f64>,
    /// The same of white noise: the share of frequencies that are high.
    pub noise_of_white: f64,
}

impl Filters {
    /// How many filters are the same as another.
    pub fn doubled(&self) -> usize {
        self.same.iter().flatten().collect::<BTreeSet<_>>().len()
    }
}

/// The filters of every convolution, in the graph's order.
///
/// # Errors
/// If weights cannot be read, or are no finite numbers.
pub fn filters(net: &Network) -> Result<Vec<Filters>> {
    let convolutions = (0..net.graph.nodes().len())
        .filter(|&id| matches!(net.graph.nodes()[id].op, Op::Conv2d { .. } | Op::BCosConv2d { .. }));
    let weights = convolutions.filter_map(|id| Some((id, net.params.find(id, Role::Weight)?)));
    weights.map(|(id, weight)| of(net, id, weight)).collect()
}

fn of(net: &Network, node: NodeId, weight: &Tensor) -> Result<Filters> {
    let (count, _, height, width) = weight.dims4()?;
    let values = numbers(weight)?;
    if values.iter().any(|value| !value.is_finite()) {
        return Err(AuditError::NotANumber(name(net, node)));
    }
    let size = values.len() / count.max(1);
    let filters: Vec<&[f64]> = values.chunks_exact(size.max(1)).collect();
    let lengths: Vec<f64> = filters.iter().map(|filter| dot(filter, filter).sqrt()).collect();
    let some: Vec<usize> = (0..count).filter(|&at| lengths[at] > 0.0).collect();
    // Filters of other groups read other channels.
    let group = count / groups(net, node).max(1);
    let alike = |a: usize, b: usize| a / group.max(1) == b / group.max(1);
    let same = |a: usize, b: usize| alike(a, b) && dot(filters[a], filters[b]).abs() > SAME * lengths[a] * lengths[b];
    let pairs = some.iter().enumerate().flat_map(|(at, &a)| some[at + 1..].iter().map(move |&b| [a, b]));
    let pairs = pairs.filter(|&[a, b]| same(a, b)).collect();
    let shares = some.iter().map(|&at| high_share(filters[at], height, width));
    let noise = shares.sum::<f64>() / some.len().max(1) as f64;
    let is_high = |(row, column): (usize, usize)| frequency(row, height).max(frequency(column, width)) > HIGH;
    let all = (0..height).flat_map(|row| (0..width).map(move |column| (row, column)));
    Ok(Filters {
        node,
        count,
        zero: (0..count).filter(|at| !some.contains(at)).collect(),
        same: pairs,
        noise: (height * width > 1 && !some.is_empty()).then_some(noise),
        noise_of_white: all.filter(|&place| is_high(place)).count() as f64 / (height * width).max(1) as f64,
    })
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Cycles in a pixel of a coefficient of a discrete Fourier transform.
fn frequency(coefficient: usize, side: usize) -> f64 {
    coefficient.min(side - coefficient) as f64 / side as f64
}

/// The share of the energy of a filter's slices, (channels, height, width), in high frequencies.
fn high_share(filter: &[f64], height: usize, width: usize) -> f64 {
    let (mut high, mut all) = (0.0, 0.0);
    for slice in filter.chunks_exact(height * width) {
        for row in 0..height {
            for column in 0..width {
                let phase = |y: usize, x: usize| {
                    let turns = (row * y) as f64 / height as f64 + (column * x) as f64 / width as f64;
                    std::f64::consts::TAU * turns
                };
                let sum = |of: fn(f64) -> f64| -> f64 {
                    slice.iter().enumerate().map(|(at, value)| value * of(phase(at / width, at % width))).sum()
                };
                let energy = sum(f64::cos).powi(2) + sum(f64::sin).powi(2);
                all += energy;
                if frequency(row, height).max(frequency(column, width)) > HIGH {
                    high += energy;
                }
            }
        }
    }
    if all > 0.0 { high / all } else { 0.0 }
}

/// A filter on pictures: (height, width, channels).
#[derive(Clone, Debug, PartialEq)]
pub struct Composed {
    /// The channel of the node.
    pub channel: usize,
    /// Rows and columns.
    pub size: [usize; 2],
    /// Row by row, the channels of a pixel side by side.
    pub weights: Vec<f32>,
}

/// What channels of a node are as linear filters on the picture, if all activations let through what they get and maxima were means: the weights of
/// all layers up to the node, composed, for the cell in the middle of its map. Where activations shut, the neuron computes something else. What
/// lies outside of the picture for that cell is left out.
///
/// # Errors
/// If the node has no maps, or lies behind what is no convolution, norm, activation, pooling, sum or the like, or weights that are no finite numbers.
pub fn composed(net: &Network, node: NodeId, channels: &[usize], batch: usize) -> Result<Vec<Composed>> {
    let &[_, rows, columns] = net.graph.shape(node) else { return Err(AuditError::NoCells(name(net, node))) };
    let cell = [rows / 2, columns / 2];
    let region = net.region(node, cell[0], cell[1]).ok_or_else(|| AuditError::NoCells(name(net, node)))?;
    let mut found = Vec::with_capacity(channels.len());
    for part in channels.chunks(batch.max(1)) {
        let gradient = gradient(net, node, part, cell)?;
        let size = [region.rows, region.columns].map(|[first, last]| last + 1 - first);
        let seen = gradient.narrow(2, region.rows[0], size[0])?.narrow(3, region.columns[0], size[1])?;
        for (at, &channel) in part.iter().enumerate() {
            let weights = seen.get(at)?.permute((1, 2, 0))?.flatten_all()?; // (C, h, w) -> (h, w, C)
            let weights: Vec<f32> = weights.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.to_vec1()?;
            if weights.iter().any(|weight| !weight.is_finite()) {
                return Err(AuditError::NotANumber(name(net, node)));
            }
            found.push(Composed { channel, size, weights });
        }
    }
    Ok(found)
}

/// The gradients of cells of a node's channels at the picture, with everything open: (channels, C, H, W).
fn gradient(net: &Network, node: NodeId, channels: &[usize], cell: [usize; 2]) -> Result<Tensor> {
    let &[count, rows, columns] = net.graph.shape(node) else { return Err(AuditError::NoCells(name(net, node))) };
    let mut seed = vec![0f32; channels.len() * count * rows * columns];
    for (at, channel) in channels.iter().enumerate() {
        seed[((at * count + channel) * rows + cell[0]) * columns + cell[1]] = 1.0;
    }
    let seed = Tensor::from_vec(seed, (channels.len(), count, rows, columns), &Device::Cpu)?;
    let shape = net.graph.shape(0);
    let nothing = Tensor::zeros((channels.len(), shape[0], shape[1], shape[2]), DType::F32, &net.device())?;
    let tape = net.run_to(&nothing, node, Mode::Eval, &Keep::All)?;
    Ok(net.open_gradient(&tape, &[(node, seed.to_device(&net.device())?)], 0)?)
}

/// Groups of filters that read channels of their own.
pub fn groups(net: &Network, node: NodeId) -> usize {
    if let Op::Conv2d { groups, .. } = net.graph.nodes()[node].op { groups } else { 1 }
}

fn name(net: &Network, node: NodeId) -> String {
    net.graph.nodes()[node].name.clone()
}

#[cfg(test)]
mod tests {
    use interp_net::Graph;

    use super::*;

    fn with_weight(weight: Vec<f32>, shape: (usize, usize, usize, usize)) -> Network {
        let mut graph = Graph::new(shape.1, 5, 5).unwrap();
        graph.then("conv", Op::conv(shape.0, shape.2, 1, shape.2 / 2, false)).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        net.params.set(0, Tensor::from_vec(weight, shape, &Device::Cpu).unwrap()).unwrap();
        net
    }

    // A filter, minus twice the same, one of zeros, one that is neither, and the first again, with one weight of 4 more than its 3: a cosine of .99.
    #[test]
    fn filters_that_are_the_same_or_zero_are_counted() {
        let (a, b) = ([1f32, 2.0, 0.0, -1.0, 0.5, 0.0, 3.0, 0.0, 1.0], [0f32, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let mut near = a;
        near[6] = 4.0;
        let weight = [a, a.map(|w| -2.0 * w), [0.0; 9], b, near].concat();
        let found = filters(&with_weight(weight, (5, 1, 3, 3))).unwrap().remove(0);
        assert_eq!((found.count, found.doubled(), found.zero), (5, 3, vec![2]));
        assert_eq!(found.same, [[0, 1], [0, 4], [1, 4]]);
        // Of the nine frequencies of a 3x3 kernel one is low.
        assert!((found.noise_of_white - 8.0 / 9.0).abs() < 1e-12);
    }

    // A flat filter has no high frequencies, one that changes sign from pixel to pixel nothing else, one pixel all alike.
    #[test]
    fn noise_is_what_lies_in_high_frequencies() {
        let noise = |weight: Vec<f32>, side| filters(&with_weight(weight, (1, 1, side, side))).unwrap()[0].noise;
        assert!(noise(vec![1.0; 9], 3).unwrap() < 1e-12);
        let checked: Vec<f64> = (0..16).map(|at| if (at / 4 + at) % 2 == 0 { 1.0 } else { -1.0 }).collect();
        assert!((high_share(&checked, 4, 4) - 1.0).abs() < 1e-12);
        let mut pixel = vec![0.0; 9];
        pixel[4] = 1.0;
        assert!((noise(pixel, 3).unwrap() - 8.0 / 9.0).abs() < 1e-6);
        assert_eq!(noise(vec![2.0], 1), None);
    }

    // [1, 2, 1] after [1, -1], along a row: [1, 1, -1, -1]; behind a ReLU that is taken as open, and a gain of 3 and variance of 4: times 3 / 2.
    #[test]
    fn filters_compose_as_polynomials_do() {
        let row = |kernel: usize| Op::Conv2d {
            out_channels: 1,
            kernel: [1, kernel],
            stride: [1; 2],
            padding: [0; 2],
            dilation: [1; 2],
            groups: 1,
            bias: false,
        };
        let mut graph = Graph::new(1, 1, 9).unwrap();
        graph.then("first", row(2)).unwrap();
        graph.then("norm", Op::BatchNorm { eps: 0.0, momentum: 0.1 }).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        let last = graph.then("second", row(3)).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let mut set = |node: usize, role, values: &[f32], shape: &[usize]| {
            let position = net.params.position(node, role).unwrap();
            net.params.set(position, Tensor::from_slice(values, shape, &Device::Cpu).unwrap()).unwrap();
        };
        set(1, Role::Weight, &[1.0, -1.0], &[1, 1, 1, 2]);
        set(2, Role::Gain, &[3.0], &[1]);
        set(2, Role::RunningVariance, &[4.0], &[1]);
        set(4, Role::Weight, &[1.0, 2.0, 1.0], &[1, 1, 1, 3]);
        let found = composed(&net, last, &[0], 4).unwrap().remove(0);
        assert_eq!((found.size, found.weights), ([1, 4], vec![1.5, 1.5, -1.5, -1.5]));
    }
}
