//! Two-dimensional convolution (cross-correlation, as in every framework) and its gradients.
//!
//! Three ways: 3x3 of stride 1 with fewer multiplications ([`winograd`]); one channel per group as a loop of its own
//! ([`depthwise`]); everything else as products of matrices, tile by tile, of patches that are multiplied where they lie
//! ([`apply`], [`weight_gradient`]). The first is not used in `f64`, so that it has something to be held against, and
//! where [`Conv2d::by_definition`] asks for it.

mod apply;
mod depthwise;
mod geometry;
#[cfg(test)]
mod tests;
mod walk;
mod weight_gradient;
mod weights;
mod window;
mod winograd;

use crate::batch_norm::InPlace;
use crate::channels::per_channel;
use crate::device::on_cuda;
use crate::memory::{Dense, expect_shape, numbers, rounded, tensor, wrong_shape};
use crate::real::{Real, by_dtype};
use crate::sums::column_sums;
use crate::{BatchNorm, OpError, Result, Then, Wanted, WeightGrads, batch_norm_eval};
use candle_core::Tensor;
use geometry::Geometry;

/// How a kernel moves over its input; pairs are rows, then columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2d {
    /// Steps between output positions, at least 1.
    pub stride: [usize; 2],
    /// Zeros added at every side.
    pub padding: [usize; 2],
    /// Distance between neighboring weights of the kernel, at least 1.
    pub dilation: [usize; 2],
    /// Number of groups of channels that do not see each other, a divisor of both numbers of channels.
    pub groups: usize,
    /// Whether it is computed as it is defined even where fewer multiplications would do: then outputs that see the same are the same to the last
    /// bit. cuDNN chooses by itself.
    pub by_definition: bool,
}

impl Default for Conv2d {
    /// Stride 1, no padding, no dilation, one group, with as few multiplications as there is a way for.
    fn default() -> Self {
        Self { stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1, by_definition: false }
    }
}

impl Conv2d {
    /// floor((input + 2 padding - dilation (kernel - 1) - 1) / stride) + 1 for rows and columns; `None` where the
    /// kernel is larger than the padded input or a kernel, stride or dilation is 0.
    pub fn output_size(&self, input: [usize; 2], kernel: [usize; 2]) -> Option<[usize; 2]> {
        let size = |axis: usize| {
            let reach = kernel[axis].checked_sub(1)?.checked_mul(self.dilation[axis])?.checked_add(1)?;
            let padded = input[axis].checked_add(self.padding[axis].checked_mul(2)?)?;
            let steps = padded.checked_sub(reach)?.checked_div(self.stride[axis])?;
            (self.dilation[axis] > 0).then_some(steps + 1)
        };
        Some([size(0)?, size(1)?])
    }
}

/// y(n, o, h, w) = bias(o) + sum over i, r, s of x(n, i, h stride + r dilation - padding, w ...) weight(o, i, r, s), `x`
/// being (N, I, H, W), zero outside, `weight` (O, I / groups, KH, KW) and `bias` (O): (N, O, OH, OW).
///
/// # Errors
/// [`OpError::Shape`] where the shapes or the groups do not fit each other ([`Conv2d::output_size`]),
/// [`OpError::Unsupported`] for another type or device.
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, conv: &Conv2d) -> Result<Tensor> {
    on_cuda!(x, crate::cuda::conv2d(x, weight, bias, conv));
    by_dtype!("conv2d", x, forward_of("conv2d", x, weight, bias, conv, &|_| ()))
}

/// [`batch_norm_eval`] of [`conv2d`], with the bits of the two one after the other; where no pooling follows in one pass over
/// memory, so that what is between is never written.
///
/// # Errors
/// As [`conv2d`] and [`batch_norm_eval`].
pub fn conv2d_batch_norm_eval(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    conv: &Conv2d,
    norm: &BatchNorm<'_>,
    then: Then,
) -> Result<Tensor> {
    if !x.device().is_cpu() || matches!(then, Then::ReluMaxPool { .. }) {
        return batch_norm_eval(&conv2d(x, weight, bias, conv)?, norm, then);
    }
    by_dtype!("conv2d_batch_norm_eval", x, normed_of(x, weight, bias, conv, norm, then == Then::Relu))
}

/// The gradients of [`conv2d`] with respect to its input, weight and bias, `grad` being (N, O, OH, OW).
///
/// # Errors
/// As [`conv2d`].
pub fn conv2d_backward(
    x: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
    conv: &Conv2d,
    wanted: Wanted,
) -> Result<WeightGrads> {
    on_cuda!(x, crate::cuda::conv2d_backward(x, weight, grad, conv, wanted));
    by_dtype!("conv2d_backward", x, backward_of(x, weight, grad, conv, wanted))
}

/// What is done to whole pixels of the output while they are in the cache.
type Finish<'a, T> = &'a (dyn Fn(&mut [T]) + Sync);

