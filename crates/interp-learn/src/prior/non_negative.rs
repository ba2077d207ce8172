//! Non-negativity by projection.

use interp_net::finding::{Claim, Entry, Quantity, Relation, build};
use interp_net::{Params, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Prior, Scope, State, change, project};
use crate::Result;

/// No weight of a convolution or linear map and no gain of a batch norm is below zero: after every
/// step `w = max(w, 0)`, the Euclidean projection (the proximal map of the indicator). Of the first values
/// half become zero by it, which keeps filters different from each other; their absolute values would
/// nearly all be averages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NonNegative {}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "non_negative",
    summary: "weights and batch-norm gains ≥ 0, by projection after every step",
    example: "kind = \"non_negative\"\nnodes = [\"*\"]\n",
    build: |section| build(section, |settings: NonNegative| Box::new(settings)),
    schema: || schemars::schema_for!(NonNegative),
};

impl Prior for NonNegative {
    fn roles(&self) -> &'static [Role] {
        &[Role::Weight, Role::Gain]
    }

    fn enforce(&self, params: &mut Params, scope: &Scope, _state: &State) -> Result<()> {
        scope.positions.iter().try_for_each(|&position| change(params, position, project))
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        vec![Claim {
            quantity: Quantity::NegativeWeights,
            nodes: scope.names.clone(),
            scope: scope.label.clone(),
            relation: Relation::AtMost,
            bound: 0.0,
        }]
    }
}
