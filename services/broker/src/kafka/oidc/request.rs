//! One request for a token: client credentials, RFC 6749 section 4.4, over HTTP.
//!
//! Owns: the request, and the sentences about answers. Never does: try again.
//!
//! Invariant: no sentence contains the secret or a token, even if the endpoint sends them back.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use ureq::Agent;
use zeroize::Zeroizing;

use super::super::access::Obstacle;
use super::super::token::{Claims, Token};
use crate::settings::Oidc;
use crate::web::{self, Distrust};

/// The largest answer that is read.
const MAX_ANSWER: u64 = 64 << 10;

const ENDPOINT: &str = "kafka.sasl.oidc.token_endpoint";
const SECRET: &str = "kafka.sasl.oidc.client_secret";

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<Seconds>,
}

/// Some write numbers as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

#[derive(Deserialize, Default)]
struct Denied {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

/// The endpoint as messages show it: a query may hold a secret.
pub(super) fn shown(settings: &Oidc) -> String {
    let url = settings.token_endpoint.as_str();
    format!("`{}`", url.split(['?', '#']).next().unwrap_or(url))
}

/// Asks for a token.
pub(super) fn token(settings: &Oidc) -> Result<Token, Obstacle> {
    let secret = settings
        .client_secret
        .reveal()
        .map_err(|message| Obstacle::refused(SECRET, message))?;
    let agent = agent(settings)?;
    let mut form = vec![("grant_type", "client_credentials")];
    form.extend(settings.scope.as_deref().map(|scope| ("scope", scope)));
    form.extend(settings.audience.as_deref().map(|audience| ("audience", audience)));
    let answer = agent
        .post(&settings.token_endpoint)
        .header("authorization", credentials(&settings.client_id, &secret).as_str())
        .header("accept", "application/json")
        .send_form(form);
    let mut answer = answer.map_err(|error| unreachable(settings, &secret, &error))?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
    let body = Zeroizing::new(body.map_err(|error| match error {
        ureq::Error::BodyExceedsLimit(_) => {
            let endpoint = shown(settings);
            let message = format!(
                "the answer of {endpoint} has more than {MAX_ANSWER} bytes, so it is no token; correct the URL"
            );
            Obstacle::refused(ENDPOINT, message)
        }
        error => unreachable(settings, &secret, &error),
    })?);
    if status == 200 {
        granted(settings, &body)
    } else {
        Err(denied(settings, &secret, status, &body))
    }
}

fn agent(settings: &Oidc) -> Result<Agent, Obstacle> {
    let roots = web::roots(settings.ca.as_deref());
    let roots = roots.map_err(|message| Obstacle::refused("kafka.sasl.oidc.ca", message))?;
    Ok(web::agent(roots, None, settings.is_local(), settings.timeout.0))
}

/// Name and secret as RFC 6749, section 2.3.1, wants them: each encoded as in a form, then together.
fn credentials(name: &str, secret: &str) -> Zeroizing<String> {
    let both = Zeroizing::new(format!("{}:{}", &*encoded(name), &*encoded(secret)));
    Zeroizing::new(format!("Basic {}", &*Zeroizing::new(STANDARD.encode(both.as_bytes()))))
}

fn encoded(text: &str) -> Zeroizing<String> {
    // Reserved at once, so that no shorter copy is left behind.
    let mut encoded = Zeroizing::new(String::with_capacity(text.len() * 3));
    encoded.extend(utf8_percent_encode(text, web::RESERVED));
    encoded
}

fn granted(settings: &Oidc, body: &[u8]) -> Result<Token, Obstacle> {
    let endpoint = shown(settings);
    let odd = |what: &str| Obstacle::refused(ENDPOINT, format!("the answer of {endpoint} {what}"));
    let Granted {
        access_token,
        expires_in,
    } = serde_json::from_slice(body)
        .map_err(|_| odd("is no JSON object with `access_token`; correct the URL, or the endpoint"))?;
    let text = Zeroizing::new(access_token);
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(odd(
            "holds a token with characters that no token has; correct the endpoint",
        ));
    }
    let is_jwt = text.split('.').count() == 3;
    let claims = Claims::of(&text);
    if is_jwt && claims.is_none() {
        return Err(odd(
            "holds a token that nobody signed; have the identity provider sign its tokens",
        ));
    }
    let told = expires_in.and_then(|seconds| match seconds {
        Seconds::Number(number) => Some(number),
        Seconds::Text(text) => text.trim().parse().ok(),
    });
    let told = told.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let now = SystemTime::now();
    let expires = claims.as_ref().and_then(Claims::expires);
    let expires = expires.or_else(|| now.checked_add(told?));
    let Some(expires) = expires else {
        return Err(odd(
            "says neither in `exp` nor in `expires_in` how long the token is good; correct the endpoint",
        ));
    };
    if expires <= now {
        let message = format!(
            "the token from {endpoint} had expired when it arrived; set the clock of this machine, or of the endpoint, right"
        );
        return Err(Obstacle::passing(ENDPOINT, message));
    }
    let subject = claims.map(|claims| claims.sub).filter(|subject| !subject.is_empty());
    Ok(Token {
        text,
        subject: subject.unwrap_or_else(|| settings.client_id.clone()),
        expires,
    })
}

