//! Network slimming: channels that their batch norm turns off.

use interp_net::finding::{Claim, Entry, Quantity, Unfit, build};
use interp_net::{Network, Params, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::target::{self, Target, cubic, magnitudes, spare};
use super::{Now, Prior, Scope, State, change, values};
use crate::Result;

/// `strength * sum |g|` over the gains g of batch norms (Liu et al. 2017, arXiv 1708.06519, eq. 1), by its proximal
/// map after every step in place of their subgradient: `g = sign(g) max(|g| - rate strength, 0)`, so that zeros are
/// exact and no threshold is chosen afterwards. The `min_channels` largest gains of a layer are not touched, so that no layer
/// dies.
///
/// Where a gain is zero the channel is a constant, its shift, at every position of every picture: it says nothing
/// of the picture, and the filter before it has no effect. Once zeros are held, their shifts are zero too, so that the
/// channel is zero behind a ReLU. It is still there and still computed: `interp-train compact` cuts it out.
///
/// With `target` the smallest gains are zero besides, as many as the ramp `target (1 - (1 - t)^3)` asks for, t from 0 to 1 by `reached_at`; what grows
/// comes back until the ramp ends. The strength stays as it is: gains all begin at 1, and one that were controlled by the
/// zeros would grow until the first of them, and take most gains down together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Slimming {
    /// Weight of the penalty.
    pub strength: f64,
    /// Share of gains to make exactly zero, and to claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// Share of the steps in which the prior steers by which the target is reached; after it zeros stay, and
    /// nothing is shrunk.
    pub reached_at: f64,
    /// Gains of each layer that stay, 1 or more; of a layer that has fewer, all.
    pub min_channels: usize,
}

impl Default for Slimming {
    fn default() -> Self {
        Self { strength: 1e-4, target: None, reached_at: 0.6, min_channels: 1 }
    }
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "slimming",
    summary: "batch-norm gains exactly zero, so that channels are constant, to a target share",
    example: "kind = \"slimming\"\nnodes = [\"features.*\"]\ntarget = 0.5\n",
    build: |section| build(section, |settings: Slimming| Box::new(settings)),
    schema: || schemars::schema_for!(Slimming),
};

impl Slimming {
    fn aim(&self) -> Target {
        Target { strength: self.strength, target: self.target, reached_at: self.reached_at }
    }

    /// The sizes of all gains, those that stay taken for infinite.
    fn sizes(&self, params: &Params, scope: &Scope, now: Now<'_>) -> Result<Vec<Vec<f32>>> {
        Ok(magnitudes(params, scope, now)?.into_iter().map(|sizes| spare(sizes, self.min_channels)).collect())
    }
}

impl Prior for Slimming {
    fn roles(&self) -> &'static [Role] {
        &[Role::Gain]
    }

    fn check(&self, net: &Network, scope: &Scope) -> Result<(), Unfit> {
        self.aim().check()?;
        let gains: Vec<usize> = scope.positions.iter().map(|&p| net.params.list()[p].value.elem_count()).collect();
        self.aim().keeps(&gains, 0, self.min_channels, "gains")
    }

    fn prepare(&self, _net: &mut Network, scope: &Scope) -> Result<State> {
        target::nothing_held(scope)
    }

    fn after_step(&self, params: &mut Params, scope: &Scope, state: &mut State, now: Now<'_>) -> Result<()> {
        if target::is_held(state) {
            return Ok(());
        }
        for &position in &scope.positions {
            let threshold = (now.rates[position] * self.strength) as f32;
            change(params, position, |gains| shrink(gains, threshold, self.min_channels))?;
        }
        let Some(share) = self.target.filter(|_| target::highest_rate(now, scope) > 0.0) else { return Ok(()) };
        let ramp = now.progress / self.reached_at;
        let kept = target::kept(cubic(share, ramp), &self.sizes(params, scope, now)?);
        for (&position, kept) in scope.positions.iter().zip(&kept) {
            change(params, position, |gains| target::mask(gains, kept))?;
        }
        if ramp >= 1.0 { target::hold(state, kept) } else { Ok(()) }
    }

    fn enforce(&self, params: &mut Params, scope: &Scope, state: &State) -> Result<()> {
        target::enforce(params, scope, state)?;
        if !target::is_held(state) {
            return Ok(());
        }
        for (&node, &position) in scope.nodes.iter().zip(&scope.positions) {
            let gains = values(params, position)?;
            if let Some(shift) = params.position(node, Role::Shift) {
                let off = |shifts: &mut [f32]| {
                    shifts.iter_mut().zip(&gains).filter(|(_, gain)| **gain == 0.0).for_each(|(shift, _)| *shift = 0.0);
                };
                change(params, shift, off)?;
            }
        }
        Ok(())
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        self.aim().claim(Quantity::ZeroGains, scope)
    }
}

