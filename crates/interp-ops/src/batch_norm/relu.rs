//! Batch normalization and ReLU in one pass over memory, forward and backward: the numbers between them are never
//! written. All results have the bits of the two operations one after the other.

use super::{Affine, BatchNormGrads, BatchNormed, Channels, Statistics, Then, as_type, by_channel, normalized};
use super::{backward, eval, mean_and_slope, statistics, train};
use crate::Result;
use crate::device::on_cuda;
use crate::real::{Real, by_dtype};
use candle_core::Tensor;

/// The tensors (C) and the constant of a batch norm.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm<'a> {
    /// What the normalized numbers are multiplied with.
    pub gain: &'a Tensor,
    /// What is added to them.
    pub shift: &'a Tensor,
    /// The mean that is subtracted.
    pub mean: &'a Tensor,
    /// The biased variance.
    pub variance: &'a Tensor,
    /// Added to the variance.
    pub eps: f64,
}

impl<'a> BatchNorm<'a> {
    fn affine(&self, op: &'static str) -> Affine<'a> {
        Affine { op, gain: self.gain, mean: self.mean, variance: self.variance, eps: self.eps }
    }
}

/// [`relu`](crate::relu) of [`batch_norm_train`](super::batch_norm_train).
///
/// # Errors
/// As [`batch_norm_train`](super::batch_norm_train).
pub fn batch_norm_relu_train(x: &Tensor, gain: &Tensor, shift: &Tensor, eps: f64) -> Result<BatchNormed> {
    on_cuda!(x, crate::cuda::batch_norm_train(x, gain, shift, eps, true));
    by_dtype!("batch_norm_relu_train", x, train(x, gain, shift, eps, Then::Relu))
}

/// [`relu`](crate::relu) of [`batch_norm_eval`](super::batch_norm_eval).
///
/// # Errors
/// As [`batch_norm_eval`](super::batch_norm_eval).
pub fn batch_norm_relu_eval(x: &Tensor, norm: &BatchNorm<'_>) -> Result<Tensor> {
    const OP: &str = "batch_norm_relu_eval";
    on_cuda!(x, crate::cuda::batch_norm_eval(x, norm, true));
    by_dtype!(OP, x, eval(&norm.affine(OP), x, norm.shift, Then::Relu))
}

/// The gradients of [`batch_norm_relu_train`], through the statistics too: mean and variance are those that it returned,
/// `grad` is that of its output.
///
/// # Errors
/// As [`batch_norm_relu_train`].
pub fn batch_norm_relu_train_backward(
    x: &Tensor,
    norm: &BatchNorm<'_>,
    grad: &Tensor,
    input_wanted: bool,
) -> Result<BatchNormGrads> {
    const OP: &str = "batch_norm_relu_train_backward";
    on_cuda!(x, crate::cuda::batch_norm_backward(x, norm, grad, input_wanted, true, true));
    let affine = norm.affine(OP);
    by_dtype!(OP, x, backward(&affine, Some(norm.shift), x, grad, input_wanted, Statistics::OfTheBatch))
}

/// The gradients of [`batch_norm_relu_eval`], mean and variance being constants.
///
/// # Errors
/// As [`batch_norm_relu_eval`].
pub fn batch_norm_relu_eval_backward(
    x: &Tensor,
    norm: &BatchNorm<'_>,
    grad: &Tensor,
    input_wanted: bool,
) -> Result<BatchNormGrads> {
    const OP: &str = "batch_norm_relu_eval_backward";
    on_cuda!(x, crate::cuda::batch_norm_backward(x, norm, grad, input_wanted, false, true));
    let affine = norm.affine(OP);
    by_dtype!(OP, x, backward(&affine, Some(norm.shift), x, grad, input_wanted, Statistics::Given))
}

/// What of g passes the ReLU: all where the normalized number is above 0 (or is not a number), else nothing.
#[inline(always)]
pub(super) fn passed<T: Real>(constants: [T; 3], x: T, g: T) -> T {
    if normalized(constants, x) <= T::zero() { T::zero() } else { g }
}

/// As [`super::through_statistics`], of what passes the ReLU.
pub(super) fn through_statistics<T: Real>(
    values: &[T],
    grads: &[T],
    channels: &Channels,
    shift: &[f64],
    sums: &statistics::Sums,
) -> Vec<T> {
    let [mean_grad, slope] = mean_and_slope(values.len(), channels, sums);
    let constants = [&channels.mean[..], &channels.scale(), shift, &mean_grad, &slope].map(as_type::<T>);
    by_channel(values, grads, &constants, |[mean, scale, shift, mean_grad, slope], x, g| {
        let g = passed([mean, scale, shift], x, g);
        scale * (g - mean_grad - (x - mean) * slope)
    })
}

/// As [`super::scaled`], of what passes the ReLU.
pub(super) fn scaled<T: Real>(values: &[T], grads: &[T], channels: &Channels, shift: &[f64]) -> Vec<T> {
    let constants = [&channels.mean[..], &channels.scale(), shift].map(as_type::<T>);
    by_channel(values, grads, &constants, |constants, x, g| constants[1] * passed(constants, x, g))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, noise, to_f32};
    use crate::{
        batch_norm_eval, batch_norm_eval_backward, batch_norm_train, batch_norm_train_backward, relu, relu_backward,
    };

