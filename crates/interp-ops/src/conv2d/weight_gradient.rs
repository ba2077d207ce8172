//! The gradient with respect to the weight: the sum over positions of what they see times gradient.
//!
//! A fixed number of chunks of tiles each sum up a gradient of their own, in `T`; these are added in order, in `f64`.
#![allow(unsafe_code)]

use super::apply::{PART, taps};
use super::geometry::Geometry;
use super::walk::{TILE, Walk, tiles};
use super::window::{Tile, Window, with_window};
use crate::memory::initialized;
use crate::product::{Depth, Left, Out, Right, Run, multiply, multiply_add};
use crate::real::{LANES, Real};
use rayon::prelude::*;
use std::mem::MaybeUninit;
use std::ops::Range;

/// How the work is cut; a rule on the shapes alone.
struct Plan {
    tiles: Vec<Tile>,
    /// Tiles of a chunk.
    chunk: usize,
    /// Rows of the gradient, (group, tap, channel).
    rows: usize,
    /// Rows that a task sums up.
    part: usize,
}

impl Plan {
    fn new(geometry: &Geometry, patch: usize) -> Self {
        /// Numbers that the gradients of all chunks may take together.
        const MEMORY: usize = 1 << 21;
        /// Tasks to spread over threads.
        const TASKS: usize = 16;
        let tiles = tiles(geometry.n, geometry.output, TILE, 1);
        let chunks = (MEMORY / (patch * geometry.o).max(1)).clamp(1, TASKS).min(tiles.len().max(1));
        let chunk = tiles.len().div_ceil(chunks).max(1);
        let rows = patch * geometry.conv.groups;
        let part = rows.div_ceil((TASKS / chunks).max(1)).next_multiple_of(12).clamp(1, rows.max(1));
        Self { tiles, chunk, rows, part }
    }

    /// Tiles and rows of every task, in the order of the sums' memory.
    fn tasks(&self) -> impl Iterator<Item = (&[Tile], Range<usize>)> {
        let parts = || (0..self.rows).step_by(self.part).map(|row| row..(row + self.part).min(self.rows));
        self.tiles.chunks(self.chunk).flat_map(move |tiles| parts().map(move |rows| (tiles, rows)))
    }
}

/// The gradient, (O, I / groups, KH, KW) row by row.
pub(super) fn weight_gradient<T: Real>(x: &[T], grads: &[T], geometry: &Geometry) -> Vec<T> {
    let (walk, width) = (Walk::forward(geometry), geometry.group_outputs());
    let patch = walk.taps().count() * geometry.group_inputs();
    let plan = Plan::new(geometry, patch);
    let mut sums = Box::new_uninit_slice(plan.tasks().map(|(_, rows)| rows.len() * width).sum());
    let mut rest = &mut sums[..];
    let mut parts = Vec::new();
    for (tiles, rows) in plan.tasks() {
        let (part, after) = std::mem::take(&mut rest).split_at_mut(rows.len() * width);
        rest = after;
        parts.push((tiles, rows, part));
    }
    parts.into_par_iter().for_each(|(tiles, rows, out)| {
        let task = Task { grads, geometry, walk: &walk, patch, rows };
        for (index, tile) in tiles.iter().enumerate() {
            with_window(x, geometry.i, &walk, tile, |window| {
                // SAFETY: the products with the first tile write all.
                unsafe { task.multiply(&window, tile, out, index > 0) };
            });
        }
    });
    // SAFETY: every task has at least one tile, and the products with the first one write all of the task's sums.
    sum(&unsafe { sums.assume_init() }, geometry, &walk)
}

/// What one task sums up.
struct Task<'a, T> {
    grads: &'a [T],
    geometry: &'a Geometry,
    walk: &'a Walk,
    /// Rows of a group.
    patch: usize,
    rows: Range<usize>,
}

