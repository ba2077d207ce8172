//! Concept whitening: axes of a layer that say different things, some of them what concepts say.

mod rotation;

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use interp_data::{Annotations, DataError};
use interp_net::finding::{Claim, Entry, Quantity, Relation, Unfit, build};
use interp_net::ops::scalars::largest;
use interp_net::{Graph, Network, NodeId, Op, Params, Role};
use nalgebra::DMatrix;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Companion, Insertion, Site};
use crate::prior::{Blocks, Now, Prior, Scope, State, Step, Term};
use crate::{LearnError, Result};
use rotation::{turned, whitening};

/// Of maps (C, H, W) behind a node, such as a batch norm: `y = R P (x - mean)` at each position, with `P = S^(-1/2)` of the covariance S of their
/// channels over positions and pictures, so that no channel says what others do, and R a rotation (Chen, Bei and Rudin 2020, arXiv 2002.01650). The first
/// channels of y stand for the concepts, one each: R is turned so that they grow where their concept is shown.
///
/// The node `NAME` is a convolution of 1x1 with a bias, which the prior of the same name sets: export, cuts and analyses see nothing new. At every fifth
/// step mean and covariance move a quarter of the way to those of the batch, and R is turned, by the Cayley transform, towards a direction of each
/// concept: the difference between the mean of P x in pictures that show it and in those that do not, each at the position where the concept's channel is
/// largest in it; or, where concepts are looked for `inside` objects, between the mean of P x at the cells of objects that show it and at all cells. What a
/// step finds acts from the next on: gradients do not pass through mean, P or R.
///
/// What differs from the paper: it has no second mean, and so turns an axis also to where it was largest by chance; it does not ask where objects are; it
/// pools 3x3 cells before it takes the mean of a map; it turns R by one batch of each concept at every thirtieth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConceptWhitening {
    /// The concepts: factors of the data that have names (`hue`: all values of it), and single values (`hue/red`).
    pub concepts: Vec<String>,
    /// Whether concepts are looked for in objects alone, whose places the data must know: channels then say where their concept is.
    #[serde(default)]
    pub inside: bool,
    /// Steps of Newton's iteration for P: more lengthen directions that vary less.
    #[serde(default = "iterations")]
    pub iterations: usize,
    /// Area under the ROC curve to claim, of telling the pictures that show a concept by the largest value of its channel: the mean over concepts. None is
    /// claimed where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
}

fn iterations() -> usize {
    10
}

pub(super) const ENTRY: Entry<dyn Insertion> = Entry {
    name: "concept_whitening",
    summary: "channels without correlation, the first of which stand for concepts that the data know",
    example: "kind = \"concept_whitening\"\nafter = \"features.9\"\nconcepts = [\"shape\", \"hue\", \"texture\"]\n",
    build: |section| build(section, |settings: ConceptWhitening| Box::new(settings)),
    schema: || schemars::schema_for!(ConceptWhitening),
};

impl Insertion for ConceptWhitening {
    fn concepts(&self) -> &[String] {
        &self.concepts
    }

    fn check(&self) -> Result<(), Unfit> {
        Unfit::unless(!self.concepts.is_empty(), "concepts", "needs at least one, such as \"hue\"")?;
        let steps = self.iterations;
        Unfit::unless((1..=40).contains(&steps), "iterations", format!("must be between 1 and 40, not {steps}"))?;
        let target = self.target.unwrap_or(1.0);
        let problem = format!("must be above 0.5, which is chance, and up to 1, not {target}");
        Unfit::unless(target > 0.5 && target <= 1.0, "target", problem)
    }

    fn graph(&self, site: &Site<'_>) -> Result<Graph> {
        let &Site { graph, after, name, annotations, .. } = site;
        let node = &graph.nodes()[after].name;
        let &[channels, _, _] = graph.shape(after) else {
            return Err(Unfit::new("after", format!("`{node}` gives no maps to find concepts in")).into());
        };
        let mut units = annotations.map(|known| known.names().to_vec()).unwrap_or_default();
        if units.len() > channels {
            let problem = format!("there are {} of them, and `{node}` has {channels} channels", units.len());
            return Err(Unfit::new("concepts", problem).into());
        }
        units.extend((units.len()..channels).map(|axis| format!("axis {axis}")));
        Ok(graph.spliced(after, |graph| graph.then_named(name, Op::conv(channels, 1, 1, 0, true), units))?)
    }

