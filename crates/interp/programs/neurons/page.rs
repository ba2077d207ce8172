//! The page of neurons: a table of layers, and of each layer the neurons that select classes most.

use std::collections::BTreeMap;
use std::path::Path;

use interp_audit::neurons::class::SHARE;
use interp_audit::neurons::{Feature, Peak, Selectivity, Survey};
use interp_data::Info;
use interp_finding::{Figure, Finding, Named};
use interp_report::Page;

use super::super::colors::{bytes, color_of};
use super::{Rows, Told};

/// Pictures shown of each neuron.
pub(super) const EXAMPLES: usize = 6;
/// Neurons shown of each layer, with pictures and with their features alone.
const WITH_PICTURES: usize = 6;
const FEATURES: usize = 128;
/// Pixels of the screen that a feature takes, about.
const SIDE: usize = 72;
/// What is found by chance one time in so many.
const CHANCE: f64 = 0.05;

/// The neurons of a layer that are shown with pictures: those that select classes most.
pub(super) fn chosen<'a, 'b>(rows: &'b Rows<'a>) -> Vec<&'b Told<'a>> {
    ranked(rows).into_iter().take(WITH_PICTURES).collect()
}

/// Those that answer, from the most selective on.
fn ranked<'a, 'b>(rows: &'b Rows<'a>) -> Vec<&'b Told<'a>> {
    let index = |told: &Told<'_>| told.selectivity.as_ref().map_or(-1.0, |s| s.index - s.null);
    let mut neurons: Vec<&Told<'_>> = rows.neurons.iter().filter(|told| !told.unit.is_dead()).collect();
    neurons.sort_by(|a, b| index(b).total_cmp(&index(a)));
    neurons
}

/// A row for each layer.
pub(super) fn layers(rows: &[Rows<'_>]) -> (Vec<String>, Vec<Vec<String>>) {
    let head = ["layer", "neurons", "dead", "class selectivity", "without selection", "select classes"];
    let neuron = rows.iter().flat_map(|rows| &rows.neurons).next();
    let indexes = neuron.into_iter().flat_map(|told| told.indexes.iter().map(|(name, _)| *name));
    let head = head.into_iter().chain(indexes).map(str::to_owned).collect();
    let row = |rows: &Rows<'_>| {
        let dead = rows.neurons.iter().filter(|told| told.unit.is_dead()).count();
        let found: Vec<_> = rows.neurons.iter().filter_map(|told| told.selectivity.as_ref()).collect();
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).map_or("–".to_owned(), |value| format!("{value:.3}"))
        };
        let selective = found.iter().filter(|s| s.p < CHANCE).count();
        let count = rows.neurons.first().map_or(0, |told| told.indexes.len());
        let index = |at: usize| rows.neurons.iter().filter_map(|told| Some(told.indexes[at].1?.index)).collect();
        let mut row = vec![
            rows.name.to_owned(),
            rows.neurons.len().to_string(),
            dead.to_string(),
            median(found.iter().map(|s| s.index).collect()),
            median(found.iter().map(|s| s.null).collect()),
            format!("{:.0} %", 100.0 * selective as f64 / found.len().max(1) as f64),
        ];
        row.extend((0..count).map(|at| median(index(at))));
        row
    };
    (head, rows.iter().map(row).collect())
}

pub(super) fn of(
    path: &Path,
    info: &Info,
    found: &Survey,
    rows: &[Rows<'_>],
    examples: &BTreeMap<usize, Vec<f32>>,
) -> Page {
    let (columns, lines) = layers(rows);
    let table = Figure::Table {
        title: "Layers".into(),
        caption: format!(
            "Class selectivity: (N - M) / (N - 1), where M classes make {:.0} % of a neuron's N largest answers; the median over neurons. Without selection: \
             the same with labels drawn from the data, the median of means. Select classes: neurons whose index a draw reaches less than {:.0} times in a \
             hundred. Other indexes are medians too, of the share of its answers that a neuron loses when what it sees is gray (color, luminance), \
             turned (orientation) or shuffled (shape), or keeps when it is mirrored (symmetry).",
            100.0 * SHARE,
            100.0 * CHANCE
        ),
        columns,
        rows: lines,
    };
    let first = Finding {
        name: "layers".into(),
        title: "Layers".into(),
        statement: statement(rows),
        numbers: vec![],
        figures: vec![table],
    };
    let layer = |rows: &Rows<'_>| Finding {
        name: rows.name.to_owned(),
        title: rows.name.to_owned(),
        statement: String::new(),
        numbers: vec![],
        figures: figures(rows, info, examples),
    };
    Page {
        title: format!("Neurons on {}", info.name),
        lead: "What each neuron answers to most. Its feature is the mean of what it sees of the pictures that it answers to most, weighed by how much it \
               answers: what is sharp in it is what they have in common."
            .into(),
        warnings: vec![],
        facts: vec![
            ("Network".into(), path.display().to_string()),
            ("Pictures".into(), found.pictures().to_string()),
        ],
        claims: vec![],
        findings: std::iter::once(first).chain(rows.iter().map(layer).filter(|finding| !finding.figures.is_empty())).collect(),
        source: None,
    }
}

