use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use interp::data::{Augment, Loader, Split};
use interp::folder::Stage;
use interp::learn::to_tensor;
use interp::net::zoo::{Architecture, ResNet};
use interp::net::{Checkpoint, Keep, Meta, Mode, Network, Normalization, Role};
use interp::plan::Plan;
use interp::recipe::Recipe;
use interp::{Catalog, Error};

use crate::common::{TINY, on_pictures, write_pictures};

/// The plan of [`TINY`] with more at its end.
fn plan(more: &str) -> Plan {
    let recipe = Recipe::parse("tiny", &format!("{TINY}\n{more}"), &Catalog::default()).unwrap();
    Plan::new(recipe, &|_, _| {}).unwrap()
}

fn numbers(net: &Network) -> Vec<Vec<f32>> {
    net.params.list().iter().map(|p| p.value.flatten_all().unwrap().to_vec1().unwrap()).collect()
}

/// Writes the network of [`TINY`] without two channels of its first layer, for pictures normalized in another way.
fn narrow(path: &Path) -> Network {
    let plan = plan("");
    let mut net = plan.network(Stage::Main).unwrap();
    let position = net.params.position(net.graph.id("features.1").unwrap(), Role::Gain).unwrap();
    let mut gains = net.params.list()[position].value.to_vec1::<f32>().unwrap();
    gains[..2].fill(0.0);
    net.params.set(position, Tensor::new(gains, &Device::Cpu).unwrap()).unwrap();
    let net = net.compact().unwrap().network;
    let normalization = Normalization { mean: vec![0.25; 3], std: vec![0.5; 3] };
    let meta = Meta::new(net.graph.clone(), plan.info().classes.clone(), normalization);
    Checkpoint::write(path, &net.params, &meta).unwrap();
    net
}

#[test]
fn training_starts_from_a_file_with_its_structure_and_normalization() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("narrow.safetensors");
    let net = narrow(&path);
    let section = format!("[init]\npath = {path:?}\n");
    let plan_of = |more: &str| plan(&format!("{section}{more}"));
    let started = plan_of("");
    assert_eq!(started.graph, net.graph);
    assert_eq!(numbers(&started.network(Stage::Main).unwrap()), numbers(&net));
    assert_eq!(numbers(&started.network(Stage::Twin).unwrap()), numbers(&net));
    assert_eq!((&started.info().mean, &started.info().std), (&vec![0.25; 3], &vec![0.5; 3]));
    assert_eq!(plan_of("mean = [0.5, 0.5, 0.25]").info().mean, [0.5, 0.5, 0.25]);
    let fresh = plan_of("structure_only = true");
    assert_eq!(fresh.graph, net.graph);
    assert_eq!(numbers(&fresh.network(Stage::Main).unwrap()), numbers(&Network::new(net.graph, 0).unwrap()));
}

/// How the pictures of a file are normalized, for files that do not say.
const NORMALIZED: &str = "mean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\n";

