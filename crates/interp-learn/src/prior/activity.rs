//! Few activations: L1 on what activation functions give.

use interp_net::finding::{Claim, Entry, Quantity, Relation, Unfit, build};
use interp_net::{Network, NodeId, Role, ops};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::target::cubic;
use super::{Prior, Scope, State, Step, Term, share};
use crate::Result;

/// `strength * mean |a|` over all activations a of the layers together, added to the loss (Georgiadis 2019, arXiv 1812.04056,
/// eq. 2): activations behind a ReLU become exactly zero, and one picture is told by few of them. `nodes` are activation
/// functions.
///
/// The strength is controlled: its logarithm follows what the share of zeros in the batch lacks of a ramp, which leads from
/// the share before the first step to a tenth of the way from `target` to 1 beyond the target, so that it is reached on other
/// pictures too. The ramp is `1 - (1 - t)^3` of its way, t from 0 to 1 over the first `reached_at` of the steps. The penalty
/// comes with every eighth batch, eight times as strong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Activity {
    /// Share of activations that are exactly zero on test pictures, to reach and to claim.
    pub target: f64,
    /// Share of the steps in which the prior steers by which the target is reached.
    #[serde(default = "reached_at")]
    pub reached_at: f64,
}

fn reached_at() -> f64 {
    0.6
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "activity",
    summary: "few activations other than zero, by L1 on what activation functions give, to a target share",
    example: "kind = \"activity\"\nnodes = [\"features.*\"]\ntarget = 0.8\n",
    build: |section| build(section, |settings: Activity| Box::new(settings)),
    schema: || schemars::schema_for!(Activity),
};

/// Steps from one penalty to the next: it costs a pass over the activations.
const EVERY: f64 = 8.0;

/// The strength before it is controlled.
const STRENGTH: f64 = 0.1;

/// How fast the logarithm of the strength follows the error in the share of zeros, at every penalty.
const GAIN: f64 = 1.5;

/// How far beyond the target training aims, as a share of what is left.
const MARGIN: f64 = 0.1;

impl Activity {
    /// The share of zeros to have at a step, from that before the first.
    fn aim(&self, first: f64, progress: f64) -> f64 {
        let goal = self.target + MARGIN * (1.0 - self.target);
        first + cubic(goal - first, progress / self.reached_at)
    }

    /// Follows the share of zeros found, as far as the layers before are trained: `rate` is the highest of their learning rates.
    fn control(&self, state: &mut State, found: f64, progress: f64, rate: f64) {
        let peak = state.numbers.get("peak").copied().unwrap_or(0.0).max(rate);
        state.numbers.insert("peak".into(), peak);
        let weight = if peak > 0.0 { rate / peak } else { 0.0 };
        let first = *state.numbers.entry("first".into()).or_insert(found);
        let strength = state.numbers.entry("strength".into()).or_insert(STRENGTH);
        *strength = (*strength * (GAIN * weight * (self.aim(first, progress) - found)).exp()).clamp(1e-6, 1e6);
        state.numbers.insert("zeros".into(), found);
    }
}

impl Prior for Activity {
    fn roles(&self) -> &'static [Role] {
        &[]
    }

    fn acts_on(&self, net: &Network, id: NodeId) -> bool {
        net.graph.nodes()[id].op.is_activation()
    }

    fn check(&self, _net: &Network, _scope: &Scope) -> Result<(), Unfit> {
        share("target", self.target)?;
        share("reached_at", self.reached_at)
    }

    fn prepare(&self, _net: &mut Network, _scope: &Scope) -> Result<State> {
        let mut state = State::default();
        state.numbers.insert("steps".into(), 0.0);
        Ok(state)
    }

    fn taps(&self, _net: &Network, scope: &Scope) -> Vec<NodeId> {
        scope.nodes.clone()
    }

    fn penalty(&self, step: &Step<'_>, scope: &Scope, state: &mut State) -> Result<Option<Term>> {
        let steps = state.numbers.get("steps").copied().unwrap_or_default();
        state.numbers.insert("steps".into(), steps + 1.0);
        if steps % EVERY != 0.0 {
            return Ok(None);
        }
        let graph = &step.net.graph;
        let activations = scope.nodes.iter().map(|&id| Ok((id, step.tape.at(graph, id)?)));
        let activations = activations.collect::<Result<Vec<_>>>()?;
        let count: usize = activations.iter().map(|(_, activation)| activation.elem_count()).sum();
        let scale = EVERY * state.numbers.get("strength").copied().unwrap_or(STRENGTH) / count.max(1) as f64;
        let (mut term, mut zeros) = (Term::default(), 0);
        for (id, activation) in activations {
            let sizes = ops::sizes(activation, scale)?;
            term.value += scale * sizes.sum; // Of every step the mean is what the loss has.
            zeros += sizes.zeros;
            term.nodes.push((id, sizes.gradient));
        }
        let last = scope.nodes.iter().copied().max().unwrap_or_default();
        let before = step.net.params.list().iter().zip(step.now.rates).filter(|(param, _)| param.node < last);
        let rate = before.map(|(_, &rate)| rate).fold(0.0, f64::max);
        self.control(state, zeros as f64 / count.max(1) as f64, step.now.progress, rate);
        Ok(Some(term))
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        vec![Claim {
            quantity: Quantity::ZeroActivations,
            nodes: scope.names.clone(),
            scope: scope.label.clone(),
            relation: Relation::AtLeast,
            bound: self.target,
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // From 0.5 to 0.8 + 0.02: half-way up, 0.5 + 0.32 (1 - 0.5^3) = 0.78.
    #[test]
    fn the_strength_follows_the_ramp() {
        let prior = Activity { target: 0.8, reached_at: 0.6 };
        let mut state = State::default();
        prior.control(&mut state, 0.5, 1e-9, 0.1);
        assert!((state.numbers["strength"] / STRENGTH - 1.0).abs() < 1e-6);
        prior.control(&mut state, 0.6, 0.3, 0.1);
        assert!((state.numbers["strength"] / STRENGTH - (1.5f64 * 0.18).exp()).abs() < 1e-6);
        let strength = state.numbers["strength"];
        prior.control(&mut state, 0.6, 0.3, 0.0);
        assert_eq!(state.numbers["strength"], strength, "what is not trained cannot follow");
        assert!((prior.aim(0.5, 0.6) - 0.82).abs() < 1e-12 && (prior.aim(0.5, 1.0) - 0.82).abs() < 1e-12);
    }
}
