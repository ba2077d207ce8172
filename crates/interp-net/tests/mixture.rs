//! Mixtures of experts: who decides, and that nothing else is in the logits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use candle_core::{DType, Device, Tensor};
use interp_net::zoo::{Architecture, Mixture};
use interp_net::{Graph, Keep, Mode, NetError, Network, Op, Role, Tape};

fn network(top: usize) -> Network {
    let mixture = Mixture { top, width: 0.125, ..Mixture::default() };
    Network::new(mixture.graph([3, 32, 32], 5).unwrap(), 1).unwrap()
}

/// Pictures that differ in their waves.
fn pictures(count: usize) -> Tensor {
    let value = |i: usize| {
        let (picture, pixel) = (i / (3 * 32 * 32), i % (3 * 32 * 32));
        (pixel as f32 * (0.1 + 0.37 * picture as f32)).sin() + (pixel as f32 * 0.011).cos() * picture as f32
    };
    let values: Vec<f32> = (0..count * 3 * 32 * 32).map(value).collect();
    Tensor::from_vec(values, (count, 3, 32, 32), &Device::Cpu).unwrap()
}

fn rows(tensor: &Tensor) -> Vec<Vec<f64>> {
    tensor.to_dtype(DType::F64).unwrap().to_vec2().unwrap()
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|z| z.exp()).sum();
    logits.iter().map(|z| z.exp() / sum).collect()
}

/// The experts of a picture, the likeliest first.
fn ranked(probabilities: &[f64]) -> Vec<usize> {
    let mut experts: Vec<usize> = (0..probabilities.len()).collect();
    experts.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    experts
}

/// What a part of the network gives alone.
fn alone(net: &Network, node: &str, x: &Tensor) -> Vec<Vec<f64>> {
    let end = net.graph.id(node).unwrap();
    rows(net.run_to(x, end, Mode::Eval, &Keep::Output).unwrap().at(&net.graph, end).unwrap())
}

/// The gate's weights, larger, so that it does not choose one expert for all pictures.
fn decided(mut net: Network) -> Network {
    let position = net.params.position(net.graph.id("gate.logits").unwrap(), Role::Weight).unwrap();
    let larger = net.params.list()[position].value.affine(30.0, 0.0).unwrap();
    net.params.set(position, larger).unwrap();
    net
}

#[test]
fn logits_are_those_of_the_chosen_experts_times_their_probabilities() {
    let x = pictures(6);
    for top in [1, 2, 4] {
        let net = decided(network(top));
        let logits = rows(net.forward(&x, Mode::Eval, &Keep::Output).unwrap().output(&net.graph).unwrap());
        let experts: Vec<_> = (0..4).map(|i| alone(&net, &format!("expert{i}.head"), &x)).collect();
        let mut chosen = vec![];
        for (n, gate) in alone(&net, "gate.logits", &x).iter().enumerate() {
            let p = softmax(gate);
            let best = &ranked(&p)[..top];
            chosen.push(best[0]);
            for (class, logit) in logits[n].iter().enumerate() {
                let expected: f64 = best.iter().map(|&i| p[i] * experts[i][n][class]).sum();
                assert!((logit - expected).abs() < 1e-6, "{n} {class}: {logit}, not {expected}");
            }
        }
        chosen.sort_unstable();
        chosen.dedup();
        assert!(chosen.len() > 1, "pictures of one expert alone test little");
    }
}

fn without(net: &Network, tape: &Tape, node: &str) -> Vec<Vec<f64>> {
    let (id, zeros) = (net.graph.id(node).unwrap(), tape.get(&net.graph, node).unwrap().zeros_like().unwrap());
    rows(net.rerun(tape, id, &zeros).unwrap().output(&net.graph).unwrap())
}