/// Soft thresholds are fine-tuned into a network with ReLUs; its twin goes on with ReLUs. Thresholds of a file stay.
#[test]
fn activations_are_those_of_the_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let (relu, soft) = (folder.path().join("relu.safetensors"), folder.path().join("soft.safetensors"));
    let net = narrow(&relu);
    let plan_of = |path: &Path, threshold: f64| {
        let model = format!("width = 0.125\nactivation = \"soft_threshold\"\nthreshold = {threshold}");
        let text = TINY.replacen("width = 0.125", &model, 1) + &format!("\n[init]\npath = {path:?}\n{NORMALIZED}");
        Plan::new(Recipe::parse("tiny", &text, &Catalog::default()).unwrap(), &|_, _| {}).unwrap()
    };
    let started = plan_of(&relu, 0.25);
    let (own, twin) = (started.network(Stage::Main).unwrap(), started.network(Stage::Twin).unwrap());
    assert_eq!((&twin.graph, numbers(&twin)), (&net.graph, numbers(&net)));
    assert!(own.thresholds().unwrap().iter().all(|(_, of_node)| of_node.iter().all(|&theta| theta == 0.25)));
    let is_theta = |name: &str| name.ends_with(".theta");
    let others = |net: &Network| {
        let params = net.params.list().iter().filter(|param| !is_theta(&param.name));
        params.map(|param| param.value.flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(others(&own), numbers(&net));
    let normalization = Normalization { mean: vec![0.5; 3], std: vec![0.5; 3] };
    let meta = Meta::new(own.graph.clone(), started.info().classes.clone(), normalization);
    Checkpoint::write(&soft, &own.params, &meta).unwrap();
    assert_eq!(numbers(&plan_of(&soft, 0.5).network(Stage::Main).unwrap()), numbers(&own));
    // The same of a file that says nothing but its tensors.
    let full = Network::new(plan("").graph, 7).unwrap();
    let tensors: HashMap<_, _> = full.params.list().iter().map(|p| (p.name.clone(), p.value.clone())).collect();
    candle_core::safetensors::save(&tensors, &relu).unwrap();
    let started = plan_of(&relu, 0.25);
    assert_eq!(others(&started.network(Stage::Main).unwrap()), numbers(&full));
    assert_eq!(numbers(&started.network(Stage::Twin).unwrap()), numbers(&full));
}

/// A twin of other layers cannot start from the file: that is told, and no network compared with itself.
#[test]
fn a_twin_of_other_layers_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mixture.safetensors");
    let text = TINY
        .replacen("kind = \"vgg\"\ndepth = 8\nwidth = 0.125", "kind = \"mixture\"\nwidth = 0.5", 1)
        .replace("features.*", "*");
    assert_ne!(text, TINY);
    let planned = |more: &str| {
        let recipe = Recipe::parse("tiny", &format!("{more}\n{text}"), &Catalog::default()).unwrap();
        Plan::new(recipe, &|_, _| {}).map_err(|error| error.to_string())
    };
    let start = planned("").unwrap();
    let net = start.network(Stage::Main).unwrap();
    assert_ne!(net.graph, start.twin);
    let normalization = Normalization { mean: vec![0.5; 3], std: vec![0.5; 3] };
    let meta = Meta::new(net.graph.clone(), start.info().classes.clone(), normalization);
    Checkpoint::write(&path, &net.params, &meta).unwrap();
    let init = format!("init = {{ path = {path:?} }}");
    let problem = planned(&init).err().unwrap_or_default();
    assert!(problem.contains("`twin = false`"), "{problem}");
    let alone = planned(&format!("twin = false\n{init}")).unwrap();
    assert!(!alone.has_twin());
    assert_eq!(numbers(&alone.network(Stage::Main).unwrap()), numbers(&net));
}

/// A run goes on, and a cell of the bench is kept, only where what it began with is the same.
#[test]
fn another_start_makes_another_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("start.safetensors");
    let hash = |seed: u64| {
        let net = Network::new(plan("").graph, seed).unwrap();
        let normalization = Normalization { mean: vec![0.5; 3], std: vec![0.5; 3] };
        let meta = Meta::new(net.graph.clone(), plan("").info().classes.clone(), normalization);
        Checkpoint::write(&path, &net.params, &meta).unwrap();
        plan(&format!("[init]\npath = {path:?}\n")).hash
    };
    let first = hash(1);
    assert_ne!(first, hash(2));
    assert_eq!(first, hash(1));
}

#[test]
fn a_file_of_others_has_the_tensors_of_the_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    let net = Network::new(plan("").graph, 7).unwrap();
    let tensors: HashMap<_, _> = net.params.list().iter().map(|p| (p.name.clone(), p.value.clone())).collect();
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let section = format!("[init]\npath = {path:?}\n");
    let given = format!("{section}mean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\n");
    assert_eq!(numbers(&plan(&given).network(Stage::Main).unwrap()), numbers(&net));
    let recipe = Recipe::parse("tiny", &format!("{TINY}\n{section}"), &Catalog::default()).unwrap();
    let error = Plan::new(recipe, &|_, _| {}).err().unwrap().to_string();
    assert!(error.contains("does not say how pictures are normalized: give `mean` and `std`"), "{error}");
}

