//! Which classes a network takes for which.

use interp_audit::Answers;

/// How often each class, by row, was taken for each class, by column.
pub(super) struct Confusion {
    counts: Vec<Vec<usize>>,
}

impl Confusion {
    /// Of what a network tells.
    pub(super) fn of(answers: &Answers) -> Self {
        Self { counts: answers.taken() }
    }

    /// Pictures of a class.
    pub(super) fn pictures(&self, class: usize) -> usize {
        self.counts[class].iter().sum()
    }

    /// Share of a class's pictures that are taken for another class `other`, or for itself.
    pub(super) fn share(&self, class: usize, other: usize) -> f64 {
        self.counts[class][other] as f64 / self.pictures(class).max(1) as f64
    }

    /// The wrong class that pictures of a class are most often taken for; nothing where all are right.
    pub(super) fn mistake(&self, class: usize) -> Option<usize> {
        let wrong = |&other: &usize| other != class && self.counts[class][other] > 0;
        (0..self.counts.len()).rev().filter(wrong).max_by_key(|&other| self.counts[class][other])
    }

    /// The classes that have pictures, the one least often right first.
    pub(super) fn worst_first(&self) -> Vec<usize> {
        let mut classes: Vec<usize> = (0..self.counts.len()).filter(|&class| self.pictures(class) > 0).collect();
        classes.sort_by(|&a, &b| self.share(a, a).total_cmp(&self.share(b, b)));
        classes
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    // Of class 0 one in two is right, of class 1 two in three, class 2 has no picture.
    #[test]
    fn counts_by_hand() {
        let rows: [[f32; 3]; 5] = [[1.0, 0.0, 0.0], [0.0, 1.0, 2.0], [0.0, 5.0, 1.0], [0.0, 1.0, 1.0], [3.0, 1.0, 0.0]];
        let mut answers = Answers::new(3);
        answers.add(&[0, 0, 1, 1, 1], &[0, 1, 2, 3, 4], &Tensor::new(&rows, &Device::Cpu).unwrap()).unwrap();
        let confusion = Confusion::of(&answers);
        assert_eq!([0, 1, 2].map(|class| confusion.pictures(class)), [2, 3, 0]);
        assert_eq!((confusion.share(0, 0), confusion.share(1, 1)), (0.5, 2.0 / 3.0));
        assert_eq!([0, 1, 2].map(|class| confusion.mistake(class)), [Some(2), Some(0), None]);
        assert_eq!(confusion.worst_first(), [0, 1]);
    }
}
