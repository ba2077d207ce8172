//! Batch normalization, ReLU and max pooling by windows side by side: what is between is computed again, never kept.
#![allow(unsafe_code)]

use super::functions::passed;
use crate::lanes::{Kernel, Lanes, Partial};
use crate::pool::{Geometry, rows_per_task};
use crate::real::Real;
use rayon::prelude::*;
use std::mem::MaybeUninit;
use std::ops::Range;

/// The largest number of every window, in the order of memory.
pub(super) fn maxima<T: Real>(values: &[T], constants: &[Vec<T>; 3], pooling: &Geometry) -> Vec<T> {
    let row = pooling.output[1] * pooling.c;
    let mut out = Box::new_uninit_slice(pooling.n * pooling.output[0] * row);
    let rows = rows_per_task(row);
    let windows = Windows::new(values, constants, pooling);
    out.par_chunks_mut((rows * row).max(1)).enumerate().for_each(|(task, out)| {
        T::vectorize(Maxima { windows: &windows, first: task * rows, out });
    });
    // SAFETY: the chunks of whole rows cover all, and `Maxima` writes every number of these.
    unsafe { out.assume_init() }.into_vec()
}

/// Windows of numbers that are normalized and pass a ReLU.
#[derive(Clone, Copy)]
struct Windows<'a, T> {
    values: &'a [T],
    /// Mean, scale and shift.
    constants: &'a [Vec<T>; 3],
    pooling: &'a Geometry,
}

impl<'a, T: Real> Windows<'a, T> {
    /// # Panics
    /// Where the sizes differ: callers check shapes before.
    fn new(values: &'a [T], constants: &'a [Vec<T>; 3], pooling: &'a Geometry) -> Self {
        assert!(values.len() == pooling.n * pooling.image(), "images of another size");
        assert!(constants.iter().all(|c| c.len() == pooling.c), "constants of other channels");
        Self { values, constants, pooling }
    }

    /// The pixel, counted over all images, where a row of windows, counted likewise, begins.
    #[inline(always)]
    fn row(&self, row: usize) -> usize {
        let Geometry { pool, input, output, .. } = self.pooling;
        (row / output[0] * input[0] + row % output[0] * pool.kernel[0]) * input[1]
    }

    /// The largest number of the window of `kernel` whose first pixel is `pixel`, and which one of the window it is, the first
    /// of several, for the channels from `channel`. NaN counts as the largest, the last of several.
    ///
    /// # Safety
    /// There must be such a window, and a vector must fit between the channel and the last one.
    #[inline(always)]
    unsafe fn largest<L: Lanes<T>>(
        &self,
        lanes: L,
        [rows, columns]: [usize; 2],
        pixel: usize,
        channel: usize,
    ) -> [L::Vector; 2] {
        let (c, width) = (self.pooling.c, self.pooling.input[1]);
        // SAFETY: the caller's; there are as many constants as channels.
        let constants = self.constants.each_ref().map(|all| unsafe { lanes.load(all.as_ptr().add(channel)) });
        let zero = lanes.splat(T::zero());
        let (mut best, mut which) = (zero, zero);
        for row in 0..rows {
            for column in 0..columns {
                let at = (pixel + row * width + column) * c + channel;
                // SAFETY: the caller's.
                let y = passed(lanes, constants, unsafe { lanes.load(self.values.as_ptr().add(at)) });
                if row + column == 0 {
                    best = y;
                    continue;
                }
                let this = lanes.splat(T::from_f64((row * columns + column) as f64));
                let (above, number) = (lanes.above(y, best), lanes.equal(y, y));
                which = lanes.select(number, lanes.select(above, this, which), this);
                best = lanes.select(number, lanes.select(above, y, best), y);
            }
        }
        [best, which]
    }
}

/// The largest numbers of some rows of windows.
struct Maxima<'a, T> {
    windows: &'a Windows<'a, T>,
    /// The first row, counted over all images.
    first: usize,
    out: &'a mut [MaybeUninit<T>],
}

impl<T: Real> Kernel<T> for Maxima<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(mut self, lanes: L) {
        match self.windows.pooling.pool.kernel {
            // Its loops are unrolled.
            [2, 2] => self.rows(lanes, [2, 2]),
            kernel => self.rows(lanes, kernel),
        }
    }
}

impl<T: Real> Maxima<'_, T> {
    #[inline(always)]
    fn rows<L: Lanes<T>>(&mut self, lanes: L, kernel: [usize; 2]) {
        let Geometry { n, c, output, .. } = *self.windows.pooling;
        let row = output[1] * c;
        let rows = self.out.len().checked_div(row).unwrap_or(0);
        assert!(self.out.len() == rows * row && self.first + rows <= n * output[0], "rows of other images");
        let whole = c - c % L::COUNT;
        let rest = Partial::new(lanes, c - whole);
        for y in 0..rows {
            let first = self.windows.row(self.first + y);
            for x in 0..output[1] {
                let (from, to) = (first + x * kernel[1], (y * output[1] + x) * c);
                self.channels(lanes, kernel, [from, to], 0..whole);
                self.channels(rest, kernel, [from, to], whole..c);
            }
        }
    }

    /// Some channels, whole vectors or one that is not, of the window that begins at a pixel; they go to a number.
    #[inline(always)]
    fn channels<L: Lanes<T>>(&mut self, lanes: L, kernel: [usize; 2], [pixel, to]: [usize; 2], channels: Range<usize>) {
        let mut channel = channels.start;
        while channel < channels.end {
            // SAFETY: the window is one of the images', the number one of the results, and the channels end with it.
            unsafe {
                let [best, _] = self.windows.largest(lanes, kernel, pixel, channel);
                lanes.store(self.out.as_mut_ptr().cast::<T>().add(to + channel), best);
            }
            channel += L::COUNT;
        }
    }
}

