//! How many activations are exactly zero.

use candle_core::DType;
use interp_net::{Keep, Network, NodeId, Tape};

use crate::Result;
use crate::pass::{Observer, Sample};
use crate::pictures::Gauge;

/// Counts the activations that are exactly zero, of every activation function, over the passes that it is shown.
#[derive(Clone, Debug)]
pub struct Zeros(Vec<Count>);

#[derive(Clone, Debug)]
struct Count {
    node: NodeId,
    name: String,
    zeros: usize,
    all: usize,
}

impl Zeros {
    /// Nothing counted yet.
    pub fn new(net: &Network) -> Self {
        let counted = net.graph.nodes().iter().enumerate();
        let counted = counted.filter(|(_, node)| node.op.is_activation());
        Self::of(net, &counted.map(|(node, _)| node).collect::<Vec<_>>())
    }

    /// Nothing counted yet, for these nodes.
    pub(crate) fn of(net: &Network, nodes: &[NodeId]) -> Self {
        let count = |&node: &NodeId| Count { node, name: net.graph.nodes()[node].name.clone(), zeros: 0, all: 0 };
        Self(nodes.iter().map(count).collect())
    }

    /// What a pass must keep to be counted.
    pub fn keep(&self) -> Keep {
        Keep::nodes(self.0.iter().map(|count| count.name.as_str()))
    }

    /// Counts a pass.
    ///
    /// # Errors
    /// If an activation was not kept.
    pub fn observe(&mut self, net: &Network, tape: &Tape) -> Result<()> {
        for count in &mut self.0 {
            let activation = tape.at(&net.graph, count.node)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            count.zeros += activation.iter().filter(|a| **a == 0.0).count();
            count.all += activation.len();
        }
        Ok(())
    }

    /// The share of zeros of each node, in [0, 1], by name in the graph's order; nothing for what was never counted.
    pub fn shares(&self) -> Vec<(String, f64)> {
        let counted = self.0.iter().filter(|count| count.all > 0);
        counted.map(|count| (count.name.clone(), count.zeros as f64 / count.all as f64)).collect()
    }
}

impl Observer for Zeros {
    fn taps(&self) -> Vec<NodeId> {
        self.0.iter().map(|count| count.node).collect()
    }

    fn observe(&mut self, net: &Network, sample: &Sample<'_>) -> Result<()> {
        Self::observe(self, net, sample.tape)
    }
}

impl Gauge for Zeros {
    fn value(&self) -> Option<f64> {
        self.share()
    }
}

impl Zeros {
    /// The share of zeros of all nodes together, in [0, 1]; `None` where nothing was counted.
    pub fn share(&self) -> Option<f64> {
        let (zeros, all) = self.0.iter().fold((0, 0), |(zeros, all), count| (zeros + count.zeros, all + count.all));
        (all > 0).then(|| zeros as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use interp_net::{Graph, Mode, Op};

    use super::*;

    #[test]
    fn shares_by_hand() {
        let mut graph = Graph::new(1, 2, 2).unwrap();
        graph.then("shrink", Op::soft_threshold(1.0)).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        let net = Network::new(graph, 0).unwrap();
        let mut zeros = Zeros::new(&net);
        assert!(zeros.shares().is_empty());
        // Five of eight lie within 1 of zero; of the other three, one is negative.
        for values in [[-3.0f32, -1.0, 0.5, 2.0], [0.0, 1.0, -0.25, 1.5]] {
            let x = Tensor::from_vec(values.to_vec(), (1, 1, 2, 2), &Device::Cpu).unwrap();
            let tape = net.forward(&x, Mode::Eval, &zeros.keep()).unwrap();
            zeros.observe(&net, &tape).unwrap();
        }
        assert_eq!(zeros.shares(), [("shrink".to_owned(), 5.0 / 8.0), ("relu".to_owned(), 6.0 / 8.0)]);
    }
}
