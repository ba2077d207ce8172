//! Groups of channels that go together: a non-negative matrix factorization.

use interp_net::finding::random::stream;
use nalgebra::DMatrix;
use rand_chacha::rand_core::RngCore;

/// Channels that answer together.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// How much each channel is part of it, of length 1.
    pub direction: Vec<f64>,
    /// How much of it there is at each place, in the activation's unit.
    pub amount: Vec<f64>,
}

/// A factorization.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    /// The groups, from that on of which there is most: by the length of its amounts.
    pub groups: Vec<Group>,
    /// After every iteration, the Frobenius norm of what the groups do not make up, in parts of all.
    pub errors: Vec<f64>,
}

/// Iterations.
pub const ITERATIONS: usize = 200;

/// Non-negative factors of activations `V` (places, channels), row by row: `V = W H` as near as can be, of `count` groups, by multiplicative updates
/// `H <- H W'V / W'WH` and `W <- W VH' / WHH'`, in which the error never grows (Lee and Seung 2001, "Algorithms for non-negative matrix factorization",
/// theorem 1). The start is drawn by `seed`; it matters, since what is found is the best nearby. `None` where an activation is negative.
pub fn factors(values: &[f64], channels: usize, count: usize, iterations: usize, seed: u64) -> Option<Factors> {
    if values.iter().any(|value| *value < 0.0) {
        return None;
    }
    let places = values.len() / channels.max(1);
    let all = DMatrix::from_row_slice(places, channels, values);
    let mean = all.sum() / all.len().max(1) as f64;
    let drawn = |what: u64, rows: usize, columns: usize| {
        let mut rng = stream(seed, "factors", 0, what);
        let about = (mean / count.max(1) as f64).sqrt();
        DMatrix::from_fn(rows, columns, |_, _| about * (0.5 + f64::from(rng.next_u32()) / f64::from(u32::MAX)))
    };
    let (mut amounts, mut directions) = (drawn(0, places, count), drawn(1, count, channels));
    let whole = all.norm().max(f64::MIN_POSITIVE);
    let errors = (0..iterations).map(|_| {
        let turned = amounts.transpose();
        improve(&mut directions, &(&turned * &all), |directions| &turned * &amounts * directions);
        let turned = directions.transpose();
        let square = &directions * &turned;
        improve(&mut amounts, &(&all * &turned), |amounts| amounts * &square);
        (&all - &amounts * &directions).norm() / whole
    });
    let errors = errors.collect();
    Some(Factors { groups: groups(&amounts, &directions), errors })
}

/// Each number times what it should be part of over what it is part of.
fn improve(factor: &mut DMatrix<f64>, wanted: &DMatrix<f64>, made: impl Fn(&DMatrix<f64>) -> DMatrix<f64>) {
    let made = made(factor);
    factor.zip_zip_apply(wanted, &made, |value, wanted, made| *value *= wanted / made.max(f64::MIN_POSITIVE));
}

fn groups(amounts: &DMatrix<f64>, directions: &DMatrix<f64>) -> Vec<Group> {
    let group = |at: usize| {
        let length = directions.row(at).norm().max(f64::MIN_POSITIVE);
        Group {
            direction: directions.row(at).iter().map(|value| value / length).collect(),
            amount: amounts.column(at).iter().map(|value| value * length).collect(),
        }
    };
    let mut groups: Vec<Group> = (0..amounts.ncols()).map(group).collect();
    let size = |group: &Group| group.amount.iter().map(|amount| amount * amount).sum::<f64>();
    groups.sort_by(|a, b| size(b).total_cmp(&size(a)));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three groups of nine channels, one in common, at 40 places, of which each group has some for itself: nothing else has this product.
    fn planted() -> ([[f64; 9]; 3], Vec<[f64; 3]>) {
        let directions = [
            [1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0],
            [0.0, 0.0, 3.0, 1.0, 0.0, 0.0, 0.5, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.5, 2.0, 0.0],
        ];
        let amount = |place: usize, group: usize| match place % 4 {
            3 => 0.2 + ((place * 7 + group * 5) % 11) as f64 / 11.0,
            own if own == group => 1.0 + (place % 5) as f64 / 3.0,
            _ => 0.0,
        };
        (directions, (0..40).map(|place| [0, 1, 2].map(|group| amount(place, group))).collect())
    }

    fn product(directions: &[[f64; 9]; 3], amounts: &[[f64; 3]]) -> Vec<f64> {
        let cell =
            |amount: &[f64; 3], channel: usize| (0..3).map(|group| amount[group] * directions[group][channel]).sum();
        amounts.iter().flat_map(|amount| (0..9).map(move |channel| cell(amount, channel))).collect()
    }

    #[test]
    fn a_planted_product_is_found_again_and_the_error_never_grows() {
        let (directions, amounts) = planted();
        let values = product(&directions, &amounts);
        for seed in 0..3 {
            let found = factors(&values, 9, 3, ITERATIONS, seed).unwrap();
            assert!(found.errors.len() == 200 && found.errors.windows(2).all(|pair| pair[1] <= pair[0] + 1e-12));
            assert!(found.errors[199] < 0.01, "{:?}", found.errors[199]);
            let like = |group: &Group, planted: &[f64; 9]| {
                let length = planted.iter().map(|v| v * v).sum::<f64>().sqrt();
                group.direction.iter().zip(planted).map(|(a, b)| a * b).sum::<f64>() / length
            };
            for (at, planted) in directions.iter().enumerate() {
                let group = found.groups.iter().find(|group| like(group, planted) > 0.999);
                let group = group.unwrap_or_else(|| panic!("group {at} of seed {seed}: {:?}", found.groups));
                // By how long the direction was, the amounts are longer.
                let length = planted.iter().map(|v| v * v).sum::<f64>().sqrt();
                assert!(group.amount.iter().zip(&amounts).all(|(a, b)| (a - b[at] * length).abs() < 0.1));
            }
        }
    }

    #[test]
    fn what_is_not_to_be_factored_is_told_and_nothing_is_factored_into_nothing() {
        assert_eq!(factors(&[1.0, -0.1], 2, 1, 5, 0), None);
        let found = factors(&[0.0; 8], 2, 2, 5, 0).unwrap();
        assert!(found.groups.iter().all(|group| group.amount == [0.0; 4]), "{found:?}");
        assert!(found.errors.iter().all(|error| *error == 0.0));
    }
}
