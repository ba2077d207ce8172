//! Inversion: the picture that a layer's activation comes from, as far as it tells.

use candle_core::Tensor;
use interp_net::{Network, NodeId};
use rayon::prelude::*;

use super::canvas::{Canvas, Drawn, Frame, Range};
use super::maximize::{DECAY, Sketch, Steps};
use super::passes::Passed;
use crate::Result;
use crate::pass::numbers;

/// How activations are inverted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Inversion {
    /// The search.
    pub steps: Steps,
    /// What bright and dark pixels cost: times the mean over numbers `v` of the picture of `(2 v - 1)^6`.
    pub bound: f64,
    /// What differences between neighbors cost: times their mean square, those below and those to the right added.
    pub variation: f64,
}

impl Default for Inversion {
    fn default() -> Self {
        Self { steps: Steps { count: 512, rate: 0.2, seed: 0 }, bound: 0.01, variation: 1.0 }
    }
}

/// A picture that was found from an activation.
#[derive(Clone, Debug, PartialEq)]
pub struct Inverted {
    /// Pixel values, (H, W, C).
    pub pixels: Vec<f32>,
    /// `|A(x) - A| / |A|` of its activation `A(x)` and that which was asked for; `None` where that is all 0.
    pub error: Option<f64>,
    /// The same of the picture that was asked about next, for comparison; `None` of a single one.
    pub other: Option<f64>,
    /// The root of the mean square over pixel values of the difference from the picture whose activation it was.
    pub pixel_error: f64,
}

/// Pictures `x` whose activations at a node are those of `pictures`, (N, C, H, W) as the network sees them: the least of
/// `|A(x) - A|^2 / |A|^2 + bound mean (2 v - 1)^6 + variation mean |v' - v|^2` over pixel values `v` in [0, 1] (Mahendran and Vedaldi 2015,
/// arXiv 1412.0035, equations 1 and 4, with means for sums), by steps of Adam on spectra ([`Steps`]); `at_once` pictures at a time. What is found of a
/// picture depends on no other, and not on the number of threads.
///
/// # Errors
/// If the node does not depend on the picture, an activation is no finite number, or an operation fails.
pub fn invert(
    net: &Network,
    frame: Frame<'_>,
    node: NodeId,
    pictures: &Tensor,
    how: &Inversion,
    at_once: usize,
) -> Result<Vec<Inverted>> {
    let values = numbers(pictures)?;
    let size: usize = net.graph.shape(0).iter().product();
    let pictures: Vec<Vec<f64>> = values.chunks_exact(size.max(1)).map(<[f64]>::to_vec).collect();
    let mut wanted = vec![];
    for part in pictures.chunks(at_once.max(1)) {
        wanted.extend(Passed::through(net, part, &[node])?.at(node)?);
    }
    let canvas = Canvas::new(frame, Range::Box, DECAY);
    let mut found = vec![];
    for (part, pictures) in wanted.chunks(at_once.max(1)).zip(pictures.chunks(at_once.max(1))) {
        let first = found.len();
        let other = |at: usize| (wanted.len() > 1).then(|| wanted[(first + at + 1) % wanted.len()].as_slice());
        let sketches = search(net, node, &canvas, part, how)?;
        found.extend(told(net, node, &canvas, &sketches, part, pictures, other)?);
    }
    Ok(found)
}

/// The spectra whose activations are the wanted ones.
fn search(net: &Network, node: NodeId, canvas: &Canvas, wanted: &[Vec<f64>], how: &Inversion) -> Result<Vec<Sketch>> {
    let mut sketches: Vec<Sketch> = wanted.iter().map(|_| Sketch::new(canvas, how.steps.seed, 0)).collect();
    for _ in 0..how.steps.count {
        let drawn: Vec<Drawn> = sketches.par_iter().map(|sketch| canvas.draw(&sketch.spectrum)).collect();
        let seen: Vec<Vec<f64>> = drawn.par_iter().map(|drawn| canvas.seen(&drawn.pixels)).collect();
        let passed = Passed::through(net, &seen, &[node])?;
        let slope = |(values, wanted): (Vec<f64>, &Vec<f64>)| {
            let whole = square(wanted.iter().copied());
            if whole <= 0.0 {
                return vec![0.0; wanted.len()]; // There is nothing to come near to in parts of.
            }
            values.iter().zip(wanted).map(|(value, wanted)| 2.0 * (value - wanted) / whole).collect()
        };
        let slopes = passed.at(node)?.into_iter().zip(wanted).map(slope).collect();
        let gradients = passed.back(vec![(node, slopes)])?;
        sketches.par_iter_mut().zip(drawn.par_iter().zip(gradients)).for_each(|(sketch, (drawn, gradient))| {
            let mut pixels = canvas.seen_gradient(&gradient);
            costs(&drawn.pixels, canvas.shape(), how, &mut pixels);
            let down = canvas.gradient(drawn, &pixels);
            sketch.adam.step(&mut sketch.spectrum, &down, how.steps.rate, how.steps.count);
        });
    }
    Ok(sketches)
}

