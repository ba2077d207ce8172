//! Against a server on this machine that speaks as the hub does.

mod cached;
#[cfg(feature = "network")]
mod fetching;
#[cfg(feature = "network")]
mod listing;
#[cfg(feature = "network")]
mod refused;
#[cfg(feature = "network")]
mod resuming;
#[cfg(feature = "network")]
mod server;
#[cfg(feature = "network")]
mod together;
#[cfg(feature = "network")]
mod unsent;
#[cfg(feature = "network")]
mod uploading;

use std::path::Path;

use super::*;

const COMMIT: &str = "0123456789012345678901234567890123456789";
const BODY: &str = "sixteen letters.";
/// What `git hash-object` says of [`BODY`].
const BODY_BLOB: &str = "f704e095d52055b6bd950b7010f34a60dd1eec68";

fn model() -> Repo {
    Repo::model("owner/name").unwrap()
}

fn quiet(_done: u64, _total: u64) {}

/// A hub at an address where nobody answers.
fn nowhere(cache: &Path) -> Hub {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let patience = Patience { retries: 1, pause: std::time::Duration::from_millis(1), ..Patience::default() };
    Hub { endpoint, patience, ..Hub::new(cache) }
}

/// Puts a file into a cache as the Python library does.
#[cfg(unix)]
fn put_as_python(cache: &Path, folder: &str, commit: &str, file: &str, etag: &str, body: &str) {
    let root = cache.join(folder);
    let path = root.join("snapshots").join(commit).join(file);
    for folder in [root.join("blobs"), root.join("refs"), path.parent().unwrap().into()] {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::write(root.join("blobs").join(etag), body).unwrap();
    std::fs::write(root.join("refs/main"), commit).unwrap();
    let up = "../".repeat(file.split('/').count() + 1);
    std::os::unix::fs::symlink(format!("{up}blobs/{etag}"), path).unwrap();
}
