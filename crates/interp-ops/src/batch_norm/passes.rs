//! Passes over channels-last numbers: functions of a number, of what stands beside it and of its channel's constants.
#![allow(unsafe_code)]
// Constant bounds and indices: iterators are not always inlined, and what is not is compiled for the oldest processor.
#![allow(clippy::needless_range_loop)]

use super::pooled::Spread;
use crate::lanes::{Kernel, Lanes, Partial};
use crate::memory::to_write;
use crate::real::Real;
use crate::sums::{RUN, rows_per_chunk};
use rayon::prelude::*;
use std::mem::MaybeUninit;
use std::ops::Range;

/// A function of the channel's constants, a number and what stands beside it, with `S` results.
pub(super) trait Function<T, const K: usize, const S: usize>: Copy + Sync {
    /// Some of them at once; `#[inline(always)]`.
    fn of<L: Lanes<T>>(self, lanes: L, constants: [L::Vector; K], x: L::Vector, beside: L::Vector) -> [L::Vector; S];
}

/// What stands beside the numbers of a tensor.
pub(super) enum Beside<'a, T> {
    /// A number each.
    Each(&'a [T]),
    /// The gradients of a pooling, which are spread chunk by chunk.
    Pooled(Spread<'a, T>),
}

impl<T: Real> Beside<'_, T> {
    /// Does some work with what stands beside `count` numbers from `at`, which are whole pixels of `width` channels.
    pub(super) fn with<R>(&self, at: usize, count: usize, width: usize, work: impl FnOnce(&[T]) -> R) -> R {
        match self {
            Self::Each(all) => work(&all[at..at + count]),
            Self::Pooled(spread) => T::with_buffer(count, |buffer| {
                spread.write(at / width..(at + count) / width, buffer);
                work(buffer)
            }),
        }
    }
}

/// The function of every number.
pub(super) fn map<T: Real, F: Function<T, K, 1>, const K: usize>(
    function: F,
    values: &[T],
    beside: &Beside<'_, T>,
    constants: &[Vec<T>; K],
) -> Vec<T> {
    let width = constants[0].len().max(1);
    let chunk = rows_per_chunk(width) * width;
    let constants = constants.each_ref().map(|c| &c[..]);
    let mut out = Box::new_uninit_slice(values.len());
    out.par_chunks_mut(chunk).zip(values.par_chunks(chunk)).enumerate().for_each(|(index, (out, values))| {
        beside.with(index * chunk, values.len(), width, |beside| {
            T::vectorize(Map { function, numbers: Numbers::new(values, beside, constants), out });
        });
    });
    // SAFETY: the chunks cover all, and `Map` writes every number of a chunk.
    unsafe { out.assume_init() }.into_vec()
}

/// Replaces every number of whole pixels by its function; nothing stands beside them.
pub(super) fn map_in_place<T: Real, F: Function<T, K, 1>, const K: usize>(
    function: F,
    values: &mut [T],
    constants: &[Vec<T>; K],
) {
    let width = constants[0].len().max(1);
    let chunk = (rows_per_chunk(width) * width).min(values.len());
    let constants = constants.each_ref().map(|c| &c[..]);
    T::with_buffer(chunk, |buffer| {
        for values in values.chunks_mut(chunk.max(1)) {
            let numbers = &mut buffer[..values.len()];
            numbers.copy_from_slice(values);
            let numbers = Numbers::new(&*numbers, &*numbers, constants);
            // SAFETY: `Map` writes numbers only.
            T::vectorize(Map { function, numbers, out: unsafe { to_write(values) } });
        }
    });
}

/// For every channel the sums of the function's results over a chunk: runs of pixels in `T`, over these in `f64`.
pub(super) fn chunk_sums<T: Real, F: Function<T, K, S>, const K: usize, const S: usize>(
    function: F,
    values: &[T],
    beside: &[T],
    constants: [&[T]; K],
) -> [Vec<f64>; S] {
    let width = constants[0].len();
    let mut sums = std::array::from_fn(|_| vec![0.0; width]);
    T::with_buffer(S * width, |run| {
        T::vectorize(Sum { function, numbers: Numbers::new(values, beside, constants), run, sums: &mut sums });
    });
    sums
}

/// What a pass reads: whole pixels, as many numbers beside them, and constants for each channel.
struct Numbers<'a, T, const K: usize> {
    values: &'a [T],
    beside: &'a [T],
    constants: [&'a [T]; K],
}

