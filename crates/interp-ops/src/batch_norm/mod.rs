//! Batch normalization: y = (x - mean) / sqrt(variance + eps) * gain + shift for each channel (Ioffe and Szegedy 2015).
//! In training mean and variance are those of the batch, over N, H and W; in evaluation they are given.
#![allow(unsafe_code)]

mod relu;
mod statistics;
#[cfg(test)]
mod tests;

use crate::Result;
use crate::device::on_cuda;
use crate::memory::{Dense, expect_shape, four, numbers, rounded, tensor, wrong_shape};
use crate::real::{LANES, Real, by_dtype, lanes, simd};
use crate::sums::rows_per_chunk;
use candle_core::Tensor;
use rayon::prelude::*;
use std::mem::MaybeUninit;

pub use relu::{
    BatchNorm, batch_norm_relu_eval, batch_norm_relu_eval_backward, batch_norm_relu_train,
    batch_norm_relu_train_backward,
};

/// What [`batch_norm_train`] returns.
#[derive(Debug, Clone)]
pub struct BatchNormed {
    /// The normalized tensor (N, C, H, W).
    pub output: Tensor,
    /// The batch's mean of every channel (C).
    pub mean: Tensor,
    /// The batch's biased variance of every channel (C): the sum of squared deviations over N H W.
    pub variance: Tensor,
}

/// Gradients of batch normalization.
#[derive(Debug, Clone)]
pub struct BatchNormGrads {
    /// With respect to the input (N, C, H, W), where wanted.
    pub input: Option<Tensor>,
    /// With respect to the gain (C).
    pub gain: Tensor,
    /// With respect to the shift (C).
    pub shift: Tensor,
}

/// Normalizes `x` (N, C, H, W) by its own mean and variance over N, H and W; `gain` and `shift` are (C).
///
/// The statistics take one pass over memory: fixed chunks of pixels, joined by the formula of Chan et al. (1979) in
/// `f64`.
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) where a shape does not fit or a channel has no value,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or
/// device.
pub fn batch_norm_train(x: &Tensor, gain: &Tensor, shift: &Tensor, eps: f64) -> Result<BatchNormed> {
    on_cuda!(x, crate::cuda::batch_norm_train(x, gain, shift, eps, false));
    by_dtype!("batch_norm_train", x, train(x, gain, shift, eps, Then::Nothing))
}

/// The gradients of [`batch_norm_train`], through the statistics too; `mean` and `variance` are those that it returned.
///
/// # Errors
/// As [`batch_norm_train`].
pub fn batch_norm_train_backward(
    x: &Tensor,
    gain: &Tensor,
    mean: &Tensor,
    variance: &Tensor,
    eps: f64,
    grad: &Tensor,
    input_wanted: bool,
) -> Result<BatchNormGrads> {
    const OP: &str = "batch_norm_train_backward";
    on_cuda!(x, {
        let norm = BatchNorm { gain, shift: gain, mean, variance, eps }; // Without a ReLU no shift is read.
        crate::cuda::batch_norm_backward(x, &norm, grad, input_wanted, true, false)
    });
    let affine = Affine { op: OP, gain, mean, variance, eps };
    by_dtype!(OP, x, backward(&affine, None, x, grad, input_wanted, Statistics::OfTheBatch))
}

/// Normalizes `x` (N, C, H, W) by a given `mean` and `variance`; they, `gain` and `shift` are (C).
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) where a shape does not fit,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn batch_norm_eval(
    x: &Tensor,
    gain: &Tensor,
    shift: &Tensor,
    mean: &Tensor,
    variance: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    const OP: &str = "batch_norm_eval";
    on_cuda!(x, crate::cuda::batch_norm_eval(x, &BatchNorm { gain, shift, mean, variance, eps }, false));
    by_dtype!(OP, x, eval(&Affine { op: OP, gain, mean, variance, eps }, x, shift, Then::Nothing))
}

/// The gradients of [`batch_norm_eval`], mean and variance being constants.
///
/// # Errors
/// As [`batch_norm_eval`].
pub fn batch_norm_eval_backward(
    x: &Tensor,
    gain: &Tensor,
    mean: &Tensor,
    variance: &Tensor,
    eps: f64,
    grad: &Tensor,
    input_wanted: bool,
) -> Result<BatchNormGrads> {
    const OP: &str = "batch_norm_eval_backward";
    on_cuda!(x, {
        let norm = BatchNorm { gain, shift: gain, mean, variance, eps }; // Without a ReLU no shift is read.
        crate::cuda::batch_norm_backward(x, &norm, grad, input_wanted, false, false)
    });
    let affine = Affine { op: OP, gain, mean, variance, eps };
    by_dtype!(OP, x, backward(&affine, None, x, grad, input_wanted, Statistics::Given))
}

/// Where the mean and variance come from, which decides whether the gradient passes through them.
#[derive(Clone, Copy, PartialEq)]
enum Statistics {
    OfTheBatch,
    Given,
}

/// What is done to the normalized numbers in the same pass.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Nothing,
    Relu,
}

