//! Downloads that fail, and what is said of it.

use super::server::{BODY_SHA256, OLDER, Reply, Server, large, regular};
use super::*;

/// What comes of asking a server that always answers the same.
fn refusal(reply: Reply) -> HubError {
    refusal_of(move |_| reply.clone(), false)
}

fn refusal_of(reply: impl Fn(&str) -> Reply + Send + Sync + 'static, signed_in: bool) -> HubError {
    let server = Server::start(move |request, _| reply(&request.method));
    let cache = tempfile::tempdir().unwrap();
    let hub = if signed_in { server.signed_in(cache.path()) } else { server.hub(cache.path()) };
    let error = hub.fetch(&model(), "model.safetensors", &quiet).unwrap_err();
    nothing_is_left(cache.path());
    if matches!(error, HubError::Corrupt { .. }) {
        assert_eq!(std::fs::read_dir(cache.path().join("models--owner--name/blobs")).unwrap().count(), 0);
    }
    error
}

/// No file of the repository's, neither whole nor as if whole.
fn nothing_is_left(cache: &Path) {
    let root = cache.join("models--owner--name");
    assert!(!root.join("snapshots").exists() && !root.join("refs").exists());
    let names = std::fs::read_dir(root.join("blobs")).into_iter().flatten().map(|entry| entry.unwrap().file_name());
    let names: Vec<_> = names.collect();
    assert!(names.iter().all(|name| name.to_str().unwrap().ends_with(".incomplete")), "{names:?}");
}

fn coded(status: u16, code: &str) -> Reply {
    Reply::new(status).with("x-error-code", code)
}

#[test]
fn repository_revision_and_file_are_told_apart() {
    let repository = refusal(coded(404, "RepoNotFound"));
    assert!(matches!(&repository, HubError::NoRepository { what, signed_in: false } if what == "owner/name"));
    assert!(repository.to_string().contains("set HF_TOKEN"), "{repository}");
    let revision = refusal(coded(404, "RevisionNotFound"));
    assert!(matches!(&revision, HubError::NoRevision { what } if what == "owner/name@main"), "{revision}");
    for reply in [coded(404, "EntryNotFound"), Reply::new(404)] {
        let file = refusal(reply);
        let expected = "owner/name@main: model.safetensors";
        assert!(matches!(&file, HubError::NoFile { what, .. } if what == expected), "{file}");
    }
}

#[test]
fn who_may_not_read_learns_what_to_do() {
    let gated = refusal(coded(403, "GatedRepo")).to_string();
    assert!(gated.contains("/owner/name, and set HF_TOKEN") && gated.contains("accept"), "{gated}");
    let known = refusal_of(|_| coded(403, "GatedRepo"), true).to_string();
    assert!(known.contains("see that the account of HF_TOKEN"), "{known}");
    // Without a token the hub does not say whether there is such a repository.
    let unknown = refusal(Reply::new(401).with("x-error-message", "Invalid username or password."));
    assert!(matches!(unknown, HubError::NoRepository { .. }), "{unknown}");
    let wrong = Reply::new(401).with("x-error-message", "Invalid credentials in Authorization header");
    let wrong = refusal_of(move |_| wrong.clone(), true);
    assert!(matches!(wrong, HubError::Refused { signed_in: true, .. }), "{wrong}");
    assert!(wrong.to_string().contains("Invalid credentials") && !wrong.to_string().contains("hf_secret"), "{wrong}");
    assert!(matches!(refusal(Reply::new(403)), HubError::Refused { .. }));
}

