//! Claims: what will be true of a trained network, said before it is measured.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Bank, Indices};

/// What is measured of a network: of its parameters, or of what it does with pictures. A closed list: the audit measures each of these
/// with code that training does not use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Share of the weights of all nodes together that are exactly zero, in [0, 1].
    ZeroWeights,
    /// Share of filters (output channels) of all nodes together whose weights are all exactly
    /// zero, in [0, 1].
    ZeroFilters,
    /// Share of input channels of all nodes together whose weights are all exactly zero, in [0, 1].
    ZeroInputs,
    /// Share of batch-norm gains of all nodes together that are exactly zero, in [0, 1]: channels that are the same
    /// number at every position of every picture.
    ZeroGains,
    /// Share of the channels that all nodes together make that can be cut out without a change of the outputs, in [0, 1].
    RemovableChannels,
    /// Number of weights below zero, of all nodes together.
    NegativeWeights,
    /// Mean squared cosine between two filters of a node, in [0, 1]: that of the node where it is highest.
    FilterSimilarity,
    /// Rows or columns of the picture, the more of both, that a cell of a node sees: that of the node where it is most.
    FieldSize,
    /// Number of thresholds below zero, of all nodes together.
    NegativeThresholds,
    /// Largest threshold of all nodes together less the smallest.
    ThresholdSpread,
    /// Share of the activations of all nodes together that are exactly zero, over pictures, in [0, 1].
    ZeroActivations,
    /// Share of a filter's squared weights that lies along what a bank has for it, in [0, 1]: that of the filter where it is least. Filters
    /// that the bank has nothing for do not count.
    AlongBank(Bank),
    /// Mean over pictures of the share of the positive evidence for their class, in the maps that a layer reads it from, that lies
    /// in cells that show some of the object, in [0, 1].
    EvidenceInside,
    /// Most channels that are other than zero at one position of a node, over pictures.
    ActiveChannels,
    /// Mean squared correlation between two channels of a node over positions of pictures, in [0, 1]: that of the node where
    /// it is highest.
    ChannelCorrelation,
    /// How far, over pictures, the network's output is from a sum of the nodes: the largest deviation of a logit from their sum, or of
    /// its change when one node is taken out from that node's value.
    SumDeviation,
    /// Least slope of some outputs of the network in some channels of a node, those in `falls` with the other sign: a lower bound
    /// by interval arithmetic, over all values in [0, 1] of the node's channels, whatever its other inputs are.
    Slope {
        /// Outputs of the network.
        outputs: Indices,
        /// Channels in which the outputs are to rise.
        rises: Indices,
        /// Channels in which the outputs are to fall.
        falls: Indices,
    },
    /// Difference between what pixels contribute, added up, and the logit of the class that a picture is taken for, as the
    /// node has it: that of the picture where it is largest. In the logit's own unit, not relative to it.
    ContributionGap,
    /// Share of pictures that a gate chooses an expert for first, in [0, 1]: that of the expert that is chosen least, of the node where
    /// it is lowest.
    LeastChosen,
    /// Share of pictures of which a concept is told rightly by the channel that stands for it, in [0, 1]: of each concept the mean of the share of those that
    /// show it and of those that do not, and of these the mean over the concepts of all nodes.
    ConceptAccuracy,
    /// How far the largest value of the channel that stands for a concept tells the pictures that show it from those that do not: the area under the ROC
    /// curve, 0.5 by chance; mean over the concepts of all nodes.
    ConceptArea,
    /// Share of the variance of the first node, over positions of pictures and channels together, that the second node does not reproduce.
    Unexplained,
    /// Share of a filter's activation that lies near its peak in each picture, nearer than a quarter of the map's size (rows in heights plus
    /// columns in widths of the map), in [0, 1]: mean over filters that are ever active, of the node where it is lowest.
    NearPeak,
    /// Share of a channel's evidence that is for one class, in the maps that a layer reads evidence for classes from, in [0, 1]: mean over channels
    /// that speak for any, of the layer where it is lowest. For a class speaks what is positive of the channel's mean over its pictures times
    /// its weight for it less the mean of those for all classes.
    ClassEvidence,
}

