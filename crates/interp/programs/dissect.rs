//! `interp-audit dissect`: the concepts that channels detect.

mod page;

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use clap::Args;
use interp_audit::dissection::Settings as Detectors;
use interp_audit::dissection::{Concept, Dissection, Layer, Overlap, Thresholds, Unit, dissect, probes};
use interp_audit::{Memory, observe};
use interp_net::{Graph, NodeId};
use serde_json::{Value, json};

use super::Ending;
use super::layers::activations;
use super::on_pictures::{OnPictures, Opened};
use super::outcome::Outcome;
use crate::{Catalog, Result};

/// The concepts that channels detect: where a channel answers most beside where concepts are
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-audit dissect checkpoints/sparse_vgg --out dissect\n\n\
    Concepts are those that the data know of: `concepts` has shapes, hues, textures and backgrounds; a folder has what label maps beside its \
    pictures say (docs/dissection.md).\n\
    Writes DIR/data.safetensors (of every NODE: NODE.iou (C, concepts), NODE.threshold (C)), DIR/summary.json and DIR/report.html")]
pub(super) struct Dissect {
    #[command(flatten)]
    on: OnPictures,
    /// Nodes, by patterns; by default all activations
    #[arg(long, value_delimiter = ',', value_name = "GLOB")]
    layers: Vec<String>,
    #[command(flatten)]
    settings: Settings,
    /// Memory that activations may take, such as 512MiB; results do not depend on it
    #[arg(long, default_value = "1GiB", value_parser = super::memory)]
    memory: Memory,
    /// The folder to write
    #[arg(long, default_value = "dissect", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
}

/// What counts as a detector.
#[derive(Args, Clone, Debug)]
pub(super) struct Settings {
    /// The share of a channel's cells, those of its largest activations, that are its answers
    #[arg(long, default_value_t = 0.005, value_name = "SHARE", value_parser = super::share)]
    quantile: f64,
    /// The intersection over union with a concept above which a channel detects it
    #[arg(long, default_value_t = 0.04, value_name = "SHARE", value_parser = super::share)]
    iou: f64,
    /// Random rotations of each layer's channels, in which concepts are looked for too
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(..=10))]
    rotations: u8,
}

impl Dissect {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let opened = self.on.open(catalog)?;
        let nodes = activations(&opened.network.graph, &self.layers)?;
        let mut found = Dissection { concepts: vec![], layers: vec![] };
        for mut thresholds in self.settings.parts(&opened, &nodes, self.memory.half())? {
            observe(&opened.network, &opened.pictures, &mut [&mut thresholds], self.memory.half())?;
            self.settings.add(&opened, thresholds, self.memory, &mut found)?;
        }
        self.settings.outcome(&self.on, &opened, &found)?.write_and_tell(&self.out, self.on.json)
    }
}

impl Settings {
    fn detectors(&self) -> Detectors {
        Detectors { quantile: self.quantile, iou: self.iou, ..Detectors::default() }
    }

    /// What finds thresholds, each part by a pass of its own.
    pub(super) fn parts(&self, opened: &Opened, nodes: &[NodeId], memory: Memory) -> Result<Vec<Thresholds>> {
        let Opened { network, pictures, .. } = opened;
        let probes = probes(network, nodes, self.rotations.into())?;
        Ok(Thresholds::parts(network, pictures, probes, self.quantile, memory))
    }

    /// Adds the overlaps of a part whose thresholds are found, by another pass.
    pub(super) fn add(&self, opened: &Opened, part: Thresholds, memory: Memory, found: &mut Dissection) -> Result<()> {
        found.extend(dissect(&opened.network, &opened.pictures, part, &self.detectors(), memory)?);
        Ok(())
    }

    /// What follows from a dissection.
    pub(super) fn outcome(&self, on: &OnPictures, opened: &Opened, found: &Dissection) -> Result<Outcome> {
        let Opened { path, network, pictures, .. } = opened;
        let settings = self.detectors();
        Ok(Outcome {
            tensors: tensors(&network.graph, found)?,
            summary: self.summary(on, opened, found),
            told: page::layers(&network.graph, found, &settings),
            page: page::of(path, network, pictures, found, &settings)?,
        })
    }

    fn summary(&self, on: &OnPictures, opened: &Opened, found: &Dissection) -> Value {
        let settings = self.detectors();
        let concept = |concept: &Concept| {
            let Concept { name, pictures, density, ceiling } = concept;
            json!({ "name": name, "pictures": pictures, "density": density, "ceiling": ceiling })
        };
        let overlap = |found: &Overlap, concepts: &[Concept]| {
            let Overlap { concept, iou, interval, null: chance } = found;
            json!({ "concept": concepts[*concept].name, "iou": iou, "interval": interval, "null": chance })
        };
        let unit = |(channel, unit): (usize, &Unit)| {
            let first = unit.overlaps.first().map(|first| overlap(first, &found.concepts));
            json!({ "channel": channel, "threshold": finite(unit.threshold), "density": unit.density, "first": first })
        };
        let layer = |layer: &Layer| {
            json!({
                "node": opened.network.graph.nodes()[layer.node].name, "rotated": layer.rotated,
                "detectors": layer.detectors(&settings).len(), "unique": layer.unique(&settings).len(),
                "channels": layer.units.iter().enumerate().map(unit).collect::<Vec<_>>(),
            })
        };
        json!({
            "version": 1, "checkpoint": opened.path.display().to_string(), "data": opened.info.name, "split": on.split,
            "quantile": self.quantile, "iou": self.iou, "concepts": found.concepts.iter().map(concept).collect::<Vec<_>>(),
            "layers": found.layers.iter().map(layer).collect::<Vec<_>>(),
        })
    }
}

/// JSON has no infinity.
fn finite(value: f32) -> Option<f32> {
    value.is_finite().then_some(value)
}

fn tensors(graph: &Graph, found: &Dissection) -> Result<BTreeMap<String, Tensor>> {
    let mut tensors = BTreeMap::new();
    for layer in found.layers.iter().filter(|layer| !layer.rotated) {
        let name = &graph.nodes()[layer.node].name;
        let row = |unit: &Unit| {
            let mut row = vec![0f32; found.concepts.len()];
            unit.overlaps.iter().for_each(|overlap| row[overlap.concept] = overlap.iou as f32);
            row
        };
        let all: Vec<f32> = layer.units.iter().flat_map(row).collect();
        let thresholds: Vec<f32> = layer.units.iter().map(|unit| unit.threshold).collect();
        let count = layer.units.len();
        tensors.insert(format!("{name}.iou"), Tensor::from_vec(all, (count, found.concepts.len()), &Device::Cpu)?);
        tensors.insert(format!("{name}.threshold"), Tensor::from_vec(thresholds, count, &Device::Cpu)?);
    }
    Ok(tensors)
}
