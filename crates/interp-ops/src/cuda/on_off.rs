//! Two channels for one.

use super::call::{Call, pixels};
use super::kernels::each_pixel;
use crate::Result;
use crate::memory::four;
use candle_core::Tensor;
use candle_core::cuda_backend::cudarc::driver::PushKernelArg;

pub(crate) fn on_off(x: &Tensor) -> Result<Tensor> {
    const OP: &str = "on_off";
    let call = Call::new(OP, x)?;
    let [n, c, h, w] = four(OP, "x", x.dims())?;
    apply(&call, x, c, &[n, 2 * c, h, w])
}

/// `grad` has an even number of channels.
pub(crate) fn on_off_backward(grad: &Tensor) -> Result<Tensor> {
    const OP: &str = "on_off_backward";
    let call = Call::new(OP, grad)?;
    let [n, both, h, w] = four(OP, "grad", grad.dims())?;
    apply(&call, grad, both / 2, &[n, both / 2, h, w])
}

/// The kernel of the operation's name, with `channels` on the side of x.
fn apply(call: &Call, from: &Tensor, channels: usize, shape: &[usize]) -> Result<Tensor> {
    let (kernel, (pixels, _)) = (call.kernel(call.op)?, pixels(call.op, "x", shape)?);
    let from = call.dense(from)?;
    let from = from.hold();
    let (from, mut to) = (from.numbers::<f32>()?, call.room::<f32>(shape.iter().product())?);
    let mut arguments = call.arguments(&kernel);
    arguments.arg(&pixels).arg(&channels).arg(&from).arg(&mut to);
    // SAFETY: as the kernels declare them; x has `channels` numbers for each pixel, the other tensor twice as many.
    unsafe { call.run(&mut arguments, each_pixel(pixels, channels)) }?;
    call.tensor(to, shape)
}
