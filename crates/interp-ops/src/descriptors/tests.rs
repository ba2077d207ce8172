use serde::Deserialize;

use super::*;
use crate::OpError;
use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64, to_f32};

const ALL: [Descriptor; 5] = [
    Descriptor::Luminance,
    Descriptor::Hues { bins: 6 },
    Descriptor::Orientations { bins: 5 },
    Descriptor::Patterns,
    Descriptor::Bands { count: 3 },
];

/// Made by scikit-image: `tests/data/make_descriptors.py`.
#[derive(Deserialize)]
struct Reference {
    size: usize,
    picture: Vec<f64>,
    inner_patterns: Vec<usize>,
    middle_cells: Vec<Vec<f64>>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../../../../tests/data/descriptors.json")).unwrap()
}

/// Pictures of numbers between 0.05 and 0.95 for a descriptor.
fn pictures(by: Descriptor, n: usize, [h, w]: [usize; 2]) -> Tensor {
    noise(&[n, by.channels()[0], h, w], 1).affine(0.45, 0.5).unwrap()
}

/// The shares of the colors in one pixel.
fn colors(pixel: [f64; 3]) -> Vec<f64> {
    list(&describe(&tensor64(&pixel, &[1, 3, 1, 1]), Descriptor::Hues { bins: 6 }).unwrap())
}

fn assert_near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}, not {expected:?}");
}

// Six hues have their centers at red, yellow, green, cyan, blue, magenta: pale, then vivid, then black, gray, white.
#[test]
fn colors_in_closed_form() {
    let one = |bin: usize| (0..15).map(|i| f64::from(u8::from(i == bin))).collect::<Vec<_>>();
    let pure = [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1]];
    for (hue, pixel) in pure.into_iter().enumerate() {
        assert_near(&colors(pixel.map(f64::from)), &one(6 + hue));
    }
    for (bin, value) in [(12, 0.0), (13, 0.5), (14, 1.0)] {
        assert_near(&colors([value; 3]), &one(bin));
    }
    // Chroma 0.1 is that of pale red, 0.2 half pale and half vivid, 0.05 half pale and half gray; gray at 1/4 is half black.
    assert_near(&colors([0.6, 0.5, 0.5]), &one(0));
    let half = |bins: &[usize]| (0..15).map(|i| if bins.contains(&i) { 0.5 } else { 0.0 }).collect::<Vec<_>>();
    assert_near(&colors([0.7, 0.5, 0.5]), &half(&[0, 6]));
    assert_near(&colors([0.25; 3]), &half(&[12, 13]));
    // Orange, as far from red as from yellow: u = 3/4, v = sqrt(3)/4.
    assert_near(&colors([1.0, 0.5, 0.0]), &half(&[6, 7]));
    assert_near(&colors([0.5 + 0.1 / 3.0, 0.5 - 0.05 / 3.0, 0.5 - 0.05 / 3.0])[..1], &[0.5]);
}

