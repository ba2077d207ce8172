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
}

impl Pool2d {
    /// floor((input + 2 padding - kernel) / stride) + 1 for rows and columns; `None` where a window, padded, is larger
    /// than the input, a size is 0, or the padding is more than half a window.
    pub fn output_size(&self, input: [usize; 2]) -> Option<[usize; 2]> {
        let size = |axis: usize| {
            let (kernel, padding) = (self.kernel[axis], self.padding[axis]);
            let fits = padding <= kernel / 2 && input[axis] > 0;
            let room = input[axis].checked_add(padding.checked_mul(2)?)?.checked_sub(kernel)?;
            fits.then_some(room.checked_div(self.stride[axis])? + 1).filter(|_| kernel > 0)
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
        Pool2d { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2] }
    }

    /// Window equal to and other than the stride, gaps, padding, odd sizes, sizes of 1, no squares.
    pub(crate) const CASES: [([usize; 4], Pool2d); 8] = [
        ([2, 3, 4, 6], pool(2, 2, 0)),
        ([1, 2, 7, 5], pool(2, 2, 0)),
        ([2, 2, 7, 8], pool(3, 2, 1)),
        ([1, 2, 5, 4], pool(3, 1, 1)),
        ([1, 2, 7, 7], pool(2, 3, 0)),
        ([1, 17, 3, 3], pool(2, 1, 1)),
        ([1, 1, 1, 1], pool(1, 1, 0)),
        ([1, 2, 6, 7], Pool2d { kernel: [2, 5], stride: [3, 1], padding: [1, 2] }),
    ];

    #[test]
    fn sizes_are_pytorchs() {
        assert_eq!(pool(3, 2, 1).output_size([112, 111]), Some([56, 56]));
        assert_eq!(pool(2, 2, 0).output_size([7, 7]), Some([3, 3]));
        assert_eq!(pool(5, 1, 2).output_size([1, 1]), Some([1, 1]));
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
