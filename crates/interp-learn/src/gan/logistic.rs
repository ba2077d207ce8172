//! The logistic losses.

use interp_net::ops::scalars::{logistic, softplus};

/// The mean over a batch of the loss of taking pictures for real (`sign` 1: `softplus(-logit)`) or for made (`sign` -1:
/// `softplus(logit)`), and its gradient.
pub(super) fn real_or_made(logits: &[f64], sign: f64) -> (f64, Vec<f64>) {
    let count = logits.len().max(1) as f64;
    let loss = logits.iter().map(|logit| softplus(-sign * logit)).sum::<f64>() / count;
    (loss, logits.iter().map(|logit| -sign * logistic(-sign * logit) / count).collect())
}
