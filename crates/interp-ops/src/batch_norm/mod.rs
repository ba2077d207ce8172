//! Batch normalization: y = (x - mean) / sqrt(variance + eps) * gain + shift for each channel (Ioffe and Szegedy 2015).
//! In training mean and variance are those of the batch, over N, H and W; in evaluation they are given.
//!
//! What often comes [`Then`] runs in the same pass over memory, forward and backward: the numbers between are never
//! written, and all results have the bits of the operations one after the other.

mod functions;
mod gradient;
mod passes;
mod pooled;
mod statistics;
#[cfg(test)]
mod tests;
mod uncentered;

use crate::Result;
use crate::device::on_cuda;
use crate::memory::{Dense, four, numbers, rounded, tensor, wrong_shape};
use crate::pool::{Geometry, Pool2d};
use crate::real::{Real, by_dtype};
use candle_core::Tensor;
use functions::Normalize;
use gradient::backward;
use passes::{Beside, map, map_in_place};

pub use uncentered::{UncenteredGrads, uncentered_norm_backward, uncentered_norm_eval, uncentered_norm_train};

/// What is done to the normalized numbers in the same pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Nothing,
    /// [`relu`](crate::relu).
    Relu,
    /// [`relu`](crate::relu), and [`max_pool2d`](crate::max_pool2d) with windows side by side; on the CPU alone.
    ReluMaxPool {
        /// Rows and columns of a window.
        kernel: [usize; 2],
    },
}

impl Then {
    /// The sizes of the pooling of `x`, if there is one.
    fn pooling(self, op: &'static str, x: &Tensor) -> Result<Option<Geometry>> {
        let Self::ReluMaxPool { kernel } = self else { return Ok(None) };
        let geometry = Pool2d { kernel, stride: kernel, padding: [0, 0], ceil_mode: false }.geometry(op, x.dims())?;
        // Positions within a window are counted in `f32`.
        if kernel[0].saturating_mul(kernel[1]) > 1 << 24 {
            let what = format!("windows of {kernel:?} after a batch norm");
            return Err(crate::OpError::Unsupported { op, what, hint: "pool by `max_pool2d`" });
        }
        Ok(Some(geometry))
    }

    /// Whether there is a ReLU, for a device, which does not pool in the same pass.
    #[cfg(feature = "cuda")]
    fn relu_alone(self, op: &'static str) -> Result<bool> {
        match self {
            Self::Nothing => Ok(false),
            Self::Relu => Ok(true),
            Self::ReluMaxPool { .. } => {
                let what = "batch norm, ReLU and pooling at once on a CUDA device".into();
                Err(crate::OpError::Unsupported { op, what, hint: "pool by `max_pool2d`" })
            }
        }
    }
}

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

/// What [`batch_norm_train`] returns.
#[derive(Debug, Clone)]
pub struct BatchNormed {
    /// The normalized tensor (N, C, H, W), or what came of it then.
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
/// [`OpError::Shape`](crate::OpError::Shape) where a shape does not fit or a channel has no value, [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or
/// device.
pub fn batch_norm_train(x: &Tensor, gain: &Tensor, shift: &Tensor, eps: f64, then: Then) -> Result<BatchNormed> {
    const OP: &str = "batch_norm_train";
    on_cuda!(x, crate::cuda::batch_norm_train(x, gain, shift, eps, then.relu_alone(OP)?));
    by_dtype!(OP, x, train(x, gain, shift, eps, then))
}

/// The gradients of [`batch_norm_train`], through the statistics too: `norm` has the mean and variance that it returned,
/// `grad` is that of its output.
///
/// # Errors
/// As [`batch_norm_train`].
pub fn batch_norm_train_backward(
    x: &Tensor,
    norm: &BatchNorm<'_>,
    then: Then,
    grad: &Tensor,
    input_wanted: bool,
) -> Result<BatchNormGrads> {
    const OP: &str = "batch_norm_train_backward";
    on_cuda!(x, crate::cuda::batch_norm_backward(x, norm, grad, input_wanted, true, then.relu_alone(OP)?));
    let call = Call { op: OP, norm, then, statistics: Statistics::OfTheBatch };
    by_dtype!(OP, x, backward(&call, x, grad, input_wanted))
}

/// Normalizes `x` (N, C, H, W) by a given mean and variance.
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) where a shape does not fit, [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn batch_norm_eval(x: &Tensor, norm: &BatchNorm<'_>, then: Then) -> Result<Tensor> {
    const OP: &str = "batch_norm_eval";
    on_cuda!(x, crate::cuda::batch_norm_eval(x, norm, then.relu_alone(OP)?));
    by_dtype!(OP, x, eval(OP, x, norm, then))
}

/// The gradients of [`batch_norm_eval`], mean and variance being constants; `grad` is that of its output.
///
/// # Errors
/// As [`batch_norm_eval`].
pub fn batch_norm_eval_backward(
    x: &Tensor,
    norm: &BatchNorm<'_>,
    then: Then,
    grad: &Tensor,
    input_wanted: bool,
) -> Result<BatchNormGrads> {
    const OP: &str = "batch_norm_eval_backward";
    on_cuda!(x, crate::cuda::batch_norm_backward(x, norm, grad, input_wanted, false, then.relu_alone(OP)?));
    let call = Call { op: OP, norm, then, statistics: Statistics::Given };
    by_dtype!(OP, x, backward(&call, x, grad, input_wanted))
}

/// Where the mean and variance come from, which decides whether the gradient passes through them.
#[derive(Clone, Copy, PartialEq)]
enum Statistics {
    OfTheBatch,
    Given,
}

/// What a call for gradients says.
struct Call<'a> {
    op: &'static str,
    norm: &'a BatchNorm<'a>,
    then: Then,
    statistics: Statistics,
}

