//! Which files a repository has.

use crate::Repo;

/// The files of a repository at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The repository, pinned to the commit that was listed: files fetched with it fit together.
    pub repo: Repo,
    /// The files, in the order of their names.
    pub files: Vec<ListedFile>,
    /// Whether these are all of them; without a server only those are known that the cache has.
    pub complete: bool,
}

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// The path from the repository's root, with `/` between folders.
    pub path: String,
    /// Bytes, where they are known.
    pub size: Option<u64>,
}

impl Listing {
    /// Whether there is a file of this path.
    pub fn has(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path)
    }
}
