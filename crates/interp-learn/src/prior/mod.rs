//! Priors: how training is steered, and what is claimed of the result.
//!
//! One more prior is one file here: a settings struct (its documentation: equation, unit, source), an
//! `impl Prior`, and a line in [`ENTRIES`].

mod activity;
mod attention;
mod balanced;
mod bank;
mod beta;
mod bounded_field;
mod class_filters;
mod decorrelated;
mod dependency;
mod factor_alignment;
mod follow;
mod group_lasso;
mod hoyer;
mod l0;
mod l1;
mod magnitude;
mod moments;
mod monotone;
mod non_negative;
mod one_threshold;
mod orthogonal;
mod part_filters;
mod slimming;
mod target;
mod templates;
mod total_correlation;

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use interp_data::{Annotations, Batch, Batches};
use interp_net::finding::{Claim, Entry, Unfit};
use interp_net::{Network, Node, NodeId, Op, Params, Role, Tape};

use crate::Result;

pub use activity::Activity;
pub use attention::Attention;
pub(crate) use attention::Blocks;
pub use balanced::Balanced;
pub use bank::FilterBank;
pub use beta::Beta;
pub use bounded_field::BoundedField;
pub use class_filters::ClassFilters;
pub use decorrelated::Decorrelated;
pub use factor_alignment::FactorAlignment;
pub use group_lasso::{GroupLasso, Grouping};
pub use hoyer::Hoyer;
pub use l0::L0;
pub use l1::L1;
pub use magnitude::Magnitude;
pub use moments::{Moments, Of};
pub use monotone::{Monotone, Rule};
pub use non_negative::{By, NonNegative};
pub use one_threshold::OneThreshold;
pub use orthogonal::Orthogonal;
pub use part_filters::PartFilters;
pub use slimming::Slimming;
pub use total_correlation::TotalCorrelation;

/// All priors.
pub const ENTRIES: &[&Entry<dyn Prior>] = &[
    &l1::ENTRY,
    &l0::ENTRY,
    &group_lasso::ENTRY,
    &slimming::ENTRY,
    &magnitude::ENTRY,
    &hoyer::ENTRY,
    &non_negative::ENTRY,
    &orthogonal::ENTRY,
    &decorrelated::ENTRY,
    &activity::ENTRY,
    &one_threshold::ENTRY,
    &bounded_field::ENTRY,
    &bank::ENTRY,
    &attention::ENTRY,
    &monotone::ENTRY,
    &balanced::ENTRY,
    &part_filters::ENTRY,
    &class_filters::ENTRY,
    &factor_alignment::ENTRY,
    &beta::ENTRY,
    &total_correlation::ENTRY,
    &moments::ENTRY,
];

/// Where a prior applies.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    /// The patterns as the recipe wrote them, for people.
    pub label: String,
    /// Nodes with a parameter of one of the prior's roles, in the graph's order.
    pub nodes: Vec<NodeId>,
    /// Their names.
    pub names: Vec<String>,
    /// Positions of these parameters in [`Params::list`].
    pub positions: Vec<usize>,
    /// For each node the batch norm that alone reads it, if there is one.
    pub norms: Vec<Option<NodeId>>,
    /// Which concepts the pictures to train with show, where the prior [asks](Prior::concepts) for some.
    pub known: Option<Arc<Annotations>>,
}

impl Scope {
    /// The nodes that match one of `patterns` and have a parameter of one of `roles`, if there are any roles.
    ///
    /// # Errors
    /// If there is no pattern, or one matches no such node.
    pub fn new(net: &Network, patterns: &[String], roles: &[Role]) -> Result<Self> {
        Self::select(net, patterns, roles, |_| true)
    }

    /// The nodes that match one of `patterns` and that `prior` can act on.
    ///
    /// # Errors
    /// As [`Scope::new`].
    pub fn of_prior(net: &Network, patterns: &[String], prior: &dyn Prior) -> Result<Self> {
        Self::select(net, patterns, prior.roles(), |id| prior.acts_on(net, id))
    }

    fn select(net: &Network, patterns: &[String], roles: &[Role], fits: impl Fn(NodeId) -> bool) -> Result<Self> {
        Unfit::unless(!patterns.is_empty(), "nodes", "needs at least one pattern")?;
        let has = |id: NodeId| roles.is_empty() || roles.iter().any(|&role| net.params.find(id, role).is_some());
        let fits = |node: &Node| net.graph.id(&node.name).is_ok_and(|id| fits(id) && has(id));
        let nodes = net.graph.select(patterns, "layer that this prior can act on", fits)?;
        Ok(Self::of(net, patterns.join(", "), nodes, roles))
    }

    fn of(net: &Network, label: String, nodes: Vec<NodeId>, roles: &[Role]) -> Self {
        let positions =
            nodes.iter().flat_map(|&id| roles.iter().filter_map(move |&role| net.params.position(id, role))).collect();
        let names = nodes.iter().map(|&id| net.graph.nodes()[id].name.clone()).collect();
        let norms = nodes.iter().map(|&id| net.graph.norm_after(id)).collect();
        Self { label, nodes, names, positions, norms, known: None }
    }

