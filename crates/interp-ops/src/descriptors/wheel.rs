//! Vectors of the plane, shared between bins around a circle by their angle.

use std::f64::consts::TAU;

/// Bins around a circle: their number, how often all of them come in a whole turn, and the position of the first center in bins.
#[derive(Clone, Copy)]
pub(super) struct Wheel {
    pub(super) bins: usize,
    pub(super) rounds: usize,
    pub(super) first: f64,
}

/// Where a vector lies: its length, the two bins whose centers its angle is between, and the share of the second.
pub(super) struct Place {
    pub(super) length: f64,
    pub(super) bins: [usize; 2],
    pub(super) share: f64,
}

impl Place {
    /// The value of what has `values` at the bins' centers.
    pub(super) fn between(&self, values: &[f64]) -> f64 {
        let [low, high] = self.bins.map(|bin| values[bin]);
        (1.0 - self.share) * low + self.share * high
    }

    /// How that changes with the share.
    pub(super) fn slope(&self, values: &[f64]) -> f64 {
        values[self.bins[1]] - values[self.bins[0]]
    }

    /// Adds `weight` to the bins, by share.
    pub(super) fn add(&self, weight: f64, out: &mut [f64]) {
        out[self.bins[0]] += weight * (1.0 - self.share);
        out[self.bins[1]] += weight * self.share;
    }
}

impl Wheel {
    pub(super) fn place(&self, [u, v]: [f64; 2]) -> Place {
        let at = v.atan2(u) * self.bins_in_a_radian() - self.first;
        let floor = at.floor();
        let bin = (floor as i64).rem_euclid(self.bins as i64) as usize;
        Place { length: u.hypot(v), bins: [bin, (bin + 1) % self.bins], share: at - floor }
    }

    /// The gradient with respect to the vector, from those with respect to its length and its share; 0 for the vector 0.
    pub(super) fn back(&self, [u, v]: [f64; 2], place: &Place, by_length: f64, by_share: f64) -> [f64; 2] {
        if place.length == 0.0 {
            return [0.0; 2];
        }
        let along = by_length / place.length;
        let around = by_share * self.bins_in_a_radian() / (place.length * place.length);
        [along * u - around * v, along * v + around * u]
    }

    fn bins_in_a_radian(&self) -> f64 {
        (self.bins * self.rounds) as f64 / TAU
    }
}
