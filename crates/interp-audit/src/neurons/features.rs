//! Neuron Features: the mean of what a neuron answers to most.

use std::collections::BTreeMap;
use std::ops::Range;

use interp_net::{Field, Network};

use super::{Peak, Survey};
use crate::{Memory, Pictures, Result};

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
    /// Rows and columns of a crop that are one of it: 1 but for receptive fields of more than 128 pixels.
    pub every: usize,
    /// Row by row, the channels of a pixel side by side, in [0, 1].
    pub pixels: Vec<f32>,
}

/// Rows and columns of a feature, at most: of larger receptive fields a pixel is the mean of a square.
const LARGEST: usize = 128;

/// Of all weights, what must be known of a pixel for it to be shown.
const KNOWN: f64 = 0.1;

/// The row and column of a picture that the first pixel lies on of what a cell sees; they may lie outside.
fn first(field: &Field, cell: [usize; 2]) -> [i64; 2] {
    [0, 1].map(|axis| {
        let center = field.start[axis] + (cell[axis] * field.jump[axis]) as f64;
        (center - field.size[axis] as f64 / 2.0).round() as i64
    })
}

/// Of so many rows or columns from `first` on those that lie in a picture that has `side` of them.
fn inside(first: i64, count: usize, side: usize) -> Range<usize> {
    let end = (side as i64 - first).clamp(0, count as i64) as usize;
    ((-first).clamp(0, end as i64) as usize)..end
}

/// Of a row of what a cell sees the columns that lie in the picture, and the pixel of the picture that the first of them is.
struct Line {
    row: usize,
    columns: Range<usize>,
    from: usize,
}

/// The rows of what a cell sees that lie in a picture; none where all of it lies beside.
fn lines(field: &Field, cell: [usize; 2], [height, width]: [usize; 2]) -> impl Iterator<Item = Line> {
    let [top, left] = first(field, cell);
    let columns = inside(left, field.size[1], width);
    let rows = if columns.is_empty() { 0..0 } else { inside(top, field.size[0], height) };
    rows.map(move |row| {
        let place = [top + row as i64, left + columns.start as i64].map(|at| at as usize);
        Line { row, columns: columns.clone(), from: place[0] * width + place[1] }
    })
}

/// What the cell of a peak sees of a picture (H, W, C) of pixel values, by the node's receptive field, not cut at the border.
pub fn crop(picture: &[f32], [height, width, channels]: [usize; 3], field: &Field, cell: [usize; 2]) -> Crop {
    let [rows, columns] = field.size;
    let mut crop =
        Crop { size: field.size, pixels: vec![0.0; rows * columns * channels], inside: vec![false; rows * columns] };
    for Line { row, columns: known, from } in lines(field, cell, [height, width]) {
        let to = row * columns + known.start;
        crop.inside[to..to + known.len()].fill(true);
        let line = &picture[from * channels..(from + known.len()) * channels];
        crop.pixels[to * channels..(to + known.len()) * channels].copy_from_slice(line);
    }
    crop
}

/// Sums of a feature.
struct Sums {
    size: [usize; 2],
    every: usize,
    pixels: Vec<f64>,
    weights: Vec<f64>,
    all: f64,
}

/// How many pixels of a field are one of its feature along each axis, and how many that has.
fn thinned(field: &Field) -> (usize, [usize; 2]) {
    let every = field.size[0].max(field.size[1]).div_ceil(LARGEST).max(1);
    (every, field.size.map(|side| side.div_ceil(every)))
}

impl Sums {
    fn new(field: &Field, channels: usize) -> Self {
        let (every, size) = thinned(field);
        let count = size[0] * size[1];
        Self { size, every, pixels: vec![0.0; count * channels], weights: vec![0.0; count], all: 0.0 }
    }

    /// Bytes that one takes.
    fn bytes(field: &Field, channels: usize) -> u64 {
        let (_, size) = thinned(field);
        (size[0] * size[1] * (channels + 1) * size_of::<f64>()) as u64
    }

    fn add(&mut self, picture: &[f32], [height, width, channels]: [usize; 3], field: &Field, peak: &Peak) {
        let weight = f64::from(peak.activation);
        self.all += weight;
        for Line { row, columns, from } in lines(field, peak.cell, [height, width]) {
            let line = picture[from * channels..(from + columns.len()) * channels].chunks_exact(channels.max(1));
            for (column, pixel) in columns.zip(line) {
                let at = row / self.every * self.size[1] + column / self.every;
                self.weights[at] += weight;
                let sums = self.pixels[at * channels..(at + 1) * channels].iter_mut();
                sums.zip(pixel).for_each(|(sum, &value)| *sum += weight * f64::from(value));
            }
        }
    }

    fn feature(self, field: &Field) -> Feature {
        let channels = self.pixels.len() / self.weights.len().max(1);
        // Those of the last row and column may be of fewer pixels.
        let side = |at: usize, axis: usize| (field.size[axis] - at * self.every).min(self.every);
        let mean = |(at, sum): (usize, f64)| {
            let at = at / channels.max(1);
            let count = side(at / self.size[1], 0) * side(at % self.size[1], 1);
            let weight = self.weights[at];
            if weight <= KNOWN * self.all * count as f64 { 0.5 } else { (sum / weight) as f32 }
        };
        let pixels = self.pixels.iter().copied().enumerate().map(mean).collect();
        Feature { size: self.size, every: self.every, pixels }
    }
}

