//! `interp-audit visualize`: pictures that neurons answer to most.

mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use clap::{Args, ValueEnum};
use interp_audit::Memory;
use interp_audit::neurons::{Peak, Unit, survey};
use interp_audit::saliency::logits;
use interp_audit::visualize::{Frame, Goal, Maximization, Range, Steps, Variants, maximize};
use interp_data::{Batch, Normalize};
use interp_learn::to_tensor;
use interp_net::{Graph, NodeId};
use serde_json::json;

use super::Ending;
use super::chosen::class;
use super::layers::activations;
use super::on_pictures::{Known, OnPictures};
use super::outcome::Outcome;
use crate::progress::Screen;
use crate::{Catalog, Error, Result};

/// Pictures that neurons answer to most, found by ascending the gradient, beside those of a data set
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  interp-audit visualize checkpoints/sparse_vgg --layers 'features.14,classifier' --out visualize\n  \
    interp-audit visualize checkpoints/sparse_vgg --units features.14:3,classifier:disk --variants 3\n\n\
    Writes DIR/data.safetensors (of every NODE: NODE.pictures (units, variants, H, W, C) in [0, 1] and NODE.channel (units)), DIR/summary.json and \
    DIR/report.html"
)]
pub(super) struct Visualize {
    #[command(flatten)]
    on: OnPictures,
    /// Neurons; the channels of the last layer have the names of classes too
    #[arg(long, value_delimiter = ',', value_name = "NODE:CHANNEL")]
    units: Vec<String>,
    /// Nodes, by patterns; by default the last one, unless there are --units
    #[arg(long, value_delimiter = ',', value_name = "GLOB")]
    layers: Vec<String>,
    /// N neurons of each of the --layers, at even distances among those that answer to some picture
    #[arg(long, default_value_t = 12, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
    /// What is maximized: the mean of a channel's map, or the neuron in its middle
    #[arg(long, value_enum, default_value_t = What::Channel)]
    goal: What,
    /// Pictures of each neuron, kept apart from each other
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    variants: u8,
    /// What it costs that variants are alike, in parts of what the neuron answers
    #[arg(long, default_value_t = 1.0, value_name = "SHARE", value_parser = at_least_zero)]
    apart: f64,
    /// Steps of the search
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// The rate of the first step, which falls to 0
    #[arg(long, default_value_t = Steps::default().rate, value_name = "RATE", value_parser = at_least_zero)]
    rate: f64,
    /// Hold the root mean square distance from gray at this, up to 0.5, where else pixels may be anything in [0, 1]
    #[arg(long, value_name = "DISTANCE", value_parser = contrast)]
    contrast: Option<f64>,
    /// Do not turn, scale and shift pictures a little in every step
    #[arg(long)]
    still: bool,
    /// Of the noise that pictures start from
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Memory that activations may take, such as 512MiB; results do not depend on it
    #[arg(long, default_value = "1GiB", value_parser = super::memory)]
    memory: Memory,
    /// The folder to write
    #[arg(long, default_value = "visualize", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
}

/// What is maximized.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    Channel,
    Neuron,
}

/// A number that is not negative.
pub(super) fn at_least_zero(text: &str) -> std::result::Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| *number >= 0.0 && number.is_finite());
    number.ok_or_else(|| format!("`{text}` is no number from 0 on"))
}

fn contrast(text: &str) -> std::result::Result<f64, String> {
    at_least_zero(text)
        .ok()
        .filter(|number| *number > 0.0 && *number <= 0.5)
        .ok_or_else(|| format!("`{text}` is not in (0, 0.5]"))
}

/// What a neuron answers most to among pictures of the data set, with the picture.
type Best = Option<(Peak, Vec<f32>)>;

/// The channels of a layer that are shown.
struct Asked {
    node: NodeId,
    channels: Vec<usize>,
    best: Vec<Best>,
}

/// What was found for a neuron.
struct Shown {
    channel: usize,
    name: String,
    found: Variants,
    best: Best,
    /// Of a class, what the network takes the first picture for: another output may grow with it.
    taken_for: Option<String>,
}

/// A layer with its neurons.
struct Layer {
    name: String,
    neurons: Vec<Shown>,
}

impl Shown {
    /// The largest activation over variants.
    fn peak(&self) -> f64 {
        self.found.pictures.iter().map(|one| one.peak).fold(f64::NEG_INFINITY, f64::max)
    }

    /// How many times the largest activation of the data set that is.
    fn ratio(&self) -> Option<f64> {
        self.best.as_ref().map(|(peak, _)| self.peak() / f64::from(peak.activation))
    }
}

