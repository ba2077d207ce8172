use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use super::*;
use crate::{Info, Mask, Truth};

/// Pictures of 8 x 8 pixels, each filled with its index; one can be broken, all can be slow.
struct Numbers {
    info: Info,
    count: usize,
    broken: Option<usize>,
    delay: Duration,
    reads: AtomicUsize,
}

impl Numbers {
    fn new(count: usize) -> Self {
        let info = Info {
            name: "numbers".into(),
            classes: (0..7).map(|class| class.to_string()).collect(),
            channels: 3,
            height: 8,
            width: 8,
            mean: vec![0.0; 3],
            std: vec![1.0; 3],
        };
        Self { info, count, broken: None, delay: Duration::ZERO, reads: AtomicUsize::new(0) }
    }
}

impl Dataset for Numbers {
    fn info(&self) -> &Info {
        &self.info
    }

    fn len(&self, split: Split) -> usize {
        if split == Split::Train { self.count } else { 0 }
    }

    fn label(&self, _: Split, index: usize) -> u32 {
        (index % 7) as u32
    }

    fn image(&self, _: Split, index: usize, out: &mut [f32]) -> Result<()> {
        std::thread::sleep(self.delay);
        self.reads.fetch_add(1, Ordering::Relaxed);
        out.iter_mut().enumerate().for_each(|(at, value)| *value = (index * 1000 + at) as f32);
        match self.broken {
            Some(broken) if broken == index => Err(DataError::Settings("broken picture".into())),
            _ => Ok(()),
        }
    }

    /// The object is the lower left pixel, and half of the one above it; none is known beyond picture 30.
    fn truth(&self, _: Split, index: usize) -> Result<Option<Truth>> {
        let mut coverage = vec![0; 64];
        (coverage[56], coverage[48]) = (255, 51);
        let object = Some(Mask { height: 8, width: 8, coverage });
        Ok((index < 30).then(|| Truth { factors: vec![], object, concepts: vec![] }))
    }
}

const ALL: Augment = Augment { pad_crop: 2, flip: true, cutout: 3 };

fn loader(numbers: Numbers, batch: usize, workers: usize) -> Loader {
    Loader::new(Arc::new(numbers), Split::Train, batch, workers, ALL, 5).unwrap()
}

fn all(batches: Batches) -> Vec<Batch> {
    batches.map(|batch| batch.unwrap()).collect()
}

#[test]
fn an_epoch_has_each_picture_once_in_full_batches() {
    let loader = loader(Numbers::new(103), 10, 2);
    let epoch = all(loader.epoch(0, 0));
    assert_eq!((epoch.len(), loader.steps()), (10, 10));
    let mut indices: Vec<usize> = epoch.iter().flat_map(|batch| batch.indices.clone()).collect();
    assert_ne!(indices, all(loader.epoch(1, 0)).into_iter().flat_map(|batch| batch.indices).collect::<Vec<_>>());
    assert!(epoch.iter().all(|batch| batch.images.len() == 10 * 192));
    assert!(epoch.iter().all(|batch| batch.labels.iter().zip(&batch.indices).all(|(&l, &i)| l as usize == i % 7)));
    indices.sort_unstable();
    indices.dedup();
    assert_eq!(indices.len(), 100);
}

#[test]
fn the_number_of_workers_changes_nothing() {
    let expected = all(loader(Numbers::new(57), 5, 0).epoch(3, 0));
    for workers in [1, 2, 3, 7, 100] {
        assert_eq!(all(loader(Numbers::new(57), 5, workers).epoch(3, 0)), expected, "{workers} workers");
    }
}

#[test]
fn an_epoch_resumed_in_the_middle_is_its_tail() {
    let loader = loader(Numbers::new(57), 5, 2);
    let expected = all(loader.epoch(3, 0));
    for first in 0..=12 {
        assert_eq!(all(loader.epoch(3, first)), expected[first.min(11)..], "from step {first}");
    }
}

#[test]
fn in_order_has_all_pictures_unchanged() {
    let loader = loader(Numbers::new(23), 5, 2);
    let batches = all(loader.in_order(None));
    assert_eq!(batches.iter().map(|batch| batch.labels.len()).collect::<Vec<_>>(), [5, 5, 5, 5, 3]);
    assert_eq!(batches.iter().flat_map(|batch| batch.indices.clone()).collect::<Vec<_>>(), (0..23).collect::<Vec<_>>());
    assert_eq!(batches[2].images[192..194], [11_000.0, 11_001.0]);
    // Seven of 23: every 23/7-th, rounded down.
    let some = all(loader.in_order(Some(7))).into_iter().flat_map(|batch| batch.indices).collect::<Vec<_>>();
    assert_eq!(some, [0, 3, 6, 9, 13, 16, 19]);
    assert_eq!(all(loader.in_order(Some(99))).len(), 5);
}