/// The per-channel tensors of one call.
struct Affine<'a> {
    op: &'static str,
    gain: &'a Tensor,
    mean: &'a Tensor,
    variance: &'a Tensor,
    eps: f64,
}

/// The per-channel numbers of one call.
struct Channels {
    gain: Vec<f64>,
    mean: Vec<f64>,
    /// 1 / sqrt(variance + eps).
    inverse_deviation: Vec<f64>,
}

impl Affine<'_> {
    fn channels<T: Real>(&self, channels: usize) -> Result<Channels> {
        let variance = per_channel::<T>(self.op, "variance", self.variance, channels)?;
        Ok(Channels {
            gain: per_channel::<T>(self.op, "gain", self.gain, channels)?,
            mean: per_channel::<T>(self.op, "mean", self.mean, channels)?,
            inverse_deviation: inverse_deviation(&variance, self.eps),
        })
    }
}

impl Channels {
    /// gain / sqrt(variance + eps).
    fn scale(&self) -> Vec<f64> {
        self.gain.iter().zip(&self.inverse_deviation).map(|(gain, inverse)| gain * inverse).collect()
    }
}

fn inverse_deviation(variance: &[f64], eps: f64) -> Vec<f64> {
    variance.iter().map(|v| 1.0 / (v + eps).sqrt()).collect()
}

/// The numbers of a (C) tensor.
fn per_channel<T: Real>(op: &'static str, what: &str, tensor: &Tensor, channels: usize) -> Result<Vec<f64>> {
    expect_shape(op, what, tensor, &[channels])?;
    let dense = Dense::new::<T>(op, tensor)?;
    let (storage, layout) = dense.storage();
    Ok(numbers::<T>(&storage, layout)?.iter().map(|v| v.to_f64()).collect())
}

fn train<T: Real>(x: &Tensor, gain: &Tensor, shift: &Tensor, eps: f64, then: Then) -> Result<BatchNormed> {
    const OP: &str = "batch_norm_train";
    let [n, c, h, w] = four(OP, "x", x.dims())?;
    refuse_empty(OP, x, n * h * w)?;
    let (gain, shift) = (per_channel::<T>(OP, "gain", gain, c)?, per_channel::<T>(OP, "shift", shift, c)?);
    let dense = Dense::new::<T>(OP, x)?;
    let (storage, layout) = dense.storage();
    let values = numbers::<T>(&storage, layout)?;
    let (mean, variance) = statistics::mean_and_variance(values, c);
    let inverse_deviation = inverse_deviation(&variance, eps);
    let channels = Channels { gain, mean, inverse_deviation };
    let output = tensor(normalize::<T>(values, &channels, &shift, then), x.dims())?;
    Ok(BatchNormed { output, mean: rounded::<T>(&channels.mean, &[c])?, variance: rounded::<T>(&variance, &[c])? })
}

fn eval<T: Real>(affine: &Affine<'_>, x: &Tensor, shift: &Tensor, then: Then) -> Result<Tensor> {
    let [_, c, _, _] = four(affine.op, "x", x.dims())?;
    let channels = affine.channels::<T>(c)?;
    let shift = per_channel::<T>(affine.op, "shift", shift, c)?;
    let dense = Dense::new::<T>(affine.op, x)?;
    let (storage, layout) = dense.storage();
    tensor(normalize::<T>(numbers(&storage, layout)?, &channels, &shift, then), x.dims())
}

/// The gradients; with the shift given, those through a ReLU that follows.
fn backward<T: Real>(
    affine: &Affine<'_>,
    relu: Option<&Tensor>,
    x: &Tensor,
    grad: &Tensor,
    input_wanted: bool,
    statistics: Statistics,
) -> Result<BatchNormGrads> {
    let [n, c, h, w] = four(affine.op, "x", x.dims())?;
    if statistics == Statistics::OfTheBatch {
        refuse_empty(affine.op, x, n * h * w)?;
    }
    expect_shape(affine.op, "grad", grad, x.dims())?;
    let channels = affine.channels::<T>(c)?;
    let (dense_x, dense_grad) = (Dense::new::<T>(affine.op, x)?, Dense::new::<T>(affine.op, grad)?);
    let ((storage_x, layout_x), (storage_grad, layout_grad)) = (dense_x.storage(), dense_grad.storage());
    let (values, grads) = (numbers::<T>(&storage_x, layout_x)?, numbers::<T>(&storage_grad, layout_grad)?);
    let mean = as_type::<T>(&channels.mean);
    let shift = relu.map(|shift| per_channel::<T>(affine.op, "shift", shift, c)).transpose()?;
    let (sums, input) = match shift {
        None => {
            let sums = statistics::gradient_sums(values, grads, &[&mean], |_, _, g| g);
            let input = input_wanted.then(|| match statistics {
                Statistics::OfTheBatch => through_statistics::<T>(values, grads, &channels, &sums),
                Statistics::Given => scaled::<T>(grads, &channels),
            });
            (sums, input)
        }
        Some(shift) => {
            let constants = [&mean[..], &as_type::<T>(&channels.scale()), &as_type::<T>(&shift)];
            let sums = statistics::gradient_sums(values, grads, &constants, relu::passed);
            let input = input_wanted.then(|| match statistics {
                Statistics::OfTheBatch => relu::through_statistics::<T>(values, grads, &channels, &shift, &sums),
                Statistics::Given => relu::scaled::<T>(values, grads, &channels, &shift),
            });
            (sums, input)
        }
    };
    let gain: Vec<f64> = sums.of_deviation.iter().zip(&channels.inverse_deviation).map(|(s, d)| s * d).collect();
    Ok(BatchNormGrads {
        input: input.map(|numbers| tensor(numbers, x.dims())).transpose()?,
        gain: rounded::<T>(&gain, &[c])?,
        shift: rounded::<T>(&sums.of_grad, &[c])?,
    })
}

