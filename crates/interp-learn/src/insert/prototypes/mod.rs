//! Prototypes: classes are decided by how much places of a picture are like places of training pictures.

mod loss;
mod push;

use candle_core::{Device, Tensor};
use interp_data::Batches;
use interp_net::finding::random::stream;
use interp_net::finding::{Claim, Entry, Unfit, build};
use interp_net::ops::Likeness;
use interp_net::{Graph, Network, NodeId, Op, Role};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::loss::{Aim, Found};
use super::{Companion, Insertion, Site, strength};
use crate::prior::{Prior, Scope, State, Step, Term, values};
use crate::{LearnError, Result};

/// Everything behind the node is replaced: every class has prototypes, vectors that the maps are held against at each position, and a picture is of the class whose
/// prototypes are found in it (ProtoPNet, Chen et al. 2019, arXiv 1806.10574).
///
/// Nodes: `NAME.embed.0` to `.3`, a 1x1 convolution, ReLU, another one and, for distances, a sigmoid; `NAME.map`, how much each position is like each prototype; `NAME`, the
/// largest over positions; `NAME.classes`, a linear map without bias that begins with 1 for prototypes of the class and -0.5 for the others.
///
/// To the loss comes `cluster` times the mean over pictures of the squared distance between some position and the nearest prototype of the own class, less `separation` times
/// that to the nearest one of another class; of cosines, likeness counts in the place of distance, with other signs. Then `sparse` times the sum of the sizes of the weights that
/// lead from prototypes to other classes, and `diversity` times the mean squared cosine of two prototypes of a class.
///
/// A phase with `push = true` ends with each prototype becoming the place of a training picture of its class that is nearest; no two prototypes of a class take the same picture. Train
/// in phases: embedding and prototypes first, then all but `NAME.classes`, with a push at the end, then `NAME.classes` alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prototypes {
    /// Prototypes of each class.
    #[serde(default = "per_class")]
    pub per_class: usize,
    /// Channels of the embedding, and numbers of a prototype.
    #[serde(default = "channels")]
    pub channels: usize,
    /// What being alike is.
    #[serde(default)]
    pub similarity: Similarity,
    /// Weight of the nearness to prototypes of the own class.
    #[serde(default = "cluster")]
    pub cluster: f64,
    /// Weight of the distance to prototypes of other classes.
    #[serde(default = "separation")]
    pub separation: f64,
    /// Weight of what leads from prototypes to other classes.
    #[serde(default = "sparse")]
    pub sparse: f64,
    /// Weight of what prototypes of a class have in common.
    #[serde(default)]
    pub diversity: f64,
}

fn per_class() -> usize {
    10
}

fn channels() -> usize {
    128
}

fn cluster() -> f64 {
    0.8
}

fn separation() -> f64 {
    0.08
}

fn sparse() -> f64 {
    1e-4
}

/// What being alike is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Similarity {
    /// Being near: `ln((d^2 + 1) / (d^2 + 1e-4))` of the distance d (ProtoPNet).
    #[default]
    L2,
    /// Pointing the same way: `max(c, 0) / 1.01` of the cosine c (ProtoPNeXt).
    Cosine,
}

impl Similarity {
    fn likeness(self) -> Likeness {
        match self {
            Self::L2 => Likeness::L2,
            Self::Cosine => Likeness::Cosine,
        }
    }
}

pub(super) const ENTRY: Entry<dyn Insertion> = Entry {
    name: "prototypes",
    summary: "classes decided by likeness to places of training pictures (ProtoPNet)",
    example: "kind = \"prototypes\"\nafter = \"features.14\"\nper_class = 4\n",
    build: |section| build(section, |settings: Prototypes| Box::new(settings)),
    schema: || schemars::schema_for!(Prototypes),
};

/// Most prototypes and channels: more are for larger machines.
const MOST: usize = 4096;

/// Most numbers that a push keeps: a GiB.
const KEPT: usize = 1 << 28;

/// First weights of a prototype's own class and of the others.
const OWN: f32 = 1.0;
const OTHER: f32 = -0.5;

