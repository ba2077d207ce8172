//! One step of an optimizer for many tensors at once, on a CUDA device.
//!
//! On the CPU, optimizers work on slices in place (`interp-learn`). On a device a step is one launch for all tensors, and
//! leaves the old ones as they are, since others may hold them.

use crate::{Result, cuda};
use candle_core::Tensor;

/// How gradients become steps. All gradients g are multiplied with the scale of the step first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// `g += decay w; v = momentum v + g; w -= rate v`, with Nesterov `w -= rate (g + momentum v)`. One buffer, v.
    Sgd {
        /// Share of the old velocity.
        momentum: f64,
        /// Whether to look ahead.
        nesterov: bool,
    },
    /// AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2), with bias correction. Two buffers: the mean and
    /// the mean square of the gradients.
    AdamW {
        /// Decay of the two.
        betas: [f64; 2],
        /// Added to the root.
        eps: f64,
    },
}

/// A tensor in a step; all of its tensors are `f32`, of one shape.
#[derive(Debug, Clone, Copy)]
pub struct Update<'a> {
    /// The values w.
    pub value: &'a Tensor,
    /// Their gradient.
    pub grad: &'a Tensor,
    /// The buffers that the rule keeps.
    pub buffers: &'a [Tensor],
    /// The learning rate.
    pub rate: f64,
    /// The decay.
    pub decay: f64,
    /// The number of the step, from 1.
    pub count: u64,
}

/// What a step makes of an [`Update`].
#[derive(Debug, Clone)]
pub struct Updated {
    /// The new values.
    pub value: Tensor,
    /// The new buffers.
    pub buffers: Vec<Tensor>,
}

/// One step for all of `parts`.
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) where shapes or the number of buffers do not fit,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type, on the CPU, and in a build without CUDA.
pub fn update(rule: &Rule, parts: &[Update<'_>], scale: f32) -> Result<Vec<Updated>> {
    cuda::update(rule, parts, scale)
}

/// The sum of the squares of all numbers of all tensors, in `f64`.
///
/// # Errors
/// As [`update`].
pub fn sum_of_squares(tensors: &[&Tensor]) -> Result<f64> {
    cuda::sum_of_squares(tensors)
}
