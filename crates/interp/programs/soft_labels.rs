//! `interp-audit soft-labels`: which classes are alike to a network, and which labels may be wrong.

mod page;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use clap::Args;
use interp_audit::soft_labels::{Join, Likeness, Pair, Suspect, likeness, suspects, tree};
use interp_audit::{Answers, answers};
use interp_data::renormalized;
use serde_json::{Value, json};

use super::checkpoint::{Which, check_fit};
use super::on_pictures::{OnPictures, Opened};
use super::outcome::Outcome;
use super::{Ending, print};
use crate::progress::Screen;
use crate::{Catalog, Error, Result};

/// Which classes are alike to a network, in what it holds possible beside what it gets wrong, and which labels may be wrong
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  interp-audit soft-labels checkpoints/sparse_vgg --out soft-labels\n  \
    interp-audit soft-labels resnet56.safetensors --arch resnet56 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 \\\n    \
    --data cifar10:DIR --split train --student checkpoints/student\n\n\
    Labels are best asked of pictures that the network has not learned by heart (docs/soft-labels.md).\n\
    Writes DIR/data.safetensors (likeness (K, K), taken (K, K); of every picture label, class, suspicion, index (N)), DIR/summary.json and DIR/report.html")]
pub(super) struct SoftLabelsOf {
    #[command(flatten)]
    on: OnPictures,
    #[command(flatten)]
    settings: Settings,
    /// Another network of the same classes, whose opinion of labels counts as much: a run folder, a file of ours, or hub:OWNER/NAME[@REVISION]
    #[arg(long, value_name = "CHECKPOINT")]
    student: Option<PathBuf>,
    /// The folder to write
    #[arg(long, default_value = "soft-labels", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
}

/// How answers are read, and how much of them is told.
#[derive(Args, Clone, Debug)]
pub(super) struct Settings {
    /// What logits are divided by where classes are compared, above 0: more, and classes that are hardly possible count for more
    #[arg(long, default_value_t = 4.0, value_name = "T", value_parser = temperature)]
    temperature: f64,
    /// Pairs of classes, and pictures whose labels may be wrong, that are told
    #[arg(long, default_value_t = 24, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
}

fn temperature(text: &str) -> std::result::Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| *number > 0.0 && number.is_finite());
    number.ok_or_else(|| format!("`{text}` is no number above 0"))
}

/// What was found.
struct Found {
    likeness: Likeness,
    /// The classes that have pictures, and how they are put together.
    tree: (Vec<usize>, Vec<Join>),
    /// All pictures.
    suspects: Vec<Suspect>,
    /// The second network.
    student: Option<PathBuf>,
}

impl SoftLabelsOf {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let opened = self.on.open_classifier(catalog)?;
        let student =
            self.student.as_ref().map(|path| second(path, &opened, &Screen::new(self.on.json))).transpose()?;
        let outcome = self.settings.outcome(&self.on, &opened, student)?;
        let labels = outcome.page.findings.last().filter(|_| !self.on.json);
        labels.map_or(Ok(()), |labels| print(&format!("{}\n", labels.statement)))?;
        outcome.write_and_tell(&self.out, self.on.json)
    }
}

/// What another network tells of the same pictures.
fn second(checkpoint: &Path, opened: &Opened, screen: &Screen) -> Result<(PathBuf, Answers)> {
    let which = Which::of(checkpoint.to_owned(), None);
    let read = which.read(screen)?;
    if read.file.meta.is_none() {
        let problem = "it does not say what network it is: --student takes a run folder, or a file of ours".into();
        return Err(Error::Folder { path: read.path, problem });
    }
    let loaded = which.network(read, None)?;
    check_fit(&loaded, opened.objective, &opened.info)?;
    let Some(normalization) = &loaded.normalization else { return Err(loaded.not_normalized()) };
    let mut pictures = opened.pictures.clone();
    pictures.data = renormalized(pictures.data, &normalization.mean, &normalization.std);
    let found = answers(&loaded.network.to_device(&opened.network.device())?, &pictures)?;
    Ok((loaded.path, found))
}

