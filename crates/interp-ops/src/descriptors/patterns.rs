//! Local binary patterns.

use std::f64::consts::FRAC_1_SQRT_2;

use super::Picture;

/// The eight neighbors around the circle: rows down, columns right.
const NEIGHBORS: [[isize; 2]; 8] = [[0, 1], [-1, 1], [-1, 0], [-1, -1], [0, -1], [1, -1], [1, 0], [1, 1]];

pub(super) fn forward(picture: &Picture<'_>, out: &mut [f64]) {
    for (pixel, out) in out.chunks_exact_mut(10).enumerate() {
        out[pattern(NEIGHBORS.map(|to| above(picture, pixel, to) >= 0.0))] = 1.0;
    }
}

/// By how much the picture on the circle around a pixel, in the direction `to`, is above the pixel.
fn above(picture: &Picture<'_>, pixel: usize, [down, right]: [isize; 2]) -> f64 {
    let (row, column) = (pixel / picture.width, pixel % picture.width);
    let clamped = |at: usize, step: isize, size: usize| at.saturating_add_signed(step).min(size - 1);
    let at = |down: isize, right: isize| {
        let cell = clamped(row, down, picture.height) * picture.width + clamped(column, right, picture.width);
        picture.numbers[cell] - picture.numbers[pixel]
    };
    if down == 0 || right == 0 {
        return at(down, right);
    }
    let (far, near) = (FRAC_1_SQRT_2, 1.0 - FRAC_1_SQRT_2);
    far * far * at(down, right) + far * near * (at(down, 0) + at(0, right))
}

/// The number of the pattern.
fn pattern(bright: [bool; 8]) -> usize {
    let changes = (0..8).filter(|&i| bright[i] != bright[(i + 1) % 8]).count();
    if changes <= 2 { bright.iter().filter(|bright| **bright).count() } else { 9 }
}
