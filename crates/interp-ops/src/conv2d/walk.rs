//! How the positions of a convolution, or of its gradient, walk over the images that they see.

use super::geometry::Geometry;
use super::window::Tile;
use std::ops::Range;

/// One direction of a walk. Position k sees `k * step + offset` for every tap's offset, and belongs to `start + k *
/// stride`.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    /// Size of what is seen.
    pub(super) from: usize,
    /// Number of positions.
    pub(super) count: usize,
    pub(super) step: usize,
    pub(super) start: usize,
    pub(super) stride: usize,
    /// Taps of the kernel with their offsets, which ascend.
    pub(super) taps: Vec<(usize, isize)>,
}

impl Axis {
    /// Without the taps that lie beyond the image from every position: windows would reach as far.
    fn without_blind_taps(mut self) -> Self {
        let (from, count, step) = (self.from as isize, self.count as isize, self.step);
        self.taps.retain(|&(_, offset)| {
            let first = ((-offset).max(0) as usize).div_ceil(step) as isize;
            first < count && first * step as isize + offset < from
        });
        self
    }

    /// What some positions see, from the first to the last.
    pub(super) fn seen(&self, positions: Range<usize>) -> Range<isize> {
        let offset = |tap: Option<&(usize, isize)>| tap.map_or(0, |&(_, offset)| offset);
        let (first, last) = (positions.start * self.step, positions.end.saturating_sub(1) * self.step);
        first as isize + offset(self.taps.first())..last as isize + offset(self.taps.last()) + 1
    }

    /// The positions that belong to a range of results.
    pub(super) fn positions(&self, results: &Range<usize>) -> Range<usize> {
        let before = |result: usize| result.saturating_sub(self.start).div_ceil(self.stride).min(self.count);
        before(results.start)..before(results.end)
    }

    /// Offsets of the taps, from that of the first.
    pub(super) fn offsets(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        let first = self.taps.first().map_or(0, |&(_, offset)| offset);
        self.taps.iter().map(move |&(_, offset)| (offset - first) as usize)
    }
}

/// Rows, then columns.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    pub(super) axes: [Axis; 2],
}

/// Positions of a tile, about.
pub(super) const TILE: usize = 240;

impl Walk {
    /// The walk of the forward pass: over the input, to every output.
    pub(super) fn forward(geometry: &Geometry) -> Self {
        let axis = |axis: usize| {
            Axis {
                from: geometry.input[axis],
                count: geometry.output[axis],
                step: geometry.conv.stride[axis],
                start: 0,
                stride: 1,
                taps: (0..geometry.kernel[axis]).map(|tap| (tap, geometry.offset(axis, tap))).collect(),
            }
            .without_blind_taps()
        };
        Self { axes: [axis(0), axis(1)] }
    }

    /// The walks of the input gradient: over the output's gradient, to the inputs of each residue of the stride, which
    /// see taps of their own.
    pub(super) fn input_gradient(geometry: &Geometry) -> Vec<Self> {
        // Residues beyond the input own no result.
        let starts = |axis: usize| gradient_stride(geometry, axis).min(geometry.input[axis]);
        let axes = |axis: usize| (0..starts(axis)).map(move |start| gradient_axis(geometry, axis, start));
        let [rows, columns] = [0, 1].map(|axis| axes(axis).collect::<Vec<_>>());
        rows.iter().flat_map(|row| columns.iter().map(|column| Self { axes: [row.clone(), column.clone()] })).collect()
    }

    /// Taps of the kernel that are seen, as rows and columns, in the order of the offsets.
    pub(super) fn taps(&self) -> impl Iterator<Item = [usize; 2]> + '_ {
        let [rows, columns] = &self.axes;
        rows.taps.iter().flat_map(|&(r, _)| columns.taps.iter().map(move |&(s, _)| [r, s]))
    }
}

/// Cuts images of the given height and width into tiles of about `size` pixels: some images, or rows of one, a multiple
/// of `multiple`. A rule on the shapes alone.
pub(super) fn tiles(images: usize, [height, width]: [usize; 2], size: usize, multiple: usize) -> Vec<Tile> {
    let together = (size / (height * width).max(1)).max(1);
    let rows = (size / width.max(1)).next_multiple_of(multiple.max(1));
    let band = if together > 1 { height } else { rows.clamp(1, height.max(1)) };
    let starts = |count: usize, step: usize| (0..count).step_by(step.max(1));
    let tile = |n: usize, y: usize| Tile { images: n..(n + together).min(images), rows: y..(y + band).min(height) };
    starts(images, together).flat_map(|n| starts(height, band).map(move |y| tile(n, y))).collect()
}

/// Steps between outputs along an axis. Where there is a single output any stride says the same; with one as long as the input each input has a
/// walk of its own with the one tap that it meets, in place of windows that are zeros but for one position.
fn gradient_stride(geometry: &Geometry, axis: usize) -> usize {
    match geometry.output[axis] {
        1 => geometry.input[axis].max(1),
        _ => geometry.conv.stride[axis],
    }
}

/// The inputs `start`, `start + stride`, ...: tap t leads from input i to output (i + padding - t dilation) / stride.
fn gradient_axis(geometry: &Geometry, axis: usize, start: usize) -> Axis {
    let stride = gradient_stride(geometry, axis);
    let steps = |tap: usize| start as isize - geometry.offset(axis, tap);
    let meets = |tap: &usize| steps(*tap).rem_euclid(stride as isize) == 0;
    let mut taps: Vec<_> = (0..geometry.kernel[axis]).filter(meets).map(|t| (t, steps(t) / stride as isize)).collect();
    taps.reverse();
    let count = geometry.input[axis].saturating_sub(start).div_ceil(stride);
    Axis { from: geometry.output[axis], count, step: 1, start, stride, taps }.without_blind_taps()
}
