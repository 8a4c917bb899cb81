//! The table `[traces]`.
//!
//! Owns: its type, defaults and checks. Never does: send.

use std::path::{Path, PathBuf};

use eddy_broker::settings::{Secret, url};
use eddy_pipeline::settings::{Problem, Span};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ureq::http::HeaderName;

/// `[traces]`: where spans are sent of events that are traced, to any collector that takes OTLP over HTTP. An event is traced
/// when its header `traceparent` (W3C Trace Context) says that it is recorded; its outputs go on with the trace. Spans say where
/// an event's time went and what became of it, and hold nothing of its content. They are sent once the event is durable, and
/// dropped and counted rather than hold up the stream. The variables `HTTPS_PROXY` and `NO_PROXY` are honoured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceSettings {
    /// URL of the collector with its path: `http://collector:4318/v1/traces`. With `headers`, `https`, or `http` on this machine.
    /// Required.
    pub url: String,
    /// Share of the events without a `traceparent` that begin a trace, drawn from their place. Between 0 and 1. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub ratio: f64,
    /// Headers of each request whose values are secret, such as a vendor's key: `x-api-key = { file = "key" }`. Read again for
    /// each request. Default: none.
    #[serde(default)]
    pub headers: IndexMap<String, Secret>,
    /// Certificates in PEM of whom `https` trusts. Default: the system's authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// How long the collector may take to answer. Between 1s and 60s. Default: `"10s"`.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// How long spans are offered anew to a collector that is out of reach or busy, before they are dropped. At most 10m.
    /// Default: `"1m"`.
    #[serde(default = "default_retry")]
    pub retry: Span,
    /// Most traced events that wait to be sent; those that come while it is full are dropped. A checkpoint tells of all its events
    /// at once, so where all are traced it takes `checkpoint.records` times `kafka.lanes` and more. Between 1 and 1000000.
    /// Default: 16384.
    #[serde(default = "default_queue")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub queue: usize,
}

const fn default_timeout() -> Span {
    Span::seconds(10)
}
const fn default_retry() -> Span {
    Span::seconds(60)
}
const fn default_queue() -> usize {
    16_384
}

impl TraceSettings {
    /// What is wrong beyond the types of single values.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |holds: bool, key: &str, message: &str| {
            if !holds {
                problems.push(Problem::new(format!("traces.{key}"), message));
            }
        };
        let is_url = url::host(&self.url).is_some()
            && (self.url.starts_with("https://") || self.url.starts_with("http://"))
            && !self.url.contains('#');
        check(
            is_url,
            "url",
            "this is no URL of a collector; write http://host:4318/v1/traces or https, without name and password",
        );
        check(
            !is_url || self.headers.is_empty() || url::is_safe(&self.url),
            "url",
            "the secrets in `headers` would travel in the open; write https (http only for this machine)",
        );
        check(
            self.ca.is_none() || self.url.starts_with("https://"),
            "ca",
            "the collector is not asked over TLS; write https in url, or remove this",
        );
        check(
            (Span::seconds(1)..=Span::seconds(60)).contains(&self.timeout),
            "timeout",
            "not between 1s and 60s; write a span that is",
        );
        check(
            self.retry <= Span::seconds(600),
            "retry",
            "more than 10m; write a shorter span",
        );
        let is_fit = |name: &String| {
            let name = name.parse::<HeaderName>();
            name.is_ok_and(|name| !["content-type", "content-length", "host"].contains(&name.as_str()))
        };
        for name in self.headers.keys().filter(|name| !is_fit(name)) {
            let message = "this is no name of a header that may be chosen; write another, such as x-api-key";
            problems.push(Problem::new(format!("traces.headers.{name}"), message));
        }
        problems
    }

    /// Makes relative file paths relative to `folder`: that of the pipeline file.
    pub fn resolve_paths(&mut self, folder: &Path) {
        if let Some(ca) = &mut self.ca {
            *ca = folder.join(&*ca);
        }
        for secret in self.secrets() {
            secret.resolve_path(folder);
        }
    }

    /// Every secret that the table refers to.
    pub fn secrets(&mut self) -> impl Iterator<Item = &mut Secret> {
        self.headers.values_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys_of(text: &str) -> Vec<String> {
        let settings: TraceSettings = toml::from_str(text).expect("it can be read");
        settings.check().into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn sound_tables_have_no_problems() {
        for text in [
            "url = \"http://collector:4318/v1/traces\"",
            "url = \"https://otlp.example/v1/traces\"\nratio = 0.01\nca = \"ca.pem\"\nheaders = { x-api-key = { env = \"K\" } }",
            "url = \"http://127.0.0.1:4318/v1/traces\"\nretry = \"0s\"\nheaders = { authorization = { file = \"k\" } }",
        ] {
            assert_eq!(keys_of(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_secret_never_travels_in_the_open() {
        let text = "url = \"http://collector:4318/v1/traces\"\nheaders = { x-api-key = { env = \"K\" } }";
        assert_eq!(keys_of(text), ["traces.url"]);
        assert_eq!(keys_of("url = \"https://me:hunter2@collector:4318\""), ["traces.url"]);
    }

    #[test]
    fn what_contradicts_itself_or_exceeds_a_bound_is_named() {
        let text = "url = \"collector:4318\"\nca = \"ca.pem\"\ntimeout = \"0s\"\nretry = \"1h\"\n\
                    headers = { \"a b\" = { env = \"K\" }, Content-Type = { env = \"K\" } }";
        let keys = ["url", "ca", "timeout", "retry", "headers.a b", "headers.Content-Type"];
        assert_eq!(keys_of(text), keys.map(|key| format!("traces.{key}")));
    }
}