    /// At first it changes nothing.
    fn start(&self, net: &mut Network, name: &str, _seed: u64) -> Result<()> {
        let id = net.graph.id(name)?;
        identity(&mut net.params, id)
    }

    fn companion(&self, site: &Site<'_>) -> Option<Companion> {
        let known = Arc::clone(site.annotations?);
        let after = site.graph.nodes()[site.after].name.clone();
        let prior = Axes { name: site.name.to_owned(), after, settings: self.clone(), known };
        Some(Companion { prior: Box::new(prior), nodes: vec![site.name.to_owned()] })
    }
}

/// Lets the convolution hand on what it is given.
fn identity(params: &mut Params, id: NodeId) -> Result<()> {
    let channels = params.find(id, Role::Bias).map_or(0, Tensor::elem_count);
    set(params, id, &DMatrix::identity(channels, channels), &DMatrix::zeros(channels, 1))
}

/// Gives the convolution these weights (C, C) and this bias (C, 1).
fn set(params: &mut Params, id: NodeId, weight: &DMatrix<f64>, bias: &DMatrix<f64>) -> Result<()> {
    for (role, values) in [(Role::Weight, weight), (Role::Bias, bias)] {
        let position = params.position(id, role);
        let position = position.ok_or_else(|| LearnError::State("a whitening layer without weights".into()))?;
        let rows: Vec<f32> = values.transpose().iter().map(|value| *value as f32).collect();
        let dims = params.list()[position].value.dims().to_vec();
        params.set(position, Tensor::from_vec(rows, dims, &Device::Cpu)?)?;
    }
    Ok(())
}

/// Steps from one look at a batch to the next.
const EVERY: f64 = 5.0;

/// How far what is remembered moves towards what a look finds.
const MEMORY: f64 = 0.25;

/// How far an axis is turned at a look, in radians, at most, on average over the concepts.
const TURN: f64 = 0.05;

/// What is added to variances (Huang et al. 2019).
const EPSILON: f64 = 1e-5;

// Names in a state.
const STEPS: &str = "steps";
const LOOKED: &str = "step of the last look";
const MEAN: &str = "mean";
const COVARIANCE: &str = "covariance";
const PULL: &str = "pull";
const WHITENING: &str = "whitening";
const ROTATION: &str = "rotation";

/// What sets the layer.
struct Axes {
    name: String,
    /// The node that is whitened.
    after: String,
    settings: ConceptWhitening,
    known: Arc<Annotations>,
}

/// Mean (C, 1) and covariance (C, C) of channels over positions of pictures (N, C, H, W).
fn moments(maps: &Tensor) -> Result<[DMatrix<f64>; 2]> {
    let rows = maps.transpose(0, 1)?.flatten_from(1)?.to_dtype(DType::F64)?; // (C, N H W)
    let mean = rows.mean_keepdim(1)?;
    let centered = rows.broadcast_sub(&mean)?;
    let covariance = (centered.matmul(&centered.t()?)? / rows.dim(1)? as f64)?;
    Ok([matrix(&mean)?, matrix(&covariance)?])
}

fn matrix(tensor: &Tensor) -> Result<DMatrix<f64>> {
    let (rows, columns) = tensor.dims2()?;
    Ok(DMatrix::from_row_iterator(rows, columns, tensor.flatten_all()?.to_vec1::<f64>()?))
}

/// Puts a matrix among what a state remembers.
fn keep(state: &mut State, name: &str, matrix: &DMatrix<f64>) -> Result<()> {
    let values: Vec<f64> = matrix.transpose().iter().copied().collect();
    let tensor = Tensor::from_vec(values, matrix.shape(), &Device::Cpu)?;
    state.tensors.insert(name.into(), tensor);
    Ok(())
}

fn kept(state: &State, name: &str) -> Result<Option<DMatrix<f64>>> {
    state.tensors.get(name).map(matrix).transpose()
}

