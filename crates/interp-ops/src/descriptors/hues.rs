//! Shares of colors.

use super::wheel::{Place, Wheel};

/// Chroma at the centers of the grays, the pale and the vivid hues.
const CHROMA: [f64; 3] = [0.0, 0.1, 0.3];
/// Mean value at the centers of black, gray and white.
const LIGHTNESS: [f64; 3] = [0.0, 0.5, 1.0];
/// sqrt(3) / 2.
const HALF_ROOT: f64 = 0.866_025_403_784_438_6;

/// A pixel's place among the colors.
struct Color {
    vector: [f64; 2],
    hue: Place,
    chroma: Between,
    lightness: Between,
}

/// A number between two of three centers: which is the first, the share of the second, and how that grows with the number.
struct Between {
    first: usize,
    share: f64,
    growth: f64,
}

impl Between {
    fn new(centers: &[f64; 3], number: f64) -> Self {
        let first = usize::from(number >= centers[1]);
        let growth = 1.0 / (centers[first + 1] - centers[first]);
        let share = (number - centers[first]) * growth;
        let outside = !(0.0..=1.0).contains(&share);
        Self { first, share: share.clamp(0.0, 1.0), growth: if outside { 0.0 } else { growth } }
    }

    /// The shares of all three.
    fn shares(&self) -> [f64; 3] {
        let mut shares = [0.0; 3];
        shares[self.first] = 1.0 - self.share;
        shares[self.first + 1] = self.share;
        shares
    }

    /// How what has these values at the centers changes with the number.
    fn slope(&self, values: &[f64; 3]) -> f64 {
        (values[self.first + 1] - values[self.first]) * self.growth
    }
}

fn wheel(bins: usize) -> Wheel {
    Wheel { bins, rounds: 1, first: 0.0 }
}

fn color(pixel: &[f64], bins: usize) -> Color {
    let [r, g, b] = [pixel[0], pixel[1], pixel[2]];
    let vector = [(2.0 * r - g - b) / 2.0, HALF_ROOT * (g - b)];
    let hue = wheel(bins).place(vector);
    let chroma = Between::new(&CHROMA, hue.length);
    Color { vector, hue, chroma, lightness: Between::new(&LIGHTNESS, (r + g + b) / 3.0) }
}

pub(super) fn forward(numbers: &[f64], bins: usize, out: &mut [f64]) {
    for (pixel, out) in numbers.chunks_exact(3).zip(out.chunks_exact_mut(2 * bins + 3)) {
        let Color { hue, chroma, lightness, .. } = color(pixel, bins);
        let [gray, pale, vivid] = chroma.shares();
        hue.add(pale, &mut out[..bins]);
        hue.add(vivid, &mut out[bins..2 * bins]);
        out[2 * bins..].iter_mut().zip(lightness.shares()).for_each(|(out, share)| *out = gray * share);
    }
}

pub(super) fn backward(numbers: &[f64], bins: usize, grad: &[f64], below: &mut [f64]) {
    let pixels = numbers.chunks_exact(3).zip(grad.chunks_exact(2 * bins + 3));
    for ((pixel, grad), below) in pixels.zip(below.chunks_exact_mut(3)) {
        let Color { vector, hue, chroma, lightness } = color(pixel, bins);
        let (pales, vivids, grays) = (&grad[..bins], &grad[bins..2 * bins], [0, 1, 2].map(|i| grad[2 * bins + i]));
        let [gray, pale, vivid] = chroma.shares();
        let of_grays = grays.iter().zip(lightness.shares()).map(|(grad, share)| grad * share).sum();
        let by_chroma = chroma.slope(&[of_grays, hue.between(pales), hue.between(vivids)]);
        let by_share = pale * hue.slope(pales) + vivid * hue.slope(vivids);
        let [u, v] = wheel(bins).back(vector, &hue, by_chroma, by_share);
        let by_lightness = gray * lightness.slope(&grays) / 3.0;
        let sum = [u, HALF_ROOT * v - u / 2.0, -HALF_ROOT * v - u / 2.0];
        below.iter_mut().zip(sum).for_each(|(below, of_color)| *below = of_color + by_lightness);
    }
}
