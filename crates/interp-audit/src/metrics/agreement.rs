//! Agreement between methods.

use interp_net::finding::{Better, Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::effects::maps;
use super::order::descending;
use super::ranks::{correlation, ranks};
use super::{Column, Judged, Metric, Scores};
use crate::Result;
use crate::saliency::{CONTROLS, Question};

/// How far the maps of methods agree with each other: Spearman's correlation, and the share of the pixels of which one says most that are
/// among those of which the other does (Krishna et al. 2022, arXiv 2202.01602, section 3: rank correlation and feature agreement), as the mean
/// over the other methods, and with each. Controls are compared, and not compared with.
///
/// Methods that agree may be wrong alike: neither direction is the better one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Agreement {
    /// The share of the pixels that are the most.
    pub top: f64,
    /// Of the order of pixels of which a map says the same.
    pub seed: u64,
}

impl Default for Agreement {
    fn default() -> Self {
        Self { top: 0.1, seed: 0 }
    }
}

pub(super) const ENTRY: Entry<dyn Metric> = Entry {
    name: "agreement",
    summary: "how far maps agree with those of the other methods: by rank, and in the pixels of which they say most",
    example: "kind = \"agreement\"\ntop = 0.1\n",
    build: |section| build(section, |settings: Agreement| Box::new(settings)),
    schema: || schemars::schema_for!(Agreement),
};

/// What is compared of a picture's map.
struct Said {
    ranks: Vec<f64>,
    /// Of each pixel, whether it is among the most.
    top: Vec<bool>,
}

impl Metric for Agreement {
    fn check(&self, _: [usize; 2]) -> Result<(), Unfit> {
        let inside = self.top > 0.0 && self.top < 1.0;
        Unfit::unless(inside, "top", format!("must be between 0 and 1, not {}", self.top))
    }

    fn measure(&self, question: &Question<'_>, judged: &[Judged<'_>]) -> Result<Vec<Scores>> {
        self.check(question.size())?;
        let said = judged.iter().map(|one| self.said(question, one)).collect::<Result<Vec<_>>>()?;
        let chance = self.count(question) as f64 / question.size().iter().product::<usize>() as f64;
        let others =
            |own: usize| (0..judged.len()).filter(move |&at| at != own && !CONTROLS.contains(&judged[at].name));
        let of = |own: usize| {
            let mut columns = vec![];
            for (name, null, compare) in
                [("rank_correlation", 0.0, by_rank as Compare), ("top_overlap", chance, by_top)]
            {
                let pairs: Vec<Vec<Option<f64>>> = others(own)
                    .map(|at| said[own].iter().zip(&said[at]).map(|(a, b)| compare(a, b)).collect())
                    .collect();
                let column = |name: String, values| Column { name, better: Better::Neither, null: Some(null), values };
                columns.push(column(name.into(), means(&pairs, question.count())));
                let with = others(own).zip(pairs);
                columns.extend(with.map(|(at, values)| column(format!("{name}.{}", judged[at].name), values)));
            }
            Scores { columns, ..Scores::default() }
        };
        Ok((0..judged.len()).map(of).collect())
    }
}

/// Compares what is said of a picture.
type Compare = fn(&Said, &Said) -> Option<f64>;

impl Agreement {
    /// Pixels that are the most.
    fn count(&self, question: &Question<'_>) -> usize {
        ((question.size().iter().product::<usize>() as f64 * self.top).round() as usize).max(1)
    }

    fn said(&self, question: &Question<'_>, judged: &Judged<'_>) -> Result<Vec<Said>> {
        let count = self.count(question);
        let of = |(map, &index): (&Vec<f64>, &usize)| {
            let mut top = vec![false; map.len()];
            // Maps that say nothing agree by chance alone: each has an order of its own.
            let order = descending(map, &format!("agreement/{}", judged.name), self.seed, index);
            order[..count].iter().for_each(|&pixel| top[pixel] = true);
            Said { ranks: ranks(map), top }
        };
        Ok(maps(question, judged.attribution)?.iter().zip(question.indices).map(of).collect())
    }
}

fn by_rank(a: &Said, b: &Said) -> Option<f64> {
    correlation(&a.ranks, &b.ranks)
}

fn by_top(a: &Said, b: &Said) -> Option<f64> {
    let both = a.top.iter().zip(&b.top).filter(|(a, b)| **a && **b).count();
    Some(both as f64 / a.top.iter().filter(|top| **top).count() as f64)
}

/// The mean over the other methods, picture by picture.
fn means(pairs: &[Vec<Option<f64>>], pictures: usize) -> Vec<Option<f64>> {
    let of = |picture: usize| {
        let values: Vec<f64> = pairs.iter().filter_map(|pair| pair[picture]).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    (0..pictures).map(of).collect()
}
