//! Priors of one's own: penalties, and changes of the structure.

use super::*;

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

/// A change of the structure: what its first node gives goes through a batch norm of its own.
struct Normed;

impl Prior for Normed {
    fn prepare(&self, net: &mut Network, scope: &Scope) -> interp_learn::Result<State> {
        let at = scope.nodes[0] + 1;
        let mut nodes: Vec<Node> = net.graph.clone().into();
        nodes[at..].iter_mut().flat_map(|n| &mut n.inputs).filter(|i| **i + 1 >= at).for_each(|i| *i += 1);
        nodes.insert(at, Node { name: "inserted".into(), op: Op::batch_norm(), inputs: vec![at - 1], units: vec![] });
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
