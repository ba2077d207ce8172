//! The training loop, held against what its settings mean: closed forms, and runs that must be equal.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::Cell;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use interp_data::{Augment, DataError, Dataset, Divide, Divided, Info, Split};
use interp_learn::prior::{
    Activity, By, Decorrelated, FilterBank, GroupLasso, Grouping, Hoyer, L0, L1, Magnitude, Monotone, NonNegative,
    Prior, Rule, Scope, Slimming, State, Step, Term,
};
use interp_learn::{
    AdamW, ClassLoss, Event, Fitted, Flow, Group, Objective, Optimizer, Phase, Schedule, Sgd, Steering, Task, Train,
    Trainer, fit,
};
use interp_net::finding::{Bank, Claim};
use interp_net::{Graph, Keep, Mode, Network, Node, Op, Params, Role};

/// Pictures of one channel, each a wave of its own; three classes.
struct Waves(Info);

impl Waves {
    fn divided() -> Divided {
        let classes = ["a", "b", "c"].map(str::to_owned).to_vec();
        let (mean, std) = (vec![0.5], vec![0.25]);
        let info = Info { name: "waves".into(), classes, channels: 1, height: 4, width: 4, mean, std };
        Divided::new(Arc::new(Self(info)), &Divide::default()).unwrap()
    }
}

impl Dataset for Waves {
    fn info(&self) -> &Info {
        &self.0
    }

    fn len(&self, split: Split) -> usize {
        if split == Split::Train { 40 } else { 12 }
    }

    fn label(&self, _split: Split, index: usize) -> u32 {
        (index % 3) as u32
    }

    fn image(&self, split: Split, index: usize, out: &mut [f32]) -> Result<(), DataError> {
        let step = 0.3 + 0.7 * (index % 3) as f32 + 0.011 * index as f32 + 0.003 * split as u8 as f32;
        out.iter_mut().enumerate().for_each(|(i, value)| *value = 0.5 + 0.5 * (i as f32 * step).sin());
        Ok(())
    }
}

/// A convolution, a batch norm if asked for, and a linear map.
fn network(batch_norm: bool) -> Network {
    let mut graph = Graph::new(1, 4, 4).unwrap();
    graph.then("conv", Op::conv(6, 3, 1, 1, !batch_norm)).unwrap();
    if batch_norm {
        graph.then("norm", Op::batch_norm()).unwrap();
    }
    graph.then("relu", Op::Relu).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("head", Op::Linear { out_features: 3, bias: true }).unwrap();
    let mut net = Network::new(graph, 5).unwrap();
    // Not zero, so that it could decay.
    let bias = position(&net, "head", Role::Bias);
    net.params.set(bias, Tensor::new(&[0.3f32, -0.2, 0.1], &Device::Cpu).unwrap()).unwrap();
    net
}

/// Steps that are the gradient times the rate, and nothing else.
fn plain() -> Optimizer {
    Optimizer::Sgd(Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 })
}

fn phase(epochs: usize, learning_rate: f64) -> Phase {
    Phase { epochs, learning_rate, schedule: Schedule::Constant, ..Phase::default() }
}

/// Two steps of 20 pictures each, in one epoch.
fn two_steps() -> Train {
    Train { batch: 20, optimizer: plain(), phase: vec![phase(1, 0.1)], ..Train::default() }
}

fn steering(net: &Network, name: &str, prior: impl Prior + 'static, nodes: &str) -> Steering {
    let scope = Scope::new(net, &[nodes.to_owned()], prior.roles()).unwrap();
    Steering { name: name.into(), prior: Box::new(prior), scope }
}

fn task<'a>(
    settings: &'a Train,
    priors: &'a [Steering],
    meets: &'a dyn Fn(&Network) -> interp_learn::Result<bool>,
) -> Task<'a> {
    let data = Arc::new(Waves::divided().learning());
    let (objective, augment) = (Objective::Classify, Augment::default());
    Task { objective, settings, data, augment, priors, class_weights: None, meets, seed: 1, workers: 0 }
}

/// The values of all parameters, by position.
fn values(params: &Params) -> Vec<Vec<f32>> {
    params.list().iter().map(|p| p.value.flatten_all().unwrap().to_vec1().unwrap()).collect()
}

/// All parameters before the first step and after each, and those of the network that training gave.
fn train(settings: &Train, net: Network, priors: &[Steering]) -> (Vec<Vec<Vec<f32>>>, Vec<Vec<f32>>) {
    let (path, network) = trained(settings, net, priors);
    (path, values(&network.params))
}

/// All parameters before the first step and after each, and the network that training gave.
fn trained(settings: &Train, net: Network, priors: &[Steering]) -> (Vec<Vec<Vec<f32>>>, Box<Network>) {
    let meets = |_: &Network| Ok(true);
    let task = task(settings, priors, &meets);
    let mut trainer = Trainer::new(net, &task).unwrap();
    let mut path = vec![values(&trainer.network.params)];
    let fitted = fit(&task, &mut trainer, &mut |event, trainer| {
        if let Event::Step { .. } = event {
            path.push(values(&trainer.network.params));
        }
        Ok(Flow::Continue)
    });
    let Fitted::Done { network, .. } = fitted.unwrap() else { panic!("stopped") };
    (path, network)
}

fn position(net: &Network, node: &str, role: Role) -> usize {
    net.params.position(net.graph.id(node).unwrap(), role).unwrap()
}

/// `b - a`, all parameters after one another.
fn moved(a: &[Vec<f32>], b: &[Vec<f32>]) -> Vec<f32> {
    a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| b - a).collect()
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt()
}

fn close(a: &[f32], b: &[f32], within: f64) {
    assert_eq!(a.len(), b.len());
    let worst = a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
    assert!(worst <= within, "off by {worst}");
}

