//! Attention: what a network sees, times how much it is to count.

use crate::Result;
use crate::memory::{Dense, expect_shape, numbers, rounded, tensor, wrong_shape};
use crate::real::{Real, by_dtype};
use candle_core::Tensor;
use rayon::prelude::*;

/// The gradients of [`multiply`].
#[derive(Debug, Clone)]
pub struct MultiplyGrads {
    /// The gradient with respect to what is weighed, of its shape.
    pub input: Tensor,
    /// The gradient with respect to the weights, of their shape.
    pub weights: Tensor,
}

/// `y_ncp = x_ncp w`: every number of `x`, (N, C, H, W) or (N, C), times its weight. The weights are of the shape of `x`, or one for each
/// position (N, 1, H, W), or one for each channel (N, C).
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) where the weights are of none of these shapes,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn multiply(x: &Tensor, weights: &Tensor) -> Result<Tensor> {
    by_dtype!("multiply", x, forward(x, weights))
}

/// The gradients of [`multiply`]: `grad w` for what is weighed, and for each weight the sum of `grad x` over what it weighs.
///
/// # Errors
/// As [`multiply`], and where the shapes differ.
pub fn multiply_backward(x: &Tensor, weights: &Tensor, grad: &Tensor) -> Result<MultiplyGrads> {
    expect_shape("multiply_backward", "grad", grad, x.dims())?;
    by_dtype!("multiply_backward", x, backward(x, weights, grad))
}

/// What has a weight of its own.
#[derive(Clone, Copy)]
enum Each {
    Number,
    Position,
    Channel,
}

/// How weights lie beside what they weigh, as both lie in memory: (N, positions, channels).
struct Layout {
    each: Each,
    channels: usize,
    /// Numbers of a picture.
    picture: usize,
    /// Weights of a picture.
    weights: usize,
}

impl Layout {
    fn of(op: &'static str, x: &Tensor, weights: &Tensor) -> Result<Self> {
        let (channels, positions, each) = match (x.dims(), weights.dims()) {
            (&[n, c, h, w], &[m, 1, p, q]) if c > 1 && (n, h, w) == (m, p, q) => (c, h * w, Each::Position),
            (&[n, c, h, w], &[m, d]) if (n, c) == (m, d) => (c, h * w, Each::Channel),
            (&[_, c, h, w], other) if *other == *x.dims() => (c, h * w, Each::Number),
            (&[_, c], other) if *other == *x.dims() => (c, 1, Each::Number),
            (x, other) => {
                let expected = "weights of the shape of x, (N, 1, H, W) or (N, C), for x (N, C, H, W) or (N, C)";
                return Err(wrong_shape(op, format!("x {x:?}, weights {other:?}"), expected));
            }
        };
        let picture = channels * positions;
        let weights = match each {
            Each::Number => picture,
            Each::Position => positions,
            Each::Channel => channels,
        };
        Ok(Self { each, channels: channels.max(1), picture: picture.max(1), weights: weights.max(1) })
    }

    /// The weight of the number at `at` of a picture.
    fn weight(&self, at: usize) -> usize {
        match self.each {
            Each::Number => at,
            Each::Position => at / self.channels,
            Each::Channel => at % self.channels,
        }
    }

    /// Each number of a picture times its weight.
    fn weighed<T: Real>(&self, values: &[T], weights: &[T]) -> Vec<T> {
        let mut out = values.to_vec();
        out.par_chunks_mut(self.picture).zip(weights.par_chunks(self.weights)).for_each(|(picture, weights)| {
            picture.iter_mut().enumerate().for_each(|(at, x)| *x *= weights[self.weight(at)]);
        });
        out
    }
}

fn forward<T: Real>(x: &Tensor, weights: &Tensor) -> Result<Tensor> {
    const OP: &str = "multiply";
    let layout = Layout::of(OP, x, weights)?;
    let (dense_x, dense_weights) = (Dense::new::<T>(OP, x)?, Dense::new::<T>(OP, weights)?);
    let ((storage_x, layout_x), (storage_w, layout_w)) = (dense_x.storage(), dense_weights.storage());
    tensor(layout.weighed(numbers::<T>(&storage_x, layout_x)?, numbers::<T>(&storage_w, layout_w)?), x.dims())
}

