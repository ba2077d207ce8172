//! `interp-train edit`: a trained network's thresholds changed, or its concepts held.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use interp_audit::{Choice, Pictures, chosen_thresholds};
use interp_data::{Split, renormalized};
use interp_finding::Measured;
use interp_net::{Checkpoint, Network, Node, NodeId, Op, aligned};
use serde_json::json;

use super::checkpoint::{Found, Loaded, Which, check_fit, measure_claims, objective, open_for};
use super::{Ending, print};
use crate::progress::Screen;
use crate::{Catalog, Error, Result};

/// Change the thresholds of a trained network, or hold its concepts at a value, and measure its claims again
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  interp-train edit checkpoints/soft_threshold_vgg --dial 1.5 --out stronger.safetensors\n  \
    interp-train edit checkpoints/soft_autoencoder --sure shrink.1 --out by_stein.safetensors\n  \
    interp-train edit checkpoints/soft_threshold_vgg --threshold features.2=0.2 --threshold features.6:3=0 --out other.safetensors\n  \
    interp-train edit checkpoints/concept_bottleneck --concept red=1 --out red.safetensors"
)]
pub(super) struct Edit {
    /// A run folder, or a file of ours
    checkpoint: PathBuf,
    /// Multiply all thresholds with this, 0 or more; at 0 the activations change nothing
    #[arg(long, value_name = "FACTOR", value_parser = at_least_zero)]
    dial: Option<f64>,
    /// Give the nodes that match a pattern the universal threshold of what comes into each channel, sigma sqrt(2 ln n) for its n
    /// cells, sigma being the median of their sizes / 0.6745; those that are 0 stay so. May be repeated, and comes after the dial
    #[arg(long, value_name = "NODE")]
    universal: Vec<String>,
    /// The same by Stein's unbiased estimate of the risk
    #[arg(long, value_name = "NODE")]
    sure: Vec<String>,
    /// NAME[:PATH]: --universal and --sure look at its validation pictures, claims are measured on its test pictures; by default what
    /// the network was trained on
    #[arg(long, value_name = "SPEC")]
    data: Option<String>,
    /// How many pictures are looked at
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = super::eval::at_least_one)]
    limit: usize,
    /// Set the thresholds of the nodes that match a pattern, or of one channel (from 0) of them; may be repeated, and comes last
    #[arg(long = "threshold", value_name = "NODE[:CHANNEL]=VALUE")]
    #[arg(required_unless_present_any = ["dial", "universal", "sure", "concepts"])]
    settings: Vec<Setting>,
    /// Make the channel that stands for a concept say the same of every picture, 0 to 1; the name in full or what is behind its last
    /// slash. May be repeated
    #[arg(long = "concept", value_name = "NAME=VALUE")]
    concepts: Vec<Held>,
    /// Where to write the changed network; needed, unless the checkpoint itself is to be replaced
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file at --out, or without it the checkpoint itself; the summary and report of a run stay those of the
    /// network before
    #[arg(long)]
    overwrite: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What thresholds are set to.
#[derive(Clone, Debug, PartialEq)]
struct Setting {
    pattern: String,
    channel: Option<usize>,
    value: f64,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (target, value) = text.rsplit_once('=').ok_or("it is not of the form NODE=VALUE or NODE:CHANNEL=VALUE")?;
        let value = at_least_zero(value)?;
        let (pattern, channel) = match target.rsplit_once(':') {
            Some((pattern, channel)) => {
                let channel = channel.parse().map_err(|_| format!("`{channel}` is no channel, counted from 0"))?;
                (pattern, Some(channel))
            }
            None => (target, None),
        };
        Ok(Self { pattern: pattern.to_owned(), channel, value })
    }
}

/// What a concept is held at.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    name: String,
    value: f64,
}

impl FromStr for Held {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, value) = text.rsplit_once('=').ok_or("it is not of the form NAME=VALUE, such as red=1")?;
        let value = value.parse::<f64>().ok().filter(|value| (0.0..=1.0).contains(value));
        Ok(Self {
            name: name.to_owned(),
            value: value.ok_or_else(|| format!("`{text}`: a value from 0 to 1 is needed"))?,
        })
    }
}

impl Held {
    fn apply(&self, network: &mut Network) -> Result<()> {
        let wrong = |problem: String| Error::Usage(format!("--concept: {problem}"));
        let (node, channel) = network.graph.unit(&self.name).map_err(|e| wrong(e.to_string()))?;
        network.hold_unit(node, channel, self.value).map_err(|e| wrong(e.to_string()))
    }
}

fn at_least_zero(text: &str) -> std::result::Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| *value >= 0.0 && value.is_finite());
    value.ok_or_else(|| format!("`{text}` is not a number from 0 on"))
}