#[test]
fn accumulated_batches_make_the_step_of_one_large_batch() {
    let small = Train { batch: 10, accumulate: 2, ..two_steps() };
    let (one, _) = train(&two_steps(), network(false), &[]);
    let (two, _) = train(&small, network(false), &[]);
    assert_eq!((one.len(), two.len()), (3, 3));
    assert!(norm(&moved(&one[0], &one[2])) > 0.01);
    close(&one[2].concat(), &two[2].concat(), 1e-6);
}

#[test]
fn clipping_shortens_the_step_and_keeps_its_direction() {
    let (free, _) = train(&two_steps(), network(true), &[]);
    let long = moved(&free[0], &free[1]);
    let clip = norm(&long) / 0.1 / 4.0;
    // Statistics of the batch norm move alike; they are no part of the gradient.
    let trained: Vec<bool> = network(true).params.list().iter().map(|p| p.role.is_trained()).collect();
    let only = |path: &[Vec<Vec<f32>>]| {
        let keep = |values: &[Vec<f32>]| {
            values.iter().zip(&trained).filter(|(_, t)| **t).map(|(v, _)| v.clone()).collect::<Vec<_>>()
        };
        moved(&keep(&path[0]), &keep(&path[1]))
    };
    let long = only(&free);
    let (short, _) = train(&Train { clip, ..two_steps() }, network(true), &[]);
    let short = only(&short);
    assert!((norm(&short) - 0.1 * clip).abs() < 1e-6, "{} for {}", norm(&short), 0.1 * clip);
    let scale = (0.1 * clip / norm(&long)) as f32;
    close(&short, &long.iter().map(|v| v * scale).collect::<Vec<_>>(), 1e-6);
    let (loose, _) = train(&Train { clip: 1e3, ..two_steps() }, network(true), &[]);
    close(&only(&loose), &long, 0.0);
}

// With logits of ln 2, three of them, each class has the probability 1/2 for itself: biases go down by half of the rate each, and up
// by the rate times how often theirs is the label; -0.1 (3/2 - 1) together. A softmax would leave their sum.
#[test]
fn a_yes_or_no_for_each_class() {
    let mut net = network(false);
    let [weight, bias] = [Role::Weight, Role::Bias].map(|role| position(&net, "head", role));
    net.params.set(weight, net.params.list()[weight].value.zeros_like().unwrap()).unwrap();
    net.params.set(bias, Tensor::new(&[std::f32::consts::LN_2; 3], &Device::Cpu).unwrap()).unwrap();
    let binary = Train { loss: ClassLoss::Binary, ..two_steps() };
    let (path, _) = train(&binary, net, &[]);
    let sum = |step: usize| path[step][bias].iter().sum::<f32>();
    assert!((sum(1) - sum(0) + 0.05).abs() < 1e-6, "{}", sum(1) - sum(0));
}

#[test]
fn warm_up_starts_from_nothing() {
    let warm = Phase { warmup: 0.5, ..phase(1, 0.1) };
    let (path, _) = train(&Train { phase: vec![warm], ..two_steps() }, network(false), &[]);
    assert_eq!(path[0], path[1], "the first step is at rate 0");
    let (free, _) = train(&two_steps(), network(false), &[]);
    assert!(norm(&moved(&path[1], &path[2])) > 0.2 * norm(&moved(&free[0], &free[1])), "the second at the full rate");
}

#[test]
fn the_average_is_exponential() {
    let keep = 0.75;
    let (path, last) = train(&Train { ema: keep, ..two_steps() }, network(false), &[]);
    let [w0, w1, w2] = [0, 1, 2].map(|i| path[i].concat());
    let expected: Vec<f32> = (0..w0.len())
        .map(|i| {
            (keep * keep * f64::from(w0[i]) + keep * (1.0 - keep) * f64::from(w1[i]) + (1.0 - keep) * f64::from(w2[i]))
                as f32
        })
        .collect();
    close(&last.concat(), &expected, 1e-7);
}

/// A bank holds in averaged parameters, and in phases that it does not steer too; what is frozen starts from it.
#[test]
fn a_bank_of_filters_holds_on_every_way() {
    let on = |settings: &Train| {
        let net = network(true);
        let bank = steering(&net, "bank", FilterBank { bank: Bank::Gaussian, target: 1.0 }, "conv");
        train(settings, net, &[bank])
    };
    let wanted = interp_net::ops::banks::gaussian_derivatives(1, 3).unwrap().flatten_from(1).unwrap();
    let wanted = wanted.to_vec2::<f64>().unwrap();
    let cosines = |filters: &[f32]| {
        let cosine = |(w, filter): (&[f32], &Vec<f64>)| {
            let dot: f64 = w.iter().zip(filter).map(|(&w, f)| f64::from(w) * f).sum();
            dot / norm(w)
        };
        filters.chunks_exact(9).zip(&wanted).map(cosine).collect::<Vec<_>>()
    };
    let without = Phase { priors: Some(vec![]), ..phase(1, 0.1) };
    let frozen = Phase { freeze: vec!["conv".into()], ..phase(1, 0.1) };
    for settings in [
        Train { ema: 0.75, ..two_steps() },
        Train { phase: vec![phase(1, 0.1), without], ..two_steps() },
        Train { phase: vec![frozen], ..two_steps() },
    ] {
        let (path, last) = on(&settings);
        assert!(path.iter().chain([&last]).all(|all| cosines(&all[0]).iter().all(|c| (c - 1.0).abs() < 1e-6)));
    }
}

