//! One function of every number and the constant of its channel, over numbers that lie channels-last.
#![allow(unsafe_code)]

use crate::Result;
use crate::memory::{Dense, expect_shape, numbers};
use crate::real::{Real, simd};
use crate::sums::rows_per_chunk;
use candle_core::Tensor;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Constants in a row of the kernels, at least: few channels are repeated, so that vectors are full.
const ROW: usize = 512;

/// The numbers of a (C) tensor.
pub(crate) fn per_channel<T: Real>(
    op: &'static str,
    what: &str,
    constants: &Tensor,
    channels: usize,
) -> Result<Vec<T>> {
    expect_shape(op, what, constants, &[channels])?;
    let dense = Dense::new::<T>(op, constants)?;
    let (storage, layout) = dense.storage();
    Ok(numbers::<T>(&storage, layout)?.to_vec())
}

/// The constants of all channels, as often as they fill a row.
pub(crate) fn row_of<T: Real>(constants: &[T]) -> Vec<T> {
    constants.repeat(ROW.div_ceil(constants.len().max(1)))
}

/// Numbers that one task treats: whole rows; a rule on the shape alone.
pub(crate) fn chunk_of(row: usize) -> usize {
    rows_per_chunk(row) * row.max(1)
}

/// `function` of every number and its channel's constant.
pub(crate) fn with_channel<T: Real>(values: &[T], constants: &[T], function: impl Fn(T, T) -> T + Sync) -> Vec<T> {
    let row = row_of(constants);
    let chunk = chunk_of(row.len());
    let mut out = Box::new_uninit_slice(values.len());
    out.par_chunks_mut(chunk).zip(values.par_chunks(chunk)).for_each(|(out, values)| {
        simd(
            #[inline(always)]
            || {
                for (out, values) in out.chunks_mut(row.len()).zip(values.chunks(row.len())) {
                    one_row(out, values, &row, &function);
                }
            },
        );
    });
    // SAFETY: `out` and `values` are equally long and cut alike, and `row` is at least as long as each of their rows, so
    // `one_row` has written every element.
    unsafe { out.assume_init() }.into_vec()
}

#[inline(always)]
fn one_row<T: Real>(out: &mut [MaybeUninit<T>], values: &[T], row: &[T], function: impl Fn(T, T) -> T) {
    for ((out, &value), &constant) in out.iter_mut().zip(values).zip(row) {
        out.write(function(value, constant));
    }
}
