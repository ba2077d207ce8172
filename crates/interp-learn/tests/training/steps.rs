//! What a step does: batches, clipping, rates, decay, averages.

use super::*;

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
    let group = |rate, weight_decay| Group { nodes: vec!["head".into()], rate, weight_decay, stay: 0.0 };
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

// w - rate (g + stay (w - w0)): nothing at the first step, and 0.1 * 0.3 of the way after it.
#[test]
fn weights_are_drawn_to_where_they_started() {
    let optimizer = Optimizer::Sgd(Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.7 });
    let with = |stay| {
        let group = vec![Group { nodes: vec!["head".into()], rate: 1.0, weight_decay: None, stay }];
        train(&Train { group, optimizer: optimizer.clone(), ..two_steps() }, network(false), &[]).0
    };
    let net = network(false);
    let [weight, bias] = [Role::Weight, Role::Bias].map(|role| position(&net, "head", role));
    let (some, much) = (with(1e-9), with(0.3));
    close(&much[1][weight], &some[1][weight], 1e-8);
    let expected = some[2][weight].iter().zip(&some[1][weight]).zip(&some[0][weight]);
    let expected: Vec<f32> = expected.map(|((w2, w1), w0)| w2 - 0.03 * (w1 - w0)).collect();
    close(&much[2][weight], &expected, 1e-7);
    assert!(norm(&moved(&some[0][weight..=weight], &some[1][weight..=weight])) > 1e-3);
    assert_eq!(much[1][bias], some[1][bias]);
}

#[test]
fn layers_far_from_the_output_learn_slower() {
    let with = |layer_decay| train(&Train { layer_decay, ..two_steps() }, network(true), &[]).0;
    let (free, slow) = (with(1.0), with(0.25));
    for (position, param) in network(true).params.list().iter().enumerate().filter(|(_, p)| p.role.is_trained()) {
        let factor = if param.name.starts_with("head") { 1.0 } else { 0.25 };
        let step = |path: &[Vec<Vec<f32>>]| moved(&path[0][position..=position], &path[1][position..=position]);
        close(&step(&slow), &step(&free).iter().map(|v| factor * v).collect::<Vec<_>>(), 1e-7);
    }
}

#[test]
fn norms_keep_their_statistics_and_learn_their_gains() {
    let still = Phase { freeze_statistics: vec!["norm".into()], ..phase(1, 0.1) };
    let (path, _) = train(&Train { phase: vec![still], ..two_steps() }, network(true), &[]);
    let net = network(true);
    let changed = |role| path[0][position(&net, "norm", role)] != path[2][position(&net, "norm", role)];
    assert!(!changed(Role::RunningMean) && !changed(Role::RunningVariance));
    assert!(changed(Role::Gain) && changed(Role::Shift));
}

#[test]
fn a_part_thaws_in_its_epoch() {
    let thawing = Phase { thaw: vec!["conv".into()], ..phase(4, 0.1) };
    let (path, _) = train(&Train { phase: vec![thawing], ..two_steps() }, network(false), &[]);
    let net = network(false);
    let [conv, head] = ["conv", "head"].map(|node| position(&net, node, Role::Weight));
    assert!(path[4][conv] == path[0][conv] && path[5][conv] != path[0][conv], "two epochs of two steps");
    assert_ne!(path[1][head], path[0][head]);
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
