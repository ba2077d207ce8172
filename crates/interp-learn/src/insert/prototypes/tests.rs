use std::sync::Arc;

use interp_data::{Augment, Dataset, Info, Loader, Split};
use interp_net::zoo::{Architecture, Vgg};
use interp_net::{Keep, Mode, Want};

use super::*;
use crate::prior::Now;

/// Twelve pictures of noise, of three classes one after the other.
struct Twelve(Info);

impl Dataset for Twelve {
    fn info(&self) -> &Info {
        &self.0
    }

    fn len(&self, split: Split) -> usize {
        if split == Split::Train { 12 } else { 0 }
    }

    fn label(&self, _: Split, index: usize) -> u32 {
        (index % 3) as u32
    }

    fn image(&self, _: Split, index: usize, out: &mut [f32]) -> interp_data::Result<()> {
        let mut random = stream(5, "twelve", 0, index as u64);
        out.iter_mut().for_each(|pixel| *pixel = random.random_range(0.0..1.0));
        Ok(())
    }
}

fn twelve() -> Arc<Twelve> {
    let (mean, std) = (vec![0.5; 3], vec![0.25; 3]);
    let classes = ["disk", "ring", "star"].map(String::from).to_vec();
    Arc::new(Twelve(Info { name: "twelve".into(), classes, channels: 3, height: 32, width: 32, mean, std }))
}

fn settings(text: &str) -> Prototypes {
    toml::from_str(&format!("per_class = 2\nchannels = 8\n{text}")).unwrap()
}

fn network(settings: &Prototypes, names: &[String]) -> Result<Network> {
    let graph = Vgg { depth: 8, width: 0.125, ..Vgg::default() }.graph([3, 32, 32], 3).unwrap();
    let site = Site {
        graph: &graph,
        after: graph.id("features.14").unwrap(),
        name: "prototypes",
        classes: 3,
        class_names: names,
        annotations: None,
    };
    let mut net = Network::new(settings.graph(&site)?, 1)?;
    settings.start(&mut net, "prototypes", 2)?;
    Ok(net)
}

fn prior(settings: &Prototypes) -> PrototypeLoss {
    PrototypeLoss { name: "prototypes".into(), settings: settings.clone() }
}

fn batches() -> Batches {
    Loader::new(twelve(), Split::Train, 5, 0, Augment::default(), 0).unwrap().in_order(None)
}

fn pictures() -> Tensor {
    let info = twelve().info().clone();
    let mut all = vec![];
    for batch in batches() {
        all.push(crate::to_tensor(&batch.unwrap(), &info).unwrap());
    }
    Tensor::cat(&all, 0).unwrap()
}

#[test]
fn classes_see_prototypes_alone() {
    let names = ["disk", "ring", "star"].map(String::from);
    for (similarity, before) in [("l2", Op::Sigmoid), ("cosine", Op::conv(8, 1, 1, 0, true))] {
        let settings = settings(&format!("similarity = \"{similarity}\""));
        let net = network(&settings, &names).unwrap();
        let graph = &net.graph;
        let (map, node) = (graph.id("prototypes.map").unwrap(), graph.id("prototypes").unwrap());
        assert_eq!(graph.nodes()[graph.nodes()[map].inputs[0]].op, before);
        assert_eq!((graph.shape(map), graph.shape(node)), (&[6, 4, 4][..], &[6, 1, 1][..]));
        assert_eq!(graph.nodes()[node].units[3], "ring prototype 2");
        assert!(graph.id("features.15").is_err(), "what came behind is gone");
        let head = weight_of(&net, "prototypes.classes").unwrap();
        let rows = net.params.list()[head].value.to_vec2::<f32>().unwrap();
        assert_eq!(rows[1], [-0.5, -0.5, 1.0, 1.0, -0.5, -0.5]);
    }
    assert_eq!(
        network(&settings(""), &[]).unwrap().graph.nodes().iter().rev().nth(1).unwrap().units[0],
        "class 0 prototype 1"
    );
}

