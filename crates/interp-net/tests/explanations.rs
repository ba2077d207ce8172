//! Ways back through networks that are no gradients: guided backpropagation, DeepLIFT, layer-wise relevance propagation.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)] // Other tests use the rest of it.
mod networks;

use candle_core::{DType, Device, Tensor};
use interp_net::ops::Over;
use interp_net::{Graph, Keep, Mode, NetError, Network, Op, Propagation, RelevanceRule, Role, Tape, Want};

use networks::{attentive, branched, decoder, dot, flattened, linear_for_each_picture, mixed, prototypical, waves};

fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

fn list(x: &Tensor) -> Vec<f64> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_near(found: &Tensor, expected: &Tensor, within: f64) {
    assert_eq!(found.dims(), expected.dims());
    let differences = list(&(found - expected).unwrap());
    assert!(differences.iter().all(|d| d.abs() <= within), "{differences:?}");
}

fn pass(net: &Network, x: &Tensor) -> Tape {
    net.forward(x, Mode::Eval, &Keep::All).unwrap()
}

/// The outputs of a pass, and the gradient of their sum weighted by `seed` at the input.
fn gradient(net: &Network, tape: &Tape, seed: &Tensor) -> Tensor {
    let want = Want { nodes: vec![0], params: vec![] };
    net.backward(tape, &[(net.graph.output(), seed.clone())], &want).unwrap().node(0).unwrap().clone()
}

fn rules(epsilon: f64, rule: RelevanceRule) -> Propagation {
    Propagation { epsilon, first: rule.clone(), convolution: rule.clone(), linear: rule }
}

/// A vector of two numbers, as means of pictures of one pixel, and one linear map.
fn linear(weight: &[f64], bias: f64) -> Network {
    let mut graph = Graph::new(2, 1, 1).unwrap();
    graph.then("pixel", Op::GlobalAvgPool).unwrap();
    let head = graph.then("head", Op::Linear { out_features: weight.len() / 2, bias: true }).unwrap();
    let mut net = Network::new(graph, 0).unwrap().to_dtype(DType::F64).unwrap();
    let at = |net: &Network, role| net.params.position(head, role).unwrap();
    let (weights, biases) = (at(&net, Role::Weight), at(&net, Role::Bias));
    net.params.set(weights, tensor(weight, &[weight.len() / 2, 2])).unwrap();
    net.params.set(biases, tensor(&vec![bias; weight.len() / 2], &[weight.len() / 2])).unwrap();
    net
}

/// The same as a convolution that reads the input.
fn convolution(weight: [f64; 2], bias: f64) -> Network {
    let mut graph = Graph::new(2, 1, 1).unwrap();
    let conv = graph.then("conv", Op::conv(1, 1, 1, 0, true)).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    let mut net = Network::new(graph, 0).unwrap().to_dtype(DType::F64).unwrap();
    let at = |net: &Network, role| net.params.position(conv, role).unwrap();
    let (weights, biases) = (at(&net, Role::Weight), at(&net, Role::Bias));
    net.params.set(weights, tensor(&weight, &[1, 2, 1, 1])).unwrap();
    net.params.set(biases, tensor(&[bias], &[1])).unwrap();
    net
}

