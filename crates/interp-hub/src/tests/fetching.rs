//! Downloads that succeed.

use std::cell::RefCell;
use std::time::Duration;

use super::server::{BODY_SHA256, OLDER, Reply, Server, large, ranged, regular};
use super::*;

fn cache() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn text(fetched: &Fetched) -> String {
    std::fs::read_to_string(&fetched.path).unwrap()
}

#[test]
fn downloads_once_and_serves_the_cache_afterwards() {
    let (server, cache) = (Server::start(|_, _| regular()), cache());
    let hub = server.hub(cache.path());
    let first = hub.fetch(&model(), "config.json", &quiet).unwrap();
    assert_eq!((text(&first).as_str(), first.commit.as_str()), (BODY, COMMIT));
    assert_eq!(hub.fetch(&model(), "config.json", &quiet).unwrap(), first);
    let methods: Vec<String> = server.asked().iter().map(|request| request.method.clone()).collect();
    assert_eq!(methods, ["HEAD", "GET", "HEAD"]);
    let offline = Hub { offline: true, ..hub.clone() };
    assert_eq!(offline.fetch(&model(), "config.json", &quiet).unwrap(), first);
    hub.fetch(&model().at(COMMIT).unwrap(), "config.json", &quiet).unwrap();
    assert_eq!(server.asked().len(), 3);
}

#[cfg(unix)]
#[test]
fn the_cache_has_the_layout_of_the_python_library() {
    let (server, cache) = (Server::start(|_, _| regular()), cache());
    let data = Repo::dataset("owner/name@refs/convert/parquet").unwrap();
    server.hub(cache.path()).fetch(&data, "folder/train #1.parquet", &quiet).unwrap();
    assert_eq!(
        server.asked()[0].path,
        "/datasets/owner/name/resolve/refs%2Fconvert%2Fparquet/folder/train%20%231.parquet"
    );
    assert_eq!(server.asked()[1].path, format!("/datasets/owner/name/resolve/{COMMIT}/folder/train%20%231.parquet"));
    let root = cache.path().join("datasets--owner--name");
    let link = root.join(format!("snapshots/{COMMIT}/folder/train #1.parquet"));
    assert_eq!(std::fs::read_link(link).unwrap(), Path::new(&format!("../../../blobs/{BODY_BLOB}")));
    assert_eq!(std::fs::read_to_string(root.join("refs/refs/convert/parquet")).unwrap(), COMMIT);
    assert!(cache.path().join(format!(".locks/datasets--owner--name/{BODY_BLOB}.lock")).exists());
    assert_eq!(std::fs::read_dir(root.join("blobs")).unwrap().count(), 1);
}

// The server of contents must not learn who asks, the hub's own must; and what the hub says of the content is on the
// redirect, not on the answer of the other server.
#[test]
fn the_token_goes_to_the_hub_and_to_no_other_server() {
    let content = Server::start(|request, _| ranged(request, Reply::new(200).with("etag", "\"another\"").body(BODY)));
    let elsewhere = format!("{}/bucket/file?signature=x", content.address);
    let server = Server::start(move |request, _| match request.path.as_str() {
        "/owner/name/resolve/main/model.safetensors" => {
            Reply::new(307).with("location", "/moved/here").with("x-linked-etag", "\"of the redirect\"")
        }
        _ => large().with("location", &elsewhere).redirected(),
    });
    let cache = cache();
    let fetched = server.signed_in(cache.path()).fetch(&model(), "model.safetensors", &quiet).unwrap();
    assert_eq!(text(&fetched), BODY);
    assert!(cache.path().join("models--owner--name/blobs").join(BODY_SHA256).exists());
    for request in server.asked() {
        assert_eq!(request.header("authorization"), Some("Bearer hf_secret"), "{request:?}");
    }
    let asked = content.asked();
    assert_eq!((asked.len(), asked[0].method.as_str()), (1, "GET"));
    assert_eq!(asked[0].header("authorization"), None);
}

#[test]
fn without_a_token_none_is_sent() {
    let (server, cache) = (Server::start(|_, _| regular()), cache());
    server.hub(cache.path()).fetch(&model(), "config.json", &quiet).unwrap();
    assert!(server.asked().iter().all(|request| request.header("authorization").is_none()));
    assert!(server.asked().iter().all(|request| request.header("accept-encoding") == Some("identity")));
}

#[test]
fn progress_tells_bytes() {
    let (server, cache) = (Server::start(|_, _| regular()), cache());
    let told = RefCell::new(Vec::new());
    server
        .hub(cache.path())
        .fetch(&model(), "config.json", &|done, total| told.borrow_mut().push((done, total)))
        .unwrap();
    assert_eq!(told.borrow().first(), Some(&(0, 16)));
    assert_eq!(told.borrow().last(), Some(&(16, 16)));
}

