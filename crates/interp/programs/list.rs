//! `interp-train list` and `schema`: what there is.

use clap::Args;
use interp_audit::metrics::METRICS;
use interp_audit::saliency::METHODS;
use interp_finding::Entry;
use serde_json::json;

use super::{Ending, print};
use crate::{Catalog, Result};

/// List data sets, models, layers to insert, priors, ways of teaching, saliency methods and metrics of these
#[derive(Args, Debug)]
pub(super) struct List {
    /// Only this table: data, model, insert, prior, teaching, saliency or metrics
    #[arg(value_parser = ["data", "model", "insert", "prior", "teaching", "saliency", "metrics"])]
    table: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Name, summary and example of each line of a table.
type Lines = Vec<(&'static str, &'static str, &'static str)>;

fn lines<T: ?Sized>(entries: &[&'static Entry<T>]) -> Lines {
    entries.iter().map(|e| (e.name, e.summary, e.example)).collect()
}

impl List {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let all = [
            ("data", lines(&catalog.data)),
            ("model", lines(&catalog.models)),
            ("insert", lines(&catalog.insertions)),
            ("prior", lines(&catalog.priors)),
            ("teaching", lines(&catalog.distillations)),
            ("saliency", lines(METHODS)),
            ("metrics", lines(METRICS)),
        ];
        let wanted: Vec<_> = all.iter().filter(|(name, _)| self.table.as_deref().is_none_or(|t| t == *name)).collect();
        if self.json {
            let object = |lines: &Lines| -> serde_json::Value {
                lines
                    .iter()
                    .map(|(name, summary, example)| json!({ "name": name, "summary": summary, "example": example }))
                    .collect()
            };
            let tables: serde_json::Map<_, _> =
                wanted.iter().map(|(n, lines)| ((*n).to_owned(), object(lines))).collect();
            print(&json!({ "version": 1, "tables": tables }).to_string())?;
            return Ok(Ending::Fine);
        }
        for (name, lines) in wanted {
            let width = lines.iter().map(|l| l.0.len()).max().unwrap_or(0);
            print(name)?;
            for (name, summary, _) in lines {
                print(&format!("  {name:width$}  {summary}"))?;
            }
        }
        Ok(Ending::Fine)
    }
}
