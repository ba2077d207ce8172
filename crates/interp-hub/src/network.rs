//! Asking the hub's server.

mod address;
mod answer;
mod checksum;
mod describe;
mod download;
mod lfs;
mod list;
mod lock;
mod outgoing;
mod part;
mod request;
mod retry;
mod upload;

use ureq::tls::{RootCerts, TlsConfig};

use crate::{Hub, HubError, Patience, Repo};

/// Asks the server about one repository.
pub(crate) struct Client<'h> {
    hub: &'h Hub,
    repo: &'h Repo,
    agent: ureq::Agent,
}

impl<'h> Client<'h> {
    pub(crate) fn new(hub: &'h Hub, repo: &'h Repo) -> Result<Self, HubError> {
        address::check_base(&hub.endpoint)?;
        Ok(Self { hub, repo, agent: agent(&hub.patience) })
    }

    /// Where the cache serves if the server does not, the server is asked once.
    fn patience(&self, has_cached: bool) -> Patience {
        let patience = self.hub.patience.clone();
        if has_cached { Patience { retries: 0, ..patience } } else { patience }
    }

    /// What the server gave, or what the cache has where the server cannot be reached.
    fn or_cached<T>(&self, given: Result<T, HubError>, cached: Option<T>) -> Result<T, HubError> {
        given.or_else(|error| cached.filter(|_| error.is_of_the_way()).ok_or(error))
    }

    fn signed_in(&self) -> bool {
        self.hub.token.is_some()
    }
}

/// What speaks HTTP. It follows no redirect: who may see the token is decided in `request`.
fn agent(patience: &Patience) -> ureq::Agent {
    let roots = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    ureq::Agent::config_builder()
        .tls_config(roots)
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(concat!("interp/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity") // Sizes and checksums are those of the file itself.
        .timeout_resolve(Some(patience.connect))
        .timeout_connect(Some(patience.connect))
        .timeout_recv_response(Some(patience.silence))
        .timeout_per_read(Some(patience.silence))
        .timeout_per_write(Some(patience.silence))
        .build()
        .new_agent()
}
