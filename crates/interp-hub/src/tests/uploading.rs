//! Uploads that succeed.

use std::cell::RefCell;

use super::server::{BODY_SHA256, Reply, Request, Server};
use super::*;

/// `base64` of [`BODY`].
const BODY_BASE64: &str = "c2l4dGVlbiBsZXR0ZXJzLg==";
pub(super) const STORE: &str = "/owner/name.git/info/lfs/objects/batch";
pub(super) const COMMIT_PATH: &str = "/api/models/owner/name/commit/main";

pub(super) fn json(text: impl AsRef<[u8]>) -> Reply {
    Reply::new(200).with("content-type", "application/json; charset=utf-8").body(text)
}

/// What the hub answers when it has no such repository and all goes well; files ending in `.safetensors` go to its
/// store, of which it says `actions`.
pub(super) fn hub(request: &Request, actions: &str) -> Reply {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/api/models/owner/name") => Reply::new(404).with("x-error-code", "RepoNotFound"),
        (_, "/api/models/owner/name/preupload/main") => {
            let asked: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            let mode = |file: &serde_json::Value| {
                let path = file["path"].as_str().unwrap();
                let mode = if path.ends_with(".safetensors") { "lfs" } else { "regular" };
                serde_json::json!({ "path": path, "uploadMode": mode, "shouldIgnore": false })
            };
            let files: Vec<_> = asked["files"].as_array().unwrap().iter().map(mode).collect();
            json(serde_json::json!({ "files": files }).to_string())
        }
        (_, STORE) => json(format!(
            r#"{{"transfer": "basic", "objects": [{{"oid": "{BODY_SHA256}", "size": 16, "actions": {actions}}}]}}"#
        )),
        (_, COMMIT_PATH) => json(format!(
            r#"{{"success": true, "commitOid": "{COMMIT}", "commitUrl": "https://hub/owner/name/commit/{COMMIT}", "hookOutput": ""}}"#
        )),
        _ => json("{}"), // Made, or verified.
    }
}

/// What a store answers that keeps what it is sent.
pub(super) fn kept(_request: &Request, count: usize) -> Reply {
    Reply::new(200).with("etag", format!("\"part {count}\"")).body("")
}

pub(super) fn outgoing(path: &str, text: &str) -> Outgoing {
    Outgoing { path: path.into(), content: Content::Bytes(text.into()) }
}

pub(super) fn upload(files: Vec<Outgoing>) -> Upload {
    Upload { files, message: "Ours".into(), private: false }
}

/// Uploads to the server, signed in, and gives what it was asked.
fn uploaded(server: &Server, files: Vec<Outgoing>) -> Vec<Request> {
    let (cache, told) = (tempfile::tempdir().unwrap(), RefCell::new(Vec::new()));
    let progress = |done, total| told.borrow_mut().push((done, total));
    let size = |file: &Outgoing| match &file.content {
        Content::File(path) => path.metadata().unwrap().len(),
        Content::Bytes(bytes) => bytes.len() as u64,
    };
    let total = files.iter().map(size).sum();
    let uploaded = server.signed_in(cache.path()).upload(&model(), &upload(files), &progress).unwrap();
    assert!(told.borrow().is_sorted() && told.borrow().last() == Some(&(total, total)), "{told:?}");
    assert_eq!((uploaded.repo.commit(), uploaded.repo.revision()), (Some(COMMIT), "main"));
    assert_eq!(uploaded.page, format!("https://hub/owner/name/commit/{COMMIT}"));
    let asked = server.asked();
    assert!(asked.iter().all(|request| request.header("authorization") == Some("Bearer hf_secret")), "{asked:?}");
    asked
}

/// Method and path of every request.
fn lines(asked: &[Request]) -> Vec<String> {
    asked.iter().map(|request| format!("{} {}", request.method, request.path)).collect()
}

