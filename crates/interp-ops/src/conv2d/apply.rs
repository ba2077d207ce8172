//! The forward pass and the input gradient: for every position the product of what it sees and the weights.
#![allow(unsafe_code)]

use super::Finish;
use super::geometry::Geometry;
use super::walk::{TILE, Walk, tiles};
use super::weights::Packed;
use super::window::{Tile, Window, with_window};
use crate::product::{Depth, Left, Out, Right, Run, multiply};
use crate::real::{Real, add_to, simd};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Numbers along the depth that are summed in one go.
pub(super) const PART: usize = 256;

/// A walk with the weights that it applies, for each group.
pub(super) struct Step<T> {
    pub(super) walk: Walk,
    pub(super) weights: Packed<T>,
}

/// What is read and what is written.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) images: usize,
    pub(super) groups: usize,
    /// Channels read.
    pub(super) seen: usize,
    /// Channels written.
    pub(super) made: usize,
    /// Height and width written.
    pub(super) size: [usize; 2],
}

/// The output in the order of memory.
pub(super) fn forward<T: Real>(
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    geometry: &Geometry,
    finish: Finish<'_, T>,
) -> Vec<T> {
    let walk = Walk::forward(geometry);
    let weights = Packed::new(weight, geometry, &walk, false);
    let (seen, made, size) = (geometry.i, geometry.o, geometry.output);
    apply(
        x,
        &[Step { walk, weights }],
        bias,
        &Sizes { images: geometry.n, groups: geometry.conv.groups, seen, made, size },
        finish,
    )
}

/// The input gradient in the order of memory; `weight` is (O, I / groups, KH, KW) row by row.
pub(super) fn input_gradient<T: Real>(weight: &[T], grads: &[T], geometry: &Geometry) -> Vec<T> {
    let step = |walk: Walk| Step { weights: Packed::new(weight, geometry, &walk, true), walk };
    let steps: Vec<_> = Walk::input_gradient(geometry).into_iter().map(step).collect();
    let (seen, made, size) = (geometry.o, geometry.i, geometry.input);
    let sizes = Sizes { images: geometry.n, groups: geometry.conv.groups, seen, made, size };
    apply(grads, &steps, None, &sizes, &|_| ())
}

/// Applies all steps, which together write every number of the result.
fn apply<T: Real>(x: &[T], steps: &[Step<T>], bias: Option<&[T]>, sizes: &Sizes, finish: Finish<'_, T>) -> Vec<T> {
    let row = sizes.size[1] * sizes.made;
    let mut out = Box::new_uninit_slice(sizes.images * sizes.size[0] * row);
    let multiple = steps.first().map_or(1, |step| step.walk.axes[0].stride);
    let tiles = tiles(sizes.images, sizes.size, TILE * steps.len(), multiple);
    let mut rest = &mut out[..];
    let mut parts = Vec::with_capacity(tiles.len());
    for tile in tiles {
        let (part, after) = std::mem::take(&mut rest).split_at_mut(tile.images.len() * tile.rows.len() * row);
        rest = after;
        parts.push((tile, part));
    }
    parts.into_par_iter().for_each(|(tile, part)| {
        steps.iter().for_each(|step| step.apply(x, sizes, &tile, part));
        // SAFETY: the steps have written every number of the part.
        let part = unsafe { crate::memory::initialized(part) };
        if let Some(bias) = bias {
            add_bias(part, bias);
        }
        finish(part);
    });
    // SAFETY: the tiles cover the result, and the steps have written every number of each.
    unsafe { out.assume_init() }.into_vec()
}

impl<T: Real> Step<T> {
    /// Writes the results of a tile that belong to this walk; the tile's rows are rows of results.
    fn apply(&self, x: &[T], sizes: &Sizes, results: &Tile, out: &mut [MaybeUninit<T>]) {
        let positions = self.walk.axes[0].positions(&results.rows);
        let rows = self.result_rows(sizes, results, positions.clone());
        if rows.is_empty() {
            return;
        }
        if self.walk.taps().next().is_none() || sizes.seen == 0 {
            rows.iter().for_each(|&row| out[row..][..sizes.made].fill(MaybeUninit::new(T::zero())));
            return;
        }
        let tile = Tile { images: results.images.clone(), rows: positions };
        with_window(x, sizes.seen, &self.walk, &tile, |window| self.multiply(&window, sizes, &tile, &rows, out));
    }

    /// Where the results of the positions lie in the part of a tile.
    fn result_rows(&self, sizes: &Sizes, results: &Tile, positions: std::ops::Range<usize>) -> Vec<usize> {
        let [rows, columns] = &self.walk.axes;
        let at = |n: usize, k: usize, l: usize| {
            let y = rows.start + k * rows.stride - results.rows.start;
            ((n * results.rows.len() + y) * sizes.size[1] + columns.start + l * columns.stride) * sizes.made
        };
        let of_row = |n: usize, k: usize| (0..columns.count).map(move |l| at(n, k, l));
        (0..results.images.len()).flat_map(|n| positions.clone().flat_map(move |k| of_row(n, k))).collect()
    }

    /// The product for each group.
    fn multiply(&self, window: &Window<'_, T>, sizes: &Sizes, tile: &Tile, rows: &[usize], out: &mut [MaybeUninit<T>]) {
        let (seen, made) = (sizes.seen / sizes.groups, sizes.made / sizes.groups);
        let starts = starts(window, &self.walk, sizes.seen, tile);
        let depth = Depth::new(runs(window, &self.walk, sizes.seen, seen), PART);
        for group in 0..sizes.groups {
            let left = Left { numbers: &window.numbers[group * seen..], rows: &starts, depth: &depth };
            let right = Right::Panels { numbers: self.weights.group(group), columns: made };
            multiply(left, right, Out { numbers: &mut out[group * made..], rows });
        }
    }
}

/// Where in the window each position of a tile begins to see.
pub(super) fn starts<T>(window: &Window<'_, T>, walk: &Walk, channels: usize, tile: &Tile) -> Vec<usize> {
    let steps = walk.axes.each_ref().map(|axis| axis.step);
    let (line, image, columns) = (window.line, window.image, walk.axes[1].count);
    let of_row = move |start: usize| (0..columns).map(move |l| start + l * steps[1] * channels);
    let of_image = move |n: usize| (0..tile.rows.len()).flat_map(move |k| of_row(n * image + k * steps[0] * line));
    (0..tile.images.len()).flat_map(of_image).collect()
}

/// Where the taps lie in the window, from a position's start.
pub(super) fn taps<T>(window: &Window<'_, T>, walk: &Walk, channels: usize) -> impl Iterator<Item = usize> {
    let [rows, columns] = walk.axes.each_ref().map(|axis| axis.offsets());
    let line = window.line;
    rows.flat_map(move |y| columns.clone().map(move |x| y * line + x * channels))
}

/// What a position sees of one group, from its start: the channels of every tap.
pub(super) fn runs<T>(window: &Window<'_, T>, walk: &Walk, channels: usize, group: usize) -> Vec<Run> {
    taps(window, walk, channels).map(|at| Run { at, count: group, step: 1 }).collect()
}

fn add_bias<T: Real>(out: &mut [T], bias: &[T]) {
    simd(
        #[inline(always)]
        || {
            for pixel in out.chunks_exact_mut(bias.len().max(1)) {
                add_to(pixel, bias);
            }
        },
    );
}
