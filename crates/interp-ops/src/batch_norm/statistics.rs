//! Sums over the pixels of a channels-last tensor: short runs in `T`, joined in `f64` in a fixed order.

use super::functions::{Deviation, SquaredDeviation};
use super::passes::{Beside, Function, chunk_sums};
use crate::real::Real;
use crate::sums::{rows_per_chunk, total};
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
    let [sums] = chunk_sums(Deviation, chunk, chunk, [first]);
    let mean: Vec<f64> = first.iter().zip(&sums).map(|(first, sum)| first.to_f64() + sum / count).collect();
    let center: Vec<T> = mean.iter().map(|&mean| T::from_f64(mean)).collect();
    let [squares] = chunk_sums(SquaredDeviation, chunk, chunk, [&center]);
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

/// The sums that the gradients need.
pub(super) fn gradient_sums<T: Real>(
    terms: impl Function<T, 3, 2>,
    values: &[T],
    grads: &Beside<'_, T>,
    constants: &[Vec<T>; 3],
) -> Sums {
    let channels = constants[0].len();
    let chunk = rows_per_chunk(channels) * channels.max(1);
    let constants = constants.each_ref().map(|c| &c[..]);
    let of_chunk = |(index, x): (usize, &[T])| {
        grads.with(index * chunk, x.len(), channels, |g| {
            <(Vec<f64>, Vec<f64>)>::from(chunk_sums(terms, x, g, constants))
        })
    };
    let parts: (Vec<Vec<f64>>, Vec<Vec<f64>>) = values.par_chunks(chunk).enumerate().map(of_chunk).unzip();
    Sums { of_grad: total(&parts.0, channels), of_deviation: total(&parts.1, channels) }
}
