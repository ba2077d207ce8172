//! Intervals by drawing again from what was measured.

use rand::Rng;

use crate::random::stream;

/// Resamples.
const RESAMPLES: usize = 2000;

/// A 95 % interval of a statistic of `count` cases, which is given their numbers, some of them twice or more: percentiles of a bootstrap (Efron and
/// Tibshirani 1993, section 13.3). The resampling is seeded: the same cases give the same interval.
pub fn interval(count: usize, statistic: impl Fn(&[usize]) -> f64) -> [f64; 2] {
    let mut found: Vec<f64> = (0..RESAMPLES)
        .map(|resample| {
            let mut rng = stream(0, "bootstrap", 0, resample as u64);
            let drawn: Vec<usize> = (0..count).map(|_| rng.random_range(0..count)).collect();
            statistic(&drawn)
        })
        .collect();
    found.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| found[((RESAMPLES - 1) as f64 * share).round() as usize];
    [at(0.025), at(0.975)]
}

/// That of the mean of `values`; of no values, 0.
pub fn mean_interval(values: &[f64]) -> [f64; 2] {
    let count = values.len().max(1) as f64;
    interval(values.len(), |drawn| drawn.iter().map(|&at| values[at]).sum::<f64>() / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    // A share p of n values is 1 and the others 0: the standard error of their mean is sqrt(p (1 - p) / n).
    #[test]
    fn the_interval_has_the_width_of_theory() {
        let values: Vec<f64> = (0..2000).map(|i| f64::from(u8::from(i % 5 == 0))).collect();
        let half = 1.96 * (0.2f64 * 0.8 / 2000.0).sqrt();
        for (end, sign) in mean_interval(&values).into_iter().zip([-1.0, 1.0]) {
            assert!((end - 0.2 - sign * half).abs() < 0.1 * half, "{end}");
        }
        assert_eq!(mean_interval(&[3.0; 7]), [3.0; 2]);
        assert_eq!(mean_interval(&[]), [0.0; 2]);
    }
}
