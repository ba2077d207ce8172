//! Softmax cross-entropy.

use super::call::Call;
use super::kernels::each_row;
use crate::{CrossEntropy, Result};
use candle_core::Tensor;
use candle_core::cuda_backend::cudarc::driver::PushKernelArg;

/// `logits` and `wanted`, the targets as distributions, are (N, K), neither of them 0, and there are K weights. Waits for
/// the device, to give the loss.
pub(crate) fn cross_entropy(
    logits: &Tensor,
    wanted: &Tensor,
    smoothing: f64,
    weights: &[f64],
    divisor: f64,
) -> Result<CrossEntropy> {
    let call = Call::new("cross_entropy", logits)?;
    let (kernel, (rows, classes)) = (call.kernel("cross_entropy")?, logits.dims2()?);
    let dense = [call.dense(logits)?, call.dense(wanted)?];
    let [logits, wanted] = dense.each_ref().map(|tensor| tensor.hold());
    let (logits, wanted, weights) = (logits.numbers::<f32>()?, wanted.numbers::<f32>()?, call.upload(weights)?);
    let (mut losses, mut grad) = (call.room::<f64>(rows)?, call.room::<f32>(rows * classes)?);
    let mut arguments = call.arguments(&kernel);
    arguments.arg(&classes).arg(&logits).arg(&wanted).arg(&weights).arg(&smoothing).arg(&divisor);
    arguments.arg(&mut losses).arg(&mut grad);
    // SAFETY: as the kernel declares them; a block writes the loss and the gradients of its row.
    unsafe { call.run(&mut arguments, each_row(rows)) }?;
    let losses: Vec<f64> = call.device.clone_dtoh(&losses)?;
    Ok(CrossEntropy { loss: losses.iter().sum::<f64>() / divisor, grad: call.tensor(grad, &[rows, classes])? })
}
