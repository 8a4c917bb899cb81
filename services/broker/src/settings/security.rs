//! `[kafka.tls]` and `[kafka.sasl]`: encryption, and who we are.
//!
//! Owns: what goes together and what does not. Never does: hold a secret; see [`Secret`].

use std::path::{Path, PathBuf};

use eddy_pipeline::settings::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Oidc, Secret};

/// Encryption, and who is trusted. Relative paths start at the pipeline file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificate authorities that may vouch for the other side. Default: the public ones, as this system
    /// has them: in the file that the variable `SSL_CERT_FILE` names, else in a folder that `SSL_CERT_DIR` names, else where
    /// distributions keep them (`/etc/ssl/certs/ca-certificates.crt`, `/etc/pki/tls/certs/ca-bundle.crt`, …). A slim image
    /// needs its package `ca-certificates`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// PEM file with our own certificate, where the other side asks for one. Needs `key`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key of `certificate`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Password of `key`, where it has one. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_password: Option<Secret>,
}

/// `[kafka.sasl]`: name and password, or a token.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sasl {
    /// How we prove who we are. Required, unless `kafka.preset` says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<Mechanism>,
    /// Our name, for all mechanisms but `OAUTHBEARER`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Our password, for all mechanisms but `OAUTHBEARER`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// Our token for `OAUTHBEARER`, a signed JWT with `exp` and `sub`. It is read again before it expires, so that
    /// something outside can renew it in its file. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// The identity provider that issues our tokens for `OAUTHBEARER`, instead of `token`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Oidc>,
}

/// How we prove who we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// Name and password as they are: only over TLS.
    #[serde(rename = "PLAIN")]
    Plain,
    /// Name and password without sending the password.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// The same with a longer hash.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// A token from an identity provider.
    #[serde(rename = "OAUTHBEARER")]
    OauthBearer,
}

impl Mechanism {
    /// Kafka's own name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
        }
    }
}

impl Tls {
    /// What is wrong with the table at `table`.
    pub(super) fn problems(&self, table: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.certificate.is_some() != self.key.is_some() {
            let message = "a certificate and its key go together; write both or neither";
            problems.push(Problem::new(table, message));
        }
        if self.key_password.is_some() && self.key.is_none() {
            problems.push(Problem::new(
                format!("{table}.key_password"),
                format!("there is no key; write {table}.key or remove this"),
            ));
        }
        problems
    }

    /// Makes relative file paths relative to `folder`.
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        for path in [&mut self.ca, &mut self.certificate, &mut self.key]
            .into_iter()
            .flatten()
        {
            *path = folder.join(&*path);
        }
    }
}

impl Sasl {
    /// How we prove who we are. Settings without a mechanism are refused before they are asked.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism.unwrap_or(Mechanism::Plain)
    }

    /// `asks_for`: a preset's service, and what it takes for our name and our password.
    pub(super) fn problems(&self, asks_for: Option<&(String, &str, &str)>) -> Vec<Problem> {
        if self.mechanism.is_none() {
            let message = "it is not said how we prove who we are; write PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER, or \
                           the service as kafka.preset";
            return vec![Problem::new("kafka.sasl.mechanism", message)];
        }
        let mut problems = Vec::new();
        let by_token = self.mechanism() == Mechanism::OauthBearer;
        let mechanism = self.mechanism().as_str();
        let mut say = |name: &str, message: String| {
            problems.push(Problem::new(format!("kafka.sasl.{name}"), message));
        };
        let needed = |name: &str| match asks_for {
            Some((service, username, _)) if name == "username" => {
                format!("{service} knows us by name, {username}; write it")
            }
            Some((service, _, password)) => format!(
                "{service} wants a password, {password}; write where it is: {{ file = \"path\" }} or {{ env = \"NAME\" }}"
            ),
            None => format!("{mechanism} needs it; write it"),
        };
        let fields = [
            ("username", self.username.is_some(), !by_token),
            ("password", self.password.is_some(), !by_token),
            ("token", self.token.is_some(), by_token),
            ("oidc", self.oidc.is_some(), by_token),
        ];
        for (name, is_there, is_of_use) in fields {
            if is_there && !is_of_use {
                say(name, format!("{mechanism} has no use for it; remove it"));
            } else if is_of_use && !is_there && !by_token {
                say(name, needed(name));
            }
        }
        match (by_token, self.token.is_some(), self.oidc.is_some()) {
            (true, false, false) => say(
                "token",
                format!("{mechanism} needs a token; write this, or [kafka.sasl.oidc]"),
            ),
            (true, true, true) => say("oidc", "our token comes from one place; remove this, or token".into()),
            _ => {}
        }
        problems.extend(self.oidc.iter().flat_map(Oidc::problems));
        problems
    }
}
