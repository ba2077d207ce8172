//! Global average pooling.

use crate::Result;
use crate::device::on_cuda;
use crate::memory::{Dense, expect_shape, four, numbers, tensor, wrong_shape};
use crate::real::{Real, by_dtype};
use crate::sums::column_sums;
use candle_core::Tensor;
use rayon::prelude::*;

/// The mean over H and W of every channel of `x` (N, C, H, W): (N, C).
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) unless there are four dimensions and at least one position,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn global_avg_pool(x: &Tensor) -> Result<Tensor> {
    on_cuda!(x, crate::cuda::global_avg_pool(x, sizes("global_avg_pool", x.dims())?));
    by_dtype!("global_avg_pool", x, forward(x))
}

/// The gradient of [`global_avg_pool`] with respect to its input of shape `input`.
///
/// # Errors
/// As [`global_avg_pool`].
pub fn global_avg_pool_backward(grad: &Tensor, input: &[usize]) -> Result<Tensor> {
    on_cuda!(grad, crate::cuda::global_avg_pool_backward(grad, sizes("global_avg_pool_backward", input)?));
    by_dtype!("global_avg_pool_backward", grad, backward(grad, input))
}

fn forward<T: Real>(x: &Tensor) -> Result<Tensor> {
    const OP: &str = "global_avg_pool";
    let [n, c, h, w] = sizes(OP, x.dims())?;
    let dense = Dense::new::<T>(OP, x)?;
    let (storage, layout) = dense.storage();
    let images = numbers::<T>(&storage, layout)?.par_chunks((c * h * w).max(1));
    let mean = |sum: f64| T::from_f64(sum / (h * w) as f64);
    let means: Vec<Vec<T>> = images.map(|image| column_sums(image, c).into_iter().map(mean).collect()).collect();
    tensor(means.concat(), &[n, c])
}

fn backward<T: Real>(grad: &Tensor, input: &[usize]) -> Result<Tensor> {
    const OP: &str = "global_avg_pool_backward";
    let [n, c, h, w] = sizes(OP, input)?;
    expect_shape(OP, "grad", grad, &[n, c])?;
    let dense = Dense::new::<T>(OP, grad)?;
    let (storage, layout) = dense.storage();
    let scale = T::from_f64(1.0 / (h * w) as f64);
    let share = |grads: &[T]| grads.iter().map(|&g| g * scale).collect::<Vec<T>>().repeat(h * w);
    let images: Vec<Vec<T>> = numbers::<T>(&storage, layout)?.par_chunks(c.max(1)).map(share).collect();
    tensor(images.concat(), input)
}

fn sizes(op: &'static str, shape: &[usize]) -> Result<[usize; 4]> {
    let [n, c, h, w] = four(op, "input", shape)?;
    if h * w > 0 {
        return Ok([n, c, h, w]);
    }
    Err(wrong_shape(op, format!("input {shape:?}"), "at least one position (H, W)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpError;
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64, to_f32};

    #[test]
    fn the_mean_of_every_channel() {
        let x = tensor64(&[1.0, 2.0, 3.0, 6.0, 5.0, 5.0, 5.0, 9.0], &[1, 2, 2, 2]);
        let y = global_avg_pool(&x).unwrap();
        assert_eq!(y.dims(), [1, 2]);
        assert_eq!(list(&y), [3.0, 6.0]);
    }

    #[test]
    fn the_gradient_is_central_differences() {
        for shape in [[2, 3, 4, 3], [1, 1, 1, 1], [3, 2, 1, 5]] {
            let (x, upstream) = (noise(&shape, 1), noise(&shape[..2], 2));
            let grad = global_avg_pool_backward(&upstream, &shape).unwrap();
            assert_gradient(&x, &upstream, &grad, |x| global_avg_pool(x).unwrap());
        }
    }

    #[test]
    fn layout_batch_and_threads_do_not_matter() {
        let x = to_f32(&noise(&[9, 18, 31, 20], 1));
        let y = global_avg_pool(&x).unwrap();
        for other in layouts(&x) {
            assert_eq!(bits(&global_avg_pool(&other).unwrap()), bits(&y));
        }
        let one = global_avg_pool(&x.narrow(0, 4, 1).unwrap()).unwrap();
        assert_eq!(bits(&one), bits(&y.narrow(0, 4, 1).unwrap()));
        assert_same_on_all_threads(|| {
            vec![global_avg_pool(&x).unwrap(), global_avg_pool_backward(&y, x.dims()).unwrap()]
        });
    }

    #[test]
    fn a_mean_over_nothing_is_an_error() {
        assert!(matches!(global_avg_pool(&noise(&[2, 3, 0, 4], 1)), Err(OpError::Shape { .. })));
        assert_eq!(global_avg_pool(&noise(&[0, 3, 2, 4], 1)).unwrap().dims(), [0, 3]);
        assert_eq!(global_avg_pool_backward(&noise(&[0, 3], 1), &[0, 3, 2, 4]).unwrap().dims(), [0, 3, 2, 4]);
        assert!(matches!(global_avg_pool_backward(&noise(&[2, 3], 1), &[2, 4, 2, 2]), Err(OpError::Shape { .. })));
    }
}