fn denied(settings: &Oidc, secret: &str, status: u16, body: &[u8]) -> Obstacle {
    let endpoint = shown(settings);
    let Denied {
        error,
        error_description,
    } = serde_json::from_slice(body).unwrap_or_default();
    let words: Vec<&str> = [error.as_str(), error_description.as_str()]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
    let client = &settings.client_id;
    let reason = match words.as_slice() {
        [] => format!("HTTP status {status}"),
        words => format!("HTTP status {status}, {}", quoted(&words.join(": "), client, secret)),
    };
    match (status, error.as_str()) {
        (429 | 500.., _) => Obstacle::passing(
            ENDPOINT,
            format!("the token endpoint {endpoint} is in trouble: {reason}; it is asked again"),
        ),
        (401, _) | (_, "invalid_client" | "unauthorized_client") => Obstacle::refused(
            SECRET,
            format!(
                "the token endpoint {endpoint} does not let in client `{client}` with the secret in {}: {reason}; correct \
                 kafka.sasl.oidc.client_id or the secret",
                settings.client_secret
            ),
        ),
        (_, "invalid_scope") => Obstacle::refused(
            "kafka.sasl.oidc.scope",
            format!("the token endpoint {endpoint} gives client `{client}` no such token: {reason}; correct the scope"),
        ),
        (300..=399, _) => Obstacle::refused(
            ENDPOINT,
            format!("{endpoint} sends us elsewhere ({reason}), and our secret does not follow; write the final URL"),
        ),
        _ => Obstacle::refused(
            ENDPOINT,
            format!(
                "the token endpoint {endpoint} gives client `{client}` no token: {reason}; correct [kafka.sasl.oidc]"
            ),
        ),
    }
}

fn unreachable(settings: &Oidc, secret: &str, error: &ureq::Error) -> Obstacle {
    let endpoint = shown(settings);
    let reason = quoted(&error.to_string(), &settings.client_id, secret);
    if matches!(error, ureq::Error::NativeTls(_) | ureq::Error::Tls(_)) {
        return distrusted(&endpoint, &reason);
    }
    let message =
        format!("the token endpoint {endpoint} does not answer: {reason}; check the URL and the network to it");
    Obstacle::passing(ENDPOINT, message)
}

fn distrusted(endpoint: &str, reason: &str) -> Obstacle {
    let (why, reason) = web::distrust(reason);
    let whose = format!("the token endpoint {endpoint} is not to be trusted: {reason}");
    match why {
        Distrust::Time => {
            let message = format!("{whose}; renew its certificate, or set the clock of this machine right");
            Obstacle::passing(ENDPOINT, message)
        }
        Distrust::Host => {
            let message = format!("{whose}; write the host for which its certificate was issued");
            Obstacle::refused(ENDPOINT, message)
        }
        Distrust::Authority => {
            let message =
                format!("{whose}; correct the URL, or write the certificate of its authority as kafka.sasl.oidc.ca");
            Obstacle::refused("kafka.sasl.oidc.ca", message)
        }
    }
}

/// Foreign words on one line, of bounded length, without our secret, as it is or as it travels.
fn quoted(text: &str, client: &str, secret: &str) -> String {
    let sent = credentials(client, secret);
    let sent = sent.trim_start_matches("Basic ");
    web::quoted(text, &[secret, &encoded(secret), sent])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `printf '%s' 'a%20b:p%3Aw%2F%C3%BC' | base64`.
    #[test]
    fn names_and_secrets_are_encoded_as_the_standard_wants() {
        assert_eq!(&*encoded("a b"), "a%20b");
        assert_eq!(&*encoded("p:w/ü~._-"), "p%3Aw%2F%C3%BC~._-");
        assert_eq!(&*credentials("a b", "p:w/ü"), "Basic YSUyMGI6cCUzQXclMkYlQzMlQkM=");
    }

    /// The encoded forms are those of the test above.
    #[test]
    fn a_secret_that_is_sent_back_as_it_travelled_is_not_repeated() {
        let echo = "no `Basic YSUyMGI6cCUzQXclMkYlQzMlQkM=` here, nor p%3Aw%2F%C3%BC";
        assert_eq!(quoted(echo, "a b", "p:w/ü"), "no `Basic …` here, nor …");
    }
}
