//! `interp-audit neurons`: what each neuron answers to most.

mod cards;
mod cut;
mod names;
mod page;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use candle_core::{Device, Tensor};
use clap::Args;
use interp_audit::neurons::class::{ClassSelectivity, class_selectivity, over_all_pictures};
use interp_audit::neurons::{
    Character, Feature, Index, Layer, Measured, Selectivity, Survey, Unit, character, features, plain_answers,
};
use interp_finding::median;
use interp_net::{Graph, NodeId};
use serde_json::json;

use super::Ending;
use super::on_pictures::{OnPictures, Opened};
use super::outcome::Outcome;
use super::surveyed::{Atlas, Hues, Selectivities, Surveyed};
use crate::progress::tell;
use crate::{Catalog, Result};

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
    #[command(flatten)]
    surveyed: Surveyed,
    #[command(flatten)]
    settings: Settings,
    /// The folder to write
    #[arg(long, default_value = "neurons", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
}

/// What is looked for.
#[derive(Args, Debug)]
pub(super) struct Settings {
    /// What else is looked for beside classes: color, luminance, orientation, symmetry, shape; each runs the network on every answer once or
    /// several times
    #[arg(long, value_delimiter = ',', default_value = "color,orientation", value_name = "NAME", value_parser = index)]
    indexes: Vec<Index>,
    /// Leave out the same network with random weights, which the indexes are held against
    #[arg(long)]
    no_untrained: bool,
}

/// An index by its name.
fn index(name: &str) -> std::result::Result<Index, String> {
    let names = Index::ALL.map(Index::name).join(", ");
    Index::ALL.into_iter().find(|known| known.name() == name).ok_or_else(|| format!("`{name}` is none of {names}"))
}

/// What is told of a neuron.
struct Told<'a> {
    channel: usize,
    unit: &'a Unit,
    feature: Option<&'a Feature>,
    selectivity: Option<ClassSelectivity>,
    over_all: Option<f64>,
    /// By name, with the median of the layer in the same network with random weights.
    indexes: Vec<(&'static str, Option<Selectivity>, Option<f64>)>,
    characters: Vec<Character>,
}

/// What neurons see and answer to, by layer and channel.
struct Seen {
    hues: Option<Rc<Hues>>,
    plain: Vec<Vec<[f32; 2]>>,
}

/// An index of all neurons.
struct Indexed {
    name: &'static str,
    found: Rc<Selectivities>,
    /// The medians of the layers of the network with random weights.
    random: Option<Vec<Option<f64>>>,
}

/// What is told of a layer.
struct Rows<'a> {
    name: &'a str,
    neurons: Vec<Told<'a>>,
}

impl Neurons {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let opened = self.on.open_classifier(catalog)?;
        let survey = self.surveyed.survey(&opened.network, &opened.pictures)?;
        let measured = Atlas::new(&self.surveyed, &opened, survey);
        let outcome = self.settings.outcome(&self.on, &opened, &measured)?;
        outcome.write_and_tell(&self.out, self.on.json)
    }
}

impl Settings {
    /// What follows from what is measured.
    pub(super) fn outcome(&self, on: &OnPictures, opened: &Opened, measured: &Atlas<'_>) -> Result<Outcome> {
        let Opened { path, network, info, pictures, .. } = opened;
        let found = measured.survey();
        let features = features(network, pictures, found, measured.memory(), |_, _| true)?;
        let colors = info.channels == 3;
        if !colors && self.indexes.iter().any(|index| index.is_of_colors()) {
            tell("the pictures are gray: no index of colors is measured");
        }
        let asked = |index: &Index| self.indexes.contains(index) && (colors || !index.is_of_colors());
        let indexes = Index::ALL.into_iter().filter(asked);
        let indexes = indexes.map(|index| self.indexed(index, measured)).collect::<Result<Vec<_>>>()?;
        let nodes: Vec<NodeId> = found.layers.iter().map(|layer| layer.node).collect();
        let seen = Seen {
            hues: if colors { Some(measured.hues()?) } else { None },
            plain: plain_answers(network, info, &nodes, measured.memory())?,
        };
        let rows = told(&network.graph, found, &features, &indexes, &seen);
        let command = |picture| on.command("saliency", &format!("--pictures {picture}"));
        let cards = cards::of(network, pictures, &rows, &command)?;
        let page = page::of(path, info, found, &rows, cards);
        Ok(Outcome {
            tensors: tensors(&network.graph, measured, &features)?,
            summary: summary(on, opened, measured, &rows),
            told: page::layers(&rows),
            page,
        })
    }

