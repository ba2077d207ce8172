//! B-cos residual networks (Böhle et al. 2022, arXiv 2205.10268, and 2024, arXiv 2306.10898) for small pictures.

use candle_core::Tensor;
use interp_finding::{Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Architecture, ResNet, check_width, resnet::DEPTHS, scaled};
use crate::{Graph, NetError, Network, NodeId, Normalization, Op, Result};

/// A residual network that for each picture is a linear map which can be read off: what pixels contribute adds up to the logit.
/// B-cos convolutions in place of convolutions and ReLUs, uncentered norms in place of batch norms, nothing that is added; the
/// mean over positions comes last. It sees pixel values and what is missing to 1. Node names are those of the ordinary residual
/// network, which is its twin, with `complement` before them all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BCosResNet {
    /// Layers with weights: 20, 32, 44, 56 or 110.
    pub depth: usize,
    /// What the number of filters of every layer is multiplied with; the stages have 16, 32 and 64.
    pub width: f64,
    /// How much alignment counts: the B of the name, at least 1. With 1 the whole network is linear.
    pub b: f64,
    /// Whether ReLUs stay behind norms and sums, as where an ordinary network is made a B-cos one (Arya et al. 2024, arXiv 2411.00715):
    /// they add nothing, so that what pixels contribute still adds up.
    pub relu: bool,
}

impl Default for BCosResNet {
    fn default() -> Self {
        Self { depth: 20, width: 1.0, b: 2.0, relu: false }
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
    /// A ReLU where there are any, under the name that it has in the ordinary network.
    fn relu(&self, graph: &mut Graph, name: &str) -> Result<NodeId> {
        if self.relu { graph.then(name, Op::Relu) } else { Ok(graph.output()) }
    }

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
        self.relu(graph, &part("relu1"))?;
        let branch = self.layer(graph, [part("conv2"), part("bn2")], filters, 1)?;
        let beside = match graph.shape(branch) == graph.shape(input) {
            true => input,
            false => graph.add(
                part("shortcut"),
                Op::PadShortcut { out_channels: filters, stride, before: None },
                &[input],
            )?,
        };
        graph.add(part("add"), Op::Add, &[branch, beside])?;
        self.relu(graph, &part("relu2"))
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
        self.relu(&mut graph, "relu")?;
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

    /// B-cosification (Arya et al. 2024, section 3): weights are kept and all that is added goes. With pixels x and what is missing to 1,
    /// the first filters are `w / (2 std)` and `-w / (2 std)`: `w (x - 1/2) / std`, nearly what they were of normalized pixels.
    fn adopt(&self, net: &mut Network, plain: &Network, normalization: &Normalization) -> Result<()> {
        for position in 0..net.params.list().len() {
            let (name, dims) =
                (net.params.list()[position].name.clone(), net.params.list()[position].value.dims().to_vec());
            let found = plain.params.list().iter().find(|param| param.name == name);
            let missing = || NetError::Architecture(format!("the ordinary network has no `{name}`"));
            let value = &found.ok_or_else(missing)?.value;
            let value = if name == "conv1.weight" { both_signs(value, &normalization.std)? } else { value.clone() };
            net.params.set(position, value.reshape(dims)?)?;
        }
        Ok(())
    }
}

/// Filters (F, C, h, w) of normalized pixels as filters (F, 2 C, h, w) of pixels and what is missing to 1.
fn both_signs(filters: &Tensor, std: &[f32]) -> Result<Tensor> {
    let half: Vec<f32> = std.iter().map(|std| 0.5 / std).collect();
    let half = Tensor::from_vec(half, (1, std.len(), 1, 1), filters.device())?;
    let own = filters.broadcast_mul(&half)?;
    Ok(Tensor::cat(&[&own, &own.neg()?], 1)?)
}
