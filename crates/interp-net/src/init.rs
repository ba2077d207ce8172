//! First values of the parameters.

use candle_core::{Device, Tensor};
use interp_finding::random::stream;
use rand::distr::Distribution;
use rand_distr::{Normal, Uniform};

use crate::{Graph, NetError, Op, Params, Result, Role};

/// Convolutions: normal with variance `2 / (out * kh * kw)` (He et al. 2015, arXiv 1502.01852, eq. 14:
/// fan-out), the choice of torchvision's VGG and ResNet. Linear maps: uniform within `1 / sqrt(in)`,
/// PyTorch's default. Biases and shifts 0, gains 1. Each tensor has its own random stream, keyed by
/// its name.
pub(crate) fn fill(graph: &Graph, params: &mut Params, seed: u64) -> Result<()> {
    for position in 0..params.list().len() {
        let param = &params.list()[position];
        if param.role != Role::Weight {
            continue;
        }
        let dims = param.value.dims().to_vec();
        let count = param.value.elem_count();
        let mut rng = stream(seed, &format!("init/{}", param.name), 0, 0);
        let values: Vec<f32> = match graph.nodes()[param.node].op {
            Op::Linear { .. } => {
                let bound = 1.0 / (dims[1] as f32).sqrt();
                let uniform = Uniform::new_inclusive(-bound, bound).map_err(not_made)?;
                (0..count).map(|_| uniform.sample(&mut rng)).collect()
            }
            _ => {
                let fan_out = dims[0] * dims[2..].iter().product::<usize>();
                let normal = Normal::new(0.0, (2.0 / fan_out as f32).sqrt()).map_err(not_made)?;
                (0..count).map(|_| normal.sample(&mut rng)).collect()
            }
        };
        let value = Tensor::from_vec(values, dims, &Device::Cpu)?.to_dtype(params.list()[position].value.dtype())?;
        params.set(position, value)?;
    }
    Ok(())
}

fn not_made(error: impl std::fmt::Display) -> NetError {
    NetError::Architecture(format!("no first values for a layer without inputs or outputs: {error}"))
}
