//! Attention transfer: where layers are active.

use candle_core::Tensor;
use interp_net::Graph;
use interp_net::finding::{Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::maps::{Pair, unit_rows, value};
use super::{Distillation, Lesson, check_pairs};
use crate::Result;
use crate::prior::{State, Term};

/// How far apart two pictures' maps of where layers are active are, summed over pairs of layers. A map is the mean over channels of squared
/// activations at each position, brought to length 1 (Zagoruyko and Komodakis 2017, arXiv 1612.03928, eq. 2, p = 2). Maps of
/// unequal size are averaged to the smaller height and width. Usual weights are about 1000 for the mean of squares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttentionTransfer {
    /// The student's nodes.
    pub student: Vec<String>,
    /// The teacher's node for each of them.
    pub teacher: Vec<String>,
    /// What is taken of the difference of two maps.
    #[serde(default)]
    pub distance: Distance,
}

/// What is taken of the difference of two maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// The mean over positions of its square, as in the authors' code.
    #[default]
    MeanSquare,
    /// Its length, as in the paper.
    Length,
}

pub(super) const ENTRY: Entry<dyn Distillation> = Entry {
    name: "attention_transfer",
    summary: "where layers are active, whatever their channels",
    example: "kind = \"attention_transfer\"\nweight = 1000.0\nstudent = [\"features.7\"]\nteacher = [\"layer2.0.relu2\"]\n",
    build: |section| build(section, |settings: AttentionTransfer| Box::new(settings)),
    schema: || schemars::schema_for!(AttentionTransfer),
};

impl Distillation for AttentionTransfer {
    fn check(&self, student: &Graph, teacher: &Graph) -> Result<(), Unfit> {
        check_pairs(&self.student, &self.teacher, student, teacher)?;
        let is_map = |graph: &Graph, name: &String| graph.id(name).is_ok_and(|id| graph.shape(id).len() == 3);
        let needs_maps = "must name nodes that give maps";
        Unfit::unless(self.student.iter().all(|name| is_map(student, name)), "student", needs_maps)?;
        Unfit::unless(self.teacher.iter().all(|name| is_map(teacher, name)), "teacher", needs_maps)
    }

    fn student_nodes(&self) -> Vec<String> {
        self.student.clone()
    }

    fn teacher_nodes(&self) -> Vec<String> {
        self.teacher.clone()
    }

    fn loss(&self, lesson: &Lesson<'_>, _state: &mut State) -> Result<Term> {
        let mut term = Term::default();
        for (own, theirs) in self.student.iter().zip(&self.teacher) {
            let (node, own) = lesson.student.at(own)?;
            let pair = Pair::new(own, lesson.teacher.at(theirs)?.1)?;
            let loss = self.distance.of(&(attention(&pair.student)? - attention(&pair.teacher)?)?)?;
            term.value += value(&loss)?;
            term.nodes.push((node, pair.gradient(&loss.backward()?)?));
        }
        Ok(term)
    }
}

impl Distance {
    /// The mean over pictures, of differences (N, H W).
    fn of(self, difference: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::MeanSquare => difference.sqr()?.mean_all()?,
            Self::Length => (difference.sqr()?.sum(1)? + 1e-12)?.sqrt()?.mean_all()?,
        })
    }
}

/// Maps (N, C, H, W) as where they are active, (N, H W).
fn attention(x: &Tensor) -> Result<Tensor> {
    unit_rows(&x.sqr()?.mean(1)?.flatten_from(1)?) // (N, C, H, W) -> (N, H, W) -> (N, H W)
}
