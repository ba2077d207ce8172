//! `interp-audit concepts`: how well a layer tells its concepts, what classes owe to them, and what comes through besides.

mod page;

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use clap::Args;
use interp_audit::Pictures;
use interp_audit::bottleneck::{Bottleneck, Told, bottleneck, share};
use interp_data::Split;
use serde_json::{Value, json};

use super::Ending;
use super::on_pictures::{OnPictures, Opened};
use super::outcome::Outcome;
use crate::{Catalog, Result};

/// How well a layer of concepts tells them, what truth in its place would change, and whether more comes through than concepts can say
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-audit concepts checkpoints/concept_bottleneck --out concepts\n\n\
    The network must have a layer of concepts, and the data must know them (docs/insert.md).\n\
    Writes DIR/data.safetensors (right, hardened, by_concepts, counted, mistaken (N), given (groups + 1, N), u8; shapes.values (V), shapes.adds (K, classes, V), shapes.deviations (K, classes), f64), DIR/summary.json and DIR/report.html")]
pub(super) struct Concepts {
    #[command(flatten)]
    on: OnPictures,
    /// The folder to write
    #[arg(long, default_value = "concepts", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
}

impl Concepts {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let opened = self.on.open(catalog)?;
        let other = if opened.pictures.split == Split::Train { Split::Validation } else { Split::Train };
        let others = Pictures { split: other, ..opened.pictures.clone() };
        let found = bottleneck(&opened.network, &opened.pictures, &others)?;
        Outcome {
            tensors: tensors(&found)?,
            summary: self.summary(&opened, &found),
            told: page::concepts(&found),
            page: page::of(&opened, &found),
        }
        .write_and_tell(&self.out, self.on.json)
    }

    fn summary(&self, opened: &Opened, found: &Bottleneck) -> Value {
        let concept = |(at, told): (usize, &Told)| json!({ "name": found.names[at], "shown": told.shown, "absent": told.absent, "balanced_accuracy": told.balanced_accuracy() });
        let ((leak, interval), (softness, of_softness)) = (found.leak(), found.softness());
        let groups: Vec<Value> = found
            .order
            .iter()
            .enumerate()
            .map(|(place, &group)| {
                json!({ "factor": factor(found, group), "alone": share(&found.group_given[group]), "with_those_before": share(&found.given[place + 1]) })
            })
            .collect();
        json!({
            "version": 1, "checkpoint": opened.path.display().to_string(), "data": opened.info.name, "split": self.on.split, "node": found.node,
            "pictures": found.right.len(), "accuracy": share(&found.right), "hardened": share(&found.hardened), "by_concepts": found.told_by_concepts(), "counted": counted(found), "most_frequent": found.most_frequent,
            "completeness": found.completeness(), "leak": leak, "leak_interval": interval, "leaks": interval[0] > 0.0, "softness": softness, "softness_interval": of_softness,
            "mistaken": share(&found.mistaken), "additive": { "adds_up": found.shapes.add_up(), "gap": found.shapes.gap, "largest_logit": found.shapes.largest }, "concepts": found.told.iter().enumerate().map(concept).collect::<Vec<_>>(), "given": groups,
        })
    }
}

/// Pictures whose concepts another split has.
fn counted(found: &Bottleneck) -> usize {
    found.by_concepts.iter().flatten().count()
}

/// The factor that the concepts of a group are values of.
fn factor(found: &Bottleneck, group: usize) -> String {
    let first = found.groups.iter().position(|&other| other == group);
    let name = first.map_or("", |at| found.names[at].as_str());
    name.split_once('/').map_or(name, |(factor, _)| factor).to_owned()
}

fn tensors(found: &Bottleneck) -> Result<BTreeMap<String, Tensor>> {
    let shapes = &found.shapes;
    let (concepts, classes) = (shapes.adds.len(), shapes.adds.first().map_or(0, Vec::len));
    let adds: Vec<f64> = shapes.adds.iter().flatten().flatten().copied().collect();
    let of_values = (concepts, classes, shapes.values.len());
    let deviations = shapes.deviations.concat();
    let flags = |of: &[bool]| of.iter().map(|&is| u8::from(is)).collect::<Vec<u8>>();
    let one = |of: &[bool]| Tensor::from_vec(flags(of), of.len(), &Device::Cpu);
    let given: Vec<u8> = found.given.iter().flat_map(|of| flags(of)).collect();
    Ok(BTreeMap::from([
        ("right".to_owned(), one(&found.right)?),
        ("hardened".to_owned(), one(&found.hardened)?),
        ("by_concepts".to_owned(), one(&found.by_concepts.iter().map(|by| by.unwrap_or(false)).collect::<Vec<_>>())?),
        ("counted".to_owned(), one(&found.by_concepts.iter().map(Option::is_some).collect::<Vec<_>>())?),
        ("mistaken".to_owned(), one(&found.mistaken)?),
        ("shapes.values".to_owned(), Tensor::from_vec(shapes.values.clone(), shapes.values.len(), &Device::Cpu)?),
        ("shapes.adds".to_owned(), Tensor::from_vec(adds, of_values, &Device::Cpu)?),
        ("shapes.deviations".to_owned(), Tensor::from_vec(deviations, (concepts, classes), &Device::Cpu)?),
        ("given".to_owned(), Tensor::from_vec(given, (found.given.len(), found.right.len()), &Device::Cpu)?),
    ]))
}
