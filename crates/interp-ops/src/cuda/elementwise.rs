//! ReLU, sum, and the change of layout.

use super::call::Call;
use super::kernels::each_number;
use crate::Result;
use candle_core::Tensor;
use candle_core::cuda_backend::cudarc::driver::PushKernelArg;

pub(crate) fn relu(x: &Tensor) -> Result<Tensor> {
    let call = Call::new("relu", x)?;
    let kernel = call.kernel("relu")?;
    let (count, x, shape) = (x.elem_count(), call.dense(x)?, x.dims());
    let x = x.hold();
    let (x, mut y) = (x.numbers::<f32>()?, call.room::<f32>(count)?);
    let mut arguments = call.arguments(&kernel);
    arguments.arg(&count).arg(&x).arg(&mut y);
    // SAFETY: as the kernel declares them; both tensors have `count` numbers.
    unsafe { call.run(&mut arguments, each_number(count)) }?;
    call.tensor(y, shape)
}

pub(crate) fn relu_backward(output: &Tensor, grad: &Tensor) -> Result<Tensor> {
    of_two("relu_backward", output, grad)
}

pub(crate) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    of_two("add", a, b)
}

pub(crate) fn channels_last(x: &Tensor) -> Result<Tensor> {
    let call = Call::new("channels_last", x)?;
    call.check(x, candle_core::DType::F32)?;
    let x = x.detach();
    Ok(match x.rank() {
        4 => x.permute((0, 2, 3, 1))?.contiguous()?.permute((0, 3, 1, 2))?, // (N, C, H, W), as it was
        _ => x.contiguous()?,
    })
}

/// A kernel of two tensors of one shape that has the name of its operation.
fn of_two(op: &'static str, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let call = Call::new(op, a)?;
    let kernel = call.kernel(op)?;
    let (count, shape) = (a.elem_count(), a.dims());
    let dense = [call.dense(a)?, call.shaped("the second tensor", b, shape)?];
    let [a, b] = dense.each_ref().map(|tensor| tensor.hold());
    let (a, b, mut out) = (a.numbers::<f32>()?, b.numbers::<f32>()?, call.room::<f32>(count)?);
    let mut arguments = call.arguments(&kernel);
    arguments.arg(&count).arg(&a).arg(&b).arg(&mut out);
    // SAFETY: as the kernels declare them; all three tensors have `count` numbers.
    unsafe { call.run(&mut arguments, each_number(count)) }?;
    call.tensor(out, shape)
}
