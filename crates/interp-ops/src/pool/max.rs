//! Max pooling.
#![allow(unsafe_code)]

use super::{Geometry, Pool2d, rows_per_task};
use crate::device::on_cuda;
use crate::memory::{Dense, expect_shape, four, numbers, tensor};
use crate::real::{LANES, Real, by_dtype, lanes, simd};
use crate::{OpError, Result};
use candle_core::Tensor;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// What [`max_pool2d`] returns.
#[derive(Debug, Clone)]
pub struct MaxPooled {
    /// The maximum of every window, (N, C, OH, OW).
    pub output: Tensor,
    /// Where it was found: row times W plus column, `u32`, (N, C, OH, OW).
    pub argmax: Tensor,
}

/// The maximum of every window of `x` (N, C, H, W), and the position of the first one in the order of rows. Padding never
/// wins. NaN counts as the largest number.
///
/// # Errors
/// [`OpError::Shape`] where the windows do not fit ([`Pool2d::output_size`]), [`OpError::Unsupported`] for another type
/// or device, or for an image of 2^32 positions and more.
pub fn max_pool2d(x: &Tensor, pool: &Pool2d) -> Result<MaxPooled> {
    on_cuda!(x, crate::cuda::max_pool2d(x, &geometry(x, pool)?));
    by_dtype!("max_pool2d", x, forward(x, pool))
}

/// The gradient of [`max_pool2d`] with respect to its input of shape `input`: what arrives at an output goes to the
/// position of its maximum, in a tie to the first, as in PyTorch.
///
/// # Errors
/// [`OpError::Shape`] where the shapes do not fit, [`OpError::Value`] where a position lies outside the input (on a CUDA
/// device what is said to come from there is left out), [`OpError::Unsupported`] for another type or device.
pub fn max_pool2d_backward(argmax: &Tensor, grad: &Tensor, input: &[usize]) -> Result<Tensor> {
    on_cuda!(grad, crate::cuda::max_pool2d_backward(argmax, grad, shape(argmax, grad, input)?));
    by_dtype!("max_pool2d_backward", grad, backward(argmax, grad, input))
}

/// The sizes of one call, whose positions can be counted in `u32`.
fn geometry(x: &Tensor, pool: &Pool2d) -> Result<Geometry> {
    const OP: &str = "max_pool2d";
    let geometry = pool.geometry(OP, x.dims())?;
    if geometry.input[0].checked_mul(geometry.input[1]).is_none_or(|plane| u32::try_from(plane).is_err()) {
        let what = format!("an image of {:?} positions", geometry.input);
        return Err(OpError::Unsupported { op: OP, what, hint: "cut it into smaller images" });
    }
    Ok(geometry)
}

fn forward<T: Real>(x: &Tensor, pool: &Pool2d) -> Result<MaxPooled> {
    let geometry = geometry(x, pool)?;
    let dense = Dense::new::<T>("max_pool2d", x)?;
    let (storage, layout) = dense.storage();
    let (output, argmax) = maxima::<T>(numbers(&storage, layout)?, &geometry);
    let shape = geometry.output_shape();
    Ok(MaxPooled { output: tensor(output, &shape)?, argmax: tensor(argmax, &shape)? })
}

/// The maxima and their positions, in the order of memory.
fn maxima<T: Real>(values: &[T], geometry: &Geometry) -> (Vec<T>, Vec<u32>) {
    let [height, width] = geometry.output;
    let row = width * geometry.c;
    let mut output = Box::new_uninit_slice(geometry.n * height * row);
    let mut argmax = Box::new_uninit_slice(output.len());
    let rows = rows_per_task(row);
    let chunk = (rows * row).max(1);
    output.par_chunks_mut(chunk).zip(argmax.par_chunks_mut(chunk)).enumerate().for_each(|(task, (output, argmax))| {
        let lines = output.chunks_exact_mut(row).zip(argmax.chunks_exact_mut(row)).enumerate();
        for (line, (output, argmax)) in lines {
            let (image, y) = ((task * rows + line) / height, (task * rows + line) % height);
            let image = &values[image * geometry.image()..][..geometry.image()];
            simd(
                #[inline(always)]
                || row_maxima(image, geometry, y, output, argmax),
            );
        }
    });
    // SAFETY: `row_maxima` writes every element of the rows it is given, and the chunks of whole rows cover all.
    unsafe { (output.assume_init().into_vec(), argmax.assume_init().into_vec()) }
}

