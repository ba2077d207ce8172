//! A run goes to the hub, and comes back by its name: against a server on this machine that speaks as the hub does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::common::{TINY, folder, program, run};
use crate::hub::{COMMIT, Files, at_hub, served};

/// What a hub has.
#[derive(Default)]
struct Kept {
    /// The model `owner/tiny`, where it was made.
    files: Option<Files>,
    /// Large files by their SHA-256, of which no commit need know.
    store: Files,
}

/// Takes uploads of the model `owner/tiny`, and serves what was committed; gives its address.
fn serve() -> (String, Arc<Mutex<Kept>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let kept = Arc::new(Mutex::new(Kept::default()));
    let (shared, own) = (Arc::clone(&kept), address.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), &own, &mut shared.lock().unwrap());
        }
    });
    (address, kept)
}

fn answer(mut stream: TcpStream, address: &str, kept: &mut Kept) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines: Vec<String> = vec![];
    while lines.last().is_none_or(|line| !line.trim_end().is_empty()) {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        lines.push(line.to_lowercase());
    }
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    let words: Vec<&str> = lines[0].split(' ').collect();
    let (status, head, text) = match (words[0], &kept.files) {
        ("get" | "head", None) => (404, "x-error-code: RepoNotFound".to_owned(), vec![]),
        ("get", Some(_)) if words[1] == "/api/models/owner/tiny" => {
            (200, String::new(), br#"{"private": true}"#.to_vec())
        }
        ("get" | "head", Some(files)) => {
            let (head, text) = served(words[1], files);
            (200, head, text)
        }
        _ => (200, String::new(), changed(words[1], &body, address, kept).to_string().into_bytes()),
    };
    let head = if head.is_empty() { "content-type: application/json".into() } else { head };
    let _ =
        write!(stream, "HTTP/1.1 {status} OK\r\n{head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
    let _ = stream.write_all(if words[0] == "head" { &[] } else { &text });
}

/// Does what a request asks for, and gives its answer.
fn changed(path: &str, body: &[u8], address: &str, kept: &mut Kept) -> Value {
    let asked = || serde_json::from_slice::<Value>(body).unwrap();
    match path {
        "/api/repos/create" => {
            assert_eq!((&asked()["name"], &asked()["private"]), (&json!("tiny"), &json!(true)));
            kept.files = Some(Files::new());
            json!({})
        }
        "/api/models/owner/tiny/preupload/main" => {
            let mode = |file: &Value| match file["path"].as_str().unwrap().ends_with(".safetensors") {
                true => json!({ "path": file["path"], "uploadMode": "lfs" }),
                false => json!({ "path": file["path"], "uploadMode": "regular" }),
            };
            json!({ "files": asked()["files"].as_array().unwrap().iter().map(mode).collect::<Vec<_>>() })
        }
        "/owner/tiny.git/info/lfs/objects/batch" => {
            let name = asked()["objects"][0]["oid"].clone();
            let href = format!("{address}/store/{}", name.as_str().unwrap());
            json!({ "objects": [{ "oid": name, "actions": { "upload": { "href": href } } }] })
        }
        "/api/models/owner/tiny/commit/main" => {
            let lines: Vec<Value> =
                std::str::from_utf8(body).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(lines[0]["value"]["summary"], "First");
            let content = |value: &Value| match value["content"].as_str() {
                Some(content) => STANDARD.decode(content).unwrap(),
                None => kept.store[value["oid"].as_str().unwrap()].clone(),
            };
            let file = |line: &Value| (line["value"]["path"].as_str().unwrap().to_owned(), content(&line["value"]));
            let files: Files = lines[1..].iter().map(file).collect();
            kept.files.as_mut().unwrap().extend(files);
            json!({ "commitOid": COMMIT, "commitUrl": format!("{address}/owner/tiny/commit/{COMMIT}") })
        }
        path => {
            kept.store.insert(path.strip_prefix("/store/").unwrap().into(), body.to_vec());
            json!({})
        }
    }
}

/// A finished tiny run in `run` of a fresh folder.
fn finished() -> tempfile::TempDir {
    let folder = folder(TINY);
    let (status, _, stderr) = run(program("interp-train", folder.path()).args(["recipe.toml", "--out", "run"]));
    assert_eq!(status, 0, "{stderr}");
    folder
}

const NAMES: [&str; 5] = ["README.md", "model.safetensors", "recipe.toml", "report.html", "summary.json"];

#[test]
fn a_run_goes_to_the_hub_and_comes_back() {
    let folder = finished();
    let (endpoint, kept) = serve();
    let ours = |name: &str, args: &[&str]| {
        let mut command = at_hub(name, folder.path(), &endpoint);
        let (status, stdout, stderr) = run(command.env("HF_TOKEN", "hf_secret").args(args));
        assert_eq!(status, 0, "{args:?}: {stderr}");
        stdout
    };
    let words = ["upload", "run", "owner/tiny", "--private", "--message", "First"];
    let told = ours("interp-train", &[&words[..], &["--dry-run"]].concat());
    assert!(kept.lock().unwrap().files.is_none(), "a dry run asks no server");
    let done = ours("interp-train", &words);
    assert!(
        done.contains(&format!("uploaded as hub:owner/tiny@{COMMIT}\n{endpoint}/owner/tiny/commit/{COMMIT}")),
        "{done}"
    );
    let files = kept.lock().unwrap().files.clone().unwrap();
    assert_eq!(files.keys().collect::<Vec<_>>(), NAMES);
    for (name, body) in files.iter().filter(|(name, _)| *name != "README.md") {
        assert_eq!(*body, std::fs::read(folder.path().join("run").join(name)).unwrap(), "{name}");
    }
    let card = std::str::from_utf8(&files["README.md"]).unwrap();
    assert!(told.starts_with(card), "{told}");
    for (name, body) in &files {
        let line = |line: &str| line.starts_with(name.as_str()) && line.ends_with(&format!(" {} bytes", body.len()));
        assert!(told.lines().any(line), "{name} in {told}");
    }
    let summary: Value = serde_json::from_slice(&files["summary.json"]).unwrap();
    let accuracy = format!("| this network | {:.2} % |", 100.0 * summary["test"]["accuracy"].as_f64().unwrap());
    for part in
        [accuracy.as_str(), summary["claims"][0]["shown"].as_str().unwrap(), "tells ", "`concepts`, steered by `l1`"]
    {
        assert!(card.contains(part), "`{part}` in {card}");
    }
    let claims = |which: &str| {
        let text = ours("interp-audit", &["claims", which, "--json"]);
        serde_json::from_str::<Value>(&text).unwrap()["claims"].clone()
    };
    assert_eq!(claims("hub:owner/tiny"), claims("run"));
    assert_eq!(claims("run").as_array().map(Vec::len), summary["claims"].as_array().map(Vec::len));
    // Once more, into what is there; and as one object.
    let object = ours("interp-train", &[&words[..], &["--json"]].concat());
    let object: Value = serde_json::from_str(&object).unwrap();
    assert_eq!((&object["commit"], &object["card"]), (&json!(COMMIT), &json!(card)));
}

fn refused(folder: &Path, change: impl Fn(&mut assert_cmd::Command), args: &[&str], problem: &str) {
    let mut command = at_hub("interp-train", folder, "http://127.0.0.1:9");
    change(command.arg("upload").args(args));
    let (status, stdout, stderr) = run(&mut command);
    let flat = stderr.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
    assert!(status == 2 && stdout.is_empty() && flat.contains(problem), "{args:?}: {stderr}");
}

#[test]
fn what_is_not_uploaded_is_told() {
    let folder = finished();
    let nothing = |_: &mut assert_cmd::Command| ();
    refused(folder.path(), nothing, &["run", "owner/tiny"], "set HF_TOKEN");
    let offline = |command: &mut assert_cmd::Command| {
        command.env("HF_HUB_OFFLINE", "1").env("HF_TOKEN", "hf_secret");
    };
    refused(folder.path(), offline, &["run", "owner/tiny"], "HF_HUB_OFFLINE forbids it");
    refused(folder.path(), nothing, &["run", "tiny"], "OWNER/NAME");
    refused(folder.path(), nothing, &["run", "owner/tiny", "--license", "my own: yes"], "apache-2.0");
    refused(folder.path(), nothing, &["nowhere", "owner/tiny", "--dry-run"], "is it a finished run?");
    std::fs::write(folder.path().join("run/summary.json"), "{}").unwrap();
    refused(folder.path(), nothing, &["run", "owner/tiny", "--dry-run"], "no summary of a run");
}