/// Moves what is remembered towards what was found, and gives it.
fn moved(state: &mut State, name: &str, found: DMatrix<f64>) -> Result<DMatrix<f64>> {
    let next = kept(state, name)?.map_or_else(|| found.clone(), |old| old * (1.0 - MEMORY) + &found * MEMORY);
    keep(state, name, &next)?;
    Ok(next)
}

/// For each concept, (K, C): the mean of x over the cells of objects that show it, less that over all cells, which is `mean`. `inside` says for every cell of all pictures
/// how much of it is of the object. `None` where the batch has no such cell.
fn of_objects(x: &Tensor, mean: &DMatrix<f64>, inside: &[f32], rows: &[&[f32]], concepts: usize) -> Result<Directions> {
    let (pictures, channels, height, width) = x.dims4()?;
    let cells = height * width;
    let x: Vec<f32> = x.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    let of = |concept: usize| {
        let (mut sums, mut count) = (vec![0.0; channels], 0.0);
        let shows = |picture: &usize| rows.get(*picture).and_then(|row| row.get(concept)) == Some(&1.0);
        for picture in (0..pictures).filter(shows) {
            for cell in (0..cells).filter(|cell| inside[picture * cells + cell] > 0.5) {
                count += 1.0;
                let all = x[picture * channels * cells..][..channels * cells].iter().skip(cell).step_by(cells);
                sums.iter_mut().zip(all).for_each(|(sum, x)| *sum += f64::from(*x));
            }
        }
        (count > 0.0).then(|| sums.iter().zip(mean.iter()).map(|(sum, mean)| sum / count - mean).collect())
    };
    Ok((0..concepts).into_par_iter().map(of).collect())
}

/// A direction for each concept, of those that there are.
type Directions = Vec<Option<Vec<f64>>>;