/// One row of the output.
#[inline(always)]
fn row_maxima<T: Real>(
    image: &[T],
    geometry: &Geometry,
    y: usize,
    output: &mut [MaybeUninit<T>],
    argmax: &mut [MaybeUninit<u32>],
) {
    let c = geometry.c;
    let pixels = output.chunks_exact_mut(c).zip(argmax.chunks_exact_mut(c));
    for (x, (output, argmax)) in pixels.enumerate() {
        let whole = c - c % LANES;
        for start in (0..whole).step_by(LANES) {
            window_maximum::<T, LANES>(image, geometry, [y, x], start, output, argmax);
        }
        for start in whole..c {
            window_maximum::<T, 1>(image, geometry, [y, x], start, output, argmax);
        }
    }
}

/// One window for `L` channels from `start`.
#[inline(always)]
fn window_maximum<T: Real, const L: usize>(
    image: &[T],
    geometry: &Geometry,
    at: [usize; 2],
    start: usize,
    output: &mut [MaybeUninit<T>],
    argmax: &mut [MaybeUninit<u32>],
) {
    let (rows, columns) = (geometry.window(0, at[0]), geometry.window(1, at[1]));
    let first = rows.start * geometry.input[1] + columns.start;
    let mut best: [T; L] = lanes(image, first * geometry.c + start);
    let mut position = [first as u32; L];
    for y in rows {
        for x in columns.clone() {
            let here = y * geometry.input[1] + x;
            let values: [T; L] = lanes(image, here * geometry.c + start);
            for lane in 0..L {
                let better = (values[lane] > best[lane]) | values[lane].is_nan();
                best[lane] = if better { values[lane] } else { best[lane] };
                position[lane] = if better { here as u32 } else { position[lane] };
            }
        }
    }
    output[start..start + L].copy_from_slice(&best.map(MaybeUninit::new));
    argmax[start..start + L].copy_from_slice(&position.map(MaybeUninit::new));
}

/// The input's shape, if the others fit to it.
fn shape(argmax: &Tensor, grad: &Tensor, input: &[usize]) -> Result<[usize; 4]> {
    const OP: &str = "max_pool2d_backward";
    let [n, c, h, w] = four(OP, "input", input)?;
    let [grad_n, grad_c, _, _] = four(OP, "grad", grad.dims())?;
    expect_shape(OP, "argmax", argmax, grad.dims())?;
    if [grad_n, grad_c] != [n, c] {
        let given = format!("grad {:?} and input {input:?}", grad.dims());
        return Err(OpError::Shape { op: OP, given, expected: "the same pictures and channels".into() });
    }
    Ok([n, c, h, w])
}

fn backward<T: Real>(argmax: &Tensor, grad: &Tensor, input: &[usize]) -> Result<Tensor> {
    const OP: &str = "max_pool2d_backward";
    let [n, c, h, w] = shape(argmax, grad, input)?;
    let (dense, positions) = (Dense::new::<T>(OP, grad)?, Dense::positions(OP, argmax)?);
    let ((storage, layout), (position_storage, position_layout)) = (dense.storage(), positions.storage());
    let (grads, positions) = (numbers::<T>(&storage, layout)?, numbers::<u32>(&position_storage, position_layout)?);
    refuse_outside(positions, [h, w])?;
    tensor(scatter(positions, grads, n, c, h * w), input)
}

