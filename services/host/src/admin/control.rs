//! The one way to change something through the admin address: `POST /{verb}` with the token.
//!
//! Owns: the check of the token, the limit on the body, the audit line of every attempt.
//! Never does: know what a verb means; the service does.
//!
//! Invariant: what was not admitted was not read, and every attempt leaves one line that says who, what and with which
//! result; of those that were not admitted, [`Refusals`] limits the lines.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::http::header::{HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use eddy_telemetry::AUDIT;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::guard::{Denied, Guard, LEAST_TOKEN_BYTES};
use super::pages::{HEADERS, Peer};
use super::refusals::Refusals;

/// Longest part of what was sent that the audit line shows.
const SHOWN_CHARS: usize = 200;

/// Why a promise is not kept.
const NOBODY_LEFT: &str = "nobody is left to answer: the service ends, or its log says why";
const TOO_SLOW: &str = "the answer takes longer than `admin.request_timeout` allows; ask again when the service has less to \
                        do, or allow more";

/// What may be changed.
///
/// Called on the admin thread; it must not block.
pub trait Control: Send + Sync {
    /// The words that it takes: `pause` is asked for by `POST /pause`.
    fn verbs(&self) -> &'static [&'static str];

    /// Carries one out. `body` is what was posted, `by` the address of whoever asks.
    ///
    /// # Errors
    /// [`Refusal`] when it is not done.
    fn perform(&self, verb: &str, body: &[u8], by: &str) -> Result<Reply, Refusal>;

    /// Whether what is posted for it may be shown in the log. Not where it is an event.
    fn is_shown(&self, _verb: &str) -> bool {
        true
    }
}

/// What is answered to a request that was admitted.
#[derive(Debug)]
pub enum Reply {
    /// It is done.
    Done(Value),
    /// It takes a while, on another thread.
    Promised(Promise),
}

impl From<Value> for Reply {
    fn from(value: Value) -> Self {
        Self::Done(value)
    }
}

/// An answer that is waited for.
#[derive(Debug)]
pub struct Promise(oneshot::Receiver<Result<Value, Refusal>>);

/// Whoever owes an answer.
#[derive(Debug)]
pub struct Promised(oneshot::Sender<Result<Value, Refusal>>);

/// An answer that one thread waits for and another gives.
pub fn promise() -> (Promised, Promise) {
    let (owed, awaited) = oneshot::channel();
    (Promised(owed), Promise(awaited))
}

impl Promised {
    /// Gives it. Whoever asked may have gone.
    pub fn keep(self, answer: Result<Value, Refusal>) {
        drop(self.0.send(answer));
    }

    /// Whether nobody waits any longer.
    pub fn is_moot(&self) -> bool {
        self.0.is_closed()
    }
}

/// A service in which nothing can be changed.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoControl;

impl Control for NoControl {
    fn verbs(&self) -> &'static [&'static str] {
        &[]
    }

    fn perform(&self, verb: &str, _: &[u8], _: &str) -> Result<Reply, Refusal> {
        Err(Refusal::Malformed(format!("there is no `{verb}` here")))
    }
}

/// Why a change was not made, in one sentence that says what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The request makes no sense.
    Malformed(String),
    /// It makes sense, and cannot be done as things stand.
    Impossible(String),
}

/// What every request for a change shares.
pub(super) struct Desk {
    pub(super) control: Arc<dyn Control>,
    pub(super) guard: Guard,
    pub(super) refusals: Arc<Refusals>,
    pub(super) body_bytes: usize,
}

impl Desk {
    /// One request.
    pub(super) async fn change(&self, verb: &str, peer: Peer, headers: HeaderMap, body: Body) -> Response {
        let from = peer.from;
        let now = Instant::now();
        if let Err(denied) = self.guard.admit(&headers, from.ip(), now) {
            let (status, error) = said(denied);
            self.refusals.tell(from, verb, (status, &error), now);
            let more = HeaderMap::from_iter(next_step(denied));
            return (status, HEADERS, more, Json(json!({ "error": error }))).into_response();
        }
        let mut attempt = Attempt {
            who: from,
            what: verb.to_owned(),
            is_told: false,
        };
        let (status, answer) = self.admitted(verb, peer, body, &mut attempt).await;
        attempt.tell(status, &answer);
        (status, HEADERS, Json(answer)).into_response()
    }

