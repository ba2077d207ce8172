//! Closed forms of the methods, and what holds for all of them.

use interp_net::ops::Over;
use interp_net::{Graph, Network, Op, Role};

use super::*;

fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

fn waves(shape: &[usize], step: f64) -> Tensor {
    let values: Vec<f64> = (0..shape.iter().product::<usize>()).map(|i| (0.3 + i as f64 * step).sin()).collect();
    tensor(&values, shape)
}

/// The method that a section describes.
fn described(text: &str) -> Box<dyn Method> {
    let mut settings: toml::Table = text.parse().unwrap();
    let name = settings.remove("kind").unwrap();
    method(name.as_str().unwrap(), &settings).unwrap().object
}

/// What a method says of the outputs 0, 1, ... of pictures.
fn asked(net: &Network, pictures: &Tensor, text: &str) -> Attribution {
    asked_at_once(net, pictures, text, 8).unwrap()
}

fn asked_at_once(net: &Network, pictures: &Tensor, text: &str, at_once: usize) -> Result<Attribution> {
    let count = pictures.dim(0).unwrap();
    let targets: Vec<usize> = (0..count).map(|at| at % net.graph.outputs()).collect();
    let indices: Vec<usize> = (0..count).collect();
    let channels = pictures.dim(1).unwrap();
    let (low, high) = (vec![-1.0; channels], vec![1.0; channels]);
    let question = Question {
        net,
        pictures,
        targets: &targets,
        indices: &indices,
        layer: net.graph.id("relu2").unwrap_or_else(|_| last_map(&net.graph)),
        range: [&low, &high],
        at_once,
    };
    described(text).attribute(&question)
}

fn assert_near(found: &Tensor, expected: &Tensor, within: f64) {
    assert_eq!(found.dims(), expected.dims());
    let difference = numbers(&(found - expected).unwrap()).unwrap();
    let furthest = difference.iter().fold(0.0f64, |most, d| if d.is_nan() || d.abs() > most { d.abs() } else { most });
    assert!(furthest <= within, "{furthest}");
}

/// Two outputs, each a filter as large as the pictures, of 4x4 gray pixels, and a bias.
fn linear() -> (Network, Tensor) {
    let mut graph = Graph::new(1, 4, 4).unwrap();
    let conv = graph.then("conv", Op::conv(2, 4, 1, 0, true)).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    let mut net = Network::new(graph, 0).unwrap().to_dtype(candle_core::DType::F64).unwrap();
    let weight = waves(&[2, 1, 4, 4], 1.3);
    let bias = net.params.position(conv, Role::Bias).unwrap();
    net.params.set(net.params.position(conv, Role::Weight).unwrap(), weight.clone()).unwrap();
    net.params.set(bias, tensor(&[0.5, -0.25], &[2])).unwrap();
    (net, weight)
}

/// Three maps, means and a linear map to two outputs.
fn with_maps() -> Network {
    let mut graph = Graph::new(3, 6, 7).unwrap();
    graph.then("conv1", Op::conv(5, 3, 1, 1, true)).unwrap();
    graph.then("bn1", Op::batch_norm()).unwrap();
    graph.then("relu1", Op::Relu).unwrap();
    graph.then("pool", Op::max_pool(2)).unwrap();
    graph.then("conv2", Op::conv(4, 3, 1, 1, true)).unwrap();
    graph.then("relu2", Op::Relu).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("head", Op::Linear { out_features: 2, bias: true }).unwrap();
    Network::new(graph, 5).unwrap().to_dtype(candle_core::DType::F64).unwrap()
}

// Of a linear output all of them say the same: the weight, or the weight times what there is more than in the baseline.
#[test]
fn a_linear_output_by_every_method() {
    let (net, weight) = linear();
    let x = waves(&[2, 1, 4, 4], 0.7);
    let products = (&weight * &x).unwrap();
    assert_near(&asked(&net, &x, "kind = \"gradient\"").values, &weight, 1e-12);
    assert_near(&asked(&net, &x, "kind = \"smooth_grad\"\nsamples = 3").values, &weight, 1e-12);
    assert_near(&asked(&net, &x, "kind = \"guided_backpropagation\"").values, &weight, 1e-12);
    assert_near(&asked(&net, &x, "kind = \"gradient_x_input\"").values, &products, 1e-12);
    for text in ["kind = \"integrated_gradients\"\nsteps = 1", "kind = \"deep_lift\""] {
        let found = asked(&net, &x, text);
        assert_near(&found.values, &products, 1e-12);
        assert!(found.more[0].0 == "gap" && numbers(&found.more[0].1).unwrap().iter().all(|gap| gap.abs() < 1e-12));
    }
    for text in ["kind = \"integrated_gradients\"", "kind = \"deep_lift\""] {
        let found = asked(&net, &x, &format!("{text}\nbaseline = \"black\"")).values;
        assert_near(&found, &(&weight * (&x + 1.0).unwrap()).unwrap(), 1e-12);
    }
    assert_near(&asked(&net, &x, "kind = \"lrp\"\nrules = \"epsilon\"\nepsilon = 0.0").values, &products, 1e-12);
    let pixels = asked(&net, &x, "kind = \"occlusion\"\nsize = 1\nstride = 1").values;
    assert_near(&pixels, &products.squeeze(1).unwrap(), 1e-12);
}

