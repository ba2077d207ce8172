//! Downloads that break off.

use std::path::PathBuf;
use std::time::Duration;

use super::server::{BODY_SHA256, Reply, Server, large, ranged};
use super::*;

fn part(cache: &Path) -> PathBuf {
    cache.join(format!("models--owner--name/blobs/{BODY_SHA256}.incomplete"))
}

fn leave_part(cache: &Path, text: &str) {
    std::fs::create_dir_all(part(cache).parent().unwrap()).unwrap();
    std::fs::write(part(cache), text).unwrap();
}

fn fetch(server: &Server, cache: &Path) -> Result<String, HubError> {
    let fetched = server.hub(cache).fetch(&model(), "model.safetensors", &quiet)?;
    assert!(!part(cache).exists());
    Ok(std::fs::read_to_string(fetched.path).unwrap())
}

/// The ranges that were asked for, one of each download.
fn ranges(server: &Server) -> Vec<Option<String>> {
    let downloads = server.asked().into_iter().filter(|request| request.method == "GET");
    downloads.map(|request| request.header("range").map(str::to_owned)).collect()
}

#[test]
fn a_cut_connection_is_resumed_and_only_the_rest_is_sent() {
    let server = Server::start(|request, count| match count {
        1 => large().cut_after(6),
        _ => ranged(request, large()),
    });
    let cache = tempfile::tempdir().unwrap();
    assert_eq!(fetch(&server, cache.path()).unwrap(), BODY);
    assert_eq!(ranges(&server), [None, Some("bytes=6-".into())]);
}

#[test]
fn a_server_that_falls_silent_is_asked_again() {
    let server = Server::start(|request, count| match count {
        1 => large().silent_after(6, Duration::from_secs(20)),
        _ => ranged(request, large()),
    });
    let cache = tempfile::tempdir().unwrap();
    let mut hub = server.hub(cache.path());
    hub.patience.silence = Duration::from_millis(300);
    let fetched = hub.fetch(&model(), "model.safetensors", &quiet).unwrap();
    assert_eq!(std::fs::read_to_string(fetched.path).unwrap(), BODY);
    assert_eq!(ranges(&server), [None, Some("bytes=6-".into())]);
}

#[test]
fn what_an_earlier_program_left_is_gone_on_with() {
    let server = Server::start(|request, _| ranged(request, large()));
    let cache = tempfile::tempdir().unwrap();
    leave_part(cache.path(), "sixteen let");
    assert_eq!(fetch(&server, cache.path()).unwrap(), BODY);
    assert_eq!(ranges(&server), [Some("bytes=11-".into())]);
}

#[test]
fn a_part_that_is_whole_needs_no_download() {
    let server = Server::start(|_, _| large());
    let cache = tempfile::tempdir().unwrap();
    leave_part(cache.path(), BODY);
    assert_eq!(fetch(&server, cache.path()).unwrap(), BODY);
    assert_eq!(server.downloads(), 0);
}

#[test]
fn a_server_without_ranges_starts_again() {
    let server = Server::start(|_, count| if count == 1 { large().cut_after(6) } else { large() });
    let cache = tempfile::tempdir().unwrap();
    assert_eq!(fetch(&server, cache.path()).unwrap(), BODY);
    assert_eq!(ranges(&server), [None, Some("bytes=6-".into())]);
}

#[test]
fn a_wrong_range_starts_again() {
    for wrong in [Reply::new(416), large().partial().with("content-range", "bytes 0-15/16"), large().partial()] {
        let server = Server::start(move |request, _| match request.header("range") {
            Some(_) => wrong.clone(),
            None => large(),
        });
        let cache = tempfile::tempdir().unwrap();
        leave_part(cache.path(), "sixteen");
        assert_eq!(fetch(&server, cache.path()).unwrap(), BODY);
        assert_eq!(ranges(&server), [Some("bytes=7-".into()), None]);
    }
}

#[test]
fn a_part_that_does_not_belong_to_the_file_is_thrown_away() {
    for left in ["fifteen", "fifteen letters.", "more than sixteen letters."] {
        let server = Server::start(|request, _| ranged(request, large()));
        let cache = tempfile::tempdir().unwrap();
        leave_part(cache.path(), left);
        assert_eq!(fetch(&server, cache.path()).unwrap(), BODY, "{left}");
    }
}

// Each try brings one byte more: that is not enough to go on forever.
#[test]
fn tries_are_bounded_and_what_came_is_kept() {
    let server = Server::start(|request, _| ranged(request, large()).cut_after(1));
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&server, cache.path()).unwrap_err();
    assert!(matches!(error, HubError::Broken { done: 4, total: 16, .. }), "{error}");
    assert_eq!(server.downloads(), 4); // One, and three repetitions.
    assert_eq!(std::fs::read_to_string(part(cache.path())).unwrap(), "sixt");
    let blob = cache.path().join("models--owner--name/blobs").join(BODY_SHA256);
    assert!(!blob.exists() && !cache.path().join("models--owner--name/snapshots").exists());
}

// Three megabytes, cut every megabyte and a half, with no repetition allowed in vain but one.
#[test]
fn tries_that_bring_much_do_not_count() {
    // Bytes i * 7 + i / 256, and their SHA-256 as Python's hashlib computes it.
    const SHA256: &str = "6ba4692bb1d46d4e96288fae575945dfcb6f2e019ef92499b248f6a69e4c1913";
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i * 7 + i / 256) as u8).collect();
    let whole = large().with("x-linked-etag", SHA256).with("x-linked-size", "3000000").body(&bytes);
    let server = Server::start(move |request, _| ranged(request, whole.clone()).cut_after(1_100_000));
    let cache = tempfile::tempdir().unwrap();
    let mut hub = server.hub(cache.path());
    hub.patience.retries = 1;
    let fetched = hub.fetch(&model(), "model.safetensors", &quiet).unwrap();
    assert_eq!(std::fs::read(fetched.path).unwrap(), bytes);
    assert_eq!(server.downloads(), 3);
}
