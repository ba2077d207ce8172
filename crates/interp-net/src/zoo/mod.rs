//! Architectures: settings from which a graph is made.

mod activation;
mod additive;
mod alexnet;
mod bagnet;
mod bcos;
mod imagenet_resnet;
mod imagenet_vgg;
mod infogan;
mod latent;
mod mixture;
mod resnet;
mod soft_autoencoder;
mod squeezenet;
mod vae;
mod vgg;

use interp_finding::{Entry, Unfit, nearest};

use crate::{Graph, NetError, Network, NodeId, Normalization, Op, Result};

pub use activation::Activation;
pub use additive::{Additive, Module};
pub use alexnet::AlexNet;
pub use bagnet::BagNet;
pub use bcos::BCosResNet;
pub use imagenet_resnet::ImagenetResNet;
pub use imagenet_vgg::ImagenetVgg;
pub use infogan::InfoGan;
pub use latent::Latent;
pub use mixture::Mixture;
pub use resnet::{ResNet, Shortcut};
pub use soft_autoencoder::SoftAutoencoder;
pub use squeezenet::{SqueezeNet, Version};
pub use vae::Vae;
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

    /// The network that makes pictures of this size of codes, which this architecture's graph tells of pictures. `None` where it tells
    /// classes, or makes pictures of pictures.
    ///
    /// # Errors
    /// As [`Architecture::graph`].
    fn generator(&self, _input: [usize; 3]) -> Result<Option<Generator>> {
        Ok(None)
    }

    /// The same without what is there for people to understand: what a black-box twin is made of. Where it has the same layers, its
    /// nodes are called the same. `None` where that is this one.
    fn plain(&self) -> Option<Box<dyn Architecture>> {
        None
    }
}

/// A network that makes pictures.
pub struct Generator {
    /// From the code, `(codes and noise, 1, 1)`, to the logits of pixel values, `(channels, height, width)`.
    pub graph: Graph,
    /// What the code is made of.
    pub latent: Latent,
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
    &vae::ENTRY,
    &infogan::ENTRY,
    &imagenet_vgg::ENTRY,
    &imagenet_resnet::ENTRY,
    &alexnet::ENTRY,
    &squeezenet::ENTRY,
];

/// An architecture and its name.
type Named = (String, Box<dyn Architecture>);

/// Architectures with well-known names, as other people's checkpoints are called: `vgg16`, `vgg16_bn`, `resnet50`, `resnet20`. Several
/// may have one name: of a VGG that of torchvision comes first, then the one for small pictures.
pub fn named() -> impl Iterator<Item = (String, Box<dyn Architecture>)> {
    [
        imagenet_vgg::named(),
        imagenet_resnet::named(),
        alexnet::named(),
        squeezenet::named(),
        vgg::named(),
        resnet::named(),
    ]
    .into_iter()
    .flatten()
}

/// The first architecture of [`all_by_name`].
///
/// # Errors
/// As [`all_by_name`].
pub fn by_name(name: &str) -> Result<Box<dyn Architecture>> {
    all_by_name(name)?.into_iter().next().ok_or_else(|| unknown(name))
}

/// The architectures of [`named`] that have this name, one or more. Of a hub's name, such as `timm/vgg16_bn.tv_in1k`, what stands between
/// the owner and the dot counts.
///
/// # Errors
/// If no architecture has this name; the nearest is offered.
pub fn all_by_name(name: &str) -> Result<Vec<Box<dyn Architecture>>> {
    let short = short(name);
    let found: Vec<_> = named().filter(|(known, _)| known == short).map(|(_, architecture)| architecture).collect();
    if found.is_empty() { Err(unknown(name)) } else { Ok(found) }
}

/// The name under which libraries have just this structure, where one has: of several architectures of a name the first is theirs.
pub fn name_of(graph: &Graph) -> Option<String> {
    let &[channels, height, width] = graph.shape(0) else { return None };
    let is_it = |kind: &dyn Architecture| {
        kind.graph([channels, height, width], graph.outputs()).is_ok_and(|other| other == *graph)
    };
    let is_first = |name: &str| by_name(name).is_ok_and(|kind| is_it(&*kind));
    named().map(|(name, _)| name).find(|name| is_first(name))
}

/// The architecture's part of a hub's name.
fn short(name: &str) -> &str {
    let own = name.rsplit(['/', ':']).next().unwrap_or(name);
    own.split('.').next().unwrap_or(own)
}

fn unknown(name: &str) -> NetError {
    let mut names: Vec<String> = vec![];
    named().for_each(|(known, _)| {
        if !names.contains(&known) {
            names.push(known);
        }
    });
    let hint = nearest(short(name), names.iter().map(String::as_str));
    let hint = hint.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
    NetError::Architecture(format!("`{name}` is no known architecture ({}){hint}", names.join(", ")))
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

/// Two hidden linear maps with their activations, and one for the classes: `classifier.N`, numbered so.
fn classifier(
    graph: &mut Graph,
    numbers: [usize; 5],
    units: usize,
    classes: usize,
    activation: &Op,
) -> Result<(), NetError> {
    let linear = |out_features: usize| Op::Linear { out_features, bias: true };
    let ops = [linear(units), activation.clone(), linear(units), activation.clone(), linear(classes)];
    let nodes = numbers.into_iter().zip(ops);
    nodes.into_iter().try_for_each(|(number, op)| graph.then(format!("classifier.{number}"), op).map(|_| ()))
}

/// Refuses a width multiplier that makes no network, or one for no computer.
fn check_width(width: f64) -> Result<(), Unfit> {
    Unfit::unless(width > 0.0 && width <= 16.0, "width", format!("must be above 0 and up to 16, not {width}"))
}

/// A width scaled by a factor: to the nearest integer, at least 1.
fn scaled(channels: usize, width: f64) -> usize {
    ((channels as f64 * width).round() as usize).max(1)
}
