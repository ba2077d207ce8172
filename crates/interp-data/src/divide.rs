//! Splits that one can trust: a validation split cut from train, and nothing of train in test.

mod coarse;
mod cut;
mod hash;
mod similar;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use interp_finding::Unfit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::hash::Hashes;
use crate::{DataError, Dataset, Factor, Info, Result, Split, Truth};

/// How many pairs of pictures a message names.
const NAMED: usize = 10;

/// How a data set is divided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Divide {
    /// How many pictures are cut from train for validation where the data set has no such split: a share
    /// of them where it is below 1, a number of them from 1 on. Nearly the same pictures and those of one
    /// group stay on one side, so that the number may differ a little.
    pub validation: f64,
    /// As `validation`, for a test split where the data set has none: cut off first.
    pub test: f64,
    /// At most so many pictures are left to train, each class in proportion, where it is given: how much do fewer tell?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<usize>,
    /// Pictures that are left out of training, by their positions in what is left to train with the other settings: as `interp-audit soft-labels
    /// --split train` tells them of a network that was trained on the same data with the same settings, and without this key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<usize>,
    /// Decides the cuts: not the seed of training, so that trainings with several seeds see the same splits.
    pub seed: u64,
    /// Accept that identical pictures, or pictures of one group, stand in two splits.
    pub allow_overlap: bool,
}

impl Default for Divide {
    fn default() -> Self {
        Self { validation: 0.1, test: 0.1, train: None, without: vec![], seed: 0, allow_overlap: false }
    }
}

/// A data set with the three splits train, validation and test, which have nothing in common.
#[derive(Clone)]
pub struct Divided {
    view: Arc<View>,
    digest: String,
}

impl Divided {
    /// Checks the splits of `dataset`, and cuts test and validation from train where it has none.
    ///
    /// # Errors
    /// [`DataError::Overlap`] where pictures stand in two splits; a train split too small for the cut;
    /// pictures that cannot be read.
    pub fn new(dataset: Arc<dyn Dataset>, settings: &Divide) -> Result<Self> {
        let hashes = Hashes::of(&*dataset)?;
        if !settings.allow_overlap {
            refuse_overlap(&*dataset, &hashes)?;
        }
        let digest = hashes.digest(&*dataset);
        let dataset = match dataset.len(Split::Test) {
            0 => Arc::new(View::cut_off(dataset, Split::Test, settings.test, settings.seed)?),
            _ => dataset,
        };
        let view = View::cut_off(dataset, Split::Validation, settings.validation, settings.seed)?;
        let view = settings.train.map_or(Ok(None), |count| view.fewer(count, settings.seed))?.unwrap_or(view);
        Ok(Self { view: Arc::new(view.without(&settings.without)?), digest })
    }

    /// SHA-256 over all pictures, labels and groups of the data set: what tells one state of it from another.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Train and validation, for whoever trains and chooses.
    pub fn learning(&self) -> Learning {
        Learning { view: Arc::clone(&self.view) }
    }

    /// All three splits, for whoever measures what was chosen.
    pub fn examining(&self) -> Arc<dyn Dataset> {
        Arc::clone(&self.view) as Arc<dyn Dataset>
    }
}

/// A data set without its test split: nothing can be chosen by pictures that are not there.
///
/// Its test split is empty; asked for a test picture nevertheless, it gives an error, and `u32::MAX` for
/// its label.
#[derive(Clone)]
pub struct Learning {
    view: Arc<View>,
}

/// A data set whose train split may have been cut in two.
struct View {
    dataset: Arc<dyn Dataset>,
    /// The split that was cut off, and where.
    cut: Option<(Split, cut::Cut)>,
    /// What is kept of what is left of train.
    kept: Option<Vec<usize>>,
}

impl View {
    /// Cuts `amount` off train for the split `off`, if there is none.
    fn cut_off(dataset: Arc<dyn Dataset>, off: Split, amount: f64, seed: u64) -> Result<Self> {
        if dataset.len(off) > 0 {
            return Ok(Self { dataset, cut: None, kept: None });
        }
        let clusters = similar::clusters(&*dataset, Split::Train)?;
        let cut = cut::cut(&*dataset, &clusters, amount, seed, name(off))?;
        Ok(Self { dataset, cut: Some((off, cut)), kept: None })
    }

    /// The same with at most `count` pictures to train; `None` where there are no more.
    fn fewer(&self, count: usize, seed: u64) -> Result<Option<Self>> {
        Unfit::unless(count > 0, "train", "must be at least 1, not 0")?;
        let labels: Vec<usize> =
            (0..self.len(Split::Train)).map(|index| self.label(Split::Train, index) as usize).collect();
        let kept = cut::some(&labels, self.info().classes.len(), count, seed);
        let fewer = || Self { dataset: Arc::clone(&self.dataset), cut: self.cut.clone(), kept: Some(kept) };
        Ok((count < labels.len()).then(fewer))
    }

