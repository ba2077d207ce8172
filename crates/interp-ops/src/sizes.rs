//! The size of numbers: their absolute sum, with its gradient, and how many are zero.

use crate::Result;
use crate::memory::{Dense, numbers, tensor};
use crate::real::{Real, by_dtype};
use candle_core::Tensor;
use rayon::prelude::*;

/// Numbers that one task treats.
const CHUNK: usize = 1 << 14;

/// What [`sizes`] finds.
#[derive(Debug, Clone)]
pub struct Sizes {
    /// sum |x|.
    pub sum: f64,
    /// How many are exactly 0.
    pub zeros: usize,
    /// `scale * sign(x)`, 0 where x is 0 or NaN: the gradient of `scale * sum |x|`.
    pub gradient: Tensor,
}

/// The sum of the absolute values of a tensor of any rank, the number of zeros, and the gradient of `scale` times the sum, in
/// one pass.
///
/// # Errors
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn sizes(x: &Tensor, scale: f64) -> Result<Sizes> {
    by_dtype!("sizes", x, sizes_of(x, scale))
}

fn sizes_of<T: Real>(x: &Tensor, scale: f64) -> Result<Sizes> {
    let dense = Dense::new::<T>("sizes", x)?;
    let (storage, layout) = dense.storage();
    let values = numbers::<T>(&storage, layout)?;
    let (up, mut gradient) = (T::from_f64(scale), vec![T::zero(); values.len()]);
    let chunks = gradient.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK));
    let parts: Vec<(f64, usize)> = chunks.map(|(gradient, values)| chunk_sizes(gradient, values, up)).collect();
    let (sum, zeros) = parts.iter().fold((0.0, 0), |(sum, zeros), part| (sum + part.0, zeros + part.1));
    Ok(Sizes { sum, zeros, gradient: tensor(gradient, x.dims())? })
}

/// Writes the gradient of a chunk; its absolute sum and zeros.
fn chunk_sizes<T: Real>(gradient: &mut [T], values: &[T], up: T) -> (f64, usize) {
    let (mut sum, mut zeros) = (0.0, 0);
    for (gradient, &x) in gradient.iter_mut().zip(values) {
        zeros += usize::from(x == T::zero());
        if x > T::zero() {
            *gradient = up;
        } else if x < T::zero() {
            *gradient = T::zero() - up;
        }
        sum += x.to_f64().abs();
    }
    (sum, zeros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64, to_f32};

    #[test]
    fn by_hand() {
        let found = sizes(&tensor64(&[3.0, -0.5, 0.0, -0.0, 2.0], &[5]), 0.25).unwrap();
        assert_eq!((found.sum, found.zeros), (5.5, 2));
        assert_eq!(list(&found.gradient), [0.25, -0.25, 0.0, 0.0, 0.25]);
        let found = sizes(&tensor64(&[f64::NAN, 1.0], &[2]), 1.0).unwrap();
        assert!(found.sum.is_nan() && found.zeros == 0);
        assert_eq!(list(&found.gradient), [0.0, 1.0]);
    }

    #[test]
    fn the_gradient_is_central_differences() {
        let x = noise(&[2, 3, 4, 5], 1);
        let found = sizes(&x, 0.7).unwrap().gradient;
        let value = |x: &Tensor| tensor64(&[0.7 * sizes(x, 1.0).unwrap().sum], &[1]);
        assert_gradient(&x, &tensor64(&[1.0], &[1]), &found, value);
    }

    #[test]
    fn layout_and_threads_do_not_matter() {
        let x = noise(&[5, 20, 30, 31], 1);
        let found = sizes(&x, 0.3).unwrap();
        for x in layouts(&x) {
            let other = sizes(&x, 0.3).unwrap();
            assert_eq!(
                (other.sum, other.zeros, bits(&other.gradient)),
                (found.sum, found.zeros, bits(&found.gradient))
            );
        }
        let x = to_f32(&x);
        assert_same_on_all_threads(|| {
            let found = sizes(&x, 0.3).unwrap();
            vec![found.gradient, tensor64(&[found.sum], &[1])]
        });
    }
}
