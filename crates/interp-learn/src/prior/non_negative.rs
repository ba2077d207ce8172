//! Non-negativity, by projection or by softplus.

use candle_core::Tensor;
use interp_net::finding::{Claim, Entry, Quantity, Relation, Unfit, build};
use interp_net::{Network, NodeId, Op, Params, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Now, Prior, Scope, State, change, project, values};
use crate::Result;

/// How weights are kept from falling below zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// After every step `w = max(w, 0)`, the Euclidean projection (the proximal map of the indicator).
    #[default]
    Projection,
    /// Steps are taken in rho, `w = softplus(rho) = ln(1 + e^rho)`.
    Softplus,
}

/// No weight of a convolution or linear map and no gain of a batch norm is below zero.
///
/// By projection, half of the first values become zero, which keeps filters different from each other; their absolute values
/// would nearly all be averages. Zeros are exact, and come back where the loss asks for it.
///
/// By softplus, the way is smooth and no weight gets to zero: its gradient is `dw/drho = 1 - e^-w` of that of w, so that small
/// weights move slowly, by about their square; an optimizer that looks at the size of gradients, as AdamW does, moves them by
/// shares of themselves. First values below a tenth of their layer's root mean square start from there. Files hold w.
/// Weight decay is of w, but enters the step in rho: it takes `1 - e^-w` of what it takes else. A weight that something else makes
/// zero stays zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NonNegative {
    /// How.
    pub by: By,
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "non_negative",
    summary: "weights and batch-norm gains ≥ 0, by projection after every step or by softplus",
    example: "kind = \"non_negative\"\nnodes = [\"*\"]\n",
    build: |section| build(section, |settings: NonNegative| Box::new(settings)),
    schema: || schemars::schema_for!(NonNegative),
};

/// Least first value of softplus, as a share of the root mean square of the layer's.
const LEAST: f32 = 0.1;

/// The layer of the scope that the node `id` sees, with nothing between that has weights or keeps numbers above zero.
fn before(net: &Network, scope: &Scope, id: NodeId) -> Option<NodeId> {
    net.graph.nodes()[id].inputs.iter().find_map(|&input| {
        let op = &net.graph.nodes()[input].op;
        match op {
            _ if scope.nodes.contains(&input) => Some(input),
            Op::BatchNorm { .. } | Op::MaxPool { .. } | Op::AvgPool { .. } | Op::Add | Op::Concat => {
                before(net, scope, input)
            }
            _ => None,
        }
    })
}

/// Why an operation needs numbers of both signs, if it does.
fn why_signs(op: &Op) -> Option<&'static str> {
    match op {
        Op::Threshold { .. } => Some(
            "a threshold, which passes on numbers below zero: what weights from zero on add up, these take away again; use \
             activation = \"relu\"",
        ),
        Op::Sample => Some("which draws codes: log-variances that only add up are soon more than numbers can hold"),
        _ => None,
    }
}

