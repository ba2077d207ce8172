//! The losses of prototypes and their gradients, on numbers.

use interp_net::ops::Likeness;

/// What steers prototypes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aim {
    pub(super) per_class: usize,
    pub(super) by: Likeness,
    pub(super) cluster: f64,
    pub(super) separation: f64,
}

/// A value, and its gradient by the numbers it is of, in their order.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) value: f64,
    pub(super) gradient: Vec<f64>,
}

impl Aim {
    /// Of how much pictures have of each prototype, (N, P): `cluster` times the mean squared distance to the nearest prototype of the own class, less
    /// `separation` times that to the nearest of another (Chen et al. 2019, eq. 1); of cosines the negative of both, of likeness (ProtoPNeXt).
    pub(super) fn loss(&self, rows: &[Vec<f64>], labels: &[u32]) -> Found {
        let mut found = Found::default();
        let share = 1.0 / rows.len().max(1) as f64;
        for (row, &label) in rows.iter().zip(labels) {
            let mut gradient = vec![0.0; row.len()];
            let is_own = |at: usize| at / self.per_class.max(1) == label as usize;
            for (wanted, weight) in [(true, self.cluster), (false, -self.separation)] {
                let most = (0..row.len()).filter(|&at| is_own(at) == wanted).max_by(|&a, &b| row[a].total_cmp(&row[b]));
                let Some(at) = most else { continue };
                let [value, slope] = self.distance(row[at]);
                found.value += share * weight * value;
                gradient[at] = share * weight * slope;
            }
            found.gradient.extend(gradient);
        }
        found
    }

    /// What a likeness counts as a distance, and the derivative.
    fn distance(&self, likeness: f64) -> [f64; 2] {
        match self.by {
            Likeness::L2 => [self.by.measured(likeness), 1.0 / self.by.slope(self.by.measured(likeness))],
            Likeness::Cosine => [-likeness, -1.0],
        }
    }
}

/// The sum of the sizes of weights (K, P) that lead from prototypes to other classes. The derivative at 0 is 0.
pub(super) fn off_class(weights: &[f32], width: usize, per_class: usize) -> Found {
    let mut found = Found::default();
    for (at, &weight) in weights.iter().enumerate() {
        let (class, prototype) = (at / width.max(1), at % width.max(1));
        let counts = prototype / per_class.max(1) != class;
        found.value += if counts { f64::from(weight.abs()) } else { 0.0 };
        found.gradient.push(if counts && weight != 0.0 { f64::from(weight.signum()) } else { 0.0 });
    }
    found
}

/// The mean over pairs of prototypes (P, D) of one class of their squared cosine: 0 where they are orthogonal, 1 where they are the same.
pub(super) fn common(prototypes: &[f32], width: usize, per_class: usize) -> Found {
    let rows: Vec<Vec<f64>> =
        prototypes.chunks_exact(width.max(1)).map(|row| row.iter().map(|&v| f64::from(v)).collect()).collect();
    let length = |row: &Vec<f64>| row.iter().map(|v| v * v).sum::<f64>().sqrt().max(SHORTEST);
    let unit: Vec<Vec<f64>> = rows.iter().map(|row| row.iter().map(|v| v / length(row)).collect()).collect();
    let mut found = Found { value: 0.0, gradient: vec![0.0; prototypes.len()] };
    let classes = rows.len() / per_class.max(1);
    let pairs = (classes * per_class * per_class.saturating_sub(1)) as f64;
    for one in 0..rows.len() {
        let class = one / per_class.max(1) * per_class;
        for other in (class..class + per_class).filter(|&other| other != one && other < rows.len()) {
            let cosine: f64 = unit[one].iter().zip(&unit[other]).map(|(a, b)| a * b).sum();
            found.value += cosine * cosine / pairs;
            // Both orders of a pair are counted, and each moves both prototypes: twice the derivative by the first.
            let factor = 4.0 * cosine / pairs / length(&rows[one]);
            let gradient = &mut found.gradient[one * width..(one + 1) * width];
            for (to, (a, b)) in gradient.iter_mut().zip(unit[one].iter().zip(&unit[other])) {
                *to += factor * (b - cosine * a);
            }
        }
    }
    found
}