    async fn admitted(&self, verb: &str, peer: Peer, body: Body, attempt: &mut Attempt) -> (StatusCode, Value) {
        let limit = self.body_bytes;
        let unread = |status, error: String| (status, json!({ "error": error }));
        let body = match timeout_at(peer.answer_by, to_bytes(body, limit)).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => {
                let error = format!("the body is larger than {limit} bytes (`admin.body_bytes`), or did not arrive");
                return unread(StatusCode::PAYLOAD_TOO_LARGE, error);
            }
            Err(_) => {
                let error = "the body did not arrive in the time that `admin.request_timeout` allows; send it again";
                return unread(StatusCode::REQUEST_TIMEOUT, error.into());
            }
        };
        let shown = match self.control.is_shown(verb) {
            true => beginning(&body),
            false => format!("({} bytes)", body.len()),
        };
        attempt.what = format!("{verb} {shown}").trim_end().to_owned();
        let answer = match self.control.perform(verb, &body, &peer.from.to_string()) {
            Ok(Reply::Done(answer)) => Ok(answer),
            Ok(Reply::Promised(Promise(awaited))) => {
                let kept = timeout_at(peer.answer_by, awaited).await;
                kept.map_or(Err(TOO_SLOW), |kept| kept.map_err(|_| NOBODY_LEFT))
                    .unwrap_or_else(|message| Err(Refusal::Impossible(message.into())))
            }
            Err(refusal) => Err(refusal),
        };
        match answer {
            Ok(answer) => (StatusCode::OK, answer),
            Err(Refusal::Malformed(error)) => (StatusCode::BAD_REQUEST, json!({ "error": error })),
            Err(Refusal::Impossible(error)) => (StatusCode::CONFLICT, json!({ "error": error })),
        }
    }
}

/// One that was admitted. It leaves its line also when whoever asked is gone before there is an answer, for then nothing else
/// of the request goes on here.
struct Attempt {
    who: SocketAddr,
    what: String,
    is_told: bool,
}

impl Attempt {
    fn tell(mut self, status: StatusCode, answer: &Value) {
        self.is_told = true;
        let result = answer["error"].as_str().unwrap_or("done");
        tracing::info!(target: AUDIT, who = %self.who, what = self.what, status = status.as_u16(), result);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.is_told {
            let result = "nobody waited for the answer; it may have been done";
            tracing::info!(target: AUDIT, who = %self.who, what = self.what, result);
        }
    }
}

fn said(denied: Denied) -> (StatusCode, String) {
    match denied {
        Denied::Closed => (
            StatusCode::FORBIDDEN,
            format!(
                "nothing can be changed here, because there is no token; set `admin.token` to {{ file = \"path\" }} or \
                 {{ env = \"NAME\" }} with at least {LEAST_TOKEN_BYTES} bytes, and restart"
            ),
        ),
        Denied::TooOften(left) => (
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "too many failed attempts from this address; wait {} s",
                left.as_secs() + 1
            ),
        ),
        Denied::Wrong => (
            StatusCode::UNAUTHORIZED,
            "the token is missing or wrong; send `Authorization: Bearer …` with the text of `admin.token`".into(),
        ),
    }
}

fn next_step(denied: Denied) -> Option<(HeaderName, HeaderValue)> {
    match denied {
        Denied::Closed => None,
        Denied::TooOften(left) => Some((RETRY_AFTER, HeaderValue::from(left.as_secs() + 1))),
        Denied::Wrong => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
    }
}

/// The beginning of what was sent. The log itself sees to it that no text forges a line.
pub(super) fn beginning(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(SHOWN_CHARS).collect()
}
