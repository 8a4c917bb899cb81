//! `[kafka.sasl.oidc]`: tokens from an identity provider.
//!
//! Owns: what it takes to ask for one. Never does: ask; see [`crate::kafka`].

use std::path::PathBuf;

use eddy_pipeline::settings::{Problem, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Secret, url};

/// `[kafka.sasl.oidc]`: tokens from an identity provider, by client credentials (RFC 6749, section 4.4). They are fetched
/// ahead of their expiry. The variables `HTTPS_PROXY` and `NO_PROXY` are honoured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// URL of the token endpoint, `https`; `http` only on this machine. Required.
    pub token_endpoint: String,
    /// Our name at the identity provider. Required.
    pub client_id: String,
    /// Our password there. Required.
    pub client_secret: Secret,
    /// What the token is to allow, in the provider's words, separated by spaces. Default: the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// For whom the token is, where the provider wants to be told. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// PEM file with the certificate authorities that may vouch for the endpoint. Relative paths start at the pipeline
    /// file. Default: the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// How long the endpoint may take to answer. Between 1s and 60s. Default: `"10s"`.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
}

const fn default_timeout() -> Span {
    Span::seconds(10)
}

const KEY: &str = "kafka.sasl.oidc";

impl Oidc {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |holds: bool, key: &str, message: &str| {
            if !holds {
                problems.push(Problem::new(format!("{KEY}.{key}"), message));
            }
        };
        check(
            url::is_safe(&self.token_endpoint),
            "token_endpoint",
            "our secret would travel in the open, or this is no URL; write https://host/path (http only for this machine)",
        );
        check(
            !self.client_id.trim().is_empty(),
            "client_id",
            "the name is empty; write it",
        );
        check(
            (Span::seconds(1)..=Span::seconds(60)).contains(&self.timeout),
            "timeout",
            "not between 1s and 60s; write a span that is",
        );
        check(
            self.ca.is_none() || self.token_endpoint.starts_with("https://"),
            "ca",
            "the endpoint is not encrypted; write https in token_endpoint, or remove this",
        );
        problems
    }

    /// Whether the endpoint is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        url::is_local(&self.token_endpoint)
    }
}