    /// An index, beside the same network with random weights.
    fn indexed(&self, index: Index, measured: &Atlas<'_>) -> Result<Indexed> {
        let median =
            |layer: &Vec<Option<Selectivity>>| median(layer.iter().flatten().map(|found| found.index).collect());
        let random = if self.no_untrained { None } else { Some(measured.random_index(index)?) };
        Ok(Indexed {
            name: index.name(),
            found: measured.index(index)?,
            random: random.map(|layers| layers.iter().map(median).collect()),
        })
    }
}

fn summary(on: &OnPictures, opened: &Opened, measured: &Atlas<'_>, rows: &[Rows<'_>]) -> serde_json::Value {
    let info = &opened.info;
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
        for (name, found, random) in &told.indexes {
            neuron[*name] = found.map_or(
                json!(null),
                |found| json!({ "index": found.index, "interval": found.interval, "untrained": random }),
            );
        }
        neuron["called"] = names::of(&told.characters, info).into();
        neuron
    };
    let layer = |rows: &Rows<'_>| {
        let dead = rows.neurons.iter().filter(|told| told.unit.is_dead()).count();
        let every = rows.neurons.iter().find_map(|told| told.feature).map(|feature| feature.every);
        json!({ "node": rows.name, "dead": dead, "feature_every": every, "neurons": rows.neurons.iter().map(neuron).collect::<Vec<_>>() })
    };
    json!({
        "version": 1, "checkpoint": opened.path.display().to_string(), "data": info.name, "split": on.split,
        "pictures": measured.survey().pictures(),
        "count": measured.count(), "layers": rows.iter().map(layer).collect::<Vec<_>>(),
    })
}

fn tensors(graph: &Graph, measured: &Atlas<'_>, features: &[Vec<Option<Feature>>]) -> Result<BTreeMap<String, Tensor>> {
    let mut tensors = BTreeMap::new();
    for (layer, features) in measured.survey().layers.iter().zip(features) {
        let name = &graph.nodes()[layer.node].name;
        of_peaks(name, layer, measured.count(), &mut tensors)?;
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

fn of_peaks(name: &str, layer: &Layer, count: usize, tensors: &mut BTreeMap<String, Tensor>) -> Result<()> {
    let units = layer.units.len();
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

fn told<'a>(
    graph: &'a Graph,
    found: &'a Survey,
    features: &'a [Vec<Option<Feature>>],
    indexes: &[Indexed],
    seen: &Seen,
) -> Vec<Rows<'a>> {
    let neuron = |at: usize, channel: usize| {
        let layer = &found.layers[at];
        let (unit, feature) = (&layer.units[channel], features[at][channel].as_ref());
        // A stream of its own for each neuron.
        let seed = ((layer.node as u64) << 32) | channel as u64;
        let class = class_selectivity(unit, &found.by_class, seed);
        let index =
            |wanted: &str| indexes.iter().find(|index| index.name == wanted).and_then(|index| index.found[at][channel]);
        let characters = character(&Measured {
            unit,
            feature,
            class: class.as_ref(),
            color: index("color"),
            orientation: index("orientation"),
            hues: seen.hues.as_ref().and_then(|hues| hues[at][channel].as_ref()),
            plain: seen.plain[at].get(channel).copied(),
        });
        let random = |index: &Indexed| index.random.as_ref().and_then(|layers| layers[at]);
        Told {
            channel,
            unit,
            feature,
            selectivity: class,
            over_all: over_all_pictures(unit, &found.by_class),
            indexes: indexes.iter().map(|index| (index.name, index.found[at][channel], random(index))).collect(),
            characters,
        }
    };
    let layer = |(at, layer): (usize, &'a Layer)| Rows {
        name: &graph.nodes()[layer.node].name,
        neurons: (0..layer.units.len()).map(|channel| neuron(at, channel)).collect(),
    };
    found.layers.iter().enumerate().map(layer).collect()
}
