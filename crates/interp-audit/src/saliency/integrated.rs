//! Integrated gradients.

use candle_core::{Device, Tensor};
use interp_net::finding::{Entry, Unfit, build};
use nalgebra::{DMatrix, SymmetricEigen};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Attribution, Baseline, Channels, Method, Question, Total, column, counted, not_negative};
use crate::Result;
use crate::pass::numbers;

/// The mean gradient on the straight way from a baseline to the picture, times their difference (Sundararajan et al. 2017, arXiv
/// 1703.01365). It adds up to the difference of the outputs, as well as the mean over the way is known: by Gauss' and Legendre's rule, with
/// twice as many steps until the sum is near enough. What it still misses is told, as `gap`, with the number of `steps`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct IntegratedGradients {
    /// Where the way begins.
    pub baseline: Baseline,
    /// Steps to begin with.
    pub steps: usize,
    /// The share of the difference of the outputs that the sum may miss.
    pub tolerance: f64,
    /// Steps to end with, at most.
    pub most: usize,
}

impl Default for IntegratedGradients {
    fn default() -> Self {
        Self { baseline: Baseline::Mean, steps: 50, tolerance: 0.01, most: 400 }
    }
}

pub(super) const ENTRY: Entry<dyn Method> = Entry {
    name: "integrated_gradients",
    summary: "the mean gradient on the way from a baseline, times the difference: adds up to what the output gains",
    example: "kind = \"integrated_gradients\"\nsteps = 50\n",
    build: |section| build(section, |settings: IntegratedGradients| Box::new(settings)),
    schema: || schemars::schema_for!(IntegratedGradients),
};

/// What is known of one picture.
struct Integral {
    values: Tensor,
    gap: f64,
    steps: usize,
}

/// The rule of so many steps takes a second to find.
const MOST: usize = 1000;

impl Method for IntegratedGradients {
    fn check(&self, _: [usize; 2]) -> Result<(), Unfit> {
        counted("steps", self.steps, [1, MOST])?;
        counted("most", self.most, [self.steps, MOST])?;
        not_negative("tolerance", self.tolerance)
    }

    fn attribute(&self, question: &Question<'_>) -> Result<Attribution> {
        self.check(question.size())?;
        let of = |at: usize| self.of_picture(question, at);
        let found = (0..question.count()).map(of).collect::<Result<Vec<_>>>()?;
        let values = Tensor::cat(&found.iter().map(|one| &one.values).collect::<Vec<_>>(), 0)?;
        let more = vec![
            ("gap".to_owned(), column(found.iter().map(|one| one.gap).collect())?),
            ("steps".to_owned(), column(found.iter().map(|one| one.steps as f64).collect())?),
        ];
        Ok(Attribution { values, channels: Channels::Sum, more })
    }

    fn total(&self) -> Option<Total> {
        Some(Total::Beyond(self.baseline))
    }
}

impl IntegratedGradients {
    fn of_picture(&self, question: &Question<'_>, at: usize) -> Result<Integral> {
        let (picture, target) = (question.pictures.narrow(0, at, 1)?, question.targets[at]);
        let baseline = question.baseline(at, self.baseline)?;
        let difference = (&picture - &baseline)?;
        let gain = question.precise_output(&picture, target)? - question.precise_output(&baseline, target)?;
        let mut steps = self.steps;
        loop {
            let mean = self.mean_gradient(question, target, [&baseline, &difference], steps)?;
            let values = (&difference * mean)?;
            let gap = gain - numbers(&values)?.iter().sum::<f64>();
            if gap.abs() <= self.tolerance * gain.abs() || 2 * steps > self.most {
                return Ok(Integral { values, gap, steps });
            }
            steps *= 2;
        }
    }

    /// The mean gradient over the way, (1, C, H, W).
    fn mean_gradient(
        &self,
        question: &Question<'_>,
        target: usize,
        [baseline, difference]: [&Tensor; 2],
        steps: usize,
    ) -> Result<Tensor> {
        let rule = gauss_legendre(steps);
        let (_, c, h, w) = baseline.dims4()?;
        let row = |picture: &Tensor| picture.permute((0, 2, 3, 1))?.reshape((1, h * w * c)); // as pictures lie in memory
        let ends = Tensor::cat(&[row(baseline)?, row(difference)?], 0)?;
        let mut sum = baseline.zeros_like()?;
        for part in question.parts(steps, 1).map(|part| &rule[part]) {
            let places: Vec<f64> = part.iter().flat_map(|&(place, _)| [1.0, place]).collect();
            let places = question.like(Tensor::from_vec(places, (part.len(), 2), &Device::Cpu)?)?;
            let x = places.matmul(&ends)?.reshape((part.len(), h, w, c))?.permute((0, 3, 1, 2))?;
            let weights: Vec<f64> = part.iter().map(|&(_, weight)| weight).collect();
            sum = (sum + question.sum_of_gradients(&x, target, &weights)?)?;
        }
        Ok(sum)
    }
}

/// Places in [0, 1] and weights of Gauss' and Legendre's rule: eigenvalues and vectors of the matrix of the recursion of Legendre's
/// polynomials (Golub and Welsch 1969).
fn gauss_legendre(count: usize) -> Vec<(f64, f64)> {
    let beside = |k: f64| k / (4.0 * k * k - 1.0).sqrt();
    let entry = |row: usize, column: usize| match row.abs_diff(column) {
        1 => beside(row.max(column) as f64),
        _ => 0.0,
    };
    let eigen = SymmetricEigen::new(DMatrix::from_fn(count, count, entry));
    let pair = |at: usize| ((1.0 + eigen.eigenvalues[at]) / 2.0, eigen.eigenvectors[(0, at)].powi(2));
    let mut rule: Vec<_> = (0..count).map(pair).collect();
    rule.sort_by(|a, b| a.0.total_cmp(&b.0));
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    // Two places at 1/2 -+ 1/sqrt(12), three at 1/2 and 1/2 -+ sqrt(3/20) with weights 4/9 and 5/18; n places are exact for x^(2n-1).
    #[test]
    fn the_rule_has_its_published_places() {
        let two = gauss_legendre(2);
        assert!((two[0].0 - (0.5 - 1.0 / 12f64.sqrt())).abs() < 1e-14 && (two[0].1 - 0.5).abs() < 1e-14);
        let three = gauss_legendre(3);
        assert!((three[2].0 - (0.5 + 0.15f64.sqrt())).abs() < 1e-14);
        assert!((three[1].1 - 4.0 / 9.0).abs() < 1e-14 && (three[0].1 - 5.0 / 18.0).abs() < 1e-14);
        let integral: f64 = gauss_legendre(50).iter().map(|(x, w)| w * x.powi(99)).sum();
        assert!((integral - 0.01).abs() < 1e-14);
    }
}
