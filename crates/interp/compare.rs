//! Two networks on the same pictures.

use interp_finding::mean_interval;
use serde::Serialize;

/// The difference between two scores measured on the same pictures: in percentage points of accuracy, or dB of PSNR.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
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