/// For each concept, (K, C): the mean of x in pictures that show it less that in those that do not, each at the position where the concept's channel of y is
/// largest. Rows of concepts of which the batch has only one of both are `None`.
fn differences(x: &Tensor, y: &Tensor, rows: &[&[f32]], concepts: usize) -> Result<Directions> {
    let (pictures, channels, height, width) = x.dims4()?;
    let cells = height * width;
    let flat = |maps: &Tensor| -> Result<Vec<f32>> { Ok(maps.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?) };
    let (x, y) = (flat(x)?, flat(y)?);
    let of = |concept: usize| {
        let mut sums = [vec![0.0; channels], vec![0.0; channels]];
        let mut counts = [0.0f64; 2];
        for picture in 0..pictures {
            let Some(&value) = rows.get(picture).and_then(|row| row.get(concept)) else { continue };
            if value.is_nan() {
                continue;
            }
            let map = &y[(picture * channels + concept) * cells..][..cells];
            let peak = largest(map);
            let side = usize::from(value == 0.0);
            counts[side] += 1.0;
            let all = x[picture * channels * cells..][..channels * cells].iter().skip(peak).step_by(cells);
            sums[side].iter_mut().zip(all).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        let [shown, absent] = &sums;
        let both = counts.iter().all(|&count| count > 0.0);
        both.then(|| shown.iter().zip(absent).map(|(yes, no)| yes / counts[0] - no / counts[1]).collect())
    };
    Ok((0..concepts).into_par_iter().map(of).collect())
}

impl Axes {
    /// Moves what is remembered towards what a batch says: of the cells of its pictures `inside` how much is of the object.
    fn look(&self, [x, y]: [&Tensor; 2], inside: Option<&[f32]>, rows: &[&[f32]], state: &mut State) -> Result<()> {
        let [mean, covariance] = moments(x)?;
        let channels = mean.nrows();
        moved(state, MEAN, mean.clone())?;
        let mut covariance = moved(state, COVARIANCE, covariance)?;
        (0..channels).for_each(|at| covariance[(at, at)] += EPSILON);
        // Channels that do not vary are left as they are.
        let Some(whitening) = whitening(&covariance, self.settings.iterations) else { return Ok(()) };
        let concepts = self.known.names().len();
        let mut pull = kept(state, PULL)?.unwrap_or_else(|| DMatrix::zeros(concepts, channels));
        let found = match inside {
            Some(inside) => of_objects(x, &mean, inside, rows, concepts)?,
            None => differences(x, y, rows, concepts)?,
        };
        for (concept, found) in found.into_iter().enumerate() {
            let Some(found) = found else { continue };
            let known = pull.row(concept).norm() > 0.0;
            let share = if known { MEMORY } else { 1.0 };
            pull.row_mut(concept).iter_mut().zip(found).for_each(|(old, new)| *old += share * (new - *old));
        }
        let mut directions = DMatrix::zeros(channels, channels);
        for (concept, row) in (&pull * whitening.transpose()).row_iter().enumerate() {
            let length = row.norm();
            if length > 0.0 {
                directions.set_row(concept, &(row / length));
            }
        }
        let rotation = kept(state, ROTATION)?.unwrap_or_else(|| DMatrix::identity(channels, channels));
        let longest = TURN * (2.0 * concepts as f64).sqrt();
        let rotation = turned(&rotation, &directions, longest).unwrap_or(rotation);
        keep(state, PULL, &pull)?;
        keep(state, WHITENING, &whitening)?;
        keep(state, ROTATION, &rotation)
    }
}

impl Prior for Axes {
    fn roles(&self) -> &'static [Role] {
        &[Role::Weight, Role::Bias]
    }

    fn decides_weights(&self) -> bool {
        true
    }

    fn needs_masks(&self) -> bool {
        self.settings.inside
    }

    fn prepare(&self, _net: &mut Network, _scope: &Scope) -> Result<State> {
        let mut state = State::default();
        state.numbers.insert(STEPS.into(), 0.0);
        Ok(state)
    }

    fn taps(&self, net: &Network, _scope: &Scope) -> Vec<NodeId> {
        [&self.after, &self.name].into_iter().filter_map(|name| net.graph.id(name).ok()).collect()
    }

    fn penalty(&self, step: &Step<'_>, _scope: &Scope, state: &mut State) -> Result<Option<Term>> {
        let steps = state.numbers.get(STEPS).copied().unwrap_or_default();
        // Once, where a step is of several batches.
        if steps % EVERY == 0.0 && state.numbers.get(LOOKED) != Some(&steps) {
            state.numbers.insert(LOOKED.into(), steps);
            let graph = &step.net.graph;
            let at =
                |name: &str| -> Result<Tensor> { Ok(step.tape.at(graph, graph.id(name)?)?.to_device(&Device::Cpu)?) };
            let rows: Vec<&[f32]> = step.batch.indices.iter().map(|&index| self.known.row(index)).collect();
            let unknown = || DataError::Settings("batches must have the masks of their objects".into());
            let inside = match (self.settings.inside, step.batch.masks.as_ref()) {
                (false, _) => None,
                (true, masks) => {
                    Some(Blocks::of(step.net, graph.id(&self.after)?)?.inside_all(masks.ok_or_else(unknown)?))
                }
            };
            self.look([&at(&self.after)?, &at(&self.name)?], inside.as_deref(), &rows, state)?;
        }
        Ok(None)
    }

    fn after_step(&self, _params: &mut Params, _scope: &Scope, state: &mut State, _now: Now<'_>) -> Result<()> {
        *state.numbers.entry(STEPS.into()).or_insert(0.0) += 1.0;
        Ok(())
    }

    fn enforce(&self, params: &mut Params, scope: &Scope, state: &State) -> Result<()> {
        let [Some(mean), Some(whitening), Some(rotation)] =
            [kept(state, MEAN)?, kept(state, WHITENING)?, kept(state, ROTATION)?]
        else {
            // Before it first steers nothing is changed.
            return scope.nodes.iter().try_for_each(|&id| identity(params, id));
        };
        let weight = rotation * whitening;
        let bias = -(&weight * mean);
        scope.nodes.iter().try_for_each(|&id| set(params, id, &weight, &bias))
    }

    fn claims(&self, _scope: &Scope) -> Vec<Claim> {
        let claim = |quantity: Quantity, relation: Relation, bound: f64| Claim {
            quantity,
            nodes: vec![self.name.clone()],
            scope: self.name.clone(),
            relation,
            bound,
        };
        let area = self.settings.target.map(|target| claim(Quantity::ConceptArea, Relation::AtLeast, target));
        [claim(Quantity::ChannelCorrelation, Relation::AtMost, WHITE)].into_iter().chain(area).collect()
    }
}

