//! Receptive fields against published values, and against what gradients really reach.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use candle_core::{DType, Tensor};
use interp_net::zoo::{self, Architecture};
use interp_net::{Graph, Keep, Mode, NetError, Network, NodeId, Op, Role, Want};

fn network(graph: Graph) -> Network {
    Network::new(graph, 0).unwrap()
}

fn size(net: &Network, name: &str) -> usize {
    let field = net.receptive_field(net.graph.id(name).unwrap()).unwrap();
    assert_eq!(field.size[0], field.size[1]);
    field.size[0]
}

// Araujo et al. 2019 and the tables of the reference implementations.
#[test]
fn vgg16_and_resnet20_as_published() {
    let vgg = zoo::ImagenetVgg { width: 1.0 / 16.0, batch_norm: false, ..zoo::ImagenetVgg::default() };
    let vgg = network(vgg.graph([3, 224, 224], 10).unwrap());
    // conv1_1, conv1_2, pool1, conv2_2, conv3_3, conv4_3, conv5_3, pool5 in torchvision's numbers.
    let expected = [(0, 3), (2, 5), (4, 6), (7, 14), (14, 40), (21, 92), (28, 196), (30, 212)];
    for (layer, field) in expected {
        assert_eq!(size(&vgg, &format!("features.{layer}")), field, "features.{layer}");
    }
    let last = vgg.receptive_field(vgg.graph.id("features.28").unwrap()).unwrap();
    assert_eq!((last.jump, last.start), ([16, 16], [8.0, 8.0]));

    let resnet = network(zoo::ResNet::default().graph([3, 32, 32], 10).unwrap());
    for (node, field) in [("layer1.2.add", 15), ("layer2.2.add", 37), ("layer3.2.add", 81)] {
        assert_eq!(size(&resnet, node), field, "{node}");
    }
}

/// A residual network of torchvision, of a few channels.
fn imagenet_resnet(depth: usize) -> Network {
    let architecture = zoo::ImagenetResNet { depth, width: 1.0 / 16.0, ..zoo::ImagenetResNet::default() };
    network(architecture.graph([3, 224, 224], 2).unwrap())
}

#[test]
fn resnet18_and_resnet50_as_published() {
    let eighteen = imagenet_resnet(18);
    for (node, field) in [
        ("conv1", 7),
        ("maxpool", 11),
        ("layer1.1.add", 43),
        ("layer2.1.add", 99),
        ("layer3.1.add", 211),
        ("layer4.1.add", 435),
    ] {
        assert_eq!(size(&eighteen, node), field, "{node}");
    }
    let fifty = imagenet_resnet(50);
    for (node, field) in [("layer1.2.add", 35), ("layer2.3.add", 91), ("layer3.5.add", 267), ("layer4.2.add", 427)] {
        assert_eq!(size(&fifty, node), field, "{node}");
    }
}

// The lecture's example: kernel 3, stride 2, padding 1, counted from 1: Region(3, 4) = rows 4 to 6, columns 6 to 8.
#[test]
fn the_lectures_region() {
    let mut graph = Graph::new(1, 16, 16).unwrap();
    let id = graph.then("conv", Op::conv(1, 3, 2, 1, false)).unwrap();
    let region = network(graph).region(id, 2, 3).unwrap();
    assert_eq!((region.rows, region.columns), ([3, 5], [5, 7]));
}

// Of 6 pixels windows of 3 with stride 2 leave one over: the third window sees the last two.
#[test]
fn windows_of_what_is_left_over_see_less() {
    let mut graph = Graph::new(1, 6, 7).unwrap();
    let op = Op::MaxPool { kernel: [3; 2], stride: [2; 2], padding: [0; 2], ceil_mode: true };
    let pool = graph.then("pool", op).unwrap();
    let head = graph.then("head", Op::Linear { out_features: 2, bias: true }).unwrap();
    let net = network(graph);
    let region = |row: usize, column: usize| net.region(pool, row, column).map(|r| (r.rows, r.columns));
    assert_eq!((region(2, 2), region(1, 0)), (Some(([4, 5], [4, 6])), Some(([2, 4], [0, 2]))));
    assert_eq!((region(3, 0), region(0, 3)), (None, None));
    let field = net.receptive_field(pool).unwrap();
    assert_eq!((field.size, field.jump, field.start), ([3, 3], [2, 2], [1.5, 1.5]));
    assert_eq!(net.region(head, 0, 0).map(|r| (r.rows, r.columns)), Some(([0, 5], [0, 6])));
    assert_eq!(net.receptive_field(head).unwrap().jump, [0, 0]);
}

