//! CIFAR-10 (A. Krizhevsky, 2009), and its JPEG-compressed variant, which is a data set of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use interp_finding::{Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files::{Hosted, Parts, Progress, from_parquet};
use crate::formats::cifar;
use crate::memory::{InMemory, Part};
use crate::{DataError, Dataset, Info, Result, Source};

/// The data sets of this file.
pub(super) const ENTRIES: &[Entry<dyn Source>] = &[
    Entry {
        name: "cifar10",
        summary: "60,000 color photographs of 32 x 32 pixels in ten classes; from the hub, or a folder",
        example: "kind = \"cifar10\"\npath = \"data/cifar10\"\n",
        build: |section| build(section, |source: Cifar10| Box::new(source)),
        schema: || schemars::schema_for!(Cifar10),
    },
    Entry {
        name: "cifar10-jpeg",
        summary: "CIFAR-10 after lossy compression, from a folder of parquet files; not comparable with CIFAR-10",
        example: "kind = \"cifar10-jpeg\"\npath = \"data/cifar10-jpeg\"\n",
        build: |section| build(section, |source: Cifar10Jpeg| Box::new(source)),
        schema: || schemars::schema_for!(Cifar10Jpeg),
    },
];

const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

const HOSTED: Hosted = Hosted {
    owner: "uoft-cs",
    name: "cifar10",
    train: "plain_text/train-00000-of-00001.parquet",
    test: "plain_text/test-00000-of-00001.parquet",
};

/// Settings of `cifar10`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cifar10 {
    /// A folder with `data_batch_*.bin` or `train_*.bin` and `test_*.bin` (the binary version, any
    /// number of pictures), or with `train*.parquet` and `test*.parquet`. Where it is not given, the
    /// files come from the hub.
    pub path: Option<PathBuf>,
}

impl Source for Cifar10 {
    fn open(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Arc<dyn Dataset>> {
        let Some(folder) = &self.path else {
            return Ok(Arc::new(from_parquet(info("cifar10"), &HOSTED.fetch()?, false, progress)?));
        };
        let dataset = match Parts::find(folder, &["data_batch_", "train_"], &["test_"], ".bin")? {
            Some(parts) => from_records(folder, &parts)?,
            None => from_folder(folder, "cifar10", false, progress)?,
        };
        Ok(Arc::new(dataset))
    }

    fn hosted(&self) -> Option<String> {
        self.path.is_none().then(|| HOSTED.id())
    }
}

/// Settings of `cifar10-jpeg`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cifar10Jpeg {
    /// A folder with `train*.parquet` and `test*.parquet`.
    pub path: PathBuf,
}

