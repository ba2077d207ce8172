//! Patches: the numbers that output pixels see, as the rows of a matrix.

use super::geometry::Geometry;
use crate::gemm::View;
use crate::real::Real;
use std::ops::Range;

/// The patches of a range of output pixels for one group, one row each; columns are kernel row, kernel column, channel,
/// the kernel rows being those of `rows`. Pixels of the input are used in place where they are the patches.
pub(super) fn patches<'a, T: Real>(
    x: &'a [T],
    geometry: &Geometry,
    pixels: Range<usize>,
    group: usize,
    rows: Range<usize>,
    buffer: &'a mut Vec<T>,
) -> View<'a, T> {
    let channels = geometry.group_inputs();
    if geometry.is_pointwise() {
        let start = pixels.start * geometry.i + group * channels;
        return View::new(x.get(start..).unwrap_or_default(), pixels.len(), channels, geometry.i);
    }
    let depth = rows.len() * geometry.kernel[1] * channels;
    let count = pixels.len();
    buffer.resize(buffer.len().max(count * depth), T::zero());
    for (pixel, patch) in pixels.zip(buffer.chunks_exact_mut(depth.max(1))) {
        copy_patch(x, geometry, pixel, group, rows.clone(), patch);
    }
    View::new(buffer, count, depth, depth)
}

/// One patch.
fn copy_patch<T: Real>(x: &[T], geometry: &Geometry, pixel: usize, group: usize, rows: Range<usize>, patch: &mut [T]) {
    let [image, out_y, out_x] = geometry.position(pixel);
    let image = &x[image * geometry.image()..][..geometry.image()];
    let width = geometry.kernel[1] * geometry.group_inputs();
    for (row, patch) in rows.zip(patch.chunks_exact_mut(width.max(1))) {
        match geometry.source(0, out_y, row) {
            None => patch.fill(T::zero()),
            Some(y) => {
                let line = &image[y * geometry.input[1] * geometry.i..][..geometry.input[1] * geometry.i];
                copy_row(line, geometry, out_x, group, patch);
            }
        }
    }
}

/// One kernel row of a patch from a row of an image.
fn copy_row<T: Real>(line: &[T], geometry: &Geometry, out_x: usize, group: usize, patch: &mut [T]) {
    if geometry.conv.groups == 1 && geometry.conv.dilation[1] == 1 {
        return copy_run(line, geometry, out_x, patch);
    }
    let channels = geometry.group_inputs();
    for (tap, patch) in patch.chunks_exact_mut(channels.max(1)).enumerate() {
        match geometry.source(1, out_x, tap) {
            None => patch.fill(T::zero()),
            Some(x) => patch.copy_from_slice(&line[x * geometry.i + group * channels..][..channels]),
        }
    }
}

/// A kernel row whose pixels are neighbors in memory.
fn copy_run<T: Real>(line: &[T], geometry: &Geometry, out_x: usize, patch: &mut [T]) {
    let (taps, channels) = (geometry.kernel[1], geometry.i);
    let start = out_x * geometry.conv.stride[1];
    let padding = geometry.conv.padding[1];
    let before = padding.saturating_sub(start).min(taps);
    let within = (geometry.input[1] + padding).saturating_sub(start).min(taps).max(before);
    patch[..before * channels].fill(T::zero());
    patch[within * channels..].fill(T::zero());
    if within > before {
        let from = (start + before - padding) * channels;
        patch[before * channels..within * channels].copy_from_slice(&line[from..][..(within - before) * channels]);
    }
}
