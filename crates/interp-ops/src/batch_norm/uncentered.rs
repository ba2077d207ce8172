//! Uncentered batch normalization: y = x gain / sqrt(variance + eps) for each channel, the variance being that around the
//! mean, which is not subtracted. Without anything added, what goes in is only scaled: the norm of B-cos networks (Böhle et
//! al. 2024, arXiv 2306.10898, section 3.3).

use super::functions::{Normalize, Scaled, Terms, ThroughStatistics};
use super::passes::{Beside, map};
use super::statistics::{gradient_sums, mean_and_variance};
use super::{BatchNormed, as_type, inverse_deviation, per_channel, refuse_empty};
use crate::Result;
use crate::memory::{Dense, expect_shape, four, numbers, rounded, tensor};
use crate::real::{Real, by_dtype};
use candle_core::Tensor;

/// Gradients of uncentered batch normalization.
#[derive(Debug, Clone)]
pub struct UncenteredGrads {
    /// With respect to the input (N, C, H, W), where wanted.
    pub input: Option<Tensor>,
    /// With respect to the gain (C).
    pub gain: Tensor,
}

/// Scales `x` (N, C, H, W) by its own variance over N, H and W and by `gain` (C). The statistics are those of
/// [`batch_norm_train`](crate::batch_norm_train).
///
/// # Errors
/// As [`batch_norm_train`](crate::batch_norm_train).
pub fn uncentered_norm_train(x: &Tensor, gain: &Tensor, eps: f64) -> Result<BatchNormed> {
    by_dtype!("uncentered_norm_train", x, train(x, gain, eps))
}

/// Scales `x` (N, C, H, W) by a given `variance` (C) and `gain` (C).
///
/// # Errors
/// As [`batch_norm_eval`](crate::batch_norm_eval).
pub fn uncentered_norm_eval(x: &Tensor, gain: &Tensor, variance: &Tensor, eps: f64) -> Result<Tensor> {
    by_dtype!("uncentered_norm_eval", x, eval(x, gain, variance, eps))
}

/// The gradients, `grad` being that of the output. `mean` is the batch's where the variance is the batch's, through which the
/// gradient then passes too; without it the variance is a constant.
///
/// # Errors
/// As [`uncentered_norm_train`].
pub fn uncentered_norm_backward(
    x: &Tensor,
    gain: &Tensor,
    (mean, variance): (Option<&Tensor>, &Tensor),
    eps: f64,
    grad: &Tensor,
    input_wanted: bool,
) -> Result<UncenteredGrads> {
    by_dtype!("uncentered_norm_backward", x, backward(x, gain, (mean, variance), eps, grad, input_wanted))
}

/// 1 / sqrt(variance + eps), and the constants of a batch norm that only scales: no mean, gain times that, no shift.
fn constants<T: Real>(
    op: &'static str,
    gain: &Tensor,
    variance: &Tensor,
    eps: f64,
    channels: usize,
) -> Result<(Vec<f64>, [Vec<T>; 3])> {
    let gain = per_channel::<T>(op, "gain", gain, channels)?;
    let inverse = inverse_deviation(&per_channel::<T>(op, "variance", variance, channels)?, eps);
    let scale: Vec<f64> = gain.iter().zip(&inverse).map(|(gain, inverse)| gain * inverse).collect();
    let zeros = vec![T::zero(); channels];
    Ok((inverse, [zeros.clone(), as_type(&scale), zeros]))
}

fn train<T: Real>(x: &Tensor, gain: &Tensor, eps: f64) -> Result<BatchNormed> {
    const OP: &str = "uncentered_norm_train";
    let [n, c, h, w] = four(OP, "x", x.dims())?;
    refuse_empty(OP, x, n * h * w)?;
    let dense = Dense::new::<T>(OP, x)?;
    let (storage, layout) = dense.storage();
    let values = numbers::<T>(&storage, layout)?;
    let (mean, variance) = mean_and_variance(values, c);
    let (mean, variance) = (rounded::<T>(&mean, &[c])?, rounded::<T>(&variance, &[c])?);
    let (_, constants) = constants::<T>(OP, gain, &variance, eps, c)?;
    let output = tensor(map(Normalize::<false>, values, &Beside::Each(values), &constants), x.dims())?;
    Ok(BatchNormed { output, mean, variance })
}