#[test]
fn a_branch_that_moved_brings_the_new_file_and_keeps_the_old() {
    let server = Server::start(|_, count| if count < 2 { regular() } else { moved() });
    fn moved() -> Reply {
        regular().with("x-repo-commit", OLDER).with("etag", "W/\"no-checksum\"").body("changed")
    }
    let cache = cache();
    let hub = server.hub(cache.path());
    let first = hub.fetch(&model(), "config.json", &quiet).unwrap();
    let second = hub.fetch(&model(), "config.json", &quiet).unwrap();
    assert_eq!((text(&first).as_str(), text(&second).as_str()), (BODY, "changed"));
    assert_eq!(second.commit, OLDER);
}

// Another commit with the same content: only the link is new.
#[test]
fn the_same_content_is_downloaded_once() {
    let server = Server::start(|_, count| if count < 2 { regular() } else { regular().with("x-repo-commit", OLDER) });
    let cache = cache();
    for commit in [COMMIT, OLDER] {
        let fetched = server.hub(cache.path()).fetch(&model(), "config.json", &quiet).unwrap();
        assert_eq!((text(&fetched).as_str(), fetched.commit.as_str()), (BODY, commit));
    }
    assert_eq!(server.downloads(), 1);
}

// A blob of another size than the server tells was not written by a whole download.
#[cfg(unix)]
#[test]
fn half_a_blob_is_replaced() {
    let (server, cache) = (Server::start(|_, _| regular()), cache());
    put_as_python(cache.path(), "models--owner--name", COMMIT, "config.json", BODY_BLOB, "sixteen");
    let fetched = server.hub(cache.path()).fetch(&model(), "config.json", &quiet).unwrap();
    assert_eq!(text(&fetched), BODY);
}

// Where links need rights, the Python library keeps the file itself in the snapshot, and no blob.
#[test]
fn a_file_without_a_blob_serves() {
    let (server, cache) = (Server::start(|_, _| regular()), cache());
    let snapshot = cache.path().join("models--owner--name/snapshots").join(COMMIT);
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::write(snapshot.join("config.json"), BODY).unwrap();
    server.hub(cache.path()).fetch(&model(), "config.json", &quiet).unwrap();
    assert_eq!(server.downloads(), 0);
    std::fs::write(snapshot.join("config.json"), "sixteen").unwrap();
    assert_eq!(text(&server.hub(cache.path()).fetch(&model(), "config.json", &quiet).unwrap()), BODY);
}

#[cfg(unix)]
#[test]
fn a_link_to_a_deleted_blob_is_renewed() {
    let (server, cache) = (Server::start(|_, _| regular()), cache());
    put_as_python(cache.path(), "models--owner--name", COMMIT, "config.json", "gone", BODY);
    std::fs::remove_file(cache.path().join("models--owner--name/blobs/gone")).unwrap();
    let pinned = model().at(COMMIT).unwrap();
    assert_eq!(text(&server.hub(cache.path()).fetch(&pinned, "config.json", &quiet).unwrap()), BODY);
}

#[test]
fn an_empty_file_needs_no_download() {
    // `git hash-object /dev/null`
    let empty = || regular().with("etag", "\"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\"").body("");
    let (server, cache) = (Server::start(move |_, _| empty()), cache());
    let fetched = server.hub(cache.path()).fetch(&model(), "empty.txt", &quiet).unwrap();
    assert_eq!((text(&fetched).as_str(), server.downloads()), ("", 0));
}

// Mirrors may leave the size away; the range of the first byte tells it.
#[test]
fn a_size_that_is_not_told_is_found_by_a_range() {
    let server = Server::start(|request, _| match request.method.as_str() {
        "HEAD" => regular().without_length(),
        _ if request.header("range") == Some("bytes=0-0") => {
            regular().with("content-range", "bytes 0-0/16").body("s").partial()
        }
        _ => regular(),
    });
    let cache = cache();
    assert_eq!(text(&server.hub(cache.path()).fetch(&model(), "config.json", &quiet).unwrap()), BODY);
}

#[test]
fn a_busy_server_is_asked_again_when_it_says() {
    let server = Server::start(|_, count| match count {
        0 => Reply::new(429).with("retry-after", "1"),
        1 => Reply::new(503),
        _ => regular(),
    });
    let (cache, start) = (cache(), std::time::Instant::now());
    server.hub(cache.path()).fetch(&model(), "config.json", &quiet).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.asked().len(), 4);
}
