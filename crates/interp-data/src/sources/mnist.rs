//! MNIST (Y. LeCun, C. Cortes, C. Burges, 1998) and Fashion-MNIST (H. Xiao, K. Rasul, R. Vollgraf, 2017),
//! which share sizes and file names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use interp_finding::{Entry, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files::{Hosted, Parts, Progress, from_parquet};
use crate::formats::idx;
use crate::memory::{InMemory, Part};
use crate::padded::padded;
use crate::{DataError, Dataset, Factor, Fit, Info, Result, Source, Split, Truth, strokes};

/// The data sets of this file.
pub(super) const ENTRIES: &[Entry<dyn Source>] = &[
    Entry {
        name: "mnist",
        summary: "70,000 gray pictures of handwritten digits, 28 x 28 pixels; from the hub, or a folder",
        example: "kind = \"mnist\"\npath = \"data/mnist\"\n",
        build: |section| build(section, |source: Mnist| Box::new(source)),
        schema: || schemars::schema_for!(Mnist),
    },
    Entry {
        name: "fashion-mnist",
        summary: "70,000 gray pictures of clothes, 28 x 28 pixels; from the hub, or a folder",
        example: "kind = \"fashion-mnist\"\npath = \"data/fashion-mnist\"\n",
        build: |section| build(section, |source: FashionMnist| Box::new(source)),
        schema: || schemars::schema_for!(FashionMnist),
    },
];

/// Height and width of a picture.
const SIDE: usize = 28;

/// What differs between the two.
struct Variant {
    name: &'static str,
    classes: [&'static str; 10],
    /// Mean and deviation of the 60,000 training pictures, as commonly used.
    mean: f32,
    std: f32,
    hosted: Hosted,
}

const DIGITS: Variant = Variant {
    name: "mnist",
    classes: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    mean: 0.1307,
    std: 0.3081,
    hosted: Hosted {
        owner: "ylecun",
        name: "mnist",
        train: "mnist/train-00000-of-00001.parquet",
        test: "mnist/test-00000-of-00001.parquet",
    },
};

const FASHION: Variant = Variant {
    name: "fashion-mnist",
    classes: ["T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"],
    mean: 0.2860,
    std: 0.3530,
    hosted: Hosted {
        owner: "zalando-datasets",
        name: "fashion_mnist",
        train: "fashion_mnist/train-00000-of-00001.parquet",
        test: "fashion_mnist/test-00000-of-00001.parquet",
    },
};

/// Settings of `mnist`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mnist {
    /// A folder with the four idx files (`train-images-idx3-ubyte` and so on, unpacked), or with
    /// `train*.parquet` and `test*.parquet`. Where it is not given, the files come from the hub.
    pub path: Option<PathBuf>,
    /// Black pixels to add on each side; 2 make 32 x 32 of 28 x 28.
    pub pad: usize,
}

impl Source for Mnist {
    fn open(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Arc<dyn Dataset>> {
        padded(Arc::new(Digits { data: open(&DIGITS, self.path.as_deref(), progress)? }), self.pad)
    }

    fn fit(&self) -> Fit {
        Fit { border: self.pad, ..Fit::default() }
    }

    fn hosted(&self) -> Option<String> {
        self.path.is_none().then(|| DIGITS.hosted.id())
    }
}

/// Settings of `fashion-mnist`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FashionMnist {
    /// As for `mnist`.
    pub path: Option<PathBuf>,
    /// As for `mnist`.
    pub pad: usize,
}

impl Source for FashionMnist {
    fn open(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Arc<dyn Dataset>> {
        padded(Arc::new(open(&FASHION, self.path.as_deref(), progress)?), self.pad)
    }

    fn fit(&self) -> Fit {
        Fit { border: self.pad, ..Fit::default() }
    }

    fn hosted(&self) -> Option<String> {
        self.path.is_none().then(|| FASHION.hosted.id())
    }
}

/// Digits know what they are and how they are written: the factors `digit` and those of [`strokes`], measured on the picture.
struct Digits {
    data: InMemory,
}

impl Dataset for Digits {
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

