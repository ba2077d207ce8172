//! Part filters: each filter answers to one part of one class, in one place of a picture.

use candle_core::{DType, Device, Tensor};
use interp_net::finding::{Claim, Entry, Quantity, Relation, Unfit, build};
use interp_net::ops::scalars::largest;
use interp_net::{Network, NodeId, Op, Role};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::follow::{Follow, beyond, trained};
use super::target::cubic;
use super::templates::{Templates, near_peak};
use super::{Prior, Scope, State, Step, Term, share};
use crate::Result;

/// The filter loss of Zhang, Wu and Zhu 2018 (arXiv 1710.00935, eqs. 1 to 3): for each filter, `-MI(X; T)` is added, the mutual
/// information between its maps x in the batch and templates T. `T_mu[i, j] = tau max(1 - 4 (|i - mu_i| / h + |j - mu_j| / w), -1)` is
/// that of a part at the cell mu of maps of h x w cells; the negative one, `-tau` everywhere, that of a part which is not there. All are
/// equally likely (the paper's `alpha = n^2 / (1 + n^2)`), and `p(x|T) = exp(tr(x T)) / Z_T`, Z_T over the maps of the batch. A
/// filter that is active in one place, and elsewhere in other pictures, tells most of the templates.
///
/// Where `by_class`, each filter has the class whose pictures activate it most, by running means. This class weighs as much in the batch
/// as all others together, and to the others belongs the negative template: less the mean of `ln p(x|T-)` over their pictures is added.
///
/// What differs from the paper: the gradient is exact, by all templates and through Z_T and p(x), where the paper takes the likeliest
/// template alone and holds both; its choice of templates by class is in that gradient only, and is a term of the loss here. Maps are
/// in units of the mean of their sums in the batch, with tau = 6, in place of tau = 0.5 / n^2 for activations of any size: otherwise batch
/// norms would decide how much is asked of a layer. The mask that multiplies maps with their template in the forward pass is left out.
///
/// `strength` times the mean over filters is added for each layer, at each step over another fourth of them. The strength of
/// each layer is controlled: its logarithm follows what the share near the peaks lacks, in the batch, of a ramp, which leads from the
/// share before the first step to a tenth of the way from `target` to 1 beyond the target. The ramp is `1 - (1 - t)^3` of its way, t
/// from 0 to 1 over the first `reached_at` of the steps. `nodes` are ReLUs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartFilters {
    /// Weight of the penalty at the first step.
    #[serde(default = "strength")]
    pub strength: f64,
    /// The share of a filter's activation that lies near its peak in each picture, nearer than a quarter of the map's size, to reach and to
    /// claim; the mean over filters of the layer where it is lowest.
    pub target: f64,
    /// Share of the steps in which the prior steers by which the target is reached.
    #[serde(default = "reached_at")]
    pub reached_at: f64,
    /// Whether each filter is to answer to the pictures of one class alone.
    #[serde(default = "by_class")]
    pub by_class: bool,
}

fn strength() -> f64 {
    0.05
}

fn reached_at() -> f64 {
    0.6
}

fn by_class() -> bool {
    true
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "part_filters",
    summary: "filters that answer to one part of one class in one place, by the information between maps and templates of parts",
    example: "kind = \"part_filters\"\nnodes = [\"features.*\"]\ntarget = 0.6\n",
    build: |section| build(section, |settings: PartFilters| Box::new(settings)),
    schema: || schemars::schema_for!(PartFilters),
};

/// One filter in so many has its turn at a step: each map is held against as many templates as it has cells. (All of them at one
/// step in so many, as much stronger, takes a network out of its course.)
const EVERY: u32 = 4;

/// How fast the logarithm of a strength follows the error in the share near the peaks, at every step.
const GAIN: f64 = 0.2;

/// The largest strength: more leaves nothing of the loss that the network is trained for.
const MOST: f64 = 1.0;

/// How far beyond the target training aims, as a share of what is left.
const MARGIN: f64 = 0.1;

/// Cells of a map, at most: time and memory grow with their square.
const MOST_CELLS: usize = 1024;

/// Share of the old in the running means of what classes activate.
const MEMORY: f64 = 0.9;

/// The name of the means by filter and class of layer number `index`, among the tensors of a state.
fn means_of(index: usize) -> String {
    format!("means.{index}")
}

/// The name of the strength of layer number `index`, among the numbers.
fn strength_of(index: usize) -> String {
    format!("strength.{index}")
}

