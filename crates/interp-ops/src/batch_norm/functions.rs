//! What batch normalization and its gradients do to a number.

use super::passes::Function;
use crate::lanes::Lanes;
use crate::real::Real;

/// (x - mean) scale + shift; the constants are mean, scale and shift.
#[inline(always)]
fn normalized<T, L: Lanes<T>>(lanes: L, [mean, scale, shift]: [L::Vector; 3], x: L::Vector) -> L::Vector {
    lanes.add(lanes.mul(lanes.sub(x, mean), scale), shift)
}

/// The same through a ReLU.
#[inline(always)]
pub(super) fn passed<T: Real, L: Lanes<T>>(lanes: L, constants: [L::Vector; 3], x: L::Vector) -> L::Vector {
    let (y, zero) = (normalized(lanes, constants, x), lanes.splat(T::zero()));
    lanes.select(lanes.at_most(y, zero), zero, y)
}

/// What of g arrives at the normalized number: where there is a ReLU all where that is above 0 (or is not a number), else
/// nothing.
#[inline(always)]
fn arriving<T: Real, L: Lanes<T>, const RELU: bool>(
    lanes: L,
    constants: [L::Vector; 3],
    x: L::Vector,
    g: L::Vector,
) -> L::Vector {
    if !RELU {
        return g;
    }
    let zero = lanes.splat(T::zero());
    lanes.select(lanes.at_most(normalized(lanes, constants, x), zero), zero, g)
}

/// The normalized number, through a ReLU or not.
#[derive(Clone, Copy)]
pub(super) struct Normalize<const RELU: bool>;

impl<T: Real, const RELU: bool> Function<T, 3, 1> for Normalize<RELU> {
    #[inline(always)]
    fn of<L: Lanes<T>>(self, lanes: L, constants: [L::Vector; 3], x: L::Vector, _: L::Vector) -> [L::Vector; 1] {
        if RELU { [passed(lanes, constants, x)] } else { [normalized(lanes, constants, x)] }
    }
}

/// x - center.
#[derive(Clone, Copy)]
pub(super) struct Deviation;

impl<T: Real> Function<T, 1, 1> for Deviation {
    #[inline(always)]
    fn of<L: Lanes<T>>(self, lanes: L, [center]: [L::Vector; 1], x: L::Vector, _: L::Vector) -> [L::Vector; 1] {
        [lanes.sub(x, center)]
    }
}

/// (x - center)^2.
#[derive(Clone, Copy)]
pub(super) struct SquaredDeviation;

impl<T: Real> Function<T, 1, 1> for SquaredDeviation {
    #[inline(always)]
    fn of<L: Lanes<T>>(self, lanes: L, [center]: [L::Vector; 1], x: L::Vector, _: L::Vector) -> [L::Vector; 1] {
        let deviation = lanes.sub(x, center);
        [lanes.mul(deviation, deviation)]
    }
}

/// g as it arrives, and this times (x - mean).
#[derive(Clone, Copy)]
pub(super) struct Terms<const RELU: bool>;

impl<T: Real, const RELU: bool> Function<T, 3, 2> for Terms<RELU> {
    #[inline(always)]
    fn of<L: Lanes<T>>(self, lanes: L, constants: [L::Vector; 3], x: L::Vector, g: L::Vector) -> [L::Vector; 2] {
        let g = arriving::<T, L, RELU>(lanes, constants, x, g);
        [g, lanes.mul(g, lanes.sub(x, constants[0]))]
    }
}

/// scale g.
#[derive(Clone, Copy)]
pub(super) struct Scaled<const RELU: bool>;

impl<T: Real, const RELU: bool> Function<T, 3, 1> for Scaled<RELU> {
    #[inline(always)]
    fn of<L: Lanes<T>>(self, lanes: L, constants: [L::Vector; 3], x: L::Vector, g: L::Vector) -> [L::Vector; 1] {
        [lanes.mul(constants[1], arriving::<T, L, RELU>(lanes, constants, x, g))]
    }
}

/// scale (g - mean of g - (x - mean) slope); the constants end with the mean of g and the slope.
#[derive(Clone, Copy)]
pub(super) struct ThroughStatistics<const RELU: bool>;

impl<T: Real, const RELU: bool> Function<T, 5, 1> for ThroughStatistics<RELU> {
    #[inline(always)]
    fn of<L: Lanes<T>>(self, lanes: L, constants: [L::Vector; 5], x: L::Vector, g: L::Vector) -> [L::Vector; 1] {
        let [mean, scale, shift, mean_grad, slope] = constants;
        let g = arriving::<T, L, RELU>(lanes, [mean, scale, shift], x, g);
        let along = lanes.mul(lanes.sub(x, mean), slope);
        [lanes.mul(scale, lanes.sub(lanes.sub(g, mean_grad), along))]
    }
}