impl Visualize {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let known = self.on.open_known(catalog)?;
        let graph = &known.network.graph;
        let asked = self.asked(&known)?;
        let frame = Frame { info: &known.info, border: known.fit.border };
        let (how, at_once) = (self.how(), self.memory.pictures(graph));
        let bar = Screen::new(self.on.json).units("neurons");
        let all: usize = asked.iter().map(|asked| asked.channels.len()).sum();
        let (mut layers, mut done) = (vec![], 0);
        for Asked { node, channels, best } in asked {
            let goals: Vec<Goal> = channels.iter().map(|&channel| self.of(channel)).collect();
            let tell = |some: usize| bar.set((done + some) as u64, all as u64);
            let found = maximize(&known.network, frame, node, &goals, &how, at_once, &tell)?;
            done += channels.len();
            let shown = |((channel, found), best): ((usize, Variants), Best)| -> Result<Shown> {
                let name = channel_name(graph, node, channel, &known.info.classes);
                Ok(Shown { channel, name, taken_for: taken_for(&known, node, &found)?, found, best })
            };
            let neurons = channels.into_iter().zip(found).zip(best).map(shown).collect::<Result<_>>()?;
            layers.push(Layer { name: graph.nodes()[node].name.clone(), neurons });
        }
        drop(bar);
        self.tell(&known, &layers)
    }

    fn how(&self) -> Maximization {
        Maximization {
            steps: Steps { count: self.steps as usize, rate: self.rate, seed: self.seed },
            range: self.contrast.map_or(Range::Box, Range::Contrast),
            moved: !self.still,
            variants: self.variants.into(),
            apart: self.apart,
        }
    }

    fn of(&self, channel: usize) -> Goal {
        match self.goal {
            What::Channel => Goal::Channel(channel),
            What::Neuron => Goal::Neuron(channel),
        }
    }

    /// The layers asked about.
    fn nodes(&self, graph: &Graph) -> Result<Vec<NodeId>> {
        match (self.layers.is_empty(), self.units.is_empty()) {
            (false, _) => activations(graph, &self.layers),
            (true, true) => Ok(vec![graph.output()]),
            (true, false) => Ok(vec![]),
        }
    }

    /// The neurons asked about one by one.
    fn named(&self, graph: &Graph, classes: &[String]) -> Result<Vec<(NodeId, usize)>> {
        let unit = |text: &String| {
            let wrong = || Error::Usage(format!("--units {text}: it is written NODE:CHANNEL"));
            let (name, channel) = text.rsplit_once(':').ok_or_else(wrong)?;
            let node = graph.id(name)?;
            Ok((node, one_channel(graph, node, text, channel, classes)?))
        };
        self.units.iter().map(unit).collect()
    }

    /// All neurons asked about, by layer in the graph's order, with what they answer to among pictures.
    fn asked(&self, known: &Known) -> Result<Vec<Asked>> {
        let graph = &known.network.graph;
        let (layers, named) = (self.nodes(graph)?, self.named(graph, &known.info.classes)?);
        let nodes: BTreeSet<NodeId> = layers.iter().copied().chain(named.iter().map(|&(node, _)| node)).collect();
        let nodes: Vec<NodeId> = nodes.into_iter().collect();
        let look = |pictures| survey(&known.network, pictures, &nodes, 1, self.memory);
        let found = known.pictures.as_ref().map(look).transpose()?;
        let asked = |(at, &node): (usize, &NodeId)| -> Result<Asked> {
            let seen = found.as_ref().map(|found| found.layers[at].units.as_slice());
            let all = graph.shape(node)[0];
            let mut channels = if layers.contains(&node) { spread(all, seen, self.count.into()) } else { vec![] };
            for &(_, channel) in named.iter().filter(|(of, _)| *of == node) {
                if !channels.contains(&channel) {
                    channels.push(channel);
                }
            }
            let peak = |channel: usize| seen.and_then(|units| units[channel].peaks.first().copied());
            let best = channels.iter().map(|&channel| read(known, peak(channel))).collect::<Result<_>>()?;
            Ok(Asked { node, channels, best })
        };
        nodes.iter().enumerate().map(asked).collect()
    }

    fn tell(&self, known: &Known, layers: &[Layer]) -> Result<Ending> {
        let outcome = Outcome {
            tensors: tensors(known, layers)?,
            summary: self.summary(known, layers),
            told: page::neurons(layers),
            page: page::of(self, known, layers),
        };
        outcome.write_and_tell(&self.out, self.on.json)
    }

    fn summary(&self, known: &Known, layers: &[Layer]) -> serde_json::Value {
        let neuron = |shown: &Shown| {
            json!({
                "channel": shown.channel, "name": shown.name,
                "reached": shown.found.pictures.iter().map(|one| one.reached).collect::<Vec<_>>(),
                "activation": shown.found.pictures.iter().map(|one| one.peak).collect::<Vec<_>>(),
                "likeness": (self.variants > 1).then_some(shown.found.likeness),
                "largest_in_data": shown.best.as_ref().map(|(peak, _)| peak.activation),
                "taken_for": shown.taken_for,
                "picture": shown.best.as_ref().map(|(peak, _)| peak.picture),
                "ratio": shown.ratio(),
            })
        };
        let layer = |layer: &Layer| json!({ "node": layer.name, "neurons": layer.neurons.iter().map(neuron).collect::<Vec<_>>() });
        let goal = match self.goal {
            What::Channel => "channel",
            What::Neuron => "neuron",
        };
        json!({
            "version": 1, "checkpoint": known.path.display().to_string(),
            "data": known.pictures.is_some().then_some(&known.info.name),
            "split": known.pictures.is_some().then_some(self.on.split),
            "goal": goal, "steps": self.steps, "rate": self.rate, "seed": self.seed, "contrast": self.contrast, "moved": !self.still,
            "variants": self.variants, "apart": self.apart, "layers": layers.iter().map(layer).collect::<Vec<_>>(),
        })
    }
}

