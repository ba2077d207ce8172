//! Tensors with other names: timm's, chenyaofo's, those of wrapped modules; and networks for other classes.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use interp_net::names::{Naming, slid_by_timm};
use interp_net::zoo::{self, Architecture};
use interp_net::{Checkpoint, Graph, Network, export};

use crate::formula::{Case, expected, listed, value};
use crate::{architecture, assert_logits};

type Tensors = BTreeMap<String, Tensor>;

/// The tensors of a network of the structure `graph`, named by `naming`, each made of its name there and its shape.
fn made(naming: Naming, graph: &Graph, make: impl Fn(&str, &[usize]) -> Tensor) -> Tensors {
    let named = graph.tensors().into_iter().map(|(name, shape)| naming.of(graph, &name, &shape));
    named.map(|(name, shape)| (name.clone(), make(&name, &shape))).collect()
}

fn zeros(_name: &str, shape: &[usize]) -> Tensor {
    Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()
}

/// The network of a file with these tensors.
fn load(tensors: Tensors, name: &str, size: [usize; 2]) -> interp_net::Result<Network> {
    Checkpoint::of_others(tensors).network(Path::new("file"), Some(name), size)
}

fn graph(name: &str, classes: usize) -> Graph {
    zoo::by_name(name).unwrap().graph([3, 64, 64], classes).unwrap()
}

/// A VGG whose tensors are small.
fn narrow() -> Graph {
    zoo::ImagenetVgg { depth: 11, width: 0.125, ..zoo::ImagenetVgg::default() }.graph([3, 40, 70], 5).unwrap()
}

fn case<'a>(cases: &'a [Case], arch: &str) -> &'a Case {
    cases.iter().find(|case| case.arch == arch).unwrap()
}

#[test]
fn others_tensors_are_as_listed() {
    let found = expected();
    for (name, naming, classes) in [
        ("vgg13 timm", Naming::Timm, 1000),
        ("vgg16_bn timm", Naming::Timm, 1000),
        ("cifar100_resnet56", Naming::Chenyaofo, 100),
    ] {
        let graph = graph(name.trim_end_matches(" timm"), classes);
        let own = graph.tensors().into_iter().map(|(name, shape)| naming.of(&graph, &name, &shape));
        assert_eq!(listed(&own.collect::<Vec<_>>()), found.tensors[name], "{name}");
    }
}

#[test]
fn what_has_torchvisions_names_keeps_them() {
    for name in ["resnet18", "alexnet", "squeezenet1_0", "resnet20"] {
        let graph = graph(name, 10);
        let own = graph.tensors();
        let theirs: Vec<_> = own.iter().map(|(name, shape)| Naming::Timm.of(&graph, name, shape)).collect();
        assert_eq!(theirs, own);
    }
}

#[test]
fn logits_of_timms_tensors_are_timms() {
    let found = expected();
    let case = case(&found.logits, "vgg11_bn timm");
    let graph = architecture("vgg11_bn", case.width).graph([3, case.size[0], case.size[1]], 5).unwrap();
    // As they are saved of a network that is part of others.
    for prefix in ["", "module.", "module.model.", "backbone."] {
        let tensors = made(Naming::Timm, &graph, value).into_iter();
        let tensors = tensors.map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect();
        let net = Checkpoint::of_others(tensors).with_graph(Path::new("file"), graph.clone()).unwrap();
        assert_logits(&net, case);
    }
}

#[test]
fn logits_of_chenyaofos_tensors_are_pytorchs() {
    let found = expected();
    for depth in [20, 44] {
        let name = format!("cifar10_resnet{depth}");
        let case = case(&found.logits, &name);
        let graph = zoo::by_name(&name).unwrap().graph([3, 32, 32], 5).unwrap();
        // Also by the name that the residual networks with padded shortcuts have.
        for arch in [name.as_str(), &format!("resnet{depth}"), &format!("hub:chenyaofo/{name}.best")] {
            let net = load(made(Naming::Chenyaofo, &graph, value), arch, [32, 32]).unwrap();
            assert_logits(&net, case);
        }
    }
}

