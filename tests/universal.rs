//! Every analysis that is told by a table, or needs nothing but a network and pictures, on every architecture.

use std::collections::BTreeSet;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use interp::Catalog;
use interp::audit::saliency::{METHODS, Question, last_map, logits, method};
use interp::audit::{AuditError, Memory, Pictures, answers, context, dissection, neurons, weights};
use interp::data::concepts::{Concepts, ConceptsSource};
use interp::data::{Dataset, Split};
use interp::finding::Entry;
use interp::net::zoo::{Architecture, ENTRIES};
use interp::net::{NetError, Network, Op};
use interp::recipe::Recipe;

/// Pictures of a size that all architectures take.
const SIDE: usize = 64;

/// Methods that do not apply to an architecture, or have no rule for an operation of it: all others answer, on all others.
const REFUSED: [(&str, &str); 10] = [
    ("cam", "additive"),
    ("cam", "alexnet"),
    ("cam", "bcos_resnet"),
    ("cam", "imagenet_vgg"),
    ("cam", "mixture"),
    ("cam", "squeezenet"),
    ("deep_lift", "additive"),
    ("deep_lift", "bcos_resnet"),
    ("deep_lift", "mixture"),
    ("lrp", "additive"),
];

fn pictures() -> Pictures {
    let source = ConceptsSource { size: SIDE, train: 0, val: 0, test: 20, ..ConceptsSource::default() };
    let data: Arc<dyn Dataset> = Arc::new(Concepts::open(&source, &|_, _| ()).unwrap());
    Pictures { data, split: Split::Test, noise: None, workers: 0 }
}

/// Untrained networks of all architectures that tell classes, by name; an eighth as wide where they have a width.
fn networks() -> Vec<(&'static str, Network)> {
    let architecture = |model: &toml::Table| {
        let mut recipe = toml::Table::from_iter([
            ("name".to_owned(), "universal".into()),
            ("model".to_owned(), model.clone().into()),
        ]);
        recipe.insert("data".into(), toml::Table::from_iter([("kind".to_owned(), "concepts".into())]).into());
        Recipe::parse("universal", &toml::to_string(&recipe).unwrap(), &Catalog::default()).unwrap().model
    };
    let network = |entry: &Entry<dyn Architecture>| {
        let mut model: toml::Table = toml::from_str(entry.example).unwrap();
        if architecture(&model).settings.contains_key("width") {
            model.insert("width".into(), 0.125.into());
        }
        let graph = architecture(&model).object.graph([3, SIDE, SIDE], 10).unwrap();
        (entry.name, Network::new(graph, 0).unwrap())
    };
    let others = ["soft_autoencoder", "vae", "infogan"];
    ENTRIES.iter().filter(|entry| !others.contains(&entry.name)).map(|entry| network(entry)).collect()
}

#[test]
fn every_method_of_saliency_answers_on_every_architecture_or_says_what_it_has_no_rule_for() {
    let mut refused = BTreeSet::new();
    for (name, net) in networks() {
        let shape = (2, 3, SIDE, SIDE);
        let values: Vec<f32> = (0..2 * 3 * SIDE * SIDE).map(|at| ((at * 7919 % 1000) as f32 - 500.0) / 400.0).collect();
        let x = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        let targets: Vec<usize> = logits(&net, &x, 2).unwrap().iter().map(|row| row.len() / 2).collect();
        let layer = last_map(&net.graph);
        let range = [vec![-2.0; 3], vec![2.0; 3]];
        let question = Question {
            net: &net,
            pictures: &x,
            targets: &targets,
            indices: &[0, 1],
            layer,
            range: [&range[0], &range[1]],
            at_once: 2,
        };
        for entry in METHODS {
            let settings = match entry.name {
                "rise" => "masks = 8",
                "occlusion" => "size = 32\nstride = 32",
                "smooth_grad" => "samples = 2",
                "integrated_gradients" => "steps = 2\nmost = 2",
                _ => "",
            };
            let settings: toml::Table = toml::from_str(settings).unwrap();
            match method(entry.name, &settings).unwrap().object.attribute(&question) {
                Ok(found) => {
                    let maps = found.maps([SIDE, SIDE]).unwrap();
                    assert_eq!(maps.dims(), [2, SIDE, SIDE], "{} on {name}", entry.name);
                    let sum = maps.to_dtype(candle_core::DType::F64).unwrap().sqr().unwrap().sum_all().unwrap();
                    assert!(sum.to_scalar::<f64>().unwrap().is_finite(), "{} on {name}", entry.name);
                }
                Err(AuditError::Net(NetError::NoRule { .. })) => {
                    refused.insert((entry.name, name));
                }
                // Weights of a last layer that reads no means of maps tell nothing of places.
                Err(error) if entry.name == "cam" => {
                    assert!(error.to_string().contains("take grad_cam"), "{error}");
                    refused.insert((entry.name, name));
                }
                // No architecture has any: it is put in.
                Err(AuditError::NoAttention) => {}
                Err(other) => panic!("{} on {name}: {other}", entry.name),
            }
        }
    }
    assert_eq!(refused, REFUSED.into_iter().collect());
}

#[test]
fn what_needs_only_a_network_and_pictures_runs_on_every_architecture() {
    let pictures = pictures();
    for (name, net) in networks() {
        let told = answers(&net, &pictures).unwrap_or_else(|error| panic!("answers of {name}: {error}"));
        assert_eq!(told.labels.len(), 20);
        assert_eq!(context(&net, &pictures).unwrap_or_else(|error| panic!("context of {name}: {error}")).len(), 20);
        weights::filters(&net).unwrap_or_else(|error| panic!("weights of {name}: {error}"));
        let layer = last_map(&net.graph);
        let found = neurons::survey(&net, &pictures, &[layer], 3, Memory::default()).unwrap();
        assert_eq!(found.pictures(), 20, "{name}");
        let probes = dissection::probes(&net, &[layer], 1).unwrap();
        let settings = dissection::Settings { quantile: 0.05, ..dissection::Settings::default() };
        let found = dissection::dissected(&net, &pictures, probes, &settings, Memory::default()).unwrap();
        assert_eq!(found.layers.len(), 2, "{name}");
        assert!(!matches!(net.graph.nodes()[layer].op, Op::Input { .. }), "{name}");
    }
}
