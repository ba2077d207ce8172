//! `interp-audit planted`: whether analyses find faults that were planted.

mod concepts;
mod filters;
mod labels;
mod networks;
mod page;
mod shortcut;
mod verdict;

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::Tensor;
use clap::Args;
use interp_audit::Memory;
use interp_audit::saliency::{CONTROLS, last_map};
use interp_data::concepts::Place;
use serde_json::{Value, json};

use self::concepts::{Concepts, QUANTILES, concepts};
use self::filters::{Count, KINDS};
use self::labels::Flips;
use self::networks::{Pupil, School};
use self::shortcut::{Exam, Seen, fault};
use self::verdict::{Analysis, Of, Shortcuts, Verdict, verdict};
use super::outcome::Outcome;
use super::saliency::asked::unique;
use super::train::stop_on_interrupt;
use super::{Ending, Machine};
use crate::progress::{Screen, tell};
use crate::{Catalog, Error, Result};

/// Whether analyses find what was planted: networks are trained on `concepts` with shortcuts of several strengths, flipped labels, and filters
/// that are dead or copies, and every analysis is held against what is known
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-audit planted --out planted\n\n\
    A network uses a shortcut where it loses accuracy when the shortcut does not go with the label. A method finds it where more of its evidence lies on the \
    shortcut's pixels than one more network that knows of none would have there once in two hundred times, if networks are normally distributed (docs/planted.md).\n\
    Networks that are trained are kept in DIR/networks, and the same command goes on where it was stopped.\n\
    Writes DIR/data.safetensors (of each PLACE what methods are asked about: PLACE.input (N, C, H, W), and PLACE.shortcut and PLACE.placebo (N, H, W), the \
    share of each pixel), DIR/summary.json and DIR/report.html")]
pub(super) struct Planted {
    /// Networks of each fault and strength, 2 or more
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u8).range(2..))]
    seeds: u8,
    /// Networks by which thresholds are set, for each kind of shortcut; they learn from pictures whose shortcut says nothing; 5 or more
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u8).range(5..))]
    calibration: u8,
    /// How strong shortcuts are: the share of pictures whose shortcut goes with the label, beside chance
    #[arg(long, value_delimiter = ',', value_name = "SHARE", default_values_t = [0.3, 0.6, 0.9], value_parser = strength)]
    strengths: Vec<f64>,
    /// Saliency methods that are asked, with their own settings, beside controls that know nothing of the network
    #[arg(long, value_delimiter = ',', value_name = "NAME", default_values_t = METHODS.map(str::to_owned))]
    method: Vec<String>,
    /// Pictures that methods are asked about
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    limit: u16,
    /// Pictures that networks learn from
    #[arg(long, default_value_t = 4000, value_name = "N", value_parser = clap::value_parser!(u32).range(100..))]
    pictures: u32,
    /// Pictures that they are chosen by, and as many that they are measured on
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(50..))]
    others: u32,
    /// Epochs that they learn, 2 or more
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(2..))]
    epochs: u16,
    /// Memory that activations may take, such as 512MiB; results do not depend on it
    #[arg(long, default_value = "1GiB", value_parser = super::memory)]
    memory: Memory,
    /// The folder to write
    #[arg(long, default_value = "planted", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    machine: Machine,
}

/// A strength of a shortcut, above 0 and up to 1.
fn strength(text: &str) -> std::result::Result<f64, String> {
    let strength = text.parse().ok().filter(|strength| 0.0 < *strength && *strength <= 1.0);
    strength.ok_or_else(|| format!("`{text}` is no number above 0, up to 1"))
}

/// Methods where nobody says.
const METHODS: [&str; 8] = [
    "gradient",
    "gradient_x_input",
    "integrated_gradients",
    "guided_backpropagation",
    "grad_cam",
    "occlusion",
    "lrp",
    "deep_lift",
];
/// The share of labels that are flipped.
const FLIPPED: f64 = 0.05;
/// Seeds of the networks by which thresholds are set begin here: none of them is judged.
const CALIBRATION: u64 = 1000;

/// All that was found.
#[derive(Default)]
struct Found {
    shortcuts: Vec<Shortcuts>,
    /// Of every network that learned from flipped labels: among the pictures that it learned from, and among others.
    flips: Vec<[Flips; 2]>,
    /// Of every network without a fault, by what is planted.
    filters: Vec<[Count; 3]>,
    /// Of these networks, by quantile.
    concepts: Vec<[Concepts; 3]>,
    /// Methods that fail the test by random weights, on the first of these networks.
    failing: Vec<String>,
    /// What methods were asked about.
    tensors: BTreeMap<String, Tensor>,
    /// The node whose maps are weighed by class activation maps.
    layer: String,
    /// Of these networks, in percent.
    accuracy: Vec<f64>,
}

