//! Sums over the rows of a matrix in a fixed order, whatever the number of threads.

use crate::real::{Real, add_to, simd};
use rayon::prelude::*;

/// Numbers in a chunk: what the first levels of cache hold.
const CHUNK: usize = 1 << 13;

/// Rows in a chunk of a matrix with `width` columns; a rule on the shape alone.
pub(crate) fn rows_per_chunk(width: usize) -> usize {
    (CHUNK / width.max(1)).clamp(64, 1024)
}

/// Rows whose numbers are summed up in `T`.
pub(crate) const RUN: usize = 8;

/// The sum of every column of a matrix of `width` columns: short runs in `T`, over these in `f64`.
pub(crate) fn column_sums<T: Real>(matrix: &[T], width: usize) -> Vec<f64> {
    if width == 0 {
        return Vec::new();
    }
    let chunks: Vec<Vec<f64>> =
        matrix.par_chunks(rows_per_chunk(width) * width).map(|c| chunk_sums(c, width)).collect();
    total(&chunks, width)
}

/// The sums of vectors of `width` numbers, in `f64` and in order.
pub(crate) fn total<T: Real>(vectors: &[Vec<T>], width: usize) -> Vec<f64> {
    let mut sums = vec![0.0; width];
    for vector in vectors {
        sums.iter_mut().zip(vector).for_each(|(sum, &value)| *sum += value.to_f64());
    }
    sums
}

/// The sum of every column of a chunk.
fn chunk_sums<T: Real>(chunk: &[T], width: usize) -> Vec<f64> {
    let (mut sums, mut run) = (vec![0.0; width], vec![T::zero(); width]);
    simd(
        #[inline(always)]
        || {
            for rows in chunk.chunks(RUN * width) {
                run.fill(T::zero());
                for row in rows.chunks_exact(width) {
                    add_to(&mut run, row);
                }
                sums.iter_mut().zip(&run).for_each(|(sum, run)| *sum += run.to_f64());
            }
        },
    );
    sums
}
