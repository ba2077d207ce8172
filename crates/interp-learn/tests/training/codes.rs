//! Networks that draw codes.

use interp_learn::prior::TotalCorrelation;
use interp_learn::{Pixels, Reconstruct};

use super::*;

/// A linear map to two codes and one back.
fn autoencoder() -> Network {
    let mut graph = Graph::new(1, 4, 4).unwrap();
    graph.then("code", Op::conv(4, 4, 1, 0, true)).unwrap();
    graph.then("codes", Op::Sample).unwrap();
    let up = Op::ConvTranspose2d {
        out_channels: 1,
        kernel: [4; 2],
        stride: [1; 2],
        padding: [0; 2],
        output_padding: [0; 2],
        dilation: [1; 2],
        groups: 1,
        bias: true,
    };
    graph.then("pictures", up).unwrap();
    Network::new(graph, 5).unwrap()
}

fn settings(accumulate: usize) -> Train {
    let optimizer = Optimizer::AdamW(AdamW::default());
    Train { batch: 5, accumulate, optimizer, phase: vec![phase(2, 0.01)], ..Train::default() }
}

/// The task of making the waves again.
fn again<'a>(settings: &'a Train, priors: &'a [Steering], seed: u64) -> Task<'a> {
    let objective = Objective::Reconstruct(Reconstruct { pixels: Pixels::Normal { deviation: 0.2 } });
    Task { objective, seed, ..task(settings, priors, &|_| Ok(true)) }
}

fn independent() -> [Steering; 1] {
    [steering(&autoencoder(), "apart", TotalCorrelation { beta: 3.0 }, "codes")]
}

fn end(task: &Task<'_>, trainer: &mut Trainer) -> Vec<Vec<f32>> {
    let fitted = fit(task, trainer, &mut |_, _| Ok(Flow::Continue)).unwrap();
    let Fitted::Done { network, .. } = fitted else { panic!("stopped") };
    values(&network.params)
}

#[test]
fn what_is_drawn_does_not_depend_on_threads_or_on_a_stop() {
    let (settings, priors) = (settings(2), independent());
    let task = again(&settings, &priors, 1);
    let whole = end(&task, &mut Trainer::new(autoencoder(), &task).unwrap());
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let ended = pool.install(|| {
            let task = again(&settings, &priors, 1);
            end(&task, &mut Trainer::new(autoencoder(), &task).unwrap())
        });
        assert!(ended == whole, "{threads}");
    }
    for stop in 1..8 {
        let (mut trainer, mut done) = (Trainer::new(autoencoder(), &task).unwrap(), 0);
        let mut until = |event: &Event, _: &Trainer| {
            done += usize::from(matches!(event, Event::Step { .. }));
            Ok(if done == stop { Flow::Stop } else { Flow::Continue })
        };
        assert!(matches!(fit(&task, &mut trainer, &mut until).unwrap(), Fitted::Stopped));
        let (snapshot, tensors) = trainer.save(&task).unwrap();
        let snapshot = serde_json::from_str(&serde_json::to_string(&snapshot).unwrap()).unwrap();
        let mut later = Trainer::load(autoencoder(), &task, snapshot, &tensors).unwrap();
        assert!(end(&task, &mut later) == whole, "stopped after {stop} steps");
    }
}

/// Of the same pictures in the same order, other draws.
#[test]
fn another_seed_draws_otherwise() {
    let settings = Train { batch: 40, ..settings(1) };
    let ended = |seed: u64| {
        let task = again(&settings, &[], seed);
        end(&task, &mut Trainer::new(autoencoder(), &task).unwrap())
    };
    assert_eq!(ended(1), ended(1));
    assert_ne!(ended(1), ended(2));
}

/// Two codes are enough for three kinds of waves to be told apart.
#[test]
fn the_loss_falls_and_pictures_come_nearer() {
    let settings = Train { batch: 20, phase: vec![phase(60, 0.01)], ..settings(1) };
    let task = again(&settings, &[], 1);
    let mut scores = vec![];
    let mut note = |event: &Event, _: &Trainer| {
        if let Event::Epoch { validation, .. } = event {
            scores.push((validation.loss, validation.score.value()));
        }
        Ok(Flow::Continue)
    };
    fit(&task, &mut Trainer::new(autoencoder(), &task).unwrap(), &mut note).unwrap();
    let ((first, least), (last, most)) = (scores[0], scores[scores.len() - 1]);
    assert!(last < 0.8 * first && most > least + 1.0, "{first} to {last}, {least} to {most} dB");
}
