//! Distillation: what a network learns of other networks, its teachers, beside the labels.
//!
//! One more way of teaching is one file here: a settings struct (its documentation: equation, unit, source), an
//! `impl Distillation`, and a line in [`ENTRIES`].

mod attention_transfer;
mod cache;
mod class_soft_labels;
mod contrastive;
mod decoupled;
mod hints;
mod logits;
mod maps;
mod regressor;
mod similarity;
mod soft_labels;
mod teacher;

use candle_core::Tensor;
use interp_net::finding::{Entry, Unfit};
use interp_net::{Graph, NodeId, Tape};

use crate::Result;
use crate::prior::{State, Term};

pub use attention_transfer::AttentionTransfer;
pub use cache::Cache;
pub use class_soft_labels::ClassSoftLabels;
pub use contrastive::Contrastive;
pub use decoupled::Decoupled;
pub use hints::Hints;
pub use similarity::Similarity;
pub use soft_labels::SoftLabels;
pub(crate) use teacher::Taught;
pub use teacher::{Teacher, Teaching};

/// All ways of teaching.
pub const ENTRIES: &[&Entry<dyn Distillation>] = &[
    &soft_labels::ENTRY,
    &decoupled::ENTRY,
    &class_soft_labels::ENTRY,
    &hints::ENTRY,
    &attention_transfer::ENTRY,
    &similarity::ENTRY,
    &contrastive::ENTRY,
];

/// One of two networks with what it did with a batch.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// Its structure.
    pub graph: &'a Graph,
    /// Its logits (N, K).
    pub logits: &'a Tensor,
    /// Its pass, with the nodes of [`Distillation::student_nodes`] or [`Distillation::teacher_nodes`]; not there for a teacher of whom logits
    /// alone are asked, which may come from disk.
    pub tape: Option<&'a Tape>,
}

/// What a student and a teacher did with a batch.
pub struct Lesson<'a> {
    /// The label of each picture.
    pub labels: &'a [u32],
    /// The network that learns.
    pub student: Side<'a>,
    /// The network that it learns from.
    pub teacher: Side<'a>,
    /// The learning rate of the step, for what a way of teaching trains of its own.
    pub rate: f64,
}

/// A way of teaching: a loss of what the student did, given what the teacher did.
pub trait Distillation: Send + Sync {
    /// Says which of its settings is out of range, or cannot be had of these networks.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    fn check(&self, student: &Graph, teacher: &Graph) -> Result<(), Unfit>;

    /// The student's nodes that it reads, beside the logits.
    fn student_nodes(&self) -> Vec<String> {
        vec![]
    }

    /// The teacher's nodes that it reads, beside the logits.
    fn teacher_nodes(&self) -> Vec<String> {
        vec![]
    }

    /// What it remembers between steps, before the first; random values are those of `seed`.
    ///
    /// # Errors
    /// Where tensors cannot be made.
    fn prepare(&self, _student: &Graph, _teacher: &Graph, _seed: u64) -> Result<State> {
        Ok(State::default())
    }

    /// The loss, a mean over the batch, and its gradients at the student's nodes.
    ///
    /// # Errors
    /// If it cannot be computed.
    fn loss(&self, lesson: &Lesson<'_>, state: &mut State) -> Result<Term>;
}

impl<'a> Side<'a> {
    /// The node called `name`, and its activation.
    fn at(&self, name: &str) -> Result<(NodeId, &'a Tensor)> {
        let id = self.graph.id(name)?;
        match self.tape {
            Some(tape) => Ok((id, tape.at(self.graph, id)?)),
            None if id == self.graph.output() => Ok((id, self.logits)),
            None => Err(interp_net::NetError::NotKept(name.to_owned()).into()),
        }
    }
}

/// Refuses the setting `key` where it is not a number above 0.
fn positive(key: &str, value: f64) -> Result<(), Unfit> {
    Unfit::unless(value > 0.0 && value.is_finite(), key, format!("must be above 0, not {value}"))
}

/// Refuses a name that is no node of a network.
fn check_node(key: &str, graph: &Graph, name: &str) -> Result<(), Unfit> {
    graph.id(name).map(|_| ()).map_err(|error| Unfit::new(key, format!("names no node: {error}")))
}

/// Refuses lists of nodes that cannot be paired.
fn check_pairs(own: &[String], theirs: &[String], student: &Graph, teacher: &Graph) -> Result<(), Unfit> {
    let (count, others) = (own.len(), theirs.len());
    Unfit::unless(count > 0, "student", "needs at least one node")?;
    Unfit::unless(count == others, "teacher", format!("must name as many nodes as `student`, {count}, not {others}"))?;
    own.iter().try_for_each(|name| check_node("student", student, name))?;
    theirs.iter().try_for_each(|name| check_node("teacher", teacher, name))
}

#[cfg(test)]
mod tests;
