//! What a neuron can be called, by its numbers.

use interp_data::Info;
use interp_net::{Network, NodeId};

use super::class::ClassSelectivity;
use super::{Feature, Selectivity, Unit};
use crate::color::{CHANCE, UnitHues};
use crate::plain::{answers, field};
use crate::{Memory, Result};

/// The index from which on, with the lower end of its interval, a neuron is said to select something.
const SELECTIVE: f64 = 0.25;
/// The share of a class in its answers from which on a neuron is called by it.
const CLASS: f64 = 0.5;
/// How much of a feature's contrast must lie along one direction for it to be called an edge: the coherence of its structure tensor.
const COHERENT: f64 = 0.5;
/// Of the largest answer to pictures, how much more a black or a white picture must be answered to than a middle gray one for a neuron to be one of
/// brightness.
const BRIGHTNESS: f64 = 0.5;

/// Something that a neuron selects.
#[derive(Clone, Debug, PartialEq)]
pub enum Character {
    /// Nothing: it answers to no picture.
    Dead,
    /// A class, more than chance makes, that has half of its answers or more.
    Class {
        /// The class.
        label: usize,
        /// Its share of the answers.
        share: f64,
    },
    /// Hues in degrees, more than the data make it: it needs color, and these are the peaks of what it sees.
    Hues(Vec<f64>),
    /// An edge or a line: it depends on orientation, and its feature has one.
    Edge {
        /// That along which it lies, in degrees against the clock from the right on, below 180.
        degrees: f64,
    },
    /// What is bright, of any kind.
    Bright,
    /// What is dark, of any kind.
    Dark,
}

/// What was measured of a neuron.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// Its answers.
    pub unit: &'a Unit,
    /// Its feature.
    pub feature: Option<&'a Feature>,
    /// The classes that it selects.
    pub class: Option<&'a ClassSelectivity>,
    /// Its color selectivity.
    pub color: Option<Selectivity>,
    /// Its orientation selectivity.
    pub orientation: Option<Selectivity>,
    /// The hues that it sees.
    pub hues: Option<&'a UnitHues>,
    /// Its answers to a black and to a white picture, less that to a middle gray one.
    pub plain: Option<[f32; 2]>,
}

/// What a neuron can be called; nothing, where it selects what these numbers do not tell.
pub fn character(measured: &Measured<'_>) -> Vec<Character> {
    if measured.unit.is_dead() {
        return vec![Character::Dead];
    }
    let selects = |found: Option<Selectivity>| found.is_some_and(|found| found.interval[0] >= SELECTIVE);
    let mut found = vec![];
    if let Some((class, &(label, share))) = measured.class.and_then(|class| Some((class, class.shares.first()?)))
        && class.p < CHANCE
        && share >= CLASS
    {
        found.push(Character::Class { label, share });
    }
    if let Some(hues) = measured.hues.filter(|hues| selects(measured.color) && hues.whole.p < CHANCE) {
        found.push(Character::Hues(hues.whole.hues.peaks()));
    }
    if let Some((degrees, coherence)) = measured.feature.and_then(orientation)
        && selects(measured.orientation)
        && coherence >= COHERENT
    {
        found.push(Character::Edge { degrees });
    }
    found.extend(brightness(measured).filter(|_| !selects(measured.color)));
    found
}

fn brightness(measured: &Measured<'_>) -> Option<Character> {
    let [black, white] = measured.plain?.map(f64::from);
    let enough = BRIGHTNESS * f64::from(measured.unit.peaks.first()?.activation);
    match () {
        () if white >= enough && white > 2.0 * black => Some(Character::Bright),
        () if black >= enough && black > 2.0 * white => Some(Character::Dark),
        () => None,
    }
}

/// The direction in degrees along which a picture changes least, and how much it changes across that rather than along it, 0 to 1: by its structure
/// tensor, summed over channels (Di Zenzo 1986). `None` of what is the same everywhere.
fn orientation(feature: &Feature) -> Option<(f64, f64)> {
    let [height, width] = feature.size;
    let channels = feature.pixels.len() / (height * width).max(1);
    let pixel = |row: usize, column: usize, channel: usize| {
        f64::from(feature.pixels[(row * width + column) * channels + channel])
    };
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for row in 1..height {
        for column in 1..width {
            for channel in 0..channels {
                // Between four pixels; y goes up.
                let [a, b] = [pixel(row - 1, column - 1, channel), pixel(row - 1, column, channel)];
                let [c, d] = [pixel(row, column - 1, channel), pixel(row, column, channel)];
                let (x, y) = (b + d - a - c, a + b - c - d);
                xx += x * x;
                xy += x * y;
                yy += y * y;
            }
        }
    }
    let across = (2.0 * xy).atan2(xx - yy).to_degrees() / 2.0;
    let all = xx + yy;
    (all > 0.0).then(|| ((across + 90.0).rem_euclid(180.0), (xx - yy).hypot(2.0 * xy) / all))
}

/// The answers of all channels of nodes to a black and a white picture, less those to a middle gray one.
///
/// # Errors
/// If the network cannot be run.
pub fn plain_answers(net: &Network, info: &Info, nodes: &[NodeId], memory: Memory) -> Result<Vec<Vec<[f32; 2]>>> {
    let pictures = [0.0, 0.5, 1.0].map(|level| field(info, [level; 3]));
    let of_node = |found: Vec<Vec<f32>>| {
        let [black, gray, white] = &found[..] else { return vec![] };
        gray.iter().zip(black.iter().zip(white)).map(|(gray, (black, white))| [black - gray, white - gray]).collect()
    };
    Ok(answers(net, info, nodes, &pictures, memory)?.into_iter().map(of_node).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    // A step across the line from below left to above right; the same turned; and a spot, which has no direction.
    #[test]
    fn edges_have_the_direction_along_which_they_lie() {
        let feature = |pixel: fn(i32, i32) -> bool| Feature {
            size: [5, 5],
            every: 1,
            pixels: (0..25).map(|at| f32::from(u8::from(pixel(at / 5, at % 5)))).collect(),
        };
        let rising = orientation(&feature(|row, column| row + column < 4)).unwrap();
        assert!((rising.0 - 45.0).abs() < 1e-9 && rising.1 > 0.9, "{rising:?}");
        assert_eq!(orientation(&feature(|_, column| column < 2)).unwrap(), (90.0, 1.0));
        assert_eq!(orientation(&feature(|row, _| row < 2)).unwrap().0, 0.0);
        assert!(orientation(&feature(|row, column| row == 2 && column == 2)).unwrap().1 < 1e-9);
        assert_eq!(orientation(&feature(|_, _| true)), None);
    }
}
