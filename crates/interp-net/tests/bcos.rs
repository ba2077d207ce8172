//! For each picture a B-cos network is a linear map, and what pixels contribute adds up to the logit.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use interp_net::zoo::{self, Architecture, BCosResNet};
use interp_net::{Keep, Mode, NetError, Network, Normalization, Want};

/// In f64, with gains and running variances that are not all alike.
fn network() -> Network {
    let graph = BCosResNet { width: 0.25, ..BCosResNet::default() }.graph([3, 8, 12], 5).unwrap();
    let mut net = Network::new(graph, 1).unwrap().to_dtype(DType::F64).unwrap();
    for position in 0..net.params.list().len() {
        let param = &net.params.list()[position];
        if param.value.rank() == 1 {
            let other = waves(param.value.dims(), 0.9).affine(0.3, 1.2).unwrap();
            net.params.set(position, other).unwrap();
        }
    }
    net
}

fn waves(shape: &[usize], step: f64) -> Tensor {
    let values: Vec<f64> = (0..shape.iter().product::<usize>()).map(|i| (0.3 + i as f64 * step).sin()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn pictures() -> Tensor {
    waves(&[2, 3, 8, 12], 0.71).affine(0.5, 0.5).unwrap()
}

fn sum(x: &Tensor) -> f64 {
    x.sum_all().unwrap().to_scalar().unwrap()
}

#[test]
fn contributions_add_up_to_the_logits() {
    let net = network();
    let start = net.graph.id("complement").unwrap();
    for keep in [Keep::All, Keep::Backward(vec![start])] {
        let tape = net.forward(&pictures(), Mode::Eval, &keep).unwrap();
        let (logits, seen) = (tape.output(&net.graph).unwrap(), tape.at(&net.graph, start).unwrap());
        let seed = waves(&[2, 5], 1.9);
        let map = net.linear_map(&tape, &[(net.graph.output(), seed.clone())], start).unwrap();
        assert!((sum(&(seen * &map).unwrap()) - sum(&(logits * &seed).unwrap())).abs() < 1e-12);
        // The gradient through the cosines is another map, though its products have the same sum: outputs are proportional to
        // the length of what is seen.
        let want = Want { nodes: vec![start], params: vec![] };
        let grads = net.backward(&tape, &[(net.graph.output(), seed.clone())], &want).unwrap();
        let squares = |map: &Tensor| sum(&map.sqr().unwrap());
        assert!(squares(&(grads.node(start).unwrap() - &map).unwrap()) > 0.1 * squares(&map));
    }
}

#[test]
fn a_picture_and_its_linear_map_are_the_same_in_any_batch() {
    let net = network().to_dtype(DType::F32).unwrap();
    let x = pictures().to_dtype(DType::F32).unwrap();
    let bits = |x: &Tensor| {
        let tape = net.forward(x, Mode::Eval, &Keep::Output).unwrap();
        tape.output(&net.graph).unwrap().to_vec2::<f32>().unwrap().concat().into_iter().map(f32::to_bits).collect()
    };
    let (all, last): (Vec<u32>, Vec<u32>) = (bits(&x), bits(&x.narrow(0, 1, 1).unwrap()));
    assert_eq!(all[5..], last);
}

#[test]
fn what_the_outputs_do_not_depend_on_has_no_map() {
    let net = network();
    let tape = net.forward(&pictures(), Mode::Eval, &Keep::All).unwrap();
    let seed = [(net.graph.id("bn1").unwrap(), waves(&[2, 4, 8, 12], 1.9))];
    let error = net.linear_map(&tape, &seed, net.graph.output()).unwrap_err();
    assert!(matches!(&error, NetError::Graph { node, .. } if node == "avgpool"), "{error}");
}

#[test]
fn settings_that_make_no_network_are_refused() {
    let graph = |b: f64, depth: usize| BCosResNet { b, depth, ..BCosResNet::default() }.graph([3, 32, 32], 10);
    assert!(graph(0.5, 20).unwrap_err().to_string().contains("`b`"));
    assert!(graph(2.0, 21).unwrap_err().to_string().contains("`depth`"));
    // Nothing is added anywhere: weights, gains, and running variances are all that there is.
    let net = Network::new(graph(2.0, 20).unwrap(), 0).unwrap();
    assert!(net.params.list().iter().all(|p| !p.name.ends_with("bias") && !p.name.ends_with("mean")));
}

/// What is taken over of an ordinary network: its filters of normalized pixels as ones of pixels and what is missing to 1, whose answer is
/// `w (x - 1/2) / std`; all other weights, gains and variances as they are.
#[test]
fn an_ordinary_network_becomes_a_bcos_one() {
    let settings = BCosResNet { relu: true, ..BCosResNet::default() };
    let plain = Network::new(settings.plain().unwrap().graph([3, 32, 32], 10).unwrap(), 3).unwrap();
    let mut net = Network::new(settings.graph([3, 32, 32], 10).unwrap(), 4).unwrap();
    let std = [0.25f32, 0.5, 0.125];
    let normalization = Normalization { mean: vec![0.5; 3], std: std.to_vec() };
    settings.adopt(&mut net, &plain, &normalization).unwrap();
    let values = |net: &Network, name: &str| -> Vec<f32> {
        let param = net.params.list().iter().find(|param| param.name == name).unwrap();
        param.value.flatten_all().unwrap().to_vec1().unwrap()
    };
    let (own, before) = (values(&net, "conv1.weight"), values(&plain, "conv1.weight"));
    let pixel = |channel: usize, place: usize| (channel as f32 * 1.3 + place as f32 * 0.7).sin().abs();
    for (filter, (own, before)) in own.chunks(54).zip(before.chunks(27)).enumerate() {
        let parts = (0..3).flat_map(|c| (0..9).map(move |place| (c, place)));
        let of_both =
            parts.clone().map(|(c, p)| own[9 * c + p] * pixel(c, p) + own[27 + 9 * c + p] * (1.0 - pixel(c, p)));
        let expected = parts.map(|(c, p)| before[9 * c + p] * (pixel(c, p) - 0.5) / std[c]);
        let (found, expected) = (of_both.sum::<f32>(), expected.sum::<f32>());
        assert!((found - expected).abs() < 1e-4, "filter {filter}: {found}, not {expected}");
    }
    for name in ["layer2.0.conv1.weight", "bn1.weight", "layer3.2.bn2.running_var", "linear.weight"] {
        assert_eq!(values(&net, name), values(&plain, name), "{name}");
    }
    let error = BCosResNet { depth: 32, ..settings.clone() }.adopt(&mut deeper(), &plain, &normalization).unwrap_err();
    assert!(error.to_string().contains("no `layer1.3.conv1.weight`"), "{error}");
    let other = zoo::by_name("resnet20").unwrap().adopt(&mut net, &plain, &normalization);
    assert!(other.unwrap_err().to_string().contains("takes nothing over"));
}

/// A B-cos network of more blocks than the ordinary one has.
fn deeper() -> Network {
    Network::new(BCosResNet { depth: 32, ..BCosResNet::default() }.graph([3, 32, 32], 10).unwrap(), 0).unwrap()
}
