//! How good a classifier's probabilities are: right classes, and right confidences.

use interp_net::finding::or_nan;
use interp_net::ops::scalars::largest;
use serde::{Deserialize, Serialize};

use crate::Answers;

/// Bins of confidence that [`Calibration::ece`] is taken over (Guo et al. 2017).
const BINS: usize = 15;
/// Between which temperatures the best one is looked for.
const TEMPERATURES: [f64; 2] = [0.01, 100.0];
/// Newton steps of that search; it converges in a few.
const STEPS: usize = 100;

/// How well classes are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Share of pictures whose label has the largest logit.
    pub top1: f64,
    /// Share of pictures whose label is among the five largest logits.
    pub top5: f64,
    /// The class that is told worst, and the share of its pictures that are told rightly.
    pub worst: (usize, f64),
    /// The mean over classes of F1, the harmonic mean of precision and recall.
    pub macro_f1: f64,
    /// Confidences as they are.
    pub calibration: Calibration,
    /// The temperature that confidences are best at on validation, and what they are then; not there where the surer the network, or the less sure, the
    /// better, as where it is right on every picture of validation.
    pub scaled: Option<(f64, Calibration)>,
}

/// How far confidences, of softmax, are to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Expected calibration error: the mean distance of confidence and accuracy, over 15 bins of confidence (Guo et al. 2017, eq. 3).
    #[serde(deserialize_with = "or_nan")]
    pub ece: f64,
    /// The mean squared distance of probabilities from the truth, over all classes, 0 to 2 (Brier 1950).
    #[serde(deserialize_with = "or_nan")]
    pub brier: f64,
    /// The mean negative logarithm of the label's probability, in nats.
    #[serde(deserialize_with = "or_nan")]
    pub nll: f64,
}

impl Quality {
    /// Of answers to at least one picture; the temperature is that which suits the answers on `validation` best.
    pub fn of(answers: &Answers, validation: Option<&Answers>) -> Self {
        let count = answers.labels.len().max(1) as f64;
        let rows = || answers.logits.chunks_exact(answers.classes.max(1)).zip(&answers.labels);
        let among = |most: usize| rows().filter(|(row, label)| rank(row, **label) < most).count() as f64 / count;
        let taken = answers.taken();
        let best = validation.filter(|answers| !answers.labels.is_empty()).and_then(best_temperature);
        let scaled = best.map(|temperature| (temperature, Calibration::of(answers, temperature)));
        Self {
            top1: among(1),
            top5: among(5),
            worst: worst(&taken),
            macro_f1: macro_f1(&taken),
            calibration: Calibration::of(answers, 1.0),
            scaled,
        }
    }
}

