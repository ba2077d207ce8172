//! Soft labels of classes: which classes a class is like, by a teacher's mean.

use candle_core::{DType, Device, Tensor};
use interp_net::Graph;
use interp_net::finding::{Entry, Unfit, build};
use interp_net::ops::scalars::log_softmax;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::logits::{mean, rows};
use super::soft_labels::softened;
use super::{Distillation, Lesson, positive};
use crate::Result;
use crate::prior::{State, Term};

/// `T^2 KL(p || q)` as for `soft_labels`, p being the mean of the teacher's probabilities over the pictures of the label's class that
/// were seen so far: what classes are like is told, which `interp-audit soft-labels` shows, and of single pictures nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClassSoftLabels {
    /// T, above 0.
    pub temperature: f64,
}

impl Default for ClassSoftLabels {
    fn default() -> Self {
        Self { temperature: 4.0 }
    }
}

pub(super) const ENTRY: Entry<dyn Distillation> = Entry {
    name: "class_soft_labels",
    summary: "the mean of the teacher's probabilities over each class: which classes are alike",
    example: "kind = \"class_soft_labels\"\nweight = 0.5\n",
    build: |section| build(section, |settings: ClassSoftLabels| Box::new(settings)),
    schema: || schemars::schema_for!(ClassSoftLabels),
};

/// The sums of probabilities over pictures of each class, (K, K), among the tensors of a state.
const SUMS: &str = "sums";

impl Distillation for ClassSoftLabels {
    fn check(&self, _student: &Graph, _teacher: &Graph) -> Result<(), Unfit> {
        positive("temperature", self.temperature)
    }

    fn prepare(&self, student: &Graph, _teacher: &Graph, _seed: u64) -> Result<State> {
        let mut state = State::default();
        let classes = student.outputs();
        state.tensors.insert(SUMS.into(), Tensor::zeros((classes, classes), DType::F64, &Device::Cpu)?);
        Ok(state)
    }

    fn loss(&self, lesson: &Lesson<'_>, state: &mut State) -> Result<Term> {
        let mut sums = state.tensors.get(SUMS).map_or(Ok(vec![]), Tensor::to_vec2::<f64>)?;
        for (theirs, &label) in rows(lesson.teacher.logits)?.iter().zip(lesson.labels) {
            let log_p = log_softmax(theirs.iter().copied(), self.temperature);
            sums[label as usize].iter_mut().zip(log_p).for_each(|(sum, log_p)| *sum += log_p.exp());
        }
        state.tensors.insert(SUMS.into(), Tensor::new(sums.clone(), &Device::Cpu)?);
        mean(lesson, |own, _, label| {
            let all: f64 = sums[label].iter().sum();
            let log_p: Vec<f64> = sums[label].iter().map(|sum| (sum / all).ln()).collect();
            softened(&log_p, own, self.temperature)
        })
    }
}
