//! Codes that say less: the Kullback-Leibler divergence weighs more than the evidence lower bound has it.

use interp_net::finding::{Claim, Entry, Unfit, build};
use interp_net::{Network, NodeId, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Prior, Scope, State, Step, Term, above_one, draws, taps_of_codes};
use crate::Result;
use crate::code::Code;

/// Adds `(beta - 1)` times the Kullback-Leibler divergence of the codes from the standard normal distribution, a mean over pictures:
/// with `[objective.reconstruct]`, which has it once, it weighs `beta` (beta-VAE of Higgins et al. 2017, "beta-VAE: Learning basic
/// visual concepts with a constrained variational framework", eq. 4). Codes then say less of pictures, and what they say is cheapest in
/// directions of its own; pictures are less sharp. `nodes` draw codes, such as `codes` of a `vae`.
///
/// It claims nothing: how far codes keep to factors is for `interp-audit decompose` to tell, where factors are known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Beta {
    /// What the divergence weighs, above 1.
    pub beta: f64,
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "beta",
    summary: "codes that say less, by a larger weight of their divergence from the standard normal distribution (beta-VAE)",
    example: "kind = \"beta\"\nnodes = [\"codes\"]\nbeta = 4.0\n",
    build: |section| build(section, |settings: Beta| Box::new(settings)),
    schema: || schemars::schema_for!(Beta),
};

impl Prior for Beta {
    fn roles(&self) -> &'static [Role] {
        &[]
    }

    fn acts_on(&self, net: &Network, id: NodeId) -> bool {
        draws(net, id)
    }

    fn check(&self, _net: &Network, _scope: &Scope) -> Result<(), Unfit> {
        above_one("beta", self.beta)
    }

    fn taps(&self, net: &Network, scope: &Scope) -> Vec<NodeId> {
        taps_of_codes(net, scope)
    }

    fn penalty(&self, step: &Step<'_>, scope: &Scope, _state: &mut State) -> Result<Option<Term>> {
        let (mut term, weight) = (Term::default(), self.beta - 1.0);
        for &node in &scope.nodes {
            let code = Code::read(step.net, step.tape, node)?;
            term.value += weight * code.divergences().iter().sum::<f64>() / code.pictures().max(1) as f64;
            term.nodes.push(code.seed(step.tape, step.net, &code.divergence_slopes(weight))?);
        }
        Ok(Some(term))
    }

    fn claims(&self, _scope: &Scope) -> Vec<Claim> {
        vec![]
    }
}
