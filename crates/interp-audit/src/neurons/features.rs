//! Neuron Features: the mean of what a neuron answers to most.

use std::collections::BTreeMap;

use interp_net::{Field, Network};

use super::{Peak, Survey};
use crate::{Pictures, Result};

/// The part of a picture that a cell sees: (height, width, channels) of pixel values in [0, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Crop {
    /// Rows and columns.
    pub size: [usize; 2],
    /// Row by row, the channels of a pixel side by side; 0 outside of the picture.
    pub pixels: Vec<f32>,
    /// Whether each pixel lies in the picture.
    pub inside: Vec<bool>,
}

/// A Neuron Feature: crops aligned by their receptive field, weighed by activations (Rafegas et al. 2020, "Understanding trained CNNs by
/// indexing neuron selectivity", equation 2). Each pixel is the mean over crops that lie in the picture there; where these have less than a tenth
/// of all weights, it is gray.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Rows and columns.
    pub size: [usize; 2],
    /// Row by row, the channels of a pixel side by side, in [0, 1].
    pub pixels: Vec<f32>,
}

/// Of all weights, what must be known of a pixel for it to be shown.
const KNOWN: f64 = 0.1;

/// What the cell of a peak sees of a picture (H, W, C) of pixel values, by the node's receptive field, not cut at the border.
pub fn crop(picture: &[f32], [height, width, channels]: [usize; 3], field: &Field, cell: [usize; 2]) -> Crop {
    let first = [0, 1].map(|axis| {
        let center = field.start[axis] + (cell[axis] * field.jump[axis]) as f64;
        (center - field.size[axis] as f64 / 2.0).round() as i64
    });
    let [rows, columns] = field.size;
    let mut crop =
        Crop { size: field.size, pixels: vec![0.0; rows * columns * channels], inside: vec![false; rows * columns] };
    for row in 0..rows {
        for column in 0..columns {
            let at = [first[0] + row as i64, first[1] + column as i64];
            let known = (0..height as i64).contains(&at[0]) && (0..width as i64).contains(&at[1]);
            if known {
                let from = (at[0] as usize * width + at[1] as usize) * channels;
                let to = row * columns + column;
                crop.inside[to] = true;
                crop.pixels[to * channels..(to + 1) * channels].copy_from_slice(&picture[from..from + channels]);
            }
        }
    }
    crop
}

/// Sums of a feature.
struct Sums {
    size: [usize; 2],
    pixels: Vec<f64>,
    weights: Vec<f64>,
    all: f64,
}

impl Sums {
    fn add(&mut self, crop: &Crop, weight: f64) {
        let channels = self.pixels.len() / self.weights.len().max(1);
        self.all += weight;
        for (at, _) in crop.inside.iter().enumerate().filter(|(_, inside)| **inside) {
            self.weights[at] += weight;
            let pixels = at * channels..(at + 1) * channels;
            let sums = self.pixels[pixels.clone()].iter_mut();
            sums.zip(&crop.pixels[pixels]).for_each(|(sum, &value)| *sum += weight * f64::from(value));
        }
    }

    fn feature(self) -> Feature {
        let channels = self.pixels.len() / self.weights.len().max(1);
        let mean = |(at, sum): (usize, f64)| {
            let weight = self.weights[at / channels.max(1)];
            if weight <= KNOWN * self.all { 0.5 } else { (sum / weight) as f32 }
        };
        Feature { size: self.size, pixels: self.pixels.iter().copied().enumerate().map(mean).collect() }
    }
}

/// The features of channels of a survey, of those that are `wanted` by layer and channel; `None` of others, of channels that answer to nothing, and of
/// nodes whose cells have no receptive field in common. Every picture is read once.
///
/// # Errors
/// If a picture cannot be read.
pub fn features(
    net: &Network,
    pictures: &Pictures,
    survey: &Survey,
    wanted: impl Fn(usize, usize) -> bool,
) -> Result<Vec<Vec<Option<Feature>>>> {
    let info = pictures.data.info();
    let shape = [info.height, info.width, info.channels];
    let fields: Vec<Option<Field>> = survey.layers.iter().map(|layer| net.receptive_field(layer.node).ok()).collect();
    let mut sums: Vec<Vec<Option<Sums>>> =
        survey.layers.iter().map(|layer| layer.units.iter().map(|_| None).collect()).collect();
    let mut by_picture: BTreeMap<usize, Vec<(usize, usize, Peak)>> = BTreeMap::new();
    for (at, layer) in survey.layers.iter().enumerate().filter(|(at, _)| fields[*at].is_some()) {
        for (channel, unit) in layer.units.iter().enumerate().filter(|(channel, _)| wanted(at, *channel)) {
            unit.peaks.iter().for_each(|&peak| by_picture.entry(peak.picture).or_default().push((at, channel, peak)));
        }
    }
    let mut picture = vec![0.0; info.pixels()];
    for (index, places) in by_picture {
        pictures.data.image(pictures.split, index, &mut picture)?;
        for (layer, channel, peak) in places {
            let Some(field) = &fields[layer] else { continue };
            let count = field.size[0] * field.size[1];
            let empty = || Sums {
                size: field.size,
                pixels: vec![0.0; count * info.channels],
                weights: vec![0.0; count],
                all: 0.0,
            };
            let sums = sums[layer][channel].get_or_insert_with(empty);
            sums.add(&crop(&picture, shape, field, peak.cell), f64::from(peak.activation));
        }
    }
    Ok(sums.into_iter().map(|layer| layer.into_iter().map(|sums| sums.map(Sums::feature)).collect()).collect())
}
