//! Magnitude pruning: the smallest weights are zero, more of them step by step.

use interp_net::finding::{Claim, Entry, Quantity, Relation, Unfit, build};
use interp_net::{Network, Params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::target::{self, cubic, kept, magnitudes};
use super::{Now, Prior, Scope, State, change, share};
use crate::Result;

/// After every step the smallest weights by absolute value are made zero, so many that their share is
/// `target (1 - (1 - t)^3)`, t from 0 to 1 over the first `reached_at` of the steps in which the prior steers (Zhu and
/// Gupta 2017, arXiv 1710.01878, eq. 1, from no zeros). This is the Euclidean projection onto the weights with that many
/// zeros: iterative hard thresholding (Blumensath and Davies 2009). Nothing is shrunk. A weight that is zero keeps
/// its gradient and comes back when a step makes it larger than others; from the end of the ramp on, zeros are held.
///
/// Over all layers together, layers whose weights are small lose more, up to all of them; `per_layer` takes the same
/// share of each. Zeros alone make a network neither smaller nor faster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Magnitude {
    /// Share of exact zeros to reach, and to claim.
    pub target: f64,
    /// Whether weights are compared within each layer, rather than over all layers together.
    #[serde(default)]
    pub per_layer: bool,
    /// Share of the steps in which the prior steers by which the target is reached; after it zeros stay.
    #[serde(default = "reached_at")]
    pub reached_at: f64,
}

fn reached_at() -> f64 {
    0.6
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "magnitude",
    summary: "exactly zero weights: the smallest by absolute value, more step by step up to a target share",
    example: "kind = \"magnitude\"\nnodes = [\"features.*\"]\ntarget = 0.9\n",
    build: |section| build(section, |settings: Magnitude| Box::new(settings)),
    schema: || schemars::schema_for!(Magnitude),
};

impl Magnitude {
    /// What stays when the share `ramp` of the way is done.
    fn kept(&self, ramp: f64, sizes: &[Vec<f32>]) -> Vec<Vec<u8>> {
        let share = cubic(self.target, ramp);
        match self.per_layer {
            true => sizes.chunks(1).flat_map(|layer| kept(share, layer)).collect(),
            false => kept(share, sizes),
        }
    }
}

impl Prior for Magnitude {
    fn check(&self, _net: &Network, _scope: &Scope) -> Result<(), Unfit> {
        share("target", self.target)?;
        share("reached_at", self.reached_at)
    }

    fn prepare(&self, _net: &mut Network, scope: &Scope) -> Result<State> {
        target::nothing_held(scope)
    }

    fn after_step(&self, params: &mut Params, scope: &Scope, state: &mut State, now: Now<'_>) -> Result<()> {
        if target::is_held(state) || target::highest_rate(now, scope) == 0.0 {
            return Ok(());
        }
        let ramp = now.progress / self.reached_at;
        let kept = self.kept(ramp, &magnitudes(params, scope, now)?);
        for (&position, kept) in scope.positions.iter().zip(&kept) {
            change(params, position, |w| target::mask(w, kept))?;
        }
        if ramp >= 1.0 { target::hold(state, kept) } else { Ok(()) }
    }