#[test]
fn what_is_frozen_does_not_change_and_its_statistics_neither() {
    let frozen = Phase { freeze: vec!["conv".into(), "norm".into()], ..phase(1, 0.1) };
    let (path, _) = train(&Train { phase: vec![frozen, phase(1, 0.1)], ..two_steps() }, network(true), &[]);
    let names: Vec<String> = network(true).params.list().iter().map(|p| p.name.clone()).collect();
    for (position, name) in names.iter().enumerate() {
        let is_frozen = !name.starts_with("head");
        assert_eq!(path[0][position] == path[2][position], is_frozen, "{name} in the first phase");
        assert!(path[2][position] != path[4][position], "{name} in the second");
    }
}

#[test]
fn groups_have_their_rate_and_decay() {
    let group = |rate, weight_decay| Group { nodes: vec!["head".into()], rate, weight_decay };
    let with = |group| train(&Train { group: vec![group], ..two_steps() }, network(false), &[]).0;
    let net = network(false);
    let [weight, bias, conv] = [("head", Role::Weight), ("head", Role::Bias), ("conv", Role::Weight)]
        .map(|(node, role)| position(&net, node, role));
    let (free, half, decayed) = (with(group(1.0, None)), with(group(0.5, None)), with(group(1.0, Some(0.2))));
    let step = |path: &[Vec<Vec<f32>>], at: usize| moved(&path[0][at..=at], &path[1][at..=at]);
    close(&step(&half, weight), &step(&free, weight).iter().map(|v| 0.5 * v).collect::<Vec<_>>(), 1e-7);
    assert_eq!(step(&half, conv), step(&free, conv));
    // rate * decay * w = 0.1 * 0.2 * w more, on weights only.
    let expected: Vec<f32> = step(&free, weight).iter().zip(&free[0][weight]).map(|(v, w)| v - 0.02 * w).collect();
    close(&step(&decayed, weight), &expected, 1e-7);
    assert_eq!(step(&decayed, bias), step(&free, bias));
    assert_eq!(with(group(0.0, None))[2][weight], free[0][weight]);
}

/// One step of plain descent at rate 0.1 on all pictures, from a head that gives its bias whatever it sees: how
/// the bias moved, and what was the gradient's mean over pictures, `weight(y) (softmax(bias) - target(y))`.
fn step_of_the_bias(settings: &Train, weights: Option<&[f64]>, target: impl Fn(usize, usize) -> f64) -> [Vec<f32>; 2] {
    let mut net = network(false);
    let [weight, bias] = [Role::Weight, Role::Bias].map(|role| position(&net, "head", role));
    net.params.set(weight, net.params.list()[weight].value.zeros_like().unwrap()).unwrap();
    let meets = |_: &Network| Ok(true);
    let task = Task { class_weights: weights, ..task(settings, &[], &meets) };
    let labels: Vec<usize> =
        (0..task.data.len(Split::Train)).map(|i| task.data.label(Split::Train, i) as usize).collect();
    let mut trainer = Trainer::new(net, &task).unwrap();
    let before = values(&trainer.network.params)[bias].clone();
    fit(&task, &mut trainer, &mut |_, _| Ok(Flow::Continue)).unwrap();
    let after = values(&trainer.network.params)[bias].clone();
    let moved = after.iter().zip(&before).map(|(after, before)| after - before);
    let powers: Vec<f64> = before.iter().map(|&b| f64::from(b).exp()).collect();
    let weight = |label: usize| weights.map_or(1.0, |weights| weights[label]);
    let all: f64 = labels.iter().map(|&label| weight(label)).sum();
    let gradient = |class: usize| {
        let softmax = powers[class] / powers.iter().sum::<f64>();
        labels.iter().map(|&label| weight(label) * (softmax - target(label, class))).sum::<f64>() / all
    };
    [moved.collect(), (0..3).map(|class| (-0.1 * gradient(class)) as f32).collect()]
}

/// All 40 training pictures in one step.
fn one_step() -> Train {
    Train { batch: 40, ..two_steps() }
}

fn hot(label: usize, class: usize) -> f64 {
    f64::from(u8::from(label == class))
}

#[test]
fn smoothed_labels_are_spread_over_all_classes() {
    let settings = Train { label_smoothing: 0.3, ..one_step() };
    let [moved, expected] = step_of_the_bias(&settings, None, |label, class| 0.7 * hot(label, class) + 0.1);
    close(&moved, &expected, 1e-7);
}

#[test]
fn classes_weigh_in_the_loss_as_they_are_told_to() {
    let [moved, expected] = step_of_the_bias(&one_step(), Some(&[0.5, 3.0, 1.0]), hot);
    close(&moved, &expected, 1e-7);
}

// w - rate (g + decay w), and w - rate g for all that is no weight.
#[test]
fn weights_decay_and_norms_and_biases_do_not() {
    let mut net = network(true);
    let shift = position(&net, "norm", Role::Shift);
    net.params.set(shift, net.params.list()[shift].value.ones_like().unwrap()).unwrap();
    let with = |weight_decay| {
        let optimizer = Optimizer::Sgd(Sgd { momentum: 0.0, nesterov: false, weight_decay });
        train(&Train { optimizer, ..one_step() }, net.clone(), &[]).0
    };
    let (free, decayed) = (with(0.0), with(0.4));
    for (position, param) in net.params.list().iter().enumerate() {
        let decay = if param.role == Role::Weight { 0.1 * 0.4 } else { 0.0 };
        let expected: Vec<f32> =
            free[1][position].iter().zip(&free[0][position]).map(|(w, w0)| w - decay * w0).collect();
        assert!(norm(&free[0][position]) > 0.1 || param.role == Role::RunningMean, "{} can decay", param.name);
        close(&decayed[1][position], &expected, 1e-7);
    }
}

fn zeros(values: &[f32]) -> usize {
    values.iter().filter(|v| **v == 0.0).count()
}