#[test]
fn an_expert_taken_out_takes_exactly_its_share() {
    let (net, x) = (decided(network(1)), pictures(6));
    let tape = net.forward(&x, Mode::Eval, &Keep::All).unwrap();
    let logits = rows(tape.output(&net.graph).unwrap());
    let choice = rows(tape.get(&net.graph, "gate.choice").unwrap());
    for expert in 0..4 {
        let name = format!("expert{expert}.logits");
        let (share, rest) = (rows(tape.get(&net.graph, &name).unwrap()), without(&net, &tape, &name));
        for (n, gate) in choice.iter().enumerate() {
            let decides = gate[expert] > 0.0;
            assert_eq!(share[n].iter().any(|&s| s != 0.0), decides);
            // Nobody else decided on the picture.
            let left = if decides { vec![0.0; 5] } else { logits[n].clone() };
            assert_eq!(rest[n], left);
            assert!(!decides || share[n] == logits[n]);
        }
    }
}

/// With its gate held, what is linear but for the gate is the sum of what pixels contribute.
#[test]
fn gates_are_held_in_linear_maps() {
    let mut graph = Graph::new(3, 4, 4).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    let head = graph.then("head", Op::Linear { out_features: 2, bias: false }).unwrap();
    graph.add("gate", Op::Linear { out_features: 3, bias: true }, &[1]).unwrap();
    let choice = graph.then("choice", Op::Route { top: 3 }).unwrap();
    graph.add("logits", Op::Gated { channel: 2 }, &[head, choice]).unwrap();
    let net = Network::new(graph, 2).unwrap();
    let x = pictures(1).narrow(2, 0, 4).unwrap().narrow(3, 0, 4).unwrap().contiguous().unwrap();
    let tape = net.forward(&x, Mode::Eval, &Keep::All).unwrap();
    let seed = Tensor::new(&[[1f32, 0.0]], &Device::Cpu).unwrap();
    let map = net.linear_map(&tape, &[(net.graph.output(), seed)], 0).unwrap();
    let sum = (map * x).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
    let logit = rows(tape.output(&net.graph).unwrap())[0][0];
    assert!(logit != 0.0 && (f64::from(sum) - logit).abs() < 1e-6, "{sum}, not {logit}");
}

/// A gate is one number for all cells of a map, and sees what it sees.
#[test]
fn fields_reach_through_gates() {
    let mut graph = Graph::new(1, 4, 6).unwrap();
    let map = graph.then("map", Op::conv(2, 3, 1, 1, false)).unwrap();
    let corner = graph.add("corner", Op::conv(2, 2, 6, 0, false), &[0]).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    let gate = graph.then("gate", Op::Route { top: 1 }).unwrap();
    let gated = graph.add("gated", Op::Gated { channel: 1 }, &[map, gate]).unwrap();
    assert_eq!((corner, graph.shape(gated)), (2, &[2, 4, 6][..]));
    let net = Network::new(graph, 0).unwrap();
    let region = net.region(gated, 3, 5).unwrap();
    assert_eq!((region.rows, region.columns), ([0, 3], [0, 5]), "the corner, and 3x3 pixels around the last");
    let region = net.region(gated, 0, 2).unwrap();
    assert_eq!((region.rows, region.columns), ([0, 1], [0, 3]));
    assert!(matches!(net.receptive_field(gated), Err(NetError::NoField { .. })));
}

#[test]
fn what_is_no_mixture_is_refused() {
    for (experts, top, key) in [(1, 1, "experts"), (65, 1, "experts"), (4, 0, "top"), (4, 5, "top")] {
        let error = Mixture { experts, top, width: 1.0 }.graph([3, 32, 32], 4).unwrap_err();
        assert!(matches!(error, NetError::Setting(_)) && error.to_string().contains(key), "{error}");
    }
    let mut graph = Graph::new(3, 4, 4).unwrap();
    let mean = graph.then("mean", Op::GlobalAvgPool).unwrap();
    for (op, inputs, part) in [
        (Op::Route { top: 4 }, &[mean][..], "4"),
        (Op::Route { top: 0 }, &[mean], "0"),
        (Op::Route { top: 1 }, &[0], "vector"),
        (Op::Gated { channel: 3 }, &[0, mean], "channel 3"),
        (Op::Gated { channel: 0 }, &[mean, 0], "vector"),
        (Op::Gated { channel: 0 }, &[mean], "2 input"),
    ] {
        let error = graph.add("it", op, inputs).unwrap_err().to_string();
        assert!(error.contains("`it`") && error.contains(part), "{error}");
    }
}
