//! What can go wrong in an operation.

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
    /// An error of candle while reading or making a tensor.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
