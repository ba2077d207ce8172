//! Asking again, a bounded number of times, with growing pauses.

use std::time::Duration;

use ureq::http::StatusCode;

use crate::{HubError, Patience};

/// Why a request failed, and whether another may do better.
pub(super) struct Failure {
    pub(super) error: HubError,
    pub(super) temporary: bool,
    /// What the server answered, where it did.
    pub(super) status: Option<StatusCode>,
    /// How long the server asks to wait.
    pub(super) wait: Option<Duration>,
}

impl Failure {
    pub(super) fn temporary(error: HubError) -> Self {
        Self { error, temporary: true, status: None, wait: None }
    }
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self { error, temporary: false, status: None, wait: None }
    }
}

/// Counts the repetitions of a request.
pub(super) struct Retries<'p> {
    patience: &'p Patience,
    done: u32,
}

impl<'p> Retries<'p> {
    pub(super) fn new(patience: &'p Patience) -> Self {
        Self { patience, done: 0 }
    }

    /// Waits before another try, or gives the error up where none is left or the pause would be too long.
    pub(super) fn pause(&mut self, failure: Failure) -> Result<(), HubError> {
        let pause = failure.wait.unwrap_or_else(|| self.growing_pause());
        if !failure.temporary || self.done >= self.patience.retries || pause > self.patience.longest_pause {
            return Err(failure.error);
        }
        self.done += 1;
        std::thread::sleep(pause);
        Ok(())
    }

    /// The last try brought something: what follows counts anew.
    pub(super) fn reset(&mut self) {
        self.done = 0;
    }

    fn growing_pause(&self) -> Duration {
        let doubled = 1_u32.checked_shl(self.done).unwrap_or(u32::MAX);
        self.patience.pause.saturating_mul(doubled).min(self.patience.longest_pause)
    }
}

/// Tries until something comes of it, as often as patience allows.
pub(super) fn repeat<T>(patience: &Patience, attempt: impl Fn() -> Result<T, Failure>) -> Result<T, HubError> {
    let mut retries = Retries::new(patience);
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(failure) => retries.pause(failure)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let patience = Patience { retries: 100, ..Patience::default() };
        let pause = |done| Retries { patience: &patience, done }.growing_pause().as_secs_f64();
        assert_eq!([0, 1, 2, 7].map(pause), [0.25, 0.5, 1.0, 32.0]);
        assert_eq!([8, 31, 32, 99].map(pause), [60.0; 4]);
    }
}
