//! Max-sensitivity.

use candle_core::{Device, Tensor};
use interp_net::finding::random::stream;
use interp_net::finding::{Better, Entry, Unfit, build};
use rand_chacha::rand_core::RngCore;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Column, Judged, Metric, Scores};
use crate::Result;
use crate::pass::rows;
use crate::saliency::{Question, counted, not_negative};

/// How much an attribution changes, at most, when every number of the picture changes a little: the largest over random changes of
/// `||Phi(x + d) - Phi(x)|| / ||Phi(x)||`, with each number of `d` drawn alike from -r to r (Yeh et al. 2019, arXiv 1901.09392, definition 3.1 and
/// equation 12).
///
/// A map that does not look at the picture never changes: neither direction is the better one, and it says something only beside a metric of
/// exactness. What methods draw at random themselves they draw again as before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MaxSensitivity {
    /// The largest change, as a share of the picture's largest number less its smallest.
    pub radius: f64,
    /// Random changes of each picture.
    pub samples: usize,
    /// Of the changes.
    pub seed: u64,
}

impl Default for MaxSensitivity {
    fn default() -> Self {
        Self { radius: 0.02, samples: 10, seed: 0 }
    }
}

pub(super) const ENTRY: Entry<dyn Metric> = Entry {
    name: "max_sensitivity",
    summary: "how much an attribution changes, at most, when the picture changes a little",
    example: "kind = \"max_sensitivity\"\nsamples = 10\n",
    build: |section| build(section, |settings: MaxSensitivity| Box::new(settings)),
    schema: || schemars::schema_for!(MaxSensitivity),
};

impl Metric for MaxSensitivity {
    fn check(&self, _: [usize; 2]) -> Result<(), Unfit> {
        not_negative("radius", self.radius)?;
        counted("samples", self.samples, [1, 1000])
    }

    fn measure(&self, question: &Question<'_>, judged: &[Judged<'_>]) -> Result<Vec<Scores>> {
        self.check(question.size())?;
        let mut largest = vec![vec![None; question.count()]; judged.len()];
        for sample in 0..self.samples {
            let pictures = self.changed(question, sample)?;
            let question = Question { pictures: &pictures, ..*question };
            for (largest, one) in largest.iter_mut().zip(judged) {
                let changed = one.method.attribute(&question)?;
                let changes = changes(&one.attribution.values, &changed.values)?;
                largest.iter_mut().zip(changes).for_each(|(largest, change)| *largest = more(*largest, change));
            }
        }
        let of = |values: Vec<Option<f64>>| Scores {
            columns: vec![Column { name: "largest".into(), better: Better::Neither, null: None, values }],
            ..Scores::default()
        };
        Ok(largest.into_iter().map(of).collect())
    }
}

impl MaxSensitivity {
    /// The pictures, each changed at random: (N, C, H, W).
    fn changed(&self, question: &Question<'_>, sample: usize) -> Result<Tensor> {
        let pictures = question.pictures;
        let of = |(at, &index): (usize, &usize)| -> Result<Tensor> {
            let picture = pictures.narrow(0, at, 1)?;
            let range = (picture.max_all()? - picture.min_all()?)?.reshape((1, 1, 1, 1))?;
            let mut rng = stream(self.seed, "max_sensitivity", sample as u64, index as u64);
            let mut unit = || 2.0 * (rng.next_u32() as f64 / (1u64 << 32) as f64) - 1.0;
            let change: Vec<f64> = (0..picture.elem_count()).map(|_| self.radius * unit()).collect();
            let change = question.like(Tensor::from_vec(change, picture.shape(), &Device::Cpu)?)?;
            Ok((change.broadcast_mul(&range)? + picture)?)
        };
        Ok(Tensor::cat(&question.indices.iter().enumerate().map(of).collect::<Result<Vec<_>>>()?, 0)?)
    }
}

/// How far each attribution is from another, by the length of the first; `None` where that is 0.
fn changes(own: &Tensor, other: &Tensor) -> Result<Vec<Option<f64>>> {
    let (own, other) = (rows(&own.flatten_from(1)?)?, rows(&other.flatten_from(1)?)?);
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let change = |(own, other): (&Vec<f64>, &Vec<f64>)| {
        let whole = length(&mut own.iter().copied());
        let apart = length(&mut own.iter().zip(other).map(|(own, other)| other - own));
        (whole > 0.0).then(|| apart / whole)
    };
    Ok(own.iter().zip(&other).map(change).collect())
}

fn more(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (one, other) => one.or(other),
    }
}
