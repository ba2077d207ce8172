//! The losses of two views and their gradients, on numbers.

/// What is added up, and how much of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights {
    pub(super) align: f64,
    pub(super) tanh: f64,
    pub(super) classes: f64,
}

/// What keeps logarithms finite.
const LITTLE: f64 = 1e-7;

/// Two views of N pictures: of each the shares of prototypes (N, P, positions), what is there (N, P), and the sums for classes (N, K).
pub(super) struct Views<'a> {
    pub(super) labels: &'a [u32],
    pub(super) prototypes: usize,
    pub(super) positions: usize,
    pub(super) views: [[Vec<f64>; 3]; 2],
}

impl Views<'_> {
    /// The loss, and its gradients by each view's numbers. Views are drawn to each other as they are: of `-ln <p, q>` each has half the derivative.
    pub(super) fn loss(&self, weights: Weights) -> (f64, [[Vec<f64>; 3]; 2]) {
        let [first, second] = &self.views;
        let (apart, of_shares) = self.align(&first[0], &second[0]);
        let mut value = weights.align * apart;
        let mut gradients = of_shares.map(|shares| [scaled(shares, weights.align), vec![], vec![]]);
        for (view, gradients) in self.views.iter().zip(&mut gradients) {
            let (unused, of_presence) = unused(&view[1], self.prototypes);
            let (wrong, of_sums) = wrong(&view[2], self.labels);
            value += 0.5 * (weights.tanh * unused + weights.classes * wrong);
            gradients[1] = scaled(of_presence, 0.5 * weights.tanh);
            gradients[2] = scaled(of_sums, 0.5 * weights.classes);
        }
        (value, gradients)
    }

    /// The mean over positions of `-ln <p, q>`, and half its gradients: each by its own view, with the other held (Nauta et al. 2023, eq. 1).
    fn align(&self, p: &[f64], q: &[f64]) -> (f64, [Vec<f64>; 2]) {
        let (mut value, mut gradients) = (0.0, [vec![0.0; p.len()], vec![0.0; q.len()]]);
        let picture = (self.prototypes * self.positions).max(1);
        let count = (p.len() / self.prototypes.max(1)).max(1) as f64;
        for first in (0..p.len()).step_by(picture) {
            for position in first..first + self.positions {
                let cells = || (position..first + picture).step_by(self.positions.max(1));
                let product: f64 = cells().map(|at| p[at] * q[at]).sum::<f64>() + LITTLE;
                value -= product.ln() / count;
                for at in cells() {
                    gradients[0][at] = -0.5 * q[at] / product / count;
                    gradients[1][at] = -0.5 * p[at] / product / count;
                }
            }
        }
        (value, gradients)
    }
}

fn scaled(numbers: Vec<f64>, by: f64) -> Vec<f64> {
    numbers.into_iter().map(|number| by * number).collect()
}

/// The mean over prototypes of `-ln tanh` of what all pictures together have of it, (N, P) (eq. 2).
fn unused(presence: &[f64], prototypes: usize) -> (f64, Vec<f64>) {
    let mut sums = vec![0.0; prototypes];
    for row in presence.chunks_exact(prototypes.max(1)) {
        sums.iter_mut().zip(row).for_each(|(sum, there)| *sum += there);
    }
    let count = prototypes.max(1) as f64;
    let tanhs: Vec<f64> = sums.iter().map(|sum| sum.tanh()).collect();
    let value = tanhs.iter().map(|tanh| -(tanh + LITTLE).ln()).sum::<f64>() / count;
    let slopes: Vec<f64> = tanhs.iter().map(|tanh| -(1.0 - tanh * tanh) / (tanh + LITTLE) / count).collect();
    (value, (0..presence.len()).map(|at| slopes[at % prototypes.max(1)]).collect())
}

/// What a class scores by its sum: `ln(1 + s^2)`, and its derivative.
fn score(sum: f64) -> [f64; 2] {
    [(sum * sum).ln_1p(), 2.0 * sum / (1.0 + sum * sum)]
}

