//! Shortcuts: whether a network uses one, and how much of the evidence methods see in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use interp_audit::metrics::{Judged, metric};
use interp_audit::saliency::{Attribution, Method, locate, method};
use interp_audit::{Memory, Parts, Pictures, answers, context};
use interp_data::Split;
use interp_data::concepts::{Concepts, ConceptsSource, Place, Shortcut};

use super::networks::Pupil;
use crate::Result;
use crate::asked::{Asked, Shown, maps};
use crate::compare::{Difference, paired};

/// Points of accuracy that the shortcut must be worth, at the lower end of the interval, for a network to use it.
const USED: f64 = 1.0;
/// The seed of the pictures that all networks are asked about; none learns from it.
const ASKED: u64 = 2000;

/// A network beside what methods see in it.
pub(super) struct Seen {
    /// How strong the shortcut was in what the network learned from.
    pub(super) strength: f64,
    pub(super) seed: u64,
    /// The name of its folder.
    pub(super) run: String,
    /// What it loses where the shortcut does not go with the label, in points: the truth.
    pub(super) effect: Difference,
    /// How much it decides by what is around objects ([`Parts::bias`]), a mean over pictures.
    pub(super) bias: f64,
    /// How much of the probability the color around objects moves ([`Parts::moved`]), a mean over pictures.
    pub(super) moved: f64,
    /// Of every method.
    pub(super) evidence: Vec<Evidence>,
}

impl Seen {
    /// Whether the network uses the shortcut.
    pub(super) fn is_used(&self) -> bool {
        self.effect.interval[0] > USED
    }
}

/// Where a method sees what speaks for the class, over the pictures in which it sees anything.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Evidence {
    /// The mean share that lies on the shortcut.
    pub(super) share: f64,
    /// The mean share that lies on a region like it that tells nothing; 0 where there is no such region.
    pub(super) placebo: f64,
    /// Pictures in which it sees nothing.
    pub(super) silent: usize,
}

impl Evidence {
    /// How much more of it lies on the shortcut than where it tells nothing.
    pub(super) fn excess(&self) -> f64 {
        self.share - self.placebo
    }

    /// Of maps, each with the shortcut's mask and the placebo's.
    fn of(maps: &[Vec<f64>], masks: &[[Vec<f32>; 2]]) -> Self {
        let heard: Vec<_> = maps.iter().zip(masks).filter(|(map, _)| map.iter().any(|&value| value > 0.0)).collect();
        let mean = |which: usize| {
            heard.iter().map(|(map, masks)| locate(map, &masks[which]).mass).sum::<f64>() / heard.len().max(1) as f64
        };
        Self { share: mean(0), placebo: mean(1), silent: maps.len() - heard.len() }
    }
}

/// Pictures on which methods are asked about random weights too.
const RANDOMIZED: usize = 50;

/// How a shortcut is written in a recipe.
pub(super) fn fault(place: Place, strength: f64) -> String {
    format!("shortcut = {{ place = \"{}\", strength = {strength:?}, test_strength = 0.0 }}", super::word(place))
}

/// What all networks are asked about, with a shortcut at one place.
pub(super) struct Exam {
    pub(super) place: Place,
    /// Pictures whose shortcut goes with the label, and the same whose shortcut says nothing of it.
    with: Pictures,
    without: Pictures,
    /// Some of the latter, about which methods are asked.
    shown: Shown,
    masks: Vec<[Vec<f32>; 2]>,
}

impl Exam {
    pub(super) fn new(place: Place, limit: usize, others: usize, workers: usize) -> Result<Self> {
        let pictures = |strength: f64| -> Result<Pictures> {
            let shortcut = Some(Shortcut { place, strength, test_strength: strength });
            let source = ConceptsSource { seed: ASKED, train: 0, val: 0, test: others, shortcut, ..Default::default() };
            let data = Arc::new(Concepts::open(&source, &|_, _| ())?);
            Ok(Pictures { data, split: Split::Test, noise: None, workers })
        };
        let [with, without] = [pictures(1.0)?, pictures(0.0)?];
        let count = limit;
        let masks = (0..count).map(|at| masks(&without, at, place)).collect::<Result<_>>()?;
        let shown = Shown::at(&without, (0..count).collect())?;
        Ok(Self { place, with, without, shown, masks })
    }

