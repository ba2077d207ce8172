//! Soft thresholding: numbers near zero become zero, the others come closer to it.
#![allow(unsafe_code)]

use crate::Result;
use crate::channels::{chunk_of, per_channel, row_of, with_channel};
use crate::memory::{Dense, expect_shape, numbers, rounded, tensor, wrong_shape};
use crate::real::{Real, by_dtype, simd};
use crate::sums::total;
use candle_core::Tensor;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Gradients of [`soft_threshold`].
#[derive(Debug, Clone)]
pub struct SoftThresholdGrads {
    /// With respect to the input, of its shape, where wanted.
    pub input: Option<Tensor>,
    /// With respect to the thresholds (C).
    pub theta: Tensor,
}

/// y = sign(x) max(|x| - theta, 0) with a threshold for each channel: `x` (N, C, H, W) or (N, C), `theta` (C). The
/// proximal map of theta |x| (Donoho 1995, "De-noising by soft-thresholding", eq. 1).
///
/// A threshold of 0 leaves x as it is. One below 0 is not refused: it moves every number but 0 away from 0, by |theta|.
/// Where x or theta is NaN, so is y.
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) where the shapes do not fit,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn soft_threshold(x: &Tensor, theta: &Tensor) -> Result<Tensor> {
    by_dtype!("soft_threshold", x, forward(x, theta))
}

/// The gradients of [`soft_threshold`], from its `output`: with respect to x, `grad` where |x| > theta and else 0, so at
/// the threshold it is 0; with respect to theta, the sum over the channel of -sign(x) `grad` where |x| > theta. With a
/// threshold of 0 or below, `grad` passes at x = 0 too, as through the identity. Where `output` is NaN, `grad` passes,
/// and the threshold's gradient is NaN.
///
/// # Errors
/// As [`soft_threshold`].
pub fn soft_threshold_backward(
    output: &Tensor,
    theta: &Tensor,
    grad: &Tensor,
    input_wanted: bool,
) -> Result<SoftThresholdGrads> {
    by_dtype!("soft_threshold_backward", output, backward(output, theta, grad, input_wanted))
}

fn channels(op: &'static str, x: &Tensor) -> Result<usize> {
    match *x.dims() {
        [_, c] | [_, c, _, _] => Ok(c),
        _ => Err(wrong_shape(op, format!("x {:?}", x.dims()), "(N, C, H, W) or (N, C)")),
    }
}

fn forward<T: Real>(x: &Tensor, theta: &Tensor) -> Result<Tensor> {
    const OP: &str = "soft_threshold";
    let theta = per_channel::<T>(OP, "theta", theta, channels(OP, x)?)?;
    let dense = Dense::new::<T>(OP, x)?;
    let (storage, layout) = dense.storage();
    tensor(with_channel(numbers::<T>(&storage, layout)?, &theta, shrunk), x.dims())
}

/// Comparisons with NaN are false, so that it takes the way through the difference.
#[inline(always)]
fn shrunk<T: Real>(x: T, theta: T) -> T {
    let edge = if theta < T::zero() { T::zero() } else { theta };
    let toward_zero = if x < T::zero() { x + theta } else { x - theta };
    if x <= edge && T::zero() - x <= edge { T::zero() } else { toward_zero }
}

fn backward<T: Real>(output: &Tensor, theta: &Tensor, grad: &Tensor, input_wanted: bool) -> Result<SoftThresholdGrads> {
    const OP: &str = "soft_threshold_backward";
    let channels = channels(OP, output)?;
    expect_shape(OP, "grad", grad, output.dims())?;
    let theta = per_channel::<T>(OP, "theta", theta, channels)?;
    let (dense_output, dense_grad) = (Dense::new::<T>(OP, output)?, Dense::new::<T>(OP, grad)?);
    let ((storage, layout), (storage_grad, layout_grad)) = (dense_output.storage(), dense_grad.storage());
    let (outputs, grads) = (numbers::<T>(&storage, layout)?, numbers::<T>(&storage_grad, layout_grad)?);
    let (input, sums) = gradients(outputs, grads, &theta, input_wanted);
    Ok(SoftThresholdGrads {
        input: input.map(|input| tensor(input, output.dims())).transpose()?,
        theta: rounded::<T>(&sums, &[channels])?,
    })
}