// w = (1, -2), b = 0.5, x = (3, 1): z = 1.5. By parts: 3 and -2 of 1.5; with gamma = 1 weights (2, -2) and bias 1, 6 and -2 of 5; of what is
// positive 3 of 3.5; between -1 and 4 the first has 3 + 1, the second -2 + 8, of 10.
#[test]
fn the_rules_of_relevance_by_hand() {
    let x = tensor(&[3.0, 1.0], &[1, 2, 1, 1]);
    let bounds = RelevanceRule::Bounded { low: vec![-1.0; 2], high: vec![4.0; 2] };
    let cases = [
        (RelevanceRule::Epsilon, [3.0, -2.0], 0.5),
        (RelevanceRule::Gamma(1.0), [1.5 * 6.0 / 5.0, -1.5 * 2.0 / 5.0], 0.3),
        (RelevanceRule::Positive, [1.5 * 3.0 / 3.5, 0.0], 1.5 * 0.5 / 3.5),
        (bounds, [0.6, 0.9], 0.0),
    ];
    for net in [linear(&[1.0, -2.0], 0.5), convolution([1.0, -2.0], 0.5)] {
        let tape = pass(&net, &x);
        let logit = tape.output(&net.graph).unwrap();
        assert_eq!(list(logit), [1.5]);
        for (rule, expected, lost) in &cases {
            let found = net.relevance(&tape, logit, &rules(0.0, rule.clone())).unwrap();
            assert_near(&found.input, &tensor(expected, &[1, 2, 1, 1]), 1e-12);
            let all: f64 = found.lost.iter().map(|lost| lost.by_picture[0]).sum();
            assert!((all - lost).abs() < 1e-12, "{rule:?}: {all}");
        }
    }
    // What is added to the denominator has its sign: of -1.5 and 0.1, the parts are those of -1.6, in the mean and in the convolution.
    let net = convolution([-1.0, 2.0], -0.5);
    let tape = pass(&net, &x);
    let found = net.relevance(&tape, tape.output(&net.graph).unwrap(), &rules(0.1, RelevanceRule::Epsilon)).unwrap();
    assert!((list(&found.input)[0] + 3.0 * (1.5f64 / 1.6).powi(2)).abs() < 1e-12);
}

// Negative inputs take positive relevance where weights are negative.
#[test]
fn what_is_positive_by_two_signs_counts() {
    let net = convolution([1.0, -2.0], -3.0);
    let tape = pass(&net, &tensor(&[3.0, -1.0], &[1, 2, 1, 1]));
    let found = net.relevance(&tape, tape.output(&net.graph).unwrap(), &rules(0.0, RelevanceRule::Positive)).unwrap();
    assert_near(&found.input, &tensor(&[2.0 * 3.0 / 5.0, 2.0 * 2.0 / 5.0], &[1, 2, 1, 1]), 1e-12);
}

// Without stabilizer, relevance by parts is the gradient times the input, wherever there are ReLUs and maxima alone (Ancona et al. 2018,
// arXiv 1711.06104, proposition 1).
#[test]
fn relevance_by_parts_is_gradient_times_input() {
    let x = waves(&[3, 2, 9, 8], 0.7);
    for (net, class) in [branched(), flattened()].iter().flat_map(|net| [0, 1, 2].map(|class| (net, class))) {
        let tape = pass(net, &x);
        let logits = tape.output(&net.graph).unwrap();
        let mut one = vec![0.0; 9];
        (0..3).for_each(|picture| one[3 * picture + class] = 1.0);
        let one = tensor(&one, &[3, 3]);
        let expected = (gradient(net, &tape, &one) * &x).unwrap();
        let seed = (&one * logits).unwrap();
        let found = net.relevance(&tape, &seed, &rules(1e-12, RelevanceRule::Epsilon)).unwrap();
        assert_near(&found.input, &expected, 1e-8);
    }
}

#[test]
fn what_is_not_handed_on_is_said_to_be_lost() {
    let x = waves(&[3, 2, 9, 8], 0.7);
    let bounds = RelevanceRule::Bounded { low: vec![-1.0; 2], high: vec![1.0; 2] };
    for net in [branched(), linear_for_each_picture(), mixed(), flattened()] {
        let tape = pass(&net, &x);
        let logits = tape.output(&net.graph).unwrap();
        for rule in [RelevanceRule::Epsilon, RelevanceRule::Gamma(0.25), RelevanceRule::Positive] {
            let direct =
                net.graph.nodes().iter().any(|node| matches!(node.op, Op::Conv2d { .. }) && node.inputs == [0]);
            let first = if direct { bounds.clone() } else { rule.clone() };
            let found = net.relevance(&tape, logits, &Propagation { first, ..rules(1e-6, rule) }).unwrap();
            assert_eq!(found.input.dims(), x.dims());
            for picture in 0..3 {
                let of = |t: &Tensor| list(&t.get(picture).unwrap()).iter().sum::<f64>();
                let lost: f64 = found.lost.iter().map(|lost| lost.by_picture[picture]).sum();
                assert!((of(logits) - of(&found.input) - lost).abs() < 1e-9);
            }
        }
    }
}

