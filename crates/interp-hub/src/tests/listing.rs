//! What a repository has.

use super::server::{Reply, Server, regular};
use super::*;

/// As the hub answers to `/api/models/OWNER/NAME/revision/REVISION?blobs=true`.
fn described() -> Reply {
    let text = format!(
        r#"{{"id": "owner/name", "sha": "{COMMIT}", "private": false, "tags": ["timm"], "siblings": [
            {{"rfilename": "model.safetensors", "size": 553507836, "blobId": "a", "lfs": {{"sha256": "b", "size": 1}}}},
            {{"rfilename": "config.json", "size": 623, "blobId": "c"}},
            {{"rfilename": "folder/x.txt"}},
            {{"rfilename": "../outside"}}]}}"#
    );
    Reply::new(200).with("content-type", "application/json; charset=utf-8").body(text)
}

#[test]
fn files_are_listed_with_their_commit() {
    let (server, cache) = (Server::start(|_, _| described()), tempfile::tempdir().unwrap());
    let listing = server.signed_in(cache.path()).list(&Repo::model("owner/name@a/b").unwrap()).unwrap();
    let file = |path: &str, size| ListedFile { path: path.into(), size };
    let (config, model) = (file("config.json", Some(623)), file("model.safetensors", Some(553_507_836)));
    assert_eq!(listing.files, [config, file("folder/x.txt", None), model]);
    assert_eq!((listing.repo.revision(), listing.repo.commit()), ("a/b", Some(COMMIT)));
    assert!(listing.complete);
    assert_eq!(server.asked()[0].path, "/api/models/owner/name/revision/a%2Fb?blobs=true");
    assert_eq!(server.asked()[0].header("authorization"), Some("Bearer hf_secret"));
}

// Whatever the branch does meanwhile; and offline the branch is known all the same.
#[test]
fn what_a_listing_names_is_fetched_from_its_commit() {
    let server = Server::start(|request, _| if request.path.starts_with("/api") { described() } else { regular() });
    let cache = tempfile::tempdir().unwrap();
    let hub = server.hub(cache.path());
    let listing = hub.list(&model()).unwrap();
    let fetched = hub.fetch(&listing.repo, "config.json", &quiet).unwrap();
    assert_eq!(server.asked()[1].path, format!("/owner/name/resolve/{COMMIT}/config.json"));
    let offline = Hub { offline: true, ..hub };
    assert_eq!(offline.fetch(&model(), "config.json", &quiet).unwrap(), fetched);
    assert_eq!(offline.list(&model()).unwrap().repo, listing.repo);
}

#[test]
fn answers_that_are_no_list_are_refused() {
    let page = Reply::new(200).with("content-type", "text/html").body("<html>");
    let other = Reply::new(200).body(r#"{"sha": "main"}"#);
    let broken = Reply::new(200).body(r#"{"sha": 1}"#);
    for (reply, problem) in [(page, "web page"), (other, "names no commit"), (broken, "invalid type")] {
        let (server, cache) = (Server::start(move |_, _| reply.clone()), tempfile::tempdir().unwrap());
        let error = server.hub(cache.path()).list(&model()).unwrap_err();
        assert!(matches!(error, HubError::NotTheHub { .. }) && error.to_string().contains(problem), "{error}");
    }
    let (server, cache) = (Server::start(|_, _| described().cut_after(9)), tempfile::tempdir().unwrap());
    let error = server.hub(cache.path()).list(&model()).unwrap_err();
    assert!(matches!(error, HubError::Server { .. }), "{error}");
}

#[test]
fn a_file_that_is_not_there_brings_the_nearest_names() {
    let server = Server::start(|request, _| match request.method.as_str() {
        "HEAD" => Reply::new(404).with("x-error-code", "EntryNotFound").with("x-repo-commit", COMMIT),
        _ => described(),
    });
    let cache = tempfile::tempdir().unwrap();
    let error = server.hub(cache.path()).fetch(&model(), "model.safetensor", &quiet).unwrap_err();
    assert!(matches!(&error, HubError::NoFile { nearest, .. } if *nearest == ["model.safetensors"]), "{error}");
    assert!(error.to_string().contains("near it are model.safetensors"), "{error}");
}
