//! Pictures made by a rule, with the truth about each: the data set `concepts`.
//!
//! A picture is a pure function of ([`VERSION`], seed, split, index) and the settings of size,
//! difficulty and faults. It shows one object with a shape, a hue and a texture, among clutter, in
//! front of a background; ten classes are conjunctions of two of these three factors. The size
//! changes no factor (the same scene at more pixels), and neither does a fault (the same scene with
//! the fault). `docs/concepts.md` has the classes, the factors and what networks reach.

mod classes;
mod color;
mod factors;
mod faults;
mod paint;
mod scene;
mod shapes;
mod source;
#[cfg(test)]
mod tests;
mod textures;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use interp_finding::random::{Stream, stream};
use interp_finding::{Entry, build};
use rayon::prelude::*;

use classes::CLASSES;
use factors::Draw;
use faults::{Code, Frame};
use paint::Picture;
use scene::{Difficulty, Scene};

pub use faults::{Alike, Place, Shortcut};
pub use source::ConceptsSource;

use crate::{DataError, Dataset, Factor, Info, Result, Source, Split, Truth};

/// Version of the rule. Pictures never change under one version.
pub const VERSION: u64 = 1;

/// The data sets of this module.
pub const ENTRIES: &[Entry<dyn Source>] = &[Entry {
    name: "concepts",
    summary: "pictures made by a rule, with masks and factors known and faults on request",
    example: "kind = \"concepts\"\nsize = 32\ndifficulty = 1.0\nshortcut = { place = \"corner\", strength = 0.9 }\n",
    build: |section| build::<ConceptsSource, dyn Source>(section, |source| Box::new(source)),
    schema: || schemars::schema_for!(ConceptsSource),
}];

/// Per channel mean and standard deviation of the train split at the default settings.
const MEAN: [f32; 3] = [0.5210, 0.5055, 0.4923];
const STD: [f32; 3] = [0.3442, 0.3221, 0.3476];

const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

/// The data set `concepts`.
pub struct Concepts {
    source: ConceptsSource,
    difficulty: Difficulty,
    info: Info,
    /// The pictures of each split, one after the other; none where they are made on demand.
    kept: Option<[Vec<u8>; 3]>,
}

impl fmt::Debug for Concepts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Concepts").field("source", &self.source).finish_non_exhaustive()
    }
}

/// Everything about one picture.
struct Sample {
    class: u32,
    label: u32,
    scene: Scene,
    code: Option<Code>,
    frame: Option<Frame>,
}

impl Concepts {
    /// Checks the settings and makes the pictures of all splits, in parallel, where they fit into
    /// 512 MiB; else each is made when it is read. `progress` counts pictures.
    ///
    /// # Errors
    /// A setting outside its bounds.
    pub fn open(source: &ConceptsSource, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Self> {
        source.check()?;
        let mut concepts = Self {
            source: source.clone(),
            difficulty: Difficulty::new(source.difficulty),
            info: info(source.size),
            kept: None,
        };
        if source.fits() {
            let (done, total) = (AtomicU64::new(0), SPLITS.iter().map(|&split| source.count(split) as u64).sum());
            let report = |made: u64| progress(done.fetch_add(made, Ordering::Relaxed) + made, total);
            concepts.kept = Some(SPLITS.map(|split| concepts.make(split, &report)));
        }
        Ok(concepts)
    }

    /// The pictures of the train split whose label is not their class: index and class.
    pub fn flipped(&self) -> Vec<(usize, u32)> {
        let class = |index| (index, self.class(Split::Train, index));
        let wrong = |&(index, class): &(usize, u32)| self.label(Split::Train, index) != class;
        (0..self.source.train).map(class).filter(wrong).collect()
    }

    /// All pictures of a split.
    fn make(&self, split: Split, report: &(impl Fn(u64) + Sync)) -> Vec<u8> {
        const AT_ONCE: usize = 64;
        let bytes = self.source.bytes();
        let mut pictures = vec![0; self.source.count(split) * bytes];
        pictures.par_chunks_mut(AT_ONCE * bytes).enumerate().for_each(|(chunk, out)| {
            for (i, out) in out.chunks_exact_mut(bytes).enumerate() {
                self.draw(split, chunk * AT_ONCE + i, out);
            }
            report((out.len() / bytes) as u64);
        });
        pictures
    }

    /// Writes one picture.
    fn draw(&self, split: Split, index: usize, out: &mut [u8]) {
        let paint = |sample: Sample, out: &mut [u8]| {
            sample.picture(&self.source).paint(self.difficulty.noise, &mut self.stream(split, "noise", index), out);
        };
        let class = self.class(split, index);
        paint(self.sample(split, index), out);
        let other = self.source.alike.as_ref().and_then(|alike| Some((alike.other(class)?, alike.share)));
        if let Some((other, share)) = other {
            let mut mixed = vec![0; out.len()];
            paint(self.sample_as(split, index, other), &mut mixed);
            let mix = |own: u8, other: u8| f64::from(own) + share * (f64::from(other) - f64::from(own));
            out.iter_mut().zip(mixed).for_each(|(own, other)| *own = mix(*own, other).round() as u8);
        }
    }

    fn sample(&self, split: Split, index: usize) -> Sample {
        self.sample_as(split, index, self.class(split, index))
    }

    /// The picture that would be there if it were of `class`, with the label that it has.
    fn sample_as(&self, split: Split, index: usize, class: u32) -> Sample {
        let label = self.label(split, index);
        let mut scene = Scene::draw(class as usize, &self.difficulty, &mut self.stream(split, "scene", index));
        let shortcut = self.source.shortcut.as_ref();
        let code = shortcut.map(|s| s.code(split, label, &mut self.stream(split, "shortcut", index)));
        if let (Some(code), Some(Place::Background)) = (code, shortcut.map(|s| s.place)) {
            scene.ground.wear(code);
        }
        let frame = self.source.useless_factor.then(|| Frame::draw(&mut self.stream(split, "frame", index)));
        Sample { class, label, scene, code, frame }
    }

    /// The class of the object. Every ten pictures in a row have the ten classes, in random order.
    fn class(&self, split: Split, index: usize) -> u32 {
        let count = CLASSES.len();
        let mut random = self.stream(split, "class", index / count);
        let mut classes: [u32; CLASSES.len()] = core::array::from_fn(|class| class as u32);
        (1..count).rev().for_each(|last| classes.swap(last, random.below(last + 1)));
        classes[index % count]
    }

    fn flip(&self, split: Split, index: usize, class: u32) -> u32 {
        if split != Split::Train || self.source.flipped_labels == 0.0 {
            return class;
        }
        faults::flip(class, self.source.flipped_labels, &mut self.stream(split, "flip", index))
    }

    fn stream(&self, split: Split, what: &str, index: usize) -> Stream {
        let split = match split {
            Split::Train => "train",
            Split::Validation => "val",
            Split::Test => "test",
        };
        stream(self.source.seed, &format!("concepts/{split}/{what}"), VERSION, index as u64)
    }

    fn check_index(&self, split: Split, index: usize) -> Result<()> {
        let count = self.source.count(split);
        if index < count {
            return Ok(());
        }
        Err(DataError::Settings(format!("concepts: picture {index} of {split:?} was asked for, which has {count}")))
    }
}

impl Sample {
    fn picture(&self, source: &ConceptsSource) -> Picture<'_> {
        let mut picture = Picture::new(&self.scene, source.size);
        picture.frame(self.frame.unwrap_or(Frame::None));
        if let (Some(code), Some(Place::Corner)) = (self.code, source.shortcut.as_ref().map(|s| s.place)) {
            picture.patch(code);
        }
        picture
    }
}