/// What the maps of a filter in a batch give.
struct OfFilter {
    loss: f64,
    gradient: Vec<f64>,
    near: Option<f64>,
}

/// Height and width of a node's maps.
fn size_of(net: &Network, id: NodeId) -> [usize; 2] {
    let shape = net.graph.shape(id); // (C, H, W)
    [shape[1], shape[2]]
}

/// `None` of nothing.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

impl PartFilters {
    fn follow(&self) -> Follow {
        Follow { first: self.strength, gain: GAIN, most: MOST }
    }

    /// Follows the share near the peaks found in layer number `index`.
    fn control(&self, state: &mut State, index: usize, near: f64, progress: f64, weight: f64) {
        let first = *state.numbers.entry(format!("first.{index}")).or_insert(near);
        self.follow().adapt(state, &strength_of(index), self.aim(first, progress) - near, weight);
        state.numbers.insert(format!("near.{index}"), near);
    }

    /// The share near the peaks to have at a step, from that before the first.
    fn aim(&self, first: f64, progress: f64) -> f64 {
        first + cubic(beyond(self.target, MARGIN) - first, progress / self.reached_at)
    }

    /// Of the filters of layer number `index` that have their turn, whose classes are learned by the way.
    fn of_layer(
        &self,
        step: &Step<'_>,
        id: NodeId,
        turn: &[u32],
        state: &mut State,
        index: usize,
    ) -> Result<Vec<OfFilter>> {
        let maps = step.tape.at(&step.net.graph, id)?.to_device(&Device::Cpu)?;
        let maps = maps.transpose(0, 1)?.contiguous()?; // (N, C, H, W) -> (C, N, H, W)
        let maps = maps.index_select(&Tensor::new(turn, &Device::Cpu)?, 0)?.to_dtype(DType::F64)?;
        let (size, maps) = (size_of(step.net, id), maps.flatten_all()?.to_vec1()?);
        let labels = &step.batch.labels;
        let classes = match state.tensors.get(&means_of(index)) {
            Some(means) if self.by_class => {
                let (dims, classes) = (means.dims().to_vec(), means.dim(1)?);
                let mut means: Vec<f64> = means.flatten_all()?.to_vec1()?;
                let own = turn.iter().zip(maps.chunks_exact((labels.len() * size[0] * size[1]).max(1)));
                let of_filter = |(&filter, maps): (&u32, &[f64])| {
                    let means = &mut means[filter as usize * classes..][..classes];
                    remember(means, maps, labels);
                    largest(means)
                };
                let found = own.map(of_filter).collect();
                state.tensors.insert(means_of(index), Tensor::from_vec(means, dims, &Device::Cpu)?);
                found
            }
            _ => vec![0; turn.len()],
        };
        Ok(self.of_filters(&maps, size, labels, &classes))
    }

    /// Of filters, by their maps (C, N, cells) and the classes that they have.
    fn of_filters(&self, maps: &[f64], size: [usize; 2], labels: &[u32], classes: &[usize]) -> Vec<OfFilter> {
        let templates = Templates::of(size);
        let all = maps.par_chunks_exact((labels.len() * size[0] * size[1]).max(1)).zip(classes);
        let of_filter = |(maps, &class): (&[f64], &usize)| {
            let own: Vec<bool> = labels.iter().map(|&label| !self.by_class || label as usize == class).collect();
            // Without a picture of its class there is none to be active in.
            if !own.contains(&true) {
                return OfFilter { loss: 0.0, gradient: vec![0.0; maps.len()], near: near_peak(maps, size) };
            }
            let [weights, negative] = measures(&own);
            let found = templates.information(maps, &weights, &negative);
            OfFilter { loss: found.loss, gradient: found.gradient, near: near_peak(maps, size) }
        };
        all.map(of_filter).collect()
    }
}

/// Weights of pictures, those of a filter's own class, of which there are some, half of all, and the shares of the others in the negative template: where
/// there are no others all weigh alike, and none is negative.
fn measures(own: &[bool]) -> [Vec<f64>; 2] {
    let ours = own.iter().filter(|own| **own).count();
    let others = own.len() - ours;
    if others == 0 {
        return [vec![1.0 / own.len().max(1) as f64; own.len()], vec![0.0; own.len()]];
    }
    let weight = |&own: &bool| 0.5 / if own { ours as f64 } else { others as f64 };
    let negative = |&own: &bool| if own { 0.0 } else { 1.0 / others as f64 };
    [own.iter().map(weight).collect(), own.iter().map(negative).collect()]
}

