//! Saliency against captum and pytorch-grad-cam; how the fixture was made is in `tests/data/make_saliency.py`.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Tensor};
use interp::audit::saliency::{Question, method};
use interp::net::{Graph, Network, Op};

/// The network of the fixture, with this pooling.
fn network(tensors: &BTreeMap<String, Tensor>, pool: Op) -> Network {
    let mut graph = Graph::new(3, 14, 14).unwrap();
    let norm = |graph: &mut Graph, at: usize| graph.then(format!("bn{at}"), Op::batch_norm()).unwrap();
    graph.then("conv1", Op::conv(6, 3, 1, 1, false)).unwrap();
    norm(&mut graph, 1);
    let beside = graph.then("relu1", Op::Relu).unwrap();
    graph.then("conv2", Op::conv(6, 3, 1, 1, false)).unwrap();
    let branch = norm(&mut graph, 2);
    graph.add("add", Op::Add, &[branch, beside]).unwrap();
    graph.then("relu2", Op::Relu).unwrap();
    graph.then("pool", pool).unwrap();
    graph.then("conv3", Op::conv(8, 3, 2, 1, true)).unwrap();
    norm(&mut graph, 3);
    graph.then("relu3", Op::Relu).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("fc", Op::Linear { out_features: 4, bias: true }).unwrap();
    let mut net = Network::new(graph, 0).unwrap().to_dtype(DType::F64).unwrap();
    let names: Vec<String> = net.params.list().iter().map(|param| param.name.clone()).collect();
    for (position, name) in names.iter().enumerate() {
        net.params.set(position, tensors[&format!("net.{name}")].clone()).unwrap();
    }
    net
}

/// The larger one; what is not a number is the largest.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// How far `found` is from `expected`, over the largest number of each picture: of all pictures the largest.
fn furthest(found: &Tensor, expected: &Tensor) -> f64 {
    let rows = |t: &Tensor| t.flatten_from(1).unwrap().to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap();
    assert_eq!(found.dims(), expected.dims());
    let of = |(found, expected): (Vec<f64>, Vec<f64>)| {
        let largest = expected.iter().fold(0.0f64, |most, v| most.max(v.abs()));
        found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, larger) / largest
    };
    rows(found).into_iter().zip(rows(expected)).map(of).fold(0.0, larger)
}

#[test]
fn methods_say_what_captum_and_pytorch_grad_cam_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/saliency.safetensors");
    let tensors = interp::net::sealed::read(&path).unwrap().tensors;
    let net = network(&tensors, Op::max_pool(2));
    let targets: Vec<usize> = tensors["target"].to_vec1::<i64>().unwrap().iter().map(|&t| t as usize).collect();
    let (low, high) = ([-2.0; 3], [2.0; 3]);
    let with_means = network(&tensors, Op::AvgPool { kernel: [2; 2], stride: [2; 2], padding: [0; 2] });
    let question = |net| Question {
        net,
        pictures: &tensors["input"],
        targets: &targets,
        indices: &[0, 1, 2],
        layer: net.graph.id("relu3").unwrap(),
        range: [&low, &high],
        at_once: 8,
    };
    let logits = tensors["logits"].to_vec2::<f64>().unwrap();
    let signs: Vec<f64> = logits.iter().zip(&targets).map(|(row, &target)| row[target].signum()).collect();
    let signs = Tensor::from_vec(signs, (3, 1, 1), &candle_core::Device::Cpu).unwrap();
    let signed = |maps: &Tensor| maps.broadcast_mul(&signs).unwrap();
    // How near they are is how they compute: see the script for what is f32 there.
    let cases = [
        ("gradient", "gradient", "", 1e-12),
        ("gradient_x_input", "gradient_x_input", "", 1e-12),
        ("integrated_gradients", "integrated_gradients", "steps = 20\nmost = 20", 1e-8),
        ("guided_backpropagation", "guided_backpropagation", "", 1e-12),
        ("deep_lift", "deep_lift", "", 1e-9),
        ("lrp_epsilon", "lrp", "rules = \"epsilon\"", 1e-8),
        ("lrp_gamma", "lrp", "rules = \"epsilon_gamma\"", 1e-8),
        ("occlusion", "occlusion", "size = 4\nstride = 2", 1e-6),
        ("captum_grad_cam", "grad_cam", "", 1e-12),
        ("grad_cam", "grad_cam", "", 1e-12),
        ("grad_cam_plus_plus", "grad_cam_plus_plus", "", 1e-12),
        ("hires_cam", "hires_cam", "", 1e-12),
        ("layer_cam", "layer_cam", "", 1e-12),
        ("xgrad_cam", "xgrad_cam", "", 1e-12),
        ("score_cam", "score_cam", "align_corners = true", 1e-6),
        ("ablation_cam", "ablation_cam", "", 1e-5),
    ];
    for (expected, name, settings, within) in cases {
        let method = method(name, &settings.parse().unwrap()).unwrap().object;
        let found = method.attribute(&question(if name == "deep_lift" { &with_means } else { &net })).unwrap().values;
        // Theirs is a share of the output, with its sign; ours is what speaks for it.
        let expected_maps = if name == "ablation_cam" { signed(&tensors[expected]) } else { tensors[expected].clone() };
        let off = furthest(&found, &expected_maps);
        println!("{expected}: {off:.1e}");
        assert!(off <= within, "{expected}: {off:e} beside");
    }
    // The sign of a component is anybody's.
    let found = method("eigen_cam", &toml::Table::new()).unwrap().object.attribute(&question(&net)).unwrap().values;
    let expected = &tensors["eigen_cam"];
    let dot = (&found * expected).unwrap().sum_keepdim((1, 2)).unwrap();
    let signs = dot.ge(0.0).unwrap().to_dtype(DType::F64).unwrap().affine(2.0, -1.0).unwrap();
    assert!(furthest(&found.broadcast_mul(&signs).unwrap(), expected) < 1e-6);
}
