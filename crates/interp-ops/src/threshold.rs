//! Thresholds: numbers near zero become zero, and what becomes of the others is the curve.
#![allow(unsafe_code)]

use crate::Result;
use crate::channels::{chunk_of, per_channel, row_of, with_channel};
use crate::memory::{Dense, expect_shape, numbers, rounded, tensor, wrong_shape};
use crate::real::{Real, by_dtype, simd};
use crate::sums::total;
use candle_core::Tensor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::mem::MaybeUninit;

/// What becomes of numbers by their distance from zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Curve {
    /// `sign(x) max(|x| - theta, 0)`: the proximal map of theta |x| (Donoho 1995, "De-noising by soft-thresholding", eq. 1).
    #[default]
    Soft,
    /// x where |x| > theta, else 0: it jumps at the threshold.
    Hard,
    /// 0 up to theta, x from 2 theta on, and the straight line between (Gao and Bruce 1997, "WaveShrink with firm shrinkage",
    /// eq. 2.4, the upper threshold being twice the lower).
    Firm,
}

/// How far around the threshold a hard threshold has a slope for training, all in all.
const BANDWIDTH: f64 = 0.05;

/// Gradients of [`threshold`].
#[derive(Debug, Clone)]
pub struct ThresholdGrads {
    /// With respect to the input, of its shape, where wanted.
    pub input: Option<Tensor>,
    /// With respect to the thresholds, of their shape.
    pub theta: Tensor,
}

/// The curve at every number of `x` (N, C, H, W) or (N, C), with a threshold for each channel, `theta` (C), or one for all (1).
///
/// A threshold of 0 leaves x as it is. One below 0 is not refused: the soft curve moves every number but 0 away from 0, by
/// |theta|, the others leave x as it is. Where x is NaN, so is y; where theta is, so is y of the soft curve.
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) where the shapes do not fit,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn threshold(x: &Tensor, theta: &Tensor, curve: Curve) -> Result<Tensor> {
    by_dtype!("threshold", x, forward(x, theta, curve))
}

/// The gradients of [`threshold`], from what [`Curve::reads_input`] says: its input or its output.
///
/// With respect to x: 0 up to the threshold, itself included, and beyond it the slope of the curve; with a threshold of 0 or below
/// `grad` passes at x = 0 too, as through the identity. With respect to theta, summed over what has the threshold: of the soft
/// curve -sign(x) where |x| > theta; of the firm one -2 sign(x) on the line between; of the hard one, whose slope is nowhere or
/// infinite, `-sign(x) theta / 0.05` where |x| is within 0.025 of theta, the estimate of Rajamanoharan et al. 2024 (arXiv
/// 2407.14435, eq. 12). Where what was seen is NaN, `grad` passes, and the threshold's gradient is NaN.
///
/// # Errors
/// As [`threshold`].
pub fn threshold_backward(
    seen: &Tensor,
    theta: &Tensor,
    grad: &Tensor,
    curve: Curve,
    input_wanted: bool,
) -> Result<ThresholdGrads> {
    by_dtype!("threshold_backward", seen, backward(seen, theta, grad, curve, input_wanted))
}

impl Curve {
    /// Whether [`threshold_backward`] needs the input: of the others the output says enough.
    pub fn reads_input(self) -> bool {
        self == Self::Hard
    }

    /// What becomes of one number.
    pub fn of(self, x: f64, theta: f64) -> f64 {
        self.at(x, theta)
    }

    #[inline(always)]
    fn at<T: Real>(self, x: T, theta: T) -> T {
        let size = if x < T::zero() { T::zero() - x } else { x };
        match self {
            Self::Soft => shrunk(x, theta),
            Self::Hard => {
                if size <= theta && theta > T::zero() {
                    T::zero()
                } else {
                    x
                }
            }
            Self::Firm if size <= theta && theta > T::zero() => T::zero(),
            Self::Firm if size <= theta + theta => shrunk(x, theta) + shrunk(x, theta),
            Self::Firm => x,
        }
    }

    /// What of `g` passes to the input.
    #[inline(always)]
    fn to_input<T: Real>(self, seen: T, theta: T, g: T) -> T {
        let size = if seen < T::zero() { T::zero() - seen } else { seen };
        let is_zero = if self == Self::Hard { size <= theta } else { seen == T::zero() };
        if is_zero && theta > T::zero() {
            T::zero()
        } else if self == Self::Firm && size <= theta + theta && theta > T::zero() {
            g + g
        } else {
            g
        }
    }

