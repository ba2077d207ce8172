use std::sync::Arc;

use interp_data::{Dataset, Info, Split};
use interp_net::{Graph, Network, Op, Role};

use super::class::{class_selectivity, over_all_pictures};
use super::*;
use crate::{Memory, Pictures};

/// Gray pictures of 4x4 pixels, 0.5 but for one of 1 at (n mod 4, n / 4 mod 4); the class is n mod 2.
struct Dots(Info);

impl Dataset for Dots {
    fn info(&self) -> &Info {
        &self.0
    }

    fn len(&self, split: Split) -> usize {
        if split == Split::Test { 16 } else { 0 }
    }

    fn label(&self, _: Split, index: usize) -> u32 {
        index as u32 % 2
    }

    fn image(&self, _: Split, index: usize, out: &mut [f32]) -> interp_data::Result<()> {
        out.fill(0.5);
        // By the mean 0.5 and the deviation 0.25 the network sees 2 for 1.
        out[4 * (index % 4) + index / 4 % 4] = 0.5 + 0.5 * (index + 1) as f32 / 16.0;
        Ok(())
    }
}

fn dots() -> Pictures {
    let classes = vec!["even".into(), "odd".into()];
    let (mean, std) = (vec![0.5], vec![0.25]);
    let info = Info { name: "dots".into(), classes, channels: 1, height: 4, width: 4, mean, std };
    Pictures { data: Arc::new(Dots(info)), split: Split::Test, noise: None, workers: 0 }
}

/// Two filters of 3x3: the pixel in the middle, and nothing.
fn network() -> Network {
    let mut graph = Graph::new(1, 4, 4).unwrap();
    let conv = graph.then("conv", Op::conv(2, 3, 1, 1, false)).unwrap();
    graph.then("relu", Op::Relu).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    let mut net = Network::new(graph, 0).unwrap();
    let mut weight = [0f32; 18];
    weight[4] = 1.0;
    let weight = candle_core::Tensor::from_slice(&weight, (2, 1, 3, 3), &candle_core::Device::Cpu).unwrap();
    net.params.set(net.params.position(conv, Role::Weight).unwrap(), weight).unwrap();
    net
}

/// Memory for so many pictures at a time.
fn at_a_time(net: &Network, pictures: usize) -> Memory {
    let bytes = (1u64..).map(|step| Memory { bytes: 64 * step });
    bytes.take(100_000).find(|memory| memory.pictures(&net.graph) >= pictures).unwrap_or_default()
}

// The brightest dot is in the last picture, at (3, 3), then in the one before, at (2, 3).
#[test]
fn peaks_are_the_largest_answers_with_their_places() {
    let net = network();
    for batch in [1, 5, 256] {
        let found = survey(&net, &dots(), &[2, 3], 3, at_a_time(&net, batch)).unwrap();
        assert_eq!((found.pictures(), found.by_class.clone()), (16, vec![8, 8]));
        let [dot, dead] = &found.layers[0].units[..] else { panic!("two channels") };
        let places: Vec<_> = dot.peaks.iter().map(|peak| (peak.picture, peak.label, peak.cell)).collect();
        assert_eq!(places, [(15, 1, [3, 3]), (14, 0, [2, 3]), (13, 1, [1, 3])]);
        assert_eq!(dot.peaks[0].activation, 2.0);
        assert!(dot.firing == 16 && dead.is_dead() && dead.peaks.is_empty() && dead.histogram[0] == 16);
        assert_eq!(dot.histogram.iter().sum::<u32>(), 16);
        // 2 is the first of the quarter octave from 2^1 on, the 37th bin.
        assert_eq!(dot.histogram[37], 1);
        // A vector has one cell.
        assert_eq!(found.layers[1].units[0].peaks[0].cell, [0, 0]);
    }
}

#[test]
fn what_is_not_a_number_is_told_and_not_taken_for_dead() {
    let mut net = network();
    let weight = candle_core::Tensor::full(f32::NAN, (2, 1, 3, 3), &candle_core::Device::Cpu).unwrap();
    net.params.set(0, weight).unwrap();
    let refused = survey(&net, &dots(), &[2], 3, at_a_time(&net, 8));
    assert!(matches!(refused, Err(crate::AuditError::NotANumber(name)) if name == "relu"));
}

