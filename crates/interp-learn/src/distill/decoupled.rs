//! Decoupled distillation: how sure the teacher is of the label, and which other classes the picture is like, weighed apart.

use interp_net::Graph;
use interp_net::finding::{Entry, Unfit, build};
use interp_net::ops::scalars::log_softmax;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::logits::{OfRow, divergence, mean, perhaps_standardized};
use super::{Distillation, Lesson, positive};
use crate::Result;
use crate::prior::{State, Term};
use crate::settings::natural;

/// `T^2 (alpha TCKD + beta NCKD)`: the divergences KL of the probabilities of "the label" and "another class", and of those of
/// the other classes among themselves (Zhao et al. 2022, arXiv 2203.08679, eq. 7). With p_t the teacher's probability of the
/// label, `KL = TCKD + (1 - p_t) NCKD`: in ordinary soft labels what is told of other classes counts little where the teacher is sure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Decoupled {
    /// Weight of how sure the teacher is.
    pub alpha: f64,
    /// Weight of the other classes; the authors take 1 to 8, more for larger gaps between teacher and student.
    pub beta: f64,
    /// T, above 0.
    pub temperature: f64,
    /// Whether logits are first brought to mean 0 and deviation 1, picture by picture.
    pub standardize: bool,
}

impl Default for Decoupled {
    fn default() -> Self {
        Self { alpha: 1.0, beta: 8.0, temperature: 4.0, standardize: false }
    }
}

pub(super) const ENTRY: Entry<dyn Distillation> = Entry {
    name: "decoupled",
    summary: "soft labels of the label and of all other classes, weighed apart (DKD)",
    example: "kind = \"decoupled\"\nbeta = 2.0\nwarmup = 2.0\n",
    build: |section| build(section, |settings: Decoupled| Box::new(settings)),
    schema: || schemars::schema_for!(Decoupled),
};

impl Distillation for Decoupled {
    fn check(&self, student: &Graph, _teacher: &Graph) -> Result<(), Unfit> {
        positive("temperature", self.temperature)?;
        Unfit::unless(natural(self.alpha), "alpha", format!("must be 0 or more, not {}", self.alpha))?;
        Unfit::unless(natural(self.beta), "beta", format!("must be 0 or more, not {}", self.beta))?;
        Unfit::unless(student.outputs() > 1, "kind", "needs two classes or more")
    }

    fn loss(&self, lesson: &Lesson<'_>, _state: &mut State) -> Result<Term> {
        mean(lesson, |own, theirs, label| {
            perhaps_standardized(self.standardize, own, theirs, |own, theirs| self.of_row(own, theirs, label))
        })
    }
}

/// Probabilities with one class set apart, as logarithms.
pub(super) struct Parts {
    /// Of the label, and of all others together.
    pub(super) binary: [f64; 2],
    /// Of each class but the label, given that it is not the label.
    pub(super) others: Vec<f64>,
}

impl Parts {
    pub(super) fn new(logits: &[f64], label: usize, temperature: f64) -> Self {
        let others = logits.iter().enumerate().filter(|(class, _)| *class != label).map(|(_, z)| *z);
        let all = log_softmax(logits.iter().copied(), temperature);
        let rest = all.iter().enumerate().filter(|(class, _)| *class != label).map(|(_, log_p)| *log_p);
        let largest = rest.clone().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = rest.map(|log_p| (log_p - largest).exp()).sum();
        Self { binary: [all[label], largest + sum.ln()], others: log_softmax(others, temperature) }
    }
}

impl Decoupled {
    fn of_row(&self, own: &[f64], theirs: &[f64], label: usize) -> OfRow {
        let t = self.temperature;
        let (p, q) = (Parts::new(theirs, label, t), Parts::new(own, label, t));
        let sure = divergence(&p.binary, &q.binary);
        let like = divergence(&p.others, &q.others);
        let excess = q.binary[0].exp() - p.binary[0].exp();
        let of_other = |(p, q): (&f64, &f64)| t * (self.beta * (q.exp() - p.exp()) - self.alpha * excess * q.exp());
        let mut grad: Vec<f64> = p.others.iter().zip(&q.others).map(of_other).collect();
        grad.insert(label, t * self.alpha * excess);
        (t * t * (self.alpha * sure + self.beta * like), grad)
    }
}
