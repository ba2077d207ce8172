//! B-cos residual networks (Böhle et al. 2022, arXiv 2205.10268, and 2024, arXiv 2306.10898) for small pictures.

use interp_finding::{Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Architecture, ResNet, check_width, resnet::DEPTHS, scaled};
use crate::{Graph, NodeId, Op, Result};

/// A residual network that for each picture is a linear map which can be read off: what pixels contribute adds up to the logit.
/// B-cos convolutions in place of convolutions and ReLUs, uncentered norms in place of batch norms, nothing that is added; the
/// mean over positions comes last. It sees pixel values and what is missing to 1. Node names are those of the ordinary residual
/// network, which is its twin, with `complement` before them all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BCosResNet {
    /// Layers with weights: 20, 32 or 56.
    pub depth: usize,
    /// What the number of filters of every layer is multiplied with; the stages have 16, 32 and 64.
    pub width: f64,
    /// How much alignment counts: the B of the name, at least 1. With 1 the whole network is linear.
    pub b: f64,
}

impl Default for BCosResNet {
    fn default() -> Self {
        Self { depth: 20, width: 1.0, b: 2.0 }
    }
}

pub(super) const ENTRY: Entry<dyn Architecture> = Entry {
    name: "bcos_resnet",
    summary: "B-cos ResNet: what pixels contribute adds up to the logit",
    example: "kind = \"bcos_resnet\"\ndepth = 20\n",
    build: |section| build(section, |settings: BCosResNet| Box::new(settings)),
    schema: || schemars::schema_for!(BCosResNet),
};

impl BCosResNet {
    /// A B-cos convolution and a norm; gives the norm.
    fn layer(&self, graph: &mut Graph, [conv, norm]: [String; 2], filters: usize, stride: usize) -> Result<NodeId> {
        graph.then(conv, Op::bcos(filters, 3, stride, 1, self.b))?;
        graph.then(norm, Op::uncentered_norm())
    }

    /// One block; gives its last node.
    fn block(&self, graph: &mut Graph, name: &str, filters: usize, stride: usize) -> Result<NodeId> {
        let part = |suffix: &str| format!("{name}.{suffix}");
        let input = graph.output();
        self.layer(graph, [part("conv1"), part("bn1")], filters, stride)?;
        let branch = self.layer(graph, [part("conv2"), part("bn2")], filters, 1)?;
        let beside = match graph.shape(branch) == graph.shape(input) {
            true => input,
            false => graph.add(
                part("shortcut"),
                Op::PadShortcut { out_channels: filters, stride, before: None },
                &[input],
            )?,
        };
        graph.add(part("add"), Op::Add, &[branch, beside])
    }
}

impl Architecture for BCosResNet {
    fn graph(&self, [channels, height, width]: [usize; 3], classes: usize) -> Result<Graph> {
        if !DEPTHS.contains(&self.depth) {
            return Err(Unfit::new("depth", format!("must be one of {DEPTHS:?}, not {}", self.depth)).into());
        }
        Unfit::unless(self.b >= 1.0 && self.b.is_finite(), "b", format!("must be 1 or more, not {}", self.b))?;
        check_width(self.width)?;
        let mut graph = Graph::new(channels, height, width)?;
        graph.then("complement", Op::Complement)?;
        self.layer(&mut graph, ["conv1", "bn1"].map(str::to_owned), scaled(16, self.width), 1)?;
        for (stage, filters) in [16, 32, 64].into_iter().enumerate() {
            for block in 0..(self.depth - 2) / 6 {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                self.block(&mut graph, &format!("layer{}.{block}", stage + 1), scaled(filters, self.width), stride)?;
            }
        }
        graph.then("linear", Op::bcos(classes, 1, 1, 0, self.b))?;
        graph.then("avgpool", Op::GlobalAvgPool)?;
        Ok(graph)
    }

    fn plain(&self) -> Option<Box<dyn Architecture>> {
        Some(Box::new(ResNet { depth: self.depth, width: self.width, ..ResNet::default() }))
    }

    fn sees_pixels(&self) -> bool {
        true
    }
}
