//! `interp-audit prototypes`: what the prototypes of a network stand for, and what its classes owe to them.

mod page;

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use clap::Args;
use interp_audit::Pictures;
use interp_audit::prototypes::{CONSISTENT, Explanation, Found, Looked, Peak, Prototype, explain, prototypes};
use interp_data::Split;
use serde_json::{Value, json};

use super::Ending;
use super::on_pictures::{OnPictures, Opened};
use super::outcome::Outcome;
use crate::{Catalog, Result};

/// What prototypes stand for: the training pictures they are places of, where they are found, what these places have in common, and one picture as a sum of them
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-audit prototypes checkpoints/protopnet --out prototypes\n\n\
    The classes of the network must be sums over prototypes (docs/prototypes.md).\n\
    Writes DIR/data.safetensors (source (P, 3) and nearest (P, K, 3), i64: picture, row and column of the cell, -1 where there is none; class (P), i64; weight (P), f64), DIR/summary.json and DIR/report.html")]
pub(super) struct PrototypesOf {
    #[command(flatten)]
    on: OnPictures,
    /// Nearest places that are looked at of each prototype, one for each picture
    #[arg(long, default_value_t = 10, value_name = "K", value_parser = clap::value_parser!(u16).range(1..=1000))]
    nearest: u16,
    /// The picture that is explained, by its position in the split
    #[arg(long, default_value_t = 0, value_name = "INDEX")]
    picture: usize,
    /// The folder to write
    #[arg(long, default_value = "prototypes", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
}

/// What the page and the summary tell of.
struct Told<'a> {
    opened: &'a Opened,
    train: &'a Pictures,
    found: &'a Found,
    explained: &'a Explanation,
}

impl PrototypesOf {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let opened = self.on.open_classifier(catalog)?;
        let count = opened.pictures.data.len(opened.pictures.split);
        if self.picture >= count {
            let problem =
                format!("--picture {}: there are {count} pictures in this split, counted from 0", self.picture);
            return Err(crate::Error::Usage(problem));
        }
        let train = Pictures { split: Split::Train, ..opened.pictures.clone() };
        let looked = Looked { nearest: self.nearest.into(), ..Looked::default() };
        let found = prototypes(&opened.network, &train, &opened.pictures, looked)?;
        let explained = explain(&opened.network, &opened.pictures, self.picture)?;
        let told = Told { opened: &opened, train: &train, found: &found, explained: &explained };
        Outcome {
            tensors: tensors(&found, self.nearest.into())?,
            summary: self.summary(&told),
            told: page::totals(&found),
            page: page::of(&told)?,
        }
        .write_and_tell(&self.out, self.on.json)
    }

    fn summary(&self, Told { opened, found, explained, .. }: &Told<'_>) -> Value {
        let name = |id: usize| &opened.network.graph.nodes()[id].name;
        let peak = |peak: &Peak| {
            let (rows, columns) = (peak.region.rows, peak.region.columns);
            json!({ "picture": peak.picture, "label": peak.label, "cell": peak.cell, "pixel": peak.pixel, "rows": rows, "columns": columns, "value": peak.value })
        };
        let one = |p: &Prototype| {
            json!({
                "name": p.name, "class": opened.info.classes.get(p.class), "weight": p.weight, "source": p.source.as_ref().map(peak),
                "nearest": p.nearest.iter().map(peak).collect::<Vec<_>>(),
                "purity": p.purity.as_ref().map(|purity| json!({ "share": purity.share, "value": purity.value, "chance": purity.chance })),
                "own": p.own, "hits": p.hits, "patches": p.patches.map(of_chance), "part": p.part.as_ref().map(|(part, share)| json!({ "name": part, "share": share })),
            })
        };
        let parts: Vec<Value> = explained.parts.iter().map(|part| {
            json!({ "prototype": found.prototypes[part.prototype].name, "value": part.value, "weight": part.weight, "product": part.product(), "pixel": part.pixel, "rows": part.region.rows, "columns": part.region.columns })
        }).collect();
        json!({
            "version": 1, "checkpoint": opened.path.display().to_string(), "data": opened.info.name, "split": self.on.split,
            "map": name(found.layer.map), "node": name(found.layer.values), "count": found.prototypes.len(), "used": found.used().count(), "pictures": found.right[1],
            "accuracy": found.right[0] as f64 / found.right[1].max(1) as f64, "distinct": found.places(), "equal": found.equal(), "weights": found.weights, "terms": found.terms,
            "purity": found.purity().map(|[share, _]| share), "chance": found.purity().map(|[_, chance]| chance), "own": found.own(), "hits": found.hits(),
            "patches": found.patches().map(of_chance),
            "consistency": found.consistency(), "consistent_from": CONSISTENT, "stability": found.stability,
            "cosine": found.cosines.map(|[all, _]| all), "cosine_within_classes": found.cosines.map(|[_, own]| own),
            "prototypes": found.prototypes.iter().map(one).collect::<Vec<_>>(),
            "explained": { "picture": explained.picture, "label": opened.info.classes.get(explained.label), "class": opened.info.classes.get(explained.class), "logit": explained.logit, "sum": explained.sum(), "parts": parts },
        })
    }
}

/// A share beside what is expected by chance.
fn of_chance([share, chance]: [f64; 2]) -> Value {
    json!({ "share": share, "chance": chance })
}

/// A peak as three numbers, -1 where there is none.
fn numbers(peak: Option<&Peak>) -> [i64; 3] {
    peak.map_or([-1; 3], |peak| [peak.picture as i64, peak.cell[0] as i64, peak.cell[1] as i64])
}

fn tensors(found: &Found, nearest: usize) -> Result<BTreeMap<String, Tensor>> {
    let (all, count) = (&found.prototypes, found.prototypes.len());
    let sources: Vec<i64> = all.iter().flat_map(|p| numbers(p.source.as_ref())).collect();
    let of = |p: &Prototype| (0..nearest).flat_map(|at| numbers(p.nearest.get(at))).collect::<Vec<i64>>();
    let nearest_places: Vec<i64> = all.iter().flat_map(of).collect();
    let (classes, weights) = all.iter().map(|p| (p.class as i64, p.weight)).unzip::<_, _, Vec<i64>, Vec<f64>>();
    Ok(BTreeMap::from([
        ("source".to_owned(), Tensor::from_vec(sources, (count, 3), &Device::Cpu)?),
        ("nearest".to_owned(), Tensor::from_vec(nearest_places, (count, nearest, 3), &Device::Cpu)?),
        ("class".to_owned(), Tensor::from_vec(classes, count, &Device::Cpu)?),
        ("weight".to_owned(), Tensor::from_vec(weights, count, &Device::Cpu)?),
    ]))
}
