//! Attention: evidence for a picture's class comes from where its object is.

use std::ops::Range;

use candle_core::{DType, Tensor};
use interp_data::DataError;
use interp_net::finding::{Claim, Entry, Quantity, Relation, Unfit, build};
use interp_net::{Field, Network, NodeId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::follow::{Follow, beyond, trained};
use super::{Now, Prior, Scope, State, Step, Term, share, values};
use crate::Result;

/// Adds `strength` times the mean over pictures of the share of evidence outside the object,
/// `1 - sum m_ij max(e_ij, 0) / sum max(e_ij, 0)` over the cells (i, j) of the last maps f, where
/// `e_ij = sum over c of (w_yc - mean over k of w_kc) f_c(i, j)` is the class activation map of the label y (Zhou et al. 2016, arXiv
/// 1512.04150, eq. 2) less the mean of those of all classes: what is added to all changes no decision. `m_ij` is the largest share
/// that a pixel of the cell's block has in the object. Explanations that are to be right for the right reasons: Ross, Hughes and
/// Doshi-Velez 2017 (arXiv 1703.03717), with activation maps in place of gradients of the input. Data must know where objects are.
///
/// The strength is controlled: its logarithm follows what the mean share inside lacks, in a batch, of half-way from `target` to all,
/// so that the target is reached on other pictures too. A picture with less evidence than a hundredth of the batch's mean is
/// divided by that in place of its own, else its slopes would have no bound.
///
/// A cell sees more than its block: what it carries into the object from beside it is not found out, as far as its field reaches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attention {
    /// Weight of the penalty at the first step.
    #[serde(default = "one")]
    pub strength: f64,
    /// The mean share of evidence inside the object, in cells that show some of it, to reach and to claim.
    pub target: f64,
}

fn one() -> f64 {
    1.0
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "attention",
    summary: "evidence for a class from where the object is: class activation maps penalized outside its mask",
    example: "kind = \"attention\"\nnodes = [\"linear\"]\ntarget = 0.9\n",
    build: |section| build(section, |settings: Attention| Box::new(settings)),
    schema: || schemars::schema_for!(Attention),
};

/// How fast the logarithm of the strength follows the error in the share inside, at every step.
const GAIN: f64 = 0.05;

/// The largest strength.
const MOST: f64 = 1e3;

/// How far beyond the target training aims, as a share of what is left.
const MARGIN: f64 = 0.5;

/// Below this share of the batch's mean evidence a picture is divided by it.
const LEAST: f64 = 0.01;

impl Attention {
    fn follow(&self) -> Follow {
        Follow { first: self.strength, gain: GAIN, most: MOST }
    }

    fn strength(&self, state: &State) -> f64 {
        self.follow().strength(state, "strength")
    }

    /// Follows the share found inside, as far as something is trained.
    fn control(&self, state: &mut State, inside: f64, now: Now<'_>) {
        let weight = trained(state, now);
        self.follow().adapt(state, "strength", beyond(self.target, MARGIN) - inside, weight);
        state.numbers.insert("inside".into(), inside);
    }
}

impl Prior for Attention {
    fn acts_on(&self, net: &Network, id: NodeId) -> bool {
        net.graph.evidence_maps(id).is_some()
    }

    fn needs_masks(&self) -> bool {
        true
    }

    fn check(&self, net: &Network, scope: &Scope) -> Result<(), Unfit> {
        let usable = self.strength > 0.0 && self.strength.is_finite();
        Unfit::unless(usable, "strength", format!("must be above 0, not {}", self.strength))?;
        share("target", self.target)?;
        for maps in self.taps(net, scope) {
            let (shape, name) = (net.graph.shape(maps), &net.graph.nodes()[maps].name);
            let problem =
                format!("must not read `{name}`, whose maps of {}x{} cells say nothing of where", shape[1], shape[2]);
            Unfit::unless(shape[1].min(shape[2]) > 1, "nodes", problem)?;
            net.receptive_field(maps).map_err(|error| Unfit::new("nodes", error.to_string()))?;
        }
        Ok(())
    }

    fn taps(&self, net: &Network, scope: &Scope) -> Vec<NodeId> {
        scope.nodes.iter().filter_map(|&id| net.graph.evidence_maps(id)).collect()
    }