fn backward<T: Real>(x: &Tensor, weights: &Tensor, grad: &Tensor) -> Result<MultiplyGrads> {
    const OP: &str = "multiply_backward";
    let layout = Layout::of(OP, x, weights)?;
    let dense = [Dense::new::<T>(OP, x)?, Dense::new::<T>(OP, weights)?, Dense::new::<T>(OP, grad)?];
    let [(storage_x, layout_x), (storage_w, layout_w), (storage_g, layout_g)] = dense.each_ref().map(Dense::storage);
    let (values, grads) = (numbers::<T>(&storage_x, layout_x)?, numbers::<T>(&storage_g, layout_g)?);
    let by = numbers::<T>(&storage_w, layout_w)?;
    let mut sums = vec![0.0; by.len()];
    let pictures = values.par_chunks(layout.picture).zip(grads.par_chunks(layout.picture));
    sums.par_chunks_mut(layout.weights).zip(pictures).for_each(|(sums, (values, grads))| {
        values
            .iter()
            .zip(grads)
            .enumerate()
            .for_each(|(at, (x, g))| sums[layout.weight(at)] += x.to_f64() * g.to_f64());
    });
    let input = tensor(layout.weighed(grads, by), x.dims())?;
    Ok(MultiplyGrads { input, weights: rounded::<T>(&sums, weights.dims())? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpError;
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64, to_f32};

    // Two channels of two positions: 1, 2 and 3, 4.
    #[test]
    fn by_hand() {
        let x = tensor64(&[1.0, 2.0, 3.0, 4.0], &[1, 2, 1, 2]);
        let of_positions = tensor64(&[10.0, 100.0], &[1, 1, 1, 2]);
        assert_eq!(list(&multiply(&x, &of_positions).unwrap()), [10.0, 200.0, 30.0, 400.0]);
        let of_channels = tensor64(&[10.0, 100.0], &[1, 2]);
        assert_eq!(list(&multiply(&x, &of_channels).unwrap()), [10.0, 20.0, 300.0, 400.0]);
        assert_eq!(list(&multiply(&x, &x).unwrap()), [1.0, 4.0, 9.0, 16.0]);
        let grad = tensor64(&[1.0; 4], &[1, 2, 1, 2]);
        let found = multiply_backward(&x, &of_positions, &grad).unwrap();
        assert_eq!((list(&found.input), list(&found.weights)), (vec![10.0, 100.0, 10.0, 100.0], vec![4.0, 6.0]));
        let found = multiply_backward(&x, &of_channels, &grad).unwrap();
        assert_eq!(list(&found.weights), [3.0, 7.0]);
    }

    const SHAPES: [[&[usize]; 2]; 6] = [
        [&[2, 3, 2, 4], &[2, 3, 2, 4]],
        [&[2, 3, 2, 4], &[2, 1, 2, 4]],
        [&[2, 3, 2, 4], &[2, 3]],
        [&[2, 1, 2, 4], &[2, 1, 2, 4]],
        [&[2, 1, 2, 4], &[2, 1]],
        [&[2, 3], &[2, 3]],
    ];

    #[test]
    fn gradients_are_central_differences() {
        for [shape, of_weights] in SHAPES {
            let (x, weights, upstream) = (noise(shape, 1), noise(of_weights, 2), noise(shape, 3));
            let found = multiply_backward(&x, &weights, &upstream).unwrap();
            assert_gradient(&x, &upstream, &found.input, |x| multiply(x, &weights).unwrap());
            assert_gradient(&weights, &upstream, &found.weights, |weights| multiply(&x, weights).unwrap());
        }
    }

    #[test]
    fn layout_batch_and_threads_do_not_matter() {
        let (x, upstream) = (noise(&[9, 3, 5, 4], 1), to_f32(&noise(&[9, 3, 5, 4], 3)));
        for of_weights in [&[9, 3, 5, 4][..], &[9, 1, 5, 4], &[9, 3]] {
            let weights = noise(of_weights, 2);
            let y = multiply(&x, &weights).unwrap();
            assert!(y.permute((0, 2, 3, 1)).unwrap().is_contiguous());
            assert!(layouts(&x).iter().all(|x| bits(&multiply(x, &weights).unwrap()) == bits(&y)));
            let part = multiply(&x.narrow(0, 4, 2).unwrap(), &weights.narrow(0, 4, 2).unwrap()).unwrap();
            assert_eq!(bits(&part), bits(&y.narrow(0, 4, 2).unwrap()));
            let (x, weights) = (to_f32(&x), to_f32(&weights));
            assert_same_on_all_threads(|| {
                let found = multiply_backward(&x, &weights, &upstream).unwrap();
                vec![multiply(&x, &weights).unwrap(), found.input, found.weights]
            });
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(multiply(&noise(&[0, 3, 2, 2], 1), &noise(&[0, 3], 1)).unwrap().dims(), [0, 3, 2, 2]);
        for (x, weights) in [(&[2, 3][..], &[2, 2][..]), (&[2, 3, 2, 2], &[2, 1, 2, 3]), (&[2, 3, 2, 2], &[1, 3])] {
            assert!(matches!(multiply(&noise(x, 1), &noise(weights, 1)), Err(OpError::Shape { .. })));
        }
    }
}
