//! Large files: git's protocol for them (LFS, the batch interface), with the hub's way of sending one in parts.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use ureq::SendBody;
use ureq::http::Request;
use ureq::http::header::{CONTENT_LENGTH, ETAG};

use super::answer::header;
use super::outgoing::{Described, Meter, Metered};
use super::retry::repeat;
use super::{Client, address};
use crate::repo::shorten;
use crate::{HubError, UploadError};

const LFS: &str = "application/vnd.git-lfs+json";
/// The key among an action's headers that says how long parts are.
const PART: &str = "chunk_size";

#[derive(Deserialize)]
struct Batch {
    objects: Vec<Object>,
}

/// What the server wants of a file.
#[derive(Deserialize)]
struct Object {
    oid: String,
    /// None where the file is there already.
    #[serde(default)]
    actions: Actions,
    error: Option<Refused>,
}

#[derive(Default, Deserialize)]
struct Actions {
    upload: Option<Action>,
    verify: Option<Action>,
}

/// A request that the server asks for.
#[derive(Deserialize)]
struct Action {
    href: String,
    #[serde(default)]
    header: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Refused {
    code: u16,
    message: String,
}

/// Bytes of a file that one request sends.
#[derive(Clone, Copy)]
struct Span {
    start: u64,
    length: u64,
}

impl Client<'_> {
    /// Sends the files that the store does not have.
    pub(super) fn send_large(&self, files: &[&Described<'_>], mut meter: Meter<'_>) -> Result<(), HubError> {
        if files.is_empty() {
            return Ok(());
        }
        let url = format!("{}.git/info/lfs/objects/batch", address::of_page(&self.hub.endpoint, self.repo));
        let objects: Vec<Value> = files.iter().map(|file| json!({ "oid": file.sha256, "size": file.size })).collect();
        let body = json!({ "operation": "upload", "transfers": ["basic", "multipart"], "objects": objects, "hash_algo": "sha256" });
        let batch: Batch = self.ask(&url, LFS, &body)?;
        for file in files {
            let object = batch.objects.iter().find(|object| object.oid == file.sha256);
            let object = object
                .ok_or_else(|| self.odd(Some(&file.file.path), &url, "it does not say where to send the file"))?;
            self.send_object(file, object, meter)?;
            meter = meter.after(file.size);
            meter.tell();
        }
        Ok(())
    }

    fn send_object(&self, file: &Described<'_>, object: &Object, meter: Meter<'_>) -> Result<(), HubError> {
        if let Some(Refused { code, message }) = &object.error {
            let problem = format!("{}: status {code}, {:?}", file.file.path, shorten(message));
            return Err(refusal(*code, problem).of(self.repo));
        }
        let Some(action) = &object.actions.upload else { return Ok(()) };
        match action.header.get(PART) {
            Some(length) => self.send_parts(file, action, length, meter)?,
            None => {
                let whole = Span { start: 0, length: file.size };
                self.put(file, whole, &action.href, &action.header, meter)?;
            }
        }
        let Some(verify) = &object.actions.verify else { return Ok(()) };
        let body = json!({ "oid": file.sha256, "size": file.size });
        self.post_with(&verify.href, &verify.header, &body)
    }

    /// Sends a file in parts of `length` bytes, each to its own address, and says when all are there.
    fn send_parts(
        &self,
        file: &Described<'_>,
        action: &Action,
        length: &str,
        meter: Meter<'_>,
    ) -> Result<(), HubError> {
        let number = |(name, address): (&String, &String)| Some((name.parse::<u64>().ok()?, address.clone()));
        let addresses: BTreeMap<u64, String> = action.header.iter().filter_map(number).collect();
        let length = length.parse().ok().filter(|&length| length > 0);
        let fits = |length: &u64| addresses.keys().copied().eq(1..=file.size.div_ceil(*length));
        let odd = |problem: &str| self.odd(Some(&file.file.path), &action.href, problem);
        let length: u64 = length.filter(fits).ok_or_else(|| odd("parts that do not make the file"))?;
        let mut parts = vec![];
        for (number, address) in &addresses {
            let start = (number - 1) * length;
            let span = Span { start, length: length.min(file.size - start) };
            let etag = self.put(file, span, address, &BTreeMap::new(), meter.after(start))?;
            let etag = etag.ok_or_else(|| odd("a part that arrived has no ETag"))?;
            parts.push(json!({ "partNumber": number, "etag": etag }));
        }
        self.post_with(&action.href, &BTreeMap::new(), &json!({ "oid": file.sha256, "parts": parts }))
    }

    /// Sends bytes of a file to an address, and gives the name that the server has for them.
    fn put(
        &self,
        file: &Described<'_>,
        span: Span,
        url: &str,
        headers: &BTreeMap<String, String>,
        meter: Meter<'_>,
    ) -> Result<Option<String>, HubError> {
        repeat(&self.hub.patience, || {
            let mut body = Metered { bytes: file.file.read(span.start, span.length)?, meter };
            let request = with(Request::put(url).header(CONTENT_LENGTH, span.length), headers);
            let (headers, _) = self.change(url, request, SendBody::from_reader(&mut body))?;
            Ok(header(&headers, ETAG.as_str()).map(str::to_owned))
        })
    }

    fn post_with(&self, url: &str, headers: &BTreeMap<String, String>, body: &Value) -> Result<(), HubError> {
        repeat(&self.hub.patience, || {
            let request = Request::post(url).header("content-type", LFS).header("accept", LFS);
            self.change(url, with(request, headers), body.to_string()).map(drop)
        })
    }
}

/// The request with an action's own headers.
fn with(request: ureq::http::request::Builder, headers: &BTreeMap<String, String>) -> ureq::http::request::Builder {
    headers.iter().fold(request, |request, (name, value)| request.header(name, value))
}

/// Why a server with this status does not take something.
pub(super) fn refusal(status: u16, problem: String) -> UploadError {
    match status {
        401 | 403 => UploadError::NotAllowed { problem },
        413 => UploadError::TooLarge { problem },
        400..=499 => UploadError::Rejected { problem },
        _ => UploadError::Broken { problem },
    }
}
