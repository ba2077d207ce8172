//! What an output loses when pixels are removed, and what methods say that it does.

use candle_core::Tensor;

use super::Judged;
use super::effects::effects;
use super::versions::{Score, baselines, replaced, scores};
use crate::Result;
use crate::saliency::{Baseline, Question};

/// What is lost, set of pixels by set.
pub(super) struct Removal {
    /// By picture and set: the output asked about, less what it is without the set.
    pub(super) lost: Vec<Vec<f64>>,
    /// By method, picture and set: the sum of what the method says that the pixels of the set add.
    pub(super) said: Vec<Vec<Vec<f64>>>,
}

/// Takes sets of pixels out of every picture, of which `set` gives number n for picture number `at`; the baseline is seen in their place. The
/// network is asked once for all methods.
pub(super) fn removals(
    question: &Question<'_>,
    judged: &[Judged<'_>],
    baseline: Baseline,
    sets: usize,
    set: impl Fn(usize, usize) -> Vec<usize>,
) -> Result<Removal> {
    let others = baselines(question, baseline)?;
    // The first version is the picture as it is.
    let without = scores(question, Score::Logit, sets + 1, |at, versions| {
        let sets: Vec<Vec<usize>> =
            versions.map(|version| version.checked_sub(1).map_or(vec![], |number| set(at, number))).collect();
        let sets: Vec<&[usize]> = sets.iter().map(Vec::as_slice).collect();
        replaced(question, [&question.pictures.narrow(0, at, 1)?, &others[at]], &sets)
    })?;
    let lost = without.iter().map(|scores| scores[1..].iter().map(|score| scores[0] - score).collect()).collect();
    let others = Tensor::cat(&others, 0)?;
    let effects = judged.iter().map(|one| effects(question, one.attribution, &others)).collect::<Result<Vec<_>>>()?;
    let mut said = vec![vec![Vec::with_capacity(sets); question.count()]; judged.len()];
    for at in 0..question.count() {
        for number in 0..sets {
            let set = set(at, number);
            for (said, effects) in said.iter_mut().zip(&effects) {
                said[at].push(set.iter().map(|&pixel| effects[at][pixel]).sum());
            }
        }
    }
    Ok(Removal { lost, said })
}
