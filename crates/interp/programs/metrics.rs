//! `interp-audit metrics`: how right explanations are.

mod measured;
mod page;
mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use candle_core::{Device, Tensor};
use clap::Args;
use interp_audit::Memory;
use interp_audit::metrics::{Judged, METRICS, Metric, metric};
use interp_audit::saliency::Question;
use interp_data::{Info, Split};
use interp_finding::{Built, Unfit};
use serde_json::json;

use super::Ending;
use super::chosen::{Chosen, Subject};
use super::outcome::Outcome;
use super::saliency::Settings;
use super::saliency::answers::answers;
use super::saliency::asked::{Methods, Sets, add_controls, check, methods, unique};
use super::saliency::found::Found;
use crate::progress::Screen;
use crate::{Catalog, Error, Result};
use measured::Measured;

/// How right explanations are: methods by metrics, beside controls that know nothing of the network
#[derive(Args, Debug)]
#[command(mut_arg("method", |arg| arg.help(METHOD)), mut_arg("set", |arg| arg.help("A setting of a method or a metric")))]
#[command(mut_arg("limit", |arg| arg.default_value("64")))]
#[command(after_help = "Example:\n  \
    interp-audit metrics checkpoints/sparse_vgg --method gradient,grad_cam --metric deletion,randomization --limit 200 --out metrics\n\n\
    Writes DIR/data.safetensors (METHOD.METRIC.NUMBER (N), METHOD.METRIC.curve.NAME (N, points), METRIC.NAME.x (points), target (N), label (N), index (N), \
    logits (N, K)), DIR/summary.json and DIR/report.html. `interp-train list metrics` tells the metrics, `interp-train list saliency` the methods")]
pub(super) struct Metrics {
    #[command(flatten)]
    from: Chosen,
    #[command(flatten)]
    settings: Settings,
    /// Metrics, by name; by default all of them
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    metric: Vec<String>,
    /// Memory that activations may take, such as 512MiB; results do not depend on it
    #[arg(long, default_value = "1GiB", value_parser = super::memory)]
    memory: Memory,
    /// The folder to write
    #[arg(long, default_value = "metrics", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
}

/// What is judged where nobody names methods; the last has no rule for some operations, and is left out then.
const DEFAULT: [&str; 5] = ["gradient", "guided_backpropagation", "grad_cam", "integrated_gradients", "lrp"];

/// How these are told.
const METHOD: &str = "Methods, by name; by default gradient, guided_backpropagation, grad_cam, integrated_gradients and, where its rules \
                      suffice, lrp. Controls are always there";

/// Metrics by their names.
type Judges = Vec<(String, Built<dyn Metric>)>;

impl Metrics {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let (methods, metrics) = self.asked()?;
        let subject = self.from.open(catalog, self.settings.limit)?;
        check(&methods, &subject.info)?;
        check_metrics(&metrics, &subject.info)?;
        let outcome = self.outcome(methods, metrics, &subject)?;
        outcome.write_and_tell(&self.out, self.from.on.json)
    }

    /// The methods, controls among them, and the metrics, with their settings.
    fn asked(&self) -> Result<(Methods, Judges)> {
        let names = self.settings.names(&DEFAULT);
        let metrics: Vec<&str> = match self.metric.is_empty() {
            true => METRICS.iter().map(|entry| entry.name).collect(),
            false => self.metric.iter().map(String::as_str).collect(),
        };
        unique("--metric", &metrics)?;
        let known = [names.as_slice(), &metrics].concat();
        let sets = self.settings.sets(&known, "neither --method nor --metric names")?;
        let mut methods = methods(&names, &sets)?;
        add_controls(&mut methods)?;
        Ok((methods, built(&metrics, &sets)?))
    }

    fn outcome(&self, methods: Methods, metrics: Judges, subject: &Subject) -> Result<Outcome> {
        let screen = Screen::new(self.from.on.json);
        let asked = self.settings.asked(subject, self.memory)?;
        let question = asked.question();
        let found = answers(&question, methods, subject, self.settings.names_none(), &screen)?;
        let measured = measured(&question, &found, metrics, &screen)?;
        Ok(Outcome {
            tensors: tensors(subject, &question, &asked.logits, &found, &measured)?,
            summary: summary(subject, self.from.split(), &question, &found, &measured)?,
            told: table::told(&found, &measured),
            page: page::of(subject, &question, &found, &measured),
        })
    }
}

