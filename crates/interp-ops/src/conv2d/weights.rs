//! Weights in the orders that the products need.

use super::geometry::Geometry;
use super::walk::Walk;
use crate::Result;
use crate::memory::check_kind;
use crate::product::{lanes, padded_columns, panel_width};
use crate::real::Real;
use candle_core::Tensor;
use rayon::prelude::*;

/// The weight tensor as it is written, (O, I / groups, KH, KW) row by row.
pub(super) fn contiguous<T: Real>(op: &'static str, weight: &Tensor) -> Result<Tensor> {
    check_kind(op, weight, T::DTYPE)?;
    Ok(weight.detach().contiguous()?)
}

/// For each group the panels of a matrix of (tap, channel seen) by channel made.
pub(super) struct Packed<T> {
    numbers: Vec<T>,
    /// Numbers of the panels of one group.
    group: usize,
}

impl<T: Real> Packed<T> {
    /// The weights of a walk's taps, in their order. Channels seen are inputs and those made are outputs, or the other
    /// way round for the `gradient`.
    pub(super) fn new(weight: &[T], geometry: &Geometry, walk: &Walk, gradient: bool) -> Self {
        let (inputs, outputs, all) = (geometry.group_inputs(), geometry.group_outputs(), geometry.taps());
        let taps: Vec<usize> = walk.taps().map(|[r, s]| r * geometry.kernel[1] + s).collect();
        let ((seen, seen_step), (made, made_step)) = match gradient {
            false => ((inputs, all), (outputs, inputs * all)),
            true => ((outputs, inputs * all), (inputs, all)),
        };
        let (lanes, depth) = (lanes::<T>(), taps.len() * seen);
        let group = depth * padded_columns(lanes, made);
        let mut numbers = vec![T::zero(); geometry.conv.groups * group];
        if group == 0 || weight.is_empty() {
            return Self { numbers, group };
        }
        let sources = weight.par_chunks(outputs * inputs * all);
        numbers.par_chunks_mut(group).zip(sources).for_each(|(panels, weight)| {
            panels.par_chunks_mut(depth * 2 * lanes).enumerate().for_each(|(index, panel)| {
                let first = index * 2 * lanes;
                let width = panel_width(lanes, first, made);
                let count = width.min(made - first);
                for channel in 0..seen {
                    for (at, tap) in taps.iter().enumerate() {
                        let row = &mut panel[(at * seen + channel) * width..][..count];
                        let from = &weight[channel * seen_step + first * made_step + tap..];
                        row.iter_mut().zip(from.iter().step_by(made_step)).for_each(|(to, &w)| *to = w);
                    }
                }
            });
        });
        Self { numbers, group }
    }

    /// The panels of a group.
    pub(super) fn group(&self, group: usize) -> &[T] {
        &self.numbers[group * self.group..][..self.group]
    }
}

/// The weights of a depthwise convolution: tap by channel.
pub(super) fn by_tap<T: Real>(weight: &[T], geometry: &Geometry) -> Vec<T> {
    let (taps, channels) = (geometry.taps(), geometry.o);
    (0..taps * channels).map(|at| weight[at % channels * taps + at / channels]).collect()
}
