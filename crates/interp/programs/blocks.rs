//! `interp-audit blocks`: what of a layer speaks for an output.

mod page;

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use clap::Args;
use interp_audit::Memory;
use interp_audit::blocks::{Evidence, Factors, ITERATIONS, Target, evidence, factors};
use interp_audit::saliency::{last_map, logits};
use interp_audit::visualize::{Frame, Goal, Maximization, Steps, maximize};
use interp_net::{Graph, NodeId};
use serde_json::json;

use super::Ending;
use super::chosen::{Chosen, Subject, class};
use super::outcome::Outcome;
use crate::progress::Screen;
use crate::{Catalog, Error, Result};

/// What of a layer speaks for an output: which channels, which places, and which groups of channels that go together
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  interp-audit blocks checkpoints/sparse_vgg --limit 4 --out blocks\n  \
    interp-audit blocks checkpoints/sparse_vgg --images cat.png --target cat --against dog\n\n\
    Writes DIR/data.safetensors (activation and gradient (N, C, h, w), channels (N, C), places (N, h, w), target and index (N); groups.direction (G, C), \
    groups.amount (N, G, h, w), groups.attribution (N, G); channel.index (K) and channel.pictures (K, H, W, channels), groups.pictures (G, H, W, channels)), \
    DIR/summary.json and DIR/report.html")]
pub(super) struct Blocks {
    #[command(flatten)]
    from: Chosen,
    /// N pictures of the data set, at even distances
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// The node that is looked into; by default the last map with 16 cells or more
    #[arg(long, value_name = "NODE")]
    layer: Option<String>,
    /// The output to explain: a class by its name or number, `predicted`, or `label`
    #[arg(long, default_value = "predicted", value_name = "CLASS")]
    target: String,
    /// The output to compare it with: a class, or `second`, the largest other one, as for pictures that this class itself is explained of
    #[arg(long, value_name = "CLASS")]
    against: Option<String>,
    /// Groups of channels; by default 6, or none where activations are negative
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(..=32))]
    factors: Option<u8>,
    /// Steps of the search for the pictures of channels and groups; 0 for none
    #[arg(long, default_value_t = 128, value_name = "N")]
    steps: u32,
    /// Of what is drawn at random
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Memory that activations may take, such as 512MiB; results do not depend on it
    #[arg(long, default_value = "1GiB", value_parser = super::memory)]
    memory: Memory,
    /// The folder to write
    #[arg(long, default_value = "blocks", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
}

/// Groups where nobody says.
const GROUPS: u8 = 6;
/// Channels of a picture that are shown for speaking for the output, and against it.
const SPEAKING: [usize; 2] = [5, 3];

/// What was found.
struct Found {
    layer: NodeId,
    targets: Vec<Target>,
    /// Picture by picture.
    evidence: Vec<Evidence>,
    /// Of all pictures together, their places one after another.
    factors: Option<Factors>,
    /// What channels answer to most, (H, W, C).
    channels: BTreeMap<usize, Vec<f32>>,
    /// What groups answer to most.
    groups: Vec<Vec<f32>>,
}

impl Found {
    /// How much of each group there is in a picture, place by place.
    fn amount(&self, group: usize, picture: usize) -> &[f64] {
        let cells = self.evidence.first().map_or(0, |evidence| evidence.shape[1] * evidence.shape[2]);
        let amounts = self.factors.as_ref().map_or(&[][..], |factors| &factors.groups[group].amount);
        &amounts[picture * cells..(picture + 1) * cells]
    }

    /// What each group speaks for the output of a picture.
    fn speaks(&self, picture: usize) -> Vec<f64> {
        let groups = self.factors.iter().flat_map(|factors| &factors.groups).enumerate();
        let of = &self.evidence[picture];
        groups.map(|(at, group)| of.group(self.amount(at, picture), &group.direction)).collect()
    }
}

/// The channels that speak most for the output, from the most on, and those against it.
fn speaking(evidence: &Evidence) -> [Vec<(usize, f64)>; 2] {
    let mut ranked: Vec<(usize, f64)> = evidence.channels().into_iter().enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let some = |ranked: &mut dyn Iterator<Item = &(usize, f64)>, count: usize, sign: f64| -> Vec<(usize, f64)> {
        ranked.take(count).copied().filter(|(_, value)| sign * value > 0.0).collect()
    };
    [some(&mut ranked.iter(), SPEAKING[0], 1.0), some(&mut ranked.iter().rev(), SPEAKING[1], -1.0)]
}

/// Channels of a dictionary that have pictures: each takes a search.
const PICTURED: usize = 24;

/// The channels that are strongest in most places, and above 0 there.
fn most_places(evidence: &[Evidence]) -> Vec<usize> {
    let mut places: BTreeMap<usize, usize> = BTreeMap::new();
    let strongest = evidence.iter().flat_map(Evidence::strongest).filter(|(_, value)| *value > 0.0);
    strongest.for_each(|(channel, _)| *places.entry(channel).or_default() += 1);
    let mut channels: Vec<(usize, usize)> = places.into_iter().collect();
    channels.sort_by_key(|&(channel, places)| (std::cmp::Reverse(places), channel));
    channels.into_iter().take(PICTURED).map(|(channel, _)| channel).collect()
}