/// The per-channel numbers of one call.
struct Channels {
    gain: Vec<f64>,
    shift: Vec<f64>,
    mean: Vec<f64>,
    /// 1 / sqrt(variance + eps).
    inverse_deviation: Vec<f64>,
}

impl Channels {
    fn new<T: Real>(op: &'static str, norm: &BatchNorm<'_>, channels: usize) -> Result<Self> {
        let per_channel = |what, tensor| per_channel::<T>(op, what, tensor, channels);
        Ok(Self {
            gain: per_channel("gain", norm.gain)?,
            shift: per_channel("shift", norm.shift)?,
            mean: per_channel("mean", norm.mean)?,
            inverse_deviation: inverse_deviation(&per_channel("variance", norm.variance)?, norm.eps),
        })
    }

    /// gain / sqrt(variance + eps).
    fn scale(&self) -> Vec<f64> {
        self.gain.iter().zip(&self.inverse_deviation).map(|(gain, inverse)| gain * inverse).collect()
    }

    /// Mean, scale and shift.
    fn constants<T: Real>(&self) -> [Vec<T>; 3] {
        [&self.mean[..], &self.scale(), &self.shift].map(as_type::<T>)
    }
}

fn inverse_deviation(variance: &[f64], eps: f64) -> Vec<f64> {
    variance.iter().map(|v| 1.0 / (v + eps).sqrt()).collect()
}

/// The numbers of a (C) tensor.
fn per_channel<T: Real>(op: &'static str, what: &str, tensor: &Tensor, channels: usize) -> Result<Vec<f64>> {
    let numbers = crate::channels::per_channel::<T>(op, what, tensor, channels)?;
    Ok(numbers.iter().map(|v| v.to_f64()).collect())
}

fn as_type<T: Real>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&v| T::from_f64(v)).collect()
}

fn refuse_empty(op: &'static str, x: &Tensor, pixels: usize) -> Result<()> {
    if pixels > 0 {
        return Ok(());
    }
    Err(wrong_shape(op, format!("x {:?}", x.dims()), "at least one value of every channel"))
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
    let (mean, variance) = (rounded::<T>(&mean, &[c])?, rounded::<T>(&variance, &[c])?);
    // By the rounded statistics, so that whoever normalizes by them again, as the gradients do, finds the same bits.
    let inverse_deviation = inverse_deviation(&per_channel::<T>(OP, "variance", &variance, c)?, eps);
    let channels = Channels { gain, shift, mean: per_channel::<T>(OP, "mean", &mean, c)?, inverse_deviation };
    Ok(BatchNormed { output: normalize(OP, x, values, &channels, then)?, mean, variance })
}

fn eval<T: Real>(op: &'static str, x: &Tensor, norm: &BatchNorm<'_>, then: Then) -> Result<Tensor> {
    let [_, c, _, _] = four(op, "x", x.dims())?;
    let channels = Channels::new::<T>(op, norm, c)?;
    let dense = Dense::new::<T>(op, x)?;
    let (storage, layout) = dense.storage();
    normalize(op, x, numbers::<T>(&storage, layout)?, &channels, then)
}

/// Evaluation of whole pixels in the place where they are, through a ReLU or not.
pub(crate) struct InPlace<T> {
    constants: [Vec<T>; 3],
    relu: bool,
}

impl<T: Real> InPlace<T> {
    pub(crate) fn new(op: &'static str, norm: &BatchNorm<'_>, channels: usize, relu: bool) -> Result<Self> {
        Ok(Self { constants: Channels::new::<T>(op, norm, channels)?.constants(), relu })
    }

    pub(crate) fn apply(&self, pixels: &mut [T]) {
        match self.relu {
            true => map_in_place(Normalize::<true>, pixels, &self.constants),
            false => map_in_place(Normalize::<false>, pixels, &self.constants),
        }
    }
}

/// (x - mean) scale + shift, and what is done then, of the numbers of `x`.
fn normalize<T: Real>(op: &'static str, x: &Tensor, values: &[T], channels: &Channels, then: Then) -> Result<Tensor> {
    let constants = channels.constants::<T>();
    if let Some(pooling) = then.pooling(op, x)? {
        return tensor(pooled::maxima(values, &constants, &pooling), &pooling.output_shape());
    }
    let beside = Beside::Each(values);
    let made = match then {
        Then::Nothing => map(Normalize::<false>, values, &beside, &constants),
        _ => map(Normalize::<true>, values, &beside, &constants),
    };
    tensor(made, x.dims())
}
