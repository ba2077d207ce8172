//! Batches of a data set, made ahead on threads of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use interp_finding::random::{shuffle, stream};

use crate::{Augment, DataError, Dataset, Info, Normalize, Result, Split};

/// How many finished batches each worker may have waiting.
const AHEAD: usize = 2;

/// Some pictures with their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Normalized pictures (N, H, W, C).
    pub images: Vec<f32>,
    /// N labels.
    pub labels: Vec<u32>,
    /// N indices of the pictures in their split.
    pub indices: Vec<usize>,
    /// The share of each pixel (N, H, W) that belongs to the object, where [asked for](Loader::with_masks), changed as the pictures
    /// are: 0 where they show what came in from outside, or was cut out.
    pub masks: Option<Vec<f32>>,
}

/// Makes the batches of one split of a data set.
///
/// What a batch holds depends on the data set, the seed, the epoch and the step only: not on the number
/// of workers, nor on the step that one begins with.
pub struct Loader {
    dataset: Arc<dyn Dataset>,
    split: Split,
    batch: usize,
    workers: usize,
    augment: Augment,
    seed: u64,
    masks: bool,
}

impl Loader {
    /// A loader of `batch` pictures at a time, on `workers` threads; with 0 workers the batches are made
    /// when they are asked for, on the thread that asks.
    ///
    /// # Errors
    /// A batch of no pictures, or an augmentation that does not fit the pictures' size.
    pub fn new(
        dataset: Arc<dyn Dataset>,
        split: Split,
        batch: usize,
        workers: usize,
        augment: Augment,
        seed: u64,
    ) -> Result<Self> {
        if batch == 0 {
            return Err(DataError::Settings("a batch must have at least one picture".into()));
        }
        augment.check(dataset.info())?;
        Ok(Self { dataset, split, batch, workers, augment, seed, masks: false })
    }

    /// The same with masks of the objects in every batch. The data set must know where they are.
    pub fn with_masks(self) -> Self {
        Self { masks: true, ..self }
    }

    /// Number of batches in an epoch: full ones only, or one of all pictures where there are too few for
    /// a full one.
    pub fn steps(&self) -> usize {
        let pictures = self.dataset.len(self.split);
        (pictures / self.batch).max(usize::from(pictures > 0))
    }

    /// The batches of an epoch from `first_step` on: pictures in random order, augmented.
    pub fn epoch(&self, epoch: u64, first_step: usize) -> Batches {
        let mut order: Vec<usize> = (0..self.dataset.len(self.split)).collect();
        shuffle(&mut stream(self.seed, "shuffle", epoch, 0), &mut order);
        order.truncate(self.steps() * self.batch);
        self.batches(order, Some(epoch), first_step)
    }

    /// All pictures in order, or `limit` of them at even distances, unchanged but for normalization; the last batch may be smaller.
    /// Where pictures are sorted by class, as those of folders are, the first ones would be of few classes.
    pub fn in_order(&self, limit: Option<usize>) -> Batches {
        let pictures = self.dataset.len(self.split);
        let count = pictures.min(limit.unwrap_or(pictures));
        self.batches((0..count).map(|at| at * pictures / count).collect(), None, 0)
    }

    /// The pictures at these positions of the split, in this order, unchanged but for normalization. Each position must be below the number of
    /// pictures.
    pub fn of(&self, positions: Vec<usize>) -> Batches {
        self.batches(positions, None, 0)
    }

    fn batches(&self, order: Vec<usize>, epoch: Option<u64>, first_step: usize) -> Batches {
        let job = Job {
            dataset: Arc::clone(&self.dataset),
            split: self.split,
            batch: self.batch,
            normalize: Normalize::new(self.dataset.info()),
            augment: epoch.map(|epoch| (self.augment, self.seed, epoch)),
            order,
            masks: self.masks,
            stop: AtomicBool::new(false),
        };
        Batches::start(Arc::new(job), self.workers, first_step)
    }
}

/// What the workers share.
struct Job {
    dataset: Arc<dyn Dataset>,
    split: Split,
    batch: usize,
    normalize: Normalize,
    /// Augmentation with its seed and epoch.
    augment: Option<(Augment, u64, u64)>,
    order: Vec<usize>,
    masks: bool,
    stop: AtomicBool,
}

impl Job {
    fn steps(&self) -> usize {
        self.order.len().div_ceil(self.batch)
    }

