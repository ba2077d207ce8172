//! AlexNet (Krizhevsky 2014, arXiv 1404.5997) as torchvision has it.

use interp_finding::{Entry, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Activation, Architecture, Named, activation, check_width, classifier, scaled, seeing};
use crate::{Graph, NetError, Op, Result};

/// Units of each of the two hidden linear maps.
const UNITS: usize = 4096;

/// Filters, kernel, stride and padding of the convolutions, and whether max pooling follows.
const CONVOLUTIONS: [(usize, usize, usize, usize, bool); 5] =
    [(64, 11, 4, 2, true), (192, 5, 1, 2, true), (384, 3, 1, 1, false), (256, 3, 1, 1, false), (256, 3, 1, 1, true)];

/// Five convolutions, the first of 11x11 pixels with stride 4, and three poolings by 3x3 windows with stride 2; then means of
/// 6x6 windows, and three linear maps with ReLUs between them, of which the first reads the whole map. Names and tensors are
/// torchvision's: `features.N`, `avgpool`, `classifier.1` to `classifier.6`. The dropout that torchvision has before the first two linear
/// maps is the identity here, in training too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlexNet {
    /// What the number of filters of every convolution and of units of every hidden linear map is multiplied with.
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

impl Default for AlexNet {
    fn default() -> Self {
        Self {
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
    name: "alexnet",
    summary: "AlexNet as torchvision has it, for pictures of 63x63 and more",
    example: "kind = \"alexnet\"\nwidth = 0.5\n",
    build: |section| build(section, |settings: AlexNet| Box::new(settings)),
    schema: || schemars::schema_for!(AlexNet),
};

pub(super) fn named() -> Vec<Named> {
    vec![("alexnet".into(), Box::new(AlexNet::default()))]
}

impl Architecture for AlexNet {
    fn graph(&self, input: [usize; 3], classes: usize) -> Result<Graph> {
        let [_, height, width] = input;
        if height.min(width) < 63 {
            let problem =
                format!("alexnet makes pictures 32 times smaller and needs 63x63 or more, not {height}x{width}");
            return Err(NetError::Architecture(problem));
        }
        check_width(self.width)?;
        let activation = self.activation.op(self.threshold, self.shared_threshold, self.winners)?;
        let mut graph = seeing(input, self.saliency)?;
        let mut next = 0..;
        let mut name = || format!("features.{}", next.next().unwrap_or(0));
        for (filters, kernel, stride, padding, is_pooled) in CONVOLUTIONS {
            graph.then(name(), Op::conv(scaled(filters, self.width), kernel, stride, padding, true))?;
            graph.then(name(), activation.clone())?;
            if is_pooled {
                graph.then(name(), Op::max_pool_by(3, 2, 0))?;
            }
        }
        graph.then("avgpool", Op::AdaptiveAvgPool { size: [6; 2] })?;
        classifier(&mut graph, [1, 2, 4, 5, 6], scaled(UNITS, self.width), classes, &activation)?;
        activation::check_winners(&graph)?;
        Ok(graph)
    }

    fn plain(&self) -> Option<Box<dyn Architecture>> {
        let plain = Self { activation: Activation::Relu, saliency: false, ..self.clone() };
        (plain != *self).then(|| Box::new(plain) as _)
    }
}
