//! Networks for other programs. That PyTorch and onnxruntime compute the same with them is shown by benches/against_pytorch/exported.py;
//! here, that the files are what they were then, and that what cannot be written is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
mod networks;
mod onnx;

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Tensor};
use interp_net::names::Naming;
use interp_net::zoo::{self, Architecture, Module};
use interp_net::{Checkpoint, Graph, NetError, Network, Normalization, Op, export};
use networks::prototypical;

/// A residual sum, a list of layers, and helpers.
fn tiny() -> Network {
    let mut graph = Graph::new(1, 6, 6).unwrap();
    graph.then("both", Op::OnOff).unwrap();
    graph.then("features.0", Op::conv(4, 3, 2, 1, false)).unwrap();
    graph.then("features.1", Op::batch_norm()).unwrap();
    let stem = graph.then("features.2", Op::Relu).unwrap();
    graph.then("block.conv", Op::bcos(4, 3, 1, 1, 1.5)).unwrap();
    graph.then("block.norm", Op::uncentered_norm()).unwrap();
    let branch = graph.then("block.shrink", Op::soft_threshold(0.1)).unwrap();
    graph.add("block.add", Op::Add, &[branch, stem]).unwrap();
    graph.then("wider", Op::PadShortcut { out_channels: 7, stride: 2, before: Some(1) }).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("head", Op::Linear { out_features: 2, bias: true }).unwrap();
    Network::new(graph, 1).unwrap()
}

fn normalization() -> Normalization {
    Normalization { mean: vec![0.5], std: vec![0.25] }
}

fn of(architecture: &dyn Architecture) -> Network {
    Network::new(architecture.graph([3, 32, 32], 10).unwrap(), 1).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn state_dicts_come_back_from_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    for network in [tiny(), of(&zoo::ResNet::default())] {
        let state: BTreeMap<_, _> = export::state_dict(&network, Naming::Torchvision).unwrap().into_iter().collect();
        for bytes in [
            export::pth(&network, Naming::Torchvision).unwrap(),
            export::safetensors(&network, Naming::Torchvision).unwrap(),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let read = Checkpoint::read(&path).unwrap();
            assert!(read.tensors().keys().eq(state.keys()));
            for (name, tensor) in read.tensors() {
                assert_eq!((tensor.dtype(), tensor.dims()), (state[name].dtype(), state[name].dims()));
                assert_eq!(numbers(tensor), numbers(&state[name]));
            }
            assert_eq!(read.with_graph(&path, network.graph.clone()).unwrap().graph, network.graph);
        }
        assert_eq!(
            export::pth(&network, Naming::Torchvision).unwrap(),
            export::pth(&network, Naming::Torchvision).unwrap(),
            "equal networks make equal files"
        );
    }
}

// The order of torch.nn.BatchNorm2d(4).state_dict().
#[test]
fn batch_norms_have_their_counters_behind_them() {
    let names: Vec<String> =
        export::state_dict(&tiny(), Naming::Torchvision).unwrap().into_iter().map(|(name, _)| name).collect();
    let norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"];
    assert_eq!(names[1..6], norm.map(|name| format!("features.1.{name}")));
    assert_eq!(names[6..9], ["block.conv.weight", "block.norm.weight", "block.norm.running_var"]);
}

#[test]
fn the_module_of_pytorch_is_as_people_write_it() {
    let expected = include_str!("data/tiny.py");
    let found = export::pytorch(&tiny().graph, Some(&normalization())).unwrap();
    assert!(found == expected, "{found}");
}

#[test]
fn names_of_nodes_cannot_write_code() {
    let hostile = "x\"); import os; os.system(\"echo\n";
    let mut graph = Graph::new(1, 4, 4).unwrap();
    let first = graph.then(hostile, Op::conv(1, 3, 1, 1, true)).unwrap();
    let second = graph.then(format!("a.{hostile}"), Op::conv(1, 3, 1, 1, true)).unwrap();
    graph.add("b\nimport os", Op::Add, &[first, second]).unwrap();
    let code = export::pytorch(&graph, None).unwrap();
    let quoted = hostile.split('.').map(|part| serde_json::Value::from(part).to_string());
    let rest = quoted.fold(code.clone(), |code, literal| code.replace(&literal, "..."));
    assert!(rest.len() < code.len());
    assert!(!rest.contains("import os") && !rest.contains("system("), "{rest}");
}

