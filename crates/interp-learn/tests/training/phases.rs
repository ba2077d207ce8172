//! When priors steer, and which epoch is kept.

use super::*;

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
