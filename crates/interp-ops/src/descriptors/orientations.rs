//! Edges by direction.

use super::Picture;
use super::wheel::Wheel;

fn wheel(bins: usize) -> Wheel {
    Wheel { bins, rounds: 2, first: 0.5 }
}

/// The differences between the neighbors right and left, and below and above.
fn differences(picture: &Picture<'_>, pixel: usize) -> [f64; 2] {
    let [down, across] = picture.inner(pixel);
    let between = |step: usize| picture.numbers[pixel + step] - picture.numbers[pixel - step];
    [if across { between(1) } else { 0.0 }, if down { between(picture.width) } else { 0.0 }]
}

pub(super) fn forward(picture: &Picture<'_>, bins: usize, out: &mut [f64]) {
    for (pixel, out) in out.chunks_exact_mut(bins).enumerate() {
        let place = wheel(bins).place(differences(picture, pixel));
        place.add(place.length, out);
    }
}

pub(super) fn backward(picture: &Picture<'_>, bins: usize, grad: &[f64], below: &mut [f64]) {
    for (pixel, grad) in grad.chunks_exact(bins).enumerate() {
        let vector = differences(picture, pixel);
        let place = wheel(bins).place(vector);
        let by_share = place.length * place.slope(grad);
        let [dx, dy] = wheel(bins).back(vector, &place, place.between(grad), by_share);
        let [down, across] = picture.inner(pixel);
        for (there, step, slope) in [(across, 1, dx), (down, picture.width, dy)] {
            if there {
                below[pixel + step] += slope;
                below[pixel - step] -= slope;
            }
        }
    }
}
