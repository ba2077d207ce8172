//! Shares that add up to 1: of channels at a position, or of positions in a channel.

use crate::Result;
use crate::memory::{Dense, expect_shape, numbers, rounded, wrong_shape};
use crate::real::{Real, by_dtype};
use candle_core::Tensor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::iter::StepBy;
use std::ops::Range;

/// What the shares of [`softmax`] are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// The channels at one position: they add up to 1 at every position.
    Channels,
    /// The positions of one channel: they add up to 1 in every channel.
    Positions,
}

/// `y_i = exp(x_i) / sum over j of exp(x_j)`, j over the channels of a position or over the positions of a channel. `x` is (N, C, H, W),
/// or (N, C), of which each channel has one position.
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) for another rank,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn softmax(x: &Tensor, over: Over) -> Result<Tensor> {
    by_dtype!("softmax", x, forward(x, over))
}

/// The gradient of [`softmax`] with respect to its input: `y_i (g_i - sum over j of g_j y_j)`.
///
/// # Errors
/// As [`softmax`], and where the shapes differ.
pub fn softmax_backward(output: &Tensor, grad: &Tensor, over: Over) -> Result<Tensor> {
    expect_shape("softmax_backward", "grad", grad, output.dims())?;
    by_dtype!("softmax_backward", output, backward(output, grad, over))
}

fn forward<T: Real>(x: &Tensor, over: Over) -> Result<Tensor> {
    const OP: &str = "softmax";
    let shape = Shape::of(OP, x)?;
    let (groups, mut values) = (shape.groups(over), values::<T>(OP, x)?);
    values.par_chunks_mut(shape.picture()).for_each(|values| {
        for group in &groups {
            let most = group.clone().map(|at| values[at]).fold(f64::NEG_INFINITY, f64::max);
            group.clone().for_each(|at| values[at] = (values[at] - most).exp());
            let sum: f64 = group.clone().map(|at| values[at]).sum();
            group.clone().for_each(|at| values[at] /= sum);
        }
    });
    rounded::<T>(&values, x.dims())
}

fn backward<T: Real>(output: &Tensor, grad: &Tensor, over: Over) -> Result<Tensor> {
    const OP: &str = "softmax_backward";
    let shape = Shape::of(OP, output)?;
    let (groups, output, mut grads) = (shape.groups(over), values::<T>(OP, output)?, values::<T>(OP, grad)?);
    grads.par_chunks_mut(shape.picture()).zip(output.par_chunks(shape.picture())).for_each(|(grads, output)| {
        for group in &groups {
            let mean: f64 = group.clone().map(|at| grads[at] * output[at]).sum();
            group.clone().for_each(|at| grads[at] = output[at] * (grads[at] - mean));
        }
    });
    rounded::<T>(&grads, grad.dims())
}

fn values<T: Real>(op: &'static str, x: &Tensor) -> Result<Vec<f64>> {
    let dense = Dense::new::<T>(op, x)?;
    let (storage, layout) = dense.storage();
    Ok(numbers::<T>(&storage, layout)?.iter().map(|x| x.to_f64()).collect())
}

/// Channels, and positions of each. In memory a picture is (positions, channels).
struct Shape {
    channels: usize,
    positions: usize,
}

impl Shape {
    fn of(op: &'static str, x: &Tensor) -> Result<Self> {
        match *x.dims() {
            [_, channels] => Ok(Self { channels, positions: 1 }),
            [_, channels, height, width] => Ok(Self { channels, positions: height * width }),
            _ => Err(wrong_shape(op, format!("x {:?}", x.dims()), "(N, C, H, W) or (N, C)")),
        }
    }

    /// Numbers of a picture.
    fn picture(&self) -> usize {
        (self.channels * self.positions).max(1)
    }

    /// Where in a picture those lie that make up 1.
    fn groups(&self, over: Over) -> Vec<StepBy<Range<usize>>> {
        let &Self { channels, positions } = self;
        match over {
            Over::Channels => (0..positions).map(|at| (at * channels..(at + 1) * channels).step_by(1)).collect(),
            Over::Positions => (0..channels).map(|at| (at..channels * positions).step_by(channels)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpError;
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64, to_f32};

    // Of logits ln 1, ln 2, ln 5 the shares are 1/8, 2/8, 5/8.
    #[test]
    fn closed_forms() {
        let logits = [0.0, 2f64.ln(), 5f64.ln()];
        let near = |found: Vec<f64>, expected: &[f64]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        };
        near(list(&softmax(&tensor64(&logits, &[1, 3]), Over::Channels).unwrap()), &[0.125, 0.25, 0.625]);
        near(list(&softmax(&tensor64(&logits, &[1, 3]), Over::Positions).unwrap()), &[1.0; 3]);
        near(list(&softmax(&tensor64(&logits, &[1, 1, 1, 3]), Over::Positions).unwrap()), &[0.125, 0.25, 0.625]);
        near(list(&softmax(&tensor64(&[1e4, -1e4], &[1, 2]), Over::Channels).unwrap()), &[1.0, 0.0]);
    }

    #[test]
    fn shares_add_up_to_one() {
        let y = softmax(&noise(&[2, 3, 4, 5], 1), Over::Channels).unwrap();
        assert!(list(&y.sum(1).unwrap()).iter().all(|sum| (sum - 1.0).abs() < 1e-12));
        let y = softmax(&noise(&[2, 3, 4, 5], 1), Over::Positions).unwrap();
        assert!(list(&y.sum((2, 3)).unwrap()).iter().all(|sum| (sum - 1.0).abs() < 1e-12));
    }

    #[test]
    fn gradients_are_central_differences() {
        for (shape, over) in
            [(&[2, 3, 2, 4][..], Over::Channels), (&[2, 3, 2, 4], Over::Positions), (&[3, 5], Over::Channels)]
        {
            let (x, upstream) = (noise(shape, 1), noise(shape, 2));
            let found = softmax_backward(&softmax(&x, over).unwrap(), &upstream, over).unwrap();
            assert_gradient(&x, &upstream, &found, |x| softmax(x, over).unwrap());
        }
    }

    #[test]
    fn layout_batch_and_threads_do_not_matter() {
        let (x, upstream) = (noise(&[9, 3, 5, 4], 1), to_f32(&noise(&[9, 3, 5, 4], 2)));
        for over in [Over::Channels, Over::Positions] {
            let y = softmax(&x, over).unwrap();
            assert!(y.permute((0, 2, 3, 1)).unwrap().is_contiguous());
            assert!(layouts(&x).iter().all(|x| bits(&softmax(x, over).unwrap()) == bits(&y)));
            let part = softmax(&x.narrow(0, 4, 2).unwrap(), over).unwrap();
            assert_eq!(bits(&part), bits(&y.narrow(0, 4, 2).unwrap()));
            let y = to_f32(&y);
            assert_same_on_all_threads(|| {
                vec![softmax(&to_f32(&x), over).unwrap(), softmax_backward(&y, &upstream, over).unwrap()]
            });
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(softmax(&noise(&[0, 3, 2, 2], 1), Over::Positions).unwrap().dims(), [0, 3, 2, 2]);
        assert!(matches!(softmax(&noise(&[3], 1), Over::Channels), Err(OpError::Shape { .. })));
        let grad = noise(&[2, 2], 1);
        assert!(matches!(softmax_backward(&noise(&[2, 3], 1), &grad, Over::Channels), Err(OpError::Shape { .. })));
    }
}