/// The mean squared correlation between channels that is claimed.
const WHITE: f64 = 0.01;

#[cfg(test)]
mod tests {
    use interp_data::Batch;
    use interp_net::{Keep, Mode};

    use super::*;
    use crate::turns::{PICTURES, known};

    /// Maps of 3 channels and 2x2 cells, noise that is mixed; where a concept is shown, its direction is added at one cell.
    fn maps() -> Tensor {
        let noise = |at: usize| ((at * at) as f64 * 0.734 + at as f64).sin();
        let mut values = vec![0.0; PICTURES * 12];
        for picture in 0..PICTURES {
            for cell in 0..4 {
                let mut own: Vec<f64> = (0..3).map(|channel| noise((picture * 4 + cell) * 3 + channel)).collect();
                own[1] += 2.0 * own[0];
                let adds =
                    [(picture % 2, picture % 4, [0.0, 3.0, 3.0]), (picture % 3, (picture + 1) % 4, [0.0, 3.0, -3.0])];
                for (turn, place, direction) in adds {
                    let here = turn == 0 && place == cell;
                    own.iter_mut().zip(direction).for_each(|(value, more)| *value += if here { more } else { 0.0 });
                }
                own.iter().enumerate().for_each(|(channel, value)| values[(picture * 3 + channel) * 4 + cell] = *value);
            }
        }
        Tensor::from_vec(values, (PICTURES, 3, 2, 2), &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap()
    }

    fn axes(inside: bool) -> Axes {
        let concepts = vec!["a/yes".into(), "b/yes".into()];
        let settings = ConceptWhitening { concepts, inside, iterations: 20, target: None };
        Axes { name: "axes".into(), after: "input".into(), settings, known: known() }
    }

    /// What the layer makes of maps once it has looked so often, and its rotation. Of `inside` the cells are those of objects.
    fn through(looks: usize, inside: Option<&[f32]>) -> (Tensor, DMatrix<f64>) {
        let mut graph = Graph::new(3, 2, 2).unwrap();
        let units = ["a/yes", "b/yes", "axis 2"].map(String::from).to_vec();
        graph.then_named("axes", Op::conv(3, 1, 1, 0, true), units).unwrap();
        let axes = Axes { after: graph.nodes()[0].name.clone(), ..axes(inside.is_some()) };
        let (mut net, x) = (Network::new(graph, 0).unwrap(), maps());
        let scope = Scope::of_prior(&net, &["axes".into()], &axes).unwrap();
        let mut state = axes.prepare(&mut net, &scope).unwrap();
        axes.enforce(&mut net.params, &scope, &state).unwrap();
        let run = |net: &Network| net.forward(&x, Mode::Eval, &Keep::All).unwrap();
        let numbers = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(numbers(run(&net).output(&net.graph).unwrap()), numbers(&x), "nothing is changed before it steers");
        let masks = inside.map(<[f32]>::to_vec);
        let batch = Batch { images: vec![], labels: vec![0; PICTURES], indices: (0..PICTURES).collect(), masks };
        for _ in 0..looks {
            let tape = run(&net);
            let now = Now { rates: &[], progress: 0.5 };
            let step = Step { net: &net, tape: &tape, batch: &batch, now };
            axes.penalty(&step, &scope, &mut state).unwrap();
            // A step of several batches looks once, and not at every one.
            for _ in 0..EVERY as usize {
                let looked = kept(&state, ROTATION).unwrap();
                axes.penalty(&step, &scope, &mut state).unwrap();
                assert!(kept(&state, ROTATION).unwrap() == looked);
                axes.after_step(&mut net.params.clone(), &scope, &mut state, now).unwrap();
            }
            axes.enforce(&mut net.params, &scope, &state).unwrap();
        }
        let y = run(&net).output(&net.graph).unwrap().to_dtype(DType::F64).unwrap();
        (y, kept(&state, ROTATION).unwrap().unwrap())
    }

    /// How far a channel's largest values tell pictures in turns of `period` from the others.
    fn area(y: &Tensor, channel: usize, period: usize) -> f64 {
        let largest: Vec<f64> =
            y.narrow(1, channel, 1).unwrap().flatten_from(1).unwrap().max(1).unwrap().to_vec1().unwrap();
        let of = |shown: bool| (0..PICTURES).filter(move |at| (at % period == 0) == shown);
        let wins = of(true).flat_map(|yes| of(false).map(move |no| (yes, no)));
        let (won, all) = wins.fold((0.0, 0.0), |(won, all), (yes, no)| {
            (won + f64::from(u8::from(largest[yes] > largest[no])), all + 1.0)
        });
        won / all
    }

    #[test]
    fn channels_are_white_and_the_first_stand_for_concepts() {
        let (y, rotation) = through(200, None);
        let [mean, covariance] = moments(&y).unwrap();
        assert!(mean.abs().max() < 1e-4, "{mean}");
        assert!((covariance - DMatrix::<f64>::identity(3, 3)).abs().max() < 1e-2);
        assert!((&rotation * rotation.transpose() - DMatrix::<f64>::identity(3, 3)).abs().max() < 1e-5);
        assert!(area(&y, 0, 2) > 0.95 && area(&y, 1, 3) > 0.95, "{} {}", area(&y, 0, 2), area(&y, 1, 3));
        // Before it is turned, neither is told.
        let plain = maps().to_dtype(DType::F64).unwrap();
        assert!(area(&plain, 0, 2) < 0.7 && area(&plain, 1, 3) < 0.7, "{} {}", area(&plain, 0, 2), area(&plain, 1, 3));
    }

    /// Objects are the cells that directions are added at: channels are largest there.
    #[test]
    fn channels_say_where_their_concept_is() {
        let mut inside = vec![0.0; PICTURES * 4];
        for picture in 0..PICTURES {
            inside[picture * 4 + picture % 4] = if picture % 2 == 0 { 1.0 } else { 0.0 };
            if picture % 3 == 0 {
                inside[picture * 4 + (picture + 1) % 4] = 1.0;
            }
        }
        let (y, rotation) = through(200, Some(&inside));
        assert!((&rotation * rotation.transpose() - DMatrix::<f64>::identity(3, 3)).abs().max() < 1e-5);
        for (channel, period, shift) in [(0, 2, 0), (1, 3, 1)] {
            let maps: Vec<Vec<f64>> = y.narrow(1, channel, 1).unwrap().flatten_from(1).unwrap().to_vec2().unwrap();
            let largest = |map: &[f64]| (0..4).max_by(|&a, &b| map[a].total_cmp(&map[b])).unwrap();
            let shown: Vec<usize> = (0..PICTURES).filter(|picture| picture % period == 0).collect();
            let hits = shown.iter().filter(|&&picture| largest(&maps[picture]) == (picture + shift) % 4).count();
            assert!(10 * hits >= 9 * shown.len(), "{hits} of {}", shown.len());
            assert!(area(&y, channel, period) > 0.95, "{}", area(&y, channel, period));
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        use interp_net::zoo::{Architecture, Vgg};
        let graph = Vgg { depth: 8, width: 0.125, ..Vgg::default() }.graph([3, 32, 32], 4).unwrap();
        let known = known();
        let put = |settings: &ConceptWhitening, after: &str| {
            let after = graph.id(after).unwrap();
            settings.graph(&Site {
                graph: &graph,
                after,
                name: "axes",
                classes: 4,
                class_names: &[],
                annotations: Some(&known),
            })
        };
        let settings = axes(false).settings;
        let inserted = put(&settings, "features.1").unwrap();
        let node = &inserted.nodes()[inserted.id("axes").unwrap()];
        assert_eq!(node.units[..3], ["a/yes", "b/yes", "axis 2"]);
        assert_eq!(node.inputs, [inserted.id("features.1").unwrap()]);
        assert!(put(&settings, "avgpool").unwrap_err().to_string().contains("no maps"));
        let wrong = |settings: ConceptWhitening| settings.check().unwrap_err().key;
        assert_eq!(wrong(ConceptWhitening { iterations: 0, ..settings.clone() }), "iterations");
        assert_eq!(wrong(ConceptWhitening { concepts: vec![], ..settings.clone() }), "concepts");
        assert_eq!(wrong(ConceptWhitening { target: Some(0.5), ..settings }), "target");
    }
}
