//! The provider against an endpoint of the test's own, which speaks what RFC 6749 says.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::super::token::tests::jwt;
use super::*;
use crate::Fault;
use crate::settings::Secret;

const SECRET: &str = "hunter2 & co";
const PATIENCE: Duration = Duration::from_secs(60);

/// An endpoint that gives one answer after the other, and the last one for ever.
struct Endpoint {
    settings: Oidc,
    asked: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    _secret: tempfile::NamedTempFile,
}

impl Endpoint {
    fn answering(answers: Vec<(u16, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), SECRET).unwrap();
        let settings = Oidc {
            token_endpoint: format!("http://{}/token?key=hidden", listener.local_addr().unwrap()),
            client_id: "eddy".into(),
            client_secret: Secret::File(secret.path().into()),
            scope: Some("kafka write".into()),
            audience: None,
            ca: None,
            timeout: eddy_pipeline::settings::Span::seconds(5),
        };
        let (asked, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, log) = (Arc::clone(&asked), Arc::clone(&requests));
        std::thread::Builder::new()
            .name("endpoint".into())
            .spawn(move || {
                for stream in listener.incoming() {
                    let (status, body) = &answers[count.fetch_add(1, Relaxed).min(answers.len() - 1)];
                    log.lock().unwrap().push(serve(stream.unwrap(), *status, body));
                }
            })
            .unwrap();
        Self {
            settings,
            asked,
            requests,
            _secret: secret,
        }
    }

    fn refusal(&self) -> Obstacle {
        let obstacle = request::token(&self.settings).unwrap_err();
        assert!(
            !obstacle.sentence.contains("hunter2") && !obstacle.sentence.contains("hidden"),
            "{obstacle:?}"
        );
        obstacle
    }
}

/// Reads one request and answers it; gives the request.
fn serve(stream: TcpStream, status: u16, body: &str) -> String {
    let mut reader = BufReader::new(stream);
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        request += &line;
        if line.trim().is_empty() {
            break;
        }
    }
    let mut form = vec![0; length];
    reader.read_exact(&mut form).unwrap();
    request += &String::from_utf8(form).unwrap();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n",
        body.len()
    );
    // The client may have hung up, which is for the test to judge.
    drop(write!(
        reader.get_mut(),
        "{head}content-type: application/json\r\n\r\n{body}"
    ));
    request
}

fn grant(token: &str, expires_in: &str) -> (u16, String) {
    (
        200,
        format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{expires_in}}}"#),
    )
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_request_is_that_of_the_standard() {
    let endpoint = Endpoint::answering(vec![grant("opaque", "3600")]);
    let token = request::token(&endpoint.settings).unwrap();
    assert_eq!((token.text.as_str(), token.subject.as_str()), ("opaque", "eddy"));
    let request = endpoint.requests.lock().unwrap().pop().unwrap();
    assert!(request.starts_with("POST /token?key=hidden HTTP/1.1\r\n"), "{request}");
    assert!(
        request.ends_with("grant_type=client_credentials&scope=kafka+write"),
        "{request}"
    );
    // Made with `printf '%s' 'eddy:hunter2%20%26%20co' | base64`.
    assert!(
        request.contains("authorization: Basic ZWRkeTpodW50ZXIyJTIwJTI2JTIwY28=\r\n"),
        "{request}"
    );
}

