//! Addresses on the server, and where redirects lead.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::Uri;

use crate::{HubError, Kind, Repo};

/// All but what stands for itself in any part of an address (RFC 3986, section 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Refuses an address of a server that no path can be appended to.
pub(super) fn check_base(endpoint: &str) -> Result<(), HubError> {
    match origin(endpoint) {
        Some(_) if !endpoint.contains(['?', '#']) => Ok(()),
        _ => {
            let problem = format!("`{}` is no address of a server", crate::repo::shorten(endpoint));
            Err(HubError::Setting { name: "HF_ENDPOINT", problem })
        }
    }
}

/// Where a file is had: `ENDPOINT/OWNER/NAME/resolve/REVISION/PATH`, for data sets below `datasets/`.
pub(super) fn of_file(endpoint: &str, repo: &Repo, revision: &str, file: &str) -> String {
    let path: Vec<String> = file.split('/').map(escape).collect();
    format!("{}/resolve/{}/{}", of_page(endpoint, repo), escape(revision), path.join("/"))
}

/// Where people look at the repository.
pub(super) fn of_page(endpoint: &str, repo: &Repo) -> String {
    let prefix = match repo.kind() {
        Kind::Model => "",
        Kind::Dataset => "datasets/",
    };
    format!("{endpoint}/{prefix}{}", repo.id())
}

/// Where programs ask about the repository: `ENDPOINT/api/models/OWNER/NAME`.
pub(super) fn of_interface(endpoint: &str, repo: &Repo) -> String {
    format!("{endpoint}/api/{}/{}", repo.kind().plural(), repo.id())
}

/// A text as one part of an address, with `/` escaped too.
pub(super) fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// Scheme, host and port: who it is that is asked.
pub(super) fn origin(address: &str) -> Option<(String, String, u16)> {
    let uri: Uri = address.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let usual = match scheme.as_str() {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let host = uri.host().filter(|host| !host.is_empty())?.to_ascii_lowercase();
    Some((scheme, host, uri.port_u16().unwrap_or(usual)))
}

/// The server's name for messages, without what may be secret in the rest of the address.
pub(super) fn server(address: &str) -> String {
    origin(address).map_or_else(
        || "the server".into(),
        |(scheme, host, port)| match (scheme.as_str(), port) {
            ("https", 443) | ("http", 80) => format!("{scheme}://{host}"),
            _ => format!("{scheme}://{host}:{port}"),
        },
    )
}

/// Whether a `Location` stays on the server that told it.
pub(super) fn is_relative(location: &str) -> bool {
    !location.starts_with("//") && !location.contains("://") || location.starts_with('/') && !location.starts_with("//")
}

/// Where `location`, told by the server at `from`, leads.
pub(super) fn follow(from: &str, location: &str) -> Option<String> {
    let (scheme, rest) = from.split_once("://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let target = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{host}{location}")
    } else if is_relative(location) {
        let folder = path.split(['?', '#']).next().unwrap_or("");
        let folder = folder.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        format!("{scheme}://{host}/{folder}{location}")
    } else {
        location.into()
    };
    origin(&target).map(|_| target)
}

#[cfg(test)]
mod tests {
    use super::*;

    // As `hf_hub_url` of huggingface_hub 2.4.0 spells them.
    #[test]
    fn files_have_the_addresses_that_python_asks_for() {
        let model = Repo::model("timm/vgg16_bn.tv_in1k").unwrap();
        let file = of_file("https://huggingface.co", &model, "main", "model.safetensors");
        assert_eq!(file, "https://huggingface.co/timm/vgg16_bn.tv_in1k/resolve/main/model.safetensors");
        let data = Repo::dataset("ylecun/mnist").unwrap();
        let file = of_file("https://h", &data, "refs/convert/parquet", "mnist/a b#1.parquet");
        assert_eq!(file, "https://h/datasets/ylecun/mnist/resolve/refs%2Fconvert%2Fparquet/mnist/a%20b%231.parquet");
    }

    // RFC 3986, section 5.4: examples of references and what they mean.
    #[test]
    fn redirects_lead_where_the_standard_says() {
        for (location, target) in [
            ("g", "http://a/b/c/g"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("g?y", "http://a/b/c/g?y"),
            ("https://other/x?q=http://z", "https://other/x?q=http://z"),
            ("/g?u=http://z", "http://a/g?u=http://z"),
        ] {
            assert_eq!(follow("http://a/b/c/d;p?q", location).unwrap(), target);
        }
        assert_eq!(follow("http://a/b", "ftp://c/d"), None);
        assert_eq!(follow("http://a/b", "javascript://c"), None);
    }

    #[test]
    fn another_port_is_another_server() {
        assert_eq!(origin("https://Hub/x"), origin("https://hub:443/y"));
        assert_ne!(origin("http://hub:80"), origin("http://hub:81"));
        assert_ne!(origin("http://hub"), origin("https://hub"));
        assert_ne!(origin("https://hub"), origin("https://hub.evil"));
        assert_eq!(origin("https://u:p@hub/x").map(|(_, host, _)| host), Some("hub".into()));
        assert_eq!(server("https://u:p@hub/x?secret"), "https://hub");
    }
}
