//! A data set for a network that was trained with another normalization, or other numbers for its classes.

use std::path::Path;
use std::sync::Arc;

use crate::{Dataset, Factor, Info, Result, Split, Truth};

/// The same pictures, with mean and deviation (per channel) of a network's own.
pub fn renormalized(data: Arc<dyn Dataset>, mean: &[f32], std: &[f32]) -> Arc<dyn Dataset> {
    let info = Info { mean: mean.to_vec(), std: std.to_vec(), ..data.info().clone() };
    let labels = (0..info.classes.len() as u32).collect();
    Arc::new(SeenAs { data, info, labels })
}

/// The same pictures, with `classes` for theirs, where both have the same names in other orders (folders have them by the alphabet); else what is
/// given.
pub fn relabeled(data: Arc<dyn Dataset>, classes: &[String]) -> Arc<dyn Dataset> {
    let own = &data.info().classes;
    let place = |name: &String| Some(classes.iter().position(|class| class == name)? as u32);
    match own.iter().map(place).collect::<Option<Vec<u32>>>() {
        Some(labels) if is_order(&labels, classes.len()) && own != classes => {
            let info = Info { classes: classes.to_vec(), ..data.info().clone() };
            Arc::new(SeenAs { data, info, labels })
        }
        _ => data,
    }
}

/// Whether each of `count` numbers is there once.
fn is_order(numbers: &[u32], count: usize) -> bool {
    numbers.len() == count && (0..count as u32).all(|number| numbers.contains(&number))
}

struct SeenAs {
    data: Arc<dyn Dataset>,
    info: Info,
    /// Of each class of the data set.
    labels: Vec<u32>,
}

impl Dataset for SeenAs {
    fn info(&self) -> &Info {
        &self.info
    }

    fn len(&self, split: Split) -> usize {
        self.data.len(split)
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        let label = self.data.label(split, index);
        self.labels.get(label as usize).copied().unwrap_or(label)
    }

    fn image(&self, split: Split, index: usize, out: &mut [f32]) -> Result<()> {
        self.data.image(split, index, out)
    }

    fn truth(&self, split: Split, index: usize) -> Result<Option<Truth>> {
        self.data.truth(split, index)
    }

    fn factors(&self, split: Split, index: usize) -> Result<Vec<(&'static str, Factor)>> {
        self.data.factors(split, index)
    }

    fn file(&self, split: Split, index: usize) -> Option<&Path> {
        self.data.file(split, index)
    }

    fn group(&self, split: Split, index: usize) -> Option<&str> {
        self.data.group(split, index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of each class, in the order of classes.
    struct Each(Info);

    impl Dataset for Each {
        fn info(&self) -> &Info {
            &self.0
        }

        fn len(&self, _: Split) -> usize {
            self.0.classes.len()
        }

        fn label(&self, _: Split, index: usize) -> u32 {
            index as u32
        }

        fn image(&self, _: Split, _: usize, _: &mut [f32]) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn classes_have_the_numbers_of_their_names() {
        let classes = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let each = |names: &[&str]| -> Arc<dyn Dataset> {
            let (mean, std) = (vec![0.5], vec![1.0]);
            Arc::new(Each(Info {
                name: "each".into(),
                classes: classes(names),
                channels: 1,
                height: 1,
                width: 1,
                mean,
                std,
            }))
        };
        let labels = |data: &dyn Dataset| (0..3).map(|at| data.label(Split::Test, at)).collect::<Vec<_>>();
        let order = classes(&["dog", "ant", "cat"]);
        let found = relabeled(renormalized(each(&["ant", "cat", "dog"]), &[0.0], &[1.0]), &order);
        assert_eq!(
            (labels(found.as_ref()), &found.info().classes, &found.info().mean),
            (vec![1, 2, 0], &order, &vec![0.0])
        );
        let twice = relabeled(each(&["ant", "ant", "cat"]), &classes(&["ant", "cat", "cat"]));
        assert_eq!(labels(twice.as_ref()), [0, 1, 2]);
        let other = relabeled(each(&["ant", "cat", "eel"]), &order);
        assert_eq!((labels(other.as_ref()), &other.info().classes), (vec![0, 1, 2], &classes(&["ant", "cat", "eel"])));
    }
}
