//! How far the answers of channels and the concepts of pictures are the same pixels.

use std::collections::{BTreeMap, BTreeSet};

use interp_data::{Mask, Truth};
use interp_net::{Network, NodeId};
use rayon::prelude::*;

use super::enlarged::Enlarged;
use super::{Bits, Probe, Settings, Thresholds};
use crate::cells::Cells;
use crate::pass::{Observer, Sample, observe};
use crate::{AuditError, Memory, Pictures, Result};

/// Parts that pictures are dealt to, of which each is left out once for an interval.
const BLOCKS: usize = 20;
/// Standard errors on each side in a 95 % interval, of Student's t with [`BLOCKS`] - 1 degrees of freedom.
const ERRORS: f64 = 2.093;

/// A concept of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Concept {
    /// As the data has it: `hue/red`. What stands before the stroke is its category.
    pub name: String,
    /// Pictures in which it is seen.
    pub pictures: usize,
    /// Its share of the pixels of pictures where something of its category is known.
    pub density: f64,
    /// The largest intersection over union that a channel can have which answers to a share q of all pixels: `min(m, p) / max(m, p)` of the density p
    /// and the answers' share m of those pixels, up to `q / f` where something of the category is known in a share f of the pictures only. (Cells are
    /// counted for q, and pixels here: enlarged maps answer to somewhat other shares.)
    pub ceiling: f64,
}

/// How far a channel's answers are a concept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overlap {
    /// The concept's position in [`Dissection::concepts`].
    pub concept: usize,
    /// Intersection over union of the pixels of both, summed over the pictures where something of the concept's category is known.
    pub iou: f64,
    /// 95 % interval: a jackknife over twenty parts of the pictures.
    pub interval: [f64; 2],
    /// What it would be by chance, of independent sets of pixels with these densities m and p: `m p / (m + p - m p)`.
    pub null: f64,
}

/// A picture that a channel answers to.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The picture, by its position in the split.
    pub picture: usize,
    /// The largest activation in it.
    pub activation: f32,
    /// The pixels of its answer.
    pub mask: Bits,
}

/// A direction of a probe: a channel, where that is not rotated.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Answers are activations above it.
    pub threshold: f32,
    /// The share of all pixels at which it answers.
    pub density: f64,
    /// Overlaps with all concepts that it has any with, from the largest on.
    pub overlaps: Vec<Overlap>,
    /// The pictures that it answers to most.
    pub examples: Vec<Example>,
}

/// What was found along the directions of a probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The node.
    pub node: NodeId,
    /// Whether directions are others than its channels.
    pub rotated: bool,
    /// Which of its directions the first unit is: 0 but for probes that are cut ([`Thresholds::parts`]).
    pub first: usize,
    /// One for each direction.
    pub units: Vec<Unit>,
}

impl Layer {
    /// The directions that detect a concept, each with that which it overlaps most.
    pub fn detectors(&self, settings: &Settings) -> Vec<(usize, Overlap)> {
        let first = |(unit, found): (usize, &Unit)| Some((unit, *found.overlaps.first()?));
        self.units.iter().enumerate().filter_map(first).filter(|(_, overlap)| overlap.iou > settings.iou).collect()
    }

    /// The concepts that are detected.
    pub fn unique(&self, settings: &Settings) -> BTreeSet<usize> {
        self.detectors(settings).into_iter().map(|(_, overlap)| overlap.concept).collect()
    }
}

/// What a dissection found.
#[derive(Clone, Debug, PartialEq)]
pub struct Dissection {
    /// The concepts, by name.
    pub concepts: Vec<Concept>,
    /// One for each probe.
    pub layers: Vec<Layer>,
}

