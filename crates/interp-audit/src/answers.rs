//! What a network tells of pictures with labels.

use candle_core::{Device, Tensor};
use interp_net::{Keep, Network};

use crate::pass::{Pass, finite_rows};
use crate::{AuditError, Pictures, Result};

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
    let mut found = Answers::new(net.graph.outputs());
    Pass::keeping(Keep::Output).over(net, pictures, |sample| {
        let logits = sample.tape.output(&net.graph)?;
        finite_rows(net, net.graph.output(), logits)?;
        found.add(&sample.batch.labels, &sample.batch.indices, logits)
    })?;
    Ok(found)
}

impl Answers {
    /// None yet, of so many classes.
    pub fn new(classes: usize) -> Self {
        Self { classes, logits: vec![], labels: vec![], indices: vec![] }
    }

    /// Adds the logits (N, K) of N pictures.
    ///
    /// # Errors
    /// [`AuditError::NoOutput`] for a label that there is no logit for, and where the logits are not (N, K) in f32.
    pub fn add(&mut self, labels: &[u32], indices: &[usize], logits: &Tensor) -> Result<()> {
        let classes = self.classes;
        if let Some(label) = labels.iter().map(|&label| label as usize).find(|&label| label >= classes) {
            return Err(AuditError::NoOutput { label, classes });
        }
        self.logits.extend(logits.to_device(&Device::Cpu)?.to_vec2::<f32>()?.into_iter().flatten());
        self.labels.extend(labels.iter().map(|&label| label as usize));
        self.indices.extend(indices);
        Ok(())
    }

    /// How many pictures of each class, by row, were taken for each class, by column; of equal logits the first decides.
    pub fn taken(&self) -> Vec<Vec<usize>> {
        let mut counts = vec![vec![0; self.classes]; self.classes];
        for (row, &label) in self.logits.chunks_exact(self.classes.max(1)).zip(&self.labels) {
            let first = (0..row.len()).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or_default();
            counts[label][first] += 1;
        }
        counts
    }

    /// The probabilities of each picture at a temperature, with its label.
    pub(crate) fn probabilities(&self, temperature: f64) -> impl Iterator<Item = (usize, Vec<f64>)> {
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
pub(crate) fn largest(values: &[f64]) -> usize {
    (0..values.len()).rev().max_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap_or(0)
}
