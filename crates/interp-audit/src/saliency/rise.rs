//! RISE.

use std::ops::Range;

use candle_core::{Device, Tensor};
use interp_net::finding::random::stream;
use interp_net::finding::{Entry, Unfit, build};
use interp_net::ops::{Interpolation, upsample2d};
use rand_chacha::rand_core::RngCore;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Attribution, Channels, Method, Question, counted};
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
    /// Cells of a grid along each side; no more than pixels.
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

/// The standard error is a thousandth of a deviation of the output then, and masks are drawn for minutes.
const MOST: usize = 1_000_000;

impl Method for Rise {
    fn check(&self, _: [usize; 2]) -> Result<(), Unfit> {
        // A regression on two numbers leaves an error from three cases on.
        counted("masks", self.masks, [3, MOST])?;
        counted("grid", self.grid, [1, 1000])?;
        let inside = self.seen > 0.0 && self.seen < 1.0;
        Unfit::unless(inside, "seen", format!("must be between 0 and 1, not {}", self.seen))
    }

    fn attribute(&self, question: &Question<'_>) -> Result<Attribution> {
        self.check(question.size())?;
        let [h, w] = question.size();
        let mut seen = Seen::of(h * w);
        let mut answers = vec![Answers::of(h * w); question.count()];
        for part in question.parts(self.masks, 1) {
            let masks = self.masks([h, w], part)?;
            let numbers = numbers(&masks)?;
            let masks = question.like(masks)?;
            seen.add(&numbers);
            for (at, answers) in answers.iter_mut().enumerate() {
                let picture = question.pictures.narrow(0, at, 1)?;
                answers.add(&numbers, &question.outputs(&masks.broadcast_mul(&picture)?, question.targets[at])?);
            }
        }
        let (values, errors): (Vec<_>, Vec<_>) = answers.iter().map(|answers| answers.regression(&seen)).unzip();
        let tensor = |maps: Vec<Vec<f64>>| {
            question.like(Tensor::from_vec(maps.concat(), (question.count(), h, w), &Device::Cpu)?)
        };
        let more = vec![("standard_error".into(), tensor(errors)?)];
        Ok(Attribution { values: tensor(values)?, channels: Channels::Sum, more })
    }
}

impl Rise {
    /// Some of the masks, (n, 1, H, W), in [0, 1].
    fn masks(&self, [h, w]: [usize; 2], part: Range<usize>) -> Result<Tensor> {
        let grid = self.grid.min(h.min(w));
        let cell = [h.div_ceil(grid), w.div_ceil(grid)];
        let large = cell.map(|cell| (grid + 1) * cell);
        let one = |index: usize| -> Result<Tensor> {
            let mut rng = stream(self.seed, "rise", 0, index as u64);
            let mut unit = || rng.next_u32() as f64 / (1u64 << 32) as f64;
            let cells: Vec<f64> = (0..grid * grid).map(|_| f64::from(u8::from(unit() < self.seen))).collect();
            let place = cell.map(|cell| (unit() * cell as f64) as usize);
            let cells = Tensor::from_vec(cells, (1, 1, grid, grid), &Device::Cpu)?;
            let mask = upsample2d(&cells, large, Interpolation::Bilinear { align_corners: false })?;
            Ok(mask.narrow(2, place[0], h)?.narrow(3, place[1], w)?)
        };
        Ok(Tensor::cat(&part.map(one).collect::<Result<Vec<_>>>()?, 0)?)
    }
}

/// What is needed of masks, pixel by pixel.
struct Seen {
    count: f64,
    sums: Vec<f64>,
    squares: Vec<f64>,
}

impl Seen {
    fn of(pixels: usize) -> Self {
        Self { count: 0.0, sums: vec![0.0; pixels], squares: vec![0.0; pixels] }
    }

    /// Takes masks into account, one after another.
    fn add(&mut self, masks: &[f64]) {
        for mask in masks.chunks_exact(self.sums.len()) {
            self.count += 1.0;
            self.sums.iter_mut().zip(mask).for_each(|(sum, value)| *sum += value);
            self.squares.iter_mut().zip(mask).for_each(|(sum, value)| *sum += value * value);
        }
    }
}

/// What is needed of the outputs for a picture under masks. Outputs are counted from the first one on: of numbers that differ little the
/// squares differ in their last digits alone.
#[derive(Clone)]
struct Answers {
    first: Option<f64>,
    sum: f64,
    squares: f64,
    /// With each pixel.
    products: Vec<f64>,
}

impl Answers {
    fn of(pixels: usize) -> Self {
        Self { first: None, sum: 0.0, squares: 0.0, products: vec![0.0; pixels] }
    }

    /// Takes the outputs under masks into account.
    fn add(&mut self, masks: &[f64], outputs: &[f64]) {
        for (mask, output) in masks.chunks_exact(self.products.len()).zip(outputs) {
            let more = output - *self.first.get_or_insert(*output);
            (self.sum, self.squares) = (self.sum + more, self.squares + more * more);
            self.products.iter_mut().zip(mask).for_each(|(sum, value)| *sum += value * more);
        }
    }

    /// Slopes of the regressions of the outputs on each pixel of the masks, and their standard errors; 0 where a pixel is constant.
    fn regression(&self, seen: &Seen) -> (Vec<f64>, Vec<f64>) {
        let mean = self.sum / seen.count;
        let variance = self.squares - self.sum * mean;
        let of = |((sum, squares), products): ((&f64, &f64), &f64)| {
            let spread = squares - sum * sum / seen.count;
            if spread <= 1e-12 * squares {
                return (0.0, 0.0);
            }
            let slope = (products - sum * mean) / spread;
            let left = (variance - slope * slope * spread).max(0.0);
            (slope, (left / (seen.count - 2.0) / spread).sqrt())
        };
        seen.sums.iter().zip(&seen.squares).zip(&self.products).map(of).unzip()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Scores 1, 3, 2, 6 on 0, 1, 0, 1: slope 3, of residuals -0.5, -1.5, 0.5, 1.5 the sum of squares 5, over 2 and over 1: sqrt 2.5.
    #[test]
    fn slopes_by_hand() {
        let masks = [[0.0, 1.0], [1.0, 1.0], [0.0, 1.0], [1.0, 1.0]].concat();
        let (mut seen, mut answers) = (Seen::of(2), Answers::of(2));
        for (masks, outputs) in masks.chunks(4).zip([[1.0, 3.0], [2.0, 6.0]]) {
            seen.add(masks);
            answers.add(masks, &outputs);
        }
        let (slopes, errors) = answers.regression(&seen);
        assert!((slopes[0] - 3.0).abs() < 1e-12 && (errors[0] - 2.5f64.sqrt()).abs() < 1e-12);
        assert_eq!((slopes[1], errors[1]), (0.0, 0.0));
    }

    #[test]
    fn masks_are_as_often_there_as_asked() {
        let rise = Rise { masks: 4000, seen: 0.3, ..Rise::default() };
        let masks = rise.masks([9, 13], 0..4000).unwrap();
        assert_eq!(masks.dims(), [4000, 1, 9, 13]);
        let values = numbers(&masks).unwrap();
        assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!((mean - 0.3).abs() < 0.01, "{mean}");
    }
}