    /// Asks a network, and the methods about it.
    pub(super) fn seen(
        &self,
        pupil: &Pupil,
        strength: f64,
        seed: u64,
        methods: &[String],
        memory: Memory,
    ) -> Result<Seen> {
        let right = |pictures: &Pictures| -> Result<Vec<f64>> { Ok(answers(&pupil.network, pictures)?.right()) };
        let effect = paired(&right(&self.with)?, &right(&self.without)?, 100.0);
        let info = self.without.data.info();
        let asked = Asked::of(&pupil.network, self.shown.clone(), info, memory)?;
        let question = asked.question(&pupil.network);
        let of = |name: &String| -> Result<Evidence> {
            let attribution = method(name, &toml::Table::new())?.object.attribute(&question)?;
            Ok(Evidence::of(&maps(&attribution, [info.height, info.width])?, &self.masks))
        };
        let parts = context(&pupil.network, &self.without)?;
        let mean = |of: fn(&Parts) -> f64| parts.iter().map(of).sum::<f64>() / parts.len().max(1) as f64;
        let (bias, moved) = (mean(Parts::bias), mean(|parts| parts.moved));
        let run = pupil.run.clone();
        Ok(Seen { strength, seed, run, effect, bias, moved, evidence: methods.iter().map(of).collect::<Result<_>>()? })
    }

    /// Those of the methods whose maps are much the same when the network has random weights: they fail the test by random weights, on some of the
    /// pictures.
    pub(super) fn failing(&self, pupil: &Pupil, methods: &[String], memory: Memory) -> Result<Vec<String>> {
        let count = self.masks.len().min(RANDOMIZED);
        let shown = Shown::at(&self.without, (0..count).collect())?;
        let asked = Asked::of(&pupil.network, shown, self.without.data.info(), memory)?;
        let question = asked.question(&pupil.network);
        let ask = |name: &String| -> Result<(Box<dyn Method>, Attribution)> {
            let method = method(name, &toml::Table::new())?.object;
            let attribution = method.attribute(&question)?;
            Ok((method, attribution))
        };
        let asked = methods.iter().map(ask).collect::<Result<Vec<_>>>()?;
        let judged = methods.iter().zip(&asked);
        let judged: Vec<Judged<'_>> =
            judged.map(|(name, (method, attribution))| Judged { name, method: &**method, attribution }).collect();
        let scores = metric("randomization", &toml::Table::new())?.object.measure(&question, &judged)?;
        let fails = methods
            .iter()
            .zip(&scores)
            .filter(|(_, scores)| scores.verdict == Some(interp_audit::metrics::Verdict::Fails));
        Ok(fails.map(|(name, _)| name.clone()).collect())
    }

    /// The pictures that methods are asked about, as networks see them, and for each pixel the share that is the shortcut, and the placebo.
    pub(super) fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        let (name, info) = (super::word(self.place), self.without.data.info());
        let of = |which: usize| -> Result<Tensor> {
            let all: Vec<f32> = self.masks.iter().flat_map(|masks| masks[which].clone()).collect();
            Ok(Tensor::from_vec(all, (self.masks.len(), info.height, info.width), &Device::Cpu)?)
        };
        Ok(BTreeMap::from([
            (format!("{name}.input"), self.shown.pictures.contiguous()?),
            (format!("{name}.shortcut"), of(0)?),
            (format!("{name}.placebo"), of(1)?),
        ]))
    }
}

/// The share of each pixel that is the shortcut, and that is the same patch in the corner to its right, where nothing is planted. Nothing is like the
/// background.
fn masks(pictures: &Pictures, at: usize, place: Place) -> Result<[Vec<f32>; 2]> {
    let info = pictures.data.info();
    let prefix = match place {
        Place::Corner => "patch/",
        Place::Background => "background/",
    };
    let mut own = vec![0.0; info.height * info.width];
    let truth = pictures.data.truth(pictures.split, at)?;
    let concepts = truth.iter().flat_map(|truth| &truth.concepts).filter(|(name, _)| name.starts_with(prefix));
    for (_, mask) in concepts {
        own.iter_mut().zip(&mask.coverage).for_each(|(sum, &part)| *sum += f32::from(part) / 255.0);
    }
    let placebo = match place {
        Place::Corner => own.chunks_exact(info.width).flat_map(|row| row.iter().rev().copied()).collect(),
        Place::Background => vec![0.0; own.len()],
    };
    Ok([own, placebo])
}

#[cfg(test)]
mod tests {
    use interp_net::{Graph, Network, Op, Role};

    use super::*;

    /// The mean color of the patch for every label, where it always goes with the label.
    fn codes(exam: &Exam) -> Vec<[f32; 3]> {
        let (data, mut sums) = (&exam.with.data, vec![[0f32; 4]; 10]);
        let mut picture = vec![0.0; data.info().pixels()];
        for at in 0..200 {
            data.image(Split::Test, at, &mut picture).unwrap();
            let sum = &mut sums[data.label(Split::Test, at) as usize];
            for pixel in (0..16).map(|at| 3 * (at / 4 * 32 + at % 4)) {
                (0..3).for_each(|channel| sum[channel] += picture[pixel + channel]);
                sum[3] += 1.0;
            }
        }
        sums.iter().map(|sum| [0, 1, 2].map(|channel| sum[channel] / sum[3])).collect()
    }

