//! Architectures: settings from which a graph is made.

mod activation;
mod additive;
mod bagnet;
mod bcos;
mod mixture;
mod resnet;
mod soft_autoencoder;
mod vgg;

use interp_finding::{Entry, Unfit, nearest};

use crate::{Graph, NetError, Network, NodeId, Normalization, Op, Result};

pub use activation::Activation;
pub use additive::{Additive, Module};
pub use bagnet::BagNet;
pub use bcos::BCosResNet;
pub use mixture::Mixture;
pub use resnet::{ResNet, Shortcut};
pub use soft_autoencoder::SoftAutoencoder;
pub use vgg::Vgg;

/// Settings that make a graph for pictures of one size and a number of classes.
pub trait Architecture: Send + Sync {
    /// The graph for input `[channels, height, width]`.
    ///
    /// # Errors
    /// If the settings make no network for this input.
    fn graph(&self, input: [usize; 3], classes: usize) -> Result<Graph>;

    /// Whether the network is to see pixel values in [0, 1] as they are, because its explanations are about them; else they
    /// are normalized by the data's mean and deviation.
    fn sees_pixels(&self) -> bool {
        false
    }

    /// Puts first values of its own in place of the random ones of a new network.
    ///
    /// # Errors
    /// If the network is not of this architecture.
    fn start(&self, _net: &mut Network) -> Result<()> {
        Ok(())
    }

    /// Takes first values from a trained network of its [plain](Architecture::plain) architecture, whose pictures were normalized so.
    ///
    /// # Errors
    /// If this architecture has nothing to take, or the network is another.
    fn adopt(&self, _net: &mut Network, _plain: &Network, _normalization: &Normalization) -> Result<()> {
        Err(NetError::Architecture("this model takes nothing over from an ordinary network".into()))
    }

    /// The same without what is there for people to understand: what a black-box twin is made of. Where it has the same layers, its
    /// nodes are called the same. `None` where that is this one.
    fn plain(&self) -> Option<Box<dyn Architecture>> {
        None
    }
}

/// All architectures.
pub const ENTRIES: &[&Entry<dyn Architecture>] = &[
    &vgg::ENTRY,
    &resnet::ENTRY,
    &bagnet::ENTRY,
    &soft_autoencoder::ENTRY,
    &additive::ENTRY,
    &bcos::ENTRY,
    &mixture::ENTRY,
];

/// Architectures with well-known names, as other people's checkpoints are called: `vgg16`, `vgg16_bn`,
/// `resnet20`.
pub fn named() -> impl Iterator<Item = (String, Box<dyn Architecture>)> {
    let vggs = vgg::DEPTHS.iter().flat_map(|&depth| {
        [(format!("vgg{depth}"), false), (format!("vgg{depth}_bn"), true)].map(|(name, batch_norm)| {
            (name, Box::new(Vgg { depth, batch_norm, ..Vgg::default() }) as Box<dyn Architecture>)
        })
    });
    let resnets = resnet::DEPTHS.iter().map(|&depth| {
        (format!("resnet{depth}"), Box::new(ResNet { depth, ..ResNet::default() }) as Box<dyn Architecture>)
    });
    vggs.chain(resnets)
}

/// The architecture of [`named`] that has this name.
///
/// # Errors
/// If no architecture has this name; the nearest is offered.
pub fn by_name(name: &str) -> Result<Box<dyn Architecture>> {
    let mut names = vec![];
    for (known, architecture) in named() {
        if known == name {
            return Ok(architecture);
        }
        names.push(known);
    }
    let hint =
        nearest(name, names.iter().map(String::as_str)).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
    Err(NetError::Architecture(format!("`{name}` is no known architecture ({}){hint}", names.join(", "))))
}

/// A graph that sees pictures, and beside them how salient each pixel is where that is asked for: as one more channel, `seen`.
fn seeing([channels, height, width]: [usize; 3], saliency: bool) -> Result<Graph> {
    let mut graph = Graph::new(channels, height, width)?;
    if saliency {
        let map = graph.then("saliency", Op::Saliency)?;
        graph.add("seen", Op::Concat, &[0, map])?;
    }
    Ok(graph)
}

/// Adds operations, one after another, from the node `from` on: a part of the network whose nodes begin with `part`.
fn chain(graph: &mut Graph, part: &str, from: NodeId, nodes: Vec<(String, Op)>) -> Result<NodeId> {
    nodes.into_iter().try_fold(from, |last, (name, op)| graph.add(format!("{part}.{name}"), op, &[last]))
}

/// Blocks of a 3x3 convolution with so many filters, times `width`, and max pooling, then the mean over positions.
fn blocks(filters: &[usize], width: f64) -> Vec<(String, Op)> {
    let block = |(index, &filters): (usize, &usize)| {
        let ops = [Op::conv3x3(scaled(filters, width), 1), Op::batch_norm(), Op::Relu, Op::max_pool(2)];
        ops.into_iter().enumerate().map(move |(place, op)| (format!("features.{}", 4 * index + place), op))
    };
    let mut nodes: Vec<_> = filters.iter().enumerate().flat_map(block).collect();
    nodes.push(("mean".into(), Op::GlobalAvgPool));
    nodes
}

/// Refuses a width multiplier that makes no network, or one for no computer.
fn check_width(width: f64) -> Result<(), Unfit> {
    Unfit::unless(width > 0.0 && width <= 16.0, "width", format!("must be above 0 and up to 16, not {width}"))
}

/// A width scaled by a factor: to the nearest integer, at least 1.
fn scaled(channels: usize, width: f64) -> usize {
    ((channels as f64 * width).round() as usize).max(1)
}
