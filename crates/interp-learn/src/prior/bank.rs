//! Filters that were made by hand: the first layer is theirs, or stays near them.

use interp_net::finding::{Bank, Claim, Entry, Quantity, Relation, Unfit, build};
use interp_net::ops::banks::{self, Wavelet};
use interp_net::{Network, NodeId, Op, Params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Prior, Scope, State, change};
use crate::Result;

/// The filters of a convolution that reads the picture are those of a handcrafted bank, or stay near them; where the layer has more
/// filters than the bank, the others are learned freely, and where it has fewer, they are the bank's first.
///
/// They start along the bank's, as long as the random ones were. After every step a filter `w` that is not in the cone
/// `|P w|^2 >= target |w|^2`, `P w` being its part along its own filter or color axis of the bank, goes into it by the shortest way: at 1 it
/// stays a multiple of the bank's filter, at 0.9 it can turn by 18 degrees, and at 0 it only starts there. Directions are held and
/// lengths trained, since a batch norm undoes lengths; a cone has no strength to tune, as a pull would have.
///
/// Gray and the color axes are those of the numbers that the network sees: of channels less their mean and divided by their
/// deviation, much as eyes adapt to each (von Kries 1902).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterBank {
    /// Whose filters they are.
    pub bank: Bank,
    /// Share of each filter's squared weights that stays along the bank's, in [0, 1], and is claimed in the mean.
    #[serde(default = "whole")]
    pub target: f64,
}

fn whole() -> f64 {
    1.0
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "bank",
    summary: "first filters that are Gabor filters, wavelets or derivatives of a Gaussian, or read color-opponent axes, or stay near that",
    example: "kind = \"bank\"\nnodes = [\"features.0\"]\nbank = \"gabor\"\ntarget = 0.9\n",
    build: |section| build(section, |settings: FilterBank| Box::new(settings)),
    schema: || schemars::schema_for!(FilterBank),
};

/// What is added to the share that is held, of itself: weights are rounded to f32.
const MARGIN: f64 = 1e-6;

/// Where the filters of one layer belong.
enum Place {
    /// The first of them along these, of unit length.
    Filters(Vec<Vec<f64>>),
    /// All of them along these directions in (red, green, blue), in turn.
    Axes([[f64; 3]; 3]),
}

impl Place {
    /// Of a weight of the shape `dims`: (out, channels, k, k).
    fn of(bank: Bank, dims: &[usize]) -> Result<Self> {
        let filters = match bank {
            Bank::Gabor => banks::gabor(dims[1], dims[2])?,
            Bank::Gaussian => banks::gaussian_derivatives(dims[1], dims[2])?,
            Bank::Haar => banks::wavelet(Wavelet::Haar, dims[1], dims[2])?,
            Bank::Db2 => banks::wavelet(Wavelet::Db2, dims[1], dims[2])?,
            Bank::Opponent => return Ok(Self::Axes(banks::opponent_axes())),
        };
        Ok(Self::Filters(filters.flatten_from(1)?.to_vec2()?))
    }

    /// The part of the filter number `index` that lies along the bank, if that has something for it.
    fn along(&self, index: usize, w: &[f32]) -> Option<Vec<f64>> {
        match self {
            Self::Filters(filters) => {
                let filter = filters.get(index)?;
                let scale: f64 = w.iter().zip(filter).map(|(&w, f)| f64::from(w) * f).sum();
                Some(filter.iter().map(|f| scale * f).collect())
            }
            Self::Axes(axes) => {
                let (axis, taps) = (axes[index % 3], w.len() / 3);
                let seen = |tap: usize| (0..3).map(|c| axis[c] * f64::from(w[c * taps + tap])).sum::<f64>();
                Some((0..w.len()).map(|at| axis[at / taps] * seen(at % taps)).collect())
            }
        }
    }

