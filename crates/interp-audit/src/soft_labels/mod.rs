//! Soft labels: what a network tells of the classes that a picture is *not* of. On average over a class they say which classes are alike to the
//! network ([`likeness`]); of a single picture, whether its label may be wrong ([`suspects`]).

mod likeness;
mod suspects;
mod tree;

use candle_core::Tensor;
use interp_net::{Keep, Network};

use crate::pass::{Pass, finite_rows};
use crate::{AuditError, Pictures, Result};

pub use likeness::{Likeness, Pair, likeness};
pub use suspects::{Suspect, suspects};
pub use tree::{Join, tree};

/// What a network tells of pictures with labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// How many classes there are.
    pub classes: usize,
    /// The logits of each picture, one picture after the other.
    pub logits: Vec<f32>,
    /// The label of each picture.
    pub labels: Vec<usize>,
    /// The position of each picture in its split.
    pub indices: Vec<usize>,
}

/// Shows a network all pictures.
///
/// # Errors
/// If pictures cannot be had, do not fit the network, or have labels that it has no output for, or where a logit is no finite number.
pub fn answers(net: &Network, pictures: &Pictures) -> Result<Answers> {
    let classes = net.graph.outputs();
    let mut found = Answers { classes, logits: vec![], labels: vec![], indices: vec![] };
    Pass::keeping(Keep::Output).over(net, pictures, |sample| {
        let logits: &Tensor = sample.tape.output(&net.graph)?;
        let rows = finite_rows(net, net.graph.output(), logits)?;
        found.logits.extend(rows.into_iter().flatten().map(|logit| logit as f32));
        found.labels.extend(sample.batch.labels.iter().map(|&label| label as usize));
        found.indices.extend(&sample.batch.indices);
        Ok(())
    })?;
    match found.labels.iter().find(|&&label| label >= classes) {
        Some(&label) => Err(AuditError::NoOutput { label, classes }),
        None => Ok(found),
    }
}

impl Answers {
    /// The probabilities of each picture at a temperature, with its label.
    fn probabilities(&self, temperature: f64) -> impl Iterator<Item = (usize, Vec<f64>)> {
        let rows = self.logits.chunks_exact(self.classes.max(1));
        self.labels.iter().copied().zip(rows.map(move |row| softmax(row, temperature)))
    }
}

/// `exp(z / T)` of logits, as shares of their sum.
fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (f64::from(logit - largest) / temperature).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// The position of the largest number, of those that are equal the first.
fn largest(values: &[f64]) -> usize {
    (0..values.len()).rev().max_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap_or(0)
}

#[cfg(test)]
mod tests;