impl Planted {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let methods = self.methods()?;
        let (device, workers) = self.machine.prepare()?;
        stop_on_interrupt();
        let folder = self.out.join("networks");
        let (pictures, epochs, others) = (self.pictures as usize, self.epochs.into(), self.others as usize);
        let school = School { folder: &folder, device, workers, catalog, pictures, epochs, others };
        match self.found(&school, &methods)? {
            Some(found) => self.outcome(&found, &methods).write_and_tell(&self.out, self.json),
            None => {
                tell("stopped; the same command goes on");
                Ok(Ending::Interrupted)
            }
        }
    }

    /// The methods that are asked, controls last.
    fn methods(&self) -> Result<Vec<String>> {
        if u32::from(self.limit) > self.others {
            let problem =
                format!("--limit {}: networks are measured on --others {} pictures alone", self.limit, self.others);
            return Err(Error::Usage(problem));
        }
        unique("--method", &self.method.iter().map(String::as_str).collect::<Vec<_>>())?;
        for name in &self.method {
            interp_audit::saliency::method(name, &toml::Table::new())?;
        }
        if let Some(at) = (1..self.strengths.len()).find(|&at| self.strengths[..at].contains(&self.strengths[at])) {
            return Err(Error::Usage(format!("--strengths has {} twice", self.strengths[at])));
        }
        let asked = self.method.iter().filter(|name| !CONTROLS.contains(&name.as_str())).cloned();
        Ok(asked.chain(CONTROLS.map(str::to_owned)).collect())
    }

    /// Trains and asks all networks; `None` if stopped.
    fn found(&self, school: &School<'_>, methods: &[String]) -> Result<Option<Found>> {
        let mut found = Found::default();
        let seeds = u64::from(self.seeds);
        let judged = (1 + self.strengths.len() as u64) * seeds;
        let all = 2 * (u64::from(self.calibration) + judged) + seeds;
        let (screen, mut done) = (Screen::new(self.json), 0);
        let bar = screen.units("networks");
        let mut count = || {
            done += 1;
            bar.set(done, all);
        };
        for place in [Place::Corner, Place::Background] {
            let exam = Exam::new(place, self.limit.into(), school.others, school.workers)?;
            let Some((shortcuts, clean)) = self.shortcuts(school, &exam, methods, &mut count)? else {
                return Ok(None);
            };
            found.tensors.extend(exam.tensors()?);
            if let Some(first) = clean.first().filter(|_| place == Place::Corner) {
                found.failing = exam.failing(first, methods, self.memory)?;
            }
            for (seed, pupil) in clean.iter().enumerate() {
                found.filters.push(filters::planted(pupil, seed as u64, self.memory)?);
                found.concepts.push(concepts(pupil, self.memory)?);
                found.accuracy.push(pupil.accuracy);
                let graph = &pupil.network.graph;
                found.layer.clone_from(&graph.nodes()[last_map(graph)].name);
            }
            found.shortcuts.push(shortcuts);
        }
        for seed in 0..seeds {
            let fault = format!("flipped_labels = {FLIPPED:?}");
            let Some(pupil) = school.train("flipped", &fault, seed)? else { return Ok(None) };
            found.flips.push(labels::flips(&pupil)?);
            count();
        }
        Ok(Some(found))
    }

    /// What is seen in networks with and without shortcuts at a place, and the networks without that are judged.
    fn shortcuts(
        &self,
        school: &School<'_>,
        exam: &Exam,
        methods: &[String],
        count: &mut dyn FnMut(),
    ) -> Result<Option<(Shortcuts, Vec<Pupil>)>> {
        let (place, name) = (exam.place, word(exam.place));
        let mut shortcuts = Shortcuts { place, calibration: vec![], judged: vec![] };
        let mut clean = vec![];
        let calibrating = (0..u64::from(self.calibration)).map(|seed| (0.0, CALIBRATION + seed));
        let judged = std::iter::once(0.0).chain(self.strengths.iter().copied());
        let judged = judged.flat_map(|strength| (0..u64::from(self.seeds)).map(move |seed| (strength, seed)));
        for (strength, seed) in calibrating.chain(judged) {
            let network = school.train(&format!("{name}-{strength}"), &fault(place, strength), seed)?;
            let Some(pupil) = network else { return Ok(None) };
            let seen = exam.seen(&pupil, strength, seed, methods, self.memory)?;
            if seed >= CALIBRATION {
                shortcuts.calibration.push(seen);
            } else {
                shortcuts.judged.push(seen);
                clean.extend((strength == 0.0).then_some(pupil));
            }
            count();
        }
        Ok(Some((shortcuts, clean)))
    }

    fn outcome(&self, found: &Found, methods: &[String]) -> Outcome {
        let saliency = methods.iter().enumerate().map(|(at, name)| Analysis::Saliency(name.clone(), at));
        let analyses: Vec<Analysis> = [Analysis::Bias, Analysis::Swap].into_iter().chain(saliency).collect();
        let of_place = |shortcuts| analyses.iter().map(move |analysis| verdict(shortcuts, analysis.clone()));
        let verdicts: Vec<Verdict> = found.shortcuts.iter().flat_map(of_place).collect();
        Outcome {
            tensors: found.tensors.clone(),
            summary: self.summary(found, &verdicts, methods),
            told: page::table(found, &verdicts),
            page: page::page(found, &verdicts),
        }
    }

    fn summary(&self, found: &Found, verdicts: &[Verdict], methods: &[String]) -> Value {
        let seen = |seen: &Seen| {
            let of = |evidence: &shortcut::Evidence| json!({ "share": evidence.share, "placebo": evidence.placebo, "silent": evidence.silent });
            let evidence = seen.evidence.iter().map(of).collect::<Vec<_>>();
            json!({ "strength": seen.strength, "seed": seen.seed, "run": seen.run, "effect": seen.effect, "used": seen.is_used(), "context_bias": seen.bias, "context_moved": seen.moved, "evidence": evidence })
        };
        let place = |shortcuts: &Shortcuts| {
            json!({
                "place": word(shortcuts.place), "calibration": shortcuts.calibration.iter().map(seen).collect::<Vec<_>>(),
                "networks": shortcuts.judged.iter().map(seen).collect::<Vec<_>>(),
            })
        };
        let of = |of: &Of| json!([of.some, of.all]);
        let verdict = |verdict: &Verdict| {
            let method = match &verdict.analysis {
                Analysis::Saliency(method, _) => Some(method),
                Analysis::Bias | Analysis::Swap => None,
            };
            json!({
                "place": word(verdict.place), "analysis": verdict.analysis.name(), "method": method, "threshold": verdict.threshold, "found": of(&verdict.found),
                "alarms": of(&verdict.alarms), "seen_unused": of(&verdict.unused), "by_strength": verdict.by_strength,
                "by_effect": verdict.by_effect, "silent": verdict.silent,
            })
        };
        let flips = |flips: &Flips| {
            let Flips { planted, in_tenth, contradicted, precision } = flips;
            json!({ "planted": planted, "in_tenth": in_tenth, "contradicted": contradicted, "precision": precision })
        };
        let both = |[learned, others]: &[Flips; 2]| json!({ "learned": flips(learned), "others": flips(others) });
        let filters = |counts: &[Count; 3]| {
            let of = |(kind, count): (&&str, &Count)| json!({ "planted": kind, "count": count.planted, "found": count.found, "others": count.others });
            json!(KINDS.iter().zip(counts).map(of).collect::<Vec<_>>())
        };
        let concepts = |found: &[Concepts; 3]| {
            let of = |(quantile, found): (&f64, &Concepts)| {
                let Concepts { reachable, probed, detected, displaced } = found;
                json!({ "quantile": quantile, "reachable": reachable, "probed": probed, "detected": detected, "displaced": displaced })
            };
            json!(QUANTILES.iter().zip(found).map(of).collect::<Vec<_>>())
        };
        json!({
            "version": 1, "data": "concepts", "methods": methods, "seeds": self.seeds, "calibration": self.calibration, "strengths": self.strengths,
            "limit": self.limit, "pictures": self.pictures, "others": self.others, "epochs": self.epochs, "accuracy": found.accuracy, "fail_random_weights": found.failing, "layer": found.layer,
            "shortcuts": found.shortcuts.iter().map(place).collect::<Vec<_>>(), "verdicts": verdicts.iter().map(verdict).collect::<Vec<_>>(),
            "flipped_labels": found.flips.iter().map(both).collect::<Vec<_>>(), "filters": found.filters.iter().map(filters).collect::<Vec<_>>(),
            "concepts": found.concepts.iter().map(concepts).collect::<Vec<_>>(),
        })
    }
}

fn word(place: Place) -> &'static str {
    match place {
        Place::Corner => "corner",
        Place::Background => "background",
    }
}
