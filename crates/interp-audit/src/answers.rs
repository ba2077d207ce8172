//! What a network tells of pictures with labels.

use candle_core::{Device, Tensor};
use interp_net::ops::scalars::largest;
use interp_net::ops::scalars::log_softmax;
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
        for (label, logs) in self.logarithms(1.0) {
            counts[label][largest(&logs)] += 1;
        }
        counts
    }

    /// For each picture, 1 where its label has the largest logit, of equal ones the first, and else 0.
    pub fn right(&self) -> Vec<f64> {
        self.logarithms(1.0).map(|(label, logs)| f64::from(u8::from(largest(&logs) == label))).collect()
    }

    /// The logarithms of the probabilities of each picture at a temperature, with its label.
    pub(crate) fn logarithms(&self, temperature: f64) -> impl Iterator<Item = (usize, Vec<f64>)> {
        let rows = self.logits.chunks_exact(self.classes.max(1));
        let of = move |row: &[f32]| log_softmax(row.iter().copied().map(f64::from), temperature);
        self.labels.iter().copied().zip(rows.map(of))
    }

    /// The probabilities of each picture at a temperature, with its label.
    pub(crate) fn probabilities(&self, temperature: f64) -> impl Iterator<Item = (usize, Vec<f64>)> {
        self.logarithms(temperature).map(|(label, logs)| (label, logs.into_iter().map(f64::exp).collect()))
    }
}
