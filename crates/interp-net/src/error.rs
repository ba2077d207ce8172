//! What can be wrong with networks and their files.

use std::path::PathBuf;

use interp_finding::nearest;
use interp_ops::{OpError, is_out_of_memory};

use crate::stored::Unread;

/// Why a network could not be built, run, loaded or saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// No node has this name.
    #[error("no node is called `{name}`{hint}")]
    UnknownNode {
        /// The name asked for.
        name: String,
        /// The nearest name of the network, or where none is near, some.
        hint: String,
    },
    /// A pattern selects nothing.
    #[error("`{pattern}` matches no {what} of the network{hint}")]
    NoMatch {
        /// The pattern as written.
        pattern: String,
        /// What it should have matched.
        what: &'static str,
        /// A name that it may have meant, or where none is near, some that there are.
        hint: String,
    },
    /// Two nodes have one name, a node comes before its inputs, or the like.
    #[error("node `{node}`: {problem}")]
    Graph {
        /// The node.
        node: String,
        /// What is wrong with it, and what was expected.
        problem: String,
    },
    /// An activation is needed that the tape did not keep.
    #[error("the activation of `{0}` is needed but was not kept: name it in `Keep`")]
    NotKept(String),
    /// The cells of a node have receptive fields of different sizes or at different distances.
    #[error("the cells of `{node}` have no receptive field in common, because of `{by}`: ask for the region of each")]
    NoField {
        /// The node.
        node: String,
        /// The first node whose cells do not read alike, itself or one before it.
        by: String,
    },
    /// A way back through a network that an operation does not have.
    #[error("{method} has no rule for `{node}`, {op}")]
    NoRule {
        /// What is computed.
        method: &'static str,
        /// The node.
        node: String,
        /// What it computes.
        op: String,
    },
    /// An operation that a format of other programs does not have.
    #[error("{format} has no form of `{node}`, {op}")]
    NoForm {
        /// The format.
        format: &'static str,
        /// The node.
        node: String,
        /// What it computes.
        op: String,
    },
    /// A setting of an architecture that makes no network.
    #[error(transparent)]
    Setting(#[from] interp_finding::Unfit),
    /// What makes no network.
    #[error("{0}")]
    Architecture(String),
    /// An operation failed at a node.
    #[error("node `{node}`: {source}")]
    Op {
        /// The node.
        node: String,
        /// What the operation said.
        source: OpError,
    },
    /// A tensor operation of candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No tensors can be read from a file.
    #[error("{path}: {problem}")]
    Unread {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: Unread,
    },
    /// A checkpoint is not what it should be.
    #[error("{path}: {problem}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What was found, what was expected, what to do.
        problem: String,
    },
}

impl NetError {
    /// Whether the device has no memory left.
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Self::Op { source, .. } => matches!(source, OpError::OutOfMemory),
            Self::Candle(error) => is_out_of_memory(error),
            _ => false,
        }
    }
}

/// The name that is nearest to what was asked for, or where none is near, the first few.
pub(crate) fn hint<'a>(asked: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    const FEW: usize = 6;
    if let Some(name) = nearest(asked, names.clone()) {
        return format!("; did you mean `{name}`?");
    }
    // Patterns for several nodes are there beside names.
    let names: Vec<&str> = names.filter(|name| !name.ends_with('*')).collect();
    let some = names.iter().take(FEW).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => String::new(),
        1..=FEW => format!("; there are {some}"),
        _ => format!("; there are {some}, ..."),
    }
}

/// Result with a [`NetError`].
pub type Result<T, E = NetError> = std::result::Result<T, E>;
