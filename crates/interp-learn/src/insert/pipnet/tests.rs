use interp_net::Mode;
use interp_net::zoo::{Architecture, Vgg};

use super::*;

fn settings(text: &str) -> PipNet {
    toml::from_str(text).unwrap()
}

fn network(settings: &PipNet, after: &str) -> Result<Network> {
    let graph = Vgg { depth: 8, width: 0.125, ..Vgg::default() }.graph([3, 32, 32], 3).unwrap();
    let after = graph.id(after).unwrap();
    let site = Site { graph: &graph, after, name: "parts", classes: 3, class_names: &[], annotations: None };
    let mut net = Network::new(settings.graph(&site)?, 1)?;
    settings.start(&mut net, "parts", 2)?;
    Ok(net)
}

fn prior(text: &str) -> ViewsLoss {
    ViewsLoss { name: "parts".into(), settings: settings(text) }
}

fn pictures() -> Tensor {
    Tensor::arange(0f32, 9216.0, &Device::Cpu).unwrap().sin().unwrap().reshape((3, 3, 32, 32)).unwrap()
}

fn numbers(net: &Network, node: &str) -> Vec<Vec<f32>> {
    let tape = net.forward(&pictures(), Mode::Eval, &Keep::All).unwrap();
    tape.get(&net.graph, node).unwrap().flatten_from(1).unwrap().to_vec2().unwrap()
}

#[test]
fn classes_are_sums_of_what_is_there() {
    for (text, count) in [("", 64), ("prototypes = 12", 12)] {
        let net = network(&settings(text), "features.14").unwrap();
        assert_eq!(net.graph.shape(net.graph.id("parts.map").unwrap()), [count, 4, 4]);
        let (there, left) = (numbers(&net, "parts.presence"), numbers(&net, "parts"));
        let weights = net.params.list()[weight_of(&net, "parts.classes").unwrap()].value.to_vec2::<f32>().unwrap();
        assert!(weights.iter().flatten().all(|w| (0.4..1.6).contains(w)), "drawn around 1");
        for (row, (there, left)) in there.iter().zip(&left).enumerate() {
            there.iter().zip(left).for_each(|(a, b)| assert_eq!(if *a > 0.1 { *a } else { 0.0 }, *b));
            let sum: f32 = left.iter().zip(&weights[1]).map(|(a, w)| a * w).sum();
            assert!((numbers(&net, "parts.classes")[row][1] - sum).abs() < 1e-4);
        }
    }
}

/// What is little there is left in while training, and weights stay at 0 or above.
#[test]
fn what_holds_of_parameters() {
    let (mut net, prior) = (network(&settings(""), "features.14").unwrap(), prior("shrink = 0.25"));
    let scope = Scope::of_prior(&net, &["parts.map".into()], &prior).unwrap();
    let [threshold, classes] = prior.positions(&net.params).unwrap();
    let theta = |net: &Network| net.params.list()[threshold].value.to_vec1::<f32>().unwrap()[0];
    let mut state = State::default();
    prior.realize(&mut net.params, &scope, &state, true).unwrap();
    assert_eq!(theta(&net), 0.0);
    prior.realize(&mut net.params, &scope, &state, false).unwrap();
    assert_eq!(theta(&net), 0.1);
    change(&mut net.params, threshold, |theta| theta.fill(7.0)).unwrap();
    change(&mut net.params, classes, |w| w.iter_mut().enumerate().for_each(|(i, w)| *w = i as f32 % 2.0 - 0.5))
        .unwrap();
    prior.enforce(&mut net.params, &scope, &state).unwrap();
    let of_classes = |net: &Network| net.params.list()[classes].value.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!((theta(&net), of_classes(&net)[..4].to_vec()), (0.1, vec![0.0, 0.5, 0.0, 0.5]));
    let rates = vec![1.0; net.params.list().len()];
    for (progress, left) in [(0.1, 0.5), (0.5, 0.25)] {
        prior.after_step(&mut net.params, &scope, &mut state, Now { rates: &rates, progress }).unwrap();
        prior.enforce(&mut net.params, &scope, &state).unwrap();
        assert_eq!(of_classes(&net)[..2], [0.0, left], "no weight is lost while prototypes alone are learned");
    }
}

