//! What a metric says of a method.

use std::collections::BTreeMap;

use interp_net::finding::{Better, Number, mean_interval};
use serde::Serialize;

/// What a metric says of a method.
#[derive(Clone, Debug, Default)]
pub struct Scores {
    /// Numbers of each picture; none where the metric does not apply to the method.
    pub columns: Vec<Column>,
    /// Curves of each picture.
    pub curves: Vec<Curve>,
    /// Of a test that methods pass or fail.
    pub verdict: Option<Verdict>,
}

/// A number of each picture.
#[derive(Clone, Debug)]
pub struct Column {
    /// What is measured, in the words of the metric.
    pub name: String,
    /// Which direction is the good one; neither, where a map that knows nothing of the network would be the best.
    pub better: Better,
    /// What is expected of maps that say nothing.
    pub null: Option<f64>,
    /// Picture by picture; `None` where there is no such number, as of the correlation with what is constant.
    pub values: Vec<Option<f64>>,
}

/// How often an explanation is better than another: on so many pictures, and so many classes, of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Above {
    /// Pictures.
    pub pictures: [usize; 2],
    /// Classes, by the mean over their pictures.
    pub classes: [usize; 2],
}

/// A curve of each picture.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What it shows.
    pub name: &'static str,
    /// What x is.
    pub along: &'static str,
    /// Where it was measured.
    pub x: Vec<f64>,
    /// Picture by picture, at every x.
    pub values: Vec<Vec<Option<f64>>>,
}

/// How a method does in a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The whole 95 % interval lies on the good side.
    Passes,
    /// It lies on the other.
    Fails,
    /// These pictures do not tell.
    Open,
}

impl Column {
    /// Its mean over the pictures that have the number, with the 95 % interval of that mean over pictures (bootstrap), which one picture does not have;
    /// `None` where none has the number.
    pub fn number(&self) -> Option<Number> {
        let number = mean_of(&self.values, self.better)?;
        Some(Number { null: self.null, ..number })
    }

    /// Pictures without the number.
    pub fn undefined(&self) -> usize {
        self.values.iter().filter(|value| value.is_none()).count()
    }

    /// How much better it is than another: the mean over the pictures that have both of the difference on each, above 0 where this one is
    /// better, with the 95 % interval of that mean. `None` where neither direction is the good one.
    pub fn beyond(&self, other: &Self) -> Option<Number> {
        mean_of(&self.differences(other)?, Better::Higher)
    }

    /// On how many pictures it is better than another, of those that have both; and of how many classes it is in the mean over theirs, `classes` being that
    /// of each picture. `None` where neither direction is the good one, or no picture has both.
    pub fn above(&self, other: &Self, classes: &[usize]) -> Option<Above> {
        let found = self.differences(other)?.into_iter().zip(classes);
        let found: Vec<(f64, usize)> = found.filter_map(|(value, &class)| Some((value?, class))).collect();
        let mut sums: BTreeMap<usize, f64> = BTreeMap::new();
        found.iter().for_each(|(value, class)| *sums.entry(*class).or_default() += value);
        let better = |values: &mut dyn Iterator<Item = f64>| values.filter(|&value| value > 0.0).count();
        let pictures = [better(&mut found.iter().map(|(value, _)| *value)), found.len()];
        let classes = [better(&mut sums.values().copied()), sums.len()];
        (!found.is_empty()).then_some(Above { pictures, classes })
    }

    /// How much better it is than another, picture by picture.
    fn differences(&self, other: &Self) -> Option<Vec<Option<f64>>> {
        let sign = match self.better {
            Better::Higher => 1.0,
            Better::Lower => -1.0,
            Better::Neither => return None,
        };
        let difference = |(own, other): (&Option<f64>, &Option<f64>)| Some(sign * ((*own)? - (*other)?));
        Some(self.values.iter().zip(&other.values).map(difference).collect())
    }
}

impl Curve {
    /// The mean over pictures: points `[x, y]`, without those that no picture has.
    pub fn mean(&self) -> Vec<[f64; 2]> {
        let at = |(at, &x): (usize, &f64)| {
            let values: Vec<f64> = self.values.iter().filter_map(|curve| curve[at]).collect();
            (!values.is_empty()).then(|| [x, values.iter().sum::<f64>() / values.len() as f64])
        };
        self.x.iter().enumerate().filter_map(at).collect()
    }
}

impl Verdict {
    /// Whether numbers that should be below `bound` are: by the 95 % interval of their mean over pictures. Of none it is open, as of one.
    pub(super) fn below(bound: f64, values: &[Option<f64>]) -> Self {
        match mean_of(values, Better::Lower).and_then(|number| number.interval) {
            Some([_, high]) if high < bound => Self::Passes,
            Some([low, _]) if low > bound => Self::Fails,
            _ => Self::Open,
        }
    }
}

fn mean_of(values: &[Option<f64>], better: Better) -> Option<Number> {
    let defined: Vec<f64> = values.iter().copied().flatten().collect();
    let mean = defined.iter().sum::<f64>() / defined.len() as f64;
    let number = Number::new(mean, "", better);
    match defined.len() {
        0 => None,
        1 => Some(number),
        _ => {
            let [low, high] = mean_interval(&defined);
            Some(number.with_interval(low, high))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(better: Better, values: &[Option<f64>]) -> Column {
        Column { name: "one".into(), better, null: None, values: values.to_vec() }
    }

    #[test]
    fn means_and_differences_by_hand() {
        let own = column(Better::Lower, &[Some(1.0), None, Some(3.0)]);
        let other = column(Better::Lower, &[Some(2.0), Some(9.0), Some(6.0)]);
        assert_eq!((own.number().unwrap().value, own.undefined()), (2.0, 1));
        let beyond = own.beyond(&other).unwrap();
        assert_eq!((beyond.value, beyond.interval), (2.0, Some([1.0, 3.0])));
        assert_eq!(column(Better::Higher, &own.values).beyond(&other).unwrap().value, -2.0);
        assert!(column(Better::Neither, &own.values).beyond(&other).is_none());
        // Better by 1 and 3 of classes 0 and 1; of class 2, by -2 and 1, in the mean it is not.
        let own = column(Better::Higher, &[Some(1.0), Some(3.0), Some(-2.0), Some(1.0), None]);
        let none = column(Better::Higher, &[Some(0.0); 5]);
        let expected = Above { pictures: [3, 4], classes: [2, 3] };
        assert_eq!(own.above(&none, &[0, 1, 2, 2, 3]), Some(expected));
        assert_eq!(column(Better::Higher, &[None]).above(&none, &[0]), None);
        assert!(column(Better::Lower, &[None]).number().is_none());
        let curve = Curve {
            name: "one",
            along: "x",
            x: vec![0.0, 0.5, 1.0],
            values: vec![vec![Some(1.0), None, None], vec![Some(3.0), Some(4.0), None]],
        };
        assert_eq!(curve.mean(), [[0.0, 2.0], [0.5, 4.0]]);
    }

    #[test]
    fn verdicts_need_the_whole_interval() {
        let of = |values: &[f64]| Verdict::below(0.5, &values.iter().copied().map(Some).collect::<Vec<_>>());
        assert_eq!([of(&[0.1; 9]), of(&[0.9; 9])], [Verdict::Passes, Verdict::Fails]);
        assert_eq!([of(&[0.0, 1.0]), of(&[0.1]), of(&[])], [Verdict::Open; 3]);
        assert_eq!(column(Better::Lower, &[Some(2.0), None]).number().unwrap().interval, None);
    }
}