impl Blocks {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let subject = self.from.open(catalog, self.limit)?;
        let (graph, shown) = (&subject.network.graph, &subject.shown);
        let layer = self.layer(graph)?;
        let pictures = shown.pictures.to_device(&subject.network.device())?;
        let at_once = self.memory.pictures(graph);
        let logits = logits(&subject.network, &pictures, at_once)?;
        subject.check(&logits)?;
        let targets = self.targets(&logits, &subject)?;
        let evidence = evidence(&subject.network, &pictures, layer, &targets, at_once)?;
        let factors = self.factors(graph, layer, &evidence)?;
        let found = Found { layer, targets, evidence, factors, channels: BTreeMap::new(), groups: vec![] };
        let found = self.pictured(&subject, found)?;
        self.tell(&subject, &found)
    }

    fn layer(&self, graph: &Graph) -> Result<NodeId> {
        let layer = match &self.layer {
            Some(name) => graph.id(name)?,
            None => last_map(graph),
        };
        if layer == 0 || graph.shape(layer).len() != 3 {
            let name = &graph.nodes()[layer].name;
            return Err(Error::Usage(format!("--layer {name}: it has no maps that the network made")));
        }
        Ok(layer)
    }

    fn targets(&self, logits: &[Vec<f64>], subject: &Subject) -> Result<Vec<Target>> {
        let classes = &subject.info.classes;
        let count = logits.first().map_or(0, Vec::len);
        let largest = |row: &[f64], but: Option<usize>| {
            let others = (0..row.len()).rev().filter(|&at| Some(at) != but);
            others.max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0)
        };
        let one = |(at, row): (usize, &Vec<f64>)| -> Result<Target> {
            let explained = match (self.target.as_str(), &subject.shown.labels) {
                ("predicted", _) => largest(row, None),
                ("label", Some(labels)) => labels[at],
                ("label", None) => return Err(Error::Usage("--target label: files have none; name the class".into())),
                (name, _) => class("--target", name, classes, count)?,
            };
            let against = match self.against.as_deref() {
                None => None,
                Some("second") => Some(largest(row, Some(explained))),
                Some(name) => match class("--against", name, classes, count)? {
                    other if other != explained => Some(other),
                    _ if matches!(self.target.as_str(), "predicted" | "label") => Some(largest(row, Some(explained))),
                    _ => return Err(Error::Usage(format!("--against {name}: it is what is explained"))),
                },
            };
            Ok(Target { class: explained, against })
        };
        logits.iter().enumerate().map(one).collect()
    }

    /// The groups of channels of all pictures together; where nobody asked for them, none of what cannot be factored.
    fn factors(&self, graph: &Graph, layer: NodeId, evidence: &[Evidence]) -> Result<Option<Factors>> {
        let count = usize::from(self.factors.unwrap_or(GROUPS));
        if count == 0 {
            return Ok(None);
        }
        let [channels, rows, columns] = evidence.first().map_or([0; 3], |evidence| evidence.shape);
        let cells = rows * columns;
        let place = |of: &Evidence, cell: usize| -> Vec<f64> {
            (0..channels).map(|channel| of.activation[channel * cells + cell]).collect()
        };
        let values: Vec<f64> =
            evidence.iter().flat_map(|of| (0..cells).flat_map(move |cell| place(of, cell))).collect();
        let found = factors(&values, channels, count, ITERATIONS, self.seed);
        let negative = || {
            let behind = (layer + 1..graph.nodes().len()).find(|&id| graph.nodes()[id].op.is_activation());
            let such = behind.map_or(String::new(), |id| format!(" such as --layer {}", graph.nodes()[id].name));
            let name = &graph.nodes()[layer].name;
            Error::Usage(format!(
                "`{name}` has negative activations, and groups are of others: take a node behind a ReLU{such}, or --factors 0"
            ))
        };
        match (found, self.factors) {
            (None, Some(_)) => Err(negative()),
            (found, _) => Ok(found),
        }
    }

    /// With the pictures that channels and groups answer to most.
    fn pictured(&self, subject: &Subject, mut found: Found) -> Result<Found> {
        if self.steps == 0 {
            return Ok(found);
        }
        let speak = found.evidence.iter().flat_map(|evidence| speaking(evidence).concat()).map(|(channel, _)| channel);
        let mut channels: BTreeMap<usize, Vec<f32>> =
            speak.chain(most_places(&found.evidence)).map(|channel| (channel, vec![])).collect();
        let groups = found.factors.iter().flat_map(|factors| &factors.groups);
        let mut goals: Vec<Goal> = channels.keys().map(|&channel| Goal::Channel(channel)).collect();
        goals.extend(groups.map(|group| Goal::Direction(group.direction.clone())));
        let steps = Steps { count: self.steps as usize, seed: self.seed, ..Steps::default() };
        let how = Maximization { steps, ..Maximization::default() };
        let frame = Frame { info: &subject.info, border: subject.border };
        let at_once = self.memory.pictures(&subject.network.graph);
        let bar = Screen::new(self.from.on.json).units("pictures");
        let tell = |done: usize| bar.set(done as u64, goals.len() as u64);
        let mut pictures = maximize(&subject.network, frame, found.layer, &goals, &how, at_once, &tell)?.into_iter();
        drop(bar);
        let mut next =
            || pictures.next().and_then(|mut found| found.pictures.pop()).map(|one| one.pixels).unwrap_or_default();
        channels.values_mut().for_each(|picture| *picture = next());
        found.groups = (0..goals.len() - channels.len()).map(|_| next()).collect();
        found.channels = channels;
        Ok(found)
    }

    fn tell(&self, subject: &Subject, found: &Found) -> Result<Ending> {
        let outcome = Outcome {
            tensors: tensors(subject, found)?,
            summary: self.summary(subject, found),
            told: page::table(subject, found),
            page: page::of(subject, found)?,
        };
        outcome.write_and_tell(&self.out, self.from.on.json)
    }

    fn summary(&self, subject: &Subject, found: &Found) -> serde_json::Value {
        let picture = |(at, evidence): (usize, &Evidence)| {
            let Target { class, against } = found.targets[at];
            let [most, least] = speaking(evidence);
            let pairs = |pairs: Vec<(usize, f64)>| {
                pairs
                    .iter()
                    .map(|(channel, value)| json!({ "channel": channel, "attribution": value }))
                    .collect::<Vec<_>>()
            };
            json!({
                "index": subject.shown.indices[at], "target": subject.class(class),
                "against": against.map(|class| subject.class(class)), "score": evidence.score,
                "attribution": evidence.places().iter().sum::<f64>(), "for": pairs(most), "against_it": pairs(least),
                "groups": found.speaks(at),
            })
        };
        json!({
            "version": 1, "checkpoint": subject.path.display().to_string(), "data": subject.info.name, "split": self.from.split(),
            "layer": subject.network.graph.nodes()[found.layer].name, "seed": self.seed, "steps": self.steps,
            "groups": found.factors.as_ref().map_or(0, |factors| factors.groups.len()),
            "groups_error": found.factors.as_ref().and_then(|factors| factors.errors.last()),
            "pictures": found.evidence.iter().enumerate().map(picture).collect::<Vec<_>>(),
        })
    }
}

