//! How often gates choose each of their experts.

use interp_net::ops::scalars::largest;
use interp_net::{Network, NodeId, Op};

use crate::Result;
use crate::pass::{Observer, Sample, rows};
use crate::pictures::Gauge;

/// For every gate that chooses, how many pictures each of its channels is the largest for; of equal ones the first.
pub(crate) struct Chosen(Vec<Gate>);

struct Gate {
    node: NodeId,
    counts: Vec<usize>,
    pictures: usize,
}

impl Chosen {
    /// Nothing seen yet, for those of the nodes that choose.
    pub(crate) fn of(net: &Network, nodes: &[NodeId]) -> Self {
        let chooses = |id: &&NodeId| matches!(net.graph.nodes()[**id].op, Op::Route { .. });
        let gate = |&node: &NodeId| Gate { node, counts: vec![0; net.graph.shape(node)[0]], pictures: 0 };
        Self(nodes.iter().filter(chooses).map(gate).collect())
    }
}

impl Observer for Chosen {
    fn taps(&self) -> Vec<NodeId> {
        self.0.iter().map(|gate| gate.node).collect()
    }

    fn observe(&mut self, net: &Network, sample: &Sample<'_>) -> Result<()> {
        for gate in &mut self.0 {
            let rows = rows(sample.tape.at(&net.graph, gate.node)?)?;
            gate.pictures += rows.len();
            // Of numbers that are none, nobody is chosen.
            let rows = rows.iter().filter(|row| !row.iter().any(|p| p.is_nan()));
            rows.for_each(|row| gate.counts[largest(row)] += 1);
        }
        Ok(())
    }
}

impl Gauge for Chosen {
    fn value(&self) -> Option<f64> {
        let least = |gate: &Gate| Some(*gate.counts.iter().min()? as f64 / gate.pictures as f64);
        self.0.iter().filter(|gate| gate.pictures > 0).filter_map(least).reduce(f64::min)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use interp_data::Batch;
    use interp_net::{Graph, Keep, Mode};

    use super::*;

    /// Two gates that choose the brighter of two channels.
    #[test]
    fn the_least_chosen_by_hand() {
        let mut graph = Graph::new(2, 1, 1).unwrap();
        let mean = graph.then("mean", Op::GlobalAvgPool).unwrap();
        let both = graph.then("both", Op::Route { top: 2 }).unwrap();
        let brighter = graph.add("brighter", Op::Route { top: 1 }, &[mean]).unwrap();
        graph.add("sum", Op::Add, &[both, brighter]).unwrap();
        let net = Network::new(graph, 0).unwrap();
        let mut chosen = Chosen::of(&net, &[mean, both, brighter]);
        assert_eq!((chosen.taps(), chosen.value()), (vec![both, brighter], None));
        let mut see = |pixels: &[[f32; 2]]| {
            let x = Tensor::from_vec(pixels.concat(), (pixels.len(), 2, 1, 1), &Device::Cpu).unwrap();
            let tape = net.forward(&x, Mode::Eval, &Keep::All).unwrap();
            let batch = Batch { images: vec![], labels: vec![0; pixels.len()], indices: vec![], masks: None };
            chosen.observe(&net, &Sample { tape: &tape, batch: &batch }).unwrap();
            chosen.value().unwrap()
        };
        // Of equal ones the first.
        assert_eq!(see(&[[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]), 1.0 / 3.0);
        assert_eq!(see(&[[0.0, 3.0]]), 0.5);
        assert_eq!(see(&[[f32::NAN, 3.0]]), 0.4, "nobody decides on what is no number");
        assert_eq!(Chosen::of(&net, &[mean]).value(), None);
    }
}