impl Quantity {
    /// The quantity in words, for `nodes` described in words.
    fn words(self, nodes: &str) -> String {
        match self {
            Self::ZeroWeights => format!("share of the weights of {nodes} that are exactly zero"),
            Self::ZeroFilters => format!("share of the filters of {nodes} that are all zero"),
            Self::ZeroInputs => format!("share of the input channels of {nodes} that are all zero"),
            Self::ZeroGains => format!("share of the batch-norm gains of {nodes} that are exactly zero"),
            Self::RemovableChannels => format!("share of the channels of {nodes} that can be cut out"),
            Self::NegativeWeights => format!("number of negative weights in {nodes}"),
            Self::FieldSize => format!("pixels in a row or column that a cell of {nodes} sees"),
            Self::FilterSimilarity => format!("mean squared cosine between filters of a layer of {nodes}"),
            Self::NegativeThresholds => format!("number of negative thresholds in {nodes}"),
            Self::ThresholdSpread => format!("difference between the largest and the smallest threshold of {nodes}"),
            Self::ContributionGap => {
                format!("largest difference between the largest logit of {nodes} and what pixels contribute to it")
            }
            Self::ZeroActivations => format!("share of the activations of {nodes} that are exactly zero"),
            Self::AlongBank(bank) => {
                format!("share of a filter of {nodes} that lies along {}, of those that have one", bank.words())
            }
            Self::EvidenceInside => {
                format!(
                    "share of the evidence for the class, as {nodes} sees it, in cells that show some of the object"
                )
            }
            Self::ActiveChannels => format!("channels other than zero at a position of {nodes}"),
            Self::ChannelCorrelation => format!("mean squared correlation between channels of a layer of {nodes}"),
            Self::LeastChosen => {
                format!("share of pictures that {nodes} chooses an expert for first, of the expert chosen least")
            }
            Self::ConceptAccuracy => format!("balanced accuracy of the concepts that {nodes} tells"),
            Self::ConceptArea => format!("area under the ROC curve of the concepts that channels of {nodes} stand for"),
            Self::Unexplained => format!("share of the variance of {nodes} that is not explained"),
            Self::NearPeak => format!("share of the activation of a filter of {nodes} that lies near its peak"),
            Self::ClassEvidence => {
                format!("share of the evidence of a channel that {nodes} reads that is for one class")
            }
            Self::SumDeviation => format!("how far the logits are from the sum of {nodes}"),
            Self::Slope { outputs, rises, falls } => slope_words(outputs, rises, falls, nodes),
        }
    }

    /// Whether it is measured on pictures; else on the network's parameters and structure alone.
    pub fn needs_pictures(self) -> bool {
        match self {
            Self::ZeroActivations
            | Self::EvidenceInside
            | Self::ActiveChannels
            | Self::ChannelCorrelation
            | Self::SumDeviation
            | Self::ContributionGap
            | Self::ConceptAccuracy
            | Self::ConceptArea
            | Self::Unexplained
            | Self::LeastChosen
            | Self::NearPeak
            | Self::ClassEvidence => true,
            Self::ZeroWeights
            | Self::ZeroFilters
            | Self::ZeroInputs
            | Self::ZeroGains
            | Self::RemovableChannels
            | Self::NegativeWeights
            | Self::FilterSimilarity
            | Self::FieldSize
            | Self::NegativeThresholds
            | Self::ThresholdSpread
            | Self::AlongBank(_)
            | Self::Slope { .. } => false,
        }
    }

    /// Whether it still says the same where channels without effect have been cut out; else they counted, or were counted by number.
    /// `same_channels` tells whether the nodes that it is measured on have kept all of theirs.
    pub fn outlives_cuts(self, same_channels: bool) -> bool {
        match self {
            Self::Slope { .. } => same_channels,
            Self::NegativeWeights
            | Self::FieldSize
            | Self::NegativeThresholds
            | Self::ThresholdSpread
            | Self::EvidenceInside
            | Self::ActiveChannels
            | Self::SumDeviation
            | Self::ContributionGap
            | Self::ConceptAccuracy
            | Self::ConceptArea
            | Self::Unexplained
            | Self::LeastChosen
            | Self::NearPeak
            | Self::ClassEvidence => true,
            Self::ZeroWeights
            | Self::ZeroFilters
            | Self::ZeroInputs
            | Self::ZeroGains
            | Self::RemovableChannels
            | Self::FilterSimilarity
            | Self::ZeroActivations
            | Self::AlongBank(_)
            | Self::ChannelCorrelation => false,
        }
    }

