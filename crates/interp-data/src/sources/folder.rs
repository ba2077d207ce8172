//! One's own pictures: a folder with one sub-folder per class, or a table in CSV.

mod labels;
mod scan;
mod table;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use image::DynamicImage;
use interp_finding::{Entry, Unfit, build};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files::Work;
use crate::formats::picture::{self, Kind};
use crate::memory::{InMemory, Part, Pixels};
use crate::{DataError, Dataset, Fit, Info, Interpolation, Result, Source, Split};

/// The data sets of this file.
pub(super) const ENTRIES: &[Entry<dyn Source>] = &[Entry {
    name: "folder",
    summary: "your own PNG and JPEG pictures: one sub-folder per class, or a CSV",
    example: "kind = \"folder\"\npath = \"data/flowers\"\nsize = 64\n",
    build: |section| build(section, |source: Folder| Box::new(source)),
    schema: || schemars::schema_for!(Folder),
}];

/// Settings of `folder`.
///
/// Without `csv`, the folder has one sub-folder per class, at any depth below it pictures; or
/// sub-folders `train`, `val`, `test` (the last two may be missing) that each have one sub-folder per
/// class. Files whose names begin with a dot or do not end in `.png`, `.jpg` or `.jpeg` are passed over.
///
/// Where the folder has a `concepts.csv` with the columns `value` and `concept` (`3,part/wing`), a picture `a.jpg` may have a label map
/// `a.labels.png` beside it, a gray PNG file of the same size: what concept each pixel shows.
///
/// Pictures are gray unless one has color, and have 8 bits per value unless one has 16. Opacity and the
/// orientation noted by a camera are ignored, as torchvision does.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Folder {
    /// The folder.
    pub path: PathBuf,
    /// Height and width in pixels: the middle square of each picture is scaled to it, unless `resize` is given.
    pub size: usize,
    /// The shorter side is scaled to so many pixels, and the middle `size` of it cut out: 256 and 224 for most networks of ImageNet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<u32>,
    /// How pixels are mixed where pictures are scaled.
    #[serde(skip_serializing_if = "Interpolation::is_default")]
    pub interpolation: Interpolation,
    /// A CSV file in the folder with the columns `path` (from the folder on) and `label`, and where
    /// wanted `split` (`train`, `val` or `test`) and `group` (pictures of one group, as of one patient,
    /// stay on one side of the cut between train and validation).
    pub csv: Option<PathBuf>,
    /// Per channel, what is subtracted; 0.5 where it is not given.
    pub mean: Option<Vec<f32>>,
    /// Per channel, what the difference is divided by; 0.5 where it is not given.
    pub std: Option<Vec<f32>>,
}

impl Default for Folder {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            size: 32,
            resize: None,
            interpolation: Interpolation::default(),
            csv: None,
            mean: None,
            std: None,
        }
    }
}

/// Memory for all pictures of a folder, in bytes: 64 GiB. More is taken for a mistake before the system ends the program.
const MOST: u128 = 64 << 30;

/// A picture file and what is known of it.
#[derive(Debug, PartialEq)]
struct Found {
    file: PathBuf,
    class: String,
    split: Split,
    /// Empty where there is none.
    group: String,
}

impl Source for Folder {
    fn open(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Arc<dyn Dataset>> {
        self.check()?;
        let found = match &self.csv {
            Some(csv) => table::read(&self.path, &self.path.join(csv))?,
            None => scan::scan(&self.path)?,
        };
        let classes = classes(&self.path, &found, self.csv.is_some())?;
        let kind = common_kind(&found)?;
        let info = self.info(classes, if kind.color { 3 } else { 1 })?;
        self.check_memory(&info, found.len(), kind)?;
        let work = Work { done: AtomicU64::new(0), total: found.len() as u64, report: progress };
        let fit = self.fit();
        let part = |split| part(&info, &found, split, kind, &fit, &work);
        let (train, validation, test) = (part(Split::Train)?, part(Split::Validation)?, part(Split::Test)?);
        let data = InMemory::new(info, &self.path.display().to_string(), train, validation, test)?;
        Ok(Arc::new(labels::Labeled::new(data, &found, labels::names(&self.path)?, fit)))
    }

    fn fit(&self) -> Fit {
        Fit { border: 0, resize: self.resize, interpolation: self.interpolation }
    }
}

impl Folder {
    fn check(&self) -> Result<(), Unfit> {
        Unfit::unless(!self.path.as_os_str().is_empty(), "path", "must name a folder, as in folder:DIR")?;
        let size = self.size;
        Unfit::unless((1..=4096).contains(&size), "size", format!("must be 1 to 4096 pixels, not {size}"))?;
        self.fit().check(size)
    }

    /// All pictures are held in memory, decoded.
    fn check_memory(&self, info: &Info, count: usize, kind: Kind) -> Result<(), Unfit> {
        let bytes = (count * info.pixels()) as u128 * if kind.deep { 2 } else { 1 };
        let problem = format!(
            "at {size} pixels {count} pictures take {:.1} GiB of memory, more than {} GiB: choose a smaller size, or fewer \
             pictures",
            bytes as f64 / f64::from(1 << 30),
            MOST >> 30,
            size = self.size,
        );
        Unfit::unless(bytes <= MOST, "size", problem)
    }

