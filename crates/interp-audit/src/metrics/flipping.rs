//! Pixel flipping.

use interp_net::finding::{Better, Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::effects::maps;
use super::order::descending;
use super::versions::{Score, baselines, replaced, scores};
use super::{Column, Curve, Judged, Metric, Scores};
use crate::Result;
use crate::saliency::{Baseline, Question, counted};

/// How much the output loses while regions are replaced by a baseline one after another, those first of which a map says most, less the same
/// with those first of which it says least (Bach et al. 2015, doi 10.1371/journal.pone.0130140; Samek et al. 2017, arXiv 1509.06321, equation
/// 12: AOPC, the mean over 0 to L regions of what is lost). Of a map that says nothing it is 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PixelFlipping {
    /// Side of a region in pixels; where it is not said, an eighth of the picture's smaller side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<usize>,
    /// The share of the regions that are replaced.
    pub share: f64,
    /// What is seen in their place.
    pub baseline: Baseline,
    /// What is looked at: the class' logit, or its probability.
    pub score: Score,
    /// Of the order of regions of which a map says the same.
    pub seed: u64,
}

impl Default for PixelFlipping {
    fn default() -> Self {
        Self { region: None, share: 1.0, baseline: Baseline::Mean, score: Score::Logit, seed: 0 }
    }
}

pub(super) const ENTRY: Entry<dyn Metric> = Entry {
    name: "pixel_flipping",
    summary: "what the output loses with the regions of which a map says most, less what it loses with the others: AOPC, higher is better",
    example: "kind = \"pixel_flipping\"\nshare = 1.0\n",
    build: |section| build(section, |settings: PixelFlipping| Box::new(settings)),
    schema: || schemars::schema_for!(PixelFlipping),
};

impl Metric for PixelFlipping {
    fn check(&self, size: [usize; 2]) -> Result<(), Unfit> {
        counted("region", self.side(size), [1, size[0].min(size[1])])?;
        let inside = self.share > 0.0 && self.share <= 1.0;
        Unfit::unless(inside, "share", format!("must be above 0 and at most 1, not {}", self.share))
    }

    fn measure(&self, question: &Question<'_>, judged: &[Judged<'_>]) -> Result<Vec<Scores>> {
        self.check(question.size())?;
        judged.iter().map(|one| self.of(question, one)).collect()
    }
}

impl PixelFlipping {
    fn side(&self, [h, w]: [usize; 2]) -> usize {
        self.region.unwrap_or((h.min(w) / 8).max(1))
    }

    /// The pixels of each region; those at the right and lower border may have fewer.
    fn regions(&self, [h, w]: [usize; 2]) -> Vec<Vec<usize>> {
        let side = self.side([h, w]);
        let across = w.div_ceil(side);
        let mut regions = vec![vec![]; h.div_ceil(side) * across];
        (0..h * w).for_each(|pixel| regions[pixel / w / side * across + pixel % w / side].push(pixel));
        regions
    }

    fn of(&self, question: &Question<'_>, judged: &Judged<'_>) -> Result<Scores> {
        let regions = self.regions(question.size());
        let taken = ((regions.len() as f64 * self.share).ceil() as usize).clamp(1, regions.len());
        let most: Vec<Vec<usize>> = maps(question, judged.attribution)?
            .iter()
            .zip(question.indices)
            .map(|(map, &index)| {
                let sums: Vec<f64> = regions.iter().map(|region| region.iter().map(|&at| map[at]).sum()).collect();
                descending(&sums, "pixel_flipping", self.seed, index)
            })
            .collect();
        let least: Vec<Vec<usize>> = most.iter().map(|order| order.iter().rev().copied().collect()).collect();
        let [most, least] =
            [self.curves(question, &regions, &most, taken)?, self.curves(question, &regions, &least, taken)?];
        let [of_most, of_least] =
            [&most, &least].map(|curves| curves.iter().map(|curve| lost(curve)).collect::<Vec<_>>());
        let column = |name: &str, better, null, values: Vec<f64>| Column {
            name: name.into(),
            better,
            null,
            values: values.into_iter().map(Some).collect(),
        };
        let difference = of_most.iter().zip(&of_least).map(|(most, least)| most - least).collect();
        let x: Vec<f64> = (0..=taken).map(|count| count as f64 / regions.len() as f64).collect();
        let curve = |name, curves: Vec<Vec<f64>>| Curve {
            name,
            along: "share of the regions that went",
            x: x.clone(),
            values: curves.into_iter().map(|curve| curve.into_iter().map(Some).collect()).collect(),
        };
        Ok(Scores {
            columns: vec![
                column("difference", Better::Higher, Some(0.0), difference),
                column("most_first", Better::Higher, None, of_most),
                column("least_first", Better::Lower, None, of_least),
            ],
            curves: vec![curve("most_first", most), curve("least_first", least)],
            verdict: None,
        })
    }

    /// The scores with 0 to `taken` regions replaced, in the order of each picture.
    fn curves(
        &self,
        question: &Question<'_>,
        regions: &[Vec<usize>],
        orders: &[Vec<usize>],
        taken: usize,
    ) -> Result<Vec<Vec<f64>>> {
        let others = baselines(question, self.baseline)?;
        scores(question, self.score, taken + 1, |at, versions| {
            let gone = |count: usize| orders[at][..count].iter().flat_map(|&region| regions[region].clone()).collect();
            let sets: Vec<Vec<usize>> = versions.map(gone).collect();
            let sets: Vec<&[usize]> = sets.iter().map(Vec::as_slice).collect();
            replaced(question, [&question.pictures.narrow(0, at, 1)?, &others[at]], &sets)
        })
    }
}

/// The mean of what is lost along a curve: AOPC.
fn lost(curve: &[f64]) -> f64 {
    curve.iter().map(|score| curve[0] - score).sum::<f64>() / curve.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_cover_the_picture_once() {
        let regions = PixelFlipping { region: Some(2), ..PixelFlipping::default() }.regions([3, 4]);
        assert_eq!(regions, [vec![0, 1, 4, 5], vec![2, 3, 6, 7], vec![8, 9], vec![10, 11]]);
        assert_eq!(PixelFlipping::default().regions([32, 32]).len(), 64);
        assert_eq!(lost(&[4.0, 1.0, 1.0, 0.0]), 10.0 / 4.0);
    }
}
