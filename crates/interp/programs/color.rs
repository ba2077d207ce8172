//! `interp-audit color`: how a network represents color.

mod page;
mod vision;
mod wheel;

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use clap::Args;
use interp_audit::color::{
    BINS, DataColors, Fields, FirstAxes, Hue, Kind, LayerColors, Place, Tuning, UnitHues, data_colors, first_axes,
    layer_colors, tuning, unit_hues,
};
use interp_audit::neurons::{Feature, Index, Selectivity, Survey, features, survey, untrained};
use interp_audit::{Memory, Pictures};
use interp_net::{Graph, Network, aligned};
use serde_json::{Value, json};

use super::layers::activations;
use super::on_pictures::{OnPictures, Opened};
use super::outcome::Outcome;
use super::{Ending, print};
use crate::{Catalog, Error, Result};

/// How a network represents color: which neurons select it, which hues, along which axes, beside the data and an untrained network
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-audit color checkpoints/sparse_vgg --out color\n\n\
    Writes DIR/data.safetensors (of every NODE: NODE.selectivity (C), NODE.hues (C, 36), NODE.plain (C, 3, 36), NODE.contrast (C, 36); data.hues (36)), \
    DIR/summary.json and DIR/report.html (docs/color.md)")]
pub(super) struct Color {
    #[command(flatten)]
    on: OnPictures,
    /// Nodes, by patterns; by default all activations
    #[arg(long, value_delimiter = ',', value_name = "GLOB")]
    layers: Vec<String>,
    /// The largest answers that are looked at of each neuron, one for each picture
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u16).range(2..))]
    count: u16,
    /// The color selectivity from which on a neuron is called selective
    #[arg(long, default_value_t = 0.25, value_name = "SHARE")]
    selective: f64,
    /// Memory that activations may take, such as 512MiB; results do not depend on it
    #[arg(long, default_value = "1GiB", value_parser = super::memory)]
    memory: Memory,
    /// The folder to write
    #[arg(long, default_value = "color", value_name = "DIR")]
    out: PathBuf,
}

/// Selectivities by layer and channel.
type Selectivities = Vec<Vec<Option<Selectivity>>>;

/// All that was measured.
struct Found {
    survey: Survey,
    features: Vec<Vec<Option<Feature>>>,
    selectivity: Selectivities,
    /// Of the same network with random weights.
    untrained: Selectivities,
    hues: Vec<Vec<Option<UnitHues>>>,
    tuning: Vec<Vec<Tuning>>,
    layers: Vec<LayerColors>,
    first: Option<FirstAxes>,
    data: DataColors,
}

impl Color {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let opened = self.on.open(catalog)?;
        if !(0.0..=1.0).contains(&self.selective) {
            return Err(Error::Usage(format!("--selective {}: expected 0 to 1", self.selective)));
        }
        let found = self.measured(&opened.network, &opened.pictures)?;
        let outcome = Outcome {
            tensors: tensors(&opened.network.graph, &found)?,
            summary: self.summary(&opened, &found),
            page: page::of(&opened, &found, self.selective),
        };
        outcome.write(&self.out)?;
        if self.on.json {
            print(&outcome.summary.to_string())?;
        } else {
            let (head, rows) = page::selectivity(&opened.network.graph, &found, self.selective);
            print(&aligned(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), 1))?;
            page::statements(&opened.network.graph, &found, self.selective).iter().try_for_each(|said| print(said))?;
            print(&format!("written: {}", self.out.join("report.html").display()))?;
        }
        Ok(Ending::Fine)
    }

    fn measured(&self, net: &Network, pictures: &Pictures) -> Result<Found> {
        let data = data_colors(pictures)?; // Gray pictures are refused before anything is run.
        let nodes = activations(&net.graph, &self.layers)?;
        let (survey, selectivity) = self.selectivities(net, pictures, &nodes)?;
        let (_, untrained) = self.selectivities(&untrained(net)?, pictures, &nodes)?;
        let hues = unit_hues(net, pictures, &survey)?;
        let largest: Vec<Vec<f32>> = survey
            .layers
            .iter()
            .map(|layer| layer.units.iter().map(|u| u.peaks.first().map_or(0.0, |p| p.activation)).collect())
            .collect();
        let tuning = tuning(net, pictures.data.info(), &nodes, &largest, self.memory)?;
        let layers = (0..nodes.len())
            .map(|at| layer_colors(&selectivity[at], &hues[at], &tuning[at], &data, self.selective))
            .collect();
        Ok(Found {
            features: features(net, pictures, &survey)?,
            first: first_axes(net, &pictures.data.info().std)?,
            survey,
            selectivity,
            untrained,
            hues,
            tuning,
            layers,
            data,
        })
    }

    fn selectivities(&self, net: &Network, pictures: &Pictures, nodes: &[usize]) -> Result<(Survey, Selectivities)> {
        let found = survey(net, pictures, nodes, self.count.into(), self.memory)?;
        let selectivity = Index::Color.of(net, pictures, &found, self.memory.pictures(&net.graph))?;
        Ok((found, selectivity))
    }

    fn summary(&self, opened: &Opened, found: &Found) -> Value {
        let graph = &opened.network.graph;
        let neuron = |at: usize, channel: usize| {
            let tuning = &found.tuning[at][channel];
            let hues = found.hues[at][channel].as_ref();
            let selectivity = found.selectivity[at][channel];
            json!({
                "channel": channel, "selectivity": selectivity.map(|s| s.index), "interval": selectivity.map(|s| s.interval),
                "kind": hues.map(|hues| kind(hues.kind)), "place": hues.map(|hues| place(hues.place)),
                "whole": hues.map(|hues| hue(&hues.whole)), "center": hues.map(|hues| hue(&hues.center)),
                "surround": hues.map(|hues| hue(&hues.surround)),
                "answers_to": fields(tuning.fields), "best_hue": tuning.best, "tuning_width": tuning.width,
            })
        };
        let layer = |(at, layer): (usize, &LayerColors)| {
            let axis = layer.axis.map(|axis| {
                json!({ "degrees": axis.degrees, "agreement": axis.agreement, "p": axis.p, "from_data": axis.from_data })
            });
            let count = found.selectivity[at].len();
            json!({
                "node": graph.nodes()[found.survey.layers[at].node].name, "alive": layer.alive, "median": layer.median,
                "selective": layer.selective, "untrained_median": page::untrained_median(found, at),
                "untrained_selective": page::untrained_selective(found, at, self.selective), "hued": layer.hued, "axis": axis,
                "divergence": layer.divergence, "tuning_width": layer.width,
                "neurons": (0..count).map(|channel| neuron(at, channel)).collect::<Vec<_>>(),
            })
        };
        let first = found.first.as_ref().map(|first| {
            let filter = |f: &interp_audit::color::FilterAxis| json!({ "share": f.share, "chromatic": f.chromatic, "axis": f.axis });
            json!({
                "node": graph.nodes()[first.node].name, "distance": first.distance, "null": first.null, "p": first.p,
                "filters": first.filters.iter().map(filter).collect::<Vec<_>>(),
            })
        });
        json!({
            "version": 1, "checkpoint": opened.path.display().to_string(), "data": opened.info.name, "split": self.on.split,
            "pictures": found.survey.pictures(), "selective_from": self.selective,
            "statements": page::statements(graph, found, self.selective),
            "data_axis": found.data.axis, "data_share": found.data.share, "first_layer": first,
            "layers": found.layers.iter().enumerate().map(layer).collect::<Vec<_>>(),
        })
    }
}

