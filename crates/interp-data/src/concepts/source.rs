//! The settings of `concepts`, with their defaults and bounds.

use std::sync::Arc;

use interp_finding::Unfit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::faults::{self, Alike, Shortcut};
use super::{Concepts, SPLITS};
use crate::{Dataset, Result, Source, Split};

/// Pictures are made once and kept where all of them fit into this many bytes.
const KEEP: usize = 512 << 20;

/// Pictures in a split; more are a mistake, and even their numbers would not fit into memory.
const MOST: usize = 100_000_000;

/// Settings of the data set `concepts`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConceptsSource {
    /// Height and width in pixels, 16 to 224.
    pub size: usize,
    /// Seed of all pictures.
    pub seed: u64,
    /// Number of pictures to learn from.
    pub train: usize,
    /// Number of pictures to choose by.
    pub val: usize,
    /// Number of pictures that nothing is chosen by.
    pub test: usize,
    /// How hard the pictures are, 0 to 4: noise, contrast, clutter, smallest size, spread of hues.
    pub difficulty: f64,
    /// Fault: something beside the object that goes with the label.
    pub shortcut: Option<Shortcut>,
    /// Fault: two classes that look alike.
    pub alike: Option<Alike>,
    /// Fault: share of the labels in the train split that are wrong.
    pub flipped_labels: f64,
    /// Fault: a black, white or no frame around the picture, whatever the class.
    pub useless_factor: bool,
}

impl Default for ConceptsSource {
    fn default() -> Self {
        Self {
            size: 32,
            seed: 0,
            train: 20_000,
            val: 2_000,
            test: 10_000,
            difficulty: 1.0,
            shortcut: None,
            alike: None,
            flipped_labels: 0.0,
            useless_factor: false,
        }
    }
}

impl Source for ConceptsSource {
    fn open(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Arc<dyn Dataset>> {
        Ok(Arc::new(Concepts::open(self, progress)?))
    }
}

impl ConceptsSource {
    pub(super) fn check(&self) -> Result<(), Unfit> {
        let Self { size, difficulty, .. } = self;
        Unfit::unless((16..=224).contains(size), "size", format!("must be 16 to 224, not {size}"))?;
        Unfit::unless((0.0..=4.0).contains(difficulty), "difficulty", format!("must be 0 to 4, not {difficulty}"))?;
        for (key, count) in [("train", self.train), ("val", self.val), ("test", self.test)] {
            Unfit::unless(count <= MOST, key, format!("must be at most {MOST}, not {count}"))?;
        }
        faults::check_share("flipped_labels", self.flipped_labels)?;
        self.alike.as_ref().map_or(Ok(()), Alike::check)?;
        self.shortcut.as_ref().map_or(Ok(()), Shortcut::check)
    }

    pub(super) fn count(&self, split: Split) -> usize {
        match split {
            Split::Train => self.train,
            Split::Validation => self.val,
            Split::Test => self.test,
        }
    }

    /// Bytes of one picture.
    pub(super) fn bytes(&self) -> usize {
        self.size * self.size * 3
    }

    /// Whether all pictures fit into [`KEEP`] bytes.
    pub(super) fn fits(&self) -> bool {
        let pictures = SPLITS.iter().try_fold(0_usize, |sum, &split| sum.checked_add(self.count(split)));
        pictures.and_then(|count| count.checked_mul(self.bytes())).is_some_and(|bytes| bytes <= KEEP)
    }
}