#[test]
fn there_and_back_tensors_are_the_same() {
    let resnet = zoo::by_name("cifar10_resnet20").unwrap().graph([3, 32, 32], 10).unwrap();
    for (naming, graph) in [(Naming::Timm, narrow()), (Naming::Chenyaofo, resnet), (Naming::Torchvision, narrow())] {
        let own = made(Naming::Torchvision, &graph, value);
        let read =
            |tensors: Tensors| Checkpoint::of_others(tensors).with_graph(Path::new("file"), graph.clone()).unwrap();
        let mut theirs: Tensors = export::state_dict(&read(own.clone()), naming).unwrap().into_iter().collect();
        theirs.retain(|name, _| !name.ends_with(".num_batches_tracked"));
        let shapes =
            |tensors: &Tensors| tensors.iter().map(|(n, t)| (n.clone(), t.dims().to_vec())).collect::<Vec<_>>();
        assert_eq!(shapes(&theirs), shapes(&made(naming, &graph, zeros)));
        assert_eq!(naming == Naming::Torchvision, shapes(&theirs) == shapes(&own));
        let list = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for param in read(theirs).params.list() {
            assert_eq!(param.value.dims(), own[&param.name].dims());
            assert!(list(&param.value) == list(&own[&param.name]), "{}", param.name);
        }
    }
}

// timm, models/vgg.py, class ConvMlp: `fc1` is a convolution of 7x7 without padding, and maps are averaged only where they are smaller. A
// side of the last map is that of the picture over 32, rounded down.
#[test]
fn a_vgg_of_timm_over_more_cells_is_another() {
    for (naming, size, is_slid) in [
        (Naming::Timm, [224, 224], false),
        (Naming::Timm, [64, 255], false),
        (Naming::Timm, [64, 256], true),
        (Naming::Torchvision, [64, 256], false),
    ] {
        let vgg = zoo::ImagenetVgg { depth: 11, width: 0.125, ..zoo::ImagenetVgg::default() };
        let graph = vgg.graph([3, size[0], size[1]], 5).unwrap();
        let file = Checkpoint::of_others(made(naming, &graph, zeros));
        assert_eq!(file.is_slid_by_timm(&graph), is_slid, "{naming:?} {size:?}");
    }
    let others = ["resnet18", "alexnet", "squeezenet1_0"].map(|name| zoo::by_name(name).unwrap());
    assert!(others.iter().all(|kind| !slid_by_timm(&kind.graph([3, 512, 512], 5).unwrap())));
}

/// `vgg11_bn` is torchvision's, timm's, and the one for small pictures: what the tensors are of.
#[test]
fn one_name_stands_for_several_networks() {
    let large = graph("vgg11_bn", 7);
    let small = zoo::Vgg { depth: 11, ..zoo::Vgg::default() }.graph([3, 64, 64], 6).unwrap();
    for (naming, graph) in [(Naming::Torchvision, &large), (Naming::Timm, &large), (Naming::Torchvision, &small)] {
        let tensors = made(naming, graph, zeros);
        let net = load(tensors.clone(), "vgg11_bn", [64, 64]).unwrap();
        assert_eq!(net.graph, *graph);
        let error = Checkpoint::of_others(tensors).network(Path::new("file"), None, [32, 32]).unwrap_err().to_string();
        assert!(error.contains("--arch; its tensors are those of vgg11_bn"), "{error}");
    }
    // Too small for one of them, but not for the file's.
    let error = load(made(Naming::Torchvision, &small, zeros), "vgg11_bn", [31, 64]).unwrap_err().to_string();
    assert!(error.contains("32x32"), "{error}");
}

/// What does not fit is told of the network, and by the names, by which the most fits.
#[test]
fn what_does_not_fit_is_told_by_the_names_of_the_file() {
    let graph = narrow();
    let mut tensors = made(Naming::Timm, &graph, zeros);
    let weight = tensors.remove("pre_logits.fc1.weight").unwrap();
    tensors.insert("pre_logits.fc1.wieght".into(), weight);
    tensors.insert("pre_logits.fc2.weight".into(), zeros("", &[512, 512]));
    let error = Checkpoint::of_others(tensors).with_graph(Path::new("file"), graph).unwrap_err().to_string();
    for part in [
        "3 tensor(s) do not fit",
        "`pre_logits.fc1.weight` [512, 64, 7, 7] is missing",
        "`pre_logits.fc1.wieght` is not expected (nearest: `pre_logits.fc1.weight`)",
        "`pre_logits.fc2.weight` is of shape [512, 512], not [512, 512, 1, 1]",
    ] {
        assert!(error.contains(part), "{part} in: {error}");
    }
    let small = zoo::Vgg { depth: 11, ..zoo::Vgg::default() }.graph([3, 64, 64], 6).unwrap();
    let mut tensors = made(Naming::Torchvision, &small, zeros);
    tensors.remove("classifier.bias");
    let error = load(tensors, "vgg11_bn", [64, 64]).unwrap_err().to_string();
    assert!(error.contains("1 tensor(s)") && error.contains("`classifier.bias` [6] is missing"), "{error}");
}

