//! Sums over the pixels of every channel.

use super::call::{Call, Dense};
use super::kernels::{CHUNK, each_chunk};
use crate::Result;
use candle_core::Tensor;
use candle_core::cuda_backend::cudarc::driver::PushKernelArg;

/// The sum of every channel of a tensor of `pixels` times `channels` numbers, (C): chunks in `f32`, over chunks in `f64`.
pub(super) fn channel_sums(call: &Call, x: &Dense, pixels: usize, channels: usize) -> Result<Tensor> {
    let (first, second) = (call.kernel("chunk_sums")?, call.kernel("join_sums")?);
    let (chunk, chunks) = (CHUNK, pixels.div_ceil(CHUNK));
    let x = x.hold();
    let (x, mut parts) = (x.numbers::<f32>()?, call.room::<f32>(chunks * channels)?);
    let mut arguments = call.arguments(&first);
    arguments.arg(&pixels).arg(&channels).arg(&chunk).arg(&x).arg(&mut parts);
    // SAFETY: as the kernel declares them; every block writes the channels of its chunk to `parts`.
    unsafe { call.run(&mut arguments, each_chunk(chunks, channels)) }?;
    let mut sums = call.room::<f32>(channels)?;
    let mut arguments = call.arguments(&second);
    arguments.arg(&chunks).arg(&channels).arg(&parts).arg(&mut sums);
    // SAFETY: as the kernel declares them.
    unsafe { call.run(&mut arguments, each_chunk(1, channels)) }?;
    call.tensor(sums, &[channels])
}