    fn info(&self, classes: Vec<String>, channels: usize) -> Result<Info> {
        let mean = self.mean.clone().unwrap_or_else(|| vec![0.5; channels]);
        let std = self.std.clone().unwrap_or_else(|| vec![0.5; channels]);
        let usable = std.iter().all(|&std| std > 0.0 && std.is_finite()) && mean.iter().all(|mean| mean.is_finite());
        if mean.len() != channels || std.len() != channels || !usable {
            return Err(DataError::Settings(format!(
                "folder: mean = {mean:?}, std = {std:?} (expected {channels} finite values each, as many as the pictures \
                 have channels, and std above 0)"
            )));
        }
        Ok(Info { name: "folder".into(), classes, channels, height: self.size, width: self.size, mean, std })
    }
}

/// The classes of train, or of all where nothing is in train and so all is for measuring, in order: by name, or by number where a table
/// has only numbers.
fn classes(root: &Path, found: &[Found], table: bool) -> Result<Vec<String>> {
    let trains = found.iter().any(|found| found.split == Split::Train);
    let counted = found.iter().filter(|found| found.split == Split::Train || !trains);
    let names: BTreeSet<&str> = counted.map(|found| found.class.as_str()).collect();
    let mut classes: Vec<String> = names.iter().map(|&name| name.into()).collect();
    if table && names.iter().all(|name| name.parse::<u64>().is_ok()) {
        classes.sort_by_key(|name| name.parse::<u64>().ok());
    }
    if classes.is_empty() {
        return Err(DataError::format(root, "there are no pictures"));
    }
    match found.iter().find(|found| !names.contains(found.class.as_str())) {
        Some(found) => {
            let problem =
                format!("its class {:?} has no pictures to train on; those that have: {classes:?}", found.class);
            Err(DataError::format(&found.file, problem))
        }
        None => Ok(classes),
    }
}

/// Whether any picture has color, and whether any has 16 bits.
fn common_kind(found: &[Found]) -> Result<Kind> {
    let kinds: Vec<Result<Kind>> = found.par_iter().map(|found| bytes(found).and_then(|b| kind(found, &b))).collect();
    kinds.into_iter().try_fold(Kind::default(), |all, kind| {
        let kind = kind?;
        Ok(Kind { color: all.color || kind.color, deep: all.deep || kind.deep })
    })
}

fn kind(found: &Found, bytes: &[u8]) -> Result<Kind> {
    picture::kind(bytes).map_err(|problem| DataError::format(&found.file, problem))
}

fn bytes(found: &Found) -> Result<Vec<u8>> {
    std::fs::read(&found.file).map_err(DataError::io(&found.file))
}

fn part(info: &Info, found: &[Found], split: Split, kind: Kind, fit: &Fit, work: &Work<'_>) -> Result<Part> {
    let chosen: Vec<&Found> = found.iter().filter(|found| found.split == split).collect();
    let pixels = if kind.deep {
        Pixels::Sixteen(decode(info, &chosen, kind, fit, work, sixteen)?)
    } else {
        Pixels::Eight(decode(info, &chosen, kind, fit, work, DynamicImage::as_bytes)?)
    };
    let label = |found: &&Found| info.classes.iter().position(|class| *class == found.class).unwrap_or_default() as u32;
    let labels = chosen.iter().map(label).collect();
    Ok(Part { pixels, labels, groups: chosen.iter().map(|found| found.group.clone()).collect() })
}

fn sixteen(picture: &DynamicImage) -> &[u16] {
    picture.as_flat_samples_u16().map_or(&[], |samples| samples.samples)
}

/// Decodes and scales in parallel; of several broken pictures the first is named.
fn decode<T: Copy + Default + Send>(
    info: &Info,
    chosen: &[&Found],
    kind: Kind,
    fit: &Fit,
    work: &Work<'_>,
    values: fn(&DynamicImage) -> &[T],
) -> Result<Vec<T>> {
    let mut all = vec![T::default(); chosen.len() * info.pixels()];
    let broken = all.par_chunks_exact_mut(info.pixels()).zip(chosen).find_map_first(|(out, found)| {
        let picture = scaled(found, kind, info.width as u32, fit);
        work.step();
        picture.map(|picture| out.copy_from_slice(values(&picture))).err()
    });
    broken.map_or(Ok(all), Err)
}

fn scaled(found: &Found, kind: Kind, size: u32, fit: &Fit) -> Result<DynamicImage> {
    let decoded = picture::decode(&bytes(found)?);
    decoded
        .and_then(|picture| picture::fitted(&picture::convert(picture, kind), size, fit))
        .map_err(|problem| DataError::format(&found.file, problem))
}

/// The split that a folder or a table names.
fn split_named(name: &str) -> Option<Split> {
    match name {
        "train" => Some(Split::Train),
        "val" | "valid" | "validation" => Some(Split::Validation),
        "test" => Some(Split::Test),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