#[test]
fn a_token_says_itself_whose_it_is_and_until_when() {
    let text = jwt(r#"{"alg":"RS256"}"#, r#"{"sub":"service-7","exp":32503680000}"#);
    let endpoint = Endpoint::answering(vec![grant(&text, "\"60\"")]);
    let token = request::token(&endpoint.settings).unwrap();
    let expected = std::time::UNIX_EPOCH + Duration::from_secs(32_503_680_000);
    assert_eq!((token.subject.as_str(), token.expires), ("service-7", expected));
}

/// The state alone, without a thread.
#[test]
fn a_token_that_is_good_is_kept_when_the_endpoint_is_away() {
    let shared = Arc::new(Shared {
        settings: Endpoint::answering(vec![(503, String::new())]).settings,
        state: Mutex::default(),
        changed: Condvar::new(),
    });
    let provider = Provider(Arc::clone(&shared));
    let token = Token {
        text: "first".to_owned().into(),
        subject: "eddy".into(),
        expires: SystemTime::now() + Duration::from_secs(3600),
    };
    shared.note(Ok(token.clone()));
    shared.note(Err(Obstacle::passing("key", "away".into())));
    assert_eq!(provider.current(), Ok(token));
}

#[test]
fn a_token_is_replaced_through_failures_of_the_endpoint() {
    let endpoint = Endpoint::answering(vec![
        grant("first", "2"),
        (503, "away".into()),
        grant("second", "\"3600\""),
    ]);
    let provider = Provider::shared(&endpoint.settings).unwrap();
    until("the second token", || {
        let token = provider.current().ok()?;
        (token.text.as_str() == "second").then_some(())
    });
    assert_eq!(endpoint.asked.load(Relaxed), 3);
}

#[test]
fn a_token_that_expired_while_the_endpoint_is_away_is_not_handed_out() {
    let endpoint = Endpoint::answering(vec![grant("first", "1"), (503, r#"{"error":"away"}"#.into())]);
    let provider = Provider::shared(&endpoint.settings).unwrap();
    let obstacle = until("the token expires, and the endpoint refuses another", || {
        let obstacle = provider.current().err()?;
        obstacle.sentence.contains("503, away").then_some(obstacle)
    });
    assert_eq!(
        (obstacle.key, obstacle.fault),
        ("kafka.sasl.oidc.token_endpoint", Fault::Retriable)
    );
}

#[test]
fn clients_with_the_same_settings_share_a_provider_as_long_as_one_is_there() {
    let endpoint = Endpoint::answering(vec![grant("token", "3600")]);
    let one = Provider::shared(&endpoint.settings).unwrap();
    let other = Provider::shared(&endpoint.settings).unwrap();
    assert!(Arc::ptr_eq(&one, &other));
    one.await_first().unwrap();
    assert_eq!(endpoint.asked.load(Relaxed), 1);
    let shared = Arc::downgrade(&one.0);
    drop((one, other));
    until("the thread to end", || (shared.strong_count() == 0).then_some(()));
}

#[test]
fn a_wrong_secret_is_named_with_its_place_and_the_words_of_the_endpoint() {
    let body = r#"{"error":"invalid_client","error_description":"hunter2 & co is\nwrong"}"#;
    let obstacle = Endpoint::answering(vec![(401, body.into())]).refusal();
    assert_eq!(
        (obstacle.key, obstacle.fault),
        ("kafka.sasl.oidc.client_secret", Fault::Refused)
    );
    for part in ["client `eddy`", "401", "invalid_client: … is wrong", "file `"] {
        assert!(obstacle.sentence.contains(part), "{obstacle:?}");
    }
}

#[test]
fn answers_that_are_no_tokens_are_refused_with_the_reason() {
    let unsigned = jwt(r#"{"alg":"none"}"#, r#"{"sub":"eddy","exp":32503680000}"#);
    let expired = jwt(r#"{"alg":"RS256"}"#, r#"{"sub":"eddy","exp":1}"#);
    let cases = [
        ((200, "<html>".into()), "no JSON object"),
        (grant("a\\u0000b", "60"), "characters that no token has"),
        (grant(&unsigned, "60"), "nobody signed"),
        (grant("opaque", "null"), "how long the token is good"),
        (grant("opaque", "-5"), "how long the token is good"),
        (grant(&expired, "60"), "had expired"),
        (grant(&"x".repeat(70_000), "60"), "more than 65536 bytes"),
        ((302, String::new()), "elsewhere"),
        ((400, r#"{"error":"invalid_scope"}"#.into()), "correct the scope"),
        ((404, String::new()), "HTTP status 404"),
        ((500, String::new()), "is asked again"),
    ];
    for (answer, reason) in cases {
        let obstacle = Endpoint::answering(vec![answer]).refusal();
        assert!(obstacle.sentence.contains(reason), "`{reason}` in {obstacle:?}");
    }
}

#[test]
fn an_endpoint_that_is_not_there_is_named() {
    let mut endpoint = Endpoint::answering(vec![(500, String::new())]);
    endpoint.settings.token_endpoint = "http://127.0.0.1:1/token?key=hidden".into();
    let obstacle = endpoint.refusal();
    assert_eq!(obstacle.fault, Fault::Retriable);
    assert!(
        obstacle.sentence.contains("`http://127.0.0.1:1/token` does not answer"),
        "{obstacle:?}"
    );
    let provider = Provider::shared(&endpoint.settings).unwrap();
    assert_eq!(provider.await_first(), Err(obstacle));
}
