//! Pictures of the data whose codes are known, because of what codes are to stand for.

use std::collections::BTreeMap;

use interp_data::{Dataset, Factor, Split};
use interp_net::finding::Unfit;
use interp_net::finding::random::{below, stream};
use interp_net::zoo::Latent;

use super::Code;
use crate::Result;

/// Of some training pictures the codes that they would be made of.
#[derive(Clone, Debug, Default)]
pub struct Guide {
    codes: BTreeMap<usize, Code>,
}

impl Guide {
    /// The code of every picture of a share of train, drawn by `seed`, by the factors that codes are to stand for: of a name its place among the names in
    /// alphabetical order, of a quantity its rank among these pictures, from -1 to 1.
    ///
    /// # Errors
    /// If the data do not know a factor of these pictures, it is no quantity where the code is continuous, or has more names than there are categories.
    pub fn new(data: &dyn Dataset, latent: &Latent, share: f64, seed: u64) -> Result<Self> {
        if latent.factors.is_empty() || share == 0.0 {
            return Ok(Self::default());
        }
        let shown = shown(data.len(Split::Train), share, seed);
        let none = || format!("{share} of {} pictures are none", data.len(Split::Train));
        Unfit::unless(!shown.is_empty(), "objective.generate.guided", none())?;
        let truth = |&index: &usize| Ok(data.truth(Split::Train, index)?.map_or(vec![], |truth| truth.factors));
        let truths = shown.iter().map(truth).collect::<Result<Vec<_>>>()?;
        let mut codes = vec![Code { categories: vec![], numbers: vec![], noise: vec![] }; shown.len()];
        for (at, name) in latent.factors.iter().enumerate() {
            let unfit =
                |problem: String| Unfit::new(format!("model.factors.{at}"), format!("names `{name}`, {problem}"));
            let unknown = || unfit(format!("which {} does not know of all its pictures", data.info().name));
            let found = values(&truths, name).ok_or_else(unknown)?;
            match latent.categorical.get(at) {
                Some(&count) => {
                    let places = places(&found, count).map_err(unfit)?;
                    codes.iter_mut().zip(places).for_each(|(code, place)| code.categories.push(place));
                }
                None => {
                    let no_quantity = || unfit("which is no quantity, for a continuous code".into());
                    let ranks = ranks(&found).ok_or_else(no_quantity)?;
                    codes.iter_mut().zip(ranks).for_each(|(code, rank)| code.numbers.push(rank));
                }
            }
        }
        Ok(Self { codes: shown.into_iter().zip(codes).collect() })
    }

    /// The code of a training picture, where it is known.
    pub fn of(&self, index: usize) -> Option<&Code> {
        self.codes.get(&index)
    }
}

/// In so many parts a share is told.
const SHARES: usize = 1_000_000;

/// Which of so many pictures are shown with their factors.
fn shown(count: usize, share: f64, seed: u64) -> Vec<usize> {
    let drawn = |index: usize| below(&mut stream(seed, "guided", 0, index as u64), SHARES) as f64;
    (0..count).filter(|&index| drawn(index) < share * SHARES as f64).collect()
}

/// The values of a factor; `None` where it is not known of all pictures, or there are none.
fn values<'a>(truths: &'a [Vec<(&'static str, Factor)>], name: &str) -> Option<Vec<&'a Factor>> {
    let of =
        |truth: &'a Vec<(&'static str, Factor)>| truth.iter().find(|factor| factor.0 == name).map(|factor| &factor.1);
    let found: Vec<&Factor> = truths.iter().map(of).collect::<Option<_>>()?;
    (!found.is_empty()).then_some(found)
}

/// The place of each name among all of them, quantities as they are written; what is wrong where there are more than `count`.
fn places(values: &[&Factor], count: usize) -> std::result::Result<Vec<usize>, String> {
    let word = |value: &&Factor| match value {
        Factor::Name(name) => name.clone(),
        Factor::Value(value) => value.to_string(),
    };
    let words: Vec<String> = values.iter().map(word).collect();
    let mut sorted = words.clone();
    sorted.sort();
    sorted.dedup();
    match sorted.len() <= count {
        true => Ok(words.iter().map(|word| sorted.partition_point(|other| other < word)).collect()),
        false => Err(format!("of {} values, for a code of {count} categories", sorted.len())),
    }
}

/// The rank of each quantity, from -1 to 1; equal ones have the mean of theirs. `None` where one is a name, or no number.
fn ranks(values: &[&Factor]) -> Option<Vec<f32>> {
    let number = |value: &&Factor| match value {
        Factor::Name(_) => None,
        Factor::Value(value) => value.is_finite().then_some(*value),
    };
    let numbers = values.iter().map(number).collect::<Option<Vec<f64>>>()?;
    let mut sorted = numbers.clone();
    sorted.sort_by(f64::total_cmp);
    let rank = |number: &f64| {
        let below = sorted.partition_point(|other| other < number);
        let up_to = sorted.partition_point(|other| other <= number);
        ((below + up_to) as f64 / sorted.len() as f64 - 1.0) as f32
    };
    Some(numbers.iter().map(rank).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_ranks_by_hand() {
        let values: Vec<Factor> = [3.0, 1.0, 1.0, 7.0].map(Factor::Value).to_vec();
        let values: Vec<&Factor> = values.iter().collect();
        assert_eq!(ranks(&values), Some(vec![0.25, -0.5, -0.5, 0.75]));
        let names = ["b", "a", "c", "a"].map(|name| Factor::Name(name.into()));
        let names: Vec<&Factor> = names.iter().collect();
        assert_eq!((places(&names, 3), ranks(&names)), (Ok(vec![1, 0, 2, 0]), None));
        assert_eq!(ranks(&[&Factor::Value(f64::NAN), &Factor::Value(1.0)]), None);
        assert!(places(&names, 2).unwrap_err().contains("of 3 values, for a code of 2 categories"));
    }
}
