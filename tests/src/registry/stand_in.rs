//! No real registry: a stand-in that speaks as much of Confluent's documented API as a client asks for, and gets into any
//! trouble that a test wants. What a real one answers is tested with a real one.
//!
//! Owns: schemas by number and by subject, the mood that it is in. Its threads end with the process.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use openssl::ssl::{SslAcceptor, SslMethod, SslVerifyMode};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use serde_json::{Value, json};

use crate::certificates::Identity;

/// How long a client may take to send its request.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);

/// How requests fare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mood {
    /// They are answered.
    Well,
    /// They are taken and never answered, until the mood changes.
    Silent,
    /// The connection is closed without a word.
    Hasty,
    /// The answer ends in its middle.
    Half,
    /// They get this status with this body.
    Status(u16, String),
    /// They are to come again in so many seconds.
    Busy(u64),
    /// They get this body as if all were well.
    Odd(String),
}

/// The stand-in.
#[derive(Debug, Clone)]
pub struct StandIn {
    origin: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    mood: Mood,
    /// The mood that comes after so many questions in all.
    next: Option<(usize, Mood)>,
    /// The header without which nobody is let in.
    authorization: Option<String>,
    by_number: BTreeMap<u32, Value>,
    /// Numbers of a subject's versions.
    by_subject: BTreeMap<String, Vec<u32>>,
    asked: Vec<String>,
    bodies: Vec<Vec<u8>>,
}

impl StandIn {
    /// Starts one, in the open.
    pub fn start() -> Self {
        Self::with(None)
    }

    /// One that speaks TLS and nothing else; with `clients`, only with whom that authority vouches for.
    pub fn over_tls(identity: &Identity, clients: Option<&str>) -> Self {
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("an acceptor");
        acceptor.set_certificate(identity.certificate()).expect("a certificate");
        acceptor.set_private_key(identity.key()).expect("a key");
        if let Some(pem) = clients {
            let mut store = X509StoreBuilder::new().expect("a store");
            let authority = X509::from_pem(pem.as_bytes()).expect("PEM");
            store.add_cert(authority).expect("room");
            acceptor.set_verify_cert_store(store.build()).expect("a store");
            acceptor.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        }
        Self::with(Some(acceptor.build()))
    }

    fn with(tls: Option<SslAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let origin = format!("{scheme}://{}", listener.local_addr().expect("a bound address"));
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                mood: Mood::Well,
                next: None,
                authorization: None,
                by_number: BTreeMap::new(),
                by_subject: BTreeMap::new(),
                asked: Vec::new(),
                bodies: Vec::new(),
            }),
            changed: Condvar::new(),
        });
        let (of_thread, tls) = (Arc::clone(&shared), tls.map(Arc::new));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, tls) = (Arc::clone(&of_thread), tls.clone());
                std::thread::spawn(move || {
                    // A client that hangs up, or does not trust us, is none of our troubles.
                    stream.set_read_timeout(Some(REQUEST_WITHIN)).ok();
                    match &tls {
                        None => shared.answer(stream).ok(),
                        Some(tls) => tls.accept(stream).ok().and_then(|stream| shared.answer(stream).ok()),
                    }
                });
            }
        });
        Self { origin, shared }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.origin
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.origin.split_once("://").expect("a URL").1
    }

    /// From now on requests fare like that.
    pub fn set_mood(&self, mood: Mood) {
        self.state().mood = mood;
        self.shared.changed.notify_all();
    }

    /// Once it was asked so many questions in all, requests fare like that.
    pub fn set_mood_after(&self, questions: usize, mood: Mood) {
        self.state().next = Some((questions, mood));
    }

    /// From now on only requests with this header `authorization` are let in.
    pub fn let_in(&self, authorization: &str) {
        self.state().authorization = Some(authorization.into());
    }

    /// Registers a schema under a subject, as members of an answer (`schema`, `schemaType`, `references`), and gives its
    /// number.
    pub fn put(&self, subject: &str, schema: Value) -> u32 {
        put(&mut self.state(), subject, schema)
    }

    /// What it was asked for: method and path of each request.
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    /// The body of each request.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.state().bodies.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("no code panics under this lock")
    }
}

fn put(state: &mut State, subject: &str, schema: Value) -> u32 {
    let known = state.by_number.iter().find(|(_, known)| **known == schema);
    let id = match known {
        Some((id, _)) => *id,
        None => {
            let next = state.by_number.last_key_value().map_or(1, |(last, _)| last + 1);
            state.by_number.insert(next, schema);
            next
        }
    };
    let versions = state.by_subject.entry(subject.to_owned()).or_default();
    if !versions.contains(&id) {
        versions.push(id);
    }
    id
}