impl Edit {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let (which, screen) = (Which::of(self.checkpoint.clone(), None), Screen::new(self.json));
        let Found { path, file, config, unread } = which.read(&screen)?;
        let Some(mut meta) = file.meta.clone() else {
            let problem = "a file of others: only files of ours say enough to be changed".into();
            return Err(Error::Folder { path, problem });
        };
        let mut loaded = which.network(Found { path: path.clone(), file, config, unread }, None)?;
        let before = thresholds_of(&loaded.network)?;
        let turns =
            self.dial.is_some() || !(self.universal.is_empty() && self.sure.is_empty() && self.settings.is_empty());
        if turns && before.is_empty() {
            return Err(Error::Folder { path: self.checkpoint.clone(), problem: "it has no thresholds".into() });
        }
        let target = self.target(&path)?;
        self.change(&mut loaded, catalog, &screen)?;
        meta.edits.push(self.words());
        Checkpoint::write(&target, &loaded.network.params, &meta)?;
        let written = Which::of(target.clone(), None).load(&screen)?;
        let after = thresholds_of(&written.network)?;
        let claims = measure_claims(&written, self.data.as_deref(), catalog, 0, &screen)?;
        self.report(&target, before, after, &claims)
    }

    /// The file to write.
    fn target(&self, checkpoint: &Path) -> Result<PathBuf> {
        let target = self.out.clone().unwrap_or_else(|| checkpoint.to_owned());
        if target.exists() && !self.overwrite {
            let problem = "is there already: choose another --out, or replace it by --overwrite".into();
            return Err(Error::Folder { path: target, problem });
        }
        Ok(target)
    }

    /// First the dial, then what pictures ask for, then each setting.
    fn change(&self, loaded: &mut Loaded, catalog: &Catalog, screen: &Screen) -> Result<()> {
        let network = &mut loaded.network;
        if let Some(dial) = self.dial {
            for (node, thresholds) in network.thresholds()? {
                let turned = thresholds.iter().map(|&theta| (dial * f64::from(theta)) as f32).collect();
                network.set_thresholds(node, turned)?;
            }
        }
        if !self.universal.is_empty() || !self.sure.is_empty() {
            self.choose(loaded, catalog, screen)?;
        }
        self.settings.iter().try_for_each(|setting| setting.apply(&mut loaded.network))?;
        self.concepts.iter().try_for_each(|held| held.apply(&mut loaded.network))
    }

    /// Node after node in the graph's order: what comes into one depends on the thresholds before it.
    fn choose(&self, loaded: &mut Loaded, catalog: &Catalog, screen: &Screen) -> Result<()> {
        let objective = objective(&loaded.file, catalog);
        let data = open_for(&loaded.file, loaded.config.as_ref(), self.data.as_deref(), catalog, screen)?;
        check_fit(loaded, objective, data.info())?;
        let data = match &loaded.normalization {
            Some(normalization) => renormalized(data, &normalization.mean, &normalization.std),
            None => data,
        };
        let pictures = Pictures { data, split: Split::Validation, noise: objective.noise(), workers: 0 };
        for (patterns, choice) in [(&self.universal, Choice::Universal), (&self.sure, Choice::Sure)] {
            for node in loaded.network.graph.select(patterns, "threshold", is_threshold)? {
                let chosen = chosen_thresholds(&loaded.network, node, choice, &pictures, self.limit)?;
                loaded.network.set_thresholds(node, chosen)?;
            }
        }
        Ok(())
    }

    /// What is changed, for the file.
    fn words(&self) -> String {
        let dial = self.dial.map(|dial| format!("thresholds times {dial}"));
        let rules = [("universal", &self.universal), ("SURE", &self.sure)];
        let chosen =
            rules.into_iter().flat_map(|(rule, patterns)| patterns.iter().map(move |p| format!("{p} by {rule}")));
        let held = self.concepts.iter().map(|held| format!("{} held at {}", held.name, held.value));
        dial.into_iter()
            .chain(chosen)
            .chain(self.settings.iter().map(Setting::words))
            .chain(held)
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn report(&self, target: &Path, before: Thresholds, after: Thresholds, claims: &[Measured]) -> Result<Ending> {
        let holds = claims.iter().all(|claim| claim.holds);
        if self.json {
            let one =
                |(before, after): (&OfNode, &OfNode)| json!({ "node": after.0, "before": before.1, "after": after.1 });
            let thresholds: Vec<_> = before.iter().zip(&after).map(one).collect();
            let checkpoint = target.display().to_string();
            let object = json!({
                "version": 1, "checkpoint": checkpoint, "thresholds": thresholds, "edits": self.words(), "holds": holds, "claims": claims,
            });
            print(&object.to_string())?;
        } else {
            if !before.is_empty() {
                print(&threshold_table(&[("before", &before), ("after", &after)]))?;
            }
            self.concepts.iter().try_for_each(|held| print(&format!("{} held at {}", held.name, held.value)))?;
            claims.iter().try_for_each(|claim| print(&super::train::claim_line(claim)))?;
            print(&format!("wrote {}", target.display()))?;
        }
        Ok(if holds { Ending::Fine } else { Ending::Failed })
    }
}

