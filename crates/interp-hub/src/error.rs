//! Why something of the hub could not be had, or not be put there.

use std::path::{Path, PathBuf};

use crate::UploadError;

/// Why something of the hub could not be had or put there, and what to do.
///
/// `what` is a repository with its revision, and a file where it is about one: `owner/name@main: config.json`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A text that names no repository.
    #[error(
        "`{given}` names no repository of the hub: {problem}; expected OWNER/NAME or OWNER/NAME@REVISION, such as \
         timm/vgg16_bn.tv_in1k@main"
    )]
    Spelling {
        /// The text.
        given: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A text that names no file of a repository.
    #[error("`{given}` names no file of a repository: expected a path from its root, such as folder/model.safetensors")]
    FileName {
        /// The text.
        given: String,
    },
    /// A setting of the environment that cannot be used.
    #[error("{name} cannot be used: {problem}")]
    Setting {
        /// The variable's name.
        name: &'static str,
        /// What is wrong with its value, and what was expected.
        problem: String,
    },
    /// Only the cache may be used, and it has no such file.
    #[error(
        "{what} is not in the cache, and HF_HUB_OFFLINE forbids a download: unset it, or give the path of a local copy"
    )]
    Offline {
        /// Repository, revision and file.
        what: String,
    },
    /// The program cannot download, and the cache has no such file.
    #[error(
        "{what} is not in the cache, and this program was built without downloads (cargo feature `network` of \
         interp-hub): give the path of a local copy"
    )]
    WithoutNetwork {
        /// Repository, revision and file.
        what: String,
    },
    /// The server cannot be reached, and the cache has no such file.
    #[error(
        "{what} is not in the cache, and {server} cannot be reached ({problem}): check the network and HF_ENDPOINT, \
         or give the path of a local copy"
    )]
    Unreachable {
        /// Repository, revision and file.
        what: String,
        /// The server's address.
        server: String,
        /// What was wrong with the connection.
        problem: String,
    },
    /// What answers is not the hub: a login page, a proxy, another site.
    #[error(
        "{server} does not answer as the hub does when asked for {what} ({problem}): if the network has a login page \
         or a proxy, sign in there; check HF_ENDPOINT and HTTPS_PROXY"
    )]
    NotTheHub {
        /// Repository, revision and file.
        what: String,
        /// The server's address.
        server: String,
        /// What was odd.
        problem: String,
    },
    /// There is no such repository, or it may not be seen.
    #[error("{what} does not exist on the hub, or is private: check its name, and {}", sign_in(*.signed_in))]
    NoRepository {
        /// The repository.
        what: String,
        /// Whether a token was sent.
        signed_in: bool,
    },
    /// The repository has no such branch, tag or commit.
    #[error("{what} does not exist: the repository is there, but has no branch, tag or commit of that name")]
    NoRevision {
        /// Repository and revision.
        what: String,
    },
    /// The repository has no such file at that revision.
    #[error("{what} does not exist: the repository is there, but has no such file{}", or_nearest(nearest))]
    NoFile {
        /// Repository, revision and file.
        what: String,
        /// Its files with the nearest names, the nearest first; none where none is near.
        nearest: Vec<String>,
    },
    /// The terms of the repository must be accepted first.
    #[error(
        "{what} is open only to accounts that accepted its terms: accept them at {page}, and {}",
        sign_in(*.signed_in)
    )]
    Gated {
        /// Repository, revision and file.
        what: String,
        /// Where the terms are.
        page: String,
        /// Whether a token was sent.
        signed_in: bool,
    },
    /// The server does not allow it.
    #[error("the hub refuses access to {what} ({problem}): {}", sign_in(*.signed_in))]
    Refused {
        /// Repository, revision and file.
        what: String,
        /// Status, and what the server said.
        problem: String,
        /// Whether a token was sent.
        signed_in: bool,
    },
    /// Too many requests, and waiting did not help.
    #[error(
        "the hub allows no more requests for now when asked for {what}{}; set HF_TOKEN for a higher limit",
        when(*.wait)
    )]
    Busy {
        /// Repository, revision and file.
        what: String,
        /// How long the server asks to wait, in seconds, where it says.
        wait: Option<u64>,
    },
    /// The server fails.
    #[error("the server failed when asked for {what} ({problem}): try again later, or give the path of a local copy")]
    Server {
        /// Repository, revision and file.
        what: String,
        /// Status, and what the server said.
        problem: String,
    },
    /// The connection broke, and asking again did not help.
    #[error(
        "the download of {what} broke off after {done} of {total} bytes ({problem}): start it again, it goes on from \
         there"
    )]
    Broken {
        /// Repository, revision and file.
        what: String,
        /// Bytes that were received and kept.
        done: u64,
        /// Bytes of the whole file.
        total: u64,
        /// What was wrong with the connection.
        problem: String,
    },
    /// What was received is not the file that the server described; it was thrown away.
    #[error("what was received of {what} is damaged and was thrown away ({problem}): start the download again")]
    Corrupt {
        /// Repository, revision and file.
        what: String,
        /// What was expected, and what came.
        problem: String,
    },
    /// Another program holds the file's lock, and nothing grows.
    #[error(
        "another program has been downloading the same file without progress: end it, then start again (its lock is \
         {path})"
    )]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// There is no room for the file.
    #[error(
        "no room is left on the disk for {path}, which needs {needed} bytes: make room, or set HF_HUB_CACHE to a \
         folder on another disk"
    )]
    DiskFull {
        /// The file in the cache.
        path: PathBuf,
        /// Bytes that are still to be written.
        needed: u64,
    },
    /// Nothing was committed.
    #[error("the upload to {what} failed: {why}")]
    Upload {
        /// The repository with its branch.
        what: String,
        /// Why, and what to do.
        why: UploadError,
    },
    /// A file of the cache, or one to upload, cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl HubError {
    /// Turns an error of the system about `path` into a [`HubError::Io`].
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.into(), source }
    }

    /// Whether it is about the way to the hub, so that what the cache has may serve instead.
    #[cfg(feature = "network")]
    pub(crate) fn is_of_the_way(&self) -> bool {
        use HubError::{Busy, NotTheHub, Server, Unreachable};
        matches!(self, Unreachable { .. } | NotTheHub { .. } | Busy { .. } | Server { .. })
    }
}

/// What to do about an account.
fn sign_in(signed_in: bool) -> &'static str {
    if signed_in {
        "see that the account of HF_TOKEN (or of the token in HF_HOME) may read it"
    } else {
        "set HF_TOKEN to a token of an account that may read it"
    }
}

fn or_nearest(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; near it are {}", names.join(", ")) }
}

pub(crate) fn when(wait: Option<u64>) -> String {
    wait.map_or(": try again later".into(), |seconds| format!(": try again in {seconds} seconds"))
}