impl Insertion for Prototypes {
    fn check(&self) -> Result<(), Unfit> {
        for (key, count) in [("per_class", self.per_class), ("channels", self.channels)] {
            Unfit::unless((1..=MOST).contains(&count), key, format!("must be 1 to {MOST}, not {count}"))?;
        }
        let weights = [
            ("cluster", self.cluster),
            ("separation", self.separation),
            ("sparse", self.sparse),
            ("diversity", self.diversity),
        ];
        weights.into_iter().try_for_each(|(key, weight)| strength(key, weight))
    }

    fn graph(&self, site: &Site<'_>) -> Result<Graph> {
        let &Site { graph, after, name, classes, class_names, .. } = site;
        let &[_, height, width] = graph.shape(after) else { return Err(no_maps(site)) };
        let count = classes * self.per_class;
        Unfit::unless(count <= MOST, "per_class", format!("makes {count} prototypes; {MOST} are the most"))?;
        // A push keeps the vectors of so many places until each prototype has one.
        let kept = count * self.per_class * self.channels;
        let problem =
            || format!("times channels are too many: a push would keep {kept} numbers, and {KEPT} are the most");
        Unfit::unless(kept <= KEPT, "per_class", problem())?;
        let by = self.similarity.likeness();
        let part = |part: &str| format!("{name}.{part}");
        let names = (0..count).map(|at| self.name_of(at, class_names)).collect();
        Ok(graph.ended(after, |graph, after| {
            graph.add(part("embed.0"), Op::conv(self.channels, 1, 1, 0, true), &[after])?;
            graph.then(part("embed.1"), Op::Relu)?;
            graph.then(part("embed.2"), Op::conv(self.channels, 1, 1, 0, true))?;
            if by == Likeness::L2 {
                graph.then(part("embed.3"), Op::Sigmoid)?;
            }
            graph.then(part("map"), Op::Prototypes { count, by })?;
            graph.then_named(name, largest([height, width]), names)?;
            graph.then(part("classes"), Op::Linear { out_features: classes, bias: false }).map(|_| ())
        })?)
    }

    /// Prototypes anywhere in the unit cube, where embeddings lie, or of cosines in any direction; and what each says of classes.
    fn start(&self, net: &mut Network, name: &str, seed: u64) -> Result<()> {
        let map = net.graph.id(&format!("{name}.map"))?;
        let position = weight_of(net, &format!("{name}.map"))?;
        let dims = net.params.list()[position].value.dims().to_vec();
        let mut random = stream(seed, &format!("prototypes/{name}"), 0, 0);
        let mut draw = || match self.similarity {
            Similarity::L2 => random.random_range(0.0..1.0),
            Similarity::Cosine => StandardNormal.sample(&mut random),
        };
        let first: Vec<f32> = (0..dims.iter().product()).map(|_| draw()).collect();
        net.params.set(position, Tensor::from_vec(first, dims, &Device::Cpu)?)?;
        let count = net.graph.shape(map)[0];
        let says = |class: usize, prototype: usize| if prototype / self.per_class == class { OWN } else { OTHER };
        let classes = count / self.per_class;
        let all: Vec<f32> = (0..classes).flat_map(|class| (0..count).map(move |at| says(class, at))).collect();
        let head = weight_of(net, &format!("{name}.classes"))?;
        Ok(net.params.set(head, Tensor::from_vec(all, (classes, count), &Device::Cpu)?)?)
    }

    fn companion(&self, site: &Site<'_>) -> Option<Companion> {
        let prior = PrototypeLoss { name: site.name.to_owned(), settings: self.clone() };
        let nodes = ["map", "classes"].map(|part| format!("{}.{part}", site.name)).to_vec();
        Some(Companion { prior: Box::new(prior), nodes })
    }
}

impl Prototypes {
    /// What a prototype is called: `star 1`, or by the number of its class.
    fn name_of(&self, at: usize, class_names: &[String]) -> String {
        let (class, number) = (at / self.per_class, at % self.per_class + 1);
        let class = class_names.get(class).cloned().unwrap_or_else(|| format!("class {class}"));
        format!("{class} prototype {number}")
    }
}

