//! Pooling.

use super::call::Call;
use super::kernels::each_pixel;
use crate::memory::{expect_shape, four};
use crate::pool::Geometry;
use crate::{MaxPooled, Pool2d, Result};
use candle_core::Tensor;
use candle_core::cuda_backend::cudarc::driver::{DeviceRepr, PushKernelArg};

/// `Pool` of `kernels.cu`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Pool {
    images: usize,
    channels: usize,
    input: [usize; 2],
    output: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
}

// SAFETY: sizes alone, in the order of the structure in `kernels.cu`, whose `size_t` has 64 bits.
unsafe impl DeviceRepr for Pool {}

impl Pool {
    fn new(geometry: &Geometry) -> Self {
        let Geometry { pool: Pool2d { kernel, stride, padding, .. }, n, c, input, output } = *geometry;
        Self { images: n, channels: c, input, output, kernel, stride, padding }
    }

    /// One over the size of a window.
    fn scale(&self) -> f32 {
        (1.0 / (self.kernel[0] * self.kernel[1]) as f64) as f32
    }
}

pub(crate) fn max_pool2d(x: &Tensor, geometry: &Geometry) -> Result<MaxPooled> {
    let call = Call::new("max_pool2d", x)?;
    let (kernel, pool, shape) = (call.kernel("max_pool")?, Pool::new(geometry), geometry.output_shape());
    let x = call.dense(x)?;
    let x = x.hold();
    let count = shape.iter().product();
    let (x, mut y, mut argmax) = (x.numbers::<f32>()?, call.room::<f32>(count)?, call.room::<u32>(count)?);
    let mut arguments = call.arguments(&kernel);
    arguments.arg(&pool).arg(&x).arg(&mut y).arg(&mut argmax);
    // SAFETY: as the kernel declares them; x has the shape of the geometry's input, the others that of its output.
    unsafe { call.run(&mut arguments, each_pixel(shape[0] * shape[2] * shape[3], shape[1])) }?;
    Ok(MaxPooled { output: call.tensor(y, &shape)?, argmax: call.tensor(argmax, &shape)? })
}

/// `argmax` and `grad` are of one shape, with the images and channels of `input`. What is said to come from outside the
/// input is left out: to look for it would be to wait for the device.
pub(crate) fn max_pool2d_backward(argmax: &Tensor, grad: &Tensor, input: [usize; 4]) -> Result<Tensor> {
    const OP: &str = "max_pool2d_backward";
    let call = Call::new(OP, grad)?;
    let kernel = call.kernel("max_pool_backward")?;
    let [_, _, out_height, out_width] = four(OP, "grad", grad.dims())?;
    let [images, channels, height, width] = input;
    let (outputs, inputs) = (out_height * out_width, height * width);
    let (positions, dense) = (call.positions(argmax)?, call.dense(grad)?);
    let (positions, grad) = (positions.hold(), dense.hold());
    let (positions, grad) = (positions.numbers::<u32>()?, grad.numbers::<f32>()?);
    let mut out = call.zeros::<f32>(images * channels * inputs)?;
    let mut arguments = call.arguments(&kernel);
    arguments.arg(&images).arg(&channels).arg(&outputs).arg(&inputs).arg(&positions).arg(&grad).arg(&mut out);
    // SAFETY: as the kernel declares them; it writes to positions below `inputs` alone.
    unsafe { call.run(&mut arguments, each_pixel(images, channels)) }?;
    call.tensor(out, &input)
}

pub(crate) fn avg_pool2d(x: &Tensor, geometry: &Geometry) -> Result<Tensor> {
    average(&Call::new("avg_pool2d", x)?, "average_pool", x, geometry, geometry.output_shape())
}

pub(crate) fn avg_pool2d_backward(grad: &Tensor, geometry: &Geometry) -> Result<Tensor> {
    let call = Call::new("avg_pool2d_backward", grad)?;
    expect_shape(call.op, "grad", grad, &geometry.output_shape())?;
    let [height, width] = geometry.input;
    average(&call, "average_pool_backward", grad, geometry, [geometry.n, geometry.c, height, width])
}

fn average(call: &Call, kernel: &str, from: &Tensor, geometry: &Geometry, shape: [usize; 4]) -> Result<Tensor> {
    let (kernel, pool) = (call.kernel(kernel)?, Pool::new(geometry));
    let from = call.dense(from)?;
    let from = from.hold();
    let (from, mut to) = (from.numbers::<f32>()?, call.room::<f32>(shape.iter().product())?);
    let (scale, mut arguments) = (pool.scale(), call.arguments(&kernel));
    arguments.arg(&pool).arg(&scale).arg(&from).arg(&mut to);
    // SAFETY: as the kernels declare them; the tensors have the shapes of the geometry's input and output.
    unsafe { call.run(&mut arguments, each_pixel(shape[0] * shape[2] * shape[3], shape[1])) }?;
    call.tensor(to, &shape)
}

/// There is at least one position.
pub(crate) fn global_avg_pool(x: &Tensor, [n, c, h, w]: [usize; 4]) -> Result<Tensor> {
    let call = Call::new("global_avg_pool", x)?;
    let (kernel, pixels) = (call.kernel("global_average")?, h * w);
    let x = call.dense(x)?;
    let x = x.hold();
    let (x, mut y) = (x.numbers::<f32>()?, call.room::<f32>(n * c)?);
    let mut arguments = call.arguments(&kernel);
    arguments.arg(&n).arg(&c).arg(&pixels).arg(&x).arg(&mut y);
    // SAFETY: as the kernel declares them; x is (N, C, H, W), y (N, C).
    unsafe { call.run(&mut arguments, each_pixel(n, c)) }?;
    call.tensor(y, &[n, c])
}

/// There is at least one position.
pub(crate) fn global_avg_pool_backward(grad: &Tensor, [n, c, h, w]: [usize; 4]) -> Result<Tensor> {
    const OP: &str = "global_avg_pool_backward";
    expect_shape(OP, "grad", grad, &[n, c])?;
    let call = Call::new(OP, grad)?;
    let (kernel, pixels) = (call.kernel("global_average_backward")?, h * w);
    let (grad, scale) = (call.dense(grad)?, (1.0 / pixels as f64) as f32);
    let grad = grad.hold();
    let (grad, mut out) = (grad.numbers::<f32>()?, call.room::<f32>(n * c * pixels)?);
    let mut arguments = call.arguments(&kernel);
    arguments.arg(&n).arg(&c).arg(&pixels).arg(&scale).arg(&grad).arg(&mut out);
    // SAFETY: as the kernel declares them; `grad` is (N, C), the other (N, C, H, W).
    unsafe { call.run(&mut arguments, each_pixel(n * pixels, c)) }?;
    call.tensor(out, &[n, c, h, w])
}