    /// The same without some pictures to train.
    fn without(self, left_out: &[usize]) -> Result<Self> {
        if left_out.is_empty() {
            return Ok(self);
        }
        let all = self.len(Split::Train);
        let left_out: BTreeSet<usize> = left_out.iter().copied().collect();
        let beyond = left_out.last().filter(|&&last| last >= all);
        let problem = |last: &usize| format!("names picture {last}, and there are {all} to train, counted from 0");
        beyond.map_or(Ok(()), |last| Err(Unfit::new("without", problem(last))))?;
        Unfit::unless(left_out.len() < all, "without", "leaves no picture to train")?;
        let kept = (0..all).filter(|at| !left_out.contains(at));
        let kept = kept.map(|at| self.kept.as_ref().map_or(at, |kept| kept[at])).collect();
        Ok(Self { kept: Some(kept), ..self })
    }

    /// Where the data set has the picture.
    fn locate(&self, split: Split, index: usize) -> (Split, usize) {
        let index = match (&self.kept, split) {
            (Some(kept), Split::Train) => kept[index],
            _ => index,
        };
        match (&self.cut, split) {
            (Some((_, cut)), Split::Train) => (Split::Train, cut.train[index]),
            (Some((off, cut)), split) if split == *off => (Split::Train, cut.off[index]),
            _ => (split, index),
        }
    }
}

impl Dataset for View {
    fn info(&self) -> &Info {
        self.dataset.info()
    }

    fn len(&self, split: Split) -> usize {
        match (&self.cut, split) {
            _ if split == Split::Train && self.kept.is_some() => self.kept.as_ref().map_or(0, Vec::len),
            (Some((_, cut)), Split::Train) => cut.train.len(),
            (Some((off, cut)), split) if split == *off => cut.off.len(),
            _ => self.dataset.len(split),
        }
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        let (split, index) = self.locate(split, index);
        self.dataset.label(split, index)
    }

    fn image(&self, split: Split, index: usize, out: &mut [f32]) -> Result<()> {
        let (split, index) = self.locate(split, index);
        self.dataset.image(split, index, out)
    }

    fn truth(&self, split: Split, index: usize) -> Result<Option<Truth>> {
        let (split, index) = self.locate(split, index);
        self.dataset.truth(split, index)
    }

    fn factors(&self, split: Split, index: usize) -> Result<Vec<(&'static str, Factor)>> {
        let (split, index) = self.locate(split, index);
        self.dataset.factors(split, index)
    }

    fn file(&self, split: Split, index: usize) -> Option<&Path> {
        let (split, index) = self.locate(split, index);
        self.dataset.file(split, index)
    }

    fn group(&self, split: Split, index: usize) -> Option<&str> {
        let (split, index) = self.locate(split, index);
        self.dataset.group(split, index)
    }
}

impl Dataset for Learning {
    fn info(&self) -> &Info {
        self.view.info()
    }

    fn len(&self, split: Split) -> usize {
        if split == Split::Test { 0 } else { self.view.len(split) }
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        if split == Split::Test { u32::MAX } else { self.view.label(split, index) }
    }

    fn image(&self, split: Split, index: usize, out: &mut [f32]) -> Result<()> {
        if split == Split::Test {
            return Err(DataError::Settings(
                "test pictures are not there while a network is trained and chosen".into(),
            ));
        }
        self.view.image(split, index, out)
    }

    fn truth(&self, split: Split, index: usize) -> Result<Option<Truth>> {
        if split == Split::Test { Ok(None) } else { self.view.truth(split, index) }
    }

    fn factors(&self, split: Split, index: usize) -> Result<Vec<(&'static str, Factor)>> {
        if split == Split::Test { Ok(vec![]) } else { self.view.factors(split, index) }
    }

    fn file(&self, split: Split, index: usize) -> Option<&Path> {
        if split == Split::Test { None } else { self.view.file(split, index) }
    }

    fn group(&self, split: Split, index: usize) -> Option<&str> {
        if split == Split::Test { None } else { self.view.group(split, index) }
    }
}

/// All splits.
const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

fn refuse_overlap(dataset: &dyn Dataset, hashes: &Hashes) -> Result<()> {
    for (one, other) in [(0, 2), (1, 2), (0, 1)] {
        let both = [SPLITS[one], SPLITS[other]];
        let places = |at: usize| hashes.0[at].iter().enumerate();
        refuse("identical pictures", both, places(one), places(other))?;
        let groups =
            |split| (0..dataset.len(split)).filter_map(move |index| Some((index, dataset.group(split, index)?)));
        refuse("pictures of one group", both, groups(both[0]), groups(both[1]))?;
    }
    Ok(())
}

/// Refuses keys that stand in both splits; of several equal ones in the first split one is named.
fn refuse<K: Ord>(
    what: &'static str,
    splits: [Split; 2],
    first: impl Iterator<Item = (usize, K)>,
    second: impl Iterator<Item = (usize, K)>,
) -> Result<()> {
    let mut places = BTreeMap::new();
    for (index, key) in first {
        places.entry(key).or_insert(index);
    }
    let common: Vec<(usize, usize)> = second.filter_map(|(index, key)| Some((*places.get(&key)?, index))).collect();
    if common.is_empty() {
        return Ok(());
    }
    let [first, second] = splits.map(name);
    let (count, pairs) = (common.len(), common.into_iter().take(NAMED).collect());
    Err(DataError::Overlap { what, first, second, count, pairs })
}

fn name(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Validation => "validation",
        Split::Test => "test",
    }
}

#[cfg(test)]
mod tests;