/// Compares what is above thresholds, each map enlarged to its picture bilinearly, with the concepts that the data set knows of, by another pass
/// over the pictures. Pictures of which nothing is known are passed over.
///
/// # Errors
/// [`AuditError::NoConcepts`] where the data set knows of none; if pictures cannot be had.
pub fn dissect(
    net: &Network,
    pictures: &Pictures,
    thresholds: Thresholds,
    settings: &Settings,
    memory: Memory,
) -> Result<Dissection> {
    let (quantile, found) = thresholds.into_found();
    let info = pictures.data.info();
    let size = [info.height, info.width];
    let part = |(probe, thresholds): (Probe, Vec<f32>)| Part {
        enlarged: Enlarged::new(net, probe.node, size),
        tallies: vec![Tally::default(); thresholds.len()],
        probe,
        thresholds,
    };
    let parts = found.into_iter().map(part).collect();
    let mut overlaps = Overlaps { pictures, examples: settings.examples, known: Known::default(), parts };
    observe(net, pictures, &mut [&mut overlaps], memory)?;
    let Overlaps { known, parts, .. } = overlaps;
    if known.concepts.is_empty() {
        return Err(AuditError::NoConcepts(info.name.clone()));
    }
    let pixels = (size[0] * size[1]) as u64;
    let layers = parts.into_iter().map(|part| part.layer(&known, pixels)).collect();
    let concepts = known.concepts.iter().map(|concept| known.told(concept, pixels, quantile)).collect();
    Ok(Dissection { concepts, layers }.in_order())
}

impl Dissection {
    /// Adds what was found of the part that comes next.
    pub fn extend(&mut self, part: Self) {
        for layer in part.layers {
            match self.layers.last_mut().filter(|_| layer.first > 0) {
                Some(last) => last.units.extend(layer.units),
                None => self.layers.push(layer),
            }
        }
        self.concepts = part.concepts;
    }

    /// With concepts by name.
    fn in_order(mut self) -> Self {
        let mut order: Vec<usize> = (0..self.concepts.len()).collect();
        order.sort_by(|&a, &b| self.concepts[a].name.cmp(&self.concepts[b].name));
        let mut places = vec![0; order.len()];
        order.iter().enumerate().for_each(|(to, &from)| places[from] = to);
        self.concepts = order.iter().map(|&from| self.concepts[from].clone()).collect();
        let units = self.layers.iter_mut().flat_map(|layer| &mut layer.units);
        for overlap in units.flat_map(|unit| &mut unit.overlaps) {
            overlap.concept = places[overlap.concept];
        }
        self
    }
}

/// Pixels, by block.
type Counts = [u64; BLOCKS];

/// What is known of pictures so far.
#[derive(Default)]
struct Known {
    concepts: Vec<Seen>,
    places: BTreeMap<String, usize>,
    /// Pictures by block, of each category.
    categories: BTreeMap<String, Counts>,
    /// All pictures of which something is known.
    pictures: u64,
}

/// A concept as it was seen.
struct Seen {
    name: String,
    pictures: usize,
    pixels: Counts,
}

impl Known {
    fn place(&mut self, name: &str) -> usize {
        if let Some(&place) = self.places.get(name) {
            return place;
        }
        self.places.insert(name.to_owned(), self.concepts.len());
        self.concepts.push(Seen { name: name.to_owned(), pictures: 0, pixels: [0; BLOCKS] });
        self.concepts.len() - 1
    }

    fn told(&self, seen: &Seen, pixels: u64, quantile: f64) -> Concept {
        let all = self.categories.get(category(&seen.name)).map_or(0, |counts| counts.iter().sum()) * pixels;
        let density = seen.pixels.iter().sum::<u64>() as f64 / all.max(1) as f64;
        // Answers may all lie where something is known, or as few of them as suit the concept.
        let most = quantile * (self.pictures * pixels) as f64 / all.max(1) as f64;
        let some_are_elsewhere = all < self.pictures * pixels;
        let ceiling = match most >= density {
            true if some_are_elsewhere => 1.0,
            true => density / most,
            false => most / density,
        };
        Concept { name: seen.name.clone(), pictures: seen.pictures, density, ceiling }
    }
}

impl Concept {
    /// What stands before the stroke of its name.
    pub fn category(&self) -> &str {
        category(&self.name)
    }
}

/// What stands before the stroke.
fn category(name: &str) -> &str {
    name.split_once('/').map_or(name, |(category, _)| category)
}

/// What a direction shares with concepts so far.
#[derive(Clone, Default)]
struct Tally {
    /// Pixels of its answers, of all pictures and by category of those where something of it is known.
    pixels: u64,
    by_category: BTreeMap<String, Counts>,
    /// Pixels shared with concepts.
    both: BTreeMap<usize, Counts>,
    examples: Vec<Example>,
}

