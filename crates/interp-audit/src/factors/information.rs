//! What a code tells of a factor, by counting.

/// The bin of each value, of `count` equally wide from the least to the largest; all are in the first where they are the same.
pub fn bins(values: &[f64], count: usize) -> Vec<usize> {
    let (low, high) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)));
    let bin = |&value: &f64| match high > low {
        true => (((value - low) / (high - low) * count as f64) as usize).min(count.saturating_sub(1)),
        false => 0,
    };
    values.iter().map(bin).collect()
}

/// The bin of each value, of `count` that hold as many values each, but that equal values are in one.
pub fn quantiles(values: &[f64], count: usize) -> Vec<usize> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let below = |value: f64| sorted.partition_point(|other| *other < value);
    values.iter().map(|&value| below(value) * count / values.len().max(1)).collect()
}

/// How often each pair occurs, as a table of `a` by `b`.
fn joint(a: &[usize], b: &[usize]) -> Vec<Vec<f64>> {
    let size = |values: &[usize]| values.iter().max().map_or(0, |most| most + 1);
    let mut counts = vec![vec![0.0; size(b)]; size(a)];
    a.iter().zip(b).for_each(|(&a, &b)| counts[a][b] += 1.0);
    counts
}

/// The entropy in nats of how often each value occurs.
pub fn entropy(values: &[usize]) -> f64 {
    let counts = joint(values, &vec![0; values.len()]);
    let shares = counts.iter().flatten().filter(|&&count| count > 0.0).map(|count| count / values.len() as f64);
    -shares.map(|share| share * share.ln()).sum::<f64>()
}

/// The mutual information in nats of two sequences, by counting; 0 where they are independent. It is biased upwards by about
/// `(A - 1)(B - 1) / 2N` of N pairs of A and B values.
pub fn mutual_information(a: &[usize], b: &[usize]) -> f64 {
    let (counts, all) = (joint(a, b), a.len().min(b.len()) as f64);
    let columns = counts.first().map_or(0, Vec::len);
    let of_b: Vec<f64> = (0..columns).map(|b| counts.iter().map(|row| row[b]).sum()).collect();
    let row = |row: &Vec<f64>| {
        let of_a: f64 = row.iter().sum();
        let cells = row.iter().zip(&of_b).filter(|(count, _)| **count > 0.0);
        cells.map(|(count, of_b)| count / all * (count * all / (of_a * of_b)).ln()).sum::<f64>()
    };
    counts.iter().map(row).sum::<f64>().max(0.0)
}

/// How well a code alone predicts a factor: every second pair says which value is the likeliest in each bin of the code, and the others how often that is right,
/// as the mean over values of the share that is (balanced accuracy); the value that occurs most is told for bins that were not seen. `None` where some value is in one half alone, or
/// there is one value.
pub fn predictability(code: &[usize], factor: &[usize]) -> Option<f64> {
    let half = |which: usize| -> (Vec<usize>, Vec<usize>) {
        code.iter().zip(factor).skip(which).step_by(2).map(|(code, factor)| (*code, *factor)).unzip()
    };
    let ((code, known), (asked, truth)) = (half(0), half(1));
    let counts = joint(&code, &known);
    let values = counts.first().map_or(0, Vec::len);
    let all: Vec<f64> = (0..values).map(|value| counts.iter().map(|row| row[value]).sum()).collect();
    // Each value counts alike, however often it occurs.
    let likeliest = |row: &[f64]| {
        let weight = |value: &usize| if all[*value] > 0.0 { row[*value] / all[*value] } else { 0.0 };
        (0..values).rev().max_by(|a, b| weight(a).total_cmp(&weight(b))).unwrap_or(0)
    };
    let told: Vec<usize> = counts.iter().map(|row| likeliest(row)).collect();
    let default = (0..values).rev().max_by(|&a, &b| all[a].total_cmp(&all[b]))?;
    let mut right = vec![(0.0, 0.0); values];
    for (code, &truth) in asked.iter().zip(&truth) {
        let (sum, count) = right.get_mut(truth)?;
        *sum += f64::from(u8::from(told.get(*code).copied().unwrap_or(default) == truth));
        *count += 1.0;
    }
    let occurring: Vec<usize> = (0..values).filter(|&value| all[value] > 0.0 || right[value].1 > 0.0).collect();
    let in_both = occurring.iter().all(|&value| all[value] > 0.0 && right[value].1 > 0.0);
    let shares = occurring.iter().map(|&value| right[value].0 / right[value].1);
    (in_both && occurring.len() > 1).then(|| shares.sum::<f64>() / occurring.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
    }

    #[test]
    fn bins_by_hand() {
        assert_eq!(bins(&[0.0, 0.24, 0.25, 0.5, 1.0], 4), [0, 0, 1, 2, 3]);
        assert_eq!(bins(&[2.0; 3], 4), [0; 3]);
        assert_eq!(quantiles(&[5.0, 1.0, 3.0, 2.0], 2), [1, 0, 1, 0]);
        // Equal values are in one bin.
        assert_eq!(quantiles(&[0.0, 0.0, 0.0, 7.0], 2), [0, 0, 0, 1]);
        assert!(bins(&[], 4).is_empty() && quantiles(&[], 4).is_empty());
    }

    // A fair bit told by itself, ln 2; told wrongly one time in ten, ln 2 less the entropy of that: 0.531004 of it; by an independent one, nothing.
    #[test]
    fn information_by_hand() {
        let bit: Vec<usize> = (0..1000).map(|at| at % 2).collect();
        near(entropy(&bit), 2f64.ln());
        near(mutual_information(&bit, &bit), 2f64.ln());
        let flipped: Vec<usize> = (0..1000).map(|at| if at / 2 % 10 == 0 { 1 - at % 2 } else { at % 2 }).collect();
        assert!((mutual_information(&bit, &flipped) / entropy(&bit) - 0.531_004).abs() < 1e-6);
        let other: Vec<usize> = (0..1000).map(|at| at / 2 % 2).collect();
        near(mutual_information(&bit, &other), 0.0);
        near(mutual_information(&[], &[]), 0.0);
        near(entropy(&[]), 0.0);
    }

    #[test]
    fn predictability_by_hand() {
        // Values 0, 0, 1, 1 in turn, so that each half has both.
        let factor: Vec<usize> = (0..400).map(|at| at / 2 % 2).collect();
        near(predictability(&factor, &factor).unwrap(), 1.0);
        // A code that is always the same tells one value: half of the mean over values.
        near(predictability(&[0; 400], &factor).unwrap(), 0.5);
        // Three times as many zeros as ones: a code that says nothing is right on one of two values still.
        let uneven: Vec<usize> = (0..400).map(|at| usize::from(at / 2 % 4 == 0)).collect();
        near(predictability(&[0; 400], &uneven).unwrap(), 0.5);
        assert_eq!(predictability(&[0; 4], &[0; 4]), None);
        assert_eq!(predictability(&[0; 4], &[0, 1, 0, 1]), None, "each value is in one half alone");
        assert_eq!(predictability(&[], &[]), None);
    }
}
