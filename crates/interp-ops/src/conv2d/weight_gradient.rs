//! The gradient with respect to the weight: the sum over positions of what they see times gradient.
//!
//! A fixed number of chunks of tiles each sum up a gradient of their own, in `T`; these are added in order, in `f64`.
#![allow(unsafe_code)]

use super::apply::PART;
use super::geometry::Geometry;
use super::walk::{TILE, Walk, tiles};
use super::window::{Tile, Window, with_window};
use crate::product::{Depth, Left, Out, Right, Run, multiply};
use crate::real::Real;
use rayon::prelude::*;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Output channels that are summed at once.
const LANES: usize = 16;

/// How the work is cut; a rule on the shapes alone.
struct Plan {
    tiles: Vec<Tile>,
    /// Tiles of a chunk.
    chunk: usize,
    /// Rows of the gradient, (tap, channel), that a task sums up.
    rows: usize,
}

impl Plan {
    fn new(geometry: &Geometry) -> Self {
        /// Numbers that the gradients of all chunks may take together.
        const MEMORY: usize = 1 << 21;
        /// Tasks to spread over threads.
        const TASKS: usize = 16;
        let tiles = tiles(geometry.n, geometry.output, TILE, 1);
        let weights = geometry.depth() * geometry.o;
        let chunks = (MEMORY / weights.max(1)).clamp(1, TASKS).min(tiles.len().max(1));
        let chunk = tiles.len().div_ceil(chunks).max(1);
        let parts = (TASKS / chunks).max(1);
        let rows = geometry.depth().div_ceil(parts).next_multiple_of(12).clamp(1, geometry.depth().max(1));
        Self { tiles, chunk, rows }
    }

    /// Chunk, group and rows of the gradient for every task, in the order of the sums' memory.
    fn tasks(&self, geometry: &Geometry) -> Vec<(usize, usize, Range<usize>)> {
        let (depth, groups) = (geometry.depth(), geometry.conv.groups);
        let rows = || (0..depth).step_by(self.rows).map(|row| row..(row + self.rows).min(depth));
        let of_chunk = |chunk: usize| (0..groups).flat_map(move |group| rows().map(move |rows| (chunk, group, rows)));
        (0..self.tiles.len().div_ceil(self.chunk)).flat_map(of_chunk).collect()
    }
}

/// The gradient, (O, I / groups, KH, KW) row by row.
pub(super) fn weight_gradient<T: Real>(x: &[T], grads: &[T], geometry: &Geometry) -> Vec<T> {
    let plan = Plan::new(geometry);
    let (walk, width) = (Walk::forward(geometry), geometry.group_outputs());
    let tasks = plan.tasks(geometry);
    let mut sums = Box::new_uninit_slice(tasks.iter().map(|(_, _, rows)| rows.len() * width).sum());
    let mut rest = &mut sums[..];
    let mut parts = Vec::with_capacity(tasks.len());
    for task in tasks {
        let (part, after) = std::mem::take(&mut rest).split_at_mut(task.2.len() * width);
        rest = after;
        parts.push((task, part));
    }
    parts.into_par_iter().for_each(|((chunk, group, rows), out)| {
        let tiles = &plan.tiles[chunk * plan.chunk..((chunk + 1) * plan.chunk).min(plan.tiles.len())];
        let task = Task { grads, geometry, walk: &walk, group, rows };
        for (index, tile) in tiles.iter().enumerate() {
            with_window(x, geometry.i, &walk, tile, |window| task.add(&window, tile, out, index > 0));
        }
    });
    // SAFETY: every task has at least one tile, and the product with the first one writes all of the task's sums.
    sum(&unsafe { sums.assume_init() }, geometry)
}

/// What one task sums up.
struct Task<'a, T> {
    grads: &'a [T],
    geometry: &'a Geometry,
    walk: &'a Walk,
    group: usize,
    rows: Range<usize>,
}

impl<T: Real> Task<'_, T> {
    /// Adds the product of a tile, or writes it.
    fn add(&self, window: &Window<'_, T>, tile: &Tile, out: &mut [MaybeUninit<T>], add: bool) {
        let geometry = self.geometry;
        let (inputs, outputs) = (geometry.group_inputs(), geometry.group_outputs());
        let row = |row: usize| {
            let tap = row / inputs;
            let [y, x] = [tap / geometry.kernel[1], tap % geometry.kernel[1]];
            let pixel = y * geometry.conv.dilation[0] * window.line + x * geometry.conv.dilation[1] * geometry.i;
            pixel + self.group * inputs + row % inputs
        };
        let rows: Vec<usize> = self.rows.clone().map(row).collect();
        let made: Vec<usize> = (0..rows.len()).map(|row| row * outputs).collect();
        let depth = Depth::new(self.positions(window, tile), PART);
        let [height, width] = geometry.output;
        let first = (tile.images.start * height + tile.rows.start) * width;
        let grads = self.grads.get(first * geometry.o + self.group * outputs..).unwrap_or_default();
        let left = Left { numbers: window.numbers, rows: &rows, depth: &depth };
        let right = Right::Rows { numbers: grads, step: geometry.o, columns: outputs };
        multiply(left, right, Out { numbers: out, rows: &made }, add);
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

/// The sum over chunks, from (chunk, group, tap, input, output) to the order of the weight.
fn sum<T: Real>(partial: &[T], geometry: &Geometry) -> Vec<T> {
    let (outputs, patch) = (geometry.group_outputs(), geometry.depth());
    let mut weight = vec![T::zero(); patch * geometry.o];
    let groups = weight.par_chunks_mut((patch * outputs).max(1)).enumerate();
    groups.for_each(|(group, weight)| {
        let blocks = weight.par_chunks_mut((patch * LANES).max(1)).enumerate();
        blocks.for_each(|(block, weight)| sum_block(partial, geometry, group, block * LANES, weight));
    });
    weight
}

/// The weights of up to `LANES` output channels of a group from `first`.
fn sum_block<T: Real>(partial: &[T], geometry: &Geometry, group: usize, first: usize, weight: &mut [T]) {
    let (inputs, outputs, taps) = (geometry.group_inputs(), geometry.group_outputs(), geometry.taps());
    let (patch, count) = (geometry.depth(), weight.len() / geometry.depth());
    for at in 0..patch {
        let (input, tap) = (at / taps, at % taps);
        let row = (group * patch + tap * inputs + input) * outputs + first;
        let mut sums = [0.0; LANES];
        for chunk in partial.chunks_exact(patch * geometry.o) {
            sums.iter_mut().zip(&chunk[row..][..count]).for_each(|(sum, v)| *sum += v.to_f64());
        }
        for (weight, sum) in weight.chunks_exact_mut(patch).zip(sums) {
            weight[at] = T::from_f64(sum);
        }
    }
}