/// Strictly positive weights, so that nothing cancels and no ReLU is off.
fn positive(mut net: Network) -> Network {
    for position in 0..net.params.list().len() {
        let param = net.params.list()[position].clone();
        if param.role == Role::Weight {
            net.params.set(position, (param.value.abs().unwrap() + 0.01).unwrap()).unwrap();
        }
    }
    net
}

/// Rows and columns where the gradient of one cell, over all its channels, is not zero.
fn support(net: &Network, at: NodeId, row: usize, column: usize) -> [Vec<usize>; 2] {
    let shape = net.graph.shape(0);
    let (channels, height, width) = (shape[0], shape[1], shape[2]);
    let x = Tensor::ones((1, channels, height, width), DType::F32, &candle_core::Device::Cpu).unwrap();
    let tape = net.run_to(&x, at, Mode::Eval, &Keep::All).unwrap();
    let dims = net.graph.shape(at).to_vec();
    let mut seed = vec![0f32; dims.iter().product()];
    for c in 0..dims[0] {
        seed[(c * dims[1] + row) * dims[2] + column] = 1.0;
    }
    let seed = Tensor::from_vec(seed, (1, dims[0], dims[1], dims[2]), &candle_core::Device::Cpu).unwrap();
    let grads = net.backward(&tape, &[(at, seed)], &Want { nodes: vec![0], params: vec![] }).unwrap();
    let map = grads.node(0).unwrap().abs().unwrap().sum((0, 1)).unwrap().to_vec2::<f32>().unwrap();
    let rows = (0..height).filter(|&r| map[r].iter().any(|g| *g > 0.0)).collect();
    let columns = (0..width).filter(|&c| map.iter().any(|r| r[c] > 0.0)).collect();
    [rows, columns]
}

#[test]
fn the_gradients_support_is_the_region() {
    let conv = |kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2], dilation: [usize; 2]| Op::Conv2d {
        out_channels: 2,
        kernel,
        stride,
        padding,
        dilation,
        groups: 1,
        bias: false,
    };
    let mut graph = Graph::new(1, 23, 19).unwrap();
    graph.then("a", conv([3, 2], [2, 1], [1, 0], [1, 2])).unwrap();
    let stem = graph.then("relu", Op::Relu).unwrap();
    graph.then("pool", Op::AvgPool { kernel: [3, 3], stride: [1, 1], padding: [1, 1] }).unwrap();
    let branch = graph.then("b", conv([3, 3], [1, 1], [2, 2], [2, 2])).unwrap();
    let sum = graph.add("sum", Op::Add, &[branch, stem]).unwrap();
    let down = graph.add("down", Op::PadShortcut { out_channels: 4, stride: 2, before: None }, &[sum]).unwrap();
    let even = graph.then("even", conv([4, 4], [2, 3], [1, 1], [1, 1])).unwrap();
    assert_supports_are_regions(&positive(network(graph)), &[stem, branch, sum, down, even]);
    // Padded by less than the dilation: the first tap inside is not the first pixel.
    let dilated = || conv([3, 3], [1, 1], [1, 1], [2, 2]);
    let mut graph = Graph::new(1, 8, 8).unwrap();
    let one = graph.then("one", dilated()).unwrap();
    let two = graph.then("two", dilated()).unwrap();
    let net = positive(network(graph));
    let rows = |at, row| net.region(at, row, 0).unwrap().rows;
    assert_eq!((rows(one, 0), rows(one, 5)), ([1, 3], [4, 6]));
    assert_supports_are_regions(&net, &[one, two]);
}

/// At the corners, the middle, and the cells before and after the middle.
fn assert_supports_are_regions(net: &Network, nodes: &[NodeId]) {
    for &at in nodes {
        let shape = net.graph.shape(at).to_vec();
        let some = |size: usize| [0, (size / 2).saturating_sub(1), size / 2, (size / 2 + 1).min(size - 1), size - 1];
        for (row, column) in some(shape[1]).into_iter().flat_map(|row| some(shape[2]).map(|column| (row, column))) {
            let name = &net.graph.nodes()[at].name;
            let ends = |seen: &Vec<usize>| Some([*seen.first()?, *seen.last()?]);
            let [rows, columns] = support(net, at, row, column).each_ref().map(ends);
            let region = net.region(at, row, column);
            assert_eq!(
                (rows, columns),
                (region.map(|r| r.rows), region.map(|r| r.columns)),
                "{name} ({row}, {column})"
            );
        }
        assert!(net.region(at, shape[1], 0).is_none());
    }
}

