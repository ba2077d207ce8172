//! Residual networks (He et al. 2016, arXiv 1512.03385, table 1) as torchvision has them.

use interp_finding::{Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Activation, Architecture, Named, activation, check_width, scaled, seeing};
use crate::{Graph, NodeId, Op, Result};

/// Depths that exist.
const DEPTHS: &[usize] = &[18, 34, 50, 101, 152];

/// The original residual network: a 7x7 convolution and 3x3 max pooling, both with stride 2, then four stages of blocks at 64, 128, 256 and
/// 512 filters, the mean over positions and one linear map. A block has two 3x3 convolutions, from depth 50 on a 3x3 between two
/// of 1x1, of which the last has four times the filters; the stride is that of the first 3x3 (torchvision's v1.5). Beside it, where the
/// shape changes, stand a strided 1x1 convolution and a batch norm. Names and tensors are torchvision's, with each ReLU and sum
/// named too: `layer1.0.relu1`, `layer1.0.add`, `layer2.0.downsample.0`, `fc`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ImagenetResNet {
    /// Layers with weights: 18, 34, 50, 101 or 152.
    pub depth: usize,
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

impl Default for ImagenetResNet {
    fn default() -> Self {
        Self {
            depth: 18,
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
    name: "imagenet_resnet",
    summary: "ResNet 18 to 152 as torchvision has it, for large pictures",
    example: "kind = \"imagenet_resnet\"\ndepth = 18\n",
    build: |section| build(section, |settings: ImagenetResNet| Box::new(settings)),
    schema: || schemars::schema_for!(ImagenetResNet),
};

/// `resnet18` and so on.
pub(super) fn named() -> Vec<Named> {
    let one = |&depth: &usize| {
        (format!("resnet{depth}"), Box::new(ImagenetResNet { depth, ..ImagenetResNet::default() }) as _)
    };
    DEPTHS.iter().map(one).collect()
}

impl ImagenetResNet {
    /// Blocks of each of the four stages.
    fn blocks(&self) -> Result<[usize; 4]> {
        match self.depth {
            18 => Ok([2, 2, 2, 2]),
            34 | 50 => Ok([3, 4, 6, 3]),
            101 => Ok([3, 4, 23, 3]),
            152 => Ok([3, 8, 36, 3]),
            other => Err(Unfit::new("depth", format!("must be one of {DEPTHS:?}, not {other}")).into()),
        }
    }

    fn activation(&self) -> Result<Op> {
        Ok(self.activation.op(self.threshold, self.shared_threshold, self.winners)?)
    }

    /// Kernel, filters and stride of the convolutions of a block.
    fn convolutions(&self, filters: usize, stride: usize) -> Vec<(usize, usize, usize)> {
        match self.depth {
            18 | 34 => vec![(3, filters, stride), (3, filters, 1)],
            _ => vec![(1, filters, 1), (3, filters, stride), (1, 4 * filters, 1)],
        }
    }

    /// One block; gives its last node.
    fn block(&self, graph: &mut Graph, name: &str, filters: usize, stride: usize) -> Result<NodeId> {
        let part = |what: &str, index: usize| format!("{name}.{what}{index}");
        let (input, convolutions) = (graph.output(), self.convolutions(filters, stride));
        let count = convolutions.len();
        for (index, (kernel, filters, stride)) in (1..).zip(convolutions) {
            graph.then(part("conv", index), Op::conv(filters, kernel, stride, kernel / 2, false))?;
            graph.then(part("bn", index), Op::batch_norm())?;
            if index < count {
                graph.then(part("relu", index), self.activation()?)?;
            }
        }
        let branch = graph.output();
        let beside = beside(graph, name, [input, branch], stride)?;
        graph.add(format!("{name}.add"), Op::Add, &[branch, beside])?;
        graph.then(part("relu", count), self.activation()?)
    }
}

/// What is added to a branch: its input, or where the shape changes, a projection of it.
fn beside(graph: &mut Graph, name: &str, [input, branch]: [NodeId; 2], stride: usize) -> Result<NodeId> {
    let filters = graph.shape(branch)[0];
    if stride == 1 && graph.shape(input)[0] == filters {
        return Ok(input);
    }
    graph.add(format!("{name}.downsample.0"), Op::conv(filters, 1, stride, 0, false), &[input])?;
    graph.then(format!("{name}.downsample.1"), Op::batch_norm())
}

impl Architecture for ImagenetResNet {
    fn graph(&self, input: [usize; 3], classes: usize) -> Result<Graph> {
        let blocks = self.blocks()?;
        check_width(self.width)?;
        let mut graph = seeing(input, self.saliency)?;
        graph.then("conv1", Op::conv(scaled(64, self.width), 7, 2, 3, false))?;
        graph.then("bn1", Op::batch_norm())?;
        graph.then("relu", self.activation()?)?;
        graph.then("maxpool", Op::max_pool_by(3, 2, 1))?;
        for ((stage, count), filters) in (1..).zip(blocks).zip([64, 128, 256, 512]) {
            for block in 0..count {
                let stride = if stage > 1 && block == 0 { 2 } else { 1 };
                self.block(&mut graph, &format!("layer{stage}.{block}"), scaled(filters, self.width), stride)?;
            }
        }
        graph.then("avgpool", Op::GlobalAvgPool)?;
        graph.then("fc", Op::Linear { out_features: classes, bias: true })?;
        activation::check_winners(&graph)?;
        Ok(graph)
    }

    fn plain(&self) -> Option<Box<dyn Architecture>> {
        let plain = Self { activation: Activation::Relu, saliency: false, ..self.clone() };
        (plain != *self).then(|| Box::new(plain) as _)
    }
}