fn normed_of<T: Real>(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    conv: &Conv2d,
    norm: &BatchNorm<'_>,
    relu: bool,
) -> Result<Tensor> {
    const OP: &str = "conv2d_batch_norm_eval";
    let outputs = Geometry::new(OP, x, weight, conv)?.o;
    let norm = InPlace::<T>::new(OP, norm, outputs, relu)?;
    forward_of::<T>(OP, x, weight, bias, conv, &|pixels| norm.apply(pixels))
}

fn forward_of<T: Real>(
    op: &'static str,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    conv: &Conv2d,
    finish: Finish<'_, T>,
) -> Result<Tensor> {
    let geometry = Geometry::new(op, x, weight, conv)?;
    let bias = bias.map(|bias| per_channel::<T>(op, "bias", bias, geometry.o)).transpose()?;
    let (dense, weight) = (Dense::new::<T>(op, x)?, weights::contiguous::<T>(op, weight)?);
    let ((storage, layout), (weight_storage, weight_layout)) = (dense.storage(), weight.storage_and_layout());
    let (x, weight) = (numbers::<T>(&storage, layout)?, numbers::<T>(&weight_storage, weight_layout)?);
    let out = if geometry.is_depthwise() {
        depthwise::forward(x, &weights::by_tap(weight, &geometry), bias.as_deref(), &geometry, finish)
    } else if let Some(blocks) = winograd::blocks::<T>(&geometry) {
        winograd::forward(x, weight, bias.as_deref(), &geometry, blocks, finish)
    } else {
        apply::forward(x, weight, bias.as_deref(), &geometry, finish)
    };
    tensor(out, &geometry.output_shape())
}

fn backward_of<T: Real>(
    x: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
    conv: &Conv2d,
    wanted: Wanted,
) -> Result<WeightGrads> {
    const OP: &str = "conv2d_backward";
    let geometry = Geometry::new(OP, x, weight, conv)?;
    expect_shape(OP, "grad", grad, &geometry.output_shape())?;
    let dense_grad = Dense::new::<T>(OP, grad)?;
    let (storage, layout) = dense_grad.storage();
    let grads = numbers::<T>(&storage, layout)?;
    Ok(WeightGrads {
        input: wanted.input.then(|| input_gradient_of(OP, weight, grads, &geometry)).transpose()?,
        weight: wanted.weight.then(|| weight_gradient_of(OP, x, grads, &geometry)).transpose()?,
        bias: wanted.bias.then(|| rounded::<T>(&column_sums(grads, geometry.o), &[geometry.o])).transpose()?,
    })
}

/// The gradient of [`conv2d`] with respect to an input of shape `input`, of which no number is read.
pub(crate) fn conv2d_input_gradient<T: Real>(
    op: &'static str,
    weight: &Tensor,
    grad: &Tensor,
    input: &[usize],
    conv: &Conv2d,
) -> Result<Tensor> {
    let x = Tensor::zeros((), T::DTYPE, &candle_core::Device::Cpu)?.broadcast_as(input)?;
    let geometry = Geometry::new(op, &x, weight, conv)?;
    expect_shape(op, "grad", grad, &geometry.output_shape())?;
    let dense = Dense::new::<T>(op, grad)?;
    let (storage, layout) = dense.storage();
    input_gradient_of(op, weight, numbers::<T>(&storage, layout)?, &geometry)
}

fn input_gradient_of<T: Real>(op: &'static str, weight: &Tensor, grads: &[T], geometry: &Geometry) -> Result<Tensor> {
    let weight = weights::contiguous::<T>(op, weight)?;
    let (storage, layout) = weight.storage_and_layout();
    let weight = numbers::<T>(&storage, layout)?;
    let out = if geometry.is_depthwise() {
        depthwise::input_gradient(&weights::by_tap(weight, geometry), grads, geometry)
    } else if let Some(blocks) = winograd::blocks::<T>(geometry) {
        winograd::input_gradient(weight, grads, geometry, blocks)
    } else {
        apply::input_gradient(weight, grads, geometry)
    };
    tensor(out, &geometry.input_shape())
}

fn weight_gradient_of<T: Real>(op: &'static str, x: &Tensor, grads: &[T], geometry: &Geometry) -> Result<Tensor> {
    let dense = Dense::new::<T>(op, x)?;
    let (storage, layout) = dense.storage();
    let x = numbers::<T>(&storage, layout)?;
    let numbers = if geometry.is_depthwise() {
        depthwise::weight_gradient(x, grads, geometry)
    } else if let Some(blocks) = winograd::blocks::<T>(geometry) {
        winograd::weight_gradient(x, grads, geometry, blocks)
    } else {
        weight_gradient::weight_gradient(x, grads, geometry)
    };
    Ok(Tensor::from_vec(numbers, &geometry.weight_shape()[..], &candle_core::Device::Cpu)?)
}

fn misfit(op: &'static str, x: &Tensor, weight: &Tensor, expected: String) -> OpError {
    wrong_shape(op, format!("x {:?} and weight {:?}", x.dims(), weight.dims()), expected)
}
