//! How much of a neuron's answers is lost when what it sees is changed.

use interp_net::Network;
use interp_net::finding::interval;

use super::variations::{View, varied};
use super::{Layer, Survey, Unit, gray, turned};
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
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Color, Self::Luminance, Self::Orientation, Self::Symmetry, Self::Shape];

    /// The name it goes by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Color => "color",
            Self::Luminance => "luminance",
            Self::Orientation => "orientation",
            Self::Symmetry => "symmetry",
            Self::Shape => "shape",
        }
    }

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
        let changes = (0..self.changes())
            .map(|number| varied(net, pictures, survey, batch, &|view: &View<'_>| self.change(number, view)))
            .collect::<Result<Vec<_>>>()?;
        let index = |layer: usize, channel: usize, unit: &Unit| {
            let changed: Vec<&[f32]> = changes.iter().map(|change| change[layer][channel].as_slice()).collect();
            let found = selectivity(unit, &changed)?;
            let [low, high] = found.interval;
            Some(match self {
                Self::Symmetry => Selectivity { index: 1.0 - found.index, interval: [1.0 - high, 1.0 - low] },
                _ => found,
            })
        };
        let units = |(at, layer): (usize, &Layer)| {
            layer.units.iter().enumerate().map(|(channel, unit)| index(at, channel, unit)).collect()
        };
        Ok(survey.layers.iter().enumerate().map(units).collect())
    }

    /// Whether it is about colors, which gray pictures have not.
    pub fn is_of_colors(self) -> bool {
        matches!(self, Self::Color | Self::Luminance)
    }
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

/// That of a unit, given its answers to what was changed, by peak, of one change or of several: the mean of their indexes. `None` where it answers to
/// nothing.
pub fn selectivity(unit: &Unit, changes: &[&[f32]]) -> Option<Selectivity> {
    if unit.peaks.is_empty() || changes.is_empty() {
        return None;
    }
    let lost = |peaks: &mut dyn Iterator<Item = usize>, changed: &[f32]| {
        let (mut all, mut left) = (0.0, 0.0);
        for peak in peaks {
            all += f64::from(unit.peaks[peak].activation);
            left += f64::from(changed[peak]);
        }
        (1.0 - left / all).clamp(0.0, 1.0)
    };
    let count = changes.len() as f64;
    let index = changes.iter().map(|changed| lost(&mut (0..unit.peaks.len()), changed)).sum::<f64>() / count;
    let interval = interval(unit.peaks.len(), |drawn| {
        changes.iter().map(|changed| lost(&mut drawn.iter().copied(), changed)).sum::<f64>() / count
    });
    Some(Selectivity { index, interval })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neurons::Peak;

    // Of answers 4, 2 and 2 nothing is left, in any sample; or a half of each; or more than there was, and nothing at all: 0 and 1 are 1/2.
    #[test]
    fn what_is_lost_by_hand() {
        let peak = |activation: f32| Peak { activation, picture: 0, label: 0, cell: [0, 0] };
        let peaks = vec![peak(4.0), peak(2.0), peak(2.0)];
        let unit = Unit { peaks, firing: 3, by_class: vec![], histogram: vec![] };
        let found = |changes: &[&[f32]]| selectivity(&unit, changes).unwrap();
        assert_eq!(found(&[&[0.0; 3]]), Selectivity { index: 1.0, interval: [1.0, 1.0] });
        assert_eq!(found(&[&[2.0, 1.0, 1.0]]), Selectivity { index: 0.5, interval: [0.5, 0.5] });
        assert_eq!(found(&[&[6.0, 3.0, 3.0], &[0.0; 3]]).index, 0.5);
        let spread = found(&[&[4.0, 0.0, 0.0]]);
        assert!(spread.index == 0.5 && spread.interval[0] < 0.2 && spread.interval[1] > 0.9, "{spread:?}");
        assert_eq!(selectivity(&Unit { peaks: vec![], ..unit.clone() }, &[&[]]), None);
    }
}