// In the middle of each crop is the dot, of value 0.5 + 0.25 a for the activation a, which is its weight too; around it 0.5. Where half of the crops or
// more lie outside of the picture the mean is over the others, and where less than a tenth of the weight is known, 0.5.
#[test]
fn features_are_means_of_crops_over_what_lies_in_the_picture() {
    let (net, pictures) = (network(), dots());
    let found = survey(&net, &pictures, &[2], 2, at_a_time(&net, 8)).unwrap();
    let memory = Memory::default();
    let features = features(&net, &pictures, &found, memory, |_, _| true).unwrap();
    assert_eq!(features, super::features(&net, &pictures, &found, Memory { bytes: 1 }, |_, _| true).unwrap());
    let feature = features[0][0].as_ref().unwrap();
    assert_eq!((feature.size, features[0][1].clone()), ([3, 3], None));
    let (a, b) = (2.0, 1.875);
    let middle = (a * (0.5 + 0.25 * a) + b * (0.5 + 0.25 * b)) / (a + b);
    assert!((feature.pixels[4] - middle).abs() < 1e-6);
    assert!(feature.pixels.iter().enumerate().all(|(at, &value)| at == 4 || value == 0.5));
    assert_eq!(super::features(&net, &pictures, &found, memory, |_, channel| channel > 0).unwrap(), [[None, None]]);
}

#[test]
fn crops_lie_where_cells_see() {
    let picture: Vec<f32> = (0..16).map(|at| at as f32).collect();
    let field = network().receptive_field(2).unwrap();
    let corner = crop(&picture, [4, 4, 1], &field, [0, 0]);
    assert_eq!(corner.pixels, [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 4.0, 5.0]);
    assert_eq!(corner.inside.iter().filter(|inside| **inside).count(), 4);
    assert_eq!(crop(&picture, [4, 4, 1], &field, [2, 1]).pixels[..3], [4.0, 5.0, 6.0]);
}

fn unit(labels: &[usize]) -> Unit {
    let peak = |&label: &usize| Peak { activation: 1.0, picture: 0, label, cell: [0, 0] };
    let by_class = vec![0.0; 10];
    Unit { peaks: labels.iter().map(peak).collect(), firing: labels.len(), by_class, histogram: vec![] }
}

// Ten of each of ten classes: nine of them make 0.9, (100 - 9) / 99. All of one class: 1. The entropy of ten equal shares is log2 10.
#[test]
fn class_selectivity_by_hand() {
    let seen = [50; 10];
    let even: Vec<usize> = (0..100).map(|at| at % 10).collect();
    let found = class_selectivity(&unit(&even), &seen, 0).unwrap();
    assert!((found.index - 91.0 / 99.0).abs() < 1e-12 && (found.entropy - 10f64.log2()).abs() < 1e-9);
    assert_eq!(found.population, 10);
    let one = class_selectivity(&unit(&[3; 100]), &seen, 0).unwrap();
    assert_eq!((one.index, one.interval, one.entropy, one.population), (1.0, [1.0, 1.0], 0.0, 1));
    assert!(one.shares[0] == (3, 1.0) && (one.p - 1.0 / 201.0).abs() < 1e-12 && one.null < 0.95);
    // Labels drawn at random are no more selected than the null.
    assert!(found.p > 0.05 && (found.null - 91.0 / 99.0).abs() < 0.02, "{} {}", found.p, found.null);
    assert_eq!(class_selectivity(&unit(&[1]), &seen, 0), None);
}

// Means of 4 over the class and 1 over others: 3/5.
#[test]
fn selectivity_over_all_pictures_by_hand() {
    let mut unit = unit(&[]);
    unit.by_class = vec![40.0, 10.0, 10.0];
    assert!((over_all_pictures(&unit, &[10, 10, 10]).unwrap() - 0.6).abs() < 1e-12);
    unit.by_class = vec![0.0; 3];
    assert_eq!(over_all_pictures(&unit, &[10, 10, 10]), None);
}

/// Color pictures of 5x5 pixels with an edge: white left of it and black right in even ones, red left and green right in odd ones; it lies between
/// columns 1 and 2.
struct Edges(Info);

impl Dataset for Edges {
    fn info(&self) -> &Info {
        &self.0
    }

    fn len(&self, split: Split) -> usize {
        if split == Split::Test { 4 } else { 0 }
    }

