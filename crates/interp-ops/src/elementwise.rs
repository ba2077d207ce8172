//! ReLU, sigmoid, sum, scaled rows, and the change of layout: operations that look at one number at a time.
#![allow(unsafe_code)]

use crate::Result;
use crate::channels::per_channel;
use crate::device::on_cuda;
use crate::memory::{Dense, expect_shape, numbers, tensor, wrong_shape};
use crate::real::{Real, by_dtype, simd};
use crate::scalars::logistic;
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Numbers that one task treats.
const CHUNK: usize = 1 << 14;

/// max(x, 0) of a tensor of any rank; NaN stays NaN.
///
/// # Errors
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    on_cuda!(x, crate::cuda::relu(x));
    by_dtype!("relu", x, relu_of(x))
}

/// The gradient of [`relu`] with respect to its input: `grad` where `output` is positive, else 0; so at x = 0 it is 0.
/// Where `output` is NaN, `grad` passes.
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) where the shapes differ,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn relu_backward(output: &Tensor, grad: &Tensor) -> Result<Tensor> {
    expect_shape("relu_backward", "grad", grad, output.dims())?;
    on_cuda!(output, crate::cuda::relu_backward(output, grad));
    by_dtype!("relu_backward", output, relu_backward_of(output, grad))
}

/// `1 / (1 + exp(-x))` of a tensor of any rank; NaN stays NaN.
///
/// # Errors
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn sigmoid(x: &Tensor) -> Result<Tensor> {
    by_dtype!("sigmoid", x, sigmoid_of(x))
}

/// The gradient of [`sigmoid`] with respect to its input: `grad * output * (1 - output)`.
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) where the shapes differ,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn sigmoid_backward(output: &Tensor, grad: &Tensor) -> Result<Tensor> {
    expect_shape("sigmoid_backward", "grad", grad, output.dims())?;
    by_dtype!("sigmoid_backward", output, sigmoid_backward_of(output, grad))
}

/// 1 where a number is above 0, else 0, of a tensor of any rank; NaN stays NaN. Its gradient is 0 everywhere.
///
/// # Errors
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn step(x: &Tensor) -> Result<Tensor> {
    by_dtype!("step", x, step_of(x))
}

/// a + b, of one shape and any rank.
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) where the shapes differ,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    expect_shape("add", "b", b, a.dims())?;
    on_cuda!(a, crate::cuda::add(a, b));
    by_dtype!("add", a, add_of(a, b))
}

/// Every row of `x` (R, ...), as it lies in memory, times its number of `scale` (R): weights of convolutions with a norm behind them.
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) where there are not as many numbers as rows,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn scale_rows(x: &Tensor, scale: &Tensor) -> Result<Tensor> {
    let rows = x.dims().first().copied().ok_or_else(|| wrong_shape("scale_rows", "x []".into(), "rows"))?;
    expect_shape("scale_rows", "scale", scale, &[rows])?;
    if !x.device().is_cpu() {
        return Ok(x.broadcast_mul(&scale.reshape([vec![rows], vec![1; x.rank() - 1]].concat())?)?);
    }
    by_dtype!("scale_rows", x, scale_rows_of(x, scale))
}

/// The same tensor of logical shape (N, C, H, W), channels-last in memory; a copy only where it is not so already.
/// Tensors of other ranks come back row by row.
///
/// # Errors
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn channels_last(x: &Tensor) -> Result<Tensor> {
    on_cuda!(x, crate::cuda::channels_last(x));
    by_dtype!("channels_last", x, channels_last_of(x))
}

fn relu_of<T: Real>(x: &Tensor) -> Result<Tensor> {
    map("relu", x, |v: T| if v <= T::zero() { T::zero() } else { v })
}

fn relu_backward_of<T: Real>(output: &Tensor, grad: &Tensor) -> Result<Tensor> {
    zip("relu_backward", output, grad, |y: T, g: T| if y <= T::zero() { T::zero() } else { g })
}

fn sigmoid_of<T: Real>(x: &Tensor) -> Result<Tensor> {
    map("sigmoid", x, |v: T| T::from_f64(logistic(v.to_f64())))
}

fn sigmoid_backward_of<T: Real>(output: &Tensor, grad: &Tensor) -> Result<Tensor> {
    zip("sigmoid_backward", output, grad, |y: T, g: T| g * y * (T::one() - y))
}

fn step_of<T: Real>(x: &Tensor) -> Result<Tensor> {
    let above = |v: T| if v > T::zero() { T::one() } else { T::zero() };
    map("step", x, |v: T| if v.is_nan() { v } else { above(v) })
}

fn add_of<T: Real>(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    zip("add", a, b, |a: T, b: T| a + b)
}

