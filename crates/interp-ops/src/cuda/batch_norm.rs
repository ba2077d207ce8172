//! Batch normalization, with a ReLU after it or not.

use super::call::{Call, Dense, Held, pixels};
use super::kernels::{CHUNK, each_chunk, each_number, each_pixel};
use crate::memory::wrong_shape;
use crate::{BatchNorm, BatchNormGrads, BatchNormed, Result};
use candle_core::Tensor;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, PushKernelArg};

/// The tensors that normalize, on the device: (C) each. Gradients do not read the shift where no ReLU follows.
struct Norm {
    mean: Dense,
    scale: Dense,
    shift: Dense,
    relu: i32,
}

/// Pixels and channels of one call.
#[derive(Clone, Copy)]
struct Sizes {
    pixels: usize,
    channels: usize,
}

impl Sizes {
    fn of(call: &Call, x: &Tensor) -> Result<Self> {
        let (pixels, channels) = pixels(call.op, "x", x.dims())?;
        Ok(Self { pixels, channels })
    }

    fn refuse_empty(self, call: &Call, x: &Tensor) -> Result<()> {
        if self.pixels > 0 {
            return Ok(());
        }
        Err(wrong_shape(call.op, format!("x {:?}", x.dims()), "at least one value of every channel"))
    }

    fn chunks(self) -> usize {
        self.pixels.div_ceil(CHUNK)
    }
}

pub(crate) fn batch_norm_train(x: &Tensor, gain: &Tensor, shift: &Tensor, eps: f64, relu: bool) -> Result<BatchNormed> {
    let call = Call::new("batch_norm_train", x)?;
    let sizes = Sizes::of(&call, x)?;
    sizes.refuse_empty(&call, x)?;
    let (values, shape) = (call.dense(x)?, x.dims());
    let [mean, variance, scale] = moments(&call, sizes, &values, gain, eps)?;
    let shift = call.shaped("shift", shift, &[sizes.channels])?;
    let norm = Norm { mean: call.dense(&mean)?, scale: call.dense(&scale)?, shift, relu: relu.into() };
    Ok(BatchNormed { output: normalize(&call, sizes, &values, &norm, shape)?, mean, variance })
}

pub(crate) fn batch_norm_eval(x: &Tensor, norm: &BatchNorm<'_>, relu: bool) -> Result<Tensor> {
    let call = Call::new("batch_norm_eval", x)?;
    let sizes = Sizes::of(&call, x)?;
    let norm = given(&call, sizes, norm, relu)?;
    normalize(&call, sizes, &call.dense(x)?, &norm, x.dims())
}

/// The gradients where `of_the_batch` says whether mean and variance are those of the batch. A ReLU follows where `relu`;
/// if not, the shift is not read.
pub(crate) fn batch_norm_backward(
    x: &Tensor,
    norm: &BatchNorm<'_>,
    grad: &Tensor,
    input_wanted: bool,
    of_the_batch: bool,
    relu: bool,
) -> Result<BatchNormGrads> {
    let call = Call::new("batch_norm_backward", x)?;
    let sizes = Sizes::of(&call, x)?;
    if of_the_batch {
        sizes.refuse_empty(&call, x)?;
    }
    let both = [call.dense(x)?, call.shaped("grad", grad, x.dims())?];
    let constants = given(&call, sizes, norm, relu)?;
    let [gain, shift, mean_grad, slope] = channel_gradients(&call, sizes, &both, &constants, norm)?;
    let through = [call.dense(&mean_grad)?, call.dense(&slope)?];
    let through = of_the_batch.then_some(&through);
    let input = input_wanted.then(|| input_gradient(&call, sizes, &both, &constants, through, x.dims()));
    Ok(BatchNormGrads { input: input.transpose()?, gain, shift })
}

