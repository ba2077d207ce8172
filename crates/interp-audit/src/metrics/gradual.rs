//! Deletion and insertion: the output while pixels go, or come, in the order of a map.

use candle_core::Tensor;
use interp_net::finding::{Better, Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::effects::maps;
use super::order::{descending, marks};
use super::versions::{Score, baselines, replaced, scores};
use super::{Column, Curve, Judged, Metric, Scores};
use crate::Result;
use crate::saliency::{Baseline, Question, counted};

/// The area under the output's curve while the pixels of which a map says most are replaced by a baseline, first those (Petsiuk et al. 2018,
/// arXiv 1806.07421, section 3.4): the smaller, the more the map finds what the output needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Deletion {
    /// What is seen in their place.
    pub baseline: Baseline,
    /// Equal steps from the whole picture to none of it; as many as pixels where these are fewer.
    pub steps: usize,
    /// What is looked at: the class' probability, or its logit.
    pub score: Score,
    /// Whether curves are divided by the score of the whole picture; pictures where that is not above 0 have none then.
    pub relative: bool,
    /// Of the order of pixels of which a map says the same.
    pub seed: u64,
}

/// The area under the output's curve while these pixels are put into a blurred picture: the larger, the sooner the map brings what suffices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Insertion {
    /// What is there before.
    pub baseline: Baseline,
    /// Equal steps from none of the picture to all of it; as many as pixels where these are fewer.
    pub steps: usize,
    /// What is looked at: the class' probability, or its logit.
    pub score: Score,
    /// Whether curves are divided by the score of the whole picture; pictures where that is not above 0 have none then.
    pub relative: bool,
    /// Of the order of pixels of which a map says the same.
    pub seed: u64,
}

impl Default for Deletion {
    fn default() -> Self {
        Self { baseline: Baseline::Mean, steps: 32, score: Score::Probability, relative: false, seed: 0 }
    }
}

impl Default for Insertion {
    fn default() -> Self {
        Self { baseline: Baseline::Blur, steps: 32, score: Score::Probability, relative: false, seed: 0 }
    }
}

pub(super) const DELETION: Entry<dyn Metric> = Entry {
    name: "deletion",
    summary: "the area under the output while the pixels of which a map says most go first: lower is better",
    example: "kind = \"deletion\"\nsteps = 32\n",
    build: |section| build(section, |settings: Deletion| Box::new(settings)),
    schema: || schemars::schema_for!(Deletion),
};

pub(super) const INSERTION: Entry<dyn Metric> = Entry {
    name: "insertion",
    summary: "the area under the output while the pixels of which a map says most come first: higher is better",
    example: "kind = \"insertion\"\nsteps = 32\n",
    build: |section| build(section, |settings: Insertion| Box::new(settings)),
    schema: || schemars::schema_for!(Insertion),
};

/// The area is known to a ten-thousandth then.
const MOST: usize = 10_000;

/// What both have: settings, and in which direction they go.
struct Way {
    baseline: Baseline,
    steps: usize,
    score: Score,
    relative: bool,
    seed: u64,
    /// Whether pixels come, or go.
    comes: bool,
    better: Better,
}

impl Metric for Deletion {
    fn check(&self, _: [usize; 2]) -> Result<(), Unfit> {
        counted("steps", self.steps, [1, MOST])
    }

    fn measure(&self, question: &Question<'_>, judged: &[Judged<'_>]) -> Result<Vec<Scores>> {
        self.check(question.size())?;
        let Self { baseline, steps, score, relative, seed } = *self;
        let way = Way { baseline, steps, score, relative, seed, comes: false, better: Better::Lower };
        way.measure(question, judged)
    }
}

impl Metric for Insertion {
    fn check(&self, _: [usize; 2]) -> Result<(), Unfit> {
        counted("steps", self.steps, [1, MOST])
    }

    fn measure(&self, question: &Question<'_>, judged: &[Judged<'_>]) -> Result<Vec<Scores>> {
        self.check(question.size())?;
        let Self { baseline, steps, score, relative, seed } = *self;
        let way = Way { baseline, steps, score, relative, seed, comes: true, better: Better::Higher };
        way.measure(question, judged)
    }
}

impl Way {
    fn measure(&self, question: &Question<'_>, judged: &[Judged<'_>]) -> Result<Vec<Scores>> {
        let others = baselines(question, self.baseline)?;
        judged.iter().map(|one| self.of(question, one, &others)).collect()
    }

    fn of(&self, question: &Question<'_>, judged: &Judged<'_>, others: &[Tensor]) -> Result<Scores> {
        let [h, w] = question.size();
        let marks = marks(h * w, self.steps);
        let maps = maps(question, judged.attribution)?;
        let order = |(map, &index): (&Vec<f64>, &usize)| descending(map, "deletion", self.seed, index);
        let orders: Vec<Vec<usize>> = maps.iter().zip(question.indices).map(order).collect();
        let found = scores(question, self.score, marks.len(), |at, versions| {
            let sets: Vec<&[usize]> = marks[versions].iter().map(|&mark| &orders[at][..mark]).collect();
            let picture = question.pictures.narrow(0, at, 1)?;
            match self.comes {
                true => replaced(question, [&others[at], &picture], &sets),
                false => replaced(question, [&picture, &others[at]], &sets),
            }
        })?;
        let x: Vec<f64> = marks.iter().map(|&mark| mark as f64 / (h * w) as f64).collect();
        let curves: Vec<Vec<Option<f64>>> = found.iter().map(|scores| self.scaled(scores)).collect();
        let values = curves.iter().map(|curve| area(&x, curve)).collect();
        let column = Column { name: "area".into(), better: self.better, null: None, values };
        let along = if self.comes { "share of the pixels that came" } else { "share of the pixels that went" };
        let curve = Curve { name: "score", along, x, values: curves };
        Ok(Scores { columns: vec![column], curves: vec![curve], verdict: None })
    }

    /// A curve, divided by the score of the whole picture where that is asked for, and is above 0: of another sign it would turn the curve.
    fn scaled(&self, scores: &[f64]) -> Vec<Option<f64>> {
        let whole = if self.comes { scores.last() } else { scores.first() };
        let scale = match whole {
            Some(&whole) if self.relative => whole,
            _ => 1.0,
        };
        scores.iter().map(|score| (scale > 0.0).then(|| score / scale)).collect()
    }
}

/// The area under a curve, by trapezoids; over x from 0 to 1 it is the mean height.
fn area(x: &[f64], y: &[Option<f64>]) -> Option<f64> {
    let of = |(x, y): (&[f64], &[Option<f64>])| Some((x[1] - x[0]) * (y[0]? + y[1]?) / 2.0);
    x.windows(2).zip(y.windows(2)).map(of).sum()
}
