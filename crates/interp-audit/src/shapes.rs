//! What each concept adds to each logit, where logits are sums over concepts.

use interp_net::{Network, NodeId};

use crate::Result;
use crate::bottleneck::logits_of;

/// Shape functions: what a layer's numbers add to logits, each by itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shapes {
    /// Where functions are given: numbers that the layer can say, in order.
    pub values: Vec<f64>,
    /// By concept, class and value: what the concept adds to the logit, less its mean over pictures.
    pub adds: Vec<Vec<Vec<f64>>>,
    /// By concept and class: the deviation over pictures of what the concept adds.
    pub deviations: Vec<Vec<f64>>,
    /// The largest difference, over pictures and classes, between a logit and the sum of what concepts add to it and the logits' means.
    pub gap: f64,
    /// The largest logit of any picture, without its sign, that the gap is to be seen beside.
    pub largest: f64,
}

/// Below this share of the largest logit a gap is rounding.
const ROUNDING: f64 = 1e-4;

/// Points of a function.
const POINTS: usize = 21;

impl Shapes {
    /// Whether logits are the sums of what concepts add, but for rounding.
    pub fn add_up(&self) -> bool {
        self.gap <= ROUNDING * self.largest.max(1.0)
    }

    /// Concepts, that which moves logits most first.
    pub fn order(&self) -> Vec<usize> {
        let moved = |concept: usize| self.deviations[concept].iter().map(|deviation| deviation.powi(2)).sum::<f64>();
        let mut order: Vec<usize> = (0..self.deviations.len()).collect();
        order.sort_by(|&a, &b| moved(b).total_cmp(&moved(a)).then(a.cmp(&b)));
        order
    }
}

