//! Two networks on the same pictures.

use interp_finding::mean_interval;
use serde::{Deserialize, Serialize};

/// The difference between two scores measured on the same pictures: in percentage points of accuracy, or dB of PSNR.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// First minus second.
    pub points: f64,
    /// 95 % interval of the paired difference: percentiles of a bootstrap over pictures.
    pub interval: [f64; 2],
}

/// The paired difference of the means of two lists of scores, picture by picture, multiplied with `scale`.
pub fn paired(first: &[f64], second: &[f64], scale: f64) -> Difference {
    let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| scale * (a - b)).collect();
    let points = differences.iter().sum::<f64>() / differences.len().max(1) as f64;
    Difference { points, interval: mean_interval(&differences) }
}

/// Two classifiers on the same pictures, by those that one of them alone is right on (McNemar 1947).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Pictures that the first alone is right on.
    pub first: usize,
    /// Pictures that the second alone is right on.
    pub second: usize,
    /// How likely so uneven a split of these pictures is, or one more uneven, if each were as likely either's: the exact test, two-sided.
    pub p: f64,
}

impl McNemar {
    /// Of scores that are 1 where a picture is right, and 0 where not.
    pub fn of(first: &[f64], second: &[f64]) -> Self {
        let count = |own: &[f64], other: &[f64]| own.iter().zip(other).filter(|(own, other)| own > other).count();
        let (first, second) = (count(first, second), count(second, first));
        Self { first, second, p: two_sided(first.min(second), first + second) }
    }
}

/// Twice the probability of at most `fewer` heads in `all` tosses, at most 1.
fn two_sided(fewer: usize, all: usize) -> f64 {
    // ln C(all, k) - all ln 2, from one k to the next.
    let mut logarithm = -(all as f64) * std::f64::consts::LN_2;
    let mut sum = 0.0;
    for k in 0..=fewer {
        sum += logarithm.exp();
        logarithm += ((all - k) as f64 / (k + 1) as f64).ln();
    }
    (2.0 * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    // One of eight: 2 (1 + 8) / 2^8. Evenly split, or not at all: 1. Of 60 of 160 in whole numbers, by Python:
    // 2 * sum(comb(160, k) for k in range(61)) / 2**160.
    #[test]
    fn the_exact_test_by_hand() {
        let scores = |right: std::ops::Range<usize>| {
            (0..200).map(|i| f64::from(u8::from(right.contains(&i)))).collect::<Vec<_>>()
        };
        let found = McNemar::of(&scores(7..20), &scores(0..19));
        assert_eq!((found.first, found.second), (1, 7));
        assert!((found.p - 18.0 / 256.0).abs() < 1e-12, "{found:?}");
        assert!((McNemar::of(&scores(0..4), &scores(2..6)).p - 1.0).abs() < 1e-12);
        assert_eq!(McNemar::of(&[], &[]).p, 1.0);
        let many = McNemar::of(&scores(0..100), &scores(100..160));
        assert!((many.p - 0.001_953_728_034_064_342).abs() < 1e-12, "{many:?}");
    }

    // Of n pictures, p n are right only in the first and q n only in the second: the standard error of the
    // paired difference is sqrt((p + q - (p - q)^2) / n).
    #[test]
    fn the_interval_has_the_width_of_theory() {
        let n = 4000;
        let scores = |right: &dyn Fn(i32) -> bool| (0..n).map(|i| f64::from(u8::from(right(i)))).collect::<Vec<f64>>();
        let first = scores(&|i| i % 10 != 0);
        let second = scores(&|i| i % 20 != 1 && i % 10 != 0 || i % 40 == 0);
        let found = paired(&first, &second, 100.0);
        let (p, q) = (0.05, 0.025);
        assert!((found.points - 100.0 * (p - q)).abs() < 1e-9);
        let half = 196.0 * ((p + q - (p - q) * (p - q)) / f64::from(n)).sqrt();
        for (end, sign) in found.interval.into_iter().zip([-1.0, 1.0]) {
            assert!((end - found.points - sign * half).abs() < 0.1 * half, "{found:?}, half width {half}");
        }
    }

    #[test]
    fn equal_lists_do_not_differ() {
        assert_eq!(paired(&[1.0, 0.0], &[1.0, 0.0], 100.0), Difference { points: 0.0, interval: [0.0, 0.0] });
        assert_eq!(paired(&[], &[], 1.0).points, 0.0);
    }
}
