//! What needs no server.

use super::*;

#[cfg(unix)]
fn filled() -> tempfile::TempDir {
    let cache = tempfile::tempdir().unwrap();
    put_as_python(cache.path(), "models--owner--name", COMMIT, "config.json", BODY_BLOB, BODY);
    put_as_python(cache.path(), "models--owner--name", COMMIT, "folder/x.bin", "else", "other");
    cache
}

#[cfg(unix)]
#[test]
fn files_that_python_cached_are_used_offline() {
    let cache = filled();
    let hub = Hub { offline: true, ..nowhere(cache.path()) };
    for repo in [model(), Repo::model(&format!("owner/name@{COMMIT}")).unwrap()] {
        let fetched = hub.fetch(&repo, "config.json", &quiet).unwrap();
        assert_eq!(std::fs::read_to_string(&fetched.path).unwrap(), BODY);
        assert_eq!(fetched.commit, COMMIT);
    }
    let error = hub.fetch(&model(), "model.safetensors", &quiet).unwrap_err();
    assert!(matches!(error, HubError::Offline { .. }), "{error}");
    assert!(error.to_string().contains("owner/name@main: model.safetensors"), "{error}");
    let data = Repo::dataset("owner/name").unwrap();
    assert!(hub.fetch(&data, "config.json", &quiet).is_err());
}

#[cfg(unix)]
#[test]
fn a_pinned_commit_needs_no_server() {
    let cache = filled();
    let pinned = model().at(COMMIT).unwrap();
    let fetched = nowhere(cache.path()).fetch(&pinned, "folder/x.bin", &quiet).unwrap();
    assert_eq!(std::fs::read_to_string(fetched.path).unwrap(), "other");
}

#[cfg(unix)]
#[test]
fn without_a_server_the_cache_serves() {
    let cache = filled();
    let fetched = nowhere(cache.path()).fetch(&model(), "config.json", &quiet).unwrap();
    assert_eq!(fetched.commit, COMMIT);
    let error = nowhere(cache.path()).fetch(&model(), "else.json", &quiet).unwrap_err();
    let wanted = if cfg!(feature = "network") { "cannot be reached" } else { "built without downloads" };
    assert!(error.to_string().contains(wanted), "{error}");
}

#[cfg(unix)]
#[test]
fn what_is_cached_is_listed() {
    let cache = filled();
    let hub = Hub { offline: true, ..nowhere(cache.path()) };
    let listing = hub.list(&model()).unwrap();
    let file = |path: &str, size| ListedFile { path: path.into(), size: Some(size) };
    assert_eq!(listing.files, [file("config.json", 16), file("folder/x.bin", 5)]);
    assert_eq!((listing.repo.commit(), listing.complete), (Some(COMMIT), false));
    assert!(listing.has("folder/x.bin") && !listing.has("x.bin"));
    assert_eq!(nowhere(cache.path()).list(&model()).unwrap(), listing);
    assert!(matches!(hub.list(&Repo::model("owner/other").unwrap()), Err(HubError::Offline { .. })));
}

#[test]
fn a_torn_reference_is_no_commit() {
    let cache = tempfile::tempdir().unwrap();
    let refs = cache.path().join("models--owner--name/refs");
    std::fs::create_dir_all(&refs).unwrap();
    for text in ["", "0123", "../../../etc"] {
        std::fs::write(refs.join("main"), text).unwrap();
        let hub = Hub { offline: true, ..nowhere(cache.path()) };
        assert!(matches!(hub.fetch(&model(), "passwd", &quiet), Err(HubError::Offline { .. })));
    }
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    let cache = tempfile::tempdir().unwrap();
    let error = nowhere(cache.path()).fetch(&model(), "../../secret", &quiet).unwrap_err();
    assert!(matches!(error, HubError::FileName { .. }), "{error}");
}

#[cfg(not(feature = "network"))]
#[test]
fn without_a_network_nothing_is_uploaded() {
    let hub = Hub { token: Some(Token::new("hf_secret").unwrap()), ..Hub::new("cache") };
    let upload = Upload { files: vec![], message: "Ours".into(), private: false };
    let error = hub.upload(&model(), &upload, &quiet).unwrap_err();
    assert!(matches!(error, HubError::Upload { why: UploadError::WithoutNetwork, .. }), "{error}");
}
