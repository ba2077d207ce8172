//! What an optimizer keeps for a parameter.

use candle_core::{DType, Device, Tensor};
use interp_net::Param;

use crate::Result;

/// The buffers of one parameter, in the optimizer's order: on the CPU numbers that are changed in place, on a device
/// tensors of the parameter's shape. There are no numbers where nothing is trained.
#[derive(Clone, Debug)]
pub(crate) enum Buffers {
    Host(Vec<Vec<f32>>),
    Device(Vec<Tensor>),
}

impl Buffers {
    /// `count` buffers of zeros for a parameter, where it lies.
    pub(crate) fn zeros(param: &Param, count: usize) -> Result<Self> {
        let value = &param.value;
        if !param.role.is_trained() {
            return Ok(Self::Host(vec![vec![]; count]));
        }
        if value.device().is_cpu() {
            return Ok(Self::Host(vec![vec![0.0; value.elem_count()]; count]));
        }
        let zeros = (0..count).map(|_| Tensor::zeros(value.shape(), DType::F32, value.device()));
        Ok(Self::Device(zeros.collect::<candle_core::Result<_>>()?))
    }

    /// The numbers, where they lie on the CPU.
    pub(crate) fn on_host(&mut self) -> Result<&mut [Vec<f32>]> {
        match self {
            Self::Host(all) => Ok(all),
            Self::Device(_) => {
                Err(candle_core::Error::Msg("a parameter on the CPU, its buffers elsewhere".into()).into())
            }
        }
    }

    /// The buffers as tensors; none on the CPU.
    pub(crate) fn tensors(&self) -> &[Tensor] {
        match self {
            Self::Host(_) => &[],
            Self::Device(all) => all,
        }
    }

    /// The buffers as vectors, to be saved.
    pub(crate) fn vectors(&self) -> Result<Vec<Tensor>> {
        let vectors: candle_core::Result<_> = match self {
            Self::Host(all) => all.iter().map(|v| Tensor::from_slice(v, v.len(), &Device::Cpu)).collect(),
            Self::Device(all) => all.iter().map(Tensor::flatten_all).collect(),
        };
        Ok(vectors?)
    }

    /// The buffer at `index` with new numbers; as many as it has.
    pub(crate) fn refill(&mut self, index: usize, numbers: Vec<f32>) -> Result<()> {
        match self {
            Self::Host(all) => all[index] = numbers,
            Self::Device(all) => all[index] = Tensor::from_vec(numbers, all[index].shape(), all[index].device())?,
        }
        Ok(())
    }

    /// Numbers in the buffer at `index`.
    pub(crate) fn len(&self, index: usize) -> usize {
        match self {
            Self::Host(all) => all[index].len(),
            Self::Device(all) => all[index].elem_count(),
        }
    }
}
