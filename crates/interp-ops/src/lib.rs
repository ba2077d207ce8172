//! Operations for convolutional networks, forward and backward, on the CPU and on CUDA devices.
//!
//! # Conventions
//! - A tensor is a candle [`Tensor`] of logical shape (N, C, H, W): pictures, channels, rows, columns.
//!   What is returned lies in memory as channels-last, an (N, H, W, C) buffer permuted to the logical shape; tensors of
//!   other ranks lie row by row. Any layout and offset is accepted and converted; [`channels_last`] does it once, at the
//!   door of a network.
//! - Descriptors, thresholds, sigmoids, softmaxes, k winners, routing, gates, products and samples, interpolation, adaptive pooling, transposed and B-cos convolutions and
//!   uncentered norms run on the CPU alone. Prototypes are computed there too, wherever their tensors lie.
//! - Types of numbers are `f32` and `f64`, all tensors of one call of the same type, in one place: on the CPU, or, with the
//!   feature `cuda` and as `f32` alone, on a CUDA device ([`device`]). Anything else is [`OpError::Unsupported`]. An operation
//!   runs where its tensors lie, and its results lie there too.
//! - No operation takes part in candle's automatic differentiation: results are plain, detached tensors, and each
//!   operation has its gradient as a function beside it.
//! - Work is cut into chunks by shape alone, and sums over chunks are taken in a fixed order: every result is
//!   bit-identical for any number of threads. Sums are cut into short parts, or taken in `f64`, so that rounding errors stay
//!   near those of PyTorch (`tests/accuracy`). On the CPU a picture's forward result is bit-identical in any batch; on a
//!   device results are the same on every run, to rounding those of the CPU, and to rounding the same in any batch.
//! - An empty batch gives empty results where a result exists; a mean over nothing is an error.

pub mod banks;
mod batch_norm;
mod bcos_conv2d;
mod binary_cross_entropy;
mod channels;
mod concat;
mod conv2d;
mod conv_transpose2d;
mod cross_entropy;
#[cfg_attr(not(feature = "cuda"), path = "no_cuda.rs")]
mod cuda;
mod descriptors;
mod device;
mod elementwise;
mod error;
mod gated;
mod k_winners;
mod lanes;
mod linear;
mod memory;
mod mirror;
mod multiply;
mod on_off;
mod pad_shortcut;
mod pool;
mod product;
mod prototypes;
mod real;
mod resample;
mod route;
mod saliency;
mod sample;
pub mod scalars;
mod sizes;
mod softmax;
mod sums;
#[cfg(test)]
mod testing;
mod threshold;
mod update;
mod upsample;

pub use batch_norm::{
    BatchNorm, BatchNormGrads, BatchNormed, Then, UncenteredGrads, batch_norm_eval, batch_norm_eval_backward,
    batch_norm_train, batch_norm_train_backward, uncentered_norm_backward, uncentered_norm_eval, uncentered_norm_train,
};
pub use bcos_conv2d::{BCosConv2d, bcos_conv2d, bcos_conv2d_backward, bcos_conv2d_held_backward};
pub use binary_cross_entropy::binary_cross_entropy;
pub use concat::{concat, concat_backward};
pub use conv_transpose2d::{ConvTranspose2d, conv_transpose2d, conv_transpose2d_backward};
pub use conv2d::{Conv2d, conv2d, conv2d_backward, conv2d_batch_norm_eval};
pub use cross_entropy::{CrossEntropy, Targets, cross_entropy};
pub use descriptors::{Descriptor, describe, describe_backward};
pub use device::{Arithmetic, device, is_out_of_memory};
pub use elementwise::{add, channels_last, relu, relu_backward, scale_rows, sigmoid, sigmoid_backward, step};
pub use error::{OpError, Result};
pub use gated::{GatedGrads, gated, gated_backward};
pub use k_winners::k_winners;
pub use linear::{linear, linear_backward};
pub use mirror::{mirror, mirror_backward, mirrored};
pub use multiply::{MultiplyGrads, multiply, multiply_backward};
pub use on_off::{complement, on_off, on_off_backward};
pub use pad_shortcut::{pad_shortcut, pad_shortcut_backward};
pub use pool::{
    MaxPooled, Pool2d, adaptive_avg_pool2d, adaptive_avg_pool2d_backward, adaptive_window, avg_pool2d,
    avg_pool2d_backward, global_avg_pool, global_avg_pool_backward, max_pool2d, max_pool2d_backward,
};
pub use prototypes::{Likeness, PrototypeGrads, prototypes, prototypes_backward};
pub use route::{route, route_backward};
pub use saliency::{saliency, saliency_backward};
pub use sample::{sample, sample_backward};
pub use sizes::{Sizes, sizes};
pub use softmax::{Over, softmax, softmax_backward};
pub use threshold::{Curve, ThresholdGrads, threshold, threshold_backward};
pub use update::{Rule, Update, Updated, sum_of_squares, update};
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
