//! Uploads: the repository, which way each file goes, and the commit.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ureq::http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use ureq::http::{HeaderMap, Request, Response, StatusCode, request::Builder};
use ureq::{AsSendBody, Body};

use super::answer::{header, is_page};
use super::lfs;
use super::outgoing::{Described, Meter};
use super::retry::{Failure, repeat};
use super::{Client, address};
use crate::repo::shorten;
use crate::{HubError, Progress, Upload, UploadError, Uploaded};

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 1 << 24;
/// The longest address that is told, in characters.
const LONGEST_ADDRESS: usize = 1000;
const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// What the hub says of a repository.
#[derive(Deserialize)]
struct About {
    private: bool,
}

/// Which way the files go.
#[derive(Deserialize)]
struct Ways {
    files: Vec<Way>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Way {
    path: String,
    upload_mode: Mode,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// In the commit itself.
    Regular,
    /// To the store of large files; the commit names it.
    Lfs,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Committed {
    commit_url: String,
    commit_oid: String,
}

impl Client<'_> {
    /// Puts the files into the repository. The commit is the last request: before it nothing shows.
    pub(crate) fn upload(&self, upload: &Upload, progress: Progress<'_>) -> Result<Uploaded, HubError> {
        let files = upload.files.iter().map(Described::of).collect::<Result<Vec<_>, _>>()?;
        self.make_repository(upload.private)?;
        let modes = self.modes(&files)?;
        let total = files.iter().map(|file| file.size).sum();
        let large: Vec<&Described<'_>> =
            files.iter().zip(&modes).filter(|(_, mode)| **mode == Mode::Lfs).map(|(file, _)| file).collect();
        self.send_large(&large, Meter { progress, before: 0, total })?;
        let uploaded = self.commit(&upload.message, &files, &modes)?;
        progress(total, total);
        Ok(uploaded)
    }

    /// Makes the repository unless it is there.
    fn make_repository(&self, private: bool) -> Result<(), HubError> {
        let page = address::of_page(&self.hub.endpoint, self.repo);
        match self.about()? {
            Some(about) if private && !about.private => {
                Err(UploadError::Public { page: format!("{page}/settings") }.of(self.repo))
            }
            Some(_) => Ok(()),
            None => self.create(private)?.then_some(()).map_or_else(|| self.join(private), Ok),
        }
    }

    /// A repository that somebody has made in between, or that may not be seen, which the next request will tell.
    fn join(&self, private: bool) -> Result<(), HubError> {
        let is_private = private && self.about()?.is_some_and(|about| about.private);
        let page = format!("{}/settings", address::of_page(&self.hub.endpoint, self.repo));
        if private && !is_private { Err(UploadError::Public { page }.of(self.repo)) } else { Ok(()) }
    }

    /// What the hub says of the repository, where it is there.
    fn about(&self) -> Result<Option<About>, HubError> {
        let url = address::of_interface(&self.hub.endpoint, self.repo);
        let ask = || {
            let answer = self.get(None, &url, None)?;
            self.text(&answer.url, answer.response)
        };
        match repeat(&self.hub.patience, || ask().map_err(|failure| self.of_upload(failure))) {
            Ok(text) => self.parse(&url, &text).map(Some),
            Err(HubError::NoRepository { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the repository; false where there is one.
    fn create(&self, private: bool) -> Result<bool, HubError> {
        let url = format!("{}/api/repos/create", self.hub.endpoint);
        let (owner, name) = self.repo.id().split_once('/').unwrap_or_default();
        let body =
            json!({ "name": name, "organization": owner, "type": self.repo.kind().singular(), "private": private });
        repeat(&self.hub.patience, || match self.post_once(&url, JSON, &body.to_string()) {
            Err(failure) if failure.status == Some(StatusCode::CONFLICT) => Ok(false),
            other => other.map(|_| true),
        })
    }

    /// Asks which way each file goes.
    fn modes(&self, files: &[Described<'_>]) -> Result<Vec<Mode>, HubError> {
        let url = self.at_revision("preupload");
        let told = |file: &Described<'_>| json!({ "path": file.file.path, "size": file.size, "sample": STANDARD.encode(&file.sample) });
        let body = json!({ "files": files.iter().map(told).collect::<Vec<_>>() });
        let ways: Ways = self.ask(&url, JSON, &body)?;
        let mode = |file: &Described<'_>| {
            let way = ways.files.iter().find(|way| way.path == file.file.path);
            let way =
                way.ok_or_else(|| self.odd(Some(&file.file.path), &url, "it does not say how to send the file"))?;
            // The store takes no empty files.
            Ok(if file.size == 0 { Mode::Regular } else { way.upload_mode })
        };
        files.iter().map(mode).collect()
    }

    fn commit(&self, message: &str, files: &[Described<'_>], modes: &[Mode]) -> Result<Uploaded, HubError> {
        let url = self.at_revision("commit");
        let mut lines = vec![json!({ "key": "header", "value": { "summary": message, "description": "" } })];
        for (file, mode) in files.iter().zip(modes) {
            lines.push(entry(file, *mode)?);
        }
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let committed: Committed = self.parse(&url, &self.post_commit(&url, &text)?)?;
        let repo = self.repo.at(&committed.commit_oid).map_err(|_| self.odd(None, &url, "it names no commit"))?;
        let page = committed.commit_url.chars().filter(|c| !c.is_control()).take(LONGEST_ADDRESS).collect();
        Ok(Uploaded { repo, page })
    }

    /// Posts the commit. Where its answer is lost it may be there: it is not sent again.
    fn post_commit(&self, url: &str, text: &str) -> Result<Vec<u8>, HubError> {
        let page = || format!("{}/commits/{}", address::of_page(&self.hub.endpoint, self.repo), self.repo.revision());
        repeat(&self.hub.patience, || {
            self.post_once(url, LINES, text).map_err(|failure| match failure.error {
                HubError::Upload { why: UploadError::Broken { problem }, .. } if failure.status.is_none() => {
                    UploadError::Unanswered { problem, page: page() }.of(self.repo).into()
                }
                error => Failure { error, ..failure },
            })
        })
    }

    fn at_revision(&self, what: &str) -> String {
        let base = address::of_interface(&self.hub.endpoint, self.repo);
        format!("{base}/{what}/{}", address::escape(self.repo.revision()))
    }

    /// Posts JSON, and reads that of the answer.
    pub(super) fn ask<T: DeserializeOwned>(&self, url: &str, kind: &str, body: &Value) -> Result<T, HubError> {
        self.parse(url, &self.post(url, kind, &body.to_string())?)
    }

    /// Posts a text of a kind, as often as patience allows, and gives the answer's.
    pub(super) fn post(&self, url: &str, kind: &str, body: &str) -> Result<Vec<u8>, HubError> {
        repeat(&self.hub.patience, || self.post_once(url, kind, body))
    }

    fn post_once(&self, url: &str, kind: &str, body: &str) -> Result<Vec<u8>, Failure> {
        let accepted = if kind == LINES { JSON } else { kind };
        self.change(url, Request::post(url).header(CONTENT_TYPE, kind).header(ACCEPT, accepted), body)
            .map(|(_, text)| text)
    }

    /// Sends a request that changes something, and gives the answer's headers and text.
    pub(super) fn change(
        &self,
        url: &str,
        request: Builder,
        body: impl AsSendBody,
    ) -> Result<(HeaderMap, Vec<u8>), Failure> {
        let attempt = || {
            let answer = self.send(None, url, request, body)?;
            let answer = self.check(None, url, answer)?;
            if answer.status().is_redirection() {
                let place = header(answer.headers(), LOCATION.as_str()).map(shorten).unwrap_or_default();
                let problem = format!("status {}: it has moved to {place}", answer.status().as_u16());
                return Err(UploadError::Rejected { problem }.of(self.repo).into());
            }
            let headers = answer.headers().clone();
            Ok((headers, self.text(url, answer)?))
        };
        attempt().map_err(|failure| self.of_upload(failure))
    }

    /// The text of an answer, which is no page for people.
    fn text(&self, url: &str, answer: Response<Body>) -> Result<Vec<u8>, Failure> {
        if is_page(answer.headers()) {
            return Err(self.odd(None, url, "a web page where another answer is expected").into());
        }
        let mut text = Vec::new();
        let body = answer.into_body().into_reader();
        match body.take(LONGEST_ANSWER).read_to_end(&mut text) {
            Ok(_) => Ok(text),
            Err(error) => {
                let problem = format!("{}: {error}", address::server(url));
                Err(Failure::temporary(UploadError::Broken { problem }.of(self.repo)))
            }
        }
    }

    pub(super) fn parse<T: DeserializeOwned>(&self, url: &str, text: &[u8]) -> Result<T, HubError> {
        serde_json::from_slice(text).map_err(|error| self.odd(None, url, error.to_string()))
    }

    /// The same failure in the words of uploads.
    fn of_upload(&self, failure: Failure) -> Failure {
        let status = failure.status.map(|status| status.as_u16());
        let why = match (failure.error, status) {
            // A store of files, which knows no tokens.
            (HubError::Server { problem, .. }, Some(401 | 403)) => UploadError::Rejected { problem },
            (HubError::Server { problem, .. }, Some(status)) => lfs::refusal(status, problem),
            (HubError::Server { problem, .. }, None) => UploadError::Broken { problem },
            (HubError::Unreachable { server, problem, .. }, _) => {
                UploadError::Broken { problem: format!("{server}: {problem}") }
            }
            (HubError::Refused { problem, .. }, _) => UploadError::NotAllowed { problem },
            (HubError::Busy { wait, .. }, _) => UploadError::Busy { wait },
            (error, _) => return Failure { error, ..failure },
        };
        Failure { error: why.of(self.repo), ..failure }
    }
}

/// The line of a file in a commit.
fn entry(file: &Described<'_>, mode: Mode) -> Result<Value, HubError> {
    let path = &file.file.path;
    Ok(match mode {
        Mode::Regular => {
            let content = STANDARD.encode(file.file.all(file.size)?);
            json!({ "key": "file", "value": { "content": content, "path": path, "encoding": "base64" } })
        }
        Mode::Lfs => {
            let value = json!({ "path": path, "algo": "sha256", "size": file.size, "oid": file.sha256 });
            json!({ "key": "lfsFile", "value": value })
        }
    })
}