#[test]
fn variables_are_told_apart() {
    let mut graph = Graph::new(1, 4, 4).unwrap();
    let names = ["a.b", "a_b", "x", "torch", "0", "class", "mirror", "saliency", "a_b_at_2"];
    let ids: Vec<_> = names.iter().map(|name| graph.add(*name, Op::GlobalAvgPool, &[0]).unwrap()).collect();
    graph.add("sum", Op::Add, &ids).unwrap();
    let code = export::pytorch(&graph, None).unwrap();
    let last = code.lines().last().unwrap();
    assert!(last.starts_with("        return a_b + a_b_at_2 + x_ + torch_ + node_5 + node_6 + mirror_"), "{last}");
    let terms: Vec<&str> =
        last.trim_start_matches("        return ").trim_end_matches("  # sum").split(" + ").collect();
    assert_eq!(terms.iter().collect::<BTreeSet<_>>().len(), terms.len(), "{terms:?}");
}

#[test]
fn layers_lie_under_the_names_of_layers() {
    for names in [["a", "a.c", "a.class"], ["a.c", "a.class", "a"]] {
        let mut graph = Graph::new(1, 4, 4).unwrap();
        names.iter().for_each(|name| graph.then(*name, Op::Relu).map(|_| ()).unwrap());
        let code = export::pytorch(&graph, None).unwrap();
        let parts =
            ["self.a = holding(", "\"c\": nn.ReLU()", "self.a.c(", "self.a.get_submodule(\"class\")(", "= self.a("];
        for part in parts.iter().filter(|part| **part != "= self.a(" || names[0] == "a") {
            assert!(code.contains(part), "{part} {code}");
        }
    }
}

#[test]
fn names_that_modules_cannot_have_are_refused() {
    let refused = |names: &[&str]| {
        let mut graph = Graph::new(1, 4, 4).unwrap();
        for name in names {
            graph.then(*name, Op::Relu).unwrap();
        }
        match export::pytorch(&graph, None).unwrap_err() {
            NetError::Graph { node, problem } => (node, problem),
            other => panic!("{other}"),
        }
    };
    for name in ["forward", "a.type", "a..b", ".a", "a.", "_modules", "values.0"] {
        let (node, problem) = refused(&[name]);
        assert!(node == name && problem.contains("rename the node"), "{problem}");
    }
    assert!(refused(&["a", "a.inplace"]).1.contains("a layer of PyTorch has a `inplace` itself"));
    assert!(refused(&["a.inplace", "a"]).1.contains("rename the node"));
    assert!(refused(&[&"a.".repeat(100_000)]).1.contains("more than 16 parts"));
}

#[test]
fn what_onnx_does_not_have_is_refused_by_name() {
    let modules = vec![Module::Texture, Module::Shape];
    let network = of(&zoo::Additive { modules, width: 0.25 });
    let error = export::onnx(&network, None).unwrap_err();
    assert!(matches!(error, NetError::NoForm { format: "ONNX", .. }));
    assert_eq!(error.to_string(), "ONNX has no form of `shape.description`, edges in 8 directions");
    let many = Op::UpsampleBilinear { size: [1, 40_000], align_corners: true };
    let mut graph = Graph::new(1, 1, 40_000).unwrap();
    graph.then("up", many).unwrap();
    assert!(matches!(export::onnx(&Network::new(graph, 1).unwrap(), None), Err(NetError::NoForm { .. })));
    let mut graph = Graph::new(1, 4, 4).unwrap();
    graph.then("a", Op::conv(1, 3, 1, 1, true)).unwrap();
    graph.then("a.weight", Op::Relu).unwrap();
    let error = export::onnx(&Network::new(graph, 1).unwrap(), None).unwrap_err().to_string();
    assert!(error.contains("`a.weight`: has the name of something else"), "{error}");
}

