//! An identity provider on loopback: a token endpoint that speaks RFC 6749, section 4.4, and signs what it issues.
//!
//! Owns: one key, one client, what is answered next. Its thread ends with the process.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openssl::base64::{decode_block, encode_block};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use openssl::ssl::{SslAcceptor, SslMethod};
use serde_json::{Value, json};

use crate::certificates::Identity;

/// How long a client may take to send its request.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);
const KEY_ID: &str = "tests";

/// The provider.
#[derive(Debug)]
pub struct IdentityProvider {
    /// Scheme, host and port.
    origin: String,
    key: PKey<Private>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    client: String,
    secret: String,
    subject: String,
    lifetime: Duration,
    is_away: bool,
    granted: Vec<String>,
    turned_away: usize,
}

impl IdentityProvider {
    /// Starts it, with one client.
    pub fn start(client: &str, secret: &str) -> Self {
        let key = PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key");
        Self::with(key, client, secret, None)
    }

    /// Another provider with the same key and client.
    pub fn twin(&self) -> Self {
        let state = self.state();
        Self::with(self.key.clone(), &state.client, &state.secret, None)
    }

    /// Another provider with the same key and client, that speaks TLS and nothing else.
    pub fn twin_over_tls(&self, identity: &Identity) -> Self {
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("an acceptor");
        acceptor.set_certificate(identity.certificate()).expect("a certificate");
        acceptor.set_private_key(identity.key()).expect("a key");
        let state = self.state();
        Self::with(self.key.clone(), &state.client, &state.secret, Some(acceptor.build()))
    }

    fn with(key: PKey<Private>, client: &str, secret: &str, tls: Option<SslAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let origin = format!("{scheme}://{}", listener.local_addr().expect("a bound address"));
        let state = Arc::new(Mutex::new(State {
            client: client.into(),
            secret: secret.into(),
            subject: client.into(),
            lifetime: Duration::from_secs(600),
            is_away: false,
            granted: Vec::new(),
            turned_away: 0,
        }));
        let (of_thread, signing) = (Arc::clone(&state), key.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that hangs up, or does not trust us, is none of our troubles.
                stream.set_read_timeout(Some(REQUEST_WITHIN)).ok();
                match &tls {
                    None => answer(stream, &of_thread, &signing).ok(),
                    Some(tls) => tls
                        .accept(stream)
                        .ok()
                        .and_then(|stream| answer(stream, &of_thread, &signing).ok()),
                };
            }
        });
        Self { origin, key, state }
    }

    /// URL of the token endpoint.
    pub fn endpoint(&self) -> String {
        format!("{}/token", self.origin)
    }

    /// URL of the public key, for brokers.
    pub fn keys_url(&self) -> String {
        format!("{}/keys", self.origin)
    }

    /// From now on tokens are good for so long.
    pub fn issue_for(&self, lifetime: Duration) {
        self.state().lifetime = lifetime;
    }

    /// From now on every request is answered with 503, or no longer.
    pub fn set_away(&self, is_away: bool) {
        self.state().is_away = is_away;
    }

    /// Tokens that were issued.
    pub fn granted(&self) -> usize {
        self.state().granted.len()
    }

    /// These tokens themselves.
    pub fn tokens(&self) -> Vec<String> {
        self.state().granted.clone()
    }

    /// Requests that got no token.
    pub fn turned_away(&self) -> usize {
        self.state().turned_away
    }

    /// A token that nobody asked for.
    pub fn token(&self) -> String {
        sign(&self.key, &self.state())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics under this lock")
    }
}

fn answer(stream: impl Read + Write, state: &Mutex<State>, key: &PKey<Private>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut credentials, mut length, mut line) = (None, 0, String::new());
    reader.read_line(&mut line)?;
    let wants_keys = line.starts_with("GET /keys ");
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_lowercase().as_str() {
            "authorization" => credentials = value.trim().strip_prefix("Basic ").map(str::to_owned),
            "content-length" => length = value.trim().parse().unwrap_or(0),
            _ => {}
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut form = vec![0; length];
    reader.read_exact(&mut form)?;
    let mut state = state.lock().expect("no code panics under this lock");
    let (status, body) = match wants_keys {
        true => (200, keys(key)),
        false => verdict(&mut state, &form, credentials, key),
    };
    drop(state);
    let (body, stream) = (body.to_string(), reader.get_mut());
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// RFC 7517.
fn keys(key: &PKey<Private>) -> Value {
    let rsa = key.rsa().expect("an RSA key");
    let (n, e) = (url_safe(&rsa.n().to_vec()), url_safe(&rsa.e().to_vec()));
    json!({ "keys": [{ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": n, "e": e }] })
}

fn verdict(state: &mut State, form: &[u8], credentials: Option<String>, key: &PKey<Private>) -> (u16, Value) {
    let decoded = credentials.and_then(|text| decode_block(&text).ok());
    let known = format!("{}:{}", state.client, state.secret).into_bytes();
    let (status, error) = if state.is_away {
        (503, "temporarily_unavailable")
    } else if !form.windows(29).any(|part| part == b"grant_type=client_credentials") {
        (400, "unsupported_grant_type")
    } else if decoded.as_ref() != Some(&known) {
        (401, "invalid_client")
    } else {
        let lifetime = state.lifetime.as_secs();
        let token = sign(key, state);
        state.granted.push(token.clone());
        return (
            200,
            json!({ "access_token": token, "token_type": "Bearer", "expires_in": lifetime }),
        );
    };
    state.turned_away += 1;
    (
        status,
        json!({ "error": error, "error_description": "as the test wants it" }),
    )
}

fn sign(key: &PKey<Private>, state: &State) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let (header, claims) = (
        json!({ "alg": "RS256", "kid": KEY_ID, "typ": "JWT" }),
        json!({
            "iss": "the tests", "sub": state.subject, "scope": "kafka",
            "iat": now.as_secs(), "exp": (now + state.lifetime).as_secs(),
        }),
    );
    let text = format!(
        "{}.{}",
        url_safe(header.to_string().as_bytes()),
        url_safe(claims.to_string().as_bytes())
    );
    let mut signer = Signer::new(MessageDigest::sha256(), key).expect("a signer");
    let signature = signer.sign_oneshot_to_vec(text.as_bytes()).expect("a signature");
    format!("{text}.{}", url_safe(&signature))
}

fn url_safe(bytes: &[u8]) -> String {
    encode_block(bytes)
        .replace('+', "-")
        .replace('/', "_")
        .trim_end_matches('=')
        .to_owned()
}
