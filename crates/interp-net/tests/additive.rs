//! Sums of modules: what each sees, and that nothing else is in the logits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use candle_core::{DType, Device, Tensor};
use interp_net::zoo::{Additive, Architecture, Module};
use interp_net::{Keep, Mode, NetError, Network, Want};

const ALL: [Module; 7] = [
    Module::Color,
    Module::Layout,
    Module::Texture,
    Module::Pattern,
    Module::Frequency,
    Module::Shape,
    Module::Learned,
];

fn network(modules: &[Module], dtype: DType) -> Network {
    let additive = Additive { modules: modules.to_vec(), width: 0.125 };
    Network::new(additive.graph([3, 32, 32], 4).unwrap(), 1).unwrap().to_dtype(dtype).unwrap()
}

/// A picture of values between 0.1 and 0.9.
fn picture(dtype: DType) -> Tensor {
    let value = |i: usize| 0.5 + 0.4 * (i as f64 * 0.37 + (i as f64 * 0.011).sin() * 9.0).sin();
    let values: Vec<f64> = (0..3 * 32 * 32).map(value).collect();
    Tensor::from_vec(values, (1, 3, 32, 32), &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn list(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// What a module adds for a picture.
fn part(net: &Network, module: &str, x: &Tensor) -> Vec<f64> {
    let node = format!("{module}.logits");
    let tape = net.forward(x, Mode::Eval, &Keep::nodes([node.as_str()])).unwrap();
    list(tape.get(&net.graph, &node).unwrap())
}

#[test]
fn logits_are_the_sum_of_the_modules() {
    let net = network(&ALL, DType::F64);
    let x = picture(DType::F64);
    let parts =
        ["color", "layout", "texture", "pattern", "frequency", "shape", "learned"].map(|module| part(&net, module, &x));
    let logits = list(net.forward(&x, Mode::Eval, &Keep::Output).unwrap().output(&net.graph).unwrap());
    for (class, logit) in logits.into_iter().enumerate() {
        assert!((logit - parts.iter().map(|part| part[class]).sum::<f64>()).abs() < 1e-12);
        assert!(parts.iter().all(|part| part[class] != 0.0));
    }
}

fn assert_near(a: &[f64], b: &[f64]) {
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9), "{a:?} and {b:?}");
}

#[test]
fn modules_do_not_see_what_is_not_theirs() {
    let net = network(&ALL, DType::F64);
    let x = picture(DType::F64);
    let halves = [x.narrow(3, 16, 16).unwrap(), x.narrow(3, 0, 16).unwrap()];
    let moved = Tensor::cat(&halves, 3).unwrap();
    assert_near(&part(&net, "color", &x), &part(&net, "color", &moved));
    assert!(part(&net, "layout", &x) != part(&net, "layout", &moved));
    // Other colors of the same luminance: 0.2126 more red against 0.7152 less green.
    let shift =
        Tensor::new(&[0.7152f64 / 10.0, -0.2126 / 10.0, 0.0], &Device::Cpu).unwrap().reshape((1, 3, 1, 1)).unwrap();
    let tinted = x.broadcast_add(&shift).unwrap();
    for module in ["texture", "pattern", "frequency", "shape"] {
        assert_near(&part(&net, module, &x), &part(&net, module, &tinted));
    }
    assert!(part(&net, "color", &x) != part(&net, "color", &tinted));
}

#[test]
fn gradients_reach_the_picture_through_descriptions() {
    let net = network(&[Module::Color, Module::Shape, Module::Texture, Module::Frequency], DType::F64);
    let x = picture(DType::F64);
    let seed = Tensor::new(&[[1.0f64, -0.5, 0.25, 2.0]], &Device::Cpu).unwrap();
    let weighted = |x: &Tensor| {
        let logits = list(net.forward(x, Mode::Eval, &Keep::Output).unwrap().output(&net.graph).unwrap());
        logits.iter().zip(list(&seed)).map(|(logit, seed)| logit * seed).sum::<f64>()
    };
    let tape = net.forward(&x, Mode::Eval, &Keep::Backward(vec![])).unwrap();
    let want = Want { nodes: vec![0], params: vec![] };
    let grads = net.backward(&tape, &[(net.graph.output(), seed.clone())], &want).unwrap();
    let (grad, values) = (list(grads.node(0).unwrap()), list(&x));
    for at in [0, 31, 500, 1057, 1500, 2049, 3071] {
        let moved = |step: f64| {
            let mut values = values.clone();
            values[at] += step;
            weighted(&Tensor::from_vec(values, (1, 3, 32, 32), &Device::Cpu).unwrap())
        };
        let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
        assert!(
            (slope - grad[at]).abs() < 1e-6 * (1.0 + slope.abs()),
            "{at}: {} where differences give {slope}",
            grad[at]
        );
    }
}

#[test]
fn what_makes_no_sum_is_refused() {
    let refused = |modules: &[Module], channels: usize| {
        let error = Additive { modules: modules.to_vec(), width: 1.0 }.graph([channels, 32, 32], 4).unwrap_err();
        assert!(matches!(error, NetError::Setting(_)) && error.to_string().contains("modules"), "{error}");
    };
    refused(&[Module::Color], 3);
    refused(&[Module::Shape, Module::Shape], 3);
    refused(&[Module::Color, Module::Shape], 1);
    let gray = Additive { modules: vec![Module::Pattern, Module::Shape], width: 0.125 };
    assert!(gray.graph([1, 28, 28], 4).is_ok());
}