/// The channel that is meant, by its number or, of the last layer, the name of its class.
fn one_channel(graph: &Graph, node: NodeId, text: &str, channel: &str, classes: &[String]) -> Result<usize> {
    let count = graph.shape(node)[0];
    if tells_classes(graph, node) {
        return class(&format!("--units {text}:"), channel, classes, count);
    }
    let none = || {
        let name = &graph.nodes()[node].name;
        Error::Usage(format!("--units {text}: `{name}` has the channels 0 to {}", count - 1))
    };
    channel.parse().ok().filter(|&channel: &usize| channel < count).ok_or_else(none)
}

/// `count` of so many channels, at even distances among those that answer to some picture, where that is known and some do.
fn spread(all: usize, seen: Option<&[Unit]>, count: usize) -> Vec<usize> {
    let alive: Vec<usize> = (0..all).filter(|&channel| seen.is_none_or(|units| !units[channel].is_dead())).collect();
    let from = if alive.is_empty() { (0..all).collect() } else { alive };
    let count = count.min(from.len());
    (0..count).map(|at| from[at * from.len() / count]).collect()
}

/// The picture of a peak.
fn read(known: &Known, peak: Option<Peak>) -> Result<Best> {
    let (Some(peak), Some(pictures)) = (peak, &known.pictures) else { return Ok(None) };
    let mut pixels = vec![0.0; known.info.pixels()];
    pictures.data.image(pictures.split, peak.picture, &mut pixels)?;
    Ok(Some((peak, pixels)))
}

fn tells_classes(graph: &Graph, node: NodeId) -> bool {
    node == graph.output() && graph.shape(node).len() == 1
}

/// The class that the network takes the first picture of a class for.
fn taken_for(known: &Known, node: NodeId, found: &Variants) -> Result<Option<String>> {
    let (graph, info) = (&known.network.graph, &known.info);
    let Some(picture) = found.pictures.first().filter(|_| tells_classes(graph, node)) else { return Ok(None) };
    let mut images = picture.pixels.clone();
    Normalize::new(info).apply(&mut images);
    let batch = Batch { images, labels: vec![0], indices: vec![0], masks: None };
    let x = to_tensor(&batch, info)?.to_device(&known.network.device())?;
    let rows = logits(&known.network, &x, 1)?;
    let largest = rows.first().and_then(|row| (0..row.len()).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])));
    Ok(largest.map(|class| channel_name(graph, node, class, &info.classes)))
}

/// What a channel is called: of the last layer by its class.
fn channel_name(graph: &Graph, node: NodeId, channel: usize, classes: &[String]) -> String {
    let class = classes.get(channel).filter(|_| tells_classes(graph, node));
    class.cloned().unwrap_or_else(|| channel.to_string())
}

fn tensors(known: &Known, layers: &[Layer]) -> Result<BTreeMap<String, Tensor>> {
    let info = &known.info;
    let mut tensors = BTreeMap::new();
    for Layer { name, neurons } in layers {
        let pictures = || neurons.iter().flat_map(|shown| &shown.found.pictures);
        let pixels: Vec<f32> = pictures().flat_map(|one| one.pixels.iter().copied()).collect();
        let variants = pictures().count() / neurons.len().max(1);
        let shape = (neurons.len(), variants, info.height, info.width, info.channels);
        tensors.insert(format!("{name}.pictures"), Tensor::from_vec(pixels, shape, &Device::Cpu)?);
        let channels: Vec<i64> = neurons.iter().map(|shown| shown.channel as i64).collect();
        tensors.insert(format!("{name}.channel"), Tensor::from_vec(channels, neurons.len(), &Device::Cpu)?);
    }
    Ok(tensors)
}