/// What is weighed gets all relevance, and its weights none: of attention that is held, the contributions are those of a linear map.
#[test]
fn attention_hands_relevance_to_what_it_weighs() {
    let mut graph = Graph::new(2, 3, 3).unwrap();
    let map = graph.then("conv", Op::conv(4, 3, 1, 1, false)).unwrap();
    graph.then("score", Op::conv(1, 1, 1, 0, true)).unwrap();
    let places = graph.then("where", Op::Softmax { over: Over::Positions }).unwrap();
    graph.add("look", Op::Multiply, &[map, places]).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("head", Op::Linear { out_features: 2, bias: false }).unwrap();
    let net = Network::new(graph, 2).unwrap().to_dtype(DType::F64).unwrap();
    let x = waves(&[2, 2, 3, 3], 0.7);
    let tape = pass(&net, &x);
    let seed = tensor(&[1.0, 0.0, 1.0, 0.0], &[2, 2]);
    let held = net.linear_map(&tape, &[(net.graph.output(), seed.clone())], 0).unwrap();
    let logits = (tape.output(&net.graph).unwrap() * &seed).unwrap();
    let found = net.relevance(&tape, &logits, &rules(1e-12, RelevanceRule::Epsilon)).unwrap();
    assert_near(&found.input, &(held * x).unwrap(), 1e-8);
}

// A linear map for each picture: what pixels contribute is their relevance.
#[test]
fn relevance_of_a_bcos_network_is_its_contributions() {
    let net = linear_for_each_picture();
    let tape = pass(&net, &waves(&[2, 2, 9, 8], 0.7));
    let (logits, last) = (tape.output(&net.graph).unwrap(), net.graph.output());
    let seen = net.graph.id("both").unwrap();
    let weights = net.linear_map(&tape, &[(last, logits.ones_like().unwrap())], seen).unwrap();
    let contributions = (weights * tape.at(&net.graph, seen).unwrap()).unwrap();
    let expected = (contributions.narrow(1, 0, 2).unwrap() + contributions.narrow(1, 2, 2).unwrap()).unwrap();
    let found = net.relevance(&tape, logits, &rules(1e-12, RelevanceRule::Epsilon)).unwrap();
    assert_near(&found.input, &expected, 1e-8);
}

#[test]
fn handcrafted_descriptions_have_no_relevance() {
    let mut graph = Graph::new(3, 4, 4).unwrap();
    graph.then("seen", Op::Saliency).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    let net = Network::new(graph, 0).unwrap().to_dtype(DType::F64).unwrap();
    let tape = pass(&net, &waves(&[1, 3, 4, 4], 0.7));
    let refused = net.relevance(&tape, tape.output(&net.graph).unwrap(), &rules(1e-6, RelevanceRule::Epsilon));
    assert!(matches!(refused, Err(NetError::NoRule { node, .. }) if node == "seen"));
}

// Between two passes, multipliers times differences add up to the difference of outputs.
#[test]
fn multipliers_add_up_to_the_difference() {
    let (x, other) = (waves(&[3, 2, 9, 8], 0.7), waves(&[3, 2, 9, 8], 1.1));
    for net in [branched(), flattened()] {
        let (tape, reference) = (pass(&net, &x), pass(&net, &other));
        let seed = waves(&[3, 3], 0.4);
        let found = net.multipliers(&tape, &reference, &[(net.graph.output(), seed.clone())], 0).unwrap();
        let outputs = (tape.output(&net.graph).unwrap() - reference.output(&net.graph).unwrap()).unwrap();
        let (sum, whole) = (dot(&found, &(&x - &other).unwrap()), dot(&seed, &outputs));
        assert!((sum - whole).abs() < 1e-10 * whole.abs().max(1.0), "{sum} {whole}");
        // Where both passes are one, they are the gradient.
        let same = net.multipliers(&tape, &tape, &[(net.graph.output(), seed.clone())], 0).unwrap();
        assert_near(&same, &gradient(&net, &tape, &seed), 1e-12);
    }
}

