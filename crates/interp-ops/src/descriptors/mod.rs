//! Handcrafted descriptions of pictures, pixel by pixel: luminance, colors, orientations of edges, local binary patterns, spatial
//! frequencies. Their
//! means over a picture are its histograms, those over cells the maps of histograms that HOG is made of.

mod bands;
mod hues;
mod orientations;
mod patterns;
mod wheel;

use candle_core::Tensor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::memory::{Dense, four, numbers, tensor, wrong_shape};
use crate::real::{Real, by_dtype};

/// What is said of every pixel. None has parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Descriptor {
    /// 0.2126 R + 0.7152 G + 0.0722 B, the luminance of ITU-R BT.709: (N, 3, H, W) to (N, 1, H, W).
    Luminance,
    /// The shares of 2 `bins` + 3 colors in a pixel of values in [0, 1]: (N, 3, H, W) to (N, 2 `bins` + 3, H, W). They add
    /// up to 1, and their mean over the picture is a color histogram with soft bins.
    ///
    /// With u = (2 R - G - B) / 2 and v = sqrt(3) / 2 (G - B), chroma is sqrt(u² + v²), hue the angle of (u, v): red at 0,
    /// green at a third of the turn. The pale and then the vivid hues have their centers at 0, 1, ... `bins` - 1 times 1 /
    /// `bins` of the turn; then come black, gray and white, with centers at a mean value of 0, 1/2 and 1. Chroma is 0 at the
    /// centers of the last three, 1/10 at those of the pale and 3/10 at those of the vivid hues. Between centers, and beyond
    /// the outer ones, shares are linear.
    Hues {
        /// Hues around the circle, at least 2.
        bins: usize,
    },
    /// The strength of the edge in a pixel, by direction: (N, 1, H, W) to (N, `bins`, H, W). The mean over a cell is its
    /// histogram of oriented gradients (Dalal and Triggs 2005, section 6, before the normalization of blocks).
    ///
    /// With dx and dy the differences between the neighbors right and left, below and above, 0 at the borders, the strength is
    /// sqrt(dx² + dy²), shared linearly between the two nearest of the bins' centers (i + 1/2) π / `bins` for the angle of
    /// (dx, dy), of which opposite directions are one.
    Orientations {
        /// Directions in half a turn, at least 2.
        bins: usize,
    },
    /// Which of ten patterns the eight neighbors of a pixel make, 1 for it and 0 for the others: (N, 1, H, W) to (N, 10, H, W).
    /// The mean over the picture is its histogram of local binary patterns, uniform and invariant to rotation (Ojala et al. 2002,
    /// equation 9, P = 8, R = 1).
    ///
    /// Neighbors lie on a circle of radius 1, interpolated bilinearly, beyond the borders as at them. Pattern k < 9: the k that are
    /// not darker than the pixel stand side by side. The last: they do not.
    Patterns,
    /// How much a pixel has of which band of spatial frequencies, an octave each: (N, 1, H, W) to (N, `count`, H, W). The mean over the
    /// picture is its spectrum, from fine to coarse.
    ///
    /// Band k is |c_k - c_(k+1)|, c_0 being the picture and c_(k+1) what is left of c_k when it is smoothed along rows and columns by
    /// (1, 4, 6, 4, 1) / 16 with neighbors 2^k pixels apart, beyond the borders as at them: the wavelet transform "a trous" with a
    /// cubic B-spline (Starck and Murtagh 1994, section 2). Of a wave of frequency w, in radians per pixel, along one axis smoothing
    /// leaves cos^4(2^k w / 2).
    Bands {
        /// Bands, 1 to 8.
        count: usize,
    },
}

impl Descriptor {
    /// Channels going in and out.
    pub fn channels(self) -> [usize; 2] {
        match self {
            Self::Luminance => [3, 1],
            Self::Hues { bins } => [3, 2 * bins + 3],
            Self::Orientations { bins } => [1, bins],
            Self::Patterns => [1, 10],
            Self::Bands { count } => [1, count],
        }
    }

    /// Pixels that are looked at beside the described one, in each direction.
    pub fn reach(self) -> usize {
        match self {
            Self::Luminance | Self::Hues { .. } => 0,
            Self::Orientations { .. } | Self::Patterns => 1,
            Self::Bands { count } => 2 * ((1 << count.min(BANDS)) - 1),
        }
    }
}

/// The most bands of frequencies.
const BANDS: usize = 8;

/// The parts of red, green and blue in luminance.
const LUMINANCE: [f64; 3] = [0.2126, 0.7152, 0.0722];

/// The description of `x` (N, C, H, W), with C and the shape of the result as the [`Descriptor`] says. On the CPU alone.
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) for another shape, fewer than 2 bins, or no or too many bands,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn describe(x: &Tensor, by: Descriptor) -> Result<Tensor> {
    by_dtype!("describe", x, forward(x, by))
}

/// The gradient with respect to `x`; that of patterns, which are constant between their jumps, is 0.
///
/// # Errors
/// As [`describe`].
pub fn describe_backward(x: &Tensor, grad: &Tensor, by: Descriptor) -> Result<Tensor> {
    by_dtype!("describe_backward", x, backward(x, grad, by))
}

