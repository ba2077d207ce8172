//! `summary.json`: what a run found. Documented in `docs/summary.md`.

use interp_finding::Measured;
use interp_learn::Score;
use serde::Serialize;

use crate::compare::Difference;
use crate::recipe::Lacks;

/// Version of [`Summary`].
pub const VERSION: u32 = 1;

/// What a run found.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Version of this structure.
    pub version: u32,
    /// Name of the run.
    pub name: String,
    /// Name of the data set.
    pub data: String,
    /// SHA-256 of the resolved recipe.
    pub recipe: String,
    /// Results on the test split, of the saved file.
    pub test: Scores,
    /// Results on validation of the network that was chosen.
    pub validation: Scores,
    /// The epoch it is from.
    pub epoch: usize,
    /// Trained parameters, those that are not zero, and multiply-adds for one picture.
    pub size: Size,
    /// The claims, measured on the saved file.
    pub claims: Vec<Measured>,
    /// Its twin, if one was trained.
    pub twin: Option<Twin>,
    /// What makes the results doubtful, a sentence each; usually none.
    pub warnings: Vec<String>,
    /// Seconds of training and testing together, over all sittings.
    pub seconds: f64,
}

/// Score and loss on a split.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Scores {
    /// Under its own key: `accuracy`, the share of pictures classified rightly, or `psnr`, its mean over pictures in dB.
    #[serde(flatten)]
    pub score: Score,
    /// Mean cross-entropy in nats, or the share of the noise that is left.
    pub loss: f64,
    /// Pictures.
    pub count: usize,
}

/// How large a network is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Size {
    /// Trained parameters.
    pub parameters: usize,
    /// Trained parameters that are not exactly zero.
    pub nonzero: usize,
    /// Multiply-adds for one picture, zeros counted.
    pub multiply_adds: usize,
}

/// The twin: the same network without priors and teachers, of a plain architecture; or without teachers alone.
#[derive(Clone, Debug, Serialize)]
pub struct Twin {
    /// What it goes without.
    pub lacks: Lacks,
    /// Results on the test split, of the saved file.
    pub test: Scores,
    /// Results on validation of the network that was chosen.
    pub validation: Scores,
    /// The epoch it is from.
    pub epoch: usize,
    /// How large it is.
    pub size: Size,
    /// Test score of the interpretable network minus the twin's.
    pub difference: Difference,
}
