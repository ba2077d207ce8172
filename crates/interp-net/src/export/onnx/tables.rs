//! Constants that stand for how maps are made larger and smaller.

use candle_core::{Device, Tensor};
use interp_ops as ops;

use crate::{Op, Result};

/// Numbers of a matrix, at most.
const LARGEST: usize = 1 << 24;

/// Which cells the cells of the output are, along an axis; `None` for an operation that mixes them.
pub(super) fn cells(op: &Op, input: usize, output: usize) -> Option<Vec<i64>> {
    let from = |cell: &dyn Fn(usize) -> usize| Some((0..output).map(|at| cell(at) as i64).collect());
    match *op {
        Op::Mirror { border } => from(&|at| ops::mirrored(at, border, input)),
        Op::UpsampleNearest { .. } => {
            from(&|at| ops::Interpolation::Nearest.terms(input, output, at).first().map_or(0, |term| term.0))
        }
        _ => None,
    }
}

/// The shares that the cells of the input have in those of the output, along an axis: (output, input); `None` where they are too many.
pub(super) fn shares(op: &Op, input: usize, output: usize) -> Result<Option<Tensor>> {
    let Some(count) = input.checked_mul(output).filter(|count| *count <= LARGEST) else { return Ok(None) };
    let mut shares = vec![0f32; count];
    for at in 0..output {
        for (cell, share) in terms(op, input, output, at) {
            shares[at * input + cell] += share as f32;
        }
    }
    Ok(Some(Tensor::from_vec(shares, (output, input), &Device::Cpu)?))
}

fn terms(op: &Op, input: usize, output: usize, at: usize) -> Vec<(usize, f64)> {
    match *op {
        Op::UpsampleBilinear { align_corners, .. } => {
            ops::Interpolation::Bilinear { align_corners }.terms(input, output, at)
        }
        _ => {
            let window = ops::adaptive_window(input, output, at);
            let share = 1.0 / window.len().max(1) as f64;
            window.map(|cell| (cell, share)).collect()
        }
    }
}