#[test]
fn the_shares_of_colors_add_up_to_one_and_none_is_negative() {
    for bins in [2, 6, 12] {
        let by = Descriptor::Hues { bins };
        let y = describe(&pictures(by, 2, [9, 7]), by).unwrap().permute((0, 2, 3, 1)).unwrap();
        for shares in list(&y).chunks_exact(2 * bins + 3) {
            assert!(shares.iter().all(|share| *share >= 0.0) && (shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }
}

#[test]
fn luminance_is_that_of_the_standard() {
    let y = describe(&tensor64(&[1.0, 0.0, 0.5, 0.0, 1.0, 0.5], &[1, 3, 1, 2]), Descriptor::Luminance).unwrap();
    assert_near(&list(&y), &[0.2126 + 0.7152 / 2.0 + 0.0722, 0.0722 / 2.0]);
}

#[test]
fn patterns_are_those_of_scikit_image() {
    let Reference { size, picture, inner_patterns, .. } = reference();
    let y = describe(&tensor64(&picture, &[1, 1, size, size]), Descriptor::Patterns).unwrap();
    let y = list(&y.narrow(2, 1, size - 2).unwrap().narrow(3, 1, size - 2).unwrap());
    let plane = inner_patterns.len();
    for (pixel, &pattern) in inner_patterns.iter().enumerate() {
        let found: Vec<usize> = (0..10).filter(|k| y[k * plane + pixel] == 1.0).collect();
        assert_eq!(found, [pattern]);
    }
    assert_eq!(y.iter().sum::<f64>(), plane as f64);
}

// In a flat picture no neighbor is darker, and at the top of a peak all are.
#[test]
fn patterns_of_a_flat_picture_and_a_peak() {
    let pattern = |picture: &[f64]| {
        let y = list(&describe(&tensor64(picture, &[1, 1, 3, 3]), Descriptor::Patterns).unwrap());
        (0..10).find(|k| y[9 * k + 4] == 1.0).unwrap()
    };
    assert_eq!(pattern(&[0.3; 9]), 8);
    assert_eq!(pattern(&[0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]), 0);
    assert_eq!(pattern(&[9.0, 9.0, 9.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]), 3, "a bright side");
    assert_eq!(pattern(&[0.0, 9.0, 0.0, 9.0, 1.0, 9.0, 0.0, 9.0, 0.0]), 8, "interpolated corners are bright too");
    assert_eq!(pattern(&[0.0, 2.0, 0.0, 0.0, 1.0, 0.0, 0.0, 2.0, 0.0]), 9, "bright on two sides");
}

// A ramp has one gradient everywhere, here at a bin's center; means over the cell of 4x4 pixels in the middle.
#[test]
fn histograms_of_ramps_are_those_of_scikit_image() {
    let Reference { size, middle_cells, .. } = reference();
    let bins = middle_cells.len();
    for (bin, expected) in middle_cells.iter().enumerate() {
        let (angle, slope) = ((bin as f64 + 0.5) * std::f64::consts::PI / bins as f64, 0.01 * (bin + 1) as f64);
        let at = |pixel: usize| slope * ((pixel % size) as f64 * angle.cos() + (pixel / size) as f64 * angle.sin());
        let ramp: Vec<f64> = (0..size * size).map(at).collect();
        let y = describe(&tensor64(&ramp, &[1, 1, size, size]), Descriptor::Orientations { bins }).unwrap();
        let cells = list(
            &crate::avg_pool2d(
                &y,
                &crate::Pool2d { kernel: [4; 2], stride: [4; 2], padding: [0; 2], ceil_mode: false },
            )
            .unwrap(),
        );
        let middle = (0..bins).map(|k| cells[9 * k + 4]);
        assert!(middle.zip(expected).all(|(a, b)| (a - b).abs() < 2e-6), "{cells:?}, not {expected:?}");
    }
}

// dx = dy = 1, at 45 degrees: with 2 bins, centered at 45 and 135, all of sqrt 2 in the first; with 4, whose nearest centers
// are 22.5 and 67.5, half of it in each. Turned by 180 degrees it is the same edge.
#[test]
fn orientations_in_closed_form() {
    for sign in [1.0, -1.0] {
        let picture: Vec<f64> = (0..9).map(|i| sign * f64::from(i % 3 + i / 3) / 2.0).collect();
        let middle = |bins: usize| {
            let y = describe(&tensor64(&picture, &[1, 1, 3, 3]), Descriptor::Orientations { bins }).unwrap();
            (0..bins).map(|k| list(&y)[9 * k + 4]).collect::<Vec<_>>()
        };
        assert_near(&middle(2), &[2f64.sqrt(), 0.0]);
        assert_near(&middle(4), &[0.5f64.sqrt(), 0.5f64.sqrt(), 0.0, 0.0]);
    }
}

// A wave along rows, or along columns, of frequency w: band k has it with an amplitude of 1 - cos^4(2^k w / 2) times what the smoothings
// before left. Far from the borders; 0.5 is nowhere in it.
#[test]
fn bands_of_waves_in_closed_form() {
    const SIDE: usize = 64;
    for (frequency, down) in [(0.3f64, false), (1.1, true), (std::f64::consts::PI, false)] {
        let wave: Vec<f64> = (0..SIDE * SIDE)
            .map(|i| 0.5 + 0.25 * (frequency * (if down { i / SIDE } else { i % SIDE }) as f64).cos())
            .collect();
        let y = list(&describe(&tensor64(&wave, &[1, 1, SIDE, SIDE]), Descriptor::Bands { count: 4 }).unwrap());
        let mut left = 1.0;
        for band in 0..4 {
            let kept = (2f64.powi(band) * frequency / 2.0).cos().powi(4);
            let middle = SIDE / 2 * SIDE + SIDE / 2;
            let expected = (wave[middle] - 0.5).abs() * left * (1.0 - kept);
            assert_near(&[y[band as usize * SIDE * SIDE + middle]], &[expected]);
            left *= kept;
        }
    }
}

#[test]
fn a_flat_picture_has_no_frequencies() {
    let y = describe(&tensor64(&[0.5; 15], &[1, 1, 3, 5]), Descriptor::Bands { count: 8 }).unwrap();
    assert_eq!(list(&y), [0.0; 120]);
}

#[test]
fn gradients_are_central_differences() {
    for (by, size) in ALL.into_iter().flat_map(|by| [[5, 4], [1, 1], [1, 3]].map(|size| (by, size))) {
        let x = pictures(by, 2, size);
        let upstream = noise(&[2, by.channels()[1], size[0], size[1]], 2);
        let grad = describe_backward(&x, &upstream, by).unwrap();
        assert_gradient(&x, &upstream, &grad, |x| describe(x, by).unwrap());
    }
}

#[test]
fn a_gray_pixel_has_no_gradient_by_hue() {
    let by = Descriptor::Hues { bins: 4 };
    let grad = describe_backward(&tensor64(&[0.25; 3], &[1, 3, 1, 1]), &noise(&[1, 11, 1, 1], 2), by).unwrap();
    let grad = list(&grad);
    assert!(grad[0].is_finite() && grad.iter().all(|g| *g == grad[0]), "{grad:?}");
}

#[test]
fn types_layout_batch_and_threads_do_not_matter() {
    for by in ALL {
        let x = pictures(by, 5, [9, 11]);
        let grad = noise(&[5, by.channels()[1], 9, 11], 2);
        let y = describe(&x, by).unwrap();
        assert!(y.permute((0, 2, 3, 1)).unwrap().is_contiguous());
        for (other, grads) in layouts(&x).iter().zip(&layouts(&grad)) {
            assert_eq!(bits(&describe(other, by).unwrap()), bits(&y));
            let back = describe_backward(other, grads, by).unwrap();
            assert_eq!(bits(&back), bits(&describe_backward(&x, &grad, by).unwrap()));
        }
        assert_eq!(bits(&describe(&x.narrow(0, 3, 1).unwrap(), by).unwrap()), bits(&y.narrow(0, 3, 1).unwrap()));
        let (x, grad) = (to_f32(&x), to_f32(&grad));
        assert_same_on_all_threads(|| vec![describe(&x, by).unwrap(), describe_backward(&x, &grad, by).unwrap()]);
        if by != Descriptor::Patterns {
            let rounded = list(&describe(&x, by).unwrap());
            assert!(rounded.iter().zip(list(&y)).all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_gives_nothing() {
    for by in ALL {
        let channels = by.channels();
        assert!(matches!(describe(&noise(&[1, 2, 3, 3], 1), by), Err(OpError::Shape { .. })));
        assert_eq!(describe(&noise(&[0, channels[0], 4, 4], 1), by).unwrap().dims(), [0, channels[1], 4, 4]);
        let grad = describe_backward(&pictures(by, 1, [2, 2]), &noise(&[1, channels[1], 2, 1], 1), by);
        assert!(matches!(grad, Err(OpError::Shape { .. })));
    }
    let bands = [0, 9].map(|count| Descriptor::Bands { count });
    for by in [Descriptor::Hues { bins: 1 }, Descriptor::Orientations { bins: 0 }].into_iter().chain(bands) {
        assert!(matches!(describe(&pictures(by, 1, [2, 2]), by), Err(OpError::Shape { .. })));
    }
}