    /// The value as people read it: shares in percent, counts as integers. Shares and slopes are rounded down and what is to be small up, so that no
    /// value looks as if it met a bound that it misses.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::ZeroWeights
            | Self::ZeroFilters
            | Self::ZeroInputs
            | Self::ZeroGains
            | Self::RemovableChannels
            | Self::ZeroActivations
            | Self::AlongBank(_)
            | Self::EvidenceInside
            | Self::ConceptAccuracy
            | Self::ConceptArea
            | Self::LeastChosen
            | Self::NearPeak
            | Self::ClassEvidence => percent(value),
            Self::NegativeWeights | Self::NegativeThresholds | Self::FieldSize | Self::ActiveChannels => {
                format!("{value:.0}")
            }
            Self::FilterSimilarity | Self::ChannelCorrelation | Self::Unexplained => format!("{:.4}", up(value, 1e-4)),
            Self::Slope { .. } | Self::SumDeviation | Self::ContributionGap | Self::ThresholdSpread if value == 0.0 => {
                "0".into()
            }
            Self::Slope { .. } => format!("{:.1e}", -up(-value, two_digits(value))),
            Self::SumDeviation | Self::ContributionGap | Self::ThresholdSpread => {
                format!("{:.1e}", up(value, two_digits(value)))
            }
        }
    }
}

/// `least slope of outputs 0, 1 in channels 0, 12 and, with the other sign, 6 of color.histogram, each from 0 to 1`.
fn slope_words(outputs: Indices, rises: Indices, falls: Indices, nodes: &str) -> String {
    let (outputs, rises, falls) = (outputs.words(), rises.words(), falls.words());
    let channels = match (rises.is_empty(), falls.is_empty()) {
        (_, true) => rises,
        (true, false) => format!("{falls}, with the other sign,"),
        (false, false) => format!("{rises} and, with the other sign, {falls}"),
    };
    format!("least slope of outputs {outputs} in channels {channels} of {nodes}, each from 0 to 1")
}

/// The step of the second digit of a number.
fn two_digits(value: f64) -> f64 {
    10f64.powf(value.abs().log10().floor() - 1.0)
}

/// Rounded up to a multiple of `step`, but for what is off by no more than the rounding of numbers.
fn up(value: f64, step: f64) -> f64 {
    let (scaled, nearest) = (value / step, (value / step).round());
    if (scaled - nearest).abs() < 1e-6 { nearest * step } else { scaled.ceil() * step }
}

/// Percent to three decimals, rounded down; what is off by no more than the rounding of numbers is taken for what was meant (0.58 is
/// 58 %).
fn percent(share: f64) -> String {
    let (scaled, nearest) = (share * 1e5, (share * 1e5).round());
    let shown = if (scaled - nearest).abs() < 1e-6 { nearest } else { scaled.floor() };
    format!("{} %", shown / 1e3)
}

/// How the measured value must stand to the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// value ≥ bound.
    AtLeast,
    /// value ≤ bound.
    AtMost,
}

/// Something that a prior says will be true of the trained network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// What is measured.
    pub quantity: Quantity,
    /// Names of the nodes it is measured on, in the network's order.
    pub nodes: Vec<String>,
    /// The nodes as the recipe wrote them, for people.
    pub scope: String,
    /// How the value must stand to `bound`.
    pub relation: Relation,
    /// The bound, in the quantity's unit.
    pub bound: f64,
}

/// A claim with the value that was measured for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The claim in words.
    pub statement: String,
    /// The value measured. JSON has nothing for what is not a number.
    #[serde(deserialize_with = "or_nan")]
    pub value: f64,
    /// The bound it is held against.
    pub bound: f64,
    /// Whether the value stands to the bound as claimed.
    pub holds: bool,
    /// The value as people read it.
    pub shown: String,
}

/// Reads a number; where JSON has `null`, not a number.
///
/// # Errors
/// Of what is neither.
pub fn or_nan<'de, D: Deserializer<'de>>(value: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or(f64::NAN))
}

