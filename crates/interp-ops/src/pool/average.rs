//! Average pooling.
#![allow(unsafe_code)]

use super::{Geometry, Pool2d, rows_per_task};
use crate::Result;
use crate::device::on_cuda;
use crate::memory::{Dense, expect_shape, numbers, tensor};
use crate::real::{LANES, Real, by_dtype, lanes, simd};
use candle_core::Tensor;
use rayon::prelude::*;
use std::mem::MaybeUninit;
use std::ops::Range;

/// The mean of every window of `x` (N, C, H, W); the zeros of the padding count, as is PyTorch's default. (So do those beyond it that
/// a window of `ceil_mode` reaches, which PyTorch leaves out.)
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) where the windows do not fit ([`Pool2d::output_size`]),
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn avg_pool2d(x: &Tensor, pool: &Pool2d) -> Result<Tensor> {
    on_cuda!(x, crate::cuda::avg_pool2d(x, &pool.geometry("avg_pool2d", x.dims())?));
    by_dtype!("avg_pool2d", x, forward(x, pool))
}

/// The gradient of [`avg_pool2d`] with respect to its input of shape `input`.
///
/// # Errors
/// As [`avg_pool2d`].
pub fn avg_pool2d_backward(grad: &Tensor, input: &[usize], pool: &Pool2d) -> Result<Tensor> {
    on_cuda!(grad, crate::cuda::avg_pool2d_backward(grad, &pool.geometry("avg_pool2d_backward", input)?));
    by_dtype!("avg_pool2d_backward", grad, backward(grad, input, pool))
}

fn forward<T: Real>(x: &Tensor, pool: &Pool2d) -> Result<Tensor> {
    const OP: &str = "avg_pool2d";
    let geometry = pool.geometry(OP, x.dims())?;
    let dense = Dense::new::<T>(OP, x)?;
    let (storage, layout) = dense.storage();
    let windows = |axis: usize, at: usize| geometry.window(axis, at);
    let boxes = Boxes { geometry, from: geometry.input, to: geometry.output, windows: &windows };
    tensor(boxes.means::<T>(numbers(&storage, layout)?), &geometry.output_shape())
}

fn backward<T: Real>(grad: &Tensor, input: &[usize], pool: &Pool2d) -> Result<Tensor> {
    const OP: &str = "avg_pool2d_backward";
    let geometry = pool.geometry(OP, input)?;
    expect_shape(OP, "grad", grad, &geometry.output_shape())?;
    let dense = Dense::new::<T>(OP, grad)?;
    let (storage, layout) = dense.storage();
    let windows = |axis: usize, at: usize| geometry.windows_on(axis, at);
    let boxes = Boxes { geometry, from: geometry.output, to: geometry.input, windows: &windows };
    tensor(boxes.means::<T>(numbers(&storage, layout)?), input)
}

/// Sums over rectangles, divided by the size of a window: forward the rectangles are windows of the input, backward the
/// windows that see a position.
struct Boxes<'a> {
    geometry: Geometry,
    from: [usize; 2],
    to: [usize; 2],
    windows: &'a (dyn Fn(usize, usize) -> Range<usize> + Sync),
}

impl Boxes<'_> {
    fn means<T: Real>(&self, values: &[T]) -> Vec<T> {
        let row = self.to[1] * self.geometry.c;
        let image = self.from[0] * self.from[1] * self.geometry.c;
        let rows = rows_per_task(row);
        let mut out = Box::new_uninit_slice(self.geometry.n * self.to[0] * row);
        out.par_chunks_mut((rows * row).max(1)).enumerate().for_each(|(task, out)| {
            for (line, out) in out.chunks_exact_mut(row).enumerate() {
                let (n, y) = ((task * rows + line) / self.to[0], (task * rows + line) % self.to[0]);
                simd(
                    #[inline(always)]
                    || self.row_means(&values[n * image..][..image], y, out),
                );
            }
        });
        // SAFETY: `row_means` writes every element of the rows it is given, and the chunks of whole rows cover all.
        unsafe { out.assume_init() }.into_vec()
    }

    #[inline(always)]
    fn row_means<T: Real>(&self, image: &[T], y: usize, out: &mut [MaybeUninit<T>]) {
        let c = self.geometry.c;
        let rows = (self.windows)(0, y);
        for (x, out) in out.chunks_exact_mut(c).enumerate() {
            let columns = (self.windows)(1, x);
            let whole = c - c % LANES;
            for start in (0..whole).step_by(LANES) {
                self.mean::<T, LANES>(image, [&rows, &columns], start, out);
            }
            for start in whole..c {
                self.mean::<T, 1>(image, [&rows, &columns], start, out);
            }
        }
    }

    /// One rectangle for `L` channels from `start`.
    #[inline(always)]
    fn mean<T: Real, const L: usize>(
        &self,
        image: &[T],
        [rows, columns]: [&Range<usize>; 2],
        start: usize,
        out: &mut [MaybeUninit<T>],
    ) {
        let [kernel_h, kernel_w] = self.geometry.pool.kernel;
        let scale = T::from_f64(1.0 / (kernel_h * kernel_w) as f64);
        let mut sums = [T::zero(); L];
        for y in rows.clone() {
            for x in columns.clone() {
                let values: [T; L] = lanes(image, (y * self.from[1] + x) * self.geometry.c + start);
                for lane in 0..L {
                    sums[lane] += values[lane];
                }
            }
        }
        out[start..start + L].copy_from_slice(&sums.map(|sum| MaybeUninit::new(sum * scale)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::tests::{CASES, pool};
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64};

    #[test]
    fn the_zeros_of_the_padding_count() {
        let x = tensor64(&[4.0, 8.0, 12.0, 16.0], &[1, 1, 2, 2]);
        assert_eq!(list(&avg_pool2d(&x, &pool(2, 2, 0)).unwrap()), [10.0]);
        assert_eq!(list(&avg_pool2d(&x, &pool(2, 2, 1)).unwrap()), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn the_gradient_is_central_differences() {
        for (shape, pool) in CASES {
            let x = noise(&shape, 1);
            let y = avg_pool2d(&x, &pool).unwrap();
            let upstream = noise(y.dims(), 2);
            let grad = avg_pool2d_backward(&upstream, &shape, &pool).unwrap();
            assert_gradient(&x, &upstream, &grad, |x| avg_pool2d(x, &pool).unwrap());
        }
    }

    #[test]
    fn layout_and_threads_do_not_matter() {
        let x = noise(&[9, 18, 31, 20], 1);
        let y = avg_pool2d(&x, &pool(3, 2, 1)).unwrap();
        for other in layouts(&x) {
            assert_eq!(bits(&avg_pool2d(&other, &pool(3, 2, 1)).unwrap()), bits(&y));
        }
        assert_same_on_all_threads(|| {
            vec![avg_pool2d(&x, &pool(3, 2, 1)).unwrap(), avg_pool2d_backward(&y, x.dims(), &pool(3, 2, 1)).unwrap()]
        });
    }

    #[test]
    fn nothing_in_nothing_out() {
        let y = avg_pool2d(&noise(&[0, 3, 4, 4], 1), &pool(2, 2, 0)).unwrap();
        assert_eq!(y.dims(), [0, 3, 2, 2]);
        assert_eq!(avg_pool2d_backward(&y, &[0, 3, 4, 4], &pool(2, 2, 0)).unwrap().dims(), [0, 3, 4, 4]);
    }
}
