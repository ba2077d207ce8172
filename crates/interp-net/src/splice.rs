//! Graphs with a layer put in, or with another end.

use crate::{Graph, Network, NodeId, Result};

impl Graph {
    /// The same graph with nodes put in behind the node `at`: `add` adds them, and gives the one that whatever read `at` reads from then on.
    ///
    /// # Errors
    /// If a node does not fit.
    pub fn spliced(&self, at: NodeId, add: impl FnOnce(&mut Self) -> Result<NodeId>) -> Result<Self> {
        let mut graph = Self::of_input(self.nodes()[0].op.clone())?;
        let copy = |graph: &mut Self, places: &[NodeId], id: NodeId| -> Result<NodeId> {
            let node = &self.nodes()[id];
            let inputs: Vec<NodeId> = node.inputs.iter().map(|&input| places[input]).collect();
            graph.copy(node, node.op.clone(), &inputs)
        };
        let mut places: Vec<NodeId> = vec![0];
        for id in 1..=at {
            places.push(copy(&mut graph, &places, id)?);
        }
        places[at] = add(&mut graph)?;
        for id in at + 1..self.nodes().len() {
            places.push(copy(&mut graph, &places, id)?);
        }
        Ok(graph)
    }

    /// The part of the graph that the node `at` depends on, with other nodes behind it: `add` is given where it is.
    ///
    /// # Errors
    /// If a node does not fit.
    pub fn ended(&self, at: NodeId, add: impl FnOnce(&mut Self, NodeId) -> Result<()>) -> Result<Self> {
        let mut needed = vec![false; at + 1];
        needed[at] = true;
        for id in (1..=at).rev().filter(|&id| id > 0) {
            if needed[id] {
                self.nodes()[id].inputs.iter().for_each(|&input| needed[input] = true);
            }
        }
        let mut graph = Self::of_input(self.nodes()[0].op.clone())?;
        let mut places = vec![0; at + 1];
        for id in (1..=at).filter(|&id| needed[id]) {
            let node = &self.nodes()[id];
            let inputs: Vec<NodeId> = node.inputs.iter().map(|&input| places[input]).collect();
            places[id] = graph.copy(node, node.op.clone(), &inputs)?;
        }
        add(&mut graph, places[at])?;
        Ok(graph)
    }
}

impl Network {
    /// A network of another structure, with the values of this one where a tensor has the same name and shape, and random ones
    /// elsewhere.
    ///
    /// # Errors
    /// Where parameters cannot be made.
    pub fn with_structure(&self, graph: Graph, seed: u64) -> Result<Self> {
        let mut network = Self::new(graph, seed)?;
        for position in 0..network.params.list().len() {
            let own = &network.params.list()[position];
            let alike = |other: &&crate::Param| other.name == own.name && other.value.shape() == own.value.shape();
            if let Some(other) = self.params.list().iter().find(alike) {
                network.params.set(position, other.value.clone())?;
            }
        }
        Ok(network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Op;

    fn graph() -> Graph {
        let mut graph = Graph::new(1, 4, 4).unwrap();
        let conv = graph.then("conv", Op::conv3x3(2, 1)).unwrap();
        let relu = graph.then("relu", Op::Relu).unwrap();
        graph.add("sum", Op::Add, &[relu, conv]).unwrap();
        graph.then("mean", Op::GlobalAvgPool).unwrap();
        graph.then("head", Op::Linear { out_features: 3, bias: true }).unwrap();
        graph
    }

    fn wiring(graph: &Graph) -> Vec<(&str, Vec<&str>)> {
        let name = |&id: &NodeId| graph.nodes()[id].name.as_str();
        graph.nodes().iter().map(|node| (node.name.as_str(), node.inputs.iter().map(name).collect())).collect()
    }

    #[test]
    fn what_read_a_node_reads_the_layer_behind_it() {
        let spliced = graph().spliced(2, |graph| graph.add("gate", Op::Sigmoid, &[2])).unwrap();
        let expected = [
            ("input", vec![]),
            ("conv", vec!["input"]),
            ("relu", vec!["conv"]),
            ("gate", vec!["relu"]),
            ("sum", vec!["gate", "conv"]),
            ("mean", vec!["sum"]),
            ("head", vec!["mean"]),
        ];
        assert_eq!(wiring(&spliced), expected);
        // At the end, the new node is the output.
        let last = graph().spliced(5, |graph| graph.add("gate", Op::Sigmoid, &[5])).unwrap();
        assert_eq!((last.nodes()[last.output()].name.as_str(), last.outputs()), ("gate", 3));
        assert!(graph().spliced(2, |graph| graph.add("conv", Op::Sigmoid, &[2])).is_err(), "a name that is taken");
    }

    #[test]
    fn another_end_leaves_out_what_is_not_needed() {
        let ended = graph()
            .ended(1, |graph, at| {
                graph.add("mean", Op::GlobalAvgPool, &[at])?;
                graph.then("classes", Op::Linear { out_features: 7, bias: false }).map(|_| ())
            })
            .unwrap();
        assert_eq!(
            wiring(&ended),
            [("input", vec![]), ("conv", vec!["input"]), ("mean", vec!["conv"]), ("classes", vec!["mean"])]
        );
    }

    #[test]
    fn values_are_kept_by_name_and_shape() {
        let net = Network::new(graph(), 1).unwrap();
        let ended =
            graph().ended(4, |graph, _| graph.then("head", Op::Linear { out_features: 7, bias: true }).map(|_| ()));
        let other = net.with_structure(ended.unwrap(), 2).unwrap();
        let values = |net: &Network, name: &str| {
            let param = net.params.list().iter().find(|param| param.name == name).unwrap();
            param.value.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        assert_eq!(values(&net, "conv.weight"), values(&other, "conv.weight"));
        assert_eq!(values(&other, "head.weight").len(), 14);
    }
}
