//! `interp-audit saliency`: where in pictures the evidence for an output lies.

mod found;
mod page;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use candle_core::{DType, Tensor};
use clap::Args;
use interp_audit::Memory;
use interp_audit::saliency::{Attribution, CONTROLS, Method, Question, last_map, locate, logits, method};
use interp_data::Info;
use interp_finding::{Built, Unfit};
use interp_net::{Network, aligned, files, sealed};
use interp_report::html;
use serde_json::json;

use super::chosen::{Chosen, Shown, Subject, class};
use super::{Ending, print};
use crate::progress::Screen;
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
    /// Methods, by name
    #[arg(long, value_delimiter = ',', default_value = "grad_cam,integrated_gradients,lrp", value_name = "NAME")]
    method: Vec<String>,
    /// A setting of a method
    #[arg(long, value_name = "NAME.KEY=VALUE")]
    set: Vec<String>,
    /// N pictures of the data set, at even distances
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// The output to explain: a class by its name or number, `predicted`, or `label`
    #[arg(long, default_value = "predicted", value_name = "CLASS")]
    target: String,
    /// The node whose maps class activation maps weigh; by default the last with 16 cells or more
    #[arg(long, value_name = "NODE")]
    layer: Option<String>,
    /// Memory that activations may take, such as 512MiB; results do not depend on it
    #[arg(long, default_value = "1GiB", value_parser = super::memory)]
    memory: Memory,
    /// Compute in f64, on the CPU
    #[arg(long)]
    double: bool,
    /// The folder to write
    #[arg(long, default_value = "saliency", value_name = "DIR")]
    out: PathBuf,
}

impl Saliency {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let mut methods = self.methods()?;
        let subject = self.from.open(catalog, self.limit)?;
        for (name, method) in &methods {
            let refused = |unfit: Unfit| Error::Audit(unfit.within(name).into());
            method.object.check([subject.info.height, subject.info.width]).map_err(refused)?;
        }
        if subject.shown.masks.is_some() {
            let missing = CONTROLS.into_iter().filter(|name| !self.method.iter().any(|method| method == name));
            for name in missing {
                methods.push((name.to_owned(), method(name, &toml::Table::new())?));
            }
        }
        let count = methods.len() as u64;
        let (info, shown) = (&subject.info, &subject.shown);
        let (network, pictures) = self.placed(&subject.network, &shown.pictures)?;
        let at_once = self.memory.pictures_of(&network.graph, pictures.dtype());
        let logits = logits(&network, &pictures, at_once)?;
        subject.check(&logits)?;
        let targets = self.targets(&logits, shown, info)?;
        let layer = match &self.layer {
            Some(name) => network.graph.id(name)?,
            None => last_map(&network.graph),
        };
        if network.graph.shape(layer).len() != 3 {
            return Err(Error::Usage(format!("--layer {}: it has no maps", network.graph.nodes()[layer].name)));
        }
        let range = [0.0, 1.0].map(|end| black_or_white(info, end));
        let question = Question {
            net: &network,
            pictures: &pictures,
            targets: &targets,
            indices: &shown.indices,
            layer,
            range: [&range[0], &range[1]],
            at_once,
        };
        let bar = Screen::new(self.from.on.json).units("methods");
        let mut found = vec![];
        for (done, (name, Built { settings, object })) in methods.into_iter().enumerate() {
            let began = Instant::now();
            let attribution = object.attribute(&question)?;
            let seconds = began.elapsed().as_secs_f64();
            let maps = maps(&attribution, [info.height, info.width])?;
            let located = shown.masks.as_ref().map(|masks| maps.iter().zip(masks).map(|(map, mask)| locate(map, mask)));
            let located = located.map(Iterator::collect);
            found.push(Found { name, settings, attribution, maps, located, seconds });
            bar.set(done as u64 + 1, count);
        }
        drop(bar);
        self.write(&subject, &question, &logits, &found)?;
        self.tell(&subject, &question, &found)
    }

    /// The methods asked for, with their settings.
    fn methods(&self) -> Result<Vec<(String, Built<dyn Method>)>> {
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
            if !self.method.iter().any(|method| method == name) {
                return Err(Error::Usage(format!("--set {text}: --method does not name {name}")));
            }
            settings.entry(name).or_default().insert(key.into(), value);
        }
        let none = toml::Table::new();
        let named = |name: &String| Ok((name.clone(), method(name, settings.get(name.as_str()).unwrap_or(&none))?));
        self.method.iter().map(named).collect()
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

    fn write(&self, subject: &Subject, question: &Question<'_>, logits: &[Vec<f64>], found: &[Found]) -> Result<()> {
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
        std::fs::create_dir_all(&self.out).map_err(|source| Error::Io { path: self.out.clone(), source })?;
        let summary = self.summary(subject, question, found)?;
        sealed::write(&self.out.join("data.safetensors"), &tensors, &summary)?;
        let text = serde_json::to_string_pretty(&summary)?;
        files::write_atomically(&self.out.join("summary.json"), text.as_bytes())?;
        let page = page::of(subject, question, logits, found)?;
        Ok(files::write_atomically(&self.out.join("report.html"), html(&page)?.as_bytes())?)
    }

    fn summary(&self, subject: &Subject, question: &Question<'_>, found: &[Found]) -> Result<serde_json::Value> {
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
            "version": 1, "checkpoint": subject.path.display().to_string(), "data": subject.info.name, "split": self.from.split(),
            "classes": subject.info.classes,
            "layer": question.net.graph.nodes()[question.layer].name, "count": question.targets.len(),
            "best_control": control.map(|control| &control.name), "methods": found.iter().map(of).collect::<Result<Vec<_>>>()?,
        }))
    }

    fn tell(&self, subject: &Subject, question: &Question<'_>, found: &[Found]) -> Result<Ending> {
        if self.from.on.json {
            print(&self.summary(subject, question, found)?.to_string())?;
            return Ok(Ending::Fine);
        }
        let (columns, rows) = page::methods(found)?;
        print(&aligned(&std::iter::once(columns).chain(rows).collect::<Vec<_>>(), 1))?;
        print(&format!("written: {}", self.out.join("report.html").display()))?;
        Ok(Ending::Fine)
    }
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