/// The first step, counted from 1, after which the prior `few` holds its zeros.
fn first_held(settings: &Train, net: Network, priors: &[Steering]) -> Option<usize> {
    let meets = |_: &Network| Ok(true);
    let task = task(settings, priors, &meets);
    let mut trainer = Trainer::new(net, &task).unwrap();
    let mut held = vec![];
    let look = &mut |event: &Event, trainer: &Trainer| {
        if let Event::Step { .. } = event {
            held.push(trainer.prior_numbers(&task).contains_key("few.held"));
        }
        Ok(Flow::Continue)
    };
    fit(&task, &mut trainer, look).unwrap();
    let first = held.iter().position(|held| *held)?;
    assert!(held[first..].iter().all(|held| *held), "{held:?}");
    Some(first + 1)
}

#[test]
fn priors_steer_in_their_phases_and_hold_in_all() {
    let net = network(true);
    let conv = position(&net, "conv", Role::Weight);
    let l1 = L1 { strength: 0.5, target: Some(0.5), ..L1::default() };
    let priors = [steering(&net, "few", l1, "conv")];
    let off = |rate| Phase { priors: Some(vec![]), ..phase(1, rate) };
    let phases = vec![off(0.1), phase(2, 0.1), off(0.1)];
    let settings = Train { batch: 4, phase: phases, ..two_steps() };
    let (path, last) = train(&settings, net.clone(), &priors);
    let count: Vec<usize> = path.iter().map(|values| zeros(&values[conv])).collect();
    let all = path[0][conv].len();
    assert_eq!(count[10], 0, "not in the first phase");
    // After ten steps of the first phase, 20 steps in which it steers: held from the 12th of these on.
    assert_eq!(first_held(&settings, net, &priors), Some(22));
    assert!(count[22..].iter().all(|&zeros| zeros == count[22] && zeros >= all / 2), "{count:?}");
    let held: Vec<usize> = (0..all).filter(|&i| path[22][conv][i] == 0.0).collect();
    assert!(held.iter().all(|&i| path[40][conv][i] == 0.0 && last[conv][i] == 0.0), "the same ones to the end");
}

#[test]
fn non_negative_weights_are_so_at_every_step_and_in_the_average() {
    let net = network(true);
    let scope = steering(&net, "signs", NonNegative::default(), "*");
    let positions = scope.scope.positions.clone();
    let settings = Train { ema: 0.5, phase: vec![phase(2, 0.5)], ..two_steps() };
    let (path, last) = train(&settings, net, &[scope]);
    for values in path.iter().chain([&last]) {
        assert!(positions.iter().all(|&p| values[p].iter().all(|&w| w >= 0.0)));
    }
    assert!(positions.iter().any(|&p| zeros(&last[p]) > 0), "some would be negative");
}

// dw/drho = 1 - e^-w: plain gradient descent of rate r in rho, w = softplus(rho), from the same gradient.
#[test]
fn softplus_takes_its_steps_in_rho() {
    let net = network(false);
    let conv = position(&net, "conv", Role::Weight);
    let signs = || NonNegative { by: By::Softplus };
    let (path, _) = train(&two_steps(), net.clone(), &[steering(&net, "signs", signs(), "conv")]);
    let mut positive = net.clone();
    let first = Tensor::from_slice(&path[0][conv], net.params.list()[conv].value.dims(), &Device::Cpu).unwrap();
    positive.params.set(conv, first).unwrap();
    let (free, _) = train(&two_steps(), positive, &[]);
    let expected = |(&w, &stepped): (&f32, &f32)| {
        let (w, gradient) = (f64::from(w), (f64::from(w) - f64::from(stepped)) / 0.1);
        let rho = (w.exp() - 1.0).ln() - 0.1 * gradient * (1.0 - (-w).exp());
        (1.0 + rho.exp()).ln() as f32
    };
    close(&path[1][conv], &free[0][conv].iter().zip(&free[1][conv]).map(expected).collect::<Vec<_>>(), 1e-6);
    assert!(norm(&moved(&path[0][conv..=conv], &path[1][conv..=conv])) > 1e-4);
    let settings = Train { ema: 0.5, phase: vec![phase(20, 0.5)], ..two_steps() };
    let (path, last) = train(&settings, net.clone(), &[steering(&net, "signs", signs(), "conv")]);
    assert!(path.iter().chain([&last]).all(|values| values[conv].iter().all(|&w| w > 0.0)));
}

#[test]
fn l0_shuts_half_of_the_filters_and_training_goes_on_without_gates() {
    let net = network(true);
    let conv = position(&net, "conv", Role::Weight);
    let settings = Train { phase: vec![phase(40, 0.1)], ..two_steps() };
    let l0 = L0 { target: 0.5, reached_at: 0.5 };
    let (path, _) = train(&settings, net.clone(), &[steering(&net, "few", l0, "conv")]);
    let zero_filters = |values: &[f32]| values.chunks(9).filter(|filter| zeros(filter) == 9).count();
    let count: Vec<usize> = path.iter().map(|values| zero_filters(&values[conv])).collect();
    assert!(count[..40].iter().all(|&zeros| zeros == 0) && count[40..].iter().all(|&zeros| zeros == 3), "{count:?}");
    let gain = position(&net, "norm", Role::Gain);
    assert_eq!((zeros(&path[80][gain]), zeros(&path[80][gain + 1])), (3, 3));
    assert!(path[41][conv] != path[80][conv]);
}

