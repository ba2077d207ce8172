//! Layers of prototypes: what each prototype stands for, where it is found, and what classes owe to it.

mod explained;
mod parts;
mod places;

use std::collections::BTreeSet;

use candle_core::DType;
use interp_net::finding::random::{below, stream};
use interp_net::ops::{Likeness, Over};
use interp_net::{Graph, Network, NodeId, Op, Region, Role};

pub use explained::{Explanation, Part, explain};
pub use places::Peak;

use crate::pass::{numbers, rows};
use crate::{AuditError, Pictures, Result};
use parts::{Known, Truths};
use places::{Searched, stability};

/// Where the prototypes of a network lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// How much each position has of each prototype: (P, H, W).
    pub map: NodeId,
    /// What the last layer reads: the most of each (P, 1, 1), without what is too little where there is a threshold.
    pub values: NodeId,
    /// The last layer: a linear map without bias.
    pub head: NodeId,
    /// What being alike is, where prototypes are vectors that positions are held against; else they are channels.
    pub by: Option<Likeness>,
}

impl Layer {
    /// The prototypes that the classes of a network are sums of, if it has such.
    pub fn of(graph: &Graph) -> Option<Self> {
        let nodes = graph.nodes();
        let head = graph.output();
        let input = |id: NodeId| nodes[id].inputs.first().copied();
        let values = input(head).filter(|_| matches!(nodes[head].op, Op::Linear { bias: false, .. }))?;
        let pool = if matches!(nodes[values].op, Op::Threshold { .. }) { input(values)? } else { values };
        let map = input(pool)?;
        let whole =
            matches!(nodes[pool].op, Op::MaxPool { kernel, .. } if graph.shape(map).get(1..) == Some(&kernel[..]));
        let by = match nodes[map].op {
            Op::Prototypes { by, .. } => Some(by),
            Op::Softmax { over: Over::Channels } => None,
            _ => return None,
        };
        let is_one = graph.shape(pool).get(1..) == Some(&[1, 1]);
        (whole && is_one).then_some(Self { map, values, head, by })
    }

    /// What each prototype is called.
    pub fn names(&self, graph: &Graph) -> Vec<String> {
        let units = &graph.nodes()[self.values].units;
        let number = |at: usize| units.get(at).cloned().unwrap_or_else(|| format!("prototype {}", at + 1));
        (0..graph.shape(self.map)[0]).map(number).collect()
    }

    /// The weights of the last layer, (K, P).
    ///
    /// # Errors
    /// [`AuditError::NotANumber`] where one is no finite number.
    pub(crate) fn weights(&self, net: &Network) -> Result<Vec<Vec<f64>>> {
        let weights = net.params.find(self.head, Role::Weight).map(rows).transpose()?.unwrap_or_default();
        match weights.iter().flatten().all(|w| w.is_finite()) {
            true => Ok(weights),
            false => Err(AuditError::NotANumber(net.graph.nodes()[self.head].name.clone())),
        }
    }
}

/// How much is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Looked {
    /// Nearest places of each prototype, one for each picture.
    pub nearest: usize,
    /// Pictures that stability is measured on.
    pub pictures: usize,
}

impl Default for Looked {
    fn default() -> Self {
        Self { nearest: 10, pictures: 500 }
    }
}

/// What pictures of one thing have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Purity {
    /// The share of the nearest places whose pictures have it.
    pub share: f64,
    /// What: `hue/red`.
    pub value: String,
    /// The share that the most frequent value of the best factor has among as many pictures of the same classes, drawn at random.
    pub chance: f64,
}

/// One prototype.
#[derive(Clone, Debug, PartialEq)]
pub struct Prototype {
    /// What it is called.
    pub name: String,
    /// The class for which it weighs most.
    pub class: usize,
    /// That weight.
    pub weight: f64,
    /// The place of a training picture that has most of it: where prototypes were pushed, of its own class, and equal to it.
    pub source: Option<Peak>,
    /// The places that have most of it among the pictures looked at, the most first, one for each picture.
    pub nearest: Vec<Peak>,
    /// Of the nearest places those of pictures of its class.
    pub own: usize,
    /// What the pictures of the nearest places have in common; `None` where nothing is known of pictures.
    pub purity: Option<Purity>,
    /// Of the nearest places those that lie in the object, and all; `None` where it is not known where objects are.
    pub hits: Option<[usize; 2]>,
    /// Of patches of a third of the side around the nearest places the share that show some of the object, and that of patches around all places of the
    /// same pictures; `None` where it is not known where objects are.
    pub patches: Option<[f64; 2]>,
    /// The part that most of the nearest places lie in, and the share of them; `None` where no parts are known.
    pub part: Option<(String, f64)>,
}

