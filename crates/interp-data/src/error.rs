//! What can be wrong with data.

use std::path::{Path, PathBuf};

/// Why data could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file could not be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what its format says.
    #[error("{path}: {problem}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found, what was expected, what to do.
        problem: String,
    },
    /// A setting that cannot be used.
    #[error(transparent)]
    Setting(#[from] interp_finding::Unfit),
    /// Settings that contradict each other or the data.
    #[error("{0}")]
    Settings(String),
    /// A file could not be had from the hub.
    #[error(transparent)]
    Hub(#[from] interp_hub::HubError),
    /// Pictures stand in two splits that must have nothing in common.
    #[error(
        "{count} {what} stand in both {first} and {second}: {}; remove them, or set allow_overlap = true and say so \
         beside every figure",
        list(pairs, *count)
    )]
    Overlap {
        /// What is common: `identical pictures`, `pictures of one group`.
        what: &'static str,
        /// Name of the one split.
        first: &'static str,
        /// Name of the other split.
        second: &'static str,
        /// How many pairs there are.
        count: usize,
        /// Indices in the one and the other split, at most ten pairs.
        pairs: Vec<(usize, usize)>,
    },
}

/// The pairs as text, with dots where not all are named.
fn list(pairs: &[(usize, usize)], count: usize) -> String {
    let named: Vec<String> = pairs.iter().map(|(first, second)| format!("{first} = {second}")).collect();
    named.join(", ") + if count > pairs.len() { ", ..." } else { "" }
}

impl DataError {
    /// A [`DataError::Format`].
    pub(crate) fn format(path: &Path, problem: impl Into<String>) -> Self {
        Self::Format { path: path.into(), problem: problem.into() }
    }

    /// Turns an error of the system about `path` into a [`DataError::Io`].
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.into(), source }
    }
}

/// Result with a [`DataError`].
pub type Result<T, E = DataError> = std::result::Result<T, E>;