/// What follows from the numbers.
fn statement(rows: &[Rows<'_>]) -> String {
    let all: usize = rows.iter().map(|rows| rows.neurons.len()).sum();
    let dead = rows.iter().flat_map(|rows| &rows.neurons).filter(|told| told.unit.is_dead()).count();
    let share = |rows: &Rows<'_>| {
        let found = rows.neurons.iter().filter_map(|told| told.selectivity.as_ref());
        let (count, selective) = found.fold((0, 0), |(count, some), s| (count + 1, some + usize::from(s.p < CHANCE)));
        100.0 * selective as f64 / count.max(1) as f64
    };
    match rows {
        [first, .., last] => format!(
            "{dead} of {all} neurons answer to no picture. {:.0} % of those of {} select classes, and {:.0} % of those of {}.",
            share(first),
            first.name,
            share(last),
            last.name
        ),
        _ => format!("{dead} of {all} neurons answer to no picture."),
    }
}

fn figures(rows: &Rows<'_>, info: &Info, examples: &BTreeMap<usize, Vec<f32>>) -> Vec<Figure> {
    let ranked = ranked(rows);
    let channels = info.channels;
    let name = |told: &Told<'_>| match told.selectivity.as_ref().and_then(|s| Some((s, s.shares.first()?))) {
        Some((s, (class, share))) if s.p < CHANCE => {
            format!("{}: {} {:.0} %", told.channel, info.classes.get(*class).map_or("?", String::as_str), 100.0 * share)
        }
        _ => told.channel.to_string(),
    };
    let named = |name: String, [height, width]: [usize; 2], pixels: &[f32]| Named {
        name,
        width,
        height,
        rgb: bytes(pixels.chunks_exact(channels.max(1)).map(color_of)),
    };
    let feature = |told: &&Told<'_>| {
        let (size, pixels) = thinned(told.feature?, channels);
        Some(named(name(told), size, &pixels))
    };
    let features: Vec<Named> = ranked.iter().take(FEATURES).filter_map(feature).collect();
    let mut figures = vec![];
    if let Some(side) = features.iter().map(|one| one.height.max(one.width)).max() {
        figures.push(Figure::Pictures {
            title: "Neuron Features".into(),
            caption: format!(
                "{} of {} neurons, those first whose answers are of few classes; with the class and its share where chance does not make it. What lies \
                 outside of most pictures is gray.",
                features.len(),
                rows.neurons.len()
            ),
            pictures: features,
            zoom: (SIDE / side.max(1)).max(1),
        });
    }
    for told in chosen(rows) {
        let shown = |peak: &Peak| {
            let class = info.classes.get(peak.label).map_or("?", String::as_str);
            let name = format!("{}: {class}, {:.3}", peak.picture, peak.activation);
            Some(named(name, [info.height, info.width], examples.get(&peak.picture)?))
        };
        let pictures: Vec<Named> = told.unit.peaks.iter().take(EXAMPLES).filter_map(shown).collect();
        if !pictures.is_empty() {
            figures.push(Figure::Pictures {
                title: format!("Neuron {}", name(told)),
                caption: caption(told),
                pictures,
                zoom: (96 / info.height.max(1)).max(1),
            });
        }
    }
    figures
}

/// A feature of no more than twice the side that it takes on the screen: of larger ones every second pixel, every third and so on.
fn thinned(feature: &Feature, channels: usize) -> ([usize; 2], Vec<f32>) {
    let [height, width] = feature.size;
    let step = height.max(width).div_ceil(2 * SIDE).max(1);
    let places = |side: usize| (0..side).step_by(step);
    let pixel = |row: usize, column: usize| {
        let at = (row * width + column) * channels;
        &feature.pixels[at..at + channels]
    };
    let pixels = places(height).flat_map(|row| places(width).flat_map(move |column| pixel(row, column).to_vec()));
    ([height.div_ceil(step), width.div_ceil(step)], pixels.collect())
}

fn caption(told: &Told<'_>) -> String {
    let class = told.selectivity.as_ref().map_or(String::new(), |s| {
        let [low, high] = s.interval;
        format!(" Class selectivity {:.3} [{low:.3}, {high:.3}], {:.3} without selection.", s.index, s.null)
    });
    let index = |(name, found): &(&str, Option<Selectivity>)| {
        let Selectivity { index, interval: [low, high] } = (*found)?;
        Some(format!(" {}{} {index:.3} [{low:.3}, {high:.3}].", name[..1].to_uppercase(), &name[1..]))
    };
    let indexes: String = told.indexes.iter().filter_map(index).collect();
    format!(
        "The pictures that it answers to most, with their class and the answer; it answers to {}.{class}{indexes}",
        told.unit.firing
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_features_are_thinned() {
        let side = 2 * SIDE + 1;
        let pixels: Vec<f32> = (0..side * 2).map(|at| at as f32).collect();
        let (size, thin) = thinned(&Feature { size: [2, side], pixels }, 1);
        assert_eq!((size, thin.len()), ([1, SIDE + 1], SIDE + 1));
        assert_eq!(thin[..3], [0.0, 2.0, 4.0]);
    }
}
