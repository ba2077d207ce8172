//! Which classes a neuron selects.

use interp_net::finding::random::{Stream, below, stream};

use super::{Peak, Unit};

/// The share of its answers that the classes must make together which a neuron is said to select.
pub const SHARE: f64 = 0.9;
/// The share from which on a class is one that a neuron codes for.
pub const CODED: f64 = 0.1;
/// Draws of a null, and of an interval.
const DRAWS: usize = 200;

/// How much a neuron selects classes, by the places that it answers to most, weighed by their activations (Rafegas et al. 2020, section 3.2).
#[derive(Clone, Debug, PartialEq)]
pub struct ClassSelectivity {
    /// The shares of classes in its answers, from the largest on, with the classes.
    pub shares: Vec<(usize, f64)>,
    /// `(N - M) / (N - 1)`, where M classes make [`SHARE`] of N answers together: 1 of one class, 0 where all are of other classes.
    pub index: f64,
    /// 95 % interval of the index: percentiles of a bootstrap over the answers, moved so that their mean is the index.
    pub interval: [f64; 2],
    /// The mean index of the same activations with labels drawn from those of the data, each picture once: what there is where nothing is selected.
    pub null: f64,
    /// The share of such draws, and the index itself among them, that are at least as large.
    pub p: f64,
    /// Entropy of the shares in bits.
    pub entropy: f64,
    /// Classes of a share of [`CODED`] or more.
    pub population: usize,
}

/// The selectivity of a unit; `seen` are the pictures of each class that it was shown. `None` where it answers to fewer than two pictures. `seed`
/// is that of draws, another for every unit.
pub fn class_selectivity(unit: &Unit, seen: &[usize], seed: u64) -> Option<ClassSelectivity> {
    let answers: Vec<Answer> =
        unit.peaks.iter().map(|Peak { label, activation, .. }| (*label, f64::from(*activation))).collect();
    if answers.len() < 2 {
        return None;
    }
    let classes = seen.len();
    let shares = shares(&answers, classes);
    let index = index(&shares, answers.len());
    let again = drawn(seed, "class bootstrap", classes, |rng| {
        answers.iter().map(|_| answers[below(rng, answers.len())]).collect()
    });
    let null = drawn(seed, "class null", classes, |rng| {
        let mut left = seen.to_vec();
        answers.iter().map(|&(_, weight)| (taken_label(rng, &mut left), weight)).collect()
    });
    // Answers drawn again are of fewer classes than they were: what that adds is taken off.
    let added = again.iter().sum::<f64>() / DRAWS as f64 - index;
    let at = |share: f64| (again[((DRAWS - 1) as f64 * share).round() as usize] - added).clamp(0.0, 1.0);
    Some(ClassSelectivity {
        index,
        interval: [at(0.025), at(0.975)],
        null: null.iter().sum::<f64>() / DRAWS as f64,
        p: (1 + null.iter().filter(|&&other| other >= index).count()) as f64 / (1 + DRAWS) as f64,
        entropy: shares.iter().filter(|(_, share)| *share > 0.0).map(|(_, share)| -share * share.log2()).sum(),
        population: shares.iter().filter(|(_, share)| *share >= CODED).count(),
        shares,
    })
}

/// A class, and how much a neuron answered to a picture of it.
type Answer = (usize, f64);

/// Indexes of answers drawn anew, from the least on.
fn drawn(seed: u64, purpose: &str, classes: usize, draw: impl Fn(&mut Stream) -> Vec<Answer>) -> Vec<f64> {
    let one = |at: usize| {
        let answers = draw(&mut stream(seed, purpose, 0, at as u64));
        index(&shares(&answers, classes), answers.len())
    };
    let mut found: Vec<f64> = (0..DRAWS).map(one).collect();
    found.sort_by(f64::total_cmp);
    found
}

/// The class of a picture drawn from those that are left, which it is taken from.
fn taken_label(rng: &mut Stream, left: &mut [usize]) -> usize {
    let mut place = below(rng, left.iter().sum::<usize>().max(1));
    let of = |&count: &usize| {
        let here = place < count;
        place = place.saturating_sub(count);
        here
    };
    let label = left.iter().position(of).unwrap_or_default();
    left.iter_mut().skip(label).take(1).for_each(|count| *count = count.saturating_sub(1));
    label
}

/// The shares of classes in answers, from the largest on.
fn shares(answers: &[Answer], classes: usize) -> Vec<(usize, f64)> {
    let mut sums = vec![0.0; classes];
    for &(label, weight) in answers {
        if let Some(sum) = sums.get_mut(label) {
            *sum += weight;
        }
    }
    let all: f64 = sums.iter().sum();
    let mut shares: Vec<(usize, f64)> = sums.into_iter().map(|sum| sum / all).enumerate().collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
}

/// `(N - M) / (N - 1)`.
fn index(shares: &[(usize, f64)], count: usize) -> f64 {
    let mut sum = 0.0;
    let needed = shares.iter().position(|(_, share)| {
        sum += share;
        // A sum of ten tenths is not quite 1.
        sum >= SHARE - 1e-9
    });
    let classes = needed.map_or(shares.len(), |at| at + 1);
    count.saturating_sub(classes) as f64 / (count - 1) as f64
}

/// The index of Morcos et al. 2018 (arXiv 1803.06959, equation 1), over all pictures: `(m - r) / (m + r)`, of the mean of the largest activation over
/// pictures of the class where it is largest, and over those of all other classes. `None` of a unit that answers to nothing.
pub fn over_all_pictures(unit: &Unit, seen: &[usize]) -> Option<f64> {
    let means: Vec<f64> = unit.by_class.iter().zip(seen).map(|(sum, &count)| sum / count.max(1) as f64).collect();
    let best = (0..means.len()).max_by(|&a, &b| means[a].total_cmp(&means[b]))?;
    let (others, sum) = (0..means.len())
        .filter(|&class| class != best)
        .fold((0, 0.0), |(count, sum), class| (count + seen[class], sum + unit.by_class[class]));
    let rest = sum / others.max(1) as f64;
    (means[best] > 0.0).then(|| (means[best] - rest) / (means[best] + rest))
}