#[test]
fn what_does_not_fit_is_told_before_training_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("narrow.safetensors");
    narrow(&path);
    let complaint = |text: &str, more: &str| {
        let text = format!("{text}\n[init]\npath = {path:?}\n{more}");
        let recipe = Recipe::parse("tiny", &text, &Catalog::default()).unwrap();
        match Plan::new(recipe, &|_, _| {}) {
            Err(Error::Recipe { message, span: Some(_), .. }) => message,
            Err(other) => panic!("{other}, without a place"),
            Ok(_) => panic!("{text} is accepted"),
        }
    };
    let deeper = TINY.replacen("depth = 8", "depth = 11", 1);
    assert!(complaint(&deeper, "").contains("its nodes are others"));
    let wider = TINY.replacen("width = 0.125", "width = 0.125\nfirst_kernel = 5", 1);
    let other = complaint(&wider, "");
    assert!(other.contains("its node `features.0` is: conv 3x3; that of `[model]`: conv 5x5"), "{other}");
    let pixels = TINY.replacen("kind = \"vgg\"\ndepth = 8\nwidth = 0.125", "kind = \"bcos_resnet\"", 1);
    assert!(complaint(&pixels, "mean = [0.5, 0.5, 0.5]").contains("it sees pixel values"));
    assert!(complaint(TINY, "std = [0.0, 1.0, 1.0]").contains("std above 0"));
    std::fs::remove_file(&path).unwrap();
    assert!(complaint(TINY, "").contains("narrow.safetensors"));
}

/// A pruned network gets a new head too, for other classes and pictures of another size: what is left of its layers stays.
#[test]
fn a_new_head_on_a_network_with_fewer_channels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("narrow.safetensors");
    let net = narrow(&path);
    write_pictures(folder.path(), &[("ant", 20), ("bee", 20)]);
    let text = on_pictures().replacen("\"pictures\"", &format!("{:?}", folder.path().join("pictures")), 1);
    let text = format!("{text}\n[init]\npath = {path:?}\nnew_head = true\n");
    for size in [32, 48] {
        let text = text.replacen("size = 32", &format!("size = {size}"), 1);
        let found = Plan::new(Recipe::parse("tiny", &text, &Catalog::default()).unwrap(), &|_, _| {}).unwrap();
        let found = found.network(Stage::Main).unwrap();
        assert_eq!((found.graph.shape(0), found.graph.outputs()), (&[3, size, size][..], 2));
        let fresh = Network::new(found.graph.clone(), 0).unwrap();
        for (param, (of_file, fresh)) in found.params.list().iter().zip(numbers(&net).iter().zip(numbers(&fresh))) {
            let own: Vec<f32> = param.value.flatten_all().unwrap().to_vec1().unwrap();
            let expected = if param.name.starts_with("classifier") { &fresh } else { of_file };
            assert_eq!(own, *expected, "{}", param.name);
        }
    }
}

/// [`TINY`] with a ResNet-20 that starts from the file at `path`.
fn of_resnet20(path: &Path, more: &str) -> Result<Plan, String> {
    let model = "kind = \"vgg\"\ndepth = 8\nwidth = 0.125";
    let text = TINY.replacen(model, "kind = \"resnet\"\ndepth = 20", 1).replace("features.*", "layer*");
    let text = text + &format!("\n[init]\npath = {path:?}\nmean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\n{more}\n");
    Plan::new(Recipe::parse("tiny", &text, &Catalog::default()).unwrap(), &|_, _| {}).map_err(|error| error.to_string())
}

/// A network of three classes starts one of twelve: all is taken but the last layer, which is as in a new network.
#[test]
fn a_new_head_for_other_classes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resnet20.safetensors");
    std::fs::write(&path, crate::hub::resnet20()).unwrap();
    let plan = of_resnet20(&path, "new_head = true").unwrap();
    let net = plan.network(Stage::Main).unwrap();
    let file = Checkpoint::read(&path).unwrap().network(&path, Some("resnet20"), [32, 32]).unwrap();
    let fresh = Network::new(net.graph.clone(), 0).unwrap();
    for ((own, of_file), (new, param)) in
        numbers(&net).iter().zip(numbers(&file)).zip(numbers(&fresh).iter().zip(net.params.list()))
    {
        match param.name.starts_with("linear") {
            true => assert_eq!(own, new, "{}", param.name),
            false => assert_eq!(*own, of_file, "{}", param.name),
        }
    }
    assert_eq!(net.graph.outputs(), plan.info().classes.len());
    let error = of_resnet20(&path, "").err().unwrap();
    assert!(error.contains("`linear.weight` is of shape [3, 64]"), "{error}");
}

