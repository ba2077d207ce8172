//! A teacher's logits on disk: by picture, and by how the picture was changed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Tensor};
use interp_net::sealed;
use serde_json::Value;

use crate::{LearnError, Result};

/// Logits of a teacher for the training pictures of a data set, one file for each epoch: pictures are changed anew in each, and in the same
/// way whenever the same seed is trained with. A file takes 4 K + 1 bytes for each picture.
///
/// What the logits follow from (the teacher's weights, the data, the changes, the seed) is written into each file: one of another
/// teacher, or of other pictures, is refused.
pub struct Cache {
    folder: PathBuf,
    source: Value,
    /// Pictures of the split, and classes.
    size: [usize; 2],
    /// Whether pictures are the same in all epochs.
    is_fixed: bool,
    open: Mutex<Option<Page>>,
}

/// What is known of one epoch.
struct Page {
    number: usize,
    logits: Vec<f32>,
    known: Vec<u8>,
    is_changed: bool,
}

impl Cache {
    /// The cache in `folder`, which need not be there yet, of logits for so many pictures and classes that follow from `source`. Where
    /// pictures are the same in all epochs, `is_fixed`, one file serves all.
    pub fn new(folder: PathBuf, source: Value, size: [usize; 2], is_fixed: bool) -> Self {
        Self { folder, source, size, is_fixed, open: Mutex::new(None) }
    }

    /// The logits of the pictures at `indices` in an epoch, one row after the other; `None` where those of one of them are not there.
    ///
    /// # Errors
    /// If the file is of another teacher or other pictures, was damaged, or cannot be read or written.
    pub(crate) fn get(&self, epoch: usize, indices: &[usize]) -> Result<Option<Vec<f32>>> {
        let mut open = self.page(epoch, indices)?;
        let Some(page) = open.as_mut().filter(|page| indices.iter().all(|&index| page.known[index] == 1)) else {
            return Ok(None);
        };
        let [_, classes] = self.size;
        Ok(Some(indices.iter().flat_map(|&index| &page.logits[index * classes..][..classes]).copied().collect()))
    }

    /// Keeps logits.
    ///
    /// # Errors
    /// As [`Cache::get`].
    pub(crate) fn put(&self, epoch: usize, indices: &[usize], logits: &[f32]) -> Result<()> {
        let mut open = self.page(epoch, indices)?;
        let (Some(page), [_, classes]) = (open.as_mut(), self.size) else { return Ok(()) };
        for (&index, row) in indices.iter().zip(logits.chunks_exact(classes)) {
            page.logits[index * classes..][..classes].copy_from_slice(row);
            page.known[index] = 1;
        }
        page.is_changed = true;
        Ok(())
    }

    /// Writes what is new.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(crate) fn flush(&self) -> Result<()> {
        self.write(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Page>> {
        // A page is whole between any two statements that can fail.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The page of an epoch, which has these pictures; the one that was open before is written.
    fn page(&self, epoch: usize, indices: &[usize]) -> Result<MutexGuard<'_, Option<Page>>> {
        let [count, _] = self.size;
        if indices.iter().any(|&index| index >= count) {
            let problem = format!("it is for {count} pictures, of which there are more");
            return Err(LearnError::Cache { path: self.folder.clone(), problem });
        }
        let number = if self.is_fixed { 0 } else { epoch };
        let mut open = self.lock();
        if open.as_ref().is_none_or(|page| page.number != number) {
            self.write(&mut open)?;
            *open = Some(self.read(number)?);
        }
        Ok(open)
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.join(format!("epoch-{:04}.safetensors", number + 1))
    }

    fn read(&self, number: usize) -> Result<Page> {
        let ([count, classes], path) = (self.size, self.path(number));
        if !path.exists() {
            return Ok(Page { number, logits: vec![0.0; count * classes], known: vec![0; count], is_changed: false });
        }
        let wrong = |problem: &str| LearnError::Cache { path: path.clone(), problem: problem.to_owned() };
        let file = sealed::read(&path)?;
        if file.content.as_ref() != Some(&self.source) {
            return Err(wrong("its logits are of another teacher, or of other pictures"));
        }
        let tensor = |name: &str, shape: &[usize]| {
            file.tensors.get(name).filter(|t| t.dims() == shape).ok_or_else(|| wrong("it has not what it should have"))
        };
        let logits = tensor("logits", &[count, classes])?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        let known = tensor("known", &[count])?.to_dtype(DType::U8)?.to_vec1()?;
        Ok(Page { number, logits, known, is_changed: false })
    }

    fn write(&self, open: &mut Option<Page>) -> Result<()> {
        let Some(page) = open.as_mut().filter(|page| page.is_changed) else { return Ok(()) };
        let [count, classes] = self.size;
        let path = self.path(page.number);
        std::fs::create_dir_all(&self.folder)
            .map_err(|source| interp_net::NetError::Io { path: self.folder.clone(), source })?;
        let tensors = BTreeMap::from([
            ("logits".to_owned(), Tensor::from_slice(&page.logits, (count, classes), &Device::Cpu)?),
            ("known".to_owned(), Tensor::from_slice(&page.known, count, &Device::Cpu)?),
        ]);
        sealed::write(&path, &tensors, &self.source)?;
        page.is_changed = false;
        Ok(())
    }
}
