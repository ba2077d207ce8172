//! The test by random weights.

use interp_net::finding::{Better, Entry, Unfit, build};
use interp_net::{Network, NodeId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::effects::maps;
use super::order::marks;
use super::ranks::{correlation, ranks};
use super::{Column, Curve, Judged, Metric, Scores, Verdict};
use crate::Result;
use crate::saliency::{Attribution, Question, counted};

/// Which layers have random weights at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Layers {
    /// From the output on, more and more.
    Cascading,
    /// Some neighbors, and no others.
    Independent,
}

/// How similar maps are to those of the same network with random weights: Spearman's correlation of the maps (Adebayo et al. 2018, arXiv
/// 1810.03292, section 3.1: model parameter randomization test). A map that hardly changes says little of what the network has learned.
///
/// Weights are those that training starts from, with the running statistics of batch norms; curves begin with the network's own and go from
/// the output to the picture. `similarity` is that to the network of which all is random, `of_sizes` the same without signs, and
/// `unrelated` that of the map of another picture there, which is what similar places of evidence alone come to. A method fails where the
/// 95 % interval of `similarity` lies above `threshold`: an interval over pictures, for the networks that were drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Randomization {
    /// Which layers are random at a time, on the way to all of them.
    pub layers: Layers,
    /// Stages on this way; no more than layers with weights.
    pub stages: usize,
    /// Random networks, whose similarities are averaged.
    pub draws: usize,
    /// The similarity above which a method fails, and below which it passes.
    pub threshold: f64,
    /// Of the weights.
    pub seed: u64,
}

impl Default for Randomization {
    fn default() -> Self {
        Self { layers: Layers::Cascading, stages: 5, draws: 3, threshold: 0.2, seed: 0 }
    }
}

pub(super) const ENTRY: Entry<dyn Metric> = Entry {
    name: "randomization",
    summary: "how similar maps are to those of the network with random weights: a method whose maps stay the same fails",
    example: "kind = \"randomization\"\nstages = 5\n",
    build: |section| build(section, |settings: Randomization| Box::new(settings)),
    schema: || schemars::schema_for!(Randomization),
};

/// A map as it is compared.
struct Said {
    ranks: Vec<f64>,
    /// Without signs.
    sizes: Vec<f64>,
}

/// A mean over the random networks that have such a number: the sum, and of how many.
#[derive(Clone, Copy, Default)]
struct Mean(f64, u32);

/// Means picture by picture.
struct Sums {
    /// By stage.
    stages: Vec<Vec<Mean>>,
    of_sizes: Vec<Mean>,
    unrelated: Vec<Mean>,
}

impl Metric for Randomization {
    fn check(&self, _: [usize; 2]) -> Result<(), Unfit> {
        counted("stages", self.stages, [1, 1000])?;
        counted("draws", self.draws, [1, 1000])?;
        let inside = self.threshold > 0.0 && self.threshold < 1.0;
        Unfit::unless(inside, "threshold", format!("must be between 0 and 1, not {}", self.threshold))
    }

    fn measure(&self, question: &Question<'_>, judged: &[Judged<'_>]) -> Result<Vec<Scores>> {
        self.check(question.size())?;
        let (layers, count) = (layers(question.net), question.count());
        let marks = marks(layers.len(), self.stages);
        let own = judged.iter().map(|one| said(question, one.attribution)).collect::<Result<Vec<_>>>()?;
        let start = || vec![Mean::default(); count];
        let sums = || Sums { stages: vec![start(); self.points(&marks) - 1], of_sizes: start(), unrelated: start() };
        let mut sums: Vec<Sums> = judged.iter().map(|_| sums()).collect();
        for draw in 0..self.draws {
            for (stage, random) in self.randomized(&layers, &marks).into_iter().enumerate() {
                let net = with_random(question.net, random, self.seed + draw as u64)?;
                for ((one, own), sums) in judged.iter().zip(&own).zip(&mut sums) {
                    let other = one.method.attribute(&Question { net: &net, ..*question })?;
                    sums.add(stage, own, &said(question, &other)?);
                }
            }
        }
        Ok(sums.into_iter().map(|sums| self.scores(sums, &marks)).collect())
    }
}

