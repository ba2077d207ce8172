//! Pictures moved a little, so that what a neuron answers to does not hang on single pixels.

use interp_net::finding::random::stream;
use rand_chacha::rand_core::RngCore;

/// Of pictures of 224 pixels, what they are shifted by at most (jitters by 8 and by 4 between both ends; lucid's).
const SHIFT: f64 = 6.0 / 224.0;
/// In small pictures at least a pixel.
const LEAST_SHIFT: f64 = 1.0;
/// Larger or smaller by at most this share.
const SCALE: f64 = 0.1;
/// Turned by at most so much, in degrees.
const TURN: f64 = 10.0;
/// What lies outside of pictures.
const OUTSIDE: f64 = 0.5;

/// How a picture is turned, scaled and shifted, about its middle; interpolated bilinearly, with gray around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// In radians.
    turn: f64,
    /// Larger than 1 makes the picture larger.
    scale: f64,
    /// Rows and columns.
    shift: [f64; 2],
}

/// Up to four pixels that a pixel of a view is made of, with their weights.
type Corners = [Option<(usize, f64)>; 4];

impl View {
    /// A view drawn at random, of pictures of this size; a function of the three numbers alone.
    pub(super) fn drawn(seed: u64, step: usize, index: usize, size: [usize; 2]) -> Self {
        let mut rng = stream(seed, "view", step as u64, index as u64);
        let mut between = |reach: f64| reach * (2.0 * f64::from(rng.next_u32()) / f64::from(u32::MAX) - 1.0);
        let reach = |side: usize| (SHIFT * side as f64).max(LEAST_SHIFT);
        Self {
            turn: between(TURN.to_radians()),
            scale: 1.0 + between(SCALE),
            shift: [between(reach(size[0])), between(reach(size[1]))],
        }
    }

    /// The view of pixels (C, h, w).
    pub(super) fn of(&self, pixels: &[f64], [channels, height, width]: [usize; 3]) -> Vec<f64> {
        let plane = height * width;
        let mut seen = vec![OUTSIDE; channels * plane];
        for at in 0..plane {
            for (from, weight) in self.corners(at, [height, width]).into_iter().flatten() {
                for channel in 0..channels {
                    seen[channel * plane + at] += weight * (pixels[channel * plane + from] - OUTSIDE);
                }
            }
        }
        seen
    }

    /// The gradient at the pixels of what has this gradient at the view.
    pub(super) fn gradient(&self, seen: &[f64], [channels, height, width]: [usize; 3]) -> Vec<f64> {
        let plane = height * width;
        let mut gradient = vec![0.0; channels * plane];
        for at in 0..plane {
            for (from, weight) in self.corners(at, [height, width]).into_iter().flatten() {
                for channel in 0..channels {
                    gradient[channel * plane + from] += weight * seen[channel * plane + at];
                }
            }
        }
        gradient
    }

    /// What pixel number `at` of the view is made of; corners outside of the picture are left out.
    fn corners(&self, at: usize, [height, width]: [usize; 2]) -> Corners {
        let middle = [height, width].map(|side| (side as f64 - 1.0) / 2.0);
        let (y, x) = ((at / width) as f64 - middle[0], (at % width) as f64 - middle[1]);
        let (sin, cos) = self.turn.sin_cos();
        let y_from = (cos * y + sin * x) / self.scale - self.shift[0] + middle[0];
        let x_from = (cos * x - sin * y) / self.scale - self.shift[1] + middle[1];
        let (above, left) = (y_from.floor(), x_from.floor());
        let (down, right) = (y_from - above, x_from - left);
        let corner = |row: f64, column: f64, weight: f64| {
            let inside = row >= 0.0 && column >= 0.0 && row < height as f64 && column < width as f64;
            (inside && weight > 0.0).then(|| (row as usize * width + column as usize, weight))
        };
        [
            corner(above, left, (1.0 - down) * (1.0 - right)),
            corner(above, left + 1.0, (1.0 - down) * right),
            corner(above + 1.0, left, down * (1.0 - right)),
            corner(above + 1.0, left + 1.0, down * right),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: View = View { turn: 0.0, scale: 1.0, shift: [0.0; 2] };

    // Turned by a quarter, the first row becomes the last column; shifted by a row and half a column, means of neighbors a row below.
    #[test]
    fn views_by_hand() {
        let pixels: Vec<f64> = (0..9).map(f64::from).collect();
        assert_eq!(STILL.of(&pixels, [1, 3, 3]), pixels);
        let turned = View { turn: std::f64::consts::FRAC_PI_2, ..STILL }.of(&pixels, [1, 3, 3]);
        let expected = [2.0, 5.0, 8.0, 1.0, 4.0, 7.0, 0.0, 3.0, 6.0];
        assert!(turned.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{turned:?}");
        let shifted = View { shift: [1.0, 0.5], ..STILL }.of(&pixels, [1, 3, 3]);
        assert_eq!(shifted, [0.5, 0.5, 0.5, 0.25, 0.5, 1.5, 1.75, 3.5, 4.5]);
        let doubled = View { scale: 2.0, ..STILL }.of(&pixels, [1, 3, 3]);
        assert_eq!(doubled, [2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0]);
    }

    // A view is linear but for what lies outside: its gradient is the transposed map.
    #[test]
    fn the_gradient_is_the_transposed_map() {
        let shape = [2, 5, 4];
        for index in 0..4 {
            let view = View::drawn(1, 2, index, [5, 4]);
            let weights: Vec<f64> = (0..40).map(|at| (at as f64 * 0.9).sin()).collect();
            let gradient = view.gradient(&weights, shape);
            let value = |pixels: &[f64]| -> f64 {
                view.of(pixels, shape).iter().zip(&weights).map(|(pixel, weight)| pixel * weight).sum()
            };
            let pixels: Vec<f64> = (0..40).map(|at| f64::from(at % 7) / 7.0).collect();
            for at in 0..40 {
                let step = |by: f64| {
                    let mut moved = pixels.clone();
                    moved[at] += by;
                    value(&moved)
                };
                assert!(((step(1.0) - step(-1.0)) / 2.0 - gradient[at]).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn views_are_scaled_to_pictures() {
        let reach = |side: usize| {
            let shifts = (0..400).map(|index| View::drawn(0, 0, index, [side; 2]).shift[0].abs());
            shifts.fold(0.0, f64::max)
        };
        assert!((reach(224) - 6.0).abs() < 0.1 && (reach(448) - 12.0).abs() < 0.2 && (reach(16) - 1.0).abs() < 0.05);
        let views = (0..400).map(|index| View::drawn(7, 3, index, [32; 2]));
        for View { turn, scale, .. } in views {
            assert!(turn.to_degrees().abs() <= 10.0 && (scale - 1.0).abs() <= 0.1);
        }
    }
}