fn scale_rows_of<T: Real>(x: &Tensor, scale: &Tensor) -> Result<Tensor> {
    let scale = per_channel::<T>("scale_rows", "scale", scale, scale.elem_count())?;
    let rows = x.detach().contiguous()?;
    let (storage, layout) = rows.storage_and_layout();
    let mut values = numbers::<T>(&storage, layout)?.to_vec();
    let width = (values.len() / scale.len().max(1)).max(1);
    for (row, &scale) in values.chunks_mut(width).zip(&scale) {
        row.iter_mut().for_each(|value| *value *= scale);
    }
    Ok(Tensor::from_vec(values, x.shape(), &Device::Cpu)?)
}

fn channels_last_of<T: Real>(x: &Tensor) -> Result<Tensor> {
    Dense::new::<T>("channels_last", x)?.into_tensor()
}

/// `function` of every number.
fn map<T: Real>(op: &'static str, x: &Tensor, function: impl Fn(T) -> T + Sync) -> Result<Tensor> {
    let dense = Dense::new::<T>(op, x)?;
    let (storage, layout) = dense.storage();
    let values = numbers::<T>(&storage, layout)?;
    let mut out = Box::new_uninit_slice(values.len());
    out.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK)).for_each(|(out, values)| {
        simd(
            #[inline(always)]
            || {
                for (out, &value) in out.iter_mut().zip(values) {
                    out.write(function(value));
                }
            },
        );
    });
    // SAFETY: `out` and `values` are equally long and cut alike, so every element has been written.
    tensor(unsafe { out.assume_init() }.into_vec(), x.dims())
}

/// `function` of every pair of numbers of two tensors of one shape.
fn zip<T: Real>(op: &'static str, a: &Tensor, b: &Tensor, function: impl Fn(T, T) -> T + Sync) -> Result<Tensor> {
    let (dense_a, dense_b) = (Dense::new::<T>(op, a)?, Dense::new::<T>(op, b)?);
    let ((storage_a, layout_a), (storage_b, layout_b)) = (dense_a.storage(), dense_b.storage());
    let (left, right) = (numbers::<T>(&storage_a, layout_a)?, numbers::<T>(&storage_b, layout_b)?);
    let mut out = Box::new_uninit_slice(left.len());
    out.par_chunks_mut(CHUNK).zip(left.par_chunks(CHUNK)).zip(right.par_chunks(CHUNK)).for_each(
        |((out, left), right)| {
            simd(
                #[inline(always)]
                || zip_chunk(out, left, right, &function),
            )
        },
    );
    // SAFETY: the three have one length (one shape) and are cut alike, so every element has been written.
    tensor(unsafe { out.assume_init() }.into_vec(), a.dims())
}

