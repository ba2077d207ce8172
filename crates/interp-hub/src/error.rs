//! Why a file of the hub could not be had.

use std::error::Error;

use hf_hub::HFError;

/// Why a file of the hub could not be had, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// Only the cache may be used, and it has no such file.
    #[error(
        "{file} is not in the cache, and HF_HUB_OFFLINE forbids a download: unset it, or give the path of a local copy"
    )]
    NotCached {
        /// Repository, revision and file.
        file: String,
    },
    /// The server has no such repository, revision or file.
    #[error(
        "{file} does not exist on the hub (or needs HF_TOKEN to be seen): check its name, or give the path of a local copy"
    )]
    NotFound {
        /// Repository, revision and file.
        file: String,
    },
    /// The server cannot be reached, and the cache has no such file.
    #[error(
        "{file} is not in the cache, and the hub cannot be reached ({}): check the network and HF_ENDPOINT, or give the path of a local copy",
        root(source)
    )]
    NoNetwork {
        /// Repository, revision and file.
        file: String,
        /// What was wrong with the connection.
        source: Box<HFError>,
    },
    /// The server or the cache gave another error.
    #[error("{file} could not be downloaded ({source}): try again later, or give the path of a local copy")]
    Failed {
        /// Repository, revision and file.
        file: String,
        /// What the server or the file system said.
        source: Box<HFError>,
    },
}

/// The cause of all causes.
fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    error.source().map_or(error, root)
}
