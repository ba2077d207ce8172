//! Sensitivity-n.

use interp_net::finding::random::{shuffle, stream};
use interp_net::finding::{Better, Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ranks::correlation;
use super::removal::removals;
use super::{Column, Curve, Judged, Metric, Scores};
use crate::Result;
use crate::saliency::{Baseline, Question, counted};

/// How what a map says that sets of n pixels add goes with what the output loses without them: Pearson's correlation over random sets of n
/// pixels, for several n, and the mean over these (Ancona et al. 2018, arXiv 1711.06104, section 4.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SensitivityN {
    /// What is seen in place of pixels.
    pub baseline: Baseline,
    /// The n, as shares of the pixels.
    pub shares: Vec<f64>,
    /// Sets of each n.
    pub subsets: usize,
    /// Of the sets.
    pub seed: u64,
}

impl Default for SensitivityN {
    fn default() -> Self {
        Self { baseline: Baseline::Mean, shares: vec![0.02, 0.1, 0.3, 0.5, 0.8], subsets: 50, seed: 0 }
    }
}

pub(super) const ENTRY: Entry<dyn Metric> = Entry {
    name: "sensitivity_n",
    summary: "how what a map says that random sets of n pixels add goes with what the output loses: higher is better",
    example: "kind = \"sensitivity_n\"\nshares = [0.1, 0.5]\nsubsets = 50\n",
    build: |section| build(section, |settings: SensitivityN| Box::new(settings)),
    schema: || schemars::schema_for!(SensitivityN),
};

/// The standard error of a correlation is a hundredth then.
const MOST: usize = 10_000;

impl Metric for SensitivityN {
    fn check(&self, _: [usize; 2]) -> Result<(), Unfit> {
        // Of two points the correlation is 1 or -1, whatever they are.
        counted("subsets", self.subsets, [3, MOST])?;
        counted("shares", self.shares.len(), [1, 100])?;
        let beyond = self.shares.iter().find(|&&share| !(share > 0.0 && share < 1.0));
        match beyond {
            Some(share) => Err(Unfit::new("shares", format!("must be between 0 and 1, not {share}"))),
            None => Ok(()),
        }
    }

    fn measure(&self, question: &Question<'_>, judged: &[Judged<'_>]) -> Result<Vec<Scores>> {
        self.check(question.size())?;
        let [h, w] = question.size();
        let sets = self.shares.len() * self.subsets;
        let removal = removals(question, judged, self.baseline, sets, |at, number| {
            self.set(h * w, question.indices[at], number)
        })?;
        let of = |said: &Vec<Vec<f64>>| {
            let each = |(said, lost): (&Vec<f64>, &Vec<f64>)| -> Vec<Option<f64>> {
                let parts = said.chunks(self.subsets).zip(lost.chunks(self.subsets));
                parts.map(|(said, lost)| correlation(said, lost)).collect()
            };
            let curves: Vec<Vec<Option<f64>>> = said.iter().zip(&removal.lost).map(each).collect();
            let values = curves.iter().map(|curve| mean(curve)).collect();
            Scores {
                columns: vec![Column { name: "correlation".into(), better: Better::Higher, null: Some(0.0), values }],
                curves: vec![Curve {
                    name: "correlation",
                    along: "n, as a share of the pixels",
                    x: self.shares.clone(),
                    values: curves,
                }],
                verdict: None,
            }
        };
        Ok(removal.said.iter().map(of).collect())
    }
}

impl SensitivityN {
    /// A random set of pixels; its number tells n.
    fn set(&self, pixels: usize, index: usize, number: usize) -> Vec<usize> {
        let n = (self.shares[number / self.subsets] * pixels as f64).round() as usize;
        let mut all: Vec<usize> = (0..pixels).collect();
        shuffle(&mut stream(self.seed, "sensitivity_n", number as u64, index as u64), &mut all);
        all.truncate(n.min(pixels - 1).max(1));
        all
    }
}

/// The mean of what there is.
fn mean(values: &[Option<f64>]) -> Option<f64> {
    let defined: Vec<f64> = values.iter().copied().flatten().collect();
    (!defined.is_empty()).then(|| defined.iter().sum::<f64>() / defined.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_have_n_pixels_each_once() {
        let metric = SensitivityN { shares: vec![0.001, 0.25, 0.999], subsets: 4, ..SensitivityN::default() };
        let sizes: Vec<usize> = (0..12).map(|number| metric.set(16, 3, number).len()).collect();
        assert_eq!(sizes, [[1; 4], [4; 4], [15; 4]].concat());
        let mut set = metric.set(16, 3, 8);
        set.sort_unstable();
        set.dedup();
        assert_eq!(set.len(), 15);
        assert_ne!(metric.set(16, 3, 4), metric.set(16, 3, 5));
        assert_eq!(metric.set(1, 0, 0), [0]);
    }
}
