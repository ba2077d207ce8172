//! Average pooling to a given size.

use crate::Result;
use crate::device::on_cuda;
use crate::real::by_dtype;
use crate::resample::{resample, resample_backward};
use candle_core::Tensor;
use std::ops::Range;

/// The positions that output `at` of `output` is the mean of, along an axis of `input` positions: from floor(at input /
/// output) to ceil((at + 1) input / output), the end not included. Windows overlap where the sizes do not divide; of an
/// output of no positions they are empty.
pub fn adaptive_window(input: usize, output: usize, at: usize) -> Range<usize> {
    if output == 0 {
        return 0..0;
    }
    at * input / output..((at + 1) * input).div_ceil(output)
}

/// The means of `size` (rows, columns) windows that cover `x` (N, C, H, W): (N, C, `size`). PyTorch's
/// `adaptive_avg_pool2d`; see [`adaptive_window`].
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) unless there are four dimensions, and positions before and after,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device, and on CUDA devices for a size that does
/// not divide that of `x`.
pub fn adaptive_avg_pool2d(x: &Tensor, size: [usize; 2]) -> Result<Tensor> {
    const OP: &str = "adaptive_avg_pool2d";
    on_cuda!(x, crate::cuda::avg_pool2d(x, &side_by_side(OP, x.dims(), size)?.geometry(OP, x.dims())?));
    by_dtype!(OP, x, resample(OP, x, size, mean))
}

/// The gradient of [`adaptive_avg_pool2d`] with respect to its input of shape `input`, `grad` being (N, C, `size`).
///
/// # Errors
/// As [`adaptive_avg_pool2d`].
pub fn adaptive_avg_pool2d_backward(grad: &Tensor, input: &[usize]) -> Result<Tensor> {
    const OP: &str = "adaptive_avg_pool2d_backward";
    on_cuda!(grad, {
        let (_, _, rows, columns) = grad.dims4()?;
        let pool = side_by_side(OP, input, [rows, columns])?;
        crate::cuda::avg_pool2d_backward(grad, &pool.geometry(OP, input)?)
    });
    by_dtype!(OP, grad, resample_backward(OP, grad, input, mean))
}

/// The windows of a plain pooling that gives the same, where the sizes divide.
#[cfg(any(test, feature = "cuda"))]
fn side_by_side(op: &'static str, input: &[usize], size: [usize; 2]) -> Result<crate::Pool2d> {
    let [_, _, height, width] = crate::memory::four(op, "input", input)?;
    let divides = |input: usize, output: usize| output > 0 && input.is_multiple_of(output);
    if !divides(height, size[0]) || !divides(width, size[1]) {
        let what = format!("a map of {height}x{width} in {size:?} windows on a CUDA device");
        return Err(crate::OpError::Unsupported { op, what, hint: "compute on the CPU, or take sizes that divide" });
    }
    let window = [height / size[0], width / size[1]];
    Ok(crate::Pool2d { kernel: window, stride: window, padding: [0; 2], ceil_mode: false })
}

/// The positions of a window, each with its share.
fn mean(input: usize, output: usize, at: usize) -> Vec<(usize, f64)> {
    let window = adaptive_window(input, output, at);
    let share = 1.0 / window.len() as f64;
    window.map(|position| (position, share)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::tests::pool;
    use crate::testing::{bits, list, noise, tensor64, to_f32};
    use crate::{avg_pool2d, global_avg_pool};

    // PyTorch 2.13: F.adaptive_avg_pool2d(torch.arange(15.).view(1, 1, 3, 5)**2, (2, 3))
    #[test]
    fn values_are_pytorchs() {
        let numbers: Vec<f64> = (0..15).map(|v| f64::from(v * v)).collect();
        let y = adaptive_avg_pool2d(&tensor64(&numbers, &[1, 1, 3, 5]), [2, 3]).unwrap();
        let expected = [15.5, 27.0 + 1.0 / 6.0, 42.5, 70.5, 97.0 + 1.0 / 6.0, 127.5];
        assert!(list(&y).iter().zip(expected).all(|(y, e)| (y - e).abs() < 1e-12), "{y}");
    }

    /// Every output is the plain mean of the positions between its bounds, which are fractions.
    #[test]
    fn forward_is_the_definition() {
        for ([n, c, h, w], size) in [([2, 3, 7, 5], [3, 4]), ([1, 18, 4, 9], [6, 2]), ([1, 1, 33, 20], [1, 7])] {
            let x = noise(&[n, c, h, w], 1);
            for (x, eps) in [(x.clone(), f64::EPSILON), (to_f32(&x), f32::EPSILON.into())] {
                let y = list(&adaptive_avg_pool2d(&x, size).unwrap());
                let numbers = list(&x);
                let inside = |position: usize, at: usize, input: usize, output: usize| {
                    (position + 1) * output > at * input && position * output < (at + 1) * input
                };
                for (index, y) in y.into_iter().enumerate() {
                    let [image, row, column] =
                        [index / (size[0] * size[1]), index / size[1] % size[0], index % size[1]];
                    let image = numbers[image * h * w..][..h * w].iter().enumerate();
                    let seen =
                        image.filter(|(at, _)| inside(at / w, row, h, size[0]) && inside(at % w, column, w, size[1]));
                    let seen: Vec<f64> = seen.map(|(_, &v)| v).collect();
                    let mean = |value: fn(&f64) -> f64| seen.iter().map(value).sum::<f64>() / seen.len() as f64;
                    let bound = 8.0 * eps * mean(|v| v.abs());
                    assert!((y - mean(|v| *v)).abs() <= bound, "{y} where the mean is {}", mean(|v| *v));
                }
            }
        }
    }

    #[test]
    fn sizes_that_divide_are_plain_pooling() {
        let x = noise(&[2, 3, 6, 8], 1);
        let plain = side_by_side("test", x.dims(), [3, 4]).unwrap();
        assert_eq!(plain, pool(2, 2, 0));
        assert_eq!(bits(&adaptive_avg_pool2d(&x, [3, 4]).unwrap()), bits(&avg_pool2d(&x, &plain).unwrap()));
        for size in [[4, 4], [3, 16], [0, 1]] {
            let refused = side_by_side("test", x.dims(), size);
            assert!(matches!(refused, Err(crate::OpError::Unsupported { .. })), "{size:?}");
        }
        let (one, global) = (adaptive_avg_pool2d(&x, [1, 1]).unwrap(), global_avg_pool(&x).unwrap());
        assert!(list(&one).iter().zip(list(&global)).all(|(a, b)| (a - b).abs() < 1e-14));
    }
}