    fn make(&self, step: usize) -> Result<Batch> {
        let end = self.order.len().min((step + 1) * self.batch);
        let indices = self.order[step * self.batch..end].to_vec();
        let size = self.dataset.info().pixels();
        let (mut images, mut scratch) = (vec![0.0; indices.len() * size], vec![0.0; size]);
        for (&index, out) in indices.iter().zip(images.chunks_exact_mut(size)) {
            self.picture(index, &mut scratch, out)?;
        }
        self.normalize.apply(&mut images);
        let labels = indices.iter().map(|&index| self.dataset.label(self.split, index)).collect();
        let masks = self.masks.then(|| indices.iter().map(|&index| self.mask(index)).collect::<Result<Vec<_>>>());
        let masks = masks.transpose()?.map(|masks| masks.concat());
        Ok(Batch { images, labels, indices, masks })
    }

    /// Where the object of a picture is, in a picture of one channel that is changed as the picture is.
    fn mask(&self, index: usize) -> Result<Vec<f32>> {
        let info = self.dataset.info();
        let unknown = || {
            DataError::Settings(format!(
                "{} does not know where the objects of its pictures are: `concepts` does, and a folder with label maps (docs/dissection.md)",
                info.name
            ))
        };
        let object = self.dataset.truth(self.split, index)?.and_then(|truth| truth.object).ok_or_else(unknown)?;
        let mask: Vec<f32> = object.coverage.iter().map(|&share| f32::from(share) / 255.0).collect();
        let Some((augment, seed, epoch)) = &self.augment else { return Ok(mask) };
        let info = Info { channels: 1, mean: vec![0.0], std: vec![1.0], ..info.clone() };
        let mut out = vec![0.0; mask.len()];
        augment.apply(&info, &mut Augment::stream(*seed, *epoch, index), &mask, &mut out);
        Ok(out)
    }

    fn picture(&self, index: usize, scratch: &mut [f32], out: &mut [f32]) -> Result<()> {
        match &self.augment {
            Some((augment, seed, epoch)) if *augment != Augment::default() => {
                self.dataset.image(self.split, index, scratch)?;
                let mut stream = Augment::stream(*seed, *epoch, index);
                augment.apply(self.dataset.info(), &mut stream, scratch, out);
                Ok(())
            }
            _ => self.dataset.image(self.split, index, out),
        }
    }

    /// Makes every `stride`-th batch from `first` on, until told to stop or nobody listens.
    fn work(&self, first: usize, stride: usize, results: &Sender<Result<Batch>>) {
        for step in (first..self.steps()).step_by(stride) {
            if self.stop.load(Ordering::Relaxed) || results.send(self.make(step)).is_err() {
                return;
            }
        }
    }
}

/// Batches in their order; it ends after the first error. Dropping it stops its threads.
pub struct Batches {
    job: Arc<Job>,
    /// Worker `w` of W makes the steps `first + w`, `first + w + W`, ... so that taking from the workers
    /// in turn gives all steps in order.
    workers: Vec<(Receiver<Result<Batch>>, JoinHandle<()>)>,
    first: usize,
    next: usize,
    end: usize,
}

impl Batches {
    fn start(job: Arc<Job>, workers: usize, first: usize) -> Self {
        let end = job.steps();
        let stride = workers.min(end.saturating_sub(first));
        let started: std::io::Result<Vec<_>> =
            (0..stride).map(|worker| spawn(Arc::clone(&job), first + worker, stride)).collect();
        // Where the system gives no threads, the caller's does the work.
        Self { job, workers: started.unwrap_or_default(), first, next: first, end }
    }

    fn receive(&self, step: usize) -> Result<Batch> {
        if self.workers.is_empty() {
            return self.job.make(step);
        }
        let (results, _) = &self.workers[(step - self.first) % self.workers.len()];
        results.recv().unwrap_or_else(|_| Err(DataError::Settings("a thread that reads pictures has crashed".into())))
    }
}

fn spawn(job: Arc<Job>, first: usize, stride: usize) -> std::io::Result<(Receiver<Result<Batch>>, JoinHandle<()>)> {
    let (sender, receiver) = bounded(AHEAD);
    let builder = std::thread::Builder::new().name("interp-loader".into());
    let handle = builder.spawn(move || job.work(first, stride, &sender))?;
    Ok((receiver, handle))
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let batch = self.receive(self.next);
        self.next = if batch.is_ok() { self.next + 1 } else { self.end };
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.end.saturating_sub(self.next)))
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.job.stop.store(true, Ordering::Relaxed);
        let (receivers, handles): (Vec<_>, Vec<_>) = self.workers.drain(..).unzip();
        // A worker that waits for room in its queue wakes when nobody listens any more.
        drop(receivers);
        for handle in handles {
            // A crash was reported when its batch was asked for.
            let _ = handle.join();
        }
    }
}

#[cfg(test)]
mod tests;
