//! The token of `OAUTHBEARER`: read from where the secret is, with the two claims that the client wants to know.
//!
//! Owns: reading `exp` and `sub`. Never does: check the signature; that is for the brokers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::client::OAuthToken;
use serde::Deserialize;

use crate::settings::Secret;

#[derive(Deserialize)]
struct Claims {
    exp: f64,
    #[serde(default)]
    sub: String,
}

/// Reads the token anew.
///
/// # Errors
/// One sentence, without the token.
pub(super) fn read(secret: Option<&Secret>) -> Result<OAuthToken, String> {
    let secret = secret.ok_or("there is no token; set kafka.sasl.token")?;
    let token = secret.reveal()?.trim().to_owned();
    let claims = claims(&token).ok_or_else(|| {
        format!("what is in {secret} is not a signed JWT with `exp`; have the identity provider issue one")
    })?;
    Ok(OAuthToken {
        token,
        principal_name: claims.sub,
        lifetime_ms: (claims.exp * 1_000.0) as i64,
    })
}

fn claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (_header, body, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let body = URL_SAFE_NO_PAD.decode(body.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_in_a_file(text: &str) -> Result<OAuthToken, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(Some(&Secret::File(file.path().into())))
    }

    /// The example of RFC 7519, section 3.1; it has no `sub`.
    const RFC_7519: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
        dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    #[test]
    fn the_expiry_of_a_token_is_understood() {
        let token = token_in_a_file(&format!("{RFC_7519}\n")).unwrap();
        assert_eq!(token.lifetime_ms, 1_300_819_380_000);
        assert_eq!(token.token, RFC_7519);
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
}