impl<'a, T: Real, const K: usize> Numbers<'a, T, K> {
    /// # Panics
    /// Where the lengths differ: callers check shapes before.
    fn new(values: &'a [T], beside: &'a [T], constants: [&'a [T]; K]) -> Self {
        let width = constants[0].len();
        assert!(constants.iter().all(|c| c.len() == width), "constants of other channels");
        assert!(values.len() == beside.len() && values.len().is_multiple_of(width.max(1)), "no whole pixels");
        Self { values, beside, constants }
    }

    fn width(&self) -> usize {
        self.constants[0].len()
    }

    /// The function of the channels from `channel` of the pixel that begins at `pixel`.
    ///
    /// # Safety
    /// A vector must fit between the channel and the pixel's end.
    #[inline(always)]
    unsafe fn of<L: Lanes<T>, F: Function<T, K, S>, const S: usize>(
        &self,
        lanes: L,
        function: F,
        pixel: usize,
        channel: usize,
    ) -> [L::Vector; S] {
        // SAFETY: the caller's; constants are as many as a pixel's numbers.
        let constants = unsafe { of_channel(lanes, &self.constants, channel) };
        // SAFETY: the caller's; there are as many numbers beside the values.
        let [x, beside] =
            [self.values, self.beside].map(|all| unsafe { lanes.load(all.as_ptr().add(pixel + channel)) });
        function.of(lanes, constants, x, beside)
    }
}

/// The constants of the channels from `channel`.
///
/// # Safety
/// A vector must fit between the channel and the last one.
#[inline(always)]
unsafe fn of_channel<T: Real, L: Lanes<T>, const K: usize>(
    lanes: L,
    constants: &[&[T]; K],
    channel: usize,
) -> [L::Vector; K] {
    let mut vectors = [lanes.splat(T::zero()); K];
    for k in 0..K {
        // SAFETY: the caller's.
        vectors[k] = unsafe { lanes.load(constants[k].as_ptr().add(channel)) };
    }
    vectors
}

struct Map<'a, T, F, const K: usize> {
    function: F,
    numbers: Numbers<'a, T, K>,
    out: &'a mut [MaybeUninit<T>],
}

impl<T: Real, F: Function<T, K, 1>, const K: usize> Kernel<T> for Map<'_, T, F, K> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(mut self, lanes: L) {
        let width = self.numbers.width();
        assert!(self.out.len() == self.numbers.values.len(), "another number of results");
        let whole = width - width % L::COUNT;
        let rest = Partial::new(lanes, width - whole);
        let pixels = (0..self.out.len()).step_by(width.max(1));
        // Of the loop over few channels the question whether any are left would be a good part.
        if whole == width {
            for pixel in pixels {
                self.channels(lanes, pixel, 0..width);
            }
        } else {
            for pixel in pixels {
                self.channels(lanes, pixel, 0..whole);
                self.channels(rest, pixel, whole..width);
            }
        }
    }
}

impl<T: Real, F: Function<T, K, 1>, const K: usize> Map<'_, T, F, K> {
    /// Some channels of a pixel, whole vectors or one that is not.
    #[inline(always)]
    fn channels<L: Lanes<T>>(&mut self, lanes: L, pixel: usize, channels: Range<usize>) {
        let mut channel = channels.start;
        while channel < channels.end {
            // SAFETY: the channels end with the pixel at the latest, and the results are as many as the numbers.
            unsafe {
                let [result] = self.numbers.of(lanes, self.function, pixel, channel);
                lanes.store(self.out.as_mut_ptr().cast::<T>().add(pixel + channel), result);
            }
            channel += L::COUNT;
        }
    }
}

struct Sum<'a, T, F, const K: usize, const S: usize> {
    function: F,
    numbers: Numbers<'a, T, K>,
    /// Room for the sums of a run.
    run: &'a mut [T],
    sums: &'a mut [Vec<f64>; S],
}

impl<T: Real, F: Function<T, K, S>, const K: usize, const S: usize> Kernel<T> for Sum<'_, T, F, K, S> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(mut self, lanes: L) {
        let (width, count) = (self.numbers.width(), self.numbers.values.len());
        assert!(self.run.len() == S * width, "no room for the sums");
        let whole = width - width % L::COUNT;
        let rest = Partial::new(lanes, width - whole);
        for start in (0..count).step_by((RUN * width).max(1)) {
            let pixels = start..(start + RUN * width).min(count);
            self.channels(lanes, pixels.clone(), 0..whole);
            self.channels(rest, pixels, whole..width);
            for (sums, run) in self.sums.iter_mut().zip(self.run.chunks_exact(width)) {
                sums.iter_mut().zip(run).for_each(|(sum, run)| *sum += run.to_f64());
            }
        }
    }
}

impl<T: Real, F: Function<T, K, S>, const K: usize, const S: usize> Sum<'_, T, F, K, S> {
    /// The sums of some channels, whole vectors or one that is not, over some pixels.
    #[inline(always)]
    fn channels<L: Lanes<T>>(&mut self, lanes: L, pixels: Range<usize>, channels: Range<usize>) {
        let width = self.numbers.width();
        let mut channel = channels.start;
        while channel < channels.end {
            let mut sums = [lanes.splat(T::zero()); S];
            let mut pixel = pixels.start;
            while pixel < pixels.end {
                // SAFETY: the channels end with the pixel at the latest.
                let terms = unsafe { self.numbers.of(lanes, self.function, pixel, channel) };
                for s in 0..S {
                    sums[s] = lanes.add(sums[s], terms[s]);
                }
                pixel += width;
            }
            for s in 0..S {
                // SAFETY: there is room for `S` times the channels.
                unsafe { lanes.store(self.run.as_mut_ptr().add(s * width + channel), sums[s]) };
            }
            channel += L::COUNT;
        }
    }
}