#[inline(always)]
fn zip_chunk<T: Real>(out: &mut [MaybeUninit<T>], left: &[T], right: &[T], function: impl Fn(T, T) -> T) {
    for ((out, &left), &right) in out.iter_mut().zip(left).zip(right) {
        out.write(function(left, right));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpError;
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64, to_f32};

    #[test]
    fn relu_keeps_positive_numbers_and_nan() {
        let x = tensor64(&[-1.0, -0.0, 0.0, 2.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY], &[7]);
        let y = list(&relu(&x).unwrap());
        assert_eq!(y[..4], [0.0, 0.0, 0.0, 2.0]);
        assert!(y[4].is_nan());
        assert_eq!(y[5..], [f64::INFINITY, 0.0]);
    }

    #[test]
    fn the_derivative_of_relu_at_zero_is_zero() {
        let x = tensor64(&[-1.0, -0.0, 0.0, 2.0], &[1, 1, 2, 2]);
        let grad = relu_backward(&relu(&x).unwrap(), &tensor64(&[3.0, 4.0, 5.0, 6.0], &[1, 1, 2, 2])).unwrap();
        assert_eq!(list(&grad), [0.0, 0.0, 0.0, 6.0]);
    }

    #[test]
    fn the_gradient_of_relu_is_central_differences() {
        for shape in [&[2, 3, 5, 4][..], &[4, 7], &[1, 1, 1, 1]] {
            let (x, upstream) = (noise(shape, 1), noise(shape, 2));
            let grad = relu_backward(&relu(&x).unwrap(), &upstream).unwrap();
            assert_gradient(&x, &upstream, &grad, |x| relu(x).unwrap());
        }
    }

    // 1 / (1 + 1/3) of ln 3; what is far from 0 neither overflows nor becomes NaN.
    #[test]
    fn sigmoids_by_hand() {
        let y = list(&sigmoid(&tensor64(&[0.0, 3f64.ln(), 1e4, -1e4, f64::NAN], &[5])).unwrap());
        assert!(y[0] == 0.5 && (y[1] - 0.75).abs() < 1e-15 && y[2..4] == [1.0, 0.0] && y[4].is_nan(), "{y:?}");
        let (x, upstream) = (noise(&[2, 3, 5, 4], 1), noise(&[2, 3, 5, 4], 2));
        let grad = sigmoid_backward(&sigmoid(&x).unwrap(), &upstream).unwrap();
        assert_gradient(&x, &upstream, &grad, |x| sigmoid(x).unwrap());
    }

    #[test]
    fn steps_by_hand() {
        let y = list(&step(&tensor64(&[0.0, -0.0, 1e-300, -2.0, 5.0, f64::NAN], &[6])).unwrap());
        assert!(y[..5] == [0.0, 0.0, 1.0, 0.0, 1.0] && y[5].is_nan(), "{y:?}");
    }

    #[test]
    fn add_adds() {
        let (a, b) = (noise(&[2, 3, 4, 5], 1), noise(&[2, 3, 4, 5], 2));
        let sums: Vec<f64> = list(&a).iter().zip(list(&b)).map(|(a, b)| a + b).collect();
        for (a, b) in layouts(&a).iter().zip(layouts(&b).iter().rev()) {
            let sum = add(a, b).unwrap();
            assert_eq!(list(&sum), sums);
            assert!(sum.permute((0, 2, 3, 1)).unwrap().is_contiguous());
        }
    }

    #[test]
    fn rows_are_scaled() {
        let x = tensor64(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[3, 2, 1, 1]);
        let scale = tensor64(&[2.0, 0.0, -1.0], &[3]);
        let scaled = scale_rows(&x, &scale).unwrap();
        assert_eq!((list(&scaled), scaled.dims()), (vec![2.0, 4.0, 0.0, 0.0, -5.0, -6.0], x.dims()));
        assert!(scaled.is_contiguous());
        let turned = scale_rows(&x.transpose(0, 1).unwrap(), &tensor64(&[1.0, 10.0], &[2])).unwrap();
        assert_eq!(list(&turned), [1.0, 3.0, 5.0, 20.0, 40.0, 60.0]);
        assert!(scale_rows(&noise(&[0, 2], 1), &noise(&[0], 1)).unwrap().dims() == [0, 2]);
        assert!(matches!(scale_rows(&x, &tensor64(&[1.0], &[1])), Err(OpError::Shape { .. })));
    }

    #[test]
    fn channels_last_changes_memory_alone() {
        let x = noise(&[2, 3, 4, 5], 1);
        for x in layouts(&x).iter().chain([&to_f32(&x)]) {
            let y = channels_last(x).unwrap();
            assert!(y.permute((0, 2, 3, 1)).unwrap().is_contiguous());
            assert_eq!(bits(&y), bits(x));
        }
    }

    #[test]
    fn layout_does_not_matter() {
        let (x, grad) = (noise(&[2, 3, 4, 5], 1), noise(&[2, 3, 4, 5], 2));
        let (y, input) = (relu(&x).unwrap(), relu_backward(&x, &grad).unwrap());
        for (x, grad) in layouts(&x).iter().zip(&layouts(&grad)) {
            assert_eq!(bits(&relu(x).unwrap()), bits(&y));
            assert_eq!(bits(&relu_backward(x, grad).unwrap()), bits(&input));
            assert_eq!(bits(&sigmoid(x).unwrap()), bits(&sigmoid(&layouts(x)[0]).unwrap()));
        }
    }

    #[test]
    fn threads_do_not_matter() {
        let (a, b) = (noise(&[5, 16, 30, 30], 1), noise(&[5, 16, 30, 30], 2));
        assert_same_on_all_threads(|| vec![relu(&a).unwrap(), relu_backward(&a, &b).unwrap(), add(&a, &b).unwrap()]);
    }

    #[test]
    fn nothing_in_nothing_out() {
        let empty = noise(&[0, 3, 4, 4], 1);
        for result in [relu(&empty), relu_backward(&empty, &empty), add(&empty, &empty), channels_last(&empty)] {
            assert_eq!(result.unwrap().dims(), [0, 3, 4, 4]);
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_named() {
        let (a, b) = (noise(&[1, 2, 3, 4], 1), noise(&[1, 2, 4, 3], 1));
        for result in [add(&a, &b), relu_backward(&b, &a)] {
            let error = result.unwrap_err();
            assert!(matches!(error, OpError::Shape { .. }));
            assert!(error.to_string().contains("[1, 2, 3, 4]") && error.to_string().contains("[1, 2, 4, 3]"));
        }
        assert!(matches!(add(&a, &to_f32(&a)), Err(OpError::Unsupported { .. })));
    }
}
