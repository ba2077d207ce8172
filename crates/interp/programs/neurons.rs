//! `interp-audit neurons`: what each neuron answers to most.

mod cards;
mod cut;
mod page;

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use clap::Args;
use interp_audit::Memory;
use interp_audit::neurons::class::{ClassSelectivity, class_selectivity, over_all_pictures};
use interp_audit::neurons::{Feature, Index, Layer, Selectivity, Survey, Unit, features, survey};
use interp_data::Info;
use interp_net::{Graph, aligned, files, sealed};
use interp_report::html;
use serde_json::json;

use super::layers::activations;
use super::on_pictures::{OnPictures, Opened};
use super::{Ending, print};
use crate::progress::tell;
use crate::{Catalog, Error, Result};

/// What each neuron answers to most: its Neuron Feature, the classes it selects, and which are dead
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  interp-audit neurons checkpoints/sparse_vgg --layers 'features.*' --out neurons\n\n\
    Writes DIR/data.safetensors (of every NODE: NODE.activation (C, count) and NODE.picture, NODE.row, NODE.column of the answers, -1 where there are \
    fewer; NODE.histogram (C, 65); NODE.feature (C, h, w, channels) in [0, 1], 0.5 of dead ones), DIR/summary.json and DIR/report.html"
)]
pub(super) struct Neurons {
    #[command(flatten)]
    on: OnPictures,
    /// Nodes, by patterns; by default all activations
    #[arg(long, value_delimiter = ',', value_name = "GLOB")]
    layers: Vec<String>,
    /// The largest answers that are kept of each neuron, one for each picture
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u16).range(2..))]
    count: u16,
    /// What else is looked for beside classes: color, luminance, orientation, symmetry, shape; each runs the network on every answer once or
    /// several times
    #[arg(long, value_delimiter = ',', default_value = "color,orientation", value_name = "NAME", value_parser = index)]
    indexes: Vec<(Index, &'static str)>,
    /// Memory that activations may take, such as 512MiB; results do not depend on it
    #[arg(long, default_value = "1GiB", value_parser = super::memory)]
    memory: Memory,
    /// The folder to write
    #[arg(long, default_value = "neurons", value_name = "DIR")]
    out: PathBuf,
}

/// An index by its name.
fn index(name: &str) -> std::result::Result<(Index, &'static str), String> {
    let names = Index::ALL.map(|(_, name)| name).join(", ");
    Index::ALL.into_iter().find(|(_, known)| *known == name).ok_or_else(|| format!("`{name}` is none of {names}"))
}

/// What is told of a neuron.
struct Told<'a> {
    channel: usize,
    unit: &'a Unit,
    feature: Option<&'a Feature>,
    selectivity: Option<ClassSelectivity>,
    over_all: Option<f64>,
    /// By name.
    indexes: Vec<(&'static str, Option<Selectivity>)>,
}

/// What is told of a layer.
struct Rows<'a> {
    name: &'a str,
    neurons: Vec<Told<'a>>,
}

