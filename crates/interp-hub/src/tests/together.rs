//! Several who want the same file at once.

use std::time::Duration;

use super::server::{BODY_SHA256, Server, large, ranged};
use super::*;

#[test]
fn two_at_once_download_a_file_once() {
    let server = Server::start(|request, count| {
        std::thread::sleep(Duration::from_millis(50));
        // The first download breaks off, so that the others wait for two.
        let reply = ranged(request, large());
        if request.method == "GET" && count < 6 { reply.cut_after(4) } else { reply }
    });
    let cache = tempfile::tempdir().unwrap();
    let hub = server.hub(cache.path());
    std::thread::scope(|scope| {
        let fetch = || hub.fetch(&model(), "model.safetensors", &quiet).unwrap();
        let all: Vec<_> = (0..4).map(|_| scope.spawn(fetch)).collect();
        for fetched in all.into_iter().map(|one| one.join().unwrap()) {
            assert_eq!(std::fs::read_to_string(&fetched.path).unwrap(), BODY);
        }
    });
    let starts = server.asked().iter().filter(|r| r.method == "GET" && r.header("range").is_none()).count();
    assert_eq!(starts, 1);
}

fn held(cache: &Path) -> (std::fs::File, std::path::PathBuf) {
    let path = cache.join(format!(".locks/models--owner--name/{BODY_SHA256}.lock"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(&path).unwrap();
    file.lock().unwrap();
    (file, path)
}

#[test]
fn a_lock_whose_holder_does_nothing_is_not_waited_for_without_end() {
    let (server, cache) = (Server::start(|_, _| large()), tempfile::tempdir().unwrap());
    let (_held, path) = held(cache.path());
    let mut hub = server.hub(cache.path());
    hub.patience.silence = Duration::from_millis(50);
    hub.patience.longest_pause = Duration::from_millis(50);
    let error = hub.fetch(&model(), "model.safetensors", &quiet).unwrap_err();
    assert!(matches!(&error, HubError::Locked { path: named } if *named == path), "{error}");
    assert_eq!(server.downloads(), 0);
}

// The Python library writes to ETAG.XXXXXXXX.incomplete.
#[test]
fn a_lock_whose_holder_receives_something_is_waited_for() {
    let (server, cache) = (Server::start(|_, _| large()), tempfile::tempdir().unwrap());
    let (lock, _path) = held(cache.path());
    let blobs = cache.path().join("models--owner--name/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let mut hub = server.hub(cache.path());
    hub.patience.silence = Duration::from_millis(750);
    hub.patience.longest_pause = Duration::from_millis(750);
    let other = std::thread::spawn(move || {
        for length in 1..=10 {
            std::fs::write(blobs.join(format!("{BODY_SHA256}.0a1b2c3d.incomplete")), vec![0; length]).unwrap();
            std::thread::sleep(Duration::from_millis(250));
        }
        std::fs::write(blobs.join(BODY_SHA256), BODY).unwrap();
        drop(lock);
    });
    let fetched = hub.fetch(&model(), "model.safetensors", &quiet).unwrap();
    assert_eq!(std::fs::read_to_string(fetched.path).unwrap(), BODY);
    assert_eq!(server.downloads(), 0);
    other.join().unwrap();
}