/// Takes the sums of a filter's maps (N, cells) into its running means by class; classes that are not in the batch keep theirs.
fn remember(means: &mut [f64], maps: &[f64], labels: &[u32]) {
    let cells = maps.len() / labels.len().max(1);
    let (mut sums, mut counts) = (vec![0.0; means.len()], vec![0.0; means.len()]);
    for (map, &label) in maps.chunks_exact(cells.max(1)).zip(labels) {
        sums[label as usize] += map.iter().sum::<f64>();
        counts[label as usize] += 1.0;
    }
    for ((mean, sum), count) in means.iter_mut().zip(sums).zip(counts).filter(|(_, count)| *count > 0.0) {
        // What was never seen begins with what is.
        let kept = if *mean == 0.0 { 0.0 } else { MEMORY };
        *mean = kept * *mean + (1.0 - kept) * sum / count;
    }
}

/// The gradients of the filters that have their turn, `scale` times as large, as one by all maps (N, C, H, W).
fn seed(maps: &Tensor, turn: &[u32], found: &[OfFilter], scale: f64) -> Result<Tensor> {
    let (n, c, h, w) = maps.dims4()?;
    let mut seed = vec![0f32; maps.elem_count()];
    for (&filter, found) in turn.iter().zip(found) {
        let own = seed[filter as usize * n * h * w..].iter_mut().zip(&found.gradient);
        own.for_each(|(seed, gradient)| *seed = (scale * gradient) as f32);
    }
    let seed = Tensor::from_vec(seed, (c, n, h, w), &Device::Cpu)?.transpose(0, 1)?; // (C, N, H, W) -> (N, C, H, W)
    Ok(seed.to_dtype(maps.dtype())?.to_device(maps.device())?)
}

impl Prior for PartFilters {
    fn roles(&self) -> &'static [Role] {
        &[]
    }

    fn acts_on(&self, net: &Network, id: NodeId) -> bool {
        net.graph.nodes()[id].op == Op::Relu && net.graph.shape(id).len() == 3
    }

    fn check(&self, net: &Network, scope: &Scope) -> Result<(), Unfit> {
        self.follow().check()?;
        share("target", self.target)?;
        share("reached_at", self.reached_at)?;
        for (&id, name) in scope.nodes.iter().zip(&scope.names) {
            let [height, width] = size_of(net, id);
            let problem = |what: &str| format!("must not match `{name}`, whose maps of {height}x{width} cells {what}");
            Unfit::unless(height * width > 1, "nodes", problem("have one place only"))?;
            let many = format!("are more than {MOST_CELLS}, each of which is a template");
            Unfit::unless(height * width <= MOST_CELLS, "nodes", problem(&many))?;
        }
        let is_classifier = net.graph.shape(net.graph.output()).len() == 1;
        Unfit::unless(is_classifier || !self.by_class, "by_class", "must be false, as the network tells no classes")
    }

    fn prepare(&self, net: &mut Network, scope: &Scope) -> Result<State> {
        let mut state = State::default();
        state.numbers.insert("steps".into(), 0.0);
        let classes = net.graph.shape(net.graph.output())[0];
        for (index, &id) in scope.nodes.iter().enumerate().filter(|_| self.by_class) {
            let means = Tensor::zeros((net.graph.shape(id)[0], classes), DType::F64, &Device::Cpu)?;
            state.tensors.insert(means_of(index), means);
        }
        Ok(state)
    }

    fn taps(&self, _net: &Network, scope: &Scope) -> Vec<NodeId> {
        scope.nodes.clone()
    }

    fn penalty(&self, step: &Step<'_>, scope: &Scope, state: &mut State) -> Result<Option<Term>> {
        let steps = state.numbers.get("steps").copied().unwrap_or_default();
        state.numbers.insert("steps".into(), steps + 1.0);
        let (weight, mut term) = (trained(state, step.now), Term::default());
        for (index, &id) in scope.nodes.iter().enumerate() {
            let at = step.tape.at(&step.net.graph, id)?;
            let turn: Vec<u32> = (0..at.dim(1)? as u32).filter(|f| (f + steps as u32).is_multiple_of(EVERY)).collect();
            let found = self.of_layer(step, id, &turn, state, index)?;
            let scale = self.follow().strength(state, &strength_of(index)) / found.len().max(1) as f64;
            term.value += scale * found.iter().map(|filter| filter.loss).sum::<f64>();
            term.nodes.push((id, seed(at, &turn, &found, scale)?));
            if let Some(near) = mean(found.iter().filter_map(|filter| filter.near)) {
                self.control(state, index, near, step.now.progress, weight);
            }
        }
        Ok(Some(term))
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        vec![Claim {
            quantity: Quantity::NearPeak,
            nodes: scope.names.clone(),
            scope: scope.label.clone(),
            relation: Relation::AtLeast,
            bound: self.target,
        }]
    }
}