/// A probe, with what is found along its directions.
struct Part {
    probe: Probe,
    thresholds: Vec<f32>,
    enlarged: Enlarged,
    tallies: Vec<Tally>,
}

/// The answer of a direction to a picture.
struct Answer {
    unit: usize,
    example: Example,
    /// Pixels shared with the picture's concepts, in their order.
    both: Vec<u64>,
}

/// See [`dissect`].
struct Overlaps<'a> {
    pictures: &'a Pictures,
    examples: usize,
    known: Known,
    parts: Vec<Part>,
}

/// What is known of a picture: its concepts with their pixels.
type Shown = Vec<(String, Bits)>;

impl Overlaps<'_> {
    fn shown(&self, index: usize) -> Result<Shown> {
        let truth = self.pictures.data.truth(self.pictures.split, index)?;
        let concepts = truth.map_or(vec![], |Truth { concepts, .. }| concepts);
        Ok(concepts
            .into_iter()
            .map(|(name, mask)| (name, pixels(&mask)))
            .filter(|(_, bits)| bits.count() > 0)
            .collect())
    }
}

/// The pixels of which at least a half belong to a mask.
fn pixels(mask: &Mask) -> Bits {
    Bits::of(mask.coverage.len(), |at| mask.coverage[at] >= 128)
}

impl Observer for Overlaps<'_> {
    fn taps(&self) -> Vec<NodeId> {
        self.parts.iter().map(|part| part.probe.node).collect()
    }

    fn observe(&mut self, net: &Network, sample: &Sample<'_>) -> Result<()> {
        let indices = &sample.batch.indices;
        let shown = indices.par_iter().map(|&index| self.shown(index)).collect::<Result<Vec<Shown>>>()?;
        let places: Vec<Vec<usize>> =
            shown.iter().map(|shown| shown.iter().map(|(name, _)| self.known.place(name)).collect()).collect();
        for (&index, shown) in indices.iter().zip(&shown).filter(|(_, shown)| !shown.is_empty()) {
            let block = index % BLOCKS;
            self.known.pictures += 1;
            for category in categories(shown) {
                self.known.categories.entry(category.to_owned()).or_insert([0; BLOCKS])[block] += 1;
            }
            for (name, bits) in shown {
                let place = self.known.place(name);
                let seen = &mut self.known.concepts[place];
                seen.pictures += 1;
                seen.pixels[block] += bits.count();
            }
        }
        for part in &mut self.parts {
            let cells = part.probe.cells(net, sample)?;
            let answers = |at: usize| part.answers(&cells, at, indices[at], &shown[at]);
            let answers: Vec<Vec<Answer>> = (0..indices.len()).into_par_iter().map(answers).collect();
            for (at, answers) in answers.into_iter().enumerate() {
                for answer in answers {
                    part.tallies[answer.unit].add(answer, &shown[at], &places[at], self.examples);
                }
            }
        }
        Ok(())
    }
}

fn categories(shown: &Shown) -> BTreeSet<&str> {
    shown.iter().map(|(name, _)| category(name)).collect()
}

impl Part {
    /// The answers of all directions to the picture at a place of a batch; none where nothing is known of it.
    fn answers(&self, cells: &Cells, at: usize, picture: usize, shown: &Shown) -> Vec<Answer> {
        if shown.is_empty() {
            return vec![];
        }
        let answer = |(unit, (activation, _)): (usize, (f32, [usize; 2]))| {
            // Nothing between cells is larger than the largest of them.
            let threshold = self.thresholds[unit];
            let mask = (activation > threshold).then(|| self.enlarged.above(cells, at, unit, threshold))?;
            let both = shown.iter().map(|(_, bits)| mask.both(bits)).collect();
            (mask.count() > 0).then_some(Answer { unit, example: Example { picture, activation, mask }, both })
        };
        cells.maxima(at).into_iter().enumerate().filter_map(answer).collect()
    }

