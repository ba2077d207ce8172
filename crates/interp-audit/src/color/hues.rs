//! Hues of many pixels.

use std::f64::consts::TAU;

use super::space::{apart, opponent};

/// Bins of a circle.
pub const BINS: usize = 36;
/// Degrees of a bin.
const WIDTH: f64 = 360.0 / BINS as f64;
/// Concentration of the von Mises density that bins are smoothed by: a deviation of about 13 degrees.
const KAPPA: f64 = 20.0;
/// Of the largest peak, what a peak must reach that counts.
const PEAK: f64 = 0.5;

/// The color of a pixel, ready to be added up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tint {
    chroma: f64,
    /// Chroma times cosine and sine of the hue, and of twice the hue.
    moments: [[f64; 2]; 2],
    bin: usize,
}

impl Tint {
    pub(super) fn of(pixel: &[f32]) -> Self {
        let color = opponent(pixel);
        let (x, y) = (color[1], color[2]);
        let chroma = x.hypot(y);
        // Twice the angle: (x + iy)^2 is of length chroma^2.
        let second = if chroma > 0.0 { [(x * x - y * y) / chroma, 2.0 * x * y / chroma] } else { [0.0; 2] };
        let turns = y.atan2(x) / TAU;
        Self { chroma, moments: [[x, y], second], bin: (turns.rem_euclid(1.0) * BINS as f64) as usize % BINS }
    }
}

/// Sums of chroma over pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Hues {
    /// By hue: bin `k` from `10 k` to `10 (k + 1)` degrees.
    pub bins: [f64; BINS],
    /// Of all pixels.
    pub chroma: f64,
    /// Pixels, by their weight.
    pub pixels: f64,
    moments: [[f64; 2]; 2],
}

impl Default for Hues {
    fn default() -> Self {
        Self { bins: [0.0; BINS], chroma: 0.0, pixels: 0.0, moments: [[0.0; 2]; 2] }
    }
}

impl Hues {
    pub(super) fn see(&mut self, tint: &Tint) {
        self.bins[tint.bin] += tint.chroma;
        self.chroma += tint.chroma;
        self.pixels += 1.0;
        for (sum, value) in self.moments.iter_mut().flatten().zip(tint.moments.iter().flatten()) {
            *sum += value;
        }
    }

    /// Adds others, each of their sums times `weight`.
    pub fn add(&mut self, other: &Self, weight: f64) {
        let bins = self.bins.iter_mut().zip(&other.bins);
        let moments = self.moments.iter_mut().flatten().zip(other.moments.iter().flatten());
        bins.chain(moments).for_each(|(sum, value)| *sum += weight * value);
        self.chroma += weight * other.chroma;
        self.pixels += weight * other.pixels;
    }

    /// The mean of `exp(i order hue)`, pixels weighed by their chroma; 0 of pixels that are all gray. Order 1 tells one hue, order 2 an axis.
    pub fn moment(&self, order: usize) -> [f64; 2] {
        match self.chroma > 0.0 {
            true => self.moments[order - 1].map(|sum| sum / self.chroma),
            false => [0.0; 2],
        }
    }

    /// The mean hue in degrees, and how much hues agree: 0 where they are spread evenly, 1 where all are the same.
    pub fn mean(&self) -> (f64, f64) {
        let [x, y] = self.moment(1);
        (y.atan2(x).to_degrees().rem_euclid(360.0), x.hypot(y))
    }

    /// The axis in degrees below 180 along which hues lie, the same for opposite ones, and how much they agree on it.
    pub fn axis(&self) -> (f64, f64) {
        let [x, y] = self.moment(2);
        ((y.atan2(x).to_degrees() / 2.0).rem_euclid(180.0), x.hypot(y))
    }

    /// The hues in degrees at which the bins, smoothed by a von Mises density, have peaks of half of the largest or more; from the largest on.
    pub fn peaks(&self) -> Vec<f64> {
        let smooth: Vec<f64> = (0..BINS).map(|at| self.density(at)).collect();
        let largest = smooth.iter().copied().fold(0.0, f64::max);
        let (before, after) = (|at: usize| smooth[(at + BINS - 1) % BINS], |at: usize| smooth[(at + 1) % BINS]);
        let is_peak = |&at: &usize| smooth[at] > before(at) && smooth[at] >= after(at) && smooth[at] >= PEAK * largest;
        let mut peaks: Vec<usize> = (0..BINS).filter(is_peak).collect();
        peaks.sort_by(|&a, &b| smooth[b].total_cmp(&smooth[a]));
        peaks.into_iter().map(center).collect()
    }

    fn density(&self, at: usize) -> f64 {
        let kernel = |bin: usize| (KAPPA * (apart(center(at), center(bin), 360.0).to_radians().cos() - 1.0)).exp();
        (0..BINS).map(|bin| self.bins[bin] * kernel(bin)).sum()
    }

    /// The divergence of Kullback and Leibler from others in bits, by bins to each of which a thousandth of all is added: 0 where both are the same.
    pub fn divergence(&self, other: &Self) -> f64 {
        let shares = |hues: &Self| {
            let all = hues.chroma.max(f64::MIN_POSITIVE);
            hues.bins.map(|bin| (bin / all + FLOOR) / (1.0 + FLOOR * BINS as f64))
        };
        shares(self).iter().zip(shares(other)).map(|(p, q)| p * (p / q).log2()).sum()
    }
}

const FLOOR: f64 = 1e-3;

/// The middle of a bin in degrees.
fn center(bin: usize) -> f64 {
    (bin as f64 + 0.5) * WIDTH
}
