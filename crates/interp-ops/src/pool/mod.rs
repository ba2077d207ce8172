//! Pooling: the maximum or the mean of windows of every channel.

mod adaptive;
mod average;
mod global;
mod max;

pub use adaptive::{adaptive_avg_pool2d, adaptive_avg_pool2d_backward, adaptive_window};
pub use average::{avg_pool2d, avg_pool2d_backward};
pub use global::{global_avg_pool, global_avg_pool_backward};
pub use max::{MaxPooled, max_pool2d, max_pool2d_backward};

use crate::memory::{four, wrong_shape};
use crate::{OpError, Result};
use std::ops::Range;

/// Numbers of the output that one task computes, at least.
const CHUNK: usize = 1 << 14;

/// The windows of a pooling; sizes are rows, then columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool2d {
    /// Size of a window, at least 1.
    pub kernel: [usize; 2],
    /// Steps between windows, at least 1.
    pub stride: [usize; 2],
    /// Positions added at every side, at most half a window.
    pub padding: [usize; 2],
    /// Whether positions that are left over at the end have a window too, which reaches beyond the padding: PyTorch's `ceil_mode`.
    pub ceil_mode: bool,
}

impl Pool2d {
    /// floor((input + 2 padding - kernel) / stride) + 1 for rows and columns, or with `ceil_mode` ceil in place of floor,
    /// less a window that would begin behind the input, as in PyTorch; `None` where there is no window, a size is 0, or the
    /// padding is more than half a window.
    pub fn output_size(&self, input: [usize; 2]) -> Option<[usize; 2]> {
        let size = |axis: usize| {
            let (kernel, stride, padding) = (self.kernel[axis], self.stride[axis], self.padding[axis]);
            let fits = padding <= kernel / 2 && input[axis] > 0 && kernel > 0;
            let more = if self.ceil_mode { stride.saturating_sub(1) } else { 0 };
            let room = input[axis].checked_add(padding.checked_mul(2)?)?.checked_add(more)?.checked_sub(kernel)?;
            let last = room.checked_div(stride)?;
            let begins_behind = last * stride >= input[axis] + padding;
            fits.then_some(if begins_behind { last } else { last + 1 })
        };
        Some([size(0)?, size(1)?])
    }

    /// The sizes of one call on an input of shape (N, C, H, W).
    pub(crate) fn geometry(self, op: &'static str, input: &[usize]) -> Result<Geometry> {
        let [n, c, h, w] = four(op, "input", input)?;
        let output = self.output_size([h, w]).ok_or_else(|| self.misfit(op, input))?;
        Ok(Geometry { pool: self, n, c, input: [h, w], output })
    }

    fn misfit(self, op: &'static str, input: &[usize]) -> OpError {
        let expected =
            "windows of at least 1x1 within the padded input, strides of at least 1, at most half a window of padding";
        wrong_shape(op, format!("input {input:?} with {self:?}"), expected)
    }
}

/// The sizes of one call.
#[derive(Clone, Copy)]
pub(crate) struct Geometry {
    pub(crate) pool: Pool2d,
    pub(crate) n: usize,
    pub(crate) c: usize,
    pub(crate) input: [usize; 2],
    pub(crate) output: [usize; 2],
}

impl Geometry {
    pub(crate) fn output_shape(&self) -> [usize; 4] {
        [self.n, self.c, self.output[0], self.output[1]]
    }

    /// Numbers of one input image.
    pub(crate) fn image(&self) -> usize {
        self.c * self.input[0] * self.input[1]
    }

    /// The part of a window that lies within the input along an axis.
    fn window(&self, axis: usize, output: usize) -> Range<usize> {
        let start = output * self.pool.stride[axis];
        let end = start + self.pool.kernel[axis];
        let padding = self.pool.padding[axis];
        start.saturating_sub(padding)..(end - padding).min(self.input[axis])
    }

    /// The windows that see a position of the input along an axis.
    fn windows_on(&self, axis: usize, input: usize) -> Range<usize> {
        let (kernel, stride) = (self.pool.kernel[axis], self.pool.stride[axis]);
        let padded = input + self.pool.padding[axis];
        let first = (padded + 1).saturating_sub(kernel).div_ceil(stride);
        first..(padded / stride + 1).min(self.output[axis])
    }
}

