//! VGG (Simonyan and Zisserman 2015, arXiv 1409.1556, table 1) for small pictures.

use interp_finding::{Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Activation, Architecture, Named, activation, check_width, scaled, seeing};
use crate::{Graph, NetError, Op, Result};

/// Depths that exist.
const DEPTHS: &[usize] = &[8, 11, 13, 16, 19];

/// Blocks of 3x3 convolutions, each followed by a batch norm (where asked for) and ReLU, each block by
/// 2x2 max pooling; then the mean over positions and one linear map, as is usual for 32x32 pictures.
/// Names are torchvision's: `features.N`, `classifier`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Vgg {
    /// Layers with weights of the original: 8, 11, 13, 16 or 19. (VGG-8 has one convolution a block.)
    pub depth: usize,
    /// What the number of filters of every layer is multiplied with.
    pub width: f64,
    /// Height and width of the first convolution's filters in pixels, odd; the others have 3.
    pub first_kernel: usize,
    /// Whether a batch norm follows every convolution; without, convolutions have biases.
    pub batch_norm: bool,
    /// Whether the first convolution sees the picture and its negative, each a channel of its own: so that
    /// filters without negative weights can ask for what is not there.
    pub on_off: bool,
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

impl Default for Vgg {
    fn default() -> Self {
        Self {
            depth: 11,
            width: 1.0,
            first_kernel: 3,
            batch_norm: true,
            on_off: false,
            saliency: false,
            activation: Activation::Relu,
            threshold: activation::THRESHOLD,
            shared_threshold: false,
            winners: activation::WINNERS,
        }
    }
}

pub(super) const ENTRY: Entry<dyn Architecture> = Entry {
    name: "vgg",
    summary: "VGG 8 to 19: blocks of 3x3 convolutions and max pooling",
    example: "kind = \"vgg\"\ndepth = 8\nwidth = 0.5\n",
    build: |section| build(section, |settings: Vgg| Box::new(settings)),
    schema: || schemars::schema_for!(Vgg),
};

/// `vgg8`, `vgg8_bn` and so on.
pub(super) fn named() -> Vec<Named> {
    let both = |&depth: &usize| {
        let vgg = |batch_norm: bool| Box::new(Vgg { depth, batch_norm, ..Vgg::default() });
        [(format!("vgg{depth}"), vgg(false) as _), (format!("vgg{depth}_bn"), vgg(true) as _)]
    };
    DEPTHS.iter().flat_map(both).collect()
}

impl Vgg {
    /// Convolutions of each of the five blocks.
    fn blocks(&self) -> Result<[usize; 5]> {
        match self.depth {
            8 => Ok([1, 1, 1, 1, 1]),
            11 => Ok([1, 1, 2, 2, 2]),
            13 => Ok([2, 2, 2, 2, 2]),
            16 => Ok([2, 2, 3, 3, 3]),
            19 => Ok([2, 2, 4, 4, 4]),
            other => Err(Unfit::new("depth", format!("must be one of {DEPTHS:?}, not {other}")).into()),
        }
    }

    /// Adds the five blocks, whose convolutions have biases or not.
    pub(super) fn features(&self, graph: &mut Graph, bias: bool) -> Result<()> {
        if let &[_, height, width] = graph.shape(0)
            && height.min(width) < 32
        {
            let problem = format!("vgg halves the picture five times and needs 32x32 or more, not {height}x{width}");
            return Err(NetError::Architecture(problem));
        }
        let mut side = self.first_kernel;
        let mut next = 0..;
        let mut name = || format!("features.{}", next.next().unwrap_or(0));
        for (count, filters) in self.blocks()?.into_iter().zip([64, 128, 256, 512, 512]) {
            for _ in 0..count {
                graph.then(name(), Op::conv(scaled(filters, self.width), side, 1, side / 2, bias))?;
                side = 3;
                if self.batch_norm {
                    graph.then(name(), Op::batch_norm())?;
                }
                graph.then(name(), self.activation.op(self.threshold, self.shared_threshold, self.winners)?)?;
            }
            graph.then(name(), Op::max_pool(2))?;
        }
        Ok(())
    }
}

impl Architecture for Vgg {
    fn graph(&self, input: [usize; 3], classes: usize) -> Result<Graph> {
        check_width(self.width)?;
        let side = self.first_kernel;
        let usable = side % 2 == 1 && side < 32;
        Unfit::unless(usable, "first_kernel", format!("must be odd and below 32, not {side}"))?;
        let mut graph = seeing(input, self.saliency)?;
        if self.on_off {
            graph.then("on_off", Op::OnOff)?;
        }
        self.features(&mut graph, !self.batch_norm)?;
        graph.then("avgpool", Op::GlobalAvgPool)?;
        graph.then("classifier", Op::Linear { out_features: classes, bias: true })?;
        activation::check_winners(&graph)?;
        Ok(graph)
    }

    fn plain(&self) -> Option<Box<dyn Architecture>> {
        let plain = Self { activation: Activation::Relu, saliency: false, ..self.clone() };
        (plain != *self).then(|| Box::new(plain) as _)
    }
}