#[test]
fn hub_names_are_architectures() {
    for (name, of) in [
        ("timm/vgg16_bn.tv_in1k", "vgg16_bn"),
        ("hf-hub:timm/resnet50.a1_in1k", "resnet50"),
        ("alexnet", "alexnet"),
        ("owner/cifar100_resnet32", "cifar100_resnet32"),
    ] {
        let graph = |name: &str| zoo::by_name(name).unwrap().graph([3, 64, 64], 10).unwrap();
        assert_eq!(graph(name), graph(of));
    }
    let error = zoo::by_name("timm/resnet51.a1_in1k").err().unwrap().to_string();
    assert!(error.contains("`timm/resnet51.a1_in1k`") && error.contains("did you mean `resnet50`?"), "{error}");
    assert_eq!(error.matches("vgg16_bn,").count(), 1, "{error}");
    assert!(["", "/", ".", "timm/"].iter().all(|name| zoo::by_name(name).is_err()));
}

#[test]
fn a_network_for_other_classes_has_all_but_the_last_layer() {
    let size = [64, 64];
    let tensors = made(Naming::Torchvision, &graph("squeezenet1_1", 1000), value);
    let list = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let random = Network::new(graph("squeezenet1_1", 4), 7).unwrap();
    // With the file's head, without one, and with one of as many classes.
    let mut without = tensors.clone();
    without.retain(|name, _| !name.starts_with("classifier"));
    let same = made(Naming::Torchvision, &random.graph, value);
    for file in [tensors.clone(), without, same] {
        let file = Checkpoint::of_others(file);
        let by_name = file.for_classes(Path::new("file"), "squeezenet1_1", size, 4, 7).unwrap();
        let by_graph = file.with_new_head(Path::new("file"), random.graph.clone(), 7).unwrap();
        for found in [by_name, by_graph] {
            assert_eq!(found.network.graph, random.graph);
            assert_eq!(found.fresh, ["classifier.1.weight", "classifier.1.bias"]);
            for (param, random) in found.network.params.list().iter().zip(random.params.list()) {
                let expected = if found.fresh.contains(&param.name) { &random.value } else { &tensors[&param.name] };
                assert!(list(&param.value) == list(expected), "{}", param.name);
            }
        }
    }
    let mut broken = tensors;
    broken.remove("features.3.squeeze.bias");
    let error = Checkpoint::of_others(broken).for_classes(Path::new("file"), "squeezenet1_1", size, 4, 7);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("1 tensor(s)") && error.contains("`features.3.squeeze.bias` [16] is missing"), "{error}");
}

/// timm's head has another name; where there are several names for one file, the head is that of the one that fits.
#[test]
fn heads_of_other_names_are_left_too() {
    let large = graph("vgg11_bn", 7);
    let file = Checkpoint::of_others(made(Naming::Timm, &large, zeros));
    let found = file.for_classes(Path::new("file"), "timm/vgg11_bn.tv_in1k", [64, 64], 3, 1).unwrap();
    assert_eq!(
        (found.network.graph.outputs(), &found.fresh[..]),
        (3, &["classifier.6.weight", "classifier.6.bias"].map(String::from)[..])
    );
    let small = zoo::Vgg { depth: 11, ..zoo::Vgg::default() }.graph([3, 64, 64], 6).unwrap();
    let file = Checkpoint::of_others(made(Naming::Torchvision, &small, zeros));
    let found = file.for_classes(Path::new("file"), "vgg11_bn", [64, 64], 3, 1).unwrap();
    assert_eq!(found.fresh, ["classifier.weight", "classifier.bias"]);
}

#[test]
fn the_heads_of_all_kinds_are_where_classes_are_told() {
    let heads = |kind: &dyn Architecture| {
        let graph = kind.graph([3, 64, 64], 9).unwrap();
        let names: Vec<String> = graph.head().iter().map(|&id| graph.nodes()[id].name.clone()).collect();
        names.join(" ")
    };
    assert_eq!(heads(&zoo::ResNet::default()), "linear");
    assert_eq!(heads(&zoo::ImagenetResNet::default()), "fc");
    assert_eq!(heads(&zoo::BagNet::default()), "evidence");
    assert_eq!(heads(&zoo::BCosResNet::default()), "linear");
    assert_eq!(heads(&zoo::Additive::default()), "color.votes texture.evidence shape.logits");
    assert_eq!(heads(&zoo::Mixture { experts: 2, ..zoo::Mixture::default() }), "expert0.head expert1.head");
}
