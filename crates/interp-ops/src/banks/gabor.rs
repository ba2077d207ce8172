//! Gabor filters: waves of one direction under a Gaussian window.

use std::f64::consts::PI;

use candle_core::Tensor;

use super::sampled;
use crate::Result;

/// Directions, an eighth of a half turn apart.
const DIRECTIONS: usize = 8;
/// Pixels in a period of the wave.
const WAVELENGTH: f64 = 4.0;
/// Standard deviation of the window in pixels.
const SIGMA: f64 = 2.0;

/// The 16 filters `exp(-(x'^2 + y'^2) / (2 sigma^2)) cos(2 pi x' / lambda + psi)` with `x' = x cos theta + y sin theta` and
/// `y' = -x sin theta + y cos theta`: for each theta = 0, pi/8, ..., 7 pi/8, along which the wave runs, the even one (psi = 0) and
/// then the odd one (psi = pi/2). lambda = 4 and sigma = 2 pixels, the finest scale of GaborNet's first values (Alekseev and Bobe
/// 2019, arXiv 1904.13204); the formula is Daugman's (1985) with a round window.
///
/// # Errors
/// [`OpError::Value`](crate::OpError::Value) where `side` is below 3.
pub fn gabor(channels: usize, side: usize) -> Result<Tensor> {
    let thetas = (0..DIRECTIONS).map(|direction| direction as f64 * PI / DIRECTIONS as f64);
    let filters = thetas.flat_map(|theta| [0.0, PI / 2.0].map(|psi| move |x, y| value(x, y, theta, psi)));
    sampled("gabor", &filters.collect::<Vec<_>>(), channels, side)
}

fn value(x: f64, y: f64, theta: f64, psi: f64) -> f64 {
    let (sin, cos) = theta.sin_cos();
    let (along, across) = (x * cos + y * sin, y * cos - x * sin);
    let window = (-(along * along + across * across) / (2.0 * SIGMA * SIGMA)).exp();
    window * (2.0 * PI * along / WAVELENGTH + psi).cos()
}

#[cfg(test)]
mod tests {
    use super::super::tests::responses;
    use super::*;
    use crate::testing::list;

    // cos psi at the origin; psi = 0 is even, psi = pi/2 odd.
    #[test]
    fn closed_forms() {
        for (theta, psi) in [(0.0, 0.0), (0.4, 1.1), (2.0, PI / 2.0), (1.0, PI)] {
            assert!((value(0.0, 0.0, theta, psi) - f64::cos(psi)).abs() < 1e-12);
        }
        // A quarter of a period along the wave, and two pixels across it where the wave is 1.
        assert!(value(1.0, 0.0, 0.0, 0.0).abs() < 1e-12);
        assert!((value(0.0, 2.0, 0.0, 0.0) - (-0.5f64).exp()).abs() < 1e-12);
        for (x, y, theta) in [(1.0, 0.0, 0.3), (2.0, -1.0, 1.2), (0.5, 1.5, 2.5)] {
            assert!((value(x, y, theta, 0.0) - value(-x, -y, theta, 0.0)).abs() < 1e-12);
            assert!((value(x, y, theta, PI / 2.0) + value(-x, -y, theta, PI / 2.0)).abs() < 1e-12);
        }
    }

    // Turned about its middle, an even filter stays as it is and an odd one changes its sign, after the mean was taken out too.
    #[test]
    fn even_and_odd_filters_take_turns() {
        for (index, filter) in list(&gabor(1, 5).unwrap()).chunks(25).enumerate() {
            let sign = if index % 2 == 0 { 1.0 } else { -1.0 };
            assert!(filter.iter().zip(filter.iter().rev()).all(|(w, turned)| (w - sign * turned).abs() < 1e-12));
        }
    }

    // The direction that answers most to a grating is the grating's; whatever its phase, by the sum of squares of
    // the even and the odd filter, and in the phase of the even filter by that alone.
    #[test]
    fn a_grating_is_answered_by_its_own_direction() {
        let largest = |values: Vec<f64>| (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap();
        for side in [3, 5, 7] {
            let bank = gabor(1, side).unwrap();
            for direction in 0..DIRECTIONS {
                let (sin, cos) = (direction as f64 * PI / 8.0).sin_cos();
                let to = |phase: f64| responses(&bank, |x, y| (PI / 2.0 * (x * cos + y * sin) + phase).cos());
                assert_eq!(largest(to(0.0).chunks(2).map(|pair| pair[0]).collect()), direction);
                for phase in 0..16 {
                    let energies =
                        to(f64::from(phase) * PI / 8.0).chunks(2).map(|p| p[0] * p[0] + p[1] * p[1]).collect();
                    assert_eq!(largest(energies), direction, "phase {phase}, {side} pixels");
                }
            }
        }
    }
}
