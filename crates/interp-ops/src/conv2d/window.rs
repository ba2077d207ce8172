//! Windows: the part of some images that a tile of positions sees.

use super::walk::Walk;
use crate::real::Real;
use std::ops::Range;

/// Positions that are computed together: rows of positions of one image, or of several whole images.
#[derive(Debug, Clone)]
pub(super) struct Tile {
    pub(super) images: Range<usize>,
    pub(super) rows: Range<usize>,
}

/// The window of a tile, as numbers: those of the images themselves, or a copy with zeros around them.
pub(super) struct Window<'a, T> {
    /// From the first number that the first position sees.
    pub(super) numbers: &'a [T],
    /// From one row of the window to the next.
    pub(super) line: usize,
    /// From one image to the next.
    pub(super) image: usize,
}

/// Runs `work` with the window that the walk sees from a tile; `x` are images of `channels` channels.
pub(super) fn with_window<T: Real, R>(
    x: &[T],
    channels: usize,
    walk: &Walk,
    tile: &Tile,
    work: impl FnOnce(Window<'_, T>) -> R,
) -> R {
    let [height, width] = walk.axes.each_ref().map(|axis| axis.from);
    let rows = walk.axes[0].seen(tile.rows.clone());
    let columns = walk.axes[1].seen(0..walk.axes[1].count);
    let (line, image) = (width * channels, height * width * channels);
    let within = |seen: &Range<isize>, size: usize| seen.start >= 0 && seen.end <= size as isize;
    if within(&rows, height) && within(&columns, width) {
        let corner = tile.images.start * image + rows.start as usize * line + columns.start as usize * channels;
        return work(Window { numbers: &x[corner..], line, image });
    }
    let copied = columns.len_of() * channels;
    let size = rows.len_of() * copied;
    T::with_buffer(tile.images.len() * size, |buffer| {
        for (to, n) in buffer.chunks_exact_mut(size.max(1)).zip(tile.images.clone()) {
            let from = &x[n * image..][..image];
            for (to, y) in to.chunks_exact_mut(copied.max(1)).zip(rows.clone()) {
                match usize::try_from(y).ok().filter(|&y| y < height) {
                    Some(y) => copy_line(&from[y * line..][..line], columns.clone(), channels, to),
                    None => to.fill(T::zero()),
                }
            }
        }
        work(Window { numbers: buffer, line: copied, image: size })
    })
}

/// Some pixels of a line, zeros beyond its ends.
fn copy_line<T: Real>(line: &[T], columns: Range<isize>, channels: usize, to: &mut [T]) {
    let width = (line.len() / channels.max(1)) as isize;
    let (first, last) = (columns.start.clamp(0, width), columns.end.clamp(0, width));
    let before = ((first - columns.start).max(0) as usize * channels).min(to.len());
    let within = (last - first).max(0) as usize * channels;
    to[..before].fill(T::zero());
    to[before..before + within].copy_from_slice(&line[first as usize * channels..][..within]);
    to[before + within..].fill(T::zero());
}

/// The length of a range of positions that may lie before the first.
trait Length {
    fn len_of(&self) -> usize;
}

impl Length for Range<isize> {
    fn len_of(&self) -> usize {
        (self.end - self.start).max(0) as usize
    }
}
