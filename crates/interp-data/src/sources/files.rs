//! What the well-known data sets share: finding files by name, and reading the hub's parquet files.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use interp_hub::{Hub, Repo};
use rayon::prelude::*;

use crate::formats::{
    parquet::{self, Labelled},
    picture::{self, Kind},
};
use crate::memory::{InMemory, Part};
use crate::{DataError, Info, Result};

/// A report of how much work is done, as in [`crate::Source::open`].
pub(super) type Progress<'p> = &'p (dyn Fn(u64, u64) + Sync);

/// A data set on the hub: repository, and the files on its main branch.
pub(super) struct Hosted {
    pub(super) owner: &'static str,
    pub(super) name: &'static str,
    pub(super) train: &'static str,
    pub(super) test: &'static str,
}

impl Hosted {
    /// `OWNER/NAME`.
    pub(super) fn id(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The parquet files of train and test, downloaded where the cache lacks them.
    pub(super) fn fetch(&self) -> Result<Parts> {
        let hub = Hub::from_environment()?;
        let repo = Repo::dataset(&self.id())?;
        let fetch = |file| Ok::<_, DataError>(hub.fetch(&repo, file, &|_, _| ())?.path);
        Ok(Parts { train: vec![fetch(self.train)?], test: vec![fetch(self.test)?] })
    }
}

/// The files of train and test.
pub(super) struct Parts {
    pub(super) train: Vec<PathBuf>,
    pub(super) test: Vec<PathBuf>,
}

impl Parts {
    /// The files of `folder`, in the order of their names, that begin with one of the prefixes and end
    /// with `ending`; `None` where there are none.
    pub(super) fn find(folder: &Path, train: &[&str], test: &[&str], ending: &str) -> Result<Option<Self>> {
        let parts = Self { train: matching(folder, train, ending)?, test: matching(folder, test, ending)? };
        Ok((!parts.train.is_empty() || !parts.test.is_empty()).then_some(parts))
    }
}

fn matching(folder: &Path, prefixes: &[&str], ending: &str) -> Result<Vec<PathBuf>> {
    let fits = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(ending) && prefixes.iter().any(|prefix| name.starts_with(prefix))
    };
    let mut paths = children(folder)?;
    paths.retain(fits);
    Ok(paths)
}

/// What lies in a folder, in the order of the names.
pub(super) fn children(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(DataError::io(folder))?;
    let paths: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(DataError::io(folder))?;
    paths.sort();
    Ok(paths)
}

/// Reads parquet files whose pictures have the size and channels of `info`, and are JPEG or not.
pub(super) fn from_parquet(info: Info, parts: &Parts, jpeg: bool, progress: Progress<'_>) -> Result<InMemory> {
    let (train, test) = (rows(&parts.train)?, rows(&parts.test)?);
    let work = Work { done: AtomicU64::new(0), total: (train.len() + test.len()) as u64, report: progress };
    let decode = |rows: &[(&Path, usize, Labelled)]| decode_all(&info, rows, jpeg, &work);
    let (train, test) = (decode(&train)?, decode(&test)?);
    let origin = parts.train.iter().chain(&parts.test).next().map_or(String::new(), |path| path.display().to_string());
    InMemory::new(info, &origin, train, Part::empty(), test)
}

/// Counts pictures done by several threads.
pub(super) struct Work<'p> {
    pub(super) done: AtomicU64,
    pub(super) total: u64,
    pub(super) report: Progress<'p>,
}

impl Work<'_> {
    /// One picture more is done.
    pub(super) fn step(&self) {
        (self.report)(self.done.fetch_add(1, Ordering::Relaxed) + 1, self.total);
    }
}

/// All rows of the files, each with its file and its place in it.
fn rows(paths: &[PathBuf]) -> Result<Vec<(&Path, usize, Labelled)>> {
    let mut all = Vec::new();
    for path in paths {
        all.extend(parquet::read(path)?.into_iter().enumerate().map(|(index, row)| (path.as_path(), index, row)));
    }
    Ok(all)
}

fn decode_all(info: &Info, rows: &[(&Path, usize, Labelled)], jpeg: bool, work: &Work<'_>) -> Result<Part> {
    let mut pixels = vec![0; rows.len() * info.pixels()];
    let broken = pixels.par_chunks_exact_mut(info.pixels()).zip(rows).find_map_first(|(out, (path, index, row))| {
        let result = decode(info, row.picture.data(), jpeg, out);
        work.step();
        result.err().map(|problem| DataError::format(path, format!("row {index}: {problem}")))
    });
    let labels = rows.iter().map(|(_, _, row)| row.label).collect();
    broken.map_or(Ok(Part::eight(pixels, labels)), Err)
}

fn decode(info: &Info, bytes: &[u8], jpeg: bool, out: &mut [u8]) -> std::result::Result<(), String> {
    match (picture::is_jpeg(bytes), jpeg) {
        (true, false) => {
            return Err(format!(
                "a JPEG picture, but those of {} are not compressed with loss (for CIFAR-10 see cifar10-jpeg)",
                info.name
            ));
        }
        (false, true) => return Err(format!("not a JPEG picture, as those of {} are", info.name)),
        _ => {}
    }
    let picture = picture::decode(bytes)?;
    if (picture.width() as usize, picture.height() as usize) != (info.width, info.height) {
        let (width, height) = (picture.width(), picture.height());
        return Err(format!("a picture of {width} x {height} pixels, expected {} x {}", info.width, info.height));
    }
    let picture = picture::convert(picture, Kind { color: info.channels == 3, deep: false });
    out.copy_from_slice(picture.as_bytes());
    Ok(())
}
