//! What is uploaded, and why it was not.

use std::path::PathBuf;

use crate::repo::check_file;
use crate::{Hub, HubError, Progress, Repo};

/// Files that one upload may have: the hub is asked about all of them at once.
pub const MOST_FILES: usize = 256;

/// Files that enter a repository in one commit.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The files, at most [`MOST_FILES`]; those of the same path are replaced, others stay.
    pub files: Vec<Outgoing>,
    /// What the commit says of itself: a line.
    pub message: String,
    /// A repository that is not there yet is made for its owner's eyes only.
    pub private: bool,
}

/// A file to upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The path from the repository's root, with `/` between folders.
    pub path: String,
    /// What it has in it.
    pub content: Content,
}

/// What a file has in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// What this file on the disk has.
    File(PathBuf),
    /// These bytes.
    Bytes(Vec<u8>),
}

/// What came of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// The repository, pinned to the new commit.
    pub repo: Repo,
    /// Where people look at the commit.
    pub page: String,
}

/// Why files were not uploaded, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// No server may be asked.
    #[error("HF_HUB_OFFLINE forbids it: unset it")]
    Offline,
    /// The program cannot ask servers.
    #[error("this program was built without a network (cargo feature `network` of interp-hub)")]
    WithoutNetwork,
    /// Nobody is signed in.
    #[error("it needs a token: make one that may write at {page}, and set HF_TOKEN to it")]
    NoToken {
        /// Where tokens are made.
        page: String,
    },
    /// The revision is a commit.
    #[error("nothing can be added to a commit: give a branch, or leave the revision away")]
    Pinned,
    /// A private repository is asked for, and the one of this name is not.
    #[error("it is asked to be private, and everyone can read the repository that is there: change that at {page}")]
    Public {
        /// Where it is changed.
        page: String,
    },
    /// The account may not write there.
    #[error("the hub does not allow it ({problem}): see that HF_TOKEN is a token that may write there")]
    NotAllowed {
        /// Status, and what the server said.
        problem: String,
    },
    /// More bytes than the server takes.
    #[error("that is more than the server takes ({problem})")]
    TooLarge {
        /// Status, and what the server said.
        problem: String,
    },
    /// Too many requests, and waiting did not help.
    #[error("the hub allows no more requests for now{}", crate::error::when(*.wait))]
    Busy {
        /// How long the server asks to wait, in seconds, where it says.
        wait: Option<u64>,
    },
    /// The server does not take it as it is.
    #[error("the server does not take it ({problem})")]
    Rejected {
        /// What the server said.
        problem: String,
    },
    /// The server cannot be reached, fails, or the connection broke, and asking again did not help.
    #[error(
        "{problem}; start it again: files that have arrived whole are not sent twice, and none shows before all are there"
    )]
    Broken {
        /// What was wrong.
        problem: String,
    },
    /// The commit was sent, and what the hub says of it did not arrive.
    #[error(
        "all files were sent, and the hub's answer was lost ({problem}): see at {page} whether they are there before you start it again"
    )]
    Unanswered {
        /// What was wrong.
        problem: String,
        /// Where commits are seen.
        page: String,
    },
    /// More files than one upload may have.
    #[error("{count} files are more than one upload may have, {MOST_FILES}")]
    TooMany {
        /// How many there are.
        count: usize,
    },
}

impl Hub {
    /// Puts files into a repository, all in one commit; makes the repository where it is not there. `progress` is told
    /// the bytes of all files together.
    ///
    /// Nothing is committed unless all files have arrived.
    ///
    /// # Errors
    /// [`HubError::Upload`] and others, which say what to do.
    pub fn upload(&self, repo: &Repo, upload: &Upload, progress: Progress<'_>) -> Result<Uploaded, HubError> {
        upload.files.iter().try_for_each(|file| check_file(&file.path))?;
        let count = upload.files.len();
        let obstacle = if repo.commit().is_some() {
            Some(UploadError::Pinned)
        } else if count > MOST_FILES {
            Some(UploadError::TooMany { count })
        } else if self.offline {
            Some(UploadError::Offline)
        } else if self.token.is_none() {
            Some(UploadError::NoToken { page: format!("{}/settings/tokens", self.endpoint) })
        } else {
            None
        };
        obstacle.map_or_else(|| self.send(repo, upload, progress), |why| Err(why.of(repo)))
    }

    #[cfg(feature = "network")]
    fn send(&self, repo: &Repo, upload: &Upload, progress: Progress<'_>) -> Result<Uploaded, HubError> {
        crate::network::Client::new(self, repo)?.upload(upload, progress)
    }

    #[cfg(not(feature = "network"))]
    fn send(&self, repo: &Repo, _upload: &Upload, _progress: Progress<'_>) -> Result<Uploaded, HubError> {
        Err(UploadError::WithoutNetwork.of(repo))
    }
}

impl UploadError {
    /// The error with the repository that it is about.
    pub(crate) fn of(self, repo: &Repo) -> HubError {
        HubError::Upload { what: repo.to_string(), why: self }
    }
}
