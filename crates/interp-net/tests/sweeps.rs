//! Forward and backward sweeps over graphs with branches.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod networks;

use candle_core::{DType, Device, Tensor};
use interp_net::{Draw, Graph, Keep, Mode, NetError, Network, Op, Want};

use networks::{
    attentive, branched, coded, decoder, dot, flattened, linear_for_each_picture, mixed, prototypical, waves,
};

/// The tensor with the value at `index` moved by `by`.
fn moved(x: &Tensor, index: usize, by: f64) -> Tensor {
    let mut values = x.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    values[index] += by;
    Tensor::from_vec(values, x.dims(), &Device::Cpu).unwrap()
}

fn modes() -> [Mode; 3] {
    let mut frozen = vec![false; 14];
    frozen[3] = true;
    [Mode::Eval, Mode::Train { frozen: vec![], draw: Draw::default() }, Mode::Train { frozen, draw: Draw::default() }]
}

#[test]
fn gradients_agree_with_central_differences_in_every_mode() {
    central_differences(&branched());
    central_differences(&decoder());
    central_differences(&pooled());
    central_differences(&linear_for_each_picture());
    central_differences(&mixed());
    central_differences(&attentive());
    central_differences(&prototypical());
    central_differences(&flattened());
    central_differences(&coded());
}

fn central_differences(net: &Network) {
    let x = waves(&[&[3], net.graph.shape(0)].concat(), 0.71);
    let seed = waves(&[3, 3], 1.9);
    let want = Want { nodes: vec![0], params: (0..net.params.list().len()).collect() };
    for mode in modes() {
        let value = |net: &Network, x: &Tensor| {
            dot(net.forward(x, mode.clone(), &Keep::Output).unwrap().output(&net.graph).unwrap(), &seed)
        };
        let tape = net.forward(&x, mode.clone(), &Keep::All).unwrap();
        let grads = net.backward(&tape, &[(net.graph.output(), seed.clone())], &want).unwrap();
        let step = 1e-5;
        let check = |found: f64, difference: f64, what: &str| {
            assert!(
                (found - difference).abs() < 1e-6 * (1.0 + difference.abs()),
                "{what} in {mode:?}: {found} against {difference}"
            );
        };
        let own = grads.node(0).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for index in (0..own.len()).step_by(37) {
            let difference =
                (value(net, &moved(&x, index, step)) - value(net, &moved(&x, index, -step))) / (2.0 * step);
            check(own[index], difference, "input");
        }
        for (position, param) in net.params.list().iter().enumerate().filter(|(_, p)| p.role.is_trained()) {
            let own = grads.param(position).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
            for index in (0..own.len()).step_by(5) {
                let at = |by: f64| {
                    let mut net = net.clone();
                    net.params.set(position, moved(&param.value, index, by)).unwrap();
                    value(&net, &x)
                };
                check(own[index], (at(step) - at(-step)) / (2.0 * step), &param.name);
            }
        }
    }
}