    /// The same nodes, by name, in a network that has changed.
    pub(crate) fn within(&self, net: &Network, roles: &[Role]) -> Result<Self> {
        let nodes = self.names.iter().map(|name| net.graph.id(name)).collect::<Result<_, _>>()?;
        Ok(Self { known: self.known.clone(), ..Self::of(net, self.label.clone(), nodes, roles) })
    }
}

/// What a prior remembers between steps; saved with the training state.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Decides what is random in the prior; the trainer's, and not saved.
    pub seed: u64,
    /// Named numbers, kept in f64.
    pub numbers: BTreeMap<String, f64>,
    /// Named tensors.
    pub tensors: BTreeMap<String, Tensor>,
    /// Set by a prior's [`Prior::after_step`] where parameters from now on mean something else: their moving average starts anew.
    pub restart_average: bool,
}

/// Where training stands after a step, for one prior.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// The learning rate of the step for each parameter by position, the factors of groups included; 0 for
    /// what is not trained.
    pub rates: &'a [f64],
    /// Share done of the steps in which the prior steers, in (0, 1]; 1 after the last.
    pub progress: f64,
}

/// A forward pass in training, before the backward sweep.
pub struct Step<'a> {
    /// The network as it was run.
    pub net: &'a Network,
    /// Its activations, as far as a backward sweep reads them, and those of the prior's [taps](Prior::taps).
    pub tape: &'a Tape,
    /// The pictures that it was run on.
    pub batch: &'a Batch,
    /// Where training stands.
    pub now: Now<'a>,
}

/// A penalty's value and its gradients, which are added to those of the loss.
#[derive(Debug, Default)]
pub struct Term {
    /// The value, for the log.
    pub value: f64,
    /// Gradients at nodes, of the activations' shapes.
    pub nodes: Vec<(NodeId, Tensor)>,
    /// Gradients at parameters, by position.
    pub params: Vec<(usize, Tensor)>,
}

/// How training is steered, and what will be true of the result.
pub trait Prior: Send + Sync {
    /// The parameters it acts on; none for a prior on activations.
    fn roles(&self) -> &'static [Role] {
        &[Role::Weight]
    }

    /// The concepts that it needs to know of in every picture, as [`Annotations::of`] takes them.
    fn concepts(&self) -> &[String] {
        &[]
    }

    /// Whether it can act on a node that has such a parameter.
    fn acts_on(&self, _net: &Network, _id: NodeId) -> bool {
        true
    }

    /// Says which of its settings is out of range, or cannot be had of this network.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    fn check(&self, _net: &Network, _scope: &Scope) -> Result<(), Unfit> {
        Ok(())
    }

    /// Whether training goes another way with it; a claim about what is so anyway does not steer.
    fn steers(&self) -> bool {
        true
    }

    /// Whether it sets its parameters itself, so that no other prior can steer the same ones.
    fn decides_weights(&self) -> bool {
        false
    }

    /// Whether its penalty reads where the objects of pictures are, so that batches must have masks.
    fn needs_masks(&self) -> bool {
        false
    }

    /// Makes a new network ready, before the first step, and gives the state to start from. It may change the
    /// structure, as for a parametrisation; nodes that any prior acts on keep their names.
    ///
    /// # Errors
    /// If the prior does not fit the network.
    fn prepare(&self, _net: &mut Network, _scope: &Scope) -> Result<State> {
        Ok(State::default())
    }

    /// The nodes whose activations [`Prior::penalty`] reads.
    fn taps(&self, _net: &Network, _scope: &Scope) -> Vec<NodeId> {
        vec![]
    }

    /// Makes of the trained parameters those that a pass is run with, such as gated ones: with noise in the training
    /// passes of phases where the prior steers, without in all others and in what is evaluated and saved.
    ///
    /// # Errors
    /// If parameters cannot be changed.
    fn realize(&self, _params: &mut Params, _scope: &Scope, _state: &State, _noisy: bool) -> Result<()> {
        Ok(())
    }

    /// What is added to the loss: steering through gradients with respect to what the pass was run with.
    ///
    /// # Errors
    /// If it cannot be computed.
    fn penalty(&self, _step: &Step<'_>, _scope: &Scope, _state: &mut State) -> Result<Option<Term>> {
        Ok(None)
    }

    /// Is shown the gradients of a step with respect to the parameters that passes were run with, to train by them what is
    /// its own; `now` is `None` in phases where it does not steer. Gives by position what gradients are multiplied with, so
    /// that they are with respect to what the optimizer steps: the chain rule through [`Prior::realize`] or
    /// [`Prior::after_update`].
    ///
    /// # Errors
    /// If gradients cannot be read.
    fn before_step(
        &self,
        _params: &Params,
        _grads: &[Option<Tensor>],
        _scope: &Scope,
        _state: &mut State,
        _now: Option<Now<'_>>,
    ) -> Result<Vec<(usize, Tensor)>> {
        Ok(vec![])
    }

    /// Takes the optimizer's step in another form of the parameters: given those from `before` it, it makes of the change
    /// a change of that form. Called right after the step, before anything else sees the parameters.
    ///
    /// # Errors
    /// If parameters cannot be changed.
    fn after_update(&self, _params: &mut Params, _before: &Params, _scope: &Scope) -> Result<()> {
        Ok(())
    }

    /// Steering after the optimizer's step: a proximal step, a controller of its strength.
    ///
    /// # Errors
    /// If parameters cannot be changed.
    fn after_step(&self, _params: &mut Params, _scope: &Scope, _state: &mut State, _now: Now<'_>) -> Result<()> {
        Ok(())
    }

    /// Makes hold what must hold exactly at any time: a projection, a mask. Called after every step, before any
    /// prior's [`Prior::after_step`] and again after all of them, in phases where the prior does not steer too; and
    /// on averaged parameters.
    ///
    /// # Errors
    /// If parameters cannot be changed.
    fn enforce(&self, _params: &mut Params, _scope: &Scope, _state: &State) -> Result<()> {
        Ok(())
    }

    /// Whether it can [push](Prior::push).
    fn pushes(&self) -> bool {
        false
    }

    /// Replaces parameters by what the network makes of training pictures, at the end of a phase with `push`: gives new values by position. `net` is as a pass
    /// without noise is run with; `pictures` are all of train, in order and without augmentation.
    ///
    /// # Errors
    /// If pictures cannot be had, or there are none to take values from.
    fn push(&self, _net: &Network, _pictures: Batches, _scope: &Scope) -> Result<Vec<(usize, Tensor)>> {
        Ok(vec![])
    }

    /// What will be true of the trained network. Where nothing is claimed, no network is chosen before the last
    /// epoch in which the prior steers: nothing else tells when its work is done.
    fn claims(&self, scope: &Scope) -> Vec<Claim>;
}