/// What passes to the input, if wanted, and the sum for every threshold, while a chunk is in the cache.
fn gradients<T: Real>(outputs: &[T], grads: &[T], theta: &[T], input_wanted: bool) -> (Option<Vec<T>>, Vec<f64>) {
    let row = row_of(theta);
    let chunk = chunk_of(row.len());
    let parts = outputs.par_chunks(chunk).zip(grads.par_chunks(chunk));
    if !input_wanted {
        let sums: Vec<Vec<T>> = parts.map(|(outputs, grads)| row_sums(outputs, grads, row.len())).collect();
        return (None, by_channel(&total(&sums, row.len()), theta.len()));
    }
    let mut input = Box::new_uninit_slice(outputs.len());
    let chunks = input.par_chunks_mut(chunk).zip(parts).map(|(input, (outputs, grads))| {
        pass(input, outputs, grads, &row);
        row_sums(outputs, grads, row.len())
    });
    let sums: Vec<Vec<T>> = chunks.collect();
    // SAFETY: the three have one length and are cut alike, so `pass` has written every element.
    let input = unsafe { input.assume_init() }.into_vec();
    (Some(input), by_channel(&total(&sums, row.len()), theta.len()))
}

/// Writes what of `grads` passes through a chunk to its input.
fn pass<T: Real>(input: &mut [MaybeUninit<T>], outputs: &[T], grads: &[T], row: &[T]) {
    simd(
        #[inline(always)]
        || {
            let rows = outputs.chunks(row.len()).zip(grads.chunks(row.len()));
            for (input, (outputs, grads)) in input.chunks_mut(row.len()).zip(rows) {
                for (((input, &y), &g), &theta) in input.iter_mut().zip(outputs).zip(grads).zip(row) {
                    input.write(if y == T::zero() && theta > T::zero() { T::zero() } else { g });
                }
            }
        },
    );
}

/// The sums over the rows of a chunk of -sign(y) g, 0 where y is 0 and NaN where it is NaN.
fn row_sums<T: Real>(outputs: &[T], grads: &[T], width: usize) -> Vec<T> {
    let mut sums = vec![T::zero(); width];
    simd(
        #[inline(always)]
        || {
            for (outputs, grads) in outputs.chunks(width).zip(grads.chunks(width)) {
                for ((sum, &y), &g) in sums.iter_mut().zip(outputs).zip(grads) {
                    let signed = if y < T::zero() { g } else { T::zero() - g };
                    let term = if y.is_nan() { y } else { signed };
                    *sum += if y == T::zero() { T::zero() } else { term };
                }
            }
        },
    );
    sums
}