#[test]
fn models_of_onnx_have_the_nodes_and_weights_of_the_network() {
    let network = tiny();
    let model = onnx::read(&export::onnx(&network, Some(&normalization())).unwrap());
    let of_node = |name: &str| -> Vec<&str> {
        let steps = model.nodes.iter().filter(|node| node.outputs[0].split('/').next() == Some(name));
        steps.map(|node| node.operator.as_str()).collect()
    };
    assert_eq!(of_node("both"), ["Neg", "Concat"]);
    assert_eq!(of_node("features.0"), ["Conv"]);
    assert_eq!(of_node("features.1"), ["BatchNormalization"]);
    assert_eq!(of_node("block.shrink"), ["Abs", "Sign", "Sub", "Relu", "Mul"]);
    assert_eq!(of_node("wider"), ["Slice", "Pad"]);
    assert_eq!(of_node("head"), ["Gemm"]);
    let head = model.nodes.last().unwrap();
    assert_eq!(
        (&head.inputs[..], &head.outputs[..]),
        (&["mean", "head.weight", "head.bias"].map(String::from)[..], &["head".into()][..])
    );
    for name in ["features.0.weight", "features.1.running_var", "head.bias"] {
        let param = network.params.list().iter().find(|param| param.name == name).unwrap();
        let (dims, values) = &model.constants[name];
        assert_eq!(
            (&dims[..], values),
            (param.value.dims(), &param.value.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        );
    }
    assert_eq!((model.version, model.operators), (8, 17));
    assert_eq!((&model.input[..], &model.output[..]), ("input", "head"));
    assert_eq!(model.notes, [("mean".to_owned(), "0.5".to_owned()), ("std".to_owned(), "0.25".to_owned())]);
}

/// Prototypes are differences, or filters of one position, in ONNX, and a module of their own in PyTorch.
#[test]
fn prototypes_are_exported() {
    let network = prototypical().to_dtype(DType::F32).unwrap();
    let model = onnx::read(&export::onnx(&network, None).unwrap());
    let of_node = |name: &str| -> Vec<&str> {
        let steps = model.nodes.iter().filter(|node| node.outputs[0].split('/').next() == Some(name));
        steps.map(|node| node.operator.as_str()).collect()
    };
    assert_eq!(of_node("parts.near"), ["Unsqueeze", "Sub", "Mul", "ReduceSum", "Squeeze", "Add", "Add", "Div", "Log"]);
    assert_eq!(of_node("parts.along"), ["Mul", "ReduceSum", "Sqrt", "Max", "Conv", "Div", "Relu", "Div"]);
    let module = export::pytorch(&network.graph, None).unwrap();
    for part in ["class Prototypes(nn.Module)", "Prototypes(3, 4)", "Prototypes(2, 4, cosine=True)"] {
        assert!(module.contains(part), "{module}");
    }
}

#[test]
fn every_value_of_onnx_is_there_before_it_is_read() {
    let winners = zoo::Vgg { depth: 8, activation: zoo::Activation::KWinners, ..zoo::Vgg::default() };
    for network in [
        of(&winners),
        of(&zoo::BCosResNet::default()),
        of(&zoo::Mixture::default()),
        of(&zoo::Vae::default()),
        prototypical(),
        tiny(),
    ] {
        let model = onnx::read(&export::onnx(&network, None).unwrap());
        let mut known: BTreeSet<&str> = model.constants.keys().map(String::as_str).collect();
        known.extend(model.integers.iter().map(String::as_str));
        known.insert(&model.input);
        for node in &model.nodes {
            assert!(node.inputs.iter().all(|input| known.contains(input.as_str())), "{:?}", node.inputs);
            assert!(node.outputs.iter().all(|output| known.insert(output)), "{:?} is there twice", node.outputs);
        }
        assert!(known.contains(model.output.as_str()));
    }
}

#[test]
fn descriptions_bring_what_they_need_once() {
    let modules = vec![Module::Color, Module::Layout, Module::Shape, Module::Pattern, Module::Frequency];
    let code = export::pytorch(&of(&zoo::Additive { modules, width: 0.25 }).graph, None).unwrap();
    for function in ["around", "between", "hues", "orientations", "patterns", "bands", "luminance"] {
        assert_eq!(code.matches(&format!("def {function}(")).count(), 1, "{function}");
    }
    assert!(code.find("def around(").unwrap() < code.find("def hues(").unwrap());
    assert!(code.contains("import math\n"));
}