impl Setting {
    fn apply(&self, network: &mut Network) -> Result<()> {
        let chosen = network.graph.select(std::slice::from_ref(&self.pattern), "threshold", is_threshold)?;
        for (node, mut thresholds) in network.thresholds()?.into_iter().filter(|(node, _)| chosen.contains(node)) {
            self.set(&mut thresholds).map_err(|problem| named(network, node, &problem))?;
            network.set_thresholds(node, thresholds)?;
        }
        Ok(())
    }

    fn set(&self, thresholds: &mut [f32]) -> std::result::Result<(), String> {
        let (count, value) = (thresholds.len(), self.value as f32);
        match self.channel {
            None => thresholds.fill(value),
            Some(channel) => {
                let one = thresholds.get_mut(channel);
                *one.ok_or_else(|| format!("there is no channel {channel}; it has {count}, counted from 0"))? = value;
            }
        }
        Ok(())
    }

    fn words(&self) -> String {
        let channel = self.channel.map(|channel| format!(":{channel}")).unwrap_or_default();
        format!("{}{channel} = {}", self.pattern, self.value)
    }
}

fn is_threshold(node: &Node) -> bool {
    matches!(node.op, Op::Threshold { .. })
}

fn named(network: &Network, node: NodeId, problem: &str) -> Error {
    Error::Usage(format!("--threshold: node `{}`: {problem}", network.graph.nodes()[node].name))
}

/// A node's name with its thresholds by channel.
type OfNode = (String, Vec<f32>);
/// Of all nodes that have thresholds, in the graph's order.
pub(super) type Thresholds = Vec<OfNode>;

/// The thresholds of a network by name.
pub(super) fn thresholds_of(network: &Network) -> Result<Thresholds> {
    let named = |(node, thresholds): (NodeId, Vec<f32>)| (network.graph.nodes()[node].name.clone(), thresholds);
    Ok(network.thresholds()?.into_iter().map(named).collect())
}

/// A table: node, channels, and the thresholds under each heading.
pub(super) fn threshold_table(columns: &[(&str, &Thresholds)]) -> String {
    let head = ["node", "channels"].into_iter().chain(columns.iter().map(|(heading, _)| *heading));
    let mut lines = vec![head.map(str::to_owned).collect::<Vec<_>>()];
    let first = columns.first().map_or(&[][..], |(_, thresholds)| thresholds);
    for (row, (name, thresholds)) in first.iter().enumerate() {
        let cells = columns.iter().filter_map(|(_, all)| all.get(row)).map(|(_, thresholds)| spread(thresholds));
        lines.push([name.clone(), thresholds.len().to_string()].into_iter().chain(cells).collect());
    }
    aligned(&lines, 1)
}

/// The mean of thresholds, with the least and the largest: `0.12 (0.05 to 0.31)`.
fn spread(thresholds: &[f32]) -> String {
    let mean = thresholds.iter().map(|&theta| f64::from(theta)).sum::<f64>() / thresholds.len().max(1) as f64;
    let (least, largest) = thresholds.iter().fold((f32::INFINITY, 0f32), |(a, b), &t| (a.min(t), b.max(t)));
    format!("{mean:.4} ({least:.4} to {largest:.4})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read() {
        let read = |text: &str| text.parse::<Setting>();
        let expected = |pattern: &str, channel, value| Ok(Setting { pattern: pattern.into(), channel, value });
        assert_eq!(read("features.2=0.25"), expected("features.2", None, 0.25));
        assert_eq!(read("layer?.*:3=0"), expected("layer?.*", Some(3), 0.0));
        for wrong in
            ["features.2", "features.2=-1", "features.2=nan", "features.2=inf", "features.2:x=1", "features.2="]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tables_show_mean_and_range() {
        let (before, after) = (vec![("a".to_owned(), vec![0.0, 0.5])], vec![("a".to_owned(), vec![0.0, 1.0])]);
        let table = threshold_table(&[("before", &before), ("after", &after)]);
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["node", "channels", "before", "after"]);
        assert_eq!(lines[1].join(" "), "a 2 0.2500 (0.0000 to 0.5000) 0.5000 (0.0000 to 1.0000)");
    }
}
