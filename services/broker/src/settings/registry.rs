//! The table `[registry]`: where the schemas of events are.
//!
//! Owns: its type, defaults and checks. Never does: ask; see [`crate::registry`].

use std::path::Path;

use eddy_pipeline::settings::{Bytes, Problem, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Secret, Tls, url};

/// `[registry]`: where the schemas of events are, for the formats `avro`, `protobuf` and `json_schema`, and of predictions,
/// where they have one. Any registry with Confluent's API. The variables `HTTPS_PROXY` and `NO_PROXY` are honoured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// URL of the schema registry, with the path of its Confluent API where it has one
    /// (`https://registry:8443/apis/ccompat/v7`). Several, separated by commas, are one registry: when one does not answer,
    /// the next is asked. `https`; `http` only without credentials, or on this machine. Required.
    pub url: String,
    /// Our name, where the registry wants one. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Our password. Needs `username`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// Our token, instead of name and password. It is read again for each request. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// Whom `https` trusts, and our own certificate. Default: the system's authorities, no certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// How long the registry may take to answer a request. Between 1s and 60s. Default: `"10s"`.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// The longest pause between two requests for a schema while the registry is out of reach; the first is a quarter of a
    /// second, and each about twice the last. Between 1s and 10m. Default: `"10s"`.
    #[serde(default = "default_retry")]
    pub retry: Span,
    /// Most schemas that are kept; the one that was not asked for the longest makes room, but none that was asked for in the
    /// last five seconds. They go on working while the registry is out of reach. Between 1 and 100000. Default: 1000.
    #[serde(default = "default_cache")]
    pub cache: usize,
    /// The largest answer that is read; a schema is one, and each that it refers to. Beyond it the stream waits, as nothing is
    /// known of the schema. `limits.schema_bytes`, which is to be smaller, bounds the schema that was read: beyond that, its
    /// events are `unknown_schema`. Between 1 KiB and 64 MiB. Default: 8 MiB.
    #[serde(default = "default_max_bytes")]
    pub max_bytes: Bytes,
    /// Most schemas that a schema may refer to, directly or not. At most 1000. Default: 100.
    #[serde(default = "default_references")]
    pub references: usize,
}

const fn default_timeout() -> Span {
    Span::seconds(10)
}
const fn default_retry() -> Span {
    Span::seconds(10)
}
const fn default_cache() -> usize {
    1000
}
const fn default_max_bytes() -> Bytes {
    Bytes::mib(8)
}
const fn default_references() -> usize {
    100
}