// Windows that do not overlap lose, together, the difference to the baseline.
#[test]
fn occlusion_adds_up_where_the_output_is_linear() {
    let (net, weight) = linear();
    let x = waves(&[2, 1, 4, 4], 0.7);
    let found = asked(&net, &x, "kind = \"occlusion\"\nsize = 2\nstride = 2\nbaseline = \"black\"").values;
    let expected = (&weight * (&x + 1.0).unwrap()).unwrap();
    for picture in 0..2 {
        let sum = |t: &Tensor| numbers(&t.get(picture).unwrap()).unwrap().iter().sum::<f64>();
        // Each window's loss is told at its four pixels.
        assert!((sum(&found) / 4.0 - sum(&expected)).abs() < 1e-12);
    }
}

// Where one pixel alone is not 0, the output goes with its mask alone, without error.
#[test]
fn rise_of_one_pixel_is_its_contribution() {
    let (net, weight) = linear();
    let mut x = vec![0.0; 32];
    (x[6], x[16 + 9]) = (2.0, -3.0);
    let x = tensor(&x, &[2, 1, 4, 4]);
    let found = asked(&net, &x, "kind = \"rise\"\nmasks = 50\ngrid = 3");
    let (values, errors) = (numbers(&found.values).unwrap(), numbers(&found.more[0].1).unwrap());
    let expected = numbers(&(weight * x).unwrap()).unwrap();
    for at in [6, 16 + 9] {
        assert!((values[at] - expected[at]).abs() < 1e-9 && errors[at] < 1e-6, "{}", errors[at]);
    }
    assert!(errors[0] > 1e-3);
}

// x^2 by two ReLUs is not at hand; a ReLU's gradient on the way from -1 to 3 is there for three quarters of it.
#[test]
fn integrated_gradients_of_a_relu_find_more_steps() {
    let mut graph = Graph::new(1, 1, 1).unwrap();
    graph.then("relu", Op::Relu).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    let net = Network::new(graph, 0).unwrap();
    let x = tensor(&[3.0], &[1, 1, 1, 1]);
    let found = asked(&net, &x, "kind = \"integrated_gradients\"\nbaseline = \"black\"\nsteps = 2\ntolerance = 0.02");
    let of = |at: usize| numbers(&found.more[at].1).unwrap()[0];
    let value = numbers(&found.values).unwrap()[0];
    assert!((value - 3.0).abs() <= 0.06 && (3.0 - value - of(0)).abs() < 1e-12, "{value}");
    assert!(of(1) > 2.0);
    // With no more steps to take it stays with what it has, and says what is missing.
    let text = "kind = \"integrated_gradients\"\nbaseline = \"black\"\nsteps = 2\nmost = 2\ntolerance = 0.0";
    let few = asked(&net, &x, text);
    assert_eq!(numbers(&few.more[1].1).unwrap(), [2.0]);
    assert!(numbers(&few.more[0].1).unwrap()[0].abs() > 0.01);
}

