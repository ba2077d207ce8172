//! Checkpoints: round trips, and files that are damaged, foreign or hostile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use interp_net::zoo::{self, Architecture};
use interp_net::{Checkpoint, Graph, Meta, Network, Normalization, Op, files, sealed};

fn small() -> (Network, Meta) {
    let mut graph = Graph::new(1, 3, 3).unwrap();
    graph.then("conv", Op::conv(2, 3, 1, 0, true)).unwrap();
    graph.then("bn", Op::batch_norm()).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("head", Op::Linear { out_features: 2, bias: true }).unwrap();
    let net = Network::new(graph.clone(), 1).unwrap();
    let normalization = Normalization { mean: vec![0.1307], std: vec![0.3081] };
    (net, Meta::new(graph, vec!["a".into(), "b".into()], normalization))
}

fn weights(net: &Network) -> Vec<Vec<f32>> {
    net.params.list().iter().map(|p| p.value.flatten_all().unwrap().to_vec1().unwrap()).collect()
}

#[test]
fn a_network_is_rebuilt_from_the_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let (net, meta) = small();
    Checkpoint::write(&path, &net.params, &meta).unwrap();
    let first = std::fs::read(&path).unwrap();
    let file = Checkpoint::read(&path).unwrap();
    assert_eq!(file.meta.as_ref(), Some(&meta));
    let back = file.network(&path, None, [3, 3]).unwrap();
    assert_eq!(back.graph, net.graph);
    assert_eq!(weights(&back), weights(&net));
    Checkpoint::write(&path, &back.params, &meta).unwrap();
    assert_eq!(first, std::fs::read(&path).unwrap(), "equal networks make equal files");
}

#[test]
fn every_flipped_bit_and_every_truncation_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let (net, meta) = small();
    Checkpoint::write(&path, &net.params, &meta).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        // A file whose key was damaged counts as one of others, and says so when its network is asked for.
        Checkpoint::read(&path).and_then(|file| file.network(&path, None, [3, 3])).err().map(|e| e.to_string())
    };
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let error = refused(&bytes);
        // Spaces that pad the header carry nothing.
        assert!(error.is_some() || whole[at] == b' ', "flip at {at} of {} was not found", whole.len());
    }
    for length in 0..whole.len() {
        let error = refused(&whole[..length]).expect("a truncated file");
        assert!(error.contains("model.safetensors"), "{error}");
    }
}

#[test]
fn hostile_headers_are_refused_without_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.safetensors");
    for bytes in [
        (1u64 << 60).to_le_bytes().to_vec(),
        [8u64.to_le_bytes().to_vec(), b"{\"a\":1}}".to_vec()].concat(),
        b"<html>not found</html>".to_vec(),
        vec![],
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert!(Checkpoint::read(&path).unwrap_err().to_string().contains("hostile.safetensors"));
    }
    let huge: Result<Graph, _> =
        serde_json::from_str(r#"[{"name":"input","op":"input","channels":3,"height":18446744073709551615,"width":2}]"#);
    assert!(huge.is_err());
}

#[test]
fn graphs_round_trip() {
    let graph = zoo::ResNet { width: 0.25, shortcut: zoo::Shortcut::Projection, ..zoo::ResNet::default() };
    let graph = graph.graph([3, 32, 32], 7).unwrap();
    for graph in [graph, decoder()] {
        let text = serde_json::to_string(&graph).unwrap();
        assert_eq!(serde_json::from_str::<Graph>(&text).unwrap(), graph);
    }
}

/// The operations that change sizes, and soft thresholds.
fn decoder() -> Graph {
    let mut graph = Graph::new(2, 3, 4).unwrap();
    graph.then("shrink", Op::soft_threshold(0.1)).unwrap();
    let spread = Op::ConvTranspose2d {
        out_channels: 4,
        kernel: [2, 3],
        stride: [2; 2],
        padding: [0, 1],
        output_padding: [1, 0],
        dilation: [1; 2],
        groups: 2,
        bias: true,
    };
    graph.then("spread", spread).unwrap();
    graph.then("nearest", Op::UpsampleNearest { size: [9, 8] }).unwrap();
    graph.then("bilinear", Op::UpsampleBilinear { size: [5, 8], align_corners: true }).unwrap();
    graph.then("around", Op::Mirror { border: 1 }).unwrap();
    graph.then("few", Op::AdaptiveAvgPool { size: [2, 2] }).unwrap();
    graph
}

