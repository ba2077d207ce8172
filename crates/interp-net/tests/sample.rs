//! Codes: what is drawn, and what is not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)] // Other tests use the rest of it.
mod networks;

use candle_core::Tensor;
use interp_net::{Draw, Graph, Keep, Mode, NetError, Network, Op, Propagation, RelevanceRule};

use networks::{coded, waves};

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap()
}

fn training(draw: Draw) -> Mode {
    Mode::Train { frozen: vec![], draw }
}

/// What a node gives.
fn at(net: &Network, mode: Mode, node: &str) -> Vec<f64> {
    let tape = net.forward(&waves(&[3, 2, 9, 8], 0.71), mode, &Keep::All).unwrap();
    numbers(tape.get(&net.graph, node).unwrap())
}

#[test]
fn codes_are_means_in_evaluation() {
    let net = coded();
    for mode in [Mode::Eval, Mode::Precise] {
        let (codes, all) = (at(&net, mode.clone(), "codes"), at(&net, mode, "code"));
        let means: Vec<f64> = all.chunks(4).flat_map(|row| row[..2].to_vec()).collect();
        assert_eq!(codes, means);
    }
}

#[test]
fn a_draw_is_a_function_of_seed_epoch_batch_and_node() {
    let net = coded();
    let base = Draw { seed: 1, epoch: 2, batch: 3 };
    let drawn = |draw: Draw| at(&net, training(draw), "codes");
    assert_eq!(drawn(base), drawn(base));
    for other in [Draw { seed: 2, ..base }, Draw { epoch: 3, ..base }, Draw { batch: 4, ..base }] {
        assert!(drawn(other).iter().zip(drawn(base)).all(|(a, b)| *a != b));
    }
    // What is frozen is drawn as well.
    let frozen = Mode::Train { frozen: vec![true; net.graph.nodes().len()], draw: base };
    assert_eq!(at(&net, frozen, "codes"), drawn(base));
    // Two codes of the same numbers are drawn by themselves.
    let mut graph = Graph::new(2, 9, 8).unwrap();
    let mean = graph.then("mean", Op::GlobalAvgPool).unwrap();
    let two = ["one", "other"].map(|name| graph.add(name, Op::Sample, &[mean]).unwrap());
    graph.add("sum", Op::Add, &two).unwrap();
    // No parameters: the pass is as precise as its input.
    let net = Network::new(graph, 0).unwrap();
    assert_ne!(at(&net, training(base), "one"), at(&net, training(base), "other"));
}

// Means 0 and log-variances 2 ln 3 of 40,000 cells: the mean of draws is within 4 * 3 / 200 of 0, their deviation within 4 * 3 / sqrt(80,000) of 3.
#[test]
fn draws_have_the_deviation_that_is_told() {
    let mut graph = Graph::new(2, 100, 100).unwrap();
    graph.then("codes", Op::Sample).unwrap();
    let net = Network::new(graph, 0).unwrap();
    let halves = [0.0, 2.0 * 3f64.ln()].map(|value| (waves(&[4, 1, 100, 100], 1.0) * 0.0).unwrap() + value);
    let [mean, variance] = halves.map(Result::unwrap);
    let x = Tensor::cat(&[mean, variance], 1).unwrap();
    let tape = net.forward(&x, training(Draw::default()), &Keep::Output).unwrap();
    let drawn = numbers(tape.output(&net.graph).unwrap());
    let mean = drawn.iter().sum::<f64>() / 40_000.0;
    let deviation = (drawn.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / 40_000.0).sqrt();
    assert!(mean.abs() < 0.06 && (deviation - 3.0).abs() < 0.043, "{mean} {deviation}");
}

// A code in evaluation only chooses channels: relevance goes to the means alone, as it came.
#[test]
fn relevance_goes_to_means() {
    let mut graph = Graph::new(4, 1, 1).unwrap();
    graph.then("codes", Op::Sample).unwrap();
    let net = Network::new(graph, 0).unwrap();
    let tape = net.forward(&waves(&[1, 4, 1, 1], 0.7), Mode::Eval, &Keep::All).unwrap();
    let seed = Tensor::new(&[3.0, -2.0], &candle_core::Device::Cpu).unwrap().reshape((1, 2, 1, 1)).unwrap();
    let rule = || RelevanceRule::Epsilon;
    let rules = Propagation { epsilon: 0.0, first: rule(), convolution: rule(), linear: rule() };
    assert_eq!(numbers(&net.relevance(&tape, &seed, &rules).unwrap().input), [3.0, -2.0, 0.0, 0.0]);
}

#[test]
fn an_odd_number_of_channels_is_refused() {
    let error = Graph::new(3, 4, 4).unwrap().then("codes", Op::Sample).unwrap_err();
    assert!(
        matches!(error, NetError::Graph { .. }) && error.to_string().contains("not 3 channels together"),
        "{error}"
    );
}