fn value(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn small_files_go_in_the_commit() {
    let server = Server::start(|request, _| hub(request, "{}"));
    let asked = uploaded(&server, vec![outgoing("README.md", "# Card\n"), outgoing("folder/a b.txt", BODY)]);
    let expected = [
        "GET /api/models/owner/name",
        "POST /api/repos/create",
        "POST /api/models/owner/name/preupload/main",
        "POST /api/models/owner/name/commit/main",
    ];
    assert_eq!(lines(&asked), expected);
    let created = r#"{"name": "name", "organization": "owner", "type": "model", "private": false}"#;
    assert_eq!(value(asked[1].text()), value(created));
    let told = format!(
        r#"{{"files": [{{"path": "README.md", "size": 7, "sample": "IyBDYXJkCg=="}},
                       {{"path": "folder/a b.txt", "size": 16, "sample": "{BODY_BASE64}"}}]}}"#
    );
    assert_eq!(value(asked[2].text()), value(&told));
    assert_eq!(asked[3].header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<_> = asked[3].text().lines().map(value).collect();
    let expected = [
        r#"{"key": "header", "value": {"summary": "Ours", "description": ""}}"#.to_owned(),
        r#"{"key": "file", "value": {"content": "IyBDYXJkCg==", "path": "README.md", "encoding": "base64"}}"#.into(),
        format!(
            r#"{{"key": "file", "value": {{"content": "{BODY_BASE64}", "path": "folder/a b.txt", "encoding": "base64"}}}}"#
        ),
    ];
    assert_eq!(lines, expected.map(|line| value(&line)));
}