fn refuse_outside(positions: &[u32], [h, w]: [usize; 2]) -> Result<()> {
    let last = positions.par_iter().copied().max();
    match last.filter(|&position| position as usize >= h * w) {
        None => Ok(()),
        Some(position) => Err(OpError::Value {
            op: "max_pool2d_backward",
            given: format!("argmax holds the position {position}"),
            expected: format!("positions below {} for an input of {h}x{w}", h * w),
        }),
    }
}

/// Adds every gradient to the position it came from.
fn scatter<T: Real>(positions: &[u32], grads: &[T], n: usize, c: usize, plane: usize) -> Vec<T> {
    let mut out = vec![T::zero(); n * c * plane];
    let image = grads.len() / n.max(1);
    if out.is_empty() || image == 0 {
        return out;
    }
    let images = out.par_chunks_mut(c * plane).zip(positions.par_chunks(image)).zip(grads.par_chunks(image));
    images.for_each(|((out, positions), grads)| {
        for (positions, grads) in positions.chunks_exact(c).zip(grads.chunks_exact(c)) {
            for (channel, (&position, &grad)) in positions.iter().zip(grads).enumerate() {
                out[position as usize * c + channel] += grad;
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::tests::{CASES, ceil, pool};
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64, to_f32};
    use candle_core::Device;

    #[test]
    fn the_gradient_goes_to_the_maximum() {
        let x = tensor64(&[1.0, 2.0, 3.0, 4.0], &[1, 1, 2, 2]);
        let pooled = max_pool2d(&x, &pool(2, 2, 0)).unwrap();
        assert_eq!(list(&pooled.output), [4.0]);
        assert_eq!(list(&pooled.argmax), [3.0]);
        let grad = max_pool2d_backward(&pooled.argmax, &tensor64(&[1.0], &[1, 1, 1, 1]), x.dims()).unwrap();
        assert_eq!(list(&grad), [0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn a_tie_goes_to_the_first() {
        let x = tensor64(&[0.0; 4], &[1, 1, 2, 2]);
        let pooled = max_pool2d(&x, &pool(2, 2, 0)).unwrap();
        let grad = max_pool2d_backward(&pooled.argmax, &tensor64(&[1.0], &[1, 1, 1, 1]), x.dims()).unwrap();
        assert_eq!(list(&grad), [1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn overlapping_windows_add_up() {
        let x = tensor64(&[0.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0], &[1, 1, 3, 3]);
        let pooled = max_pool2d(&x, &pool(2, 1, 0)).unwrap();
        let grads = tensor64(&[1.0, 2.0, 3.0, 4.0], &[1, 1, 2, 2]);
        let grad = max_pool2d_backward(&pooled.argmax, &grads, x.dims()).unwrap();
        assert_eq!(list(&grad), [0.0, 0.0, 0.0, 0.0, 10.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn padding_never_wins() {
        let x = tensor64(&[-5.0, f64::NEG_INFINITY, f64::NEG_INFINITY, -7.0], &[1, 1, 2, 2]);
        let pooled = max_pool2d(&x, &pool(2, 1, 1)).unwrap();
        let expected = [-5.0, -5.0, f64::NEG_INFINITY, -5.0, -5.0, -7.0, f64::NEG_INFINITY, -7.0, -7.0];
        assert_eq!(list(&pooled.output), expected);
        assert_eq!(list(&pooled.argmax), [0.0, 0.0, 1.0, 0.0, 0.0, 3.0, 2.0, 3.0, 3.0]);
    }

    // PyTorch 2.13: F.max_pool2d(x, kernel, stride, padding, ceil_mode=True) of ((torch.arange(1., 21) * 7) % 11).view(1, 1, 4, 5)
    #[test]
    fn what_is_left_over_has_a_window_as_in_pytorch() {
        let numbers: Vec<f64> = (1..21).map(|v| f64::from(v * 7 % 11)).collect();
        let x = tensor64(&numbers, &[1, 1, 4, 5]);
        let slim = Pool2d { kernel: [3, 2], stride: [2, 2], padding: [0, 1], ceil_mode: true };
        let pooled = max_pool2d(&x, &slim).unwrap();
        assert_eq!(list(&pooled.output), [9.0, 10.0, 10.0, 2.0, 9.0, 10.0]);
        assert_eq!(list(&pooled.argmax), [5.0, 2.0, 13.0, 15.0, 16.0, 13.0]);
        assert_eq!(list(&max_pool2d(&x, &ceil(2, 3, 1)).unwrap().output), [7.0, 10.0, 2.0, 10.0]);
    }

    #[test]
    fn nan_wins() {
        for at in 0..4 {
            let mut numbers = [1.0, 2.0, 3.0, 4.0];
            numbers[at] = f64::NAN;
            let pooled = max_pool2d(&tensor64(&numbers, &[1, 1, 2, 2]), &pool(2, 2, 0)).unwrap();
            assert!(list(&pooled.output)[0].is_nan());
            assert_eq!(list(&pooled.argmax), [at as f64]);
        }
    }

    #[test]
    fn the_gradient_is_central_differences() {
        for (shape, pool) in CASES {
            let x = noise(&shape, 1);
            let pooled = max_pool2d(&x, &pool).unwrap();
            let upstream = noise(pooled.output.dims(), 2);
            let grad = max_pool2d_backward(&pooled.argmax, &upstream, &shape).unwrap();
            assert_gradient(&x, &upstream, &grad, |x| max_pool2d(x, &pool).unwrap().output);
        }
    }

    #[test]
    fn layout_and_threads_do_not_matter() {
        let x = noise(&[9, 18, 31, 20], 1);
        let pooled = max_pool2d(&x, &pool(3, 2, 1)).unwrap();
        for other in layouts(&x) {
            let other = max_pool2d(&other, &pool(3, 2, 1)).unwrap();
            assert_eq!(bits(&other.output), bits(&pooled.output));
            assert_eq!(bits(&other.argmax), bits(&pooled.argmax));
        }
        let grad = noise(pooled.output.dims(), 2);
        assert_same_on_all_threads(|| {
            let pooled = max_pool2d(&x, &pool(3, 2, 1)).unwrap();
            let input = max_pool2d_backward(&pooled.argmax, &grad, x.dims()).unwrap();
            vec![pooled.output, pooled.argmax, input]
        });
    }

    #[test]
    fn nothing_in_nothing_out() {
        let pooled = max_pool2d(&noise(&[0, 3, 4, 4], 1), &pool(2, 2, 0)).unwrap();
        assert_eq!(pooled.output.dims(), [0, 3, 2, 2]);
        let grad = max_pool2d_backward(&pooled.argmax, &pooled.output, &[0, 3, 4, 4]).unwrap();
        assert_eq!(grad.dims(), [0, 3, 4, 4]);
        assert_eq!(max_pool2d(&noise(&[2, 0, 4, 4], 1), &pool(2, 2, 0)).unwrap().output.dims(), [2, 0, 2, 2]);
    }

    #[test]
    fn a_position_outside_is_an_error() {
        let argmax = Tensor::from_vec(vec![4u32], (1, 1, 1, 1), &Device::Cpu).unwrap();
        let grad = noise(&[1, 1, 1, 1], 1);
        let error = max_pool2d_backward(&argmax, &grad, &[1, 1, 2, 2]).unwrap_err();
        assert!(matches!(error, OpError::Value { .. }) && error.to_string().contains("position 4"));
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let x = noise(&[1, 2, 4, 4], 1);
        let pooled = max_pool2d(&x, &pool(2, 2, 0)).unwrap();
        for (grad, input) in [([1, 2, 2, 1], [1, 2, 4, 4]), ([1, 2, 2, 2], [1, 3, 4, 4]), ([1, 2, 2, 2], [2, 2, 4, 4])]
        {
            let grad = noise(&grad, 1);
            assert!(matches!(max_pool2d_backward(&pooled.argmax, &grad, &input), Err(OpError::Shape { .. })));
        }
        let wrong_type = max_pool2d_backward(&to_f32(&pooled.output), &pooled.output, x.dims());
        assert!(matches!(wrong_type, Err(OpError::Unsupported { .. })));
    }
}