/// From the sums of a row, in which every channel comes several times, to those of the channels.
fn by_channel(row: &[f64], channels: usize) -> Vec<f64> {
    (0..channels).map(|channel| row.iter().skip(channel).step_by(channels).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpError;
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64, to_f32};

    /// Several channels and one, sizes of 1, more channels than a row holds, features.
    const SHAPES: [&[usize]; 7] =
        [&[2, 3, 5, 4], &[1, 1, 1, 1], &[3, 1, 7, 5], &[2, 17, 1, 3], &[2, 600, 1, 1], &[4, 7], &[1, 1]];

    /// Thresholds between 0.05 and 0.45: numbers of [`noise`] on both sides.
    fn thresholds(count: usize) -> Tensor {
        noise(&[count], 3).affine(0.2, 0.25).unwrap()
    }

    /// The definition, in the order of the logical shape.
    fn by_definition(x: &Tensor, theta: &Tensor) -> Vec<f64> {
        let (channels, inner) = (x.dims()[1], x.dims()[2..].iter().product::<usize>());
        let theta = list(theta);
        let shrink = |(index, x): (usize, f64)| {
            let sign = if x == 0.0 { 0.0 } else { x.signum() };
            sign * (x.abs() - theta[index / inner % channels]).max(0.0)
        };
        list(x).into_iter().enumerate().map(shrink).collect()
    }

    // S_1 of -3, -1, 0.5, 2 and its derivatives, by hand.
    #[test]
    fn values_and_derivatives_in_closed_form() {
        let (x, theta) = (tensor64(&[-3.0, -1.0, 0.5, 2.0], &[1, 1, 2, 2]), tensor64(&[1.0], &[1]));
        let y = soft_threshold(&x, &theta).unwrap();
        assert_eq!(list(&y), [-2.0, 0.0, 0.0, 1.0]);
        let grad = |at: usize| {
            let mut upstream = [0.0; 4];
            upstream[at] = 1.0;
            let upstream = tensor64(&upstream, &[1, 1, 2, 2]);
            let grads = soft_threshold_backward(&y, &theta, &upstream, true).unwrap();
            (list(&grads.input.unwrap())[at], list(&grads.theta)[0])
        };
        assert_eq!([0, 1, 2, 3].map(grad), [(1.0, 1.0), (0.0, 0.0), (0.0, 0.0), (1.0, -1.0)]);
    }

    #[test]
    fn a_threshold_of_zero_is_the_identity() {
        let (x, theta) = (tensor64(&[-3.0, 0.0, 0.5, 2.0], &[2, 2]), tensor64(&[0.0, 0.0], &[2]));
        let y = soft_threshold(&x, &theta).unwrap();
        assert_eq!(list(&y), list(&x));
        let upstream = tensor64(&[3.0, 4.0, 5.0, 6.0], &[2, 2]);
        let grads = soft_threshold_backward(&y, &theta, &upstream, true).unwrap();
        assert_eq!(list(&grads.input.unwrap()), list(&upstream));
        assert_eq!(list(&grads.theta), [3.0 - 5.0, -6.0]);
    }

    #[test]
    fn a_threshold_below_zero_moves_away_from_zero() {
        let (x, theta) = (tensor64(&[-3.0, 0.0, 0.5, 2.0], &[4, 1]), tensor64(&[-1.0], &[1]));
        let y = soft_threshold(&x, &theta).unwrap();
        assert_eq!(list(&y), [-4.0, 0.0, 1.5, 3.0]);
        let upstream = tensor64(&[3.0, 4.0, 5.0, 7.0], &[4, 1]);
        let grads = soft_threshold_backward(&y, &theta, &upstream, true).unwrap();
        assert_eq!(list(&grads.input.unwrap()), list(&upstream));
        assert_eq!(list(&grads.theta), [3.0 - 5.0 - 7.0]);
    }

    // Multiples of 1/8: differences are exact.
    #[test]
    fn two_numbers_never_move_apart() {
        let x: Vec<f64> = (-24..=24).map(|i| f64::from(i) / 8.0).collect();
        for theta in [0.0, 0.125, 1.0, 2.5] {
            let y = list(&soft_threshold(&tensor64(&x, &[x.len(), 1]), &tensor64(&[theta], &[1])).unwrap());
            for (i, j) in (0..x.len()).flat_map(|i| (0..i).map(move |j| (i, j))) {
                assert!((y[i] - y[j]).abs() <= (x[i] - x[j]).abs(), "{} and {} at {theta}", x[i], x[j]);
            }
        }
    }

    #[test]
    fn forward_is_the_definition() {
        for shape in SHAPES {
            let (x, theta) = (noise(shape, 1), thresholds(shape[1]));
            assert_eq!(list(&soft_threshold(&x, &theta).unwrap()), by_definition(&x, &theta));
            let (x, theta) = (to_f32(&x), to_f32(&theta));
            let (y, exact) = (list(&soft_threshold(&x, &theta).unwrap()), by_definition(&x, &theta));
            assert!(y.iter().zip(exact).all(|(y, exact)| (y - exact).abs() <= f64::from(f32::EPSILON) * exact.abs()));
        }
    }

    #[test]
    fn gradients_are_central_differences() {
        for shape in SHAPES {
            let (x, theta, upstream) = (noise(shape, 1), thresholds(shape[1]), noise(shape, 2));
            let y = soft_threshold(&x, &theta).unwrap();
            let grads = soft_threshold_backward(&y, &theta, &upstream, true).unwrap();
            assert_gradient(&x, &upstream, &grads.input.unwrap(), |x| soft_threshold(x, &theta).unwrap());
            assert_gradient(&theta, &upstream, &grads.theta, |theta| soft_threshold(&x, theta).unwrap());
            let lone = soft_threshold_backward(&y, &theta, &upstream, false).unwrap();
            assert!(lone.input.is_none());
            assert_eq!(bits(&lone.theta), bits(&grads.theta));
        }
    }

    #[test]
    fn nan_passes_and_infinity_stays() {
        let x = tensor64(&[f64::NAN, f64::INFINITY, 0.1, f64::NEG_INFINITY, 3.0, 4.0], &[2, 3]);
        let theta = tensor64(&[1.0, 1.0, f64::NAN], &[3]);
        let y = soft_threshold(&x, &theta).unwrap();
        let shown: Vec<String> = list(&y).iter().map(f64::to_string).collect();
        assert_eq!(shown, ["NaN", "inf", "NaN", "-inf", "2", "NaN"]);
        let upstream = noise(&[2, 3], 1);
        let grads = soft_threshold_backward(&y, &theta, &upstream, true).unwrap();
        assert_eq!(list(&grads.input.unwrap()), list(&upstream));
        let nan: Vec<bool> = list(&grads.theta).iter().map(|g| g.is_nan()).collect();
        assert_eq!(nan, [true, false, true]);
    }

    #[test]
    fn layout_and_batch_do_not_matter() {
        let (x, theta, grad) = (noise(&[9, 18, 13, 11], 1), thresholds(18), noise(&[9, 18, 13, 11], 2));
        let y = soft_threshold(&x, &theta).unwrap();
        let grads = soft_threshold_backward(&y, &theta, &grad, true).unwrap();
        let input = grads.input.unwrap();
        assert!(y.permute((0, 2, 3, 1)).unwrap().is_contiguous());
        for (x, (output, grad)) in layouts(&x).iter().zip(layouts(&y).iter().zip(&layouts(&grad))) {
            assert_eq!(bits(&soft_threshold(x, &theta).unwrap()), bits(&y));
            let other = soft_threshold_backward(output, &theta, grad, true).unwrap();
            assert_eq!(bits(&other.input.unwrap()), bits(&input));
            assert_eq!(bits(&other.theta), bits(&grads.theta));
        }
        for (start, count) in [(0, 1), (4, 5)] {
            let part = soft_threshold(&x.narrow(0, start, count).unwrap(), &theta).unwrap();
            assert_eq!(bits(&part), bits(&y.narrow(0, start, count).unwrap()));
        }
    }

    #[test]
    fn threads_do_not_matter() {
        let (x, theta, grad) = (noise(&[5, 20, 30, 31], 1), thresholds(20), noise(&[5, 20, 30, 31], 2));
        let [x, theta, grad] = [x, theta, grad].map(|t| to_f32(&t));
        assert_same_on_all_threads(|| {
            let y = soft_threshold(&x, &theta).unwrap();
            let grads = soft_threshold_backward(&y, &theta, &grad, true).unwrap();
            vec![y, grads.input.unwrap(), grads.theta]
        });
    }

    #[test]
    fn nothing_in_nothing_out() {
        for shape in [&[0, 3, 4, 4][..], &[2, 0, 4, 4], &[0, 3]] {
            let (x, theta) = (noise(shape, 1), thresholds(shape[1]));
            let y = soft_threshold(&x, &theta).unwrap();
            assert_eq!(y.dims(), shape);
            let grads = soft_threshold_backward(&y, &theta, &y, true).unwrap();
            assert_eq!(grads.input.unwrap().dims(), shape);
            assert!(list(&grads.theta).iter().all(|&g| g == 0.0));
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_named() {
        let (x, theta) = (noise(&[2, 3, 2, 2], 1), thresholds(4));
        let error = soft_threshold(&x, &theta).unwrap_err().to_string();
        assert!(error.contains("theta [4]") && error.contains("[3]"), "{error}");
        assert!(matches!(soft_threshold(&noise(&[3], 1), &theta), Err(OpError::Shape { .. })));
        let grad = soft_threshold_backward(&x, &thresholds(3), &noise(&[2, 3, 2, 1], 1), true);
        assert!(matches!(grad, Err(OpError::Shape { .. })));
        assert!(matches!(soft_threshold(&x, &to_f32(&thresholds(3))), Err(OpError::Unsupported { .. })));
    }
}
