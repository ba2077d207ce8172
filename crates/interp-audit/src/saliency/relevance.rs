//! Layer-wise relevance propagation.

use interp_net::finding::{Entry, Unfit, build};
use interp_net::{Propagation, RelevanceRule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Attribution, Channels, Method, Question, Total, column, not_negative};
use crate::Result;

/// Which rules go together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Composite {
    /// By parts everywhere.
    Epsilon,
    /// What is positive in convolutions, by parts in linear maps.
    #[default]
    EpsilonPlus,
    /// Positive weights count more in convolutions, by parts in linear maps.
    EpsilonGamma,
    /// The same, and pixels lie between black and white.
    EpsilonGammaBox,
}

/// The output handed back from layer to layer (Bach et al. 2015, doi 10.1371/journal.pone.0130140). What a layer does not hand on, to its biases
/// above all, is told as `lost.LAYER`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LayerwiseRelevance {
    /// Which rules.
    pub rules: Composite,
    /// Added to denominators; with 0, what nothing adds up to has no relevance to hand on.
    pub epsilon: f64,
    /// How much more positive weights count.
    pub gamma: f64,
}

impl Default for LayerwiseRelevance {
    fn default() -> Self {
        Self { rules: Composite::EpsilonPlus, epsilon: 1e-6, gamma: 0.25 }
    }
}

pub(super) const ENTRY: Entry<dyn Method> = Entry {
    name: "lrp",
    summary: "the output handed back from layer to layer: layer-wise relevance propagation",
    example: "kind = \"lrp\"\nrules = \"epsilon_plus\"\n",
    build: |section| build(section, |settings: LayerwiseRelevance| Box::new(settings)),
    schema: || schemars::schema_for!(LayerwiseRelevance),
};

impl LayerwiseRelevance {
    fn propagation(&self, range: [&[f64]; 2]) -> Propagation {
        let [first, convolution] = match self.rules {
            Composite::Epsilon => [RelevanceRule::Epsilon, RelevanceRule::Epsilon],
            Composite::EpsilonPlus => [RelevanceRule::Positive, RelevanceRule::Positive],
            Composite::EpsilonGamma => [RelevanceRule::Gamma(self.gamma), RelevanceRule::Gamma(self.gamma)],
            Composite::EpsilonGammaBox => {
                let [low, high] = range.map(<[f64]>::to_vec);
                [RelevanceRule::Bounded { low, high }, RelevanceRule::Gamma(self.gamma)]
            }
        };
        Propagation { epsilon: self.epsilon, first, convolution, linear: RelevanceRule::Epsilon }
    }
}

impl Method for LayerwiseRelevance {
    fn check(&self, _: [usize; 2]) -> Result<(), Unfit> {
        not_negative("epsilon", self.epsilon)?;
        not_negative("gamma", self.gamma)
    }

    fn attribute(&self, question: &Question<'_>) -> Result<Attribution> {
        self.check(question.size())?;
        let graph = &question.net.graph;
        let rules = self.propagation(question.range);
        let lost = std::cell::RefCell::new(vec![vec![]; graph.nodes().len()]);
        let values = question.in_parts(1, |_, x, targets| {
            let tape = question.tape(x)?;
            let seed = (tape.output(graph)? * question.one_hot(targets)?)?;
            let found = question.net.relevance(&tape, &seed, &rules)?;
            let mut lost = lost.borrow_mut();
            found.lost.into_iter().for_each(|layer| lost[layer.node].extend(layer.by_picture));
            Ok(found.input)
        })?;
        let named = |(id, lost): (usize, Vec<f64>)| Ok((format!("lost.{}", graph.nodes()[id].name), column(lost)?));
        let layers = lost.into_inner().into_iter().enumerate().filter(|(_, lost)| !lost.is_empty());
        Ok(Attribution { values, channels: Channels::Sum, more: layers.map(named).collect::<Result<_>>()? })
    }

    fn total(&self) -> Option<Total> {
        Some(Total::Output)
    }
}
