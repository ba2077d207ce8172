//! `summary.json`: what a run found. Documented in `docs/summary.md`.

use std::path::Path;

use interp_audit::quality::Quality;
use interp_audit::terms::Terms;
use interp_finding::{Measured, or_nan};
use interp_learn::Score;
use serde::{Deserialize, Serialize};

use crate::compare::{Difference, McNemar};
use crate::folder::io;
use crate::recipe::Lacks;
use crate::{Error, Result};

/// Version of [`Summary`].
pub const VERSION: u32 = 1;

/// What a run found.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// How long a pass takes; not there in what was written before it was measured.
    pub latency: Option<Latency>,
    /// How good its probabilities are on test, by softmax; not there where no classes are told.
    pub quality: Option<Quality>,
    /// How many terms a decision is the sum of, on average; not there where the last node adds nothing up.
    pub terms: Option<Terms>,
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
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Scores {
    /// Under its own key: `accuracy`, the share of pictures classified rightly, or `psnr`, its mean over pictures in dB.
    #[serde(flatten)]
    pub score: Score,
    /// Mean cross-entropy in nats, the share of the noise that is left, or the negative evidence lower bound in nats. JSON has nothing for what is not a number.
    #[serde(deserialize_with = "or_nan")]
    pub loss: f64,
    /// Pictures.
    pub count: usize,
}

/// How large a network is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Size {
    /// Trained parameters.
    pub parameters: usize,
    /// Trained parameters that are not exactly zero.
    pub nonzero: usize,
    /// Multiply-adds for one picture, zeros counted.
    pub multiply_adds: usize,
}

/// Milliseconds that a pass takes where the network was measured, the median of several.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Latency {
    /// Of one picture.
    pub one: f64,
    /// Of 64 pictures together.
    pub batch: f64,
}

/// The twin: the same network without priors and teachers, of a plain architecture; or without teachers alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// How long a pass takes; not there in what was written before it was measured.
    pub latency: Option<Latency>,
    /// How good its probabilities are on test; not there where no classes are told.
    pub quality: Option<Quality>,
    /// How many terms a decision is the sum of, on average.
    pub terms: Option<Terms>,
    /// Test score of the interpretable network minus the twin's.
    pub difference: Difference,
    /// Pictures that one of the two is right on alone; not there where no classes are told.
    pub mcnemar: Option<McNemar>,
}

impl Summary {
    /// Reads what a finished run wrote.
    ///
    /// # Errors
    /// If it cannot be read, or is of another version.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(io(path))?;
        let wrong = |problem: String| Error::Folder { path: path.to_owned(), problem };
        let found: Self =
            serde_json::from_slice(&text).map_err(|error| wrong(format!("no summary of a run: {error}")))?;
        match found.version {
            VERSION => Ok(found),
            other => Err(wrong(format!("it is of version {other}; this program reads version {VERSION}"))),
        }
    }
}
