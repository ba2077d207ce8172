//! The linear layer, by cuBLAS.

use super::call::Call;
use super::kernels::each_pixel;
use super::sums::channel_sums;
use crate::memory::{expect_shape, wrong_shape};
use crate::{Result, Wanted, WeightGrads};
use candle_core::cuda_backend::cudarc::driver::PushKernelArg;
use candle_core::{DType, Tensor};

/// N and O.
fn sizes(call: &Call, x: &Tensor, weight: &Tensor) -> Result<[usize; 2]> {
    match (x.dims(), weight.dims()) {
        (&[n, inputs], &[outputs, weight_inputs]) if inputs == weight_inputs => Ok([n, outputs]),
        (x, weight) => {
            let given = format!("x {x:?} and weight {weight:?}");
            Err(wrong_shape(call.op, given, "x (N, I) and weight (O, I) with one I"))
        }
    }
}

pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let call = Call::new("linear", x)?;
    sizes(&call, x, weight)?;
    let y = matrix(&call, x)?.matmul(&matrix(&call, weight)?.t()?)?; // (N, I) (I, O)
    bias.map_or(Ok(y.clone()), |bias| add_bias(&call, &y, bias))
}

/// x + bias, for (N, C) or (N, C, H, W) and (C).
pub(super) fn add_bias(call: &Call, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (kernel, channels) = (call.kernel("add_bias")?, x.dim(1)?);
    let (pixels, shape) = (x.elem_count() / channels.max(1), x.dims());
    let dense = [call.dense(x)?, call.shaped("bias", bias, &[channels])?];
    let [x, bias] = dense.each_ref().map(|tensor| tensor.hold());
    let (x, bias, mut y) = (x.numbers::<f32>()?, bias.numbers::<f32>()?, call.room::<f32>(pixels * channels)?);
    let mut arguments = call.arguments(&kernel);
    arguments.arg(&pixels).arg(&channels).arg(&x).arg(&bias).arg(&mut y);
    // SAFETY: as the kernel declares them; x and y are of one shape, with a bias for each channel.
    unsafe { call.run(&mut arguments, each_pixel(pixels, channels)) }?;
    call.tensor(y, shape)
}

pub(crate) fn linear_backward(x: &Tensor, weight: &Tensor, grad: &Tensor, wanted: Wanted) -> Result<WeightGrads> {
    let call = Call::new("linear_backward", x)?;
    let [n, outputs] = sizes(&call, x, weight)?;
    expect_shape(call.op, "grad", grad, &[n, outputs])?;
    let (x, weight, grad) = (matrix(&call, x)?, matrix(&call, weight)?, matrix(&call, grad)?);
    let bias = || channel_sums(&call, &call.dense(&grad)?, n, outputs);
    Ok(WeightGrads {
        input: wanted.input.then(|| grad.matmul(&weight)).transpose()?, // (N, O) (O, I)
        weight: wanted.weight.then(|| grad.t()?.matmul(&x)).transpose()?, // (O, N) (N, I)
        bias: wanted.bias.then(bias).transpose()?,
    })
}

/// A matrix of `f32` row by row, as cuBLAS needs it.
fn matrix(call: &Call, tensor: &Tensor) -> Result<Tensor> {
    call.check(tensor, DType::F32)?;
    Ok(tensor.detach().contiguous()?)
}