/// Mean, biased variance and gain / sqrt(variance + eps) of every channel.
fn moments(call: &Call, sizes: Sizes, x: &Dense, gain: &Tensor, eps: f64) -> Result<[Tensor; 3]> {
    let Sizes { pixels, channels } = sizes;
    let (first, second) = (call.kernel("chunk_moments")?, call.kernel("join_moments")?);
    let (gain, parts) = (call.shaped("gain", gain, &[channels])?, sizes.chunks() * channels);
    let (x, gain) = (x.hold(), gain.hold());
    let (x, gain) = (x.numbers::<f32>()?, gain.numbers::<f32>()?);
    let (mut means, mut squares) = (call.room::<f64>(parts)?, call.room::<f64>(parts)?);
    let mut arguments = call.arguments(&first);
    arguments.arg(&pixels).arg(&channels).arg(&CHUNK).arg(&x).arg(&mut means).arg(&mut squares);
    // SAFETY: as the kernel declares them; a block writes the channels of its chunk to both.
    unsafe { call.run(&mut arguments, each_chunk(sizes.chunks(), channels)) }?;
    let mut found = [call.room::<f32>(channels)?, call.room(channels)?, call.room(channels)?];
    let [mean, variance, scale] = &mut found;
    let mut arguments = call.arguments(&second);
    arguments.arg(&pixels).arg(&channels).arg(&CHUNK).arg(&means).arg(&squares).arg(&gain).arg(&eps);
    arguments.arg(mean).arg(variance).arg(scale);
    // SAFETY: as the kernel declares them.
    unsafe { call.run(&mut arguments, each_chunk(1, channels)) }?;
    vectors(call, found, channels)
}

/// Tensors (C) of memory for as many numbers.
fn vectors<const N: usize>(call: &Call, numbers: [CudaSlice<f32>; N], channels: usize) -> Result<[Tensor; N]> {
    let tensors = numbers.into_iter().map(|numbers| call.tensor(numbers, &[channels])).collect::<Result<Vec<_>>>()?;
    tensors.try_into().map_err(|_| wrong_shape(call.op, "other vectors".into(), format!("{N} of them")))
}

/// What normalizes by the mean and variance of `norm`.
fn given(call: &Call, sizes: Sizes, norm: &BatchNorm<'_>, relu: bool) -> Result<Norm> {
    let channels = sizes.channels;
    let shape = [channels];
    let kernel = call.kernel("channel_scale")?;
    let both = [call.shaped("gain", norm.gain, &shape)?, call.shaped("variance", norm.variance, &shape)?];
    let [gain, variance] = both.each_ref().map(|tensor| tensor.hold());
    let (gain, variance) = (gain.numbers::<f32>()?, variance.numbers::<f32>()?);
    let mut scale = call.room::<f32>(channels)?;
    let mut arguments = call.arguments(&kernel);
    arguments.arg(&channels).arg(&gain).arg(&variance).arg(&norm.eps).arg(&mut scale);
    // SAFETY: as the kernel declares them; all three have a number for each channel.
    unsafe { call.run(&mut arguments, each_number(channels)) }?;
    let (mean, scale) = (call.shaped("mean", norm.mean, &shape)?, call.dense(&call.tensor(scale, &shape)?)?);
    Ok(Norm { mean, scale, shift: call.shaped("shift", norm.shift, &shape)?, relu: relu.into() })
}

fn normalize(call: &Call, sizes: Sizes, x: &Dense, norm: &Norm, shape: &[usize]) -> Result<Tensor> {
    let Sizes { pixels, channels } = sizes;
    let kernel = call.kernel("normalize")?;
    let [x, mean, scale, shift] = [x, &norm.mean, &norm.scale, &norm.shift].map(Dense::hold);
    let (x, mut y) = (x.numbers::<f32>()?, call.room::<f32>(pixels * channels)?);
    let (mean, scale, shift) = (mean.numbers::<f32>()?, scale.numbers::<f32>()?, shift.numbers::<f32>()?);
    let mut arguments = call.arguments(&kernel);
    arguments.arg(&pixels).arg(&channels).arg(&x).arg(&mean).arg(&scale).arg(&shift).arg(&norm.relu).arg(&mut y);
    // SAFETY: as the kernel declares them; x and y have `pixels` times `channels` numbers, the others one a channel.
    unsafe { call.run(&mut arguments, each_pixel(pixels, channels)) }?;
    call.tensor(y, shape)
}

