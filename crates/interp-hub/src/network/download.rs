//! Downloads: into a part, checked, then into the cache.

use std::io::Read;
use std::path::Path;

use ureq::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE};
use ureq::http::{HeaderMap, StatusCode};

use super::answer::{header, is_page, number};
use super::describe::About;
use super::part::Part;
use super::request::Answer;
use super::retry::{Failure, Retries};
use super::{Client, address, lock};
use crate::cache::{Folder, has_size};
use crate::{Fetched, HubError, Progress};

/// Bytes that are received at once.
const BLOCK: usize = 1 << 16;
/// A try that brings this many bytes does not count among those in vain.
const WORTH_A_TRY: u64 = 1 << 20;

impl Client<'_> {
    /// A file, downloaded unless the cache has its content. Where the server cannot be reached, what the cache has
    /// serves.
    pub(crate) fn fetch(&self, file: &str, folder: &Folder, progress: Progress<'_>) -> Result<Fetched, HubError> {
        let cached = folder.find(self.repo, file);
        match self.describe(file, &self.patience(cached.is_some())) {
            Ok(about) => self.bring(file, &about, folder, progress),
            Err(error) => self.or_cached(Err(self.with_nearest(error, file)), cached),
        }
    }

    /// Brings the content into the cache, and enters it there as `file`.
    fn bring(&self, file: &str, about: &About, folder: &Folder, progress: Progress<'_>) -> Result<Fetched, HubError> {
        let path = folder.entry(&about.commit, file);
        if has_size(&path, about.size) {
            // The file is there: a cache that cannot be written serves all the same.
            let _ = folder.note(self.repo, &about.commit);
        } else {
            self.bring_locked(file, about, folder, progress)?;
            folder.note(self.repo, &about.commit)?;
        }
        Ok(Fetched { path, commit: about.commit.clone() })
    }

    fn bring_locked(&self, file: &str, about: &About, folder: &Folder, progress: Progress<'_>) -> Result<(), HubError> {
        let _lock = lock::take(folder, &about.etag, &self.hub.patience)?;
        // Whoever held the lock before may have brought it.
        if !has_size(&folder.blob(&about.etag), about.size) {
            self.receive(file, about, folder, progress)?;
        }
        match has_size(&folder.entry(&about.commit, file), about.size) {
            true => Ok(()),
            false => folder.enter(&about.commit, file, &about.etag),
        }
    }

    /// Downloads into `BLOB.incomplete`, and moves that to its place once size and checksum are right.
    fn receive(&self, file: &str, about: &About, folder: &Folder, progress: Progress<'_>) -> Result<(), HubError> {
        let mut part = Part::open(folder.part(&about.etag), about.size)?;
        match self.receive_checked(file, about, &mut part, progress) {
            Ok(()) => part.finish(&folder.blob(&about.etag)),
            Err(error @ HubError::Corrupt { .. }) => part.discard().and(Err(error)),
            Err(error) => Err(error), // What came is gone on with next time.
        }
    }

    fn receive_checked(
        &self,
        file: &str,
        about: &About,
        part: &mut Part,
        progress: Progress<'_>,
    ) -> Result<(), HubError> {
        let goes_on = part.length() > 0;
        self.complete(file, about, part, progress)?;
        let mut wrong = mismatch(about, part)?;
        if wrong.is_some() && goes_on {
            // The beginning, left by an earlier download, may be what is wrong.
            part.restart()?;
            self.complete(file, about, part, progress)?;
            wrong = mismatch(about, part)?;
        }
        wrong.map_or(Ok(()), |problem| Err(HubError::Corrupt { what: self.what(Some(file)), problem }))
    }

    /// Receives what is missing, in as many tries as patience allows.
    fn complete(&self, file: &str, about: &About, part: &mut Part, progress: Progress<'_>) -> Result<(), HubError> {
        let url = address::of_file(&self.hub.endpoint, self.repo, &about.commit, file);
        let mut retries = Retries::new(&self.hub.patience);
        let mut furthest = part.length();
        progress(part.length(), part.total());
        while !part.is_whole() {
            let Err(failure) = self.receive_once(file, &url, part, progress) else { continue };
            if part.length() >= furthest.saturating_add(WORTH_A_TRY) {
                furthest = part.length();
                retries.reset();
            }
            retries.pause(failure)?;
        }
        Ok(())
    }

    /// One request for what is missing.
    fn receive_once(&self, file: &str, url: &str, part: &mut Part, progress: Progress<'_>) -> Result<(), Failure> {
        let range = (part.length() > 0).then(|| format!("bytes={}-", part.length()));
        let answer = match self.get(Some(file), url, range.as_deref()) {
            Err(failure) => return Err(self.without_range(part, failure)?),
            Ok(answer) => answer,
        };
        let headers = answer.response.headers();
        if is_page(headers) && !is_name_of_page(file) {
            return Err(self.odd(Some(file), &answer.url, "a web page where a file is expected").into());
        }
        if header(headers, CONTENT_ENCODING.as_str()).is_some_and(|coding| coding != "identity") {
            return Err(self.odd(Some(file), &answer.url, "a compressed file that was not asked for").into());
        }
        if !continues(answer.response.status(), headers, part) {
            // A server without ranges begins anew, and so must the part.
            part.restart()?;
            if answer.response.status() == StatusCode::PARTIAL_CONTENT {
                return Err(Failure::temporary(self.odd(Some(file), &answer.url, "another range than asked for")));
            }
        }
        self.check_length(file, headers, part)?;
        self.read_body(file, answer, part, progress)
    }

    /// A server that cannot serve the range, because of what the part has, is asked for the whole.
    fn without_range(&self, part: &mut Part, mut failure: Failure) -> Result<Failure, HubError> {
        if part.length() > 0 && failure.status == Some(StatusCode::RANGE_NOT_SATISFIABLE) {
            part.restart()?;
            failure.temporary = true;
        }
        Ok(failure)
    }

    /// Refuses an answer that is of another length than what is missing.
    fn check_length(&self, file: &str, headers: &HeaderMap, part: &Part) -> Result<(), HubError> {
        let missing = part.total() - part.length();
        match number(headers, CONTENT_LENGTH.as_str()) {
            Some(length) if length != missing => Err(HubError::Corrupt {
                what: self.what(Some(file)),
                problem: format!("the server sends {length} bytes where {missing} are missing"),
            }),
            _ => Ok(()),
        }
    }

    fn read_body(&self, file: &str, answer: Answer, part: &mut Part, progress: Progress<'_>) -> Result<(), Failure> {
        let told = number(answer.response.headers(), CONTENT_LENGTH.as_str()).is_some();
        let mut body = answer.response.into_body().into_reader();
        let mut block = vec![0; BLOCK];
        while !part.is_whole() {
            let room = block.len().min(usize::try_from(part.total() - part.length()).unwrap_or(usize::MAX));
            match body.read(&mut block[..room]) {
                Ok(0) => return Err(self.broken(file, part, "the connection was closed")),
                Err(error) => return Err(self.broken(file, part, &error.to_string())),
                Ok(count) => part.append(&block[..count])?,
            }
            progress(part.length(), part.total());
        }
        // Where the length was told, the body ends there.
        if !told && body.read(&mut block).is_ok_and(|count| count > 0) {
            let problem = format!("the server sends more than the {} bytes that it told", part.total());
            return Err(HubError::Corrupt { what: self.what(Some(file)), problem }.into());
        }
        Ok(())
    }

    fn broken(&self, file: &str, part: &Part, problem: &str) -> Failure {
        let (what, problem) = (self.what(Some(file)), problem.into());
        Failure::temporary(HubError::Broken { what, done: part.length(), total: part.total(), problem })
    }
}

/// Whether the answer begins where the part ends.
fn continues(status: StatusCode, headers: &HeaderMap, part: &Part) -> bool {
    if status != StatusCode::PARTIAL_CONTENT {
        return part.length() == 0;
    }
    let range = header(headers, CONTENT_RANGE.as_str()).and_then(|range| range.strip_prefix("bytes "));
    range.is_some_and(|range| range.starts_with(&format!("{}-", part.length())))
}

/// What is wrong with a file that came in, if anything.
fn mismatch(about: &About, part: &Part) -> Result<Option<String>, HubError> {
    about.checksum.mismatch(part.path(), about.size).map_err(HubError::io(part.path()))
}

fn is_name_of_page(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("html"))
}
