//! Training: losses, priors, optimizers, schedules, phases, and [`fit`], the loop.
//!
//! A prior says how training is steered and what will be true of the result; the truth of it is
//! measured elsewhere, by code that does not train (`interp-audit`).

mod buffers;
mod code;
pub mod distill;
mod evaluate;
mod fit;
pub mod gan;
mod generate;
pub mod insert;
mod objective;
mod optimizer;
pub mod prior;
mod reconstruct;
mod schedule;
mod settings;
mod snapshot;
mod trainer;
#[cfg(test)]
mod turns;

pub use evaluate::{Evaluation, evaluate, to_tensor};
pub use fit::{Event, Fitted, Flow, Steering, Task, fit};
pub use generate::Generate;
pub use objective::{Denoise, Objective, Score};
pub use optimizer::{AdamW, Optimizer, Sgd};
pub use reconstruct::{Pixels, Reconstruct};
pub use schedule::Schedule;
pub use settings::{ClassLoss, Group, Phase, Train};
pub use snapshot::Snapshot;
pub use trainer::{Best, Clock, Trainer};

use interp_net::ops::{OpError, is_out_of_memory};

/// Why training could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnError {
    /// A network could not be run or changed.
    #[error(transparent)]
    Net(#[from] interp_net::NetError),
    /// A batch could not be had.
    #[error(transparent)]
    Data(#[from] interp_data::DataError),
    /// An operation outside the network failed.
    #[error(transparent)]
    Op(#[from] OpError),
    /// A tensor operation of candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A setting that cannot be used.
    #[error(transparent)]
    Setting(#[from] interp_net::finding::Unfit),
    /// The loss is not a number any more.
    #[error("the loss is {loss} in epoch {epoch}, step {step}: lower the learning rate, or clip gradients")]
    Diverged {
        /// Counted from 1 over all phases.
        epoch: usize,
        /// Counted from 1 in the epoch.
        step: usize,
        /// What the loss was.
        loss: f64,
    },
    /// The device has no room for a batch.
    #[error("no memory left on the device for a batch of {batch} pictures: set `train.batch` to {}", batch / 2)]
    OutOfMemory {
        /// Pictures in the batch; at least 2.
        batch: usize,
    },
    /// What is asked is of single pictures, and `[objective.generate]` is about all of them together.
    #[error(
        "a network of [objective.generate] has no score on single pictures; `interp-audit codes` tells what its codes control"
    )]
    NoScore,
    /// A saved state does not fit this recipe.
    #[error("the saved state does not fit: {0}")]
    State(String),
    /// A file of a teacher's logits cannot be used.
    #[error("{path}: {problem}: remove it, and it is made anew")]
    Cache {
        /// The file.
        path: std::path::PathBuf,
        /// What was found.
        problem: String,
    },
    /// What listens to the training failed.
    #[error("{0}")]
    Observer(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl LearnError {
    /// What to say where a batch of `batch` pictures led to this error: a device without room asks for half of them.
    pub(crate) fn with_batch(self, batch: usize) -> Self {
        let full = match &self {
            Self::Op(OpError::OutOfMemory) => true,
            Self::Net(error) => error.is_out_of_memory(),
            Self::Candle(error) => is_out_of_memory(error),
            _ => false,
        };
        if full && batch > 1 { Self::OutOfMemory { batch } } else { self }
    }
}

/// Result with a [`LearnError`].
pub type Result<T, E = LearnError> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use interp_net::NetError;

    use super::*;

    #[test]
    fn a_device_without_room_asks_for_half_the_batch() {
        let full = || NetError::Op { node: "features.0".into(), source: OpError::OutOfMemory };
        for error in [LearnError::Op(OpError::OutOfMemory), LearnError::Net(full())] {
            let message = error.with_batch(512).to_string();
            assert!(message.contains("512") && message.contains("set `train.batch` to 256"), "{message}");
        }
        assert!(matches!(LearnError::Net(full()).with_batch(1), LearnError::Net(_)));
        assert!(matches!(LearnError::State("other".into()).with_batch(512), LearnError::State(_)));
    }
}