#[test]
fn activations_become_zero_and_channels_uncorrelated() {
    let net = network(true);
    let settings = Train { phase: vec![phase(60, 0.2)], ..two_steps() };
    let last = |priors: &[Steering]| {
        let (path, mut net) = trained(&settings, net.clone(), priors);
        for (position, values) in path.last().unwrap().iter().enumerate() {
            let dims = net.params.list()[position].value.dims().to_vec();
            net.params.set(position, Tensor::from_slice(values, dims, &Device::Cpu).unwrap()).unwrap();
        }
        net
    };
    let numbers = |net: &Network| {
        let tape = net.forward(&pictures(), Mode::Eval, &Keep::All).unwrap();
        let of = |name: &str| tape.get(&net.graph, name).unwrap().transpose(0, 1).unwrap().flatten_from(1).unwrap();
        let relu = of("relu").flatten_all().unwrap().to_vec1::<f32>().unwrap();
        (zeros(&relu) as f64 / relu.len() as f64, mean_squared_correlation(&of("conv").to_vec2::<f32>().unwrap()))
    };
    let (zeros_before, correlation_before) = numbers(&last(&[]));
    let activity = Activity { target: 0.9, reached_at: 0.5 };
    let (zeros_after, _) = numbers(&last(&[steering(&net, "few", activity, "relu")]));
    assert!(zeros_before < 0.7 && zeros_after >= 0.9, "{zeros_before}, {zeros_after}");
    let decorrelated = Decorrelated { target: 0.5 * correlation_before };
    let (_, correlation_after) = numbers(&last(&[steering(&net, "apart", decorrelated, "conv")]));
    assert!(correlation_after <= 0.5 * correlation_before, "{correlation_before}, {correlation_after}");
}