/// The share of the nearest places that must lie in one part for a prototype to be consistent.
pub const CONSISTENT: f64 = 0.8;

/// So much of the largest likeness says that two vectors are the same but for rounding.
const EQUAL: f64 = 0.9999;

/// What prototypes of a network are.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Where they lie.
    pub layer: Layer,
    /// Each of them.
    pub prototypes: Vec<Prototype>,
    /// The share of the places with most of a prototype that stay in the same parts under noise; `None` where no parts are known.
    pub stability: Option<f64>,
    /// The mean cosine of two prototypes, and of two of one class; `None` where they are no vectors.
    pub cosines: Option<[f64; 2]>,
    /// Weights of the last layer that are not zero.
    pub weights: usize,
    /// The mean over pictures of how many prototypes the class that is told owes something to.
    pub terms: f64,
    /// Pictures whose class is told, and all.
    pub right: [usize; 2],
}

impl Found {
    /// The prototypes that count: those that weigh something for a class. A layer may have more than it needs, and what no class looks for stands for nothing.
    pub fn used(&self) -> impl Iterator<Item = &Prototype> {
        self.prototypes.iter().filter(|p| p.weight > 0.0)
    }

    /// Different places of training pictures that they are found at.
    pub fn places(&self) -> usize {
        let places = self.used().filter_map(|p| p.source.as_ref()).map(|peak| (peak.picture, peak.cell));
        places.collect::<BTreeSet<_>>().len()
    }

    /// How many of them are equal to a place of a training picture, as a push leaves them; `None` where they are no vectors.
    pub fn equal(&self) -> Option<usize> {
        let most = self.layer.by.map(|by| match by {
            Likeness::L2 => 1e4f64.ln(),
            Likeness::Cosine => 1.0 / 1.01,
        })?;
        let is_equal = |p: &&Prototype| p.source.as_ref().is_some_and(|peak| peak.value >= EQUAL * most);
        Some(self.used().filter(is_equal).count())
    }

    /// The share of the nearest places that lie in the object.
    pub fn hits(&self) -> Option<[usize; 2]> {
        let known: Vec<[usize; 2]> = self.used().filter_map(|p| p.hits).collect();
        (!known.is_empty()).then(|| known.iter().fold([0; 2], |sum, one| [sum[0] + one[0], sum[1] + one[1]]))
    }

    /// The mean over prototypes of the share of patches that show some of the object, and what is expected by chance.
    pub fn patches(&self) -> Option<[f64; 2]> {
        let known: Vec<[f64; 2]> = self.used().filter_map(|p| p.patches).collect();
        (!known.is_empty()).then(|| [0, 1].map(|of| known.iter().map(|p| p[of]).sum::<f64>() / known.len() as f64))
    }

    /// Of all nearest places those of pictures of the prototype's class, and all.
    pub fn own(&self) -> [usize; 2] {
        self.used().fold([0; 2], |[own, all], one| [own + one.own, all + one.nearest.len()])
    }

    /// The mean purity, and what is expected by chance.
    pub fn purity(&self) -> Option<[f64; 2]> {
        let known: Vec<&Purity> = self.used().filter_map(|p| p.purity.as_ref()).collect();
        let mean = |of: fn(&Purity) -> f64| known.iter().map(|p| of(p)).sum::<f64>() / known.len() as f64;
        (!known.is_empty()).then(|| [mean(|p| p.share), mean(|p| p.chance)])
    }

    /// The share of prototypes whose nearest places lie in one part.
    pub fn consistency(&self) -> Option<f64> {
        let known: Vec<f64> = self.used().filter_map(|p| Some(p.part.as_ref()?.1)).collect();
        let consistent = known.iter().filter(|share| **share >= CONSISTENT).count();
        (!known.is_empty()).then(|| consistent as f64 / known.len() as f64)
    }
}

