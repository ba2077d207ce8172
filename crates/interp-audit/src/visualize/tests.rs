use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use interp_data::{Dataset, Info, Split};
use interp_net::{Graph, Network, Op, Role};

use super::*;
use crate::neurons::survey;
use crate::{AuditError, Memory, Pictures};

fn info(channels: usize, side: usize) -> Info {
    let (mean, std) = (vec![0.4; channels], vec![0.25; channels]);
    Info { name: "planted".into(), classes: vec!["one".into()], channels, height: side, width: side, mean, std }
}

fn set(net: &mut Network, node: usize, role: Role, values: Vec<f64>) {
    let position = net.params.position(node, role).unwrap();
    let shape = net.params.list()[position].value.dims().to_vec();
    let value = Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
    net.params.set(position, value).unwrap();
}

fn wave(at: usize) -> f64 {
    (at as f64 * 1.9).sin() + 0.3 * (at as f64 * 0.7).cos()
}

/// A network of one linear unit over the whole picture, without the mean: of weights (C, H, W) in the order of channels.
fn linear(channels: usize, side: usize) -> (Network, Vec<f64>) {
    let mut graph = Graph::new(channels, side, side).unwrap();
    let op = Op::Conv2d {
        out_channels: 1,
        kernel: [side; 2],
        stride: [1; 2],
        padding: [0; 2],
        dilation: [1; 2],
        groups: 1,
        bias: false,
    };
    let conv = graph.then("unit", op).unwrap();
    let mut net = Network::new(graph, 0).unwrap();
    let weights: Vec<f64> = (0..channels * side * side).map(wave).collect();
    set(&mut net, conv, Role::Weight, weights.clone());
    (net, weights)
}

fn still(count: usize, range: Range) -> Maximization {
    Maximization { steps: Steps { count, ..Steps::default() }, range, moved: false, ..Maximization::default() }
}