impl Shared {
    fn answer(&self, stream: impl Read + Write) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let (mut authorization, mut length, mut line) = (None, 0, String::new());
        reader.read_line(&mut line)?;
        let asked = line.rsplit_once(' ').map_or("", |(asked, _)| asked).to_owned();
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let (name, value) = line.split_once(':').unwrap_or_default();
            match name.to_lowercase().as_str() {
                "authorization" => authorization = Some(value.trim().to_owned()),
                "content-length" => length = value.trim().parse().unwrap_or(0),
                _ => {}
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let mut state = self.state.lock().expect("no code panics under this lock");
        let asked_before = state.asked.len();
        if let Some((_, mood)) = state.next.take_if(|(questions, _)| asked_before >= *questions) {
            state.mood = mood;
        }
        state.asked.push(asked.clone());
        state.bodies.push(body.clone());
        while state.mood == Mood::Silent {
            state = self.changed.wait(state).expect("no code panics under this lock");
        }
        let (mut status, mut answer) = match &state.mood {
            Mood::Hasty => return Ok(()),
            Mood::Status(status, body) => (*status, body.clone()),
            Mood::Busy(_) => (503, String::new()),
            Mood::Odd(body) => (200, body.clone()),
            Mood::Well | Mood::Half | Mood::Silent => {
                let (status, answer) = found(&mut state, &asked, &body);
                (status, answer.to_string())
            }
        };
        if state.authorization.is_some() && state.authorization != authorization {
            // A server that shows what it was shown.
            let echo = format!("not with {}", authorization.unwrap_or_default());
            (status, answer) = (401, json!({ "error_code": 401, "message": echo }).to_string());
        }
        let busy = match &state.mood {
            Mood::Busy(seconds) => format!("retry-after: {seconds}\r\n"),
            _ => String::new(),
        };
        let length = answer.len();
        if state.mood == Mood::Half {
            answer.truncate(length / 2);
        }
        drop(state);
        let stream = reader.get_mut();
        write!(
            stream,
            "HTTP/1.1 {status} X\r\ncontent-type: application/vnd.schemaregistry.v1+json\r\ncontent-length: \
             {length}\r\n{busy}connection: close\r\n\r\n{answer}"
        )?;
        stream.flush()
    }
}

fn found(state: &mut State, asked: &str, body: &[u8]) -> (u16, Value) {
    let (method, path) = asked.split_once(' ').unwrap_or_default();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let missing = |code: i64, message: &str| (404, json!({ "error_code": code, "message": message }));
    match (method, parts.as_slice()) {
        ("GET", ["schemas", "ids", id]) => {
            let found = id.parse().ok().and_then(|id: u32| state.by_number.get(&id));
            found.map_or_else(|| missing(40403, "Schema not found"), |schema| (200, schema.clone()))
        }
        ("GET", ["subjects", subject, "versions", version]) => {
            let Some(versions) = state.by_subject.get(*subject) else {
                return missing(40401, "Subject not found");
            };
            let at = match *version {
                "latest" => versions.len(),
                number => number.parse().unwrap_or(0),
            };
            let Some(id) = at.checked_sub(1).and_then(|at| versions.get(at)) else {
                return missing(40402, "Version not found");
            };
            let mut answer = state.by_number[id].clone();
            answer["subject"] = (*subject).into();
            answer["version"] = at.into();
            answer["id"] = (*id).into();
            (200, answer)
        }
        ("POST", ["subjects", subject, "versions"]) => match serde_json::from_slice(body) {
            Ok(schema) => (200, json!({ "id": put(state, subject, schema) })),
            Err(_) => (422, json!({ "error_code": 42201, "message": "Invalid schema" })),
        },
        ("POST", ["subjects", subject]) => {
            let schema: Option<Value> = serde_json::from_slice(body).ok();
            let versions = state.by_subject.get(*subject).map_or(&[][..], Vec::as_slice);
            let id = versions.iter().find(|id| schema.as_ref() == state.by_number.get(id));
            id.map_or_else(
                || missing(40403, "Schema not found"),
                |id| (200, json!({ "id": id, "subject": subject })),
            )
        }
        _ => (404, json!("no such page")),
    }
}
