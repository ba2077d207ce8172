//! What stands in for the module `cuda` in a build without the feature.

use crate::update::{Rule, Update, Updated};
use crate::{Arithmetic, OpError, Result};
use candle_core::{Device, Tensor};

pub(crate) fn is_there() -> bool {
    false
}

pub(crate) fn open(number: usize, _arithmetic: Arithmetic) -> Result<Device> {
    Err(absent("device", format!("cuda:{number} in a build without CUDA")))
}

pub(crate) fn is_out_of_memory(_error: &candle_core::Error) -> bool {
    false
}

pub(crate) fn update(_rule: &Rule, _parts: &[Update<'_>], _scale: f32) -> Result<Vec<Updated>> {
    Err(absent("update", "a build without CUDA".into()))
}

pub(crate) fn sum_of_squares(_tensors: &[&Tensor]) -> Result<f64> {
    Err(absent("sum_of_squares", "a build without CUDA".into()))
}

fn absent(op: &'static str, what: String) -> OpError {
    OpError::Unsupported { op, what, hint: "build with `--features cuda`, or compute on the CPU" }
}
