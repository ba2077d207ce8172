//! DeepLIFT.

use candle_core::Tensor;
use interp_net::finding::{Entry, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Attribution, Baseline, Channels, Method, Question, Total, column};
use crate::Result;
use crate::pass::{numbers, rows};

/// The difference of the output to that of a baseline, handed back by the rescale rule (Shrikumar et al. 2017, arXiv 1704.02685). It adds up to
/// that difference but for rounding errors, which are told as `gap`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DeepLift {
    /// What the picture is compared with.
    pub baseline: Baseline,
}

pub(super) const ENTRY: Entry<dyn Method> = Entry {
    name: "deep_lift",
    summary: "the output's difference to that of a baseline, handed back: adds up to it",
    example: "kind = \"deep_lift\"\nbaseline = \"mean\"\n",
    build: |section| build(section, |settings: DeepLift| Box::new(settings)),
    schema: || schemars::schema_for!(DeepLift),
};

impl Method for DeepLift {
    fn attribute(&self, question: &Question<'_>) -> Result<Attribution> {
        let (net, output) = (question.net, question.net.graph.output());
        let gaps = std::cell::RefCell::new(vec![]);
        let values = question.in_parts(2, |first, x, targets| {
            let count = targets.len();
            let baselines = (first..first + count).map(|at| question.baseline(at, self.baseline));
            let baselines = Tensor::cat(&baselines.collect::<Result<Vec<_>>>()?, 0)?;
            let (tape, reference) = (question.tape(x)?, question.tape(&baselines)?);
            let seeds = [(output, question.one_hot(targets)?)];
            let multipliers = net.multipliers(&tape, &reference, &seeds, 0)?;
            let values = (multipliers * (x - baselines)?)?;
            let gains = rows(&(tape.output(&net.graph)? - reference.output(&net.graph)?)?)?;
            let pixels = values.elem_count() / count.max(1);
            let sums: Vec<f64> = numbers(&values)?.chunks(pixels.max(1)).map(|one| one.iter().sum()).collect();
            gaps.borrow_mut()
                .extend(gains.iter().zip(targets).zip(sums).map(|((row, &target), sum)| row[target] - sum));
            Ok(values)
        })?;
        let more = vec![("gap".to_owned(), column(gaps.into_inner())?)];
        Ok(Attribution { values, channels: Channels::Sum, more })
    }

    fn total(&self) -> Option<Total> {
        Some(Total::Beyond(self.baseline))
    }
}