impl Prior for NonNegative {
    fn roles(&self) -> &'static [Role] {
        &[Role::Weight, Role::Gain]
    }

    fn check(&self, net: &Network, scope: &Scope) -> Result<(), Unfit> {
        let nodes = net.graph.nodes();
        let found = (0..nodes.len()).find_map(|id| Some((before(net, scope, id)?, id, why_signs(&nodes[id].op)?)));
        found.map_or(Ok(()), |(layer, node, why)| {
            let (layer, node) = (&nodes[layer].name, &nodes[node].name);
            Err(Unfit::new("nodes", format!("must not match `{layer}` before `{node}`, {why}")))
        })
    }

    fn prepare(&self, net: &mut Network, scope: &Scope) -> Result<State> {
        for &position in scope.positions.iter().filter(|_| self.by == By::Softplus) {
            change(&mut net.params, position, |w| {
                let least = LEAST * (w.iter().map(|w| w * w).sum::<f32>() / w.len().max(1) as f32).sqrt();
                w.iter_mut().filter(|w| **w < least).for_each(|w| *w = least);
            })?;
        }
        Ok(State::default())
    }

    fn before_step(
        &self,
        params: &Params,
        _grads: &[Option<Tensor>],
        scope: &Scope,
        _state: &mut State,
        now: Option<Now<'_>>,
    ) -> Result<Vec<(usize, Tensor)>> {
        let slope = |&position: &usize| {
            let value = &params.list()[position].value;
            let slopes: Vec<f32> = values(params, position)?.into_iter().map(|w| -(-w).exp_m1()).collect();
            Ok((position, Tensor::from_vec(slopes, value.dims(), value.device())?))
        };
        let bent = self.by == By::Softplus && now.is_some();
        scope.positions.iter().filter(|_| bent).map(slope).collect()
    }

    fn after_update(&self, params: &mut Params, before: &Params, scope: &Scope) -> Result<()> {
        for &position in scope.positions.iter().filter(|_| self.by == By::Softplus) {
            let before = values(before, position)?;
            change(params, position, |w| w.iter_mut().zip(before).for_each(|(w, before)| *w = bend(before, *w)))?;
        }
        Ok(())
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

/// `ln(1 + e^rho)`, for large rho too.
fn softplus(rho: f32) -> f32 {
    rho.max(0.0) + (-rho.abs()).exp().ln_1p()
}

/// The rho of a weight: `w + ln(1 - e^-w)`; minus infinity of 0.
fn inverse(w: f32) -> f32 {
    w + (-(-w).exp_m1()).ln()
}

/// A step from `before` to `after` as one of rho: a weight that has not moved stays as it is.
fn bend(before: f32, after: f32) -> f32 {
    if after == before { before } else { softplus(inverse(before) + (after - before)) }
}

#[cfg(test)]
mod tests {
    use interp_net::Graph;
    use interp_net::zoo::{Activation, Architecture, Vgg};

    use super::super::L1;
    use super::*;

    // softplus^-1(w) = ln(e^w - 1), and dw/drho = 1 - e^-w, which is 0.00995 at w = 0.01.
    #[test]
    fn softplus_there_and_back() {
        for (w, expected) in [(0.01f32, -4.600_166f32), (0.1, -2.252_168), (0.5, -0.432_752), (1.0, 0.541_325)] {
            assert!((inverse(w) - expected).abs() < 2e-6, "{} at {w}", inverse(w));
        }
        for w in [1e-6f32, 0.01, 0.5, 3.0, 50.0, 200.0] {
            assert!((softplus(inverse(w)) / w - 1.0).abs() < 1e-5, "{w}");
        }
        assert_eq!((inverse(0.0), softplus(f32::NEG_INFINITY)), (f32::NEG_INFINITY, 0.0));
    }

    #[test]
    fn the_slope_is_that_of_softplus() {
        for w in [0.01f32, 0.5, 2.0] {
            let rho = inverse(w);
            let slope = f64::from(softplus(rho + 1e-2) - softplus(rho - 1e-2)) / 2e-2;
            assert!((slope / f64::from(-(-w).exp_m1()) - 1.0).abs() < 1e-3, "{slope} at {w}");
        }
        assert!((-(-0.01f32).exp_m1() - 0.00995).abs() < 1e-6);
    }

    // From 0.5 by -0.2: ln(1 + (e^0.5 - 1) e^-0.2).
    #[test]
    fn a_step_is_one_of_rho() {
        let expected = (1.0 + (0.5f64.exp() - 1.0) * (-0.2f64).exp()).ln();
        assert!((f64::from(bend(0.5, 0.3)) - expected).abs() < 1e-6);
        assert_eq!((bend(0.25, 0.25), bend(0.0, -3.0)), (0.25, 0.0));
        assert!(bend(0.1, -80.0) >= 0.0 && bend(0.1, f32::NAN).is_nan());
    }

    /// A map of three weights, and what acts on it.
    fn map(weights: [f32; 3], prior: &dyn Prior) -> (Network, Scope) {
        let mut graph = Graph::new(3, 1, 1).unwrap();
        graph.then("map", Op::conv(1, 1, 1, 0, false)).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        change(&mut net.params, 0, |w| w.copy_from_slice(&weights)).unwrap();
        let scope = Scope::new(&net, &["map".into()], prior.roles()).unwrap();
        (net, scope)
    }

    // Non-negative L1, max(w - rate strength, 0), is L1 and the projection on the same layers.
    #[test]
    fn with_l1_it_is_non_negative_l1() {
        let (signs, few) = (NonNegative::default(), L1 { strength: 1e-2, ..L1::default() });
        let (mut net, scope) = map([-1.0, 0.05, 0.0], &few);
        let mut state = few.prepare(&mut net, &scope).unwrap();
        let now = Now { rates: &[0.1], progress: 0.5 };
        signs.enforce(&mut net.params, &scope, &State::default()).unwrap();
        few.after_step(&mut net.params, &scope, &mut state, now).unwrap();
        signs.enforce(&mut net.params, &scope, &State::default()).unwrap();
        let found = values(&net.params, 0).unwrap();
        assert_eq!([found[0], found[2]], [0.0, 0.0]);
        assert!((found[1] - 0.049).abs() < 1e-7);
    }

    // After 1000 random steps.
    #[test]
    fn no_step_leads_below_zero() {
        for by in [By::Projection, By::Softplus] {
            let signs = NonNegative { by };
            let (mut net, scope) = map([-1.0, 0.05, 0.3], &signs);
            signs.prepare(&mut net, &scope).unwrap();
            for step in 0..1000 {
                let before = net.params.clone();
                let moved = |i: usize| (12.9898 * (3 * step + i) as f32).sin();
                change(&mut net.params, 0, |w| w.iter_mut().enumerate().for_each(|(i, w)| *w += moved(i))).unwrap();
                signs.after_update(&mut net.params, &before, &scope).unwrap();
                signs.enforce(&mut net.params, &scope, &State::default()).unwrap();
                assert!(values(&net.params, 0).unwrap().iter().all(|&w| w >= 0.0));
            }
        }
    }

    #[test]
    fn before_a_soft_threshold_it_is_refused() {
        let check = |activation: Activation, nodes: &str| {
            let vgg = Vgg { depth: 8, width: 0.125, activation, ..Vgg::default() };
            let net = Network::new(vgg.graph([3, 32, 32], 4).unwrap(), 0).unwrap();
            let prior = NonNegative::default();
            let scope = Scope::new(&net, &[nodes.into()], prior.roles()).unwrap();
            prior.check(&net, &scope).map_err(|unfit| unfit.to_string())
        };
        assert!(check(Activation::Relu, "*").is_ok());
        assert!(check(Activation::SoftThreshold, "classifier").is_ok());
        let problem = check(Activation::SoftThreshold, "features.0").unwrap_err();
        assert!(problem.contains("`features.0`") && problem.contains("`features.2`"), "{problem}");
    }
}
