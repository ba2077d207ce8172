//! Losses of logits, one picture at a time, in f64.

use candle_core::{DType, Device, Tensor};

use super::Lesson;
use crate::Result;
use crate::prior::Term;

/// The value of a loss for one picture, and its gradient with respect to the student's logits.
pub(super) type OfRow = (f64, Vec<f64>);

/// The mean over a batch of a loss of the student's logits, the teacher's, and the label.
pub(super) fn mean(lesson: &Lesson<'_>, loss: impl Fn(&[f64], &[f64], usize) -> OfRow) -> Result<Term> {
    let (student, teacher) = (rows(lesson.student.logits)?, rows(lesson.teacher.logits)?);
    let count = student.len().max(1) as f64;
    let (mut value, mut grad) = (0.0, vec![]);
    for ((own, theirs), &label) in student.iter().zip(&teacher).zip(lesson.labels) {
        let (of_row, slope) = loss(own, theirs, label as usize);
        value += of_row / count;
        grad.extend(slope.into_iter().map(|g| g / count));
    }
    let logits = lesson.student.logits;
    let grad = Tensor::from_vec(grad, logits.dims(), &Device::Cpu)?.to_dtype(logits.dtype())?;
    let output = lesson.student.graph.output();
    Ok(Term { value, nodes: vec![(output, grad.to_device(logits.device())?)], params: vec![] })
}

/// Logits (N, K) as rows.
pub(super) fn rows(logits: &Tensor) -> Result<Vec<Vec<f64>>> {
    Ok(logits.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.to_vec2()?)
}

/// `sum p ln(p / q)` over logarithms of p and q, in nats: what does not occur in p counts nothing.
pub(super) fn divergence(log_p: &[f64], log_q: &[f64]) -> f64 {
    let terms = log_p.iter().zip(log_q).filter(|(p, _)| **p > f64::NEG_INFINITY);
    terms.map(|(p, q)| p.exp() * (p - q)).sum()
}

/// Added to a deviation, so that equal logits can be divided by it.
const EPS: f64 = 1e-7;

/// Logits less their mean over their deviation (Sun et al. 2024, arXiv 2403.01427, eq. 9; the deviation is that of K - 1 as in the authors'
/// code), and that deviation.
fn standardized(logits: &[f64]) -> (Vec<f64>, f64) {
    let count = logits.len() as f64;
    let mean = logits.iter().sum::<f64>() / count;
    let square: f64 = logits.iter().map(|z| (z - mean).powi(2)).sum();
    let deviation = (square / (count - 1.0).max(1.0)).sqrt() + EPS;
    (logits.iter().map(|z| (z - mean) / deviation).collect(), deviation)
}

/// A loss of the logits of both sides as they are, or of standardized ones where `standardize`.
pub(super) fn perhaps_standardized(
    standardize: bool,
    own: &[f64],
    theirs: &[f64],
    loss: impl Fn(&[f64], &[f64]) -> OfRow,
) -> OfRow {
    if !standardize {
        return loss(own, theirs);
    }
    let (z, deviation) = standardized(own);
    let (value, grad) = loss(&z, &standardized(theirs).0);
    let count = z.len() as f64;
    let mean = grad.iter().sum::<f64>() / count;
    let along = grad.iter().zip(&z).map(|(g, z)| g * z).sum::<f64>() / (count - 1.0).max(1.0);
    (value, grad.iter().zip(&z).map(|(g, z)| (g - mean - z * along) / deviation).collect())
}
