//! Routing: a softmax of which the largest probabilities stay.

use crate::Result;
use crate::memory::{Dense, expect_shape, numbers, rounded, wrong_shape};
use crate::real::{Real, by_dtype};
use candle_core::Tensor;

/// `p_i = exp(x_i) / sum over j of exp(x_j)` for the `top` largest of each row of `x` (N, E), and 0 for all others; of equal ones
/// the first. What stays is not divided by its sum, so that one alone has a gradient too (Fedus, Zoph and Shazeer 2021, arXiv
/// 2101.03961, eq. 2). A row with a number that is none becomes NaN.
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) for another rank or a `top` of 0,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn route(x: &Tensor, top: usize) -> Result<Tensor> {
    by_dtype!("route", x, forward(x, top))
}

/// The gradient of [`route`] with respect to its input, the choice held as it is: `p_j (g_j - sum of g_i p_i)` for those that stay, and
/// `-p_j (sum of g_i p_i)` for the others, the sum being over those that stay.
///
/// # Errors
/// As [`route`], and where the shapes differ.
pub fn route_backward(x: &Tensor, grad: &Tensor, top: usize) -> Result<Tensor> {
    expect_shape("route_backward", "grad", grad, x.dims())?;
    by_dtype!("route_backward", x, backward(x, grad, top))
}

fn forward<T: Real>(x: &Tensor, top: usize) -> Result<Tensor> {
    let rows = rows::<T>("route", x, top)?;
    let kept = |p: Vec<f64>| {
        let stays = largest(&p, top);
        p.into_iter().zip(stays).map(|(p, stays)| if stays { p } else { 0.0 }).collect::<Vec<_>>()
    };
    rounded::<T>(&rows.into_iter().flat_map(kept).collect::<Vec<_>>(), x.dims())
}

fn backward<T: Real>(x: &Tensor, grad: &Tensor, top: usize) -> Result<Tensor> {
    const OP: &str = "route_backward";
    let rows = rows::<T>(OP, x, top)?;
    let grads = values::<T>(OP, grad)?;
    let width = x.dims()[1].max(1);
    let below = |(p, grads): (Vec<f64>, &[f64])| {
        let stays = largest(&p, top);
        let own: Vec<f64> = grads.iter().zip(stays).map(|(&g, stays)| if stays { g } else { 0.0 }).collect();
        let mean: f64 = own.iter().zip(&p).map(|(g, p)| g * p).sum();
        p.into_iter().zip(own).map(|(p, g)| p * (g - mean)).collect::<Vec<_>>()
    };
    rounded::<T>(&rows.into_iter().zip(grads.chunks_exact(width)).flat_map(below).collect::<Vec<_>>(), x.dims())
}

/// The probabilities of each row.
fn rows<T: Real>(op: &'static str, x: &Tensor, top: usize) -> Result<Vec<Vec<f64>>> {
    match *x.dims() {
        [_, width] if top > 0 => Ok(values::<T>(op, x)?.chunks_exact(width.max(1)).map(softmax).collect()),
        _ => Err(wrong_shape(op, format!("x {:?}, the {top} largest", x.dims()), "(N, E), one or more")),
    }
}

fn values<T: Real>(op: &'static str, x: &Tensor) -> Result<Vec<f64>> {
    let dense = Dense::new::<T>(op, x)?;
    let (storage, layout) = dense.storage();
    Ok(numbers::<T>(&storage, layout)?.iter().map(|x| x.to_f64()).collect())
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exponentials: Vec<f64> = row.iter().map(|x| (x - most).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.into_iter().map(|e| e / sum).collect()
}

/// Which numbers of a row are among the `top` largest.
fn largest(row: &[f64], top: usize) -> Vec<bool> {
    let before = |i: usize| (0..row.len()).filter(|&j| row[j] > row[i] || (row[j] == row[i] && j < i)).count();
    (0..row.len()).map(|i| before(i) < top).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpError;
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, list, noise, tensor64, to_f32};

    fn routed(x: &[f64], top: usize) -> Vec<f64> {
        list(&route(&tensor64(x, &[1, x.len()]), top).unwrap())
    }

    // Of logits ln 1, ln 2, ln 5 the probabilities are 1/8, 2/8, 5/8.
    #[test]
    fn closed_forms() {
        let logits = [0.0, 2f64.ln(), 5f64.ln()];
        for (top, expected) in [(1, [0.0, 0.0, 0.625]), (2, [0.0, 0.25, 0.625]), (3, [0.125, 0.25, 0.625])] {
            let found = routed(&logits, top);
            assert!(found.iter().zip(expected).all(|(p, e)| (p - e).abs() < 1e-15), "{found:?}");
            assert!(found.iter().zip(expected).all(|(p, e)| (*p == 0.0) == (e == 0.0)), "others are exactly 0");
        }
        assert_eq!(routed(&[3.0, 3.0, 3.0, 3.0], 1), [0.25, 0.0, 0.0, 0.0], "of equal ones the first");
        assert_eq!(routed(&[1000.0, 0.0], 1), [1.0, 0.0]);
        assert_eq!(routed(&[7.0], 5), [1.0]);
        assert!(routed(&[f64::NAN, 1.0], 1).iter().all(|p| p.is_nan()));
    }

    // 1/8, 2/8, 5/8, of which the last stays, with a gradient of 8: 8 p (1 - p) for it, -8 p p_j for the others.
    #[test]
    fn one_alone_has_a_gradient() {
        let x = tensor64(&[0.0, 2f64.ln(), 5f64.ln()], &[1, 3]);
        let found = list(&route_backward(&x, &tensor64(&[100.0, -100.0, 8.0], &[1, 3]), 1).unwrap());
        assert!(found.iter().zip([-0.625, -1.25, 1.875]).all(|(g, e)| (g - e).abs() < 1e-14), "{found:?}");
    }

    #[test]
    fn gradients_are_central_differences() {
        for (shape, top) in [([3, 4], 1), ([3, 4], 2), ([2, 5], 5), ([4, 1], 1)] {
            let (x, upstream) = (noise(&shape, 1), noise(&shape, 2));
            let grad = route_backward(&x, &upstream, top).unwrap();
            assert_gradient(&x, &upstream, &grad, |x| route(x, top).unwrap());
        }
    }

    #[test]
    fn layout_batch_and_threads_do_not_matter() {
        let (x, upstream) = (noise(&[9, 7], 1), noise(&[9, 7], 2));
        let y = route(&x, 2).unwrap();
        let turned = x.t().unwrap().contiguous().unwrap().t().unwrap();
        assert_eq!(bits(&route(&turned, 2).unwrap()), bits(&y));
        assert_eq!(bits(&route(&x.narrow(0, 4, 2).unwrap(), 2).unwrap()), bits(&y.narrow(0, 4, 2).unwrap()));
        let (x, upstream) = (to_f32(&x), to_f32(&upstream));
        assert_same_on_all_threads(|| vec![route(&x, 2).unwrap(), route_backward(&x, &upstream, 2).unwrap()]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(route(&noise(&[0, 3], 1), 1).unwrap().dims(), [0, 3]);
        assert!(matches!(route(&noise(&[3], 1), 1), Err(OpError::Shape { .. })));
        assert!(matches!(route(&noise(&[2, 3], 1), 0), Err(OpError::Shape { .. })));
        assert!(matches!(route_backward(&noise(&[2, 3], 1), &noise(&[2, 2], 1), 1), Err(OpError::Shape { .. })));
    }
}