fn eval<T: Real>(x: &Tensor, gain: &Tensor, variance: &Tensor, eps: f64) -> Result<Tensor> {
    const OP: &str = "uncentered_norm_eval";
    let [_, c, _, _] = four(OP, "x", x.dims())?;
    let (_, constants) = constants::<T>(OP, gain, variance, eps, c)?;
    let dense = Dense::new::<T>(OP, x)?;
    let (storage, layout) = dense.storage();
    let values = numbers::<T>(&storage, layout)?;
    tensor(map(Normalize::<false>, values, &Beside::Each(values), &constants), x.dims())
}

fn backward<T: Real>(
    x: &Tensor,
    gain: &Tensor,
    (mean, variance): (Option<&Tensor>, &Tensor),
    eps: f64,
    grad: &Tensor,
    input_wanted: bool,
) -> Result<UncenteredGrads> {
    const OP: &str = "uncentered_norm_backward";
    let [n, c, h, w] = four(OP, "x", x.dims())?;
    expect_shape(OP, "grad", grad, x.dims())?;
    let (inverse, constants) = constants::<T>(OP, gain, variance, eps, c)?;
    let (dense_x, dense_grad) = (Dense::new::<T>(OP, x)?, Dense::new::<T>(OP, grad)?);
    let ((storage_x, layout_x), (storage, layout)) = (dense_x.storage(), dense_grad.storage());
    let (values, grads) = (numbers::<T>(&storage_x, layout_x)?, Beside::Each(numbers::<T>(&storage, layout)?));
    // Without a mean, "deviations" are the numbers themselves.
    let products = gradient_sums(Terms::<false>, values, &grads, &constants).of_deviation;
    let of_gain: Vec<f64> = products.iter().zip(&inverse).map(|(sum, inverse)| sum * inverse).collect();
    let input = match mean.filter(|_| input_wanted) {
        Some(mean) => {
            refuse_empty(OP, x, n * h * w)?;
            // scale (g - (x - mean) slope), the slope being the mean of g x over variance + eps.
            let pixels = (n * h * w) as f64;
            let slope: Vec<f64> = of_gain.iter().zip(&inverse).map(|(sum, inverse)| sum * inverse / pixels).collect();
            let mean = per_channel::<T>(OP, "mean", mean, c)?;
            let offset: Vec<f64> = mean.iter().zip(&slope).map(|(mean, slope)| -mean * slope).collect();
            let [none, scale, shift] = constants;
            let constants = [none, scale, shift, as_type(&offset), as_type(&slope)];
            Some(map(ThroughStatistics::<false>, values, &grads, &constants))
        }
        None => input_wanted.then(|| map(Scaled::<false>, values, &grads, &constants)),
    };
    Ok(UncenteredGrads {
        input: input.map(|numbers| tensor(numbers, x.dims())).transpose()?,
        gain: rounded::<T>(&of_gain, &[c])?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpError;
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, list, noise, tensor64, to_f32};

    const EPS: f64 = 1e-3;
    const SHAPES: [[usize; 4]; 4] = [[2, 3, 5, 4], [3, 17, 2, 3], [5, 1, 1, 1], [1, 2, 3, 3]];

    fn gain(channels: usize) -> Tensor {
        noise(&[channels], 7).affine(0.5, 1.0).unwrap()
    }

    // 1, 2, 3, 6 have the mean 3 and the variance 14 / 4; the root mean square would be sqrt(12.5).
    #[test]
    fn what_is_divided_by_is_the_deviation_around_the_mean() {
        let (x, gain) = (tensor64(&[1.0, 2.0, 3.0, 6.0], &[1, 1, 2, 2]), tensor64(&[2.0], &[1]));
        let found = uncentered_norm_train(&x, &gain, 0.0).unwrap();
        assert_eq!((list(&found.mean), list(&found.variance)), (vec![3.0], vec![3.5]));
        let expected: Vec<f64> = [1.0, 2.0, 3.0, 6.0].iter().map(|x| 2.0 * x / 3.5f64.sqrt()).collect();
        assert!(list(&found.output).iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-14));
        let given = uncentered_norm_eval(&x, &gain, &found.variance, 0.0).unwrap();
        assert_eq!(list(&given), list(&found.output));
    }

    #[test]
    fn gradients_are_central_differences() {
        for shape in SHAPES {
            // Far from a mean of 0, where centered and uncentered norms differ.
            let (x, gain, upstream) = (noise(&shape, 1).affine(1.0, 0.8).unwrap(), gain(shape[1]), noise(&shape, 2));
            let train = |x: &Tensor, gain: &Tensor| uncentered_norm_train(x, gain, EPS).unwrap().output;
            let BatchNormed { mean, variance, .. } = uncentered_norm_train(&x, &gain, EPS).unwrap();
            let grads = uncentered_norm_backward(&x, &gain, (Some(&mean), &variance), EPS, &upstream, true).unwrap();
            assert_gradient(&x, &upstream, &grads.input.unwrap(), |x| train(x, &gain));
            assert_gradient(&gain, &upstream, &grads.gain, |gain| train(&x, gain));
            let eval = |x: &Tensor, gain: &Tensor| uncentered_norm_eval(x, gain, &variance, EPS).unwrap();
            let grads = uncentered_norm_backward(&x, &gain, (None, &variance), EPS, &upstream, true).unwrap();
            assert_gradient(&x, &upstream, &grads.input.unwrap(), |x| eval(x, &gain));
            assert_gradient(&gain, &upstream, &grads.gain, |gain| eval(&x, gain));
        }
    }

    #[test]
    fn type_and_threads_do_not_matter() {
        let (x, gain, upstream) = (noise(&[9, 18, 16, 16], 1), gain(18), noise(&[9, 18, 16, 16], 2));
        let all = |x: &Tensor, gain: &Tensor, upstream: &Tensor| {
            let BatchNormed { output, mean, variance } = uncentered_norm_train(x, gain, EPS).unwrap();
            let grads = uncentered_norm_backward(x, gain, (Some(&mean), &variance), EPS, upstream, true).unwrap();
            vec![output, grads.input.unwrap(), grads.gain]
        };
        assert_same_on_all_threads(|| all(&x, &gain, &upstream));
        let rough = all(&to_f32(&x), &to_f32(&gain), &to_f32(&upstream));
        for (exact, rough) in all(&x, &gain, &upstream).iter().zip(&rough) {
            assert!(list(exact).iter().zip(list(rough)).all(|(a, b)| (a - b).abs() < 1e-5 * (1.0 + a.abs())));
        }
        let variance = noise(&[18], 3).sqr().unwrap();
        let [whole, part] = [&x, &x.narrow(0, 4, 2).unwrap()].map(|x| uncentered_norm_eval(x, &gain, &variance, EPS));
        assert_eq!(bits(&part.unwrap()), bits(&whole.unwrap().narrow(0, 4, 2).unwrap()));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (x, gain) = (noise(&[2, 3, 2, 2], 1), gain(3));
        assert!(matches!(uncentered_norm_train(&noise(&[0, 3, 2, 2], 1), &gain, EPS), Err(OpError::Shape { .. })));
        assert!(matches!(uncentered_norm_eval(&x, &gain, &noise(&[2], 1), EPS), Err(OpError::Shape { .. })));
        assert!(matches!(uncentered_norm_train(&x, &to_f32(&gain), EPS), Err(OpError::Unsupported { .. })));
        let wrong = uncentered_norm_backward(&x, &gain, (None, &gain), EPS, &noise(&[2, 3, 2, 1], 1), true);
        assert!(matches!(wrong, Err(OpError::Shape { .. })));
    }
}
