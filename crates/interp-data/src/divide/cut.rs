//! Cutting a split from train.

use std::collections::BTreeMap;

use interp_finding::Unfit;
use interp_finding::random::{shuffle, stream};

use crate::{DataError, Dataset, Result, Split};

/// Indices in train of the two parts, in rising order.
#[derive(Clone)]
pub(super) struct Cut {
    pub(super) train: Vec<usize>,
    pub(super) off: Vec<usize>,
}

/// Cuts `amount` (a share below 1, else a number) of train, each class in proportion, no cluster in two.
///
/// `clusters` names for each picture the first one of its cluster.
pub(super) fn cut(dataset: &dyn Dataset, clusters: &[usize], amount: f64, seed: u64, key: &str) -> Result<Cut> {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    clusters.iter().enumerate().for_each(|(index, &first)| members.entry(first).or_default().push(index));
    let total = number(amount, clusters.len(), key)?;
    let label = |&index: &usize| dataset.label(Split::Train, index) as usize;
    let classes = dataset.info().classes.len();
    let mut missing = quotas((0..clusters.len()).map(|index| label(&index)), classes, total);
    let mut members: Vec<Vec<usize>> = members.into_values().collect();
    shuffle(&mut stream(seed, "divide", 0, 0), &mut members);
    let mut off = Vec::new();
    for cluster in members.iter().filter(|cluster| cluster.len() < clusters.len()) {
        let counts = counts(cluster.iter().map(label), classes);
        if gain(&missing, &counts) > 0 && off.len() + cluster.len() < clusters.len() {
            missing.iter_mut().zip(counts).for_each(|(missing, count)| *missing -= count);
            off.extend(cluster);
        }
    }
    if off.is_empty() {
        off = smallest(&members, clusters.len())?;
    }
    off.sort_unstable();
    let train = (0..clusters.len()).filter(|index| off.binary_search(index).is_err()).collect();
    Ok(Cut { train, off })
}

/// `count` of the pictures with these labels, or all where there are no more, each class in proportion, in rising order.
pub(super) fn some(labels: &[usize], classes: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut missing = quotas(labels.iter().copied(), classes, count.min(labels.len()));
    let mut order: Vec<usize> = (0..labels.len()).collect();
    shuffle(&mut stream(seed, "fewer", 0, 0), &mut order);
    let mut kept = vec![];
    for index in order {
        let missing = &mut missing[labels[index]];
        if *missing > 0 {
            *missing -= 1;
            kept.push(index);
        }
    }
    kept.sort_unstable();
    kept
}

/// The number of pictures that `amount` asks for.
fn number(amount: f64, pictures: usize, key: &str) -> Result<usize> {
    let number = if amount < 1.0 { amount * pictures as f64 } else { amount }.round();
    if amount > 0.0 && number < pictures as f64 {
        return Ok((number as usize).max(1));
    }
    let problem =
        format!("must be a share in (0, 1), or a number of pictures below the {pictures} of train, not {amount}");
    Err(Unfit::new(key, problem).into())
}

fn counts(labels: impl Iterator<Item = usize>, classes: usize) -> Vec<i64> {
    let mut counts = vec![0; classes];
    labels.for_each(|label| counts[label] += 1);
    counts
}

/// How many of each class make `total` in proportion: rounded down, then up where most was lost.
fn quotas(labels: impl Iterator<Item = usize>, classes: usize, total: usize) -> Vec<i64> {
    let counts = counts(labels, classes);
    let (total, pictures) = (total as i64, counts.iter().sum::<i64>());
    let mut quotas: Vec<i64> = counts.iter().map(|count| count * total / pictures).collect();
    let mut classes: Vec<usize> = (0..classes).collect();
    classes.sort_by_key(|&class| std::cmp::Reverse(counts[class] * total % pictures));
    let rest = total - quotas.iter().sum::<i64>();
    classes.iter().take(rest as usize).for_each(|&class| quotas[class] += 1);
    quotas
}

/// By how much a cluster brings validation nearer to its quotas, summed over the classes.
fn gain(missing: &[i64], counts: &[i64]) -> i64 {
    missing.iter().zip(counts).map(|(missing, count)| missing.abs() - (missing - count).abs()).sum()
}

/// The smallest cluster, for where each one is larger than what is asked for.
fn smallest(members: &[Vec<usize>], pictures: usize) -> Result<Vec<usize>> {
    let smallest = members.iter().min_by_key(|cluster| cluster.len()).filter(|cluster| cluster.len() < pictures);
    smallest.cloned().ok_or_else(|| {
        DataError::Settings(
            "no validation can be cut from train: all its pictures are nearly the same, or of one group; give pictures for \
             validation"
                .into(),
        )
    })
}