// Where means of maps go into a linear map: Grad-CAM is CAM over the cells, HiResCAM too, and adds up to the output less its bias.
#[test]
fn maps_under_means_and_a_linear_map() {
    let net = with_maps();
    let x = waves(&[3, 3, 6, 7], 0.7);
    let of = |name: &str| asked(&net, &x, &format!("kind = \"{name}\"")).values;
    let cam = of("cam");
    assert_eq!(cam.dims(), [3, 3, 3]);
    let share = (&cam / 9.0).unwrap();
    assert_near(&of("grad_cam"), &share, 1e-12);
    assert_near(&of("hires_cam"), &share, 1e-12);
    // Its denominators have 1e-7 more.
    assert_near(&of("xgrad_cam"), &share, 1e-6);
    let logits = net.forward(&x, interp_net::Mode::Eval, &interp_net::Keep::Output).unwrap();
    let logits = crate::pass::rows(logits.output(&net.graph).unwrap()).unwrap();
    let bias = numbers(net.params.find(net.graph.output(), Role::Bias).unwrap()).unwrap();
    let gains: Vec<f64> = (0..3).map(|at| logits[at][at % 2] - bias[at % 2]).collect();
    let sums = numbers(&share.sum((1, 2)).unwrap()).unwrap();
    assert!(sums.iter().zip(&gains).all(|(a, b)| (a - b).abs() < 1e-12));
    // What is lost without a map is what it adds: CAM's mean over cells of that map, as a share of the output.
    let maps = net.forward(&x, interp_net::Mode::Eval, &interp_net::Keep::All).unwrap();
    let maps = maps.get(&net.graph, "relu2").unwrap();
    let weights = net.params.find(net.graph.output(), Role::Weight).unwrap();
    let found = of("ablation_cam");
    for (picture, logits) in logits.iter().enumerate() {
        let class = picture % 2;
        let maps = maps.get(picture).unwrap(); // (C, h, w)
        let adds = (maps.mean((1, 2)).unwrap() * weights.get(class).unwrap()).unwrap();
        let shares = (adds / logits[class].abs()).unwrap().reshape(((), 1, 1)).unwrap();
        let expected = maps.broadcast_mul(&shares).unwrap().sum(0).unwrap();
        assert_near(&found.get(picture).unwrap(), &expected, 1e-12);
    }
}

// One map, a weight of 2 and no bias: all of the output is lost without it, and its share is 1.
#[test]
fn the_share_of_the_only_map_is_one() {
    let mut graph = Graph::new(1, 2, 2).unwrap();
    graph.then("relu", Op::Relu).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("head", Op::Linear { out_features: 1, bias: false }).unwrap();
    let mut net = Network::new(graph, 0).unwrap().to_dtype(candle_core::DType::F64).unwrap();
    net.params.set(0, tensor(&[2.0], &[1, 1])).unwrap();
    let x = tensor(&[1.0, -1.0, 3.0, 0.0], &[1, 1, 2, 2]);
    let maps = tensor(&[1.0, 0.0, 3.0, 0.0], &[1, 2, 2]);
    for name in ["ablation_cam", "score_cam"] {
        assert_near(&asked(&net, &x, &format!("kind = \"{name}\"")).values, &maps, 1e-12);
    }
    let plus = asked(&net, &x, "kind = \"grad_cam_plus_plus\"").values;
    // g = 1/2 everywhere, the maps' sum is 4: a = (1/4) / (1/2 + 4/8 + 1e-6), and the weight 4 a / 2.
    let weight = 0.5 / (1.0 + 1e-6);
    assert_near(&plus, &(maps * weight).unwrap(), 1e-12);
}

// Noise of a deviation of 0.15 (the picture's range is 1) opens the first ReLU where it is above one deviation, in 15.87 % of cases, and never shuts the
// second. Each pixel is a half of the mean.
#[test]
fn smooth_grad_is_the_mean_under_noise() {
    let mut graph = Graph::new(1, 1, 2).unwrap();
    graph.then("relu", Op::Relu).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    let net = Network::new(graph, 0).unwrap();
    let x = tensor(&[-0.15, 0.85], &[1, 1, 1, 2]);
    let found = numbers(&asked(&net, &x, "kind = \"smooth_grad\"\nsamples = 4000").values).unwrap();
    assert!((found[0] - 0.1587 / 2.0).abs() < 0.01 && (found[1] - 0.5).abs() < 1e-9, "{found:?}");
}

// At the corner of 4x4 pixels the center is 1.5 deviations away on both sides. A step of 1 between columns is 4 to Sobel's filter beside it.
#[test]
fn controls_by_hand() {
    let (net, _) = linear();
    let step: Vec<f64> = (0..16).map(|at| f64::from(u8::from(at % 4 > 1))).collect();
    let x = tensor(&step, &[1, 1, 4, 4]);
    let of = |name: &str| numbers(&asked(&net, &x, &format!("kind = \"{name}\"")).values).unwrap();
    assert!((of("center")[0] - (-2.25f64).exp()).abs() < 1e-12);
    assert_eq!(of("edges")[..4], [0.0, 4.0, 4.0, 0.0]);
    assert!(of("random").iter().all(|value| (0.0..1.0).contains(value)));
    // Of one color nothing is left to blur: nothing is gained over it.
    let flat = tensor(&[0.7; 16], &[1, 1, 4, 4]);
    let gained = asked(&net, &flat, "kind = \"deep_lift\"\nbaseline = \"blur\"").values;
    assert!(numbers(&gained).unwrap().iter().all(|value| value.abs() < 1e-12));
}

