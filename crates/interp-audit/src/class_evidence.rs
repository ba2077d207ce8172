//! How far each channel speaks for one class.

use candle_core::{D, DType};
use interp_net::{Network, NodeId, Role};

use crate::Result;
use crate::pass::{Observer, Sample, numbers, rows};
use crate::pictures::Gauge;

/// For every channel that a layer reads evidence for classes from, what it adds to the logit of each class, over pictures of that class.
pub(crate) struct ClassEvidence(Vec<Layer>);

struct Layer {
    node: NodeId,
    maps: NodeId,
    /// By class and channel: the layer's weights less their mean over classes.
    weights: Vec<Vec<f64>>,
    /// By class and channel: sums of the channels' means over positions.
    sums: Vec<Vec<f64>>,
    /// Pictures by class.
    counts: Vec<f64>,
}

impl ClassEvidence {
    /// Nothing seen yet, for those of the nodes that read maps.
    pub(crate) fn of(net: &Network, nodes: &[NodeId]) -> Self {
        let layer = |&node: &NodeId| {
            let (maps, classes) = (net.graph.evidence_maps(node)?, net.graph.shape(node)[0]);
            let sums = vec![vec![0.0; net.graph.shape(maps)[0]]; classes];
            Some(Layer { node, maps, weights: vec![], sums, counts: vec![0.0; classes] })
        };
        Self(nodes.iter().filter_map(layer).collect())
    }
}

impl Layer {
    fn add(&mut self, means: &[Vec<f64>], labels: &[u32]) {
        for (means, &label) in means.iter().zip(labels) {
            let of_class = self.sums.get_mut(label as usize).zip(self.counts.get_mut(label as usize));
            let Some((sums, count)) = of_class else { continue };
            *count += 1.0;
            sums.iter_mut().zip(means).for_each(|(sum, x)| *sum += x);
        }
    }

    /// The largest share that a class has in the evidence of a channel; `None` where it speaks for no class that was seen.
    fn share(&self, channel: usize) -> Option<f64> {
        let seen = self.sums.iter().zip(&self.weights).zip(&self.counts).filter(|(_, count)| **count > 0.0);
        let evidence = seen.map(|((sums, weights), count)| sums[channel] / count * weights[channel]);
        // What is not a number stays so.
        let evidence: Vec<f64> = evidence.map(|e| if e < 0.0 { 0.0 } else { e }).collect();
        let sum: f64 = evidence.iter().sum();
        (sum != 0.0).then(|| evidence.into_iter().fold(0.0, f64::max) / sum)
    }

    fn mean(&self) -> Option<f64> {
        let channels = self.sums.first().map_or(0, Vec::len);
        let shares: Vec<f64> = (0..channels).filter_map(|channel| self.share(channel)).collect();
        (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
    }
}

/// Weights (K, C, ...) of a layer by class and channel, less their mean over classes.
fn centered(net: &Network, node: NodeId) -> Result<Vec<Vec<f64>>> {
    let Some(weight) = net.params.find(node, Role::Weight) else { return Ok(vec![]) };
    let (weights, channels) = (numbers(weight)?, weight.elem_count() / weight.dim(0)?);
    let rows = || weights.chunks_exact(channels.max(1));
    let mean = |channel: usize| rows().map(|row| row[channel]).sum::<f64>() / rows().len() as f64;
    let means: Vec<f64> = (0..channels).map(mean).collect();
    Ok(rows().map(|row| row.iter().zip(&means).map(|(w, mean)| w - mean).collect()).collect())
}

impl Observer for ClassEvidence {
    fn taps(&self) -> Vec<NodeId> {
        self.0.iter().map(|layer| layer.maps).collect()
    }

    fn observe(&mut self, net: &Network, sample: &Sample<'_>) -> Result<()> {
        for layer in &mut self.0 {
            if layer.weights.is_empty() {
                layer.weights = centered(net, layer.node)?;
            }
            let maps = sample.tape.at(&net.graph, layer.maps)?.to_dtype(DType::F64)?;
            layer.add(&rows(&maps.mean((D::Minus2, D::Minus1))?)?, &sample.batch.labels); // (N, C, H, W) -> (N, C)
        }
        Ok(())
    }
}

impl Gauge for ClassEvidence {
    fn value(&self) -> Option<f64> {
        // What is not a number is the lowest.
        self.0.iter().filter_map(Layer::mean).reduce(|a, b| if a.is_nan() || a < b { a } else { b })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use interp_data::Batch;
    use interp_net::{Graph, Keep, Mode, Op};

    use super::*;

    /// Maps of 1x2 cells of three channels, from the means of which three classes are told.
    fn network() -> Network {
        let mut graph = Graph::new(3, 1, 2).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        graph.then("mean", Op::GlobalAvgPool).unwrap();
        graph.then("head", Op::Linear { out_features: 3, bias: true }).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let weights = [[2f32, 3.0, 5.0], [1.0, 1.0, 1.0], [-3.0, -1.0, 0.0]];
        net.params.set(0, Tensor::new(&weights, &Device::Cpu).unwrap()).unwrap();
        net
    }

    // Less their means 0, 1 and 2 over classes the weights of the first class are 2, 2 and 3, of the second 1, 0 and -1; the first has two
    // pictures and counts by their mean, the third none. Channel 0: means 3 and 1, evidence 6 and 1; channel 1: all for the first;
    // channel 2 is never active.
    #[test]
    fn the_share_by_hand() {
        let net = network();
        let mut gauge = ClassEvidence::of(&net, &[1, 3]);
        assert_eq!((gauge.taps(), gauge.value()), (vec![1], None));
        let mut see = |pictures: &[[f32; 6]], labels: &[u32]| {
            let x = Tensor::from_vec(pictures.concat(), (labels.len(), 3, 1, 2), &Device::Cpu).unwrap();
            let tape = net.forward(&x, Mode::Eval, &Keep::nodes(["relu"])).unwrap();
            let batch = Batch { images: vec![], labels: labels.to_vec(), indices: vec![], masks: None };
            gauge.observe(&net, &Sample { tape: &tape, batch: &batch }).unwrap();
            gauge.value().unwrap()
        };
        let pictures =
            [[4.0, 4.0, 2.0, 2.0, -1.0, 0.0], [2.0, 2.0, 0.0, 4.0, 0.0, -3.0], [0.0, 2.0, 4.0, 0.0, 0.0, 0.0]];
        assert_eq!(see(&pictures, &[0, 0, 1]), (6.0 / 7.0 + 1.0) / 2.0);
        assert!(see(&[[f32::NAN; 6]], &[2]).is_nan());
        assert!(ClassEvidence::of(&net, &[1, 2]).value().is_none());
    }
}
