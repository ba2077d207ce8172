//! Networks of torchvision and of those that took its names: their tensors, and what they tell of pictures. `expected.json` is written by
//! `make.py`, which says how.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod formula;
mod others;

use interp_net::zoo::{self, Architecture};
use interp_net::{Keep, Mode, Network, Op};
use serde::de::DeserializeOwned;
use serde_json::json;

use formula::{Case, expected, filled, listed, picture};

/// The architecture of a name, with its width.
pub(crate) fn architecture(name: &str, width: f64) -> Box<dyn Architecture> {
    match name.strip_prefix("vgg") {
        Some(depth) if width < 1.0 => {
            let (depth, batch_norm) = depth.strip_suffix("_bn").map_or((depth, false), |depth| (depth, true));
            Box::new(zoo::ImagenetVgg {
                depth: depth.parse().unwrap(),
                batch_norm,
                width,
                ..zoo::ImagenetVgg::default()
            })
        }
        _ => zoo::by_name(name).unwrap(),
    }
}

fn logits(net: &Network, size: [usize; 2]) -> Vec<Vec<f32>> {
    let tape = net.forward(&picture(size), Mode::Eval, &Keep::Output).unwrap();
    tape.output(&net.graph).unwrap().to_vec2().unwrap()
}

/// The network of a case, with weights by the formula.
fn network(case: &Case) -> Network {
    let graph = architecture(&case.arch, case.width).graph([3, case.size[0], case.size[1]], case.logits[0].len());
    filled(graph.unwrap())
}

/// Holds logits against those of PyTorch, to 1e-4 of the largest.
pub(crate) fn assert_logits(net: &Network, case: &Case) {
    let numbers = |rows: &[Vec<f64>]| rows.concat();
    let expected = numbers(&case.logits);
    let found: Vec<f64> = logits(net, case.size).concat().into_iter().map(f64::from).collect();
    assert_eq!(found.len(), expected.len(), "{case:?}");
    let largest = expected.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    let furthest = found.iter().zip(&expected).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
    println!(
        "{} of width {} at {:?}: {:.1e} of the largest logit",
        case.arch,
        case.width,
        case.size,
        furthest / largest
    );
    assert!(furthest <= 1e-4 * largest, "{} at {:?}: {found:?} where {expected:?} is right", case.arch, case.size);
}

/// Whether it is too large to be run whenever tests are.
fn is_large(case: &Case) -> bool {
    case.arch.starts_with("vgg") && case.width == 1.0
}

/// Whether it has names of its own.
fn is_torchvisions(name: &str) -> bool {
    !name.ends_with(" timm") && !name.starts_with("cifar")
}

#[test]
fn tensors_are_torchvisions() {
    let found = expected();
    for (name, tensors) in found.tensors.iter().filter(|(name, _)| is_torchvisions(name)) {
        let graph = zoo::by_name(name).unwrap().graph([3, 96, 96], 1000).unwrap();
        assert_eq!(listed(&graph.tensors()), *tensors, "{name}");
    }
}

#[test]
fn logits_are_torchvisions() {
    let found = expected();
    let cases: Vec<&Case> = found.logits.iter().filter(|case| is_torchvisions(&case.arch) && !is_large(case)).collect();
    assert!(cases.len() > 15);
    cases.into_iter().for_each(|case| assert_logits(&network(case), case));
}

#[test]
#[ignore = "138 million weights each: 1.5 GiB of memory: cargo test --release --workspace --test torchvision -- --ignored"]
fn logits_of_large_networks_are_torchvisions() {
    expected().logits.iter().filter(|case| is_large(case)).for_each(|case| assert_logits(&network(case), case));
}

/// Pictures that PyTorch finds too small for their windows; one pixel more is enough.
#[test]
fn pictures_that_are_too_small_are_refused_by_size() {
    for (name, least) in [("alexnet", 63), ("squeezenet1_0", 21), ("squeezenet1_1", 17), ("vgg11", 32)] {
        let graph = |side: usize| zoo::by_name(name).unwrap().graph([3, side, 100], 4);
        assert_eq!(graph(least).unwrap().outputs(), 4, "{name}");
        let error = graph(least - 1).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{least}x{least}")) && error.contains(&format!("{}x100", least - 1)),
            "{error}"
        );
    }
    assert_eq!(zoo::by_name("resnet18").unwrap().graph([3, 1, 1], 4).unwrap().outputs(), 4);
}

fn of<S: Architecture + DeserializeOwned + 'static>(settings: &serde_json::Value) -> Box<dyn Architecture> {
    Box::new(serde_json::from_value::<S>(settings.clone()).unwrap())
}

#[test]
fn activations_and_saliency_stand_in_the_original_networks_too() {
    let kinds = [of::<zoo::ImagenetVgg>, of::<zoo::ImagenetResNet>, of::<zoo::AlexNet>, of::<zoo::SqueezeNet>];
    for (index, build) in kinds.into_iter().enumerate() {
        let soft = build(&json!({ "width": 0.25, "activation": "soft_threshold", "threshold": 0.2, "saliency": true }));
        let graph = soft.graph([3, 64, 64], 9).unwrap();
        assert!(graph.nodes().iter().all(|node| node.op != Op::Relu) && graph.id("saliency").is_ok(), "{index}");
        let plain = build(&json!({ "width": 0.25 }));
        let twin = soft.plain().unwrap().graph([3, 64, 64], 9).unwrap();
        assert_eq!((twin, plain.plain().is_none()), (plain.graph([3, 64, 64], 9).unwrap(), true));
        // The first layer of the squeezenet's modules has four channels: all would win.
        let winners = build(&json!({ "width": 0.25, "activation": "k_winners", "winners": 9 })).graph([3, 64, 64], 10);
        assert_eq!(winners.is_err(), index == 3);
    }
}

/// A weight that is moved is seen: the comparison has something to compare.
#[test]
fn logits_tell_weights_apart() {
    let found = expected();
    let case = found.logits.iter().find(|case| case.arch == "vgg16_bn" && !is_large(case)).unwrap();
    let net = network(case);
    for name in
        ["features.0.weight", "features.1.running_var", "features.27.bias", "classifier.0.weight", "classifier.6.bias"]
    {
        let mut other = net.clone();
        let position = net.params.list().iter().position(|param| param.name == name).unwrap();
        other.params.set(position, (&net.params.list()[position].value * 1.1).unwrap()).unwrap();
        let [a, b] = [&net, &other].map(|net| logits(net, case.size).concat());
        let largest = a.iter().fold(0f32, |most, v| most.max(v.abs()));
        assert!(a.iter().zip(&b).any(|(a, b)| (a - b).abs() > 2e-4 * largest), "{name}");
    }
}
