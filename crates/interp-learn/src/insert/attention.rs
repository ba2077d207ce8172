//! Attention: how much of what a layer sees is to count, said by the network itself.

use candle_core::{Device, Tensor};
use interp_net::finding::{Entry, Unfit, build};
use interp_net::ops::Over;
use interp_net::{Graph, Network, Op, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Insertion, Site};
use crate::{LearnError, Result};

/// Of maps (C, H, W) behind a node: a weight for each position, or for each channel, that everything there is multiplied with.
///
/// Of positions, the weights are `a = softmax over positions of (w x + b)`, one filter that reads all channels of a position, times
/// their number, so that even attention changes nothing (the soft attention of Xu et al. 2015, arXiv 1502.03044, section 4.2, with one look). They
/// add up to 1 in the node `NAME.map`, which is a map of where the network looks; `interp-audit saliency --method attention` holds it to
/// what other maps are held to. `NAME.gain` multiplies with the number of positions at first, and is trained.
///
/// Of channels, they are `sigmoid(W2 relu(W1 mean(x) + b1) + b2)` with C / `reduction` hidden units, in the node `NAME.gates` (squeeze
/// and excitation, Hu et al. 2018, arXiv 1709.01507, eq. 3). They begin at 1/2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attention {
    /// What has a weight of its own.
    pub over: Attended,
    /// Of channels: how many there are for each hidden unit.
    #[serde(default = "reduction")]
    pub reduction: usize,
}

fn reduction() -> usize {
    4
}

/// What has a weight of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Attended {
    /// Positions.
    Positions,
    /// Channels.
    Channels,
}

pub(super) const ENTRY: Entry<dyn Insertion> = Entry {
    name: "attention",
    summary: "attention to positions or channels, with its map as a node",
    example: "kind = \"attention\"\nafter = \"features.18\"\nover = \"positions\"\n",
    build: |section| build(section, |settings: Attention| Box::new(settings)),
    schema: || schemars::schema_for!(Attention),
};

impl Insertion for Attention {
    fn check(&self) -> Result<(), Unfit> {
        Unfit::unless(self.reduction > 0, "reduction", "must be 1 or more, not 0")
    }

    fn graph(&self, site: &Site<'_>) -> Result<Graph> {
        let &Site { graph, after, name, .. } = site;
        let &[channels, height, width] = graph.shape(after) else {
            let problem =
                format!("`{}` gives no maps: attention is to positions or channels", graph.nodes()[after].name);
            return Err(Unfit::new("after", problem).into());
        };
        if self.over == Attended::Positions && height * width == 1 {
            let problem =
                format!("maps of `{}` have one position, and nowhere else to look", graph.nodes()[after].name);
            return Err(Unfit::new("after", problem).into());
        }
        let part = |part: &str| format!("{name}.{part}");
        Ok(graph.spliced(after, |graph| {
            match self.over {
                Attended::Positions => {
                    graph.add(part("score"), Op::conv(1, 1, 1, 0, true), &[after])?;
                    graph.then(part("map"), Op::Softmax { over: Over::Positions })?;
                    graph.then(part("gain"), Op::conv(1, 1, 1, 0, false))?;
                }
                Attended::Channels => {
                    let hidden = (channels / self.reduction).max(1);
                    graph.add(part("mean"), Op::GlobalAvgPool, &[after])?;
                    graph.then(part("squeeze"), Op::Linear { out_features: hidden, bias: true })?;
                    graph.then(part("relu"), Op::Relu)?;
                    graph.then(part("excite"), Op::Linear { out_features: channels, bias: true })?;
                    graph.then(part("gates"), Op::Sigmoid)?;
                }
            }
            graph.add(name, Op::Multiply, &[after, graph.output()])
        })?)
    }

    /// The gain is the number of positions. What decides on weights begins at 0, so that all are alike.
    fn start(&self, net: &mut Network, name: &str, _seed: u64) -> Result<()> {
        let last = if self.over == Attended::Positions { "score" } else { "excite" };
        set(net, &format!("{name}.{last}"), 0.0)?;
        if self.over == Attended::Positions {
            let map = net.graph.id(&format!("{name}.map"))?;
            let positions: usize = net.graph.shape(map).iter().product();
            set(net, &format!("{name}.gain"), positions as f32)?;
        }
        Ok(())
    }
}

/// Gives every weight of a node this value.
fn set(net: &mut Network, node: &str, value: f32) -> Result<()> {
    let id = net.graph.id(node)?;
    let position = net.params.position(id, Role::Weight);
    let position = position.ok_or_else(|| LearnError::State(format!("`{node}` has no weights")))?;
    let dims = net.params.list()[position].value.dims().to_vec();
    Ok(net.params.set(position, Tensor::full(value, dims, &Device::Cpu)?)?)
}

#[cfg(test)]
mod tests {
    use interp_net::zoo::{Architecture, Vgg};
    use interp_net::{Keep, Mode};

    use super::*;

    fn graph() -> Graph {
        Vgg { depth: 8, width: 0.125, ..Vgg::default() }.graph([3, 32, 32], 4).unwrap()
    }

    fn inserted(over: Attended, after: &str) -> Result<Graph> {
        let graph = graph();
        let site = Site {
            graph: &graph,
            after: graph.id(after)?,
            name: "look",
            classes: 4,
            class_names: &[],
            annotations: None,
        };
        Attention { over, reduction: 4 }.graph(&site)
    }

    fn pictures() -> Tensor {
        Tensor::arange(0f32, 6144.0, &Device::Cpu).unwrap().sin().unwrap().reshape((2, 3, 32, 32)).unwrap()
    }

    /// At first attention to positions changes nothing, and that to channels halves everything.
    #[test]
    fn attention_begins_even() {
        let plain = Network::new(graph(), 3).unwrap();
        let numbers = |net: &Network, node: &str| {
            let tape = net.forward(&pictures(), Mode::Eval, &Keep::All).unwrap();
            tape.get(&net.graph, node).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let expected = numbers(&plain, "features.10");
        for (over, factor) in [(Attended::Positions, 1.0), (Attended::Channels, 0.5)] {
            let mut net = plain.with_structure(inserted(over, "features.10").unwrap(), 5).unwrap();
            Attention { over, reduction: 4 }.start(&mut net, "look", 0).unwrap();
            let found = numbers(&net, "look");
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - factor * b).abs() < 1e-5), "{over:?}");
            let reader = net.graph.id("features.11").unwrap();
            assert_eq!(net.graph.nodes()[net.graph.nodes()[reader].inputs[0]].name, "look");
        }
        let net = plain.with_structure(inserted(Attended::Positions, "features.10").unwrap(), 5).unwrap();
        let map = numbers(&net, "look.map");
        assert!((map[..64].iter().sum::<f32>() - 1.0).abs() < 1e-5, "of one picture's 8x8 positions");
    }

    #[test]
    fn where_there_is_nothing_to_attend_to_is_refused() {
        let refused = |over: Attended, after: &str| inserted(over, after).unwrap_err().to_string();
        assert!(refused(Attended::Positions, "avgpool").contains("no maps"));
        assert!(refused(Attended::Positions, "features.19").contains("one position"));
        assert!(inserted(Attended::Channels, "features.19").is_ok());
        assert!(Attention { over: Attended::Channels, reduction: 0 }.check().is_err());
    }
}
