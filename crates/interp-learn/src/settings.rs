//! The `[train]` section of a recipe; its defaults are written here and nowhere else.

use interp_net::finding::Unfit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Optimizer, Schedule, Sgd};

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// Pictures in a batch.
    pub batch: usize,
    /// Batches whose gradients are averaged before a step.
    pub accumulate: usize,
    /// What a classifier is trained by; on validation and test its loss is cross-entropy in any case.
    pub loss: ClassLoss,
    /// What the loss of the labels is multiplied with, 0 or more: beside teachers and inserted layers with a loss of their own it may be below 1.
    pub label_weight: f64,
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
    /// What the learning rate is multiplied with for each layer with weights that lies between a layer and the output, in (0, 1]: below 1,
    /// what a trained network has learned first changes least (layer-wise decay of rates).
    pub layer_decay: f64,
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
            loss: ClassLoss::CrossEntropy,
            label_weight: 1.0,
            label_smoothing: 0.0,
            balance_classes: false,
            clip: 0.0,
            ema: 0.0,
            optimizer: Optimizer::Sgd(Sgd::default()),
            layer_decay: 1.0,
            group: vec![],
            phase: vec![Phase::default()],
        }
    }
}

impl Train {
    /// Leaves the names of priors out, and pushes: the settings of a network that no prior steers.
    pub fn without_priors(&mut self) {
        self.phase.iter_mut().for_each(|phase| (phase.priors, phase.push) = (None, false));
    }

    /// Whether a push is still to come in the `within`-th epoch of the phase number `phase`, or after it; the one at the end of the epoch does not count.
    pub(crate) fn will_push(&self, phase: usize, within: usize) -> bool {
        let later = self.phase.iter().enumerate().skip(phase).filter(|(_, other)| other.push);
        later.into_iter().any(|(index, other)| index > phase || within + 1 < other.epochs)
    }

    /// Whether the `within`-th epoch of the phase number `phase` ends with a push.
    pub(crate) fn pushes(&self, phase: usize, within: usize) -> bool {
        self.phase.get(phase).is_some_and(|phase| phase.push && within + 1 == phase.epochs)
    }

    /// Makes the labels count fully, in all phases: the settings of a network that nothing else teaches.
    pub fn by_labels(&mut self) {
        self.label_weight = 1.0;
        self.phase.iter_mut().for_each(|phase| phase.label_weight = None);
    }

    /// Leaves out patterns of nodes that are `gone`, and groups that have no others.
    pub fn without_nodes(&mut self, gone: impl Fn(&str) -> bool) {
        let keep = |patterns: &mut Vec<String>| patterns.retain(|pattern| !gone(pattern));
        self.group.iter_mut().for_each(|group| keep(&mut group.nodes));
        self.group.retain(|group| !group.nodes.is_empty());
        for phase in &mut self.phase {
            [&mut phase.freeze, &mut phase.thaw, &mut phase.freeze_statistics].into_iter().for_each(keep);
        }
    }

    /// What the loss of the labels is multiplied with in an epoch, counted over all phases.
    pub fn label_weight_in(&self, epoch: usize) -> f64 {
        let own = self.phase_of(epoch).and_then(|(phase, _)| self.phase[phase].label_weight);
        own.unwrap_or(self.label_weight)
    }
}

/// How far the logits of a picture are from its label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassLoss {
    /// One of the classes: the cross-entropy of the softmax.
    #[default]
    CrossEntropy,
    /// A yes or no for each class: the sum over classes of their binary cross-entropies, logits of 0 standing for the probability
    /// 1/K. Evidence for a class is then more than evidence against others, as in B-cos networks.
    Binary,
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
    /// How strongly weights are drawn to the values that training starts from, as others are to 0 by L2 decay: `stay (w - w_0)` is added to
    /// the gradient (L2-SP of Li et al. 2018, arXiv 1802.01483, eq. 3). It takes the place of weight decay.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stay: f64,
}

