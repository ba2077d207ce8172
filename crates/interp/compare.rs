//! Two networks on the same pictures.

use interp_finding::random::stream;
use rand::Rng;
use serde::Serialize;

/// The difference between two scores measured on the same pictures: in percentage points of accuracy, or dB of PSNR.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// First minus second.
    pub points: f64,
    /// 95 % interval of the paired difference: percentiles of a bootstrap over pictures.
    pub interval: [f64; 2],
}

/// Resamples of the bootstrap.
const RESAMPLES: usize = 2000;

/// The paired difference of the means of two lists of scores, picture by picture (Efron and Tibshirani 1993, section 13.3),
/// multiplied with `scale`. The resampling is seeded: the same lists give the same interval.
pub fn paired(first: &[f64], second: &[f64], scale: f64) -> Difference {
    let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| a - b).collect();
    let count = differences.len().max(1);
    let points = |sum: f64| scale * sum / count as f64;
    let sum = |list: &mut dyn Iterator<Item = f64>| list.sum::<f64>();
    let mut resampled: Vec<f64> = (0..RESAMPLES)
        .map(|resample| {
            let mut rng = stream(0, "bootstrap", 0, resample as u64);
            points(sum(&mut (0..differences.len()).map(|_| differences[rng.random_range(0..differences.len())])))
        })
        .collect();
    resampled.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| resampled[((RESAMPLES - 1) as f64 * share).round() as usize];
    Difference { points: points(sum(&mut differences.iter().copied())), interval: [at(0.025), at(0.975)] }
}

#[cfg(test)]
mod tests {
    use super::*;

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