/// A picture's numbers, pixel after pixel, and its size.
struct Picture<'a> {
    numbers: &'a [f64],
    height: usize,
    width: usize,
}

impl Picture<'_> {
    /// Whether the pixel has neighbors on both sides, along the rows and along the columns.
    fn inner(&self, pixel: usize) -> [bool; 2] {
        let (row, column) = (pixel / self.width, pixel % self.width);
        [(1..self.height.saturating_sub(1)).contains(&row), (1..self.width.saturating_sub(1)).contains(&column)]
    }
}

fn forward<T: Real>(x: &Tensor, by: Descriptor) -> Result<Tensor> {
    let ([n, _, h, w], [_, channels]) = (sizes("describe", x, by)?, by.channels());
    let pictures = in_f64::<T>("describe", x)?;
    let describe = |numbers: &[f64]| {
        let picture = Picture { numbers, height: h, width: w };
        let mut out = vec![0.0; h * w * channels];
        match by {
            Descriptor::Luminance => luminance(numbers, &mut out),
            Descriptor::Hues { bins } => hues::forward(numbers, bins, &mut out),
            Descriptor::Orientations { bins } => orientations::forward(&picture, bins, &mut out),
            Descriptor::Patterns => patterns::forward(&picture, &mut out),
            Descriptor::Bands { count } => bands::forward(&picture, count, &mut out),
        }
        out
    };
    each::<T>(pictures.par_chunks((h * w * by.channels()[0]).max(1)).map(describe), &[n, channels, h, w])
}

fn backward<T: Real>(x: &Tensor, grad: &Tensor, by: Descriptor) -> Result<Tensor> {
    const OP: &str = "describe_backward";
    let ([n, c, h, w], [_, channels]) = (sizes(OP, x, by)?, by.channels());
    crate::memory::expect_shape(OP, "grad", grad, &[n, channels, h, w])?;
    let (pictures, grads) = (in_f64::<T>(OP, x)?, in_f64::<T>(OP, grad)?);
    let back = |(numbers, grad): (&[f64], &[f64])| {
        let picture = Picture { numbers, height: h, width: w };
        let mut below = vec![0.0; numbers.len()];
        match by {
            Descriptor::Luminance => luminance_backward(grad, &mut below),
            Descriptor::Hues { bins } => hues::backward(numbers, bins, grad, &mut below),
            Descriptor::Orientations { bins } => orientations::backward(&picture, bins, grad, &mut below),
            Descriptor::Patterns => {}
            Descriptor::Bands { count } => bands::backward(&picture, count, grad, &mut below),
        }
        below
    };
    let chunks = pictures.par_chunks((h * w * c).max(1)).zip(grads.par_chunks((h * w * channels).max(1)));
    each::<T>(chunks.map(back), &[n, c, h, w])
}

fn luminance(numbers: &[f64], out: &mut [f64]) {
    for (pixel, out) in numbers.chunks_exact(3).zip(out) {
        *out = pixel.iter().zip(LUMINANCE).map(|(value, part)| value * part).sum();
    }
}

fn luminance_backward(grad: &[f64], below: &mut [f64]) {
    for (below, grad) in below.chunks_exact_mut(3).zip(grad) {
        below.iter_mut().zip(LUMINANCE).for_each(|(below, part)| *below = grad * part);
    }
}

fn sizes(op: &'static str, x: &Tensor, by: Descriptor) -> Result<[usize; 4]> {
    let [n, c, h, w] = four(op, "x", x.dims())?;
    let (usable, numbers) = match by {
        Descriptor::Luminance | Descriptor::Patterns => (true, String::new()),
        Descriptor::Hues { bins } | Descriptor::Orientations { bins } => (bins > 1, " and at least 2 bins".into()),
        Descriptor::Bands { count } => ((1..=BANDS).contains(&count), format!(" and 1 to {BANDS} bands")),
    };
    if c == by.channels()[0] && usable {
        return Ok([n, c, h, w]);
    }
    let expected = format!("(N, {}, H, W){numbers}", by.channels()[0]);
    Err(wrong_shape(op, format!("x {:?} for {by:?}", x.dims()), expected))
}

fn in_f64<T: Real>(op: &'static str, x: &Tensor) -> Result<Vec<f64>> {
    let dense = Dense::new::<T>(op, x)?;
    let (storage, layout) = dense.storage();
    Ok(numbers::<T>(&storage, layout)?.iter().map(|number| number.to_f64()).collect())
}

/// A tensor of what was made of each picture.
fn each<T: Real>(made: impl IndexedParallelIterator<Item = Vec<f64>>, shape: &[usize]) -> Result<Tensor> {
    let round = |numbers: Vec<f64>| numbers.into_iter().map(T::from_f64).collect::<Vec<T>>();
    let pictures: Vec<Vec<T>> = made.map(round).collect();
    tensor(pictures.concat(), shape)
}

#[cfg(test)]
mod tests;
