//! Soft labels: the teacher's probabilities of all classes.

use interp_net::Graph;
use interp_net::finding::{Entry, Unfit, build};
use interp_net::ops::scalars::log_softmax;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::logits::{divergence, mean, perhaps_standardized};
use super::{Distillation, Lesson, positive};
use crate::Result;
use crate::prior::{State, Term};

/// `T^2 KL(p || q)` in nats, p and q being the softmaxes of the teacher's and the student's logits over T (Hinton et al. 2015, arXiv
/// 1503.02531, section 2): which other classes a picture is like, and how much, is told too. T^2 keeps the gradient's size as T
/// grows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SoftLabels {
    /// T, above 0: the higher, the more small probabilities count.
    pub temperature: f64,
    /// Whether logits are first brought to mean 0 and deviation 1, picture by picture, so that a small student need not reach the
    /// size of a large teacher's logits (Sun et al. 2024, arXiv 2403.01427).
    pub standardize: bool,
}

impl Default for SoftLabels {
    fn default() -> Self {
        Self { temperature: 4.0, standardize: false }
    }
}

pub(super) const ENTRY: Entry<dyn Distillation> = Entry {
    name: "soft_labels",
    summary: "the teacher's probabilities of all classes, at a temperature (Hinton)",
    example: "kind = \"soft_labels\"\nweight = 0.9\ntemperature = 4.0\n",
    build: |section| build(section, |settings: SoftLabels| Box::new(settings)),
    schema: || schemars::schema_for!(SoftLabels),
};

impl Distillation for SoftLabels {
    fn check(&self, _student: &Graph, _teacher: &Graph) -> Result<(), Unfit> {
        positive("temperature", self.temperature)
    }

    fn loss(&self, lesson: &Lesson<'_>, _state: &mut State) -> Result<Term> {
        mean(lesson, |own, theirs, _| {
            perhaps_standardized(self.standardize, own, theirs, |own, theirs| {
                let log_p = log_softmax(theirs.iter().copied(), self.temperature);
                softened(&log_p, own, self.temperature)
            })
        })
    }
}

/// `T^2 KL(p || q)` for the logarithms of p, q being the softmax of `logits / T`, and its gradient `T (q - p)`.
pub(super) fn softened(log_p: &[f64], logits: &[f64], temperature: f64) -> (f64, Vec<f64>) {
    let log_q = log_softmax(logits.iter().copied(), temperature);
    let value = temperature * temperature * divergence(log_p, &log_q);
    (value, log_p.iter().zip(&log_q).map(|(p, q)| temperature * (q.exp() - p.exp())).collect())
}
