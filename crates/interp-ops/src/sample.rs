//! Samples of normal codes, whose means and log-variances a network gives.

use crate::Result;
use crate::memory::{Dense, expect_shape, numbers, rounded, wrong_shape};
use crate::real::{Real, by_dtype};
use candle_core::Tensor;

/// `y = mu + exp(l / 2) e`: of `x`, (N, 2 d) or (N, 2 d, H, W), the first d channels are means `mu`, the others logarithms of variances
/// `l`; `noise` is e, (N, d) or (N, d, H, W), and without it y is `mu` (Kingma and Welling 2014, arXiv 1312.6114, section 2.4). Variances
/// are not bounded: one that no number can hold makes what follows infinite, which is seen, and a bound would stop its gradient.
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) for another rank, an odd number of channels or noise of another shape,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn sample(x: &Tensor, noise: Option<&Tensor>) -> Result<Tensor> {
    by_dtype!("sample", x, forward(x, noise))
}

/// The gradient of [`sample`] with respect to `x`: that of y for the means, `grad e exp(l / 2) / 2` for the log-variances; without
/// noise 0.
///
/// # Errors
/// As [`sample`], and where the shape of `grad` is not that of y.
pub fn sample_backward(x: &Tensor, noise: Option<&Tensor>, grad: &Tensor) -> Result<Tensor> {
    by_dtype!("sample_backward", x, backward(x, noise, grad))
}

fn forward<T: Real>(x: &Tensor, noise: Option<&Tensor>) -> Result<Tensor> {
    const OP: &str = "sample";
    let (shape, codes) = shape_of(OP, x)?;
    let (rows, noise) = (values::<T>(OP, x)?, noise_like::<T>(OP, noise, &shape)?);
    let cell = |(row, noise): (&[f64], &[f64])| {
        let (means, variances) = row.split_at(codes);
        let drawn = means.iter().zip(variances).zip(noise);
        drawn.map(|((mean, variance), noise)| mean + scaled(*variance, *noise)).collect::<Vec<_>>()
    };
    let cells = rows.chunks_exact(2 * codes).zip(noise.chunks_exact(codes));
    rounded::<T>(&cells.flat_map(cell).collect::<Vec<_>>(), &shape)
}

fn backward<T: Real>(x: &Tensor, noise: Option<&Tensor>, grad: &Tensor) -> Result<Tensor> {
    const OP: &str = "sample_backward";
    let (shape, codes) = shape_of(OP, x)?;
    expect_shape(OP, "grad", grad, &shape)?;
    let (rows, noise, grads) = (values::<T>(OP, x)?, noise_like::<T>(OP, noise, &shape)?, values::<T>(OP, grad)?);
    let cell = |((row, noise), grads): ((&[f64], &[f64]), &[f64])| {
        let slopes = row[codes..].iter().zip(noise).zip(grads);
        let slopes = slopes.map(|((variance, noise), grad)| grad * scaled(*variance, *noise) / 2.0);
        grads.iter().copied().chain(slopes).collect::<Vec<_>>()
    };
    let cells = rows.chunks_exact(2 * codes).zip(noise.chunks_exact(codes)).zip(grads.chunks_exact(codes));
    rounded::<T>(&cells.flat_map(cell).collect::<Vec<_>>(), x.dims())
}

/// `exp(l / 2) e`; 0 without noise, however large the variance.
fn scaled(variance: f64, noise: f64) -> f64 {
    if noise == 0.0 { 0.0 } else { (variance / 2.0).exp() * noise }
}

/// The shape of what is sampled, and its channels.
fn shape_of(op: &'static str, x: &Tensor) -> Result<(Vec<usize>, usize)> {
    match *x.dims() {
        [n, channels] if channels > 0 && channels % 2 == 0 => Ok((vec![n, channels / 2], channels / 2)),
        [n, channels, h, w] if channels > 0 && channels % 2 == 0 => Ok((vec![n, channels / 2, h, w], channels / 2)),
        _ => Err(wrong_shape(op, format!("x {:?}", x.dims()), "(N, 2 d) or (N, 2 d, H, W)")),
    }
}

