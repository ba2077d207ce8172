//! The page of a dissection: layers, concepts, and of each layer the channels that detect concepts best.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use interp_audit::Pictures;
use interp_audit::dissection::{Dissection, Example, Layer, Overlap, Settings};
use interp_finding::{Figure, Finding, Named};
use interp_net::{Graph, Network};
use interp_report::Page;

use super::super::colors::{bytes, color_of};
use crate::Result;

/// Detectors shown of each layer, each with so many pictures.
const SHOWN: usize = 12;
const EXAMPLES: usize = 3;
/// Pixels of the screen that a picture takes, about.
const SIDE: usize = 72;
/// What is left of colors where a channel does not answer.
const DIMMED: f32 = 0.25;
/// Of the overlap that makes a detector, how many times as much a concept's ceiling must be, so that channels that are far from perfect detect it.
const NEAR: f64 = 3.0;

/// A row for each layer.
pub(super) fn layers(graph: &Graph, found: &Dissection, settings: &Settings) -> (Vec<String>, Vec<Vec<String>>) {
    let categories: BTreeSet<&str> = found.concepts.iter().map(|concept| concept.category()).collect();
    let head = ["layer", "channels", "detectors", "concepts", "turned"].into_iter().chain(categories.iter().copied());
    let row = |layer: &Layer| {
        let detectors = layer.detectors(settings);
        let of = |wanted: &str| {
            detectors.iter().filter(|(_, overlap)| found.concepts[overlap.concept].category() == wanted).count()
        };
        let mut row = vec![
            graph.nodes()[layer.node].name.clone(),
            layer.units.len().to_string(),
            detectors.len().to_string(),
            layer.unique(settings).len().to_string(),
            turned(found, layer, settings).map_or("–".to_owned(), |mean| format!("{mean:.1}")),
        ];
        row.extend(categories.iter().map(|category| of(category).to_string()));
        row
    };
    (head.map(str::to_owned).collect(), found.layers.iter().filter(|layer| !layer.rotated).map(row).collect())
}

/// The mean number of concepts that random rotations of a layer detect.
fn turned(found: &Dissection, layer: &Layer, settings: &Settings) -> Option<f64> {
    let rotated = found.layers.iter().filter(|other| other.rotated && other.node == layer.node);
    let counts: Vec<f64> = rotated.map(|other| other.unique(settings).len() as f64).collect();
    (!counts.is_empty()).then(|| counts.iter().sum::<f64>() / counts.len() as f64)
}

pub(super) fn of(
    path: &Path,
    network: &Network,
    pictures: &Pictures,
    found: &Dissection,
    settings: &Settings,
) -> Result<Page> {
    let graph = &network.graph;
    let (columns, rows) = layers(graph, found, settings);
    let first = Finding {
        name: "layers".into(),
        title: "Layers".into(),
        statement: statement(found, settings),
        numbers: vec![],
        figures: vec![
            Figure::Table {
                title: "Layers".into(),
                caption: format!(
                    "Detectors: channels whose answers, the {} % largest activations over all pictures, enlarged to the picture, are a concept's pixels with \
                     an intersection over union above {}; by the category of the concept that they overlap most. Concepts: different ones among them. \
                     Turned: how many concepts are detected when the channels are mixed by a random rotation: where these are as many, single channels \
                     mean no more than other directions.",
                    100.0 * settings.quantile,
                    settings.iou
                ),
                columns,
                rows,
            },
            concepts(graph, found, settings),
        ],
    };
    let mut findings = vec![first];
    for layer in found.layers.iter().filter(|layer| !layer.rotated) {
        findings.extend(examples(graph, pictures, found, layer, settings)?);
    }
    Ok(Page {
        title: format!("Concepts that channels detect, on {}", pictures.data.info().name),
        lead: "A channel detects a concept where the pixels that it answers to most are those that show the concept. A channel without one may still select \
               something that the data have no name for."
            .into(),
        warnings: hidden(found, settings).into_iter().collect(),
        facts: vec![("Network".into(), path.display().to_string())],
        claims: vec![],
        findings,
        source: None,
    })
}

/// What these settings cannot tell, and which could.
fn hidden(found: &Dissection, settings: &Settings) -> Option<String> {
    let out = found.concepts.iter().filter(|concept| concept.ceiling < NEAR * settings.iou);
    let names: Vec<&str> = out.map(|concept| concept.name.as_str()).collect();
    let mut densities: Vec<f64> = found.concepts.iter().map(|concept| concept.density).collect();
    densities.sort_by(f64::total_cmp);
    let middle = densities.get(densities.len() / 2)?;
    (!names.is_empty()).then(|| {
        format!(
            "At this quantile a channel that answers to one of these alone overlaps it by less than three times what counts: {}. They cover other shares of the pictures than it answers to (see the \
             ceilings). Half of the concepts cover {} % or less: --quantile {} suits them.",
            names.join(", "),
            two_digits(100.0 * middle),
            two_digits(*middle)
        )
    })
}

