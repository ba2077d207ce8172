//! The gradient with respect to the weight: the sum over pixels of patch times gradient.
//!
//! A fixed number of chunks of pixels each sum up a gradient of their own, in `T`; these are added in order, in `f64`.

use super::geometry::Geometry;
use super::patches::patches;
use crate::gemm::{View, multiply_add};
use crate::real::Real;
use rayon::prelude::*;
use std::ops::Range;

/// Output channels that are summed at once.
const LANES: usize = 16;

/// How the work is cut; a rule on the shapes alone.
struct Plan {
    /// Chunks of pixels, each with a gradient of its own.
    chunks: usize,
    /// Output pixels of a chunk.
    pixels: usize,
    /// Kernel rows of a task.
    rows: usize,
}

impl Plan {
    fn new(geometry: &Geometry) -> Self {
        /// Numbers that the gradients of all chunks may take together.
        const MEMORY: usize = 1 << 22;
        /// Fewer pixels are not worth a gradient of their own.
        const PIXELS: usize = 256;
        let weights = geometry.depth() * geometry.o;
        let most = (MEMORY / weights.max(1)).clamp(1, 32);
        let chunks = (geometry.pixels() / PIXELS).clamp(1, most);
        // With few chunks, kernel rows are tasks of their own.
        let rows = if chunks < 8 { 1 } else { geometry.kernel[0] };
        Self { chunks, pixels: geometry.pixels().div_ceil(chunks), rows }
    }
}

/// What one task sums up.
struct Task {
    pixels: Range<usize>,
    group: usize,
    rows: Range<usize>,
}

impl Plan {
    /// Tasks are numbered by chunk, then group, then kernel row.
    fn task(&self, index: usize, geometry: &Geometry) -> Task {
        let per_group = geometry.kernel[0] / self.rows;
        let (rest, row) = (index / per_group, index % per_group * self.rows);
        let (chunk, group) = (rest / geometry.conv.groups, rest % geometry.conv.groups);
        let last = geometry.pixels();
        let pixels = (chunk * self.pixels).min(last)..((chunk + 1) * self.pixels).min(last);
        Task { pixels, group, rows: row..row + self.rows }
    }
}

/// The gradient, (O, I / groups, KH, KW) row by row.
pub(super) fn weight_gradient<T: Real>(x: &[T], grads: &[T], geometry: &Geometry) -> Vec<T> {
    let plan = Plan::new(geometry);
    let task_size = plan.rows * geometry.kernel[1] * geometry.group_inputs() * geometry.group_outputs();
    let mut partial = vec![T::zero(); plan.chunks * geometry.depth() * geometry.o];
    let tasks = partial.par_chunks_mut(task_size.max(1)).enumerate();
    tasks.for_each(|(index, out)| {
        let task = plan.task(index, geometry);
        T::with_buffer(|buffer| accumulate(x, grads, geometry, &task, buffer, out));
    });
    sum(&partial, geometry)
}

/// Adds the products of all tiles of a task.
fn accumulate<T: Real>(x: &[T], grads: &[T], geometry: &Geometry, task: &Task, buffer: &mut Vec<T>, out: &mut [T]) {
    let width = geometry.group_outputs();
    for start in task.pixels.clone().step_by(geometry.tile()) {
        let tile = start..(start + geometry.tile()).min(task.pixels.end);
        let b = View::new(&grads[start * geometry.o + task.group * width..], tile.len(), width, geometry.o);
        let a = patches(x, geometry, tile, task.group, task.rows.clone(), buffer).transposed();
        multiply_add(a, b, out, width);
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
