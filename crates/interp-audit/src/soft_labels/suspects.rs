//! Labels that may be wrong.

use crate::answers::{Answers, largest};

/// A picture with what networks think of its label.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    /// Its position in the split.
    pub index: usize,
    /// Its label.
    pub label: usize,
    /// The likeliest other class, by the mean of the networks' probabilities.
    pub class: usize,
    /// The mean probability of the label.
    pub of_label: f64,
    /// The mean probability of that class.
    pub of_class: f64,
    /// Whether every network takes the picture for that class.
    pub agreed: bool,
}

impl Suspect {
    /// How much likelier the other class is than the label, in -1 to 1. Above 0 the networks contradict the label.
    pub fn suspicion(&self) -> f64 {
        self.of_class - self.of_label
    }
}

/// All pictures, those first whose label the networks contradict most: a teacher's answers, and a student's where there is one. The probabilities are
/// those at temperature 1.
///
/// A network that learned the labels by heart contradicts none of them: it must not have seen the pictures, or not learned them to the end.
/// All `answers` must be of the same pictures in the same order; pictures that only some have are left out.
pub fn suspects(answers: &[Answers]) -> Vec<Suspect> {
    let Some((first, others)) = answers.split_first() else { return vec![] };
    let mut others: Vec<_> = others.iter().map(|other| other.probabilities(1.0)).collect();
    let mut found = vec![];
    for ((label, p), &index) in first.probabilities(1.0).zip(&first.indices) {
        let mut all = vec![p];
        all.extend(others.iter_mut().filter_map(|other| other.next()).map(|(_, p)| p));
        if all.len() == answers.len() {
            found.push(suspect(index, label, &all));
        }
    }
    found.sort_by(|a, b| b.suspicion().total_cmp(&a.suspicion()));
    found
}

fn suspect(index: usize, label: usize, all: &[Vec<f64>]) -> Suspect {
    let mean = |class: usize| all.iter().map(|p| p[class]).sum::<f64>() / all.len() as f64;
    let mut means: Vec<f64> = (0..all[0].len()).map(mean).collect();
    let of_label = means[label];
    means[label] = f64::NEG_INFINITY;
    let class = largest(&means);
    // Of a network with one class there is no other.
    let of_class = means[class].max(0.0);
    Suspect { index, label, class, of_label, of_class, agreed: all.iter().all(|p| largest(p) == class) }
}
