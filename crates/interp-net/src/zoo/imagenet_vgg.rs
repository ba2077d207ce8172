//! VGG (Simonyan and Zisserman 2015, arXiv 1409.1556, table 1) as torchvision has it.

use interp_finding::{Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Activation, Architecture, Named, Vgg, activation, check_width, classifier, scaled, seeing};
use crate::{Graph, Op, Result};

/// Depths that exist.
const DEPTHS: &[usize] = &[11, 13, 16, 19];

/// Units of each of the two hidden linear maps.
const UNITS: usize = 4096;

/// The original VGG: blocks of 3x3 convolutions, each followed by a batch norm (where asked for) and ReLU, each block by 2x2 max
/// pooling; then means of 7x7 windows, and three linear maps with ReLUs between them, of which the first reads the whole map. Names
/// and tensors are torchvision's: `features.N`, `avgpool`, `classifier.0` to `classifier.6`. The dropout that torchvision has between the
/// linear maps is the identity here, in training too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ImagenetVgg {
    /// Layers with weights: 11, 13, 16 or 19.
    pub depth: usize,
    /// What the number of filters of every convolution and of units of every hidden linear map is multiplied with.
    pub width: f64,
    /// Whether a batch norm follows every convolution, which has a bias in any case.
    pub batch_norm: bool,
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

impl Default for ImagenetVgg {
    fn default() -> Self {
        Self {
            depth: 16,
            width: 1.0,
            batch_norm: true,
            saliency: false,
            activation: Activation::Relu,
            threshold: activation::THRESHOLD,
            shared_threshold: false,
            winners: activation::WINNERS,
        }
    }
}

pub(super) const ENTRY: Entry<dyn Architecture> = Entry {
    name: "imagenet_vgg",
    summary: "VGG 11 to 19 as torchvision has it, for large pictures: three linear maps over 7x7 cells",
    example: "kind = \"imagenet_vgg\"\ndepth = 11\n",
    build: |section| build(section, |settings: ImagenetVgg| Box::new(settings)),
    schema: || schemars::schema_for!(ImagenetVgg),
};

/// `vgg11`, `vgg11_bn` and so on.
pub(super) fn named() -> Vec<Named> {
    let both = |&depth: &usize| {
        let vgg = |batch_norm: bool| Box::new(ImagenetVgg { depth, batch_norm, ..ImagenetVgg::default() });
        [(format!("vgg{depth}"), vgg(false) as _), (format!("vgg{depth}_bn"), vgg(true) as _)]
    };
    DEPTHS.iter().flat_map(both).collect()
}

impl ImagenetVgg {
    /// The small network that has the same convolutions.
    fn small(&self) -> Vgg {
        Vgg {
            depth: self.depth,
            width: self.width,
            batch_norm: self.batch_norm,
            activation: self.activation,
            threshold: self.threshold,
            shared_threshold: self.shared_threshold,
            winners: self.winners,
            ..Vgg::default()
        }
    }
}

impl Architecture for ImagenetVgg {
    fn graph(&self, input: [usize; 3], classes: usize) -> Result<Graph> {
        let is_there = DEPTHS.contains(&self.depth);
        Unfit::unless(is_there, "depth", format!("must be one of {DEPTHS:?}, not {}", self.depth))?;
        check_width(self.width)?;
        let mut graph = seeing(input, self.saliency)?;
        self.small().features(&mut graph, true)?;
        graph.then("avgpool", Op::AdaptiveAvgPool { size: [7; 2] })?;
        let activation = self.activation.op(self.threshold, self.shared_threshold, self.winners)?;
        classifier(&mut graph, [0, 1, 3, 4, 6], scaled(UNITS, self.width), classes, &activation)?;
        activation::check_winners(&graph)?;
        Ok(graph)
    }

    fn plain(&self) -> Option<Box<dyn Architecture>> {
        let plain = Self { activation: Activation::Relu, saliency: false, ..self.clone() };
        (plain != *self).then(|| Box::new(plain) as _)
    }
}