/// The functions of the part of a network behind `node`, a layer that `said` these numbers of pictures (N rows of K), between the least and the largest that were
/// said: each concept is moved, the others held at their means. Where logits are sums of functions of single concepts, these are the functions, whatever the
/// others are held at (Agarwal et al. 2021, arXiv 2004.13912, section 3); `gap` says how far they are from it.
///
/// # Errors
/// If the network cannot be run from there.
pub fn shapes(net: &Network, node: NodeId, said: &[Vec<f64>]) -> Result<Shapes> {
    let (count, width) = (said.len() as f64, said.first().map_or(0, Vec::len));
    let means: Vec<f64> = (0..width).map(|at| said.iter().map(|row| row[at]).sum::<f64>() / count).collect();
    let all = || said.iter().flatten().copied();
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let values: Vec<f64> = (0..POINTS).map(|at| low + (high - low) * at as f64 / (POINTS - 1) as f64).collect();
    let logits = logits_of(net, node, said)?;
    let classes = logits.first().map_or(0, Vec::len);
    let mean_of = |rows: &[Vec<f64>], class: usize| rows.iter().map(|row| row[class]).sum::<f64>() / rows.len() as f64;
    let mut sums: Vec<Vec<f64>> = vec![(0..classes).map(|class| mean_of(&logits, class)).collect(); said.len()];
    let (mut adds, mut deviations) = (vec![], vec![]);
    for concept in 0..width {
        let with =
            |value: f64| (0..width).map(|at| if at == concept { value } else { means[at] }).collect::<Vec<f64>>();
        let found = logits_of(net, node, &said.iter().map(|row| with(row[concept])).collect::<Vec<_>>())?;
        let drawn = logits_of(net, node, &values.iter().map(|&value| with(value)).collect::<Vec<_>>())?;
        let mut of_concept = (vec![], vec![]);
        for class in 0..classes {
            let mean = mean_of(&found, class);
            for (sums, found) in sums.iter_mut().zip(&found) {
                sums[class] += found[class] - mean;
            }
            of_concept.0.push(drawn.iter().map(|row| row[class] - mean).collect());
            let variance = found.iter().map(|row| (row[class] - mean).powi(2)).sum::<f64>() / count;
            of_concept.1.push(variance.sqrt());
        }
        adds.push(of_concept.0);
        deviations.push(of_concept.1);
    }
    let gap = logits.iter().flatten().zip(sums.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let largest = logits.iter().flatten().map(|logit| logit.abs()).fold(0.0, f64::max);
    Ok(Shapes { values, adds, deviations, gap, largest })
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use interp_net::{Graph, Op, Role};

    use super::*;

    /// Two concepts, each with a unit of its own, `relu(c - 1/2)` and `relu(1/2 - c)`, and two logits of these.
    fn network() -> Network {
        let mut graph = Graph::new(2, 1, 1).unwrap();
        let own = Op::Conv2d {
            out_channels: 2,
            kernel: [1; 2],
            stride: [1; 2],
            padding: [0; 2],
            dilation: [1; 2],
            groups: 2,
            bias: true,
        };
        graph.then("hidden", own).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        graph.then("classes", Op::Linear { out_features: 2, bias: true }).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let values = [
            ("hidden", Role::Weight, vec![1f32, -1.0]),
            ("hidden", Role::Bias, vec![-0.5, 0.5]),
            ("classes", Role::Weight, vec![2.0, 0.0, 4.0, -6.0]),
            ("classes", Role::Bias, vec![1.0, 0.0]),
        ];
        for (node, role, values) in values {
            let position = net.params.position(net.graph.id(node).unwrap(), role).unwrap();
            let shape = net.params.list()[position].value.dims().to_vec();
            net.params.set(position, Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap();
        }
        net
    }

    #[test]
    fn functions_by_hand() {
        let said = [vec![0.0, 1.0], vec![1.0, 0.0], vec![0.0, 0.0], vec![1.0, 1.0]];
        let found = shapes(&network(), 0, &said).unwrap();
        assert!(found.add_up() && found.gap < 1e-6, "{}", found.gap);
        assert_eq!((found.values[0], found.values[10], found.values[20]), (0.0, 0.5, 1.0));
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a}, not {b}");
        // 2 relu(c - 1/2) is 0 or 1, 1/2 on average: -1/2 up to one half, 1/2 at 1.
        let of_first = &found.adds[0][0];
        [(0, -0.5), (10, -0.5), (15, 0.0), (20, 0.5)].into_iter().for_each(|(at, value)| near(of_first[at], value));
        // -6 relu(1/2 - c) is -3 or 0, -3/2 on average.
        [(0, -1.5), (10, 1.5), (20, 1.5)].into_iter().for_each(|(at, value)| near(found.adds[1][1][at], value));
        near(found.deviations[0][0], 0.5);
        near(found.deviations[1][0], 0.0);
        near(found.deviations[0][1], 1.0);
        near(found.deviations[1][1], 1.5);
        // 1 + 1.5^2 of the second concept's logit, 0.5^2 + 1 of the first's.
        assert_eq!(found.order(), [1, 0]);
    }

    /// A unit of both concepts is no sum of functions of one.
    #[test]
    fn what_does_not_add_up_is_told() {
        let mut graph = Graph::new(2, 1, 1).unwrap();
        graph.then("hidden", Op::conv(1, 1, 1, 0, true)).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        graph.then("classes", Op::Linear { out_features: 1, bias: false }).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        for (node, role, values) in [
            ("hidden", Role::Weight, vec![1f32, 1.0]),
            ("hidden", Role::Bias, vec![-1.0]),
            ("classes", Role::Weight, vec![1.0]),
        ] {
            let position = net.params.position(net.graph.id(node).unwrap(), role).unwrap();
            let shape = net.params.list()[position].value.dims().to_vec();
            net.params.set(position, Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap();
        }
        // Both must be there: relu(a + b - 1).
        let said = [vec![0.0, 1.0], vec![1.0, 0.0], vec![0.0, 0.0], vec![1.0, 1.0]];
        let found = shapes(&net, 0, &said).unwrap();
        // Each adds relu(c - 1/2) less its mean, 1/4 or -1/4, to the mean of 1/4: 3/4 where the logit is 1, 1/4 where it is 0.
        assert!(!found.add_up() && (found.gap - 0.25).abs() < 1e-6, "{}", found.gap);
    }
}
