//! Layers of prototypes in the training loop: pushes, and goings on.

use interp_data::Loader;
use interp_learn::insert::{Insertion, PipNet, Prototypes, Site};

use super::*;

/// A network with a layer, and what steers it.
fn inserted(insertion: &dyn Insertion) -> (Network, Vec<Steering>) {
    let plain = network(true);
    let site = Site {
        graph: &plain.graph,
        after: plain.graph.id("relu").unwrap(),
        name: "layer",
        classes: 3,
        class_names: &[],
        annotations: None,
    };
    let mut net = plain.with_structure(insertion.graph(&site).unwrap(), 3).unwrap();
    insertion.start(&mut net, "layer", 4).unwrap();
    let companion = insertion.companion(&site).unwrap();
    let scope = Scope::of_prior(&net, &companion.nodes, &*companion.prior).unwrap();
    (net, vec![Steering { name: "layer".into(), prior: companion.prior, scope }])
}

fn prototypes() -> Prototypes {
    toml::from_str("per_class = 2\nchannels = 4\nsparse = 0.01\ndiversity = 0.1").unwrap()
}

/// An epoch that ends with a push, and one of the last layer alone.
fn two_phases() -> Train {
    let still = ["conv", "norm", "layer.embed.*", "layer.map"].map(String::from).to_vec();
    let first = Phase { freeze: vec!["layer.classes".into()], push: true, ..phase(1, 0.02) };
    Train {
        batch: 10,
        label_weight: 1.0,
        optimizer: Optimizer::AdamW(AdamW::default()),
        phase: vec![first, Phase { freeze: still, ..phase(1, 0.02) }],
        ..Train::default()
    }
}

/// After the push prototypes stay, and each is at no distance from a place of a training picture of its class; the network that is chosen comes after it.
#[test]
fn a_phase_ends_with_a_push() {
    let (net, priors) = inserted(&prototypes());
    let at = position(&net, "layer.map", Role::Weight);
    let (path, last) = trained(&two_phases(), net, &priors);
    let (steps, pushed) = ((path.len() - 1) / 2, values(&last.params)[at].clone());
    assert!(path[steps][at] != pushed, "the push comes after the last step of its phase");
    assert!(path[steps + 1..].iter().all(|values| values[at] == pushed), "and holds in the next");
    let data = Arc::new(Waves::divided().learning());
    let mut best = vec![f32::MIN; 6];
    for batch in Loader::new(data.clone(), Split::Train, 7, 0, Augment::default(), 0).unwrap().in_order(None) {
        let batch = batch.unwrap();
        let x = interp_learn::to_tensor(&batch, data.info()).unwrap();
        let tape = last.forward(&x, Mode::Eval, &Keep::All).unwrap();
        let rows: Vec<Vec<f32>> = tape.get(&last.graph, "layer").unwrap().flatten_from(1).unwrap().to_vec2().unwrap();
        for (row, label) in rows.iter().zip(&batch.labels) {
            let own = (0..6).filter(|prototype| prototype / 2 == *label as usize);
            own.for_each(|prototype| best[prototype] = best[prototype].max(row[prototype]));
        }
    }
    assert!(best.iter().all(|most| (f64::from(*most) - 1e4f64.ln()).abs() < 1e-3), "{best:?}");
}

/// Prototypes are places: what decays is the embedding, and not where they are.
#[test]
fn prototypes_do_not_decay() {
    let after_a_step = |weight_decay: f64| {
        let optimizer = Optimizer::Sgd(Sgd { momentum: 0.0, nesterov: false, weight_decay });
        let settings =
            Train { batch: 10, label_weight: 1.0, optimizer, phase: vec![phase(1, 0.02)], ..Train::default() };
        let (net, priors) = inserted(&prototypes());
        let at = ["layer.map", "layer.embed.0"].map(|node| position(&net, node, Role::Weight));
        let (path, _) = train(&settings, net, &priors);
        at.map(|at| path[1][at].clone())
    };
    let ([free, embedded], [decayed, shrunk]) = (after_a_step(0.0), after_a_step(0.3));
    assert!(free == decayed && embedded != shrunk);
}

/// Stopped after any step, the one before the push too, training ends the same.
#[test]
fn pushes_and_views_do_not_depend_on_stops() {
    let pipnet: PipNet = toml::from_str("pretrain = 0.3").unwrap();
    let all: [(&dyn Insertion, Train); 2] = [
        (&prototypes(), two_phases()),
        (&pipnet, Train { batch: 10, label_weight: 0.0, phase: vec![phase(2, 0.02)], ..Train::default() }),
    ];
    for (insertion, settings) in all {
        let (net, priors) = inserted(insertion);
        let (path, whole) = train(&settings, net, &priors);
        let meets = |_: &Network| Ok(true);
        let (net, priors) = inserted(insertion);
        let task = task(&settings, &priors, &meets);
        for stop in 1..path.len() - 1 {
            let mut trainer = Trainer::new(net.clone(), &task).unwrap();
            let mut done = 0;
            let mut until = |event: &Event, _: &Trainer| {
                done += usize::from(matches!(event, Event::Step { .. }));
                Ok(if done == stop { Flow::Stop } else { Flow::Continue })
            };
            assert!(matches!(fit(&task, &mut trainer, &mut until).unwrap(), Fitted::Stopped));
            let (snapshot, tensors) = trainer.save(&task).unwrap();
            let mut again = Trainer::load(net.clone(), &task, snapshot, &tensors).unwrap();
            let fitted = fit(&task, &mut again, &mut |_, _| Ok(Flow::Continue)).unwrap();
            let Fitted::Done { network, .. } = fitted else { panic!("stopped") };
            assert!(values(&network.params) == whole, "stopped after {stop} steps");
        }
    }
}

/// No network is chosen before the last push.
#[test]
fn what_comes_before_the_push_is_not_chosen() {
    let (net, priors) = inserted(&prototypes());
    let mut settings = two_phases();
    // Priors have done their work after the first phase; the push is after the second.
    settings.phase[0].push = false;
    settings.phase[1] = Phase { push: true, priors: Some(vec![]), ..phase(2, 0.02) };
    let meets = |_: &Network| Ok(true);
    let task = task(&settings, &priors, &meets);
    let mut trainer = Trainer::new(net, &task).unwrap();
    let mut chosen = vec![];
    let fitted = fit(&task, &mut trainer, &mut |event, trainer| {
        if let Event::Epoch { .. } = event {
            chosen.push(trainer.best.as_ref().map(|best| best.epoch));
        }
        Ok(Flow::Continue)
    });
    assert!(matches!(fitted.unwrap(), Fitted::Done { epoch: 3, .. }));
    assert_eq!(chosen, [None, None, Some(3)]);
}