#[test]
fn evidence_that_there_is_none_of_is_said() {
    let maps = Attribution::of(tensor(&[0.0, -1.0, -2.0, 1e-3], &[2, 1, 2]), Channels::Sum);
    assert_eq!(maps.speaks().unwrap(), [false, true]);
    let signed = tensor(&[1.0, 0.0, -3.0, 0.0], &[1, 2, 1, 2]);
    let sum = Attribution::of(signed.clone(), Channels::Sum).maps([1, 2]).unwrap();
    let largest = Attribution::of(signed, Channels::Largest).maps([1, 2]).unwrap();
    assert_eq!([numbers(&sum).unwrap(), numbers(&largest).unwrap()], [vec![-2.0, 0.0], vec![3.0, 0.0]]);
}

/// The same with attention to positions of its last maps.
fn attending() -> Network {
    let net = with_maps();
    let at = last_map(&net.graph);
    let spliced = net.graph.spliced(at, |graph| {
        graph.add("look.score", Op::conv(1, 1, 1, 0, true), &[at])?;
        let map = graph.then("look.map", Op::Softmax { over: Over::Positions })?;
        graph.add("look", Op::Multiply, &[at, map])
    });
    net.with_structure(spliced.unwrap(), 1).unwrap().to_dtype(candle_core::DType::F64).unwrap()
}

#[test]
fn what_is_said_of_a_picture_does_not_depend_on_the_batch() {
    let x = waves(&[5, 3, 6, 7], 0.7);
    for entry in METHODS {
        let net = if entry.name == "attention" { attending() } else { with_maps() };
        let text = entry.example.replace("1000", "20");
        let [one, many] = [1, 8].map(|at_once| asked_at_once(&net, &x, &text, at_once).unwrap());
        assert_near(&one.values, &many.values, 1e-12);
        assert_eq!(one.more.len(), many.more.len(), "{}", entry.name);
        for (one, many) in one.more.iter().zip(&many.more) {
            assert_near(&one.1, &many.1, 1e-9);
        }
        // And of pictures alone.
        let alone = x.narrow(0, 0, 1).unwrap();
        let alone = asked_at_once(&net, &alone, &text, 8).unwrap();
        assert_near(&alone.values, &many.values.narrow(0, 0, 1).unwrap(), 1e-12);
    }
}

#[test]
fn maps_are_those_before_pooling_and_means() {
    let net = with_maps();
    assert_eq!(net.graph.nodes()[last_map(&net.graph)].name, "relu1");
    let mut graph = Graph::new(3, 4, 4).unwrap();
    graph.then("relu", Op::Relu).unwrap();
    graph.then("pool", Op::max_pool(2)).unwrap();
    assert_eq!(last_map(&graph), 1);
    let mut graph = Graph::new(3, 2, 2).unwrap();
    graph.then("relu", Op::Relu).unwrap();
    assert_eq!(last_map(&graph), 1);
    let (net, _) = linear();
    assert_eq!(last_map(&net.graph), 0);
    let refused = asked_at_once(&net, &waves(&[1, 1, 4, 4], 0.7), "kind = \"cam\"", 8);
    assert!(matches!(refused, Err(crate::AuditError::NoEvidenceMaps)));
}

// Maps (2, -2) and (-1, 3) with gradients (1, 3) and (-2, 2), of a layer without ReLU. Weighed by sizes, their means are 2 and 1: XGrad-CAM is
// 2 (2, -2) + 1 (-1, 3). Of Grad-CAM++ the sum of sizes is 4 for both: g / (2 + 4 g) is 1/6 and 3/14, 0 and 1/5. A sum of (2, -2), or of -2 / g,
// would leave nothing to divide by.
#[test]
fn maps_with_negative_numbers_by_hand() {
    let mut graph = Graph::new(2, 1, 2).unwrap();
    graph.then("conv", Op::conv(2, 1, 1, 0, false)).unwrap();
    graph
        .then(
            "head",
            Op::Conv2d {
                out_channels: 1,
                kernel: [1, 2],
                stride: [1; 2],
                padding: [0; 2],
                dilation: [1; 2],
                groups: 1,
                bias: false,
            },
        )
        .unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    let mut net = Network::new(graph, 0).unwrap().to_dtype(candle_core::DType::F64).unwrap();
    net.params.set(0, tensor(&[1.0, 0.0, 0.0, 1.0], &[2, 2, 1, 1])).unwrap();
    net.params.set(1, tensor(&[1.0, 3.0, -2.0, 2.0], &[1, 2, 1, 2])).unwrap();
    let x = tensor(&[2.0, -2.0, -1.0, 3.0], &[1, 2, 1, 2]);
    let near = |name: &str, expected: [f64; 2]| {
        let found = asked(&net, &x, &format!("kind = \"{name}\"")).values;
        assert_near(&found, &tensor(&expected, &[1, 1, 2]), 1e-6);
    };
    near("xgrad_cam", [3.0, -1.0]);
    let weights = [1.0 / 6.0 + 3.0 / 14.0, 0.2];
    near("grad_cam_plus_plus", [2.0 * weights[0] - weights[1], -2.0 * weights[0] + 3.0 * weights[1]]);
    // Of nothing comes nothing.
    for name in ["xgrad_cam", "grad_cam_plus_plus"] {
        let found = asked(&net, &x.zeros_like().unwrap(), &format!("kind = \"{name}\"")).values;
        assert_eq!(numbers(&found).unwrap(), [0.0, 0.0]);
    }
}