impl Calibration {
    /// At a temperature.
    pub fn of(answers: &Answers, temperature: f64) -> Self {
        let (mut brier, mut nll, mut bins) = (0.0, 0.0, [(0.0, 0.0); BINS]);
        for (label, logs) in answers.logarithms(temperature) {
            let p: Vec<f64> = logs.iter().copied().map(f64::exp).collect();
            let class = largest(&logs);
            let square = |(k, p): (usize, &f64)| (p - f64::from(u8::from(k == label))).powi(2);
            brier += p.iter().enumerate().map(square).sum::<f64>();
            nll -= logs[label];
            // Bins have their upper end: the first is up to 1/15.
            let bin = ((p[class] * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
            bins[bin].0 += p[class];
            bins[bin].1 += f64::from(u8::from(class == label));
        }
        let count = answers.labels.len().max(1) as f64;
        let ece = bins.iter().map(|(confidence, right)| (confidence - right).abs()).sum::<f64>() / count;
        Self { ece, brier: brier / count, nll: nll / count }
    }
}

/// How many classes have a larger logit than the label, or the same and a smaller number.
fn rank(logits: &[f32], label: usize) -> usize {
    let before = |&(k, logit): &(usize, &f32)| *logit > logits[label] || (*logit == logits[label] && k < label);
    logits.iter().enumerate().filter(before).count()
}

fn worst(taken: &[Vec<usize>]) -> (usize, f64) {
    let all = |class: usize| taken[class].iter().sum::<usize>();
    let share = |class: usize| taken[class][class] as f64 / all(class) as f64;
    let present = (0..taken.len()).filter(|&class| all(class) > 0);
    present.map(|class| (class, share(class))).min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default()
}

/// Over the classes that have pictures.
fn macro_f1(taken: &[Vec<usize>]) -> f64 {
    let all = |class: usize| taken[class].iter().sum::<usize>();
    let told = |class: usize| taken.iter().map(|row| row[class]).sum::<usize>();
    let present: Vec<usize> = (0..taken.len()).filter(|&class| all(class) > 0).collect();
    let f1 = |&class: &usize| 2.0 * taken[class][class] as f64 / (all(class) + told(class)) as f64;
    present.iter().map(f1).sum::<f64>() / present.len().max(1) as f64
}

/// The temperature of the smallest mean negative log-likelihood (Guo et al. 2017, section 4.2). In 1/T that is convex: Newton's steps, and where one leaves
/// the bracket of the minimum, its middle. `None` where the minimum lies outside.
fn best_temperature(answers: &Answers) -> Option<f64> {
    let [mut low, mut high] = [1.0 / TEMPERATURES[1], 1.0 / TEMPERATURES[0]];
    if slope(answers, low)[0] >= 0.0 || slope(answers, high)[0] <= 0.0 {
        return None;
    }
    let mut inverse = 1.0;
    for _ in 0..STEPS {
        let [slope, curvature] = slope(answers, inverse);
        if slope > 0.0 {
            high = inverse
        } else {
            low = inverse
        }
        let next = inverse - slope / curvature;
        let next = if next > low && next < high { next } else { (low + high) / 2.0 };
        if (next - inverse).abs() <= 1e-10 * inverse {
            break;
        }
        inverse = next;
    }
    Some(1.0 / inverse)
}

/// First and second derivative of the mean negative log-likelihood in `1/T`: `E_p z - z_y`, and the variance of z under p.
fn slope(answers: &Answers, inverse: f64) -> [f64; 2] {
    let rows = answers.logits.chunks_exact(answers.classes.max(1));
    let (mut first, mut second) = (0.0, 0.0);
    for (row, (label, p)) in rows.zip(answers.probabilities(1.0 / inverse)) {
        let moment = |power: i32| p.iter().zip(row).map(|(p, z)| p * f64::from(*z).powi(power)).sum::<f64>();
        let mean = moment(1);
        first += mean - f64::from(row[label]);
        second += moment(2) - mean * mean;
    }
    let count = answers.labels.len().max(1) as f64;
    [first / count, second / count]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(classes: usize, pictures: &[(usize, Vec<f32>)]) -> Answers {
        Answers {
            classes,
            logits: pictures.iter().flat_map(|(_, logits)| logits.clone()).collect(),
            labels: pictures.iter().map(|(label, _)| *label).collect(),
            indices: (0..pictures.len()).collect(),
        }
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    /// Ten pictures that class 0 has a probability of 0.9 for, six of them rightly.
    fn sure() -> Answers {
        let logits = vec![9f32.ln(), 0.0];
        answers(2, &(0..10).map(|at| (usize::from(at >= 6), logits.clone())).collect::<Vec<_>>())
    }

    // The distance of 0.9 and 0.6; squares 2 x 0.1^2 where right and 2 x 0.9^2 where not; -ln 0.9 and -ln 0.1.
    #[test]
    fn a_confidence_that_is_too_high() {
        let found = Calibration::of(&sure(), 1.0);
        assert!(near(found.ece, 0.3), "{found:?}");
        assert!(near(found.brier, 0.6 * 0.02 + 0.4 * 1.62), "{found:?}");
        assert!(near(found.nll, -0.6 * 0.9f64.ln() - 0.4 * 0.1f64.ln()), "{found:?}");
    }

    // Confidences are right where sigmoid(ln 9 / T) = 0.6: T = ln 9 / ln 1.5. Then nothing is left of the error, and the likelihood is that of a
    // coin of 0.6.
    #[test]
    fn the_best_temperature_by_hand() {
        let found = Quality::of(&sure(), Some(&sure()));
        let (temperature, scaled) = found.scaled.unwrap();
        assert!(near(temperature, 9f64.ln() / 1.5f64.ln()), "{temperature}");
        assert!(scaled.ece < 1e-6 && near(scaled.nll, -0.6 * 0.6f64.ln() - 0.4 * 0.4f64.ln()), "{scaled:?}");
        // All right: the surer the better, without an end. All wrong: the less sure.
        for labels in [[0, 1], [1, 0]] {
            let all = answers(2, &[(labels[0], vec![1.0, 0.0]), (labels[1], vec![0.0, 1.0])]);
            assert_eq!(Quality::of(&all, Some(&all)).scaled, None);
        }
        // A gap of 10 at a hundredth is 1000 nats.
        assert!(near(Calibration::of(&answers(2, &[(0, vec![0.0, 10.0])]), 0.01).nll, 1000.0));
    }

    // Errors of opposite sign within a bin cancel, those of two bins do not.
    #[test]
    fn bins_are_apart() {
        let of = |p: f32, label: usize| (label, vec![(p / (1.0 - p)).ln(), 0.0]);
        let one = answers(2, &[of(0.7, 0), of(0.7, 1)]);
        assert!(near(Calibration::of(&one, 1.0).ece, 0.2));
        let two = answers(2, &[of(0.7, 0), of(0.95, 1)]);
        assert!(near(Calibration::of(&two, 1.0).ece, (0.3 + 0.95) / 2.0));
    }

    // Seven classes. Label 0 is first, second and seventh of the logits; label 1 once, as the first of equals, which is 0's in its place.
    #[test]
    fn ranks_and_classes_by_hand() {
        let row = |values: [f32; 7]| values.to_vec();
        let found = Quality::of(
            &answers(
                7,
                &[
                    (0, row([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0])),
                    (0, row([8.0, 9.0, 7.0, 6.0, 5.0, 4.0, 3.0])),
                    (0, row([0.0, 9.0, 7.0, 6.0, 5.0, 4.0, 3.0])),
                    (1, row([5.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0])),
                ],
            ),
            None,
        );
        assert_eq!((found.top1, found.top5, found.worst, found.scaled), (0.25, 0.75, (1, 0.0), None));
        // F1 of class 0: 2 x 1 right over 3 there and 2 told; of class 1 nothing.
        assert!(near(found.macro_f1, 0.2), "{found:?}");
    }
}
