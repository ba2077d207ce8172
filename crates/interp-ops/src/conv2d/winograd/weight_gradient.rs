//! The weight gradient: at each point the product, over all blocks, of what is seen and the gradient of what is made.
#![allow(unsafe_code)]

use super::apply::{Job, matrix, tile_blocks};
use super::blocks::{See, Sized, Spread};
use super::transform::{Filter, ROWS, SEEN_ROWS};
use super::weights;
use crate::conv2d::geometry::Geometry;
use crate::conv2d::walk::tiles;
use crate::conv2d::window::Tile;
use crate::memory::initialized;
use crate::product::{Depth, Left, Out, Right, lanes, multiply, multiply_add, padded_columns};
use crate::real::Real;
use rayon::prelude::*;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Blocks that are summed in one go: few, for the sake of the error.
const PART: usize = 16;

/// Bytes that the points of all tiles at a time may take, unless the weights take more.
const MEMORY: usize = 6 << 20;

/// The gradient, (O, I, 3, 3) row by row.
pub(super) fn weight_gradient<T: Real, F: Filter<M, N> + Sync, const M: usize, const N: usize>(
    x: &[T],
    grads: &[T],
    geometry: &Geometry,
) -> Vec<T> {
    let job = Job::<F>::new::<M>(geometry, false);
    let (seen, made, points) = (geometry.i, geometry.o, SEEN_ROWS * N);
    let size = tile_blocks(points * (seen + made));
    let tiles = tiles(geometry.n, [geometry.output[0].div_ceil(ROWS), job.seen.columns], size, 1);
    let [seen_wide, made_wide] = [seen, made].map(|channels| padded_columns(lanes::<T>(), channels));
    let mut sums = Box::new_uninit_slice(points * seen * made_wide);
    if tiles.is_empty() {
        return vec![T::zero(); geometry.o * geometry.depth()];
    }
    let most = tiles.iter().map(|tile| job.seen.count(tile)).max().unwrap_or(0);
    let room = points * (matrix::<T>(most, seen) + matrix::<T>(most, made));
    let together = (MEMORY / 4).max(points * seen * made).div_ceil(room.max(1)).clamp(1, tiles.len());
    let rows = [1, made_wide].map(|step| (0..seen).map(|row| row * step).collect::<Vec<_>>());
    T::with_buffer(together * room, |buffer| {
        for (index, tiles) in tiles.chunks(together).enumerate() {
            buffer.par_chunks_mut(room).zip(tiles).for_each(|(buffer, tile)| {
                read::<T, F, M, N>(&job, x, grads, tile, buffer);
            });
            let filled: Vec<Filled<'_, T>> = buffer
                .chunks(room)
                .zip(tiles)
                .map(|(buffer, tile)| Filled::new(buffer, job.seen.count(tile), [points, seen_wide, made_wide], &rows))
                .collect();
            sums.par_chunks_mut(seen * made_wide).enumerate().for_each(|(point, sums)| {
                for (tile, filled) in filled.iter().enumerate() {
                    // SAFETY: the product with the first tile writes all.
                    unsafe { filled.multiply(point, sums, index + tile > 0) };
                }
            });
        }
    });
    // SAFETY: there is a tile, and the product with the first one has written the sums of every point.
    weights::gradient::<T, F, M, N>(&unsafe { sums.assume_init() }, geometry)
}

/// Transforms what a tile's blocks see, and the gradients of what they make.
fn read<T: Real, F: Filter<M, N>, const M: usize, const N: usize>(
    job: &Job<F>,
    x: &[T],
    grads: &[T],
    tile: &Tile,
    buffer: &mut [T],
) {
    let room = |channels: usize| SEEN_ROWS * N * matrix::<T>(job.seen.count(tile), channels);
    let (seen, rest) = buffer.split_at_mut(room(job.seen.channels));
    let made = &mut rest[..room(job.made.channels)];
    let filter = PhantomData::<F>;
    T::vectorize(Sized::<_, M, N>(See { images: x, grid: job.seen, tile, points: seen, filter }));
    T::vectorize(Sized::<_, M, N>(Spread(See { images: grads, grid: job.made, tile, points: made, filter })));
}

/// The points of a tile.
struct Filled<'a, T> {
    seen: &'a [T],
    made: &'a [T],
    /// All blocks.
    depth: Depth,
    /// Where the rows of a product begin in what is seen, and in what it makes.
    rows: &'a [Vec<usize>; 2],
    /// Seen and made, filled up to whole vectors.
    channels: [usize; 2],
}

impl<'a, T: Real> Filled<'a, T> {
    fn new(buffer: &'a [T], blocks: usize, [points, seen, made]: [usize; 3], rows: &'a [Vec<usize>; 2]) -> Self {
        let (first, rest) = buffer.split_at(points * matrix::<T>(blocks, seen));
        Self { seen: first, made: rest, depth: Depth::of(blocks, seen, PART), rows, channels: [seen, made] }
    }

    /// Writes the product of a point, or adds it.
    ///
    /// # Safety
    /// `sums` must have been written where it is to be added.
    unsafe fn multiply(&self, point: usize, sums: &mut [MaybeUninit<T>], add: bool) {
        let ([seen, made], [rows, to], blocks) = (self.channels, self.rows, self.depth.count());
        let numbers = &self.seen[point * matrix::<T>(blocks, seen)..][..blocks * seen];
        let gradients = &self.made[point * matrix::<T>(blocks, made)..][..blocks * made];
        let left = Left { numbers, rows, depth: &self.depth };
        let right = Right::Rows { numbers: gradients, step: made, columns: made };
        match add {
            // SAFETY: the caller's.
            true => multiply_add(left, right, unsafe { initialized(sums) }, to),
            false => multiply(left, right, Out { numbers: sums, rows: to }),
        }
    }
}