/// Looks for the prototypes of a network in `train`, the pictures that it was trained with, and in `pictures`.
///
/// # Errors
/// [`AuditError::NoPrototypes`], and where pictures cannot be had or do not fit the network, or a number is not finite.
pub fn prototypes(net: &Network, train: &Pictures, pictures: &Pictures, looked: Looked) -> Result<Found> {
    let layer = Layer::of(&net.graph).ok_or(AuditError::NoPrototypes)?;
    let (names, weights) = (layer.names(&net.graph), layer.weights(net)?);
    let classes: Vec<usize> = (0..names.len()).map(|at| strongest(&weights, at)).collect();
    // Of vectors those of the own class: a push takes them from there.
    let own = layer.by.is_some().then_some(classes.as_slice());
    let sources = Searched::over(net, layer, train, 1, own)?.best;
    let Searched { best, right, terms, .. } = Searched::over(net, layer, pictures, looked.nearest, None)?;
    let mut truths = Truths::new(pictures);
    let cells = Centers::of(net, layer.map)?.all(&net.graph.shape(layer.map)[1..]);
    let classes_of = by_class(pictures);
    let mut prototypes = vec![];
    for (at, (name, nearest)) in names.into_iter().zip(best).enumerate() {
        let known = nearest.iter().map(|peak| truths.of(peak.picture)).collect::<Result<Vec<_>>>()?;
        let pairs = || known.iter().zip(&nearest);
        let inside = |known: &Known, peak: &Peak| known.object(peak.pixel);
        let hits: Vec<bool> = pairs().filter_map(|(known, peak)| inside(known, peak)).collect();
        let purity = parts::purest(known.iter().map(|known| known.factors.as_slice()));
        let chance = chance(at, &nearest, &classes_of, &mut truths)?;
        prototypes.push(Prototype {
            name,
            class: classes[at],
            weight: weights.get(classes[at]).map_or(0.0, |row| row[at]),
            source: sources[at].first().cloned(),
            own: nearest.iter().filter(|peak| peak.label == classes[at]).count(),
            purity: purity.map(|(value, share)| Purity { share, value, chance }),
            hits: (!hits.is_empty()).then(|| [hits.iter().filter(|hit| **hit).count(), hits.len()]),
            patches: patches(&known, &nearest, &cells),
            part: parts::most_common(pairs().map(|(known, peak)| known.parts(peak.pixel))),
            nearest,
        });
    }
    Ok(Found {
        layer,
        stability: stability(net, layer, pictures, looked.pictures, &mut truths)?,
        cosines: cosines(net, layer, &classes)?,
        weights: weights.iter().flatten().filter(|w| **w != 0.0).count(),
        terms: terms as f64 / right[1].max(1) as f64,
        right,
        prototypes,
    })
}

/// Shares of patches that show some of the object: of those around peaks, and of those around all `cells` of the same pictures.
fn patches(known: &[Known], peaks: &[Peak], cells: &[[usize; 2]]) -> Option<[f64; 2]> {
    let share = |known: &Known, pixels: &[[usize; 2]]| {
        let shown = pixels.iter().map(|&pixel| known.near_object(pixel)).collect::<Option<Vec<bool>>>()?;
        Some(shown.iter().filter(|shown| **shown).count() as f64 / shown.len().max(1) as f64)
    };
    let both = |(known, peak): (&Known, &Peak)| Some([share(known, &[peak.pixel])?, share(known, cells)?]);
    let all: Vec<[f64; 2]> = known.iter().zip(peaks).filter_map(both).collect();
    (!all.is_empty()).then(|| [0, 1].map(|of| all.iter().map(|p| p[of]).sum::<f64>() / all.len() as f64))
}

/// The class for which a prototype weighs most; of equal ones the first.
fn strongest(weights: &[Vec<f64>], prototype: usize) -> usize {
    (0..weights.len()).rev().max_by(|&a, &b| weights[a][prototype].total_cmp(&weights[b][prototype])).unwrap_or(0)
}

/// Draws of pictures that chance is told from, for each prototype.
const DRAWS: u64 = 20;

