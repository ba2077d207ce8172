//! Bands of spatial frequency.

use super::Picture;

/// What a pixel and its neighbors, `2^level` and twice as many pixels away, have in a smoothed picture: the cubic B-spline.
const TAPS: [f64; 5] = [1.0 / 16.0, 4.0 / 16.0, 6.0 / 16.0, 4.0 / 16.0, 1.0 / 16.0];

/// For every cell with its taps along one axis, down or across, `visit(cell, other, weight)`; beyond the borders as at them.
fn along(size: [usize; 2], down: bool, level: usize, mut visit: impl FnMut(usize, usize, f64)) {
    let [height, width] = size;
    let (length, stride) = if down { (height, width) } else { (width, 1) };
    for cell in 0..height * width {
        let at = if down { cell / width } else { cell % width };
        for (tap, weight) in TAPS.into_iter().enumerate() {
            let other = (at + (tap << level)).saturating_sub(2 << level).min(length - 1);
            visit(cell, cell - at * stride + other * stride, weight);
        }
    }
}

/// The picture smoothed along both axes.
fn smoothed(numbers: &[f64], size: [usize; 2], level: usize) -> Vec<f64> {
    [true, false].into_iter().fold(numbers.to_vec(), |from, down| {
        let mut to = vec![0.0; from.len()];
        along(size, down, level, |cell, other, weight| to[cell] += weight * from[other]);
        to
    })
}

/// The transpose of [`smoothed`].
fn spread(grad: &[f64], size: [usize; 2], level: usize) -> Vec<f64> {
    [false, true].into_iter().fold(grad.to_vec(), |from, down| {
        let mut to = vec![0.0; from.len()];
        along(size, down, level, |cell, other, weight| to[other] += weight * from[cell]);
        to
    })
}

/// The picture, and it smoothed more and more.
fn levels(picture: &Picture<'_>, bands: usize) -> Vec<Vec<f64>> {
    let mut levels = vec![picture.numbers.to_vec()];
    for level in 0..bands {
        levels.push(smoothed(&levels[level], [picture.height, picture.width], level));
    }
    levels
}

pub(super) fn forward(picture: &Picture<'_>, bands: usize, out: &mut [f64]) {
    let levels = levels(picture, bands);
    for (pixel, out) in out.chunks_exact_mut(bands).enumerate() {
        out.iter_mut().zip(levels.windows(2)).for_each(|(out, pair)| *out = (pair[0][pixel] - pair[1][pixel]).abs());
    }
}

pub(super) fn backward(picture: &Picture<'_>, bands: usize, grad: &[f64], below: &mut [f64]) {
    let levels = levels(picture, bands);
    let mut back = vec![0.0; below.len()]; // of the level above
    for level in (0..bands).rev() {
        let difference = |pixel: usize| levels[level][pixel] - levels[level + 1][pixel];
        let sign = |pixel: usize| if difference(pixel) == 0.0 { 0.0 } else { difference(pixel).signum() };
        let own: Vec<f64> = (0..below.len()).map(|pixel| sign(pixel) * grad[pixel * bands + level]).collect();
        back.iter_mut().zip(&own).for_each(|(back, own)| *back -= own);
        back = spread(&back, [picture.height, picture.width], level);
        back.iter_mut().zip(&own).for_each(|(back, own)| *back += own);
    }
    below.copy_from_slice(&back);
}