impl Neurons {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let Opened { path, network, info, pictures, .. } = self.on.open_classifier(catalog)?;
        let nodes = activations(&network.graph, &self.layers)?;
        let batch = self.memory.pictures(&network.graph);
        let found = survey(&network, &pictures, &nodes, self.count.into(), self.memory)?;
        let features = features(&network, &pictures, &found)?;
        if info.channels != 3 && self.indexes.iter().any(|(index, _)| index.is_of_colors()) {
            tell("the pictures are gray: no index of colors is measured");
        }
        let measured = self.indexes.iter().filter(|(index, _)| info.channels == 3 || !index.is_of_colors());
        let indexes = measured.map(|&(index, name)| Ok((name, index.of(&network, &pictures, &found, batch)?)));
        let indexes = indexes.collect::<Result<Vec<_>>>()?;
        let rows = told(&network.graph, &found, &features, &indexes);
        let summary = self.summary(&path.display().to_string(), &info, &found, &rows);
        std::fs::create_dir_all(&self.out).map_err(|source| Error::Io { path: self.out.clone(), source })?;
        let tensors = self.tensors(&network.graph, &found, &features)?;
        sealed::write(&self.out.join("data.safetensors"), &tensors, &json!({ "version": 1, "data": info.name }))?;
        let text = serde_json::to_string_pretty(&summary)?;
        files::write_atomically(&self.out.join("summary.json"), text.as_bytes())?;
        let command = |picture| self.on.command("saliency", &format!("--pictures {picture}"));
        let cards = cards::of(&network, &pictures, &rows, &command)?;
        let page = page::of(&path, &info, &found, &rows, cards);
        files::write_atomically(&self.out.join("report.html"), html(&page)?.as_bytes())?;
        if self.on.json {
            print(&summary.to_string())?;
        } else {
            let (head, lines) = page::layers(&rows);
            print(&aligned(&std::iter::once(head).chain(lines).collect::<Vec<_>>(), 1))?;
            print(&format!("written: {}", self.out.join("report.html").display()))?;
        }
        Ok(Ending::Fine)
    }

    fn summary(&self, checkpoint: &str, info: &Info, found: &Survey, rows: &[Rows<'_>]) -> serde_json::Value {
        let neuron = |told: &Told<'_>| {
            let class = told.selectivity.as_ref().map(|s| {
                let name = |class: usize| info.classes.get(class).cloned().unwrap_or_else(|| class.to_string());
                let (class, share) = s.shares.first().copied().unwrap_or_default();
                json!({
                    "index": s.index, "interval": s.interval, "null": s.null, "p": s.p, "entropy": s.entropy,
                    "population": s.population, "first": name(class), "share": share, "over_all_pictures": told.over_all,
                })
            });
            let mut neuron = json!({ "channel": told.channel, "firing": told.unit.firing, "class": class });
            for (name, found) in &told.indexes {
                neuron[*name] =
                    found.map_or(json!(null), |found| json!({ "index": found.index, "interval": found.interval }));
            }
            neuron
        };
        let layer = |rows: &Rows<'_>| {
            let dead = rows.neurons.iter().filter(|told| told.unit.is_dead()).count();
            json!({ "node": rows.name, "dead": dead, "neurons": rows.neurons.iter().map(neuron).collect::<Vec<_>>() })
        };
        json!({
            "version": 1, "checkpoint": checkpoint, "data": info.name, "split": self.on.split, "pictures": found.pictures(),
            "count": self.count, "layers": rows.iter().map(layer).collect::<Vec<_>>(),
        })
    }

    fn tensors(
        &self,
        graph: &Graph,
        found: &Survey,
        features: &[Vec<Option<Feature>>],
    ) -> Result<BTreeMap<String, Tensor>> {
        let mut tensors = BTreeMap::new();
        for (layer, features) in found.layers.iter().zip(features) {
            let name = &graph.nodes()[layer.node].name;
            self.of_peaks(name, layer, &mut tensors)?;
            let size = features.iter().flatten().map(|feature| (feature.size, feature.pixels.len())).next();
            if let Some(([height, width], count)) = size {
                let gray = vec![0.5; count];
                let pixels = |feature: &Option<Feature>| feature.as_ref().map_or(gray.clone(), |f| f.pixels.clone());
                let all: Vec<f32> = features.iter().flat_map(pixels).collect();
                let shape = (features.len(), height, width, count / (height * width).max(1));
                tensors.insert(format!("{name}.feature"), Tensor::from_vec(all, shape, &Device::Cpu)?);
            }
        }
        Ok(tensors)
    }

    fn of_peaks(&self, name: &str, layer: &Layer, tensors: &mut BTreeMap<String, Tensor>) -> Result<()> {
        let (units, count) = (layer.units.len(), usize::from(self.count));
        let padded = |of: &dyn Fn(&Unit) -> Vec<i64>| -> Result<Tensor> {
            let row = |unit: &Unit| {
                let mut row = of(unit);
                row.resize(count, -1);
                row
            };
            let all: Vec<i64> = layer.units.iter().flat_map(row).collect();
            Ok(Tensor::from_vec(all, (units, count), &Device::Cpu)?)
        };
        let activation = |unit: &Unit| {
            let mut row: Vec<f32> = unit.peaks.iter().map(|peak| peak.activation).collect();
            row.resize(count, 0.0);
            row
        };
        let activations: Vec<f32> = layer.units.iter().flat_map(activation).collect();
        let bins = layer.units.first().map_or(0, |unit| unit.histogram.len());
        let histograms: Vec<u32> = layer.units.iter().flat_map(|unit| unit.histogram.clone()).collect();
        let peaks = |unit: &Unit, of: fn(&interp_audit::neurons::Peak) -> usize| -> Vec<i64> {
            unit.peaks.iter().map(|peak| of(peak) as i64).collect()
        };
        tensors.extend([
            (format!("{name}.activation"), Tensor::from_vec(activations, (units, count), &Device::Cpu)?),
            (format!("{name}.histogram"), Tensor::from_vec(histograms, (units, bins), &Device::Cpu)?),
            (format!("{name}.picture"), padded(&|unit| peaks(unit, |peak| peak.picture))?),
            (format!("{name}.row"), padded(&|unit| peaks(unit, |peak| peak.cell[0]))?),
            (format!("{name}.column"), padded(&|unit| peaks(unit, |peak| peak.cell[1]))?),
        ]);
        Ok(())
    }
}

/// An index of all neurons, by layer and channel, with its name.
type Named = (&'static str, Vec<Vec<Option<Selectivity>>>);

fn told<'a>(
    graph: &'a Graph,
    found: &'a Survey,
    features: &'a [Vec<Option<Feature>>],
    indexes: &[Named],
) -> Vec<Rows<'a>> {
    let layer = |(at, (layer, features)): (usize, (&'a Layer, &'a Vec<Option<Feature>>))| {
        let neuron = |(channel, (unit, feature)): (usize, (&'a Unit, &'a Option<Feature>))| {
            // A stream of its own for each neuron.
            let seed = ((layer.node as u64) << 32) | channel as u64;
            Told {
                channel,
                unit,
                feature: feature.as_ref(),
                selectivity: class_selectivity(unit, &found.by_class, seed),
                over_all: over_all_pictures(unit, &found.by_class),
                indexes: indexes.iter().map(|(name, found)| (*name, found[at][channel])).collect(),
            }
        };
        let neurons = layer.units.iter().zip(features).enumerate().map(neuron).collect();
        Rows { name: &graph.nodes()[layer.node].name, neurons }
    };
    found.layers.iter().zip(features).enumerate().map(layer).collect()
}