/// The pictures of each class, by their positions in the split.
fn by_class(pictures: &Pictures) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]; pictures.data.info().classes.len()];
    for at in 0..pictures.data.len(pictures.split) {
        let label = pictures.data.label(pictures.split, at) as usize;
        all.get_mut(label).into_iter().for_each(|own: &mut Vec<usize>| own.push(at));
    }
    all
}

/// The mean purity of pictures drawn at random in the place of `nearest`, each of the same class: a prototype that goes by the class alone has as much.
fn chance(prototype: usize, nearest: &[Peak], classes: &[Vec<usize>], truths: &mut Truths<'_>) -> Result<f64> {
    let (mut sum, mut known) = (0.0, 0);
    for draw in 0..DRAWS {
        let mut random = stream(0, "prototypes/chance", prototype as u64, draw);
        let mut factors = vec![];
        for own in nearest.iter().filter_map(|peak| classes.get(peak.label)).filter(|own| !own.is_empty()) {
            factors.push(truths.of(own[below(&mut random, own.len())])?.factors);
        }
        if let Some((_, share)) = parts::purest(factors.iter().map(Vec::as_slice)) {
            (sum, known) = (sum + share, known + 1);
        }
    }
    Ok(sum / f64::from(known.max(1)))
}

/// The mean cosine of two prototypes, and of two of one class.
fn cosines(net: &Network, layer: Layer, classes: &[usize]) -> Result<Option<[f64; 2]>> {
    let Some(weight) = net.params.find(layer.map, Role::Weight).filter(|_| layer.by.is_some()) else { return Ok(None) };
    let vectors = rows(&weight.to_dtype(DType::F64)?)?;
    let length = |row: &Vec<f64>| row.iter().map(|v| v * v).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    let mut sums = [[0.0, 0.0]; 2];
    for one in 0..vectors.len() {
        for other in 0..one {
            let product: f64 = vectors[one].iter().zip(&vectors[other]).map(|(a, b)| a * b).sum();
            let cosine = product / length(&vectors[one]) / length(&vectors[other]);
            let alike = classes[one] == classes[other];
            for sum in sums.iter_mut().take(1 + usize::from(alike)) {
                *sum = [sum[0] + cosine, sum[1] + 1.0];
            }
        }
    }
    Ok(Some(sums.map(|[sum, count]| sum / count.max(1.0))))
}

/// The pixel in the middle of what a cell sees: where its receptive field has its center, within the picture.
pub(crate) struct Centers {
    start: [f64; 2],
    jump: [f64; 2],
    picture: [usize; 2],
}

impl Centers {
    /// # Errors
    /// If cells see fields of different sizes.
    pub(crate) fn of(net: &Network, node: NodeId) -> Result<Self> {
        let (field, shape) = (net.receptive_field(node)?, net.graph.shape(0));
        Ok(Self { start: field.start, jump: field.jump.map(|jump| jump as f64), picture: [shape[1], shape[2]] })
    }

    /// Of all cells of a map of `size`, row by row.
    fn all(&self, size: &[usize]) -> Vec<[usize; 2]> {
        let row = |row: usize| (0..size[1]).map(move |column| self.pixel([row, column]));
        (0..size[0]).flat_map(row).collect()
    }

    pub(crate) fn pixel(&self, cell: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| {
            let center = self.start[axis] + self.jump[axis] * cell[axis] as f64;
            (center.max(0.0) as usize).min(self.picture[axis].saturating_sub(1))
        })
    }
}

/// What a cell sees.
fn region(net: &Network, node: NodeId, [row, column]: [usize; 2]) -> Result<Region> {
    let name = || net.graph.nodes()[node].name.clone();
    net.region(node, row, column).ok_or_else(|| AuditError::SeesNothing(name()))
}

/// The numbers of an activation, all finite.
fn finite(net: &Network, node: NodeId, tensor: &candle_core::Tensor) -> Result<Vec<f64>> {
    let all = numbers(tensor)?;
    match all.iter().all(|value| value.is_finite()) {
        true => Ok(all),
        false => Err(AuditError::NotANumber(net.graph.nodes()[node].name.clone())),
    }
}

#[cfg(test)]
mod tests;
