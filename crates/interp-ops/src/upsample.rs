//! Images of another size by interpolation, larger or smaller.

use crate::Result;
use crate::real::by_dtype;
use crate::resample::{resample, resample_backward};
use candle_core::Tensor;

/// How a pixel of the new size is made of those of the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// The pixel at floor(position input / output), with PyTorch's arithmetic in `f32` whatever the numbers are: near a
    /// whole number it may be the pixel before.
    Nearest,
    /// The mean of the four pixels around the position, weighted by nearness.
    Bilinear {
        /// Whether the centers of the corner pixels of both sizes lie on each other, (input - 1) / (output - 1) pixels
        /// apart; else the edges do, and positions beyond the outer centers take the outer pixels.
        align_corners: bool,
    },
}

impl Interpolation {
    /// Along one axis of `input` pixels, the one or two that pixel `at` of `output` pixels is made of, with their weights,
    /// none of them 0.
    pub fn terms(self, input: usize, output: usize, at: usize) -> Vec<(usize, f64)> {
        if input == 0 || output == 0 {
            return Vec::new();
        }
        match self {
            Self::Nearest => vec![(nearest(input, output, at), 1.0)],
            Self::Bilinear { align_corners: true } => between(input, at * (input - 1), output.max(2) - 1),
            Self::Bilinear { align_corners: false } => {
                between(input, ((2 * at + 1) * input).saturating_sub(output), 2 * output)
            }
        }
    }
}

fn nearest(input: usize, output: usize, at: usize) -> usize {
    let scale = input as f32 / output as f32;
    ((at as f32 * scale) as usize).min(input - 1)
}

/// The pixels before and after `numerator` / `denominator`, the last one standing for all after it.
fn between(input: usize, numerator: usize, denominator: usize) -> Vec<(usize, f64)> {
    let (before, rest) = (numerator / denominator, numerator % denominator);
    if rest == 0 || before + 1 >= input {
        return vec![(before.min(input - 1), 1.0)];
    }
    let share = |part: usize| part as f64 / denominator as f64;
    vec![(before, share(denominator - rest)), (before + 1, share(rest))]
}

/// `x` (N, C, H, W) with images of `size` (rows, columns): (N, C, `size`). PyTorch's `interpolate` to a given size, up to
/// rounding, except that a pixel of weight 0 does not count even where it is NaN or infinite.
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) unless there are four dimensions, and positions before and after,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn upsample2d(x: &Tensor, size: [usize; 2], how: Interpolation) -> Result<Tensor> {
    const OP: &str = "upsample2d";
    let terms = |input, output, at| how.terms(input, output, at);
    by_dtype!(OP, x, resample(OP, x, size, terms))
}