// Transposed convolutions with holes, interpolation and windows of several sizes: cell by cell.
#[test]
fn the_gradients_support_is_the_region_where_cells_differ() {
    let transposed = |kernel: usize, stride: usize, padding: usize, dilation: usize| Op::ConvTranspose2d {
        out_channels: 2,
        kernel: [kernel; 2],
        stride: [stride, 2],
        padding: [padding; 2],
        output_padding: [0, 1],
        dilation: [dilation, 1],
        groups: 1,
        bias: false,
    };
    let mut graph = Graph::new(1, 13, 11).unwrap();
    // Padding that no step of the dilation meets: the first cell reads no first pixel.
    let apart = Op::Conv2d {
        out_channels: 2,
        kernel: [2; 2],
        stride: [1; 2],
        padding: [1; 2],
        dilation: [3; 2],
        groups: 1,
        bias: false,
    };
    let stem = graph.then("apart", apart).unwrap();
    let mut nodes = vec![stem];
    for (name, op) in [
        ("holes", transposed(2, 3, 0, 1)),
        ("crossed", transposed(3, 3, 1, 2)),
        ("even", transposed(4, 1, 1, 2)),
        ("around", Op::Mirror { border: 2 }),
        ("windows", Op::AdaptiveAvgPool { size: [5, 4] }),
        ("more windows", Op::AdaptiveAvgPool { size: [17, 12] }),
        ("nearest", Op::UpsampleNearest { size: [29, 5] }),
        ("edges", Op::UpsampleBilinear { size: [5, 23], align_corners: false }),
        ("corners", Op::UpsampleBilinear { size: [8, 14], align_corners: true }),
    ] {
        let first = graph.add(name, op, &[stem]).unwrap();
        nodes.extend([first, graph.then(format!("{name}, seen through"), Op::conv(2, 2, 1, 0, false)).unwrap()]);
    }
    // In the rows of holes only the other branch is seen, in its columns.
    let holes = graph.id("holes").unwrap();
    let beside = graph.add("beside", Op::UpsampleNearest { size: [35, 21] }, &[stem]).unwrap();
    nodes.push(graph.add("sum", Op::Add, &[holes, beside]).unwrap());
    assert_supports_are_regions(&positive(network(graph)), &nodes);
}

// By hand: a stride of 2 reads one or two cells in turn, and with it no field is common to all.
#[test]
fn where_cells_differ_there_is_no_common_field() {
    let mut graph = Graph::new(1, 8, 8).unwrap();
    graph.then("conv", Op::conv(1, 3, 1, 1, false)).unwrap();
    let up = Op::ConvTranspose2d {
        out_channels: 1,
        kernel: [3; 2],
        stride: [2; 2],
        padding: [1; 2],
        output_padding: [1; 2],
        dilation: [1; 2],
        groups: 1,
        bias: false,
    };
    let up = graph.then("up", up).unwrap();
    let relu = graph.then("relu", Op::Relu).unwrap();
    let beside = graph.add("beside", Op::conv(1, 1, 1, 0, false), &[1]).unwrap();
    let net = network(graph);
    for at in [up, relu] {
        let error = net.receptive_field(at).unwrap_err();
        assert!(matches!(&error, NetError::NoField { by, .. } if by == "up"), "{error}");
    }
    assert_eq!(net.receptive_field(beside).unwrap().size, [3, 3]);
    // Cell 4 lies on cell 2 alone, cell 5 between cells 2 and 3; each of these sees three pixels.
    assert_eq!(net.region(up, 4, 5).map(|r| (r.rows, r.columns)), Some(([1, 3], [1, 4])));
    assert!(interp_net::describe(&net).contains("varies"));
    for op in [
        Op::AdaptiveAvgPool { size: [5, 8] },
        Op::UpsampleNearest { size: [8, 16] },
        Op::UpsampleNearest { size: [3, 8] },
        Op::UpsampleBilinear { size: [16, 8], align_corners: false },
        Op::UpsampleBilinear { size: [8, 4], align_corners: true },
    ] {
        let mut graph = Graph::new(1, 8, 8).unwrap();
        let at = graph.then("it", op).unwrap();
        assert!(matches!(network(graph).receptive_field(at), Err(NetError::NoField { .. })));
    }
}