/// The length below which a vector counts as one of this length.
const SHORTEST: f64 = 1e-8;

#[cfg(test)]
mod tests {
    use super::*;

    fn aim(by: Likeness) -> Aim {
        Aim { per_class: 2, by, cluster: 0.8, separation: 0.08 }
    }

    // Two classes of two prototypes. At a distance of 0 to one of its own, and of 1 to the nearest other, the loss is 0.8 * 0 - 0.08 * 1.
    #[test]
    fn near_to_the_own_class_and_far_from_others() {
        let likeness = |squared: f64| ((squared + 1.0) / (squared + 1e-4)).ln();
        let rows = [[0.0, 5.0, 4.0, 1.0].map(likeness).to_vec(), [3.0, 9.0, 2.0, 7.0].map(likeness).to_vec()];
        let found = aim(Likeness::L2).loss(&rows, &[0, 1]);
        let expected = (0.8 * 0.0 - 0.08 * 1.0 + 0.8 * 2.0 - 0.08 * 3.0) / 2.0;
        assert!((found.value - expected).abs() < 1e-9, "{}", found.value);
        // Of cosines, signs are the other way.
        let rows = [vec![0.9, 0.2, 0.3, 0.5]];
        let found = aim(Likeness::Cosine).loss(&rows, &[0]);
        assert!((found.value - (-0.8 * 0.9 + 0.08 * 0.5)).abs() < 1e-12);
        assert_eq!(found.gradient, [-0.8, 0.0, 0.0, 0.08]);
    }

    #[test]
    fn gradients_of_nearness_are_central_differences() {
        for by in [Likeness::L2, Likeness::Cosine] {
            let rows: Vec<Vec<f64>> =
                (0..3).map(|n| (0..6).map(|p| 0.5 + 0.4 * ((6 * n + p) as f64 * 1.7).sin()).collect()).collect();
            let labels = [2, 0, 1];
            let found = aim(by).loss(&rows, &labels);
            for (at, gradient) in found.gradient.iter().enumerate() {
                let moved = |by_much: f64| {
                    let mut moved = rows.clone();
                    moved[at / 6][at % 6] += by_much;
                    aim(by).loss(&moved, &labels).value
                };
                let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                assert!((gradient - slope).abs() < 1e-6 * (1.0 + slope.abs()), "{by:?} {at}: {gradient}, not {slope}");
            }
        }
    }

    // Of two classes with one prototype each, 1 and -0.5, -0.25 and 1: what leads to others is 0.75 in size.
    #[test]
    fn what_leads_to_other_classes() {
        let found = off_class(&[1.0, -0.5, -0.25, 1.0], 2, 1);
        assert_eq!((found.value, found.gradient), (0.75, vec![0.0, -1.0, -1.0, 0.0]));
        assert_eq!(off_class(&[1.0, 0.0], 2, 1).gradient, [0.0, 0.0]);
    }

    // Of one class (1, 0) and (1, 1) have a cosine of 1/sqrt(2); the other class's are orthogonal: of two pairs the mean square is 1/4.
    #[test]
    fn what_prototypes_of_a_class_have_in_common() {
        let prototypes = [1.0f32, 0.0, 1.0, 1.0, 0.0, 2.0, 3.0, 0.0];
        assert!((common(&prototypes, 2, 2).value - 0.25).abs() < 1e-12);
        assert_eq!(common(&[1.0, 2.0], 2, 1).value, 0.0, "one prototype has no other");
        let prototypes: Vec<f32> = (0..12).map(|at| 0.5 + 0.4 * (at as f32 * 1.7).sin()).collect();
        let found = common(&prototypes, 2, 3);
        for (at, gradient) in found.gradient.iter().enumerate() {
            let moved = |by: f32| {
                let mut moved = prototypes.clone();
                moved[at] += by;
                common(&moved, 2, 3).value
            };
            let step = 1e-3f32;
            let slope = (moved(step) - moved(-step)) / f64::from(2.0 * step);
            assert!((gradient - slope).abs() < 1e-4, "{at}: {gradient}, not {slope}");
        }
    }
}
