//! How many things a decision is the sum of: a size of explanations.

use candle_core::Tensor;
use interp_net::ops::scalars::largest;
use interp_net::{Keep, Network, NodeId, Op, Role};
use serde::{Deserialize, Serialize};

use crate::pass::{Pass, numbers, rows};
use crate::{Pictures, Result};

/// What a decision is the sum of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Products of weight and input of a last linear layer.
    Products,
    /// Cells of a map that vote.
    Cells,
    /// Modules, each a network itself.
    Modules,
}

/// How many terms a decision is the sum of. Terms of different kinds are not comparable: a module is a network, a product two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// What they are.
    pub kind: Kind,
    /// The mean over pictures of how many are not zero for the largest logit. What is added whatever the picture is, a bias, is not counted.
    pub mean: f64,
}

/// The terms that a network's last node adds up. `None` where it adds nothing up.
///
/// # Errors
/// If pictures cannot be had or do not fit the network.
pub fn terms(net: &Network, pictures: &Pictures) -> Result<Option<Terms>> {
    let output = net.graph.output();
    let last = &net.graph.nodes()[output];
    let kind = match last.op {
        Op::Linear { .. } => Kind::Products,
        Op::GlobalAvgPool => Kind::Cells,
        Op::Add => Kind::Modules,
        _ => return Ok(None),
    };
    let weights = match net.params.find(output, Role::Weight) {
        Some(weights) => rows(weights)?,
        None => vec![],
    };
    let (mut sum, mut count) = (0, 0);
    let kept: Vec<NodeId> = last.inputs.iter().copied().chain([output]).collect();
    Pass::keeping(Keep::nodes(kept.iter().map(|&id| net.graph.nodes()[id].name.as_str()))).over(
        net,
        pictures,
        |seen| {
            let chosen = rows(seen.tape.output(&net.graph)?)?.iter().map(|row| largest(row)).collect::<Vec<_>>();
            let inputs: Vec<&Tensor> =
                last.inputs.iter().map(|&id| seen.tape.at(&net.graph, id)).collect::<interp_net::Result<_>>()?;
            sum += match kind {
                Kind::Products => products(inputs[0], &weights, &chosen)?,
                Kind::Cells => votes(inputs[0], &chosen)?,
                Kind::Modules => inputs.iter().map(|part| modules(part, &chosen)).sum::<Result<usize>>()?,
            };
            count += chosen.len();
            Ok(())
        },
    )?;
    Ok((count > 0).then(|| Terms { kind, mean: sum as f64 / count as f64 }))
}

/// Of features (N, ...) and weights (K, F): products that are not zero for the class of each picture.
fn products(features: &Tensor, weights: &[Vec<f64>], chosen: &[usize]) -> Result<usize> {
    let counted = |(features, &class): (Vec<f64>, &usize)| {
        features.iter().zip(&weights[class]).filter(|(a, w)| **a != 0.0 && **w != 0.0).count()
    };
    Ok(rows(&features.flatten_from(1)?)?.into_iter().zip(chosen).map(counted).sum())
}

/// Of votes (N, K, H, W): cells that are not zero for the class of each picture.
fn votes(votes: &Tensor, chosen: &[usize]) -> Result<usize> {
    let (_, classes, height, width) = votes.dims4()?;
    let (all, cells) = (numbers(votes)?, height * width);
    let of = |(at, &class): (usize, &usize)| {
        let first = (at * classes + class) * cells;
        all[first..first + cells].iter().filter(|vote| **vote != 0.0).count()
    };
    Ok(chosen.iter().enumerate().map(of).sum())
}

/// Of what a module adds (N, K): pictures for whose class it is not zero.
fn modules(part: &Tensor, chosen: &[usize]) -> Result<usize> {
    Ok(rows(part)?.iter().zip(chosen).filter(|(row, class)| row[**class] != 0.0).count())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::Device;
    use interp_data::{Dataset, Info, Split};
    use interp_net::Graph;

    use super::*;

    /// Two pictures of one row and two gray pixels: (0, 1) and (2, 1).
    struct Two(Info);

    impl Dataset for Two {
        fn info(&self) -> &Info {
            &self.0
        }

        fn len(&self, _: Split) -> usize {
            2
        }

        fn label(&self, _: Split, _: usize) -> u32 {
            0
        }

        fn image(&self, _: Split, index: usize, out: &mut [f32]) -> interp_data::Result<()> {
            out.copy_from_slice(&[2.0 * index as f32, 1.0]);
            Ok(())
        }
    }

    fn counted(graph: Graph, weights: &[f32], shape: &[usize]) -> Option<Terms> {
        let mut net = Network::new(graph, 0).unwrap();
        net.params.set(0, Tensor::from_vec(weights.to_vec(), shape, &Device::Cpu).unwrap()).unwrap();
        let info = Info {
            name: "two".into(),
            classes: vec!["a".into(), "b".into()],
            channels: 1,
            height: 1,
            width: 2,
            mean: vec![0.0],
            std: vec![1.0],
        };
        let pictures = Pictures { data: Arc::new(Two(info)), split: Split::Test, noise: None, workers: 0 };
        terms(&net, &pictures).unwrap()
    }

    // Weights (1, 0) and (-1, 2): logits (0, 2) and (2, 0). Of the first picture class 1 has one product, as a pixel is 0; of the second class 0
    // has one, as a weight is.
    #[test]
    fn terms_by_hand() {
        let mut graph = Graph::new(1, 1, 2).unwrap();
        graph.then("linear", Op::Linear { out_features: 2, bias: false }).unwrap();
        let products = |mean| Some(Terms { kind: Kind::Products, mean });
        assert_eq!(counted(graph, &[1.0, 0.0, -1.0, 2.0], &[2, 2]), products(1.0));
        let mut graph = Graph::new(1, 1, 2).unwrap();
        graph.then("linear", Op::Linear { out_features: 2, bias: false }).unwrap();
        assert_eq!(counted(graph, &[1.0, 1.0, 0.0, 0.0], &[2, 2]), products(1.5));
    }

    // Votes of a 1x1 convolution with weights 1 and -1: class 0 is told for both, by one cell and by two.
    #[test]
    fn votes_and_others_by_hand() {
        let votes = |last: bool| {
            let mut graph = Graph::new(1, 1, 2).unwrap();
            graph.then("votes", Op::conv(2, 1, 1, 0, false)).unwrap();
            graph.then("mean", Op::GlobalAvgPool).unwrap();
            if last {
                graph.then("relu", Op::Relu).unwrap();
            }
            counted(graph, &[1.0, -1.0], &[2, 1, 1, 1])
        };
        assert_eq!((votes(false), votes(true)), (Some(Terms { kind: Kind::Cells, mean: 1.5 }), None));
    }
}
