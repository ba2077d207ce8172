//! Correlations.

/// Pearson's correlation; `None` where one side is constant, but for rounding.
pub fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let center = |values: &[f64]| -> Vec<f64> {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|value| value - mean).collect()
    };
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let spread = |values: &[f64], centered: &[f64]| {
        let spread = product(centered, centered);
        (spread > 1e-24 * product(values, values)).then(|| spread.sqrt())
    };
    let (of_a, of_b) = (center(a), center(b));
    let (spread_a, spread_b) = (spread(a, &of_a)?, spread(b, &of_b)?);
    Some((product(&of_a, &of_b) / spread_a / spread_b).clamp(-1.0, 1.0))
}

/// The rank of each number, from 1; equal ones share the mean of theirs.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    // A negative zero is a zero.
    order.sort_by(|&a, &b| (values[a] + 0.0).total_cmp(&(values[b] + 0.0)));
    let mut ranks = vec![0.0; values.len()];
    let mut done = 0;
    for same in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let mean = done as f64 + (same.len() + 1) as f64 / 2.0;
        same.iter().for_each(|&at| ranks[at] = mean);
        done += same.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    // Spearman's of 1, 2, 3, 4 and 2, 1, 4, 3 is 1 - 6 * 4 / (4 * 15) = 0.6; of numbers that are not equally far apart Pearson's differs.
    #[test]
    fn correlations_by_hand() {
        assert_eq!(ranks(&[10.0, -1.0, 10.0, 3.0]), [3.5, 1.0, 3.5, 2.0]);
        assert_eq!(ranks(&[0.0, -0.0]), [1.5, 1.5]);
        let (a, b) = ([1.0, 2.0, 3.0, 40.0], [2.0, 1.0, 4.0, 3.0]);
        assert!((correlation(&ranks(&a), &ranks(&b)).unwrap() - 0.6).abs() < 1e-15);
        assert!((correlation(&a, &b).unwrap() - 0.6).abs() > 0.1);
        assert_eq!(correlation(&[0.1; 3], &[1.0, 2.0, 3.0]), None);
        assert!((correlation(&[1.0, 2.0], &[5.0, 3.0]).unwrap() + 1.0).abs() < 1e-15);
    }
}