impl Registry {
    /// What is wrong with the table beyond the types of single values.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |holds: bool, key: &str, message: &str| {
            if !holds {
                problems.push(Problem::new(format!("registry.{key}"), message));
            }
        };
        let is_url = |url: &str| {
            url::host(url).is_some()
                && (url.starts_with("https://") || url.starts_with("http://"))
                && !url.contains(['?', '#'])
        };
        check(
            self.urls().all(is_url),
            "url",
            "this is no URL of a registry; write https://host:port, and the path of its API where it has one, without name, \
             password, `?` and `#`; commas between several",
        );
        let has_secret = self.password.is_some() || self.token.is_some();
        check(
            !has_secret || self.urls().all(|url| !is_url(url) || url::is_safe(url)),
            "url",
            "our password or token would travel in the open; write https (http only for this machine)",
        );
        check(
            self.username.is_some() == self.password.is_some(),
            "username",
            "a name and its password go together; write both or neither",
        );
        check(
            self.username
                .as_ref()
                .is_none_or(|name| !name.is_empty() && !name.contains([':', '\n', '\r'])),
            "username",
            "the name is empty, or contains a `:` or a line break, which no name may; correct it",
        );
        check(
            self.token.is_none() || self.password.is_none(),
            "token",
            "we show one thing; remove this, or username and password",
        );
        check(
            self.tls.is_none() || self.urls().any(|url| url.starts_with("https://")),
            "tls",
            "the registry is not asked over TLS; write https in url, or remove this table",
        );
        check(
            (Span::seconds(1)..=Span::seconds(60)).contains(&self.timeout),
            "timeout",
            "not between 1s and 60s; write a span that is",
        );
        check(
            (Span::seconds(1)..=Span::seconds(600)).contains(&self.retry),
            "retry",
            "not between 1s and 10m; write a span that is",
        );
        check(
            (1..=100_000).contains(&self.cache),
            "cache",
            "not between 1 and 100000; write a number that is",
        );
        check(
            (Bytes::kib(1)..=Bytes::mib(64)).contains(&self.max_bytes),
            "max_bytes",
            "not between 1 KiB and 64 MiB; write a size that is",
        );
        check(
            self.references <= 1000,
            "references",
            "more than 1000; write a smaller number",
        );
        problems.extend(self.tls.iter().flat_map(|tls| tls.problems("registry.tls")));
        problems
    }

    /// The registry's addresses, without a slash at their end.
    pub(crate) fn urls(&self) -> impl Iterator<Item = &str> {
        self.url.split(',').map(|url| url.trim().trim_end_matches('/'))
    }

    /// Makes relative file paths relative to `folder`: that of the pipeline file.
    pub fn resolve_paths(&mut self, folder: &Path) {
        if let Some(tls) = &mut self.tls {
            tls.resolve_paths(folder);
        }
        for secret in self.secrets() {
            secret.resolve_path(folder);
        }
    }

    /// Every secret that the table refers to.
    pub fn secrets(&mut self) -> impl Iterator<Item = &mut Secret> {
        let of_tls = self.tls.as_mut().and_then(|tls| tls.key_password.as_mut());
        [self.password.as_mut(), self.token.as_mut(), of_tls]
            .into_iter()
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys_of(text: &str) -> Vec<String> {
        let settings: Registry = toml::from_str(text).expect("it can be read");
        let problems = settings.problems();
        problems.into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn sound_tables_have_no_problems() {
        for text in [
            "url = \"http://registry:8081\"",
            "url = \"https://a/apis/ccompat/v7/, https://b/apis/ccompat/v7\"\ntoken = { env = \"T\" }\ntls = {}",
            "url = \"http://127.0.0.1:8081\"\nusername = \"eddy\"\npassword = { env = \"P\" }",
        ] {
            assert_eq!(keys_of(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_secret_never_travels_in_the_open() {
        let text = "url = \"http://registry:8081\"\nusername = \"eddy\"\npassword = { env = \"P\" }";
        assert_eq!(keys_of(text), ["registry.url"]);
        assert_eq!(
            keys_of("url = \"https://eddy:hunter2@registry:8081\""),
            ["registry.url"]
        );
    }

    #[test]
    fn what_contradicts_itself_or_exceeds_a_bound_is_named() {
        let two = "url = \"https://a\"\nusername = \"u\"\npassword = { env = \"P\" }\ntoken = { env = \"T\" }";
        assert_eq!(keys_of(two), ["registry.token"]);
        assert_eq!(keys_of("url = \"https://a\"\nusername = \"u\""), ["registry.username"]);
        assert_eq!(
            keys_of("url = \"http://a\"\ntls = { key = \"k\" }"),
            ["registry.tls", "registry.tls"]
        );
        let bounds =
            "url = \"registry\"\ntimeout = \"0s\"\nretry = \"1h\"\ncache = 0\nmax_bytes = 1\nreferences = 1001";
        let keys = ["url", "timeout", "retry", "cache", "max_bytes", "references"].map(|key| format!("registry.{key}"));
        assert_eq!(keys_of(bounds), keys);
    }

    #[test]
    fn files_are_sought_beside_the_pipeline_file() {
        let text = "url = \"https://a\"\ntoken = { file = \"t\" }\ntls = { ca = \"ca.pem\" }";
        let mut settings: Registry = toml::from_str(text).expect("it can be read");
        settings.resolve_paths(Path::new("/etc/eddy"));
        assert_eq!(settings.token, Some(Secret::File("/etc/eddy/t".into())));
        assert_eq!(settings.tls.and_then(|tls| tls.ca), Some("/etc/eddy/ca.pem".into()));
    }
}
