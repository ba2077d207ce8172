//! Label maps beside pictures: which concept each pixel shows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use image::DynamicImage;

use super::Found;
use crate::formats::picture;
use crate::memory::InMemory;
use crate::{DataError, Dataset, Fit, Info, Mask, Result, Split, Truth};

/// What a label map's name ends with, after the picture's name without its ending.
pub(super) const ENDING: &str = ".labels.png";

/// The concepts by their numbers, where the folder has a `concepts.csv` with the columns `value` and `concept`.
pub(super) fn names(root: &Path) -> Result<Option<BTreeMap<u16, String>>> {
    let path = root.join("concepts.csv");
    if !path.is_file() {
        return Ok(None);
    }
    let wrong = |error: csv::Error| DataError::format(&path, error.to_string());
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(&path).map_err(wrong)?;
    let header = reader.headers().map_err(wrong)?;
    if header != vec!["value", "concept"] {
        return Err(DataError::format(
            &path,
            format!("the first line is {}: expected value,concept", header.iter().collect::<Vec<_>>().join(",")),
        ));
    }
    let mut names = BTreeMap::new();
    for row in reader.deserialize() {
        let (value, concept): (u16, String) = row.map_err(|error| match (error.kind(), error.position()) {
            (csv::ErrorKind::Deserialize { .. }, Some(at)) => {
                let problem = format!("line {} is no number up to {} and a concept", at.line(), u16::MAX);
                DataError::format(&path, problem)
            }
            _ => wrong(error),
        })?;
        if names.values().any(|known| *known == concept) {
            return Err(DataError::format(&path, format!("{concept:?} has two numbers: give it one")));
        }
        if let Some(before) = names.insert(value, concept.clone()) {
            return Err(DataError::format(&path, format!("{value} is {before:?} and {concept:?}")));
        }
    }
    Ok(Some(names))
}

/// Pictures with their files, which may have label maps.
#[derive(Debug)]
pub(super) struct Labeled {
    data: InMemory,
    /// The names of concepts in label maps, where there are such maps.
    names: Option<BTreeMap<u16, String>>,
    /// How pictures were brought to their size.
    fit: Fit,
    train: Vec<PathBuf>,
    validation: Vec<PathBuf>,
    test: Vec<PathBuf>,
}

impl Labeled {
    pub(super) fn new(data: InMemory, found: &[Found], names: Option<BTreeMap<u16, String>>, fit: Fit) -> Self {
        let files = |split| found.iter().filter(|found| found.split == split).map(|found| found.file.clone()).collect();
        let (train, validation, test) = (files(Split::Train), files(Split::Validation), files(Split::Test));
        Self { data, names, fit, train, validation, test }
    }

    fn path(&self, split: Split, index: usize) -> Option<&Path> {
        let files = match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        };
        files.get(index).map(PathBuf::as_path)
    }

    fn concepts(&self, values: &[u16], names: &BTreeMap<u16, String>) -> Vec<(String, Mask)> {
        let Info { height, width, .. } = *self.info();
        let seen: BTreeSet<u16> = values.iter().copied().collect();
        let mask = |value: u16| {
            let coverage = values.iter().map(|&at| if at == value { 255 } else { 0 }).collect();
            Some((names.get(&value)?.clone(), Mask { height, width, coverage }))
        };
        seen.into_iter().filter_map(mask).collect()
    }
}

impl Dataset for Labeled {
    fn info(&self) -> &Info {
        self.data.info()
    }

    fn len(&self, split: Split) -> usize {
        self.data.len(split)
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        self.data.label(split, index)
    }

    fn image(&self, split: Split, index: usize, out: &mut [f32]) -> Result<()> {
        self.data.image(split, index, out)
    }

    fn file(&self, split: Split, index: usize) -> Option<&Path> {
        self.path(split, index)
    }

    fn group(&self, split: Split, index: usize) -> Option<&str> {
        self.data.group(split, index)
    }

    /// The concepts of the picture's label map; the object is the one named as the class is, alone or after a stroke.
    fn truth(&self, split: Split, index: usize) -> Result<Option<Truth>> {
        let (Some(file), Some(names)) = (self.path(split, index), &self.names) else { return Ok(None) };
        let map = beside(file);
        if !map.is_file() {
            return Ok(None);
        }
        let values = values(file, &map, self.info().width as u32, &self.fit)?;
        let concepts = self.concepts(&values, names);
        let class = self.info().classes.get(self.label(split, index) as usize).map_or("", String::as_str);
        let is_class = |name: &str| name.rsplit_once('/').map_or(name, |(_, last)| last) == class;
        let object = concepts.iter().find(|(name, _)| is_class(name)).map(|(_, mask)| mask.clone());
        Ok(Some(Truth { factors: vec![], object, concepts }))
    }
}

/// The label map of a picture.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.file_stem().unwrap_or_default().to_owned();
    name.push(ENDING);
    file.with_file_name(name)
}

/// The numbers of a label map, cut and scaled as its picture is: each pixel has the number that is nearest.
fn values(file: &Path, map: &Path, size: u32, fit: &Fit) -> Result<Vec<u16>> {
    let read = |path: &Path| -> Result<Vec<u8>> { std::fs::read(path).map_err(DataError::io(path)) };
    let told = |path: &Path| {
        let path = path.to_owned();
        move |problem| DataError::format(&path, problem)
    };
    let decoded = picture::decode(&read(map)?).map_err(told(map))?;
    let sizes = [picture::size(&read(file)?).map_err(told(file))?, [decoded.width(), decoded.height()]];
    if sizes[0] != sizes[1] {
        return Err(DataError::format(map, format!("{:?} pixels, and its picture has {:?}", sizes[1], sizes[0])));
    }
    match picture::nearest_fitted(&decoded, size, fit).map_err(told(map))? {
        DynamicImage::ImageLuma8(gray) => Ok(gray.into_raw().into_iter().map(u16::from).collect()),
        DynamicImage::ImageLuma16(gray) => Ok(gray.into_raw()),
        _ => Err(DataError::format(map, "a label map is a gray PNG file of 8 or 16 bits: a number for each concept")),
    }
}