    /// Where the filter number `index` starts, but for its length.
    fn start(&self, index: usize, w: &[f32]) -> Option<Vec<f64>> {
        match self {
            Self::Filters(filters) => filters.get(index).cloned(),
            Self::Axes(_) => self.along(index, w),
        }
    }
}

impl FilterBank {
    /// Changes the filters that the bank has something for: `change` is given the bank, the filter's number and the filter.
    fn each(&self, params: &mut Params, scope: &Scope, each: impl Fn(&Place, usize, &mut [f32])) -> Result<()> {
        for &position in &scope.positions {
            let dims = params.list()[position].value.dims().to_vec();
            let (place, size) = (Place::of(self.bank, &dims)?, dims[1..].iter().product());
            change(params, position, |w| w.chunks_exact_mut(size).enumerate().for_each(|(i, w)| each(&place, i, w)))?;
        }
        Ok(())
    }
}

impl Prior for FilterBank {
    fn acts_on(&self, net: &Network, id: NodeId) -> bool {
        let node = &net.graph.nodes()[id];
        let Op::Conv2d { kernel: [height, width], groups: 1, .. } = node.op else { return false };
        let channels = net.graph.shape(0)[0];
        let has_room = |side: usize| matches!(channels, 1 | 3) && height == width && height >= side;
        let fits = match self.bank {
            Bank::Haar => has_room(2),
            Bank::Gabor | Bank::Gaussian => has_room(3),
            Bank::Db2 => has_room(4),
            Bank::Opponent => channels == 3,
        };
        let sees = |id: NodeId| {
            id == 0 || (matches!(net.graph.nodes()[id].op, Op::Mirror { .. }) && net.graph.nodes()[id].inputs == [0])
        };
        node.inputs.len() == 1 && sees(node.inputs[0]) && fits
    }

    fn check(&self, _net: &Network, _scope: &Scope) -> Result<(), Unfit> {
        let target = self.target;
        Unfit::unless((0.0..=1.0).contains(&target), "target", format!("must be in [0, 1], not {target}"))
    }

    fn decides_weights(&self) -> bool {
        self.target > 0.0
    }

    fn prepare(&self, net: &mut Network, scope: &Scope) -> Result<State> {
        self.each(&mut net.params, scope, |place, index, w| {
            let Some(start) = place.start(index, w) else { return };
            let scale = norm(w.iter().map(|&w| f64::from(w))) / norm(start.iter().copied()).max(f64::MIN_POSITIVE);
            w.iter_mut().zip(start).for_each(|(w, start)| *w = (scale * start) as f32);
        })?;
        Ok(State::default())
    }

    fn enforce(&self, params: &mut Params, scope: &Scope, _state: &State) -> Result<()> {
        let target = (self.target * (1.0 + MARGIN)).min(1.0);
        self.each(params, scope, |place, index, w| {
            if let Some(along) = place.along(index, w) {
                into_cone(w, &along, target);
            }
        })
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        vec![Claim {
            quantity: Quantity::AlongBank(self.bank),
            nodes: scope.names.clone(),
            scope: scope.label.clone(),
            relation: Relation::AtLeast,
            bound: self.target,
        }]
    }
}

