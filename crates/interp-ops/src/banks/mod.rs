//! Banks of handcrafted filters.
//!
//! A bank is made of convolution weights (filters, channels, k, k), `f64` on the CPU. Every filter has unit length, and mean 0:
//! it says nothing of a picture that is the same everywhere. Of several channels it looks at the sum, that of gray
//! (the direction 1, 1, 1). Its middle is that of the kernel; x grows to the right and y downward, in pixels. A [`Wavelet`] is an
//! orthonormal basis, of which one filter has what is low.

mod gabor;
mod gaussian;
mod opponent;
mod wavelets;

pub use gabor::gabor;
pub use gaussian::gaussian_derivatives;
pub use opponent::opponent_axes;
pub use wavelets::{Wavelet, wavelet};

use candle_core::{Device, Tensor};

use crate::{OpError, Result};

/// Functions of (x, y) as filters of `side` x `side` pixels, the same for each of `channels`.
fn sampled(op: &'static str, filters: &[impl Fn(f64, f64) -> f64], channels: usize, side: usize) -> Result<Tensor> {
    if channels == 0 || side < 3 {
        let given = format!("{channels} channels and filters of {side} x {side} pixels");
        return Err(OpError::Value { op, given, expected: "a channel and 3 x 3 pixels, or more".into() });
    }
    let at = |cell: usize| cell as f64 - (side - 1) as f64 / 2.0;
    let sample = |filter: &dyn Fn(f64, f64) -> f64| {
        let plane: Vec<f64> = (0..side * side).map(|i| filter(at(i % side), at(i / side))).collect();
        unit(plane, channels)
    };
    let weights: Vec<f64> = filters.iter().flat_map(|filter| sample(filter).repeat(channels)).collect();
    Ok(Tensor::from_vec(weights, (filters.len(), channels, side, side), &Device::Cpu)?)
}

/// The plane with its mean taken out, so long that `channels` of them have unit length.
fn unit(mut plane: Vec<f64>, channels: usize) -> Vec<f64> {
    let mean = plane.iter().sum::<f64>() / plane.len() as f64;
    plane.iter_mut().for_each(|w| *w -= mean);
    let length = (channels as f64 * plane.iter().map(|w| w * w).sum::<f64>()).sqrt();
    plane.iter_mut().for_each(|w| *w /= length);
    plane
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{list, tensor64};
    use crate::{Conv2d, conv2d};

    /// What every filter of a bank says of one picture of its own size, of which each channel is `picture(x, y)`.
    pub(super) fn responses(bank: &Tensor, picture: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let (_, channels, side, _) = bank.dims4().unwrap();
        let at = |cell: usize| cell as f64 - (side - 1) as f64 / 2.0;
        let plane: Vec<f64> = (0..side * side).map(|i| picture(at(i % side), at(i / side))).collect();
        let picture = tensor64(&plane.repeat(channels), &[1, channels, side, side]);
        list(&conv2d(&picture, bank, None, &Conv2d::default()).unwrap())
    }

    fn banks(channels: usize, side: usize) -> [Tensor; 2] {
        [gabor(channels, side).unwrap(), gaussian_derivatives(channels, side).unwrap()]
    }

    // A constant picture gives 0.
    #[test]
    fn filters_have_unit_length_and_say_nothing_of_a_constant_picture() {
        for (channels, side) in [(1, 3), (3, 3), (3, 5), (1, 8)] {
            for bank in banks(channels, side) {
                assert_eq!(bank.dims()[1..], [channels, side, side]);
                assert!(responses(&bank, |_, _| 7.0).iter().all(|r| r.abs() < 1e-12));
                for filter in list(&bank).chunks(channels * side * side) {
                    assert!((filter.iter().map(|w| w * w).sum::<f64>() - 1.0).abs() < 1e-12);
                }
            }
        }
    }

    // Gray of brightness v has the length sqrt(3) v along (1, 1, 1), so that a filter of three channels says sqrt(3) times
    // what that of one channel says.
    #[test]
    fn of_several_channels_they_see_gray() {
        let wave = |x: f64, y: f64| (x + 0.3 * y).sin();
        for (one, three) in banks(1, 5).iter().zip(&banks(3, 5)) {
            for (one, three) in responses(one, wave).iter().zip(responses(three, wave)) {
                assert!((three - 3f64.sqrt() * one).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn kernels_without_room_are_refused() {
        for (channels, side) in [(1, 2), (1, 1), (3, 0), (0, 5)] {
            assert!(matches!(gabor(channels, side), Err(OpError::Value { .. })));
            assert!(matches!(gaussian_derivatives(channels, side), Err(OpError::Value { .. })));
        }
    }
}
