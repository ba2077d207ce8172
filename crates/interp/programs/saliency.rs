//! `interp-audit saliency`: where in pictures the evidence for an output lies.

mod found;
mod page;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use candle_core::{DType, Tensor};
use clap::Args;
use interp_audit::saliency::{Attribution, CONTROLS, Method, Question, last_map, locate, logits, method};
use interp_audit::{AuditError, Memory};
use interp_data::{Info, Split};
use interp_finding::{Built, Unfit};
use interp_net::{Graph, NetError, Network, NodeId};
use serde_json::json;

use super::Ending;
use super::chosen::{Chosen, Shown, Subject, class};
use super::outcome::Outcome;
use crate::progress::{Screen, tell};
use crate::{Catalog, Error, Result};
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

/// What is explained, and how.
#[derive(Args, Debug)]
pub(super) struct Settings {
    /// Methods, by name; by default grad_cam, integrated_gradients and, where its rules suffice, lrp
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    method: Vec<String>,
    /// A setting of a method
    #[arg(long, value_name = "NAME.KEY=VALUE")]
    set: Vec<String>,
    /// N pictures of the data set, at even distances
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) limit: u32,
    /// The output to explain: a class by its name or number, `predicted`, or `label`
    #[arg(long, default_value = "predicted", value_name = "CLASS")]
    target: String,
    /// The node whose maps class activation maps weigh; by default the last with 16 cells or more
    #[arg(long, value_name = "NODE")]
    layer: Option<String>,
    /// Compute in f64, on the CPU
    #[arg(long)]
    double: bool,
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

/// Methods by their names.
type Methods = Vec<(String, Built<dyn Method>)>;

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
        for (name, method) in &methods {
            let refused = |unfit: Unfit| Error::Audit(unfit.within(name).into());
            method.object.check([subject.info.height, subject.info.width]).map_err(refused)?;
        }
        if subject.shown.masks.is_some() {
            for name in CONTROLS {
                if !methods.iter().any(|(asked, _)| asked == name) {
                    methods.push((name.to_owned(), method(name, &toml::Table::new())?));
                }
            }
        }
        let (info, shown) = (&subject.info, &subject.shown);
        let (network, pictures) = self.placed(&subject.network, &shown.pictures)?;
        let at_once = memory.pictures_of(&network.graph, pictures.dtype());
        let logits = logits(&network, &pictures, at_once)?;
        subject.check(&logits)?;
        let targets = self.targets(&logits, shown, info)?;
        let range = [0.0, 1.0].map(|end| black_or_white(info, end));
        let question = Question {
            net: &network,
            pictures: &pictures,
            targets: &targets,
            indices: &shown.indices,
            layer: self.layer(&network.graph)?,
            range: [&range[0], &range[1]],
            at_once,
        };
        let found = asked(&question, methods, subject, self.method.is_empty(), screen)?;
        Ok(Outcome {
            tensors: tensors(subject, &question, &logits, &found)?,
            summary: summary(subject, split, &question, &found)?,
            told: page::methods(&found)?,
            page: page::of(subject, &question, &logits, &found)?,
        })
    }

    /// The node whose maps are weighed.
    fn layer(&self, graph: &Graph) -> Result<NodeId> {
        let layer = self.layer.as_ref().map_or_else(|| Ok(last_map(graph)), |name| graph.id(name))?;
        if graph.shape(layer).len() != 3 {
            return Err(Error::Usage(format!("--layer {}: it has no maps", graph.nodes()[layer].name)));
        }
        Ok(layer)
    }

    /// The names of the methods asked for.
    fn asked(&self) -> Vec<&str> {
        match self.method.is_empty() {
            true => DEFAULT.to_vec(),
            false => self.method.iter().map(String::as_str).collect(),
        }
    }

    /// The methods asked for, with their settings.
    pub(super) fn methods(&self) -> Result<Methods> {
        let mut settings: BTreeMap<&str, toml::Table> = BTreeMap::new();
        for text in &self.set {
            let split = || {
                let (name, rest) = text.split_once('.')?;
                let (key, value) = rest.split_once('=')?;
                let quoted = || toml::Value::String(value.trim().into());
                Some((name.trim(), key.trim(), value.trim().parse::<toml::Value>().unwrap_or_else(|_| quoted())))
            };
            let wrong = || Error::Usage(format!("--set {text}: it is written METHOD.KEY=VALUE"));
            let (name, key, value) = split().ok_or_else(wrong)?;
            if !self.asked().contains(&name) {
                return Err(Error::Usage(format!("--set {text}: --method does not name {name}")));
            }
            settings.entry(name).or_default().insert(key.into(), value);
        }
        let none = toml::Table::new();
        let named = |name: &str| Ok((name.to_owned(), method(name, settings.get(name).unwrap_or(&none))?));
        let asked = self.asked();
        if let Some(at) = (1..asked.len()).find(|&at| asked[..at].contains(&asked[at])) {
            return Err(Error::Usage(format!("--method names {} twice", asked[at])));
        }
        asked.into_iter().map(named).collect()
    }

    /// Network and pictures, of the type that is computed in and where.
    fn placed(&self, network: &Network, pictures: &Tensor) -> Result<(Network, Tensor)> {
        if !self.double {
            return Ok((network.clone(), pictures.to_device(&network.device())?));
        }
        if !network.device().is_cpu() {
            return Err(Error::Usage("--double computes on the CPU: give --device cpu".into()));
        }
        Ok((network.to_dtype(DType::F64)?, pictures.to_dtype(DType::F64)?))
    }

    fn targets(&self, logits: &[Vec<f64>], shown: &Shown, info: &Info) -> Result<Vec<usize>> {
        let classes = logits.first().map_or(0, Vec::len);
        let largest = |row: &Vec<f64>| (0..row.len()).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0);
        match (self.target.as_str(), &shown.labels) {
            ("predicted", _) => Ok(logits.iter().map(largest).collect()),
            ("label", Some(labels)) => Ok(labels.clone()),
            ("label", None) => Err(Error::Usage("--target label: files have none; name the class".into())),
            (name, _) => Ok(vec![class("--target", name, &info.classes, classes)?; logits.len()]),
        }
    }
}

