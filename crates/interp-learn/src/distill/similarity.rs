//! Similarity-preserving distillation: which pictures of a batch are alike to a layer.

use candle_core::Tensor;
use interp_net::Graph;
use interp_net::finding::{Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::maps::{gradient, unit_rows, value, variable};
use super::{Distillation, Lesson, check_pairs};
use crate::Result;
use crate::prior::{State, Term};

/// `||G_s - G_t||^2 / N^2`, summed over pairs of layers: G (N, N) has the products of the activations of any two pictures of the batch, its rows
/// brought to length 1 (Tung and Mori 2019, arXiv 1907.09682, eq. 4). Layers may be of any two shapes. Usual weights are about 3000.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Similarity {
    /// The student's nodes.
    pub student: Vec<String>,
    /// The teacher's node for each of them.
    pub teacher: Vec<String>,
}

pub(super) const ENTRY: Entry<dyn Distillation> = Entry {
    name: "similarity",
    summary: "which pictures of a batch are alike (similarity-preserving)",
    example: "kind = \"similarity\"\nweight = 3000.0\nstudent = [\"avgpool\"]\nteacher = [\"avgpool\"]\n",
    build: |section| build(section, |settings: Similarity| Box::new(settings)),
    schema: || schemars::schema_for!(Similarity),
};

impl Distillation for Similarity {
    fn check(&self, student: &Graph, teacher: &Graph) -> Result<(), Unfit> {
        check_pairs(&self.student, &self.teacher, student, teacher)
    }

    fn student_nodes(&self) -> Vec<String> {
        self.student.clone()
    }

    fn teacher_nodes(&self) -> Vec<String> {
        self.teacher.clone()
    }

    fn loss(&self, lesson: &Lesson<'_>, _state: &mut State) -> Result<Term> {
        let mut term = Term::default();
        let count = lesson.labels.len().max(1) as f64;
        for (own, theirs) in self.student.iter().zip(&self.teacher) {
            let (node, own) = lesson.student.at(own)?;
            let (own, theirs) = (variable(own)?, lesson.teacher.at(theirs)?.1);
            let theirs = likeness(&theirs.to_device(own.device())?.to_dtype(own.dtype())?)?;
            let loss = ((likeness(&own)? - theirs)?.sqr()?.sum_all()? / (count * count))?;
            term.value += value(&loss)?;
            term.nodes.push((node, gradient(&loss.backward()?, &own)?));
        }
        Ok(term)
    }
}

/// G of activations (N, ...).
fn likeness(x: &Tensor) -> Result<Tensor> {
    let rows = x.flatten_from(1)?; // (N, ...) -> (N, C H W)
    unit_rows(&rows.matmul(&rows.t()?)?)
}