impl Dataset for Concepts {
    fn info(&self) -> &Info {
        &self.info
    }

    fn len(&self, split: Split) -> usize {
        self.source.count(split)
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        self.flip(split, index, self.class(split, index))
    }

    fn image(&self, split: Split, index: usize, out: &mut [f32]) -> Result<()> {
        self.check_index(split, index)?;
        let bytes = self.source.bytes();
        let mut made = Vec::new();
        let picture = match &self.kept {
            Some(kept) => &kept[split as usize][index * bytes..][..bytes],
            None => {
                made.resize(bytes, 0);
                self.draw(split, index, &mut made);
                &made
            }
        };
        out.iter_mut().zip(picture).for_each(|(out, &value)| *out = f32::from(value) / 255.0);
        Ok(())
    }

    fn truth(&self, split: Split, index: usize) -> Result<Option<Truth>> {
        self.check_index(split, index)?;
        let sample = self.sample(split, index);
        let (object, concepts) = sample.picture(&self.source).masks();
        Ok(Some(Truth { factors: sample.factors(), object: Some(object), concepts }))
    }

    fn factors(&self, split: Split, index: usize) -> Result<Vec<(&'static str, Factor)>> {
        self.check_index(split, index)?;
        Ok(self.sample(split, index).factors())
    }
}

fn info(size: usize) -> Info {
    Info {
        name: "concepts".to_owned(),
        classes: CLASSES.iter().map(|class| class.name.to_owned()).collect(),
        channels: 3,
        height: size,
        width: size,
        mean: MEAN.to_vec(),
        std: STD.to_vec(),
    }
}

impl Sample {
    /// All factor values. What cannot be seen is left out: the rotation of a disk, the orientation
    /// and number of periods of a plain texture, the direction of a background without gradient.
    fn factors(&self) -> Vec<(&'static str, Factor)> {
        let name = |name: &str| Some(Factor::Name(name.to_owned()));
        let (object, ground) = (&self.scene.object, &self.scene.ground);
        let patterned = object.texture.period().is_some();
        let graded = ground.kind == factors::Background::Gradient;
        let all = [
            ("shape", name(object.shape.name())),
            ("hue", name(object.hue.name())),
            ("texture", name(object.texture.name())),
            ("orientation", patterned.then_some(Factor::Value(object.orientation))),
            ("periods", patterned.then_some(Factor::Value(object.periods))),
            ("x", Some(Factor::Value(object.x))),
            ("y", Some(Factor::Value(object.y))),
            ("scale", Some(Factor::Value(object.radius))),
            ("rotation", object.shape.period().map(|_| Factor::Value(object.rotation))),
            ("lightness", Some(Factor::Value(object.lightness))),
            ("background", name(ground.kind.name())),
            ("background_hue", name(ground.hue.name())),
            ("background_lightness", Some(Factor::Value(ground.lightness))),
            ("background_direction", graded.then_some(Factor::Value(ground.direction))),
            ("clutter", Some(Factor::Value(self.scene.clutter.len() as f64))),
            ("shortcut", self.code.and_then(|code| name(code.name()))),
            ("frame", self.frame.and_then(|frame| name(frame.name()))),
            ("true_class", (self.class != self.label).then(|| Factor::Name(CLASSES[self.class as usize].name.into()))),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}
