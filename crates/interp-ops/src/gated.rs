//! Gates: what a picture's part of a network gives, times one number.

use crate::Result;
use crate::memory::{Dense, expect_shape, numbers, rounded, tensor, wrong_shape};
use crate::real::{Real, by_dtype};
use candle_core::Tensor;
use rayon::prelude::*;

/// The gradients of [`gated`].
#[derive(Debug, Clone)]
pub struct GatedGrads {
    /// The gradient with respect to the input, of its shape.
    pub input: Tensor,
    /// The gradient with respect to the gates (N, E): 0 but for the channel that was multiplied with.
    pub gate: Tensor,
}

/// `y_n = x_n g_nc`: each picture of `x` (N, ...) times the number in the channel `channel`, c, of its row of `gate` (N, E).
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) where there is no such gate for each picture,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn gated(x: &Tensor, gate: &Tensor, channel: usize) -> Result<Tensor> {
    by_dtype!("gated", x, forward(x, gate, channel))
}

/// The gradients of [`gated`]: `grad_n g_nc` for the input, the sum of `grad_n x_n` for the gate.
///
/// # Errors
/// As [`gated`], and where the shapes differ.
pub fn gated_backward(x: &Tensor, gate: &Tensor, channel: usize, grad: &Tensor) -> Result<GatedGrads> {
    expect_shape("gated_backward", "grad", grad, x.dims())?;
    by_dtype!("gated_backward", x, backward(x, gate, channel, grad))
}

fn forward<T: Real>(x: &Tensor, gate: &Tensor, channel: usize) -> Result<Tensor> {
    const OP: &str = "gated";
    let width = check(OP, x, gate, channel)?;
    let (dense_x, dense_gate) = (Dense::new::<T>(OP, x)?, Dense::new::<T>(OP, gate)?);
    let ((storage_x, layout_x), (storage_gate, layout_gate)) = (dense_x.storage(), dense_gate.storage());
    let gates = numbers::<T>(&storage_gate, layout_gate)?;
    tensor(scaled(numbers::<T>(&storage_x, layout_x)?, gates, width, channel), x.dims())
}

fn backward<T: Real>(x: &Tensor, gate: &Tensor, channel: usize, grad: &Tensor) -> Result<GatedGrads> {
    const OP: &str = "gated_backward";
    let width = check(OP, x, gate, channel)?;
    let dense = [Dense::new::<T>(OP, x)?, Dense::new::<T>(OP, gate)?, Dense::new::<T>(OP, grad)?];
    let [(storage_x, layout_x), (storage_gate, layout_gate), (storage_grad, layout_grad)] =
        dense.each_ref().map(Dense::storage);
    let gates = numbers::<T>(&storage_gate, layout_gate)?;
    let (x, grads) = (numbers::<T>(&storage_x, layout_x)?, numbers::<T>(&storage_grad, layout_grad)?);
    let mut of_gates = vec![0.0; gates.len()];
    let size = picture_size(x.len(), gates.len() / width);
    let pictures = x.par_chunks_exact(size).zip(grads.par_chunks_exact(size));
    of_gates.par_chunks_exact_mut(width).zip(pictures).for_each(|(row, (x, grads))| {
        row[channel] = x.iter().zip(grads).map(|(x, g)| x.to_f64() * g.to_f64()).sum();
    });
    let input = tensor(scaled(grads, gates, width, channel), grad.dims())?;
    Ok(GatedGrads { input, gate: rounded::<T>(&of_gates, gate.dims())? })
}

/// The numbers of each picture times its gate, in a row of `width` of them.
fn scaled<T: Real>(values: &[T], gates: &[T], width: usize, channel: usize) -> Vec<T> {
    let mut out = values.to_vec();
    let size = picture_size(values.len(), gates.len() / width);
    out.par_chunks_exact_mut(size).zip(gates.par_chunks_exact(width)).for_each(|(picture, gates)| {
        picture.iter_mut().for_each(|x| *x *= gates[channel]);
    });
    out
}

fn picture_size(values: usize, pictures: usize) -> usize {
    (values / pictures.max(1)).max(1)
}

/// The channels of `gate`.
fn check(op: &'static str, x: &Tensor, gate: &Tensor, channel: usize) -> Result<usize> {
    match (x.dims(), gate.dims()) {
        (&[n, _, ..], &[gates, width]) if n == gates && channel < width => Ok(width),
        (x, gate) => {
            let given = format!("x {x:?}, gate {gate:?} and its channel {channel}");
            Err(wrong_shape(op, given, "x (N, ...) and gate (N, E) with one N and this channel"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpError;
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64, to_f32};

    #[test]
    fn by_hand() {
        let (x, gate) = (tensor64(&[1.0, 2.0, 3.0, -4.0], &[2, 2]), tensor64(&[9.0, 0.5, 9.0, 0.0], &[2, 2]));
        assert_eq!(list(&gated(&x, &gate, 1).unwrap()), [0.5, 1.0, 0.0, 0.0]);
        let found = gated_backward(&x, &gate, 1, &tensor64(&[1.0, 10.0, 100.0, 1.0], &[2, 2])).unwrap();
        assert_eq!(list(&found.input), [0.5, 5.0, 0.0, 0.0]);
        assert_eq!(list(&found.gate), [0.0, 21.0, 0.0, 296.0]);
    }

    #[test]
    fn gradients_are_central_differences() {
        for shape in [&[3, 4][..], &[3, 2, 3, 2], &[3, 1]] {
            let (x, gate, upstream) = (noise(shape, 1), noise(&[3, 5], 2), noise(shape, 3));
            let found = gated_backward(&x, &gate, 2, &upstream).unwrap();
            assert_gradient(&x, &upstream, &found.input, |x| gated(x, &gate, 2).unwrap());
            assert_gradient(&gate, &upstream, &found.gate, |gate| gated(&x, gate, 2).unwrap());
        }
    }

    #[test]
    fn layout_batch_and_threads_do_not_matter() {
        let (x, gate, upstream) = (noise(&[9, 3, 5, 4], 1), noise(&[9, 2], 2), noise(&[9, 3, 5, 4], 3));
        let y = gated(&x, &gate, 1).unwrap();
        assert!(y.permute((0, 2, 3, 1)).unwrap().is_contiguous());
        assert!(layouts(&x).iter().all(|x| bits(&gated(x, &gate, 1).unwrap()) == bits(&y)));
        let part = gated(&x.narrow(0, 4, 2).unwrap(), &gate.narrow(0, 4, 2).unwrap(), 1).unwrap();
        assert_eq!(bits(&part), bits(&y.narrow(0, 4, 2).unwrap()));
        let (x, gate, upstream) = (to_f32(&x), to_f32(&gate), to_f32(&upstream));
        assert_same_on_all_threads(|| {
            let found = gated_backward(&x, &gate, 1, &upstream).unwrap();
            vec![gated(&x, &gate, 1).unwrap(), found.input, found.gate]
        });
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(gated(&noise(&[0, 3], 1), &noise(&[0, 2], 1), 0).unwrap().dims(), [0, 3]);
        for (x, gate, channel) in [(&[2, 3][..], &[2, 2][..], 2), (&[2, 3], &[3, 2], 0), (&[2, 3], &[2], 0)] {
            let refused = gated(&noise(x, 1), &noise(gate, 1), channel);
            assert!(matches!(refused, Err(OpError::Shape { .. })));
        }
    }
}