/// Of rows, the mean over pairs.
fn mean_squared_correlation(channels: &[Vec<f32>]) -> f64 {
    let centered = |channel: &Vec<f32>| {
        let mean = channel.iter().map(|&v| f64::from(v)).sum::<f64>() / channel.len() as f64;
        channel.iter().map(|&v| f64::from(v) - mean).collect::<Vec<_>>()
    };
    let centered: Vec<Vec<f64>> = channels.iter().map(centered).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let pairs = (0..centered.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
    let squares =
        pairs.map(|(i, j)| (&centered[i], &centered[j])).map(|(a, b)| dot(a, b).powi(2) / (dot(a, a) * dot(b, b)));
    squares.sum::<f64>() / (channels.len() * (channels.len() - 1) / 2) as f64
}

/// A network with projected weights, and these weights after a step without priors.
fn step_from_projected(settings: &Train) -> (Network, Vec<f32>) {
    let mut net = network(false);
    let conv = position(&net, "conv", Role::Weight);
    net.params.set(conv, net.params.list()[conv].value.relu().unwrap()).unwrap();
    let (path, _) = train(settings, net.clone(), &[]);
    (net, path[1][conv].clone())
}

// adhoc b.3: "non-negative variant: first max(w, 0), then shrink".
#[test]
fn what_is_projected_is_so_before_it_is_shrunk() {
    let (net, free) = step_from_projected(&two_steps());
    let conv = position(&net, "conv", Role::Weight);
    let lasso = GroupLasso { strength: 0.2, ..GroupLasso::default() };
    let priors = [steering(&net, "groups", lasso, "conv"), steering(&net, "signs", NonNegative::default(), "conv")];
    let (path, _) = train(&two_steps(), net, &priors);
    let projected: Vec<f32> = free.iter().map(|w| w.max(0.0)).collect();
    assert!(free.iter().any(|w| *w < -1e-4), "else the order would not matter");
    // rate * strength * sqrt(d), d = 9 weights in a filter; the largest filter stays as it is.
    let largest = projected.chunks(9).map(norm).fold(0.0, f64::max);
    let factor = |norm: f64| if norm == largest { 1.0 } else { (1.0 - 0.1 * 0.2 * 3.0 / norm).max(0.0) };
    let shrunk = |filter: &[f32]| filter.iter().map(|w| w * factor(norm(filter)) as f32).collect::<Vec<_>>();
    close(&path[1][conv], &projected.chunks(9).flat_map(shrunk).collect::<Vec<_>>(), 1e-6);
}

#[test]
fn what_is_projected_counts_as_zero_for_the_target() {
    let settings = Train { phase: vec![phase(1, 5.0)], ..two_steps() };
    let (net, free) = step_from_projected(&settings);
    let conv = position(&net, "conv", Role::Weight);
    let few = L1 { strength: 1e-9, target: Some(0.6), reached_at: 0.4, ..L1::default() };
    let priors = [steering(&net, "few", few, "conv"), steering(&net, "signs", NonNegative::default(), "conv")];
    let (path, _) = train(&settings, net, &priors);
    // ceil(0.6 * 54): of the weights above zero only as many are made zero as are missing.
    assert!((1..33).contains(&free.iter().filter(|w| **w <= 0.0).count()), "{free:?}");
    assert_eq!(zeros(&path[1][conv]), 33);
}

/// `(sum |w|)^2 / sum w^2`.
fn hoyer_square(w: &[f64]) -> f64 {
    w.iter().map(|w| w.abs()).sum::<f64>().powi(2) / w.iter().map(|w| w * w).sum::<f64>()
}

// w - rate (g + strength dH/dw), the derivative by differences; then the smallest are zero for good.
#[test]
fn hoyer_square_is_part_of_the_step_until_its_target_is_due() {
    let net = network(true);
    let conv = position(&net, "conv", Role::Weight);
    let settings = Train { phase: vec![phase(2, 0.1)], ..two_steps() };
    let hoyer = Hoyer { strength: 0.01, target: Some(0.7), reached_at: 0.5 };
    let (free, _) = train(&settings, net.clone(), &[]);
    let (path, last) = train(&settings, net.clone(), &[steering(&net, "few", hoyer, "conv")]);
    let first: Vec<f64> = free[0][conv].iter().map(|&w| f64::from(w)).collect();
    let slope = |i: usize| {
        let moved = |by: f64| {
            let mut w = first.clone();
            w[i] += by;
            hoyer_square(&w)
        };
        (moved(1e-6) - moved(-1e-6)) / 2e-6
    };
    let expected: Vec<f32> =
        free[1][conv].iter().enumerate().map(|(i, w)| w - (0.1 * 0.01 * slope(i)) as f32).collect();
    assert!(norm(&moved(std::slice::from_ref(&expected), &free[1][conv..=conv])) > 0.01);
    close(&path[1][conv], &expected, 1e-6);
    // ceil(0.7 * 54), from the second of four steps on.
    let count: Vec<usize> = path.iter().map(|values| zeros(&values[conv])).collect();
    assert_eq!(count, [0, 0, 38, 38, 38]);
    assert_eq!(zeros(&last[conv]), 38);
}

#[test]
fn slimming_leaves_a_gain_and_makes_the_other_channels_constant() {
    let net = network(true);
    let [gain, shift] = [Role::Gain, Role::Shift].map(|role| position(&net, "norm", role));
    let slimming = Slimming { strength: 1e-3, target: Some(0.8), ..Slimming::default() };
    let settings = Train { phase: vec![phase(2, 0.1)], ..two_steps() };
    let (path, found) = trained(&settings, net.clone(), &[steering(&net, "slim", slimming, "norm")]);
    // A strength that takes none to zero by itself: what the ramp asks for, of six gains, at 0.25 / 0.6 of the way
    // 6 * 0.8 (1 - 0.583^3) = 3.8, at 0.5 / 0.6 of it 4.8, and at its end 4.8.
    let count: Vec<usize> = path.iter().map(|values| zeros(&values[gain])).collect();
    assert_eq!(count, [0, 4, 5, 5, 5]);
    let x = Tensor::rand(-1f32, 1.0, (2, 1, 4, 4), &Device::Cpu).unwrap();
    let tape = found.forward(&x, Mode::Eval, &Keep::All).unwrap();
    let seen = tape.at(&found.graph, found.graph.id("norm").unwrap()).unwrap();
    let channels = seen.transpose(0, 1).unwrap().flatten_from(1).unwrap().to_vec2::<f32>().unwrap();
    let found = values(&found.params);
    for ((channel, gain), shift) in channels.iter().zip(&found[gain]).zip(&found[shift]) {
        assert_eq!(*gain == 0.0, channel.iter().all(|value| value == shift));
    }
}

#[test]
fn the_best_is_chosen_among_those_that_meet_the_claims() {
    let settings = Train { phase: vec![phase(5, 0.3)], ..two_steps() };
    // Of five epochs, the second and third meet the claims.
    let epoch = Cell::new(0);
    let meets = |_: &Network| {
        epoch.set(epoch.get() + 1);
        Ok([2, 3].contains(&epoch.get()))
    };
    let task = task(&settings, &[], &meets);
    let mut trainer = Trainer::new(network(false), &task).unwrap();
    let (mut scores, mut kept) = (vec![], vec![]);
    let fitted = fit(&task, &mut trainer, &mut |event, trainer| {
        if let Event::Epoch { validation, .. } = event {
            scores.push((validation.score.value(), -validation.loss));
            kept.push(values(&trainer.network.params));
        }
        Ok(Flow::Continue)
    });
    let Fitted::Done { network, epoch } = fitted.unwrap() else { panic!("stopped") };
    let expected = if scores[2] > scores[1] { 3 } else { 2 };
    assert_eq!(epoch, expected, "{scores:?}");
    assert_eq!(values(&network.params), kept[expected - 1]);
}

#[test]
fn without_a_claim_nothing_is_chosen_before_a_prior_has_done_its_work() {
    // Trained first, so that what shrinks the weights makes the network worse.
    let (_, dense) = trained(&Train { phase: vec![phase(20, 0.5)], ..two_steps() }, network(false), &[]);
    let priors = [steering(&dense, "l1", L1 { strength: 0.5, ..L1::default() }, "*")];
    let off = Phase { priors: Some(vec![]), ..phase(2, 0.01) };
    let settings = Train { phase: vec![phase(3, 0.1), off], ..two_steps() };
    let meets = |_: &Network| Ok(true);
    let task = task(&settings, &priors, &meets);
    let mut trainer = Trainer::new(*dense, &task).unwrap();
    let mut scores = vec![];
    let fitted = fit(&task, &mut trainer, &mut |event, _| {
        if let Event::Epoch { validation, .. } = event {
            scores.push((validation.score.value(), -validation.loss));
        }
        Ok(Flow::Continue)
    });
    let Fitted::Done { epoch, .. } = fitted.unwrap() else { panic!("stopped") };
    let best = |from: usize| (from..=5).max_by(|&a, &b| scores[a - 1].partial_cmp(&scores[b - 1]).unwrap()).unwrap();
    assert!(best(1) < 3, "else the rule would not matter: {scores:?}");
    assert_eq!(epoch, best(3), "{scores:?}");
}

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

/// A penalty on weights and on the output: `decay / 2 sum w^2`, and `lift` times the mean over pictures of
/// the sum of the logits.
struct Penalty {
    decay: f64,
    lift: f64,
}

impl Prior for Penalty {
    fn penalty(&self, step: &Step<'_>, scope: &Scope, _state: &mut State) -> interp_learn::Result<Option<Term>> {
        let mut term = Term { value: 1.0, ..Term::default() };
        for &position in &scope.positions {
            term.params.push((position, (&step.net.params.list()[position].value * self.decay)?));
        }
        let logits = step.tape.output(&step.net.graph)?;
        let share = self.lift / logits.dim(0)? as f64;
        term.nodes.push((step.net.graph.output(), (logits.ones_like()? * share)?));
        Ok(Some(term))
    }

    fn claims(&self, _scope: &Scope) -> Vec<Claim> {
        vec![]
    }
}

#[test]
fn penalties_reach_weights_and_activations() {
    let settings = Train { batch: 10, accumulate: 2, ..two_steps() };
    let with = |decay, lift| {
        let net = network(false);
        let prior = steering(&net, "penalty", Penalty { decay, lift }, "*");
        train(&settings, net, &[prior]).0
    };
    // A penalty on the squares is the weight decay of plain gradient descent.
    let optimizer = Optimizer::Sgd(Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.3 });
    let (decayed, _) = train(&Train { optimizer, ..settings.clone() }, network(false), &[]);
    close(&with(0.3, 0.0)[2].concat(), &decayed[2].concat(), 1e-7);
    // The derivative of the mean sum of the logits by each of the head's biases is 1.
    let bias = position(&network(false), "head", Role::Bias);
    let (free, lifted) = (with(0.0, 0.0), with(0.0, 0.5));
    let expected: Vec<f32> = free[1][bias].iter().map(|b| b - 0.1 * 0.5).collect();
    close(&lifted[1][bias], &expected, 1e-7);
}