// The store is another server: it gets the bytes, and what the hub says for it, but not the token.
#[test]
fn large_files_go_to_the_store_which_does_not_learn_who_sends_them() {
    let store = Server::start(kept);
    let actions = format!(
        r#"{{"upload": {{"href": "{0}/put?signature=x", "header": {{"x-own": "yes"}}}},
             "verify": {{"href": "{0}/verify", "header": {{"Authorization": "Basic own"}}}}}}"#,
        store.address
    );
    let server = Server::start(move |request, _| hub(request, &actions));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    std::fs::write(&path, BODY).unwrap();
    let large = Outgoing { path: "model.safetensors".into(), content: Content::File(path) };
    let asked = uploaded(&server, vec![outgoing("README.md", "# Card\n"), large]);
    let batch = &asked[3];
    assert_eq!((batch.path.as_str(), batch.header("accept")), (STORE, Some("application/vnd.git-lfs+json")));
    assert_eq!(batch.header("content-type"), Some("application/vnd.git-lfs+json"));
    let expected = format!(
        r#"{{"operation": "upload", "transfers": ["basic", "multipart"], "hash_algo": "sha256",
             "objects": [{{"oid": "{BODY_SHA256}", "size": 16}}]}}"#
    );
    assert_eq!(value(batch.text()), value(&expected));
    let sent = store.asked();
    assert_eq!(lines(&sent), ["PUT /put?signature=x", "POST /verify"]);
    assert_eq!((sent[0].text(), sent[0].header("x-own")), (BODY, Some("yes")));
    assert_eq!((sent[0].header("authorization"), sent[0].header("transfer-encoding")), (None, None));
    assert_eq!(sent[1].header("authorization"), Some("Basic own"));
    assert_eq!(value(sent[1].text()), value(&format!(r#"{{"oid": "{BODY_SHA256}", "size": 16}}"#)));
    let entry = format!(
        r#"{{"key": "lfsFile", "value": {{"path": "model.safetensors", "algo": "sha256", "size": 16, "oid": "{BODY_SHA256}"}}}}"#
    );
    assert_eq!(value(asked[4].text().lines().nth(2).unwrap()), value(&entry));
}

// Sixteen parts: by their letters, 10 would come before 2.
#[test]
fn a_file_goes_in_the_parts_that_the_store_asks_for() {
    let store = Server::start(kept);
    let parts: Vec<String> = (1..=16).rev().map(|n| format!(r#""{n:05}": "{}/part/{n}""#, store.address)).collect();
    let (address, parts) = (store.address.clone(), parts.join(", "));
    let server = Server::start(move |request, _| {
        let header = format!(r#"{{"chunk_size": "1", {parts}}}"#);
        let done = format!("http://{}/complete?id=x", request.header("host").unwrap());
        let verify = format!(r#""verify": {{"href": "{address}/verify"}}"#);
        hub(request, &format!(r#"{{"upload": {{"href": "{done}", "header": {header}}}, {verify}}}"#))
    });
    let asked = uploaded(&server, vec![outgoing("model.safetensors", BODY)]);
    let sent = store.asked();
    let letters: String = sent.iter().take(16).map(|request| request.text()).collect();
    assert_eq!(letters, BODY);
    let paths: Vec<String> = sent.iter().map(|request| request.path.clone()).collect();
    let expected: Vec<String> = (1..=16).map(|n| format!("/part/{n}")).chain(["/verify".into()]).collect();
    assert_eq!(paths, expected);
    assert!(sent.iter().all(|request| request.header("authorization").is_none()));
    let complete = asked.iter().find(|request| request.path == "/complete?id=x").unwrap();
    let parts: Vec<_> =
        (0..16).map(|n| serde_json::json!({ "partNumber": n + 1, "etag": format!("\"part {n}\"") })).collect();
    assert_eq!(value(complete.text()), serde_json::json!({ "oid": BODY_SHA256, "parts": parts }));
}

#[test]
fn what_the_store_has_is_not_sent_again() {
    let server = Server::start(|request, _| match request.path.as_str() {
        STORE => json(format!(r#"{{"objects": [{{"oid": "{BODY_SHA256}", "size": 16}}]}}"#)),
        _ => hub(request, "{}"),
    });
    let asked = uploaded(&server, vec![outgoing("model.safetensors", BODY)]);
    assert!(asked.iter().all(|request| request.method != "PUT"));
    assert!(asked.last().unwrap().text().contains("lfsFile"));
}

// The store takes no empty file, whatever the hub says of its name.
#[test]
fn an_empty_file_goes_in_the_commit() {
    let server = Server::start(|request, _| hub(request, "{}"));
    let asked = uploaded(&server, vec![outgoing("empty.safetensors", "")]);
    assert!(asked.last().unwrap().text().contains(r#""content":"""#), "{asked:?}");
}

#[test]
fn a_repository_that_is_there_is_not_made() {
    let there = |request: &Request, conflict: bool| match (request.method.as_str(), request.path.as_str()) {
        ("GET", _) if !conflict => json(r#"{"id": "owner/name", "private": false}"#),
        (_, "/api/repos/create") => Reply::new(409),
        _ => hub(request, "{}"),
    };
    let known = Server::start(move |request, _| there(request, false));
    let asked = uploaded(&known, vec![outgoing("README.md", BODY)]);
    assert!(asked.iter().all(|request| request.path != "/api/repos/create"));
    // Made by another in the meantime.
    uploaded(&Server::start(move |request, _| there(request, true)), vec![outgoing("README.md", BODY)]);
}

#[test]
fn a_branch_is_uploaded_to() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/api/models/owner/name/preupload/a%2Fb" => {
            json(r#"{"files": [{"path": "README.md", "uploadMode": "regular"}]}"#)
        }
        "/api/models/owner/name/commit/a%2Fb" => {
            json(format!(r#"{{"commitOid": "{COMMIT}", "commitUrl": "https://hub/{}"}}"#, "u".repeat(200)))
        }
        _ => hub(request, "{}"),
    });
    let cache = tempfile::tempdir().unwrap();
    let repo = Repo::model("owner/name@a/b").unwrap();
    let uploaded =
        server.signed_in(cache.path()).upload(&repo, &upload(vec![outgoing("README.md", BODY)]), &quiet).unwrap();
    assert_eq!((uploaded.repo, uploaded.page.len()), (repo.at(COMMIT).unwrap(), 212));
}

#[test]
fn a_busy_server_is_asked_again() {
    let server = Server::start(|request, count| match count {
        0 | 2 | 6 => Reply::new(429).with("retry-after", "0"),
        4 => Reply::new(503),
        _ => hub(request, "{}"),
    });
    let asked = uploaded(&server, vec![outgoing("README.md", BODY)]);
    assert_eq!(asked.len(), 8); // Four requests, each of them twice.
}

/// Eight megabytes, more than what lies on the way between two programs.
fn eight_megabytes() -> Outgoing {
    Outgoing { path: "model.safetensors".into(), content: Content::Bytes(vec![7; 8 << 20]) }
}

#[test]
fn a_connection_that_is_cut_half_way_is_made_again() {
    let store = Server::start_cutting(1 << 20, kept);
    let address = store.address.clone();
    let server = Server::start(move |request, _| match request.path.as_str() {
        STORE => {
            let asked = value(request.text());
            let action = format!(r#""actions": {{"upload": {{"href": "{address}/put"}}}}"#);
            json(format!(r#"{{"objects": [{{"oid": {}, {action}}}]}}"#, asked["objects"][0]["oid"]))
        }
        _ => hub(request, "{}"),
    });
    let (cache, told) = (tempfile::tempdir().unwrap(), RefCell::new(Vec::new()));
    let progress = |done, total| told.borrow_mut().push((done, total));
    server.signed_in(cache.path()).upload(&model(), &upload(vec![eight_megabytes()]), &progress).unwrap();
    let lengths: Vec<usize> = store.asked().iter().map(|request| request.body.len()).collect();
    assert_eq!(lengths, [1 << 20, 8 << 20]);
    assert!(store.asked()[1].body.iter().all(|byte| *byte == 7));
    assert_eq!(told.borrow().last(), Some(&(8 << 20, 8 << 20)));
    assert!(told.borrow().iter().all(|(done, total)| done <= total));
}
