//! What rows of a bench say beside the score: how right classes and confidences are, what a network costs, how large an explanation is.

use interp_audit::quality::Quality;
use interp_audit::terms::{Kind, Terms};
use interp_finding::{Better, student_interval};
use serde::Serialize;

use super::agreement::{Told, agreement};
use super::examined::{Examined, Explained};
use super::{Cell, Spread};
use crate::summary::{Latency, Scores, Size};

/// What a run says of one of its networks.
struct Side<'a> {
    test: Scores,
    size: Size,
    latency: Option<Latency>,
    quality: Option<&'a Quality>,
    terms: Option<Terms>,
    examined: Option<&'a Examined>,
}

/// A quantity of networks.
struct Quantity {
    name: &'static str,
    unit: &'static str,
    better: Better,
    of: fn(&Side<'_>) -> Option<f64>,
}

/// The quantity that says how large a decision is.
pub(super) const TERMS: &str = "terms of a decision";

/// One more is a line here.
#[rustfmt::skip]
const QUANTITIES: &[Quantity] = &[
    Quantity { name: "right", unit: "%", better: Better::Higher, of: |side| Some(100.0 * side.quality?.top1) },
    Quantity { name: "among the five likeliest", unit: "%", better: Better::Higher, of: |side| Some(100.0 * side.quality?.top5) },
    Quantity { name: "worst class", unit: "%", better: Better::Higher, of: |side| Some(100.0 * side.quality?.worst.1) },
    Quantity { name: "mean F1 of classes", unit: "", better: Better::Higher, of: |side| Some(side.quality?.macro_f1) },
    Quantity { name: "calibration error", unit: "", better: Better::Lower, of: |side| Some(side.quality?.calibration.ece) },
    Quantity { name: "Brier score", unit: "", better: Better::Lower, of: |side| Some(side.quality?.calibration.brier) },
    Quantity { name: "cross-entropy", unit: "nats", better: Better::Lower, of: |side| Some(side.quality?.calibration.nll) },
    Quantity { name: "calibration error at the best temperature", unit: "", better: Better::Lower, of: |side| Some(side.quality?.scaled?.1.ece) },
    Quantity { name: "cross-entropy at the best temperature", unit: "nats", better: Better::Lower, of: |side| Some(side.quality?.scaled?.1.nll) },
    Quantity { name: "PSNR", unit: "dB", better: Better::Higher, of: |side| side.quality.is_none().then(|| side.test.score.shown()) },
    Quantity { name: TERMS, unit: "products", better: Better::Lower, of: |side| terms(side, Kind::Products) },
    Quantity { name: TERMS, unit: "cells", better: Better::Lower, of: |side| terms(side, Kind::Cells) },
    Quantity { name: TERMS, unit: "modules", better: Better::Lower, of: |side| terms(side, Kind::Modules) },
    Quantity { name: "right with noise", unit: "%", better: Better::Higher, of: |side| right(side, 0) },
    Quantity { name: "right with blur", unit: "%", better: Better::Higher, of: |side| right(side, 1) },
    Quantity { name: "right after JPEG", unit: "%", better: Better::Higher, of: |side| right(side, 2) },
    Quantity { name: "right with another background", unit: "%", better: Better::Higher, of: |side| right(side, 3) },
    Quantity { name: "activations that are zero", unit: "%", better: Better::Neither, of: |side| Some(100.0 * side.examined?.zero_activations?) },
    Quantity { name: "class selectivity of the last maps, median", unit: "", better: Better::Neither, of: |side| side.examined?.selectivity },
    Quantity { name: "channels that detect a concept", unit: "", better: Better::Neither, of: |side| Some(side.examined?.detectors?[0] as f64) },
    Quantity { name: "concepts that are detected", unit: "", better: Better::Higher, of: |side| Some(side.examined?.detectors?[1] as f64) },
    Quantity { name: "Grad-CAM: insertion less deletion, beyond the best control", unit: "", better: Better::Higher, of: |side| explained(side, 0)?.exactness },
    Quantity { name: "Grad-CAM: evidence in the object", unit: "%", better: Better::Higher, of: |side| Some(100.0 * explained(side, 0)?.in_object?) },
    Quantity { name: "gradient times input: insertion less deletion, beyond the best control", unit: "", better: Better::Higher, of: |side| explained(side, 1)?.exactness },
    Quantity { name: "gradient times input: evidence in the object", unit: "%", better: Better::Higher, of: |side| Some(100.0 * explained(side, 1)?.in_object?) },
    Quantity { name: "parameters", unit: "", better: Better::Lower, of: |side| Some(side.size.parameters as f64) },
    Quantity { name: "parameters not zero", unit: "", better: Better::Lower, of: |side| Some(side.size.nonzero as f64) },
    Quantity { name: "multiply-adds", unit: "", better: Better::Lower, of: |side| Some(side.size.multiply_adds as f64) },
    Quantity { name: "time of one picture", unit: "ms", better: Better::Lower, of: |side| Some(side.latency?.one) },
    Quantity { name: "time of 64 pictures", unit: "ms", better: Better::Lower, of: |side| Some(side.latency?.batch) },
];

/// Of each of the methods, how far its maps agree between seeds, and as far with those of other pictures.
const AGREEMENTS: [[&str; 2]; 2] = [
    ["Grad-CAM: agreement between seeds, by rank", "Grad-CAM: agreement between seeds with other pictures, by rank"],
    [
        "gradient times input: agreement between seeds, by rank",
        "gradient times input: agreement between seeds with other pictures, by rank",
    ],
];

/// How many terms of this kind a decision has; nothing of a network whose terms are others.
fn terms(side: &Side<'_>, kind: Kind) -> Option<f64> {
    side.terms.filter(|terms| terms.kind == kind).map(|terms| terms.mean)
}

/// The percentage of pictures corrupted so that a network is right on.
fn right(side: &Side<'_>, corruption: usize) -> Option<f64> {
    Some(100.0 * side.examined?.right.get(corruption).copied()??)
}

fn explained<'a>(side: &Side<'a>, method: usize) -> Option<&'a Explained> {
    side.examined?.explanations.get(method)?.as_ref()
}