/// The point nearest to `w` of which the share `target` lies along the bank, if that of `w` is less; `along` is the part of `w` that does. At
/// a right angle to the bank no point is the nearest, and `w` stays.
fn into_cone(w: &mut [f32], along: &[f64], target: f64) {
    let rest: Vec<f64> = w.iter().zip(along).map(|(&w, along)| f64::from(w) - along).collect();
    let (a, r) = (norm(along.iter().copied()), norm(rest.iter().copied()));
    let (cos, sin) = (target.sqrt(), (1.0 - target).sqrt());
    if a == 0.0 || r * cos <= a * sin {
        return;
    }
    let length = a * cos + r * sin;
    for ((w, along), rest) in w.iter_mut().zip(along).zip(&rest) {
        *w = (length * (cos * along / a + sin * rest / r)) as f32;
    }
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use interp_net::Graph;

    use super::super::{Now, values};
    use super::*;

    /// Two convolutions, of which the first reads the picture.
    fn network(channels: usize, filters: usize) -> Network {
        let mut graph = Graph::new(channels, 8, 8).unwrap();
        graph.then("conv", Op::conv(filters, 5, 1, 2, false)).unwrap();
        graph.then("next", Op::conv3x3(4, 1)).unwrap();
        Network::new(graph, 3).unwrap()
    }

    fn prior(bank: Bank, target: f64) -> FilterBank {
        FilterBank { bank, target }
    }

    fn scope(net: &Network, prior: &FilterBank) -> Scope {
        Scope::of_prior(net, &["*".into()], prior).unwrap()
    }

    /// For each filter the share of its squares along the bank.
    fn shares(net: &Network, bank: Bank) -> Vec<f64> {
        let dims = net.params.list()[0].value.dims().to_vec();
        let (place, w) = (Place::of(bank, &dims).unwrap(), values(&net.params, 0).unwrap());
        let square = |v: f64| v * v;
        let share = |(index, w): (usize, &[f32])| {
            let along: f64 = place.along(index, w)?.into_iter().map(square).sum();
            Some(along / w.iter().map(|&w| square(f64::from(w))).sum::<f64>())
        };
        w.chunks_exact(w.len() / dims[0]).enumerate().filter_map(share).collect()
    }

    // In the plane, with the bank along x: (3, 4) has 9/25 along it. The cone of 1/2 has its edge along (1, 1), to which the foot of the
    // perpendicular from (3, 4) is (3.5, 3.5); of 1 only x is left; of 9/25 and below nothing changes.
    #[test]
    fn the_shortest_way_into_the_cone() {
        let ended = |w: [f32; 2], target: f64| {
            let mut w = w;
            let along = [f64::from(w[0]), 0.0];
            into_cone(&mut w, &along, target);
            w
        };
        assert_eq!(ended([3.0, 4.0], 0.5), [3.5, 3.5]);
        assert_eq!(ended([-3.0, 4.0], 0.5), [-3.5, 3.5]);
        assert_eq!(ended([3.0, 4.0], 1.0), [3.0, 0.0]);
        assert_eq!(ended([3.0, 4.0], 0.36), [3.0, 4.0]);
        assert_eq!(ended([3.0, 4.0], 0.0), [3.0, 4.0]);
        assert_eq!(ended([0.0, 4.0], 0.5), [0.0, 4.0]);
        assert_eq!(ended([0.0, 0.0], 0.5), [0.0, 0.0]);
    }

    // Red (1, 0, 0) has (1/2, -1/2, 0) along red against green, (1/6, 1/6, -1/3) along yellow against blue, and 1/3 of each along gray.
    #[test]
    fn along_color_axes_by_hand() {
        let place = Place::of(Bank::Opponent, &[4, 3, 1, 2]).unwrap();
        let red_right = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0];
        for (index, expected) in
            [[0.5, -0.5, 0.0], [1.0 / 6.0, 1.0 / 6.0, -1.0 / 3.0], [1.0 / 3.0; 3], [0.5, -0.5, 0.0]].iter().enumerate()
        {
            let along = place.along(index, &red_right).unwrap();
            for channel in 0..3 {
                assert!(along[2 * channel] == 0.0 && (along[2 * channel + 1] - expected[channel]).abs() < 1e-12);
            }
        }
    }

    /// Filters start along the bank, as long as they were, and the others as they were.
    #[test]
    fn what_it_starts_from() {
        for (bank, channels, banked) in [
            (Bank::Gabor, 3, 16),
            (Bank::Gabor, 1, 16),
            (Bank::Gaussian, 3, 6),
            (Bank::Db2, 3, 4),
            (Bank::Opponent, 3, 20),
        ] {
            let mut net = network(channels, 20);
            let before = values(&net.params, 0).unwrap();
            let prior = prior(bank, 0.0);
            let scope = scope(&net, &prior);
            assert_eq!(scope.names, ["conv"]);
            prior.prepare(&mut net, &scope).unwrap();
            let after = values(&net.params, 0).unwrap();
            let size = before.len() / 20;
            let length = |w: &[f32]| norm(w.iter().map(|&w| f64::from(w)));
            for (index, (before, after)) in before.chunks(size).zip(after.chunks(size)).enumerate() {
                assert!((length(before) / length(after) - 1.0).abs() < 1e-6);
                assert_eq!(before == after, index >= banked);
            }
            assert!(shares(&net, bank)[..banked].iter().all(|share| (share - 1.0).abs() < 1e-12));
        }
        // The first Gabor filter is even and positive in the middle.
        let mut net = network(1, 20);
        let prior = prior(Bank::Gabor, 1.0);
        let scope = scope(&net, &prior);
        prior.prepare(&mut net, &scope).unwrap();
        assert!(values(&net.params, 0).unwrap()[12] > 0.0);
    }

    /// Whatever the optimizer does to the filters, the share along the bank stays; what is near enough stays as it is.
    #[test]
    fn filters_stay_in_their_cones() {
        for (bank, target) in
            [(Bank::Gabor, 0.9), (Bank::Gabor, 1.0), (Bank::Opponent, 0.7), (Bank::Gaussian, 0.5), (Bank::Haar, 0.6)]
        {
            let mut net = network(3, 20);
            let prior = prior(bank, target);
            let scope = scope(&net, &prior);
            let state = prior.prepare(&mut net, &scope).unwrap();
            let noise = |at: usize| ((at as f32 + 1.0) * 12.9898).sin();
            change(&mut net.params, 0, |w| w.iter_mut().enumerate().for_each(|(at, w)| *w += noise(at))).unwrap();
            let moved = shares(&net, bank);
            assert!(moved.iter().any(|&share| share < target), "{moved:?}");
            let free = values(&net.params, 0).unwrap()[16 * 75..].to_vec();
            prior.enforce(&mut net.params, &scope, &state).unwrap();
            let held = shares(&net, bank);
            assert!(held.iter().all(|&share| share > target - 1e-12), "{held:?}");
            let first = values(&net.params, 0).unwrap();
            assert_eq!(first[16 * 75..] == free, bank != Bank::Opponent, "beyond the bank filters are free");
            prior.enforce(&mut net.params, &scope, &state).unwrap();
            assert!(values(&net.params, 0).unwrap().iter().zip(first).all(|(a, b)| (a - b).abs() < 1e-6));
            let now = Now { rates: &[0.1; 2], progress: 1.0 };
            prior.after_step(&mut net.params, &scope, &mut state.clone(), now).unwrap();
        }
    }

    #[test]
    fn it_acts_on_what_reads_the_picture_and_has_room() {
        let refused = |net: &Network, bank: Bank, nodes: &str| {
            Scope::of_prior(net, &[nodes.into()], &prior(bank, 1.0)).err().map(|error| error.to_string())
        };
        let net = network(3, 8);
        assert!(refused(&net, Bank::Gabor, "next").unwrap().contains("can act on"));
        assert!(refused(&net, Bank::Gabor, "conv").is_none());
        assert!(refused(&network(1, 8), Bank::Opponent, "*").is_some());
        assert!(refused(&network(4, 8), Bank::Gabor, "*").is_some());
        let mut small = Graph::new(3, 8, 8).unwrap();
        small.then("conv", Op::conv(8, 1, 1, 0, false)).unwrap();
        let small = Network::new(small, 0).unwrap();
        assert!(refused(&small, Bank::Gaussian, "*").is_some() && refused(&small, Bank::Opponent, "*").is_none());
        let scope = scope(&net, &prior(Bank::Gabor, 1.0));
        assert_eq!(prior(Bank::Gabor, 1.5).check(&net, &scope).unwrap_err().key, "target");
    }
}
