//! Weights in the orders that the products need.

use super::geometry::Geometry;
use crate::Result;
use crate::memory::check_kind;
use crate::real::Real;
use candle_core::Tensor;
use rayon::prelude::*;

/// Channels that are reordered at once.
const BLOCK: usize = 16;

/// The weight tensor as it is written, (O, I / groups, KH, KW) row by row.
pub(super) fn contiguous<T: Real>(op: &'static str, weight: &Tensor) -> Result<Tensor> {
    check_kind(op, weight, T::DTYPE)?;
    Ok(weight.detach().contiguous()?)
}

/// A stack of matrices, one for each group, laid out row by row.
pub(super) struct Packed<T> {
    pub(super) numbers: Vec<T>,
    /// From one row to the next; at least 2 (see `gemm`).
    pub(super) step: usize,
    /// Numbers of the matrix of one group.
    pub(super) group: usize,
}

/// For each group a matrix of (kernel row, kernel column, input channel) by output channel.
pub(super) fn by_patch<T: Real>(weight: &[T], geometry: &Geometry) -> Packed<T> {
    let (inputs, outputs, taps) = (geometry.group_inputs(), geometry.group_outputs(), geometry.taps());
    let step = outputs.max(2);
    let group = taps * inputs * step;
    let mut numbers = vec![T::zero(); geometry.conv.groups * group];
    if group == 0 {
        return Packed { numbers, step, group };
    }
    let sources = weight.par_chunks((outputs * inputs * taps).max(1));
    numbers.par_chunks_mut(group).zip(sources).for_each(|(matrix, source)| {
        let blocks = blocks(matrix, inputs * step, BLOCK * step);
        blocks.into_par_iter().enumerate().for_each(|(block, mut by_tap)| {
            // Some outputs at once, so that whole lines of cache are written.
            for (index, source) in source.chunks(BLOCK * inputs * taps).enumerate() {
                let count = source.len() / (inputs * taps);
                for i in 0..by_tap[0].len() / step {
                    for (tap, matrix) in by_tap.iter_mut().enumerate() {
                        let weights = source[(block * BLOCK + i) * taps + tap..].iter().step_by(inputs * taps);
                        let row = &mut matrix[i * step + index * BLOCK..][..count];
                        row.iter_mut().zip(weights).for_each(|(to, &w)| *to = w);
                    }
                }
            }
        });
    });
    Packed { numbers, step, group }
}

/// For each group, for each tap, a matrix of output channel by input channel; the taps in reverse where `turned`, which is
/// the weight of the convolution that gives the input gradient.
pub(super) fn by_output<T: Real>(weight: &[T], geometry: &Geometry, turned: bool) -> Packed<T> {
    let (inputs, outputs, taps) = (geometry.group_inputs(), geometry.group_outputs(), geometry.taps());
    let step = inputs.max(2);
    let group = taps * outputs * step;
    let mut numbers = vec![T::zero(); geometry.conv.groups * group];
    if group == 0 {
        return Packed { numbers, step, group };
    }
    let sources = weight.par_chunks((outputs * inputs * taps).max(1));
    numbers.par_chunks_mut(group).zip(sources).for_each(|(matrices, source)| {
        let rows = blocks(matrices, outputs * step, step).into_par_iter();
        rows.zip(source.par_chunks((inputs * taps).max(1))).for_each(|(mut by_tap, source)| {
            if turned {
                by_tap.reverse();
            }
            for (i, kernel) in source.chunks_exact(taps).enumerate() {
                by_tap.iter_mut().zip(kernel).for_each(|(row, &w)| row[i] = w);
            }
        });
    });
    Packed { numbers, step, group }
}

/// Cuts every piece of `whole` of length `piece` into blocks; the b-th result holds the b-th block of every piece.
pub(super) fn blocks<T>(whole: &mut [T], piece: usize, block: usize) -> Vec<Vec<&mut [T]>> {
    let mut result: Vec<Vec<&mut [T]>> = (0..piece.div_ceil(block)).map(|_| Vec::new()).collect();
    for piece in whole.chunks_mut(piece) {
        result.iter_mut().zip(piece.chunks_mut(block)).for_each(|(all, block)| all.push(block));
    }
    result
}

/// The weights of a depthwise convolution: tap by channel.
pub(super) fn by_tap<T: Real>(weight: &[T], geometry: &Geometry) -> Vec<T> {
    let (taps, channels) = (geometry.taps(), geometry.o);
    (0..taps * channels).map(|at| weight[at % channels * taps + at / channels]).collect()
}
