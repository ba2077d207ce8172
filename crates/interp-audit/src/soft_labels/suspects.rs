//! Labels that may be wrong.

use interp_net::ops::scalars::largest;

use crate::Answers;

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
/// All `answers` must be of the same pictures in the same order; those that are not at the same place in all are left out.
pub fn suspects(answers: &[Answers]) -> Vec<Suspect> {
    let Some((first, others)) = answers.split_first() else { return vec![] };
    let told =
        |answers: &'_ Answers| answers.indices.clone().into_iter().zip(answers.probabilities(1.0).collect::<Vec<_>>());
    let mut others: Vec<_> = others.iter().map(told).collect();
    let mut found = vec![];
    for (index, (label, p)) in told(first) {
        let mut all = vec![p];
        let same = others.iter_mut().filter_map(Iterator::next).filter(|(other, _)| *other == index);
        all.extend(same.map(|(_, (_, p))| p));
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
