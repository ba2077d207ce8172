//! The files of a repository, as the server tells them.

use std::io::Read;

use serde::Deserialize;

use super::answer::is_page;
use super::retry::{Failure, repeat};
use super::{Client, address};
use crate::repo::check_file;
use crate::{HubError, ListedFile, Listing};

/// The longest answer that is read, in bytes: some hundred thousand files.
const LONGEST_ANSWER: u64 = 1 << 26;
/// How many near names are told.
const MOST_NEAREST: usize = 3;
/// How many files' names are compared with a wrong one, and how long these may be.
const LARGEST_SEARCH: usize = 1000;
const LONGEST_COMPARED: usize = 200;

/// The part of the hub's answer that is read.
#[derive(Deserialize)]
struct Described {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
}

impl Client<'_> {
    /// The commit and the files of the repository; where the server cannot be reached, `cached`.
    pub(crate) fn list(&self, cached: Option<Listing>) -> Result<Listing, HubError> {
        let listed = repeat(&self.patience(cached.is_some()), || self.list_once());
        self.or_cached(listed, cached)
    }

    fn list_once(&self) -> Result<Listing, Failure> {
        let revision = address::escape(self.repo.exact_revision());
        let base = address::of_interface(&self.hub.endpoint, self.repo);
        let answer = self.get(None, &format!("{base}/revision/{revision}?blobs=true"), None)?;
        if is_page(answer.response.headers()) {
            return Err(self.odd(None, &answer.url, "a web page where a list of files is expected").into());
        }
        let mut text = Vec::new();
        let body = answer.response.into_body().into_reader();
        body.take(LONGEST_ANSWER + 1).read_to_end(&mut text).map_err(|error| {
            let what = self.what(None);
            Failure::temporary(HubError::Server { what, problem: error.to_string() })
        })?;
        if text.len() as u64 > LONGEST_ANSWER {
            return Err(self.odd(None, &answer.url, "a list without end").into());
        }
        let odd = |problem: String| self.odd(None, &answer.url, problem);
        let described: Described = serde_json::from_slice(&text).map_err(|error| odd(error.to_string()))?;
        let repo = self.repo.at(&described.sha).map_err(|_| odd("it names no commit".into()))?;
        Ok(Listing { repo, files: files(described.siblings), complete: true })
    }

    /// Adds to an error that a file does not exist which files are near, where the server tells them at once.
    pub(super) fn with_nearest(&self, error: HubError, file: &str) -> HubError {
        let HubError::NoFile { what, .. } = error else { return error };
        let nearest = self.list_once().map_or(Vec::new(), |listing| nearest(file, &listing.files));
        HubError::NoFile { what, nearest }
    }
}

/// The files in the order of their names, without those that could not be fetched.
fn files(siblings: Vec<Sibling>) -> Vec<ListedFile> {
    let file = |sibling: Sibling| ListedFile { path: sibling.rfilename, size: sibling.size };
    let mut files: Vec<ListedFile> = siblings.into_iter().map(file).collect();
    files.retain(|file| check_file(&file.path).is_ok());
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The files whose names are most like `wanted`: at most half of the letters wrong.
fn nearest(wanted: &str, files: &[ListedFile]) -> Vec<String> {
    if wanted.len() > LONGEST_COMPARED {
        return Vec::new();
    }
    let near = |file: &ListedFile| {
        let distance = strsim::damerau_levenshtein(wanted, &file.path);
        (distance * 2 <= wanted.len().max(file.path.len())).then(|| (distance, file.path.clone()))
    };
    let short = |file: &&ListedFile| file.path.len() <= LONGEST_COMPARED;
    let mut found: Vec<(usize, String)> = files.iter().filter(short).take(LARGEST_SEARCH).filter_map(near).collect();
    found.sort();
    found.into_iter().take(MOST_NEAREST).map(|(_, path)| path).collect()
}