impl Settings {
    /// What follows from a network's answers, and another's of which labels are asked too.
    pub(super) fn outcome(
        &self,
        on: &OnPictures,
        opened: &Opened,
        student: Option<(PathBuf, Answers)>,
    ) -> Result<Outcome> {
        let first = answers(&opened.network, &opened.pictures)?;
        let likeness = likeness(&first, self.temperature);
        let (student, second) = student.unzip();
        let all: Vec<Answers> = std::iter::once(first).chain(second).collect();
        let found = Found { tree: tree(&likeness), likeness, suspects: suspects(&all), student };
        Ok(Outcome {
            tensors: tensors(&found)?,
            summary: self.summary(on, opened, &found),
            told: page::pairs(&opened.info, &found, self.count.into()),
            page: page::of(opened, &found, self)?,
        })
    }

    fn summary(&self, on: &OnPictures, opened: &Opened, found: &Found) -> Value {
        let count = self.count.into();
        let pair = |pair: &Pair| {
            let Pair { classes, alike, interval, mistaken, errors, latent } = pair;
            json!({ "classes": classes, "alike": alike, "interval": interval, "mistaken": mistaken, "errors": errors, "latent": latent })
        };
        let suspect = |suspect: &Suspect| {
            let Suspect { index, label, class, of_label, of_class, agreed } = suspect;
            let file = opened.pictures.data.file(opened.pictures.split, *index);
            json!({ "index": index, "file": file.map(|file| file.display().to_string()), "label": label, "class": class, "of_label": of_label, "of_class": of_class, "agreed": agreed })
        };
        let (leaves, joins) = &found.tree;
        let join = |join: &Join| json!({ "parts": join.parts, "alike": join.alike });
        json!({
            "version": 1, "checkpoint": opened.path.display().to_string(), "data": opened.info.name, "split": on.split,
            "student": found.student.as_ref().map(|path| path.display().to_string()), "temperature": self.temperature,
            "count": found.suspects.len(), "contradicted": contradicted(&found.suspects), "classes": opened.info.classes,
            "even": found.likeness.even(), "pairs": found.likeness.pairs.iter().take(count).map(pair).collect::<Vec<_>>(),
            "tree": { "leaves": leaves, "joins": joins.iter().map(join).collect::<Vec<_>>() },
            "suspects": found.suspects.iter().take(count).map(suspect).collect::<Vec<_>>(),
        })
    }
}

/// How many pictures are held for another class than their label.
fn contradicted(suspects: &[Suspect]) -> usize {
    suspects.iter().filter(|suspect| suspect.suspicion() > 0.0).count()
}

fn tensors(found: &Found) -> Result<BTreeMap<String, Tensor>> {
    let classes = found.likeness.shares.len();
    let shares: Vec<f32> = found.likeness.shares.iter().flatten().map(|share| *share as f32).collect();
    let taken: Vec<i64> = found.likeness.taken.iter().flatten().map(|count| *count as i64).collect();
    let of = |value: fn(&Suspect) -> usize| found.suspects.iter().map(|one| value(one) as i64).collect::<Vec<_>>();
    let suspicion: Vec<f32> = found.suspects.iter().map(|suspect| suspect.suspicion() as f32).collect();
    let count = found.suspects.len();
    let whole = |values: Vec<i64>| Tensor::from_vec(values, count, &Device::Cpu);
    Ok(BTreeMap::from([
        ("likeness".to_owned(), Tensor::from_vec(shares, (classes, classes), &Device::Cpu)?),
        ("taken".to_owned(), Tensor::from_vec(taken, (classes, classes), &Device::Cpu)?),
        ("suspicion".to_owned(), Tensor::from_vec(suspicion, count, &Device::Cpu)?),
        ("label".to_owned(), whole(of(|suspect| suspect.label))?),
        ("class".to_owned(), whole(of(|suspect| suspect.class))?),
        ("index".to_owned(), whole(of(|suspect| suspect.index))?),
    ]))
}
