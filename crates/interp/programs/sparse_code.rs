//! `interp-audit sparse-code`: what the sparse code of a layer keeps of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use clap::Args;
use interp_audit::AuditError;
use interp_audit::sparse_code::{Coded, Place, coded, place};
use interp_finding::{Better, Figure, Finding, Number, share_interval};
use interp_report::Page;
use serde_json::{Value, json};

use super::Ending;
use super::on_pictures::{OnPictures, Opened};
use super::outcome::Outcome;
use crate::{Catalog, Result};

/// What the sparse code of a layer keeps: how few latents are active, what they explain, and what the network loses by them
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-audit sparse-code checkpoints/sae --out sparse-code\n\n\
    The network must have a sparse code in the place of a layer (docs/insert.md).\n\
    Writes DIR/data.safetensors (frequencies (latents), f64; with, without, nothing (N), u8: whether the class is right), DIR/summary.json and DIR/report.html")]
pub(super) struct SparseCodeOf {
    #[command(flatten)]
    on: OnPictures,
    /// The folder to write
    #[arg(long, default_value = "sparse-code", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
}

impl SparseCodeOf {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let opened = self.on.open(catalog)?;
        let place = place(&opened.network.graph).ok_or(AuditError::NoCode)?;
        let found = coded(&opened.network, &opened.pictures)?;
        let names = [place.before, place.latents].map(|id| opened.network.graph.nodes()[id].name.clone());
        Outcome {
            tensors: tensors(&found)?,
            summary: self.summary(&opened, place, &found),
            told: told(&found),
            page: page(&opened, &names, &found),
        }
        .write_and_tell(&self.out, self.on.json)
    }

    fn summary(&self, opened: &Opened, place: Place, found: &Coded) -> Value {
        let name = |id: usize| &opened.network.graph.nodes()[id].name;
        let [with, without, nothing] = found.accuracies();
        json!({
            "version": 1, "checkpoint": opened.path.display().to_string(), "data": opened.info.name, "split": self.on.split,
            "before": name(place.before), "latents": name(place.latents), "after": name(place.after), "count": found.frequencies.len(),
            "pictures": found.right[0].len(), "active": found.active, "unexplained": found.unexplained, "alive": found.alive(),
            "accuracy": { "with": with, "without": without, "nothing": nothing }, "recovered": found.recovered(),
        })
    }
}

fn tensors(found: &Coded) -> Result<BTreeMap<String, Tensor>> {
    let flags = |of: &[bool]| of.iter().map(|&is| u8::from(is)).collect::<Vec<u8>>();
    let mut tensors =
        BTreeMap::from([("frequencies".to_owned(), Tensor::new(found.frequencies.as_slice(), &Device::Cpu)?)]);
    for (name, right) in ["with", "without", "nothing"].into_iter().zip(&found.right) {
        tensors.insert(name.to_owned(), Tensor::new(flags(right), &Device::Cpu)?);
    }
    Ok(tensors)
}

fn told(found: &Coded) -> (Vec<String>, Vec<Vec<String>>) {
    let head = [
        "right with the code, %",
        "without it, %",
        "with nothing there, %",
        "recovered, %",
        "active latents",
        "unexplained",
        "latents ever active, %",
    ];
    let percent = |share: f64| format!("{:.1}", 100.0 * share);
    let [with, without, nothing] = found.accuracies().map(percent);
    let recovered = found.recovered().map_or("-".into(), percent);
    let row = vec![
        with,
        without,
        nothing,
        recovered,
        format!("{:.2}", found.active),
        format!("{:.4}", found.unexplained),
        percent(found.alive()),
    ];
    (head.map(str::to_owned).to_vec(), vec![row])
}

fn page(opened: &Opened, [before, latents]: &[String; 2], found: &Coded) -> Page {
    let number = |of: &[bool], better: Better| {
        let some = of.iter().filter(|is| **is).count();
        let [low, high] = share_interval(some, of.len()).map(|end| 100.0 * end);
        Number::new(100.0 * interp_audit::bottleneck::share(of), "%", better).with_interval(low, high)
    };
    let recovered =
        found.recovered().map_or("none of it can be told".to_owned(), |share| format!("{:.1} %", 100.0 * share));
    let shown =
        [("with the code", Better::Higher), ("without it", Better::Neither), ("with nothing there", Better::Neither)];
    let shown =
        shown.into_iter().zip(&found.right).map(|((name, better), right)| (name.to_owned(), number(right, better)));
    let (columns, rows) = told(found);
    let finding = Finding {
        name: "sparse-code".into(),
        title: "A layer told by few latents".into(),
        statement: format!(
            "At a position of `{before}` {:.1} of {} latents are active on average; they leave {:.1} % of its variance unexplained. Of the accuracy that is lost without the layer, the code gives back: {recovered}.",
            found.active,
            found.frequencies.len(),
            100.0 * found.unexplained
        ),
        numbers: shown.collect(),
        figures: vec![
            Figure::Table {
                title: "What is kept".into(),
                caption: "Without the code the network has what the layer gives; with nothing there, the mean of each channel. Recovered: (with - nothing) / (without - nothing). Unexplained: \
                          the squared distance between what the layer gives and what the code gives in its place, as a share of the layer's variance. What single latents stand for is told by \
                          `interp-audit neurons` and `dissect` of the node of latents."
                    .into(),
                columns,
                rows,
            },
            Figure::Table { title: "How often latents are active".into(), caption: CAPTION.into(), columns: vec!["share of positions".into(), "latents".into()], rows: histogram(&found.frequencies) },
        ],
    };
    Page {
        title: "Sparse code".into(),
        lead: "What many channels say together, told by a few latents that may each stand for one thing.".into(),
        warnings: vec![],
        facts: vec![
            ("Network".into(), opened.path.display().to_string()),
            ("Data".into(), opened.info.name.clone()),
            ("In the place of".into(), before.clone()),
            ("Latents".into(), latents.clone()),
        ],
        claims: vec![],
        findings: vec![finding],
        source: None,
    }
}

const CAPTION: &str = "A latent that is never active stands for nothing; one that is active nearly everywhere, for what all positions have in common.";

/// Latents by decades of how often they are active.
fn histogram(frequencies: &[f64]) -> Vec<Vec<String>> {
    let decades = [
        ("never", 0.0, 0.0),
        ("below 0.01 %", 0.0, 1e-4),
        ("0.01 to 0.1 %", 1e-4, 1e-3),
        ("0.1 to 1 %", 1e-3, 1e-2),
        ("1 to 10 %", 1e-2, 0.1),
        ("10 % and above", 0.1, f64::INFINITY),
    ];
    let count = |low: f64, high: f64| match high {
        0.0 => frequencies.iter().filter(|share| **share == 0.0).count(),
        _ => frequencies.iter().filter(|share| **share > 0.0 && (low..high).contains(*share)).count(),
    };
    decades.into_iter().map(|(words, low, high)| vec![words.to_owned(), count(low, high).to_string()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latents_are_counted_by_how_often_they_are_active() {
        let counts: Vec<String> =
            histogram(&[0.0, 0.0, 5e-5, 1e-4, 0.05, 0.1, 1.0]).into_iter().map(|row| row[1].clone()).collect();
        assert_eq!(counts, ["2", "1", "1", "0", "1", "2"]);
    }
}