// Nothing adds up to anything in a picture of zeros, and with no epsilon it would be divided by.
#[test]
fn relevance_of_nothing_is_lost() {
    let (net, _) = linear();
    let found = asked(&net, &waves(&[1, 1, 4, 4], 0.7).zeros_like().unwrap(), "kind = \"lrp\"\nepsilon = 0.0");
    assert!(numbers(&found.values).unwrap().iter().all(|value| *value == 0.0));
    let mut graph = Graph::new(1, 2, 2).unwrap();
    graph.then("conv", Op::conv(2, 1, 1, 0, false)).unwrap();
    graph.then("relu2", Op::Relu).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("head", Op::Linear { out_features: 2, bias: true }).unwrap();
    let mut net = Network::new(graph, 3).unwrap().to_dtype(candle_core::DType::F64).unwrap();
    net.params.set(0, tensor(&[-1.0, -2.0], &[2, 1, 1, 1])).unwrap();
    let text = "kind = \"lrp\"\nrules = \"epsilon\"\nepsilon = 0.0";
    let found = asked(&net, &waves(&[1, 1, 2, 2], 0.1), text);
    assert!(numbers(&found.values).unwrap().iter().all(|value| *value == 0.0));
    let lost: f64 = found.more.iter().flat_map(|(_, lost)| numbers(lost).unwrap()).sum();
    assert!(lost.is_finite());
}

#[test]
fn settings_that_make_no_sense_are_refused_by_their_keys() {
    let net = with_maps();
    let x = waves(&[1, 3, 6, 7], 0.7);
    for (text, told) in [
        ("kind = \"rise\"\nmasks = 2", "`masks` must be in 3..=1000000, not 2"),
        ("kind = \"rise\"\nseen = 1.0", "`seen` must be between 0 and 1, not 1"),
        ("kind = \"rise\"\nseen = nan", "`seen` must be between 0 and 1, not NaN"),
        ("kind = \"rise\"\ngrid = 0", "`grid` must be in 1..="),
        ("kind = \"integrated_gradients\"\nsteps = 0", "`steps` must be in 1..="),
        ("kind = \"integrated_gradients\"\nmost = 20", "`most` must be in 50..="),
        ("kind = \"integrated_gradients\"\ntolerance = -0.1", "`tolerance` must be 0 or more, not -0.1"),
        ("kind = \"smooth_grad\"\nsamples = 0", "`samples` must be in 1..="),
        ("kind = \"smooth_grad\"\nnoise = inf", "`noise` must be 0 or more, not inf"),
        ("kind = \"occlusion\"\nsize = 7", "`size` must be in 1..=6, not 7"),
        ("kind = \"occlusion\"\nsize = 2\nstride = 3", "`stride` must be in 1..=2, not 3"),
        ("kind = \"occlusion\"\nstride = 0", "`stride` must be in 1..=1, not 0"),
        ("kind = \"lrp\"\nepsilon = -1e-9", "`epsilon` must be 0 or more"),
        ("kind = \"lrp\"\ngamma = nan", "`gamma` must be 0 or more, not NaN"),
    ] {
        let refused = asked_at_once(&net, &x, text, 8).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains(told), "{text}: {refused}");
    }
}

#[test]
fn methods_and_settings_that_there_are_not_are_told() {
    let none = toml::Table::new();
    let said = |name: &str, settings: &toml::Table| method(name, settings).err().unwrap().to_string();
    assert!(said("grad-cam", &none).contains("did you mean grad_cam?"));
    for entry in METHODS {
        described(entry.example);
        let text = said(entry.name, &"massks = 3".parse().unwrap());
        assert!(text.contains(entry.name) && text.contains("massks"), "{text}");
    }
}
