//! The logistic losses, by formulas that neither overflow nor cancel.

/// `ln(1 + e^x)`.
pub(super) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `1 / (1 + e^-x)`, the derivative of [`softplus`].
pub(super) fn sigmoid(x: f64) -> f64 {
    let small = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) }
}

/// The mean over a batch of the loss of taking pictures for real (`sign` 1: `softplus(-logit)`) or for made (`sign` -1:
/// `softplus(logit)`), and its gradient.
pub(super) fn logistic(logits: &[f64], sign: f64) -> (f64, Vec<f64>) {
    let count = logits.len().max(1) as f64;
    let loss = logits.iter().map(|logit| softplus(-sign * logit)).sum::<f64>() / count;
    (loss, logits.iter().map(|logit| -sign * sigmoid(-sign * logit) / count).collect())
}
