//! One request, with its redirects.

use ureq::http::header::{AUTHORIZATION, LOCATION, RANGE};
use ureq::http::{Request, Response, request::Builder};
use ureq::{AsSendBody, Body};

use super::answer::header;
use super::retry::Failure;
use super::{Client, address};
use crate::HubError;

/// How many redirects are followed.
const MOST_REDIRECTS: usize = 10;

/// An answer, and the address that gave it.
pub(super) struct Answer {
    pub(super) url: String,
    pub(super) response: Response<Body>,
}

impl Client<'_> {
    /// Asks for content, or for a range of it such as `bytes=16-`, wherever redirects lead.
    pub(super) fn get(&self, file: Option<&str>, url: &str, range: Option<&str>) -> Result<Answer, Failure> {
        let ask = |url: &str| match range {
            None => Request::get(url),
            Some(range) => Request::get(url).header(RANGE, range),
        };
        self.follow(file, url, ask, |_| false)
    }

    /// Asks what a file is. The redirect to the server that has the content describes it already.
    pub(super) fn head(&self, file: &str, url: &str) -> Result<Answer, Failure> {
        self.follow(
            Some(file),
            url,
            |url| Request::head(url),
            |answer| header(answer.headers(), "x-linked-etag").is_some(),
        )
    }

    /// Asks at `url` and where that leads, until an answer is no redirect or is one that is `enough`.
    fn follow(
        &self,
        file: Option<&str>,
        url: &str,
        ask: impl Fn(&str) -> Builder,
        enough: impl Fn(&Response<Body>) -> bool,
    ) -> Result<Answer, Failure> {
        let mut url = url.to_owned();
        for _ in 0..=MOST_REDIRECTS {
            let response = self.send(file, &url, ask(&url), ())?;
            let response = self.check(file, &url, response)?;
            let location = header(response.headers(), LOCATION.as_str());
            let Some(location) = location.filter(|_| response.status().is_redirection()) else {
                return Ok(Answer { url, response });
            };
            if enough(&response) && !address::is_relative(location) {
                return Ok(Answer { url, response });
            }
            let next = address::follow(&url, location);
            url = next.ok_or_else(|| self.odd(file, &url, "a redirect to no address"))?;
        }
        Err(self.odd(file, &url, "redirects without end").into())
    }

    /// Sends one request. The token goes to the hub's own server and to no other, unless the request says itself who asks.
    pub(super) fn send(
        &self,
        file: Option<&str>,
        url: &str,
        request: Builder,
        body: impl AsSendBody,
    ) -> Result<Response<Body>, Failure> {
        let at_home = address::origin(url) == address::origin(&self.hub.endpoint);
        let says_who = request.headers_ref().is_some_and(|headers| headers.contains_key(AUTHORIZATION));
        let request = match self.hub.token.as_ref().filter(|_| at_home && !says_who) {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {}", token.secret())),
            None => request,
        };
        let request = request.body(body).map_err(|_| self.odd(file, url, "an address that cannot be asked"))?;
        self.agent.run(request).map_err(|error| self.unreachable(file, url, &error))
    }

    /// What became of a request that got no answer.
    fn unreachable(&self, file: Option<&str>, url: &str, error: &ureq::Error) -> Failure {
        let (what, server, problem) = (self.what(file), address::server(url), error.to_string());
        Failure::temporary(match error {
            ureq::Error::Protocol(_) => HubError::NotTheHub { what, server, problem },
            _ => HubError::Unreachable { what, server, problem },
        })
    }
}