/// The mean cross-entropy of the softmax of scores, of sums (N, K).
fn wrong(sums: &[f64], labels: &[u32]) -> (f64, Vec<f64>) {
    let (mut value, mut gradient) = (0.0, vec![]);
    let width = sums.len() / labels.len().max(1);
    let share = 1.0 / labels.len().max(1) as f64;
    for (row, &label) in sums.chunks_exact(width.max(1)).zip(labels) {
        let scores: Vec<[f64; 2]> = row.iter().map(|&sum| score(sum)).collect();
        let most = scores.iter().map(|score| score[0]).fold(f64::MIN, f64::max);
        let all: f64 = scores.iter().map(|score| (score[0] - most).exp()).sum();
        for (class, [score, slope]) in scores.into_iter().enumerate() {
            let (chance, is_it) = ((score - most).exp() / all, class == label as usize);
            value -= if is_it { share * (score - most - all.ln()) } else { 0.0 };
            gradient.push(share * (chance - f64::from(u8::from(is_it))) * slope);
        }
    }
    (value, gradient)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Weights = Weights { align: 0.0, tanh: 0.0, classes: 0.0 };

    fn views(shares: [Vec<f64>; 2], presence: Vec<f64>, sums: Vec<f64>, prototypes: usize) -> Views<'static> {
        let positions = shares[0].len() / prototypes;
        let view = |shares: Vec<f64>| [shares, presence.clone(), sums.clone()];
        Views { labels: &[0], prototypes, positions, views: shares.map(view) }
    }

    // Of equal one-hot shares 0; of even shares of four, -ln(4 / 16) = ln 4.
    #[test]
    fn views_that_agree() {
        let of = |shares: Vec<f64>| {
            let views = views([shares.clone(), shares], vec![1.0; 4], vec![0.0; 2], 4);
            views.loss(Weights { align: 1.0, ..NONE }).0
        };
        assert!(of(vec![1.0, 0.0, 0.0, 0.0]).abs() < 1e-6);
        assert!((of(vec![0.25; 4]) - 1.386_294).abs() < 1e-5);
        // Two positions: at one they agree, at the other they are even.
        assert!((of(vec![1.0, 0.25, 0.0, 0.25, 0.0, 0.25, 0.0, 0.25]) - 1.386_294 / 2.0).abs() < 1e-5);
    }

    // -ln tanh(1), where a batch has of every prototype 1 in sum.
    #[test]
    fn every_prototype_is_used() {
        assert!((unused(&[0.25, 0.5, 0.75, 0.5], 2).0 - 0.272_341).abs() < 1e-6);
    }

    // ln(1 + 3^2); a class alone against one of 0 is right with 10 to 1.
    #[test]
    fn scores_of_classes() {
        assert!((score(3.0)[0] - std::f64::consts::LN_10).abs() < 1e-12);
        assert!((wrong(&[3.0, 0.0], &[0]).0 - (11.0f64 / 10.0).ln()).abs() < 1e-12);
    }

    #[test]
    fn gradients_are_central_differences() {
        let waves = |count: usize, step: f64| (0..count).map(|at| 0.5 + 0.3 * (step * at as f64).sin()).collect();
        let numbers: [[Vec<f64>; 3]; 2] = [
            [waves(2 * 3 * 4, 0.7), waves(2 * 3, 0.9), waves(2 * 5, 1.1)],
            [waves(2 * 3 * 4, 1.7), waves(2 * 3, 1.9), waves(2 * 5, 2.1)],
        ];
        let weights = Weights { align: 1.3, tanh: 0.7, classes: 2.0 };
        let make = |views| Views { labels: &[4, 1], prototypes: 3, positions: 4, views };
        let (_, found) = make(numbers.clone()).loss(weights);
        for view in 0..2 {
            for part in 0..3 {
                for at in 0..numbers[view][part].len() {
                    let moved = |by: f64| {
                        let mut moved = numbers.clone();
                        moved[view][part][at] += by;
                        make(moved).loss(weights).0
                    };
                    // Of what both views share, each has half.
                    let half = if part == 0 { 0.5 } else { 1.0 };
                    let slope = half * (moved(1e-6) - moved(-1e-6)) / 2e-6;
                    let found = found[view][part][at];
                    assert!((found - slope).abs() < 1e-7, "{view} {part} {at}: {found}, not {slope}");
                }
            }
        }
    }
}
