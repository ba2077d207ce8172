//! Priors that make weights, filters and activations zero, or channels differ.

use super::*;

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

/// At every eighth step filters are turned, however many batches make up a step: here eight, so that of three steps the first alone does.
#[test]
fn filters_are_turned_by_steps_and_not_by_batches() {
    let net = network(false);
    let phase = vec![phase(3, 1e-6)]; // What the loss does is next to nothing.
    let settings = Train { batch: 5, accumulate: 8, optimizer: plain(), phase, ..Train::default() };
    let apart = [steering(&net, "apart", Decorrelated { target: 0.01 }, "conv")];
    let (path, _) = train(&settings, network(false), &apart);
    let turned: Vec<f64> = path.windows(2).map(|pair| norm(&moved(&pair[0], &pair[1]))).collect();
    assert!(turned.len() == 3 && turned[0] > 1e-3 && turned[1..].iter().all(|step| *step < 1e-4), "{turned:?}");
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