#[test]
fn what_backward_reads_is_enough_and_gives_the_same_bits() {
    let net = branched();
    let x = waves(&[3, 2, 9, 8], 0.71);
    let bits = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let norm = net.graph.id("bn1").unwrap();
    for mode in modes() {
        let [all, few] = [Keep::All, Keep::Backward(vec![])].map(|keep| net.forward(&x, mode.clone(), &keep).unwrap());
        assert!(few.get(&net.graph, "bn1").is_err() && few.get(&net.graph, "pool").is_ok());
        assert_eq!(bits(all.output(&net.graph).unwrap()), bits(few.output(&net.graph).unwrap()));
        // With a seed between a batch norm and its ReLU too.
        let seeds = [(net.graph.output(), waves(&[3, 3], 1.9)), (norm, waves(&[3, 4, 9, 8], 0.37))];
        for seeds in [&seeds[..1], &seeds] {
            let want = Want { nodes: vec![0], params: (0..net.params.list().len()).collect() };
            let [a, b] = [&all, &few].map(|tape| net.backward(tape, seeds, &want).unwrap());
            let close = |a: &Tensor, b: &Tensor| bits(a).iter().zip(bits(b)).all(|(a, b)| (a - b).abs() < 1e-12);
            for (position, param) in net.params.list().iter().enumerate().filter(|(_, p)| p.role.is_trained()) {
                let (a, b) = (a.param(position).unwrap(), b.param(position).unwrap());
                // Two sums of a sum have other last bits than one.
                assert!(if seeds.len() == 1 { bits(a) == bits(b) } else { close(a, b) }, "{} in {mode:?}", param.name);
            }
            let (a, b) = (a.node(0).unwrap(), b.node(0).unwrap());
            assert!(if seeds.len() == 1 { bits(a) == bits(b) } else { close(a, b) }, "input in {mode:?}");
        }
    }
    // An activation put between them decides what passes the ReLU.
    let tape = net.forward(&x, Mode::Eval, &Keep::All).unwrap();
    let below = waves(&[3, 4, 9, 8], 0.37).abs().unwrap().neg().unwrap();
    let cut = net.rerun(&tape, norm, &below).unwrap();
    let want = Want { nodes: vec![0], params: vec![] };
    let grads = net.backward(&cut, &[(net.graph.output(), waves(&[3, 3], 1.9))], &want).unwrap();
    assert!(bits(grads.node(0).unwrap()).iter().all(|&g| g == 0.0), "nothing passes");
}

#[test]
fn what_gradients_of_activations_read_is_enough_for_these() {
    let numbers = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    for net in [
        branched(),
        decoder(),
        pooled(),
        linear_for_each_picture(),
        mixed(),
        attentive(),
        prototypical(),
        flattened(),
        coded(),
    ] {
        let x = waves(&[&[3], net.graph.shape(0)].concat(), 0.71);
        let seeds = [(net.graph.output(), waves(&[&[3], net.graph.shape(net.graph.output())].concat(), 1.9))];
        let middle = net.graph.nodes().len() / 2;
        let wants = [vec![0], (0..net.graph.nodes().len()).collect(), vec![middle]];
        for (mode, nodes) in modes().into_iter().flat_map(|mode| wants.clone().map(|nodes| (mode.clone(), nodes))) {
            let [all, few] =
                [Keep::All, Keep::Gradients(vec![middle])].map(|keep| net.forward(&x, mode.clone(), &keep).unwrap());
            assert_eq!(numbers(all.output(&net.graph).unwrap()), numbers(few.output(&net.graph).unwrap()));
            let want = Want { nodes: nodes.clone(), params: vec![] };
            let [a, b] = [&all, &few].map(|tape| net.backward(tape, &seeds, &want).unwrap());
            for (a, b) in nodes.iter().filter_map(|&node| Some((numbers(a.node(node)?), numbers(b.node(node)?)))) {
                let most = a.iter().fold(0.0f64, |most, value| most.max(value.abs()));
                assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-13 * most), "{mode:?}");
            }
            assert!(b.node(nodes[0]).is_some());
        }
    }
}

#[test]
fn gradients_of_parameters_are_not_made_up_from_what_others_read() {
    let net = branched();
    let tape = net.forward(&waves(&[3, 2, 9, 8], 0.71), Mode::Eval, &Keep::Gradients(vec![])).unwrap();
    assert!(tape.get(&net.graph, "conv1").is_err() && tape.get(&net.graph, "input").is_err());
    for name in ["conv1.weight", "bn1.weight", "bn1.bias"] {
        let position = net.params.list().iter().position(|param| param.name == name).unwrap();
        let want = Want { nodes: vec![], params: vec![position] };
        let found = net.backward(&tape, &[(net.graph.output(), waves(&[3, 3], 1.9))], &want);
        assert!(matches!(found, Err(NetError::NotKept(_))), "{name}");
    }
}

