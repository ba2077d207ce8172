//! `interp-audit weights`: filters as pictures, and what is wrong with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use clap::Args;
use interp_audit::AuditError;
use interp_audit::weights::{Composed, Filters, SAME, composed, filters, groups};
use interp_finding::{Figure, Finding, Named};
use interp_net::{NetError, Network, NodeId, Role};
use interp_report::Page;
use serde_json::json;

use super::Ending;
use super::checkpoint::Which;
use super::colors::{bytes, color_of, heat};
use super::outcome::Outcome;
use crate::Result;
use crate::progress::Screen;

/// Filters as pictures, by themselves and composed with the layers before; near-duplicate, dead and noisy ones
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-audit weights checkpoints/sparse_vgg --out weights\n\n\
    Writes DIR/data.safetensors (NODE.composed (C, h, w, channels): each filter composed with the layers before), DIR/summary.json and DIR/report.html")]
pub(super) struct Weights {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    settings: Settings,
    /// The folder to write
    #[arg(long, default_value = "weights", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Which layers.
#[derive(Args, Debug)]
pub(super) struct Settings {
    /// Convolutions, by patterns; by default all
    #[arg(long, value_delimiter = ',', value_name = "GLOB")]
    layers: Vec<String>,
}

/// Filters that a page shows of each layer, and slices of the first of them.
const SHOWN: usize = 64;
const SLICED: usize = 4;
const SLICES: usize = 12;
/// Pixels of the screen that a filter takes, about.
const SIDE: usize = 56;
/// Pictures that go back through the network at a time.
const BATCH: usize = 8;

/// What is told of a layer.
struct Layer {
    found: Filters,
    name: String,
    composed: Vec<Composed>,
    /// Why filters could not be composed.
    problem: Option<String>,
}

impl Weights {
    pub(super) fn run(&self) -> Result<Ending> {
        let loaded = self.which.load(&Screen::new(self.json))?;
        self.settings.outcome(&loaded.path, &loaded.network)?.write_and_tell(&self.out, self.json)
    }
}

impl Settings {
    /// What is found of a network.
    pub(super) fn outcome(&self, path: &Path, network: &Network) -> Result<Outcome> {
        let layers = self.layers(network)?;
        Ok(Outcome {
            tensors: tensors(network, &layers)?,
            summary: summary(path, &layers),
            told: table(&layers),
            page: page(path, network, &layers)?,
        })
    }

