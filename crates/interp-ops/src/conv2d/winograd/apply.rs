//! The forward pass and the input gradient.
#![allow(unsafe_code)]

use super::blocks::{Grid, Make, See, Sized};
use super::transform::{Filter, ROWS, SEEN_ROWS};
use super::weights::transformed;
use super::{PART, pitch};
use crate::conv2d::Finish;
use crate::conv2d::geometry::Geometry;
use crate::conv2d::walk::tiles;
use crate::conv2d::window::Tile;
use crate::memory::initialized;
use crate::product::{Depth, Left, Out, Right, lanes, multiply, padded_columns, panel_width};
use crate::real::Real;
use rayon::prelude::*;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Bytes that the points of a tile may take.
const MEMORY: usize = 1 << 19;

/// Blocks of a tile whose points have so many numbers: enough to use transformed weights many times.
pub(super) fn tile_blocks(numbers: usize) -> usize {
    (MEMORY / 4 / numbers.max(1)).clamp(48, 240) / 12 * 12
}

/// The output of the convolution, or its input gradient, in the order of memory.
pub(super) fn apply<T: Real, F: Filter<M, N> + Sync, const M: usize, const N: usize>(
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    geometry: &Geometry,
    gradient: bool,
    finish: Finish<'_, T>,
) -> Vec<T> {
    let job = Job::<F>::new::<M>(geometry, gradient);
    let panels = transformed::<T, F, M, N>(weight, geometry, gradient);
    let [height, width] = job.made.size;
    let row = width * job.made.channels;
    let mut out = Box::new_uninit_slice(geometry.n * height * row);
    let blocks = tile_blocks(SEEN_ROWS * N * (job.seen.channels + job.made.channels));
    let tiles = tiles(geometry.n, [height.div_ceil(ROWS), job.seen.columns], blocks, 1);
    let mut rest = &mut out[..];
    let mut parts = Vec::with_capacity(tiles.len());
    for tile in tiles {
        let rows = (tile.rows.end * ROWS).min(height) - tile.rows.start * ROWS;
        let (part, after) = std::mem::take(&mut rest).split_at_mut(tile.images.len() * rows * row);
        rest = after;
        parts.push((tile, part));
    }
    parts.into_par_iter().for_each(|(tile, out)| {
        job.tile::<T, M, N>(x, &panels, bias, &tile, out);
        // SAFETY: every block of the tile has written all of its pixels.
        finish(unsafe { initialized(out) });
    });
    // SAFETY: the tiles cover the result, and every block of a tile writes all of its pixels.
    unsafe { out.assume_init() }.into_vec()
}

/// What is read and what is written.
pub(super) struct Job<F> {
    pub(super) seen: Grid,
    pub(super) made: Grid,
    filter: PhantomData<F>,
}

impl<F> Job<F> {
    /// Of the forward pass, or of the input gradient: a convolution of the output's gradient, padded so that it ends where
    /// the input ends.
    pub(super) fn new<const M: usize>(geometry: &Geometry, gradient: bool) -> Self {
        let before = geometry.conv.padding.map(|padding| if gradient { 2 - padding } else { padding });
        let (input, output) = ((geometry.input, geometry.i), (geometry.output, geometry.o));
        let ((seen, seen_channels), (made, made_channels)) = if gradient { (output, input) } else { (input, output) };
        let columns = made[1].div_ceil(M);
        Self {
            seen: Grid { size: seen, channels: seen_channels, step: [ROWS, M], before, columns },
            made: Grid { size: made, channels: made_channels, step: [ROWS, M], before: [0, 0], columns },
            filter: PhantomData,
        }
    }

    /// The outputs of a tile of blocks.
    fn tile<T: Real, const M: usize, const N: usize>(
        &self,
        x: &[T],
        panels: &[T],
        bias: Option<&[T]>,
        tile: &Tile,
        out: &mut [MaybeUninit<T>],
    ) where
        F: Filter<M, N>,
    {
        let (seen, made, count) = (self.seen.channels, self.made.channels, self.seen.count(tile));
        let rooms = [seen, made].map(|channels| SEEN_ROWS * N * matrix::<T>(count, channels));
        T::with_buffer(rooms[0] + rooms[1], |buffer| {
            let (points, products) = buffer.split_at_mut(rooms[0]);
            let (grid, filter) = (self.seen, PhantomData::<F>);
            T::vectorize(Sized::<_, M, N>(See { images: x, grid, tile, points, filter }));
            multiply_points(points, panels, products, [SEEN_ROWS * N, count, seen, made]);
            let (points, grid) = (&*products, self.made);
            T::vectorize(Sized::<_, M, N>(Make { points, grid, tile, bias, out, filter }));
        });
    }
}

/// Numbers from the matrix of one point to that of the next: blocks by channels, filled up to whole vectors.
pub(super) fn matrix<T: Real>(blocks: usize, channels: usize) -> usize {
    pitch::<T>(blocks * padded_columns(lanes::<T>(), channels))
}

/// At each point the product of (block, channel seen) and (channel seen, channel made).
fn multiply_points<T: Real>(seen: &[T], panels: &[T], made: &mut [T], [points, count, from, to]: [usize; 4]) {
    let lanes = lanes::<T>();
    let [from_wide, to_wide] = [from, to].map(|channels| padded_columns(lanes, channels));
    let rows: Vec<usize> = (0..count).map(|block| block * from_wide).collect();
    let made_rows: Vec<usize> = (0..count).map(|block| block * to_wide).collect();
    let depth = Depth::of(from, 1, PART);
    for point in 0..points {
        let numbers = &seen[point * matrix::<T>(count, from)..][..count * from_wide];
        let left = Left { numbers, rows: &rows, depth: &depth };
        for first in (0..to_wide).step_by(2 * lanes) {
            let width = panel_width(lanes, first, to_wide);
            let panel = &panels[points * from * first + point * from * width..][..from * width];
            let numbers = &mut made[point * matrix::<T>(count, to)..][first..count * to_wide];
            let right = Right::Panels { numbers: panel, columns: width };
            multiply(left, right, Out::over(numbers, &made_rows));
        }
    }
}
