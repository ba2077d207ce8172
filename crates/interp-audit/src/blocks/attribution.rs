//! How much each channel and each place of a layer speaks for an output.

use candle_core::{DType, Device, Tensor};
use interp_net::{Keep, Mode, Network, NodeId, Want};

use crate::pass::{numbers, rows};
use crate::{AuditError, Result};

/// What is explained of a picture: an output, or by how much it is above another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The output.
    pub class: usize,
    /// The one that it is compared with.
    pub against: Option<usize>,
}

/// A layer's activation for a picture, and the gradient at it of what is explained.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// What is explained: the output, or the difference of two.
    pub score: f64,
    /// Channels, rows and columns.
    pub shape: [usize; 3],
    /// (C, h, w).
    pub activation: Vec<f64>,
    /// (C, h, w).
    pub gradient: Vec<f64>,
}

/// The evidence of a layer's activation for what is explained of each picture `x` (N, C, H, W), as the network sees it; `at_once` go through at a time.
///
/// # Errors
/// If the node has no maps, the output does not depend on it, or a number is not finite.
pub fn evidence(
    net: &Network,
    pictures: &Tensor,
    node: NodeId,
    targets: &[Target],
    at_once: usize,
) -> Result<Vec<Evidence>> {
    let name = || net.graph.nodes()[node].name.clone();
    let &[channels, height, width] = net.graph.shape(node) else { return Err(AuditError::NoCells(name())) };
    let shape = [channels, height, width];
    let (at_once, output, mut found) = (at_once.max(1), net.graph.output(), vec![]);
    for (part, targets) in targets.chunks(at_once).enumerate() {
        let x = pictures.narrow(0, part * at_once, targets.len())?;
        let tape = net.forward(&x, Mode::Precise, &Keep::Gradients(vec![node]))?;
        let outputs = rows(tape.output(&net.graph)?)?;
        let seed = seed(targets, net.graph.outputs(), tape.output(&net.graph)?)?;
        let grads = net.backward(&tape, &[(output, seed)], &Want { nodes: vec![node], params: vec![] })?;
        let gradient = numbers(grads.node(node).ok_or_else(|| AuditError::Independent(name()))?)?;
        let activation = numbers(tape.at(&net.graph, node)?)?;
        if outputs.iter().flatten().chain(&gradient).chain(&activation).any(|value| !value.is_finite()) {
            return Err(AuditError::NotANumber(name()));
        }
        let size = channels * height * width;
        let pairs = activation.chunks_exact(size).zip(gradient.chunks_exact(size));
        found.extend(pairs.zip(targets).zip(&outputs).map(|(((activation, gradient), target), row)| Evidence {
            score: row[target.class] - target.against.map_or(0.0, |other| row[other]),
            shape,
            activation: activation.to_vec(),
            gradient: gradient.to_vec(),
        }));
    }
    Ok(found)
}

/// The gradient of what is explained at the outputs: (N, classes), like them.
fn seed(targets: &[Target], classes: usize, outputs: &Tensor) -> Result<Tensor> {
    let mut seed = vec![0f64; targets.len() * classes];
    for (at, target) in targets.iter().enumerate() {
        seed[at * classes + target.class] += 1.0;
        target.against.iter().for_each(|other| seed[at * classes + other] -= 1.0);
    }
    let seed = Tensor::from_vec(seed, (targets.len(), classes), &Device::Cpu)?;
    let dtype: DType = outputs.dtype();
    Ok(seed.to_dtype(dtype)?.to_device(outputs.device())?)
}

impl Evidence {
    fn cells(&self) -> usize {
        self.shape[1] * self.shape[2]
    }

    /// Gradient times activation, (C, h, w).
    fn products(&self) -> impl Iterator<Item = f64> {
        self.gradient.iter().zip(&self.activation).map(|(g, a)| g * a)
    }

    /// What each channel speaks for it: the sum over places of gradient times activation (Olah et al. 2018, "The building blocks of interpretability",
    /// section "What does the network see"). Where all behind the layer is linear these add up to the score without what is added.
    pub fn channels(&self) -> Vec<f64> {
        let products: Vec<f64> = self.products().collect();
        products.chunks_exact(self.cells()).map(|cells| cells.iter().sum()).collect()
    }

    /// What each place speaks for it: the sum over channels, (h, w).
    pub fn places(&self) -> Vec<f64> {
        let mut places = vec![0.0; self.cells()];
        self.products().enumerate().for_each(|(at, product)| places[at % self.cells()] += product);
        places
    }

    /// What a group speaks for it, that is `amount` of each place times `direction` of each channel of the activation.
    pub fn group(&self, amount: &[f64], direction: &[f64]) -> f64 {
        let part = |(at, g): (usize, &f64)| g * amount[at % self.cells()] * direction[at / self.cells()];
        self.gradient.iter().enumerate().map(part).sum()
    }

