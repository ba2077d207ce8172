//! What can go wrong in an operation.

use crate::is_out_of_memory;

/// The result of an operation.
pub type Result<T> = std::result::Result<T, OpError>;

/// Why an operation could not be done; nothing has been changed.
#[derive(Debug, thiserror::Error)]
pub enum OpError {
    /// A type of numbers, a device or a configuration that the operations do not know.
    #[error("{op}: {what} is not supported; {hint}")]
    Unsupported {
        /// The operation.
        op: &'static str,
        /// What was given.
        what: String,
        /// What to do instead.
        hint: &'static str,
    },
    /// Shapes that do not fit each other or the operation.
    #[error("{op}: {given}; expected {expected}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// The shapes given.
        given: String,
        /// The shapes that would fit.
        expected: String,
    },
    /// A value outside its range.
    #[error("{op}: {given}; expected {expected}")]
    Value {
        /// The operation.
        op: &'static str,
        /// The value given and what it is.
        given: String,
        /// The values allowed.
        expected: String,
    },
    /// The device has no room for what was to be computed.
    #[error("no memory left on the device: use smaller batches, or compute on the CPU")]
    OutOfMemory,
    /// An error of candle while reading or making a tensor.
    #[error(transparent)]
    Candle(candle_core::Error),
}

impl From<candle_core::Error> for OpError {
    fn from(error: candle_core::Error) -> Self {
        if is_out_of_memory(&error) { Self::OutOfMemory } else { Self::Candle(error) }
    }
}
