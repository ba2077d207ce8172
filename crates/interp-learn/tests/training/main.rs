//! The training loop, held against what its settings mean: closed forms, and runs that must be equal.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod additions;
mod codes;
mod constraints;
mod filters;
mod losses;
mod phases;
mod pushes;
mod resuming;
mod sparsity;
mod steps;
mod teachers;

use std::cell::Cell;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use interp_data::{Augment, DataError, Dataset, Divide, Divided, Info, Split};
use interp_learn::prior::{
    Activity, By, ClassFilters, Decorrelated, FilterBank, GroupLasso, Grouping, Hoyer, L0, L1, Magnitude, Monotone,
    NonNegative, PartFilters, Prior, Rule, Scope, Slimming, State, Step, Term,
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
    Task { objective, settings, data, augment, priors, teachers: &[], class_weights: None, meets, seed: 1, workers: 0 }
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

/// All 40 training pictures in one step.
fn one_step() -> Train {
    Train { batch: 40, ..two_steps() }
}

fn zeros(values: &[f32]) -> usize {
    values.iter().filter(|v| **v == 0.0).count()
}

/// The pictures to train on, normalized.
fn pictures() -> Tensor {
    let data = Waves::divided().examining();
    let mut pictures = vec![0.0; 40 * 16];
    pictures.chunks_mut(16).enumerate().for_each(|(i, out)| data.image(Split::Train, i, out).unwrap());
    pictures.iter_mut().for_each(|value| *value = (*value - 0.5) / 0.25);
    Tensor::from_vec(pictures, (40, 1, 4, 4), &Device::Cpu).unwrap()
}
