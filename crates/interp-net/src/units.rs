//! Channels that stand for something: found by name, and held at a value.

use candle_core::{Device, Tensor};
use interp_finding::nearest;

use crate::{Graph, NetError, Network, NodeId, Op, Result, Role};

/// The logit of a concept that is certain, where classes are told from logits: a probability of 99 %.
pub const SURE: f64 = 4.595_12;

/// The logit of what is to be 0 or 1 to the last bit, as f32.
const BEYOND: f64 = 110.0;

impl Graph {
    /// The node and the channel that stand for `name`: the whole of it (`hue/red`), or what is behind its last slash (`red`), where that is one channel's
    /// alone.
    ///
    /// # Errors
    /// If no channel stands for it, or several; the nearest name is offered.
    pub fn unit(&self, name: &str) -> Result<(NodeId, usize)> {
        let all = self.nodes().iter().enumerate();
        let all =
            all.flat_map(|(id, node)| node.units.iter().enumerate().map(move |(at, unit)| (id, at, unit.as_str())));
        let all: Vec<(NodeId, usize, &str)> = all.collect();
        let whole: Vec<_> = all.iter().filter(|unit| unit.2 == name).collect();
        let short = all.iter().filter(|unit| unit.2.rsplit('/').next() == Some(name)).collect();
        let wrong = |problem: String| Err(NetError::Architecture(problem));
        match if whole.is_empty() { short } else { whole }.as_slice() {
            [(id, at, _)] => Ok((*id, *at)),
            [] if all.is_empty() => wrong("no channel of the network stands for a concept".into()),
            [] => {
                let names: Vec<&str> = all.iter().map(|unit| unit.2).collect();
                let near = nearest(name, names.iter().copied());
                let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                wrong(format!("no channel stands for `{name}`{hint} (there are: {})", names.join(", ")))
            }
            several => {
                let of = |unit: &&(NodeId, usize, &str)| format!("{} of {}", unit.2, self.nodes()[unit.0].name);
                wrong(format!("`{name}` may be {}", several.iter().map(of).collect::<Vec<_>>().join(" or ")))
            }
        }
    }
}

impl Network {
    /// Makes a channel that stands for a concept say the same of every picture: a probability in [0, 1]. Where its layer gives logits, those of 0 and 1 are
    /// [`SURE`].
    ///
    /// # Errors
    /// If the node has no such channel, the probability is none or one that it cannot say, or what it is made of has no weights of its own.
    pub fn hold_unit(&mut self, node: NodeId, channel: usize, probability: f64) -> Result<()> {
        let (op, name) = (self.graph.nodes()[node].op.clone(), self.graph.nodes()[node].name.clone());
        let wrong = |problem: String| NetError::Graph { node: name.clone(), problem };
        if !(0.0..=1.0).contains(&probability) || (op == Op::Step && probability.fract() != 0.0) {
            let allowed = if op == Op::Step { "0 or 1" } else { "a probability, 0 to 1" };
            return Err(wrong(format!("its channels say {allowed}, not {probability}")));
        }
        let most = if matches!(op, Op::Sigmoid | Op::Step) { BEYOND } else { SURE };
        let logit = (probability / (1.0 - probability)).ln().clamp(-most, most);
        let linear = if matches!(op, Op::Sigmoid | Op::Step) { self.graph.nodes()[node].inputs[0] } else { node };
        let positions = [Role::Weight, Role::Bias].map(|role| self.params.position(linear, role));
        let (true, [Some(weight), Some(bias)]) =
            (matches!(self.graph.nodes()[linear].op, Op::Linear { .. } | Op::Conv2d { groups: 1, .. }), positions)
        else {
            return Err(wrong("it is made of no linear map with a bias, and cannot be held".into()));
        };
        if self.graph.shape(node).iter().skip(1).any(|&side| side != 1) {
            return Err(wrong("it says something at each position, and not one thing of a picture".into()));
        }
        for (position, value) in [(weight, 0.0), (bias, logit)] {
            let tensor = &self.params.list()[position].value;
            let (dims, rows) = (tensor.dims().to_vec(), tensor.dims()[0]);
            let mut values: Vec<f32> =
                tensor.to_device(&Device::Cpu)?.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1()?;
            let width = values.len() / rows.max(1);
            let own = values.chunks_mut(width.max(1)).nth(channel);
            own.ok_or_else(|| wrong(format!("it has {rows} channels, counted from 0, and none at {channel}")))?
                .fill(value as f32);
            let dtype = tensor.dtype();
            self.params.set(position, Tensor::from_vec(values, dims, &Device::Cpu)?.to_dtype(dtype)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keep, Mode};

    fn network(op: Op) -> Network {
        let mut graph = Graph::new(2, 1, 1).unwrap();
        graph.then("mean", Op::GlobalAvgPool).unwrap();
        let units = ["hue/red", "hue/blue", "ground/red"].map(String::from).to_vec();
        let logits = Op::Linear { out_features: 3, bias: true };
        match op {
            Op::Linear { .. } => graph.then_named("concepts", logits, units).unwrap(),
            op => {
                graph.then("logits", logits).unwrap();
                graph.then_named("concepts", op, units).unwrap()
            }
        };
        Network::new(graph, 1).unwrap()
    }

    fn said(net: &Network) -> Vec<Vec<f32>> {
        let x = Tensor::from_vec(vec![1f32, -2.0, 0.3, 0.4], (2, 2, 1, 1), &Device::Cpu).unwrap();
        net.forward(&x, Mode::Eval, &Keep::Output).unwrap().output(&net.graph).unwrap().to_vec2().unwrap()
    }

    #[test]
    fn units_are_found_by_name() {
        let graph = network(Op::Sigmoid).graph;
        assert_eq!((graph.unit("hue/red").unwrap(), graph.unit("blue").unwrap()), ((3, 0), (3, 1)));
        let error = |name: &str| graph.unit(name).unwrap_err().to_string();
        assert!(
            error("red").contains("`red` may be hue/red of concepts or ground/red of concepts"),
            "{}",
            error("red")
        );
        assert!(error("hue/blu").contains("did you mean `hue/blue`"), "{}", error("hue/blu"));
        assert!(
            Graph::new(1, 1, 1).unwrap().unit("red").unwrap_err().to_string().contains("no channel of the network")
        );
    }

    #[test]
    fn what_is_held_says_the_same_of_every_picture() {
        for (op, given, expected) in [
            (Op::Sigmoid, 1.0, 1.0),
            (Op::Sigmoid, 0.0, 0.0),
            (Op::Sigmoid, 0.25, 0.25),
            (Op::Step, 1.0, 1.0),
            (Op::Step, 0.0, 0.0),
            (Op::Linear { out_features: 3, bias: true }, 1.0, SURE as f32),
            (Op::Linear { out_features: 3, bias: true }, 0.5, 0.0),
        ] {
            let mut net = network(op.clone());
            let (before, node) = (said(&net), net.graph.output());
            net.hold_unit(node, 1, given).unwrap();
            for (row, before) in said(&net).iter().zip(before) {
                assert!((row[1] - expected).abs() < 1e-6, "{op:?} {given}: {row:?}");
                assert_eq!([row[0], row[2]], [before[0], before[2]]);
            }
        }
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        let mut net = network(Op::Step);
        let node = net.graph.output();
        for (channel, value) in [(0, 0.5), (0, 2.0), (0, f64::NAN), (3, 1.0)] {
            assert!(net.hold_unit(node, channel, value).is_err(), "{channel} {value}");
        }
        assert!(net.hold_unit(1, 0, 1.0).is_err(), "a mean has no weights");
    }
}
