//! The forward pass.
#![allow(unsafe_code)]

use super::geometry::Geometry;
use super::patches::patches;
use super::weights::Packed;
use crate::gemm::{View, multiply};
use crate::memory::initialized;
use crate::real::{Real, add_to, simd};
use rayon::prelude::*;
use std::mem::MaybeUninit;
use std::ops::Range;

/// The output in the order of memory; `weight` is what `weights::by_patch` makes.
pub(super) fn forward<T: Real>(x: &[T], weight: &Packed<T>, bias: Option<&[T]>, geometry: &Geometry) -> Vec<T> {
    let tile = geometry.tile();
    let mut out = Box::new_uninit_slice(geometry.pixels() * geometry.o);
    out.par_chunks_mut((tile * geometry.o).max(1)).enumerate().for_each(|(index, out)| {
        let pixels = index * tile..index * tile + out.len() / geometry.o;
        T::with_buffer(|buffer| compute_tile(x, weight, geometry, pixels, buffer, out));
        if let Some(bias) = bias {
            // SAFETY: `compute_tile` has written every channel of every pixel of the tile.
            add_bias(unsafe { initialized(out) }, bias);
        }
    });
    // SAFETY: every tile has been written, and the tiles cover `out`.
    unsafe { out.assume_init() }.into_vec()
}

/// All channels of a tile of output pixels.
fn compute_tile<T: Real>(
    x: &[T],
    weight: &Packed<T>,
    geometry: &Geometry,
    pixels: Range<usize>,
    buffer: &mut Vec<T>,
    out: &mut [MaybeUninit<T>],
) {
    let (depth, width) = (geometry.depth(), geometry.group_outputs());
    for group in 0..geometry.conv.groups {
        let a = patches(x, geometry, pixels.clone(), group, 0..geometry.kernel[0], buffer);
        let b = View::new(&weight.numbers[group * weight.group..], depth, width, weight.step);
        multiply(a, b, &mut out[group * width..], geometry.o);
    }
}

fn add_bias<T: Real>(out: &mut [T], bias: &[T]) {
    simd(
        #[inline(always)]
        || {
            for pixel in out.chunks_exact_mut(bias.len()) {
                add_to(pixel, bias);
            }
        },
    );
}