    fn penalty(&self, step: &Step<'_>, scope: &Scope, state: &mut State) -> Result<Option<Term>> {
        let unknown = || DataError::Settings("batches must have the masks of their objects".into());
        let masks = step.batch.masks.as_ref().ok_or_else(unknown)?;
        let (strength, mut inside) = (self.strength(state), 1.0);
        let mut term = Term::default();
        for (&position, maps) in scope.positions.iter().zip(self.taps(step.net, scope)) {
            let blocks = Blocks::of(step.net, maps)?;
            let at = step.tape.at(&step.net.graph, maps)?;
            let cells = at.permute((0, 2, 3, 1))?.contiguous()?; // (N, C, H, W) -> (N, H, W, C)
            let features: Vec<f32> = cells.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
            let head = Head { weights: values(&step.net.params, position)?, channels: cells.dim(3)? };
            let found = head.outside(&features, &step.batch.labels, &blocks.inside_all(masks));
            term.value += strength * found.value;
            inside = found.inside.min(inside);
            let scaled = |gradient: Vec<f32>| gradient.into_iter().map(|g| strength as f32 * g).collect::<Vec<_>>();
            let gradient = Tensor::from_vec(scaled(found.features), cells.dims(), at.device())?.to_dtype(at.dtype())?;
            term.nodes.push((maps, gradient.permute((0, 3, 1, 2))?)); // (N, H, W, C) -> (N, C, H, W)
            let w = &step.net.params.list()[position].value;
            term.params
                .push((position, Tensor::from_vec(scaled(found.weights), w.dims(), w.device())?.to_dtype(w.dtype())?));
        }
        self.control(state, inside, step.now);
        Ok(Some(term))
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        vec![Claim {
            quantity: Quantity::EvidenceInside,
            nodes: scope.names.clone(),
            scope: scope.label.clone(),
            relation: Relation::AtLeast,
            bound: self.target,
        }]
    }
}

/// Which pixels belong to the cells of maps: those nearest to the center of what the cell sees.
pub(crate) struct Blocks {
    rows: Vec<Range<usize>>,
    columns: Vec<Range<usize>>,
    /// Height and width of a picture.
    picture: [usize; 2],
}

impl Blocks {
    pub(crate) fn of(net: &Network, maps: NodeId) -> Result<Self> {
        let (field, picture, shape) = (net.receptive_field(maps)?, net.graph.shape(0), net.graph.shape(maps));
        let all = |axis: usize| (0..shape[axis + 1]).map(|cell| block(&field, axis, cell, picture[axis + 1])).collect();
        Ok(Self { rows: all(0), columns: all(1), picture: [picture[1], picture[2]] })
    }

    /// For each cell of one picture the largest share of a pixel of its block.
    fn inside<'a>(&'a self, mask: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        let cells = self.rows.iter().flat_map(|rows| self.columns.iter().map(move |columns| (rows, columns)));
        cells.map(|(rows, columns)| {
            let of_row = |row: usize| mask[row * self.picture[1]..][columns.clone()].iter().copied();
            rows.clone().flat_map(of_row).fold(0.0, f32::max)
        })
    }

    /// The same for the masks (N, H, W) of all pictures.
    pub(crate) fn inside_all(&self, masks: &[f32]) -> Vec<f32> {
        masks.chunks_exact(self.picture[0] * self.picture[1]).flat_map(|mask| self.inside(mask)).collect()
    }
}

/// The pixels along an axis of `size` whose centers lie within half a step of that of what a cell sees.
fn block(field: &Field, axis: usize, cell: usize, size: usize) -> Range<usize> {
    let (step, center) = (field.jump[axis] as f64, field.start[axis] + (cell * field.jump[axis]) as f64);
    let edge = |at: f64| (at - 0.5).ceil().clamp(0.0, size as f64) as usize;
    edge(center - step / 2.0)..edge(center + step / 2.0)
}

/// What reads the maps: weights (K, C).
struct Head {
    weights: Vec<f32>,
    channels: usize,
}

/// The mean share of evidence outside, and its gradients by the maps' cells (N, H, W, C) and the weights (K, C).
struct Outside {
    value: f64,
    /// The mean share inside, 0 of a picture without positive evidence, as the claim has it.
    inside: f64,
    features: Vec<f32>,
    weights: Vec<f32>,
}

