//! RISE.

use candle_core::{Device, Tensor};
use interp_net::finding::random::stream;
use interp_net::finding::{Entry, build};
use interp_net::ops::{Interpolation, upsample2d};
use rand_chacha::rand_core::RngCore;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Attribution, Channels, Method, Question};
use crate::Result;
use crate::pass::numbers;

/// How the output goes with whether a pixel is seen, over random masks (Petsiuk et al. 2018, arXiv 1806.07421): grids of cells that are there
/// or not, made larger and moved. Of a linear output, and masks of pixels that do not go together, the value of a pixel is its number times its
/// weight; as neighbors are seen together, it has a share of theirs.
///
/// The paper takes the mean of masks weighed by the output, of which much is the same for all pixels; what differs is their covariance, here
/// divided by the variance of the mask at each pixel: the slope of the regression of the output on it, whose standard error comes with it, as
/// `standard_error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rise {
    /// Masks, the same for all pictures.
    pub masks: usize,
    /// Cells of a grid along each side.
    pub grid: usize,
    /// The probability that a cell is seen.
    pub seen: f64,
    /// Of the masks.
    pub seed: u64,
}

impl Default for Rise {
    fn default() -> Self {
        Self { masks: 1000, grid: 7, seen: 0.5, seed: 0 }
    }
}

pub(super) const ENTRY: Entry<dyn Method> = Entry {
    name: "rise",
    summary: "how the output goes with whether a pixel is seen, over random masks, with standard errors",
    example: "kind = \"rise\"\nmasks = 1000\n",
    build: |section| build(section, |settings: Rise| Box::new(settings)),
    schema: || schemars::schema_for!(Rise),
};

impl Method for Rise {
    fn attribute(&self, question: &Question<'_>) -> Result<Attribution> {
        let [h, w] = question.size();
        let masks = self.masks([h, w])?;
        let seen = numbers(&masks)?;
        let masks = question.like(masks)?;
        let (mut values, mut errors) = (vec![], vec![]);
        for at in 0..question.count() {
            let picture = question.pictures.narrow(0, at, 1)?;
            let scores = question.scores(question.targets[at], self.count(), |first, count| {
                Ok(masks.narrow(0, first, count)?.broadcast_mul(&picture)?)
            })?;
            let (slopes, of_slopes) = regression(&seen, &scores, h * w);
            values.extend(slopes);
            errors.extend(of_slopes);
        }
        let shape = (question.count(), h, w);
        let values = question.like(Tensor::from_vec(values, shape, &Device::Cpu)?)?;
        let errors = question.like(Tensor::from_vec(errors, shape, &Device::Cpu)?)?;
        Ok(Attribution { values, channels: Channels::Sum, more: vec![("standard_error".into(), errors)] })
    }
}

impl Rise {
    fn count(&self) -> usize {
        self.masks.max(3)
    }

    /// (masks, 1, H, W), in [0, 1].
    fn masks(&self, [h, w]: [usize; 2]) -> Result<Tensor> {
        let grid = self.grid.clamp(1, h.min(w));
        let cell = [h.div_ceil(grid), w.div_ceil(grid)];
        let large = cell.map(|cell| (grid + 1) * cell);
        let mut parts = Vec::with_capacity(self.count());
        for index in 0..self.count() {
            let mut rng = stream(self.seed, "rise", 0, index as u64);
            let mut unit = || rng.next_u32() as f64 / (1u64 << 32) as f64;
            let cells: Vec<f64> = (0..grid * grid).map(|_| f64::from(u8::from(unit() < self.seen))).collect();
            let place = cell.map(|cell| (unit() * cell as f64) as usize);
            let cells = Tensor::from_vec(cells, (1, 1, grid, grid), &Device::Cpu)?;
            let mask = upsample2d(&cells, large, Interpolation::Bilinear { align_corners: false })?;
            parts.push(mask.narrow(2, place[0], h)?.narrow(3, place[1], w)?);
        }
        Ok(Tensor::cat(&parts, 0)?)
    }
}

/// Slopes of the regressions of `scores` on each of `pixels` columns of `seen`, and their standard errors; 0 where a column is constant.
fn regression(seen: &[f64], scores: &[f64], pixels: usize) -> (Vec<f64>, Vec<f64>) {
    let count = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / count;
    let variance = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>();
    let mut sums = vec![[0.0; 3]; pixels];
    for (mask, score) in seen.chunks_exact(pixels).zip(scores) {
        for (sum, value) in sums.iter_mut().zip(mask) {
            *sum = [sum[0] + value, sum[1] + value * value, sum[2] + value * (score - mean)];
        }
    }
    let of = |[sum, squares, products]: [f64; 3]| {
        let spread = squares - sum * sum / count;
        if spread <= 1e-12 * squares {
            return (0.0, 0.0);
        }
        let slope = products / spread;
        let left = (variance - slope * products).max(0.0);
        (slope, (left / (count - 2.0) / spread).sqrt())
    };
    sums.into_iter().map(of).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Scores 1, 3, 2, 6 on 0, 1, 0, 1: slope 3, of residuals -0.5, -1.5, 0.5, 1.5 the sum of squares 5, over 2 and over 1: sqrt 2.5.
    #[test]
    fn slopes_by_hand() {
        let seen = [[0.0, 1.0], [1.0, 1.0], [0.0, 1.0], [1.0, 1.0]].concat();
        let (slopes, errors) = regression(&seen, &[1.0, 3.0, 2.0, 6.0], 2);
        assert!((slopes[0] - 3.0).abs() < 1e-12 && (errors[0] - 2.5f64.sqrt()).abs() < 1e-12);
        assert_eq!((slopes[1], errors[1]), (0.0, 0.0));
    }

    #[test]
    fn masks_are_as_often_there_as_asked() {
        let rise = Rise { masks: 4000, seen: 0.3, ..Rise::default() };
        let masks = rise.masks([9, 13]).unwrap();
        assert_eq!(masks.dims(), [4000, 1, 9, 13]);
        let values = numbers(&masks).unwrap();
        assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!((mean - 0.3).abs() < 0.01, "{mean}");
    }
}