impl Claim {
    /// The claim in words: `share of the weights of features.* that are exactly zero ≥ 90 %`.
    pub fn statement(&self) -> String {
        let sign = match self.relation {
            Relation::AtLeast => "≥",
            Relation::AtMost => "≤",
        };
        format!("{} {sign} {}", self.quantity.words(&self.scope), self.quantity.show(self.bound))
    }

    /// Holds `value` against the bound. A value that is not a number never holds.
    pub fn judge(&self, value: f64) -> Measured {
        let holds = match self.relation {
            Relation::AtLeast => value >= self.bound,
            Relation::AtMost => value <= self.bound,
        };
        Measured { statement: self.statement(), value, bound: self.bound, holds, shown: self.quantity.show(value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(relation: Relation, bound: f64) -> Claim {
        Claim { quantity: Quantity::ZeroWeights, nodes: vec!["a".into()], scope: "features.*".into(), relation, bound }
    }

    #[test]
    fn bounds_are_inclusive_and_not_a_number_fails() {
        assert!(claim(Relation::AtLeast, 0.9).judge(0.9).holds);
        assert!(!claim(Relation::AtLeast, 0.9).judge(0.9 - 1e-9).holds);
        assert!(claim(Relation::AtMost, 0.0).judge(0.0).holds);
        let failed = claim(Relation::AtMost, 0.0).judge(f64::NAN);
        assert!(!failed.holds);
        let again: Measured = serde_json::from_str(&serde_json::to_string(&failed).unwrap()).unwrap();
        assert!(again.value.is_nan() && again.statement == failed.statement);
    }

    #[test]
    fn slopes_in_words_and_in_files() {
        let of = |list: &[usize]| Indices::try_from(list.to_vec()).unwrap();
        let quantity =
            |falls: &[usize]| Quantity::Slope { outputs: of(&[1, 0]), rises: of(&[12, 0]), falls: of(falls) };
        let words = quantity(&[6]).words("histogram");
        let expected =
            "least slope of outputs 0, 1 in channels 0, 12 and, with the other sign, 6 of histogram, each from 0 to 1";
        assert_eq!(words, expected);
        let text = serde_json::to_string(&quantity(&[])).unwrap();
        assert_eq!(text, r#"{"slope":{"outputs":[0,1],"rises":[0,12],"falls":[]}}"#);
        assert_eq!(serde_json::from_str::<Quantity>(&text).unwrap(), quantity(&[]));
        assert!(serde_json::from_str::<Quantity>(&text.replace("12", "64")).is_err());
    }

    #[test]
    fn what_is_to_be_small_is_never_rounded_down_to_its_bound() {
        let shown = [0.02, 0.020_04, 0.019_95, 0.0].map(|value| Quantity::FilterSimilarity.show(value));
        assert_eq!(shown, ["0.0200", "0.0201", "0.0200", "0.0000"]);
        let shown = [1e-4, 1.04e-4, 9.96e-5, 2.3e-7, 0.0].map(|value| Quantity::ContributionGap.show(value));
        assert_eq!(shown, ["1.0e-4", "1.1e-4", "1.0e-4", "2.3e-7", "0"]);
        assert_eq!(Quantity::SumDeviation.show(f64::NAN), "NaN");
        let none = Indices::try_from(vec![]).unwrap();
        let slope = Quantity::Slope { outputs: none, rises: none, falls: none };
        let shown = [1e-2, 9.96e-3, -9.91e-3, -5.3e-2, 0.0].map(|value| slope.show(value));
        assert_eq!(shown, ["1.0e-2", "9.9e-3", "-1.0e-2", "-5.3e-2", "0"]);
    }

    #[test]
    fn a_share_is_never_rounded_up_to_its_bound() {
        let measured = claim(Relation::AtLeast, 0.9).judge(0.899_999_9);
        assert_eq!(measured.shown, "89.999 %");
        for (share, shown) in [(0.58, "58 %"), (0.29, "29 %"), (0.999, "99.9 %"), (1.0, "100 %")] {
            assert_eq!(percent(share), shown);
        }
        assert_eq!(measured.statement, "share of the weights of features.* that are exactly zero ≥ 90 %");
    }
}
