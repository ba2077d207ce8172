//! Cutting channels out of networks.

#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor};
use interp_net::ops::Curve;
use interp_net::zoo::{Architecture, ResNet, Vgg};
use interp_net::{Cut, Graph, Keep, Mode, Network, Op, Role};

fn waves(shape: &[usize], step: f32) -> Tensor {
    let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| (0.3 + i as f32 * step).sin()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Sets a channel of a parameter.
fn set(net: &mut Network, node: &str, role: Role, channel: usize, value: f32) {
    let position = net.params.position(net.graph.id(node).unwrap(), role).unwrap();
    let old = &net.params.list()[position].value;
    let mut values = old.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let width = values.len() / old.dims()[0];
    values[channel * width..][..width].fill(value);
    let new = Tensor::from_vec(values, old.shape(), &Device::Cpu).unwrap();
    net.params.set(position, new).unwrap();
}

/// Gains, shifts and statistics that are not those of a new network.
fn lively(graph: Graph) -> Network {
    let mut net = Network::new(graph, 3).unwrap();
    for position in 0..net.params.list().len() {
        let param = &net.params.list()[position];
        let (shape, role) = (param.value.dims().to_vec(), param.role);
        let noise = waves(&shape, 0.7 + position as f32 * 0.1);
        let value = match role {
            Role::RunningVariance => (noise.sqr().unwrap() + 0.5).unwrap(),
            Role::Gain => noise.affine(0.3, 1.0).unwrap(),
            Role::Shift | Role::RunningMean | Role::Bias => (noise * 0.2).unwrap(),
            _ => continue,
        };
        net.params.set(position, value).unwrap();
    }
    net
}

/// The largest difference between the outputs of a network and of what is left of it.
fn difference(net: &Network) -> f32 {
    let small = net.compact().unwrap().network;
    let x = waves(&[&[4], net.graph.shape(0)].concat(), 0.37);
    let [a, b] = [net, &small].map(|net| {
        let tape = net.forward(&x, Mode::Eval, &Keep::Output).unwrap();
        tape.output(&net.graph).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
    });
    assert!(a.iter().any(|v| v.abs() > 1e-3));
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn cut(node: &str, before: usize, after: usize) -> Cut {
    Cut { node: node.into(), before, after }
}

#[test]
fn a_network_that_needs_all_is_left_alone() {
    let net = lively(Vgg { depth: 8, width: 0.25, ..Vgg::default() }.graph([3, 32, 32], 10).unwrap());
    let compact = net.compact().unwrap();
    assert!(compact.cuts.is_empty());
    assert_eq!(compact.network.graph, net.graph);
}

/// A channel with gain 0 is its shift: the ReLU takes a negative one away, and lets a positive one through.
#[test]
fn channels_without_gain_go_where_the_relu_takes_their_shift() {
    let mut net = lively(Vgg { depth: 8, width: 0.25, ..Vgg::default() }.graph([3, 32, 32], 10).unwrap());
    for (channel, shift) in [(1, -0.5), (4, 0.0), (6, 0.5)] {
        set(&mut net, "features.1", Role::Gain, channel, 0.0);
        set(&mut net, "features.1", Role::Shift, channel, shift);
    }
    let compact = net.compact().unwrap();
    let before = net.graph.shape(net.graph.id("features.0").unwrap())[0];
    assert_eq!(compact.cuts, [cut("features.0", before, before - 2)]);
    let next = net.graph.shape(net.graph.id("features.4").unwrap())[0];
    // A filter of 27 weights, gain and shift, and the 9 weights that each next filter has on a channel.
    assert_eq!(net.parameters() - compact.network.parameters(), 2 * (27 + 2 + 9 * next));
    assert_eq!(net.multiply_adds() - compact.network.multiply_adds(), 2 * (27 * 32 * 32 + 9 * next * 16 * 16));
    assert!(difference(&net) < 1e-5);
}

/// Filters of zeros: the batch norm after them makes constants, of which those below zero go.
#[test]
fn zero_filters_go_where_nothing_is_left_of_them() {
    let mut graph = Graph::new(2, 6, 6).unwrap();
    graph.then("conv", Op::conv(4, 3, 1, 1, true)).unwrap();
    graph.then("relu", Op::Relu).unwrap();
    graph.then("pool", Op::max_pool(2)).unwrap();
    graph.then("next", Op::conv(3, 3, 1, 1, false)).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("head", Op::Linear { out_features: 2, bias: true }).unwrap();
    let mut net = lively(graph);
    for (channel, bias) in [(0, 0.0), (2, -1.0), (3, 0.25)] {
        set(&mut net, "conv", Role::Weight, channel, 0.0);
        set(&mut net, "conv", Role::Bias, channel, bias);
    }
    set(&mut net, "next", Role::Weight, 1, 0.0);
    assert_eq!(net.compact().unwrap().cuts, [cut("conv", 4, 2), cut("next", 3, 2)]);
    assert!(difference(&net) < 1e-5);
    // Nothing is left of a layer: one channel stays.
    (0..3).for_each(|channel| set(&mut net, "next", Role::Weight, channel, 0.0));
    assert_eq!(net.compact().unwrap().cuts[1], cut("next", 3, 1));
}

/// What a linear map reads of a map: of each channel that goes the weights on all its cells.
#[test]
fn channels_that_a_linear_map_reads_cell_by_cell_are_cut() {
    let mut graph = Graph::new(2, 6, 6).unwrap();
    graph.then("conv", Op::conv(4, 3, 1, 1, true)).unwrap();
    graph.then("relu", Op::Relu).unwrap();
    graph.then("pool", Op::max_pool(2)).unwrap();
    graph.then("hidden", Op::Linear { out_features: 5, bias: true }).unwrap();
    graph.then("relu2", Op::Relu).unwrap();
    graph.then("head", Op::Linear { out_features: 3, bias: true }).unwrap();
    let mut net = lively(graph);
    for (channel, bias) in [(0, 0.3), (2, -1.0)] {
        set(&mut net, "conv", Role::Weight, channel, 0.0);
        set(&mut net, "conv", Role::Bias, channel, bias);
    }
    set(&mut net, "hidden", Role::Weight, 4, 0.0);
    set(&mut net, "hidden", Role::Bias, 4, -0.1);
    let compact = net.compact().unwrap();
    assert_eq!(compact.cuts, [cut("conv", 4, 3), cut("hidden", 5, 4)]);
    let hidden = compact.network.graph.id("hidden").unwrap();
    assert_eq!(compact.network.params.find(hidden, Role::Weight).unwrap().dims(), [4, 3 * 9]);
    assert!(difference(&net) < 1e-5);
}

/// Blocks with projections, as torchvision's ResNets have them: what is added goes together.
#[test]
fn channels_of_a_residual_sum_go_when_all_of_them_are_zero() {
    let mut graph = Graph::new(3, 8, 8).unwrap();
    graph.then("stem", Op::conv3x3(6, 1)).unwrap();
    graph.then("bn0", Op::batch_norm()).unwrap();
    let stem = graph.then("relu0", Op::Relu).unwrap();
    graph.then("conv1", Op::conv3x3(5, 1)).unwrap();
    graph.then("bn1", Op::batch_norm()).unwrap();
    graph.then("relu1", Op::Relu).unwrap();
    graph.then("conv2", Op::conv3x3(8, 1)).unwrap();
    let branch = graph.then("bn2", Op::batch_norm()).unwrap();
    graph.add("down", Op::conv(8, 1, 1, 0, false), &[stem]).unwrap();
    let beside = graph.then("bn3", Op::batch_norm()).unwrap();
    graph.add("sum", Op::Add, &[branch, beside]).unwrap();
    graph.then("relu2", Op::Relu).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("head", Op::Linear { out_features: 3, bias: true }).unwrap();
    let mut net = lively(graph);
    let kill = |net: &mut Network, norm: &str, channel: usize| {
        set(net, norm, Role::Gain, channel, 0.0);
        set(net, norm, Role::Shift, channel, -0.1);
    };
    kill(&mut net, "bn1", 2);
    kill(&mut net, "bn2", 1);
    kill(&mut net, "bn2", 5);
    kill(&mut net, "bn3", 5);
    let expected = [cut("conv1", 5, 4), cut("conv2", 8, 7), cut("down", 8, 7)];
    assert_eq!(net.compact().unwrap().cuts, expected);
    assert!(difference(&net) < 1e-5);
}

/// A channel of the sums stays where any block or the stem makes it.
#[test]
fn a_resnet_of_the_zoo_is_cut_within_its_blocks() {
    let mut net = lively(ResNet::default().graph([3, 32, 32], 10).unwrap());
    for norm in ["layer1.0.bn1", "layer1.0.bn2", "layer2.1.bn1"] {
        (0..4).for_each(|channel| {
            set(&mut net, norm, Role::Gain, channel, 0.0);
            set(&mut net, norm, Role::Shift, channel, -1.0);
        });
    }
    assert_eq!(net.compact().unwrap().cuts, [cut("layer1.0.conv1", 16, 12), cut("layer2.1.conv1", 32, 28)]);
    assert!(difference(&net) < 1e-5);
}

/// Shortcuts without parameters put the channels of a stage between zeros: what goes there goes in the stages before and
/// after, and their zeros may be more on one side.
#[test]
fn channels_of_the_sums_of_a_resnet_go_in_all_stages() {
    let mut net = lively(ResNet::default().graph([3, 32, 32], 10).unwrap());
    // One that begins in the stem, and one of those that the first shortcut adds, before the stem's.
    let stages = [("layer1", vec![5]), ("layer2", vec![5 + 8, 2]), ("layer3", vec![5 + 8 + 16, 2 + 16])];
    let of_stage = |stage: &str| (0..3).map(|block| format!("{stage}.{block}.bn2")).collect::<Vec<_>>();
    let norms =
        stages.iter().flat_map(|(stage, channels)| of_stage(stage).into_iter().map(move |norm| (norm, channels)));
    for (norm, channels) in norms.chain([("bn1".to_owned(), &vec![5])]) {
        for &channel in channels {
            set(&mut net, &norm, Role::Gain, channel, 0.0);
            set(&mut net, &norm, Role::Shift, channel, 0.0);
        }
    }
    let small = net.compact().unwrap().network;
    let channels = |node: &str| small.graph.shape(small.graph.id(node).unwrap())[0];
    let found = ["conv1", "layer1.2.conv2", "layer2.0.conv2", "layer2.2.add", "layer3.1.conv2", "layer3.0.conv1"];
    assert_eq!(found.map(channels), [15, 15, 30, 30, 62, 64]);
    let op = |node: &str| small.graph.nodes()[small.graph.id(node).unwrap()].op.clone();
    assert_eq!(op("layer2.0.shortcut"), Op::PadShortcut { out_channels: 30, stride: 2, before: Some(7) });
    assert_eq!(op("layer3.0.shortcut"), Op::PadShortcut { out_channels: 62, stride: 2, before: None });
    assert!(difference(&net) < 1e-5);
}

/// Transposed convolutions, soft thresholds, groups, padded means, on and off channels, constants that cancel.
#[test]
fn what_cannot_be_cut_stays_and_the_rest_goes() {
    let conv = |out_channels: usize, groups: usize| Op::Conv2d {
        out_channels,
        kernel: [3; 2],
        stride: [1; 2],
        padding: [1; 2],
        dilation: [1; 2],
        groups,
        bias: true,
    };
    let up = Op::ConvTranspose2d {
        out_channels: 6,
        kernel: [2; 2],
        stride: [2; 2],
        padding: [0; 2],
        output_padding: [0; 2],
        dilation: [1; 2],
        groups: 1,
        bias: true,
    };
    let mut graph = Graph::new(2, 6, 6).unwrap();
    graph.then("both", Op::OnOff).unwrap();
    graph.then("conv", conv(4, 1)).unwrap();
    graph.then("soft", Op::soft_threshold(0.2)).unwrap();
    graph.then("up", up).unwrap();
    graph.then("relu", Op::Relu).unwrap();
    let first = graph.then("a", conv(4, 1)).unwrap();
    let second = graph.add("b", conv(4, 1), &[first - 1]).unwrap();
    graph.add("sum", Op::Add, &[first, second]).unwrap();
    graph.then("avg", Op::AvgPool { kernel: [2; 2], stride: [2; 2], padding: [1; 2] }).unwrap();
    graph.then("grouped", conv(4, 2)).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("hidden", Op::Linear { out_features: 5, bias: true }).unwrap();
    graph.then("head", Op::Linear { out_features: 3, bias: true }).unwrap();
    let mut net = lively(graph);
    // Within the threshold; beyond it, so that it stays.
    for (channel, bias) in [(1, 0.1), (2, 0.5)] {
        set(&mut net, "conv", Role::Weight, channel, 0.0);
        set(&mut net, "conv", Role::Bias, channel, bias);
    }
    // Of a transposed convolution outputs are the second axis: all weights to output 3.
    let position = net.params.position(net.graph.id("up").unwrap(), Role::Weight).unwrap();
    let mut weights = net.params.list()[position].value.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    (0..4).for_each(|input| weights[(input * 6 + 3) * 4..][..4].fill(0.0));
    net.params.set(position, Tensor::from_vec(weights, (4, 6, 2, 2), &Device::Cpu).unwrap()).unwrap();
    set(&mut net, "up", Role::Bias, 3, -0.3);
    // 0.4 and -0.4 make zero, but groups read it.
    for (node, bias) in [("a", 0.4), ("b", -0.4)] {
        set(&mut net, node, Role::Weight, 1, 0.0);
        set(&mut net, node, Role::Bias, 1, bias);
    }
    set(&mut net, "hidden", Role::Weight, 2, 0.0);
    set(&mut net, "hidden", Role::Bias, 2, 0.0);
    assert_eq!(net.compact().unwrap().cuts, [cut("conv", 4, 3), cut("up", 6, 5), cut("hidden", 5, 4)]);
    assert!(difference(&net) < 1e-5);
    // What is not a number is not zero.
    set(&mut net, "up", Role::Bias, 3, f32::NAN);
    assert_eq!(net.compact().unwrap().cuts, [cut("conv", 4, 3), cut("hidden", 5, 4)]);
}

/// Constants that winners, thresholds and gates make zero, seen through mirrors and beside others.
#[test]
fn zeros_go_through_every_kind_of_activation() {
    let threshold = |curve: Curve, initial: f64| Op::Threshold { curve, shared: false, initial };
    let mut graph = Graph::new(2, 6, 6).unwrap();
    graph.then("conv1", Op::conv(4, 3, 1, 1, true)).unwrap();
    graph.then("winners", Op::KWinners { count: 2 }).unwrap();
    let around = graph.then("around", Op::Mirror { border: 1 }).unwrap();
    graph.then("conv2", Op::conv(3, 3, 1, 1, true)).unwrap();
    let hard = graph.then("hard", threshold(Curve::Hard, 0.4)).unwrap();
    graph.add("beside", Op::Concat, &[around, hard]).unwrap();
    graph.then("conv3", Op::conv(4, 3, 1, 1, true)).unwrap();
    let firm = graph.then("firm", threshold(Curve::Firm, 0.3)).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    let gate = graph.then("gate", Op::Linear { out_features: 2, bias: true }).unwrap();
    graph.add("gated", Op::Gated { channel: 1 }, &[firm, gate]).unwrap();
    graph.then("average", Op::GlobalAvgPool).unwrap();
    graph.then("head", Op::Linear { out_features: 3, bias: true }).unwrap();
    let mut net = lively(graph);
    for (node, channel, bias) in [("conv1", 1, -0.3), ("conv2", 2, 0.39), ("conv3", 0, -0.29)] {
        set(&mut net, node, Role::Weight, channel, 0.0);
        set(&mut net, node, Role::Bias, channel, bias);
    }
    assert_eq!(net.compact().unwrap().cuts, [cut("conv1", 4, 3), cut("conv2", 3, 2), cut("conv3", 4, 3)]);
    assert!(difference(&net) < 1e-5);
    for (node, channel, bias) in [("conv1", 1, 0.3), ("conv2", 2, 0.41), ("conv3", 0, -0.31)] {
        set(&mut net, node, Role::Bias, channel, bias);
    }
    assert!(net.compact().unwrap().cuts.is_empty()); // They are constants, but not zero.
}

// With half of the channels on both sides a convolution has a quarter of the multiply-adds.
#[test]
fn half_of_the_channels_on_both_sides_are_a_quarter_of_the_multiply_adds() {
    let [wide, narrow] = [1.0, 0.5].map(|width| {
        let graph = Vgg { depth: 11, width, ..Vgg::default() }.graph([3, 32, 32], 10).unwrap();
        graph.multiply_adds(graph.id("features.4").unwrap())
    });
    assert_eq!((wide, narrow), (128 * 64 * 9 * 16 * 16, wide / 4));
}
