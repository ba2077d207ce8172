//! One threshold for all layers.

use interp_net::finding::{Claim, Entry, Quantity, Relation, build};
use interp_net::{Params, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Prior, Scope, State, change, values};
use crate::Result;

/// All thresholds of the layers are one number, which is trained: after every step each is their mean, the Euclidean projection on
/// what is equal. Plain gradient descent then goes as with a single parameter, at a rate divided by how many there are. How much is
/// put to zero everywhere can be read off one number, and turned by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneThreshold {}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "one_threshold",
    summary: "all thresholds of the layers are one trained number",
    example: "kind = \"one_threshold\"\nnodes = [\"features.*\"]\n",
    build: |section| build(section, |settings: OneThreshold| Box::new(settings)),
    schema: || schemars::schema_for!(OneThreshold),
};

impl Prior for OneThreshold {
    fn roles(&self) -> &'static [Role] {
        &[Role::Threshold]
    }

    fn enforce(&self, params: &mut Params, scope: &Scope, _state: &State) -> Result<()> {
        let all = scope.positions.iter().map(|&position| values(params, position)).collect::<Result<Vec<_>>>()?;
        let (sum, count) =
            all.iter().flatten().fold((0.0, 0), |(sum, count), &theta| (sum + f64::from(theta), count + 1));
        let mean = (sum / f64::from(count)) as f32;
        scope.positions.iter().try_for_each(|&position| change(params, position, |thetas| thetas.fill(mean)))
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        vec![Claim {
            quantity: Quantity::ThresholdSpread,
            nodes: scope.names.clone(),
            scope: scope.label.clone(),
            relation: Relation::AtMost,
            bound: 0.0,
        }]
    }
}

#[cfg(test)]
mod tests {
    use interp_net::{Graph, Network, Op};

    use super::*;

    // Of 0.1 and 0.3 in one layer and 0.8 in another the mean is 0.4; what does not belong to them stays.
    #[test]
    fn thresholds_become_their_mean() {
        let mut graph = Graph::new(2, 3, 3).unwrap();
        graph.then("first", Op::soft_threshold(0.5)).unwrap();
        graph.then("conv", Op::conv(1, 1, 1, 0, true)).unwrap();
        graph.then("second", Op::soft_threshold(0.8)).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let scope = Scope::of_prior(&net, &["*".into()], &OneThreshold {}).unwrap();
        assert_eq!(scope.names, ["first", "second"]);
        change(&mut net.params, scope.positions[0], |w| w.copy_from_slice(&[0.1, 0.3])).unwrap();
        let conv = net.params.position(net.graph.id("conv").unwrap(), Role::Weight).unwrap();
        let before = values(&net.params, conv).unwrap();
        OneThreshold {}.enforce(&mut net.params, &scope, &State::default()).unwrap();
        let thetas: Vec<f32> = scope.positions.iter().flat_map(|&p| values(&net.params, p).unwrap()).collect();
        assert!(thetas.iter().all(|theta| (theta - 0.4).abs() < 1e-7 && *theta == thetas[0]), "{thetas:?}");
        assert_eq!(values(&net.params, conv).unwrap(), before);
    }
}