// Cells of one branch are two pixels apart, those of the other one.
#[test]
fn branches_of_other_strides_have_no_common_field() {
    let mut graph = Graph::new(1, 16, 16).unwrap();
    let fast = graph.then("fast", Op::conv(1, 1, 2, 0, false)).unwrap();
    let slow = Op::Conv2d {
        out_channels: 1,
        kernel: [9; 2],
        stride: [1; 2],
        padding: [0; 2],
        dilation: [1; 2],
        groups: 1,
        bias: false,
    };
    let slow = graph.add("slow", slow, &[0]).unwrap();
    let sum = graph.add("sum", Op::Add, &[fast, slow]).unwrap();
    let net = network(graph);
    assert!(matches!(&net.receptive_field(sum), Err(NetError::NoField { by, .. }) if by == "sum"));
    assert_eq!(net.region(sum, 1, 3).map(|r| (r.rows, r.columns)), Some(([1, 9], [3, 11])));
}

// Sizes that divide: plain pooling, plain steps, and the convolution that a transposed one of stride 1 is.
#[test]
fn where_cells_are_alike_there_is_a_common_field() {
    let pooled = Op::AvgPool { kernel: [3, 2], stride: [3, 2], padding: [0; 2] };
    let adaptive = Op::AdaptiveAvgPool { size: [4, 6] };
    let turned = Op::ConvTranspose2d {
        out_channels: 1,
        kernel: [3, 4],
        stride: [1; 2],
        padding: [1, 0],
        output_padding: [0; 2],
        dilation: [2, 1],
        groups: 1,
        bias: false,
    };
    let plain = Op::Conv2d {
        out_channels: 1,
        kernel: [3, 4],
        stride: [1; 2],
        padding: [3, 3],
        dilation: [2, 1],
        groups: 1,
        bias: false,
    };
    let steps = Op::PadShortcut { out_channels: 1, stride: 2, before: None };
    let nearest = Op::UpsampleNearest { size: [6, 6] };
    let every_third = Op::UpsampleBilinear { size: [4, 4], align_corners: false };
    let same = Op::UpsampleBilinear { size: [12, 12], align_corners: true };
    let whole = Op::AdaptiveAvgPool { size: [1, 1] };
    let field = |op: &Op| {
        let mut graph = Graph::new(1, 12, 12).unwrap();
        graph.then("conv", Op::conv(1, 3, 1, 1, false)).unwrap();
        let at = graph.then("it", op.clone()).unwrap();
        network(graph).receptive_field(at).unwrap()
    };
    for (op, like) in
        [(adaptive, &pooled), (turned, &plain), (nearest, &steps), (whole, &Op::GlobalAvgPool), (same, &Op::Relu)]
    {
        assert_eq!(field(&op), field(like), "{op:?}");
    }
    let third = field(&every_third);
    assert_eq!((third.size, third.jump, third.start), ([3, 3], [3, 3], [1.5, 1.5]));
}

#[test]
fn pixels_outside_the_region_change_nothing() {
    // Fewer than eight channels: wider convolutions go by blocks, where what lies beyond cancels to rounding only.
    let graph = zoo::Vgg { depth: 8, width: 0.0625, ..zoo::Vgg::default() }.graph([3, 32, 32], 4).unwrap();
    let net = network(graph);
    let at = net.graph.id("features.6").unwrap(); // second block's convolution and norm, before pooling
    let (row, column) = (2, 9);
    let region = net.region(at, row, column).unwrap();
    let mut image: Vec<f32> = (0..3 * 32 * 32).map(|i| (i as f32 * 0.37).sin()).collect();
    let activation = |image: &[f32]| {
        let x = Tensor::from_slice(image, (1, 3, 32, 32), &candle_core::Device::Cpu).unwrap();
        let tape = net.run_to(&x, at, Mode::Eval, &Keep::Output).unwrap();
        let map = tape.at(&net.graph, at).unwrap().clone();
        map.narrow(2, row, 1).unwrap().narrow(3, column, 1).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let before = activation(&image);
    for (i, pixel) in image.iter_mut().enumerate() {
        let (y, x) = (i / 32 % 32, i % 32);
        let inside =
            (region.rows[0]..=region.rows[1]).contains(&y) && (region.columns[0]..=region.columns[1]).contains(&x);
        if !inside {
            *pixel += 1.0;
        }
    }
    assert_eq!(before, activation(&image));
    image[region.rows[0] * 32 + region.columns[0]] += 1.0;
    assert_ne!(before, activation(&image));
}
