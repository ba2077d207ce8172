//! A server whose answers a test decides, and which remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{BODY, BODY_BLOB, COMMIT};
use crate::{Hub, Patience, Token};

/// Another commit.
pub(super) const OLDER: &str = "abcdefabcdefabcdefabcdefabcdefabcdefabcd";
/// What `sha256sum` says of [`BODY`].
pub(super) const BODY_SHA256: &str = "dde5d776d876edb1bee641709943327fa8ad12940e5ba8e9c9d8d79ce04d4237";

/// What a server was asked.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Reads a request with at most `most` bytes of its body, whose length it must tell.
    fn read(stream: &TcpStream, most: u64) -> Self {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut words = lines[0].split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let header = |line: &String| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.into()));
        let headers = lines.iter().filter_map(header).collect();
        let mut request = Self { method, path, headers, body: vec![] };
        let _ = reader.take(request.length().min(most)).read_to_end(&mut request.body);
        request
    }

    /// How long its body is to be.
    fn length(&self) -> u64 {
        self.header("content-length").map_or(0, |length| length.parse().unwrap())
    }
}

/// What a server answers.
#[derive(Clone, Default)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// After how many bytes of the body the connection is cut.
    cut: Option<usize>,
    /// How long the server is silent before it cuts.
    silence: Duration,
}

impl Reply {
    pub(super) fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn body(self, body: impl AsRef<[u8]>) -> Self {
        let length = body.as_ref().len().to_string();
        Self { body: body.as_ref().into(), ..self }.with("content-length", length)
    }

    pub(super) fn cut_after(self, bytes: usize) -> Self {
        Self { cut: Some(bytes), ..self }
    }

    pub(super) fn silent_after(self, bytes: usize, silence: Duration) -> Self {
        Self { cut: Some(bytes), silence, ..self }
    }

    fn write(&self, head_only: bool, stream: &mut TcpStream) {
        let mut text = format!("HTTP/1.1 {} Answer\r\nconnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        let body = &self.body[..self.cut.unwrap_or(self.body.len()).min(self.body.len())];
        let body = if head_only { &[] } else { body };
        // Who has what it wants may hang up.
        let _ = stream.write_all((text + "\r\n").as_bytes()).and_then(|()| stream.write_all(body));
        let _ = stream.flush();
        std::thread::sleep(self.silence);
    }
}

/// A server on a port of its own.
pub(super) struct Server {
    pub(super) address: String,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers the n-th request, counted from 0, with `answer(request, n)`.
    pub(super) fn start(answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_cutting(u64::MAX, answer)
    }

    /// The same, but the first request whose body is longer than `most` is cut there, without an answer.
    pub(super) fn start_cutting(most: u64, answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let most = AtomicU64::new(most);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, log, most) = (Arc::new(answer), Arc::clone(&asked), Arc::new(most));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, log, mut stream) = (Arc::clone(&answer), Arc::clone(&log), stream.unwrap());
                let most = Arc::clone(&most);
                std::thread::spawn(move || {
                    let request = Request::read(&stream, most.load(Ordering::Relaxed));
                    let is_cut = (request.body.len() as u64) < request.length();
                    let count = {
                        let mut log = log.lock().unwrap();
                        log.push(request.clone());
                        log.len() - 1
                    };
                    if is_cut {
                        return most.store(u64::MAX, Ordering::Relaxed);
                    }
                    answer(&request, count).write(request.method == "HEAD", &mut stream);
                });
            }
        });
        Self { address, asked }
    }

    pub(super) fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    /// How often content was asked for.
    pub(super) fn downloads(&self) -> usize {
        self.asked().iter().filter(|request| request.method == "GET").count()
    }

    /// The hub at this server, with little patience.
    pub(super) fn hub(&self, cache: &Path) -> Hub {
        let patience = Patience {
            connect: Duration::from_secs(5),
            silence: Duration::from_secs(5),
            retries: 3,
            pause: Duration::from_millis(1),
            longest_pause: Duration::from_secs(2),
        };
        Hub { endpoint: self.address.clone(), patience, ..Hub::new(cache) }
    }

    pub(super) fn signed_in(&self, cache: &Path) -> Hub {
        Hub { token: Some(Token::new("hf_secret").unwrap()), ..self.hub(cache) }
    }
}

/// What the hub says of [`BODY`], and all of it, as it does for files that git itself keeps.
pub(super) fn regular() -> Reply {
    Reply::new(200).with("x-repo-commit", COMMIT).with("etag", format!("\"{BODY_BLOB}\"")).body(BODY)
}

/// The same for a file that git keeps elsewhere: its name is its SHA-256.
pub(super) fn large() -> Reply {
    regular()
        .with("etag", "\"of the page\"")
        .with("x-linked-etag", format!("\"{BODY_SHA256}\""))
        .with("x-linked-size", "16")
}

/// The range of a body that a request asks for, as servers with ranges answer.
pub(super) fn ranged(request: &Request, whole: Reply) -> Reply {
    let Some(range) = request.header("range") else { return whole };
    let start: usize = range.strip_prefix("bytes=").unwrap().split('-').next().unwrap().parse().unwrap();
    let (total, rest) = (whole.body.len(), whole.body[start..].to_vec());
    let told = format!("bytes {start}-{}/{total}", total - 1);
    Reply { status: 206, ..whole }.with("content-range", told).body(rest)
}

impl Reply {
    /// The same as a redirect, without a body.
    pub(super) fn redirected(self) -> Self {
        Self { status: 302, ..self }.body("")
    }

    /// The same as a part of a file.
    pub(super) fn partial(self) -> Self {
        Self { status: 206, ..self }
    }

    /// The same without its length: the body ends with the connection.
    pub(super) fn without_length(mut self) -> Self {
        self.headers.retain(|(name, _)| *name != "content-length");
        self
    }
}
