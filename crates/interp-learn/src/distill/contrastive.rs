//! Contrastive distillation within the batch.

use candle_core::{D, Tensor};
use interp_net::Graph;
use interp_net::finding::{Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::maps::{gradient, unit_rows, value, variable};
use super::{Distillation, Lesson, check_node, positive, regressor};
use crate::prior::{State, Term};
use crate::{LearnError, Result};

/// Which of the batch's pictures is it, by what the teacher makes of each? `-ln (exp(c_ii / T) / sum_j exp(c_ij / T))`, the mean over
/// pictures i, c_ij being the cosine of what a linear map makes of the student's activation of picture i, and the teacher's of picture j
/// (InfoNCE of van den Oord et al. 2018, arXiv 1807.03748, eq. 4). Maps are averaged over positions. This is not contrastive
/// representation distillation (Tian et al. 2020), which compares with 16,384 pictures from a memory of half a gigabyte and more: here
/// what a picture is compared with is in its batch. The linear map is trained along, as for `hints`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contrastive {
    /// The student's node.
    pub student: String,
    /// The teacher's node.
    pub teacher: String,
    /// T, above 0.
    #[serde(default = "temperature")]
    pub temperature: f64,
}

fn temperature() -> f64 {
    0.07
}

pub(super) const ENTRY: Entry<dyn Distillation> = Entry {
    name: "contrastive_in_batch",
    summary: "which picture of the batch it is, by what the teacher makes of each (InfoNCE)",
    example: "kind = \"contrastive_in_batch\"\nweight = 0.8\nstudent = \"avgpool\"\nteacher = \"avgpool\"\n",
    build: |section| build(section, |settings: Contrastive| Box::new(settings)),
    schema: || schemars::schema_for!(Contrastive),
};

impl Distillation for Contrastive {
    fn check(&self, student: &Graph, teacher: &Graph) -> Result<(), Unfit> {
        positive("temperature", self.temperature)?;
        check_node("student", student, &self.student)?;
        check_node("teacher", teacher, &self.teacher)
    }

    fn student_nodes(&self) -> Vec<String> {
        vec![self.student.clone()]
    }

    fn teacher_nodes(&self) -> Vec<String> {
        vec![self.teacher.clone()]
    }

    fn prepare(&self, student: &Graph, teacher: &Graph, seed: u64) -> Result<State> {
        let channels = |graph: &Graph, name: &str| Ok::<_, LearnError>(graph.shape(graph.id(name)?)[0]);
        let mut state = State::default();
        let (inputs, outputs) = (channels(student, &self.student)?, channels(teacher, &self.teacher)?);
        regressor::prepare(&mut state, inputs, outputs, seed)?;
        Ok(state)
    }

    fn loss(&self, lesson: &Lesson<'_>, state: &mut State) -> Result<Term> {
        let ((node, own), (_, theirs)) = (lesson.student.at(&self.student)?, lesson.teacher.at(&self.teacher)?);
        let own = variable(own)?;
        let weight = regressor::weight(state, &own)?;
        let theirs = positions_averaged(&theirs.to_device(own.device())?.to_dtype(own.dtype())?)?;
        let told = positions_averaged(&own)?.matmul(&weight.t()?)?;
        let cosines = unit_rows(&told)?.matmul(&unit_rows(&theirs)?.t()?)?;
        let loss = own_place(&(cosines / self.temperature)?)?;
        let grads = loss.backward()?;
        regressor::step(state, &gradient(&grads, &weight)?, lesson.rate)?;
        Ok(Term { value: value(&loss)?, nodes: vec![(node, gradient(&grads, &own)?)], params: vec![] })
    }
}

/// Maps (N, C, H, W) averaged to (N, C).
fn positions_averaged(x: &Tensor) -> Result<Tensor> {
    Ok(if x.rank() == 4 { x.mean((2, 3))? } else { x.clone() })
}

/// The mean of `-ln softmax` at the diagonal of `scores` (N, N).
fn own_place(scores: &Tensor) -> Result<Tensor> {
    let count = scores.dim(0)?;
    let eye = Tensor::eye(count, scores.dtype(), scores.device())?;
    let log_sums = scores.log_sum_exp(D::Minus1)?; // (N, N) -> (N)
    let own = (scores * eye)?.sum(1)?;
    Ok((log_sums - own)?.mean_all()?)
}
