//! What the server says of a file before it is downloaded.

use ureq::http::HeaderMap;
use ureq::http::header::{CONTENT_LENGTH, ETAG};

use super::answer::{header, is_page, number};
use super::checksum::Checksum;
use super::request::Answer;
use super::retry::{Failure, repeat};
use super::{Client, address};
use crate::repo::is_commit;
use crate::{HubError, Patience};

/// The longest name of a content that a cache is given.
const LONGEST_ETAG: usize = 128;

/// A file at a commit.
pub(super) struct About {
    pub(super) commit: String,
    /// The server's name for the content, which is safe as a file's name.
    pub(super) etag: String,
    /// Bytes.
    pub(super) size: u64,
    pub(super) checksum: Checksum,
}

impl Client<'_> {
    /// Asks the server about a file.
    pub(super) fn describe(&self, file: &str, patience: &Patience) -> Result<About, HubError> {
        let url = address::of_file(&self.hub.endpoint, self.repo, self.repo.exact_revision(), file);
        repeat(patience, || self.read_description(file, self.head(file, &url)?))
    }

    fn read_description(&self, file: &str, answer: Answer) -> Result<About, Failure> {
        let headers = answer.response.headers();
        let odd = |problem: &str| self.odd(Some(file), &answer.url, problem);
        let Some(commit) = header(headers, "x-repo-commit").filter(|commit| is_commit(commit)) else {
            let page = if is_page(headers) { "a web page where a file is expected" } else { "it names no commit" };
            return Err(odd(page).into());
        };
        if self.repo.commit().is_some_and(|pinned| pinned != commit) {
            return Err(odd("a file of another commit").into());
        }
        let etag = etag(headers).ok_or_else(|| odd("it does not name the content (no usable ETag)"))?;
        let size = match size(headers, answer.response.status().is_redirection()) {
            Some(size) => size,
            None => self.size_from_range(file, commit)?,
        };
        Ok(About { commit: commit.into(), checksum: Checksum::named(&etag), etag, size })
    }

    /// The size as the answer to a request for the first byte tells it: `Content-Range: bytes 0-0/SIZE`.
    fn size_from_range(&self, file: &str, commit: &str) -> Result<u64, Failure> {
        let url = address::of_file(&self.hub.endpoint, self.repo, commit, file);
        let answer = self.get(Some(file), &url, Some("bytes=0-0"))?;
        let headers = answer.response.headers();
        let of_range = || header(headers, "content-range")?.rsplit_once('/')?.1.parse().ok();
        let whole = || number(headers, CONTENT_LENGTH.as_str());
        let size = if answer.response.status() == 206 { of_range() } else { whole() };
        size.ok_or_else(|| self.odd(Some(file), &answer.url, "it tells no size").into())
    }
}

/// The name of the content: that of the linked one where the answer stands for another server's.
fn etag(headers: &HeaderMap) -> Option<String> {
    let text = header(headers, "x-linked-etag").or_else(|| header(headers, ETAG.as_str()))?;
    let name = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = !name.is_empty() && name.len() <= LONGEST_ETAG && !name.starts_with('.') && name.chars().all(safe);
    fits.then(|| name.into())
}

/// The size of the content; a redirect's own length is not it.
fn size(headers: &HeaderMap, is_redirect: bool) -> Option<u64> {
    let own = || number(headers, CONTENT_LENGTH.as_str()).filter(|_| !is_redirect);
    number(headers, "x-linked-size").or_else(own)
}