    fn label(&self, _: Split, index: usize) -> u32 {
        index as u32 % 2
    }

    fn image(&self, _: Split, index: usize, out: &mut [f32]) -> interp_data::Result<()> {
        for (at, pixel) in out.chunks_exact_mut(3).enumerate() {
            let color = match (index % 2, at % 5 < 2) {
                (0, left) => [f32::from(u8::from(left)); 3],
                (_, true) => [0.8, 0.2, 0.5],
                (_, false) => [0.2, 0.8, 0.5],
            };
            pixel.copy_from_slice(&color);
        }
        Ok(())
    }
}

fn edges() -> Pictures {
    let classes = vec!["gray".into(), "colored".into()];
    let (mean, std) = (vec![0.0; 3], vec![1.0; 3]);
    let info = Info { name: "edges".into(), classes, channels: 3, height: 5, width: 5, mean, std };
    Pictures { data: Arc::new(Edges(info)), split: Split::Test, noise: None, workers: 0 }
}

/// Filters of 2x2 without bias: an edge from bright to dark, left to right; red against green; brightness.
fn detectors() -> Network {
    let mut graph = Graph::new(3, 5, 5).unwrap();
    let conv = graph.then("conv", Op::conv(3, 2, 1, 0, false)).unwrap();
    graph.then("relu", Op::Relu).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    let mut net = Network::new(graph, 0).unwrap();
    let edge = [[1f32, -1.0, 1.0, -1.0]; 3].concat();
    let opponent = [[1f32; 4], [-1.0; 4], [0.0; 4]].concat();
    let bright = [[1f32; 4]; 3].concat();
    let weight = [edge, opponent, bright].concat();
    let weight = candle_core::Tensor::from_vec(weight, (3, 3, 2, 2), &candle_core::Device::Cpu).unwrap();
    net.params.set(net.params.position(conv, Role::Weight).unwrap(), weight).unwrap();
    net
}

// Red against green finds nothing in gray; brightness and edges of brightness find the same. A quarter of a turn leaves nothing of the edge, and all of
// what is the same all around; half a turn makes the edge its opposite; mirrored at a level line it stays, and at an upright one it does not.
#[test]
fn planted_detectors_lose_what_they_select() {
    let (net, pictures) = (detectors(), edges());
    let found = survey(&net, &pictures, &[2], 2, at_a_time(&net, 8)).unwrap();
    let index = |change: &Change<'_>| {
        let one = varied(&net, &pictures, &found, 1, change).unwrap();
        let many = varied(&net, &pictures, &found, 256, change).unwrap();
        assert_eq!(one, many);
        let units = found.layers[0].units.iter().zip(&one[0]);
        units.map(|(unit, changed)| selectivity(unit, &[changed.as_slice()]).unwrap().index).collect::<Vec<_>>()
    };
    let near = |found: Vec<f64>, expected: [f64; 3]| {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?}");
    };
    near(index(&gray::luminance), [0.0, 1.0, 0.0]);
    near(index(&gray::principal), [0.0, 1.0, 0.0]);
    near(index(&|view: &View<'_>| turned::rotated(view, 90.0)), [1.0, 0.0, 0.0]);
    near(index(&|view: &View<'_>| turned::rotated(view, 180.0)), [1.0, 0.0, 0.0]);
    near(index(&|view: &View<'_>| turned::rotated(view, 360.0)), [0.0, 0.0, 0.0]);
    near(index(&|view: &View<'_>| turned::mirrored(view, 0.0)), [0.0, 0.0, 0.0]);
    near(index(&|view: &View<'_>| turned::mirrored(view, 90.0)), [1.0, 0.0, 0.0]);
    near(index(&|view: &View<'_>| turned::mirrored(view, 45.0)), [1.0, 0.0, 0.0]);
    assert!(index(&turned::shuffled)[2] < 1e-6);
    let named = |index: Index| {
        let found = index.of(&net, &pictures, &found, 8).unwrap().remove(0);
        found.into_iter().map(|one| one.unwrap().index).collect::<Vec<_>>()
    };
    near(named(Index::Color), [0.0, 1.0, 0.0]);
    near(named(Index::Orientation), [1.0, 0.0, 0.0]);
    // Of four lines one leaves the edge.
    near(named(Index::Symmetry), [0.25, 1.0, 1.0]);
}
