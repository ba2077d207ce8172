//! The `[train]` section of a recipe; its defaults are written here and nowhere else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LearnError, Optimizer, Result, Schedule, Sgd};

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// Pictures in a batch.
    pub batch: usize,
    /// Batches whose gradients are averaged before a step.
    pub accumulate: usize,
    /// Share of the target that is spread over all classes, in [0, 1).
    pub label_smoothing: f64,
    /// Classes weigh inversely to how often they occur in train.
    pub balance_classes: bool,
    /// Largest norm of all gradients together; 0 is none.
    pub clip: f64,
    /// Share of the old in the exponential moving average of the parameters, such as 0.999; 0 is no average.
    pub ema: f64,
    /// How gradients become steps.
    pub optimizer: Optimizer,
    /// Nodes with rates or decay of their own; the last group that names a node counts.
    pub group: Vec<Group>,
    /// One after the other.
    pub phase: Vec<Phase>,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            batch: 64,
            accumulate: 1,
            label_smoothing: 0.0,
            balance_classes: false,
            clip: 0.0,
            ema: 0.0,
            optimizer: Optimizer::Sgd(Sgd::default()),
            group: vec![],
            phase: vec![Phase::default()],
        }
    }
}

/// Nodes that are trained in their own way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Patterns of node names.
    pub nodes: Vec<String>,
    /// What the learning rate is multiplied with.
    #[serde(default = "one")]
    pub rate: f64,
    /// Weight decay in place of the optimizer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
}

/// More epochs than anyone has time for.
const MOST_EPOCHS: usize = 1_000_000;

fn one() -> f64 {
    1.0
}

/// A stretch of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Phase {
    /// Passes over train.
    pub epochs: usize,
    /// The highest learning rate of the phase.
    pub learning_rate: f64,
    /// How it changes.
    pub schedule: Schedule,
    /// Epochs over which it first grows from 0, such as 0.5.
    pub warmup: f64,
    /// Patterns of node names that do not change; their batch norms behave as in evaluation.
    pub freeze: Vec<String>,
    /// Names of the priors that steer in this phase; without this key, all do. What others have already
    /// made hold (zeros, signs) goes on to hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priors: Option<Vec<String>>,
}

impl Default for Phase {
    fn default() -> Self {
        Self { epochs: 10, learning_rate: 0.05, schedule: Schedule::Cosine, warmup: 0.0, freeze: vec![], priors: None }
    }
}

impl Phase {
    /// The learning rate `done` epochs into the phase.
    pub fn rate(&self, done: f64) -> f64 {
        if done < self.warmup {
            return self.learning_rate * done / self.warmup;
        }
        let length = self.epochs as f64 - self.warmup;
        self.learning_rate * self.schedule.factor((done - self.warmup) / length)
    }
}

impl Train {
    /// Epochs of all phases together.
    pub fn epochs(&self) -> usize {
        self.phase.iter().map(|phase| phase.epochs).sum()
    }

    /// The phase of an epoch counted over all phases, and the epoch counted within it.
    pub fn phase_of(&self, epoch: usize) -> Option<(usize, usize)> {
        let mut within = epoch;
        for (index, phase) in self.phase.iter().enumerate() {
            if within < phase.epochs {
                return Some((index, within));
            }
            within -= phase.epochs;
        }
        None
    }

    /// Says what is out of range, with the key.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    pub fn check(&self) -> Result<()> {
        let finite = |x: f64| x.is_finite() && x >= 0.0;
        let share = |x: f64| (0.0..1.0).contains(&x);
        let mut checks = vec![
            (self.batch > 0, "train.batch must be at least 1".to_owned()),
            (self.accumulate > 0, "train.accumulate must be at least 1".to_owned()),
            (
                share(self.label_smoothing),
                format!("train.label_smoothing must be in [0, 1), not {}", self.label_smoothing),
            ),
            (finite(self.clip), format!("train.clip must be 0 or more, not {}", self.clip)),
            (share(self.ema), format!("train.ema must be in [0, 1), not {}", self.ema)),
            (!self.phase.is_empty(), "train.phase needs at least one phase".to_owned()),
        ];
        for (i, phase) in self.phase.iter().enumerate() {
            let at = |key: &str| format!("train.phase[{i}].{key}");
            let some = (1..=MOST_EPOCHS).contains(&phase.epochs);
            checks.push((some, format!("{} must be 1 to {MOST_EPOCHS}, not {}", at("epochs"), phase.epochs)));
            checks.push((
                finite(phase.learning_rate),
                format!("{} must be 0 or more, not {}", at("learning_rate"), phase.learning_rate),
            ));
            let fits = finite(phase.warmup) && phase.warmup < phase.epochs.max(1) as f64;
            checks.push((fits, format!("{} must be shorter than the phase, not {}", at("warmup"), phase.warmup)));
            if let Schedule::Step { at: shares, factor } = &phase.schedule {
                let in_order = shares.iter().all(|&s| s > 0.0 && s < 1.0) && finite(*factor);
                checks.push((
                    in_order,
                    format!(
                        "{} takes shares of the phase between 0 and 1, and a factor of 0 or more",
                        at("schedule.step.at")
                    ),
                ));
            }
        }
        checks.extend(self.optimizer.checks());
        for (i, group) in self.group.iter().enumerate() {
            let fits = finite(group.rate) && group.weight_decay.is_none_or(finite);
            checks.push((fits, format!("train.group[{i}]: rate and weight_decay must be 0 or more")));
        }
        match checks.into_iter().find(|(fine, _)| !fine) {
            Some((_, problem)) => Err(LearnError::Settings(problem)),
            None => Ok(()),
        }
    }
}
