//! Whole networks on a CUDA device, against the CPU in f64: `cargo test -p interp-net --features cuda --test cuda`. Where
//! there is no device, the test says that it is skipped.

#![allow(clippy::unwrap_used)]

use std::io::Write;

use candle_core::{DType, Device, Tensor};
use interp_net::ops::{Arithmetic, device};
use interp_net::{Draw, Keep, Mode, Network, Want, zoo};

fn waves(shape: &[usize], step: f32) -> Tensor {
    let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| (0.3 + i as f32 * step).sin()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The output, and the gradients of all parameters and of the input.
fn sweep(net: &Network, x: &Tensor, seed: &Tensor, mode: &Mode) -> Vec<Vec<f64>> {
    let tape = net.forward(x, mode.clone(), &Keep::Backward(vec![])).unwrap();
    let want = Want { nodes: vec![0], params: (0..net.params.list().len()).collect() };
    let seed = seed.to_device(&net.device()).unwrap();
    let grads = net.backward(&tape, &[(net.graph.output(), seed)], &want).unwrap();
    let params = want.params.iter().filter_map(|&position| grads.param(position));
    let all = [tape.output(&net.graph).unwrap(), grads.node(0).unwrap()].into_iter().chain(params);
    let numbers = |t: &Tensor| t.to_device(&Device::Cpu).unwrap().to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    all.map(|tensor| numbers(tensor).to_vec1().unwrap()).collect()
}

/// The size of what differs, relative to the size of all; sizes are Euclidean.
fn difference(a: &[f64], b: &[f64]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied()).max(1e-12)
}

#[test]
fn networks_give_the_cpus_outputs_and_gradients_within_half_a_percent() {
    let device = device("auto", Arithmetic::default()).unwrap();
    if device.is_cpu() {
        return std::io::stderr().write_all(b"SKIPPED: networks: there is no CUDA device\n").unwrap();
    }
    let vgg = |depth: usize, batch_norm: bool| Box::new(zoo::Vgg { depth, batch_norm, ..zoo::Vgg::default() });
    let kinds: [(&str, Box<dyn zoo::Architecture>); 3] =
        [("vgg8", vgg(8, false)), ("vgg11_bn", vgg(11, true)), ("resnet20", Box::new(zoo::ResNet::default()))];
    for (name, kind) in kinds {
        let net = Network::new(kind.graph([3, 32, 32], 10).unwrap(), 1).unwrap();
        let (x, seed) = (waves(&[4, 3, 32, 32], 0.71), waves(&[4, 10], 1.3));
        let (there, exact) = (net.to_device(&device).unwrap(), net.to_dtype(DType::F64).unwrap());
        for mode in [Mode::Eval, Mode::Train { frozen: vec![], draw: Draw::default() }] {
            let [x64, seed64] = [&x, &seed].map(|t| t.to_dtype(DType::F64).unwrap());
            let (found, exact) = (sweep(&there, &x, &seed, &mode), sweep(&exact, &x64, &seed64, &mode));
            assert_eq!(found.len(), exact.len());
            for (index, (found, exact)) in found.iter().zip(&exact).enumerate() {
                let difference = difference(found, exact);
                assert!(difference < 5e-3, "{name}, {mode:?}, tensor {index}: {difference}");
            }
        }
    }
}
