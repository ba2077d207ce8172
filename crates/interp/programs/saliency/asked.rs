//! What is asked on the command line: which methods, with which settings, about which outputs.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use clap::Args;
use interp_audit::Memory;
use interp_audit::saliency::{CONTROLS, Method, Question, last_map, logits, method};
use interp_data::Info;
use interp_finding::{Built, Unfit};
use interp_net::{Graph, Network, NodeId};

use crate::asked::{Shown, black_or_white};
use crate::programs::chosen::{Subject, class};
use crate::{Error, Result};

/// What is explained, and how.
#[derive(Args, Debug)]
pub(in crate::programs) struct Settings {
    /// Methods, by name; by default grad_cam, integrated_gradients and, where its rules suffice, lrp
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    method: Vec<String>,
    /// A setting of a method
    #[arg(long, value_name = "NAME.KEY=VALUE")]
    set: Vec<String>,
    /// N pictures of the data set, at even distances
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::programs) limit: u32,
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

/// Methods by their names.
pub(in crate::programs) type Methods = Vec<(String, Built<dyn Method>)>;

/// Settings by the names of what has them.
pub(in crate::programs) type Sets<'a> = BTreeMap<&'a str, toml::Table>;

/// A network, where it computes, and what it is asked about.
pub(in crate::programs) struct Asked<'a> {
    network: Network,
    pictures: Tensor,
    pub(in crate::programs) logits: Vec<Vec<f64>>,
    targets: Vec<usize>,
    indices: &'a [usize],
    layer: NodeId,
    range: [Vec<f64>; 2],
    at_once: usize,
}

impl Asked<'_> {
    /// Why the network gives these outputs.
    pub(in crate::programs) fn question(&self) -> Question<'_> {
        Question {
            net: &self.network,
            pictures: &self.pictures,
            targets: &self.targets,
            indices: self.indices,
            layer: self.layer,
            range: [&self.range[0], &self.range[1]],
            at_once: self.at_once,
        }
    }
}

impl Settings {
    /// The network and the pictures where they compute, with the outputs that are explained.
    pub(in crate::programs) fn asked<'a>(&self, subject: &'a Subject, memory: Memory) -> Result<Asked<'a>> {
        let (info, shown) = (&subject.info, &subject.shown);
        let (network, pictures) = self.placed(&subject.network, &shown.pictures)?;
        let at_once = memory.pictures_of(&network.graph, pictures.dtype());
        let logits = logits(&network, &pictures, at_once)?;
        subject.check(&logits)?;
        let targets = self.targets(&logits, shown, info)?;
        let layer = self.layer(&network.graph)?;
        let range = [0.0, 1.0].map(|end| black_or_white(info, end));
        Ok(Asked { network, pictures, logits, targets, indices: &shown.indices, layer, range, at_once })
    }

    /// Whether nobody names methods.
    pub(in crate::programs) fn names_none(&self) -> bool {
        self.method.is_empty()
    }

    /// The names of the methods asked for.
    pub(in crate::programs) fn names<'a>(&'a self, default: &[&'a str]) -> Vec<&'a str> {
        match self.method.is_empty() {
            true => default.to_vec(),
            false => self.method.iter().map(String::as_str).collect(),
        }
    }

    /// The settings that are given, of what is among `known`; of others it is told that they are `not_named`.
    pub(in crate::programs) fn sets(&self, known: &[&str], not_named: &str) -> Result<Sets<'_>> {
        let mut sets = Sets::new();
        for text in &self.set {
            let split = || {
                let (name, rest) = text.split_once('.')?;
                let (key, value) = rest.split_once('=')?;
                let quoted = || toml::Value::String(value.trim().into());
                Some((name.trim(), key.trim(), value.trim().parse::<toml::Value>().unwrap_or_else(|_| quoted())))
            };
            let wrong = || Error::Usage(format!("--set {text}: it is written METHOD.KEY=VALUE"));
            let (name, key, value) = split().ok_or_else(wrong)?;
            if !known.contains(&name) {
                return Err(Error::Usage(format!("--set {text}: {not_named} {name}")));
            }
            sets.entry(name).or_default().insert(key.into(), value);
        }
        Ok(sets)
    }

    /// The node whose maps are weighed.
    fn layer(&self, graph: &Graph) -> Result<NodeId> {
        let layer = self.layer.as_ref().map_or_else(|| Ok(last_map(graph)), |name| graph.id(name))?;
        if graph.shape(layer).len() != 3 {
            return Err(Error::Usage(format!("--layer {}: it has no maps", graph.nodes()[layer].name)));
        }
        Ok(layer)
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

/// The methods of these names, with their settings.
pub(in crate::programs) fn methods(names: &[&str], sets: &Sets<'_>) -> Result<Methods> {
    unique("--method", names)?;
    let none = toml::Table::new();
    names.iter().map(|name| Ok(((*name).to_owned(), method(name, sets.get(name).unwrap_or(&none))?))).collect()
}

/// Refuses a name that an option has twice.
pub(in crate::programs) fn unique(option: &str, names: &[&str]) -> Result<()> {
    match (1..names.len()).find(|&at| names[..at].contains(&names[at])) {
        Some(at) => Err(Error::Usage(format!("{option} names {} twice", names[at]))),
        None => Ok(()),
    }
}

/// Refuses settings that cannot be used for such pictures.
pub(in crate::programs) fn check(methods: &Methods, info: &Info) -> Result<()> {
    methods.iter().try_for_each(|(name, method)| {
        let refused = |unfit: Unfit| Error::Audit(unfit.within(name).into());
        method.object.check([info.height, info.width]).map_err(refused)
    })
}

/// Has the controls asked too, after the others.
pub(in crate::programs) fn add_controls(all: &mut Methods) -> Result<()> {
    for name in CONTROLS {
        if !all.iter().any(|(asked, _)| asked == name) {
            all.push((name.to_owned(), method(name, &toml::Table::new())?));
        }
    }
    Ok(())
}
