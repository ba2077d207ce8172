//! Binary cross-entropy: a yes or no for each class, the loss and its gradient in one pass.

use crate::cross_entropy::CrossEntropy;
use crate::memory::{Dense, numbers, rounded, wrong_shape};
use crate::real::{Real, by_dtype};
use crate::scalars::{logistic, softplus};
use crate::{OpError, Result};
use candle_core::{Device, Tensor};

const OP: &str = "binary_cross_entropy";

/// The mean over the rows of `logits` (N, K) of `-ln s(z_y) - sum over k other than y of ln(1 - s(z_k))`, y being the row's class, s
/// the logistic function and `z = logit - ln(K - 1)`: where all logits are 0 each class has the probability 1/K. The shift is what
/// B-cos networks add to logits that have no bias (Böhle et al. 2022, arXiv 2205.10268, section 3.2.2). It is the same for all classes,
/// and changes no decision. Computed in `f64`, on the CPU wherever the logits lie.
///
/// # Errors
/// [`OpError::Shape`] where there are no rows, fewer than two classes, or other than N targets, [`OpError::Value`] for a class of K
/// and more, [`OpError::Unsupported`] for another type.
pub fn binary_cross_entropy(logits: &Tensor, classes: &[u32]) -> Result<CrossEntropy> {
    let here = logits.to_device(&Device::Cpu)?;
    let CrossEntropy { loss, grad } = by_dtype!(OP, &here, of_type(&here, classes))?;
    Ok(CrossEntropy { loss, grad: grad.to_device(logits.device())? })
}

fn of_type<T: Real>(logits: &Tensor, classes: &[u32]) -> Result<CrossEntropy> {
    let [n, k] = match *logits.dims() {
        [n, k] if n > 0 && k > 1 => [n, k],
        ref other => return Err(wrong_shape(OP, format!("logits {other:?}"), "(N, K), N at least 1 and K at least 2")),
    };
    if classes.len() != n {
        return Err(wrong_shape(OP, format!("{} target classes", classes.len()), format!("one for each of {n} rows")));
    }
    if let Some(class) = classes.iter().find(|&&class| class as usize >= k) {
        let (given, expected) = (format!("target class {class}"), format!("classes below {k}"));
        return Err(OpError::Value { op: OP, given, expected });
    }
    let shift = ((k - 1) as f64).ln();
    let dense = Dense::new::<T>(OP, logits)?;
    let (storage, layout) = dense.storage();
    let (mut loss, mut grad) = (0.0, Vec::with_capacity(n * k));
    for (row, &class) in numbers::<T>(&storage, layout)?.chunks_exact(k).zip(classes) {
        for (index, logit) in row.iter().enumerate() {
            let z = logit.to_f64() - shift;
            let is_it = index == class as usize;
            loss += if is_it { softplus(-z) } else { softplus(z) };
            grad.push((logistic(z) - f64::from(u8::from(is_it))) / n as f64);
        }
    }
    Ok(CrossEntropy { loss: loss / n as f64, grad: rounded::<T>(&grad, &[n, k])? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_gradient, list, noise, tensor64, to_f32};

    // Of ten classes each has the probability 0.1: -ln 0.1 - 9 ln 0.9.
    #[test]
    fn logits_of_zero_take_all_classes_for_alike() {
        let loss = binary_cross_entropy(&tensor64(&[0.0; 20], &[2, 10]), &[3, 9]).unwrap().loss;
        assert!((loss + 0.1f64.ln() + 9.0 * 0.9f64.ln()).abs() < 1e-12, "{loss}");
        // As without a shift at logits of ln(0.1 / 0.9).
        let plain = |logit: f64| (1.0 + logit.exp()).ln() * 10.0 - logit;
        assert!((loss - plain(-2.197_225)).abs() < 1e-6, "{loss}");
    }

    // ln(K - 1) of two classes is 0; s(ln 3) = 3/4, s(-ln 3) = 1/4.
    #[test]
    fn two_classes_by_hand() {
        let third = 3f64.ln();
        let found = binary_cross_entropy(&tensor64(&[third, -third, third, third], &[2, 2]), &[0, 1]).unwrap();
        let expected = (-2.0 * 0.75f64.ln() - 0.25f64.ln() - 0.75f64.ln()) / 2.0;
        assert!((found.loss - expected).abs() < 1e-12, "{}", found.loss);
        for (grad, expected) in list(&found.grad).into_iter().zip([-0.125, 0.125, 0.375, -0.125]) {
            assert!((grad - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn the_gradient_is_central_differences() {
        let logits = (noise(&[4, 3], 1) * 4.0).unwrap();
        let run = |logits: &Tensor| binary_cross_entropy(logits, &[2, 0, 1, 1]).unwrap();
        let loss = |logits: &Tensor| tensor64(&[run(logits).loss], &[1]);
        assert_gradient(&logits, &tensor64(&[1.7], &[1]), &(run(&logits).grad * 1.7).unwrap(), loss);
    }

    #[test]
    fn large_logits_neither_overflow_nor_vanish() {
        let found = binary_cross_entropy(&tensor64(&[1e4, -1e4], &[1, 2]), &[1]).unwrap();
        assert_eq!((found.loss, list(&found.grad)), (2e4, vec![1.0, -1.0]));
        assert!(binary_cross_entropy(&to_f32(&noise(&[2, 3], 1)), &[0, 1]).unwrap().loss.is_finite());
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let logits = noise(&[2, 3], 1);
        for (logits, classes) in [(&logits, &[0][..]), (&noise(&[2, 1], 1), &[0, 0]), (&noise(&[0, 3], 1), &[])] {
            assert!(matches!(binary_cross_entropy(logits, classes), Err(OpError::Shape { .. })));
        }
        assert!(matches!(binary_cross_entropy(&logits, &[0, 3]), Err(OpError::Value { .. })));
    }
}
