//! The pages. A new one is a line in [`router`], a line at the end of `page/index.html` and a function.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::time::Instant;

use super::AdminSources;
use super::control::{Desk, beginning};
use super::refusals::Refusals;

/// The page for people, and what it is made of.
const PAGE: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// Pages are seen in browsers: none may be taken for a script, run one, or be kept.
pub(super) const HEADERS: [(HeaderName, &str); 3] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'"),
    (CACHE_CONTROL, "no-store"),
];

/// The page for people runs its own script and asks this address; nothing else may be loaded or asked.
const PAGE_HEADERS: [(HeaderName, &str); 3] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (CACHE_CONTROL, "no-store"),
];

/// Whoever asks; each connection has its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) from: SocketAddr,
    /// When there must be an answer, so that it arrives while the connection lasts.
    pub(super) answer_by: Instant,
}

pub(super) fn router(sources: AdminSources, desk: Arc<Desk>) -> Router {
    let router = Router::new()
        .route("/", get(|| part("text/html; charset=utf-8", PAGE)))
        .route("/page.css", get(|| part("text/css; charset=utf-8", STYLE)))
        .route("/page.js", get(|| part("text/javascript; charset=utf-8", SCRIPT)))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/drift", get(drift))
        .route("/samples", get(samples))
        .fallback(unknown)
        .with_state(sources);
    desk.control.verbs().iter().copied().fold(router, |router, verb| {
        let desk = Arc::clone(&desk);
        let change = move |Extension(peer): Extension<Peer>, headers: HeaderMap, body: Body| async move {
            desk.change(verb, peer, headers, body).await
        };
        router.route(&format!("/{verb}"), post(change))
    })
}

/// For who speaks plainly where encryption is asked for. What was sent is not looked at.
pub(super) fn only_encrypted(from: SocketAddr, refusals: Arc<Refusals>) -> Router {
    let error = "this address speaks TLS (`[admin.tls]`); write https:// in the place of http://";
    let status = StatusCode::BAD_REQUEST;
    let refuse = move |method: Method, uri: Uri| async move {
        if method == Method::POST {
            // Somebody on the way may have the token now.
            let result = "it came in the open; if a token was sent with it, make another one";
            let what = beginning(uri.path().trim_start_matches('/').as_bytes());
            refusals.tell(from, &what, (status, result), std::time::Instant::now());
        }
        (status, HEADERS, Json(json!({ "error": error })))
    };
    Router::new().fallback(refuse)
}

async fn part(kind: &'static str, text: &'static str) -> impl IntoResponse {
    (PAGE_HEADERS, [(CONTENT_TYPE, kind)], text)
}

async fn live() -> impl IntoResponse {
    (HEADERS, Json(json!({ "live": true })))
}

async fn ready(State(sources): State<AdminSources>) -> impl IntoResponse {
    let causes = sources.readiness.causes();
    let status = if causes.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        HEADERS,
        Json(json!({ "ready": causes.is_empty(), "causes": causes })),
    )
}

async fn metrics(State(sources): State<AdminSources>) -> impl IntoResponse {
    sources.metrics.set_ready(sources.readiness.is_ready());
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (HEADERS, kind, sources.metrics.gather())
}

async fn status(State(sources): State<AdminSources>) -> impl IntoResponse {
    (HEADERS, Json(sources.status.status()))
}

async fn drift(State(sources): State<AdminSources>) -> impl IntoResponse {
    (HEADERS, Json(sources.status.drift()))
}

async fn samples(State(sources): State<AdminSources>) -> impl IntoResponse {
    (HEADERS, Json(sources.status.samples()))
}

async fn unknown(uri: Uri) -> impl IntoResponse {
    let error = format!("there is no page {}; / lists them", uri.path());
    (StatusCode::NOT_FOUND, HEADERS, Json(json!({ "error": error })))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    use super::super::refusals::tests::logged;
    use super::*;

    #[test]
    fn an_attempt_to_change_something_that_came_in_the_open_leaves_a_line_and_a_look_at_a_page_none() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let refusals = Arc::new(Refusals::new(1));
        let ask = |method: Method, path: &str| {
            let from = "192.0.2.7:1234".parse().expect("an address");
            let pages = TowerToHyperService::new(only_encrypted(from, Arc::clone(&refusals)));
            let request = Request::builder().method(method).uri(path).body(Body::from("unread"));
            let answer = runtime.block_on(pages.call(request.expect("a request")));
            assert_eq!(answer.expect("it always answers").status(), StatusCode::BAD_REQUEST);
        };
        let lines = logged(|| {
            ask(Method::GET, "/live");
            ask(Method::POST, "/pause");
        });
        let [line] = &lines[..] else {
            panic!("one line for one attempt: {lines:?}")
        };
        for words in [
            "WARN",
            "eddy::audit",
            "who=192.0.2.7:1234",
            "pause",
            "status=400",
            "in the open",
        ] {
            assert!(line.contains(words), "{words}: {line}");
        }
        assert!(!line.contains("unread"), "{line}");
    }
}
