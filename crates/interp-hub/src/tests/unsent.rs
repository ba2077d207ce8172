//! Uploads that fail, and what is said of it.

use super::server::{BODY_SHA256, Reply, Request, Server};
use super::uploading::{COMMIT_PATH, STORE, hub, json, kept, outgoing, upload};
use super::*;

/// Why an upload of a small and a large file to a server fails. `answer` is what it answers in place of what the hub does.
fn failure(answer: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> (HubError, Vec<Request>) {
    let server = Server::start(move |request, _| {
        let own = format!(r#"{{"upload": {{"href": "http://{}/put"}}}}"#, request.header("host").unwrap());
        answer(request).unwrap_or_else(|| if request.method == "PUT" { kept(request, 0) } else { hub(request, &own) })
    });
    let cache = tempfile::tempdir().unwrap();
    let files = vec![outgoing("README.md", "# Card\n"), outgoing("model.safetensors", BODY)];
    let error = server.signed_in(cache.path()).upload(&model(), &upload(files), &quiet).unwrap_err();
    assert!(!error.to_string().contains("hf_secret"), "{error}");
    (error, server.asked())
}

/// The same where the n-th request is answered so.
fn failure_at(path: &'static str, reply: Reply) -> (HubError, Vec<Request>) {
    failure(move |request| (request.path == path).then(|| reply.clone()))
}

fn is_committed(asked: &[Request]) -> bool {
    asked.iter().any(|request| request.path == COMMIT_PATH)
}

fn why(error: &HubError) -> &UploadError {
    match error {
        HubError::Upload { what, why } if what == "owner/name@main" => why,
        other => panic!("{other}"),
    }
}

#[test]
fn who_may_not_write_learns_what_to_do() {
    let refused = Reply::new(403).with("x-error-message", "You don't have the rights");
    for path in ["/api/repos/create", "/api/models/owner/name/preupload/main", STORE, COMMIT_PATH] {
        let (error, asked) = failure_at(path, refused.clone());
        assert!(matches!(why(&error), UploadError::NotAllowed { .. }), "{path}: {error}");
        assert!(error.to_string().contains("a token that may write") && error.to_string().contains("the rights"));
        assert_eq!(asked.iter().filter(|request| request.path == path).count(), 1, "a refusal is not repeated");
    }
    let (error, asked) = failure_at("/api/models/owner/name", Reply::new(401));
    assert!(matches!(why(&error), UploadError::NotAllowed { .. }), "{error}");
    assert_eq!(asked.len(), 1);
}

#[test]
fn a_repository_of_others_is_told_from_one_that_can_be_made() {
    let hidden = |request: &Request| match request.path.as_str() {
        "/api/repos/create" => Some(Reply::new(409)),
        "/api/models/owner/name/preupload/main" => Some(Reply::new(404).with("x-error-code", "RepoNotFound")),
        _ => None,
    };
    let (error, _) = failure(hidden);
    assert!(matches!(error, HubError::NoRepository { signed_in: true, .. }), "{error}");
    let (error, _) =
        failure_at("/api/models/owner/name/preupload/main", Reply::new(404).with("x-error-code", "RevisionNotFound"));
    assert!(matches!(error, HubError::NoRevision { .. }), "{error}");
    let moved = Reply::new(307).with("location", "/api/models/new/name/preupload/main");
    let (error, _) = failure_at("/api/models/owner/name/preupload/main", moved);
    assert!(error.to_string().contains("moved to /api/models/new/name"), "{error}");
}

#[test]
fn nothing_is_committed_where_a_file_does_not_arrive() {
    for status in [500, 403, 413, 301] {
        let (error, asked) = failure_at("/put", Reply::new(status).with("location", "/x"));
        let is_right = match status {
            500 => matches!(why(&error), UploadError::Broken { .. }),
            413 => matches!(why(&error), UploadError::TooLarge { .. }),
            301 => matches!(why(&error), UploadError::Rejected { .. }),
            _ => matches!(why(&error), UploadError::NotAllowed { .. }),
        };
        assert!(is_right && error.to_string().contains(&status.to_string()), "{error}");
        assert_eq!(asked.iter().filter(|request| request.path == "/put").count(), if status == 500 { 4 } else { 1 });
        assert!(!is_committed(&asked));
    }
}

// Its addresses are good for a time: that they are so no longer is nothing that another token helps.
#[test]
fn a_store_that_refuses_is_not_about_the_token() {
    let store = Server::start(|_, _| Reply::new(403));
    let address = store.address.clone();
    let (error, asked) = failure(move |request| {
        let actions = format!(r#"{{"upload": {{"href": "{address}/put"}}}}"#);
        (request.path == STORE).then(|| hub(request, &actions))
    });
    assert!(matches!(why(&error), UploadError::Rejected { .. }) && !is_committed(&asked), "{error}");
}

#[test]
fn files_that_the_store_does_not_take_are_named() {
    for (code, problem) in [(413, "more than the server takes"), (422, "does not take it"), (403, "HF_TOKEN")] {
        let reply = json(format!(
            r#"{{"objects": [{{"oid": "{BODY_SHA256}", "size": 16, "error": {{"code": {code}, "message": "No."}}}}]}}"#
        ));
        let (error, asked) = failure_at(STORE, reply);
        let text = error.to_string();
        assert!(text.contains(problem) && text.contains("model.safetensors") && text.contains("\"No.\""), "{error}");
        assert!(!is_committed(&asked));
    }
}

#[test]
fn a_commit_that_is_not_taken_is_told() {
    let (error, _) = failure_at(COMMIT_PATH, Reply::new(400).with("x-error-message", "Invalid metadata in README.md"));
    assert!(matches!(why(&error), UploadError::Rejected { .. }), "{error}");
    assert!(error.to_string().contains("Invalid metadata"), "{error}");
    let (error, _) = failure_at(COMMIT_PATH, Reply::new(413));
    assert!(matches!(why(&error), UploadError::TooLarge { .. }), "{error}");
    let (error, asked) = failure_at(COMMIT_PATH, Reply::new(429));
    assert!(matches!(why(&error), UploadError::Busy { wait: None }) && error.to_string().contains("later"), "{error}");
    assert_eq!(asked.iter().filter(|request| request.path == COMMIT_PATH).count(), 4);
}

// It may be there: sent again, it might be made twice.
#[test]
fn a_commit_whose_answer_is_lost_is_not_sent_again() {
    let (error, asked) = failure_at(COMMIT_PATH, json("{\"commitOid\"").cut_after(3));
    assert!(matches!(why(&error), UploadError::Unanswered { .. }), "{error}");
    assert!(error.to_string().contains("/owner/name/commits/main"), "{error}");
    assert_eq!(asked.iter().filter(|request| request.path == COMMIT_PATH).count(), 1);
}

#[test]
fn answers_that_the_hub_does_not_give_are_told() {
    let page = || Reply::new(200).with("content-type", "text/html").body("<html>sign in</html>");
    let upload = "/api/models/owner/name/preupload/main";
    let parts = |length: &str| {
        let action =
            format!(r#"{{"href": "http://x/done", "header": {{"chunk_size": "{length}", "1": "http://x/1"}}}}"#);
        json(format!(r#"{{"objects": [{{"oid": "{BODY_SHA256}", "actions": {{"upload": {action}}}}}]}}"#))
    };
    for (path, reply, problem) in [
        ("/api/models/owner/name", page(), "web page"),
        ("/api/models/owner/name", json("{}"), "missing field"),
        (upload, page(), "web page"),
        (upload, json(r#"{"files": []}"#), "how to send"),
        (upload, json(r#"{"files": [{"path": "README.md", "uploadMode": "pigeon"}]}"#), "unknown variant"),
        (STORE, json(r#"{"objects": []}"#), "where to send"),
        (STORE, parts("15"), "do not make the file"),
        (STORE, parts("0"), "do not make the file"),
        (STORE, parts("many"), "do not make the file"),
        ("/put", page(), "web page"),
        (COMMIT_PATH, json(r#"{"commitOid": "main", "commitUrl": ""}"#), "names no commit"),
    ] {
        let (error, asked) = failure_at(path, reply);
        assert!(matches!(error, HubError::NotTheHub { .. }) && error.to_string().contains(problem), "{path}: {error}");
        assert!(path == COMMIT_PATH || !is_committed(&asked));
    }
}

#[test]
fn a_server_that_has_gone_is_told() {
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub { token: Some(Token::new("hf_secret").unwrap()), ..nowhere(cache.path()) };
    let error = hub.upload(&model(), &upload(vec![outgoing("README.md", BODY)]), &quiet).unwrap_err();
    assert!(
        matches!(why(&error), UploadError::Broken { .. }) && error.to_string().contains("start it again"),
        "{error}"
    );
    let (error, _) = failure_at(STORE, json("{\"objects\"").cut_after(3));
    assert!(matches!(why(&error), UploadError::Broken { .. }), "{error}");
}

#[test]
fn what_everyone_can_read_is_not_taken_for_private() {
    let server = Server::start(|request, _| match request.method.as_str() {
        "GET" => json(r#"{"id": "owner/name", "private": false}"#),
        _ => hub(request, "{}"),
    });
    let cache = tempfile::tempdir().unwrap();
    let private = Upload { private: true, ..upload(vec![outgoing("README.md", BODY)]) };
    let error = server.signed_in(cache.path()).upload(&model(), &private, &quiet).unwrap_err();
    assert!(matches!(why(&error), UploadError::Public { .. }) && error.to_string().contains("/settings"), "{error}");
    assert_eq!(server.asked().len(), 1);
    // Made by another in the meantime, for everyone.
    let raced = Server::start(|request, count| match (request.method.as_str(), request.path.as_str()) {
        ("GET", _) if count > 0 => json(r#"{"id": "owner/name", "private": false}"#),
        (_, "/api/repos/create") => Reply::new(409),
        _ => hub(request, "{}"),
    });
    let error = raced.signed_in(cache.path()).upload(&model(), &private, &quiet).unwrap_err();
    assert!(matches!(why(&error), UploadError::Public { .. }) && raced.asked().len() == 3, "{error}");
    let new = Server::start(|request, _| hub(request, "{}"));
    new.signed_in(cache.path()).upload(&model(), &private, &quiet).unwrap();
    assert!(new.asked()[1].text().contains(r#""private":true"#));
}

#[test]
fn no_server_is_asked_in_vain() {
    let (server, cache) = (Server::start(|request, _| hub(request, "{}")), tempfile::tempdir().unwrap());
    let known = server.signed_in(cache.path());
    let try_with = |hub: Hub, repo: &Repo, file| hub.upload(repo, &upload(vec![file]), &quiet).unwrap_err();
    let file = || outgoing("README.md", BODY);
    let error = try_with(server.hub(cache.path()), &model(), file());
    assert!(
        matches!(why(&error), UploadError::NoToken { .. }) && error.to_string().contains("settings/tokens"),
        "{error}"
    );
    let error = try_with(Hub { offline: true, ..known.clone() }, &model(), file());
    assert!(matches!(why(&error), UploadError::Offline), "{error}");
    let error = try_with(known.clone(), &model().at(COMMIT).unwrap(), file());
    assert!(matches!(error, HubError::Upload { why: UploadError::Pinned, .. }), "{error}");
    let error = try_with(known.clone(), &model(), outgoing("../README.md", BODY));
    assert!(matches!(error, HubError::FileName { .. }), "{error}");
    let gone = Outgoing { path: "a".into(), content: Content::File(cache.path().join("gone")) };
    let error = try_with(known, &model(), gone);
    assert!(matches!(error, HubError::Io { .. }) && error.to_string().contains("gone"), "{error}");
    assert_eq!(server.asked().len(), 0);
}