/// The proximal map of `threshold * |g|` for each gain but the `least` largest.
fn shrink(gains: &mut [f32], threshold: f32, least: usize) {
    let sizes = spare(gains.iter().map(|gain| gain.abs()).collect(), least);
    let shrunk = gains.iter_mut().zip(sizes).filter(|(_, size)| size.is_finite());
    shrunk.for_each(|(gain, _)| *gain -= gain.clamp(-threshold, threshold));
}

#[cfg(test)]
mod tests {
    use interp_net::{Graph, Op};

    use super::super::target::kept;
    use super::*;

    #[test]
    fn proximal_map_of_all_but_the_largest() {
        let mut gains = [0.05, -0.3, 0.6, 0.0];
        shrink(&mut gains, 0.1, 1);
        assert_eq!([gains[0], gains[2], gains[3]], [0.0, 0.6, 0.0]);
        assert!((gains[1] + 0.2).abs() < 1e-7);
        let mut gains = [1.0, -2.0, 0.5];
        shrink(&mut gains, 100.0, 1);
        assert_eq!(gains, [0.0, -2.0, 0.0]);
        let mut gains = [1.0, -2.0, 0.5];
        shrink(&mut gains, 100.0, 2);
        assert_eq!(gains, [1.0, -2.0, 0.0]);
    }

    /// What is held can be cut out: one of four channels stays.
    #[test]
    fn channels_that_are_held_are_cut() {
        let mut graph = Graph::new(1, 4, 4).unwrap();
        graph.then("conv", Op::conv3x3(4, 1)).unwrap();
        graph.then("bn", Op::batch_norm()).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        graph.then("next", Op::conv3x3(2, 1)).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let prior = Slimming { target: Some(0.75), ..Slimming::default() };
        let scope = Scope::new(&net, &["bn".into()], prior.roles()).unwrap();
        let mut state = prior.prepare(&mut net, &scope).unwrap();
        let shift = net.params.position(scope.nodes[0], Role::Shift).unwrap();
        change(&mut net.params, shift, |w| w.fill(0.5)).unwrap();
        let rates = vec![0.1; net.params.list().len()];
        prior.after_step(&mut net.params, &scope, &mut state, Now { rates: &rates, progress: 1.0 }).unwrap();
        assert!(net.compact().unwrap().cuts.is_empty());
        prior.enforce(&mut net.params, &scope, &state).unwrap();
        let cuts = net.compact().unwrap().cuts;
        assert_eq!((cuts.len(), cuts[0].before, cuts[0].after), (1, 4, 1));
    }

    // At 50 % the second and the fourth are kept.
    #[test]
    fn the_smallest_gains_go() {
        assert_eq!(kept(0.5, &[spare(vec![0.01, 0.5, 0.02, 0.9], 1)]), [[0, 1, 0, 1]]);
    }

    /// Two convolutions of four filters, each with a batch norm.
    fn network() -> Network {
        let mut graph = Graph::new(1, 4, 4).unwrap();
        for name in ["a", "b"] {
            graph.then(name, Op::conv3x3(4, 1)).unwrap();
            graph.then(format!("{name}.norm"), Op::batch_norm()).unwrap();
        }
        Network::new(graph, 0).unwrap()
    }

    // Eight gains, of which two stay: 0.75 can be had and no more; with three of each layer 0.25, and with more than there are
    // nothing.
    #[test]
    fn a_target_that_leaves_no_gain_in_a_layer_is_refused() {
        let net = network();
        let check_least = |target, min_channels| {
            let prior = Slimming { target: Some(target), min_channels, ..Slimming::default() };
            prior.check(&net, &Scope::new(&net, &["*".into()], prior.roles()).unwrap())
        };
        let check = |target| check_least(target, 1);
        assert_eq!(check(0.75), Ok(()));
        assert_eq!(check_least(0.25, 3), Ok(()));
        assert!(check_least(0.26, 3).is_err() && check_least(0.1, 9).is_err());
        assert_eq!(check_least(0.25, 0).unwrap_err().key, "min_channels");
        let unfit = check(0.76).unwrap_err();
        assert!(unfit.key == "target" && unfit.problem.contains("at most 0.7500"), "{unfit}");
    }
}