fn hue(found: &Hue) -> Value {
    let ((mean, agreement), (axis, axis_agreement)) = (found.hues.mean(), found.hues.axis());
    json!({
        "mean": mean, "agreement": agreement, "axis": axis, "axis_agreement": axis_agreement, "peaks": found.hues.peaks(),
        "p": found.p,
    })
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Unselective => "unselective",
        Kind::Single => "one hue",
        Kind::Opponent => "opposite hues",
        Kind::Several => "several hues",
    }
}

fn place(place: Place) -> &'static str {
    match place {
        Place::Nowhere => "nowhere by itself",
        Place::Center => "in the middle",
        Place::Surround => "around the middle",
        Place::Both => "all over",
        Place::Contrast => "in the middle otherwise than around it",
    }
}

fn fields(fields: Fields) -> &'static str {
    match fields {
        Fields::Neither => "neither",
        Fields::Plain => "plain colors",
        Fields::Contrast => "contrast of colors",
    }
}

fn tensors(graph: &Graph, found: &Found) -> Result<BTreeMap<String, Tensor>> {
    let circle = |bins: &[f64; BINS]| bins.map(|bin| bin as f32);
    let data = Tensor::from_slice(&circle(&found.data.hues.bins), BINS, &Device::Cpu)?;
    let mut tensors = BTreeMap::from([("data.hues".to_owned(), data)]);
    for (at, layer) in found.survey.layers.iter().enumerate() {
        let (name, count) = (&graph.nodes()[layer.node].name, layer.units.len());
        let index = |found: &Option<Selectivity>| found.map_or(f32::NAN, |found| found.index as f32);
        let selectivity: Vec<f32> = found.selectivity[at].iter().map(index).collect();
        let hues = |unit: &Option<UnitHues>| unit.as_ref().map_or([0.0; BINS], |unit| circle(&unit.whole.hues.bins));
        let hues: Vec<f32> = found.hues[at].iter().flat_map(hues).collect();
        let plain: Vec<f32> = found.tuning[at].iter().flat_map(|tuning| tuning.plain.concat()).collect();
        let contrast: Vec<f32> = found.tuning[at].iter().flat_map(|tuning| tuning.contrast).collect();
        tensors.extend([
            (format!("{name}.selectivity"), Tensor::from_vec(selectivity, count, &Device::Cpu)?),
            (format!("{name}.hues"), Tensor::from_vec(hues, (count, BINS), &Device::Cpu)?),
            (format!("{name}.plain"), Tensor::from_vec(plain, (count, 3, BINS), &Device::Cpu)?),
            (format!("{name}.contrast"), Tensor::from_vec(contrast, (count, BINS), &Device::Cpu)?),
        ]);
    }
    Ok(tensors)
}
