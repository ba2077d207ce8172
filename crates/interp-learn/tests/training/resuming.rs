//! A training that was saved and goes on.

use super::*;

/// Everything that has a state: average, held zeros, groups of zeros, noisy gates, buffers of either optimizer.
#[test]
fn saved_and_loaded_after_any_step_training_ends_the_same() {
    for optimizer in [Optimizer::Sgd(Sgd::default()), Optimizer::AdamW(AdamW::default())] {
        let settings = Train {
            batch: 5,
            accumulate: 2,
            ema: 0.8,
            clip: 1.0,
            optimizer,
            phase: vec![phase(1, 0.02), Phase { freeze: vec!["head".into()], ..phase(1, 0.02) }],
            ..Train::default()
        };
        let priors = || {
            let net = network(true);
            let groups =
                GroupLasso { groups: Grouping::Filters, target: Some(0.4), reached_at: 0.5, ..GroupLasso::default() };
            let l1 = L1 { target: Some(0.5), reached_at: 0.7, ..L1::default() };
            let gains = Slimming { target: Some(0.5), reached_at: 0.6, ..Slimming::default() };
            let magnitude = Magnitude { target: 0.3, per_layer: true, reached_at: 0.4 };
            let gates = L0 { target: 0.5, reached_at: 0.8 };
            let signs = NonNegative { by: By::Softplus };
            [
                steering(&net, "groups", groups, "conv"),
                steering(&net, "l1", l1, "head"),
                steering(&net, "gains", gains, "norm"),
                steering(&net, "magnitude", magnitude, "*"),
                steering(&net, "gates", gates, "conv"),
                steering(&net, "signs", signs, "head"),
                steering(&net, "activity", Activity { target: 0.8, reached_at: 0.6 }, "relu"),
                steering(&net, "apart", Decorrelated { target: 0.1 }, "conv"),
            ]
        };
        let (path, whole) = train(&settings, network(true), &priors());
        let steps = path.len() - 1;
        assert_eq!(steps, 8);
        let (priors, meets) = (priors(), |_: &Network| Ok(true));
        let task = task(&settings, &priors, &meets);
        for stop in 1..steps {
            let mut trainer = Trainer::new(network(true), &task).unwrap();
            let mut done = 0;
            let mut until = |event: &Event, _: &Trainer| {
                done += usize::from(matches!(event, Event::Step { .. }));
                Ok(if done == stop { Flow::Stop } else { Flow::Continue })
            };
            assert!(matches!(fit(&task, &mut trainer, &mut until).unwrap(), Fitted::Stopped));
            let (snapshot, tensors) = trainer.save(&task).unwrap();
            let text = serde_json::to_string(&snapshot).unwrap();
            let snapshot = serde_json::from_str(&text).unwrap();
            let mut again = Trainer::load(network(true), &task, snapshot, &tensors).unwrap();
            let fitted = fit(&task, &mut again, &mut |_, _| Ok(Flow::Continue)).unwrap();
            let Fitted::Done { network, .. } = fitted else { panic!("stopped") };
            assert!(values(&network.params) == whole, "stopped after {stop} steps");
        }
    }
}
