//! Codes that pictures are made of.

use interp_finding::Unfit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// More numbers than any generator here needs.
const LONGEST: usize = 4096;

/// What a generator makes a picture of: one of several categories for each categorical code, a number in [-1, 1] for each continuous
/// one, and noise. As a vector: the categorical codes one after another, 1 at the category and 0 elsewhere, then the continuous ones,
/// then the noise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Latent {
    /// Categories of each categorical code.
    pub categorical: Vec<usize>,
    /// Continuous codes.
    pub continuous: usize,
    /// Numbers of normal noise, for all that no code says.
    pub noise: usize,
    /// The factor of the data's pictures that each code is to stand for, the categorical ones first; none where that is left to training.
    pub factors: Vec<String>,
}

impl Latent {
    /// Numbers that a recognizer tells of a picture: a logit for each category of each categorical code, and the mean of each
    /// continuous one.
    pub fn told(&self) -> usize {
        self.categorical.iter().sum::<usize>() + self.continuous
    }

    /// Numbers of the vector that a generator is given.
    pub fn length(&self) -> usize {
        self.told() + self.noise
    }

    /// The names of the codes: `category 1`, ..., `continuous 1`, ...
    pub fn names(&self) -> Vec<String> {
        let categorical = (1..=self.categorical.len()).map(|code| format!("category {code}"));
        categorical.chain((1..=self.continuous).map(|code| format!("continuous {code}"))).collect()
    }

    /// Says which setting is out of range, for pictures of `pixels` values.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub(crate) fn check(&self, pixels: usize) -> Result<(), Unfit> {
        let (codes, factors) = (self.categorical.len() + self.continuous, self.factors.len());
        Unfit::unless(codes > 0, "categorical", "or `continuous` must give a code: there is none to learn")?;
        for (code, &count) in self.categorical.iter().enumerate() {
            let problem = format!("must be two categories or more, not {count}");
            Unfit::unless(count >= 2, &format!("categorical.{code}"), problem)?;
        }
        let told = self.categorical.iter().fold(self.continuous, |sum, &count| sum.saturating_add(count));
        let problem = format!("and `continuous` are {told} numbers, more than a picture's {pixels}: give fewer codes");
        Unfit::unless(told <= pixels, "categorical", problem)?;
        let problem = format!("must name a factor for each of {codes} codes, or none, not {factors}");
        Unfit::unless(factors == 0 || factors == codes, "factors", problem)?;
        let all = told.saturating_add(self.noise);
        let problem = format!("must leave codes of at most {LONGEST} numbers together, not {all}");
        Unfit::unless(all <= LONGEST, "noise", problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latent(categorical: &[usize], continuous: usize, noise: usize) -> Latent {
        Latent { categorical: categorical.to_vec(), continuous, noise, factors: vec![] }
    }

    #[test]
    fn numbers_and_names_by_hand() {
        let latent = latent(&[10, 3], 2, 62);
        assert_eq!([latent.told(), latent.length()], [15, 77]);
        assert_eq!(latent.names(), ["category 1", "category 2", "continuous 1", "continuous 2"]);
        assert_eq!(latent.check(784), Ok(()));
    }

    #[test]
    fn what_makes_no_code_is_refused() {
        let refused = |latent: Latent| latent.check(64).unwrap_err().to_string();
        assert!(refused(latent(&[], 0, 62)).contains("there is none to learn"));
        assert!(refused(latent(&[10, 1], 0, 0)).starts_with("`categorical.1` must be two categories or more, not 1"));
        assert!(refused(latent(&[60], 5, 0)).contains("are 65 numbers, more than a picture's 64"));
        assert!(refused(latent(&[usize::MAX, 2], 5, 0)).contains("more than a picture's 64"));
        let one = Latent { factors: vec!["digit".into()], ..latent(&[2], 1, 0) };
        assert!(refused(one).starts_with("`factors` must name a factor for each of 2 codes, or none, not 1"));
        assert!(refused(latent(&[2], 0, 4095)).starts_with("`noise` must leave codes of at most 4096"));
    }
}
