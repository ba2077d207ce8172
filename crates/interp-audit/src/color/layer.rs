//! What the channels of a layer have in common.

use interp_net::finding::median;

use super::crops::{CHANCE, Kind, Place, UnitHues};
use super::data::DataColors;
use super::hues::Hues;
use super::space::apart;
use super::tuning::{Fields, Tuning};
use crate::neurons::Selectivity;

/// The colors of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerColors {
    /// Channels that answer to pictures.
    pub alive: usize,
    /// The median of the color selectivity of these.
    pub median: Option<f64>,
    /// Those whose color selectivity is at least as large as asked.
    pub selective: usize,
    /// Channels that select hues otherwise than chance would, one in twenty of which chance makes.
    pub hued: usize,
    /// Of these, those of each [`Kind`]: of one hue, of two opposite ones, of several.
    pub kinds: [usize; 3],
    /// Channels by [`Place`]: in the middle, around it, in both alike, in both otherwise.
    pub places: [usize; 4],
    /// Channels by [`Fields`]: of plain colors, of contrast.
    pub fields: [usize; 2],
    /// The median tuning width in degrees.
    pub width: Option<f64>,
    /// The axis of the hues that are selected; `None` of fewer than two.
    pub axis: Option<Axis>,
    /// The divergence in bits of the hues that the selecting channels see from those of the data.
    pub divergence: Option<f64>,
    /// The hues that these see together, each channel alike.
    pub hues: Hues,
}

/// An axis of hues, the same for opposite ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// In degrees below 180.
    pub degrees: f64,
    /// How much channels agree: 0 to 1.
    pub agreement: f64,
    /// How often as many axes drawn at random agree as much: Rayleigh's test of the doubled angles, by Zar's approximation.
    pub p: f64,
    /// Degrees between it and the axis of the data.
    pub from_data: f64,
}

/// Sums up a layer. `threshold` is the color selectivity from which on a channel is called selective.
pub fn layer_colors(
    selectivity: &[Option<Selectivity>],
    hues: &[Option<UnitHues>],
    tuning: &[Tuning],
    data: &DataColors,
    threshold: f64,
) -> LayerColors {
    let indexes: Vec<f64> = selectivity.iter().flatten().map(|found| found.index).collect();
    let hued: Vec<&UnitHues> = hues.iter().flatten().filter(|unit| unit.whole.p < CHANCE).collect();
    let kinds = [Kind::Single, Kind::Opponent, Kind::Several];
    let places = [Place::Center, Place::Surround, Place::Both, Place::Contrast];
    let mut sum = Hues::default();
    hued.iter().for_each(|unit| sum.add(&unit.whole.hues, 1.0 / unit.whole.hues.chroma.max(f64::MIN_POSITIVE)));
    LayerColors {
        alive: indexes.len(),
        selective: indexes.iter().filter(|&&index| index >= threshold).count(),
        median: median(indexes),
        hued: hued.len(),
        kinds: kinds.map(|kind| hued.iter().filter(|unit| unit.kind == kind).count()),
        places: places.map(|place| hues.iter().flatten().filter(|unit| unit.place == place).count()),
        fields: [Fields::Plain, Fields::Contrast]
            .map(|fields| tuning.iter().filter(|unit| unit.fields == fields).count()),
        width: median(tuning.iter().filter_map(|unit| unit.width).collect()),
        axis: axis(&hued.iter().map(|unit| unit.whole.hues.axis().0).collect::<Vec<_>>(), data.axis),
        divergence: (!hued.is_empty()).then(|| sum.divergence(&data.hues)),
        hues: sum,
    }
}

/// The common axis of some.
fn axis(axes: &[f64], data: f64) -> Option<Axis> {
    let count = axes.len() as f64;
    let sum = |part: fn(f64) -> f64| axes.iter().map(|axis| part((2.0 * axis).to_radians())).sum::<f64>() / count;
    let (x, y) = (sum(f64::cos), sum(f64::sin));
    let degrees = (y.atan2(x).to_degrees() / 2.0).rem_euclid(180.0);
    let agreement = x.hypot(y);
    (axes.len() > 1).then(|| Axis {
        degrees,
        agreement,
        p: rayleigh(axes.len(), agreement),
        from_data: apart(degrees, data, 180.0),
    })
}

/// How often `count` directions that are drawn evenly have a mean at least as long as `length` (Zar 1999, "Biostatistical analysis", equation 27.4).
fn rayleigh(count: usize, length: f64) -> f64 {
    let n = count as f64;
    ((1.0 + 4.0 * n + 4.0 * n * n * (1.0 - length * length)).sqrt() - (1.0 + 2.0 * n)).exp().clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Evenly spread directions are what chance makes always; ten that are the same have exp(sqrt(41) - 21). The exact distribution for small p is
    // exp(-n R^2) about: for n = 50, R = 0.3 that is exp(-4.5).
    #[test]
    fn rayleighs_test_has_its_closed_forms() {
        assert_eq!(rayleigh(7, 0.0), 1.0);
        assert!((rayleigh(10, 1.0) / (41f64.sqrt() - 21.0).exp() - 1.0).abs() < 1e-9);
        assert!((rayleigh(50, 0.3) / (-4.5f64).exp() - 1.0).abs() < 0.1);
    }

    #[test]
    fn axes_that_are_opposite_are_the_same() {
        let found = axis(&[10.0, 20.0, 175.0, 5.0], 100.0).unwrap();
        assert!((found.degrees - 7.5).abs() < 0.3 && (found.from_data - 87.5).abs() < 0.3, "{found:?}");
        assert_eq!(axis(&[10.0], 0.0), None);
    }
}
