//! Softmax cross-entropy: the loss of a classifier and its gradient in one pass.

use crate::device::on_cuda;
use crate::memory::{Dense, expect_shape, numbers, rounded, wrong_shape};
use crate::real::{Real, by_dtype};
use crate::{OpError, Result};
use candle_core::Tensor;
use rayon::prelude::*;

const OP: &str = "cross_entropy";

/// What the classifier should have said.
#[derive(Debug, Clone, Copy)]
pub enum Targets<'a> {
    /// One class per row.
    Classes(&'a [u32]),
    /// One distribution over the classes per row, (N, K).
    Probabilities(&'a Tensor),
}

/// What [`cross_entropy`] returns.
#[derive(Debug, Clone)]
pub struct CrossEntropy {
    /// The mean over the batch, in nats.
    pub loss: f64,
    /// The gradient of the loss with respect to the logits, (N, K).
    pub grad: Tensor,
}

/// -sum over k of w_k q_k log softmax(logits)_k, averaged over the rows of `logits` (N, K).
///
/// Smoothing s and class weights w (1 where not given) mean what they mean in PyTorch: q = (1 - s) target + s / K; with
/// classes as targets the mean is weighted, its divisor being the sum of the weights of the target classes; with
/// probabilities as targets the divisor is N. Each row is computed in `f64`.
///
/// # Errors
/// [`OpError::Shape`] where targets or weights do not fit or the batch is empty, [`OpError::Value`] for a class of K and
/// more, a smoothing outside 0 to 1, a weight that is negative or not finite, or target classes whose weights are all 0,
/// [`OpError::Unsupported`] for another type or device.
pub fn cross_entropy(
    logits: &Tensor,
    targets: Targets<'_>,
    smoothing: f64,
    class_weights: Option<&[f64]>,
) -> Result<CrossEntropy> {
    on_cuda!(logits, on_device(logits, targets, smoothing, class_weights));
    by_dtype!(OP, logits, of_type(logits, targets, smoothing, class_weights))
}

/// The same where the logits lie on a CUDA device.
#[cfg(feature = "cuda")]
fn on_device(
    logits: &Tensor,
    targets: Targets<'_>,
    smoothing: f64,
    class_weights: Option<&[f64]>,
) -> Result<CrossEntropy> {
    let [n, k] = sizes(logits)?;
    check_smoothing(smoothing)?;
    let weights = weights(class_weights, k)?;
    let wanted = match targets {
        Targets::Classes(classes) => rounded::<f32>(&one_hot(classes, n, k)?, &[n, k])?.to_device(logits.device())?,
        Targets::Probabilities(tensor) => {
            expect_shape(OP, "probabilities", tensor, &[n, k])?;
            tensor.clone()
        }
    };
    crate::cuda::cross_entropy(logits, &wanted, smoothing, &weights, divisor(targets, &weights, n)?)
}

fn of_type<T: Real>(
    logits: &Tensor,
    targets: Targets<'_>,
    smoothing: f64,
    class_weights: Option<&[f64]>,
) -> Result<CrossEntropy> {
    let [n, k] = sizes(logits)?;
    check_smoothing(smoothing)?;
    let weights = weights(class_weights, k)?;
    let wanted = wanted::<T>(targets, n, k)?;
    let divisor = divisor(targets, &weights, n)?;
    let dense = Dense::new::<T>(OP, logits)?;
    let (storage, layout) = dense.storage();
    let rows = numbers::<T>(&storage, layout)?.par_chunks(k).zip(wanted.par_chunks(k));
    let rows: Vec<(f64, Vec<f64>)> = rows.map(|(logits, wanted)| row(logits, wanted, smoothing, &weights)).collect();
    let loss = rows.iter().map(|(loss, _)| loss).sum::<f64>() / divisor;
    let grad: Vec<f64> = rows.iter().flat_map(|(_, grad)| grad.iter().map(|g| g / divisor)).collect();
    Ok(CrossEntropy { loss, grad: rounded::<T>(&grad, &[n, k])? })
}

/// The loss of one row and its gradient: with q the smoothed and weighted target, softmax times the sum of q, minus q.
fn row<T: Real>(logits: &[T], wanted: &[f64], smoothing: f64, weights: &[f64]) -> (f64, Vec<f64>) {
    let even = smoothing / logits.len() as f64;
    let q: Vec<f64> = wanted.iter().zip(weights).map(|(t, w)| w * ((1.0 - smoothing) * t + even)).collect();
    let q_sum: f64 = q.iter().sum();
    let largest = logits.iter().fold(f64::NEG_INFINITY, |largest, v| largest.max(v.to_f64()));
    let exponentials: Vec<f64> = logits.iter().map(|v| (v.to_f64() - largest).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    let log_sum = sum.ln();
    // A target of 0 asks nothing of its logit, not even of one at minus infinity.
    let terms = q.iter().zip(logits).filter(|(q, _)| **q != 0.0);
    let loss = terms.map(|(q, v)| q * (log_sum - (v.to_f64() - largest))).sum();
    let grad = q.iter().zip(&exponentials).map(|(q, e)| e / sum * q_sum - q).collect();
    (loss, grad)
}

fn sizes(logits: &Tensor) -> Result<[usize; 2]> {
    match *logits.dims() {
        [n, k] if n > 0 && k > 0 => Ok([n, k]),
        ref other => Err(wrong_shape(OP, format!("logits {other:?}"), "(N, K), neither of them 0")),
    }
}

fn check_smoothing(smoothing: f64) -> Result<()> {
    if (0.0..=1.0).contains(&smoothing) {
        return Ok(());
    }
    Err(wrong_value(format!("smoothing {smoothing}"), "a number from 0 to 1"))
}

fn weights(given: Option<&[f64]>, k: usize) -> Result<Vec<f64>> {
    let Some(weights) = given else { return Ok(vec![1.0; k]) };
    if weights.len() != k {
        return Err(wrong_shape(
            OP,
            format!("{} class weights", weights.len()),
            format!("one for each of {k} classes"),
        ));
    }
    match weights.iter().find(|w| !w.is_finite() || **w < 0.0) {
        Some(bad) => Err(wrong_value(format!("class weight {bad}"), "finite numbers of at least 0")),
        None => Ok(weights.to_vec()),
    }
}

/// The targets as distributions, one row after the other.
fn wanted<T: Real>(targets: Targets<'_>, n: usize, k: usize) -> Result<Vec<f64>> {
    match targets {
        Targets::Classes(classes) => one_hot(classes, n, k),
        Targets::Probabilities(tensor) => {
            expect_shape(OP, "probabilities", tensor, &[n, k])?;
            let dense = Dense::new::<T>(OP, tensor)?;
            let (storage, layout) = dense.storage();
            Ok(numbers::<T>(&storage, layout)?.iter().map(|v| v.to_f64()).collect())
        }
    }
}

fn one_hot(classes: &[u32], n: usize, k: usize) -> Result<Vec<f64>> {
    if classes.len() != n {
        return Err(wrong_shape(OP, format!("{} target classes", classes.len()), format!("one for each of {n} rows")));
    }
    let mut rows = vec![0.0; n * k];
    for (row, &class) in rows.chunks_exact_mut(k).zip(classes) {
        let beyond = || wrong_value(format!("target class {class}"), &format!("classes below {k}"));
        *row.get_mut(class as usize).ok_or_else(beyond)? = 1.0;
    }
    Ok(rows)
}

fn divisor(targets: Targets<'_>, weights: &[f64], n: usize) -> Result<f64> {
    let Targets::Classes(classes) = targets else { return Ok(n as f64) };
    let sum: f64 = classes.iter().map(|&class| weights[class as usize]).sum();
    if sum > 0.0 {
        return Ok(sum);
    }
    Err(wrong_value("target classes whose weights are all 0".into(), "a target class with a positive weight"))
}

fn wrong_value(given: String, expected: &str) -> OpError {
    OpError::Value { op: OP, given, expected: expected.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, list, noise, tensor64, to_f32};

    const WEIGHTS: [f64; 3] = [0.5, 2.0, 1.25];

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn even_logits_cost_the_logarithm_of_the_classes() {
        let logits = tensor64(&[0.3; 20], &[2, 10]);
        for smoothing in [0.0, 0.1, 1.0] {
            let loss = cross_entropy(&logits, Targets::Classes(&[3, 9]), smoothing, None).unwrap().loss;
            assert!(close(loss, 10f64.ln()));
        }
    }

    /// log softmax by hand, then the definitions of PyTorch's documentation.
    #[test]
    fn smoothing_and_weights_are_pytorchs() {
        let numbers = [1.0, 2.0, 0.5, -1.0, 0.0, 3.0];
        let logits = tensor64(&numbers, &[2, 3]);
        let log_softmax: Vec<f64> = numbers
            .chunks(3)
            .flat_map(|row| {
                let sum: f64 = row.iter().map(|v: &f64| v.exp()).sum();
                row.iter().map(move |v| v - sum.ln())
            })
            .collect();
        let hard = -(WEIGHTS[1] * log_softmax[1] + WEIGHTS[0] * log_softmax[3]);
        let even: f64 = -log_softmax.iter().zip(WEIGHTS.iter().cycle()).map(|(l, w)| l * w).sum::<f64>();
        let of_classes = (0.8 * hard + 0.2 / 3.0 * even) / (WEIGHTS[1] + WEIGHTS[0]);
        let loss = cross_entropy(&logits, Targets::Classes(&[1, 0]), 0.2, Some(&WEIGHTS)).unwrap().loss;
        assert!(close(loss, of_classes), "{loss} {of_classes}");
        let one_hot = tensor64(&[0.0, 1.0, 0.0, 1.0, 0.0, 0.0], &[2, 3]);
        let loss = cross_entropy(&logits, Targets::Probabilities(&one_hot), 0.2, Some(&WEIGHTS)).unwrap().loss;
        assert!(close(loss, (0.8 * hard + 0.2 / 3.0 * even) / 2.0));
    }

    #[test]
    fn the_gradient_is_central_differences() {
        let (logits, soft) = (noise(&[4, 3], 1), (noise(&[4, 3], 2) + 1.0).unwrap());
        for targets in [Targets::Classes(&[2, 0, 1, 1]), Targets::Probabilities(&soft)] {
            for (smoothing, weights) in [(0.0, None), (0.3, None), (0.0, Some(&WEIGHTS[..])), (0.3, Some(&WEIGHTS[..]))]
            {
                let run = |logits: &Tensor| cross_entropy(logits, targets, smoothing, weights).unwrap();
                let loss = |logits: &Tensor| tensor64(&[run(logits).loss], &[1]);
                assert_gradient(&logits, &tensor64(&[1.7], &[1]), &(run(&logits).grad * 1.7).unwrap(), loss);
            }
        }
    }

    #[test]
    fn large_logits_neither_overflow_nor_vanish() {
        let result = cross_entropy(&tensor64(&[1e4, -1e4], &[1, 2]), Targets::Classes(&[1]), 0.0, None).unwrap();
        assert_eq!(result.loss, 2e4);
        assert_eq!(list(&result.grad), [1.0, -1.0]);
    }

    #[test]
    fn a_class_ruled_out_costs_nothing_unless_it_is_right() {
        let logits = tensor64(&[0.0, f64::NEG_INFINITY, 0.0], &[1, 3]);
        let result = cross_entropy(&logits, Targets::Classes(&[0]), 0.0, None).unwrap();
        assert!(close(result.loss, 2f64.ln()));
        assert_eq!(list(&result.grad), [-0.5, 0.0, 0.5]);
        assert_eq!(cross_entropy(&logits, Targets::Classes(&[1]), 0.0, None).unwrap().loss, f64::INFINITY);
    }

    #[test]
    fn nan_passes_through() {
        let logits = tensor64(&[f64::NAN, 0.0, 1.0, 2.0], &[2, 2]);
        let result = cross_entropy(&logits, Targets::Classes(&[1, 1]), 0.0, None).unwrap();
        assert!(result.loss.is_nan());
        assert_eq!(list(&result.grad).iter().map(|g| g.is_nan()).collect::<Vec<_>>(), [true, true, false, false]);
    }

    #[test]
    fn type_layout_and_threads_do_not_matter() {
        let logits = noise(&[200, 30], 1);
        let classes: Vec<u32> = (0..200).map(|row| row * 7 % 30).collect();
        let run = |logits: &Tensor| cross_entropy(logits, Targets::Classes(&classes), 0.1, None).unwrap();
        let result = run(&logits);
        let turned = logits.t().unwrap().contiguous().unwrap().t().unwrap();
        assert_eq!(bits(&run(&turned).grad), bits(&result.grad));
        assert!((run(&to_f32(&logits)).loss - result.loss).abs() < 1e-6);
        assert_same_on_all_threads(|| {
            let result = run(&logits);
            vec![result.grad, tensor64(&[result.loss], &[1])]
        });
    }

    #[test]
    fn bad_input_is_named() {
        let logits = noise(&[2, 3], 1);
        let run = |targets: &[u32], smoothing: f64, weights: Option<&[f64]>| {
            cross_entropy(&logits, Targets::Classes(targets), smoothing, weights).map(|r| r.loss)
        };
        let error = run(&[0, 3], 0.0, None).unwrap_err();
        assert!(matches!(error, OpError::Value { .. }) && error.to_string().contains("class 3"), "{error}");
        assert!(matches!(run(&[0], 0.0, None), Err(OpError::Shape { .. })));
        for smoothing in [-0.1, 1.1, f64::NAN] {
            assert!(matches!(run(&[0, 1], smoothing, None), Err(OpError::Value { .. })));
        }
        assert!(matches!(run(&[0, 1], 0.0, Some(&[1.0])), Err(OpError::Shape { .. })));
        for weights in [[0.0, 0.0, 1.0], [-1.0, 1.0, 1.0], [f64::NAN, 1.0, 1.0]] {
            assert!(matches!(run(&[0, 1], 0.0, Some(&weights)), Err(OpError::Value { .. })));
        }
        let wrong = noise(&[2, 4], 1);
        let soft = cross_entropy(&logits, Targets::Probabilities(&wrong), 0.0, None);
        assert!(matches!(soft, Err(OpError::Shape { .. })));
        let empty = cross_entropy(&noise(&[0, 3], 1), Targets::Classes(&[]), 0.0, None);
        assert!(matches!(empty, Err(OpError::Shape { .. })));
    }
}
