//! Group lasso: whole filters or input channels become zero.

use interp_net::finding::{Claim, Entry, Quantity, Unfit, build};
use interp_net::{Network, NodeId, Op, Params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dependency::Groups;
use super::target::{Target, after_filter, held, highest_rate, is_held, mask, spare, unless_frozen};
use super::{Now, Prior, Scope, State, change, refuse_transposed, values};
use crate::Result;

/// What is zero together. Weights are `(out, in, ...)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Grouping {
    /// All weights of one output.
    Filters,
    /// All weights that read one input channel.
    Inputs,
    /// All that makes, scales or reads a channel, through residual sums too: of the layers that make it the filter, of
    /// their batch norms gain and shift, and of those that read it the weights on it. What is zero can be cut out.
    Dependency,
}

/// `strength * sum over groups of sqrt(d) ||w||`, d weights in a group, by its proximal map after every
/// step: `w = w max(0, 1 - rate strength sqrt(d) / ||w||)` (Yuan and Lin 2006, eq. 2.1). Zeros are exact.
/// The `min_channels` largest groups of a layer are never made zero, so that no layer dies. A weight that is in two groups is
/// shrunk with both, which is not the proximal map of their sum, but near it.
///
/// The map takes the rate as it is: with momentum m, whose steps come to `rate / (1 - m)` times the gradient, what is least in the
/// end is the loss with `(1 - m) * strength`.
///
/// With `target` the strength is not constant but controlled: the share of zeros follows `target (1 - (1 - t)^3)`, t from 0 to 1 by
/// `reached_at`; then what is missing is zeroed, the smallest first, and zeros stay. Once they do, the gain and shift of the
/// batch norm that alone reads a filter of zeros are zero too, or else its bias: `interp-train compact` cuts the channel out. A group
/// by dependency that is zero stays so: nothing reads it, and nothing it reads tells it how to grow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GroupLasso {
    /// What is zero together.
    pub groups: Grouping,
    /// Weight of the penalty, constant unless there is a target.
    pub strength: f64,
    /// Share of groups to make exactly zero, and to claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// Share of the steps in which the prior steers by which the target is reached; after it zeros stay, and
    /// nothing is shrunk.
    pub reached_at: f64,
    /// Groups of each layer that stay, 1 or more; of a layer that has fewer, all.
    pub min_channels: usize,
}

impl Default for GroupLasso {
    fn default() -> Self {
        Self { groups: Grouping::Filters, strength: 1e-4, target: None, reached_at: 0.6, min_channels: 1 }
    }
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "group_lasso",
    summary: "whole filters or input channels exactly zero, or channels with all that makes and reads them, through residual sums: to a target share",
    example: "kind = \"group_lasso\"\nnodes = [\"features.*\"]\ngroups = \"filters\"\ntarget = 0.5\n",
    build: |section| build(section, |settings: GroupLasso| Box::new(settings)),
    schema: || schemars::schema_for!(GroupLasso),
};

/// Refuses a layer of which a slice of its weight is not all that reads a channel.
fn reads_whole_channels(net: &Network, id: NodeId) -> Result<(), Unfit> {
    let node = &net.graph.nodes()[id];
    let what = match node.op {
        Op::Conv2d { groups: 2.., .. } => "a convolution in groups, of which each reads other channels",
        Op::Linear { .. } if net.graph.shape(node.inputs[0]).len() > 1 => {
            "a linear map of a map, which reads each cell of a channel by itself: take groups = \"dependency\""
        }
        _ => return Ok(()),
    };
    Err(Unfit::new("nodes", format!("must not match `{}`, {what}", node.name)))
}

/// How the values of one weight tensor fall into groups.
#[derive(Clone, Copy)]
struct Layout {
    grouping: Grouping,
    out: usize,
    inputs: usize,
    taps: usize,
}

impl Layout {
    fn of(grouping: Grouping, dims: &[usize]) -> Self {
        Self { grouping, out: dims[0], inputs: dims[1], taps: dims[2..].iter().product() }
    }

    fn groups(self) -> usize {
        match self.grouping {
            Grouping::Filters | Grouping::Dependency => self.out,
            Grouping::Inputs => self.inputs,
        }
    }