#[test]
fn few_pictures_make_one_batch_and_none_make_none() {
    let few = loader(Numbers::new(3), 10, 2);
    assert_eq!((few.steps(), all(few.epoch(0, 0))[0].indices.len()), (1, 3));
    let none = loader(Numbers::new(0), 10, 2);
    assert_eq!((none.steps(), none.epoch(0, 0).count(), none.in_order(None).count()), (0, 0, 0));
}

#[test]
fn dropping_stops_the_workers_and_waits_for_them() {
    let numbers = Numbers { delay: Duration::from_millis(1), ..Numbers::new(10_000) };
    let dataset = Arc::new(numbers);
    let shared: Arc<dyn Dataset> = Arc::clone(&dataset) as Arc<dyn Dataset>;
    let loader = Loader::new(shared, Split::Train, 4, 3, ALL, 5).unwrap();
    let start = Instant::now();
    let mut epoch = loader.epoch(0, 0);
    epoch.next().unwrap().unwrap();
    drop(epoch);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    // No thread reads or holds the data set any more: it is held here and by the loader.
    let reads = dataset.reads.load(Ordering::Relaxed);
    assert!(reads <= 4 * 3 * (AHEAD + 2), "{reads}");
    assert_eq!(Arc::strong_count(&dataset), 2);
}

#[test]
fn an_error_arrives_in_its_place_and_ends_the_epoch() {
    for workers in [0, 1, 3] {
        let loader = loader(Numbers { broken: Some(12), ..Numbers::new(40) }, 5, workers);
        let results: Vec<bool> = loader.in_order(None).map(|batch| batch.is_ok()).collect();
        assert_eq!(results, [true, true, false], "{workers} workers");
    }
}

#[test]
fn augmentation_differs_between_epochs_and_pictures_only() {
    let loader = loader(Numbers::new(20), 20, 2);
    let picture = |epoch, index| {
        let batch = all(loader.epoch(epoch, 0)).remove(0);
        let at = batch.indices.iter().position(|&i| i == index).unwrap();
        batch.images[at * 192..][..192].to_vec()
    };
    assert_eq!(picture(0, 4), picture(0, 4));
    assert!((0..4).any(|epoch| picture(epoch, 4) != picture(4, 4)));
}

// The object's pixel has the numbers 168, 169, 170 beyond a thousand times the index, wherever it has gone.
#[test]
fn masks_go_where_their_pictures_go() {
    let loader = loader(Numbers::new(30), 10, 2).with_masks();
    let (mut places, mut seen) = (std::collections::BTreeSet::new(), 0);
    for batch in all(loader.epoch(0, 0)).iter().chain(&all(loader.epoch(1, 0))) {
        let masks = batch.masks.as_ref().unwrap();
        for (i, &index) in batch.indices.iter().enumerate() {
            let (mask, picture) = (&masks[i * 64..][..64], &batch.images[i * 192..][..192]);
            let shown = |pixel: usize| (0..64).find(|at| picture[3 * at] == (index * 1000 + 3 * pixel) as f32);
            for (pixel, share) in [(56, 1.0), (48, 0.2)] {
                let covered = mask.iter().position(|&m| m == share);
                assert_eq!(covered, shown(pixel), "picture {index}");
                places.extend(covered);
                seen += usize::from(covered.is_some());
            }
        }
    }
    assert!(seen > 20 && places.len() > 8, "{seen} at {places:?}");
    let plain = all(loader.in_order(None));
    assert_eq!(plain[2].masks.as_ref().unwrap()[9 * 64..][56], 1.0);
}

#[test]
fn masks_cost_nothing_unless_asked_for_and_must_then_be_known() {
    assert!(all(loader(Numbers::new(40), 10, 2).in_order(None)).iter().all(|batch| batch.masks.is_none()));
    let error = loader(Numbers::new(40), 40, 0).with_masks().in_order(None).next().unwrap().unwrap_err();
    assert!(error.to_string().contains("numbers does not know where"), "{error}");
}

#[test]
fn no_batch_of_no_pictures() {
    assert!(Loader::new(Arc::new(Numbers::new(3)), Split::Train, 0, 1, ALL, 5).is_err());
}

/// Prints what an augmented batch costs; `cargo test --release -p interp-data -- --ignored --nocapture cost`.
#[test]
#[ignore = "a measurement, to be read: cargo test --release -p interp-data -- --ignored --nocapture"]
fn cost_of_a_batch_of_cifar() {
    use crate::Source;
    let Some(path) = crate::shared::shared("cifar10") else { return };
    let dataset = crate::Cifar10 { path: Some(path) }.open(&|_, _| {}).unwrap();
    let augment = Augment { pad_crop: 4, flip: true, cutout: 8 };
    let loader = Loader::new(dataset, Split::Train, 64, 0, augment, 1).unwrap();
    let mut times: Vec<Duration> = Vec::new();
    let mut epoch = loader.epoch(0, 0);
    loop {
        let start = Instant::now();
        if epoch.next().is_none() {
            break;
        }
        times.push(start.elapsed());
    }
    times.sort();
    println!("median {:?}, best {:?} of {} batches of 64", times[times.len() / 2], times[0], times.len());
}