/// A block that ends with pooling by windows side by side, which leave a row and a column out.
fn pooled() -> Network {
    let mut graph = Graph::new(2, 9, 7).unwrap();
    graph.then("conv1", Op::conv(4, 3, 1, 1, true)).unwrap();
    graph.then("bn1", Op::batch_norm()).unwrap();
    graph.then("relu1", Op::Relu).unwrap();
    graph.then("pool1", Op::max_pool(2)).unwrap();
    graph.then("conv2", Op::conv(5, 3, 1, 1, false)).unwrap();
    graph.then("bn2", Op::batch_norm()).unwrap();
    graph.then("relu2", Op::Relu).unwrap();
    graph.then("pool2", Op::MaxPool { kernel: [2, 3], stride: [2, 3], padding: [0; 2], ceil_mode: false }).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("head", Op::Linear { out_features: 3, bias: true }).unwrap();
    Network::new(graph, 3).unwrap().to_dtype(DType::F64).unwrap()
}

#[test]
fn a_pooled_block_has_the_same_bits_whatever_is_kept() {
    let net = pooled();
    let x = waves(&[3, 2, 9, 7], 0.71);
    let bits = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let frozen = (0..net.graph.nodes().len()).map(|id| id == net.graph.id("bn1").unwrap()).collect();
    for mode in [
        Mode::Eval,
        Mode::Train { frozen: vec![], draw: Draw::default() },
        Mode::Train { frozen, draw: Draw::default() },
    ] {
        let all = net.forward(&x, mode.clone(), &Keep::All).unwrap();
        let [norm, relu] = ["bn1", "relu1"].map(|name| net.graph.id(name).unwrap());
        let want = |nodes: &[usize]| Want { nodes: nodes.to_vec(), params: (0..net.params.list().len()).collect() };
        let seeds = [(net.graph.output(), waves(&[3, 3], 1.9))];
        let expected = net.backward(&all, &seeds, &want(&[0, relu, norm])).unwrap();
        for keep in [Keep::Backward(vec![]), Keep::nodes(["bn1", "relu2", "conv*", "pool*", "mean", "input"])] {
            let few = net.forward(&x, mode.clone(), &keep).unwrap();
            assert!(few.get(&net.graph, "relu1").is_err() && few.get(&net.graph, "bn2").is_err());
            assert_eq!(bits(all.output(&net.graph).unwrap()), bits(few.output(&net.graph).unwrap()), "{mode:?}");
            if matches!(keep, Keep::Nodes(_)) {
                // What is kept by name is enough to reach the last pooling.
                let want = Want { nodes: vec![net.graph.id("bn2").unwrap()], params: vec![] };
                let [a, b] = [&all, &few].map(|tape| net.backward(tape, &seeds, &want).unwrap());
                assert_eq!(bits(a.node(want.nodes[0]).unwrap()), bits(b.node(want.nodes[0]).unwrap()));
                continue;
            }
            // Also where a gradient within the block is asked for, whose maxima nobody has kept.
            for nodes in [&[0][..], &[0, relu], &[0, norm]] {
                let grads = net.backward(&few, &seeds, &want(nodes)).unwrap();
                for (position, param) in net.params.list().iter().enumerate().filter(|(_, p)| p.role.is_trained()) {
                    let [a, b] = [&grads, &expected].map(|grads| bits(grads.param(position).unwrap()));
                    assert_eq!(a, b, "{} in {mode:?}", param.name);
                }
                for &node in nodes {
                    assert_eq!(
                        bits(grads.node(node).unwrap()),
                        bits(expected.node(node).unwrap()),
                        "{node} in {mode:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_hidden_gradient_is_that_of_the_rest_of_the_network() {
    let net = branched();
    let x = waves(&[2, 2, 9, 8], 0.71);
    let seed = waves(&[2, 3], 1.9);
    // Before the ReLU: behind it, ties of zeros in the pooling have no derivative.
    let at = net.graph.id("bn1").unwrap();
    let tape = net.forward(&x, Mode::Eval, &Keep::All).unwrap();
    let want = Want { nodes: vec![at], params: vec![] };
    let grads = net.backward(&tape, &[(net.graph.output(), seed.clone())], &want).unwrap();
    assert!(grads.node(0).is_none(), "what is not wanted is not computed");
    let own = grads.node(at).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let hidden = tape.at(&net.graph, at).unwrap();
    for index in (0..own.len()).step_by(41) {
        let value =
            |by: f64| dot(net.rerun(&tape, at, &moved(hidden, index, by)).unwrap().output(&net.graph).unwrap(), &seed);
        let difference = (value(1e-5) - value(-1e-5)) / 2e-5;
        assert!((own[index] - difference).abs() < 1e-6, "{} against {difference}", own[index]);
    }
}

#[test]
fn parts_compose_to_the_whole() {
    let net = branched();
    let x = waves(&[2, 2, 9, 8], 0.71);
    let whole = net.forward(&x, Mode::Eval, &Keep::All).unwrap();
    let stem = net.graph.id("relu1").unwrap();
    let first = net.run_to(&x, stem, Mode::Eval, &Keep::Output).unwrap();
    let hidden = first.at(&net.graph, stem).unwrap();
    assert!(first.get(&net.graph, "head").is_err() && first.get(&net.graph, "conv1").is_err());
    let rest = net.run_from(stem, hidden, Mode::Eval, &Keep::Output).unwrap();
    let bits = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    assert_eq!(bits(rest.output(&net.graph).unwrap()), bits(whole.output(&net.graph).unwrap()));
    // From within a branch, the other branch is missing, unless a tape has it.
    let branch = net.graph.id("bn2").unwrap();
    let inside = whole.at(&net.graph, branch).unwrap();
    let error = net.run_from(branch, inside, Mode::Eval, &Keep::Output).unwrap_err();
    assert!(matches!(&error, NetError::NotKept(name) if name == "beside"), "{error}");
    let again = net.rerun(&whole, branch, inside).unwrap();
    assert_eq!(bits(again.output(&net.graph).unwrap()), bits(whole.output(&net.graph).unwrap()));
}

/// A pass that begins at a pooling has not seen where the maxima are.
#[test]
fn no_gradient_passes_a_pooling_whose_maxima_nobody_knows() {
    let mut graph = Graph::new(1, 4, 4).unwrap();
    let pool = graph.then("pool", Op::max_pool(2)).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    let net = Network::new(graph, 0).unwrap();
    let pooled = waves(&[1, 1, 2, 2], 0.3).to_dtype(DType::F32).unwrap();
    let tape = net.run_from(pool, &pooled, Mode::Eval, &Keep::All).unwrap();
    let seeds = [(net.graph.output(), Tensor::ones((1, 1), DType::F32, &Device::Cpu).unwrap())];
    let at = |node: usize| net.backward(&tape, &seeds, &Want { nodes: vec![node], params: vec![] });
    assert!(at(pool).unwrap().node(pool).is_some());
    let error = at(0).unwrap_err();
    assert!(matches!(&error, NetError::NotKept(name) if name == "input"), "{error}");
}

#[test]
fn taps_change_nothing_and_names_are_checked() {
    let net = branched();
    let x = waves(&[2, 2, 9, 8], 0.71);
    let bits = |keep: &Keep| {
        let tape = net.forward(&x, Mode::Eval, keep).unwrap();
        tape.output(&net.graph).unwrap().to_vec2::<f64>().unwrap()
    };
    assert_eq!(bits(&Keep::All), bits(&Keep::Output));
    let tape = net.forward(&x, Mode::Eval, &Keep::nodes(["bn*"])).unwrap();
    assert!(tape.get(&net.graph, "bn1").is_ok() && tape.get(&net.graph, "relu1").is_err());
    let error = net.forward(&x, Mode::Eval, &Keep::nodes(["pol"])).unwrap_err().to_string();
    assert!(error.contains("did you mean `pool`"), "{error}");
    let error = net.forward(&waves(&[1, 3, 9, 8], 0.1), Mode::Eval, &Keep::Output).unwrap_err().to_string();
    assert!(error.contains("input") && error.contains("(N, 2, 9, 8)") && error.contains("[1, 3, 9, 8]"), "{error}");
}

/// Of a picture of one color the cells that see no border are the same to the last bit, of convolutions alone and with a norm behind them; with fewer
/// multiplications they are not. In f64 there is one way.
#[test]
fn in_a_precise_pass_equal_cells_are_equal() {
    let mut graph = Graph::new(16, 14, 14).unwrap();
    for name in ["conv1", "conv2"] {
        graph.then(name, Op::conv3x3(16, 1)).unwrap();
    }
    graph.then("bn", Op::batch_norm()).unwrap();
    let net = Network::new(graph, 3).unwrap();
    let cells = |net: &Network, mode: Mode, name: &str| {
        let dtype = net.params.list()[0].value.dtype();
        let x = Tensor::full(0.7f32, (1, 16, 14, 14), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let tape = net.forward(&x, mode, &Keep::nodes([name])).unwrap();
        let inner = tape.get(&net.graph, name).unwrap().narrow(2, 2, 10).unwrap().narrow(3, 2, 10).unwrap();
        inner.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap()
    };
    let equal = |cells: &[f64]| cells.chunks(100).all(|map| map.iter().all(|value| *value == map[0]));
    for name in ["conv1", "bn"] {
        assert!(equal(&cells(&net, Mode::Precise, name)) && !equal(&cells(&net, Mode::Eval, name)), "{name}");
    }
    let wide = net.to_dtype(DType::F64).unwrap();
    assert_eq!(cells(&wide, Mode::Precise, "bn"), cells(&wide, Mode::Eval, "bn"));
}

/// Which of equal cells is the maximum: of a picture of one color f32 tells the same as f64 in a precise pass, and another one in an ordinary pass.
#[test]
fn in_a_precise_pass_gradients_take_the_ways_of_f64() {
    let mut graph = Graph::new(16, 14, 14).unwrap();
    graph.then("conv", Op::conv3x3(16, 1)).unwrap();
    graph.then("pool", Op::max_pool(2)).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    let net = Network::new(graph, 3).unwrap();
    let gradient = |net: &Network, mode: Mode| {
        let dtype = net.params.list()[0].value.dtype();
        let x = Tensor::full(0.7f32, (1, 16, 14, 14), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let tape = net.forward(&x, mode, &Keep::All).unwrap();
        let seed = Tensor::ones((1, 16), dtype, &Device::Cpu).unwrap();
        let grads =
            net.backward(&tape, &[(net.graph.output(), seed)], &Want { nodes: vec![0], params: vec![] }).unwrap();
        grads.node(0).unwrap().to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap()
    };
    let exact = gradient(&net.to_dtype(DType::F64).unwrap(), Mode::Eval);
    let largest = exact.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    let apart = |mode: Mode| {
        let found = gradient(&net, mode);
        found.iter().zip(&exact).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f64::max)
    };
    let [precise, ordinary] = [Mode::Precise, Mode::Eval].map(apart);
    assert!(precise < 1e-5 && ordinary > 0.01, "{precise} {ordinary}");
}

#[test]
fn statistics_move_as_pytorch_moves_them() {
    let mut graph = Graph::new(1, 2, 2).unwrap();
    graph.then("bn", Op::batch_norm()).unwrap();
    let mut net = Network::new(graph, 0).unwrap();
    let x = Tensor::from_vec(vec![1f32, 2.0, 3.0, 6.0], (1, 1, 2, 2), &Device::Cpu).unwrap();
    let tape = net.forward(&x, Mode::Train { frozen: vec![], draw: Draw::default() }, &Keep::Output).unwrap();
    net.commit_statistics(&tape).unwrap();
    // Mean 3, unbiased variance 14 / 3; momentum 0.1 from 0 and 1.
    let read = |net: &Network, i: usize| net.params.list()[i].value.to_vec1::<f32>().unwrap()[0];
    assert!((read(&net, 2) - 0.3).abs() < 1e-6);
    assert!((read(&net, 3) - (0.9 + 1.4 / 3.0)).abs() < 1e-6);
    let evaluated = net.forward(&x, Mode::Eval, &Keep::Output).unwrap();
    let before = net.clone();
    net.commit_statistics(&evaluated).unwrap();
    assert_eq!(read(&net, 2), read(&before, 2));
}

#[test]
fn decoders_keep_what_backward_reads() {
    backward_reads_what_is_kept(&decoder(), "shrink", Some("edges"));
}

#[test]
fn bcos_networks_keep_what_backward_reads() {
    backward_reads_what_is_kept(&linear_for_each_picture(), "conv2", None);
}

#[test]
fn mixtures_keep_what_backward_reads() {
    backward_reads_what_is_kept(&mixed(), "choice", Some("map0"));
    backward_reads_what_is_kept(&attentive(), "where", Some("places"));
    backward_reads_what_is_kept(&prototypical(), "latent", Some("parts.both"));
}

/// Also `kept`, and not `dropped`.
fn backward_reads_what_is_kept(net: &Network, kept: &str, dropped: Option<&str>) {
    let x = waves(&[3, 2, 9, 8], 0.71);
    let bits = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let want = Want { nodes: vec![0], params: (0..net.params.list().len()).collect() };
    for mode in modes() {
        let [all, few] = [Keep::All, Keep::Backward(vec![])].map(|keep| net.forward(&x, mode.clone(), &keep).unwrap());
        assert!(few.get(&net.graph, kept).is_ok() && dropped.is_none_or(|name| few.get(&net.graph, name).is_err()));
        let seeds = [(net.graph.output(), waves(&[3, 3], 1.9))];
        let [a, b] = [&all, &few].map(|tape| net.backward(tape, &seeds, &want).unwrap());
        assert_eq!(bits(a.node(0).unwrap()), bits(b.node(0).unwrap()));
        for (position, param) in net.params.list().iter().enumerate().filter(|(_, p)| p.role.is_trained()) {
            assert_eq!(bits(a.param(position).unwrap()), bits(b.param(position).unwrap()), "{}", param.name);
        }
    }
}

#[test]
fn the_shapes_of_decoders() {
    let net = decoder();
    let shape = |name: &str| net.graph.shape(net.graph.id(name).unwrap()).to_vec();
    let spread = net.graph.id("spread").unwrap();
    assert_eq!([shape("few"), shape("spread"), shape("all")], [vec![4, 4, 3], vec![4, 7, 8], vec![3, 8, 18]]);
    // Each of 4 x 4 x 3 cells is spread over 2 channels of its group, by 3 x 2 weights.
    assert_eq!(net.graph.multiply_adds(spread), 4 * 4 * 3 * 2 * 3 * 2);
    let thresholds: Vec<_> = net.params.list().iter().filter(|p| p.name.ends_with("theta")).collect();
    let values: Vec<f64> = thresholds.iter().flat_map(|p| p.value.to_vec1::<f64>().unwrap()).collect();
    let initial = |value: f32| f64::from(value);
    assert_eq!(values, [[initial(0.2); 4].to_vec(), [initial(0.01); 3].to_vec()].concat());
    let weight = net.params.find(spread, interp_net::Role::Weight).unwrap();
    assert_eq!(weight.dims(), [4, 2, 3, 2]);
}

#[test]
fn decoders_that_do_not_fit_are_refused() {
    let transposed = |padding: usize, output_padding: usize, groups: usize| Op::ConvTranspose2d {
        out_channels: 2,
        kernel: [3; 2],
        stride: [2; 2],
        padding: [padding; 2],
        output_padding: [output_padding; 2],
        dilation: [1; 2],
        groups,
        bias: false,
    };
    for (op, part) in [
        (transposed(9, 0, 1), "leaves no output"),
        (transposed(0, 2, 1), "output padding"),
        (transposed(0, 0, 0), "groups"),
        (transposed(0, 0, 4), "groups"),
        (Op::AdaptiveAvgPool { size: [0, 2] }, "no cells"),
        (Op::UpsampleNearest { size: [2, 0] }, "no cells"),
        (Op::UpsampleBilinear { size: [70_000, 2], align_corners: true }, "65536"),
        (Op::soft_threshold(f64::NAN), "NaN"),
        (Op::soft_threshold(1e300), "threshold"),
        (Op::KWinners { count: 0 }, "must win"),
        (Op::Mirror { border: 0 }, "1 or more"),
        (Op::Mirror { border: 5 }, "no wider"),
    ] {
        let mut graph = Graph::new(4, 5, 4).unwrap();
        let error = graph.then("it", op).unwrap_err().to_string();
        assert!(error.contains("`it`") && error.contains(part), "{error}");
    }
}