impl Source for Cifar10Jpeg {
    fn open(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Arc<dyn Dataset>> {
        Unfit::unless(!self.path.as_os_str().is_empty(), "path", "must name a folder, as in cifar10-jpeg:DIR")?;
        Ok(Arc::new(from_folder(&self.path, "cifar10-jpeg", true, progress)?))
    }
}

fn from_records(folder: &Path, parts: &Parts) -> Result<InMemory> {
    let (train, test) = (cifar::read(&parts.train)?, cifar::read(&parts.test)?);
    let origin = folder.display().to_string();
    InMemory::new(info("cifar10"), &origin, Part::eight(train.0, train.1), Part::empty(), Part::eight(test.0, test.1))
}

fn from_folder(folder: &Path, name: &str, jpeg: bool, progress: Progress<'_>) -> Result<InMemory> {
    let parts = Parts::find(folder, &["train"], &["test"], ".parquet")?.ok_or_else(|| {
        let expected = if jpeg { "" } else { "data_batch_*.bin and test_batch.bin, or " };
        DataError::format(folder, format!("no files of CIFAR-10: expected {expected}train*.parquet and test*.parquet"))
    })?;
    from_parquet(info(name), &parts, jpeg, progress)
}

/// Mean and deviation are those of the 50,000 training pictures, as commonly used for CIFAR-10.
fn info(name: &str) -> Info {
    Info {
        name: name.into(),
        classes: CLASSES.map(String::from).to_vec(),
        channels: 3,
        height: cifar::SIDE,
        width: cifar::SIDE,
        mean: vec![0.4914, 0.4822, 0.4465],
        std: vec![0.2470, 0.2435, 0.2616],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::Split;
    use crate::shared::shared;

    fn image(dataset: &Arc<dyn Dataset>, index: usize) -> Vec<f32> {
        let mut out = vec![0.0; dataset.info().pixels()];
        dataset.image(Split::Test, index, &mut out).unwrap();
        out
    }

    /// Mean squared difference of two pictures.
    fn difference(one: &[f32], other: &[f32]) -> f32 {
        one.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / one.len() as f32
    }

    /// The picture with rows and columns exchanged.
    fn transposed(picture: &[f32]) -> Vec<f32> {
        (0..3072).map(|at| (at / 96, at / 3 % 32, at % 3)).map(|(y, x, c)| picture[3 * (32 * x + y) + c]).collect()
    }

    #[test]
    fn records_and_parquet_show_the_same_pictures_upright() {
        let (Some(records), Some(parquet)) = (shared("cifar10"), shared("cifar10-jpeg")) else { return };
        let lossless = Cifar10 { path: Some(records) }.open(&|_, _| {}).unwrap();
        let most = AtomicU64::new(0);
        let report = |done, total| {
            assert_eq!(total, 60_000);
            most.fetch_max(done, Ordering::Relaxed);
        };
        let lossy = Cifar10Jpeg { path: parquet }.open(&report).unwrap();
        assert_eq!(most.into_inner(), 60_000);
        assert_eq!([Split::Train, Split::Test].map(|split| lossless.len(split)), [8_068, 1_017]);
        assert_eq!([Split::Train, Split::Test].map(|split| lossy.len(split)), [50_000, 10_000]);
        assert_eq!(lossy.info().name, "cifar10-jpeg");
        // The JPEG files are not in the official order: the same picture is the nearest one.
        let candidates: Vec<Vec<f32>> = (0..10_000).map(|index| image(&lossy, index)).collect();
        for index in [0, 1_016] {
            let picture = image(&lossless, index);
            let near = |a: &usize, b: &usize| {
                difference(&picture, &candidates[*a]).total_cmp(&difference(&picture, &candidates[*b]))
            };
            let near = (0..10_000).min_by(near).unwrap();
            let upright = difference(&picture, &candidates[near]);
            let transposed = difference(&picture, &transposed(&candidates[near]));
            assert!(upright < 0.003 && transposed > 3.0 * upright, "{index}: {upright} {transposed}");
            assert_eq!(lossless.label(Split::Test, index), lossy.label(Split::Test, near));
        }
    }

    #[test]
    fn jpeg_pictures_are_not_taken_for_cifar10() {
        let Some(parquet) = shared("cifar10-jpeg") else { return };
        let error = Cifar10 { path: Some(parquet) }.open(&|_, _| {}).err().unwrap().to_string();
        assert!(error.contains("cifar10-jpeg") && error.contains("row 0"), "{error}");
    }

    #[test]
    fn a_folder_without_its_files_says_what_is_expected() {
        let empty = tempfile::tempdir().unwrap();
        let error = Cifar10 { path: Some(empty.path().into()) }.open(&|_, _| {}).err().unwrap().to_string();
        assert!(error.contains("data_batch_*.bin") && error.contains("train*.parquet"), "{error}");
        assert!(Cifar10Jpeg::default().open(&|_, _| {}).is_err());
    }

    #[test]
    fn a_label_above_nine_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("train_1.bin"), [[10_u8; 3073], [1; 3073]].concat()).unwrap();
        let error = Cifar10 { path: Some(folder.path().into()) }.open(&|_, _| {}).err().unwrap().to_string();
        assert!(error.contains("label 10"), "{error}");
    }

    #[test]
    fn parquet_garbage_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.parquet");
        for bytes in [&b""[..], b"PAR1", b"PAR1PAR1", b"PAR1\xff\xff\xff\xff\xff\xff\xff\x7fPAR1", &[0xff; 5000]] {
            std::fs::write(&path, bytes).unwrap();
            let error = Cifar10Jpeg { path: folder.path().into() }.open(&|_, _| {}).err().unwrap().to_string();
            assert!(error.contains("train.parquet: not a readable parquet file"), "{error}");
        }
    }
}
