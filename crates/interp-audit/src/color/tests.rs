use std::sync::Arc;

use candle_core::{Device, Tensor};
use interp_data::{Dataset, Info, Split};
use interp_net::{Graph, Network, Op, Role};

use super::*;
use crate::neurons::survey;
use crate::{AuditError, Memory, Pictures};

const SIDE: usize = 8;
const COUNT: usize = 60;

/// Pictures of one color each, whose hue goes around the circle; `opposite` shows its opposite in the lower half.
struct Circle {
    info: Info,
    opposite: bool,
}

impl Dataset for Circle {
    fn info(&self) -> &Info {
        &self.info
    }

    fn len(&self, split: Split) -> usize {
        if split == Split::Test { COUNT } else { 0 }
    }

    fn label(&self, _: Split, _: usize) -> u32 {
        0
    }

    fn image(&self, _: Split, index: usize, out: &mut [f32]) -> interp_data::Result<()> {
        let hue = index as f64 * 360.0 / COUNT as f64;
        for (at, pixel) in out.chunks_exact_mut(3).enumerate() {
            let turned = if self.opposite && at >= SIDE * SIDE / 2 { 180.0 } else { 0.0 };
            pixel.copy_from_slice(&color(hue + turned, 0.5));
        }
        Ok(())
    }
}

fn circle(opposite: bool) -> Pictures {
    let (mean, std) = (vec![0.5; 3], vec![0.5; 3]);
    let info =
        Info { name: "circle".into(), classes: vec!["one".into()], channels: 3, height: SIDE, width: SIDE, mean, std };
    Pictures { data: Arc::new(Circle { info, opposite }), split: Split::Test, noise: None, workers: 0 }
}

/// One convolution with the given filters (3, k, k), and a ReLU.
fn network(filters: &[f32], kernel: usize) -> Network {
    let mut graph = Graph::new(3, SIDE, SIDE).unwrap();
    let count = filters.len() / (3 * kernel * kernel);
    let conv = graph.then("conv", Op::conv(count, kernel, 1, kernel / 2, false)).unwrap();
    graph.then("relu", Op::Relu).unwrap();
    let mut net = Network::new(graph, 0).unwrap();
    let weight = Tensor::from_slice(filters, (count, 3, kernel, kernel), &Device::Cpu).unwrap();
    net.params.set(net.params.position(conv, Role::Weight).unwrap(), weight).unwrap();
    net
}

// Red is at atan(1/2), yellow at 90, blue at 270 degrees; 0.75 is the largest chroma that every hue has.
#[test]
fn colors_and_hues_are_inverse() {
    for (rgb, hue, name) in [
        ([1.0, 0.0, 0.0], 0.5f64.atan().to_degrees(), "red"),
        ([1.0, 1.0, 0.0], 90.0, "yellow"),
        ([0.0, 0.0, 1.0], 270.0, "blue"),
    ] {
        let opponent = opponent(&rgb);
        let found = opponent[2].atan2(opponent[1]).to_degrees().rem_euclid(360.0);
        assert!((found - hue).abs() < 1e-9, "{name}: {found}");
        assert_eq!(hue_name(found), name);
    }
    for hue in 0..360 {
        let rgb = color(f64::from(hue), 0.75);
        assert!(rgb.iter().all(|value| (-1e-6..=1.0 + 1e-6).contains(value)), "{hue}: {rgb:?}");
        let found = opponent(&rgb);
        assert!(found[0].abs() < 1e-6 && (found[1].hypot(found[2]) - 0.75).abs() < 1e-6);
        assert!(super::space::apart(found[2].atan2(found[1]).to_degrees(), f64::from(hue), 360.0) < 1e-3);
    }
}

fn hues(pixels: &[[f32; 3]]) -> Hues {
    let mut found = Hues::default();
    pixels.iter().for_each(|pixel| found.see(&super::hues::Tint::of(pixel)));
    found
}

// Of one hue both moments are of length 1; of two opposite ones the first is 0 and the axis is theirs; gray has none.
#[test]
fn moments_and_peaks_of_hues_by_hand() {
    let one = hues(&[color(45.0, 0.5); 3]);
    assert!(
        (one.mean().0 - 45.0).abs() < 1e-4 && (one.mean().1 - 1.0).abs() < 1e-6 && (one.axis().0 - 45.0).abs() < 1e-4
    );
    assert_eq!(one.peaks().len(), 1);
    let two = hues(&[color(75.0, 0.5), color(255.0, 0.5)]);
    assert!(two.mean().1 < 1e-6 && (two.axis().0 - 75.0).abs() < 1e-4 && (two.axis().1 - 1.0).abs() < 1e-6);
    let mut peaks = two.peaks();
    peaks.sort_by(f64::total_cmp);
    assert_eq!(peaks, [75.0, 255.0]);
    let gray = hues(&[[0.25; 3]]);
    assert!(gray.moment(1) == [0.0; 2] && gray.peaks().is_empty() && gray.chroma == 0.0);
    assert_eq!(one.divergence(&one), 0.0);
    // All in one bin against all in another: of shares (1 + f) / (1 + 36 f) and f / (1 + 36 f), f = 0.001.
    let other = hues(&[color(225.0, 0.5)]);
    let expected = (1.0 / 1.036) * (1.001f64 / 0.001).log2();
    assert!((one.divergence(&other) - expected).abs() < 1e-9);
}