/// The gradients of gain and shift, the mean gradient, and the slope against x - mean, of every channel; `both` are x and
/// the gradient of the output.
fn channel_gradients(
    call: &Call,
    sizes: Sizes,
    both: &[Dense; 2],
    constants: &Norm,
    norm: &BatchNorm<'_>,
) -> Result<[Tensor; 4]> {
    let Sizes { pixels, channels } = sizes;
    let (first, second, chunks) = (call.kernel("chunk_gradients")?, call.kernel("join_gradients")?, sizes.chunks());
    let variance = call.shaped("variance", norm.variance, &[channels])?;
    let Norm { mean, scale, shift, relu } = constants;
    let [x, grad, mean, scale, shift, variance] = [&both[0], &both[1], mean, scale, shift, &variance].map(Dense::hold);
    let (x, grad, variance) = (x.numbers::<f32>()?, grad.numbers::<f32>()?, variance.numbers::<f32>()?);
    let (mean, scale, shift) = (mean.numbers::<f32>()?, scale.numbers::<f32>()?, shift.numbers::<f32>()?);
    let parts = chunks * channels;
    let (mut of_grad, mut of_deviation) = (call.room::<f32>(parts)?, call.room::<f32>(parts)?);
    let mut arguments = call.arguments(&first);
    arguments.arg(&pixels).arg(&channels).arg(&CHUNK).arg(&x).arg(&grad).arg(&mean).arg(&scale).arg(&shift);
    arguments.arg(relu).arg(&mut of_grad).arg(&mut of_deviation);
    // SAFETY: as the kernel declares them; a block writes the channels of its chunk to both.
    unsafe { call.run(&mut arguments, each_chunk(chunks, channels)) }?;
    let mut found = [call.room::<f32>(channels)?, call.room(channels)?, call.room(channels)?, call.room(channels)?];
    let [gain, shift, mean_grad, slope] = &mut found;
    let mut arguments = call.arguments(&second);
    arguments.arg(&pixels).arg(&channels).arg(&chunks).arg(&of_grad).arg(&of_deviation).arg(&variance).arg(&norm.eps);
    arguments.arg(gain).arg(shift).arg(mean_grad).arg(slope);
    // SAFETY: as the kernel declares them.
    unsafe { call.run(&mut arguments, each_chunk(1, channels)) }?;
    vectors(call, found, channels)
}

/// The gradient of the input; `through` are mean gradient and slope where it passes through the statistics.
fn input_gradient(
    call: &Call,
    sizes: Sizes,
    both: &[Dense; 2],
    constants: &Norm,
    through: Option<&[Dense; 2]>,
    shape: &[usize],
) -> Result<Tensor> {
    let Sizes { pixels, channels } = sizes;
    let kernel = call.kernel(if through.is_some() { "through_statistics" } else { "scaled" })?;
    let held: Vec<Held<'_>> = through.into_iter().flatten().map(Dense::hold).collect();
    let through = held.iter().map(Held::numbers::<f32>).collect::<Result<Vec<_>>>()?;
    let Norm { mean, scale, shift, relu } = constants;
    let [x, grad, mean, scale, shift] = [&both[0], &both[1], mean, scale, shift].map(Dense::hold);
    let (x, grad, mut out) = (x.numbers::<f32>()?, grad.numbers::<f32>()?, call.room::<f32>(pixels * channels)?);
    let (mean, scale, shift) = (mean.numbers::<f32>()?, scale.numbers::<f32>()?, shift.numbers::<f32>()?);
    let mut arguments = call.arguments(&kernel);
    arguments.arg(&pixels).arg(&channels).arg(&x).arg(&grad).arg(&mean).arg(&scale).arg(&shift).arg(relu);
    for numbers in &through {
        arguments.arg(numbers);
    }
    arguments.arg(&mut out);
    // SAFETY: as the two kernels declare them; x, the gradients and the result have `pixels` times `channels` numbers,
    // the others one a channel.
    unsafe { call.run(&mut arguments, each_pixel(pixels, channels)) }?;
    call.tensor(out, shape)
}