/// The pictures to train on, normalized.
fn pictures() -> Tensor {
    let data = Waves::divided().examining();
    let mut pictures = vec![0.0; 40 * 16];
    pictures.chunks_mut(16).enumerate().for_each(|(i, out)| data.image(Split::Train, i, out).unwrap());
    pictures.iter_mut().for_each(|value| *value = (*value - 0.5) / 0.25);
    Tensor::from_vec(pictures, (40, 1, 4, 4), &Device::Cpu).unwrap()
}

#[test]
fn statistics_are_measured_anew_for_averaged_weights() {
    let settings = Train { batch: 40, ema: 0.5, phase: vec![phase(3, 0.3)], ..two_steps() };
    let (path, net) = trained(&settings, network(true), &[]);
    let tape = net.forward(&pictures(), Mode::Eval, &Keep::All).unwrap();
    let seen = tape.at(&net.graph, net.graph.id("conv").unwrap()).unwrap();
    let channels = seen.transpose(0, 1).unwrap().flatten_from(1).unwrap().to_vec2::<f32>().unwrap();
    let moments = |values: &Vec<f32>| {
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        let square = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>();
        (mean as f32, (square / (values.len() - 1) as f64) as f32)
    };
    let (means, variances): (Vec<f32>, Vec<f32>) = channels.iter().map(moments).unzip();
    let found = values(&net.params);
    let [mean, variance] = [Role::RunningMean, Role::RunningVariance].map(|role| position(&net, "norm", role));
    close(&found[mean], &means, 1e-5);
    close(&found[variance], &variances, 1e-5);
    assert!(path[3][mean] != found[mean], "those seen in training are others");
}

#[test]
fn epochs_in_which_all_of_a_priors_layers_are_frozen_do_not_count() {
    let net = network(true);
    let conv = position(&net, "conv", Role::Weight);
    let l1 = L1 { target: Some(0.5), reached_at: 0.9, ..L1::default() };
    let priors = [steering(&net, "few", l1, "conv")];
    let frozen = Phase { freeze: vec!["conv".into()], ..phase(2, 0.1) };
    let settings = Train { batch: 4, phase: vec![phase(1, 0.1), frozen], ..two_steps() };
    let (path, last) = train(&settings, net.clone(), &priors);
    // Of the ten steps before the freeze the ninth reaches the target.
    assert_eq!(first_held(&settings, net, &priors), Some(9));
    assert!(zeros(&path[9][conv]) >= path[0][conv].len() / 2 && path[10][conv] == last[conv]);
}

/// A change of the structure: what its first node gives goes through a batch norm of its own.
struct Normed;

impl Prior for Normed {
    fn prepare(&self, net: &mut Network, scope: &Scope) -> interp_learn::Result<State> {
        let at = scope.nodes[0] + 1;
        let mut nodes: Vec<Node> = net.graph.clone().into();
        nodes[at..].iter_mut().flat_map(|n| &mut n.inputs).filter(|i| **i + 1 >= at).for_each(|i| *i += 1);
        nodes.insert(at, Node { name: "inserted".into(), op: Op::batch_norm(), inputs: vec![at - 1] });
        let mut changed = Network::new(Graph::try_from(nodes)?, 0)?;
        for param in net.params.list() {
            let same = changed.params.list().iter().position(|p| p.name == param.name);
            changed.params.set(same.unwrap(), param.value.clone())?;
        }
        *net = changed;
        Ok(State::default())
    }

    fn claims(&self, _scope: &Scope) -> Vec<Claim> {
        vec![]
    }
}

#[test]
fn a_prior_may_change_the_structure_and_others_find_their_nodes() {
    let few = L1 { target: Some(0.5), reached_at: 0.5, ..L1::default() };
    let net = network(false);
    let priors = [steering(&net, "normed", Normed, "conv"), steering(&net, "few", few, "head")];
    let settings = Train { phase: vec![phase(2, 0.1)], ..two_steps() };
    let (_, found) = trained(&settings, net, &priors);
    assert_eq!(found.graph.id("inserted").unwrap(), 2);
    let zeros_of = |node, role| zeros(&values(&found.params)[position(&found, node, role)]);
    assert_eq!(zeros_of("head", Role::Weight), 9, "half of the weights that the second prior acts on");
    assert_eq!((zeros_of("conv", Role::Weight), zeros_of("inserted", Role::Gain)), (0, 0));
    let meets = |_: &Network| Ok(true);
    let task = task(&settings, &priors, &meets);
    let trainer = Trainer::new(network(false), &task).unwrap();
    let (snapshot, tensors) = trainer.save(&task).unwrap();
    let again = Trainer::load(network(false), &task, snapshot, &tensors).unwrap();
    assert_eq!(values(&again.network.params), values(&trainer.network.params));
}