/// Of maps of this height and width the largest number of each channel.
pub(super) fn largest(size: [usize; 2]) -> Op {
    Op::MaxPool { kernel: size, stride: size, padding: [0; 2], ceil_mode: false }
}

pub(super) fn no_maps(site: &Site<'_>) -> LearnError {
    let name = &site.graph.nodes()[site.after].name;
    Unfit::new("after", format!("`{name}` gives no maps: prototypes are looked for at each position")).into()
}

/// The position of a node's weights.
pub(super) fn weight_of(net: &Network, node: &str) -> Result<usize> {
    let position = net.params.position(net.graph.id(node)?, Role::Weight);
    position.ok_or_else(|| LearnError::State(format!("`{node}` has no weights")))
}

/// The loss of prototypes, and their push.
struct PrototypeLoss {
    /// The layer's name.
    name: String,
    settings: Prototypes,
}

impl PrototypeLoss {
    fn node(&self, part: &str) -> String {
        format!("{}.{part}", self.name)
    }

    fn aim(&self) -> Aim {
        let Prototypes { per_class, similarity, cluster, separation, .. } = self.settings;
        Aim { per_class, by: similarity.likeness(), cluster, separation }
    }
}

impl Prior for PrototypeLoss {
    fn roles(&self) -> &'static [Role] {
        &[]
    }

    fn taps(&self, net: &Network, _scope: &Scope) -> Vec<NodeId> {
        net.graph.id(&self.name).into_iter().collect()
    }

    fn penalty(&self, step: &Step<'_>, _scope: &Scope, _state: &mut State) -> Result<Option<Term>> {
        let net = step.net;
        let id = net.graph.id(&self.name)?;
        let at = step.tape.at(&net.graph, id)?; // (N, P, 1, 1)
        let rows = at.to_device(&Device::Cpu)?.to_dtype(candle_core::DType::F64)?.flatten_from(1)?.to_vec2::<f64>()?;
        let Found { value, gradient } = self.aim().loss(&rows, &step.batch.labels);
        let seed = Tensor::from_vec(gradient, at.dims(), &Device::Cpu)?.to_dtype(at.dtype())?.to_device(at.device())?;
        let mut term = Term { value, nodes: vec![(id, seed)], params: vec![] };
        for (part, weight, is_head) in
            [("classes", self.settings.sparse, true), ("map", self.settings.diversity, false)]
        {
            let position = weight_of(net, &self.node(part))?;
            if weight == 0.0 {
                continue;
            }
            let tensor = &net.params.list()[position].value;
            let (numbers, width) = (values(&net.params, position)?, tensor.dims2()?.1);
            let Found { value, gradient } = match is_head {
                true => loss::off_class(&numbers, width, self.settings.per_class),
                false => loss::common(&numbers, width, self.settings.per_class),
            };
            term.value += weight * value;
            let gradient = Tensor::from_vec(gradient, tensor.dims(), &Device::Cpu)?;
            term.params.push((position, (gradient * weight)?.to_dtype(tensor.dtype())?.to_device(tensor.device())?));
        }
        Ok(Some(term))
    }

    fn pushes(&self) -> bool {
        true
    }

    fn push(&self, net: &Network, pictures: Batches, _scope: &Scope) -> Result<Vec<(usize, Tensor)>> {
        let map = net.graph.id(&self.node("map"))?;
        let position = weight_of(net, &self.node("map"))?;
        let places = push::nearest(net, map, pictures, self.settings.per_class)?;
        let count = places.len();
        let rows: Vec<f32> = places.into_iter().flat_map(|place| place.vector).collect();
        let width = rows.len() / count.max(1);
        Ok(vec![(position, Tensor::from_vec(rows, (count, width), &Device::Cpu)?)])
    }

    fn claims(&self, _scope: &Scope) -> Vec<Claim> {
        vec![]
    }
}

#[cfg(test)]
mod tests;
