//! What a network can do without a part of it.

use candle_core::{DType, Device, Tensor};
use interp_net::ops::scalars::largest;
use interp_net::{Keep, Network, NodeId, Tape};

use crate::pass::{Pass, Sample, finite_rows};
use crate::{Pictures, Result};

/// How often a network is right, as it is and without what a node tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ablation {
    /// Share of pictures that the network is right on.
    pub accuracy: f64,
    /// The same where every channel of the node has its mean over all pictures and positions in place of its values.
    pub without: f64,
    /// Pictures.
    pub count: usize,
}

/// Pictures at a time: all activations of a pass are kept.
const BATCH: usize = 64;

/// Replaces what the node `at` tells by the mean of each of its channels.
///
/// # Errors
/// If pictures cannot be had or do not fit the network.
pub fn ablate(net: &Network, pictures: &Pictures, at: NodeId) -> Result<Ablation> {
    let means = means(net, pictures, at)?;
    let (mut right, mut without, mut count) = (0, 0, 0);
    pass(Keep::All).over(net, pictures, |&Sample { tape, batch }| {
        let (activation, labels) = (tape.at(&net.graph, at)?, &batch.labels);
        let again = net.rerun(tape, at, &filled(&means, activation)?)?;
        let hits = |tape: &Tape| -> Result<usize> {
            let rows = finite_rows(net, net.graph.output(), tape.output(&net.graph)?)?;
            Ok(rows.iter().zip(labels).filter(|(row, label)| largest(row) == **label as usize).count())
        };
        right += hits(tape)?;
        without += hits(&again)?;
        count += labels.len();
        Ok(())
    })?;
    let share = |hits: usize| hits as f64 / count.max(1) as f64;
    Ok(Ablation { accuracy: share(right), without: share(without), count })
}

/// How pictures are gone through.
fn pass(keep: Keep) -> Pass {
    Pass { batch: BATCH, ..Pass::keeping(keep) }
}

/// The mean of every channel of a node over all pictures and positions.
fn means(net: &Network, pictures: &Pictures, at: NodeId) -> Result<Vec<f64>> {
    let (mut sums, mut count) = (vec![0.0; net.graph.shape(at)[0]], 0);
    pass(Keep::nodes([net.graph.nodes()[at].name.as_str()])).over(net, pictures, |&Sample { tape, .. }| {
        let activation = tape.at(&net.graph, at)?.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        let by_channel = activation.transpose(0, 1)?.flatten_from(1)?; // (C, N ...)
        let found = by_channel.sum(1)?.to_vec1::<f64>()?;
        sums.iter_mut().zip(found).for_each(|(sum, found)| *sum += found);
        count += by_channel.dim(1)?;
        Ok(())
    })?;
    Ok(sums.into_iter().map(|sum| sum / count.max(1) as f64).collect())
}

/// The value of each channel at every position, for a tensor like `activation`.
fn filled(means: &[f64], activation: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; activation.rank()];
    shape[1] = means.len();
    let means = Tensor::from_slice(means, shape, &Device::Cpu)?.to_dtype(activation.dtype())?;
    Ok(means.to_device(activation.device())?.broadcast_as(activation.dims())?.contiguous()?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use interp_data::{Dataset, Info, Split};
    use interp_net::{Graph, Op};

    use super::*;

    /// Pictures of one pixel, 0 to 3; those from 2 on are of class 1.
    struct Ramp(Info);

    impl Dataset for Ramp {
        fn info(&self) -> &Info {
            &self.0
        }

        fn len(&self, _: Split) -> usize {
            4
        }

        fn label(&self, _: Split, index: usize) -> u32 {
            u32::from(index >= 2)
        }

        fn image(&self, _: Split, index: usize, out: &mut [f32]) -> interp_data::Result<()> {
            out[0] = index as f32;
            Ok(())
        }
    }

    fn ramp() -> Pictures {
        let (mean, std, classes) = (vec![0.0], vec![1.0], vec!["small".into(), "large".into()]);
        let info = Info { name: "ramp".into(), classes, channels: 1, height: 1, width: 1, mean, std };
        Pictures { data: Arc::new(Ramp(info)), split: Split::Test, noise: None, workers: 0 }
    }

    // Logits x and 2 x - 1.25: class 1 from 1.25 on. With the mean, 1.5, in place of every pixel, it is class 1 throughout.
    #[test]
    fn without_a_node_a_network_is_right_as_often_as_by_its_mean() {
        let mut graph = Graph::new(1, 1, 1).unwrap();
        let at = graph.then("same", Op::AvgPool { kernel: [1; 2], stride: [1; 2], padding: [0; 2] }).unwrap();
        graph.then("mean", Op::GlobalAvgPool).unwrap();
        graph.then("head", Op::Linear { out_features: 2, bias: true }).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        net.params.set(0, Tensor::from_vec(vec![1f32, 2.0], (2, 1), &Device::Cpu).unwrap()).unwrap();
        net.params.set(1, Tensor::from_vec(vec![0f32, -1.25], 2, &Device::Cpu).unwrap()).unwrap();
        assert_eq!(means(&net, &ramp(), at).unwrap(), [1.5]);
        let found = ablate(&net, &ramp(), at).unwrap();
        assert_eq!(found, Ablation { accuracy: 1.0, without: 0.5, count: 4 });
    }
}
