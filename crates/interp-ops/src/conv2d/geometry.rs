//! The sizes of one convolution.

use super::{Conv2d, misfit};
use crate::Result;
use candle_core::Tensor;

/// All sizes of one call; pairs are rows, then columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    pub(super) n: usize,
    /// Input channels.
    pub(super) i: usize,
    /// Output channels.
    pub(super) o: usize,
    pub(super) input: [usize; 2],
    pub(super) output: [usize; 2],
    pub(super) kernel: [usize; 2],
    pub(super) conv: Conv2d,
}

impl Geometry {
    pub(super) fn new(op: &'static str, x: &Tensor, weight: &Tensor, conv: &Conv2d) -> Result<Self> {
        let wrong = |expected: String| misfit(op, x, weight, expected);
        let (&[n, i, h, w], &[o, per_group, kh, kw]) = (x.dims(), weight.dims()) else {
            return Err(wrong("x (N, I, H, W) and weight (O, I / groups, KH, KW)".into()));
        };
        let groups = conv.groups;
        if groups == 0 || per_group.checked_mul(groups) != Some(i) || o % groups != 0 {
            return Err(wrong(format!("weight (O, I / groups, KH, KW) with {groups} groups dividing both I and O")));
        }
        let fits = || wrong(format!("a kernel of at least 1x1 that fits into the padded input, with {conv:?}"));
        let output = conv.output_size([h, w], [kh, kw]).ok_or_else(fits)?;
        Ok(Self { n, i, o, input: [h, w], output, kernel: [kh, kw], conv: *conv })
    }

    pub(super) fn input_shape(&self) -> [usize; 4] {
        [self.n, self.i, self.input[0], self.input[1]]
    }

    pub(super) fn output_shape(&self) -> [usize; 4] {
        [self.n, self.o, self.output[0], self.output[1]]
    }

    pub(super) fn weight_shape(&self) -> [usize; 4] {
        [self.o, self.group_inputs(), self.kernel[0], self.kernel[1]]
    }

    /// Input channels of a group.
    pub(super) fn group_inputs(&self) -> usize {
        self.i / self.conv.groups
    }

    /// Output channels of a group.
    pub(super) fn group_outputs(&self) -> usize {
        self.o / self.conv.groups
    }

    /// Positions of the kernel.
    pub(super) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Numbers in the patch that an output pixel of one group sees.
    pub(super) fn depth(&self) -> usize {
        self.taps() * self.group_inputs()
    }

    /// Numbers of one input image.
    pub(super) fn image(&self) -> usize {
        self.i * self.input[0] * self.input[1]
    }

    pub(super) fn is_depthwise(&self) -> bool {
        self.conv.groups > 1 && self.group_inputs() == 1 && self.group_outputs() == 1
    }

    /// Image, row and column of an output pixel.
    pub(super) fn position(&self, pixel: usize) -> [usize; 3] {
        let [h, w] = self.output;
        [pixel / (h * w), pixel / w % h, pixel % w]
    }

    /// Where a tap lies from the input of the same position along an axis: tap dilation - padding.
    pub(super) fn offset(&self, axis: usize, tap: usize) -> isize {
        (tap * self.conv.dilation[axis]) as isize - self.conv.padding[axis] as isize
    }

    /// Where tap `tap` of the window at `output` lies along an axis, if within the input.
    pub(super) fn source(&self, axis: usize, output: usize, tap: usize) -> Option<usize> {
        let at = output * self.conv.stride[axis] + tap * self.conv.dilation[axis];
        at.checked_sub(self.conv.padding[axis]).filter(|&at| at < self.input[axis])
    }

    /// The output whose window sees position `input` along an axis with tap `tap`, if there is one.
    pub(super) fn target(&self, axis: usize, input: usize, tap: usize) -> Option<usize> {
        let steps = (input + self.conv.padding[axis]).checked_sub(tap * self.conv.dilation[axis])?;
        let output = steps / self.conv.stride[axis];
        (steps % self.conv.stride[axis] == 0 && output < self.output[axis]).then_some(output)
    }
}