    /// What of `g` goes to the threshold.
    #[inline(always)]
    fn to_theta<T: Real>(self, seen: T, theta: T, g: T) -> T {
        let signed = if seen < T::zero() { g } else { T::zero() - g };
        let size = if seen < T::zero() { T::zero() - seen } else { seen };
        let term = match self {
            Self::Soft => signed,
            Self::Firm if size <= theta + theta => signed + signed,
            Self::Firm => T::zero(),
            Self::Hard => {
                let (far, half) =
                    (if size < theta { theta - size } else { size - theta }, T::from_f64(BANDWIDTH / 2.0));
                if far < half { signed * theta / T::from_f64(BANDWIDTH) } else { T::zero() }
            }
        };
        let of_zero = if seen == T::zero() { T::zero() } else { term };
        if seen.is_nan() { seen } else { of_zero }
    }
}

fn channels(op: &'static str, x: &Tensor) -> Result<usize> {
    match *x.dims() {
        [_, c] | [_, c, _, _] => Ok(c),
        _ => Err(wrong_shape(op, format!("x {:?}", x.dims()), "(N, C, H, W) or (N, C)")),
    }
}

/// The threshold of every channel.
fn thresholds<T: Real>(op: &'static str, theta: &Tensor, channels: usize) -> Result<Vec<T>> {
    match theta.dims() {
        [1] => Ok(per_channel::<T>(op, "theta", theta, 1)?.repeat(channels)),
        _ => per_channel::<T>(op, "theta", theta, channels),
    }
}

fn forward<T: Real>(x: &Tensor, theta: &Tensor, curve: Curve) -> Result<Tensor> {
    const OP: &str = "threshold";
    let theta = thresholds::<T>(OP, theta, channels(OP, x)?)?;
    let dense = Dense::new::<T>(OP, x)?;
    let (storage, layout) = dense.storage();
    let values = numbers::<T>(&storage, layout)?;
    // Three loops, each for a curve that is known when it is compiled.
    let out = match curve {
        Curve::Soft => with_channel(values, &theta, |x, theta| Curve::Soft.at(x, theta)),
        Curve::Hard => with_channel(values, &theta, |x, theta| Curve::Hard.at(x, theta)),
        Curve::Firm => with_channel(values, &theta, |x, theta| Curve::Firm.at(x, theta)),
    };
    tensor(out, x.dims())
}

/// Comparisons with NaN are false, so that it takes the way through the difference.
#[inline(always)]
fn shrunk<T: Real>(x: T, theta: T) -> T {
    let edge = if theta < T::zero() { T::zero() } else { theta };
    let toward_zero = if x < T::zero() { x + theta } else { x - theta };
    if x <= edge && T::zero() - x <= edge { T::zero() } else { toward_zero }
}

fn backward<T: Real>(
    seen: &Tensor,
    theta: &Tensor,
    grad: &Tensor,
    curve: Curve,
    input_wanted: bool,
) -> Result<ThresholdGrads> {
    const OP: &str = "threshold_backward";
    let channels = channels(OP, seen)?;
    expect_shape(OP, "grad", grad, seen.dims())?;
    let of_channels = thresholds::<T>(OP, theta, channels)?;
    let (dense_seen, dense_grad) = (Dense::new::<T>(OP, seen)?, Dense::new::<T>(OP, grad)?);
    let ((storage, layout), (storage_grad, layout_grad)) = (dense_seen.storage(), dense_grad.storage());
    let (values, grads) = (numbers::<T>(&storage, layout)?, numbers::<T>(&storage_grad, layout_grad)?);
    let (input, sums) = match curve {
        Curve::Soft => gradients(values, grads, &of_channels, input_wanted, Curve::Soft),
        Curve::Hard => gradients(values, grads, &of_channels, input_wanted, Curve::Hard),
        Curve::Firm => gradients(values, grads, &of_channels, input_wanted, Curve::Firm),
    };
    let sums = if theta.dims() == [1] { vec![sums.iter().sum()] } else { sums };
    Ok(ThresholdGrads {
        input: input.map(|input| tensor(input, seen.dims())).transpose()?,
        theta: rounded::<T>(&sums, theta.dims())?,
    })
}