/// Asks every method; where those without rules for the network are to be left out, the others.
fn asked(
    question: &Question<'_>,
    methods: Methods,
    subject: &Subject,
    leave_out: bool,
    screen: &Screen,
) -> Result<Vec<Found>> {
    let size = [subject.info.height, subject.info.width];
    let (bar, count) = (screen.units("methods"), methods.len() as u64);
    let mut found = vec![];
    for (done, (name, Built { settings, object })) in methods.into_iter().enumerate() {
        let began = Instant::now();
        let attribution = match object.attribute(question) {
            Ok(attribution) => attribution,
            Err(AuditError::Net(error @ NetError::NoRule { .. })) if leave_out => {
                tell(&format!("{name} is left out: {error}"));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let seconds = began.elapsed().as_secs_f64();
        let maps = maps(&attribution, size)?;
        let masks = subject.shown.masks.as_ref();
        let located = masks.map(|masks| maps.iter().zip(masks).map(|(map, mask)| locate(map, mask)).collect());
        found.push(Found { name, settings, attribution, maps, located, seconds });
        bar.set(done as u64 + 1, count);
    }
    Ok(found)
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
        "layer": question.net.graph.nodes()[question.layer].name, "count": question.targets.len(),
        "best_control": control.map(|control| &control.name), "methods": found.iter().map(of).collect::<Result<Vec<_>>>()?,
    }))
}

/// The maps of an attribution, picture by picture, row by row.
fn maps(attribution: &Attribution, size: [usize; 2]) -> Result<Vec<Vec<f64>>> {
    let maps = attribution.maps(size)?.to_device(&candle_core::Device::Cpu)?.to_dtype(DType::F64)?;
    Ok(maps.flatten_from(1)?.to_vec2()?)
}

/// What black (0) and white (1) pixels are to the network.
fn black_or_white(info: &Info, end: f64) -> Vec<f64> {
    info.mean.iter().zip(&info.std).map(|(&mean, &std)| (end - f64::from(mean)) / f64::from(std)).collect()
}
