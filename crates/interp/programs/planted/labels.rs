//! Labels that are flipped, and found by what a network contradicts.

use std::collections::BTreeSet;

use interp_audit::answers;
use interp_audit::soft_labels::suspects;
use interp_data::Split;
use interp_data::concepts::{Concepts, ConceptsSource};

use super::networks::Pupil;
use crate::Result;

/// How much larger the seed of pictures is that a network did not learn from.
const UNSEEN: u64 = 3000;

/// The flipped labels of some pictures, by what a network contradicts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Flips {
    /// Their share among the labels.
    pub(super) planted: f64,
    /// Of them, the share among the first tenth of the pictures, from the most contradicted on.
    pub(super) in_tenth: f64,
    /// Of them, the share among labels that are contradicted: another class is likelier.
    pub(super) contradicted: f64,
    /// Of the labels that are contradicted, the share that was flipped; `None` where none is.
    pub(super) precision: Option<f64>,
}

/// Looks for flipped labels among the pictures that a network learned from, and among as many others.
pub(super) fn flips(pupil: &Pupil) -> Result<[Flips; 2]> {
    Ok([flips_of(pupil, pupil.source.seed)?, flips_of(pupil, pupil.source.seed + UNSEEN)?])
}

fn flips_of(pupil: &Pupil, seed: u64) -> Result<Flips> {
    let source = ConceptsSource { seed, ..pupil.source.clone() };
    let truth: BTreeSet<usize> = Concepts::open(&source, &|_, _| ())?.flipped().into_iter().map(|(at, _)| at).collect();
    let pictures = pupil.pictures(Split::Train, |own| own.seed = seed)?;
    let found = suspects(&[answers(&pupil.network, &pictures)?]);
    let order: Vec<(bool, bool)> =
        found.iter().map(|suspect| (truth.contains(&suspect.index), suspect.suspicion() > 0.0)).collect();
    Ok(flips_in(&order))
}

/// Of pictures from the most contradicted on: whether the label was flipped, and whether it is contradicted.
fn flips_in(order: &[(bool, bool)]) -> Flips {
    let count = |part: &[(bool, bool)], which: fn(&(bool, bool)) -> bool| part.iter().filter(|one| which(one)).count();
    let share = |some: usize, all: usize| some as f64 / all.max(1) as f64;
    let (flipped, contradicted) = (count(order, |one| one.0), count(order, |one| one.1));
    let both = count(order, |one| one.0 && one.1);
    Flips {
        planted: share(flipped, order.len()),
        in_tenth: share(count(&order[..order.len() / 10], |one| one.0), flipped),
        contradicted: share(both, flipped),
        precision: (contradicted > 0).then(|| share(both, contradicted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Twenty pictures, four flipped, of which the first, the second and the fifth are contradicted, beside two others.
    #[test]
    fn flips_by_hand() {
        let order: Vec<(bool, bool)> = (0..20).map(|at| ([0, 1, 4, 19].contains(&at), at < 5)).collect();
        let expected = Flips { planted: 0.2, in_tenth: 0.5, contradicted: 0.75, precision: Some(0.6) };
        assert_eq!(flips_in(&order), expected);
        assert_eq!(flips_in(&[]), Flips { planted: 0.0, in_tenth: 0.0, contradicted: 0.0, precision: None });
    }
}