impl Head {
    /// Of N pictures with cells `features` (N, H, W, C).
    fn outside(&self, features: &[f32], labels: &[u32], inside: &[f32]) -> Outside {
        let (channels, cells) = (self.channels, inside.len() / labels.len().max(1));
        let classes = self.weights.len() / channels;
        let mean: Vec<f64> = (0..channels)
            .map(|c| self.weights.iter().skip(c).step_by(channels).map(|&w| f64::from(w)).sum::<f64>() / classes as f64)
            .collect();
        let direction = |label: u32| -> Vec<f64> {
            let own = &self.weights[label as usize * channels..][..channels];
            own.iter().zip(&mean).map(|(&w, mean)| f64::from(w) - mean).collect()
        };
        let pictures = || features.chunks_exact((cells * channels).max(1)).zip(labels);
        let maps: Vec<Vec<f64>> = pictures().map(|(features, &label)| evidence(features, &direction(label))).collect();
        let least = LEAST * maps.iter().flatten().sum::<f64>() / labels.len().max(1) as f64;
        let mut found = Outside { value: 0.0, inside: 0.0, features: vec![], weights: vec![] };
        let (mut of_weights, share) = (vec![0.0; self.weights.len()], 1.0 / labels.len().max(1) as f64);
        for ((features, &label), (map, inside)) in pictures().zip(maps.iter().zip(inside.chunks_exact(cells.max(1)))) {
            let (outside, slopes) = outside(map, inside, least);
            found.value += share * outside;
            let all: f64 = map.iter().sum();
            let in_object: f64 = map.iter().zip(inside).map(|(e, &m)| e * f64::from(m)).sum();
            found.inside += if all == 0.0 { 0.0 } else { share * in_object / all };
            let direction = direction(label);
            for (cell, slope) in features.chunks_exact(channels).zip(slopes) {
                found.features.extend(direction.iter().map(|d| (share * slope * d) as f32));
                let of_label = of_weights[label as usize * channels..][..channels].iter_mut();
                of_label.zip(cell).for_each(|(sum, &f)| *sum += share * slope * f64::from(f));
            }
        }
        Outside { weights: centered(&of_weights, channels), ..found }
    }
}

/// A gradient by weights less their mean over classes, as one by the weights (K, C).
fn centered(gradient: &[f64], channels: usize) -> Vec<f32> {
    let classes = gradient.len() / channels;
    let mean = |c: usize| gradient.iter().skip(c).step_by(channels).sum::<f64>() / classes as f64;
    let means: Vec<f64> = (0..channels).map(mean).collect();
    gradient.iter().zip(means.iter().cycle()).map(|(g, mean)| (g - mean) as f32).collect()
}

/// What is positive of the evidence along a direction, in each cell.
fn evidence(features: &[f32], direction: &[f64]) -> Vec<f64> {
    let dot = |cell: &[f32]| cell.iter().zip(direction).map(|(&f, d)| f64::from(f) * d).sum::<f64>();
    features.chunks_exact(direction.len().max(1)).map(|cell| dot(cell).max(0.0)).collect()
}