#[cfg(test)]
mod tests {
    use interp_data::Batch;
    use interp_net::zoo::{Architecture, Vgg};
    use interp_net::{Draw, Graph, Keep, Mode};

    use super::super::Now;
    use super::*;

    const PRIOR: PartFilters = PartFilters { strength: 0.3, target: 0.6, by_class: true, reached_at: 0.5 };

    // A fourth of the pictures is of the class: 1/2 of all for one, 1/6 for each of three.
    #[test]
    fn a_class_weighs_as_much_as_all_others() {
        let [weights, negative] = measures(&[false, true, false, false]);
        assert_eq!(
            (weights, negative),
            (vec![0.5 / 3.0, 0.5, 0.5 / 3.0, 0.5 / 3.0], vec![1.0 / 3.0, 0.0, 1.0 / 3.0, 1.0 / 3.0])
        );
        assert_eq!(measures(&[true; 4]), [vec![0.25; 4], vec![0.0; 4]]);
        let others = PRIOR.of_filters(&[1.0, 2.0, 0.0, 3.0], [1, 2], &[1, 1], &[0]);
        assert_eq!((others[0].loss, others[0].gradient.as_slice()), (0.0, &[0.0; 4][..]), "none of its class");
    }

    // Two pictures of class 2 and one of class 0, maps of two cells: sums 3 and 1 of class 2, 4 of class 0.
    #[test]
    fn a_filter_has_the_class_that_activates_it_most() {
        let mut means = vec![1.0; 3];
        remember(&mut means, &[1.0, 2.0, 4.0, 0.0, 0.5, 0.5], &[2, 0, 2]);
        assert!(means.iter().zip([1.3, 1.0, 1.1]).all(|(a, b)| (a - b).abs() < 1e-12), "{means:?}");
        assert_eq!([largest(&means), largest(&[1.0, 2.0, 2.0])], [0, 1], "of equal ones the first");
    }

    /// Maps of 3x3 cells of four filters.
    fn network() -> Network {
        let mut graph = Graph::new(1, 6, 6).unwrap();
        graph.then("conv", Op::conv3x3(4, 2)).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        graph.then("mean", Op::GlobalAvgPool).unwrap();
        graph.then("head", Op::Linear { out_features: 3, bias: true }).unwrap();
        Network::new(graph, 1).unwrap()
    }

    fn images() -> Vec<f32> {
        (0..6 * 36).map(|i| ((i as f32 + 1.0) * 12.9898).sin()).collect()
    }

    /// The term of a step with rates of 0.1, and the seed carried back to the convolution's weights.
    fn term(prior: &PartFilters, net: &Network, state: &mut State) -> (f64, Vec<f32>) {
        let scope = Scope::of_prior(net, &["*".into()], prior).unwrap();
        assert_eq!(scope.names, ["relu"]);
        let x = Tensor::from_vec(images(), (6, 1, 6, 6), &Device::Cpu).unwrap();
        let tape = net
            .forward(
                &x,
                Mode::Train { frozen: vec![], draw: Draw::default() },
                &Keep::Backward(prior.taps(net, &scope)),
            )
            .unwrap();
        let labels = vec![0, 1, 2, 1, 0, 0];
        let batch = Batch { images: vec![], labels, indices: (0..6).collect(), masks: None };
        let now = Now { rates: &[0.1; 4], progress: 0.5 };
        let term = prior.penalty(&Step { net, tape: &tape, batch: &batch, now }, &scope, state).unwrap().unwrap();
        let want = interp_net::Want { nodes: vec![], params: vec![0] };
        let gradient = net.backward(&tape, &term.nodes, &want).unwrap();
        (term.value, gradient.param(0).unwrap().flatten_all().unwrap().to_vec1().unwrap())
    }

    fn state(prior: &PartFilters, net: &mut Network) -> State {
        let scope = Scope::of_prior(net, &["*".into()], prior).unwrap();
        prior.prepare(net, &scope).unwrap()
    }