fn is_zero(x: &f64) -> bool {
    *x == 0.0
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
    /// Patterns of parts that are let go one after the other at even distances over the phase, the first some epochs after its begin;
    /// until then they are frozen (gradual unfreezing of Howard and Ruder 2018, arXiv 1801.06146, section 3.3).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub thaw: Vec<String>,
    /// Patterns of batch norms that keep their statistics, with which they behave as in evaluation; their gains and shifts are trained.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze_statistics: Vec<String>,
    /// What the loss of the labels is multiplied with in this phase, in place of `train.label_weight`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_weight: Option<f64>,
    /// Whether the phase ends with a push: what inserted layers compare with, such as prototypes, becomes what the network makes of training
    /// pictures. No network is chosen before the last push.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub push: bool,
    /// Names of the priors that steer in this phase, those of inserted layers among them; without this key, all do. What others have already
    /// made hold (zeros, signs) goes on to hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priors: Option<Vec<String>>,
}

impl Default for Phase {
    fn default() -> Self {
        Self {
            epochs: 10,
            learning_rate: 0.05,
            schedule: Schedule::Cosine,
            warmup: 0.0,
            freeze: vec![],
            thaw: vec![],
            freeze_statistics: vec![],
            label_weight: None,
            push: false,
            priors: None,
        }
    }
}

impl Phase {
    /// Patterns of what is frozen in the epoch number `within` of the phase, counted from 0. Of n parts to thaw, the i-th is let go after
    /// `i / (n + 1)` of the epochs.
    pub fn frozen(&self, within: usize) -> Vec<String> {
        let parts = self.thaw.len() + 1;
        let later = (1..).zip(&self.thaw).filter(|(place, _)| within * parts < place * self.epochs);
        self.freeze.iter().chain(later.map(|(_, pattern)| pattern)).cloned().collect()
    }

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

    /// Says which setting is out of range.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    pub fn check(&self) -> Result<(), Unfit> {
        Unfit::unless(self.batch > 0, "batch", "must be at least 1, not 0")?;
        Unfit::unless(self.accumulate > 0, "accumulate", "must be at least 1, not 0")?;
        let weight = self.label_weight;
        Unfit::unless(natural(weight), "label_weight", format!("must be 0 or more, not {weight}"))?;
        let smoothing = self.label_smoothing;
        Unfit::unless(share(smoothing), "label_smoothing", format!("must be in [0, 1), not {smoothing}"))?;
        let layers = self.layer_decay;
        Unfit::unless(layers > 0.0 && layers <= 1.0, "layer_decay", format!("must be in (0, 1], not {layers}"))?;
        Unfit::unless(natural(self.clip), "clip", format!("must be 0 or more, not {}", self.clip))?;
        Unfit::unless(share(self.ema), "ema", format!("must be in [0, 1), not {}", self.ema))?;
        Unfit::unless(!self.phase.is_empty(), "phase", "needs at least one phase")?;
        for (i, phase) in self.phase.iter().enumerate() {
            let averaged = phase.push && self.ema > 0.0;
            let problem = "takes values from the network as it is trained, and `ema` makes another of it: leave out one of the two";
            Unfit::unless(!averaged, &format!("phase.{i}.push"), problem)?;
            phase.check().map_err(|unfit| unfit.within(&format!("phase.{i}")))?;
        }
        self.optimizer.check().map_err(|unfit| unfit.within("optimizer"))?;
        for (i, group) in self.group.iter().enumerate() {
            group.check().map_err(|unfit| unfit.within(&format!("group.{i}")))?;
        }
        Ok(())
    }
}

/// A finite number, 0 or above.
pub(crate) fn natural(x: f64) -> bool {
    x.is_finite() && x >= 0.0
}

/// A number from 0 to below 1.
pub(crate) fn share(x: f64) -> bool {
    (0.0..1.0).contains(&x)
}

impl Group {
    fn check(&self) -> Result<(), Unfit> {
        Unfit::unless(natural(self.rate), "rate", format!("must be 0 or more, not {}", self.rate))?;
        let decay = self.weight_decay.unwrap_or(0.0);
        Unfit::unless(natural(decay), "weight_decay", format!("must be 0 or more, not {decay}"))?;
        let (stay, both) = (self.stay, self.weight_decay.is_some_and(|decay| decay > 0.0));
        Unfit::unless(natural(stay), "stay", format!("must be 0 or more, not {stay}"))?;
        Unfit::unless(stay == 0.0 || !both, "stay", "takes the place of `weight_decay`: give one of them")
    }
}