    fn truth(&self, split: Split, index: usize) -> Result<Option<Truth>> {
        let mut picture = vec![0.0; self.info().pixels()];
        self.image(split, index, &mut picture)?;
        let digit = self.label(split, index).to_string();
        let mut factors = vec![("digit", Factor::Name(digit))];
        factors.extend(strokes(&picture, SIDE));
        Ok(Some(Truth { factors, object: None, concepts: vec![] }))
    }
}

fn open(variant: &Variant, folder: Option<&Path>, progress: Progress<'_>) -> Result<InMemory> {
    let Some(folder) = folder else {
        return from_parquet(info(variant), &variant.hosted.fetch()?, false, progress);
    };
    if let Some(parts) = Parts::find(folder, &["train"], &["test"], ".parquet")? {
        return from_parquet(info(variant), &parts, false, progress);
    }
    if !folder.join("train-images-idx3-ubyte").exists() {
        let problem = format!(
            "no files of {}: expected train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and \
             t10k-labels-idx1-ubyte (unpacked), or train*.parquet and test*.parquet",
            variant.name
        );
        return Err(DataError::format(folder, problem));
    }
    let (train, test) = (part(folder, "train")?, part(folder, "t10k")?);
    InMemory::new(info(variant), &folder.display().to_string(), train, Part::empty(), test)
}

fn part(folder: &Path, prefix: &str) -> Result<Part> {
    let images_path = folder.join(format!("{prefix}-images-idx3-ubyte"));
    let images = idx::read::<3>(&images_path)?;
    let labels = idx::read::<1>(&folder.join(format!("{prefix}-labels-idx1-ubyte")))?;
    if images.shape[1..] != [SIDE, SIDE] {
        let problem = format!("pictures of {:?} pixels, expected {SIDE} x {SIDE}", &images.shape[1..]);
        return Err(DataError::format(&images_path, problem));
    }
    Ok(Part::eight(images.values, labels.values.into_iter().map(u32::from).collect()))
}

fn info(variant: &Variant) -> Info {
    Info {
        name: variant.name.into(),
        classes: variant.classes.map(String::from).to_vec(),
        channels: 1,
        height: SIDE,
        width: SIDE,
        mean: vec![variant.mean],
        std: vec![variant.std],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Split;
    use crate::shared::shared;

    #[test]
    fn mnist_has_its_published_counts() {
        let Some(path) = shared("mnist") else { return };
        let dataset = Mnist { path: Some(path), pad: 0 }.open(&|_, _| {}).unwrap();
        assert_eq!((dataset.len(Split::Train), dataset.len(Split::Test)), (60_000, 10_000));
        let mut counts = [0; 10];
        (0..60_000).for_each(|index| counts[dataset.label(Split::Train, index) as usize] += 1);
        assert_eq!(counts, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    }

    #[test]
    fn mean_and_deviation_of_mnist_are_as_stated() {
        let Some(path) = shared("mnist") else { return };
        let dataset = Mnist { path: Some(path), pad: 0 }.open(&|_, _| {}).unwrap();
        let (mut sum, mut squares, mut picture) = (0.0, 0.0, vec![0.0; 784]);
        for index in 0..60_000 {
            dataset.image(Split::Train, index, &mut picture).unwrap();
            sum += picture.iter().map(|&x| f64::from(x)).sum::<f64>();
            squares += picture.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
        }
        let count = 60_000.0 * 784.0;
        let (mean, std) = (sum / count, (squares / count - (sum / count).powi(2)).sqrt());
        let info = dataset.info();
        assert!((mean as f32 - info.mean[0]).abs() < 1e-4 && (std as f32 - info.std[0]).abs() < 1e-4, "{mean} {std}");
    }

    // A digit's middle is the middle of the picture, to the pixel; ones are narrow, zeros are wide.
    #[test]
    fn digits_know_how_they_are_written() {
        let Some(path) = shared("mnist") else { return };
        let open = |pad: usize| Mnist { path: Some(path.clone()), pad }.open(&|_, _| {}).unwrap();
        let dataset = open(0);
        let value = |index: usize, name: &str| {
            let truth = dataset.truth(Split::Test, index).unwrap().unwrap();
            match truth.factors.into_iter().find(|(factor, _)| *factor == name).unwrap().1 {
                Factor::Value(value) => value,
                Factor::Name(name) => name.parse().unwrap(),
            }
        };
        let mean = |name: &str, label: u32| {
            let of = (0..1000).filter(|&index| dataset.label(Split::Test, index) == label);
            let values: Vec<f64> = of.map(|index| value(index, name)).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        assert_eq!((value(0, "digit"), mean("digit", 4)), (7.0, 4.0));
        assert!((0..200).all(|index| value(index, "x").abs() < 1.5 && value(index, "y").abs() < 1.5));
        assert!(mean("width", 1) < 0.5 * mean("width", 0));
        // The same by NumPy, of the 126 ones among these.
        assert!((mean("slant", 1) - 4.949_392).abs() < 1e-4 && (mean("width", 1) - 3.285_275).abs() < 1e-4);
        assert!((1.5..4.0).contains(&mean("thickness", 0)), "{}", mean("thickness", 0));
        // A border of paper changes nothing.
        assert_eq!(open(2).truth(Split::Test, 3).unwrap(), dataset.truth(Split::Test, 3).unwrap());
    }

    #[test]
    fn a_folder_without_its_files_says_what_is_expected() {
        let empty = tempfile::tempdir().unwrap();
        let error =
            FashionMnist { path: Some(empty.path().into()), pad: 0 }.open(&|_, _| {}).err().unwrap().to_string();
        assert!(error.contains("no files of fashion-mnist") && error.contains("t10k-labels"), "{error}");
    }

    #[test]
    fn labels_and_pictures_must_be_as_many_and_labels_below_ten() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, header: &[u8], values: &[u8]| {
            std::fs::write(folder.path().join(name), [header, values].concat()).unwrap();
        };
        for prefix in ["train", "t10k"] {
            let header = [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28];
            write(&format!("{prefix}-images-idx3-ubyte"), &header, &[0; 784]);
            write(&format!("{prefix}-labels-idx1-ubyte"), &[0, 0, 8, 1, 0, 0, 0, 1], &[9]);
        }
        let open = || Mnist { path: Some(folder.path().into()), pad: 0 }.open(&|_, _| {});
        assert!(open().is_ok());
        for (count, labels) in [(1, vec![10]), (2, vec![1, 2]), (0, vec![])] {
            write("t10k-labels-idx1-ubyte", &[0, 0, 8, 1, 0, 0, 0, count], &labels);
            assert!(open().is_err(), "{labels:?}");
        }
    }
}