    /// A network that takes every picture for the class whose code is nearest to the mean color of its upper left corner, and looks at nothing else: of x
    /// the largest of `2 c x - c c`.
    fn reading_the_corner(exam: &Exam) -> Pupil {
        let info = exam.with.data.info();
        let mut graph = Graph::new(3, 32, 32).unwrap();
        let linear = graph.then("linear", Op::Linear { out_features: 10, bias: true }).unwrap();
        let mut network = Network::new(graph, 0).unwrap();
        let (mut weight, mut bias) = (vec![0f32; 10 * 3 * 32 * 32], vec![0f32; 10]);
        for (class, code) in codes(exam).iter().enumerate() {
            for (channel, code) in code.iter().enumerate() {
                let (mean, std) = (info.mean[channel], info.std[channel]);
                for at in 0..16 {
                    weight[((class * 3 + channel) * 32 + at / 4) * 32 + at % 4] = 2.0 * code * std / 16.0;
                }
                bias[class] += 2.0 * code * mean - code * code;
            }
        }
        for (role, values, shape) in [(Role::Weight, weight, vec![10, 3 * 32 * 32]), (Role::Bias, bias, vec![10])] {
            let position = network.params.position(linear, role).unwrap();
            network.params.set(position, Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap();
        }
        let source = ConceptsSource::default();
        Pupil { run: "made".into(), network, source, accuracy: 0.0, workers: 1 }
    }

    // It is right on all pictures whose patch goes with the label, and on one in ten of the others; all of its evidence lies on the patch, and none on the
    // placebo. Where the background is asked about, none lies on the background.
    #[test]
    fn a_network_that_reads_the_corner_alone_is_seen_to() {
        let exam = Exam::new(Place::Corner, 8, 200, 1).unwrap();
        let pupil = reading_the_corner(&exam);
        let methods = ["gradient".to_owned(), "center".to_owned()];
        let seen = exam.seen(&pupil, 0.9, 0, &methods, Memory::default()).unwrap();
        assert!(seen.effect.points > 75.0 && seen.is_used(), "{:?}", seen.effect);
        assert!(
            (seen.evidence[0].share - 1.0).abs() < 1e-3 && seen.evidence[0].placebo.abs() < 1e-6,
            "{:?}",
            seen.evidence
        );
        assert!((seen.evidence[1].share - seen.evidence[1].placebo).abs() < 1e-6, "{:?}", seen.evidence);
        let tensors = exam.tensors().unwrap();
        // Of 32x32 pixels 16 are the patch.
        for which in ["shortcut", "placebo"] {
            let sum =
                tensors[&format!("corner.{which}")].get(0).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
            assert!((sum - 16.0).abs() < 0.1, "{which}: {sum}");
        }
        let exam = Exam::new(Place::Background, 8, 50, 1).unwrap();
        let seen = exam.seen(&pupil, 0.9, 0, &methods, Memory::default()).unwrap();
        let share = tensors_of(&exam, "background.shortcut");
        assert!(seen.evidence[0].placebo == 0.0 && share > 0.2 && share < 0.9, "{share}");
    }

    /// The mean of a tensor.
    fn tensors_of(exam: &Exam, name: &str) -> f32 {
        exam.tensors().unwrap()[name].mean_all().unwrap().to_scalar::<f32>().unwrap()
    }

    // Of evidence 6, 2 | 1, -5 the shortcut (upper left) has two thirds and the placebo (upper right) two ninths; a map without evidence is not counted.
    #[test]
    fn evidence_by_hand() {
        let masks = || [vec![1.0, 0.0, 0.0, 0.0], vec![0.0, 1.0, 0.0, 0.0]];
        let found = Evidence::of(&[vec![6.0, 2.0, 1.0, -5.0], vec![-1.0, 0.0, 0.0, 0.0]], &[masks(), masks()]);
        assert!((found.share - 2.0 / 3.0).abs() < 1e-12 && (found.placebo - 2.0 / 9.0).abs() < 1e-12);
        assert!((found.excess() - 4.0 / 9.0).abs() < 1e-12);
        assert_eq!(found.silent, 1);
        assert_eq!(Evidence::of(&[vec![0.0; 4]], &[masks()]), Evidence { silent: 1, ..Evidence::default() });
    }
}
