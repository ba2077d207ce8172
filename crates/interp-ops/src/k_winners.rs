//! k winners: at every position only the largest channels.

use crate::Result;
use crate::memory::{Dense, numbers, tensor, wrong_shape};
use crate::real::{Real, by_dtype};
use crate::sums::rows_per_chunk;
use candle_core::Tensor;
use rayon::prelude::*;
use std::cmp::Ordering;

/// y = max(x, 0) for the `count` largest channels at every position, and 0 for all others; of equal ones the first win. `x` is
/// (N, C, H, W) or (N, C). The k-sparse representation of Makhzani and Frey 2013 (arXiv 1312.5663) at each position by itself,
/// the local form of the k winners of Ahmad and Scheinkman 2019 (arXiv 1903.11257) for convolutions. Winners are above 0,
/// so that a channel that is 0 can be left out without changing the others. NaN stays NaN and takes nobody's place.
///
/// The gradient is that of a ReLU with this output, [`relu_backward`](crate::relu_backward): a winner's passes, all others are 0.
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) for another rank or no winners,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn k_winners(x: &Tensor, count: usize) -> Result<Tensor> {
    by_dtype!("k_winners", x, winners_of(x, count))
}

fn winners_of<T: Real>(x: &Tensor, count: usize) -> Result<Tensor> {
    const OP: &str = "k_winners";
    let channels = match *x.dims() {
        [_, c] | [_, c, _, _] if count > 0 => c.max(1),
        _ => {
            return Err(wrong_shape(
                OP,
                format!("x {:?}, {count} winners", x.dims()),
                "(N, C, H, W) or (N, C), one or more",
            ));
        }
    };
    let dense = Dense::new::<T>(OP, x)?;
    let (storage, layout) = dense.storage();
    let values = numbers::<T>(&storage, layout)?;
    let mut out = vec![T::zero(); values.len()];
    let chunk = rows_per_chunk(channels) * channels;
    out.par_chunks_mut(chunk).zip(values.par_chunks(chunk)).for_each(|(out, values)| {
        let mut above = Vec::with_capacity(channels);
        for (out, row) in out.chunks_exact_mut(channels).zip(values.chunks_exact(channels)) {
            keep_largest(out, row, count, &mut above);
        }
    });
    tensor(out, x.dims())
}

/// Writes the winners of one position; `above` is a buffer.
fn keep_largest<T: Real>(out: &mut [T], row: &[T], count: usize, above: &mut Vec<T>) {
    above.clear();
    above.extend(row.iter().copied().filter(|&x| x > T::zero()));
    let (mut limit, mut ties) = (T::zero(), 0);
    if above.len() > count {
        let descending = |a: &T, b: &T| b.partial_cmp(a).unwrap_or(Ordering::Equal);
        limit = *above.select_nth_unstable_by(count - 1, descending).1;
        ties = above[..count].iter().filter(|&&x| x == limit).count();
    }
    for (out, &x) in out.iter_mut().zip(row) {
        let tied = x == limit && ties > 0;
        ties -= usize::from(tied);
        *out = if x > limit || tied || x.is_nan() { x } else { T::zero() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64, to_f32};
    use crate::{OpError, relu, relu_backward};

    fn winners(x: &[f64], count: usize) -> Vec<f64> {
        list(&k_winners(&tensor64(x, &[1, x.len()]), count).unwrap())
    }

    // The two largest of 3, 1, 2.
    #[test]
    fn by_hand() {
        assert_eq!(winners(&[3.0, 1.0, 2.0], 2), [3.0, 0.0, 2.0]);
        assert_eq!(winners(&[-3.0, 1.0, -2.0], 2), [0.0, 1.0, 0.0], "below zero nobody wins");
        assert_eq!(winners(&[2.0, 5.0, 2.0, 2.0], 3), [2.0, 5.0, 2.0, 0.0], "of equal ones the first");
        assert_eq!(winners(&[1.0, 2.0], 5), [1.0, 2.0]);
        let with_nan = winners(&[f64::NAN, 1.0, 2.0, f64::INFINITY], 1);
        assert!(with_nan[0].is_nan());
        assert_eq!(with_nan[1..], [0.0, 0.0, f64::INFINITY]);
    }

    #[test]
    fn every_position_has_its_winners() {
        for shape in [&[2, 7, 5, 4][..], &[1, 1, 1, 1], &[2, 600, 1, 3], &[4, 9]] {
            let (x, channels) = (noise(shape, 1), shape[1]);
            let inner = shape[2..].iter().product::<usize>();
            for count in [1, 3, channels] {
                let (x, y) = (list(&x), list(&k_winners(&x, count).unwrap()));
                for (at, y) in y.iter().enumerate() {
                    let (picture, position) = (at / (channels * inner), at % inner);
                    let own = |c: usize| x[(picture * channels + c) * inner + position];
                    let larger = (0..channels).filter(|&c| own(c) > x[at]).count();
                    assert_eq!(*y, if larger < count { x[at].max(0.0) } else { 0.0 });
                }
            }
            assert_eq!(bits(&k_winners(&x, channels).unwrap()), bits(&relu(&x).unwrap()));
        }
    }

    #[test]
    fn gradients_are_central_differences() {
        for shape in [&[2, 7, 3, 2][..], &[4, 9]] {
            let (x, upstream) = (noise(shape, 1), noise(shape, 2));
            let y = k_winners(&x, 3).unwrap();
            assert_gradient(&x, &upstream, &relu_backward(&y, &upstream).unwrap(), |x| k_winners(x, 3).unwrap());
        }
    }

    #[test]
    fn layout_batch_and_threads_do_not_matter() {
        let x = noise(&[9, 18, 13, 11], 1);
        let y = k_winners(&x, 4).unwrap();
        assert!(layouts(&x).iter().all(|x| bits(&k_winners(x, 4).unwrap()) == bits(&y)));
        let part = k_winners(&x.narrow(0, 4, 2).unwrap(), 4).unwrap();
        assert_eq!(bits(&part), bits(&y.narrow(0, 4, 2).unwrap()));
        assert_same_on_all_threads(|| vec![k_winners(&to_f32(&x), 4).unwrap()]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(k_winners(&noise(&[0, 3, 2, 2], 1), 1).unwrap().dims(), [0, 3, 2, 2]);
        assert!(matches!(k_winners(&noise(&[3], 1), 1), Err(OpError::Shape { .. })));
        assert!(matches!(k_winners(&noise(&[2, 3], 1), 0), Err(OpError::Shape { .. })));
    }
}