fn planes(pixels: &[f32], channels: usize) -> Vec<f64> {
    (0..channels).flat_map(|channel| pixels.iter().skip(channel).step_by(channels)).map(|&v| v.into()).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

// Of pictures at one distance from gray, the most that a linear unit can answer to goes along its weights (Cauchy and Schwarz).
#[test]
fn a_linear_unit_of_a_contrast_is_maximized_by_its_weights() {
    for channels in [1, 3] {
        let (net, weights) = linear(channels, 8);
        let info = info(channels, 8);
        let how = still(400, Range::Contrast(0.1));
        let frame = Frame { info: &info, border: 0 };
        let found = maximize(&net, frame, 1, &[Goal::Channel(0)], &how, 4, &|_| {}).unwrap().remove(0);
        let picture: Vec<f64> = planes(&found.pictures[0].pixels, channels).iter().map(|v| v - 0.5).collect();
        assert!(cosine(&picture, &weights) > 0.999, "{}", cosine(&picture, &weights));
    }
}

// Of pixels in [0, 1], with m subtracted and divided by s: the sum over weights of those above 0, less m times all, over s. Pixels that a step of all frequencies
// drove to the wrong end come back slowly: it is not reached.
#[test]
fn a_linear_unit_in_the_box_comes_to_its_bound() {
    let (net, weights) = linear(1, 8);
    let info = info(1, 8);
    let bound = (weights.iter().map(|w| w.max(0.0)).sum::<f64>() - 0.4 * weights.iter().sum::<f64>()) / 0.25;
    let how = still(1000, Range::Box);
    let found =
        maximize(&net, Frame { info: &info, border: 0 }, 1, &[Goal::Neuron(0)], &how, 4, &|_| {}).unwrap().remove(0);
    let Maximized { reached, peak, .. } = found.pictures[0];
    assert!(reached <= bound * (1.0 + 1e-6) && reached > 0.93 * bound && peak == reached, "{reached} of {bound}");
    assert_eq!(found.likeness, 0.0);
}

/// Pictures of noise about the mean.
struct Noise(Info);

impl Dataset for Noise {
    fn info(&self) -> &Info {
        &self.0
    }

    fn len(&self, split: Split) -> usize {
        if split == Split::Test { 50 } else { 0 }
    }

    fn label(&self, _: Split, _: usize) -> u32 {
        0
    }

    fn image(&self, _: Split, index: usize, out: &mut [f32]) -> interp_data::Result<()> {
        out.iter_mut().enumerate().for_each(|(at, value)| *value = 0.5 + 0.35 * wave(at + 7919 * index) as f32);
        Ok(())
    }
}

/// Convolution, norm, ReLU, maximum, convolution, ReLU, mean and linear map, of weights drawn by a seed.
fn deep(channels: usize) -> Network {
    let mut graph = Graph::new(channels, 12, 12).unwrap();
    graph.then("conv1", Op::conv(6, 3, 1, 1, false)).unwrap();
    graph.then("norm", Op::BatchNorm { eps: 1e-5, momentum: 0.1 }).unwrap();
    graph.then("relu1", Op::Relu).unwrap();
    graph.then("pool", Op::max_pool(2)).unwrap();
    graph.then("conv2", Op::conv(4, 3, 1, 1, true)).unwrap();
    graph.then("relu2", Op::Relu).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("head", Op::Linear { out_features: 3, bias: true }).unwrap();
    Network::new(graph, 5).unwrap()
}

#[test]
fn what_is_maximized_is_answered_to_more_than_any_picture_of_the_data() {
    for channels in [1, 3] {
        let (net, info) = (deep(channels), info(channels, 12));
        let node = net.graph.id("relu2").unwrap();
        let pictures = Pictures { data: Arc::new(Noise(info.clone())), split: Split::Test, noise: None, workers: 0 };
        let seen = survey(&net, &pictures, &[node], 1, Memory::default()).unwrap();
        let goals: Vec<Goal> = (0..4).map(Goal::Channel).collect();
        let how = Maximization { steps: Steps { count: 100, ..Steps::default() }, ..Maximization::default() };
        let found = maximize(&net, Frame { info: &info, border: 0 }, node, &goals, &how, 4, &|_| {}).unwrap();
        for (found, unit) in found.iter().zip(&seen.layers[0].units) {
            let best = unit.peaks.first().map_or(0.0, |peak| peak.activation.into());
            assert!(found.pictures[0].peak > best, "{} for {best}", found.pictures[0].peak);
            assert!(found.pictures[0].pixels.iter().all(|value| (0.0..=1.0).contains(value)));
        }
    }
}

/// The same picture in whatever company, and other noise by another seed.
#[test]
fn what_is_found_depends_on_the_seed_alone() {
    let (net, info) = (deep(3), info(3, 12));
    let frame = Frame { info: &info, border: 1 };
    let node = net.graph.id("conv2").unwrap();
    let goals: Vec<Goal> = (0..4).map(Goal::Neuron).collect();
    let of = |seed: u64, at_once: usize, threads: usize, goals: &[Goal]| {
        let how = Maximization { steps: Steps { count: 12, rate: 0.05, seed }, variants: 2, ..Maximization::default() };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| maximize(&net, frame, node, goals, &how, at_once, &|_| {})).unwrap()
    };
    let all = of(1, 256, 1, &goals);
    assert_eq!(all, of(1, 1, 4, &goals));
    assert_eq!(all[2], of(1, 256, 3, &goals[2..3])[0]);
    assert_ne!(all, of(2, 256, 1, &goals));
}

#[test]
fn variants_that_cost_nothing_to_be_alike_are_more_alike() {
    let (net, info) = (deep(3), info(3, 12));
    let node = net.graph.id("head").unwrap();
    let of = |apart: f64| {
        let steps = Steps { count: 80, ..Steps::default() };
        let how = Maximization { steps, variants: 3, apart, ..Maximization::default() };
        maximize(&net, Frame { info: &info, border: 0 }, node, &[Goal::Channel(1)], &how, 8, &|_| {}).unwrap().remove(0)
    };
    let (free, apart) = (of(0.0), of(2.0));
    assert!(apart.likeness < free.likeness - 0.02, "{} for {}", apart.likeness, free.likeness);
    assert_eq!(apart.pictures.len(), 3);
}

