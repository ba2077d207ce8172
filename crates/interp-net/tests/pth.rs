//! Files that PyTorch has saved (tests/data/make_pth.py), read back: what is expected is what PyTorch reads from them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use interp_net::{Checkpoint, Graph, NetError, Network, Op, Unread};

/// Type, shape, numbers row by row.
type Expected = (String, Vec<usize>, Vec<serde_json::Value>);

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pth").join(name)
}

fn expected() -> BTreeMap<String, BTreeMap<String, Expected>> {
    serde_json::from_slice(&fs::read(data("expected.json")).unwrap()).unwrap()
}

fn problem(path: &Path) -> Unread {
    match Checkpoint::read(path).unwrap_err() {
        NetError::Unread { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

fn number(value: &serde_json::Value) -> f64 {
    value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

/// The type that numbers of PyTorch's type are read as.
fn read_as(name: &str) -> DType {
    match name {
        "float64" => DType::F64,
        "float32" => DType::F32,
        "float16" => DType::F16,
        "bfloat16" => DType::BF16,
        "int64" => DType::I64,
        "int32" => DType::I32,
        "int16" | "int8" => DType::I16,
        "uint8" | "bool" => DType::U8,
        other => panic!("{other}"),
    }
}

fn compare(file: &str, name: &str, tensor: &Tensor, (dtype, shape, values): &Expected) {
    let found = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let expected: Vec<f64> = values.iter().map(number).collect();
    assert_eq!((tensor.dtype(), tensor.dims()), (read_as(dtype), &shape[..]), "{file} {name}");
    let is_same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
    assert!(found.iter().zip(&expected).all(is_same), "{file} {name}: {found:?} for {expected:?}");
}

#[test]
fn tensors_are_those_that_pytorch_reads() {
    let expected = expected();
    assert_eq!(expected.len(), 14);
    for (file, tensors) in expected {
        let read = Checkpoint::read(&data(&file)).unwrap();
        let names = |found: &mut dyn Iterator<Item = &String>| found.cloned().collect::<Vec<_>>();
        assert_eq!(names(&mut read.tensors().keys()), names(&mut tensors.keys()), "{file}");
        assert!(read.meta.is_none());
        tensors.iter().for_each(|(name, expected)| compare(&file, name, &read.tensors()[name], expected));
    }
}

#[test]
fn names_of_files_do_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    for (file, other) in
        [("module.pt", "a.safetensors"), ("module_legacy.bin", "a"), ("model-00001-of-00002.safetensors", "a.pth")]
    {
        let path = folder.path().join(other);
        fs::copy(data(file), &path).unwrap();
        assert!(!Checkpoint::read(&path).unwrap().tensors().is_empty(), "{file}");
    }
}

#[test]
fn a_network_takes_a_state_dict_with_its_counters() {
    let mut graph = Graph::new(1, 3, 3).unwrap();
    graph.then("0", Op::conv(2, 3, 1, 0, false)).unwrap();
    graph.then("1", Op::batch_norm()).unwrap();
    graph.then("2", Op::GlobalAvgPool).unwrap();
    graph.then("3", Op::Linear { out_features: 2, bias: true }).unwrap();
    for file in ["module.pt", "module_legacy.bin", "model.safetensors.index.json"] {
        let network: Network = Checkpoint::read(&data(file)).unwrap().with_graph(&data(file), graph.clone()).unwrap();
        let weight = network.params.list()[0].value.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(f64::from(weight[1]), number(&expected()[file]["0.weight"].2[1]));
    }
}

#[test]
fn whole_modules_and_other_code_are_refused_by_name() {
    for (file, name) in [
        ("refused_code.pth", "posix.system"),
        ("refused_code_legacy.pth", "posix.system"),
        ("refused_whole_module.pth", "torch.nn.modules.container.Sequential"),
        ("refused_sparse.pth", "torch._utils._rebuild_sparse_tensor"),
    ] {
        let said = problem(&data(file)).to_string();
        assert!(said.starts_with(&format!("holds code: `{name}`; only tensors are read")), "{said}");
        assert!(said.ends_with("torch.save(model.state_dict(), ...) or as safetensors"), "{said}");
    }
}

#[test]
fn what_is_no_state_dict_is_told() {
    assert_eq!(problem(&data("refused_several.pth")), Unread::Several(vec!["model".into(), "net".into()]));
    assert_eq!(problem(&data("refused_complex.pth")), Unread::NumberType("torch.ComplexFloatStorage".into()));
    for (file, said) in [
        ("refused_elsewhere.pth", "tensors are under `generator`, `discriminator`: save those alone"),
        ("refused_none.pth", "its keys are `epoch`, `note`"),
        ("refused_list.pth", "it is no dict"),
    ] {
        assert_eq!(problem(&data(file)), Unread::NoTensors(said.into()));
    }
    assert!(problem(&data("refused_several.pth")).to_string().contains("under `model`, `net`: save the one"));
}

#[test]
fn shards_are_held_against_their_index() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: &str| fs::copy(data(name), folder.path().join(name)).unwrap();
    let index = folder.path().join("model.safetensors.index.json");
    let whole = fs::read_to_string(data("model.safetensors.index.json")).unwrap();
    let write = |from: &str, to: &str| {
        assert!(whole.contains(from));
        fs::write(&index, whole.replacen(from, to, 1)).unwrap();
    };
    let [first, second] = [1, 2].map(|part| format!("model-0000{part}-of-00002.safetensors"));
    copy(&first);
    copy(&second);
    write("", "");
    assert_eq!(Checkpoint::read(&index).unwrap().tensors().len(), 8);

    let weight = format!("\"0.weight\": \"{first}\"");
    for (to, said) in [
        (format!("\"0.wieght\": \"{first}\""), format!("`{first}` lacks `0.wieght`")),
        (format!("\"0.weight\": \"{second}\""), format!("`{first}` holds `0.weight` too")),
        (format!("{weight}, {weight}"), "names tensor `0.weight` twice".into()),
        ("\"0.weight\": \"../a.safetensors\"".into(), "`../a.safetensors` is no name of a file beside it".into()),
        ("\"0.weight\": \"/etc/passwd\"".into(), "`/etc/passwd` is no name of a file beside it".into()),
        ("\"0.weight\": \"..\"".into(), "`..` is no name of a file beside it".into()),
        ("\"0.weight\": \"C:\\\\a\"".into(), "`C:\\a` is no name of a file beside it".into()),
        ("\"0.weight\": \"\"".into(), "`` is no name of a file beside it".into()),
        ("\"0.weight\": 3".into(), "JSON without a `weight_map` of files".into()),
    ] {
        write(&weight, &to);
        let found = problem(&index).to_string();
        assert!(found.contains(&said), "{found} for {said}");
    }
    fs::write(&index, r#"{"weight_map": {"a": "model.safetensors.index.json"}}"#).unwrap();
    assert!(problem(&index).to_string().contains("named as a shard by another"));
    write("", "");
    fs::remove_file(folder.path().join(&second)).unwrap();
    assert!(Checkpoint::read(&index).unwrap_err().to_string().contains(&second));
}
