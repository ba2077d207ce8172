//! The cache on the disk, in the layout of the Python library `huggingface_hub`.
//!
//! ```text
//! models--OWNER--NAME/blobs/ETAG                    content, named as the server names it
//! models--OWNER--NAME/snapshots/COMMIT/PATH         link to ../../blobs/ETAG
//! models--OWNER--NAME/refs/REVISION                 the commit of a branch or tag, when last asked
//! .locks/models--OWNER--NAME/ETAG.lock              held while ETAG is downloaded
//! ```

#[cfg(feature = "network")]
mod writing;

use std::path::{Path, PathBuf};

#[cfg(feature = "network")]
pub(crate) use writing::{has_size, make_parent};

use crate::listing::ListedFile;
use crate::repo::is_commit;
use crate::{Fetched, Repo};

/// How deep folders of a snapshot are looked into.
const DEEPEST: usize = 32;

/// One repository's part of the cache.
pub(crate) struct Folder {
    root: PathBuf,
    #[cfg(feature = "network")]
    locks: PathBuf,
}

impl Folder {
    pub(crate) fn new(cache: &Path, repo: &Repo) -> Self {
        let name = format!("{}--{}", repo.kind().plural(), repo.id().replace('/', "--"));
        Self {
            root: cache.join(&name),
            #[cfg(feature = "network")]
            locks: cache.join(".locks").join(name),
        }
    }

    fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    fn reference(&self, revision: &str) -> PathBuf {
        self.root.join("refs").join(revision)
    }

    /// The commit that the repository is pinned to, else that of its branch when a server was last asked.
    fn commit(&self, repo: &Repo) -> Option<String> {
        if let Some(commit) = repo.commit() {
            return Some(commit.into());
        }
        let written = std::fs::read_to_string(self.reference(repo.revision())).ok()?;
        let commit = written.trim();
        is_commit(commit).then(|| commit.into())
    }

    /// A file, where the cache has it.
    pub(crate) fn find(&self, repo: &Repo, file: &str) -> Option<Fetched> {
        let commit = self.commit(repo)?;
        let path = self.snapshot(&commit).join(file);
        path.is_file().then_some(Fetched { path, commit })
    }

    /// The commit and the files that the cache has of the repository, in the order of their names.
    pub(crate) fn list(&self, repo: &Repo) -> Option<(String, Vec<ListedFile>)> {
        let commit = self.commit(repo)?;
        let snapshot = self.snapshot(&commit);
        let mut files = Vec::new();
        collect(&snapshot, "", DEEPEST, &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        (!files.is_empty()).then_some((commit, files))
    }
}

/// Adds the files below a folder, each with its path from the root of the snapshot.
fn collect(folder: &Path, before: &str, deeper: usize, files: &mut Vec<ListedFile>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let (path, on_disk) = (format!("{before}{name}"), entry.path());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if deeper > 0 {
                collect(&on_disk, &format!("{path}/"), deeper - 1, files);
            }
        } else if let Ok(about) = on_disk.metadata().map(|about| about.len()) {
            files.push(ListedFile { path, size: Some(about) });
        }
    }
}