#[test]
fn hues_of_data_that_go_around_have_no_axis_and_those_along_one_have() {
    let around = data_colors(&circle(false)).unwrap();
    assert!(around.hues.mean().1 < 1e-6 && (around.share - 0.5).abs() < 1e-6 && around.pictures == COUNT);
    struct Line(Pictures);
    impl Dataset for Line {
        fn info(&self) -> &Info {
            self.0.data.info()
        }
        fn len(&self, split: Split) -> usize {
            self.0.data.len(split)
        }
        fn label(&self, _: Split, _: usize) -> u32 {
            0
        }
        fn image(&self, _: Split, index: usize, out: &mut [f32]) -> interp_data::Result<()> {
            let pixel = color(60.0 + 180.0 * (index % 2) as f64, 0.5);
            out.chunks_exact_mut(3).for_each(|out| out.copy_from_slice(&pixel));
            Ok(())
        }
    }
    let line = Pictures { data: Arc::new(Line(circle(false))), ..circle(false) };
    let found = data_colors(&line).unwrap();
    assert!((found.axis - 60.0).abs() < 1e-3 && (found.share - 1.0).abs() < 1e-6, "{found:?}");
}

/// A filter of one pixel that is largest for a hue.
fn toward(hue: f64) -> [f32; 3] {
    color(hue, 0.5).map(|value| value - 0.5)
}

// A unit that answers most to 120 degrees is shown pictures of all hues, and selects those near 120; one of brightness answers to all alike, and selects none.
#[test]
fn a_planted_hue_is_found_and_gray_is_not() {
    let filters = [toward(120.0), [1.0; 3]].concat();
    let (net, pictures) = (network(&filters, 1), circle(false));
    let found = survey(&net, &pictures, &[2], 10, Memory::default()).unwrap();
    let units = unit_hues(&net, &pictures, &found).unwrap().remove(0);
    let planted = units[0].as_ref().unwrap();
    // The filter is the color's own direction in red, green and blue, in which the opponent plane is not quite round.
    assert!((planted.whole.hues.mean().0 - 120.0).abs() < 15.0, "{:?}", planted.whole.hues.mean());
    assert!(planted.whole.p < 0.05 && planted.kind == Kind::Single, "{planted:?}");
    // All of these pictures are of the same brightness: others would be answered to by 1.
    let largest = vec![found.layers[0].units[0].peaks[0].activation, 1.0];
    let tuned = tuning(&net, pictures.data.info(), &[2], &[largest], Memory::default()).unwrap().remove(0);
    assert!((tuned[0].best.unwrap() - 120.0).abs() < 15.0 && tuned[0].fields == Fields::Plain);
    // A cosine is more than a half of its largest value in 120 degrees.
    assert!((tuned[0].width.unwrap() - 120.0).abs() <= 10.0, "{:?}", tuned[0].width);
    assert_eq!((tuned[1].best, tuned[1].fields), (None, Fields::Neither));
}

// The middle less what is around it: nothing to plain colors, much to a hue beside its opposite.
#[test]
fn a_planted_double_opponent_unit_answers_to_contrast_alone() {
    let plane = |weight: f32| {
        let mut plane = [-weight / 8.0; 9];
        plane[4] = weight;
        plane
    };
    let filters: Vec<f32> = toward(30.0).into_iter().flat_map(plane).collect();
    let net = network(&filters, 3);
    let tuned = tuning(&net, circle(false).data.info(), &[2], &[vec![0.1]], Memory::default()).unwrap();
    assert!(tuned[0][0].fields == Fields::Contrast && tuned[0][0].best.is_none(), "{:?}", tuned[0][0]);
}

// Filters along the named axes are at distance 0 from them, which random ones are not: p is the least that 999 draws can tell.
#[test]
fn filters_along_the_named_axes_are_told_from_random_ones() {
    let filters: Vec<f32> =
        NAMED_AXES.iter().flat_map(|(axis, _)| [toward(*axis), toward(axis + 180.0)]).flatten().collect();
    let found = first_axes(&network(&filters, 1), &[0.5; 3]).unwrap().unwrap();
    let distance = found.distance.unwrap();
    assert!(distance.mean < 0.1 && distance.p < 0.01 && distance.null > 5.0, "{distance:?}");
    let gray = first_axes(&network(&[1.0; 3], 1), &[0.5; 3]).unwrap().unwrap();
    assert!(gray.filters[0].chromatic < 1e-12 && gray.distance.is_none() && gray.filters[0].share > 1.0 - 1e-9);
    assert!(first_axes(&network(&[0.0; 3], 1), &[0.5; 3]).unwrap().unwrap().filters.is_empty());
    let broken = first_axes(&network(&[f32::NAN; 3], 1), &[0.5; 3]);
    assert!(matches!(broken, Err(AuditError::NotANumber(name)) if name == "conv"));
}