impl<T: Real> Task<'_, T> {
    /// Writes the products of a tile, or adds them.
    ///
    /// # Safety
    /// `out` must have been written where they are to be added.
    unsafe fn multiply(&self, window: &Window<'_, T>, tile: &Tile, out: &mut [MaybeUninit<T>], add: bool) {
        let (inputs, outputs) = (self.geometry.group_inputs(), self.geometry.group_outputs());
        let taps: Vec<usize> = taps(window, self.walk, self.geometry.i).collect();
        let depth = Depth::new(self.positions(window, tile), PART);
        let [height, width] = self.geometry.output;
        let first = (tile.images.start * height + tile.rows.start) * width * self.geometry.o;
        let mut row = self.rows.start;
        while row < self.rows.end {
            let group = row / self.patch;
            let until = ((group + 1) * self.patch).min(self.rows.end);
            let of_group = |row: usize| taps[row / inputs] + group * inputs + row % inputs;
            let rows: Vec<usize> = (row..until).map(|row| of_group(row - group * self.patch)).collect();
            let made: Vec<usize> = (row..until).map(|row| (row - self.rows.start) * outputs).collect();
            let left = Left { numbers: window.numbers, rows: &rows, depth: &depth };
            let grads = self.grads.get(first + group * outputs..).unwrap_or_default();
            let right = Right::Rows { numbers: grads, step: self.geometry.o, columns: outputs };
            match add {
                // SAFETY: the caller's.
                true => multiply_add(left, right, unsafe { initialized(out) }, &made),
                false => multiply(left, right, Out { numbers: out, rows: &made }),
            }
            row = until;
        }
    }

    /// The positions of a tile, row by row.
    fn positions(&self, window: &Window<'_, T>, tile: &Tile) -> Vec<Run> {
        let steps = self.walk.axes.each_ref().map(|axis| axis.step);
        let (line, image) = (window.line, window.image);
        let run = |at: usize| Run { at, count: self.walk.axes[1].count, step: steps[1] * self.geometry.i };
        let of_image = |n: usize| (0..tile.rows.len()).map(move |k| run(n * image + k * steps[0] * line));
        (0..tile.images.len()).flat_map(of_image).collect()
    }
}

/// The sum over chunks, from (chunk, group, tap that is seen, input, output) to the order of the weight; zero for taps
/// that no position sees.
fn sum<T: Real>(partial: &[T], geometry: &Geometry, walk: &Walk) -> Vec<T> {
    let (outputs, patch) = (geometry.group_outputs(), geometry.depth());
    let taps: Vec<usize> = walk.taps().map(|[r, s]| r * geometry.kernel[1] + s).collect();
    let mut weight = vec![T::zero(); patch * geometry.o];
    let groups = weight.par_chunks_mut((patch * outputs).max(1)).enumerate();
    groups.for_each(|(group, weight)| {
        let blocks = weight.par_chunks_mut((patch * LANES).max(1)).enumerate();
        blocks.for_each(|(block, weight)| sum_block(partial, geometry, &taps, [group, block * LANES], weight));
    });
    weight
}

/// The weights of up to `LANES` output channels of a group from `first`.
fn sum_block<T: Real>(
    partial: &[T],
    geometry: &Geometry,
    taps: &[usize],
    [group, first]: [usize; 2],
    weight: &mut [T],
) {
    let (inputs, outputs, patch) = (geometry.group_inputs(), geometry.group_outputs(), geometry.depth());
    let (seen, count) = (taps.len() * inputs, weight.len() / patch);
    for at in 0..seen {
        let (input, tap) = (at / taps.len(), at % taps.len());
        let row = (group * seen + tap * inputs + input) * outputs + first;
        let mut sums = [0.0; LANES];
        for chunk in partial.chunks_exact(seen * geometry.o) {
            sums.iter_mut().zip(&chunk[row..][..count]).for_each(|(sum, v)| *sum += v.to_f64());
        }
        for (weight, sum) in weight.chunks_exact_mut(patch).zip(sums) {
            weight[input * geometry.taps() + taps[tap]] = T::from_f64(sum);
        }
    }
}
