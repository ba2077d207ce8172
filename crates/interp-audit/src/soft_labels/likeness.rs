//! Which classes are alike to a network: in what it holds possible, and in what it gets wrong.

use crate::Answers;

/// Of what is shared evenly, how many times as much makes two classes alike.
const ALIKE: f64 = 1.5;
/// Of their share in what the network holds possible, how much of it two classes may have in its errors to be mistaken rarely.
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
    /// Its 95 % interval over pictures.
    pub interval: [f64; 2],
    /// The same of errors: of the pictures of one class that were taken for another, the share taken for the other of the pair; the mean of both.
    pub mistaken: f64,
    /// Pictures of either taken for the other.
    pub errors: usize,
    /// Whether they are alike in what the network holds possible, and are mistaken for each other rarely.
    pub latent: bool,
}

/// How alike classes are by a network's probabilities at a temperature: `C[i][j]` is the mean over pictures labelled i of the probability of j; without
/// its diagonal and with rows that add up to 1 it is what the network holds possible of other classes, and `(C + C^T) / 2` how alike they are.
///
/// The interval is that of a ratio of means (linearised), for pictures that are drawn independently.
pub fn likeness(answers: &Answers, temperature: f64) -> Likeness {
    let classes = answers.classes;
    let mut sums = vec![vec![0.0; classes]; classes];
    let taken = answers.taken();
    for (label, p) in answers.probabilities(temperature) {
        sums[label].iter_mut().zip(&p).for_each(|(sum, p)| *sum += p);
    }
    let shares: Vec<Vec<f64>> = sums.iter().enumerate().map(|(class, row)| without_own(row, class)).collect();
    let errors: Vec<Vec<f64>> = taken
        .iter()
        .enumerate()
        .map(|(class, row)| without_own(&row.iter().map(|&count| count as f64).collect::<Vec<_>>(), class))
        .collect();
    let variances = variances(answers, temperature, &sums, &shares);
    let present: Vec<usize> = (0..classes).filter(|&class| taken[class].iter().sum::<usize>() > 0).collect();
    let mean = |table: &[Vec<f64>], i: usize, j: usize| (table[i][j] + table[j][i]) / 2.0;
    let pair = |i: usize, j: usize| {
        let (alike, mistaken) = (mean(&shares, i, j), mean(&errors, i, j));
        let half = HALF * (variances[i][j] + variances[j][i]).sqrt() / 2.0;
        let interval = [(alike - half).max(0.0), (alike + half).min(1.0)];
        let latent = interval[0] > ALIKE * even(classes) && mistaken < RARELY * alike;
        Pair { classes: [i, j], alike, interval, mistaken, errors: taken[i][j] + taken[j][i], latent }
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

/// The variance of each share: of a ratio `R = sum a / sum b` over pictures it is `sum (a - R b)^2 / (sum b)^2`, with b all that a picture gives to
/// classes other than its label.
fn variances(answers: &Answers, temperature: f64, sums: &[Vec<f64>], shares: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut squares = vec![vec![0.0; answers.classes]; answers.classes];
    for (label, p) in answers.probabilities(temperature) {
        let rest: f64 = 1.0 - p[label];
        for ((square, p), share) in squares[label].iter_mut().zip(&p).zip(&shares[label]) {
            *square += (p - share * rest).powi(2);
        }
    }
    for (class, row) in squares.iter_mut().enumerate() {
        let rest: f64 = sums[class].iter().sum::<f64>() - sums[class][class];
        row.iter_mut().for_each(|square| *square = if rest > 0.0 { *square / rest.powi(2) } else { 0.0 });
    }
    squares
}
