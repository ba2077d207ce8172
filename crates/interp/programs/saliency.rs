//! `interp-audit saliency`: where in pictures the evidence for an output lies.

pub(super) mod answers;
pub(super) mod asked;
pub(super) mod found;
mod page;

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::Tensor;
use clap::Args;
use interp_audit::Memory;
use interp_audit::saliency::Question;
use interp_data::Split;
use serde_json::json;

use super::Ending;
use super::chosen::{Chosen, Subject};
use super::outcome::Outcome;
use crate::progress::Screen;
use crate::{Catalog, Result};
use answers::answers;
pub(super) use asked::Settings;
use asked::{Methods, add_controls, check};
use found::{Found, best_control};

/// Where in pictures the evidence for an output lies, by one method or several
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    interp-audit saliency checkpoints/sparse_vgg --method grad_cam,lrp,rise --set rise.masks=2000 --out saliency\n\n\
    Writes DIR/data.safetensors (input (N, C, H, W) as the network sees it, target (N), label (N), index (N), logits (N, K), and the \
    attribution of every METHOD under its name, signed and not scaled, with what else it tells as METHOD.WHAT), DIR/summary.json and \
    DIR/report.html. \
    `interp-train list saliency` tells the methods")]
pub(super) struct Saliency {
    #[command(flatten)]
    from: Chosen,
    #[command(flatten)]
    settings: Settings,
    /// Memory that activations may take, such as 512MiB; results do not depend on it
    #[arg(long, default_value = "1GiB", value_parser = super::memory)]
    memory: Memory,
    /// The folder to write
    #[arg(long, default_value = "saliency", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
}

impl Saliency {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let methods = self.settings.methods()?;
        let subject = self.from.open(catalog, self.settings.limit)?;
        let screen = Screen::new(self.from.on.json);
        let outcome = self.settings.outcome(methods, &subject, self.from.split(), self.memory, &screen)?;
        outcome.write_and_tell(&self.out, self.from.on.json)
    }
}

/// What is asked where nobody names methods; the last has no rule for some operations, and is left out then.
const DEFAULT: [&str; 3] = ["grad_cam", "integrated_gradients", "lrp"];

impl Settings {
    /// What the methods say of the pictures, which are of `split` where they are of a data set.
    pub(super) fn outcome(
        &self,
        mut methods: Methods,
        subject: &Subject,
        split: Option<Split>,
        memory: Memory,
        screen: &Screen,
    ) -> Result<Outcome> {
        check(&methods, &subject.info)?;
        if subject.shown.masks.is_some() {
            add_controls(&mut methods)?;
        }
        let asked = self.asked(subject, memory)?;
        let question = asked.question();
        let found = answers(&question, methods, subject, self.names_none(), screen)?;
        Ok(Outcome {
            tensors: tensors(subject, &question, &asked.logits, &found)?,
            summary: summary(subject, split, &question, &found)?,
            told: page::methods(&found)?,
            page: page::of(subject, &question, &asked.logits, &found)?,
        })
    }

    /// The methods asked for, with their settings.
    pub(super) fn methods(&self) -> Result<Methods> {
        let names = self.names(&DEFAULT);
        asked::methods(&names, &self.sets(&names, "--method does not name")?)
    }
}

fn tensors(
    subject: &Subject,
    question: &Question<'_>,
    logits: &[Vec<f64>],
    found: &[Found],
) -> Result<BTreeMap<String, Tensor>> {
    let (cpu, shown) = (candle_core::Device::Cpu, &subject.shown);
    let whole = |numbers: &[usize]| -> Result<Tensor> {
        Ok(Tensor::from_vec(numbers.iter().map(|&n| n as i64).collect::<Vec<_>>(), numbers.len(), &cpu)?)
    };
    let flat = Tensor::from_vec(logits.concat(), (logits.len(), logits.first().map_or(0, Vec::len)), &cpu)?;
    let mut tensors = BTreeMap::from([
        ("input".to_owned(), question.pictures.to_device(&cpu)?.contiguous()?),
        ("target".to_owned(), whole(question.targets)?),
        ("index".to_owned(), whole(&shown.indices)?),
        ("logits".to_owned(), flat.to_dtype(question.pictures.dtype())?),
    ]);
    if let Some(labels) = &shown.labels {
        tensors.insert("label".into(), whole(labels)?);
    }
    for Found { name, attribution, .. } in found {
        tensors.insert(name.clone(), attribution.values.to_device(&cpu)?.contiguous()?);
        for (what, values) in &attribution.more {
            tensors.insert(format!("{name}.{what}"), values.to_device(&cpu)?.contiguous()?);
        }
    }
    Ok(tensors)
}

fn summary(
    subject: &Subject,
    split: Option<Split>,
    question: &Question<'_>,
    found: &[Found],
) -> Result<serde_json::Value> {
    let control = best_control(found);
    // Names of files need not be Unicode, and JSON is.
    let shown = |file: &Option<PathBuf>| file.as_ref().map(|file| file.display().to_string());
    let files: Vec<Option<String>> = subject.shown.files.iter().map(shown).collect();
    let of = |found: &Found| -> Result<serde_json::Value> {
        let speaks = found.attribution.speaks()?;
        Ok(json!({
            "name": found.name, "settings": found.settings, "seconds": found.seconds,
            "channels": found.attribution.channels, "without_evidence": speaks.iter().filter(|speaks| !**speaks).count(),
            "hits": found.hits(), "mass_in_object": found.mass(),
            "hits_beyond_control": control.and_then(|control| found.beyond(control)),
        }))
    };
    Ok(json!({
        "version": 1, "checkpoint": subject.path.display().to_string(), "data": subject.info.name, "split": split,
        "classes": subject.info.classes,
        "layer": question.net.graph.nodes()[question.layer].name, "count": question.targets.len(), "files": files,
        "best_control": control.map(|control| &control.name), "methods": found.iter().map(of).collect::<Result<Vec<_>>>()?,
    }))
}