/// All that the loss says, held against differences of it with one parameter moved.
#[test]
fn gradients_are_central_differences() {
    for similarity in ["l2", "cosine"] {
        let settings = settings(&format!("similarity = \"{similarity}\"\nsparse = 0.01\ndiversity = 0.3"));
        let mut net = network(&settings, &[]).unwrap().to_dtype(candle_core::DType::F64).unwrap();
        let (prior, x) = (prior(&settings), pictures().to_dtype(candle_core::DType::F64).unwrap());
        let scope = Scope::of_prior(&net, &["prototypes.map".into(), "prototypes.classes".into()], &prior).unwrap();
        let batch = interp_data::Batch {
            images: vec![],
            labels: (0..12).map(|at| at % 3).collect(),
            indices: (0..12).collect(),
            masks: None,
        };
        let term = |net: &Network| {
            let tape = net.forward(&x, Mode::Eval, &Keep::Backward(prior.taps(net, &scope))).unwrap();
            let step = Step { net, tape: &tape, batch: &batch, now: Now { rates: &[], progress: 0.5 } };
            (prior.penalty(&step, &scope, &mut State::default()).unwrap().unwrap(), tape)
        };
        let positions: Vec<usize> = ["prototypes.map", "prototypes.classes", "prototypes.embed.2"]
            .iter()
            .map(|node| weight_of(&net, node).unwrap())
            .collect();
        let (found, tape) = term(&net);
        let mut grads = net.backward(&tape, &found.nodes, &Want { nodes: vec![], params: positions.clone() }).unwrap();
        for (position, more) in found.params {
            grads.add_param(position, &more).unwrap();
        }
        for position in positions {
            let value = net.params.list()[position].value.clone();
            let numbers: Vec<f64> = value.flatten_all().unwrap().to_vec1().unwrap();
            let found = grads.param(position).map(|g| g.flatten_all().unwrap().to_vec1::<f64>().unwrap());
            let found = found.unwrap_or_else(|| vec![0.0; numbers.len()]);
            for at in (0..numbers.len()).step_by(5) {
                let mut moved = |by: f64| {
                    let mut moved = numbers.clone();
                    moved[at] += by;
                    net.params.set(position, Tensor::from_vec(moved, value.dims(), &Device::Cpu).unwrap()).unwrap();
                    term(&net).0.value
                };
                let slope = (moved(1e-3) - moved(-1e-3)) / 2e-3;
                net.params.set(position, value.clone()).unwrap();
                let error = (found[at] - slope).abs();
                assert!(error < 1e-3 * (1.0 + slope.abs()), "{similarity} {position} {at}: {}, not {slope}", found[at]);
            }
        }
    }
}

/// After a push each prototype is at no distance from a place of a picture of its class, and another push changes nothing.
#[test]
fn pushed_prototypes_are_places_of_pictures() {
    for similarity in ["l2", "cosine"] {
        let settings = settings(&format!("similarity = \"{similarity}\""));
        let (mut net, prior) = (network(&settings, &[]).unwrap(), prior(&settings));
        let scope = Scope::of_prior(&net, &["prototypes.map".into()], &prior).unwrap();
        let push = |net: &mut Network| {
            for (position, value) in prior.push(net, batches(), &scope).unwrap() {
                net.params.set(position, value).unwrap();
            }
        };
        let run = |net: &Network, node: &str| {
            let tape = net.forward(&pictures(), Mode::Eval, &Keep::All).unwrap();
            tape.get(&net.graph, node).unwrap().flatten_from(1).unwrap().to_vec2::<f32>().unwrap()
        };
        push(&mut net);
        let (most, logits) = (run(&net, "prototypes"), run(&net, "prototypes.classes"));
        for prototype in 0..6 {
            let own = most.iter().enumerate().filter(|(picture, _)| picture % 3 == prototype / 2);
            let nearest = own.map(|(_, row)| row[prototype]).fold(f32::MIN, f32::max);
            let by = settings.similarity.likeness();
            let expected = if by == Likeness::L2 { 0.0 } else { 1.0 };
            assert!((by.measured(f64::from(nearest)) - expected).abs() < 1e-5, "{similarity} {prototype}: {nearest}");
        }
        let vectors = net.params.list()[weight_of(&net, "prototypes.map").unwrap()].value.to_vec2::<f32>().unwrap();
        push(&mut net);
        let again = net.params.list()[weight_of(&net, "prototypes.map").unwrap()].value.to_vec2::<f32>().unwrap();
        assert_eq!(vectors, again, "they are such places already");
        assert_eq!(logits, run(&net, "prototypes.classes"));
    }
}

#[test]
fn what_is_out_of_range_is_named() {
    assert!(settings("").check().is_ok());
    for (text, key) in [
        ("per_class = 0", "per_class"),
        ("channels = 0", "channels"),
        ("cluster = -1", "cluster"),
        ("separation = inf", "separation"),
        ("sparse = -1", "sparse"),
        ("diversity = -1", "diversity"),
    ] {
        assert_eq!(toml::from_str::<Prototypes>(text).unwrap().check().unwrap_err().key, key);
    }
    let refused = network(&Prototypes { per_class: 2000, ..settings("") }, &[]).unwrap_err().to_string();
    assert!(refused.contains("6000 prototypes"), "{refused}");
    // 3 x 1000 x 1000 x 128 numbers.
    let refused = network(&Prototypes { per_class: 1000, channels: 128, ..settings("") }, &[]).unwrap_err().to_string();
    assert!(refused.contains("384000000 numbers"), "{refused}");
}