/// The gradients of windows, spread over the numbers that the windows see.
pub(super) struct Spread<'a, T> {
    windows: Windows<'a, T>,
    /// A gradient for each window and channel.
    grads: &'a [T],
}

impl<'a, T: Real> Spread<'a, T> {
    /// # Panics
    /// Where the sizes differ: callers check shapes before.
    pub(super) fn new(values: &'a [T], constants: &'a [Vec<T>; 3], pooling: &'a Geometry, grads: &'a [T]) -> Self {
        assert!(grads.len() == pooling.output_shape().iter().product::<usize>(), "gradients of other windows");
        Self { windows: Windows::new(values, constants, pooling), grads }
    }

    /// Writes the gradients of some pixels, counted over all images: that of a window to its largest number, else zero.
    pub(super) fn write(&self, pixels: Range<usize>, out: &mut [T]) {
        let Geometry { pool, input: [height, width], output, .. } = self.windows.pooling;
        let left_out = output[0] * pool.kernel[0] < *height || output[1] * pool.kernel[1] < *width;
        if left_out {
            out.fill(T::zero());
        }
        // Rows of windows that see rows of pixels.
        let before = |row: usize| row / height * output[0] + (row % height).div_ceil(pool.kernel[0]).min(output[0]);
        let first = pixels.start / width;
        let seen = first / height * output[0] + first % height / pool.kernel[0];
        let rows = seen..before(pixels.end.div_ceil(*width));
        T::vectorize(Write { spread: self, rows, pixels, out });
    }
}

/// Writes what of some rows of windows falls on some pixels.
struct Write<'a, T> {
    spread: &'a Spread<'a, T>,
    rows: Range<usize>,
    pixels: Range<usize>,
    out: &'a mut [T],
}

impl<T: Real> Kernel<T> for Write<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(mut self, lanes: L) {
        match self.spread.windows.pooling.pool.kernel {
            // Its loops are unrolled.
            [2, 2] => self.all(lanes, [2, 2]),
            kernel => self.all(lanes, kernel),
        }
    }
}

impl<T: Real> Write<'_, T> {
    #[inline(always)]
    fn all<L: Lanes<T>>(&mut self, lanes: L, kernel: [usize; 2]) {
        let Geometry { n, c, input: [height, width], output, .. } = *self.spread.windows.pooling;
        assert!(self.rows.end <= n * output[0] && self.pixels.end <= n * height * width, "other images");
        assert!(self.out.len() == self.pixels.len() * c, "gradients of other pixels");
        let whole = c - c % L::COUNT;
        let rest = Partial::new(lanes, c - whole);
        for row in self.rows.clone() {
            let first = self.spread.windows.row(row);
            for x in 0..output[1] {
                let (pixel, window) = (first + x * kernel[1], row * output[1] + x);
                let beside = |row: usize| row + kernel[1] <= self.pixels.start || row >= self.pixels.end;
                if (0..kernel[0]).all(|y| beside(pixel + y * width)) {
                    continue;
                }
                self.window(lanes, kernel, [pixel, window], 0..whole);
                self.window(rest, kernel, [pixel, window], whole..c);
            }
        }
    }

    /// Some channels, whole vectors or one that is not, of a window that begins at a pixel.
    #[inline(always)]
    fn window<L: Lanes<T>>(
        &mut self,
        lanes: L,
        kernel: [usize; 2],
        [pixel, window]: [usize; 2],
        channels: Range<usize>,
    ) {
        let windows = &self.spread.windows;
        let (c, width) = (windows.pooling.c, windows.pooling.input[1]);
        let zero = lanes.splat(T::zero());
        let mut channel = channels.start;
        while channel < channels.end {
            // SAFETY: the window is one of the images', there is a gradient for each window and channel, and the channels end
            // with the last one. Added to zero: -0.0 arrives as 0.0, as it does through `max_pool2d_backward`.
            let ([_, which], grad) = unsafe {
                let grad = lanes.load(self.spread.grads.as_ptr().add(window * c + channel));
                (windows.largest(lanes, kernel, pixel, channel), lanes.add(zero, grad))
            };
            for y in 0..kernel[0] {
                for x in 0..kernel[1] {
                    let pixel = pixel + y * width + x;
                    if !self.pixels.contains(&pixel) {
                        continue;
                    }
                    let this = lanes.splat(T::from_f64((y * kernel[1] + x) as f64));
                    let arriving = lanes.select(lanes.equal(which, this), grad, zero);
                    let to = (pixel - self.pixels.start) * c + channel;
                    // SAFETY: the pixel is one of those to write, and the channels end with it.
                    unsafe { lanes.store(self.out.as_mut_ptr().add(to), arriving) };
                }
            }
            channel += L::COUNT;
        }
    }
}
