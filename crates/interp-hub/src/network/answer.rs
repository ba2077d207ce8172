//! What a server's answer means.

use std::time::Duration;

use ureq::Body;
use ureq::http::{HeaderMap, Response, StatusCode};

use super::retry::Failure;
use super::{Client, address};
use crate::HubError;
use crate::repo::shorten;

/// The header of an answer as text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim).filter(|text| !text.is_empty())
}

/// A number of bytes in a header.
pub(super) fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    header(headers, name)?.parse().ok()
}

/// Whether the answer is a page for people.
pub(super) fn is_page(headers: &HeaderMap) -> bool {
    header(headers, "content-type").is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"))
}

impl Client<'_> {
    /// Lets answers pass that bring something; others become an error that says what to do. `file` is the file that
    /// was asked for, `url` the address that answered.
    pub(super) fn check(
        &self,
        file: Option<&str>,
        url: &str,
        answer: Response<Body>,
    ) -> Result<Response<Body>, Failure> {
        let status = answer.status();
        if status.is_success() || status.is_redirection() {
            return Ok(answer);
        }
        let error = self.explain(file, url, status, answer.headers());
        let temporary = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
        Err(Failure { error, temporary, status: Some(status), wait: asked_to_wait(answer.headers()) })
    }

    fn explain(&self, file: Option<&str>, url: &str, status: StatusCode, headers: &HeaderMap) -> HubError {
        let what = self.what(file);
        let signed_in = self.signed_in();
        let problem = said(status, headers);
        if status == StatusCode::TOO_MANY_REQUESTS {
            return HubError::Busy { what, wait: asked_to_wait(headers).map(|wait| wait.as_secs()) };
        }
        let code = header(headers, "x-error-code");
        let elsewhere = code.is_none() && address::origin(url) != address::origin(&self.hub.endpoint);
        if elsewhere || status.is_server_error() {
            return HubError::Server { what, problem: format!("{}: {problem}", address::server(url)) };
        }
        let page = address::of_page(&self.hub.endpoint, self.repo);
        let nearest = Vec::new();
        match (code, status.as_u16(), file) {
            (Some("GatedRepo"), ..) => HubError::Gated { what, page, signed_in },
            (Some("RevisionNotFound"), ..) => HubError::NoRevision { what: self.repo.to_string() },
            (Some("EntryNotFound"), ..) | (None, 404, Some(_)) => HubError::NoFile { what, nearest },
            // Without a token, what is private and what is not there look alike.
            (Some("RepoNotFound"), ..) | (_, 404, _) => self.no_repository(),
            (_, 401, _) if !signed_in => self.no_repository(),
            (_, 401 | 403, _) => HubError::Refused { what, problem, signed_in },
            _ => HubError::Server { what, problem },
        }
    }

    fn no_repository(&self) -> HubError {
        HubError::NoRepository { what: self.repo.id().into(), signed_in: self.signed_in() }
    }

    /// What was asked for, for messages.
    pub(super) fn what(&self, file: Option<&str>) -> String {
        file.map_or_else(|| self.repo.to_string(), |file| self.repo.with_file(file))
    }

    /// An answer that the hub does not give.
    pub(super) fn odd(&self, file: Option<&str>, url: &str, problem: impl Into<String>) -> HubError {
        HubError::NotTheHub { what: self.what(file), server: address::server(url), problem: problem.into() }
    }
}

/// The status, and the server's own words where it has any.
fn said(status: StatusCode, headers: &HeaderMap) -> String {
    let words = header(headers, "x-error-message").map_or(String::new(), |text| format!(", \"{}\"", shorten(text)));
    format!("status {}{words}", status.as_u16())
}

/// How long the server asks to wait, where it says it in seconds: `Retry-After: 30`, or the time until more requests
/// are allowed where none is left, `RateLimit: "api";r=0;t=30`.
fn asked_to_wait(headers: &HeaderMap) -> Option<Duration> {
    let until_reset = || {
        let fields: Vec<&str> = header(headers, "ratelimit")?.split(';').map(str::trim).collect();
        let none_is_left = fields.contains(&"r=0");
        let time = fields.iter().filter(|_| none_is_left).find_map(|field| field.strip_prefix("t="));
        time.and_then(|time| time.parse().ok())
    };
    number(headers, "retry-after").or_else(until_reset).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_ask_to_wait_in_two_ways() {
        let wait = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            asked_to_wait(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("retry-after", "120"), Some(120));
        assert_eq!(wait("ratelimit", "\"api\";r=0;t=55"), Some(55)); // As in the documentation of huggingface_hub.
        assert_eq!(wait("ratelimit", "\"api\";r=499;t=55"), None);
        assert_eq!(wait("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"), None);
        assert_eq!(wait("retry-after", "-1"), None);
    }
}
