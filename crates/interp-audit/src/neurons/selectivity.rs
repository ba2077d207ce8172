//! How much of a neuron's answers is lost when what it sees is changed.

use interp_net::Network;
use interp_net::finding::mean_interval;

use super::variations::{View, varied};
use super::{Survey, Unit, gray, turned};
use crate::{Pictures, Result};

/// What is changed, for what a neuron is said to select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// Colors: what is seen becomes gray, by the axis along which its colors differ most.
    Color,
    /// The same by luminance.
    Luminance,
    /// Orientation: it is turned by 90, 180 and 270 degrees.
    Orientation,
    /// Symmetry: it is mirrored at lines of 0, 45, 90 and 135 degrees; 1 where nothing is lost.
    Symmetry,
    /// Shape: its pixels are shuffled.
    Shape,
}

impl Index {
    /// All of them, with the names they go by.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Color, "color"),
        (Self::Luminance, "luminance"),
        (Self::Orientation, "orientation"),
        (Self::Symmetry, "symmetry"),
        (Self::Shape, "shape"),
    ];

    /// What is seen instead, by the number of the change.
    fn change(self, number: usize, view: &View<'_>) -> Vec<f32> {
        match self {
            Self::Color => gray::principal(view),
            Self::Luminance => gray::luminance(view),
            Self::Orientation => turned::rotated(view, 90.0 * (number + 1) as f64),
            Self::Symmetry => turned::mirrored(view, 45.0 * number as f64),
            Self::Shape => turned::shuffled(view),
        }
    }

    fn changes(self) -> usize {
        match self {
            Self::Color | Self::Luminance | Self::Shape => 1,
            Self::Orientation => 3,
            Self::Symmetry => 4,
        }
    }

    /// The index of every neuron of a survey, by layer and channel; `None` of those that answer to nothing. `batch` pictures go through the
    /// network at a time, on which nothing depends.
    ///
    /// # Errors
    /// If pictures cannot be had.
    pub fn of(
        self,
        net: &Network,
        pictures: &Pictures,
        survey: &Survey,
        batch: usize,
    ) -> Result<Vec<Vec<Option<Selectivity>>>> {
        let mut mean: Option<Vec<Vec<Vec<f32>>>> = None;
        for number in 0..self.changes() {
            let found = varied(net, pictures, survey, batch, &|view: &View<'_>| self.change(number, view))?;
            mean = Some(match mean {
                Some(sum) => added(sum, &found),
                None => found,
            });
        }
        let share = 1.0 / self.changes() as f32;
        let index = |(unit, changed): (&Unit, Vec<f32>)| {
            let changed: Vec<f32> = changed.into_iter().map(|value| share * value).collect();
            let found = selectivity(unit, &changed)?;
            let [low, high] = found.interval;
            Some(match self {
                Self::Symmetry => Selectivity { index: 1.0 - found.index, interval: [1.0 - high, 1.0 - low] },
                _ => found,
            })
        };
        let layers = survey.layers.iter().zip(mean.unwrap_or_default());
        Ok(layers.map(|(layer, changed)| layer.units.iter().zip(changed).map(index).collect()).collect())
    }
}

fn added(mut sums: Vec<Vec<Vec<f32>>>, more: &[Vec<Vec<f32>>]) -> Vec<Vec<Vec<f32>>> {
    let pairs = sums.iter_mut().flatten().flatten().zip(more.iter().flatten().flatten());
    pairs.for_each(|(sum, value)| *sum += value);
    sums
}

/// A share of answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selectivity {
    /// `1 - sum a'_j / sum a_j`, of the answers `a_j` at a neuron's peaks and those to what was changed `a'_j`, between 0 and 1 (Rafegas et al. 2020,
    /// equation 3): 0 where the change makes no difference, 1 where nothing is left.
    pub index: f64,
    /// 95 % interval: percentiles of a bootstrap over peaks.
    pub interval: [f64; 2],
}

/// That of a unit, given its answers to what was changed, by peak; `None` where it answers to nothing.
pub fn selectivity(unit: &Unit, changed: &[f32]) -> Option<Selectivity> {
    let answers: Vec<f64> = unit.peaks.iter().map(|peak| f64::from(peak.activation)).collect();
    let all: f64 = answers.iter().sum();
    if all <= 0.0 {
        return None;
    }
    // Answers weigh: the mean of what is lost of each, times its share of all answers.
    let count = answers.len() as f64;
    let lost = |(answer, &changed): (&f64, &f32)| count * (answer - f64::from(changed)) / all;
    let lost: Vec<f64> = answers.iter().zip(changed).map(lost).collect();
    let index = lost.iter().sum::<f64>() / count;
    let [low, high] = mean_interval(&lost);
    Some(Selectivity { index: index.clamp(0.0, 1.0), interval: [low.clamp(0.0, 1.0), high.clamp(0.0, 1.0)] })
}
