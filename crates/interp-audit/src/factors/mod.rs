//! How far single codes tell of single factors, of pictures whose factors are known.
//!
//! A code is a number of each picture: the mean or the largest activation of a channel, or a dimension of a latent code. What it tells of a factor is their
//! mutual information, counted over bins; [`scores`] says how far each code keeps to one factor, and each factor to one code.

mod codes;
pub mod information;
pub mod scores;

pub use codes::{Codes, Pooled};

use interp_data::Factor;
use interp_net::finding::random::{shuffle, stream};
use rayon::prelude::*;

use self::information::{bins, entropy, mutual_information, predictability, quantiles};
use self::scores::{
    completeness, disentanglement, information_gaps, mean_completeness, mean_disentanglement, modularity,
    predictability_gaps,
};

/// Bins of a code (Locatello et al. 2019: 20).
const BINS: usize = 20;
/// Values of a factor that is a quantity.
const VALUES: usize = 10;

/// A factor of some pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// What it is called.
    pub name: String,
    /// Its values: names in alphabetical order, or bins of a quantity with as many pictures each, by the least of each.
    pub values: Vec<String>,
    /// Picture by picture, a position in `values`; `None` where it cannot be seen.
    pub of: Vec<Option<usize>>,
}

/// The factors of pictures that are known of some of them and have two values or more, in the order in which they come.
pub fn known(truths: &[Vec<(&'static str, Factor)>]) -> Vec<Known> {
    let mut names: Vec<&str> = vec![];
    truths.iter().flatten().for_each(|(name, _)| {
        if !names.contains(name) {
            names.push(name);
        }
    });
    let of = |name: &&str| {
        let found: Vec<Option<&Factor>> =
            truths.iter().map(|of| of.iter().find(|one| one.0 == *name).map(|one| &one.1)).collect();
        let known = named(name, &found).or_else(|| measured(name, &found))?;
        (known.values.len() > 1).then_some(known)
    };
    names.iter().filter_map(of).collect()
}

/// A factor of names; `None` where it has others.
fn named(name: &str, found: &[Option<&Factor>]) -> Option<Known> {
    let word = |factor: &&Factor| match factor {
        Factor::Name(word) => Some(word.clone()),
        Factor::Value(_) => None,
    };
    let mut values = found.iter().flatten().map(word).collect::<Option<Vec<String>>>()?;
    values.sort();
    values.dedup();
    let place = |factor: &&Factor| word(factor).and_then(|word| values.binary_search(&word).ok());
    let of = found.iter().map(|factor| factor.as_ref().and_then(place)).collect();
    Some(Known { name: name.to_owned(), values, of })
}

/// A factor that is a quantity; `None` where it has names.
fn measured(name: &str, found: &[Option<&Factor>]) -> Option<Known> {
    let value = |factor: &&Factor| match factor {
        Factor::Name(_) => None,
        Factor::Value(value) => value.is_finite().then_some(*value),
    };
    let all = found.iter().flatten().map(value).collect::<Option<Vec<f64>>>()?;
    let bins = quantiles(&all, VALUES);
    let mut starts: Vec<(usize, f64)> = bins.iter().copied().zip(all.iter().copied()).collect();
    starts.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    starts.dedup_by_key(|(bin, _)| *bin);
    let mut next = bins.iter();
    let place = |bin: &usize| starts.iter().position(|(other, _)| other == bin);
    let of = found.iter().map(|factor| factor.as_ref().and_then(|_| place(next.next()?))).collect();
    Some(Known { name: name.to_owned(), values: starts.iter().map(|(_, start)| start.to_string()).collect(), of })
}

/// How far codes keep to factors.
#[derive(Clone, Debug, PartialEq)]
pub struct Decomposition {
    /// Codes by factors, in nats.
    pub information: Vec<Vec<f64>>,
    /// Codes by factors: how well a code alone predicts a factor (balanced accuracy).
    pub predictability: Vec<Vec<f64>>,
    /// Of each factor, in nats, over the pictures in which it is seen.
    pub entropies: Vec<f64>,
}

impl Decomposition {
    /// What each code, picture by picture, tells of each factor, over the pictures in which it is seen. A predictability that cannot be told is that of
    /// chance.
    pub fn of(codes: &[Vec<f64>], factors: &[Known]) -> Self {
        let cell = |code: &Vec<f64>, factor: &Known| {
            let seen = code.iter().zip(&factor.of).filter_map(|(value, of)| Some((*value, (*of)?)));
            let (values, of): (Vec<f64>, Vec<usize>) = seen.unzip();
            let code = bins(&values, BINS);
            let chance = 1.0 / factor.values.len().max(1) as f64;
            [mutual_information(&code, &of), predictability(&code, &of).unwrap_or(chance)]
        };
        let row = |code: &Vec<f64>| factors.iter().map(|factor| cell(code, factor)).collect();
        let rows: Vec<Vec<[f64; 2]>> = codes.par_iter().map(row).collect();
        let table = |which: usize| rows.iter().map(|row| row.iter().map(|cell| cell[which]).collect()).collect();
        let seen = |factor: &Known| factor.of.iter().flatten().copied().collect::<Vec<_>>();
        let entropies = factors.iter().map(|factor| entropy(&seen(factor))).collect();
        Self { information: table(0), predictability: table(1), entropies }
    }

    /// The same of codes that have nothing to do with the pictures: each is that of another picture, drawn by `seed`.
    pub fn by_chance(codes: &[Vec<f64>], factors: &[Known], seed: u64) -> Self {
        let pictures = codes.first().map_or(0, Vec::len);
        let mut order: Vec<usize> = (0..pictures).collect();
        shuffle(&mut stream(seed, "factors by chance", 0, 0), &mut order);
        let moved: Vec<Vec<f64>> = codes.iter().map(|code| order.iter().map(|&at| code[at]).collect()).collect();
        Self::of(&moved, factors)
    }

    /// The scores, of all codes and factors.
    pub fn scores(&self) -> Scores {
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
        Scores {
            information_gap: mean(information_gaps(&self.information, &self.entropies)),
            predictability_gap: mean(predictability_gaps(&self.predictability)),
            disentanglement: mean_disentanglement(&self.information),
            completeness: mean_completeness(&self.information),
            modularity: mean(modularity(&self.information)),
        }
    }

    /// Of each code how far it keeps to one factor ([`disentanglement`]).
    pub fn of_codes(&self) -> Vec<f64> {
        disentanglement(&self.information)
    }

    /// Of each factor how far it keeps to one code ([`completeness`]).
    pub fn of_factors(&self) -> Vec<f64> {
        completeness(&self.information)
    }
}

/// Scores of codes, each 0 to 1, higher where codes keep to factors.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Scores {
    /// The mean mutual information gap (MIG).
    pub information_gap: f64,
    /// The mean separated attribute predictability (SAP), by bins of each code.
    pub predictability_gap: f64,
    /// Disentanglement (DCI), with mutual information as importance.
    pub disentanglement: f64,
    /// Completeness (DCI), with mutual information as importance.
    pub completeness: f64,
    /// The mean modularity.
    pub modularity: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(word: &str) -> Factor {
        Factor::Name(word.into())
    }

    #[test]
    fn factors_are_put_together_from_pictures() {
        let truths: Vec<Vec<(&'static str, Factor)>> = vec![
            vec![("hue", name("red")), ("x", Factor::Value(0.5)), ("same", name("a"))],
            vec![("hue", name("blue")), ("x", Factor::Value(0.1)), ("same", name("a"))],
            vec![("hue", name("red")), ("same", name("a")), ("turn", Factor::Value(3.0))],
        ];
        let found = known(&truths);
        let names: Vec<&str> = found.iter().map(|known| known.name.as_str()).collect();
        assert_eq!(names, ["hue", "x"], "what is always the same, or known of one picture, is no factor");
        assert_eq!((found[0].values.join(" "), &found[0].of), ("blue red".into(), &vec![Some(1), Some(0), Some(1)]));
        assert_eq!((found[1].values.join(" "), &found[1].of), ("0.1 0.5".into(), &vec![Some(1), Some(0), None]));
        assert!(known(&[]).is_empty());
    }

    /// Two independent factors of four values, over 1,600 pictures in which each pair of values occurs alike.
    fn factors() -> Vec<Known> {
        let of = |value: fn(usize) -> usize| (0..1600).map(|at| Some(value(at))).collect();
        let values: Vec<String> = (0..4).map(|value| value.to_string()).collect();
        let (a, b) = (Known { name: "a".into(), values: values.clone(), of: of(|at| at / 2 % 4) }, of(|at| at / 8 % 4));
        vec![a, Known { name: "b".into(), values, of: b }]
    }

    fn codes(of: &[fn(f64, f64) -> f64]) -> Vec<Vec<f64>> {
        let factors = factors();
        let value = |which: usize, at: usize| factors[which].of[at].unwrap() as f64;
        of.iter().map(|code| (0..1600).map(|at| code(value(0, at), value(1, at))).collect()).collect()
    }

    fn scores(of: &[fn(f64, f64) -> f64]) -> Scores {
        Decomposition::of(&codes(of), &factors()).scores()
    }

    // Codes that are the factors have all scores 1 but SAP, which is what chance leaves: 1 - 1/4. Both mixed alike, a + b and a - b, tell as much of either factor
    // as the other: no gap, disentanglement and completeness 0, modularity 0. A factor told twice has no gap.
    #[test]
    fn scores_of_codes_by_hand() {
        let perfect = scores(&[|a, _| a, |_, b| b]);
        let expected = Scores {
            information_gap: 1.0,
            predictability_gap: 0.75,
            disentanglement: 1.0,
            completeness: 1.0,
            modularity: 1.0,
        };
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        let all =
            |s: Scores| [s.information_gap, s.predictability_gap, s.disentanglement, s.completeness, s.modularity];
        assert!(all(perfect).into_iter().zip(all(expected)).all(|(a, b)| near(a, b)), "{perfect:?}");
        let mixed = scores(&[|a, b| a + b, |a, b| a - b]);
        assert!(all(mixed).into_iter().all(|score| near(score, 0.0)), "{mixed:?}");
        let twice = scores(&[|a, _| a, |a, _| -a, |_, b| b, |_, b| b * b]);
        assert!(near(twice.information_gap, 0.0) && near(twice.disentanglement, 1.0) && near(twice.modularity, 1.0));
        assert!(near(twice.completeness, 1.0 - 2f64.ln() / 4f64.ln()), "{twice:?}");
        // A code of both factors at once, 4 a + b, tells all of either.
        let both = Decomposition::of(&codes(&[|a, b| 4.0 * a + b]), &factors());
        assert!(both.information[0].iter().all(|&told| near(told, 4f64.ln())) && near(both.of_codes()[0], 0.0));
        assert_eq!(both.of_factors(), [1.0; 2]);
    }

    // By chance a code of 4 values tells (4 - 1)(4 - 1) / (2 * 1600) nats of a factor, give or take.
    #[test]
    fn codes_of_other_pictures_tell_next_to_nothing() {
        let found = Decomposition::by_chance(&codes(&[|a, _| a, |_, b| b]), &factors(), 0);
        assert!(found.information.iter().flatten().all(|&told| told < 0.02), "{found:?}");
        assert!(found.scores().information_gap < 0.02 && found.scores().predictability_gap < 0.1);
    }

    // Of pictures in which a factor is not seen nothing is counted.
    #[test]
    fn pictures_without_a_factor_are_left_out() {
        let mut factors = factors();
        let mut all = codes(&[|a, _| a]);
        (0..1600).filter(|at| at % 3 == 0).for_each(|at| {
            factors[0].of[at] = None;
            all[0][at] = 1e9;
        });
        let found = Decomposition::of(&all, &factors[..1]);
        assert!((found.information[0][0] - found.entropies[0]).abs() < 1e-9, "{found:?}");
    }
}
