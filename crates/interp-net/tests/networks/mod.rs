//! Networks of all operations, for tests of what goes through them.

use candle_core::{DType, Device, Tensor};
use interp_net::ops::{Likeness, Over};
use interp_net::{Graph, Network, Op};

/// The operations of classifiers, with two branches that join twice.
pub(crate) fn branched() -> Network {
    let mut graph = Graph::new(2, 9, 8).unwrap();
    graph.then("both", Op::OnOff).unwrap();
    graph.then("conv1", Op::conv(4, 3, 1, 1, true)).unwrap();
    graph.then("bn1", Op::batch_norm()).unwrap();
    let stem = graph.then("relu1", Op::Relu).unwrap();
    graph.then("pool", Op::max_pool_by(3, 2, 1)).unwrap();
    let grouped = Op::Conv2d {
        out_channels: 6,
        kernel: [3, 1],
        stride: [1; 2],
        padding: [1, 0],
        dilation: [1; 2],
        groups: 2,
        bias: false,
    };
    graph.then("grouped", grouped).unwrap();
    let branch = graph.then("bn2", Op::batch_norm()).unwrap();
    let beside = graph.add("beside", Op::PadShortcut { out_channels: 6, stride: 2, before: Some(2) }, &[stem]).unwrap();
    let sum = graph.add("sum", Op::Add, &[branch, beside, branch]).unwrap();
    graph.add("joined", Op::Concat, &[beside, sum]).unwrap();
    graph.then("avg", Op::AvgPool { kernel: [2; 2], stride: [1; 2], padding: [1; 2] }).unwrap();
    let mean = graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.add("twice", Op::Concat, &[mean, mean]).unwrap();
    graph.then("head", Op::Linear { out_features: 3, bias: true }).unwrap();
    Network::new(graph, 3).unwrap().to_dtype(DType::F64).unwrap()
}

/// The operations of decoders: down to a few cells and up again by three ways, which are added to what was before.
pub(crate) fn decoder() -> Network {
    let up = |out_channels: usize, kernel: [usize; 2], stride: [usize; 2], groups: usize, bias: bool| {
        let (padding, output_padding, dilation) = ([1, 0], [0, 1], [1, 2]);
        Op::ConvTranspose2d { out_channels, kernel, stride, padding, output_padding, dilation, groups, bias }
    };
    let mut graph = Graph::new(2, 9, 8).unwrap();
    graph.then("conv1", Op::conv(4, 3, 1, 1, true)).unwrap();
    graph.then("around", Op::Mirror { border: 3 }).unwrap();
    graph.then("few", Op::AdaptiveAvgPool { size: [4, 3] }).unwrap();
    graph.then("bn1", Op::batch_norm()).unwrap();
    let code = graph.then("shrink", Op::soft_threshold(0.2)).unwrap();
    let nearest = graph.then("nearest", Op::UpsampleNearest { size: [9, 8] }).unwrap();
    let edges = graph.add("edges", Op::UpsampleBilinear { size: [9, 8], align_corners: false }, &[code]).unwrap();
    let spread = graph.add("spread", up(4, [3, 2], [2, 2], 2, true), &[code]).unwrap();
    let corners = graph.then("corners", Op::UpsampleBilinear { size: [9, 8], align_corners: true }).unwrap();
    graph.add("sum", Op::Add, &[nearest, edges, corners, 1]).unwrap();
    graph.then("winners", Op::KWinners { count: 2 }).unwrap();
    graph.then("all", up(3, [2, 2], [1, 2], 1, false)).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("shrink features", Op::soft_threshold(0.01)).unwrap();
    graph.then("head", Op::Linear { out_features: 3, bias: true }).unwrap();
    assert_eq!(graph.shape(spread), [4, 7, 8]);
    Network::new(graph, 3).unwrap().to_dtype(DType::F64).unwrap()
}

/// The operations of networks that are linear maps.
pub(crate) fn linear_for_each_picture() -> Network {
    let mut graph = Graph::new(2, 9, 8).unwrap();
    graph.then("both", Op::Complement).unwrap();
    graph.then("conv1", Op::bcos(4, 3, 1, 1, 2.0)).unwrap();
    graph.then("bn1", Op::uncentered_norm()).unwrap();
    graph.then("conv2", Op::bcos(6, 3, 2, 1, 1.5)).unwrap();
    graph.then("bn2", Op::uncentered_norm()).unwrap();
    graph.then("head", Op::bcos(3, 1, 1, 0, 2.0)).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    Network::new(graph, 3).unwrap().to_dtype(DType::F64).unwrap()
}

/// The operations of mixtures: of three gates two are open, for maps and for a vector.
pub(crate) fn mixed() -> Network {
    let mut graph = Graph::new(2, 9, 8).unwrap();
    let map = graph.then("conv1", Op::conv(4, 3, 1, 1, true)).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("gate", Op::Linear { out_features: 3, bias: true }).unwrap();
    let choice = graph.then("choice", Op::Route { top: 2 }).unwrap();
    let parts =
        [0, 1].map(|channel| graph.add(format!("map{channel}"), Op::Gated { channel }, &[map, choice]).unwrap());
    graph.then("bn1", Op::batch_norm()).unwrap();
    let norm = graph.output();
    graph.add("sum", Op::Add, &[parts[0], norm]).unwrap();
    graph.then("pool", Op::GlobalAvgPool).unwrap();
    let head = graph.then("head", Op::Linear { out_features: 3, bias: true }).unwrap();
    let last = graph.add("vector", Op::Gated { channel: 2 }, &[head, choice]).unwrap();
    graph.add("logits", Op::Add, &[head, last]).unwrap();
    Network::new(graph, 3).unwrap().to_dtype(DType::F64).unwrap()
}

