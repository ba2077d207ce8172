//! Soft thresholds in the zoo, read and changed after training.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use candle_core::{Device, Tensor};
use interp_net::ops::Curve;
use interp_net::zoo::{Activation, Architecture, ResNet, Shortcut, Vgg};
use interp_net::{Draw, Graph, Keep, Mode, Network, Node, NodeId, Op, Role, Want};

fn architectures() -> [Box<dyn Architecture>; 3] {
    let activation = Activation::SoftThreshold;
    let resnet = ResNet { width: 0.25, activation, threshold: 0.2, ..ResNet::default() };
    [
        Box::new(Vgg { depth: 8, width: 0.125, activation, threshold: 0.2, ..Vgg::default() }),
        Box::new(ResNet { shortcut: Shortcut::Projection, ..resnet.clone() }),
        Box::new(resnet),
    ]
}

fn graph(architecture: &dyn Architecture) -> Graph {
    architecture.graph([3, 32, 32], 5).unwrap()
}

#[test]
fn every_relu_is_a_soft_threshold_of_its_name() {
    for architecture in architectures() {
        let (soft, plain) = (graph(architecture.as_ref()), graph(architecture.plain().unwrap().as_ref()));
        assert_eq!(soft.nodes().len(), plain.nodes().len());
        for (soft, plain) in soft.nodes().iter().zip(plain.nodes()) {
            assert_eq!((&soft.name, &soft.inputs), (&plain.name, &plain.inputs));
            let expected = if plain.op == Op::Relu { Op::soft_threshold(0.2) } else { plain.op.clone() };
            assert_eq!(soft.op, expected);
        }
        assert!(architecture.plain().unwrap().plain().is_none(), "a network of ReLUs is its own twin");
        let thresholds = Network::new(soft, 1).unwrap().thresholds().unwrap();
        assert!(thresholds.iter().flat_map(|(_, thresholds)| thresholds).all(|&theta| theta == 0.2));
    }
}

/// The same network without its soft thresholds.
fn without_activations(net: &Network) -> Network {
    let [channels, height, width] = *net.graph.shape(0) else { panic!("no picture") };
    let mut graph = Graph::new(channels, height, width).unwrap();
    let mut new: Vec<NodeId> = vec![0];
    for node in &net.graph.nodes()[1..] {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|&input| new[input]).collect();
        new.push(match node.op {
            Op::Threshold { .. } => inputs[0],
            _ => graph.add(node.name.clone(), node.op.clone(), &inputs).unwrap(),
        });
    }
    let mut bare = Network::new(graph, 0).unwrap();
    for position in 0..bare.params.list().len() {
        let name = bare.params.list()[position].name.clone();
        let own = net.params.list().iter().find(|param| param.name == name).unwrap();
        bare.params.set(position, own.value.clone()).unwrap();
    }
    bare
}

#[test]
fn without_thresholds_the_activations_change_nothing() {
    let x: Vec<f32> = (0..2 * 3 * 32 * 32).map(|i| (i as f32 * 0.37).sin()).collect();
    let x = Tensor::from_vec(x, (2, 3, 32, 32), &Device::Cpu).unwrap();
    let logits = |net: &Network| {
        let tape = net.forward(&x, Mode::Eval, &Keep::Output).unwrap();
        tape.output(&net.graph).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    for architecture in architectures() {
        let mut net = Network::new(graph(architecture.as_ref()), 1).unwrap();
        let bare = logits(&without_activations(&net));
        assert_ne!(logits(&net), bare);
        for (node, thresholds) in net.thresholds().unwrap() {
            net.set_thresholds(node, vec![0.0; thresholds.len()]).unwrap();
        }
        assert_eq!(logits(&net), bare);
    }
}

#[test]
fn thresholds_that_are_none_are_refused_by_name() {
    let mut net = Network::new(graph(architectures()[0].as_ref()), 1).unwrap();
    let (node, conv) = (net.graph.id("features.2").unwrap(), net.graph.id("features.0").unwrap());
    let mut refused =
        |node: NodeId, thresholds: Vec<f32>| net.set_thresholds(node, thresholds).unwrap_err().to_string();
    for bad in [-0.1, f32::NAN, f32::INFINITY] {
        let error = refused(node, vec![bad; 8]);
        assert!(error.contains("features.2") && error.contains("0 or more"), "{error}");
    }
    assert!(refused(node, vec![0.1; 7]).contains("[7]"));
    assert!(refused(conv, vec![0.1; 8]).contains("no thresholds"));
}

#[test]
fn first_thresholds_below_zero_are_refused() {
    for threshold in [-0.1, f64::NAN, 1e300] {
        let vgg = Vgg { threshold, ..Vgg::default() };
        let error = vgg.graph([3, 32, 32], 5).unwrap_err().to_string();
        assert!(error.contains("`threshold` must be 0 or more"), "{error}");
    }
}

#[test]
fn curves_and_shared_thresholds_are_as_asked_for() {
    let x = Tensor::ones((2, 3, 32, 32), candle_core::DType::F32, &Device::Cpu).unwrap();
    for (activation, curve) in [(Activation::HardThreshold, Curve::Hard), (Activation::FirmThreshold, Curve::Firm)] {
        let vgg = Vgg { depth: 8, width: 0.125, activation, shared_threshold: true, ..Vgg::default() };
        let net = Network::new(graph(&vgg), 1).unwrap();
        let thresholds = net.thresholds().unwrap();
        assert_eq!(thresholds.len(), 5);
        for (node, thresholds) in thresholds {
            assert_eq!(thresholds, [0.1]);
            assert_eq!(net.graph.nodes()[node].op, Op::Threshold { curve, shared: true, initial: 0.1 });
        }
        let tape =
            net.forward(&x, Mode::Train { frozen: vec![], draw: Draw::default() }, &Keep::Backward(vec![])).unwrap();
        let seed = tape.output(&net.graph).unwrap().ones_like().unwrap();
        let want = Want { nodes: vec![], params: (0..net.params.list().len()).collect() };
        let grads = net.backward(&tape, &[(net.graph.output(), seed)], &want).unwrap();
        let position = net.params.position(net.graph.id("features.2").unwrap(), Role::Threshold).unwrap();
        assert_eq!(grads.param(position).unwrap().dims(), [1]);
        assert_eq!(net.compact().unwrap().network.thresholds().unwrap(), net.thresholds().unwrap());
    }
}

#[test]
fn files_of_before_there_were_other_curves_are_read() {
    let text = r#"{"name": "a", "op": "soft_threshold", "initial": 0.25, "inputs": [0]}"#;
    assert_eq!(serde_json::from_str::<Node>(text).unwrap().op, Op::soft_threshold(0.25));
}
