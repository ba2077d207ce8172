//! Functions of single numbers and of rows, by formulas that neither overflow nor cancel.

/// `1 / (1 + e^-x)`, the derivative of [`softplus`].
pub fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `ln(1 + e^x)`, which is `-ln(1 - logistic(x))`.
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The logarithms of `exp(z / temperature)` as shares of their sum.
pub fn log_softmax(logits: impl Iterator<Item = f64> + Clone, temperature: f64) -> Vec<f64> {
    let largest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
    let scaled = logits.map(|z| (z - largest) / temperature);
    let sum: f64 = scaled.clone().map(f64::exp).sum();
    scaled.map(|z| z - sum.ln()).collect()
}

/// The position of the largest number, of equal ones the first; 0 where there is none.
pub fn largest<T: PartialOrd>(numbers: &[T]) -> usize {
    (0..numbers.len()).fold(0, |best, at| if numbers[at] > numbers[best] { at } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_ones_the_first_is_the_largest() {
        assert_eq!((largest(&[0.1, 0.7, 0.7]), largest(&[-1.0f32]), largest::<f64>(&[])), (1, 0, 0));
    }

    #[test]
    fn far_from_zero_too() {
        assert_eq!((logistic(0.0), logistic(-1e4), logistic(1e4)), (0.5, 0.0, 1.0));
        assert!((logistic(3f64.ln()) - 0.75).abs() < 1e-15);
        // e^-100 is lost in 1 + e^-100, and is what softplus(-100) is.
        assert!((softplus(-100.0) / (-100f64).exp() - 1.0).abs() < 1e-15 && softplus(1e4) == 1e4);
        assert!((softplus(0.0) - 2f64.ln()).abs() < 1e-15);
        for x in [-3.0, -0.2, 1.5] {
            let slope = (softplus(x + 1e-5) - softplus(x - 1e-5)) / 2e-5;
            assert!((slope - logistic(x)).abs() < 1e-9, "{slope} at {x}");
        }
    }

    // Odds of 1 to 3, and of their square roots at a temperature of 2.
    #[test]
    fn shares_of_a_sum() {
        for (temperature, ratio) in [(1.0, 3.0), (2.0, 3f64.sqrt())] {
            let found = log_softmax([1e5, 1e5 + 3f64.ln()].into_iter(), temperature);
            let expected: f64 = -(1.0 + ratio).ln();
            assert!((found[0] - expected).abs() < 1e-9 && (found[1] - expected - ratio.ln()).abs() < 1e-9, "{found:?}");
        }
    }
}
