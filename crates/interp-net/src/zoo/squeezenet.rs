//! SqueezeNet (Iandola et al. 2016, arXiv 1602.07360) as torchvision has it.

use interp_finding::{Entry, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Activation, Architecture, Named, activation, check_width, scaled, seeing};
use crate::{Graph, NetError, NodeId, Op, Result};

/// Filters of the 1x1 convolutions that the modules begin with; each of the two that follow has four times as many.
const SQUEEZED: [usize; 8] = [16, 16, 32, 32, 48, 48, 64, 64];

/// Which of the two networks of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Version {
    /// The paper's.
    #[serde(rename = "1.0")]
    One,
    /// With a smaller first convolution and earlier pooling: 2.4 times fewer multiplications.
    #[serde(rename = "1.1")]
    OneOne,
}

/// A convolution, then eight modules that squeeze maps by a 1x1 convolution and expand them by a 1x1 and a 3x3 convolution side by
/// side; classes are told by a 1x1 convolution, of whose maps the means are taken. Max pooling gives what is left over at the end a
/// window (PyTorch's `ceil_mode`). Names and tensors are torchvision's, with each ReLU named as its module: `features.3.squeeze`,
/// `features.3.squeeze_activation`, `features.3` for both expansions one after another, `classifier.1`, `classifier.3`. The dropout that
/// torchvision has before the last convolution is the identity here, in training too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SqueezeNet {
    /// Which of the two: `"1.0"` or `"1.1"`.
    pub version: Version,
    /// What the number of filters of every layer is multiplied with.
    pub width: f64,
    /// Whether the first convolution sees, beside the picture, how far each pixel is from the picture's mean color, as a channel
    /// of its own, `saliency`.
    pub saliency: bool,
    /// What stands in place of every ReLU, under its name.
    pub activation: Activation,
    /// First value of every threshold, 0 or more.
    pub threshold: f64,
    /// Whether all channels of a layer have one threshold; else each has its own.
    pub shared_threshold: bool,
    /// Channels that are not 0 at a position, at most, where the activation is `k_winners`.
    pub winners: usize,
}

impl Default for SqueezeNet {
    fn default() -> Self {
        Self {
            version: Version::OneOne,
            width: 1.0,
            saliency: false,
            activation: Activation::Relu,
            threshold: activation::THRESHOLD,
            shared_threshold: false,
            winners: activation::WINNERS,
        }
    }
}

pub(super) const ENTRY: Entry<dyn Architecture> = Entry {
    name: "squeezenet",
    summary: "SqueezeNet 1.0 and 1.1 as torchvision has it: few weights",
    example: "kind = \"squeezenet\"\nversion = \"1.1\"\n",
    build: |section| build(section, |settings: SqueezeNet| Box::new(settings)),
    schema: || schemars::schema_for!(SqueezeNet),
};

/// `squeezenet1_0` and `squeezenet1_1`.
pub(super) fn named() -> Vec<Named> {
    let one = |(name, version): (&str, Version)| {
        (format!("squeezenet{name}"), Box::new(SqueezeNet { version, ..SqueezeNet::default() }) as _)
    };
    [("1_0", Version::One), ("1_1", Version::OneOne)].map(one).into()
}

impl SqueezeNet {
    fn activation(&self) -> Result<Op> {
        Ok(self.activation.op(self.threshold, self.shared_threshold, self.winners)?)
    }

    /// A convolution of cells with their ReLU; gives the ReLU.
    fn layer(&self, graph: &mut Graph, name: &str, from: NodeId, filters: usize, kernel: usize) -> Result<NodeId> {
        graph.add(name, Op::conv(filters, kernel, 1, kernel / 2, true), &[from])?;
        graph.then(format!("{name}_activation"), self.activation()?)
    }

    /// One module.
    fn module(&self, graph: &mut Graph, name: String, squeezed: usize) -> Result<NodeId> {
        let part = |what: &str| format!("{name}.{what}");
        let (input, expanded) = (graph.output(), scaled(4 * squeezed, self.width));
        let squeezed = self.layer(graph, &part("squeeze"), input, scaled(squeezed, self.width), 1)?;
        let sides = [("expand1x1", 1), ("expand3x3", 3)]
            .map(|(side, kernel)| self.layer(graph, &part(side), squeezed, expanded, kernel));
        let [small, large] = sides;
        graph.add(name, Op::Concat, &[small?, large?])
    }
}

impl Architecture for SqueezeNet {
    fn graph(&self, input: [usize; 3], classes: usize) -> Result<Graph> {
        let [_, height, width] = input;
        let (filters, kernel, pooled_before, least) = match self.version {
            Version::One => (96, 7, [0, 3, 7], 21),
            Version::OneOne => (64, 3, [0, 2, 4], 17),
        };
        if height.min(width) < least {
            let problem = format!("this squeezenet needs pictures of {least}x{least} or more, not {height}x{width}");
            return Err(NetError::Architecture(problem));
        }
        check_width(self.width)?;
        let mut graph = seeing(input, self.saliency)?;
        let mut next = 0..;
        let mut name = || format!("features.{}", next.next().unwrap_or(0));
        graph.then(name(), Op::conv(scaled(filters, self.width), kernel, 2, 0, true))?;
        graph.then(name(), self.activation()?)?;
        for (module, squeezed) in SQUEEZED.into_iter().enumerate() {
            if pooled_before.contains(&module) {
                let op = Op::MaxPool { kernel: [3; 2], stride: [2; 2], padding: [0; 2], ceil_mode: true };
                graph.then(name(), op)?;
            }
            self.module(&mut graph, name(), squeezed)?;
        }
        graph.then("classifier.1", Op::conv(classes, 1, 1, 0, true))?;
        graph.then("classifier.2", self.activation()?)?;
        graph.then("classifier.3", Op::GlobalAvgPool)?;
        activation::check_winners(&graph)?;
        Ok(graph)
    }

    fn plain(&self) -> Option<Box<dyn Architecture>> {
        let plain = Self { activation: Activation::Relu, saliency: false, ..self.clone() };
        (plain != *self).then(|| Box::new(plain) as _)
    }
}