/// The noise, and zeros without.
fn noise_like<T: Real>(op: &'static str, noise: Option<&Tensor>, shape: &[usize]) -> Result<Vec<f64>> {
    let Some(noise) = noise else { return Ok(vec![0.0; shape.iter().product()]) };
    expect_shape(op, "noise", noise, shape)?;
    values::<T>(op, noise)
}

fn values<T: Real>(op: &'static str, x: &Tensor) -> Result<Vec<f64>> {
    let dense = Dense::new::<T>(op, x)?;
    let (storage, layout) = dense.storage();
    Ok(numbers::<T>(&storage, layout)?.iter().map(|x| x.to_f64()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpError;
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64, to_f32};

    // A deviation of 3 is a log-variance of 2 ln 3: 1 + 3 * 0.5, and the slope by the log-variance is 10 * 0.5 * 3 / 2.
    #[test]
    fn by_hand() {
        let x = tensor64(&[1.0, -2.0, 2.0 * 3f64.ln(), 0.0], &[1, 4]);
        let e = tensor64(&[0.5, -1.0], &[1, 2]);
        let near = |found: Tensor, expected: &[f64]| {
            assert!(list(&found).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-14), "{found}");
        };
        near(sample(&x, Some(&e)).unwrap(), &[2.5, -3.0]);
        near(sample(&x, None).unwrap(), &[1.0, -2.0]);
        let upstream = tensor64(&[10.0, 4.0], &[1, 2]);
        near(sample_backward(&x, Some(&e), &upstream).unwrap(), &[10.0, 4.0, 7.5, -2.0]);
        near(sample_backward(&x, None, &upstream).unwrap(), &[10.0, 4.0, 0.0, 0.0]);
        let without_bounds = tensor64(&[1.0, 1e9], &[1, 2]);
        assert_eq!(list(&sample(&without_bounds, None).unwrap()), [1.0]);
        assert_eq!(list(&sample(&without_bounds, Some(&tensor64(&[1.0], &[1, 1]))).unwrap()), [f64::INFINITY]);
    }

    #[test]
    fn gradients_are_central_differences() {
        for (shape, half) in [(&[3, 4][..], &[3, 2][..]), (&[2, 6, 2, 3], &[2, 3, 2, 3])] {
            let (x, e, upstream) = (noise(shape, 1), noise(half, 2), noise(half, 3));
            for e in [Some(&e), None] {
                let grad = sample_backward(&x, e, &upstream).unwrap();
                assert_gradient(&x, &upstream, &grad, |x| sample(x, e).unwrap());
            }
        }
    }

    #[test]
    fn layout_batch_and_threads_do_not_matter() {
        let (x, e, upstream) = (noise(&[5, 6, 2, 3], 1), noise(&[5, 3, 2, 3], 2), noise(&[5, 3, 2, 3], 3));
        let y = sample(&x, Some(&e)).unwrap();
        assert!(y.permute((0, 2, 3, 1)).unwrap().is_contiguous());
        assert!(layouts(&x).iter().all(|x| bits(&sample(x, Some(&e)).unwrap()) == bits(&y)));
        let part = sample(&x.narrow(0, 2, 2).unwrap(), Some(&e.narrow(0, 2, 2).unwrap())).unwrap();
        assert_eq!(bits(&part), bits(&y.narrow(0, 2, 2).unwrap()));
        let (x, e, upstream) = (to_f32(&x), to_f32(&e), to_f32(&upstream));
        assert_same_on_all_threads(|| {
            vec![sample(&x, Some(&e)).unwrap(), sample_backward(&x, Some(&e), &upstream).unwrap()]
        });
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(sample(&noise(&[0, 4], 1), None).unwrap().dims(), [0, 2]);
        for shape in [&[2, 3][..], &[4], &[2, 0], &[2, 3, 1, 1]] {
            assert!(matches!(sample(&noise(shape, 1), None), Err(OpError::Shape { .. })), "{shape:?}");
        }
        let x = noise(&[2, 4], 1);
        assert!(matches!(sample(&x, Some(&noise(&[2, 4], 1))), Err(OpError::Shape { .. })));
        assert!(matches!(sample_backward(&x, None, &x), Err(OpError::Shape { .. })));
        assert!(matches!(sample(&x, Some(&to_f32(&noise(&[2, 2], 1)))), Err(OpError::Unsupported { .. })));
    }
}
