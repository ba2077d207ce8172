//! What the programs tell when something is wrong.

use std::path::PathBuf;
use std::sync::Arc;

use miette::{Diagnostic, NamedSource, SourceSpan};

/// Anything that ends a program.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[non_exhaustive]
pub enum Error {
    /// A recipe cannot be used; the place in the file is shown.
    #[error("{message}")]
    Recipe {
        /// What was given and what was expected.
        message: String,
        /// The file.
        #[source_code]
        source_code: Arc<NamedSource<String>>,
        /// Where.
        #[label("here")]
        span: Option<SourceSpan>,
        /// What to do.
        #[help]
        help: Option<String>,
    },
    /// A run folder is not as it should be.
    #[error("{path}: {problem}")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What was found, what to do.
        problem: String,
    },
    /// Arguments of a command that do not go together.
    #[error("{0}")]
    Usage(String),
    /// The file system refuses.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// From the networks.
    #[error(transparent)]
    Net(#[from] interp_net::NetError),
    /// From the data.
    #[error(transparent)]
    Data(#[from] interp_data::DataError),
    /// From training.
    #[error(transparent)]
    Learn(#[from] interp_learn::LearnError),
    /// From an analysis.
    #[error(transparent)]
    Audit(#[from] interp_audit::AuditError),
    /// From the hub.
    #[error(transparent)]
    Hub(#[from] interp_hub::HubError),
    /// From the report.
    #[error(transparent)]
    Report(#[from] interp_report::ReportError),
    /// From candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A result could not be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Result with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