/// Rows of `width` numbers that make a task; a rule on the shape alone.
pub(crate) fn rows_per_task(width: usize) -> usize {
    (CHUNK / width.max(1)).max(1)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testing::noise;

    /// A square window.
    pub(crate) const fn pool(kernel: usize, stride: usize, padding: usize) -> Pool2d {
        Pool2d { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2], ceil_mode: false }
    }

    /// The same, with a window for what is left over.
    pub(crate) const fn ceil(kernel: usize, stride: usize, padding: usize) -> Pool2d {
        Pool2d { ceil_mode: true, ..pool(kernel, stride, padding) }
    }

    /// Window equal to and other than the stride, gaps, padding, odd sizes, sizes of 1, no squares, positions left over.
    pub(crate) const CASES: [([usize; 4], Pool2d); 11] = [
        ([2, 3, 4, 6], pool(2, 2, 0)),
        ([1, 2, 7, 5], pool(2, 2, 0)),
        ([2, 2, 7, 8], pool(3, 2, 1)),
        ([1, 2, 5, 4], pool(3, 1, 1)),
        ([1, 2, 7, 7], pool(2, 3, 0)),
        ([1, 17, 3, 3], pool(2, 1, 1)),
        ([1, 1, 1, 1], pool(1, 1, 0)),
        ([1, 2, 6, 7], Pool2d { kernel: [2, 5], stride: [3, 1], padding: [1, 2], ceil_mode: false }),
        ([2, 3, 6, 7], ceil(3, 2, 0)),
        ([1, 17, 5, 2], ceil(3, 2, 1)),
        ([1, 2, 5, 6], Pool2d { kernel: [2, 3], stride: [4, 3], padding: [1, 1], ceil_mode: true }),
    ];

    #[test]
    fn sizes_are_pytorchs() {
        assert_eq!(pool(3, 2, 1).output_size([112, 111]), Some([56, 56]));
        assert_eq!(pool(2, 2, 0).output_size([7, 7]), Some([3, 3]));
        assert_eq!(pool(5, 1, 2).output_size([1, 1]), Some([1, 1]));
    }

    // PyTorch 2.13: F.max_pool2d(torch.zeros(1, 1, h, w), kernel, stride, padding, ceil_mode=True).shape
    #[test]
    fn sizes_with_what_is_left_over_are_pytorchs() {
        for (pool, input, output) in [
            (ceil(3, 2, 0), [54, 55], [27, 27]),
            (ceil(3, 2, 0), [2, 2], [1, 1]),
            (ceil(2, 2, 1), [5, 4], [3, 3]),
            (ceil(3, 2, 1), [6, 7], [4, 4]),
            (ceil(2, 4, 1), [3, 5], [1, 2]),
            (ceil(2, 5, 0), [6, 5], [2, 1]),
            (ceil(1, 3, 0), [3, 4], [1, 2]),
            (ceil(3, 1, 0), [3, 4], [1, 2]),
        ] {
            assert_eq!(pool.output_size(input), Some(output), "{pool:?} of {input:?}");
        }
        // PyTorch: "Output size is too small".
        assert_eq!((ceil(3, 2, 0).output_size([2, 1]), ceil(5, 2, 0).output_size([3, 3])), (None, None));
    }

    #[test]
    fn windows_that_do_not_fit_are_errors() {
        let huge = Pool2d { padding: [usize::MAX / 2; 2], ..pool(usize::MAX, 1, 0) };
        for pool in [pool(3, 1, 0), pool(0, 1, 0), pool(1, 0, 0), pool(2, 1, 2), huge] {
            assert_eq!(pool.output_size([2, 2]), None, "{pool:?}");
            let x = noise(&[1, 1, 2, 2], 1);
            assert!(matches!(max_pool2d(&x, &pool), Err(OpError::Shape { .. })));
            assert!(matches!(avg_pool2d(&x, &pool), Err(OpError::Shape { .. })));
            assert!(matches!(avg_pool2d_backward(&x, &[1, 1, 2, 2], &pool), Err(OpError::Shape { .. })));
        }
        assert_eq!(pool(2, 1, 1).output_size([0, 2]), None);
        assert!(max_pool2d(&noise(&[2, 2], 1), &pool(1, 1, 0)).is_err());
    }
}
