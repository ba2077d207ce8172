//! Against a server on this machine that speaks as the hub does.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const COMMIT: &str = "0123456789012345678901234567890123456789";
const BODY: &str = "sixteen letters.";
const REVISION: &str = "refs/convert/parquet";

/// A server that has one file, and counts how often it was downloaded.
struct Server {
    endpoint: String,
    downloads: Arc<AtomicUsize>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let downloads = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&downloads);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let count = Arc::clone(&count);
                std::thread::spawn(move || answer(stream.unwrap(), &count));
            }
        });
        Self { endpoint, downloads }
    }

    fn hub(&self, cache: &tempfile::TempDir) -> Hub {
        hub_at(&self.endpoint, cache)
    }
}

fn hub_at(endpoint: &str, cache: &tempfile::TempDir) -> Hub {
    Hub { offline: false, endpoint: Some(endpoint.into()), cache: Some(cache.path().into()) }
}

/// Answers one request and closes the connection.
fn answer(mut stream: TcpStream, downloads: &AtomicUsize) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let request = lines.next().unwrap().unwrap();
    let _headers: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let (method, path) = (request.split(' ').next().unwrap(), request.split(' ').nth(1).unwrap());
    let known = path == "/datasets/owner/name/resolve/refs%2Fconvert%2Fparquet/folder/train.parquet";
    let (status, length) = if known { ("200 OK", BODY.len()) } else { ("404 Not Found", 0) };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nx-repo-commit: {COMMIT}\r\netag: \"e{length}\"\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    if known && method == "GET" {
        downloads.fetch_add(1, Ordering::Relaxed);
        stream.write_all(BODY.as_bytes()).unwrap();
    }
}

fn fetch(hub: &Hub, file: &str) -> Result<PathBuf, HubError> {
    hub.fetch_dataset_file("owner", "name", REVISION, file)
}

#[test]
fn downloads_once_and_serves_the_cache_afterwards() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let hub = server.hub(&cache);
    let path = fetch(&hub, "folder/train.parquet").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), BODY);
    assert!(path.starts_with(cache.path()));
    assert_eq!(fetch(&hub, "folder/train.parquet").unwrap(), path);
    assert_eq!(server.downloads.load(Ordering::Relaxed), 1);
    let offline = Hub { offline: true, ..hub };
    assert_eq!(fetch(&offline, "folder/train.parquet").unwrap(), path);
}

#[test]
fn says_that_a_file_does_not_exist() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let error = fetch(&server.hub(&cache), "folder/other.parquet").unwrap_err();
    assert!(matches!(error, HubError::NotFound { .. }), "{error}");
    assert!(error.to_string().contains("owner/name@refs/convert/parquet: folder/other.parquet"), "{error}");
}

#[test]
fn offline_asks_no_server() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let error = fetch(&Hub { offline: true, ..server.hub(&cache) }, "folder/train.parquet").unwrap_err();
    assert!(matches!(error, HubError::NotCached { .. }), "{error}");
    assert_eq!(server.downloads.load(Ordering::Relaxed), 0);
}

#[test]
fn without_a_network_the_cache_serves_or_the_error_says_so() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let path = fetch(&server.hub(&cache), "folder/train.parquet").unwrap();
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    assert_eq!(fetch(&hub_at(&closed, &cache), "folder/train.parquet").unwrap(), path);
    let empty = tempfile::tempdir().unwrap();
    let error = fetch(&hub_at(&closed, &empty), "folder/train.parquet").unwrap_err();
    assert!(matches!(error, HubError::NoNetwork { .. }) && error.to_string().contains("refused"), "{error}");
}

#[test]
fn a_wrong_endpoint_is_an_error() {
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&hub_at("not a url", &cache), "train.parquet").unwrap_err();
    assert!(matches!(error, HubError::Failed { .. }), "{error}");
}

#[test]
fn environment_values_mean_yes_as_in_python() {
    for (value, yes) in [("1", true), ("TRUE", true), ("Yes", true), ("on", true), ("0", false), ("", false)] {
        assert_eq!(is_true(value), yes, "{value}");
    }
}
