//! Priors that hold at every step: banks, signs, thresholds, monotonicity.

use super::*;

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

/// A network with projected weights, and these weights after a step without priors.
fn step_from_projected(settings: &Train) -> (Network, Vec<f32>) {
    let mut net = network(false);
    let conv = position(&net, "conv", Role::Weight);
    net.params.set(conv, net.params.list()[conv].value.relu().unwrap()).unwrap();
    let (path, _) = train(settings, net.clone(), &[]);
    (net, path[1][conv].clone())
}

// The non-negative variant: first max(w, 0), then lengths shrink.
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
