//! Weights in the transformed space, and back.
#![allow(unsafe_code)]
// Constant bounds and indices: iterators are not always inlined, and what is not is compiled for the oldest processor.
#![allow(clippy::needless_range_loop)]

use super::transform::{Filter, SEEN_ROWS, Two, both};
use crate::conv2d::geometry::Geometry;
use crate::lanes::{Kernel, Lanes};
use crate::product::{lanes, padded_columns};
use crate::real::Real;
use rayon::prelude::*;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Panel after panel, filled up with zeros, for each point the panel's columns of the matrix G g G^T: channel seen by
/// channel made. For the
/// `gradient` channels seen are outputs and the kernel is turned by half a circle.
pub(super) fn transformed<T: Real, F: Filter<M, N>, const M: usize, const N: usize>(
    weight: &[T],
    geometry: &Geometry,
    gradient: bool,
) -> Vec<T> {
    let (inputs, outputs) = (geometry.i, geometry.o);
    let (seen, seen_step, made, made_step) =
        if gradient { (outputs, inputs * 9, inputs, 9) } else { (inputs, 9, outputs, inputs * 9) };
    let panel = 2 * lanes::<T>();
    let mut panels = Box::new_uninit_slice(SEEN_ROWS * N * seen * padded_columns(lanes::<T>(), made));
    panels.par_chunks_mut(SEEN_ROWS * N * seen * panel).enumerate().for_each(|(index, panels)| {
        let weight = &weight[index * panel * made_step..];
        let filter = PhantomData::<F>;
        T::vectorize(Transformed::<T, F, M, N> {
            weight,
            panels,
            channels: [seen, made - index * panel],
            steps: [seen_step, made_step],
            gradient,
            filter,
        });
    });
    // SAFETY: every point, channel and column of every panel has been written.
    unsafe { panels.assume_init() }.into_vec()
}

/// The points of one panel.
struct Transformed<'a, T, F, const M: usize, const N: usize> {
    /// From the weights of the panel's first channel made.
    weight: &'a [T],
    panels: &'a mut [MaybeUninit<T>],
    /// Seen, and made from the panel's first on.
    channels: [usize; 2],
    /// Between channels seen and between channels made.
    steps: [usize; 2],
    gradient: bool,
    filter: PhantomData<F>,
}

impl<T: Real, F: Filter<M, N>, const M: usize, const N: usize> Kernel<T> for Transformed<'_, T, F, M, N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(self, lanes: L) {
        let ([seen, made], [seen_step, made_step]) = (self.channels, self.steps);
        let width = self.panels.len() / (SEEN_ROWS * N * seen);
        assert!(width.is_multiple_of(L::COUNT), "a panel of other vectors");
        for first in (0..width).step_by(L::COUNT) {
            let count = (made - first).min(L::COUNT);
            for channel in 0..seen {
                let mut square = [[lanes.splat(T::zero()); 3]; 3];
                let from = &self.weight[channel * seen_step + first * made_step..];
                let from = &from[..(count - 1) * made_step + 9];
                for tap in 0..9 {
                    let place = if self.gradient { 8 - tap } else { tap };
                    square[tap / 3][tap % 3] = gather(lanes, &from[place..], made_step, count);
                }
                let points = both::<_, 3, 3, SEEN_ROWS, N>(
                    &square,
                    #[inline(always)]
                    |taps| times(lanes, &Two::TAPS, taps),
                    #[inline(always)]
                    |taps| times(lanes, &F::TAPS, taps),
                );
                for row in 0..SEEN_ROWS {
                    for column in 0..N {
                        let at = ((row * N + column) * seen + channel) * width + first;
                        let to = self.panels[at..][..L::COUNT].as_mut_ptr().cast::<T>();
                        // SAFETY: there is room for a vector.
                        unsafe { lanes.store(to, points[row][column]) };
                    }
                }
            }
        }
    }
}

/// The first `count` numbers of a vector, which lie `step` apart, and zeros.
#[inline(always)]
fn gather<T: Real, L: Lanes<T>>(lanes: L, from: &[T], step: usize, count: usize) -> L::Vector {
    let mut vector = lanes.splat(T::zero());
    let numbers: *mut T = std::ptr::from_mut(&mut vector).cast();
    // The loop over all is unrolled.
    if count >= L::COUNT {
        let from = &from[..(L::COUNT - 1) * step + 1];
        for lane in 0..L::COUNT {
            // SAFETY: a vector has the layout of its numbers.
            unsafe { *numbers.add(lane) = from[lane * step] };
        }
    } else {
        for lane in 0..count {
            // SAFETY: a vector has the layout of its numbers.
            unsafe { *numbers.add(lane) = from[lane * step] };
        }
    }
    vector
}