fn refuse_empty(op: &'static str, x: &Tensor, pixels: usize) -> Result<()> {
    if pixels > 0 {
        return Ok(());
    }
    Err(wrong_shape(op, format!("x {:?}", x.dims()), "at least one value of every channel"))
}

fn as_type<T: Real>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&v| T::from_f64(v)).collect()
}

/// (x - mean) scale + shift, and what is done then.
fn normalize<T: Real>(values: &[T], channels: &Channels, shift: &[f64], then: Then) -> Vec<T> {
    let constants = [&channels.mean[..], &channels.scale(), shift].map(as_type::<T>);
    match then {
        Then::Nothing => by_channel(values, values, &constants, |constants, x, _| normalized(constants, x)),
        Then::Relu => by_channel(values, values, &constants, |constants, x, _| {
            let y = normalized(constants, x);
            if y <= T::zero() { T::zero() } else { y }
        }),
    }
}

#[inline(always)]
fn normalized<T: Real>([mean, scale, shift]: [T; 3], x: T) -> T {
    (x - mean) * scale + shift
}

/// The mean of g, and the slope against (x - mean) that the variance takes from it, for every channel.
fn mean_and_slope(count: usize, channels: &Channels, sums: &statistics::Sums) -> [Vec<f64>; 2] {
    let pixels = (count / channels.mean.len().max(1)) as f64;
    let mean_grad = sums.of_grad.iter().map(|sum| sum / pixels).collect();
    let deviations = sums.of_deviation.iter().zip(&channels.inverse_deviation);
    [mean_grad, deviations.map(|(sum, inverse)| sum / pixels * inverse * inverse).collect()]
}

/// scale (g - mean of g - (x - mean) (mean of g (x - mean)) / (variance + eps)), means over the batch.
fn through_statistics<T: Real>(values: &[T], grads: &[T], channels: &Channels, sums: &statistics::Sums) -> Vec<T> {
    let [mean_grad, slope] = mean_and_slope(values.len(), channels, sums);
    let constants = [&channels.mean[..], &channels.scale(), &mean_grad, &slope].map(as_type::<T>);
    by_channel(values, grads, &constants, |[mean, scale, mean_grad, slope], x, g| {
        scale * (g - mean_grad - (x - mean) * slope)
    })
}

/// scale g.
fn scaled<T: Real>(grads: &[T], channels: &Channels) -> Vec<T> {
    by_channel(grads, grads, &[as_type::<T>(&channels.scale())], |[scale], g, _| scale * g)
}

/// `function` of the channel's constants and the numbers of two tensors, for every number.
fn by_channel<T: Real, const K: usize>(
    a: &[T],
    b: &[T],
    constants: &[Vec<T>; K],
    function: impl Fn([T; K], T, T) -> T + Sync,
) -> Vec<T> {
    let width = constants[0].len().max(1);
    let chunk = rows_per_chunk(width) * width;
    let mut out = Box::new_uninit_slice(a.len());
    out.par_chunks_mut(chunk).zip(a.par_chunks(chunk)).zip(b.par_chunks(chunk)).for_each(|((out, a), b)| {
        simd(
            #[inline(always)]
            || {
                let whole = width - width % LANES;
                for start in (0..whole).step_by(LANES) {
                    some_channels::<T, K, LANES>(out, a, b, start, constants, &function);
                }
                for start in whole..width {
                    some_channels::<T, K, 1>(out, a, b, start, constants, &function);
                }
            },
        );
    });
    // SAFETY: the length is a multiple of `width`, and `some_channels` has written every channel of every pixel.
    unsafe { out.assume_init() }.into_vec()
}

/// `L` channels from `start` of all pixels of a chunk.
#[inline(always)]
fn some_channels<T: Real, const K: usize, const L: usize>(
    out: &mut [MaybeUninit<T>],
    a: &[T],
    b: &[T],
    start: usize,
    constants: &[Vec<T>; K],
    function: impl Fn([T; K], T, T) -> T,
) {
    let width = constants[0].len();
    let constants: [[T; L]; K] = std::array::from_fn(|k| lanes(&constants[k], start));
    for at in (start..out.len()).step_by(width) {
        let (a, b) = (&a[at..at + L], &b[at..at + L]);
        let out = &mut out[at..at + L];
        for lane in 0..L {
            out[lane].write(function(std::array::from_fn(|k| constants[k][lane]), a[lane], b[lane]));
        }
    }
}