    const EPS: f64 = 1e-5;

    /// x, gain, shift, mean, variance and a gradient, for C channels of N pictures.
    fn tensors(n: usize, c: usize, h: usize, w: usize) -> [Tensor; 6] {
        let variance = noise(&[c], 5).sqr().unwrap().affine(1.0, 0.1).unwrap();
        let (x, grad) = (noise(&[n, c, h, w], 1), noise(&[n, c, h, w], 6));
        [x, noise(&[c], 2), noise(&[c], 3), noise(&[c], 4), variance, grad]
    }

    fn same(a: &BatchNormGrads, b: &BatchNormGrads) {
        assert_eq!(a.input.as_ref().map(bits), b.input.as_ref().map(bits));
        assert_eq!((bits(&a.gain), bits(&a.shift)), (bits(&b.gain), bits(&b.shift)));
    }

    #[test]
    fn the_bits_are_those_of_one_operation_after_the_other() {
        for (n, c, h, w) in [(3, 5, 4, 7), (2, 16, 9, 9), (1, 33, 2, 1), (70, 24, 8, 8)] {
            let [x, gain, shift, mean, variance, grad] = tensors(n, c, h, w).map(|t| to_f32(&t));
            let (one, two) = (
                batch_norm_relu_train(&x, &gain, &shift, EPS).unwrap(),
                batch_norm_train(&x, &gain, &shift, EPS).unwrap(),
            );
            let y = relu(&two.output).unwrap();
            assert_eq!(bits(&one.output), bits(&y));
            let norm = BatchNorm { gain: &gain, shift: &shift, mean: &two.mean, variance: &two.variance, eps: EPS };
            let through = relu_backward(&y, &grad).unwrap();
            let expected = batch_norm_train_backward(&x, &gain, &two.mean, &two.variance, EPS, &through, true).unwrap();
            same(&batch_norm_relu_train_backward(&x, &norm, &grad, true).unwrap(), &expected);

            let norm = BatchNorm { mean: &mean, variance: &variance, ..norm };
            let y = relu(&batch_norm_eval(&x, &gain, &shift, &mean, &variance, EPS).unwrap()).unwrap();
            assert_eq!(bits(&batch_norm_relu_eval(&x, &norm).unwrap()), bits(&y));
            let through = relu_backward(&y, &grad).unwrap();
            let expected = batch_norm_eval_backward(&x, &gain, &mean, &variance, EPS, &through, true).unwrap();
            same(&batch_norm_relu_eval_backward(&x, &norm, &grad, true).unwrap(), &expected);
            assert!(batch_norm_relu_eval_backward(&x, &norm, &grad, false).unwrap().input.is_none());
        }
    }

    #[test]
    fn gradients_are_central_differences() {
        let [x, gain, shift, mean, variance, grad] = tensors(2, 3, 3, 2);
        let train = |x: &Tensor, gain: &Tensor, shift: &Tensor| batch_norm_relu_train(x, gain, shift, EPS).unwrap();
        let found = train(&x, &gain, &shift);
        let norm = BatchNorm { gain: &gain, shift: &shift, mean: &found.mean, variance: &found.variance, eps: EPS };
        let grads = batch_norm_relu_train_backward(&x, &norm, &grad, true).unwrap();
        assert_gradient(&x, &grad, grads.input.as_ref().unwrap(), |x| train(x, &gain, &shift).output);
        assert_gradient(&gain, &grad, &grads.gain, |gain| train(&x, gain, &shift).output);
        assert_gradient(&shift, &grad, &grads.shift, |shift| train(&x, &gain, shift).output);
        let norm = BatchNorm { mean: &mean, variance: &variance, ..norm };
        let grads = batch_norm_relu_eval_backward(&x, &norm, &grad, true).unwrap();
        assert_gradient(&x, &grad, grads.input.as_ref().unwrap(), |x| batch_norm_relu_eval(x, &norm).unwrap());
    }

    #[test]
    fn threads_change_nothing() {
        let [x, gain, shift, _, _, grad] = tensors(40, 20, 12, 12).map(|t| to_f32(&t));
        assert_same_on_all_threads(|| {
            let found = batch_norm_relu_train(&x, &gain, &shift, EPS).unwrap();
            let norm = BatchNorm { gain: &gain, shift: &shift, mean: &found.mean, variance: &found.variance, eps: EPS };
            let grads = batch_norm_relu_train_backward(&x, &norm, &grad, true).unwrap();
            vec![found.output, grads.input.unwrap(), grads.gain, grads.shift]
        });
    }
}