    /// Weights in a group.
    fn size(self) -> usize {
        self.out * self.inputs * self.taps / self.groups().max(1)
    }

    /// Weights of one group that lie side by side. Stretches belong to the groups in turn.
    fn stretch(self) -> usize {
        match self.grouping {
            Grouping::Filters | Grouping::Dependency => self.inputs * self.taps,
            Grouping::Inputs => self.taps,
        }
    }

    /// Norm of each group divided by `sqrt(d)`: what the threshold is held against.
    fn norms(self, w: &[f32]) -> Vec<f32> {
        let mut squares = vec![0.0f64; self.groups()];
        for (index, stretch) in w.chunks_exact(self.stretch().max(1)).enumerate() {
            squares[index % self.groups()] += stretch.iter().map(|&w| f64::from(w) * f64::from(w)).sum::<f64>();
        }
        squares.iter().map(|s| (s / self.size() as f64).sqrt() as f32).collect()
    }

    /// Multiplies the weights of each group; by zero they become zero, whatever they are.
    fn scale(self, w: &mut [f32], factors: &[f32]) {
        for (index, stretch) in w.chunks_exact_mut(self.stretch().max(1)).enumerate() {
            match factors[index % self.groups()] {
                0.0 => stretch.fill(0.0),
                factor => stretch.iter_mut().for_each(|w| *w *= factor),
            }
        }
    }

    /// As [`Layout::norms`], with the `least` largest taken for infinite, so that they stay.
    fn spared(self, w: &[f32], least: usize) -> Vec<f32> {
        spare(self.norms(w), least)
    }

    /// The proximal map of `threshold * sqrt(d) ||w||` for each group but the `least` largest; returns how many are zero.
    fn shrink(self, w: &mut [f32], threshold: f32, least: usize) -> usize {
        let factors: Vec<f32> = self.spared(w, least).iter().map(|norm| factor(*norm, threshold)).collect();
        self.scale(w, &factors);
        factors.iter().filter(|factor| **factor == 0.0).count()
    }
}

/// What the proximal map multiplies a group with, from its norm divided by the root of its size.
fn factor(norm: f32, threshold: f32) -> f32 {
    if norm <= threshold { 0.0 } else { 1.0 - threshold / norm }
}

impl GroupLasso {
    fn aim(&self) -> Target {
        Target { strength: self.strength, target: self.target, reached_at: self.reached_at }
    }

    fn layout(&self, params: &Params, position: usize) -> Layout {
        Layout::of(self.groups, params.list()[position].value.dims())
    }

    /// [`Prior::after_step`] where a group is of several layers.
    fn shrink_together(&self, params: &mut Params, scope: &Scope, state: &mut State, now: Now<'_>) -> Result<()> {
        let (aim, groups) = (self.aim(), Groups::from(state, params)?);
        let threshold = (highest_rate(now, scope) * aim.strength(state)) as f32;
        let norms = groups.spared(params, scope, now, self.min_channels)?;
        let factors: Vec<f32> = norms.iter().map(|norm| factor(*norm, threshold)).collect();
        groups.scale(params, &factors)?;
        let made = groups.made(params, scope);
        let channels = || made.iter().flatten().map(|group| group.map_or(1.0, |group| factors[group]));
        let share = channels().filter(|factor| *factor == 0.0).count() as f64 / channels().count().max(1) as f64;
        aim.control(scope, state, now, share, || {
            let norms = groups.spared(params, scope, now, self.min_channels)?;
            let of_layer = |groups: &Vec<Option<usize>>| {
                groups.iter().map(|group| group.map_or(f32::INFINITY, |group| norms[group])).collect()
            };
            Ok(made.iter().map(of_layer).collect())
        })
    }

    /// [`Prior::enforce`] where a group is of several layers: it is zero where any channel of it is held at zero.
    fn hold_together(&self, params: &mut Params, scope: &Scope, state: &State) -> Result<()> {
        if !is_held(state) {
            return Ok(());
        }
        let groups = Groups::from(state, params)?;
        let mut factors = vec![1.0; groups.count()];
        for (index, made) in groups.made(params, scope).into_iter().enumerate() {
            for (group, kept) in made.into_iter().zip(held(state, index)?.unwrap_or_default()) {
                group.filter(|_| kept == 0).into_iter().for_each(|group| factors[group] = 0.0);
            }
        }
        groups.scale(params, &factors)
    }
}

