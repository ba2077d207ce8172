//! Derivatives of a Gaussian: edges, bars and spots.

use candle_core::Tensor;

use super::sampled;
use crate::Result;

/// How much wider the surround of a spot is than its center.
const SURROUND: f64 = 1.6;

/// The 6 filters that answer to a slope along x and y, to a curvature along x, along both and along y, and to a spot that is lighter
/// than what is around it: with `G = exp(-(x^2 + y^2) / 2)`, of standard deviation 1 pixel, `x G`, `y G`, `(x^2 - 1) G`, `x y G`,
/// `(y^2 - 1) G`, and the difference of `G` and a Gaussian 1.6 times as wide of the same volume, nearly the Laplacian of a Gaussian with
/// the sign changed (Marr and Hildreth 1980). First derivatives of every direction are sums of the first two, second ones of
/// the next three (Freeman and Adelson 1991). Slopes rise to the right and downward.
///
/// # Errors
/// [`OpError::Value`](crate::OpError::Value) where `side` is below 3.
pub fn gaussian_derivatives(channels: usize, side: usize) -> Result<Tensor> {
    let filters: [fn(f64, f64) -> f64; 6] = [
        |x, y| x * gaussian(x, y, 1.0),
        |x, y| y * gaussian(x, y, 1.0),
        |x, y| (x * x - 1.0) * gaussian(x, y, 1.0),
        |x, y| x * y * gaussian(x, y, 1.0),
        |x, y| (y * y - 1.0) * gaussian(x, y, 1.0),
        |x, y| gaussian(x, y, 1.0) - gaussian(x, y, SURROUND) / (SURROUND * SURROUND),
    ];
    sampled("gaussian_derivatives", &filters, channels, side)
}

fn gaussian(x: f64, y: f64, sigma: f64) -> f64 {
    (-(x * x + y * y) / (2.0 * sigma * sigma)).exp()
}

#[cfg(test)]
mod tests {
    use super::super::tests::responses;
    use super::*;
    use crate::testing::list;

    // By symmetry: a slope is seen by the filter of its own direction alone, and a saddle x y by that of both directions.
    #[test]
    fn each_filter_answers_to_its_own_derivative() {
        for side in [3, 5, 6] {
            let bank = gaussian_derivatives(1, side).unwrap();
            let only = |picture: fn(f64, f64) -> f64, own: usize| {
                for (index, response) in responses(&bank, picture).into_iter().enumerate() {
                    assert!(if index == own { response > 0.1 } else { response.abs() < 1e-12 }, "{index}: {response}");
                }
            };
            only(|x, _| x, 0);
            only(|_, y| y, 1);
            only(|x, y| x * y, 3);
            let bowl = responses(&bank, |x, y| x * x + y * y);
            assert!((bowl[2] - bowl[4]).abs() < 1e-12 && bowl[2] > 0.1 && bowl[5] < -0.1, "{bowl:?}");
        }
    }

    // exp(-1/2) beside the middle and exp(-1) in the corners, of length 2 sqrt(e^-1 / 2 + e^-2).
    #[test]
    fn the_slope_by_hand() {
        let filter = list(&gaussian_derivatives(1, 3).unwrap().get(0).unwrap());
        let length = (2.0 * (-1f64).exp() + 4.0 * (-2f64).exp()).sqrt();
        let [side, corner] = [-0.5f64, -1.0].map(|e| e.exp() / length);
        let expected = [-corner, 0.0, corner, -side, 0.0, side, -corner, 0.0, corner];
        assert!(filter.iter().zip(expected).all(|(w, expected)| (w - expected).abs() < 1e-12), "{filter:?}");
    }
}
