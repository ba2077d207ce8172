//! The shortcut without parameters of residual networks.

use super::call::Call;
use super::kernels::each_pixel;
use crate::Result;
use crate::memory::{expect_shape, four};
use candle_core::Tensor;
use candle_core::cuda_backend::cudarc::driver::{DeviceRepr, PushKernelArg};

/// `Shortcut` of `kernels.cu`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Shortcut {
    images: usize,
    channels: usize,
    height: usize,
    width: usize,
    out_channels: usize,
    out_height: usize,
    out_width: usize,
    side: usize,
    stride: usize,
}

// SAFETY: sizes alone, in the order of the structure in `kernels.cu`, whose `size_t` has 64 bits.
unsafe impl DeviceRepr for Shortcut {}

impl Shortcut {
    /// `side` zero channels before those of the input.
    fn new([images, channels, height, width]: [usize; 4], out_channels: usize, side: usize, stride: usize) -> Self {
        let (out_height, out_width) = (height.div_ceil(stride), width.div_ceil(stride));
        Self { images, channels, height, width, out_channels, out_height, out_width, side, stride }
    }

    fn input(&self) -> [usize; 4] {
        [self.images, self.channels, self.height, self.width]
    }

    fn output(&self) -> [usize; 4] {
        [self.images, self.out_channels, self.out_height, self.out_width]
    }
}

/// `stride` is not 0.
pub(crate) fn pad_shortcut(x: &Tensor, [before, after]: [usize; 2], stride: usize) -> Result<Tensor> {
    const OP: &str = "pad_shortcut";
    let input = four(OP, "x", x.dims())?;
    let shortcut = Shortcut::new(input, before + input[1] + after, before, stride);
    apply(&Call::new(OP, x)?, x, &shortcut, shortcut.output())
}

/// `stride` is not 0, and `grad` has at least `before` channels more than `input`.
pub(crate) fn pad_shortcut_backward(grad: &Tensor, input: [usize; 4], before: usize, stride: usize) -> Result<Tensor> {
    const OP: &str = "pad_shortcut_backward";
    let shortcut = Shortcut::new(input, grad.dim(1)?, before, stride);
    expect_shape(OP, "grad", grad, &shortcut.output())?;
    apply(&Call::new(OP, grad)?, grad, &shortcut, shortcut.input())
}

/// The kernel of the operation's name, with a thread for each channel of each pixel of the result.
fn apply(call: &Call, from: &Tensor, shortcut: &Shortcut, shape: [usize; 4]) -> Result<Tensor> {
    let kernel = call.kernel(call.op)?;
    let from = call.dense(from)?;
    let from = from.hold();
    let (from, mut to) = (from.numbers::<f32>()?, call.room::<f32>(shape.iter().product())?);
    let mut arguments = call.arguments(&kernel);
    arguments.arg(shortcut).arg(&from).arg(&mut to);
    // SAFETY: as the kernels declare them; the tensors have the shapes that `shortcut` says.
    unsafe { call.run(&mut arguments, each_pixel(shape[0] * shape[2] * shape[3], shape[1])) }?;
    call.tensor(to, &shape)
}