    fn layers(&self, network: &Network) -> Result<Vec<Layer>> {
        let all = filters(network)?;
        let is_one = |id: NodeId| all.iter().any(|layer| layer.node == id);
        let wanted = match self.layers.is_empty() {
            true => all.iter().map(|layer| layer.node).collect(),
            false => network
                .graph
                .select(&self.layers, "convolution", |node| network.graph.id(&node.name).is_ok_and(is_one))?,
        };
        let layer = |found: Filters| -> Result<Layer> {
            let channels: Vec<usize> = (0..found.count).collect();
            let name = network.graph.nodes()[found.node].name.clone();
            // Where filters do not compose, the rest is told all the same.
            let (composed, problem) = match composed(network, found.node, &channels, BATCH) {
                Ok(composed) => (composed, None),
                Err(AuditError::Net(error @ NetError::NoRule { .. })) => (vec![], Some(error.to_string())),
                Err(error) => return Err(error.into()),
            };
            Ok(Layer { found, name, composed, problem })
        };
        all.clone().into_iter().filter(|found| wanted.contains(&found.node)).map(layer).collect()
    }
}

fn summary(path: &Path, layers: &[Layer]) -> serde_json::Value {
    let layer = |layer: &Layer| {
        let Filters { count, zero, same, noise, noise_of_white, .. } = &layer.found;
        json!({
            "node": layer.name, "filters": count, "zero": zero.len(), "doubled": layer.found.doubled(), "all_zero": zero, "same": same,
            "noise": noise, "noise_of_white": noise_of_white, "not_composed": layer.problem,
        })
    };
    json!({ "version": 1, "checkpoint": path.display().to_string(), "layers": layers.iter().map(layer).collect::<Vec<_>>() })
}

fn tensors(network: &Network, layers: &[Layer]) -> Result<BTreeMap<String, Tensor>> {
    let channels = network.graph.shape(0)[0];
    let mut tensors = BTreeMap::new();
    for layer in layers {
        let Some([height, width]) = layer.composed.first().map(|filter| filter.size) else { continue };
        let all: Vec<f32> = layer.composed.iter().flat_map(|filter| filter.weights.clone()).collect();
        let shape = (layer.composed.len(), height, width, channels);
        tensors.insert(format!("{}.composed", layer.name), Tensor::from_vec(all, shape, &Device::Cpu)?);
    }
    Ok(tensors)
}

fn table(layers: &[Layer]) -> (Vec<String>, Vec<Vec<String>>) {
    let head = ["layer", "filters", "zero", "doubled", "high frequencies", "of white noise"].map(str::to_owned);
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let row = |layer: &Layer| {
        let Filters { count, zero, noise, noise_of_white, .. } = &layer.found;
        let white = if noise.is_some() { percent(*noise_of_white) } else { "–".into() };
        let counts = [layer.name.clone(), count.to_string(), zero.len().to_string(), layer.found.doubled().to_string()];
        counts.into_iter().chain([noise.map_or("–".into(), percent), white]).collect()
    };
    (head.into(), layers.iter().map(row).collect())
}

fn page(path: &Path, network: &Network, layers: &[Layer]) -> Result<Page> {
    let (columns, rows) = table(layers);
    let all: usize = layers.iter().map(|layer| layer.found.count).sum();
    let sum = |of: fn(&Filters) -> usize| layers.iter().map(|layer| of(&layer.found)).sum::<usize>();
    let (zero, doubled) = (sum(|found| found.zero.len()), sum(Filters::doubled));
    let first = Finding {
        name: "layers".into(),
        title: "Layers".into(),
        statement: format!(
            "Of {all} filters {zero} are all zero, and {doubled} are the same as another but for a factor."
        ),
        numbers: vec![],
        figures: vec![Figure::Table {
            title: "Filters".into(),
            caption: format!(
                "Doubled: the cosine with another filter of the layer is above {SAME}, whatever its sign. High frequencies: the share of the weights' energy \
                 in frequencies of more than a quarter of a cycle in a pixel; much more of it in a first layer than in others of its kind is noise \
                 that training left."
            ),
            columns,
            rows,
        }],
    };
    let layer = |layer: &Layer| -> Result<Finding> {
        let statement = match &layer.problem {
            Some(problem) => format!("Its filters do not compose with the layers before: {problem}."),
            None => String::new(),
        };
        let mut figures = pictures(layer, network);
        figures.extend(slices(layer, network)?);
        Ok(Finding { name: layer.name.clone(), title: layer.name.clone(), statement, numbers: vec![], figures })
    };
    let findings = std::iter::once(Ok(first)).chain(layers.iter().map(layer)).collect::<Result<_>>()?;
    Ok(Page {
        title: "Weights".into(),
        lead: "Filters as pictures: gray is 0, and a color what a filter looks for. Those of deeper layers are composed with the layers before as if all \
               activations let everything through and maxima were means: what a neuron would be without what makes it more than a linear filter."
            .into(),
        warnings: vec![],
        facts: vec![("Network".into(), path.display().to_string())],
        claims: vec![],
        findings,
        source: None,
    })
}

/// The filters of a layer in one scale, and each in its own.
fn pictures(layer: &Layer, network: &Network) -> Vec<Figure> {
    let channels = network.graph.shape(0)[0];
    if !matches!(channels, 1 | 3) {
        return vec![];
    }
    let length = |filter: &&Composed| filter.weights.iter().map(|w| w.abs()).sum::<f32>();
    let mut ranked: Vec<&Composed> = layer.composed.iter().collect();
    ranked.sort_by(|a, b| length(b).total_cmp(&length(a)));
    ranked.truncate(SHOWN);
    let most = |weights: &[f32]| weights.iter().fold(f32::MIN_POSITIVE, |most, w| most.max(w.abs()));
    let largest = ranked.iter().map(|filter| most(&filter.weights)).fold(f32::MIN_POSITIVE, f32::max);
    let named = |filter: &Composed, scale: f32| {
        let colors = filter.weights.chunks_exact(channels).map(|pixel| {
            let color: Vec<f32> = pixel.iter().map(|w| 0.5 + 0.5 * w / scale).collect();
            color_of(&color)
        });
        let [height, width] = filter.size;
        Named { name: filter.channel.to_string(), width, height, rgb: bytes(colors) }
    };
    let figure = |title: &str, caption: &str, pictures: Vec<Named>| {
        let side = pictures.iter().map(|one| one.height.max(one.width)).max()?;
        let zoom = (SIDE / side.max(1)).max(1);
        Some(Figure::Pictures { title: title.into(), caption: caption.into(), pictures, zoom })
    };
    let together = ranked.iter().map(|filter| named(filter, largest)).collect();
    let apart = ranked.iter().map(|filter| named(filter, most(&filter.weights))).collect();
    let order = "From the largest sum of weights on, without their signs.";
    [figure("In one scale", order, together), figure("Each in its own scale", order, apart)]
        .into_iter()
        .flatten()
        .collect()
}

/// The largest slices of the largest filters of a layer that does not read the picture.
fn slices(layer: &Layer, network: &Network) -> Result<Vec<Figure>> {
    let node = layer.found.node;
    let Some(weight) = network.params.find(node, Role::Weight) else { return Ok(vec![]) };
    let (count, inputs, height, width) = weight.dims4()?;
    let group = count / groups(network, node).max(1);
    if network.graph.nodes()[node].inputs == [0] || height * width == 1 {
        return Ok(vec![]);
    }
    let values = weight.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?;
    let sum = |weights: &[f32]| weights.iter().map(|w| w.abs()).sum::<f32>();
    let size = height * width;
    let mut filters: Vec<(usize, &[f32])> = values.chunks_exact((inputs * size).max(1)).enumerate().collect();
    filters.sort_by(|a, b| sum(b.1).total_cmp(&sum(a.1)));
    let figure = |(channel, filter): (usize, &[f32])| {
        let mut slices: Vec<(usize, &[f32])> = filter.chunks_exact(size.max(1)).enumerate().collect();
        slices.sort_by(|a, b| sum(b.1).total_cmp(&sum(a.1)));
        slices.truncate(SLICES);
        // Filters of a group read the channels of that group.
        let first = inputs * (channel / group.max(1));
        let together: Vec<f32> = slices.iter().flat_map(|(_, slice)| slice.to_vec()).collect();
        let colors = heat(&together);
        let named = |((input, _), colors): (&(usize, &[f32]), &[[f32; 3]])| Named {
            name: (first + input).to_string(),
            width,
            height,
            rgb: bytes(colors.iter().copied()),
        };
        Figure::Pictures {
            title: format!("Filter {channel}, by what it reads"),
            caption: format!(
                "The {} largest of {inputs} slices, by the channel that is read: red is positive, blue negative.",
                slices.len()
            ),
            pictures: slices.iter().zip(colors.chunks_exact(size.max(1))).map(named).collect(),
            zoom: (SIDE / height.max(width)).max(1),
        }
    };
    Ok(filters.into_iter().take(SLICED).filter(|(_, filter)| sum(filter) > 0.0).map(figure).collect())
}
