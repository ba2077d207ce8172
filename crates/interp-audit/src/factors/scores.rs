//! Scores of disentanglement, from how much each code tells of each factor.
//!
//! All are of a table, codes by factors. Definitions are those of Locatello et al. 2019 ("Challenging common assumptions in the unsupervised learning of
//! disentangled representations", arXiv 1811.12359, appendix C).

/// Of a table, codes by factors, row by row.
pub type Table = [Vec<f64>];

/// The mutual information gap (Chen et al. 2018, arXiv 1802.04942, equation 6) of each factor: how much more the code that tells most of it tells than the
/// second, as a share of the factor's entropy. `information` in nats, as are `entropies`; 0 for a factor without any.
pub fn information_gaps(information: &Table, entropies: &[f64]) -> Vec<f64> {
    let gap = |(factor, &entropy): (usize, &f64)| {
        let [first, second] = two_largest(information.iter().map(|row| row[factor]));
        if entropy > 0.0 { (first - second) / entropy } else { 0.0 }
    };
    entropies.iter().enumerate().map(gap).collect()
}

/// The separated attribute predictability (Kumar et al. 2018, arXiv 1711.00848) of each factor: how much better the code that predicts it best predicts it than
/// the second.
pub fn predictability_gaps(scores: &Table) -> Vec<f64> {
    let factors = scores.first().map_or(0, Vec::len);
    let gap = |factor: usize| {
        let [first, second] = two_largest(scores.iter().map(|row| row[factor]));
        first - second
    };
    (0..factors).map(gap).collect()
}

/// Disentanglement (Eastwood and Williams 2018): of each code 1 less the entropy of how its importance is divided among factors, to the base of their number: 1
/// where it tells of one factor alone.
pub fn disentanglement(importance: &Table) -> Vec<f64> {
    importance.iter().map(|row| concentration(row)).collect()
}

/// Completeness (Eastwood and Williams 2018): the same of each factor, over codes: 1 where one code alone tells of it.
pub fn completeness(importance: &Table) -> Vec<f64> {
    let factors = importance.first().map_or(0, Vec::len);
    (0..factors).map(|factor| concentration(&column(importance, factor))).collect()
}

/// The mean over codes, each weighed by its importance, of [`disentanglement`]; 0 where nothing is important.
pub fn mean_disentanglement(importance: &Table) -> f64 {
    weighed(&disentanglement(importance), importance.iter().map(|row| row.iter().sum()))
}

/// The mean over factors, each weighed by its importance, of [`completeness`]; 0 where nothing is important.
pub fn mean_completeness(importance: &Table) -> f64 {
    let factors = importance.first().map_or(0, Vec::len);
    weighed(&completeness(importance), (0..factors).map(|factor| column(importance, factor).iter().sum()))
}

/// Modularity (Ridgeway and Mozer 2018, arXiv 1802.05312, section 3) of each code: 1 less what it tells of all factors but its first, squared, beside as much
/// of each of them as of the first; 0 for a code that tells nothing.
pub fn modularity(information: &Table) -> Vec<f64> {
    let of = |row: &Vec<f64>| {
        let squares = row.iter().map(|value| value * value);
        let (sum, most) = squares.fold((0.0, 0.0), |(sum, most), square: f64| (sum + square, square.max(most)));
        let others = row.len().saturating_sub(1);
        match most > 0.0 {
            true if others > 0 => 1.0 - (sum - most) / (most * others as f64),
            true => 1.0,
            false => 0.0,
        }
    };
    information.iter().map(of).collect()
}

fn column(table: &Table, at: usize) -> Vec<f64> {
    table.iter().map(|row| row[at]).collect()
}

/// 1 less the entropy of shares to the base of their number; 0 of nothing, 1 of a single share.
fn concentration(values: &[f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    match values.len() {
        _ if sum <= 0.0 => 0.0,
        1 => 1.0,
        count => {
            let shares = values.iter().map(|value| value / sum).filter(|&share| share > 0.0);
            1.0 + shares.map(|share| share * share.ln()).sum::<f64>() / (count as f64).ln()
        }
    }
}

fn weighed(values: &[f64], weights: impl Iterator<Item = f64>) -> f64 {
    let (sum, all) =
        values.iter().zip(weights).fold((0.0, 0.0), |(sum, all), (value, weight)| (sum + value * weight, all + weight));
    if all > 0.0 { sum / all } else { 0.0 }
}

fn two_largest(values: impl Iterator<Item = f64>) -> [f64; 2] {
    values.fold([0.0; 2], |[first, second], value| match value {
        value if value > first => [value, first],
        value => [first, second.max(value)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten codes by ten factors, 5 where both are the same.
    fn diagonal() -> Vec<Vec<f64>> {
        (0..10).map(|code| (0..10).map(|factor| if code == factor { 5.0 } else { 0.0 }).collect()).collect()
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
    }

    // Those of disentanglement_lib's tests: each code one factor; each code two; each factor two codes; nothing.
    #[test]
    fn disentanglement_and_completeness_by_hand() {
        let one = diagonal();
        near(mean_disentanglement(&one), 1.0);
        near(mean_completeness(&one), 1.0);
        // Ten codes, twenty factors: each code tells of two, 1 - ln 2 / ln 20.
        let two_factors: Vec<Vec<f64>> = one.iter().map(|row| row.repeat(2)).collect();
        near(mean_disentanglement(&two_factors), 1.0 - 2f64.ln() / 20f64.ln());
        near(mean_completeness(&two_factors), 1.0);
        // Twenty codes, ten factors.
        let two_codes = [one.clone(), one].concat();
        near(mean_disentanglement(&two_codes), 1.0);
        near(mean_completeness(&two_codes), 1.0 - 2f64.ln() / 20f64.ln());
        let nothing = vec![vec![0.0; 10]; 10];
        assert_eq!((mean_disentanglement(&nothing), mean_completeness(&nothing)), (0.0, 0.0));
        // A code that tells as much of both factors, three times as important as one that tells of one: (3 * 0 + 1) / 4.
        near(mean_disentanglement(&[vec![1.5, 1.5], vec![1.0, 0.0]]), 0.25);
    }

    #[test]
    fn modularity_by_hand() {
        // 1 - (1 + 4) / (9 * 2), 1, and nothing.
        let found = modularity(&[vec![3.0, 1.0, 2.0], vec![0.0, 2.0, 0.0], vec![0.0; 3]]);
        near(found[0], 1.0 - 5.0 / 18.0);
        assert_eq!(found[1..], [1.0, 0.0]);
        assert_eq!(modularity(&[vec![2.0]]), [1.0]);
    }

    #[test]
    fn gaps_by_hand() {
        assert_eq!(information_gaps(&[vec![0.5, 0.25], vec![0.125, 0.5], vec![0.25, 0.5]], &[0.5, 1.0]), [0.5, 0.0]);
        assert_eq!(information_gaps(&[vec![0.5]], &[0.0]), [0.0]);
        // Identical codes but for one, as in disentanglement_lib's test: the best is right on all, others by chance.
        assert_eq!(predictability_gaps(&[vec![1.0], vec![0.5], vec![0.5]]), [0.5]);
        assert!(predictability_gaps(&[]).is_empty());
    }
}