/// Writes the first `count` numbers of a vector `step` apart.
#[inline(always)]
fn scatter<T: Real, L: Lanes<T>>(vector: L::Vector, to: &mut [MaybeUninit<T>], step: usize, count: usize) {
    let numbers: *const T = std::ptr::from_ref(&vector).cast();
    if count >= L::COUNT {
        let to = &mut to[..(L::COUNT - 1) * step + 1];
        for lane in 0..L::COUNT {
            // SAFETY: a vector has the layout of its numbers.
            to[lane * step].write(unsafe { *numbers.add(lane) });
        }
    } else {
        for lane in 0..count {
            // SAFETY: a vector has the layout of its numbers.
            to[lane * step].write(unsafe { *numbers.add(lane) });
        }
    }
}

/// The matrix times a vector of vectors.
#[inline(always)]
fn times<T: Real, L: Lanes<T>, const A: usize, const B: usize>(
    lanes: L,
    matrix: &[[f64; A]; B],
    vectors: [L::Vector; A],
) -> [L::Vector; B] {
    let mut result = [lanes.splat(T::zero()); B];
    for row in 0..B {
        for column in 0..A {
            result[row] = lanes.mul_add(lanes.splat(T::from_f64(matrix[row][column])), vectors[column], result[row]);
        }
    }
    result
}

/// A matrix with rows for columns.
#[inline(always)]
fn adjoint<const N: usize>(matrix: &[[f64; 3]; N]) -> [[f64; N]; 3] {
    let mut adjoint = [[0.0; N]; 3];
    for row in 0..N {
        for column in 0..3 {
            adjoint[column][row] = matrix[row][column];
        }
    }
    adjoint
}

/// Output channels that a task treats: a multiple of every vector's length.
const BLOCK: usize = 16;

/// G^T (...) G of sums in the transformed space, (point, input, output), the outputs filled up to whole vectors, as weights (O, I, 3, 3) row by row.
pub(super) fn gradient<T: Real, F: Filter<M, N>, const M: usize, const N: usize>(
    sums: &[T],
    geometry: &Geometry,
) -> Vec<T> {
    let mut weight = Box::new_uninit_slice(geometry.o * geometry.i * 9);
    let channels = [geometry.i, geometry.o];
    weight.par_chunks_mut(BLOCK * geometry.i * 9).enumerate().for_each(|(block, weight)| {
        let filter = PhantomData::<F>;
        T::vectorize(Gradient::<T, F, M, N> { sums, weight, first: block * BLOCK, channels, filter });
    });
    // SAFETY: every block writes the nine weights of each of its outputs and inputs.
    unsafe { weight.assume_init() }.into_vec()
}

/// The gradients of a block of outputs.
struct Gradient<'a, T, F, const M: usize, const N: usize> {
    sums: &'a [T],
    weight: &'a mut [MaybeUninit<T>],
    first: usize,
    /// Inputs and outputs.
    channels: [usize; 2],
    filter: PhantomData<F>,
}

impl<T: Real, F: Filter<M, N>, const M: usize, const N: usize> Kernel<T> for Gradient<'_, T, F, M, N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(self, lanes: L) {
        let [inputs, outputs] = self.channels;
        let wide = outputs.next_multiple_of(L::COUNT);
        let (down, along) = (adjoint(&Two::TAPS), adjoint(&F::TAPS));
        for (lane, weight) in self.weight.chunks_mut(L::COUNT * inputs * 9).enumerate() {
            let count = weight.len() / (inputs * 9);
            for input in 0..inputs {
                let mut block = [[lanes.splat(T::zero()); N]; SEEN_ROWS];
                for row in 0..SEEN_ROWS {
                    for column in 0..N {
                        let at = ((row * N + column) * inputs + input) * wide + self.first + lane * L::COUNT;
                        // SAFETY: there are the numbers of a vector.
                        block[row][column] = unsafe { lanes.load(self.sums[at..][..L::COUNT].as_ptr()) };
                    }
                }
                let taps = both::<_, SEEN_ROWS, N, 3, 3>(
                    &block,
                    #[inline(always)]
                    |points| times(lanes, &down, points),
                    #[inline(always)]
                    |points| times(lanes, &along, points),
                );
                for tap in 0..9 {
                    scatter::<T, L>(taps[tap / 3][tap % 3], &mut weight[input * 9 + tap..], inputs * 9, count);
                }
            }
        }
    }
}
