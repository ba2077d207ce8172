//! 3x3 convolutions of stride 1 with fewer multiplications: F(2x2, 3x3) and F(2x4, 3x3), nested from F(2, 3) and F(4, 3)
//! as in Lavin and Gray 2016 (arXiv 1509.09308).
//!
//! The output is cut into blocks of 2x2 or 2x4. What a block sees is transformed to 4x4 or 4x6 points; at each point
//! the blocks' channels are multiplied with the transformed weights, one product of matrices; the result is transformed
//! back. That takes 4 or 3 multiplications for an output and a pair of channels, where the definition takes 9.
//!
//! Of `f32` alone: rounding errors are larger than those of the definition (`tests/accuracy` bounds them). An output of a
//! block of 2x4 depends on pixels that only its neighbors in the block see, by rounding: they cancel, but for the last
//! bits. For the same reason NaN and infinities spread over the block.

mod apply;
mod blocks;
#[cfg(test)]
mod tests;
mod transform;
mod weight_gradient;
mod weights;

use super::Finish;
use super::geometry::Geometry;
use crate::real::Real;
use candle_core::DType;
use transform::{Four, Two};

/// Numbers along the depth that are summed in one go: few, for the sake of the error.
const PART: usize = 32;

/// The fewest channels for which reading and writing the points pays.
const CHANNELS: usize = 8;

/// Numbers from the matrix of one point to that of the next: a line of the cache more than a multiple of 4 KiB, so that the
/// numbers of all points of a block, which are read and written together, lie in different sets of the first cache.
fn pitch<T>(numbers: usize) -> usize {
    let line = 64 / size_of::<T>();
    numbers.next_multiple_of(64 * line) + line
}

/// Sizes of the blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocks {
    TwoByTwo,
    TwoByFour,
}

/// Whether, and with which blocks, a convolution is done so: a rule on the shape of an image and the weights alone, not
/// on the number of images, so that an image has one result in any batch.
pub(super) fn blocks<T: Real>(geometry: &Geometry) -> Option<Blocks> {
    /// Weights above which the transformed ones no longer stay in the cache.
    const MANY: usize = 1 << 17;
    let conv = &geometry.conv;
    let plain = conv.stride == [1, 1] && conv.dilation == [1, 1] && conv.groups == 1 && geometry.kernel == [3, 3];
    let channels = [geometry.i, geometry.o];
    let fits = channels.iter().all(|&channels| channels >= CHANNELS);
    let padded = conv.padding.iter().all(|&padding| padding <= 2);
    let empty = geometry.input.contains(&0);
    if T::DTYPE != DType::F32 || conv.by_definition || !plain || !fits || !padded || empty {
        return None;
    }
    let small = geometry.output.iter().any(|&size| size <= 2);
    Some(if small || geometry.i * geometry.o > MANY { Blocks::TwoByTwo } else { Blocks::TwoByFour })
}

/// The output in the order of memory.
pub(super) fn forward<T: Real>(
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    geometry: &Geometry,
    blocks: Blocks,
    finish: Finish<'_, T>,
) -> Vec<T> {
    match blocks {
        Blocks::TwoByTwo => apply::apply::<T, Two, 2, 4>(x, weight, bias, geometry, false, finish),
        Blocks::TwoByFour => apply::apply::<T, Four, 4, 6>(x, weight, bias, geometry, false, finish),
    }
}

/// The input gradient in the order of memory.
pub(super) fn input_gradient<T: Real>(weight: &[T], grads: &[T], geometry: &Geometry, blocks: Blocks) -> Vec<T> {
    match blocks {
        Blocks::TwoByTwo => apply::apply::<T, Two, 2, 4>(grads, weight, None, geometry, true, &|_| ()),
        Blocks::TwoByFour => apply::apply::<T, Four, 4, 6>(grads, weight, None, geometry, true, &|_| ()),
    }
}

/// The weight gradient, (O, I, 3, 3) row by row.
pub(super) fn weight_gradient<T: Real>(x: &[T], grads: &[T], geometry: &Geometry, blocks: Blocks) -> Vec<T> {
    match blocks {
        Blocks::TwoByTwo => weight_gradient::weight_gradient::<T, Two, 2, 4>(x, grads, geometry),
        Blocks::TwoByFour => weight_gradient::weight_gradient::<T, Four, 4, 6>(x, grads, geometry),
    }
}