// A ReLU behind a bias of -5 lets nothing through at first; its picture is found all the same.
#[test]
fn a_neuron_that_answers_to_nothing_at_first_is_maximized() {
    let mut graph = Graph::new(1, 6, 6).unwrap();
    let conv = graph.then("conv", Op::conv(1, 3, 1, 1, true)).unwrap();
    let relu = graph.then("relu", Op::Relu).unwrap();
    let mut net = Network::new(graph, 0).unwrap();
    set(&mut net, conv, Role::Weight, vec![1.0, 2.0, 1.0, 0.0, 0.0, 0.0, -1.0, -2.0, -1.0]);
    set(&mut net, conv, Role::Bias, vec![-5.0]);
    let info = info(1, 6);
    let found = maximize(
        &net,
        Frame { info: &info, border: 0 },
        relu,
        &[Goal::Channel(0)],
        &still(100, Range::Box),
        1,
        &|_| {},
    )
    .unwrap();
    assert!(found[0].pictures[0].peak > 5.0, "{}", found[0].pictures[0].peak);
}

#[test]
fn damaged_weights_are_told() {
    let (mut net, _) = linear(1, 4);
    set(&mut net, 1, Role::Weight, vec![f64::NAN; 16]);
    let info = info(1, 4);
    let frame = Frame { info: &info, border: 0 };
    let refused = maximize(&net, frame, 1, &[Goal::Channel(0)], &still(3, Range::Box), 1, &|_| {});
    assert!(matches!(refused, Err(AuditError::NotANumber(name)) if name == "unit"));
    let picture = Tensor::zeros((1, 1, 4, 4), DType::F32, &Device::Cpu).unwrap();
    assert!(invert(&net, frame, 1, &picture, &Inversion::default(), 1).is_err());
}

/// Pictures (N, C, 8, 8) with what colors they have, normalized.
fn smooth(count: usize) -> Tensor {
    let value = |at: usize| {
        let (picture, rest) = (at / 192, at % 192);
        let (channel, row, column) = (rest / 64, rest % 64 / 8, rest % 8);
        let pixel =
            0.5 + 0.3 * ((row as f64 * 0.8 + channel as f64 + picture as f64).sin() * (column as f64 * 0.5).cos());
        ((pixel - 0.4) / 0.25) as f32
    };
    Tensor::from_vec((0..192 * count).map(value).collect(), (count, 3, 8, 8), &Device::Cpu).unwrap()
}

// Colors mixed by a matrix that can be undone, and a mean of neighbors that can: the picture is all that has this activation.
#[test]
fn an_invertible_map_is_inverted() {
    let mut graph = Graph::new(3, 8, 8).unwrap();
    let conv = graph.then("conv", Op::conv(3, 3, 1, 1, false)).unwrap();
    let mut net = Network::new(graph, 0).unwrap();
    let mixed = [[1.0, 0.4, 0.0], [-0.3, 1.0, 0.2], [0.0, 0.5, -1.0]];
    let kernel = [0.0, 0.1, 0.0, 0.1, 1.0, 0.1, 0.0, 0.1, 0.0];
    let weights = mixed.iter().flatten().flat_map(|mix| kernel.map(|tap| mix * tap)).collect();
    set(&mut net, conv, Role::Weight, weights);
    let info = info(3, 8);
    let how = Inversion { steps: Steps { count: 600, ..Steps::default() }, bound: 0.0, variation: 0.0 };
    let frame = Frame { info: &info, border: 0 };
    let found = invert(&net, frame, 1, &smooth(2), &how, 1).unwrap();
    for found in &found {
        assert!(found.error.unwrap() < 1e-3 && found.pixel_error < 1e-3, "{:?} {}", found.error, found.pixel_error);
        assert!(found.other.unwrap() > 0.1);
    }
    assert_eq!(found, invert(&net, frame, 1, &smooth(2), &how, 8).unwrap());
    assert_eq!(invert(&net, frame, 1, &smooth(1), &how, 8).unwrap()[0].other, None);
}

// What is told of a picture by its mean alone is its mean.
#[test]
fn what_a_layer_does_not_know_is_not_found() {
    let mut graph = Graph::new(3, 8, 8).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    let net = Network::new(graph, 0).unwrap();
    let info = info(3, 8);
    let found =
        invert(&net, Frame { info: &info, border: 0 }, 1, &smooth(1), &Inversion::default(), 1).unwrap().remove(0);
    assert!(found.error.unwrap() < 0.05 && found.pixel_error > 0.1, "{:?} {}", found.error, found.pixel_error);
}