    #[test]
    fn the_term_is_the_gradient_of_its_value() {
        for (prior, step) in [(PRIOR, 0), (PRIOR, 3), (PartFilters { by_class: false, ..PRIOR }, 2)] {
            let mut net = network();
            let mut start = state(&prior, &mut net);
            start.numbers.insert("steps".into(), f64::from(step));
            let (value, gradient) = term(&prior, &net, &mut start.clone());
            assert!(value != 0.0 && gradient.iter().any(|g| g.abs() > 0.01), "{value} {gradient:?}");
            for (index, gradient) in gradient.into_iter().enumerate() {
                let mut moved = |by: f32| {
                    super::super::change(&mut net.params, 0, |w| w[index] += by).unwrap();
                    let value = term(&prior, &net, &mut start.clone()).0;
                    super::super::change(&mut net.params, 0, |w| w[index] -= by).unwrap();
                    value
                };
                let slope = (moved(1e-3) - moved(-1e-3)) / 2e-3;
                let off = (slope - f64::from(gradient)).abs();
                assert!(off < 5e-3 * (1.0 + slope.abs()), "{index}: {gradient}, not {slope}");
            }
        }
    }

    // At step number 0 the first of four filters, at the next the last; nine weights each.
    #[test]
    fn filters_have_their_turns() {
        let mut net = network();
        let mut state = state(&PRIOR, &mut net);
        let moved = [0; 5].map(|_| {
            let gradient = term(&PRIOR, &net, &mut state).1;
            (0..4).filter(|filter| gradient[9 * filter..][..9].iter().any(|g| *g != 0.0)).collect::<Vec<_>>()
        });
        assert_eq!(moved, [[0], [3], [2], [1], [0]]);
    }

    // Half-way, at the end of its ramp, 0.64 is the aim: the strength grows by e^(0.2 (0.64 - near)), up to 1.
    #[test]
    fn the_strength_follows_what_is_near_the_peaks() {
        let mut net = network();
        let mut state = state(&PRIOR, &mut net);
        term(&PRIOR, &net, &mut state);
        let (strength, near) = (state.numbers["strength.0"], state.numbers["near.0"]);
        assert!(near > 0.1 && near < 1.0 && ((strength / 0.3).ln() - 0.2 * (0.64 - near)).abs() < 1e-12);
        assert!((PRIOR.aim(0.14, 0.25) - (0.14 + 0.5 * 0.875)).abs() < 1e-12, "half-way up the ramp");
        state.numbers.insert(strength_of(0), 1.0);
        PRIOR.control(&mut state, 0, 0.3, 0.5, 1.0);
        assert_eq!(state.numbers["strength.0"], 1.0);
    }

    #[test]
    fn threads_do_not_matter() {
        let mut net = network();
        let start = state(&PRIOR, &mut net);
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| term(&PRIOR, &net, &mut start.clone()))
        };
        assert_eq!(on(1), on(3));
    }

    #[test]
    fn what_has_no_places_is_refused() {
        let check = |net: &Network, nodes: &str, prior: PartFilters| -> crate::Result<()> {
            let scope = Scope::of_prior(net, &[nodes.into()], &prior)?;
            Ok(prior.check(net, &scope)?)
        };
        let vgg = |side: usize| {
            let vgg = Vgg { depth: 8, width: 0.125, ..Vgg::default() };
            Network::new(vgg.graph([3, side, side], 10).unwrap(), 0).unwrap()
        };
        assert!(check(&vgg(32), "*", PRIOR).is_ok());
        let refusal =
            |net: &Network, nodes: &str, prior: PartFilters| check(net, nodes, prior).unwrap_err().to_string();
        assert!(refusal(&vgg(32), "classifier", PRIOR).contains("can act on"));
        assert!(refusal(&vgg(64), "features.*", PRIOR).contains("1024"));
        let mut graph = Graph::new(1, 1, 1).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        let dot = Network::new(graph, 0).unwrap();
        assert!(refusal(&dot, "*", PRIOR).contains("1x1"));
        for target in [0.0, 1.0, f64::NAN] {
            assert!(refusal(&vgg(32), "*", PartFilters { target, ..PRIOR }).contains("target"));
        }
        for strength in [0.0, -1.0, f64::INFINITY] {
            assert!(refusal(&vgg(32), "*", PartFilters { strength, ..PRIOR }).contains("strength"));
        }
        let mut graph = Graph::new(1, 4, 4).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        let picture = Network::new(graph, 0).unwrap();
        assert!(refusal(&picture, "*", PRIOR).contains("by_class"));
        assert!(check(&picture, "*", PartFilters { by_class: false, ..PRIOR }).is_ok());
    }
}