    fn enforce(&self, params: &mut Params, scope: &Scope, state: &State) -> Result<()> {
        target::enforce(params, scope, state)
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        vec![Claim {
            quantity: Quantity::ZeroWeights,
            nodes: scope.names.clone(),
            scope: scope.label.clone(),
            relation: Relation::AtLeast,
            bound: self.target,
        }]
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use interp_net::{Graph, Op};

    use super::super::values;
    use super::*;

    /// Two maps of four weights each.
    fn network(weights: [[f32; 4]; 2]) -> Network {
        let mut graph = Graph::new(1, 1, 1).unwrap();
        for name in ["a", "b"] {
            graph.then(name, Op::conv(if name == "a" { 4 } else { 1 }, 1, 1, 0, false)).unwrap();
        }
        let mut net = Network::new(graph, 0).unwrap();
        for (position, weights) in weights.into_iter().enumerate() {
            let dims = net.params.list()[position].value.dims().to_vec();
            net.params.set(position, Tensor::from_slice(&weights, dims, &Device::Cpu).unwrap()).unwrap();
        }
        net
    }

    const WEIGHTS: [[f32; 4]; 2] = [[0.1, -0.2, 0.3, -0.4], [5.0, -6.0, 7.0, 0.25]];

    fn prior(per_layer: bool) -> Magnitude {
        Magnitude { target: 0.5, per_layer, reached_at: 0.5 }
    }

    /// The weights of both layers after each of some steps, before which the optimizer has set them.
    fn after(prior: &Magnitude, steps: &[(f64, [[f32; 4]; 2])], rates: [f64; 2]) -> Vec<[Vec<f32>; 2]> {
        let mut net = network(WEIGHTS);
        let scope = Scope::new(&net, &["*".into()], prior.roles()).unwrap();
        let mut state = prior.prepare(&mut net, &scope).unwrap();
        let step = |&(progress, weights): &(f64, _)| {
            net.params = network(weights).params;
            prior.after_step(&mut net.params, &scope, &mut state, Now { rates: &rates, progress }).unwrap();
            prior.enforce(&mut net.params, &scope, &state).unwrap();
            [0, 1].map(|position| values(&net.params, position).unwrap())
        };
        steps.iter().map(step).collect()
    }

    #[test]
    fn the_smallest_of_all_layers_or_of_each() {
        let ended = |per_layer| after(&prior(per_layer), &[(0.5, WEIGHTS)], [0.1; 2]).remove(0);
        assert_eq!(ended(false), [vec![0.0, 0.0, 0.0, -0.4], vec![5.0, -6.0, 7.0, 0.0]]);
        assert_eq!(ended(true), [vec![0.0, 0.0, 0.3, -0.4], vec![0.0, -6.0, 7.0, 0.0]]);
    }

    // A quarter up the ramp 0.5 (1 - 0.75^3) = 0.289 of eight weights, 2.3 of them, are to be zero; at three quarters 3.94.
    #[test]
    fn what_grows_comes_back_until_the_ramp_ends() {
        let mut grown = WEIGHTS;
        (grown[0][0], grown[0][3]) = (9.0, 0.35);
        let steps = [(0.125, WEIGHTS), (0.375, grown), (0.5, grown), (0.75, [[8.0; 4]; 2])];
        let [first, back, end, held] = <[_; 4]>::try_from(after(&prior(false), &steps, [0.1; 2])).unwrap();
        assert_eq!(first, [vec![0.0, 0.0, 0.3, -0.4], vec![5.0, -6.0, 7.0, 0.0]]);
        assert_eq!(back, [vec![9.0, 0.0, 0.0, 0.0], vec![5.0, -6.0, 7.0, 0.0]]);
        assert_eq!(end, back);
        assert_eq!(held, [vec![8.0, 0.0, 0.0, 0.0], vec![8.0, 8.0, 8.0, 0.0]]);
    }

    #[test]
    fn what_is_not_trained_is_not_pruned() {
        let ended = |rates| after(&prior(false), &[(0.5, WEIGHTS)], rates).remove(0);
        assert_eq!(ended([0.0, 0.1]), [WEIGHTS[0].to_vec(), vec![0.0; 4]]);
        assert_eq!(ended([0.0; 2]), WEIGHTS.map(|w| w.to_vec()));
    }

    #[test]
    fn shares_out_of_range_are_refused_by_key() {
        let net = network(WEIGHTS);
        let scope = Scope::new(&net, &["*".into()], prior(false).roles()).unwrap();
        for (key, prior) in [
            ("target", Magnitude { target: 1.0, ..prior(false) }),
            ("reached_at", Magnitude { reached_at: 0.0, ..prior(false) }),
        ] {
            assert_eq!(prior.check(&net, &scope).unwrap_err().key, key);
        }
    }
}
