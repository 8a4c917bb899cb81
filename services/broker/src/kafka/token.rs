//! The tokens of `OAUTHBEARER`, wherever they come from.
//!
//! Owns: what a token says of itself: until when, whose, whether it is signed. Never does: check the signature; that is
//! for the brokers.
//!
//! Invariants: [`Tokens::current`] is called inside `poll` and never waits. No message contains a token.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::client::OAuthToken;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::access::Obstacle;
use super::oidc::Provider;
use crate::settings::{Sasl, Secret};

/// Where tokens come from.
#[derive(Debug)]
pub(super) enum Tokens {
    /// Nowhere, and why.
    None(String),
    /// Something outside puts them there.
    Put(Secret),
    /// They are fetched.
    Fetched(Arc<Provider>),
}

/// A token with what is known of it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: Zeroizing<String>,
    pub(super) subject: String,
    pub(super) expires: SystemTime,
}

impl Tokens {
    pub(super) fn of(sasl: Option<&Sasl>) -> Self {
        match sasl.map(|sasl| (&sasl.token, &sasl.oidc)) {
            Some((Some(secret), _)) => Self::Put(secret.clone()),
            Some((None, Some(oidc))) => Provider::shared(oidc).map_or_else(Self::None, Self::Fetched),
            _ => Self::None("there is no token; set kafka.sasl.token or kafka.sasl.oidc".into()),
        }
    }

    /// The token of the moment.
    ///
    /// # Errors
    /// One sentence, without the token.
    pub(super) fn current(&self) -> Result<OAuthToken, String> {
        let token = match self {
            Self::None(why) => return Err(why.clone()),
            Self::Put(secret) => read(secret)?,
            Self::Fetched(provider) => provider.current().map_err(|obstacle| obstacle.sentence)?,
        };
        let lifetime = token.expires.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(OAuthToken {
            token: token.text.to_string(),
            principal_name: token.subject.clone(),
            lifetime_ms: i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX),
        })
    }

    /// Waits for the first token, where one is needed: no longer than the token endpoint may take.
    pub(super) fn await_first(&self) -> Result<(), Obstacle> {
        match self {
            Self::None(_) => Ok(()),
            Self::Put(secret) => read(secret)
                .map(drop)
                .map_err(|message| Obstacle::refused("kafka.sasl.token", message)),
            Self::Fetched(provider) => provider.await_first(),
        }
    }

    /// Why there is no token.
    pub(super) fn failure(&self) -> Option<Obstacle> {
        match self {
            Self::None(_) => None,
            Self::Put(secret) => {
                let message = read(secret).err()?;
                Some(Obstacle::refused("kafka.sasl.token", message))
            }
            Self::Fetched(provider) => provider.current().err(),
        }
    }

    /// Whom the token is about.
    pub(super) fn subject(&self) -> Option<String> {
        let token = match self {
            Self::None(_) => None,
            Self::Put(secret) => read(secret).ok(),
            Self::Fetched(provider) => provider.current().ok(),
        };
        token.map(|token| token.subject).filter(|subject| !subject.is_empty())
    }
}

/// Reads the token anew.
fn read(secret: &Secret) -> Result<Token, String> {
    let text = Zeroizing::new(secret.reveal()?.trim().to_owned());
    let no_token =
        || format!("what is in {secret} is not a signed JWT with `exp`; have the identity provider issue one");
    let claims = Claims::of(&text).ok_or_else(no_token)?;
    let expires = claims.expires().ok_or_else(no_token)?;
    if expires <= SystemTime::now() {
        return Err(format!("the token in {secret} has expired; have a new one put there"));
    }
    Ok(Token {
        text,
        subject: claims.sub,
        expires,
    })
}

/// What a signed JWT says of itself.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    exp: Option<f64>,
    #[serde(default)]
    pub(super) sub: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

impl Claims {
    /// `None` where it is no JWT, or nobody signed it.
    pub(super) fn of(token: &str) -> Option<Self> {
        let parts: Vec<&str> = token.split('.').collect();
        let [header, body, signature] = parts.as_slice() else {
            return None;
        };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok();
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        if header.alg.eq_ignore_ascii_case("none") || signature.is_empty() {
            return None;
        }
        serde_json::from_slice(&decode(body)?).ok()
    }

    pub(super) fn expires(&self) -> Option<SystemTime> {
        let since_1970 = Duration::try_from_secs_f64(self.exp?).ok()?;
        UNIX_EPOCH.checked_add(since_1970)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("subject", &self.subject)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn token_in_a_file(text: &str) -> Result<OAuthToken, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Tokens::Put(Secret::File(file.path().into())).current()
    }

    /// A token as it looks; its signature is worth nothing.
    pub(crate) fn jwt(header: &str, body: &str) -> String {
        let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
        format!("{}.{}.{}", encode(header), encode(body), encode("signature"))
    }

    /// The example of RFC 7519, section 3.1; it has no `sub`, and it expired in 2011.
    const RFC_7519: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
        dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    #[test]
    fn what_a_token_says_is_understood() {
        let claims = Claims::of(RFC_7519).unwrap();
        let expected = UNIX_EPOCH + Duration::from_secs(1_300_819_380);
        assert_eq!((claims.expires(), claims.sub.as_str()), (Some(expected), ""));

        let text = jwt(r#"{"alg":"RS256"}"#, r#"{"sub":"eddy","exp":32503680000}"#);
        let token = token_in_a_file(&format!("{text}\n")).unwrap();
        assert_eq!((token.token, token.principal_name), (text, "eddy".to_owned()));
        assert_eq!(token.lifetime_ms, 32_503_680_000_000);
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_repeated() {
        for text in ["hunter2", "a.b.c", "hunter2.hunter2.hunter2"] {
            let message = token_in_a_file(text).err().unwrap();
            assert!(
                message.contains("not a signed JWT") && !message.contains("hunter2"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_token_that_nobody_signed_is_refused() {
        let body = r#"{"sub":"eddy","exp":32503680000}"#;
        let signed = jwt(r#"{"alg":"ES256"}"#, body);
        assert!(token_in_a_file(&signed).is_ok());
        let bare = signed.rsplit_once('.').unwrap().0.to_owned() + ".";
        for text in [jwt(r#"{"alg":"none"}"#, body), jwt(r#"{"alg":"None"}"#, body), bare] {
            let message = token_in_a_file(&text).err().unwrap();
            assert!(message.contains("not a signed JWT"), "{message}");
        }
    }

    #[test]
    fn a_token_that_has_expired_is_not_handed_out() {
        let message = token_in_a_file(RFC_7519).err().unwrap();
        assert!(message.contains("has expired"), "{message}");
    }
}