/// A number with two significant digits.
fn two_digits(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

fn statement(found: &Dissection, settings: &Settings) -> String {
    let plain = || found.layers.iter().filter(|layer| !layer.rotated);
    let channels: usize = plain().map(|layer| layer.units.len()).sum();
    let detectors: usize = plain().map(|layer| layer.detectors(settings).len()).sum();
    let unique: BTreeSet<usize> = plain().flat_map(|layer| layer.unique(settings)).collect();
    let mut said = format!(
        "{detectors} of {channels} channels detect one of {} concepts; {} of these are detected.",
        found.concepts.len(),
        unique.len()
    );
    if let Some(last) = plain().next_back() {
        let own = last.unique(settings).len();
        if let Some(mean) = turned(found, last, settings) {
            said += &format!(
                " In the last layer these are {own} concepts, and {mean:.1} when its channels are turned at random."
            );
        }
    }
    said
}

fn concepts(graph: &Graph, found: &Dissection, settings: &Settings) -> Figure {
    let mut best: BTreeMap<usize, (usize, Overlap, String)> = BTreeMap::new();
    for layer in found.layers.iter().filter(|layer| !layer.rotated) {
        let name = &graph.nodes()[layer.node].name;
        for (channel, overlap) in layer.detectors(settings) {
            let place = format!("{name}, {channel}");
            let entry = best.entry(overlap.concept).or_insert((0, overlap, place.clone()));
            entry.0 += 1;
            if overlap.iou > entry.1.iou {
                (entry.1, entry.2) = (overlap, place);
            }
        }
    }
    let row = |(at, concept): (usize, &interp_audit::dissection::Concept)| {
        let mut row = vec![
            concept.name.clone(),
            concept.pictures.to_string(),
            format!("{:.2} %", 100.0 * concept.density),
            format!("{:.3}", concept.ceiling),
        ];
        row.extend(match best.get(&at) {
            Some((count, overlap, place)) => {
                [count.to_string(), place.clone(), told(overlap), format!("{:.3}", overlap.null)]
            }
            None => ["0", "–", "–", "–"].map(str::to_owned),
        });
        row
    };
    let columns = ["concept", "pictures", "of the pixels", "ceiling", "detectors", "best", "overlap", "by chance"];
    Figure::Table {
        title: "Concepts".into(),
        caption: "Ceiling: the largest overlap that a channel can have which answers to the share of pixels that was asked for. Overlap: intersection over \
                  union, with a 95 % interval over parts of the pictures. By chance: what answers that lie anywhere would have."
            .into(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: found.concepts.iter().enumerate().map(row).collect(),
    }
}

fn told(overlap: &Overlap) -> String {
    let [low, high] = overlap.interval;
    format!("{:.3} [{low:.3}, {high:.3}]", overlap.iou)
}

/// The best detectors of a layer, with the pictures that they answer to most.
fn examples(
    graph: &Graph,
    pictures: &Pictures,
    found: &Dissection,
    layer: &Layer,
    settings: &Settings,
) -> Result<Option<Finding>> {
    let mut detectors = layer.detectors(settings);
    detectors.sort_by(|a, b| b.1.iou.total_cmp(&a.1.iou));
    let mut shown = vec![];
    for (channel, overlap) in detectors.into_iter().take(SHOWN) {
        let name = format!("{channel}: {} {:.2}", found.concepts[overlap.concept].name, overlap.iou);
        for example in layer.units[channel].examples.iter().take(EXAMPLES) {
            shown.push(seen(pictures, example, name.clone())?);
        }
    }
    let name = &graph.nodes()[layer.node].name;
    let figure = Figure::Pictures {
        title: "What detectors answer to".into(),
        caption: format!(
            "Of each channel the {EXAMPLES} pictures with its largest activations, bright where it answers; with the concept that it detects and the overlap. \
             The overlap is over all pictures, not over these."
        ),
        pictures: shown,
        zoom: (SIDE / pictures.data.info().height.max(1)).max(1),
    };
    Ok((!layer.detectors(settings).is_empty()).then(|| Finding {
        name: name.clone(),
        title: name.clone(),
        statement: String::new(),
        numbers: vec![],
        figures: vec![figure],
    }))
}

/// A picture, dimmed where the channel does not answer.
fn seen(pictures: &Pictures, example: &Example, name: String) -> Result<Named> {
    let info = pictures.data.info();
    let mut picture = vec![0.0; info.pixels()];
    pictures.data.image(pictures.split, example.picture, &mut picture)?;
    let pixel = |(at, pixel): (usize, &[f32])| {
        let share = if example.mask.has(at) { 1.0 } else { DIMMED };
        color_of(pixel).map(|value| share * value)
    };
    let rgb = bytes(picture.chunks_exact(info.channels.max(1)).enumerate().map(pixel));
    Ok(Named { name, width: info.width, height: info.height, rgb })
}
