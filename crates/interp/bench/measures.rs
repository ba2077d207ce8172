//! What rows of a bench say beside the score: how right classes and confidences are, what a network costs, how large an explanation is.

use interp_audit::quality::Quality;
use interp_audit::terms::{Kind, Terms};
use interp_finding::{Better, student_interval};
use serde::Serialize;

use super::Spread;
use crate::summary::{Latency, Scores, Size, Summary};

/// What a run says of one of its networks.
struct Side<'a> {
    test: Scores,
    size: Size,
    latency: Option<Latency>,
    quality: Option<&'a Quality>,
    terms: Option<Terms>,
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
    Quantity { name: "parameters", unit: "", better: Better::Lower, of: |side| Some(side.size.parameters as f64) },
    Quantity { name: "parameters not zero", unit: "", better: Better::Lower, of: |side| Some(side.size.nonzero as f64) },
    Quantity { name: "multiply-adds", unit: "", better: Better::Lower, of: |side| Some(side.size.multiply_adds as f64) },
    Quantity { name: "time of one picture", unit: "ms", better: Better::Lower, of: |side| Some(side.latency?.one) },
    Quantity { name: "time of 64 pictures", unit: "ms", better: Better::Lower, of: |side| Some(side.latency?.batch) },
];

/// How many terms of this kind a decision has; nothing of a network whose terms are others.
fn terms(side: &Side<'_>, kind: Kind) -> Option<f64> {
    side.terms.filter(|terms| terms.kind == kind).map(|terms| terms.mean)
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
pub(super) fn measures(runs: &[Summary]) -> Vec<Measure> {
    QUANTITIES.iter().filter_map(|quantity| measure(quantity, runs)).collect()
}

fn measure(quantity: &Quantity, runs: &[Summary]) -> Option<Measure> {
    let own: Vec<f64> = runs.iter().map(|run| (quantity.of)(&network(run))).collect::<Option<_>>()?;
    let twin: Option<Vec<f64>> = runs.iter().map(|run| (quantity.of)(&twin(run)?)).collect();
    let differences: Option<Vec<f64>> =
        twin.as_ref().map(|twin| own.iter().zip(twin).map(|(own, twin)| own - twin).collect());
    Some(Measure {
        name: quantity.name,
        unit: quantity.unit,
        better: quantity.better,
        own: Spread::of(&own),
        twin: twin.as_deref().map(Spread::of),
        difference: differences.as_deref().map(Spread::of),
        interval: differences.as_deref().and_then(student_interval),
    })
}

fn network(run: &Summary) -> Side<'_> {
    Side { test: run.test, size: run.size, latency: run.latency, quality: run.quality.as_ref(), terms: run.terms }
}

fn twin(run: &Summary) -> Option<Side<'_>> {
    let twin = run.twin.as_ref()?;
    Some(Side {
        test: twin.test,
        size: twin.size,
        latency: twin.latency,
        quality: twin.quality.as_ref(),
        terms: twin.terms,
    })
}