    fn layer(self, known: &Known, pixels: u64) -> Layer {
        let unit = |(tally, threshold): (Tally, f32)| tally.unit(threshold, known, pixels);
        let units = self.tallies.into_iter().zip(self.thresholds).map(unit).collect();
        let (rotated, first) = (self.probe.rotation.is_some(), self.probe.channels.start);
        Layer { node: self.probe.node, rotated, first, units }
    }
}

impl Tally {
    fn add(&mut self, answer: Answer, shown: &Shown, places: &[usize], examples: usize) {
        let (count, block) = (answer.example.mask.count(), answer.example.picture % BLOCKS);
        self.pixels += count;
        for category in categories(shown) {
            self.by_category.entry(category.to_owned()).or_insert([0; BLOCKS])[block] += count;
        }
        for (&place, &both) in places.iter().zip(&answer.both).filter(|(_, both)| **both > 0) {
            self.both.entry(place).or_insert([0; BLOCKS])[block] += both;
        }
        let activation = answer.example.activation;
        let place = self.examples.partition_point(|other| other.activation >= activation);
        if place < examples {
            self.examples.insert(place, answer.example);
            self.examples.truncate(examples);
        }
    }

    fn unit(self, threshold: f32, known: &Known, pixels: u64) -> Unit {
        let overlap = |(&concept, both): (&usize, &Counts)| {
            let seen = &known.concepts[concept];
            let category = category(&seen.name);
            let answers = self.by_category.get(category).copied().unwrap_or_default();
            let all = known.categories.get(category).map_or(0, |counts| counts.iter().sum()) * pixels;
            let [m, p] = [&answers, &seen.pixels].map(|counts| counts.iter().sum::<u64>() as f64 / all.max(1) as f64);
            let (iou, interval) = jackknife(both, &answers, &seen.pixels);
            Overlap { concept, iou, interval, null: m * p / (m + p - m * p) }
        };
        let mut overlaps: Vec<Overlap> = self.both.iter().map(overlap).collect();
        overlaps.sort_by(|a, b| {
            b.iou.total_cmp(&a.iou).then_with(|| known.concepts[a.concept].name.cmp(&known.concepts[b.concept].name))
        });
        let density = self.pixels as f64 / (known.pictures * pixels).max(1) as f64;
        Unit { threshold, density, overlaps, examples: self.examples }
    }
}

/// Intersection over union, with an interval by leaving out each block once (Efron and Tibshirani 1993, equation 11.5).
fn jackknife(both: &Counts, answers: &Counts, concept: &Counts) -> (f64, [f64; 2]) {
    let sum = |counts: &Counts| counts.iter().sum::<u64>();
    let share = |both: u64, answers: u64, concept: u64| both as f64 / (answers + concept - both).max(1) as f64;
    let all = [sum(both), sum(answers), sum(concept)];
    let without: Vec<f64> =
        (0..BLOCKS).map(|at| share(all[0] - both[at], all[1] - answers[at], all[2] - concept[at])).collect();
    let mean = without.iter().sum::<f64>() / BLOCKS as f64;
    let squares: f64 = without.iter().map(|value| (value - mean).powi(2)).sum();
    let half = ERRORS * (squares * (BLOCKS - 1) as f64 / BLOCKS as f64).sqrt();
    let iou = share(all[0], all[1], all[2]);
    (iou, [(iou - half).max(0.0), (iou + half).min(1.0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    // Alike in all blocks: no error. For a mean of equal parts the jackknife is the standard error of the mean: values 0 and 1 in turn over unions
    // of 1, (1/4) / 19 under the root.
    #[test]
    fn intervals_are_those_of_means() {
        let (iou, interval) = jackknife(&[1; BLOCKS], &[2; BLOCKS], &[1; BLOCKS]);
        assert!(iou == 0.5 && interval.iter().all(|end| (end - 0.5).abs() < 1e-12));
        let both: Counts = std::array::from_fn(|at| (at % 2) as u64);
        let (iou, [low, high]) = jackknife(&both, &both, &[1; BLOCKS]);
        let half = ERRORS * (0.25f64 / 19.0).sqrt();
        assert!(iou == 0.5 && (low - 0.5 + half).abs() < 1e-9 && (high - 0.5 - half).abs() < 1e-9, "{low} {high}");
    }
}