/// The operations of layers that are put in: attention to channels, to positions and to numbers, prototypes' shares, concepts.
pub(crate) fn attentive() -> Network {
    let mut graph = Graph::new(2, 9, 8).unwrap();
    let map = graph.then("conv1", Op::conv(4, 3, 1, 1, true)).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("score", Op::Linear { out_features: 4, bias: true }).unwrap();
    let shares = graph.then("gates", Op::Sigmoid).unwrap();
    let of_channels = graph.add("of channels", Op::Multiply, &[map, shares]).unwrap();
    graph.then("places", Op::conv(1, 1, 1, 0, true)).unwrap();
    let places = graph.then("where", Op::Softmax { over: Over::Positions }).unwrap();
    let of_positions = graph.add("of positions", Op::Multiply, &[of_channels, places]).unwrap();
    let parts = graph.add("parts", Op::Softmax { over: Over::Channels }, &[of_channels]).unwrap();
    graph.add("of numbers", Op::Multiply, &[of_positions, parts]).unwrap();
    graph.then("pool", Op::GlobalAvgPool).unwrap();
    let classes = Op::Linear { out_features: 3, bias: true };
    graph.then_named("concepts", classes.clone(), vec!["a".into(), "b".into(), "c".into()]).unwrap();
    let soft = graph.then("soft", Op::Softmax { over: Over::Channels }).unwrap();
    let one = graph.then("one", Op::Softmax { over: Over::Positions }).unwrap();
    graph.add("weighed", Op::Multiply, &[soft, one]).unwrap();
    graph.then("head", classes).unwrap();
    Network::new(graph, 3).unwrap().to_dtype(DType::F64).unwrap()
}

/// The operations of layers of prototypes, by distance and by angle.
pub(crate) fn prototypical() -> Network {
    let mut graph = Graph::new(2, 9, 8).unwrap();
    graph.then("conv1", Op::conv(4, 3, 1, 1, true)).unwrap();
    let latent = graph.then("latent", Op::Sigmoid).unwrap();
    let near = graph.then("parts.near", Op::Prototypes { count: 3, by: Likeness::L2 }).unwrap();
    let along = graph.add("parts.along", Op::Prototypes { count: 2, by: Likeness::Cosine }, &[latent]).unwrap();
    graph.add("parts.both", Op::Concat, &[near, along]).unwrap();
    graph.then("parts", Op::MaxPool { kernel: [9, 8], stride: [9, 8], padding: [0; 2], ceil_mode: false }).unwrap();
    graph.then("parts.head", Op::Linear { out_features: 3, bias: false }).unwrap();
    Network::new(graph, 3).unwrap().to_dtype(DType::F64).unwrap()
}

/// The operations of torchvision's networks: pooling that gives what is left over a window, and a linear map that reads a map.
pub(crate) fn flattened() -> Network {
    let ceil = |kernel: usize, padding: usize| Op::MaxPool {
        kernel: [kernel; 2],
        stride: [2; 2],
        padding: [padding; 2],
        ceil_mode: true,
    };
    let mut graph = Graph::new(2, 9, 8).unwrap();
    graph.then("conv1", Op::conv(4, 3, 1, 1, true)).unwrap();
    graph.then("bn1", Op::batch_norm()).unwrap();
    graph.then("relu1", Op::Relu).unwrap();
    let pool1 = graph.then("pool1", ceil(2, 0)).unwrap();
    graph.then("conv2", Op::conv(5, 3, 1, 1, false)).unwrap();
    let pool2 = graph.then("pool2", ceil(3, 1)).unwrap();
    let hidden = graph.then("hidden", Op::Linear { out_features: 6, bias: true }).unwrap();
    graph.then("relu2", Op::Relu).unwrap();
    graph.then("head", Op::Linear { out_features: 3, bias: true }).unwrap();
    assert_eq!((graph.shape(pool1), graph.shape(pool2)), (&[4, 5, 4][..], &[5, 3, 3][..]));
    assert_eq!(graph.multiply_adds(hidden), 6 * 5 * 3 * 3);
    Network::new(graph, 3).unwrap().to_dtype(DType::F64).unwrap()
}

/// The operations of variational autoencoders: codes of a map and of a vector.
pub(crate) fn coded() -> Network {
    let mut graph = Graph::new(2, 9, 8).unwrap();
    graph.then("conv1", Op::conv(4, 3, 2, 1, true)).unwrap();
    graph.then("relu1", Op::Relu).unwrap();
    graph.then("code of maps", Op::conv(6, 1, 1, 0, true)).unwrap();
    let maps = graph.then("maps", Op::Sample).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("code", Op::Linear { out_features: 4, bias: true }).unwrap();
    let codes = graph.then("codes", Op::Sample).unwrap();
    graph.then("head", Op::Linear { out_features: 3, bias: true }).unwrap();
    assert_eq!((graph.shape(maps), graph.shape(codes)), (&[3, 5, 4][..], &[2][..]));
    Network::new(graph, 3).unwrap().to_dtype(DType::F64).unwrap()
}

pub(crate) fn waves(shape: &[usize], step: f64) -> Tensor {
    let values: Vec<f64> = (0..shape.iter().product::<usize>()).map(|i| (0.3 + i as f64 * step).sin()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

pub(crate) fn dot(a: &Tensor, b: &Tensor) -> f64 {
    (a * b).unwrap().sum_all().unwrap().to_scalar().unwrap()
}