impl Randomization {
    /// Points of the curve: the network's own weights, the stages, and where these do not end there, all weights random.
    fn points(&self, marks: &[usize]) -> usize {
        marks.len() + usize::from(self.layers == Layers::Independent)
    }

    /// The layers that are random at each stage; at the last all of them.
    fn randomized<'l>(&self, layers: &'l [NodeId], marks: &[usize]) -> Vec<&'l [NodeId]> {
        match self.layers {
            Layers::Cascading => marks[1..].iter().map(|&mark| &layers[..mark]).collect(),
            Layers::Independent => {
                let single = marks.windows(2).map(|ends| &layers[ends[0]..ends[1]]);
                single.chain(std::iter::once(layers)).collect()
            }
        }
    }

    fn scores(&self, sums: Sums, marks: &[usize]) -> Scores {
        let mean = |sums: Vec<Mean>| -> Vec<Option<f64>> {
            sums.into_iter().map(|Mean(sum, count)| (count > 0).then(|| sum / f64::from(count))).collect()
        };
        let stages: Vec<Vec<Option<f64>>> = sums.stages.into_iter().map(mean).collect();
        let similarity = stages.last().cloned().unwrap_or_default();
        let unrelated = mean(sums.unrelated);
        let column = |name: &str, null, values| Column { name: name.into(), better: Better::Neither, null, values };
        let unrelated = column("unrelated", None, unrelated);
        let null = unrelated.number().map(|number| number.value);
        let points = self.points(marks);
        let curve = (0..similarity.len())
            .map(|picture| std::iter::once(Some(1.0)).chain(stages.iter().map(|stage| stage[picture])).collect());
        Scores {
            curves: vec![Curve {
                name: "similarity",
                along: match self.layers {
                    Layers::Cascading => "share of the layers with random weights, from the output on",
                    Layers::Independent => {
                        "place of the layers with random weights, from the output on; at the end all"
                    }
                },
                x: (0..points).map(|point| point as f64 / (points - 1) as f64).collect(),
                values: curve.collect(),
            }],
            verdict: Some(Verdict::below(self.threshold, &similarity)),
            columns: vec![
                column("similarity", null, similarity),
                column("of_sizes", None, mean(sums.of_sizes)),
                unrelated,
            ],
        }
    }
}

impl Sums {
    /// Takes the maps of a random network into account.
    fn add(&mut self, stage: usize, own: &[Said], other: &[Said]) {
        let sum = |sums: &mut [Mean], similarity: &dyn Fn(usize) -> Option<f64>| {
            for (at, Mean(sum, count)) in sums.iter_mut().enumerate() {
                if let Some(more) = similarity(at) {
                    (*sum, *count) = (*sum + more, *count + 1);
                }
            }
        };
        sum(&mut self.stages[stage], &|at| correlation(&own[at].ranks, &other[at].ranks));
        if stage + 1 == self.stages.len() {
            sum(&mut self.of_sizes, &|at| correlation(&own[at].sizes, &other[at].sizes));
            // Of a picture alone there is no other.
            let next = |at: usize| Some((at + 1) % own.len()).filter(|&next| next != at);
            sum(&mut self.unrelated, &|at| correlation(&own[at].ranks, &other[next(at)?].ranks));
        }
    }
}

/// What is compared of an attribution, picture by picture.
fn said(question: &Question<'_>, attribution: &Attribution) -> Result<Vec<Said>> {
    let sizes = |map: &[f64]| ranks(&map.iter().map(|value| value.abs()).collect::<Vec<_>>());
    let of = |map: &Vec<f64>| Said { ranks: ranks(map), sizes: sizes(map) };
    Ok(maps(question, attribution)?.iter().map(of).collect())
}

/// The nodes with weights, from the output to the picture.
fn layers(net: &Network) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = net.params.list().iter().map(|param| param.node).collect();
    nodes.dedup();
    nodes.reverse();
    nodes
}

/// The network with the weights that training starts from in some layers.
fn with_random(net: &Network, layers: &[NodeId], seed: u64) -> Result<Network> {
    let fresh = Network::new(net.graph.clone(), seed)?;
    let mut random = net.clone();
    for (position, param) in fresh.params.list().iter().enumerate() {
        if layers.contains(&param.node) {
            let like = &net.params.list()[position].value;
            random.params.set(position, param.value.to_dtype(like.dtype())?)?;
        }
    }
    Ok(random)
}
