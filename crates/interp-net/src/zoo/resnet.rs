//! Residual networks for small pictures (He et al. 2016, arXiv 1512.03385, section 4.2).

use interp_finding::{Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Activation, Architecture, Named, activation, check_width, scaled, seeing};
use crate::{Graph, NodeId, Op, Result};

/// Depths that exist.
pub(super) const DEPTHS: &[usize] = &[20, 32, 44, 56, 110];

/// What stands beside two convolutions where the shape changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shortcut {
    /// Every second pixel, padded with zero channels: option A, without parameters.
    Pad,
    /// A strided 1x1 convolution and a batch norm: option B.
    Projection,
}

/// Three stages of `(depth - 2) / 6` blocks of two 3x3 convolutions, at 16, 32 and 64 filters. Names
/// are those of akamaster/pytorch_resnet_cifar10, with each ReLU, sum and shortcut named too:
/// `layer1.0.relu1`, `layer1.0.add`, `layer2.0.shortcut`. With projections it is also the network of
/// chenyaofo/pytorch-cifar-models, which calls some of its tensors otherwise
/// ([`Naming::Chenyaofo`](crate::names::Naming::Chenyaofo)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResNet {
    /// Layers with weights: 20, 32, 44, 56 or 110.
    pub depth: usize,
    /// What the number of filters of every layer is multiplied with.
    pub width: f64,
    /// What stands beside two convolutions where the shape changes.
    pub shortcut: Shortcut,
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

impl Default for ResNet {
    fn default() -> Self {
        Self {
            depth: 20,
            width: 1.0,
            shortcut: Shortcut::Pad,
            saliency: false,
            activation: Activation::Relu,
            threshold: activation::THRESHOLD,
            shared_threshold: false,
            winners: activation::WINNERS,
        }
    }
}

pub(super) const ENTRY: Entry<dyn Architecture> = Entry {
    name: "resnet",
    summary: "ResNet 20 to 110 for small pictures: residual blocks of two 3x3 convolutions",
    example: "kind = \"resnet\"\ndepth = 20\nshortcut = \"pad\"\n",
    build: |section| build(section, |settings: ResNet| Box::new(settings)),
    schema: || schemars::schema_for!(ResNet),
};

/// `resnet20` and so on, with shortcuts of either kind, and as chenyaofo/pytorch-cifar-models calls those with projections.
pub(super) fn named() -> Vec<Named> {
    let resnet = |depth: usize, shortcut: Shortcut| Box::new(ResNet { depth, shortcut, ..ResNet::default() }) as Box<_>;
    let both = |&depth: &usize| {
        [Shortcut::Pad, Shortcut::Projection].map(|shortcut| (format!("resnet{depth}"), resnet(depth, shortcut) as _))
    };
    let theirs = |data: &'static str| {
        let one = move |depth: usize| (format!("{data}_resnet{depth}"), resnet(depth, Shortcut::Projection) as _);
        [20, 32, 44, 56].map(one)
    };
    DEPTHS.iter().flat_map(both).chain(["cifar10", "cifar100"].into_iter().flat_map(theirs)).collect()
}

impl ResNet {
    /// One block; gives its last node.
    fn block(&self, graph: &mut Graph, name: &str, input: NodeId, filters: usize, stride: usize) -> Result<NodeId> {
        let part = |suffix: &str| format!("{name}.{suffix}");
        let activation = || self.activation.op(self.threshold, self.shared_threshold, self.winners);
        graph.add(part("conv1"), Op::conv3x3(filters, stride), &[input])?;
        graph.then(part("bn1"), Op::batch_norm())?;
        graph.then(part("relu1"), activation()?)?;
        graph.then(part("conv2"), Op::conv3x3(filters, 1))?;
        let branch = graph.then(part("bn2"), Op::batch_norm())?;
        let same_shape = graph.shape(branch) == graph.shape(input);
        let beside = match self.shortcut {
            _ if same_shape => input,
            Shortcut::Pad => graph.add(
                part("shortcut"),
                Op::PadShortcut { out_channels: filters, stride, before: None },
                &[input],
            )?,
            Shortcut::Projection => {
                graph.add(part("shortcut.0"), Op::conv(filters, 1, stride, 0, false), &[input])?;
                graph.then(part("shortcut.1"), Op::batch_norm())?
            }
        };
        graph.add(part("add"), Op::Add, &[branch, beside])?;
        graph.then(part("relu2"), activation()?)
    }
}

impl Architecture for ResNet {
    fn graph(&self, input: [usize; 3], classes: usize) -> Result<Graph> {
        if !DEPTHS.contains(&self.depth) {
            return Err(Unfit::new("depth", format!("must be one of {DEPTHS:?}, not {}", self.depth)).into());
        }
        check_width(self.width)?;
        let mut graph = seeing(input, self.saliency)?;
        graph.then("conv1", Op::conv3x3(scaled(16, self.width), 1))?;
        graph.then("bn1", Op::batch_norm())?;
        let mut last = graph.then("relu", self.activation.op(self.threshold, self.shared_threshold, self.winners)?)?;
        for (stage, filters) in [16, 32, 64].into_iter().enumerate() {
            for block in 0..(self.depth - 2) / 6 {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let name = format!("layer{}.{block}", stage + 1);
                last = self.block(&mut graph, &name, last, scaled(filters, self.width), stride)?;
            }
        }
        graph.add("avgpool", Op::GlobalAvgPool, &[last])?;
        graph.then("linear", Op::Linear { out_features: classes, bias: true })?;
        activation::check_winners(&graph)?;
        Ok(graph)
    }

    fn plain(&self) -> Option<Box<dyn Architecture>> {
        let plain = Self { activation: Activation::Relu, saliency: false, ..self.clone() };
        (plain != *self).then(|| Box::new(plain) as _)
    }
}