impl Prior for GroupLasso {
    fn check(&self, net: &Network, scope: &Scope) -> Result<(), Unfit> {
        self.aim().check()?;
        refuse_transposed(net, scope)?;
        if self.groups == Grouping::Dependency {
            let groups = Groups::of(net, scope);
            Unfit::unless(groups.count() > 0, "nodes", "must match a layer of which channels can be cut out")?;
            let made = groups.made(&net.params, scope);
            let of_layer = made.iter().map(|channels| channels.iter().flatten().count()).collect::<Vec<_>>();
            let fixed = made.iter().flatten().filter(|group| group.is_none()).count();
            return self.aim().keeps(&of_layer, fixed, self.min_channels, "channels");
        }
        if self.groups == Grouping::Inputs {
            scope.nodes.iter().try_for_each(|&id| reads_whole_channels(net, id))?;
        }
        let groups: Vec<usize> = scope.positions.iter().map(|&p| self.layout(&net.params, p).groups()).collect();
        self.aim().keeps(&groups, 0, self.min_channels, "groups")
    }

    fn prepare(&self, net: &mut Network, scope: &Scope) -> Result<State> {
        let mut state = self.aim().start(scope)?;
        if self.groups == Grouping::Dependency {
            Groups::of(net, scope).save(&mut state)?;
        }
        Ok(state)
    }

    fn after_step(&self, params: &mut Params, scope: &Scope, state: &mut State, now: Now<'_>) -> Result<()> {
        let aim = self.aim();
        if is_held(state) {
            return Ok(());
        }
        if self.groups == Grouping::Dependency {
            return self.shrink_together(params, scope, state, now);
        }
        let (mut zeros, mut count) = (0, 0);
        for &position in &scope.positions {
            let threshold = (now.rates[position] * aim.strength(state)) as f32;
            let layout = self.layout(params, position);
            change(params, position, |w| zeros += layout.shrink(w, threshold, self.min_channels))?;
            count += layout.groups();
        }
        let size = |&p: &usize| {
            let spared = self.layout(params, p).spared(&values(params, p)?, self.min_channels);
            Ok(unless_frozen(spared, now.rates[p]))
        };
        let share = zeros as f64 / count.max(1) as f64;
        aim.control(scope, state, now, share, || scope.positions.iter().map(size).collect())
    }

