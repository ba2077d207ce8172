//! Sums over the pixels of a channels-last tensor: short runs in `T`, joined in `f64` in a fixed order.

use crate::real::{LANES, Real, lanes, simd};
use crate::sums::{RUN, rows_per_chunk, total};
use rayon::prelude::*;

/// What the gradients of batch normalization need, for every channel.
pub(super) struct Sums {
    /// The sum of g.
    pub(super) of_grad: Vec<f64>,
    /// The sum of g (x - mean).
    pub(super) of_deviation: Vec<f64>,
}

/// Pixels, mean and sum of squared deviations of every channel of a set of pixels.
struct Moments {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

/// The mean and the biased variance of every channel.
pub(super) fn mean_and_variance<T: Real>(values: &[T], channels: usize) -> (Vec<f64>, Vec<f64>) {
    let width = channels.max(1);
    let chunk = rows_per_chunk(width) * width;
    let parts: Vec<Moments> = values.par_chunks(chunk).map(|chunk| moments(chunk, width)).collect();
    let none = Moments { count: 0.0, mean: vec![0.0; channels], squares: vec![0.0; channels] };
    let all = parts.iter().fold(none, join);
    (all.mean, all.squares.iter().map(|s| s / all.count).collect())
}

/// One chunk; the second loop finds it in the cache. Sums are taken around the first pixel and then around the mean, so
/// that no digits are lost where a channel's mean is large beside its deviation.
fn moments<T: Real>(chunk: &[T], width: usize) -> Moments {
    let count = (chunk.len() / width) as f64;
    let first = &chunk[..width];
    let [sums] = channel_sums(chunk, chunk, &[first], |[first], x, _| [x - first]);
    let mean: Vec<f64> = first.iter().zip(&sums).map(|(first, sum)| first.to_f64() + sum / count).collect();
    let center: Vec<T> = mean.iter().map(|&mean| T::from_f64(mean)).collect();
    let [squares] = channel_sums(chunk, chunk, &[&center], |[center], x, _| [(x - center) * (x - center)]);
    Moments { count, mean, squares }
}

/// Chan, Golub and LeVeque 1979: the moments of two sets together.
fn join(mut all: Moments, part: &Moments) -> Moments {
    let count = all.count + part.count;
    let means = all.mean.iter_mut().zip(&part.mean);
    let squares = all.squares.iter_mut().zip(&part.squares);
    for ((mean, part_mean), (square, part_square)) in means.zip(squares) {
        let delta = part_mean - *mean;
        *mean += delta * part.count / count;
        *square += part_square + delta * delta * all.count * part.count / count;
    }
    all.count = count;
    all
}

/// The sums that the gradients need: of `grad` of the channel's constants (the mean first), x and g, which is g
/// as it arrives at the normalized numbers, and of this times (x - mean).
pub(super) fn gradient_sums<T: Real, const K: usize>(
    values: &[T],
    grads: &[T],
    constants: &[&[T]; K],
    grad: impl Fn([T; K], T, T) -> T + Sync,
) -> Sums {
    let channels = constants[0].len();
    let chunk = rows_per_chunk(channels) * channels.max(1);
    let parts = values.par_chunks(chunk).zip(grads.par_chunks(chunk));
    let terms = |constants: [T; K], x: T, g: T| {
        let g = grad(constants, x, g);
        [g, g * (x - constants[0])]
    };
    let of_chunk = |(x, g)| <(Vec<f64>, Vec<f64>)>::from(channel_sums(x, g, constants, terms));
    let parts: (Vec<Vec<f64>>, Vec<Vec<f64>>) = parts.map(of_chunk).unzip();
    Sums { of_grad: total(&parts.0, channels), of_deviation: total(&parts.1, channels) }
}

/// For every channel the sums over a chunk of `terms` of the channel's constants and of two numbers.
fn channel_sums<T: Real, const K: usize, const S: usize>(
    values: &[T],
    others: &[T],
    constants: &[&[T]; K],
    terms: impl Fn([T; K], T, T) -> [T; S],
) -> [Vec<f64>; S] {
    let channels = constants[0].len();
    let mut sums = std::array::from_fn(|_| vec![0.0; channels]);
    simd(
        #[inline(always)]
        || {
            let whole = channels - channels % LANES;
            for start in (0..whole).step_by(LANES) {
                some_channels::<T, K, S, LANES>(values, others, constants, start, &terms, &mut sums);
            }
            for start in whole..channels {
                some_channels::<T, K, S, 1>(values, others, constants, start, &terms, &mut sums);
            }
        },
    );
    sums
}

/// `L` channels from `start`.
#[inline(always)]
fn some_channels<T: Real, const K: usize, const S: usize, const L: usize>(
    values: &[T],
    others: &[T],
    constants: &[&[T]; K],
    start: usize,
    terms: impl Fn([T; K], T, T) -> [T; S],
    result: &mut [Vec<f64>; S],
) {
    let mut totals = [[0.0; L]; S];
    let width = constants[0].len();
    let constants: [[T; L]; K] = std::array::from_fn(|k| lanes(constants[k], start));
    for (values, others) in values.chunks(RUN * width).zip(others.chunks(RUN * width)) {
        let mut sums = [[T::zero(); L]; S];
        for at in (start..values.len()).step_by(width) {
            let (values, others) = (&values[at..at + L], &others[at..at + L]);
            for lane in 0..L {
                let terms = terms(std::array::from_fn(|k| constants[k][lane]), values[lane], others[lane]);
                for (sum, term) in sums.iter_mut().zip(terms) {
                    sum[lane] += term;
                }
            }
        }
        for (total, sum) in totals.iter_mut().zip(&sums) {
            for lane in 0..L {
                total[lane] += sum[lane].to_f64();
            }
        }
    }
    for (result, totals) in result.iter_mut().zip(&totals) {
        result[start..start + L].copy_from_slice(totals);
    }
}
