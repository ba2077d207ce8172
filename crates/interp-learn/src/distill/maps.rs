//! Activations of two networks made comparable.

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};
use interp_net::Graph;
use interp_net::finding::Unfit;
use interp_net::ops::{adaptive_avg_pool2d, adaptive_avg_pool2d_backward};

use crate::{LearnError, Result};

/// The student's activation as a variable, and the teacher's beside it: maps (N, C, H, W) are averaged to the smaller height and width of
/// the two; vectors (N, C) stay.
pub(super) struct Pair {
    pub(super) student: Var,
    pub(super) teacher: Tensor,
    /// The shape of the student's activation before it was averaged, where it was.
    averaged: Option<Vec<usize>>,
}

impl Pair {
    pub(super) fn new(student: &Tensor, teacher: &Tensor) -> Result<Self> {
        let teacher = teacher.to_device(student.device())?.to_dtype(student.dtype())?;
        let (&[_, _, h, w], &[_, _, rows, columns]) = (student.dims(), teacher.dims()) else {
            return Ok(Self { student: variable(student)?, teacher, averaged: None });
        };
        let size = [h.min(rows), w.min(columns)];
        let teacher = if size == [rows, columns] { teacher } else { means(&teacher, size)? };
        Ok(match size == [h, w] {
            true => Self { student: variable(student)?, teacher, averaged: None },
            false => {
                let averaged = Some(student.dims().to_vec());
                Self { student: variable(&means(student, size)?)?, teacher, averaged }
            }
        })
    }

    /// The gradient with respect to the student's activation.
    pub(super) fn gradient(&self, grads: &GradStore) -> Result<Tensor> {
        let gradient = gradient(grads, &self.student)?;
        match &self.averaged {
            Some(shape) => {
                let place = place(&gradient, shape, gradient.dims());
                Ok(adaptive_avg_pool2d_backward(&gradient.to_device(&place)?, shape)?.to_device(gradient.device())?)
            }
            None => Ok(gradient),
        }
    }
}

/// Maps (N, C, H, W) averaged to this height and width.
fn means(x: &Tensor, size: [usize; 2]) -> Result<Tensor> {
    let place = place(x, x.dims(), &size);
    Ok(adaptive_avg_pool2d(&x.to_device(&place)?, size)?.to_device(x.device())?)
}

/// Where maps of one shape are averaged to another, both ending with height and width, or the gradient goes back: where `x` lies, but
/// on the CPU where the sizes do not divide, as a CUDA device has no averages over windows that overlap.
fn place(x: &Tensor, from: &[usize], to: &[usize]) -> Device {
    if divides(from, to) { x.device().clone() } else { Device::Cpu }
}

/// Whether the last two sizes of one shape divide those of another.
fn divides(from: &[usize], to: &[usize]) -> bool {
    from.iter().rev().zip(to.iter().rev()).take(2).all(|(from, to)| from.is_multiple_of(*to))
}

/// Refuses two nodes of which one gives maps and the other vectors.
pub(super) fn check_pair(student: &Graph, own: &str, teacher: &Graph, theirs: &str) -> Result<(), Unfit> {
    let shape = |graph: &Graph, name: &str| graph.id(name).map(|id| graph.shape(id).to_vec()).unwrap_or_default();
    let (own, theirs) = (shape(student, own), shape(teacher, theirs));
    let problem =
        format!("must give maps where the student's node does, and vectors where it does: {theirs:?} beside {own:?}");
    Unfit::unless(own.len() == theirs.len(), "teacher", problem)
}

/// A copy that gradients are taken for.
pub(super) fn variable(x: &Tensor) -> Result<Var> {
    Ok(Var::from_tensor(&x.contiguous()?)?)
}

/// The gradient with respect to a variable that the loss depends on.
pub(super) fn gradient(grads: &GradStore, variable: &Var) -> Result<Tensor> {
    let found = grads.get(variable.as_tensor()).cloned();
    found.ok_or_else(|| LearnError::State("a loss does not depend on what it is a loss of".into()))
}

/// The value of a scalar.
pub(super) fn value(loss: &Tensor) -> Result<f64> {
    Ok(loss.to_dtype(candle_core::DType::F64)?.to_scalar()?)
}

/// Rows over their Euclidean length, (N, C); a row of zeros stays one.
pub(super) fn unit_rows(x: &Tensor) -> Result<Tensor> {
    let length = (x.sqr()?.sum_keepdim(1)? + 1e-12)?.sqrt()?;
    Ok(x.broadcast_div(&length)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn height_and_width_alone_must_divide() {
        assert!(divides(&[5, 3, 8, 6], &[4, 2]) && divides(&[5, 3, 8, 6], &[7, 2, 8, 3]));
        assert!(!divides(&[4, 4, 7, 8], &[4, 4]) && !divides(&[4, 4, 8, 7], &[4, 4, 8, 3]));
    }
}