#[test]
fn decoders_are_rebuilt_with_their_thresholds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut net = Network::new(decoder(), 1).unwrap();
    let (theta, spread) = ("shrink.theta", "spread.weight");
    let names: Vec<&str> = net.params.list().iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, [theta, spread, "spread.bias"]);
    net.params.set(0, Tensor::from_vec(vec![0.3f32, -0.2], 2, &Device::Cpu).unwrap()).unwrap();
    let normalization = Normalization { mean: vec![0.0; 2], std: vec![1.0; 2] };
    let meta = Meta::new(net.graph.clone(), vec![], normalization);
    Checkpoint::write(&path, &net.params, &meta).unwrap();
    let back = Checkpoint::read(&path).unwrap().network(&path, None, [3, 4]).unwrap();
    assert_eq!((&back.graph, weights(&back)), (&net.graph, weights(&net)));
}

#[test]
fn hostile_sizes_are_refused() {
    let whole = serde_json::to_value(decoder()).unwrap();
    let refused = |node: usize, key: &str, value: serde_json::Value| {
        let mut nodes = whole.clone();
        assert!(!nodes[node][key].is_null(), "{key}");
        nodes[node][key] = value;
        serde_json::from_value::<Graph>(nodes).unwrap_err().to_string()
    };
    let huge = serde_json::json!([1u64 << 40, 1]);
    for (node, key) in [
        (2, "kernel"),
        (2, "stride"),
        (2, "padding"),
        (2, "output_padding"),
        (2, "dilation"),
        (3, "size"),
        (4, "size"),
        (6, "size"),
    ] {
        assert!(refused(node, key, huge.clone()).contains("over 65536"), "{key}");
        assert!(refused(node, key, serde_json::json!([-1, 1])).contains("-1"), "{key}");
    }
    for key in ["out_channels", "groups"] {
        assert!(refused(2, key, (1u64 << 40).into()).contains("over 65536"), "{key}");
    }
    assert!(refused(5, "border", (1u64 << 40).into()).contains("over 65536"));
    // A stride that is in bounds makes an output that is not.
    assert!(refused(2, "stride", serde_json::json!([50_000, 1])).contains("over 65536"));
    assert!(refused(1, "initial", "no number".into()).contains("no number"));
}

#[test]
fn files_of_others_need_an_architecture_and_are_checked_tensor_by_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    let net = Network::new(zoo::by_name("resnet20").unwrap().graph([3, 32, 32], 5).unwrap(), 2).unwrap();
    let mut tensors: BTreeMap<String, Tensor> =
        net.params.list().iter().map(|p| (p.name.clone(), p.value.clone())).collect();
    tensors.insert("bn1.num_batches_tracked".into(), Tensor::zeros((), DType::I64, &Device::Cpu).unwrap());
    let write = |tensors: &BTreeMap<String, Tensor>| {
        candle_core::safetensors::save(&tensors.clone().into_iter().collect(), &path).unwrap();
        Checkpoint::read(&path).unwrap()
    };
    let file = write(&tensors);
    assert!(file.network(&path, None, [32, 32]).unwrap_err().to_string().contains("--arch"));
    for architecture in [None, Some("resnet56"), Some("vgg16")] {
        let error = file.network(&path, architecture, [32, 32]).unwrap_err().to_string();
        assert!(error.contains("its tensors are those of resnet20"), "{architecture:?}: {error}");
    }
    let back = file.network(&path, Some("resnet20"), [32, 32]).unwrap();
    assert_eq!((weights(&back), back.graph.outputs()), (weights(&net), 5));

    let conv = tensors.remove("conv1.weight").unwrap();
    tensors.insert("conv1.wieght".into(), conv);
    tensors.insert("linear.bias".into(), Tensor::zeros(6, DType::F32, &Device::Cpu).unwrap());
    let error = write(&tensors).network(&path, Some("resnet20"), [32, 32]).unwrap_err().to_string();
    for part in
        ["`conv1.weight` [16, 3, 3, 3] is missing", "nearest: `conv1.weight`", "`linear.bias` is of shape [6], not [5]"]
    {
        assert!(error.contains(part), "{part} in: {error}");
    }
    let error = write(&tensors).network(&path, Some("resnet21"), [32, 32]).unwrap_err().to_string();
    assert!(error.contains("did you mean `resnet20`"), "{error}");
}

#[test]
fn an_empty_tensor_and_numbers_of_all_sizes_survive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let tensors = BTreeMap::from([("none".to_owned(), Tensor::zeros(0, DType::U8, &Device::Cpu).unwrap())]);
    let content = serde_json::json!({ "x": [0.1, 1e-300, 2.0f64.sqrt(), f64::MAX], "y": 0.1f32 });
    sealed::write(&path, &tensors, &content).unwrap();
    let back = sealed::read(&path).unwrap();
    assert_eq!(back.content, Some(content));
    assert_eq!(back.tensors["none"].elem_count(), 0);
}

#[test]
fn what_was_there_stays_when_writing_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("file");
    assert!(files::write_atomically(&path, b"x").unwrap_err().to_string().contains("file"));
    let path = folder.path().join("file");
    files::write_atomically(&path, b"old").unwrap();
    files::write_atomically(&path, b"new").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}