/// The gradient of [`upsample2d`] with respect to its input of shape `input`, `grad` being (N, C, `size`).
///
/// # Errors
/// As [`upsample2d`].
pub fn upsample2d_backward(grad: &Tensor, input: &[usize], how: Interpolation) -> Result<Tensor> {
    const OP: &str = "upsample2d_backward";
    let terms = |input, output, at| how.terms(input, output, at);
    by_dtype!(OP, grad, resample_backward(OP, grad, input, terms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{list, noise, tensor64, to_f32};

    const CORNERS: Interpolation = Interpolation::Bilinear { align_corners: true };
    const EDGES: Interpolation = Interpolation::Bilinear { align_corners: false };

    // PyTorch 2.13: F.interpolate(torch.arange(6.).view(1, 1, 2, 3)**2, size=(3, 5), mode=..., align_corners=...)
    #[test]
    fn values_are_pytorchs() {
        let x = tensor64(&[0.0, 1.0, 4.0, 9.0, 16.0, 25.0], &[1, 1, 2, 3]);
        let nearest = [0.0, 0.0, 1.0, 1.0, 4.0, 0.0, 0.0, 1.0, 1.0, 4.0, 9.0, 9.0, 16.0, 16.0, 25.0];
        let edges = [0.0, 0.4, 1.0, 2.8, 4.0, 4.5, 6.1, 8.5, 12.1, 14.5, 9.0, 11.8, 16.0, 21.4, 25.0];
        let corners = [0.0, 0.5, 1.0, 2.5, 4.0, 4.5, 6.5, 8.5, 11.5, 14.5, 9.0, 12.5, 16.0, 20.5, 25.0];
        for (how, expected) in [(Interpolation::Nearest, nearest), (EDGES, edges), (CORNERS, corners)] {
            let y = list(&upsample2d(&x, [3, 5], how).unwrap());
            assert!(y.iter().zip(expected).all(|(y, e)| (y - e).abs() < 1e-12), "{how:?}: {y:?}");
        }
        // To size (1, 2).
        for (how, expected) in [(Interpolation::Nearest, [0.0, 1.0]), (EDGES, [5.5, 13.0]), (CORNERS, [0.0, 4.0])] {
            assert_eq!(list(&upsample2d(&x, [1, 2], how).unwrap()), expected);
        }
    }

    // PyTorch 2.13: F.interpolate(torch.arange(14.).view(1, 1, 1, 14), size=(1, 46)).flatten()[23] is 6, though 23 * 14
    // / 46 is 7; and so on. Of all sizes up to 64 by 64 there are 15 such pairs.
    #[test]
    fn nearest_is_pytorchs_to_the_last_bit() {
        for (input, output, at, expected) in [(14, 46, 23, 6), (26, 22, 11, 12), (26, 44, 22, 12)] {
            assert_eq!(nearest(input, output, at), expected);
        }
        let sizes = || (1..65).flat_map(|input| (1..65).map(move |output| (input, output)));
        let exact =
            |&(input, output): &(usize, usize)| (0..output).all(|at| nearest(input, output, at) == at * input / output);
        assert_eq!(sizes().count() - sizes().filter(exact).count(), 15);
    }

    /// Of all pixels, each weighted by a hat of width 1 around the position, which stays within the outer centers.
    fn by_hats(x: &Tensor, size: [usize; 2], align_corners: bool) -> (Vec<f64>, Vec<f64>) {
        let (n, c, h, w) = x.dims4().unwrap();
        let hat = |input: usize, output: usize, at: usize, pixel: usize| {
            let (input, output, at) = (input as f64, output as f64, at as f64);
            let position = match align_corners {
                true if output > 1.0 => at * (input - 1.0) / (output - 1.0),
                true => 0.0,
                false => (at + 0.5) * input / output - 0.5,
            };
            (1.0 - (position.clamp(0.0, input - 1.0) - pixel as f64).abs()).max(0.0)
        };
        let images = list(x);
        let images = images.chunks_exact(h * w);
        let (mut sums, mut sizes) = (Vec::new(), Vec::new());
        assert_eq!(images.len(), n * c);
        for image in images {
            for (row, column) in (0..size[0]).flat_map(|row| (0..size[1]).map(move |column| (row, column))) {
                let term = |(at, x): (usize, &f64)| hat(h, size[0], row, at / w) * hat(w, size[1], column, at % w) * x;
                sums.push(image.iter().enumerate().map(term).sum::<f64>());
                sizes.push(image.iter().enumerate().map(|term_of| term(term_of).abs()).sum::<f64>());
            }
        }
        (sums, sizes)
    }

    #[test]
    fn bilinear_is_the_definition() {
        let cases = [
            ([2, 3, 4, 5], [7, 9]),
            ([1, 2, 9, 7], [4, 3]),
            ([1, 18, 13, 8], [29, 5]),
            ([1, 2, 1, 5], [4, 1]),
            ([1, 1, 40, 1], [33, 2]),
        ];
        for ((shape, size), align_corners) in cases.into_iter().flat_map(|case| [(case, true), (case, false)]) {
            let x = noise(&shape, 1);
            for (x, eps) in [(x.clone(), f64::EPSILON), (to_f32(&x), f32::EPSILON.into())] {
                let y = upsample2d(&x, size, Interpolation::Bilinear { align_corners }).unwrap();
                let (sums, sizes) = by_hats(&x, size, align_corners);
                for ((y, sum), size) in list(&y).into_iter().zip(sums).zip(sizes) {
                    // The definition's own positions are off by eps times their size.
                    let error = 4.0 * eps * size + 100.0 * f64::EPSILON;
                    assert!((y - sum).abs() <= error, "{y} where the definition gives {sum}");
                }
            }
        }
    }
}
