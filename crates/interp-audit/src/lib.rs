//! Analyses of trained networks. They see a network, data and their own settings, never the training.

mod bank;
mod channels;
mod claims;
mod evidence;
mod pictures;
mod zeros;

pub use claims::{measure, quantity};
pub use pictures::Pictures;
pub use zeros::Zeros;

/// Why an analysis could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The network does not fit the question.
    #[error(transparent)]
    Net(#[from] interp_net::NetError),
    /// Pictures cannot be had.
    #[error(transparent)]
    Data(#[from] interp_data::DataError),
    /// An operation outside the network failed.
    #[error(transparent)]
    Op(#[from] interp_net::ops::OpError),
    /// A tensor operation of candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A claim about a node that cannot be measured there.
    #[error("the claim \"{claim}\" cannot be measured: {problem}")]
    Claim {
        /// The claim in words.
        claim: String,
        /// Why not.
        problem: String,
    },
}

/// Result with an [`AuditError`].
pub type Result<T, E = AuditError> = std::result::Result<T, E>;
