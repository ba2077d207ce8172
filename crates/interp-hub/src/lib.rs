//! Files from the Hugging Face hub: models and data sets.
//!
//! - [`Repo`] names a repository at a revision: `OWNER/NAME[@REVISION]`.
//! - [`Hub`] says which server is asked, who asks, and where files are kept; [`Hub::list`] tells a repository's files,
//!   [`Hub::fetch`] downloads one unless the cache has it.
//! - [`Hub::upload`] puts files into a repository, in one commit.
//! - [`HubError`] says what was wrong and what to do.
//!
//! The cache has the layout of the Python library `huggingface_hub`, so that both use each other's files. The
//! environment is read as there ([`Hub::from_environment`]). Nothing enters the cache unless its size and its
//! checksum are those that the server told. Without the cargo feature `network` (on unless turned off) only the cache
//! is read.
//!
//! ```no_run
//! # fn main() -> Result<(), interp_hub::HubError> {
//! use interp_hub::{Hub, Repo};
//!
//! let hub = Hub::from_environment()?;
//! let listing = hub.list(&Repo::model("timm/vgg16_bn.tv_in1k@main")?)?;
//! // Pinned to the commit that was listed, so that config and weights fit together.
//! let weights = hub.fetch(&listing.repo, "model.safetensors", &|done, total| eprintln!("{done} of {total} bytes"))?;
//! println!("{} of commit {}", weights.path.display(), weights.commit);
//! # Ok(())
//! # }
//! ```

mod cache;
mod error;
mod listing;
#[cfg(feature = "network")]
mod network;
mod repo;
mod settings;
mod upload;

use std::path::PathBuf;

use cache::Folder;

pub use error::HubError;
pub use listing::{ListedFile, Listing};
pub use repo::{Kind, Repo};
pub use settings::{Patience, Token};
pub use upload::{Content, MOST_FILES, Outgoing, Upload, UploadError, Uploaded};

/// Reports how many bytes are there, and of how many.
pub type Progress<'p> = &'p dyn Fn(u64, u64);

/// Where files come from, and where they are kept.
#[derive(Clone, Debug)]
pub struct Hub {
    /// The address of the server, without `/` at its end.
    pub endpoint: String,
    /// The folder of cached files.
    pub cache: PathBuf,
    /// Who asks.
    pub token: Option<Token>,
    /// Use the cache only, ask no server.
    pub offline: bool,
    /// How long a server is waited for.
    pub patience: Patience,
}

/// A file that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it lies. It belongs to the cache: to be read, not changed.
    pub path: PathBuf,
    /// The commit that it comes from, to be written down with the result.
    pub commit: String,
}

impl Hub {
    /// A file of a repository, downloaded unless the cache has it.
    ///
    /// Of a repository that is pinned to a commit, what the cache has needs no server. A branch is asked for afresh
    /// each time; where the server cannot be reached, the file of the commit that the branch was at last serves.
    ///
    /// # Errors
    /// [`HubError`], which says what to do.
    pub fn fetch(&self, repo: &Repo, file: &str, progress: Progress<'_>) -> Result<Fetched, HubError> {
        repo::check_file(file)?;
        let folder = Folder::new(&self.cache, repo);
        let needs_no_server = self.offline || repo.commit().is_some();
        match needs_no_server.then(|| folder.find(repo, file)).flatten() {
            Some(found) => Ok(found),
            None if self.offline => Err(HubError::Offline { what: repo.with_file(file) }),
            None => self.download(repo, file, &folder, progress),
        }
    }

    /// The files of a repository, and the commit that its revision is at.
    ///
    /// Fetching them with the listing's own `repo` gives files of one commit. Where no server may or can be asked,
    /// only the files are known that the cache has ([`Listing::complete`]).
    ///
    /// # Errors
    /// [`HubError`], which says what to do.
    pub fn list(&self, repo: &Repo) -> Result<Listing, HubError> {
        let folder = Folder::new(&self.cache, repo);
        if !self.offline {
            return self.ask_for_list(repo, &folder);
        }
        cached_listing(repo, &folder).ok_or_else(|| HubError::Offline { what: repo.to_string() })
    }

    #[cfg(feature = "network")]
    fn download(&self, repo: &Repo, file: &str, folder: &Folder, progress: Progress<'_>) -> Result<Fetched, HubError> {
        network::Client::new(self, repo)?.fetch(file, folder, progress)
    }

    #[cfg(not(feature = "network"))]
    fn download(&self, repo: &Repo, file: &str, folder: &Folder, _progress: Progress<'_>) -> Result<Fetched, HubError> {
        folder.find(repo, file).ok_or_else(|| HubError::WithoutNetwork { what: repo.with_file(file) })
    }

    #[cfg(feature = "network")]
    fn ask_for_list(&self, repo: &Repo, folder: &Folder) -> Result<Listing, HubError> {
        network::Client::new(self, repo)?.list(cached_listing(repo, folder))
    }

    #[cfg(not(feature = "network"))]
    fn ask_for_list(&self, repo: &Repo, folder: &Folder) -> Result<Listing, HubError> {
        cached_listing(repo, folder).ok_or_else(|| HubError::WithoutNetwork { what: repo.to_string() })
    }
}

/// What the cache has of a repository, if anything.
fn cached_listing(repo: &Repo, folder: &Folder) -> Option<Listing> {
    let (commit, files) = folder.list(repo)?;
    Some(Listing { repo: repo.at(&commit).ok()?, files, complete: false })
}

#[cfg(test)]
mod tests;