/// A soft threshold of 0.05 in place of the ReLU, small enough to be left in a step.
fn shrinking() -> Network {
    let mut graph = Graph::new(1, 4, 4).unwrap();
    graph.then("conv", Op::conv(6, 3, 1, 1, true)).unwrap();
    graph.then("shrink", Op::soft_threshold(0.05)).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("head", Op::Linear { out_features: 3, bias: true }).unwrap();
    Network::new(graph, 5).unwrap()
}

// A step is linear in the learning rate: what a small one does says where a large one would end, but for the projection.
#[test]
fn thresholds_are_projected_to_zero_and_above() {
    let at = position(&shrinking(), "shrink", Role::Threshold);
    let first_step = |rate: f64| {
        let settings = Train { phase: vec![phase(1, rate)], ..two_steps() };
        let (path, _) = train(&settings, shrinking(), &[]);
        (path[0][at].clone(), path[1][at].clone())
    };
    let (start, small) = first_step(1e-2);
    let expected: Vec<f32> = start.iter().zip(&small).map(|(a, b)| (a + 400.0 * (b - a)).max(0.0)).collect();
    let (_, large) = first_step(4.0);
    close(&large, &expected, 1e-4);
    let zeros = large.iter().filter(|theta| **theta == 0.0).count();
    assert!(zeros > 0 && zeros < large.len(), "both sides are seen: {large:?}");
}

#[test]
fn averaged_thresholds_are_projected_too() {
    let mut net = shrinking();
    let at = position(&net, "shrink", Role::Threshold);
    net.params.set(at, Tensor::new(&[-0.5f32, 0.1, 0.2, 0.3, 0.4, 0.5], &Device::Cpu).unwrap()).unwrap();
    let settings = Train { ema: 0.5, phase: vec![phase(2, 2.0)], ..two_steps() };
    let (path, saved) = train(&settings, net, &[]);
    assert!(path.iter().flat_map(|step| &step[at]).chain(&saved[at]).all(|&theta| theta >= 0.0));
}

/// Two numbers in [0, 1] as pictures of one pixel: of the second class where the first is over a half, with wrong labels where it
/// is over 0.7 and below 0.9.
struct Noisy(Info);

impl Noisy {
    fn numbers(split: Split, index: usize) -> [f32; 2] {
        [0.618_034, 0.414_214].map(|step| ((index + 60 * split as usize) as f32 * step).fract())
    }
}

impl Dataset for Noisy {
    fn info(&self) -> &Info {
        &self.0
    }

    fn len(&self, split: Split) -> usize {
        if split == Split::Train { 60 } else { 12 }
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        let first = Self::numbers(split, index)[0];
        u32::from(first > 0.5 && !(0.7..0.9).contains(&first))
    }

    fn image(&self, split: Split, index: usize, out: &mut [f32]) -> Result<(), DataError> {
        out.copy_from_slice(&Self::numbers(split, index));
        Ok(())
    }
}

/// Of neighbors on a grid along the first number, for several second ones, how many have a falling logit of the second class.
fn falls(net: &Network) -> usize {
    let grid: Vec<f32> = (0..5).flat_map(|v| (0..=50).flat_map(move |u| [u as f32 / 50.0, v as f32 / 4.0])).collect();
    let x = Tensor::from_vec(grid, (5 * 51, 2, 1, 1), &Device::Cpu).unwrap();
    let tape = net.forward(&x, Mode::Eval, &Keep::Output).unwrap();
    let logits: Vec<Vec<f32>> = tape.output(&net.graph).unwrap().to_vec2().unwrap();
    logits.chunks(51).map(|row| row.windows(2).filter(|pair| pair[1][1] < pair[0][1] - 1e-6).count()).sum()
}

// Free units fit the wrong labels too, for which the logit has to fall.
#[test]
fn a_monotone_network_does_not_follow_noise_where_a_free_one_does() {
    let mut graph = Graph::new(2, 1, 1).unwrap();
    graph.then("numbers", Op::AdaptiveAvgPool { size: [1; 2] }).unwrap();
    graph.then("hidden", Op::conv(32, 1, 1, 0, true)).unwrap();
    graph.then("relu", Op::Relu).unwrap();
    graph.then("votes", Op::conv(2, 1, 1, 0, true)).unwrap();
    graph.then("logits", Op::GlobalAvgPool).unwrap();
    let net = Network::new(graph, 2).unwrap();
    let classes = ["low", "high"].map(str::to_owned).to_vec();
    let info =
        Info { name: "noisy".into(), classes, channels: 2, height: 1, width: 1, mean: vec![0.0; 2], std: vec![1.0; 2] };
    let data = Arc::new(Divided::new(Arc::new(Noisy(info)), &Divide::default()).unwrap().learning());
    let adam = Optimizer::AdamW(AdamW { weight_decay: 0.0, ..AdamW::default() });
    let settings = Train { batch: 20, optimizer: adam, phase: vec![phase(150, 0.05)], ..Train::default() };
    let rule = Rule { outputs: vec![1], rises_with: vec![0], falls_with: vec![] };
    let monotone = [steering(&net, "monotone", Monotone { over: "numbers".into(), rules: vec![rule] }, "*")];
    let fitted = |priors: &[Steering]| {
        let meets = |_: &Network| Ok(true);
        let task = Task { data: data.clone(), ..task(&settings, priors, &meets) };
        let mut trainer = Trainer::new(net.clone(), &task).unwrap();
        let Fitted::Done { network, .. } = fit(&task, &mut trainer, &mut |_, _| Ok(Flow::Continue)).unwrap() else {
            panic!("stopped")
        };
        network
    };
    assert_eq!(falls(&fitted(&monotone)), 0);
    assert!(falls(&fitted(&[])) > 0);
}
