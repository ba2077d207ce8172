//! Hints: activations of a teacher's layer, to be told from those of a student's.

use candle_core::Tensor;
use interp_net::Graph;
use interp_net::finding::{Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::maps::{Pair, check_pair, gradient, value};
use super::{Distillation, Lesson, check_node, regressor};
use crate::prior::{State, Term};
use crate::{LearnError, Result};

/// The mean squared difference between a teacher's activations and what a 1x1 convolution makes of the student's (Romero et al. 2015,
/// arXiv 1412.6550, eq. 3; the mean over all values, as is usual). The convolution is trained along by gradient descent with
/// momentum 0.9 at the learning rate of the step, and is no part of the network that is saved. Maps are averaged to the smaller
/// height and width of the two. Usual weights are about 100.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hints {
    /// The student's node.
    pub student: String,
    /// The teacher's node.
    pub teacher: String,
}

pub(super) const ENTRY: Entry<dyn Distillation> = Entry {
    name: "hints",
    summary: "activations of a layer, through a linear map that is trained along (FitNets)",
    example: "kind = \"hints\"\nweight = 100.0\nstudent = \"features.7\"\nteacher = \"layer2.0.relu2\"\n",
    build: |section| build(section, |settings: Hints| Box::new(settings)),
    schema: || schemars::schema_for!(Hints),
};

impl Distillation for Hints {
    fn check(&self, student: &Graph, teacher: &Graph) -> Result<(), Unfit> {
        check_node("student", student, &self.student)?;
        check_node("teacher", teacher, &self.teacher)?;
        check_pair(student, &self.student, teacher, &self.teacher)
    }

    fn student_nodes(&self) -> Vec<String> {
        vec![self.student.clone()]
    }

    fn teacher_nodes(&self) -> Vec<String> {
        vec![self.teacher.clone()]
    }

    fn prepare(&self, student: &Graph, teacher: &Graph, seed: u64) -> Result<State> {
        let channels = |graph: &Graph, name: &str| Ok::<_, LearnError>(graph.shape(graph.id(name)?)[0]);
        let (inputs, outputs) = (channels(student, &self.student)?, channels(teacher, &self.teacher)?);
        let mut state = State::default();
        regressor::prepare(&mut state, inputs, outputs, seed)?;
        Ok(state)
    }

    fn loss(&self, lesson: &Lesson<'_>, state: &mut State) -> Result<Term> {
        let ((node, own), (_, theirs)) = (lesson.student.at(&self.student)?, lesson.teacher.at(&self.teacher)?);
        let pair = Pair::new(own, theirs)?;
        let weight = regressor::weight(state, &pair.student)?;
        let told = channels_last(&pair.student)?.matmul(&weight.t()?)?;
        let loss = (told - channels_last(&pair.teacher)?)?.sqr()?.mean_all()?;
        let grads = loss.backward()?;
        regressor::step(state, &gradient(&grads, &weight)?, lesson.rate)?;
        Ok(Term { value: value(&loss)?, nodes: vec![(node, pair.gradient(&grads)?)], params: vec![] })
    }
}

/// Positions as rows: (N, C, H, W) to (N H W, C); vectors (N, C) are rows.
fn channels_last(x: &Tensor) -> Result<Tensor> {
    Ok(match x.rank() {
        4 => x.permute((0, 2, 3, 1))?.flatten_to(2)?, // (N, C, H, W) -> (N H W, C)
        _ => x.clone(),
    })
}