/// What a picture costs by itself; its gradient is added.
fn costs(pixels: &[f64], [_, height, width]: [usize; 3], how: &Inversion, gradient: &mut [f64]) -> f64 {
    let share = 1.0 / pixels.len().max(1) as f64;
    let mut sum = 0.0;
    for (at, &value) in pixels.iter().enumerate() {
        let centered = 2.0 * value - 1.0;
        sum += how.bound * share * centered.powi(6);
        gradient[at] += how.bound * share * 12.0 * centered.powi(5);
        let (row, column) = (at / width % height, at % width);
        let neighbors = [(row + 1 < height).then_some(at + width), (column + 1 < width).then_some(at + 1)];
        for neighbor in neighbors.into_iter().flatten() {
            let difference = pixels[neighbor] - value;
            sum += how.variation * share * difference * difference;
            gradient[neighbor] += how.variation * share * 2.0 * difference;
            gradient[at] -= how.variation * share * 2.0 * difference;
        }
    }
    sum
}

/// What was found, with how far it is from what was wanted.
fn told<'a>(
    net: &Network,
    node: NodeId,
    canvas: &Canvas,
    sketches: &[Sketch],
    wanted: &[Vec<f64>],
    pictures: &[Vec<f64>],
    other: impl Fn(usize) -> Option<&'a [f64]>,
) -> Result<Vec<Inverted>> {
    let pixels: Vec<Vec<f64>> = sketches.iter().map(|sketch| canvas.draw(&sketch.spectrum).pixels).collect();
    let seen: Vec<Vec<f64>> = pixels.iter().map(|pixels| canvas.seen(pixels)).collect();
    let reached = Passed::through(net, &seen, &[node])?.at(node)?;
    let inverted = |(at, pixels): (usize, &Vec<f64>)| {
        let whole = square(wanted[at].iter().copied());
        let error = |values: &[f64]| {
            let apart = square(values.iter().zip(&wanted[at]).map(|(value, wanted)| value - wanted));
            (whole > 0.0).then(|| (apart / whole).sqrt())
        };
        let own = canvas.pixels_of(&pictures[at]);
        let apart = square(pixels.iter().zip(&own).map(|(pixel, own)| pixel - own));
        Inverted {
            pixels: canvas.finished(pixels),
            error: error(&reached[at]),
            other: other(at).and_then(error),
            pixel_error: (apart / pixels.len().max(1) as f64).sqrt(),
        }
    };
    Ok(pixels.iter().enumerate().map(inverted).collect())
}

fn square(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Pixels 1, 0.5 and 0, 0.5: (1 + 0 + 1 + 0) / 4 of the sixth power; differences -0.5, 0.5, -1 and 0, of squares 1.5, over 4.
    #[test]
    fn costs_by_hand_with_their_gradient() {
        let how = Inversion { bound: 2.0, variation: 3.0, ..Inversion::default() };
        let of = |pixels: &[f64]| costs(pixels, [1, 2, 2], &how, &mut [0.0; 4]);
        let pixels = [1.0, 0.5, 0.0, 0.5];
        assert!((of(&pixels) - (2.0 * 0.5 + 3.0 * 1.5 / 4.0)).abs() < 1e-12);
        let mut gradient = [0.0; 4];
        costs(&pixels, [1, 2, 2], &how, &mut gradient);
        for at in 0..4 {
            let step = |by: f64| {
                let mut moved = pixels;
                moved[at] += by;
                of(&moved)
            };
            assert!(((step(1e-5) - step(-1e-5)) / 2e-5 - gradient[at]).abs() < 1e-7, "{at}");
        }
    }

    // Neighbors are those of one channel.
    #[test]
    fn channels_are_no_neighbors() {
        let how = Inversion { bound: 0.0, variation: 1.0, ..Inversion::default() };
        assert_eq!(costs(&[0.0, 0.0, 1.0, 1.0], [2, 1, 2], &how, &mut [0.0; 4]), 0.0);
        assert_eq!(costs(&[0.0, 0.0, 1.0, 1.0], [2, 2, 1], &how, &mut [0.0; 4]), 0.0);
    }
}