fn tensors(subject: &Subject, found: &Found) -> Result<BTreeMap<String, Tensor>> {
    let count = found.evidence.len();
    let [channels, height, width] = found.evidence.first().map_or([0; 3], |evidence| evidence.shape);
    let info = &subject.info;
    let single = |values: Vec<f64>, dims: &[usize]| -> Result<Tensor> {
        let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
        Ok(Tensor::from_vec(values, dims, &Device::Cpu)?)
    };
    let whole = |values: Vec<usize>| -> Result<Tensor> {
        let values: Vec<i64> = values.into_iter().map(|value| value as i64).collect();
        Ok(Tensor::from_slice(&values, values.len(), &Device::Cpu)?)
    };
    let each = |of: &dyn Fn(&Evidence) -> Vec<f64>| found.evidence.iter().flat_map(of).collect::<Vec<f64>>();
    let mut tensors = BTreeMap::from([
        ("activation".to_owned(), single(each(&|e| e.activation.clone()), &[count, channels, height, width])?),
        ("gradient".to_owned(), single(each(&|e| e.gradient.clone()), &[count, channels, height, width])?),
        ("channels".to_owned(), single(each(&Evidence::channels), &[count, channels])?),
        ("places".to_owned(), single(each(&Evidence::places), &[count, height, width])?),
        ("target".to_owned(), whole(found.targets.iter().map(|target| target.class).collect())?),
        ("index".to_owned(), whole(subject.shown.indices.clone())?),
    ]);
    if let Some(Factors { groups, .. }) = &found.factors {
        let directions = groups.iter().flat_map(|group| group.direction.clone()).collect();
        let amounts =
            (0..count).flat_map(|at| (0..groups.len()).flat_map(move |group| found.amount(group, at).to_vec()));
        let speaks = (0..count).flat_map(|at| found.speaks(at)).collect();
        tensors.insert("groups.direction".into(), single(directions, &[groups.len(), channels])?);
        tensors.insert("groups.amount".into(), single(amounts.collect(), &[count, groups.len(), height, width])?);
        tensors.insert("groups.attribution".into(), single(speaks, &[count, groups.len()])?);
    }
    if !found.channels.is_empty() {
        let size = |count: usize| (count, info.height, info.width, info.channels);
        let pixels: Vec<f32> = found.channels.values().flatten().copied().collect();
        tensors.insert("channel.pictures".into(), Tensor::from_vec(pixels, size(found.channels.len()), &Device::Cpu)?);
        tensors.insert("channel.index".into(), whole(found.channels.keys().copied().collect())?);
        if !found.groups.is_empty() {
            let pixels = found.groups.concat();
            tensors.insert("groups.pictures".into(), Tensor::from_vec(pixels, size(found.groups.len()), &Device::Cpu)?);
        }
    }
    Ok(tensors)
}
