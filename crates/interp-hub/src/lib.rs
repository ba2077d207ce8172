//! Files from the Hugging Face hub: cache, downloads, offline mode.
//!
//! The cache has the layout of the Python library `huggingface_hub`, so that both share their
//! files. The environment is read as there: `HF_ENDPOINT` (another server), `HF_HOME` and
//! `HF_HUB_CACHE` (where the cache lies), `HF_TOKEN` (who asks), `HF_HUB_OFFLINE` (use the cache only).

mod error;

use std::path::PathBuf;

use hf_hub::{HFClient, HFClientSync, HFError};

pub use error::HubError;

/// How often a request is repeated when the server is busy or the connection breaks.
const RETRIES: usize = 3;

/// Where files come from, and where they are kept.
#[derive(Clone, Debug, Default)]
pub struct Hub {
    /// Use the cache only, ask no server.
    pub offline: bool,
    /// The server; where none is given `HF_ENDPOINT`, else the hub's own address.
    pub endpoint: Option<String>,
    /// The folder of cached files; where none is given `HF_HUB_CACHE`, else `hub` in `HF_HOME`.
    pub cache: Option<PathBuf>,
}

impl Hub {
    /// The hub as the environment asks for it.
    pub fn from_environment() -> Self {
        let offline = std::env::var("HF_HUB_OFFLINE").is_ok_and(|value| is_true(&value));
        Self { offline, ..Self::default() }
    }

    /// The path of a file of the data set `owner/name`, downloaded unless the cache has it.
    ///
    /// `revision` is a branch, a tag or a commit; a branch is asked for afresh each time, unless the
    /// server cannot be reached.
    ///
    /// # Errors
    /// [`HubError`], which says what to do.
    pub fn fetch_dataset_file(&self, owner: &str, name: &str, revision: &str, file: &str) -> Result<PathBuf, HubError> {
        let client = self.client().map_err(|error| self.explain(error, file))?;
        client
            .dataset(owner, name)
            .download_file()
            .filename(file)
            .revision(revision)
            .local_files_only(self.offline)
            .send()
            .map_err(|error| self.explain(error, &format!("{owner}/{name}@{revision}: {file}")))
    }

    fn client(&self) -> Result<HFClientSync, HFError> {
        let mut builder = HFClient::builder().retry_max_attempts(RETRIES);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.endpoint(endpoint);
        }
        if let Some(cache) = &self.cache {
            builder = builder.cache_dir(cache);
        }
        builder.build_sync()
    }

    fn explain(&self, error: HFError, file: &str) -> HubError {
        let file = file.to_owned();
        match error {
            HFError::LocalEntryNotFound { .. } => HubError::NotCached { file },
            HFError::EntryNotFound { .. } | HFError::RepoNotFound { .. } | HFError::RevisionNotFound { .. } => {
                HubError::NotFound { file }
            }
            HFError::Request { .. } => HubError::NoNetwork { file, source: Box::new(error) },
            _ => HubError::Failed { file, source: Box::new(error) },
        }
    }
}

/// Whether the value of an environment variable means yes, as `huggingface_hub` reads it.
fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests;
