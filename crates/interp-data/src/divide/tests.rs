use std::time::Instant;

use super::*;
use crate::shared::shared;
use crate::{Cifar10, Cifar10Jpeg, Mnist, Source};

/// Prints what is found in the real data sets.
#[test]
#[ignore = "a measurement"]
fn measure_real_data() {
    let (Some(mnist), Some(cifar), Some(jpeg)) = (shared("mnist"), shared("cifar10"), shared("cifar10-jpeg")) else { return };
    let sources: [Box<dyn Source>; 3] = [
        Box::new(Mnist { path: Some(mnist) }),
        Box::new(Cifar10 { path: Some(cifar) }),
        Box::new(Cifar10Jpeg { path: jpeg }),
    ];
    for source in sources {
        let start = Instant::now();
        let dataset = source.open(&|_, _| {}).unwrap();
        println!("{}: opened in {:?}", dataset.info().name, start.elapsed());
        let start = Instant::now();
        println!("overlap: {:?} in {:?}", refuse_overlap(&*dataset).err().map(|e| e.to_string()), start.elapsed());
        let start = Instant::now();
        coarse::all(&*dataset, Split::Train).unwrap();
        println!("coarse {:?}", start.elapsed());
        let start = Instant::now();
        let clusters = similar::clusters(&*dataset, Split::Train).unwrap();
        println!("clusters {:?}", start.elapsed());
        let mut sizes = BTreeMap::new();
        clusters.iter().for_each(|&first| *sizes.entry(first).or_insert(0) += 1);
        let mut histogram = BTreeMap::new();
        sizes.values().for_each(|&size| *histogram.entry(size).or_insert(0) += 1);
        println!("cluster sizes {histogram:?}");
        let start = Instant::now();
        let cut = cut::cut(&*dataset, &clusters, 0.1, 1).unwrap();
        println!("cut {:?}: {} {}", start.elapsed(), cut.train.len(), cut.validation.len());
    }
}
