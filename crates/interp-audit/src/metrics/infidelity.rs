//! Infidelity.

use interp_net::finding::random::{below, stream};
use interp_net::finding::{Better, Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::removal::removals;
use super::{Column, Judged, Metric, Scores};
use crate::Result;
use crate::saliency::{Baseline, Question, counted};

/// The mean square of what a map says that the output loses, less what it does lose, when squares of random size and place are removed (Yeh et
/// al. 2019, arXiv 1901.09392, definition 2.1 with the perturbation of section 4: `E[(I' Phi - (f(x) - f(x - I)))^2]`, where `I` is the
/// difference to the baseline within the square, and 0 elsewhere).
///
/// With `scaled`, `I' Phi` is first multiplied by the factor that makes this least for the picture, `E[a b] / E[a a]` as in captum, and 0 where
/// that is negative: many maps promise an order and no scale, but a map of the opposite sign is not right.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Infidelity {
    /// What is seen in place of a square.
    pub baseline: Baseline,
    /// Squares of each picture.
    pub samples: usize,
    /// The side of the largest square in pixels; where it is not said, half of the picture's smaller side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest: Option<usize>,
    /// Whether maps are scaled, for each picture as is best for them.
    pub scaled: bool,
    /// Of the squares.
    pub seed: u64,
}

impl Default for Infidelity {
    fn default() -> Self {
        Self { baseline: Baseline::Mean, samples: 100, largest: None, scaled: true, seed: 0 }
    }
}

pub(super) const ENTRY: Entry<dyn Metric> = Entry {
    name: "infidelity",
    summary: "the mean square error of what a map says that the output loses without random squares: lower is better",
    example: "kind = \"infidelity\"\nsamples = 100\n",
    build: |section| build(section, |settings: Infidelity| Box::new(settings)),
    schema: || schemars::schema_for!(Infidelity),
};

/// The standard error is a hundredth then.
const MOST: usize = 10_000;

impl Metric for Infidelity {
    fn check(&self, size: [usize; 2]) -> Result<(), Unfit> {
        counted("samples", self.samples, [1, MOST])?;
        counted("largest", self.side(size), [1, size[0].min(size[1])])
    }

    fn measure(&self, question: &Question<'_>, judged: &[Judged<'_>]) -> Result<Vec<Scores>> {
        self.check(question.size())?;
        let size = question.size();
        let removal = removals(question, judged, self.baseline, self.samples, |at, sample| {
            self.square(size, question.indices[at], sample)
        })?;
        let of = |said: &Vec<Vec<f64>>| {
            let pairs = || said.iter().zip(&removal.lost);
            let error = pairs().map(|(said, lost)| Some(self.error(said, lost))).collect();
            let share = |(said, lost): (&Vec<f64>, &Vec<f64>)| {
                let whole = mean(lost.iter().map(|lost| lost * lost));
                (whole > 0.0).then(|| self.error(said, lost) / whole)
            };
            let column = |name: &str, values| Column { name: name.into(), better: Better::Lower, null: None, values };
            let columns = vec![column("error", error), column("share", pairs().map(share).collect())];
            Scores { columns, ..Scores::default() }
        };
        Ok(removal.said.iter().map(of).collect())
    }
}

impl Infidelity {
    fn side(&self, [h, w]: [usize; 2]) -> usize {
        self.largest.unwrap_or((h.min(w) / 2).max(1))
    }

    /// The pixels of a square.
    fn square(&self, [h, w]: [usize; 2], index: usize, sample: usize) -> Vec<usize> {
        let mut rng = stream(self.seed, "infidelity", sample as u64, index as u64);
        let side = 1 + below(&mut rng, self.side([h, w]));
        let [top, left] = [h, w].map(|length| below(&mut rng, length - side + 1));
        (top..top + side).flat_map(|row| (left..left + side).map(move |column| row * w + column)).collect()
    }

    /// The mean square of what is said, less what is.
    fn error(&self, said: &[f64], lost: &[f64]) -> f64 {
        let [both, own] = [mean(said.iter().zip(lost).map(|(a, b)| a * b)), mean(said.iter().map(|a| a * a))];
        let scale = match self.scaled {
            true if own > 0.0 => (both / own).max(0.0),
            true => 0.0,
            false => 1.0,
        };
        mean(said.iter().zip(lost).map(|(a, b)| (scale * a - b).powi(2)))
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    // a = (1, 2), b = (2, 2): unscaled (1 + 0) / 2; the best factor is 6 / 5, which leaves (0.64 + 0.16) / 2.
    #[test]
    fn errors_by_hand() {
        let of =
            |scaled: bool, said: [f64; 2]| Infidelity { scaled, ..Infidelity::default() }.error(&said, &[2.0, 2.0]);
        assert_eq!(of(false, [1.0, 2.0]), 0.5);
        assert!((of(true, [1.0, 2.0]) - 0.4).abs() < 1e-15);
        assert!((of(true, [3.0, 6.0]) - 0.4).abs() < 1e-15, "of any scale");
        assert_eq!(of(true, [-1.0, -2.0]), 4.0, "but of no other sign");
        assert_eq!(of(true, [0.0, 0.0]), 4.0);
    }

    #[test]
    fn squares_are_squares_within_the_picture() {
        let infidelity = Infidelity { largest: Some(3), ..Infidelity::default() };
        let mut sides = [0; 4];
        for sample in 0..300 {
            let square = infidelity.square([3, 5], 7, sample);
            let side = (1..=3).find(|side| side * side == square.len()).unwrap();
            let last = square[0] + (side - 1) * 5 + side - 1;
            assert!(square.last() == Some(&last) && last < 15 && square[0] % 5 + side <= 5);
            sides[side] += 1;
        }
        assert!(sides[1..].iter().all(|&count: &i32| (count - 100).abs() < 35), "{sides:?}");
    }
}