/// A quantity over the runs of a recipe.
#[derive(Clone, Debug, Serialize)]
pub struct Measure {
    /// What it is.
    pub name: &'static str,
    /// Its unit; empty for a pure number.
    pub unit: &'static str,
    /// Which direction is the good one.
    pub better: Better,
    /// That of the network.
    pub own: Spread,
    /// That of the twin, where there is one.
    pub twin: Option<Spread>,
    /// That of the network minus that of the twin, seed by seed.
    pub difference: Option<Spread>,
    /// The 95 % interval of its mean, by Student's t over the seeds; not there for a single run.
    pub interval: Option<[f64; 2]>,
}

/// All quantities that every run has.
pub(super) fn measures(cells: &[Cell]) -> Vec<Measure> {
    let of = |quantity: &Quantity| {
        let own: Vec<f64> = cells.iter().map(|cell| (quantity.of)(&network(cell))).collect::<Option<_>>()?;
        let twin: Option<Vec<f64>> = cells.iter().map(|cell| (quantity.of)(&twin(cell)?)).collect();
        Some(measure(quantity.name, quantity.unit, quantity.better, &own, twin.as_deref()))
    };
    QUANTITIES.iter().filter_map(of).chain(between_seeds(cells)).chain(beside_small(cells)).collect()
}

/// How far the maps of networks of different seeds agree, and with those of other pictures. Pairs have networks in common, so that they tell neither a deviation nor
/// an interval.
fn between_seeds(cells: &[Cell]) -> Vec<Measure> {
    let told = |of: fn(&Cell) -> Option<&(Examined, Told)>| {
        cells.iter().map(|cell| of(cell).map(|(_, told)| told)).collect::<Option<Vec<&Told>>>()
    };
    let Some(own) = told(|cell| cell.own.as_ref()) else { return vec![] };
    let twin = told(|cell| cell.twin.as_ref());
    let of = |(method, names): (usize, [&'static str; 2])| {
        let own = agreement(&own, method)?;
        let twin = twin.as_ref().and_then(|told| agreement(told, method));
        let one = |which: usize| {
            let twin = twin.map(|twin| [twin[which]]);
            measure(names[which], "", Better::Neither, &[own[which]], twin.as_ref().map(|twin| &twin[..]))
        };
        Some([one(0), one(1)])
    };
    AGREEMENTS.into_iter().enumerate().filter_map(of).flatten().collect()
}

/// The network beside its small twin, in the twin's place.
fn beside_small(cells: &[Cell]) -> Vec<Measure> {
    let Some(small) = cells.iter().map(|cell| cell.small.as_ref()).collect::<Option<Vec<_>>>() else { return vec![] };
    let Some(first) = cells.first() else { return vec![] };
    let unit = first.summary.test.score.unit();
    let own: Vec<f64> = cells.iter().map(|cell| cell.summary.test.score.shown()).collect();
    let score: Vec<f64> = small.iter().map(|(run, _)| run.test.score.shown()).collect();
    let nonzero: Vec<f64> = small.iter().map(|(_, nonzero)| *nonzero as f64).collect();
    let parameters: Vec<f64> = small.iter().map(|(run, _)| run.size.parameters as f64).collect();
    vec![
        measure("beside a small twin: score", unit, Better::Higher, &own, Some(&score)),
        measure("beside a small twin: parameters not zero, once cut", "", Better::Lower, &nonzero, Some(&parameters)),
    ]
}

fn measure(name: &'static str, unit: &'static str, better: Better, own: &[f64], twin: Option<&[f64]>) -> Measure {
    let differences: Option<Vec<f64>> = twin.map(|twin| own.iter().zip(twin).map(|(own, twin)| own - twin).collect());
    Measure {
        name,
        unit,
        better,
        own: Spread::of(own),
        twin: twin.map(Spread::of),
        difference: differences.as_deref().map(Spread::of),
        interval: differences.as_deref().and_then(student_interval),
    }
}

fn network(cell: &Cell) -> Side<'_> {
    let run = &cell.summary;
    Side {
        test: run.test,
        size: run.size,
        latency: run.latency,
        quality: run.quality.as_ref(),
        terms: run.terms,
        examined: cell.own.as_ref().map(|(examined, _)| examined),
    }
}

fn twin(cell: &Cell) -> Option<Side<'_>> {
    let twin = cell.summary.twin.as_ref()?;
    Some(Side {
        test: twin.test,
        size: twin.size,
        latency: twin.latency,
        quality: twin.quality.as_ref(),
        terms: twin.terms,
        examined: cell.twin.as_ref().map(|(examined, _)| examined),
    })
}