#[test]
fn a_busy_server_is_given_up_after_all_tries() {
    let server = Server::start(|_, _| Reply::new(429));
    let cache = tempfile::tempdir().unwrap();
    let error = server.hub(cache.path()).fetch(&model(), "config.json", &quiet).unwrap_err();
    assert!(matches!(error, HubError::Busy { wait: None, .. }), "{error}");
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn a_pause_that_is_too_long_is_told_instead_of_waited() {
    let start = std::time::Instant::now();
    let error = refusal(Reply::new(429).with("retry-after", "3600"));
    assert!(matches!(error, HubError::Busy { wait: Some(3600), .. }), "{error}");
    assert!(error.to_string().contains("3600 seconds") && start.elapsed().as_secs() < 60, "{error}");
}

#[test]
fn a_failing_server_is_told() {
    let error = refusal(Reply::new(502).with("x-error-message", "upstream"));
    assert!(matches!(error, HubError::Server { .. }) && error.to_string().contains("502"), "{error}");
    assert!(matches!(refusal(Reply::new(418)), HubError::Server { .. }));
}

#[cfg(unix)]
#[test]
fn a_failing_server_lets_the_cache_serve() {
    let page = || Reply::new(200).with("content-type", "text/html").body("<html>sign in</html>");
    for reply in [Reply::new(500), Reply::new(429), page()] {
        let server = Server::start(move |_, _| reply.clone());
        let cache = tempfile::tempdir().unwrap();
        put_as_python(cache.path(), "models--owner--name", OLDER, "config.json", BODY_BLOB, BODY);
        let fetched = server.hub(cache.path()).fetch(&model(), "config.json", &quiet).unwrap();
        assert_eq!((fetched.commit.as_str(), server.asked().len()), (OLDER, 1));
    }
}

#[test]
fn a_login_page_is_no_file() {
    let page = || Reply::new(200).with("content-type", "text/html; charset=utf-8").body("<html>sign in</html>");
    let first = refusal(page());
    assert!(matches!(first, HubError::NotTheHub { .. }) && first.to_string().contains("login page"), "{first}");
    let later = refusal_of(move |method| if method == "HEAD" { large() } else { page() }, false);
    assert!(matches!(later, HubError::NotTheHub { .. }) && later.to_string().contains("web page"), "{later}");
}

#[test]
fn what_does_not_speak_http_is_told() {
    let error = refusal(Reply::new(200).with("x-odd", "\u{7f}"));
    assert!(matches!(error, HubError::NotTheHub { .. }), "{error}");
}

#[test]
fn a_portal_that_redirects_is_named() {
    let portal = Server::start(|_, _| Reply::new(200).with("content-type", "text/html").body("<html>"));
    let address = portal.address.clone();
    let error = refusal_of(move |_| Reply::new(302).with("location", format!("{address}/login?from=hub")), true);
    assert!(matches!(&error, HubError::NotTheHub { server, .. } if *server == portal.address), "{error}");
    assert!(portal.asked().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn redirects_end() {
    let error = refusal(Reply::new(302).with("location", "/again"));
    assert!(error.to_string().contains("redirects without end"), "{error}");
    let error = refusal(Reply::new(302).with("location", "file:///etc/passwd"));
    assert!(error.to_string().contains("a redirect to no address"), "{error}");
}

#[test]
fn a_damaged_file_is_thrown_away() {
    for good in [regular, large] {
        let error = refusal_of(move |_| good().body("sixteen Letters."), false);
        assert!(matches!(error, HubError::Corrupt { .. }) && error.to_string().contains("expected"), "{error}");
    }
}

#[test]
fn a_file_longer_than_told_is_refused() {
    let longer = |reply: Reply| {
        move |method: &str| match method {
            "HEAD" => large(),
            _ => reply.clone(),
        }
    };
    let told = refusal_of(longer(large().body("sixteen letters and more.")), false);
    assert!(matches!(told, HubError::Corrupt { .. }) && told.to_string().contains("25 bytes where 16"), "{told}");
    for text in ["sixteen letters and more.", "sixteen letters.."] {
        let untold = refusal_of(longer(large().body(text).without_length()), false);
        assert!(matches!(untold, HubError::Corrupt { .. }) && untold.to_string().contains("more than"), "{untold}");
    }
}

#[test]
fn a_file_shorter_than_told_is_refused() {
    let short = refusal_of(|method| if method == "HEAD" { large() } else { large().body("sixteen") }, false);
    assert!(matches!(short, HubError::Corrupt { .. }), "{short}");
    let cut = refusal_of(|method| if method == "HEAD" { large() } else { large().body("six").without_length() }, false);
    assert!(matches!(cut, HubError::Broken { total: 16, .. }), "{cut}");
}

#[test]
fn a_file_that_is_compressed_unasked_is_refused() {
    let error =
        refusal_of(|method| if method == "HEAD" { large() } else { large().with("content-encoding", "gzip") }, false);
    assert!(error.to_string().contains("compressed"), "{error}");
}

#[test]
fn descriptions_that_cannot_be_are_refused() {
    for (reply, problem) in [
        (regular().with("x-repo-commit", "../../x"), "names no commit"),
        (regular().with("x-repo-commit", ""), "names no commit"),
        (regular().with("etag", "\"../../x\""), "does not name the content"),
        (regular().with("etag", "\"\""), "does not name the content"),
        (regular().with("etag", "x".repeat(300)), "does not name the content"),
        (regular().with("x-linked-etag", "\"a/b\""), "does not name the content"),
    ] {
        let error = refusal(reply).to_string();
        assert!(error.contains(problem), "{error}");
    }
    let (server, cache) = (Server::start(|_, _| regular()), tempfile::tempdir().unwrap());
    let error = server.hub(cache.path()).fetch(&model().at(OLDER).unwrap(), "config.json", &quiet).unwrap_err();
    assert!(error.to_string().contains("another commit"), "{error}");
}

// Everything that is written to /dev/full fails as on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let (server, cache) = (Server::start(|_, _| large()), tempfile::tempdir().unwrap());
    let blobs = cache.path().join("models--owner--name/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::os::unix::fs::symlink("/dev/full", blobs.join(format!("{BODY_SHA256}.incomplete"))).unwrap();
    let error = server.hub(cache.path()).fetch(&model(), "model.safetensors", &quiet).unwrap_err();
    assert!(matches!(error, HubError::DiskFull { needed: 16, .. }), "{error}");
    assert!(error.to_string().contains("HF_HUB_CACHE"), "{error}");
    nothing_is_left(cache.path());
}

#[test]
fn a_wrong_endpoint_is_told() {
    let cache = tempfile::tempdir().unwrap();
    for endpoint in ["not a url", "", "ftp://x", "http://x?y"] {
        let hub = Hub { endpoint: endpoint.into(), ..Hub::new(cache.path()) };
        let error = hub.fetch(&model(), "config.json", &quiet).unwrap_err();
        assert!(matches!(error, HubError::Setting { name: "HF_ENDPOINT", .. }), "{error}");
    }
}

#[test]
fn nobody_there_is_told() {
    let cache = tempfile::tempdir().unwrap();
    let error = nowhere(cache.path()).fetch(&model(), "config.json", &quiet).unwrap_err();
    assert!(matches!(error, HubError::Unreachable { .. }) && error.to_string().contains("refused"), "{error}");
}
