//! What other libraries call the tensors of networks, and how they shape them.

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::{Graph, NodeId, Op};

/// Whose names and shapes tensors have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// Those of networks here, which are torchvision's where it has the network.
    Torchvision,
    /// timm's. Of a VGG the linear maps are called otherwise, and the first two are convolutions: `pre_logits.fc1` with weights
    /// (out, C, 7, 7), `pre_logits.fc2` with (out, in, 1, 1), `head.fc`. (They give the same where the last map has up to 7x7
    /// cells; over more, timm slides them, and torchvision takes means of 7x7 windows: [`slid_by_timm`].) Residual networks have torchvision's.
    Timm,
    /// Those of the residual networks for small pictures in chenyaofo/pytorch-cifar-models: `layer2.0.downsample.0`, `fc`.
    Chenyaofo,
}

/// The linear maps of a VGG, what timm calls them, and whether it has convolutions in their place.
const TIMM: [(&str, &str, bool); 3] = [
    ("classifier.0", "pre_logits.fc1", true),
    ("classifier.3", "pre_logits.fc2", true),
    ("classifier.6", "head.fc", false),
];

/// Cells in a row or column of the map that the first of them reads.
const CELLS: usize = 7;

/// What stands before the names of all tensors of a network that was part of another module.
const PREFIXES: [&str; 3] = ["module.", "model.", "backbone."];

impl Naming {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 3] = [Self::Torchvision, Self::Timm, Self::Chenyaofo];

    /// Name and shape that a tensor has here which in a network of the structure `graph` is called `name` and has this shape.
    pub fn of(self, graph: &Graph, name: &str, shape: &[usize]) -> (String, Vec<usize>) {
        let (node, suffix) = name.rsplit_once('.').unwrap_or((name, ""));
        let found = match self {
            Self::Torchvision => None,
            Self::Timm => of_timm(graph, node, suffix, shape),
            Self::Chenyaofo if node == "linear" => Some(("fc".into(), shape.to_vec())),
            Self::Chenyaofo => Some((node.replace(".shortcut.", ".downsample."), shape.to_vec())),
        };
        match found {
            Some((node, shape)) => (format!("{node}.{suffix}"), shape),
            None => (name.to_owned(), shape.to_vec()),
        }
    }
}

/// Whether timm makes other outputs of the tensors of a network of this structure: of a VGG that takes means of more than 7x7 cells before
/// its linear maps, which timm slides over them.
pub fn slid_by_timm(graph: &Graph) -> bool {
    let before = |id: NodeId| graph.nodes()[id].inputs.first().copied();
    let is_mean = |id: &NodeId| matches!(graph.nodes()[*id].op, Op::AdaptiveAvgPool { .. });
    let seen = linear(graph, TIMM[0].0).and_then(before).filter(is_mean).and_then(before);
    is_vgg(graph) && seen.is_some_and(|id| graph.shape(id)[1..].iter().any(|&side| side > CELLS))
}

/// Whether there are tensors with the names that timm gives to the linear maps of a VGG.
pub(crate) fn has_linear_maps_of_timm(tensors: &BTreeMap<String, Tensor>) -> bool {
    TIMM.iter().any(|(_, theirs, _)| tensors.contains_key(&format!("{theirs}.weight")))
}

/// The linear map called `name`.
fn linear(graph: &Graph, name: &str) -> Option<NodeId> {
    graph.find(name).filter(|&id| matches!(graph.nodes()[id].op, Op::Linear { .. }))
}

/// Whether it has the linear maps of a VGG.
fn is_vgg(graph: &Graph) -> bool {
    TIMM.iter().all(|(own, ..)| linear(graph, own).is_some())
}

/// timm's name of a node of a VGG, and its shape of the node's tensor.
fn of_timm(graph: &Graph, node: &str, suffix: &str, shape: &[usize]) -> Option<(String, Vec<usize>)> {
    let (_, theirs, is_convolution) = TIMM.iter().find(|(own, ..)| *own == node && is_vgg(graph))?;
    let mut shape = shape.to_vec();
    if *is_convolution && suffix == "weight" {
        let seen = graph.shape(graph.nodes()[linear(graph, node)?].inputs[0]); // (C, H, W) or (C)
        shape.truncate(1);
        shape.extend(seen.iter().chain(&[1, 1]).take(3));
    }
    Some(((*theirs).to_owned(), shape))
}

/// The tensors without what all their names begin with: `module.`, `model.`, `backbone.`, also one after another.
pub fn without_prefix(mut tensors: BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    for _ in PREFIXES {
        let is_shared = |prefix: &&&str| !tensors.is_empty() && tensors.keys().all(|name| name.starts_with(**prefix));
        let Some(prefix) = PREFIXES.iter().find(is_shared) else { break };
        tensors = tensors.into_iter().map(|(name, tensor)| (name[prefix.len()..].to_owned(), tensor)).collect();
    }
    tensors
}