    /// The channel of the largest activation at each place, (h, w), with the activation; of equal ones the first.
    pub fn strongest(&self) -> Vec<(usize, f64)> {
        let at = |cell: usize, channel: usize| self.activation[channel * self.cells() + cell];
        let strongest = |cell: usize| {
            let better = |best: (usize, f64), channel: usize| match at(cell, channel) {
                value if value > best.1 => (channel, value),
                _ => best,
            };
            (0..self.shape[0]).fold((0, f64::NEG_INFINITY), better)
        };
        (0..self.cells()).map(strongest).collect()
    }
}

#[cfg(test)]
mod tests {
    use interp_net::{Graph, Op, Role};

    use super::*;

    fn set(net: &mut Network, node: usize, role: Role, values: &[f32]) {
        let position = net.params.position(node, role).unwrap();
        let shape = net.params.list()[position].value.dims().to_vec();
        net.params.set(position, Tensor::from_slice(values, shape, &Device::Cpu).unwrap()).unwrap();
    }

    /// Two channels of 1x2, their mean, and a linear map of weights (1, 2), (-1, 4) and biases 0.5, 7.
    fn headed() -> Network {
        let mut graph = Graph::new(2, 1, 2).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        graph.then("mean", Op::GlobalAvgPool).unwrap();
        let head = graph.then("head", Op::Linear { out_features: 2, bias: true }).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        set(&mut net, head, Role::Weight, &[1.0, 2.0, -1.0, 4.0]);
        set(&mut net, head, Role::Bias, &[0.5, 7.0]);
        net
    }

    // Activations (3, 0), (1, 5): means 1.5 and 3. Output 0 is 1.5 + 6 + 0.5 = 8, of which channels say 1.5 and 6, places 1.5 + 1 and 5. Output 1 less output 0:
    // 17.5 - 8, by weights (-2, 2): -3 and 6.
    #[test]
    fn channels_and_places_by_hand() {
        let net = headed();
        let x = Tensor::new(&[[[[3f32, -2.0]], [[1.0, 5.0]]]], &Device::Cpu).unwrap();
        let of = |class, against| evidence(&net, &x, 1, &[Target { class, against }], 8).unwrap().remove(0);
        let found = of(0, None);
        assert_eq!((found.score, found.channels(), found.places()), (8.0, vec![1.5, 6.0], vec![2.5, 5.0]));
        assert_eq!(found.channels().iter().sum::<f64>(), found.score - 0.5);
        assert_eq!(found.strongest(), [(0, 3.0), (1, 5.0)]);
        let compared = of(1, Some(0));
        assert_eq!((compared.score, compared.channels()), (9.5, vec![-3.0, 6.0]));
        assert_eq!(compared.places().iter().sum::<f64>(), 9.5 - 6.5);
        // Of a group that is the first channel, twice at the second place: gradient 1/2 each.
        assert_eq!(found.group(&[1.0, 2.0], &[1.0, 0.0]), 1.5);
        assert!(matches!(evidence(&net, &x, 2, &[Target { class: 0, against: None }], 8), Err(AuditError::NoCells(_))));
    }

    // Behind a layer that is not linear, channels and places add up to the same.
    #[test]
    fn channels_and_places_add_up_alike_in_parts_of_any_size() {
        let mut graph = Graph::new(3, 6, 6).unwrap();
        graph.then("conv", Op::conv(5, 3, 1, 1, true)).unwrap();
        let node = graph.then("relu", Op::Relu).unwrap();
        graph.then("conv2", Op::conv(4, 3, 2, 1, true)).unwrap();
        graph.then("relu2", Op::Relu).unwrap();
        graph.then("mean", Op::GlobalAvgPool).unwrap();
        graph.then("head", Op::Linear { out_features: 4, bias: true }).unwrap();
        let net = Network::new(graph, 2).unwrap();
        let values: Vec<f32> = (0..3 * 108).map(|at| (at as f32 * 0.77).sin()).collect();
        let x = Tensor::from_vec(values, (3, 3, 6, 6), &Device::Cpu).unwrap();
        let targets = [(0, Some(1)), (2, None), (3, Some(0))].map(|(class, against)| Target { class, against });
        let found = evidence(&net, &x, node, &targets, 2).unwrap();
        for found in &found {
            let [channels, places] = [found.channels(), found.places()].map(|parts| parts.iter().sum::<f64>());
            assert!((channels - places).abs() < 1e-12 && channels != 0.0);
        }
        assert_eq!(found, evidence(&net, &x, node, &targets, 256).unwrap());
    }
}
