//! First values of the parameters.

use candle_core::{DType, Device, Tensor};
use interp_finding::random::stream;
use rand::distr::Distribution;
use rand_distr::{Normal, Uniform};

use crate::params::Slot;
use crate::{Graph, NetError, Op, Result, Role};

/// The first value of a parameter. Convolutions: normal with variance `2 / (out * kh * kw)` (He et al. 2015, arXiv 1502.01852, eq. 14:
/// fan-out), the choice of torchvision's VGG and ResNet; transposed ones with `2 / (out / groups * kh * kw)`, the cells
/// that one cell is spread over. Linear maps: uniform within `1 / sqrt(in)`, PyTorch's default. Biases and shifts 0,
/// gains 1, thresholds as their nodes say. Each tensor has its own random stream, keyed by its name.
pub(crate) fn first_value(graph: &Graph, slot: &Slot, seed: u64) -> Result<Tensor> {
    let shape = slot.shape.as_slice();
    match (slot.role, &graph.nodes()[slot.node].op) {
        (Role::Weight, op) => Ok(Tensor::from_vec(weights(op, slot, seed)?, shape, &Device::Cpu)?),
        (Role::Threshold, Op::Threshold { initial, .. }) => Ok(Tensor::full(*initial as f32, shape, &Device::Cpu)?),
        (Role::Gain | Role::RunningVariance, _) => Ok(Tensor::ones(shape, DType::F32, &Device::Cpu)?),
        _ => Ok(Tensor::zeros(shape, DType::F32, &Device::Cpu)?),
    }
}

fn weights(op: &Op, slot: &Slot, seed: u64) -> Result<Vec<f32>> {
    let (dims, count) = (&slot.shape, slot.shape.iter().product::<usize>());
    let mut rng = stream(seed, &format!("init/{}", slot.name), 0, 0);
    if let Op::Linear { .. } = op {
        let bound = 1.0 / (dims[1] as f32).sqrt();
        let uniform = Uniform::new_inclusive(-bound, bound).map_err(not_made)?;
        return Ok((0..count).map(|_| uniform.sample(&mut rng)).collect());
    }
    let taps = dims[2..].iter().product::<usize>();
    let fan_out = if matches!(op, Op::ConvTranspose2d { .. }) { dims[1] * taps } else { dims[0] * taps };
    let normal = Normal::new(0.0, (2.0 / fan_out as f32).sqrt()).map_err(not_made)?;
    Ok((0..count).map(|_| normal.sample(&mut rng)).collect())
}

fn not_made(error: impl std::fmt::Display) -> NetError {
    NetError::Architecture(format!("no first values for a layer without inputs or outputs: {error}"))
}
