//! What a download writes into the cache.

use std::path::{Path, PathBuf};

use super::Folder;
use crate::{HubError, Repo};

impl Folder {
    /// The content that the server names `etag`.
    pub(crate) fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    /// What has been received of `etag` so far.
    pub(crate) fn part(&self, etag: &str) -> PathBuf {
        self.blob(&format!("{etag}.incomplete"))
    }

    /// The lock of `etag`, the same that the Python library takes.
    pub(crate) fn lock(&self, etag: &str) -> PathBuf {
        self.locks.join(format!("{etag}.lock"))
    }

    /// How many bytes of `etag` this program and others have received so far.
    pub(crate) fn received(&self, etag: &str) -> u64 {
        let is_part = |name: &str| name.starts_with(etag) && name.ends_with(".incomplete");
        let entries = std::fs::read_dir(self.root.join("blobs")).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_str().is_some_and(is_part))
            .filter_map(|entry| entry.metadata().ok())
            .fold(0, |sum: u64, about| sum.saturating_add(about.len()))
    }

    /// Where `file` of a commit is found.
    pub(crate) fn entry(&self, commit: &str, file: &str) -> PathBuf {
        self.snapshot(commit).join(file)
    }

    /// Enters a whole blob as `file` of a commit, in place of what is there.
    pub(crate) fn enter(&self, commit: &str, file: &str, etag: &str) -> Result<(), HubError> {
        let path = self.entry(commit, file);
        make_parent(&path)?;
        if path.symlink_metadata().is_ok() {
            std::fs::remove_file(&path).map_err(HubError::io(&path))?;
        }
        link(&self.blob(etag), &to_blob(file, etag), &path).map_err(HubError::io(&path))
    }

    /// Notes at which commit the repository's branch is, unless that is noted already.
    pub(crate) fn note(&self, repo: &Repo, commit: &str) -> Result<(), HubError> {
        let reference = self.reference(repo.revision());
        let known = repo.revision() == commit || std::fs::read_to_string(&reference).is_ok_and(|noted| noted == commit);
        if known {
            return Ok(());
        }
        make_parent(&reference)?;
        std::fs::write(&reference, commit).map_err(HubError::io(&reference))
    }
}

/// The blob as seen from the folder of `file` in a snapshot: the cache may be moved as a whole.
fn to_blob(file: &str, etag: &str) -> PathBuf {
    let up = "../".repeat(file.split('/').count() + 1);
    PathBuf::from(format!("{up}blobs/{etag}"))
}

#[cfg(unix)]
fn link(_blob: &Path, relative: &Path, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(relative, path)
}

/// Where links need rights that few have.
#[cfg(not(unix))]
fn link(blob: &Path, _relative: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::copy(blob, path).map(|_| ())
}

/// Makes the folder that a file is to lie in.
pub(crate) fn make_parent(path: &Path) -> Result<(), HubError> {
    match path.parent() {
        Some(parent) => std::fs::create_dir_all(parent).map_err(HubError::io(parent)),
        None => Ok(()),
    }
}

/// Whether there is a file of `size` bytes.
pub(crate) fn has_size(path: &Path, size: u64) -> bool {
    path.metadata().is_ok_and(|about| about.is_file() && about.len() == size)
}