/// Reads the parameter at `position` as numbers.
pub(crate) fn values(params: &Params, position: usize) -> Result<Vec<f32>> {
    Ok(params.list()[position].value.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

/// Changes the parameter at `position` in place, row by row as it lies in memory.
///
/// # Errors
/// If it cannot be read or set.
pub fn change(params: &mut Params, position: usize, change: impl FnOnce(&mut [f32])) -> Result<()> {
    let dims = params.list()[position].value.dims().to_vec();
    let mut values = values(params, position)?;
    change(&mut values);
    Ok(params.set(position, Tensor::from_vec(values, dims, &Device::Cpu)?)?)
}

/// Whether a node draws codes.
fn draws(net: &Network, id: NodeId) -> bool {
    net.graph.nodes()[id].op == Op::Sample
}

/// The nodes that tell of codes and those that draw them.
fn taps_of_codes(net: &Network, scope: &Scope) -> Vec<NodeId> {
    scope.nodes.iter().flat_map(|&id| [net.graph.nodes()[id].inputs[0], id]).collect()
}

/// Refuses a node that draws one code, which nothing can go with.
fn two_codes(net: &Network, scope: &Scope) -> Result<(), Unfit> {
    let single = |id: &&NodeId| net.graph.shape(**id).iter().product::<usize>() < 2;
    let problem = |id: &NodeId| format!("must draw two codes or more: `{}` draws one", net.graph.nodes()[*id].name);
    scope.nodes.iter().find(single).map_or(Ok(()), |id| Err(Unfit::new("nodes", problem(id))))
}

/// A weight in place of 1: above it, or an error that names the key.
fn above_one(key: &str, value: f64) -> Result<(), Unfit> {
    Unfit::unless(value > 1.0 && value.is_finite(), key, format!("must be above 1, not {value}"))
}

/// Refuses transposed convolutions, whose weights are (in, out / groups, ...), where filters are meant.
fn refuse_transposed(net: &Network, scope: &Scope) -> Result<(), Unfit> {
    let is_transposed = |id: &&NodeId| matches!(net.graph.nodes()[**id].op, Op::ConvTranspose2d { .. });
    scope.nodes.iter().find(is_transposed).map_or(Ok(()), |&id| {
        let name = &net.graph.nodes()[id].name;
        Err(Unfit::new("nodes", format!("must not match the transposed convolution `{name}`")))
    })
}

/// `max(w, 0)`; what is not a number stays so, to be seen.
pub(crate) fn project(w: &mut [f32]) {
    w.iter_mut().filter(|w| **w <= 0.0).for_each(|w| *w = 0.0);
}

/// A share strictly between 0 and 1, or an error that names the key.
fn share(key: &str, value: f64) -> Result<(), Unfit> {
    Unfit::unless(value > 0.0 && value < 1.0, key, format!("must be between 0 and 1, not {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projection() {
        let mut w = [-1.0, 0.05, 0.0, -0.0, f32::NAN];
        project(&mut w);
        assert_eq!(w[..4], [0.0, 0.05, 0.0, 0.0]);
        assert!(w[3].is_sign_positive() && w[4].is_nan());
    }
}