/// A ResNet of ten classes with filters of length 1, nothing that is added, and gains and variances that are not all alike.
fn of_length_one() -> Network {
    let graph = ResNet { width: 0.25, ..ResNet::default() }.graph([3, 32, 32], 10).unwrap();
    let mut net = Network::new(graph, 7).unwrap();
    for position in 0..net.params.list().len() {
        let param = &net.params.list()[position];
        let value = match param.role {
            Role::Weight => {
                let rows = param.value.flatten_from(1).unwrap();
                let lengths = rows.sqr().unwrap().sum_keepdim(1).unwrap().sqrt().unwrap();
                rows.broadcast_div(&lengths).unwrap().reshape(param.value.dims()).unwrap()
            }
            Role::Gain | Role::RunningVariance => {
                let numbers = (0..param.value.elem_count()).map(|i| 1.2 + 0.3 * ((position + i) as f32).sin());
                Tensor::from_iter(numbers, &Device::Cpu).unwrap()
            }
            _ => param.value.zeros_like().unwrap(),
        };
        net.params.set(position, value).unwrap();
    }
    net
}

/// With b = 1, B-cos convolutions are ones with filters of length 1. Of a network that has such filters, adds nothing, and sees pixels
/// as (x - 1/2) sqrt 2, its first filters become `w (x - (1 - x)) / sqrt 2` by length, so that nothing is changed by taking it over.
#[test]
fn an_ordinary_network_answers_the_same_as_a_bcos_one() {
    let folder = tempfile::tempdir().unwrap();
    let (path, plain) = (folder.path().join("plain.safetensors"), of_length_one());
    let tensors: HashMap<_, _> = plain.params.list().iter().map(|p| (p.name.clone(), p.value.clone())).collect();
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let planned = |b: f64| {
        let model = format!("kind = \"bcos_resnet\"\nrelu = true\nwidth = 0.25\nb = {b:?}");
        let text = TINY.replacen("kind = \"vgg\"\ndepth = 8\nwidth = 0.125", &model, 1);
        let text = text.split("[[prior]]").next().unwrap();
        let std = 0.5f64.sqrt();
        let init =
            format!("[init]\npath = {path:?}\nof_plain = true\nmean = [0.5, 0.5, 0.5]\nstd = [{std}, {std}, {std}]");
        let recipe = Recipe::parse("tiny", &format!("twin = false\n{text}\n{init}\n"), &Catalog::default()).unwrap();
        Plan::new(recipe, &|_, _| {}).unwrap()
    };
    let plan = planned(1.0);
    let own = plan.network(Stage::Main).unwrap();
    let loader = Loader::new(plan.data.examining(), Split::Test, 8, 0, Augment::default(), 0).unwrap();
    let pixels = to_tensor(&loader.in_order(Some(8)).next().unwrap().unwrap(), plan.info()).unwrap();
    let answers = |net: &Network, x: &Tensor| -> Vec<f32> {
        let tape = net.forward(x, Mode::Eval, &Keep::Output).unwrap();
        tape.output(&net.graph).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    let normalized = ((&pixels - 0.5).unwrap() * 2f64.sqrt()).unwrap();
    let (found, expected) = (answers(&own, &pixels), answers(&plain, &normalized));
    let largest = expected.iter().fold(0f32, |most, answer| most.max(answer.abs()));
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4 * largest), "{found:?}, not {expected:?}");
    assert!((0..10).any(|class| (expected[class] - expected[10 + class]).abs() > 0.01 * largest), "{expected:?}");
    assert_eq!(numbers(&planned(2.0).network(Stage::Main).unwrap()), numbers(&own));
}
