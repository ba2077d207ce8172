//! The gradient with respect to the input.

use super::Conv2d;
use super::forward::forward;
use super::geometry::Geometry;
use super::weights::{Packed, by_output};
use crate::gemm::{View, multiply_over};
use crate::real::{Real, add_to, simd};
use rayon::prelude::*;
use std::ops::Range;

/// The gradient in the order of memory; `weight` is (O, I / groups, KH, KW) row by row.
pub(super) fn input_gradient<T: Real>(weight: &[T], grads: &[T], geometry: &Geometry) -> Vec<T> {
    match turned(geometry) {
        Some(turned) => forward(grads, &by_output(weight, geometry, true), None, &turned),
        None => by_taps(&by_output(weight, geometry, false), grads, geometry),
    }
}

/// With stride 1 the gradient is itself a convolution, of `grad` with the turned kernel, padded so that it ends where the
/// input ends.
fn turned(geometry: &Geometry) -> Option<Geometry> {
    let reach = |axis: usize| (geometry.kernel[axis] - 1) * geometry.conv.dilation[axis];
    let padding = |axis: usize| reach(axis).checked_sub(geometry.conv.padding[axis]);
    let conv = Conv2d { padding: [padding(0)?, padding(1)?], ..geometry.conv };
    let (i, o, input, output) = (geometry.o, geometry.i, geometry.output, geometry.input);
    (conv.stride == [1, 1]).then_some(Geometry { i, o, input, output, conv, ..*geometry })
}

/// With any stride: for each image, for each tap, the product of `grad` and the tap's matrix, added where the tap lies.
fn by_taps<T: Real>(weight: &Packed<T>, grads: &[T], geometry: &Geometry) -> Vec<T> {
    let mut out = vec![T::zero(); geometry.n * geometry.image()];
    let pixels = geometry.output[0] * geometry.output[1];
    if out.is_empty() || pixels * geometry.o == 0 {
        return out;
    }
    let images = out.par_chunks_mut(geometry.image()).zip(grads.par_chunks(pixels * geometry.o));
    images.for_each(|(out, grads)| {
        for start in (0..pixels).step_by(geometry.tile()) {
            let pixels = start..(start + geometry.tile()).min(pixels);
            let tile = Tile { weight, grads, geometry, pixels };
            for group in 0..geometry.conv.groups {
                (0..geometry.taps()).for_each(|tap| T::with_buffer(|buffer| tile.add_tap(group, tap, buffer, out)));
            }
        }
    });
    out
}

/// Some output pixels of one image.
struct Tile<'a, T> {
    weight: &'a Packed<T>,
    grads: &'a [T],
    geometry: &'a Geometry,
    pixels: Range<usize>,
}

impl<T: Real> Tile<'_, T> {
    /// Adds what one tap sends to the image's gradient.
    fn add_tap(&self, group: usize, tap: usize, buffer: &mut Vec<T>, out: &mut [T]) {
        let product = self.product(group, tap, buffer);
        let (channels, kernel) = (self.geometry.group_inputs(), self.geometry.kernel);
        simd(
            #[inline(always)]
            || {
                for (pixel, product) in self.pixels.clone().zip(product.chunks_exact(channels)) {
                    let [_, out_y, out_x] = self.geometry.position(pixel);
                    let y = self.geometry.source(0, out_y, tap / kernel[1]);
                    let x = self.geometry.source(1, out_x, tap % kernel[1]);
                    let Some((y, x)) = y.zip(x) else { continue };
                    let at = (y * self.geometry.input[1] + x) * self.geometry.i + group * channels;
                    add_to(&mut out[at..][..channels], product);
                }
            },
        );
    }

    /// What one tap sends: pixel by input channel.
    fn product<'b>(&self, group: usize, tap: usize, buffer: &'b mut Vec<T>) -> &'b [T] {
        let (inputs, outputs) = (self.geometry.group_inputs(), self.geometry.group_outputs());
        let matrix = &self.weight.numbers[group * self.weight.group + tap * outputs * self.weight.step..];
        let grads = &self.grads[self.pixels.start * self.geometry.o + group * outputs..];
        let size = self.pixels.len() * inputs;
        buffer.resize(buffer.len().max(size), T::zero());
        let a = View::new(grads, self.pixels.len(), outputs, self.geometry.o);
        multiply_over(a, View::new(matrix, outputs, inputs, self.weight.step), &mut buffer[..size], inputs);
        &buffer[..size]
    }
}