/// The share of positive evidence outside, or its amount by `least` where all is less; and its derivatives by the evidence of each
/// cell.
fn outside(evidence: &[f64], inside: &[f32], least: f64) -> (f64, Vec<f64>) {
    let all: f64 = evidence.iter().sum();
    if all == 0.0 {
        return (0.0, vec![0.0; evidence.len()]);
    }
    let out: f64 = evidence.iter().zip(inside).map(|(e, &m)| e * (1.0 - f64::from(m))).sum();
    let (whole, share) = if all < least { (least, 0.0) } else { (all, out / all) };
    let slope = |(&e, &m): (&f64, &f32)| if e > 0.0 { (1.0 - f64::from(m) - share) / whole } else { 0.0 };
    (out / whole, evidence.iter().zip(inside).map(slope).collect())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use interp_data::Batch;
    use interp_net::zoo::{Architecture, BagNet, ResNet, Vgg};
    use interp_net::{Draw, Graph, Keep, Mode, Op};

    use super::*;

    fn noise(count: usize, seed: f32) -> Vec<f32> {
        (0..count).map(|i| ((i as f32 + 1.0) * 12.9898 + seed).sin()).collect()
    }

    // Evidence 3, 1, -2 and 4 for the label: of the positive 8, 3 + 1/2 lie inside.
    #[test]
    fn the_share_by_hand() {
        let map = evidence(&[3.0, 1.0, -2.0, 4.0], &[1.0]);
        let (found, slopes) = outside(&map, &[1.0, 0.5, 1.0, 0.0], 0.0);
        assert_eq!(found, 1.0 - 3.5 / 8.0);
        assert_eq!(slopes, [(0.4375 - 1.0) / 8.0, (0.4375 - 0.5) / 8.0, 0.0, 0.4375 / 8.0]);
        assert_eq!(outside(&evidence(&[-1.0, 0.0], &[1.0]), &[0.0, 1.0], 1.0), (0.0, vec![0.0; 2]));
        // Less than a least of 16: 4 + 1/2 of it lie outside, and what is inside is free.
        let (found, slopes) = outside(&map, &[1.0, 0.5, 1.0, 0.0], 16.0);
        assert_eq!((found, slopes), (4.5 / 16.0, vec![0.0, 0.5 / 16.0, 0.0, 1.0 / 16.0]));
    }

    // From a target of 0.9 the aim is 0.95: with 0.75 inside the strength grows by e^(0.05 0.2), at half the rate by half of that.
    #[test]
    fn the_strength_follows_the_share_inside() {
        let prior = Attention { strength: 2.0, target: 0.9 };
        let mut state = State::default();
        let mut after = |inside: f64, rates: &[f64]| {
            prior.control(&mut state, inside, Now { rates, progress: 0.5 });
            (prior.strength(&state) / 2.0).ln()
        };
        assert!((after(0.75, &[0.0, 0.1]) - 0.01).abs() < 1e-12);
        assert!((after(0.75, &[0.0, 0.05]) - 0.015).abs() < 1e-12);
        assert!((after(1.0, &[0.1, 0.1]) - 0.0125).abs() < 1e-12);
        assert!((after(0.0, &[0.0, 0.0]) - 0.0125).abs() < 1e-12);
    }

    /// 1 minus the share inside, by its definition.
    fn by_definition(features: &[f64], weights: &[f64], labels: &[u32], inside: &[f32], channels: usize) -> f64 {
        let (cells, classes) = (inside.len() / labels.len(), weights.len() / channels);
        let of_picture = |n: usize| {
            let map = |k: usize, cell: usize| {
                (0..channels)
                    .map(|c| weights[k * channels + c] * features[(n * cells + cell) * channels + c])
                    .sum::<f64>()
            };
            let mean = |cell: usize| (0..classes).map(|k| map(k, cell)).sum::<f64>() / classes as f64;
            let evidence = |cell: usize| f64::max(map(labels[n] as usize, cell) - mean(cell), 0.0);
            let all: f64 = (0..cells).map(evidence).sum();
            1.0 - (0..cells).map(|cell| evidence(cell) * f64::from(inside[n * cells + cell])).sum::<f64>() / all
        };
        (0..labels.len()).map(of_picture).sum::<f64>() / labels.len() as f64
    }

    #[test]
    fn gradients_are_central_differences() {
        let (features, weights, labels) = (noise(2 * 6 * 3, 0.0), noise(4 * 3, 1.0), [2, 0]);
        let inside: Vec<f32> = noise(2 * 6, 2.0).into_iter().map(f32::abs).collect();
        let found = Head { weights: weights.clone(), channels: 3 }.outside(&features, &labels, &inside);
        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let slope = |values: &[f32], index: usize, of: &dyn Fn(&[f64]) -> f64| {
            let moved = |by: f64| {
                let mut moved = wide(values);
                moved[index] += by;
                of(&moved)
            };
            (moved(1e-5) - moved(-1e-5)) / 2e-5
        };
        let by_features = |f: &[f64]| by_definition(f, &wide(&weights), &labels, &inside, 3);
        let by_weights = |w: &[f64]| by_definition(&wide(&features), w, &labels, &inside, 3);
        assert!((found.value - by_features(&wide(&features))).abs() < 1e-12);
        for (index, &gradient) in found.features.iter().enumerate() {
            assert!((slope(&features, index, &by_features) - f64::from(gradient)).abs() < 1e-6, "feature {index}");
        }
        for (index, &gradient) in found.weights.iter().enumerate() {
            assert!((slope(&weights, index, &by_weights) - f64::from(gradient)).abs() < 1e-6, "weight {index}");
        }
    }

    // Cells of a 3x3 convolution of stride 2 and padding 1 see pixels -1 to 1, 1 to 3, ...: centers 0.5, 2.5, ... Of the two pixels half
    // a step from a center the upper one belongs to the next.
    #[test]
    fn blocks_lie_around_the_centers_of_what_cells_see() {
        let mut graph = Graph::new(1, 6, 8).unwrap();
        graph.then("conv", Op::conv3x3(1, 2)).unwrap();
        let blocks = Blocks::of(&Network::new(graph, 0).unwrap(), 1).unwrap();
        assert_eq!((blocks.rows, blocks.columns), (vec![0..1, 1..3, 3..5], vec![0..1, 1..3, 3..5, 5..7]));
    }

    #[test]
    fn a_cell_is_as_far_inside_as_the_best_pixel_of_its_block() {
        let blocks = Blocks { rows: vec![0..1, 1..3], columns: vec![0..2, 2..3], picture: [3, 3] };
        let mask = [0.0, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0];
        assert_eq!(blocks.inside_all(&[mask, [0.0; 9]].concat()), [0.25, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0, 0.0]);
    }

    /// Maps of 3x3 cells, and either head: the means read by a linear map, or votes of cells, averaged.
    fn network(head: &str) -> Network {
        let mut graph = Graph::new(1, 6, 6).unwrap();
        graph.then("first", Op::conv3x3(5, 2)).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        let [one, two] = match head {
            "linear" => [("mean", Op::GlobalAvgPool), ("linear", Op::Linear { out_features: 3, bias: true })],
            _ => [("conv", Op::conv(3, 1, 1, 0, true)), ("mean", Op::GlobalAvgPool)],
        };
        graph.then(one.0, one.1).unwrap();
        graph.then(two.0, two.1).unwrap();
        Network::new(graph, 1).unwrap()
    }

    /// The gradients of a training step by the weights of both layers are those of the penalty's value.
    #[test]
    fn the_term_is_the_gradient_of_its_value() {
        let mut masks = vec![0.0; 2 * 36];
        (masks[14], masks[36]) = (1.0, 0.5);
        let images = noise(2 * 36, 0.5);
        let x = Tensor::from_vec(images.clone(), (2, 1, 6, 6), &Device::Cpu).unwrap();
        let batch = Batch { images, labels: vec![2, 1], indices: vec![0, 1], masks: Some(masks) };
        let prior = Attention { strength: 0.7, target: 0.5 };
        for head in ["linear", "conv"] {
            let mut net = network(head);
            let scope = Scope::of_prior(&net, &["*".into()], &prior).unwrap();
            assert_eq!(scope.names, [head]);
            let run = |net: &Network| {
                let keep = Keep::Backward(prior.taps(net, &scope));
                let tape = net.forward(&x, Mode::Train { frozen: vec![], draw: Draw::default() }, &keep).unwrap();
                let step = Step { net, tape: &tape, batch: &batch, now: Now { rates: &[], progress: 0.5 } };
                let term = prior.penalty(&step, &scope, &mut State::default()).unwrap().unwrap();
                (term, tape)
            };
            let (term, tape) = run(&net);
            assert!(term.value > 0.1 && term.value < 0.7, "{}", term.value);
            let want = interp_net::Want { nodes: vec![], params: vec![0] };
            let first = net.backward(&tape, &term.nodes, &want).unwrap().param(0).unwrap().clone();
            for (position, gradient) in [(0, &first), (term.params[0].0, &term.params[0].1)] {
                let gradient: Vec<f32> = gradient.flatten_all().unwrap().to_vec1().unwrap();
                for (index, gradient) in gradient.into_iter().enumerate() {
                    let mut moved = |by: f32| {
                        super::super::change(&mut net.params, position, |w| w[index] += by).unwrap();
                        let value = run(&net).0.value;
                        super::super::change(&mut net.params, position, |w| w[index] -= by).unwrap();
                        value
                    };
                    let slope = (moved(1e-3) - moved(-1e-3)) / 2e-3;
                    assert!(
                        (slope - f64::from(gradient)).abs() < 2e-3,
                        "{head} {position} {index}: {gradient}, not {slope}"
                    );
                }
            }
        }
    }

    #[test]
    fn networks_without_maps_are_refused() {
        let prior = Attention { strength: 1.0, target: 0.9 };
        let net = |model: &dyn Architecture| Network::new(model.graph([3, 32, 32], 10).unwrap(), 0).unwrap();
        let check = |net: &Network, nodes: &str| -> crate::Result<()> {
            let scope = Scope::of_prior(net, &[nodes.into()], &prior)?;
            Ok(prior.check(net, &scope)?)
        };
        assert!(check(&net(&ResNet::default()), "linear").is_ok());
        assert!(check(&net(&BagNet::default()), "*").is_ok());
        let error = check(&net(&ResNet::default()), "conv1").unwrap_err().to_string();
        assert!(error.contains("can act on"), "{error}");
        let vgg = Vgg { depth: 8, width: 0.125, ..Vgg::default() };
        let error = check(&net(&vgg), "classifier").unwrap_err().to_string();
        assert!(error.contains("1x1"), "{error}");
    }
}
