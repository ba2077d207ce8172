//! Weights of classes in a loss.

use crate::{Dataset, Split};

/// Weights that make rare classes count as much as frequent ones: N / (K n_c), with N pictures in the
/// split, K classes that have any, and n_c pictures of class c; 0 for a class without pictures. Their
/// mean over the pictures is 1. Source: `class_weight="balanced"` of scikit-learn, after G. King and
/// L. Zeng (2001).
pub fn class_weights(dataset: &dyn Dataset, split: Split) -> Vec<f32> {
    let mut counts = vec![0_usize; dataset.info().classes.len()];
    (0..dataset.len(split)).for_each(|index| counts[dataset.label(split, index) as usize] += 1);
    let present = counts.iter().filter(|&&count| count > 0).count();
    let weight = |&count: &usize| match count {
        0 => 0.0,
        _ => dataset.len(split) as f32 / (present * count) as f32,
    };
    counts.iter().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Info;
    use crate::memory::{InMemory, Part};

    #[test]
    fn weights_are_inverse_to_the_counts() {
        let info = Info {
            name: "test".into(),
            classes: ["a", "b", "c"].map(String::from).to_vec(),
            channels: 1,
            height: 1,
            width: 1,
            mean: vec![0.0],
            std: vec![1.0],
        };
        let train = Part::eight(vec![0; 8], vec![0, 0, 0, 0, 0, 0, 2, 2]);
        let dataset = InMemory::new(info, "test", train, Part::empty(), Part::empty()).unwrap();
        assert_eq!(class_weights(&dataset, Split::Train), [8.0 / 12.0, 0.0, 2.0]);
        assert_eq!(class_weights(&dataset, Split::Test), [0.0; 3]);
    }
}