    fn enforce(&self, params: &mut Params, scope: &Scope, state: &State) -> Result<()> {
        if self.groups == Grouping::Dependency {
            return self.hold_together(params, scope, state);
        }
        for (index, &position) in scope.positions.iter().enumerate() {
            if let Some(kept) = held(state, index)? {
                let factors: Vec<f32> = kept.iter().map(|&kept| kept.into()).collect();
                let layout = self.layout(params, position);
                change(params, position, |w| layout.scale(w, &factors))?;
                if self.groups == Grouping::Filters {
                    let added = after_filter(params, scope, index);
                    added.into_iter().try_for_each(|position| change(params, position, |v| mask(v, &kept)))?;
                }
            }
        }
        Ok(())
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        let quantity = match self.groups {
            Grouping::Filters => Quantity::ZeroFilters,
            Grouping::Inputs => Quantity::ZeroInputs,
            Grouping::Dependency => Quantity::RemovableChannels,
        };
        self.aim().claim(quantity, scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use interp_net::{Graph, Role};

    fn layout(grouping: Grouping) -> Layout {
        Layout::of(grouping, &[2, 2, 1, 1])
    }

    // Its weights are (in, out / groups, ...): the groups would be others than the claim says.
    #[test]
    fn transposed_convolutions_are_refused() {
        let mut graph = Graph::new(1, 4, 4).unwrap();
        let [kernel, stride, dilation] = [[2; 2], [2; 2], [1; 2]];
        let [padding, output_padding] = [[0; 2]; 2];
        let op = Op::ConvTranspose2d {
            out_channels: 2,
            kernel,
            stride,
            padding,
            output_padding,
            dilation,
            groups: 1,
            bias: false,
        };
        graph.then("up", op).unwrap();
        graph.then("conv", Op::conv3x3(2, 1)).unwrap();
        let net = Network::new(graph, 0).unwrap();
        let check = |nodes: &str| {
            let prior = GroupLasso::default();
            prior.check(&net, &Scope::new(&net, &[nodes.into()], prior.roles()).unwrap())
        };
        assert!(check("conv").is_ok());
        assert!(check("*").unwrap_err().to_string().contains("`up`"));
    }

    // Of 3 + 4 channels the 4 of the outputs cannot go, and one of the others stays: 2/7 is the most.
    #[test]
    fn what_cannot_go_bounds_the_target() {
        let mut graph = Graph::new(1, 4, 4).unwrap();
        graph.then("conv", Op::conv(3, 1, 1, 0, true)).unwrap();
        graph.then("mean", Op::GlobalAvgPool).unwrap();
        graph.then("head", Op::Linear { out_features: 4, bias: true }).unwrap();
        let net = Network::new(graph, 0).unwrap();
        let refusal = |target: f64| {
            let prior = GroupLasso { groups: Grouping::Dependency, target: Some(target), ..GroupLasso::default() };
            let scope = Scope::new(&net, &["*".into()], prior.roles()).unwrap();
            prior.check(&net, &scope).err().map(|unfit| unfit.to_string())
        };
        assert_eq!(refusal(2.0 / 7.0), None);
        assert!(refusal(0.3).unwrap().contains("at most 0.2857"), "{:?}", refusal(0.3));
    }

    /// A filter of zeros before a batch norm with a shift would be a constant, and one with a bias too: both are held at 0, so that the
    /// channels can be cut out. Which reads groups of channels is refused where inputs are meant.
    #[test]
    fn what_is_added_to_held_filters_goes_too() {
        let mut graph = Graph::new(2, 4, 4).unwrap();
        graph.then("normed", Op::conv(4, 1, 1, 0, false)).unwrap();
        graph.then("bn", Op::batch_norm()).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        graph.then("biased", Op::conv(4, 1, 1, 0, true)).unwrap();
        graph.then("relu2", Op::Relu).unwrap();
        graph.then("last", Op::conv(4, 1, 1, 0, false)).unwrap();
        graph
            .then(
                "grouped",
                Op::Conv2d {
                    out_channels: 4,
                    kernel: [1; 2],
                    stride: [1; 2],
                    padding: [0; 2],
                    dilation: [1; 2],
                    groups: 2,
                    bias: false,
                },
            )
            .unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        for position in 0..net.params.list().len() {
            if matches!(net.params.list()[position].role, Role::Shift | Role::Bias) {
                change(&mut net.params, position, |v| v.fill(0.3)).unwrap();
            }
        }
        let prior = GroupLasso { target: Some(0.5), ..GroupLasso::default() };
        let scope = Scope::new(&net, &["normed".into(), "biased".into()], prior.roles()).unwrap();
        let mut state = prior.prepare(&mut net, &scope).unwrap();
        let rates = vec![0.1; net.params.list().len()];
        prior.after_step(&mut net.params, &scope, &mut state, Now { rates: &rates, progress: 1.0 }).unwrap();
        prior.enforce(&mut net.params, &scope, &state).unwrap();
        let small = net.compact().unwrap().network;
        let channels = |net: &Network| scope.nodes.iter().map(|&id| net.graph.shape(id)[0]).sum::<usize>();
        assert_eq!((channels(&net), channels(&small)), (8, 4));
        let inputs = GroupLasso { groups: Grouping::Inputs, ..GroupLasso::default() };
        let scope = Scope::new(&net, &["*".into()], prior.roles()).unwrap();
        assert!(inputs.check(&net, &scope).unwrap_err().to_string().contains("`grouped`"));
        let mut graph = Graph::new(2, 4, 4).unwrap();
        graph.then("flat", Op::Linear { out_features: 3, bias: true }).unwrap();
        let net = Network::new(graph, 0).unwrap();
        let scope = Scope::new(&net, &["*".into()], prior.roles()).unwrap();
        assert!(inputs.check(&net, &scope).unwrap_err().to_string().contains("`flat`"));
    }

    // The length of what is left is max(length - tau, 0), and its direction that of before.
    #[test]
    fn the_proximal_map_shortens_by_tau() {
        let before: Vec<f32> = (0..24).map(|i| (i as f32 * 1.7).sin()).collect();
        let length = |w: &[f32]| w.iter().map(|w| w * w).sum::<f32>().sqrt();
        for tau in [0.1f32, 1.0, 2.0, 20.0] {
            let mut w = before.clone();
            Layout::of(Grouping::Filters, &[2, 3, 2, 2]).shrink(&mut w, tau / 12f32.sqrt(), 0);
            for (before, after) in before.chunks(12).zip(w.chunks(12)) {
                let (was, is) = (length(before), length(after));
                assert!((is - (was - tau).max(0.0)).abs() < 1e-5, "{was} became {is} at {tau}");
                assert!(before.iter().zip(after).all(|(b, a)| (b * is - a * was).abs() < 1e-5));
            }
        }
    }

    // Lengths shrink by tau, with the weights of a group and tau = threshold * sqrt(2); a second filter survives.
    #[test]
    fn proximal_map() {
        for (tau, expected) in [(1.0f32, [2.4f32, 3.2]), (5.0, [0.0, 0.0]), (6.0, [0.0, 0.0])] {
            let mut w = [3.0, 4.0, 300.0, 400.0];
            let zeros = layout(Grouping::Filters).shrink(&mut w, tau / 2f32.sqrt(), 1);
            assert_eq!(zeros, usize::from(expected[0] == 0.0));
            assert!((w[0] - expected[0]).abs() < 1e-5 && (w[1] - expected[1]).abs() < 1e-5, "{w:?} at {tau}");
        }
    }

    #[test]
    fn input_groups_cross_filters_and_the_largest_survives() {
        let mut w = [3.0, 0.1, 4.0, 0.1];
        layout(Grouping::Inputs).shrink(&mut w, 100.0, 1);
        assert_eq!(w, [3.0, 0.0, 4.0, 0.0]);
    }

    // What has diverged must be seen in the next loss.
    #[test]
    fn groups_that_are_not_numbers_are_not_made_zero() {
        for nan in [f32::NAN, -f32::NAN] {
            let mut w = [nan, 1.0, 3.0, 4.0];
            assert_eq!(layout(Grouping::Filters).shrink(&mut w, 0.1, 1), 0);
            assert!(w[0].is_nan() && w[3] != 0.0);
        }
    }

    /// A ResNet-20 of a quarter of the width: half of all channels go, those of the sums too, and two of each layer stay.
    #[test]
    fn dependent_groups_are_held_and_cut() {
        let resnet = interp_net::zoo::ResNet { width: 0.25, ..Default::default() };
        let graph = interp_net::zoo::Architecture::graph(&resnet, [3, 8, 8], 4).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let prior =
            GroupLasso { groups: Grouping::Dependency, target: Some(0.4), min_channels: 2, ..GroupLasso::default() };
        let scope = Scope::new(&net, &["*".into()], prior.roles()).unwrap();
        assert_eq!(prior.check(&net, &scope), Ok(()));
        let mut state = prior.prepare(&mut net, &scope).unwrap();
        let rates = vec![0.1; net.params.list().len()];
        prior.after_step(&mut net.params, &scope, &mut state, Now { rates: &rates, progress: 1.0 }).unwrap();
        prior.enforce(&mut net.params, &scope, &state).unwrap();
        let small = net.compact().unwrap().network;
        let channels = |net: &Network| scope.nodes.iter().map(|&id| net.graph.shape(id)[0]).collect::<Vec<_>>();
        let (before, after) = (channels(&net), channels(&small));
        assert!(after.iter().sum::<usize>() as f64 <= 0.6 * before.iter().sum::<usize>() as f64, "{after:?}");
        assert!(after.iter().all(|&count| count >= 2), "{after:?}");
        let of = |name: &str| scope.names.iter().position(|other| other == name).map(|index| after[index]);
        assert!(of("layer3.0.conv2").unwrap() < 16 && of("layer3.0.conv2") == of("layer3.2.conv2"), "{after:?}");
    }
}