/// The features of channels of a survey, of those that are `wanted` by layer and channel; `None` of others, of channels that answer to nothing, and of
/// nodes whose cells have no receptive field in common. Pictures are read once for as many features as `memory` has room for the sums of.
///
/// # Errors
/// If a picture cannot be read.
pub fn features(
    net: &Network,
    pictures: &Pictures,
    survey: &Survey,
    memory: Memory,
    wanted: impl Fn(usize, usize) -> bool,
) -> Result<Vec<Vec<Option<Feature>>>> {
    let channels = pictures.data.info().channels;
    let mut found: Vec<Vec<Option<Feature>>> =
        survey.layers.iter().map(|layer| vec![None; layer.units.len()]).collect();
    let mut asked = vec![];
    for (at, layer) in survey.layers.iter().enumerate() {
        let Ok(field) = net.receptive_field(layer.node) else { continue };
        let alive = layer.units.iter().enumerate().filter(|(channel, unit)| !unit.is_dead() && wanted(at, *channel));
        asked.extend(alive.map(|(channel, unit)| Asked { at: (at, channel), field, peaks: &unit.peaks }));
    }
    let sizes: Vec<u64> = asked.iter().map(|asked| Sums::bytes(&asked.field, channels)).collect();
    for part in memory.ranges(&sizes) {
        for (asked, feature) in asked[part.clone()].iter().zip(of_some(pictures, &asked[part])?) {
            found[asked.at.0][asked.at.1] = Some(feature);
        }
    }
    Ok(found)
}

/// A channel of a layer, with what is known of it.
struct Asked<'a> {
    at: (usize, usize),
    field: Field,
    peaks: &'a [Peak],
}

/// Every picture is read once.
fn of_some(pictures: &Pictures, asked: &[Asked<'_>]) -> Result<Vec<Feature>> {
    let info = pictures.data.info();
    let shape = [info.height, info.width, info.channels];
    let mut by_picture: BTreeMap<usize, Vec<(usize, &Peak)>> = BTreeMap::new();
    for (at, asked) in asked.iter().enumerate() {
        asked.peaks.iter().for_each(|peak| by_picture.entry(peak.picture).or_default().push((at, peak)));
    }
    let mut sums: Vec<Sums> = asked.iter().map(|asked| Sums::new(&asked.field, info.channels)).collect();
    let mut picture = vec![0.0; info.pixels()];
    for (index, peaks) in by_picture {
        pictures.data.image(pictures.split, index, &mut picture)?;
        for (at, peak) in peaks {
            sums[at].add(&picture, shape, &asked[at].field, peak);
        }
    }
    Ok(sums.into_iter().zip(asked).map(|(sums, asked)| sums.feature(&asked.field)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Pixels are numbered by rows of three; a field of 256 rows and three columns around the middle, and one two rows lower, of which two rows lie
    // outside. Squares of two rows and two columns, and what is left of the columns: the mean of 0, 1, 3 and 4 is 2.
    #[test]
    fn of_large_fields_a_pixel_is_the_mean_of_a_square() {
        let picture: Vec<f32> = (0..256 * 3).map(|at| at as f32 / 1024.0).collect();
        let field = Field { size: [256, 3], jump: [1, 1], start: [128.0, 1.5] };
        let peak = |row: usize| Peak { activation: 1.0, picture: 0, label: 0, cell: [row, 0] };
        let mut sums = Sums::new(&field, 1);
        sums.add(&picture, [256, 3, 1], &field, &peak(0));
        sums.add(&picture, [256, 3, 1], &field, &peak(2));
        let found = sums.feature(&field);
        assert_eq!((found.size, found.every, found.pixels.len()), ([128, 2], 2, 256));
        let lower = 6.0; // how much larger the numbers are two rows below
        let means = [2.0, 3.5, 8.0, 9.5].map(|mean| (mean + lower / 2.0) / 1024.0);
        assert_eq!(found.pixels[..4], means);
        // In the last square lies the first field alone.
        assert_eq!(found.pixels[254], 764.0 / 1024.0);
    }

    // Border cells of a convolution with more padding than kernel see nothing of the picture, on any side.
    #[test]
    fn what_lies_beside_the_picture_is_not_known() {
        let (picture, shape) = ([1.0; 16], [4, 4, 1]);
        let field = Field { size: [3, 3], jump: [1, 1], start: [-3.5, -3.5] };
        for cell in [[0, 0], [0, 5], [5, 0], [11, 11], [5, 11], [11, 5]] {
            assert!(crop(&picture, shape, &field, cell).inside.iter().all(|inside| !inside), "{cell:?}");
            let mut sums = Sums::new(&field, 1);
            sums.add(&picture, shape, &field, &Peak { activation: 1.0, picture: 0, label: 0, cell });
            assert_eq!(sums.feature(&field).pixels, [0.5; 9]);
        }
        assert!(crop(&picture, shape, &field, [5, 5]).inside.iter().all(|inside| *inside));
    }

    // Counted from one to the left of the picture: a cell of the picture, and both of the next row.
    #[test]
    fn lines_inside_are_those_of_the_picture() {
        assert_eq!([inside(-1, 3, 4), inside(2, 3, 4), inside(-5, 3, 4), inside(7, 3, 4)], [1..3, 0..2, 3..3, 0..0]);
    }
}
