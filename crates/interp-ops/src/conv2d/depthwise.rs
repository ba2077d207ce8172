//! Convolutions with one channel in and out of every group: a weighted sum of pixels, channel by channel.
#![allow(unsafe_code)]

use super::geometry::Geometry;
use crate::real::{LANES, Real, lanes, simd};
use crate::sums::total;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Numbers of a result that one task computes, at least.
const CHUNK: usize = 1 << 14;

/// The output; `weight` is tap by channel.
pub(super) fn forward<T: Real>(x: &[T], weight: &[T], bias: Option<&[T]>, geometry: &Geometry) -> Vec<T> {
    let zeros = vec![T::zero(); geometry.o];
    let source = |axis: usize, at: usize, tap: usize| geometry.source(axis, at, tap);
    let sums = Sums { geometry, from: geometry.input, to: geometry.output, source: &source };
    sums.compute(x, weight, bias.unwrap_or(&zeros))
}

/// The gradient with respect to the input.
pub(super) fn input_gradient<T: Real>(weight: &[T], grads: &[T], geometry: &Geometry) -> Vec<T> {
    let zeros = vec![T::zero(); geometry.o];
    let source = |axis: usize, at: usize, tap: usize| geometry.target(axis, at, tap);
    let sums = Sums { geometry, from: geometry.output, to: geometry.input, source: &source };
    sums.compute(grads, weight, &zeros)
}

/// Sums over taps of pixel times weight; `source` says where along an axis a tap finds its pixel, if anywhere.
struct Sums<'a> {
    geometry: &'a Geometry,
    from: [usize; 2],
    to: [usize; 2],
    source: &'a (dyn Fn(usize, usize, usize) -> Option<usize> + Sync),
}

impl Sums<'_> {
    fn compute<T: Real>(&self, values: &[T], weight: &[T], start: &[T]) -> Vec<T> {
        let row = self.to[1] * self.geometry.o;
        let image = self.from[0] * self.from[1] * self.geometry.o;
        let rows = (CHUNK / row.max(1)).max(1);
        let mut out = Box::new_uninit_slice(self.geometry.n * self.to[0] * row);
        out.par_chunks_mut((rows * row).max(1)).enumerate().for_each_init(Vec::new, |taps, (task, out)| {
            for (line, out) in out.chunks_exact_mut(row).enumerate() {
                let (n, y) = ((task * rows + line) / self.to[0], (task * rows + line) % self.to[0]);
                simd(
                    #[inline(always)]
                    || self.row(&values[n * image..][..image], weight, start, y, taps, out),
                );
            }
        });
        // SAFETY: `row` writes every element of the rows it is given, and the chunks of whole rows cover all.
        unsafe { out.assume_init() }.into_vec()
    }

    #[inline(always)]
    fn row<T: Real>(
        &self,
        image: &[T],
        weight: &[T],
        start: &[T],
        y: usize,
        taps: &mut Vec<[usize; 2]>,
        out: &mut [MaybeUninit<T>],
    ) {
        let c = self.geometry.o;
        for (x, out) in out.chunks_exact_mut(c).enumerate() {
            self.collect_taps([y, x], taps);
            let whole = c - c % LANES;
            for at in (0..whole).step_by(LANES) {
                pixel::<T, LANES>(image, weight, start, taps, at, out);
            }
            for at in whole..c {
                pixel::<T, 1>(image, weight, start, taps, at, out);
            }
        }
    }

    /// The taps that find a pixel, and its offset.
    #[inline(always)]
    fn collect_taps(&self, [y, x]: [usize; 2], taps: &mut Vec<[usize; 2]>) {
        let [height, width] = self.geometry.kernel;
        taps.clear();
        for (r, from_y) in (0..height).filter_map(|r| Some((r, (self.source)(0, y, r)?))) {
            for (s, from_x) in (0..width).filter_map(|s| Some((s, (self.source)(1, x, s)?))) {
                taps.push([(r * width + s) * self.geometry.o, (from_y * self.from[1] + from_x) * self.geometry.o]);
            }
        }
    }
}

/// `L` channels from `at` of one pixel.
#[inline(always)]
fn pixel<T: Real, const L: usize>(
    image: &[T],
    weight: &[T],
    start: &[T],
    taps: &[[usize; 2]],
    at: usize,
    out: &mut [MaybeUninit<T>],
) {
    let mut sums: [T; L] = lanes(start, at);
    for &[tap, from] in taps {
        let (values, weights) = (&image[from + at..][..L], &weight[tap + at..][..L]);
        for lane in 0..L {
            sums[lane] += values[lane] * weights[lane];
        }
    }
    for lane in 0..L {
        out[at + lane].write(sums[lane]);
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
