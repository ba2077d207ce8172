//! Intervals of the mean of few values.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

/// The 95 % interval of the mean of what `values` were drawn from, by Student's t with one degree of freedom fewer than there are values
/// (Student 1908); `None` for fewer than two.
pub fn student_interval(values: &[f64]) -> Option<[f64; 2]> {
    let count = values.len();
    let degrees = count.checked_sub(1).filter(|&degrees| degrees > 0)?;
    let mean = values.iter().sum::<f64>() / count as f64;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    let half = quantile(degrees, 0.95) * (squares / degrees as f64 / count as f64).sqrt();
    Some([mean - half, mean + half])
}

/// What one more value lies above with a probability of half a percent, if it is drawn from the same normal distribution as `values`: mean
/// `+ t s sqrt(1 + 1 / n)` (Student 1908; Hahn 1969); `None` for fewer than two.
pub fn prediction_bound(values: &[f64]) -> Option<f64> {
    let count = values.len();
    let degrees = count.checked_sub(1).filter(|&degrees| degrees > 0)?;
    let mean = values.iter().sum::<f64>() / count as f64;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    Some(mean + quantile(degrees, 0.99) * (squares / degrees as f64 * (1.0 + 1.0 / count as f64)).sqrt())
}

/// How far from 0 a variable of Student's distribution with so many degrees of freedom, at least 1, is at most with this probability.
fn quantile(degrees: usize, probability: f64) -> f64 {
    let [mut low, mut high] = [0.0, FRAC_PI_2];
    for _ in 0..f64::MANTISSA_DIGITS {
        let middle = f64::midpoint(low, high);
        match within(degrees, middle) < probability {
            true => low = middle,
            false => high = middle,
        }
    }
    (degrees as f64).sqrt() * low.tan()
}

/// The probability that the variable is nearer to 0 than sqrt(degrees) tan(angle) (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4).
fn within(degrees: usize, angle: f64) -> f64 {
    let (sine, cosine) = angle.sin_cos();
    let is_odd = degrees % 2 == 1;
    let (mut sum, mut term) = (0.0, if is_odd { sine * cosine } else { sine });
    for step in 0..degrees / 2 {
        sum += term;
        let power = (2 * step + usize::from(is_odd) + 1) as f64;
        term *= cosine * cosine * power / (power + 1.0);
    }
    if is_odd { FRAC_2_PI * (angle + sum) } else { sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Two-sided, Fisher and Yates 1963, table III.
    #[test]
    fn quantiles_are_those_of_the_table() {
        let table = [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042), (120, 1.980)];
        for (degrees, expected) in table {
            let found = quantile(degrees, 0.95);
            assert!((found - expected).abs() < 6e-4, "{degrees} degrees of freedom: {found}, not {expected}");
        }
        for (degrees, expected) in [(1, 63.657), (2, 9.925), (10, 3.169)] {
            assert!((quantile(degrees, 0.99) - expected).abs() < 6e-4, "{degrees} degrees of freedom");
        }
    }

    // Of 1, 2, 3, 4: mean 5/2, variance 5/3, t(3) = 3.182: 2.5 -+ 3.182 sqrt(5/12) = 2.5 -+ 2.054.
    #[test]
    fn the_interval_by_hand() {
        let [low, high] = student_interval(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert!((low - 0.446).abs() < 1e-3 && (high - 4.554).abs() < 1e-3, "{low} to {high}");
        assert_eq!(student_interval(&[3.0; 5]), Some([3.0; 2]));
        assert_eq!([student_interval(&[]), student_interval(&[1.0])], [None; 2]);
    }

    // Of 1, 2, 3, 4, 5: mean 3, deviation sqrt(2.5), t(4) = 4.604 at 99 %: 3 + 4.604 sqrt(2.5 * 1.2).
    #[test]
    fn one_more_value_by_hand() {
        let bound = prediction_bound(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert!((bound - 3.0 - 4.604 * 3f64.sqrt()).abs() < 2e-3, "{bound}");
        assert_eq!(prediction_bound(&[1.0]), None);
    }
}
