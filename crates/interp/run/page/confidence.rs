//! How good classes and confidences are, what a pass costs, and how large a decision is.

use interp_audit::quality::{Calibration, Quality};
use interp_audit::terms::{Kind, Terms};
use interp_finding::Figure;
use interp_report::number;

use super::percent;
use crate::summary::{Latency, Summary};

/// One of the two networks.
struct Side<'a> {
    quality: &'a Quality,
    latency: Option<Latency>,
    terms: Option<Terms>,
}

/// A row of the table: what it is, and what it says of a network.
type Line<'a> = (&'static str, Box<dyn Fn(&Side<'_>) -> Option<String> + 'a>);

/// The table, where classes are told.
pub(super) fn confidence(summary: &Summary, classes: &[String], columns: Vec<String>) -> Option<Figure> {
    let twin = summary.twin.as_ref();
    let own = Side { quality: summary.quality.as_ref()?, latency: summary.latency, terms: summary.terms };
    let other =
        twin.and_then(|twin| Some(Side { quality: twin.quality.as_ref()?, latency: twin.latency, terms: twin.terms }));
    let sides: Vec<Side<'_>> = std::iter::once(own).chain(other).collect();
    let row = |(name, of): &Line<'_>| {
        let cells = sides.iter().map(|side| of(side).unwrap_or("–".into()));
        std::iter::once((*name).to_owned()).chain(cells).collect::<Vec<_>>()
    };
    let mut rows: Vec<Vec<String>> = lines(classes).iter().map(row).collect();
    let mcnemar = twin.and_then(|twin| twin.mcnemar);
    rows.extend(mcnemar.map(|found| {
        vec!["Pictures that it alone is right on".into(), found.first.to_string(), found.second.to_string()]
    }));
    let test = mcnemar.map_or(String::new(), |found| {
        format!(
            " If neither were better, so uneven a split of the pictures that one alone is right on, or one more uneven, had probability {} (McNemar's exact test).",
            number::show(found.p)
        )
    });
    Some(Figure::Table {
        title: "Confidences, and time".into(),
        caption: format!(
            "On test pictures. Confidences are those of softmax, whatever the network was trained by. Calibration error: the mean distance of confidence and \
             accuracy over 15 bins; Brier score: the mean squared distance of all probabilities from the truth. The best temperature is that which suits validation; there is \
             none where the surer, the better. Time: the median of several passes, on the machine that trained. Terms: how many things other than zero the last node adds up \
             for the class that is told; kinds of terms are not comparable.{test}"
        ),
        columns,
        rows,
    })
}

fn lines(classes: &[String]) -> Vec<Line<'_>> {
    let scaled =
        |of: fn(&Calibration) -> f64| move |side: &Side<'_>| Some(format!("{:.4}", of(&side.quality.scaled?.1)));
    let worst = move |side: &Side<'_>| {
        let (class, share) = side.quality.worst;
        Some(format!("{} ({})", percent(share), classes.get(class).cloned().unwrap_or_else(|| class.to_string())))
    };
    vec![
        ("Among the five likeliest classes", Box::new(|side| Some(percent(side.quality.top5)))),
        ("Worst class", Box::new(worst)),
        ("Mean F1 of classes", Box::new(|side| Some(format!("{:.4}", side.quality.macro_f1)))),
        ("Calibration error (ECE)", Box::new(|side| Some(format!("{:.4}", side.quality.calibration.ece)))),
        ("Brier score", Box::new(|side| Some(format!("{:.4}", side.quality.calibration.brier)))),
        ("Best temperature", Box::new(|side| Some(format!("{:.2}", side.quality.scaled?.0)))),
        ("Calibration error at it", Box::new(scaled(|found| found.ece))),
        ("Loss at it (cross-entropy, nats)", Box::new(scaled(|found| found.nll))),
        ("Time of one picture, ms", Box::new(|side| Some(format!("{:.2}", side.latency?.one)))),
        ("Time of 64 pictures, ms", Box::new(|side| Some(format!("{:.1}", side.latency?.batch)))),
        (
            "Terms of a decision",
            Box::new(|side| side.terms.map(|terms| format!("{:.1} {}", terms.mean, kind(terms.kind)))),
        ),
    ]
}

/// What terms of a kind are called.
fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Products => "products",
        Kind::Cells => "cells",
        Kind::Modules => "modules",
    }
}
