//! `interp-audit decompose`: how far single channels keep to single factors.

mod page;

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use clap::{Args, ValueEnum};
use interp_audit::factors::{Codes, Decomposition, Known, Pooled, known};
use interp_audit::{AuditError, Memory, Pictures, observe};
use serde_json::{Value, json};

use super::Ending;
use super::layers::activations;
use super::on_pictures::{OnPictures, Opened};
use super::outcome::Outcome;
use crate::{Catalog, Result};

/// How far single channels keep to single factors of pictures, and factors to channels: MIG, SAP, DCI and modularity
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-audit decompose checkpoints/sparse_vgg --out decompose\n\n\
    The data must know factors of its pictures: `concepts` does (docs/decompose.md).\n\
    Writes DIR/data.safetensors (of every NODE: NODE.information and NODE.predictability (C, factors), f64), DIR/summary.json and DIR/report.html")]
pub(super) struct Decompose {
    #[command(flatten)]
    on: OnPictures,
    /// Nodes, by patterns; by default all activations
    #[arg(long, value_delimiter = ',', value_name = "GLOB")]
    layers: Vec<String>,
    /// What is taken of a channel's map
    #[arg(long, default_value = "mean", value_name = "HOW")]
    of: Of,
    /// Decides which other picture's a channel's number is where chance is told
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u32,
    /// Memory that activations may take, such as 512MiB; results do not depend on it
    #[arg(long, default_value = "1GiB", value_parser = super::memory)]
    memory: Memory,
    /// The folder to write
    #[arg(long, default_value = "decompose", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
}

/// What is taken of a channel's map.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Of {
    /// The mean over the map
    Mean,
    /// The largest of it
    Largest,
}

/// A node with what its channels tell, and what channels of other pictures would.
struct Layer {
    name: String,
    found: Decomposition,
    chance: Decomposition,
}

impl Decompose {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let opened = self.on.open(catalog)?;
        let nodes = activations(&opened.network.graph, &self.layers)?;
        let factors = factors(&opened.pictures)?;
        if factors.is_empty() {
            return Err(AuditError::NoFactors(opened.info.name).into());
        }
        let pooled = match self.of {
            Of::Mean => Pooled::Mean,
            Of::Largest => Pooled::Largest,
        };
        let mut codes = Codes::new(&nodes, pooled);
        observe(&opened.network, &opened.pictures, &mut [&mut codes], self.memory)?;
        let layer = |(node, codes): (usize, Vec<Vec<f64>>)| Layer {
            name: opened.network.graph.nodes()[node].name.clone(),
            found: Decomposition::of(&codes, &factors),
            chance: Decomposition::by_chance(&codes, &factors, self.seed.into()),
        };
        let layers: Vec<Layer> = codes.found().into_iter().map(layer).collect();
        self.outcome(&opened, &factors, &layers)?.write_and_tell(&self.out, self.on.json)
    }

    fn outcome(&self, opened: &Opened, factors: &[Known], layers: &[Layer]) -> Result<Outcome> {
        Ok(Outcome {
            tensors: tensors(factors, layers)?,
            summary: self.summary(opened, factors, layers),
            told: page::layers(layers),
            page: page::of(opened, factors, layers),
        })
    }

    fn summary(&self, opened: &Opened, factors: &[Known], layers: &[Layer]) -> Value {
        let factor = |factor: &Known| {
            let seen = factor.of.iter().flatten().count();
            json!({ "name": factor.name, "values": factor.values, "pictures": seen })
        };
        let layer = |layer: &Layer| {
            let first = |at: usize| {
                let Some((channel, share)) = layer.first(at) else { return Value::Null };
                json!({ "channel": channel, "share": share })
            };
            json!({
                "node": layer.name, "channels": layer.found.information.len(), "scores": layer.found.scores(), "chance": layer.chance.scores(),
                "disentanglement": layer.found.of_codes(), "completeness": layer.found.of_factors(),
                "first": (0..factors.len()).map(first).collect::<Vec<_>>(),
            })
        };
        let of = match self.of {
            Of::Mean => "mean",
            Of::Largest => "largest",
        };
        json!({
            "version": 1, "checkpoint": opened.path.display().to_string(), "data": opened.info.name, "split": self.on.split, "of": of, "seed": self.seed,
            "factors": factors.iter().map(factor).collect::<Vec<_>>(), "layers": layers.iter().map(layer).collect::<Vec<_>>(),
        })
    }
}

impl Layer {
    /// The channel that tells most of a factor, and the share of its entropy; `None` where no channel tells anything.
    fn first(&self, factor: usize) -> Option<(usize, f64)> {
        let told = self.found.information.iter().map(|row| row[factor]).enumerate();
        let (channel, most) = told.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))?;
        let entropy = self.found.entropies[factor];
        (most > 0.0 && entropy > 0.0).then(|| (channel, most / entropy))
    }
}

/// The factors that the data know of these pictures, if any.
pub(super) fn factors(pictures: &Pictures) -> Result<Vec<Known>> {
    let of = |at: usize| Ok(pictures.data.factors(pictures.split, at)?);
    let truths = (0..pictures.data.len(pictures.split)).map(of).collect::<Result<Vec<_>>>()?;
    Ok(known(&truths))
}

fn tensors(factors: &[Known], layers: &[Layer]) -> Result<BTreeMap<String, Tensor>> {
    let mut tensors = BTreeMap::new();
    for Layer { name, found, .. } in layers {
        for (what, table) in [("information", &found.information), ("predictability", &found.predictability)] {
            let tensor = Tensor::from_vec(table.concat(), (table.len(), factors.len()), &Device::Cpu)?;
            tensors.insert(format!("{name}.{what}"), tensor);
        }
    }
    Ok(tensors)
}