// The two cells of a window share its weight; of the window that reaches beyond the map the cell there is has half.
#[test]
fn maxima_of_what_is_left_over_are_means_of_whole_windows() {
    let mut graph = Graph::new(1, 1, 3).unwrap();
    let op = Op::MaxPool { kernel: [1, 2], stride: [1, 2], padding: [0; 2], ceil_mode: true };
    let pool = graph.then("pool", op).unwrap();
    graph.then("head", Op::Linear { out_features: 1, bias: false }).unwrap();
    let mut net = Network::new(graph, 0).unwrap().to_dtype(DType::F64).unwrap();
    net.params.set(0, tensor(&[8.0, 6.0], &[1, 2])).unwrap();
    let tape = pass(&net, &tensor(&[1.0, 2.0, -3.0], &[1, 1, 1, 3]));
    assert_eq!(list(tape.at(&net.graph, pool).unwrap()), [2.0, -3.0]);
    let seeds = [(net.graph.output(), tensor(&[1.0], &[1, 1]))];
    assert_eq!(list(&net.open_gradient(&tape, &seeds, 0).unwrap()), [4.0, 4.0, 3.0]);
    assert_eq!(list(&gradient(&net, &tape, &seeds[0].1)), [0.0, 8.0, 6.0]);
}

// From -1 to 3 a ReLU rises by 3: the slope is 3/4. A maximum that moves from the first cell to the second by way of a tie shares its
// rise between both.
#[test]
fn multipliers_by_hand() {
    let mut graph = Graph::new(1, 1, 2).unwrap();
    graph.then("relu", Op::Relu).unwrap();
    graph.then("most", Op::MaxPool { kernel: [1, 2], stride: [1, 2], padding: [0; 2], ceil_mode: false }).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    let net = Network::new(graph, 0).unwrap().to_dtype(DType::F64).unwrap();
    let passes = |x: [f64; 2], other: [f64; 2]| {
        let of = |x: [f64; 2]| pass(&net, &tensor(&x, &[1, 1, 1, 2]));
        list(&net.multipliers(&of(x), &of(other), &[(3, tensor(&[1.0], &[1, 1]))], 0).unwrap())
    };
    assert_eq!(passes([3.0, -1.0], [-1.0, -1.0]), [0.75, 0.0]);
    // The maximum rises from 2 to 5, all of it at the second cell, which rose by 4.
    assert_eq!(passes([2.0, 5.0], [2.0, 1.0]), [0.0, 0.75]);
    // It falls from 4 to 1: the first cell, where it lay, fell by 4, and the second was no maximum before.
    assert_eq!(passes([0.0, 1.0], [4.0, 0.0]), [0.75, 0.0]);
}

#[test]
fn what_has_no_line_is_refused() {
    for (net, node) in [
        (decoder(), "winners"),
        (linear_for_each_picture(), "head"),
        (mixed(), "vector"),
        (attentive(), "weighed"),
        (prototypical(), "parts.along"),
    ] {
        let tape = pass(&net, &waves(&[1, 2, 9, 8], 0.7));
        let seed = tape.output(&net.graph).unwrap().ones_like().unwrap();
        let refused = net.multipliers(&tape, &tape, &[(net.graph.output(), seed)], 0);
        assert!(matches!(refused, Err(NetError::NoRule { node: found, .. }) if found == node));
    }
}

// The second weight is negative, so that its gradient is stopped at the ReLU; the third ReLU is shut.
#[test]
fn guided_gradients_by_hand() {
    let mut graph = Graph::new(3, 1, 1).unwrap();
    graph.then("relu", Op::Relu).unwrap();
    graph.then("pixel", Op::GlobalAvgPool).unwrap();
    graph.then("head", Op::Linear { out_features: 1, bias: false }).unwrap();
    let mut net = Network::new(graph, 0).unwrap().to_dtype(DType::F64).unwrap();
    net.params.set(0, tensor(&[2.0, -3.0, 4.0], &[1, 3])).unwrap();
    let tape = pass(&net, &tensor(&[1.0, 1.0, -1.0], &[1, 3, 1, 1]));
    let seeds = [(3, tensor(&[1.0], &[1, 1]))];
    assert_eq!(list(&net.guided_gradient(&tape, &seeds, 0).unwrap()), [2.0, 0.0, 0.0]);
    assert_eq!(list(&gradient(&net, &tape, &seeds[0].1)), [2.0, -3.0, 0.0]);
}