/// What passes to the input, if wanted, and the sum for every channel, while a chunk is in the cache.
#[inline(always)]
fn gradients<T: Real>(
    seen: &[T],
    grads: &[T],
    theta: &[T],
    input_wanted: bool,
    curve: Curve,
) -> (Option<Vec<T>>, Vec<f64>) {
    let row = row_of(theta);
    let chunk = chunk_of(row.len());
    let parts = seen.par_chunks(chunk).zip(grads.par_chunks(chunk));
    if !input_wanted {
        let sums: Vec<Vec<T>> = parts.map(|(seen, grads)| row_sums(seen, grads, &row, curve)).collect();
        return (None, by_channel(&total(&sums, row.len()), theta.len()));
    }
    let mut input = Box::new_uninit_slice(seen.len());
    let chunks = input.par_chunks_mut(chunk).zip(parts).map(|(input, (seen, grads))| {
        pass(input, seen, grads, &row, curve);
        row_sums(seen, grads, &row, curve)
    });
    let sums: Vec<Vec<T>> = chunks.collect();
    // SAFETY: the three have one length and are cut alike, so `pass` has written every element.
    let input = unsafe { input.assume_init() }.into_vec();
    (Some(input), by_channel(&total(&sums, row.len()), theta.len()))
}

/// Writes what of `grads` passes through a chunk to its input.
#[inline(always)]
fn pass<T: Real>(input: &mut [MaybeUninit<T>], seen: &[T], grads: &[T], row: &[T], curve: Curve) {
    simd(
        #[inline(always)]
        || {
            let rows = seen.chunks(row.len()).zip(grads.chunks(row.len()));
            for (input, (seen, grads)) in input.chunks_mut(row.len()).zip(rows) {
                for (((input, &x), &g), &theta) in input.iter_mut().zip(seen).zip(grads).zip(row) {
                    input.write(curve.to_input(x, theta, g));
                }
            }
        },
    );
}

