//! Hues as a wheel: a bar for each, in its color.

use interp_audit::color::{BINS, color};
use interp_finding::Named;

use super::super::colors::bytes;

/// Pixels of a side.
const SIDE: usize = 120;
/// The circle that bars begin at, and the one that the longest ends at, in pixels.
const INNER: f64 = 14.0;
const OUTER: f64 = 58.0;

/// The wheel of `bins`, the longest bar for the largest. Hues go against the clock, from the right on.
pub(super) fn wheel(name: String, bins: &[f64; BINS]) -> Named {
    let largest = bins.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let pixel = |at: usize| {
        let [x, y] = [(at % SIDE) as f64, (at / SIDE) as f64].map(|place| place + 0.5 - SIDE as f64 / 2.0);
        let (radius, turns) = (x.hypot(y), (-y).atan2(x) / std::f64::consts::TAU);
        let bin = (turns.rem_euclid(1.0) * BINS as f64) as usize % BINS;
        let end = INNER + (OUTER - INNER) * bins[bin] / largest;
        match () {
            () if radius >= INNER && radius <= end => color((bin as f64 + 0.5) * 360.0 / BINS as f64, 0.75),
            () if (radius - INNER).abs() < 0.7 || (radius - OUTER).abs() < 0.7 => [0.8; 3],
            () => [1.0; 3],
        }
    };
    Named { name, width: SIDE, height: SIDE, rgb: bytes((0..SIDE * SIDE).map(pixel)) }
}