/// The weight of agreement grows, and classes come later.
#[test]
fn prototypes_are_learned_first() {
    let prior = prior("pretrain = 0.2");
    let all = |progress: f64| {
        let Weights { align, tanh, classes } = prior.weights(progress);
        [align, tanh, classes]
    };
    assert_eq!([all(0.1), all(0.2), all(0.21)], [[0.5, 5.0, 0.0], [1.0, 5.0, 0.0], [5.0, 2.0, 2.0]]);
    let none = ViewsLoss { name: "parts".into(), settings: settings("pretrain = 0") };
    assert_eq!(none.weights(0.01).classes, 2.0);
}

/// Gradients of the pass that was given and of the second together are those of the loss, held against differences by a weight.
#[test]
fn gradients_are_central_differences() {
    held_against_differences("pretrain = 0\nalign = 0\nprototypes = 5", 1.0);
}

/// Each view is to come to what the other is held at, so that of equal views the gradient is half of the derivative of both together.
#[test]
fn gradients_of_agreement_are_half_of_central_differences() {
    held_against_differences("pretrain = 0\nchange = 0\nalign = 5\ntanh = 0\nclasses = 0\nprototypes = 5", 0.5);
}

fn held_against_differences(settings: &str, share: f64) {
    let prior = prior(settings);
    let mut net = network(&prior.settings, "features.10").unwrap().to_dtype(DType::F64).unwrap();
    let x = pictures().to_dtype(DType::F64).unwrap();
    let scope = Scope::of_prior(&net, &["parts.map".into()], &prior).unwrap();
    let batch = interp_data::Batch { images: vec![], labels: vec![1, 0, 2], indices: vec![0, 1, 2], masks: None };
    let term = |net: &Network| {
        let tape = net.forward(&x, Mode::Eval, &Keep::Backward(prior.taps(net, &scope))).unwrap();
        let step = Step { net, tape: &tape, batch: &batch, now: Now { rates: &[], progress: 0.5 } };
        (prior.penalty(&step, &scope, &mut State::default()).unwrap().unwrap(), tape)
    };
    let position = weight_of(&net, "parts.channels").unwrap();
    let (found, tape) = term(&net);
    let mut grads = net.backward(&tape, &found.nodes, &Want { nodes: vec![], params: vec![position] }).unwrap();
    for (_, more) in found.params.iter().filter(|(other, _)| *other == position) {
        grads.add_param(position, more).unwrap();
    }
    let gradient: Vec<f64> = grads.param(position).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let value = net.params.list()[position].value.clone();
    let numbers: Vec<f64> = value.flatten_all().unwrap().to_vec1().unwrap();
    for at in (0..numbers.len()).step_by(17) {
        let mut moved = |by: f64| {
            let mut moved = numbers.clone();
            moved[at] += by;
            net.params.set(position, Tensor::from_vec(moved, value.dims(), &Device::Cpu).unwrap()).unwrap();
            term(&net).0.value
        };
        let slope = share * (moved(1e-4) - moved(-1e-4)) / 2e-4;
        assert!((gradient[at] - slope).abs() < 1e-5 * (1.0 + slope.abs()), "{at}: {}, not {slope}", gradient[at]);
    }
}

/// Another view of a picture is another at every step, and the same picture at no change.
#[test]
fn views_differ() {
    let (still, moving) = (prior("change = 0"), prior(""));
    let all = |tensor: Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(all(still.view(&pictures(), 1, 2).unwrap()), all(pictures()));
    let views = [1, 2, 1].map(|step| all(moving.view(&pictures(), 7, step).unwrap()));
    assert!(views[0] != views[1] && views[0] == views[2]);
}

#[test]
fn what_is_out_of_range_is_named() {
    assert!(settings("").check().is_ok());
    for (text, key) in [
        ("prototypes = 1", "prototypes"),
        ("pretrain = 1", "pretrain"),
        ("align = -1", "align"),
        ("tanh = -1", "tanh"),
        ("classes = -1", "classes"),
        ("shrink = -1", "shrink"),
        ("change = inf", "change"),
    ] {
        assert_eq!(settings(text).check().unwrap_err().key, key);
    }
    assert!(network(&settings(""), "avgpool").unwrap_err().to_string().contains("no maps"));
}