/// The metrics of these names, with their settings.
fn built(names: &[&str], sets: &Sets<'_>) -> Result<Judges> {
    let none = toml::Table::new();
    names.iter().map(|name| Ok(((*name).to_owned(), metric(name, sets.get(name).unwrap_or(&none))?))).collect()
}

/// Refuses settings that cannot be used for such pictures.
fn check_metrics(metrics: &Judges, info: &Info) -> Result<()> {
    metrics.iter().try_for_each(|(name, metric)| {
        let refused = |unfit: Unfit| Error::Audit(unfit.within(name).into());
        metric.object.check([info.height, info.width]).map_err(refused)
    })
}

/// Asks every metric about every method.
fn measured(question: &Question<'_>, found: &[Found], metrics: Judges, screen: &Screen) -> Result<Vec<Measured>> {
    let judged: Vec<Judged<'_>> = found
        .iter()
        .map(|found| Judged { name: &found.name, method: &*found.object, attribution: &found.attribution })
        .collect();
    let (bar, count) = (screen.units("metrics"), metrics.len() as u64);
    let mut measured = vec![];
    for (done, (name, Built { settings, object })) in metrics.into_iter().enumerate() {
        let began = Instant::now();
        let scores = object.measure(question, &judged)?;
        measured.push(Measured { name, settings, scores, seconds: began.elapsed().as_secs_f64() });
        bar.set(done as u64 + 1, count);
    }
    Ok(measured)
}

fn tensors(
    subject: &Subject,
    question: &Question<'_>,
    logits: &[Vec<f64>],
    found: &[Found],
    measured: &[Measured],
) -> Result<BTreeMap<String, Tensor>> {
    let whole = |numbers: &[usize]| -> Result<Tensor> {
        Ok(Tensor::from_vec(numbers.iter().map(|&n| n as i64).collect::<Vec<_>>(), numbers.len(), &Device::Cpu)?)
    };
    let flat = Tensor::from_vec(logits.concat(), (logits.len(), logits.first().map_or(0, Vec::len)), &Device::Cpu)?;
    let mut tensors = BTreeMap::from([
        ("target".to_owned(), whole(question.targets)?),
        ("index".to_owned(), whole(&subject.shown.indices)?),
        ("logits".to_owned(), flat.to_dtype(question.pictures.dtype())?),
    ]);
    if let Some(labels) = &subject.shown.labels {
        tensors.insert("label".into(), whole(labels)?);
    }
    for metric in measured {
        for (method, scores) in found.iter().zip(&metric.scores) {
            tensors.extend(metric.tensors(&method.name, scores)?);
        }
    }
    Ok(tensors)
}

fn summary(
    subject: &Subject,
    split: Option<Split>,
    question: &Question<'_>,
    found: &[Found],
    measured: &[Measured],
) -> Result<serde_json::Value> {
    let metric = |metric: &Measured| {
        let controls = metric.best_controls(found);
        let controls: serde_json::Map<_, _> =
            controls.into_iter().map(|(column, at)| (column, json!(found[at].name))).collect();
        json!({
            "name": metric.name, "settings": metric.settings, "seconds": metric.seconds, "best_control": controls,
        })
    };
    let method = |(at, one): (usize, &Found)| -> Result<serde_json::Value> {
        let of = |metric: &Measured| Ok((metric.name.clone(), metric.json(found, at, question.targets)?));
        let numbers = measured.iter().map(of).collect::<Result<serde_json::Map<_, _>>>()?;
        let verdict = measured.iter().find_map(|metric| metric.scores[at].verdict);
        Ok(json!({
            "name": one.name, "settings": one.settings, "control": one.is_control(), "randomization": verdict,
            "metrics": numbers,
        }))
    };
    Ok(json!({
        "version": 1, "checkpoint": subject.path.display().to_string(), "data": subject.info.name, "split": split,
        "classes": subject.info.classes, "layer": question.net.graph.nodes()[question.layer].name,
        "count": question.targets.len(), "metrics": measured.iter().map(metric).collect::<Vec<_>>(),
        "methods": found.iter().enumerate().map(method).collect::<Result<Vec<_>>>()?,
    }))
}
