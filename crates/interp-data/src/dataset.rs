//! The one trait of data sets, and the truth they may know about their pictures.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Fit, Result};

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Pictures to learn from.
    Train,
    /// Pictures to choose by.
    #[serde(rename = "val")]
    Validation,
    /// Pictures that nothing is chosen by.
    Test,
}

/// What is the same for all pictures of a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// Name, unique among data sets: `concepts`, `cifar10-jpeg`.
    pub name: String,
    /// Class names, by label.
    pub classes: Vec<String>,
    /// Channels: 1 for gray, 3 for red, green, blue.
    pub channels: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Per channel: what is subtracted before a network sees the picture.
    pub mean: Vec<f32>,
    /// Per channel: what the difference is divided by.
    pub std: Vec<f32>,
}

impl Info {
    /// Number of values of one picture.
    pub fn pixels(&self) -> usize {
        self.height * self.width * self.channels
    }
}

/// A set of pixels of one picture, by rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// `height * width` values: the share of the pixel that belongs to the set, 0 to 255.
    pub coverage: Vec<u8>,
}

/// The value of one factor of a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Factor {
    /// One of several names.
    Name(String),
    /// A quantity.
    Value(f64),
}

/// What is known of one picture because it was made by a rule, or annotated.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// Factor values, in the data set's order of factors.
    pub factors: Vec<(&'static str, Factor)>,
    /// The object that the class is about, where that is known.
    pub object: Option<Mask>,
    /// A mask for every concept present, such as `shape/disk`, `hue/red`, `texture/stripes`.
    pub concepts: Vec<(String, Mask)>,
}

/// Pictures with labels, by index. Reading is free of side effects and may happen on any thread.
pub trait Dataset: Send + Sync {
    /// What is the same for all pictures.
    fn info(&self) -> &Info;

    /// Number of pictures in a split, 0 where the data set has no such split.
    fn len(&self, split: Split) -> usize;

    /// The label of a picture: an index into [`Info::classes`].
    fn label(&self, split: Split, index: usize) -> u32;

    /// Writes the picture's [`Info::pixels`] values, (H, W, C) in [0, 1], into `out`.
    ///
    /// # Errors
    /// Where the picture cannot be read or decoded.
    fn image(&self, split: Split, index: usize, out: &mut [f32]) -> Result<()>;

    /// What is known of the picture, where the data set knows.
    ///
    /// # Errors
    /// Where the annotation cannot be read.
    fn truth(&self, _split: Split, _index: usize) -> Result<Option<Truth>> {
        Ok(None)
    }

    /// The factors of the picture, where the data set knows some: those of [`Dataset::truth`], without what else it would have to make.
    ///
    /// # Errors
    /// Where the annotation cannot be read.
    fn factors(&self, split: Split, index: usize) -> Result<Vec<(&'static str, Factor)>> {
        Ok(self.truth(split, index)?.map_or(vec![], |truth| truth.factors))
    }

    /// The file that the picture is read from, where it has one of its own.
    fn file(&self, _split: Split, _index: usize) -> Option<&Path> {
        None
    }

    /// Pictures of one group (a patient, a scene) must not be split between train and validation.
    fn group(&self, _split: Split, _index: usize) -> Option<&str> {
        None
    }
}

/// Settings from which a data set is opened.
pub trait Source: Send + Sync {
    /// Opens the data set, reading or making what it needs. `progress` is told how many of how many
    /// units of work are done.
    ///
    /// # Errors
    /// Where files are missing or wrong, or the settings do not fit them.
    fn open(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Arc<dyn Dataset>>;

    /// How it brings its pictures to their size; other pictures for the same network need the same.
    fn fit(&self) -> Fit {
        Fit::default()
    }

    /// The data set of the hub that it is, `OWNER/NAME`, where it comes from there.
    fn hosted(&self) -> Option<String> {
        None
    }
}
