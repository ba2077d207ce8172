//! The `[objective.generate]` section of a recipe.

use interp_net::finding::Unfit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::natural;
use crate::{Phase, Train};

/// Two networks are trained against each other: a generator makes pictures of codes and noise, and a recognizer tells them from those of the
/// data, by logistic losses, and what code each was made of. Both also gain by `information` times what the recognizer knows of codes, the
/// bound on their mutual information with pictures (Chen et al. 2016, arXiv 1606.03657, equation 5). The network must be one that tells codes,
/// `infogan`. The twin is the same without information; what is reported is by `interp-audit codes`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Generate {
    /// What the information is multiplied with, 0 or more; at 0 it is an ordinary adversarial network, whose codes need not control
    /// anything.
    pub information: f64,
    /// Standard deviation of the normal distribution by which the recognizer tells a continuous code, which is in [-1, 1]: the less, the more
    /// exactly the code must be told to be known. 1 is the simple choice of the paper.
    pub deviation: f64,
    /// Share of the training pictures of which the recognizer is told the factors that codes are to stand for, where the model names these, in [0, 1]
    /// (Spurr, Aksan and Hilliges 2017, arXiv 1707.04487). A quantity is told as its rank among them, from -1 to 1.
    pub guided: f64,
    /// What the learning rate, the recognizer's, is multiplied with for the generator.
    pub generator_rate: f64,
}

impl Default for Generate {
    fn default() -> Self {
        Self { information: 1.0, deviation: 0.25, guided: 0.1, generator_rate: 5.0 }
    }
}

impl Generate {
    /// Says which setting is out of range, or means nothing here.
    pub(crate) fn check(&self, train: &Train) -> Result<(), Unfit> {
        let own = |fits: bool, key: &str, value: f64, needed: &str| {
            Unfit::unless(fits, &format!("objective.generate.{key}"), format!("must be {needed}, not {value}"))
        };
        own(natural(self.information), "information", self.information, "0 or more")?;
        let positive = |value: f64| value.is_finite() && value > 0.0;
        own(positive(self.deviation), "deviation", self.deviation, "above 0")?;
        own((0.0..=1.0).contains(&self.guided), "guided", self.guided, "in [0, 1]")?;
        own(positive(self.generator_rate), "generator_rate", self.generator_rate, "above 0")?;
        let plain = Train::default();
        let unused = "means nothing for [objective.generate]";
        for (is_plain, key) in [
            (train.accumulate == plain.accumulate, "accumulate"),
            (train.loss == plain.loss, "loss"),
            (train.label_weight == plain.label_weight, "label_weight"),
            (train.label_smoothing == plain.label_smoothing, "label_smoothing"),
            (train.balance_classes == plain.balance_classes, "balance_classes"),
            (train.clip == plain.clip, "clip"),
            (train.ema == plain.ema, "ema"),
            (train.layer_decay == plain.layer_decay, "layer_decay"),
            (train.group.is_empty(), "group"),
        ] {
            Unfit::unless(is_plain, &format!("train.{key}"), unused)?;
        }
        let frozen =
            |phase: &Phase| !(phase.freeze.is_empty() && phase.thaw.is_empty() && phase.freeze_statistics.is_empty());
        let at = train.phase.iter().position(|phase| frozen(phase) || phase.priors.is_some());
        at.map_or(Ok(()), |at| {
            let problem = format!("{unused} but its epochs, rate, schedule and warmup");
            Err(Unfit::new(format!("train.phase.{at}"), problem))
        })
    }
}
