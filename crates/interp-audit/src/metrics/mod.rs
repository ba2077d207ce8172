//! How right explanations are: what saliency methods say, held against what the network does.
//!
//! All metrics have one signature, [`Metric::measure`]: a [`Question`] with what methods say of it in, [`Scores`] of each method out, picture
//! by picture. *Exactness*: deletion, insertion, pixel flipping, infidelity, sensitivity-n, completeness. *Consistency*: max-sensitivity,
//! agreement between methods, the test by random weights. A metric is a file here, and a line in [`METRICS`].
//!
//! What is random is drawn by the metric's seed and by where a picture lies in its data set: what is measured of a picture does not depend on
//! which others are measured with it, nor on how many go through the network at a time. Only what needs another picture (the similarity of
//! unrelated maps in `randomization`) depends on which these are.

mod agreement;
mod completeness;
mod effects;
mod flipping;
mod gradual;
mod infidelity;
mod max_sensitivity;
mod order;
mod randomization;
mod ranks;
mod removal;
mod scores;
mod sensitivity_n;
mod versions;

use interp_net::finding::{Built, Entry, Unfit, find};

pub use ranks::{correlation, ranks};
pub use scores::{Above, Column, Curve, Scores, Verdict};

use crate::saliency::{Attribution, Method, Question};
use crate::{AuditError, Result};

/// A way to tell how right explanations are.
pub trait Metric: Send + Sync {
    /// Measures what each of the methods says of the pictures of the question: as many scores as methods, in their order. What the network
    /// says of changed pictures is asked once for all of them.
    ///
    /// # Errors
    /// Where the network or a method fails, and for settings that cannot be used.
    fn measure(&self, question: &Question<'_>, judged: &[Judged<'_>]) -> Result<Vec<Scores>>;

    /// Whether its settings can be used, for pictures of these height and width; [`Metric::measure`] asks too.
    ///
    /// # Errors
    /// The first setting that cannot.
    fn check(&self, _size: [usize; 2]) -> Result<(), Unfit> {
        Ok(())
    }
}

/// A method, and what it says of the pictures of a question.
pub struct Judged<'a> {
    /// Its name.
    pub name: &'a str,
    /// The method, which some metrics ask again about other pictures or other weights.
    pub method: &'a dyn Method,
    /// What it says.
    pub attribution: &'a Attribution,
}

/// Every metric, in the order of listings.
pub const METRICS: &[&Entry<dyn Metric>] = &[
    &gradual::DELETION,
    &gradual::INSERTION,
    &flipping::ENTRY,
    &infidelity::ENTRY,
    &sensitivity_n::ENTRY,
    &completeness::ENTRY,
    &max_sensitivity::ENTRY,
    &agreement::ENTRY,
    &randomization::ENTRY,
];

/// The metric called `name`, with these settings in place of its own.
///
/// # Errors
/// [`AuditError::Metric`] for a name that there is not, with the nearest one, and for settings that it has not.
pub fn metric(name: &str, settings: &toml::Table) -> Result<Built<dyn Metric>> {
    let entry = find(METRICS, name).map_err(|near| {
        let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
        let known: Vec<_> = METRICS.iter().map(|entry| entry.name).collect();
        AuditError::Metric(format!("there is no metric called {name}{hint} (known: {})", known.join(", ")))
    })?;
    let wrong = |error: toml::de::Error| AuditError::Metric(format!("metric {name}: {}", error.message()));
    toml::de::DeTable::parse(&settings.to_string()).and_then(entry.build).map_err(wrong)
}

#[cfg(test)]
mod tests;
