//! Changed versions of pictures, and what the network says of them.

use std::ops::Range;

use candle_core::{Device, Tensor};
use interp_net::{Keep, Mode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::pass::rows;
use crate::saliency::{Baseline, Question};

/// What is looked at of the network's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Score {
    /// The softmax of the output among the others, in [0, 1].
    Probability,
    /// The output itself.
    Logit,
}

impl Score {
    fn of(self, outputs: &[f64], target: usize) -> f64 {
        let most = outputs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match self {
            Self::Probability => {
                (outputs[target] - most).exp() / outputs.iter().map(|output| (output - most).exp()).sum::<f64>()
            }
            Self::Logit => outputs[target],
        }
    }
}

/// The score of the output asked about for `each` versions of every picture, of which `make` makes those of a range for picture number `at`,
/// (n, C, H, W): in rows, by picture. Versions of several pictures go through the network together.
pub(super) fn scores(
    question: &Question<'_>,
    score: Score,
    each: usize,
    make: impl Fn(usize, Range<usize>) -> Result<Tensor>,
) -> Result<Vec<Vec<f64>>> {
    let (net, count) = (question.net, question.count());
    let mut found = vec![Vec::with_capacity(each); count];
    for part in question.parts(count * each, 1) {
        let pieces = pieces(part, each);
        let made = pieces.iter().map(|(at, versions)| make(*at, versions.clone())).collect::<Result<Vec<_>>>()?;
        let tape = net.forward(&Tensor::cat(&made, 0)?, Mode::Eval, &Keep::Output)?;
        let mut rows = rows(tape.output(&net.graph)?)?.into_iter();
        for (at, versions) in pieces {
            let target = question.targets[at];
            found[at].extend(rows.by_ref().take(versions.len()).map(|row| score.of(&row, target)));
        }
    }
    Ok(found)
}

/// A range over all versions of all pictures, picture by picture: which one, and which of its versions.
fn pieces(part: Range<usize>, each: usize) -> Vec<(usize, Range<usize>)> {
    let of = |at: usize| (at, part.start.max(at * each) - at * each..part.end.min((at + 1) * each) - at * each);
    (part.start / each..part.end.div_ceil(each)).map(of).collect()
}

/// What stands for nothing in each picture: (1, C, H, W) each.
pub(super) fn baselines(question: &Question<'_>, baseline: Baseline) -> Result<Vec<Tensor>> {
    (0..question.count()).map(|at| question.baseline(at, baseline)).collect()
}

/// One picture with pixels of another, both (1, C, H, W), for each of some sets of pixels, numbered row by row: (n, C, H, W).
pub(super) fn replaced(question: &Question<'_>, [picture, other]: [&Tensor; 2], sets: &[&[usize]]) -> Result<Tensor> {
    let [h, w] = question.size();
    let mut masks = vec![0.0; sets.len() * h * w];
    for (mask, set) in masks.chunks_mut(h * w).zip(sets) {
        set.iter().for_each(|&pixel| mask[pixel] = 1.0);
    }
    let taken = question.like(Tensor::from_vec(masks, (sets.len(), 1, h, w), &Device::Cpu)?)?;
    // By products with 0 and 1, what is left and what is taken are the same to the bit.
    let left = taken.affine(-1.0, 1.0)?;
    Ok((left.broadcast_mul(picture)? + taken.broadcast_mul(other)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_into_versions_of_pictures() {
        assert_eq!(pieces(0..3, 3), [(0, 0..3)]);
        assert_eq!(pieces(2..8, 3), [(0, 2..3), (1, 0..3), (2, 0..2)]);
        assert_eq!(pieces(4..5, 3), [(1, 1..2)]);
    }

    #[test]
    fn scores_by_hand() {
        assert_eq!(Score::Logit.of(&[1.0, -2.0], 1), -2.0);
        assert!((Score::Probability.of(&[0.0, 3f64.ln()], 1) - 0.75).abs() < 1e-15);
        assert_eq!(Score::Probability.of(&[1e4, 0.0], 0), 1.0);
    }
}