/// The sums over the rows of a chunk of what goes to the thresholds.
#[inline(always)]
fn row_sums<T: Real>(seen: &[T], grads: &[T], row: &[T], curve: Curve) -> Vec<T> {
    let mut sums = vec![T::zero(); row.len()];
    simd(
        #[inline(always)]
        || {
            for (seen, grads) in seen.chunks(row.len()).zip(grads.chunks(row.len())) {
                for (((sum, &x), &g), &theta) in sums.iter_mut().zip(seen).zip(grads).zip(row) {
                    *sum += curve.to_theta(x, theta, g);
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
    fn some_thresholds(count: usize) -> Tensor {
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
        let y = threshold(&x, &theta, Curve::Soft).unwrap();
        assert_eq!(list(&y), [-2.0, 0.0, 0.0, 1.0]);
        let grad = |at: usize| {
            let mut upstream = [0.0; 4];
            upstream[at] = 1.0;
            let upstream = tensor64(&upstream, &[1, 1, 2, 2]);
            let grads = threshold_backward(&y, &theta, &upstream, Curve::Soft, true).unwrap();
            (list(&grads.input.unwrap())[at], list(&grads.theta)[0])
        };
        assert_eq!([0, 1, 2, 3].map(grad), [(1.0, 1.0), (0.0, 0.0), (0.0, 0.0), (1.0, -1.0)]);
    }

    /// Output, and gradients of the sum over `upstream`, in the type of `x`.
    fn both(x: &Tensor, theta: &Tensor, upstream: &Tensor, curve: Curve) -> (Tensor, ThresholdGrads) {
        let y = threshold(x, theta, curve).unwrap();
        let seen = if curve.reads_input() { x } else { &y };
        let grads = threshold_backward(seen, theta, upstream, curve, true).unwrap();
        (y, grads)
    }

    // With threshold 1: 0 up to it, x beyond it; 2 (|x| - 1) between 1 and 2.
    #[test]
    fn hard_and_firm_in_closed_form() {
        let (x, theta) = (tensor64(&[-3.0, -1.5, -1.0, 0.5, 1.25, 2.0], &[1, 1, 2, 3]), tensor64(&[1.0], &[1]));
        let upstream = tensor64(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1, 1, 2, 3]);
        let (y, grads) = both(&x, &theta, &upstream, Curve::Hard);
        assert_eq!(list(&y), [-3.0, -1.5, 0.0, 0.0, 1.25, 2.0]);
        assert_eq!(list(&grads.input.unwrap()), [1.0, 2.0, 0.0, 0.0, 5.0, 6.0]);
        // Of -1 alone, which is as far from zero as the threshold: sign 1 / 0.05 times 3.
        assert!((list(&grads.theta)[0] - 60.0).abs() < 1e-9);
        let (y, grads) = both(&x, &theta, &upstream, Curve::Firm);
        assert_eq!(list(&y), [-3.0, -1.0, 0.0, 0.0, 0.5, 2.0]);
        assert_eq!(list(&grads.input.unwrap()), [1.0, 4.0, 0.0, 0.0, 10.0, 12.0]);
        assert_eq!(list(&grads.theta), [2.0 * (2.0 - 5.0 - 6.0)]);
    }

    // Threshold 0.1 and x = 0.1 give -2; further away than half of the band 0 and, beyond, 1.
    #[test]
    fn a_hard_threshold_is_moved_by_what_is_near_it() {
        let at = |x: f64| {
            let (_, grads) =
                both(&tensor64(&[x], &[1, 1]), &tensor64(&[0.1], &[1]), &tensor64(&[1.0], &[1, 1]), Curve::Hard);
            (list(&grads.input.unwrap())[0], list(&grads.theta)[0])
        };
        assert!(at(0.1).0 == 0.0 && (at(0.1).1 + 2.0).abs() < 1e-12 && (at(-0.12).1 - 2.0).abs() < 1e-12);
        assert_eq!([at(0.126), at(0.07), at(-0.126)], [(1.0, 0.0), (0.0, 0.0), (1.0, 0.0)]);
    }

    #[test]
    fn gradients_of_hard_and_firm_are_central_differences() {
        for shape in SHAPES {
            let (x, theta, upstream) = (noise(shape, 1), some_thresholds(shape[1]), noise(shape, 2));
            for curve in [Curve::Hard, Curve::Firm] {
                let (_, grads) = both(&x, &theta, &upstream, curve);
                assert_gradient(&x, &upstream, &grads.input.unwrap(), |x| threshold(x, &theta, curve).unwrap());
                if curve == Curve::Firm {
                    assert_gradient(&theta, &upstream, &grads.theta, |theta| threshold(&x, theta, curve).unwrap());
                }
            }
        }
    }

    #[test]
    fn one_threshold_is_the_same_as_many_that_are_equal() {
        let (x, upstream) = (noise(&[3, 17, 4, 5], 1), noise(&[3, 17, 4, 5], 2));
        let (one, many) = (tensor64(&[0.3], &[1]), tensor64(&[0.3; 17], &[17]));
        for curve in [Curve::Soft, Curve::Hard, Curve::Firm] {
            let ((y, grads), (other, of_many)) = (both(&x, &one, &upstream, curve), both(&x, &many, &upstream, curve));
            assert_eq!(bits(&y), bits(&other));
            assert_eq!(bits(&grads.input.unwrap()), bits(&of_many.input.unwrap()));
            let sum: f64 = list(&of_many.theta).iter().sum();
            assert!(grads.theta.dims() == [1] && (list(&grads.theta)[0] - sum).abs() < 1e-9 * sum.abs());
        }
    }

    #[test]
    fn a_threshold_of_zero_or_below_leaves_hard_and_firm_the_identity() {
        let x = tensor64(&[-3.0, 0.0, 0.5, f64::NAN], &[1, 4]);
        let upstream = tensor64(&[3.0, 4.0, 5.0, 6.0], &[1, 4]);
        for (curve, theta) in [(Curve::Hard, 0.0), (Curve::Hard, -1.0), (Curve::Firm, 0.0), (Curve::Firm, -1.0)] {
            let (y, grads) = both(&x, &tensor64(&[theta], &[1]), &upstream, curve);
            assert!(list(&y)[..3] == [-3.0, 0.0, 0.5] && list(&y)[3].is_nan());
            assert_eq!(list(&grads.input.unwrap()), list(&upstream));
        }
    }

    #[test]
    fn threads_do_not_matter_to_hard_and_firm() {
        let (x, theta, grad) = (noise(&[5, 20, 30, 31], 1), some_thresholds(20), noise(&[5, 20, 30, 31], 2));
        let [x, theta, grad] = [x, theta, grad].map(|t| to_f32(&t));
        for curve in [Curve::Hard, Curve::Firm] {
            assert_same_on_all_threads(|| {
                let (y, grads) = both(&x, &theta, &grad, curve);
                vec![y, grads.input.unwrap(), grads.theta]
            });
        }
    }

    #[test]
    fn a_threshold_of_zero_is_the_identity() {
        let (x, theta) = (tensor64(&[-3.0, 0.0, 0.5, 2.0], &[2, 2]), tensor64(&[0.0, 0.0], &[2]));
        let y = threshold(&x, &theta, Curve::Soft).unwrap();
        assert_eq!(list(&y), list(&x));
        let upstream = tensor64(&[3.0, 4.0, 5.0, 6.0], &[2, 2]);
        let grads = threshold_backward(&y, &theta, &upstream, Curve::Soft, true).unwrap();
        assert_eq!(list(&grads.input.unwrap()), list(&upstream));
        assert_eq!(list(&grads.theta), [3.0 - 5.0, -6.0]);
    }

    #[test]
    fn a_threshold_below_zero_moves_away_from_zero() {
        let (x, theta) = (tensor64(&[-3.0, 0.0, 0.5, 2.0], &[4, 1]), tensor64(&[-1.0], &[1]));
        let y = threshold(&x, &theta, Curve::Soft).unwrap();
        assert_eq!(list(&y), [-4.0, 0.0, 1.5, 3.0]);
        let upstream = tensor64(&[3.0, 4.0, 5.0, 7.0], &[4, 1]);
        let grads = threshold_backward(&y, &theta, &upstream, Curve::Soft, true).unwrap();
        assert_eq!(list(&grads.input.unwrap()), list(&upstream));
        assert_eq!(list(&grads.theta), [3.0 - 5.0 - 7.0]);
    }

    // Multiples of 1/8: differences are exact.
    #[test]
    fn two_numbers_never_move_apart() {
        let x: Vec<f64> = (-24..=24).map(|i| f64::from(i) / 8.0).collect();
        for theta in [0.0, 0.125, 1.0, 2.5] {
            let y = list(&threshold(&tensor64(&x, &[x.len(), 1]), &tensor64(&[theta], &[1]), Curve::Soft).unwrap());
            for (i, j) in (0..x.len()).flat_map(|i| (0..i).map(move |j| (i, j))) {
                assert!((y[i] - y[j]).abs() <= (x[i] - x[j]).abs(), "{} and {} at {theta}", x[i], x[j]);
            }
        }
    }

    #[test]
    fn forward_is_the_definition() {
        for shape in SHAPES {
            let (x, theta) = (noise(shape, 1), some_thresholds(shape[1]));
            assert_eq!(list(&threshold(&x, &theta, Curve::Soft).unwrap()), by_definition(&x, &theta));
            let (x, theta) = (to_f32(&x), to_f32(&theta));
            let (y, exact) = (list(&threshold(&x, &theta, Curve::Soft).unwrap()), by_definition(&x, &theta));
            assert!(y.iter().zip(exact).all(|(y, exact)| (y - exact).abs() <= f64::from(f32::EPSILON) * exact.abs()));
        }
    }

    #[test]
    fn gradients_are_central_differences() {
        for shape in SHAPES {
            let (x, theta, upstream) = (noise(shape, 1), some_thresholds(shape[1]), noise(shape, 2));
            let y = threshold(&x, &theta, Curve::Soft).unwrap();
            let grads = threshold_backward(&y, &theta, &upstream, Curve::Soft, true).unwrap();
            assert_gradient(&x, &upstream, &grads.input.unwrap(), |x| threshold(x, &theta, Curve::Soft).unwrap());
            assert_gradient(&theta, &upstream, &grads.theta, |theta| threshold(&x, theta, Curve::Soft).unwrap());
            let lone = threshold_backward(&y, &theta, &upstream, Curve::Soft, false).unwrap();
            assert!(lone.input.is_none());
            assert_eq!(bits(&lone.theta), bits(&grads.theta));
        }
    }

    #[test]
    fn nan_passes_and_infinity_stays() {
        let x = tensor64(&[f64::NAN, f64::INFINITY, 0.1, f64::NEG_INFINITY, 3.0, 4.0], &[2, 3]);
        let theta = tensor64(&[1.0, 1.0, f64::NAN], &[3]);
        let y = threshold(&x, &theta, Curve::Soft).unwrap();
        let shown: Vec<String> = list(&y).iter().map(f64::to_string).collect();
        assert_eq!(shown, ["NaN", "inf", "NaN", "-inf", "2", "NaN"]);
        let upstream = noise(&[2, 3], 1);
        let grads = threshold_backward(&y, &theta, &upstream, Curve::Soft, true).unwrap();
        assert_eq!(list(&grads.input.unwrap()), list(&upstream));
        let nan: Vec<bool> = list(&grads.theta).iter().map(|g| g.is_nan()).collect();
        assert_eq!(nan, [true, false, true]);
    }

    #[test]
    fn layout_and_batch_do_not_matter() {
        let (x, theta, grad) = (noise(&[9, 18, 13, 11], 1), some_thresholds(18), noise(&[9, 18, 13, 11], 2));
        let y = threshold(&x, &theta, Curve::Soft).unwrap();
        let grads = threshold_backward(&y, &theta, &grad, Curve::Soft, true).unwrap();
        let input = grads.input.unwrap();
        assert!(y.permute((0, 2, 3, 1)).unwrap().is_contiguous());
        for (x, (output, grad)) in layouts(&x).iter().zip(layouts(&y).iter().zip(&layouts(&grad))) {
            assert_eq!(bits(&threshold(x, &theta, Curve::Soft).unwrap()), bits(&y));
            let other = threshold_backward(output, &theta, grad, Curve::Soft, true).unwrap();
            assert_eq!(bits(&other.input.unwrap()), bits(&input));
            assert_eq!(bits(&other.theta), bits(&grads.theta));
        }
        for (start, count) in [(0, 1), (4, 5)] {
            let part = threshold(&x.narrow(0, start, count).unwrap(), &theta, Curve::Soft).unwrap();
            assert_eq!(bits(&part), bits(&y.narrow(0, start, count).unwrap()));
        }
    }

    #[test]
    fn threads_do_not_matter() {
        let (x, theta, grad) = (noise(&[5, 20, 30, 31], 1), some_thresholds(20), noise(&[5, 20, 30, 31], 2));
        let [x, theta, grad] = [x, theta, grad].map(|t| to_f32(&t));
        assert_same_on_all_threads(|| {
            let y = threshold(&x, &theta, Curve::Soft).unwrap();
            let grads = threshold_backward(&y, &theta, &grad, Curve::Soft, true).unwrap();
            vec![y, grads.input.unwrap(), grads.theta]
        });
    }

    #[test]
    fn nothing_in_nothing_out() {
        for shape in [&[0, 3, 4, 4][..], &[2, 0, 4, 4], &[0, 3]] {
            let (x, theta) = (noise(shape, 1), some_thresholds(shape[1]));
            let y = threshold(&x, &theta, Curve::Soft).unwrap();
            assert_eq!(y.dims(), shape);
            let grads = threshold_backward(&y, &theta, &y, Curve::Soft, true).unwrap();
            assert_eq!(grads.input.unwrap().dims(), shape);
            assert!(list(&grads.theta).iter().all(|&g| g == 0.0));
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_named() {
        let (x, theta) = (noise(&[2, 3, 2, 2], 1), some_thresholds(4));
        let error = threshold(&x, &theta, Curve::Soft).unwrap_err().to_string();
        assert!(error.contains("theta [4]") && error.contains("[3]"), "{error}");
        assert!(matches!(threshold(&noise(&[3], 1), &theta, Curve::Soft), Err(OpError::Shape { .. })));
        let grad = threshold_backward(&x, &some_thresholds(3), &noise(&[2, 3, 2, 1], 1), Curve::Soft, true);
        assert!(matches!(grad, Err(OpError::Shape { .. })));
        assert!(matches!(threshold(&x, &to_f32(&some_thresholds(3)), Curve::Soft), Err(OpError::Unsupported { .. })));
    }
}
