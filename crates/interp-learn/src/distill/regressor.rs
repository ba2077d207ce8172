//! A linear map from the student's channels to the teacher's, trained along and then thrown away.

use candle_core::{DType, Device, Tensor, Var};
use interp_net::finding::random::stream;
use rand::Rng;

use crate::Result;
use crate::prior::State;

const WEIGHT: &str = "regressor";
const VELOCITY: &str = "velocity";

/// Share of the old velocity in steps of the regressor.
const MOMENTUM: f64 = 0.9;

/// Puts a map of `inputs` to `outputs` channels into a state: uniform values of deviation `1 / sqrt(inputs)`.
pub(super) fn prepare(state: &mut State, inputs: usize, outputs: usize, seed: u64) -> Result<()> {
    let bound = (3.0 / inputs as f32).sqrt();
    let mut random = stream(seed, "regressor", 0, 0);
    let values: Vec<f32> = (0..inputs * outputs).map(|_| random.random_range(-bound..bound)).collect();
    state.tensors.insert(WEIGHT.into(), Tensor::from_vec(values, (outputs, inputs), &Device::Cpu)?);
    state.tensors.insert(VELOCITY.into(), Tensor::zeros((outputs, inputs), DType::F32, &Device::Cpu)?);
    Ok(())
}

/// The map (outputs, inputs), where the student's activations `like` lie.
pub(super) fn weight(state: &State, like: &Tensor) -> Result<Var> {
    let missing = || crate::LearnError::State(format!("`{WEIGHT}` is missing"));
    let weight = state.tensors.get(WEIGHT).ok_or_else(missing)?;
    Ok(Var::from_tensor(&weight.to_device(like.device())?.to_dtype(like.dtype())?)?)
}

/// A step of gradient descent with momentum, at the student's learning rate.
pub(super) fn step(state: &mut State, gradient: &Tensor, rate: f64) -> Result<()> {
    let gradient = gradient.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    let velocity = match state.tensors.get(VELOCITY) {
        Some(velocity) => ((velocity * MOMENTUM)? + gradient)?,
        None => gradient,
    };
    if let Some(weight) = state.tensors.get_mut(WEIGHT) {
        *weight = (&*weight - (&velocity * rate)?)?;
    }
    state.tensors.insert(VELOCITY.into(), velocity);
    Ok(())
}
