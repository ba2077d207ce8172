//! What pixels contribute to a decision.

use candle_core::{DType, Device, Tensor};
use interp_net::ops::scalars::largest;
use interp_net::{Keep, Mode, Network, NodeId, Op};

use crate::Result;
use crate::pass::{Observer, Sample, finite_rows};
use crate::pictures::Gauge;

/// A decision with what each pixel contributed to it.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The class of the largest logit.
    pub class: usize,
    /// That logit.
    pub logit: f64,
    /// What the network's linear part saw of the picture (C, H, W): pixel values, and what is missing to 1, or else the input.
    pub seen: Tensor,
    /// The weight of each of these numbers in the logit, for this picture (C, H, W).
    pub weights: Tensor,
}

impl Explained {
    /// What each number contributed to the logit (C, H, W): the number times its weight.
    ///
    /// # Errors
    /// Where tensors cannot be multiplied.
    pub fn contributions(&self) -> Result<Tensor> {
        Ok((&self.seen * &self.weights)?)
    }

    /// The logit less the sum of all contributions: what was not contributed by any pixel.
    ///
    /// # Errors
    /// Where tensors cannot be added up.
    pub fn gap(&self) -> Result<f64> {
        let sum = self.contributions()?.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?;
        Ok(self.logit - sum)
    }
}

/// Explains the decisions over pictures `x` (N, C, H, W), normalized, by the contributions to the largest output of the node
/// `at` (N, classes). See [`Network::linear_map`] for what contributions are, and where they are all that there is.
///
/// # Errors
/// If the pictures do not fit the network, or `at` does not depend on them, is no vector or holds what is no finite number.
pub fn explain(net: &Network, x: &Tensor, at: NodeId) -> Result<Vec<Explained>> {
    let start = start(net);
    let tape = net.forward(x, Mode::Precise, &Keep::Backward(vec![start, at]))?;
    let (outputs, seen) = (tape.at(&net.graph, at)?, tape.at(&net.graph, start)?);
    let logits = finite_rows(net, at, outputs)?;
    let classes: Vec<usize> = logits.iter().map(|row| largest(row)).collect();
    let weights = net.linear_map(&tape, &[(at, one_hot(&classes, outputs)?)], start)?;
    let one = |(row, class): (usize, usize)| {
        Ok(Explained { class, logit: logits[row][class], seen: seen.get(row)?, weights: weights.get(row)? })
    };
    classes.into_iter().enumerate().map(one).collect()
}

/// Where the network's linear part begins: at what adds to a picture what is missing to 1, or else at the picture.
fn start(net: &Network) -> NodeId {
    net.graph.nodes().iter().position(|node| node.op == Op::Complement).unwrap_or(0)
}

/// 1 at the class of each row of a tensor like `outputs`, else 0.
fn one_hot(classes: &[usize], outputs: &Tensor) -> Result<Tensor> {
    let width = outputs.dim(1)?;
    let row = |&class: &usize| (0..width).map(move |k| if k == class { 1f32 } else { 0.0 });
    let rows: Vec<f32> = classes.iter().flat_map(row).collect();
    Ok(Tensor::from_vec(rows, outputs.dims(), &Device::Cpu)?.to_dtype(outputs.dtype())?.to_device(outputs.device())?)
}

/// The largest gap between a logit and what pixels contribute, over the pictures seen; not a number where one is not.
#[derive(Debug)]
pub(crate) struct Gap {
    nodes: Vec<NodeId>,
    largest: Option<f64>,
}

/// Pictures explained at a time: the backward sweep needs the activations of all of them.
const BATCH: usize = 64;

impl Gap {
    pub(crate) fn new(nodes: &[NodeId]) -> Self {
        Self { nodes: nodes.to_vec(), largest: None }
    }
}

impl Observer for Gap {
    fn taps(&self) -> Vec<NodeId> {
        vec![0]
    }

    fn observe(&mut self, net: &Network, sample: &Sample<'_>) -> Result<()> {
        let pictures = sample.tape.at(&net.graph, 0)?;
        let count = pictures.dim(0)?;
        for first in (0..count).step_by(BATCH) {
            let x = pictures.narrow(0, first, BATCH.min(count - first))?;
            for &node in &self.nodes {
                for explained in explain(net, &x, node)? {
                    let gap = explained.gap()?.abs();
                    let larger = |largest: f64| if largest.is_nan() || largest > gap { largest } else { gap };
                    self.largest = Some(self.largest.map_or(gap, larger));
                }
            }
        }
        Ok(())
    }
}

impl Gauge for Gap {
    fn value(&self) -> Option<f64> {
        self.largest
    }
}

#[cfg(test)]
mod tests {
    use interp_data::Batch;
    use interp_net::Graph;

    use super::*;

    /// Two pixels in a row, their complements, one filter, [1, 0] of a pixel and its complement, and the mean over pixels.
    fn network(exponent: f64) -> Network {
        let mut graph = Graph::new(1, 1, 2).unwrap();
        graph.then("complement", Op::Complement).unwrap();
        graph.then("bcos", Op::bcos(2, 1, 1, 0, exponent)).unwrap();
        graph.then("mean", Op::GlobalAvgPool).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let weight = Tensor::from_vec(vec![2f32, 0.0, 0.0, 0.0], (2, 2, 1, 1), &Device::Cpu).unwrap();
        net.params.set(0, weight).unwrap();
        net
    }

    fn pixels(values: [f32; 2]) -> Tensor {
        Tensor::from_vec(values.to_vec(), (1, 1, 1, 2), &Device::Cpu).unwrap()
    }

    // A pixel of 0.75 and its 0.25 have the norm sqrt 0.625: it finds 0.75^2 / sqrt 0.625; a black pixel finds nothing.
    #[test]
    fn contributions_by_hand() {
        let found = &explain(&network(2.0), &pixels([0.75, 0.0]), 3).unwrap()[0];
        let expected = 0.5625 / 0.625f64.sqrt() / 2.0;
        assert!(found.class == 0 && (found.logit - expected).abs() < 1e-6);
        let numbers = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(numbers(&found.seen), [0.75, 0.0, 0.25, 1.0]);
        let contributions = numbers(&found.contributions().unwrap());
        assert!((f64::from(contributions[0]) - expected).abs() < 1e-6 && contributions[1..] == [0.0; 3]);
        assert!(found.gap().unwrap().abs() < 1e-7);
    }

    /// A bias is what no pixel contributes.
    #[test]
    fn what_is_added_is_the_gap() {
        let mut graph = Graph::new(1, 1, 2).unwrap();
        graph.then("mean", Op::GlobalAvgPool).unwrap();
        graph.then("head", Op::Linear { out_features: 2, bias: true }).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        net.params.set(0, Tensor::from_vec(vec![3f32, -1.0], (2, 1), &Device::Cpu).unwrap()).unwrap();
        net.params.set(1, Tensor::from_vec(vec![0.25f32, 0.0], 2, &Device::Cpu).unwrap()).unwrap();
        let found = &explain(&net, &pixels([1.0, 3.0]), 2).unwrap()[0];
        assert_eq!((found.class, found.logit, found.gap().unwrap()), (0, 6.25, 0.25));
        let mut gap = Gap::new(&[2]);
        assert_eq!(gap.value(), None);
        let tape = net.forward(&pixels([1.0, 3.0]), Mode::Eval, &Keep::All).unwrap();
        let batch = Batch { images: vec![], labels: vec![0], indices: vec![0], masks: None };
        gap.observe(&net, &Sample { tape: &tape, batch: &batch }).unwrap();
        assert_eq!(gap.value(), Some(0.25));
    }
}
