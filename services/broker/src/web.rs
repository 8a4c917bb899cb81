//! What our own requests over HTTP have in common: whom they trust, what they never do, and how foreign words are repeated.
//!
//! Owns: the agent. Never does: send a request.
//!
//! Invariant: a request goes where the settings say and nowhere else, and no sentence holds a secret.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use ureq::tls::{Certificate, ClientCert, PemItem, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Proxy};

/// The longest text of a server that is repeated.
const MAX_QUOTED: usize = 200;

/// What is encoded in a name, a secret and a part of a path: all but RFC 3986's unreserved letters, which every decoder
/// takes.
pub(crate) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Who may vouch for a server: what a file names, else the system's.
///
/// # Errors
/// One sentence about the file.
pub fn roots(ca: Option<&Path>) -> Result<RootCerts, String> {
    let Some(path) = ca else {
        return Ok(RootCerts::PlatformVerifier);
    };
    let pem = std::fs::read(path).map_err(|error| {
        format!(
            "`{}` cannot be read: {error}; check its path and its owner",
            path.display()
        )
    })?;
    let certificates: Vec<Certificate<'static>> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    match certificates.is_empty() {
        true => Err(format!(
            "`{}` holds no certificate in PEM; write one there",
            path.display()
        )),
        false => Ok(RootCerts::Specific(Arc::new(certificates))),
    }
}

/// Who asks. A server on this machine is asked without a proxy.
pub fn agent(roots: RootCerts, ours: Option<ClientCert>, is_local: bool, timeout: Duration) -> Agent {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::NativeTls)
        .root_certs(roots)
        .client_cert(ours)
        .build();
    let proxy = if is_local { None } else { Proxy::try_from_env() };
    let config = Agent::config_builder()
        .tls_config(tls)
        .proxy(proxy)
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        // A secret goes where the settings say, and nowhere else.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("eddy/", env!("CARGO_PKG_VERSION")))
        .build();
    Agent::new_with_config(config)
}

/// Why a server is not to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distrust {
    /// The time of its certificate is over, or yet to come.
    Time,
    /// Its certificate was issued for another host.
    Host,
    /// Nobody whom we trust vouches for it.
    Authority,
}

/// OpenSSL's verdict on a certificate, in its words.
pub(crate) fn distrust(reason: &str) -> (Distrust, &str) {
    // It stands in parentheses, after where in its source it was reached.
    let verdict = reason.rsplit_once(" (").and_then(|(_, rest)| rest.strip_suffix(')'));
    let reason = verdict.unwrap_or(reason);
    let why = if reason.contains("expired") || reason.contains("not yet valid") {
        Distrust::Time
    } else if reason.contains("mismatch") {
        Distrust::Host
    } else {
        Distrust::Authority
    };
    (why, reason)
}

/// Foreign words on one line, of bounded length, without what is to stay hidden.
pub fn quoted(text: &str, hidden: &[&str]) -> String {
    let mut clean = text.to_owned();
    for secret in hidden.iter().filter(|secret| !secret.is_empty()) {
        clean = clean.replace(secret, "…");
    }
    let clean: String = clean
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    match clean.char_indices().nth(MAX_QUOTED) {
        Some((at, _)) => format!("{}…", &clean[..at]),
        None => clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_words_are_tamed() {
        let long = "x".repeat(500);
        assert_eq!(quoted("a\nhunter2\tb", &["hunter2", ""]), "a … b");
        assert_eq!(quoted(&long, &[]).chars().count(), MAX_QUOTED + 1);
    }
}
