//! What a metric says of all methods.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use interp_audit::metrics::{Above, Column, Scores};
use interp_finding::{Better, Number};
use serde_json::{Map, Value, json};

use super::Found;
use crate::Result;

/// What a metric says, and how long it took.
pub(super) struct Measured {
    pub(super) name: String,
    pub(super) settings: toml::Table,
    /// Of each method, in their order.
    pub(super) scores: Vec<Scores>,
    pub(super) seconds: f64,
}

impl Measured {
    /// The names of its numbers, the most important one first; of agreement without those for each other method.
    pub(super) fn columns(&self) -> Vec<&str> {
        let mut names: Vec<&str> = vec![];
        for column in self.scores.iter().flat_map(|scores| &scores.columns) {
            if !column.name.contains('.') && !names.contains(&column.name.as_str()) {
                names.push(&column.name);
            }
        }
        names
    }

    /// The numbers of a name, of method number `at`.
    pub(super) fn column(&self, at: usize, name: &str) -> Option<&Column> {
        self.scores[at].columns.iter().find(|column| column.name == name)
    }

    /// The control that is best by the numbers of a name, where a direction is the good one: its number among methods.
    pub(super) fn best_control(&self, found: &[Found], name: &str) -> Option<usize> {
        let worth = |at: usize| -> Option<(usize, f64)> {
            let column = self.column(at, name).filter(|_| found[at].is_control())?;
            let mean = column.number()?.value;
            match column.better {
                Better::Higher => Some((at, mean)),
                Better::Lower => Some((at, -mean)),
                Better::Neither => None,
            }
        };
        (0..found.len()).filter_map(worth).max_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| at)
    }

    /// The best controls by all numbers that have one.
    pub(super) fn best_controls(&self, found: &[Found]) -> Vec<(String, usize)> {
        let of = |name: &str| Some((name.to_owned(), self.best_control(found, name)?));
        self.columns().into_iter().filter_map(of).collect()
    }

    /// How much better method number `at` is than the best control, picture by picture.
    pub(super) fn beyond(&self, found: &[Found], at: usize, name: &str) -> Option<Number> {
        let control = self.best_control(found, name)?;
        self.column(at, name)?.beyond(self.column(control, name)?)
    }

    /// On how many pictures, and of how many classes, method number `at` is better than the best control; `classes` are those that are explained.
    pub(super) fn above(&self, found: &[Found], at: usize, name: &str, classes: &[usize]) -> Option<Above> {
        let control = self.best_control(found, name)?;
        self.column(at, name)?.above(self.column(control, name)?, classes)
    }

    /// All numbers of a method.
    pub(super) fn json(&self, found: &[Found], at: usize, classes: &[usize]) -> Result<Value> {
        let mut numbers = Map::new();
        for column in &self.scores[at].columns {
            let beyond = self.beyond(found, at, &column.name);
            let number = json!({
                "number": column.number(), "undefined": column.undefined(), "beyond_control": beyond,
                "above_control": self.above(found, at, &column.name, classes),
            });
            numbers.insert(column.name.clone(), number);
        }
        Ok(Value::Object(numbers))
    }

    /// What is written of a method, picture by picture, in f64; what there is not, as NaN.
    pub(super) fn tensors(&self, method: &str, scores: &Scores) -> Result<BTreeMap<String, Tensor>> {
        let mut tensors = BTreeMap::new();
        let own = |value: &Option<f64>| value.unwrap_or(f64::NAN);
        for Column { name, values, .. } in &scores.columns {
            let values: Vec<f64> = values.iter().map(own).collect();
            let count = values.len();
            let name = format!("{method}.{}.{name}", self.name);
            tensors.insert(name, Tensor::from_vec(values, count, &Device::Cpu)?);
        }
        for curve in &scores.curves {
            let values: Vec<f64> = curve.values.iter().flatten().map(own).collect();
            let shape = (curve.values.len(), curve.x.len());
            let name = format!("{method}.{}.curve.{}", self.name, curve.name);
            tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu)?);
            let x = Tensor::from_slice(&curve.x, curve.x.len(), &Device::Cpu)?;
            tensors.insert(format!("{}.{}.x", self.name, curve.name), x);
        }
        Ok(tensors)
    }
}
