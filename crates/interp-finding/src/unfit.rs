//! Settings that cannot be used, named so that their place in a recipe can be found.

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` {problem}")]
pub struct Unfit {
    /// The dotted path of the key below its section; items of lists by their index: `phase.0.warmup`.
    pub key: String,
    /// What it must be, and what it is: `must be above 0, not -1`.
    pub problem: String,
}

impl Unfit {
    /// The setting at `key` with what is wrong.
    pub fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into() }
    }

    /// Refuses the setting at `key` unless `fits`.
    ///
    /// # Errors
    /// If it does not fit.
    pub fn unless(fits: bool, key: &str, problem: impl Into<String>) -> Result<(), Self> {
        if fits { Ok(()) } else { Err(Self::new(key, problem)) }
    }

    /// The same, seen from the section around it.
    pub fn within(self, section: &str) -> Self {
        Self { key: format!("{section}.{}", self.key), ..self }
    }
}