impl Phase {
    fn check(&self) -> Result<(), Unfit> {
        let Self { epochs, learning_rate, warmup, .. } = self;
        let some = (1..=MOST_EPOCHS).contains(epochs);
        Unfit::unless(some, "epochs", format!("must be 1 to {MOST_EPOCHS}, not {epochs}"))?;
        let labels = self.label_weight.unwrap_or(1.0);
        Unfit::unless(natural(labels), "label_weight", format!("must be 0 or more, not {labels}"))?;
        let rate = natural(*learning_rate);
        Unfit::unless(rate, "learning_rate", format!("must be 0 or more, not {learning_rate}"))?;
        let shorter = natural(*warmup) && *warmup < *epochs as f64;
        Unfit::unless(shorter, "warmup", format!("must be 0 or more and shorter than the phase, not {warmup}"))?;
        let parts = self.thaw.len();
        let problem = format!("has {parts} parts, for which the phase needs {} epochs or more", parts + 1);
        Unfit::unless(parts < *epochs, "thaw", problem)?;
        if let Schedule::Step { at, factor } = &self.schedule {
            let shares = at.iter().all(|&share| share > 0.0 && share < 1.0);
            Unfit::unless(shares, "schedule.step.at", format!("takes shares of the phase in (0, 1), not {at:?}"))?;
            Unfit::unless(natural(*factor), "schedule.step.factor", format!("must be 0 or more, not {factor}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_grow_over_the_warm_up_and_then_follow_the_schedule() {
        let phase = Phase { epochs: 5, learning_rate: 0.2, warmup: 1.0, ..Phase::default() };
        // Cosine over the four epochs after the first: 1, 3/4 after a third of them, 1/2 half-way.
        let expected =
            [(0.0, 0.0), (0.25, 0.05), (0.5, 0.1), (1.0, 0.2), (1.0 + 4.0 / 3.0, 0.15), (3.0, 0.1), (5.0, 0.0)];
        for (done, rate) in expected {
            assert!((phase.rate(done) - rate).abs() < 1e-12, "{} after {done}", phase.rate(done));
        }
    }

    #[test]
    fn parts_are_let_go_one_after_the_other() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let phase = Phase { epochs: 6, freeze: names(&["stem"]), thaw: names(&["c", "b"]), ..Phase::default() };
        for (within, frozen) in
            [(0, vec!["stem", "c", "b"]), (1, vec!["stem", "c", "b"]), (2, vec!["stem", "b"]), (4, vec!["stem"])]
        {
            assert_eq!(phase.frozen(within), names(&frozen), "epoch {within}");
        }
    }

    #[test]
    fn what_is_out_of_range_is_named_by_its_key() {
        assert_eq!(Train::default().check(), Ok(()));
        let long = Phase { warmup: 10.0, ..Phase::default() };
        let step = Phase { schedule: Schedule::Step { at: vec![1.5], factor: 0.1 }, ..Phase::default() };
        let adam = Optimizer::AdamW(crate::AdamW { eps: 0.0, ..crate::AdamW::default() });
        let group = Group { nodes: vec![], rate: -1.0, weight_decay: None, stay: 0.0 };
        let cases = [
            ("batch", Train { batch: 0, ..Train::default() }),
            ("ema", Train { ema: 1.0, ..Train::default() }),
            ("clip", Train { clip: f64::NAN, ..Train::default() }),
            ("phase", Train { phase: vec![], ..Train::default() }),
            (
                "phase.0.push",
                Train { ema: 0.9, phase: vec![Phase { push: true, ..Phase::default() }], ..Train::default() },
            ),
            ("phase.1.warmup", Train { phase: vec![Phase::default(), long], ..Train::default() }),
            ("phase.0.schedule.step.at", Train { phase: vec![step], ..Train::default() }),
            ("optimizer.adamw.eps", Train { optimizer: adam, ..Train::default() }),
            ("group.0.rate", Train { group: vec![group], ..Train::default() }),
        ];
        for (key, train) in cases {
            assert_eq!(train.check().unwrap_err().key, key);
        }
    }
}
