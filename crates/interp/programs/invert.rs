//! `interp-audit invert`: what layers still know of pictures.

mod page;

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use clap::Args;
use interp_audit::Memory;
use interp_audit::visualize::{Frame, Inversion, Inverted, Steps, invert};
use interp_net::{Graph, NodeId};
use serde_json::json;

use super::Ending;
use super::chosen::{Chosen, Subject};
use super::layers::activations;
use super::outcome::Outcome;
use super::visualize::at_least_zero;
use crate::progress::Screen;
use crate::{Catalog, Result};

/// What layers still know of pictures: pictures with the same activation, found from nothing but that
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-audit invert checkpoints/sparse_vgg --limit 6 --out invert\n\n\
    Writes DIR/data.safetensors (input (N, C, H, W) as the network sees it, index (N), and of every NODE: NODE.pictures (N, H, W, C) in [0, 1]), \
    DIR/summary.json and DIR/report.html")]
pub(super) struct Invert {
    #[command(flatten)]
    from: Chosen,
    /// N pictures of the data set, at even distances
    #[arg(long, default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Nodes, by patterns; by default six activations, at even distances, and the last node
    #[arg(long, value_delimiter = ',', value_name = "GLOB")]
    layers: Vec<String>,
    /// Steps of the search
    #[arg(long, default_value_t = 512, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// The rate of the first step, which falls to 0
    #[arg(long, default_value_t = Inversion::default().steps.rate, value_name = "RATE", value_parser = at_least_zero)]
    rate: f64,
    /// What bright and dark pixels cost
    #[arg(long, default_value_t = Inversion::default().bound, value_name = "COST", value_parser = at_least_zero)]
    bound: f64,
    /// What differences between neighboring pixels cost
    #[arg(long, default_value_t = Inversion::default().variation, value_name = "COST", value_parser = at_least_zero)]
    variation: f64,
    /// Of the noise that pictures start from
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Memory that activations may take, such as 512MiB; results do not depend on it
    #[arg(long, default_value = "1GiB", value_parser = super::memory)]
    memory: Memory,
    /// The folder to write
    #[arg(long, default_value = "invert", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
}

/// Layers looked at where nobody says.
const LAYERS: usize = 6;

/// What was found for a layer, picture by picture.
struct Layer {
    name: String,
    found: Vec<Inverted>,
}

impl Layer {
    fn median(&self, of: impl Fn(&Inverted) -> Option<f64>) -> Option<f64> {
        interp_finding::median(self.found.iter().filter_map(of).collect())
    }
}

impl Invert {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let subject = self.from.open(catalog, self.limit)?;
        let graph = &subject.network.graph;
        let nodes = self.nodes(graph)?;
        let frame = Frame { info: &subject.info, border: subject.border };
        let steps = Steps { count: self.steps as usize, rate: self.rate, seed: self.seed };
        let how = Inversion { steps, bound: self.bound, variation: self.variation };
        let bar = Screen::new(self.from.on.json).units("layers");
        let mut layers = vec![];
        for (done, &node) in nodes.iter().enumerate() {
            let at_once = self.memory.pictures(graph);
            let found = invert(&subject.network, frame, node, &subject.shown.pictures, &how, at_once)?;
            layers.push(Layer { name: graph.nodes()[node].name.clone(), found });
            bar.set(done as u64 + 1, nodes.len() as u64);
        }
        drop(bar);
        self.tell(&subject, &layers)
    }

    fn nodes(&self, graph: &Graph) -> Result<Vec<NodeId>> {
        if !self.layers.is_empty() {
            return activations(graph, &self.layers);
        }
        let activations = activations(graph, &[])?;
        let count = LAYERS.min(activations.len());
        let mut nodes: Vec<NodeId> = (0..count).map(|at| activations[at * activations.len() / count]).collect();
        nodes.push(graph.output());
        nodes.dedup();
        Ok(nodes)
    }

    fn tell(&self, subject: &Subject, layers: &[Layer]) -> Result<Ending> {
        let outcome = Outcome {
            tensors: tensors(subject, layers)?,
            summary: self.summary(subject, layers),
            told: page::table(layers),
            page: page::of(subject, layers)?,
        };
        outcome.write_and_tell(&self.out, self.from.on.json)
    }

    fn summary(&self, subject: &Subject, layers: &[Layer]) -> serde_json::Value {
        let layer = |layer: &Layer| {
            let each = |of: fn(&Inverted) -> Option<f64>| layer.found.iter().map(of).collect::<Vec<_>>();
            json!({
                "node": layer.name, "error": each(|found| found.error), "other": each(|found| found.other),
                "pixel_error": each(|found| Some(found.pixel_error)),
            })
        };
        json!({
            "version": 1, "checkpoint": subject.path.display().to_string(), "data": subject.info.name, "split": self.from.split(),
            "count": subject.shown.indices.len(), "steps": self.steps, "rate": self.rate, "seed": self.seed, "bound": self.bound, "variation": self.variation,
            "layers": layers.iter().map(layer).collect::<Vec<_>>(),
        })
    }
}

fn tensors(subject: &Subject, layers: &[Layer]) -> Result<BTreeMap<String, Tensor>> {
    let (info, shown) = (&subject.info, &subject.shown);
    let indices: Vec<i64> = shown.indices.iter().map(|&index| index as i64).collect();
    let mut tensors = BTreeMap::from([
        ("input".to_owned(), shown.pictures.contiguous()?),
        ("index".to_owned(), Tensor::from_vec(indices, shown.indices.len(), &Device::Cpu)?),
    ]);
    for Layer { name, found } in layers {
        let pixels: Vec<f32> = found.iter().flat_map(|one| one.pixels.iter().copied()).collect();
        let shape = (found.len(), info.height, info.width, info.channels);
        tensors.insert(format!("{name}.pictures"), Tensor::from_vec(pixels, shape, &Device::Cpu)?);
    }
    Ok(tensors)
}
