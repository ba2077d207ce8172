//! Convolutions with one channel in and out of every group: a weighted sum of pixels, channel by channel.
#![allow(unsafe_code)]

use super::Finish;
use super::geometry::Geometry;
use crate::memory::initialized;
use crate::real::{LANES, Real, lanes, simd};
use crate::sums::total;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Numbers of a result that one task computes, at least.
const CHUNK: usize = 1 << 14;

/// Channels that are summed at once where there are so many: several sums hide the time that an addition takes.
const WIDE: usize = 4 * LANES;

/// The output; `weight` is tap by channel.
pub(super) fn forward<T: Real>(
    x: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    geometry: &Geometry,
    finish: Finish<'_, T>,
) -> Vec<T> {
    let zeros = vec![T::zero(); geometry.o];
    let taps = |axis: usize| taps(geometry, axis, geometry.output, Geometry::source);
    let sums = Sums { weight, start: bias.unwrap_or(&zeros), from: geometry.input, rows: taps(0), columns: taps(1) };
    sums.compute(x, geometry, finish)
}

/// The gradient with respect to the input.
pub(super) fn input_gradient<T: Real>(weight: &[T], grads: &[T], geometry: &Geometry) -> Vec<T> {
    let zeros = vec![T::zero(); geometry.o];
    let taps = |axis: usize| taps(geometry, axis, geometry.input, Geometry::target);
    let sums = Sums { weight, start: &zeros, from: geometry.output, rows: taps(0), columns: taps(1) };
    sums.compute(grads, geometry, &|_| ())
}

/// For every position along an axis the taps that find a number, and where.
type Taps = Vec<Vec<(usize, usize)>>;

fn taps(
    geometry: &Geometry,
    axis: usize,
    sizes: [usize; 2],
    find: impl Fn(&Geometry, usize, usize, usize) -> Option<usize>,
) -> Taps {
    let found = |at: usize, tap: usize| find(geometry, axis, at, tap).map(|from| (tap, from));
    (0..sizes[axis]).map(|at| (0..geometry.kernel[axis]).filter_map(|tap| found(at, tap)).collect()).collect()
}

/// Sums over taps of number times weight.
struct Sums<'a, T> {
    weight: &'a [T],
    /// What every channel's sum begins with.
    start: &'a [T],
    /// Height and width of the images that are read.
    from: [usize; 2],
    rows: Taps,
    columns: Taps,
}

impl<T: Real> Sums<'_, T> {
    fn compute(&self, values: &[T], geometry: &Geometry, finish: Finish<'_, T>) -> Vec<T> {
        let (height, channels) = (self.rows.len(), self.start.len());
        let (row, image) = (self.columns.len() * channels, self.from[0] * self.from[1] * channels);
        let rows = (CHUNK / row.max(1)).max(1);
        let mut out = Box::new_uninit_slice(geometry.n * height * row);
        out.par_chunks_mut((rows * row).max(1)).enumerate().for_each(|(task, out)| {
            for (line, out) in out.chunks_exact_mut(row).enumerate() {
                let (n, y) = ((task * rows + line) / height, (task * rows + line) % height);
                let image = &values[n * image..][..image];
                simd(
                    #[inline(always)]
                    || self.row(image, &self.rows[y], geometry.kernel[1], out),
                );
            }
            // SAFETY: `row` writes every element of the rows it is given.
            finish(unsafe { initialized(out) });
        });
        // SAFETY: `row` writes every element of the rows it is given, and the chunks of whole rows cover all.
        unsafe { out.assume_init() }.into_vec()
    }

    #[inline(always)]
    fn row(&self, image: &[T], rows: &[(usize, usize)], kernel_width: usize, out: &mut [MaybeUninit<T>]) {
        let channels = self.start.len();
        let (wide, whole) = (channels - channels % WIDE, channels - channels % LANES);
        for (columns, out) in self.columns.iter().zip(out.chunks_exact_mut(channels)) {
            for at in (0..wide).step_by(WIDE) {
                self.pixel::<WIDE>(image, [rows, columns], kernel_width, at, out);
            }
            for at in (wide..whole).step_by(LANES) {
                self.pixel::<LANES>(image, [rows, columns], kernel_width, at, out);
            }
            for at in whole..channels {
                self.pixel::<1>(image, [rows, columns], kernel_width, at, out);
            }
        }
    }

    /// `L` channels from `at` of one pixel.
    #[inline(always)]
    fn pixel<const L: usize>(
        &self,
        image: &[T],
        [rows, columns]: [&[(usize, usize)]; 2],
        kernel_width: usize,
        at: usize,
        out: &mut [MaybeUninit<T>],
    ) {
        let channels = self.start.len();
        let mut sums: [T; L] = lanes(self.start, at);
        for &(r, y) in rows {
            for &(s, x) in columns {
                let values: [T; L] = lanes(image, (y * self.from[1] + x) * channels + at);
                let weights: [T; L] = lanes(self.weight, (r * kernel_width + s) * channels + at);
                for lane in 0..L {
                    sums[lane] += values[lane] * weights[lane];
                }
            }
        }
        out[at..at + L].copy_from_slice(&sums.map(MaybeUninit::new));
    }
}

/// The gradient with respect to the weight, (O, 1, KH, KW) row by row.
pub(super) fn weight_gradient<T: Real>(x: &[T], grads: &[T], geometry: &Geometry) -> Vec<T> {
    let (channels, taps) = (geometry.o, geometry.taps());
    let rows = (geometry.n * geometry.output[0]).div_ceil(32).max(1);
    let chunk = rows * geometry.output[1] * channels;
    let chunks = grads.par_chunks(chunk.max(1)).enumerate();
    let chunks: Vec<Vec<T>> = chunks.map(|(index, grads)| chunk_gradient(x, grads, index * rows, geometry)).collect();
    let sums = total(&chunks, taps * channels);
    (0..taps * channels).map(|at| T::from_f64(sums[at % taps * channels + at / taps])).collect()
}

/// The gradient, tap by channel, from the rows of the output that begin with `first` (counted over all images).
fn chunk_gradient<T: Real>(x: &[T], grads: &[T], first: usize, geometry: &Geometry) -> Vec<T> {
    let channels = geometry.o;
    let mut sums = vec![T::zero(); geometry.taps() * channels];
    simd(
        #[inline(always)]
        || {
            for (pixel, grads) in grads.chunks_exact(channels).enumerate() {
                let [image, out_y, out_x] = geometry.position(first * geometry.output[1] + pixel);
                for (tap, sums) in sums.chunks_exact_mut(channels).enumerate() {
                    let y = geometry.source(0, out_y, tap / geometry.kernel[1]);
                    let x_at = geometry.source(1, out_x, tap % geometry.kernel[1]);
                    let Some((y, x_at)) = y.zip(x_at) else { continue };
                    let pixel = &x[image * geometry.image() + (y * geometry.input[1] + x_at) * channels..][..channels];
                    for ((sum, &x), &g) in sums.iter_mut().zip(pixel).zip(grads) {
                        *sum += x * g;
                    }
                }
            }
        },
    );
    sums
}
