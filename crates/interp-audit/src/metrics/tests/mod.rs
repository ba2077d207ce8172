//! What the tests of metrics ask, and of which networks.

mod consistency;
mod exactness;
mod laws;

use candle_core::{DType, Device, Tensor};
use interp_net::finding::mean_interval;
use interp_net::finding::random::{below, stream};
use interp_net::{Graph, Network, Op, Role};
use rand_chacha::rand_core::RngCore;

use super::removal::removals;
use super::*;
use crate::pass::numbers;
use crate::saliency::{Baseline, Channels, METHODS, Total, last_map, method};

type Named = (String, Box<dyn Method>);

fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

fn waves(shape: &[usize], step: f64) -> Tensor {
    let values: Vec<f64> = (0..shape.iter().product::<usize>()).map(|i| (0.3 + i as f64 * step).sin()).collect();
    tensor(&values, shape)
}

fn section(text: &str) -> (String, toml::Table) {
    let mut settings: toml::Table = text.parse().unwrap();
    let kind = settings.remove("kind").unwrap();
    (kind.as_str().unwrap().to_owned(), settings)
}

/// The method that a section describes.
fn named(text: &str) -> Named {
    let (name, settings) = section(text);
    let object = method(&name, &settings).unwrap().object;
    (name, object)
}

/// The method `kind`, by its defaults.
fn plain(kind: &str) -> Named {
    named(&format!("kind = \"{kind}\""))
}

/// A method that says what it is told.
struct Fixed {
    values: Tensor,
    channels: Channels,
    total: Option<Total>,
}

impl Method for Fixed {
    fn attribute(&self, _: &Question<'_>) -> Result<Attribution> {
        Ok(Attribution { values: self.values.clone(), channels: self.channels, more: vec![] })
    }

    fn total(&self) -> Option<Total> {
        self.total
    }
}

/// Contributions of the pixels of gray pictures, that claim to add up to this.
fn fixed(values: &Tensor, total: Option<Total>) -> Named {
    ("fixed".into(), Box::new(Fixed { values: values.clone(), channels: Channels::Sum, total }))
}

/// Asks about output 0 for each picture.
fn with<T>(net: &Network, pictures: &Tensor, at_once: usize, ask: impl FnOnce(&Question<'_>) -> T) -> T {
    let count = pictures.dim(0).unwrap();
    let (targets, indices): (Vec<usize>, Vec<usize>) = (vec![0; count], (0..count).collect());
    let (low, high) = (vec![-1.0; pictures.dim(1).unwrap()], vec![1.0; pictures.dim(1).unwrap()]);
    let (layer, range): (_, [&[f64]; 2]) = (last_map(&net.graph), [&low, &high]);
    ask(&Question { net, pictures, targets: &targets, indices: &indices, layer, range, at_once })
}

fn judging<T>(question: &Question<'_>, methods: &[Named], ask: impl FnOnce(&[Judged<'_>]) -> T) -> T {
    let said: Vec<Attribution> = methods.iter().map(|(_, method)| method.attribute(question).unwrap()).collect();
    let mut judged = vec![];
    for ((name, method), attribution) in methods.iter().zip(&said) {
        judged.push(Judged { name, method: &**method, attribution });
    }
    ask(&judged)
}

fn tried(net: &Network, pictures: &Tensor, text: &str, methods: &[Named], at_once: usize) -> Result<Vec<Scores>> {
    let (name, settings) = section(text);
    let metric = metric(&name, &settings)?.object;
    with(net, pictures, at_once, |question| judging(question, methods, |judged| metric.measure(question, judged)))
}

fn measured(net: &Network, pictures: &Tensor, text: &str, methods: &[Named]) -> Vec<Scores> {
    tried(net, pictures, text, methods, 8).unwrap()
}

/// The numbers that a metric has of a method under a name.
fn values(scores: &Scores, name: &str) -> Vec<f64> {
    let column = scores.columns.iter().find(|column| column.name == name).unwrap();
    column.values.iter().map(|value| value.unwrap()).collect()
}

/// The number of the first picture.
fn value(net: &Network, pictures: &Tensor, text: &str, of: &Named, name: &str) -> f64 {
    values(&measured(net, pictures, text, std::slice::from_ref(of))[0], name)[0]
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-10 * (1.0 + expected.abs()), "{found} for {expected}");
}

/// Two outputs for gray pictures of `side` by `side` pixels: these weights and a bias, and 0.
fn linear(weights: &[f64], bias: f64) -> Network {
    let side = (weights.len() as f64).sqrt() as usize;
    let mut graph = Graph::new(1, side, side).unwrap();
    let conv = graph.then("conv", Op::conv(2, side, 1, 0, true)).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    let mut net = Network::new(graph, 0).unwrap().to_dtype(DType::F64).unwrap();
    let mut set = |role: Role, values: &[f64], shape: &[usize]| {
        let at = net.params.position(conv, role).unwrap();
        net.params.set(at, tensor(values, shape)).unwrap();
    };
    set(Role::Weight, &[weights, &vec![0.0; weights.len()]].concat(), &[2, 1, side, side]);
    set(Role::Bias, &[bias, 0.0], &[2]);
    net
}

/// Pixels that add 1, 2, 6 and -4 to an output that is 0.5 without them; over black pixels, which are -1, they add 2, 4, 9 and 0.
fn four() -> (Network, Tensor, Tensor) {
    let pictures = tensor(&[1.0, 1.0, 2.0, -1.0], &[1, 1, 2, 2]);
    (linear(&[1.0, 2.0, 3.0, 4.0], 0.5), pictures, tensor(&[1.0, 2.0, 6.0, -4.0], &[1, 1, 2, 2]))
}

/// Convolutions, a maximum, means and a linear map to two outputs, for pictures of 6 by 7 pixels.
fn with_maps() -> Network {
    let mut graph = Graph::new(3, 6, 7).unwrap();
    graph.then("conv1", Op::conv(5, 3, 1, 1, true)).unwrap();
    graph.then("bn1", Op::batch_norm()).unwrap();
    graph.then("relu1", Op::Relu).unwrap();
    graph.then("pool", Op::max_pool(2)).unwrap();
    graph.then("conv2", Op::conv(4, 3, 1, 1, true)).unwrap();
    graph.then("relu2", Op::Relu).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("head", Op::Linear { out_features: 2, bias: true }).unwrap();
    Network::new(graph, 5).unwrap().to_dtype(DType::F64).unwrap()
}
