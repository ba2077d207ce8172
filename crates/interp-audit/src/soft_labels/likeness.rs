//! Which classes are alike to a network: in what it holds possible, and in what it gets wrong.

use interp_net::finding::share_interval;

use crate::Answers;

/// Of what is shared evenly, how many times as much makes two classes alike.
const ALIKE: f64 = 1.5;
/// Of their share in what the network holds possible, how much of it two classes may at most have in its errors to be mistaken rarely.
const RARELY: f64 = 0.5;
/// Half a 95 % interval of a normal distribution, in standard deviations.
const HALF: f64 = 1.96;

/// How alike classes are to a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Likeness {
    /// Row by row, the classes in which pictures of a class are: of the probability that the network gives to other classes than the label,
    /// the share of each. Rows add up to 1, with 0 for the class itself; a class without pictures has a row of zeros.
    pub shares: Vec<Vec<f64>>,
    /// Row by row, how many pictures of a class were taken for each.
    pub taken: Vec<Vec<usize>>,
    /// All pairs of classes that have pictures, the most alike first.
    pub pairs: Vec<Pair>,
}

/// Two classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Which, in order of their numbers.
    pub classes: [usize; 2],
    /// The mean of the two shares that each has in the other's row.
    pub alike: f64,
    /// Its 95 % interval over pictures; not there where a class has fewer than two.
    pub interval: Option<[f64; 2]>,
    /// The same of errors: of the pictures of either class that were taken for another one, the share taken for the other of the pair; not there
    /// where there are none.
    pub mistaken: Option<f64>,
    /// Pictures of either taken for the other.
    pub errors: usize,
    /// Whether they are alike in what the network holds possible, and have a small share in its errors, both beyond what chance makes of few pictures.
    pub latent: bool,
}

/// How alike classes are by a network's probabilities at a temperature: `C[i][j]` is the mean over pictures labelled i of the probability of j; without
/// its diagonal and with rows that add up to 1 it is what the network holds possible of other classes, and `(C + C^T) / 2` how alike they are.
///
/// The interval is that of a ratio of means (linearised), for pictures that are drawn independently. A pair is latent where all of it lies above 1.5 times the
/// even share, and the upper end of the 95 % interval of its share in errors (Wilson 1927) below half of its lower end: few errors make nothing latent.
pub fn likeness(answers: &Answers, temperature: f64) -> Likeness {
    let classes = answers.classes;
    let mut sums = vec![vec![0.0; classes]; classes];
    let taken = answers.taken();
    for (label, p) in answers.probabilities(temperature) {
        sums[label].iter_mut().zip(&p).for_each(|(sum, p)| *sum += p);
    }
    let shares: Vec<Vec<f64>> = sums.iter().enumerate().map(|(class, row)| without_own(row, class)).collect();
    let variances = variances(answers, temperature, &sums, &shares);
    let pictures: Vec<usize> = taken.iter().map(|row| row.iter().sum()).collect();
    let present: Vec<usize> = (0..classes).filter(|&class| pictures[class] > 0).collect();
    let pair = |i: usize, j: usize| {
        let alike = (shares[i][j] + shares[j][i]) / 2.0;
        let half = HALF * (variances[i][j] + variances[j][i]).sqrt() / 2.0;
        let interval = (pictures[i].min(pictures[j]) > 1).then(|| [(alike - half).max(0.0), (alike + half).min(1.0)]);
        let errors = taken[i][j] + taken[j][i];
        let all = pictures[i] - taken[i][i] + pictures[j] - taken[j][j];
        let latent = interval
            .is_some_and(|[low, _]| low > ALIKE * even(classes) && share_interval(errors, all)[1] < RARELY * low);
        let mistaken = (all > 0).then(|| errors as f64 / all as f64);
        Pair { classes: [i, j], alike, interval, mistaken, errors, latent }
    };
    let mut pairs: Vec<Pair> = present
        .iter()
        .enumerate()
        .flat_map(|(at, &i)| present[at + 1..].iter().map(move |&j| (i, j)))
        .map(|(i, j)| pair(i, j))
        .collect();
    pairs.sort_by(|a, b| b.alike.total_cmp(&a.alike));
    Likeness { shares, taken, pairs }
}

impl Likeness {
    /// The share that each other class would have if all were alike.
    pub fn even(&self) -> f64 {
        even(self.shares.len())
    }
}

fn even(classes: usize) -> f64 {
    1.0 / classes.saturating_sub(1).max(1) as f64
}

/// A row with nothing for the class itself, as shares of the rest; where there is no rest, zeros.
fn without_own(row: &[f64], class: usize) -> Vec<f64> {
    let rest: f64 = row.iter().enumerate().filter(|(other, _)| *other != class).map(|(_, value)| value).sum();
    let share = |(other, value): (usize, &f64)| if other == class || rest <= 0.0 { 0.0 } else { value / rest };
    row.iter().enumerate().map(share).collect()
}

/// The variance of each share: of a ratio `R = sum a / sum b` over n pictures it is `n / (n - 1) sum (a - R b)^2 / (sum b)^2`, with b all that a picture
/// gives to classes other than its label.
fn variances(answers: &Answers, temperature: f64, sums: &[Vec<f64>], shares: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut squares = vec![vec![0.0; answers.classes]; answers.classes];
    let mut counts = vec![0.0; answers.classes];
    for (label, p) in answers.probabilities(temperature) {
        counts[label] += 1.0;
        let rest: f64 = p.iter().enumerate().filter(|(class, _)| *class != label).map(|(_, p)| p).sum();
        for ((square, p), share) in squares[label].iter_mut().zip(&p).zip(&shares[label]) {
            *square += (p - share * rest).powi(2);
        }
    }
    for (class, row) in squares.iter_mut().enumerate() {
        let rest: f64 = sums[class].iter().sum::<f64>() - sums[class][class];
        let few: f64 = counts[class] / f64::max(counts[class] - 1.0, 1.0);
        row.iter_mut().for_each(|square| *square = if rest > 0.0 { few * *square / rest.powi(2) } else { 0.0 });
    }
    squares
}
