//! Operations for convolutional networks, forward and backward, on the CPU.
//!
//! # Conventions
//! - A tensor is a candle [`Tensor`] of logical shape (N, C, H, W): pictures, channels, rows, columns.
//!   What is returned lies in memory as channels-last, an (N, H, W, C) buffer permuted to the logical shape; tensors of
//!   other ranks lie row by row. Any layout and offset is accepted and converted; [`channels_last`] does it once, at the
//!   door of a network.
//! - Types of numbers are `f32` and `f64`, all tensors of one call of the same type, on the CPU. Anything else is
//!   [`OpError::Unsupported`].
//! - No operation takes part in candle's automatic differentiation: results are plain, detached tensors, and each
//!   operation has its gradient as a function beside it.
//! - Work is cut into chunks by shape alone, and sums over chunks are taken in a fixed order (in `f64`): every result is
//!   bit-identical for any number of threads. A picture's forward result is bit-identical in any batch.
//! - An empty batch gives empty results where a result exists; a mean over nothing is an error.

mod batch_norm;
mod channels;
mod conv2d;
mod conv_transpose2d;
mod cross_entropy;
mod elementwise;
mod error;
mod lanes;
mod linear;
mod memory;
mod on_off;
mod pad_shortcut;
mod pool;
mod product;
mod real;
mod resample;
mod soft_threshold;
mod sums;
#[cfg(test)]
mod testing;
mod upsample;

pub use batch_norm::{
    BatchNorm, BatchNormGrads, BatchNormed, batch_norm_eval, batch_norm_eval_backward, batch_norm_relu_eval,
    batch_norm_relu_eval_backward, batch_norm_relu_train, batch_norm_relu_train_backward, batch_norm_train,
    batch_norm_train_backward,
};
pub use conv_transpose2d::{ConvTranspose2d, conv_transpose2d, conv_transpose2d_backward};
pub use conv2d::{Conv2d, conv2d, conv2d_backward};
pub use cross_entropy::{CrossEntropy, Targets, cross_entropy};
pub use elementwise::{add, channels_last, relu, relu_backward};
pub use error::{OpError, Result};
pub use linear::{linear, linear_backward};
pub use on_off::{on_off, on_off_backward};
pub use pad_shortcut::{pad_shortcut, pad_shortcut_backward};
pub use pool::{
    MaxPooled, Pool2d, adaptive_avg_pool2d, adaptive_avg_pool2d_backward, adaptive_window, avg_pool2d,
    avg_pool2d_backward, global_avg_pool, global_avg_pool_backward, max_pool2d, max_pool2d_backward,
};
pub use soft_threshold::{SoftThresholdGrads, soft_threshold, soft_threshold_backward};
pub use upsample::{Interpolation, upsample2d, upsample2d_backward};

use candle_core::Tensor;

/// Which gradients of an operation with weights are to be computed; what is not wanted costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The gradient with respect to the input.
    pub input: bool,
    /// The gradient with respect to the weight.
    pub weight: bool,
    /// The gradient with respect to the bias.
    pub bias: bool,
}

/// Gradients of an operation with weights; `None` where not [`Wanted`].
#[derive(Debug, Clone)]
pub struct WeightGrads {
    /// The gradient with respect to the input, of its shape.
    pub input: Option<Tensor>,
    /// The gradient with respect to the weight, of its shape.
    pub weight: Option<Tensor>,
    /// The gradient with respect to the bias, one value per output channel.
    pub bias: Option<Tensor>,
}
