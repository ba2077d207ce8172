//! `interp-audit color`: how a network represents color.

mod page;
mod vision;
mod wheel;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use candle_core::{Device, Tensor};
use clap::Args;
use interp_audit::Pictures;
use interp_audit::color::{
    BINS, DataColors, Fields, FirstAxes, Hue, Kind, LayerColors, Place, Tuning, UnitHues, data_colors, first_axes,
    layer_colors, tuning,
};
use interp_audit::neurons::{Feature, Index, Selectivity, Survey, Unit, features};
use interp_net::{Graph, Network, NodeId};
use serde_json::{Value, json};

use super::Ending;
use super::on_pictures::{OnPictures, Opened};
use super::outcome::Outcome;
use super::surveyed::{Atlas, Hues, Selectivities, Surveyed};
use crate::{Catalog, Result};

/// How a network represents color: which neurons select it, which hues, along which axes, beside the data and an untrained network
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-audit color checkpoints/sparse_vgg --out color\n\n\
    Writes DIR/data.safetensors (of every NODE: NODE.selectivity (C), NODE.hues (C, 36), NODE.plain (C, 3, 36), NODE.contrast (C, 36); data.hues (36)), \
    DIR/summary.json and DIR/report.html (docs/color.md)")]
pub(super) struct Color {
    #[command(flatten)]
    on: OnPictures,
    #[command(flatten)]
    surveyed: Surveyed,
    #[command(flatten)]
    settings: Settings,
    /// The folder to write
    #[arg(long, default_value = "color", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
}

/// What is looked for.
#[derive(Args, Debug)]
pub(super) struct Settings {
    /// The color selectivity from which on a neuron is called selective
    #[arg(long, default_value_t = 0.25, value_name = "SHARE", value_parser = super::share)]
    selective: f64,
}

/// All that was measured.
struct Found<'a> {
    survey: &'a Survey,
    features: Vec<Vec<Option<Feature>>>,
    selectivity: Rc<Selectivities>,
    /// Of the same network with random weights.
    untrained: Rc<Selectivities>,
    hues: Rc<Hues>,
    tuning: Vec<Vec<Tuning>>,
    layers: Vec<LayerColors>,
    first: Option<FirstAxes>,
    data: DataColors,
}

impl Color {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let opened = self.on.open_classifier(catalog)?;
        // Gray pictures are refused before anything is run.
        data_colors(&opened.pictures)?;
        let survey = self.surveyed.survey(&opened.network, &opened.pictures)?;
        let measured = Atlas::new(&self.surveyed, &opened, survey);
        self.settings.outcome(&self.on, &opened, &measured)?.write_and_tell(&self.out, self.on.json)
    }
}

impl Settings {
    /// What follows from what is measured.
    pub(super) fn outcome(&self, on: &OnPictures, opened: &Opened, measured: &Atlas<'_>) -> Result<Outcome> {
        let found = self.found(&opened.network, &opened.pictures, measured)?;
        Ok(Outcome {
            tensors: tensors(&opened.network.graph, &found)?,
            summary: self.summary(on, opened, &found),
            told: page::selectivity(&opened.network.graph, &found, self.selective),
            page: page::of(opened, &found, self.selective),
        })
    }

    fn found<'a>(&self, net: &Network, pictures: &Pictures, measured: &'a Atlas<'_>) -> Result<Found<'a>> {
        let (data, survey) = (data_colors(pictures)?, measured.survey());
        let (selectivity, untrained) = (measured.index(Index::Color)?, measured.random_index(Index::Color)?);
        let hues = measured.hues()?;
        let largest = |unit: &Unit| unit.peaks.first().map_or(0.0, |peak| peak.activation);
        let largest: Vec<Vec<f32>> =
            survey.layers.iter().map(|layer| layer.units.iter().map(largest).collect()).collect();
        let nodes: Vec<NodeId> = survey.layers.iter().map(|layer| layer.node).collect();
        let tuning = tuning(net, pictures.data.info(), &nodes, &largest, measured.memory())?;
        let layers = (0..nodes.len())
            .map(|at| layer_colors(&selectivity[at], &hues[at], &tuning[at], &data, self.selective))
            .collect();
        Ok(Found {
            features: features(net, pictures, survey, measured.memory(), |layer, channel| {
                page::is_shown(&selectivity[layer], channel)
            })?,
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

    fn summary(&self, on: &OnPictures, opened: &Opened, found: &Found<'_>) -> Value {
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
                "node": graph.nodes()[first.node].name, "distance": first.distance.map(|d| d.mean), "null": first.distance.map(|d| d.null), "p": first.distance.map(|d| d.p),
                "filters": first.filters.iter().map(filter).collect::<Vec<_>>(),
            })
        });
        json!({
            "version": 1, "checkpoint": opened.path.display().to_string(), "data": opened.info.name, "split": on.split,
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

fn tensors(graph: &Graph, found: &Found<'_>) -> Result<BTreeMap<String, Tensor>> {
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
