//! The page of neurons: a table of layers, and a card for each neuron.

use std::path::Path;

use interp_audit::neurons::Survey;
use interp_audit::neurons::class::SHARE;
use interp_data::Info;
use interp_finding::{Figure, Finding, median};
use interp_report::Page;

use super::Rows;

pub(super) use interp_audit::color::CHANCE;

/// The neurons of a layer by position, those first that select classes most; those that answer to nothing last.
pub(super) fn ranked(rows: &Rows<'_>) -> Vec<usize> {
    let index = |at: &usize| {
        let told = &rows.neurons[*at];
        let dead = told.unit.is_dead();
        told.selectivity.as_ref().map_or(if dead { -3.0 } else { -2.0 }, |s| s.index - s.null)
    };
    let mut neurons: Vec<usize> = (0..rows.neurons.len()).collect();
    neurons.sort_by(|a, b| index(b).total_cmp(&index(a)));
    neurons
}

/// A row for each layer.
pub(super) fn layers(rows: &[Rows<'_>]) -> (Vec<String>, Vec<Vec<String>>) {
    let head = ["layer", "neurons", "dead", "class selectivity", "without selection", "select classes"];
    let neuron = rows.iter().flat_map(|rows| &rows.neurons).next();
    let indexes = neuron.into_iter().flat_map(|told| told.indexes.iter().map(|(name, ..)| *name));
    let head = head.into_iter().chain(indexes).map(str::to_owned).collect();
    let row = |rows: &Rows<'_>| {
        let dead = rows.neurons.iter().filter(|told| told.unit.is_dead()).count();
        let found: Vec<_> = rows.neurons.iter().filter_map(|told| told.selectivity.as_ref()).collect();
        let median = |values: Vec<f64>| median(values).map_or("–".to_owned(), |value| format!("{value:.3}"));
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
        let random = |at: usize| rows.neurons.first().and_then(|told| told.indexes[at].2);
        row.extend((0..count).map(|at| match random(at) {
            Some(random) => format!("{} ({random:.3})", median(index(at))),
            None => median(index(at)),
        }));
        row
    };
    (head, rows.iter().map(row).collect())
}

pub(super) fn of(path: &Path, info: &Info, found: &Survey, rows: &[Rows<'_>], cards: Figure) -> Page {
    let (columns, lines) = layers(rows);
    let table = Figure::Table {
        title: "Layers".into(),
        caption: format!(
            "Class selectivity: (N - M) / (N - 1), where M classes make {:.0} % of a neuron's N largest answers; the median over neurons. Without selection: \
             the same with labels drawn from the data, the median of means. Select classes: neurons whose index a draw reaches less than {:.0} times in a \
             hundred. Other indexes are medians too, of the share of its answers that a neuron loses when what it sees is gray (color, luminance), \
             turned (orientation) or shuffled (shape), or keeps when it is mirrored (symmetry); in parentheses that of the same network with random weights.",
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
    let second = Finding {
        name: "neurons".into(),
        title: "Neurons".into(),
        statement: "Those first that select classes most, of every layer in turn.".into(),
        numbers: vec![],
        figures: vec![cards],
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
        findings: vec![first, second],
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
