//! A data set whose pictures lie decoded in memory.

use crate::{DataError, Dataset, Info, Result, Split};

/// Values of many pictures, one picture after another, at the precision of their files.
#[derive(Debug)]
pub(crate) enum Pixels {
    /// 0 to 255.
    Eight(Vec<u8>),
    /// 0 to 65,535.
    Sixteen(Vec<u16>),
}

impl Pixels {
    fn len(&self) -> usize {
        match self {
            Self::Eight(values) => values.len(),
            Self::Sixteen(values) => values.len(),
        }
    }

    /// Writes the values from `start` on into `out`, scaled to [0, 1].
    fn write(&self, start: usize, out: &mut [f32]) {
        let range = start..start + out.len();
        match self {
            Self::Eight(values) => scale(&values[range], 255.0, out),
            Self::Sixteen(values) => scale(&values[range], 65_535.0, out),
        }
    }
}

fn scale<T: Copy + Into<f32>>(values: &[T], full: f32, out: &mut [f32]) {
    for (out, &value) in out.iter_mut().zip(values) {
        *out = value.into() / full;
    }
}

/// One split.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) pixels: Pixels,
    pub(crate) labels: Vec<u32>,
    /// The group of each picture, empty where it has none; or nothing at all.
    pub(crate) groups: Vec<String>,
}

impl Part {
    /// A split of 8-bit pictures without groups.
    pub(crate) fn eight(pixels: Vec<u8>, labels: Vec<u32>) -> Self {
        Self { pixels: Pixels::Eight(pixels), labels, groups: Vec::new() }
    }

    /// A split without pictures.
    pub(crate) fn empty() -> Self {
        Self::eight(Vec::new(), Vec::new())
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct InMemory {
    info: Info,
    train: Part,
    validation: Part,
    test: Part,
}

impl InMemory {
    /// Checks that labels and pictures fit `info`; `origin` says in messages where they came from.
    pub(crate) fn new(info: Info, origin: &str, train: Part, validation: Part, test: Part) -> Result<Self> {
        for (part, name) in [(&train, "train"), (&validation, "validation"), (&test, "test")] {
            check(&info, part).map_err(|problem| DataError::Settings(format!("{origin}, {name}: {problem}")))?;
        }
        Ok(Self { info, train, validation, test })
    }

    fn part(&self, split: Split) -> &Part {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }
}

fn check(info: &Info, part: &Part) -> std::result::Result<(), String> {
    let (values, pictures) = (part.pixels.len(), part.labels.len());
    if values != pictures * info.pixels() {
        return Err(format!("{pictures} labels, but pictures with {values} values (each has {})", info.pixels()));
    }
    match part.labels.iter().position(|&label| label as usize >= info.classes.len()) {
        Some(index) => Err(format!(
            "picture {index} has label {}, but there are {} classes",
            part.labels[index],
            info.classes.len()
        )),
        None => Ok(()),
    }
}

impl Dataset for InMemory {
    fn info(&self) -> &Info {
        &self.info
    }

    fn len(&self, split: Split) -> usize {
        self.part(split).labels.len()
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        self.part(split).labels[index]
    }

    fn image(&self, split: Split, index: usize, out: &mut [f32]) -> Result<()> {
        let (part, size) = (self.part(split), self.info.pixels());
        if index >= part.labels.len() || out.len() != size {
            return Err(DataError::Settings(format!(
                "picture {index} of {} asked for into {} values (a picture has {size})",
                part.labels.len(),
                out.len()
            )));
        }
        part.pixels.write(index * size, out);
        Ok(())
    }

    fn group(&self, split: Split, index: usize) -> Option<&str> {
        self.part(split).groups.get(index).map(String::as_str).filter(|group| !group.is_empty())
    }
}
