//! Secrets stay secret: distinctive ones are planted in every setting that takes one, everything is logged that can be
//! logged, and none of it shows anywhere.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use eddy_tests::certificates::Validity;
use eddy_tests::identity_provider::IdentityProvider;
use eddy_tests::secure::{Door, SecureKafka, TOKEN_CLIENT, TOKEN_SECRET, password_of};
use eddy_tests::service::{Replica, wait_for};
use openssl::base64::encode_block;

use crate::{BINARY, CONFIGURATION, Client, EXACTLY_ONCE, allow_all, events, said, stage};

/// Everything that the service and the client library can say.
const TALKATIVE: [(&str, &str); 2] = [
    ("EDDY__LOG__LEVEL", "trace"),
    ("EDDY__KAFKA__PROPERTIES", r#"{ debug = "all" }"#),
];

/// Lets a test without privileges read the environment of a service.
const READABLE: (&str, &str) = ("EDDY__PROCESS__CORE_DUMPS", "true");

/// Looks for a secret as it is, and as it travels.
#[track_caller]
fn hides(text: &str, user: &str, secret: &str, place: &str) {
    let plain = format!("\0{user}\0{secret}");
    let basic = format!("{user}:{secret}");
    let forms = [secret.to_owned(), secret.replace(' ', "%20"), secret.replace(' ', "+")];
    let encoded = [secret, &plain, &basic].map(|form| encode_block(form.as_bytes()));
    for form in forms.iter().chain(&encoded) {
        // Padding depends on what follows.
        let form = form.trim_end_matches('=');
        let at = text.find(form);
        let around = at.map(|at| &text[at.saturating_sub(200)..at]);
        assert_eq!(around, None, "{place} shows a secret as `{form}`");
    }
}

#[track_caller]
fn hides_everywhere(replica: &Replica, user: &str, secret: &str) {
    for page in ["/status", "/metrics", "/ready", "/live"] {
        let text = replica.get(page).unwrap_or_else(|| panic!("{page} answers"));
        hides(&text, user, secret, page);
    }
    hides(&replica.log(), user, secret, "the log");
    for file in ["environ", "cmdline"] {
        let bytes = fs::read(format!("/proc/{}/{file}", replica.pid())).unwrap();
        hides(&String::from_utf8_lossy(&bytes), user, secret, file);
    }
}

#[test]
fn a_password_that_is_refused_shows_nowhere() {
    let stage = stage("wire-hidden-refused", EXACTLY_ONCE);
    let secret = "planted refused Zx81";
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        for reference in [r#"{ env = "PLANTED" }"#, "file"] {
            let client = Client::through(Door::Sasl).named(mechanism, "plain", secret);
            let client = match reference {
                "file" => client,
                variable => client.set("SASL__PASSWORD", variable),
            };
            let mut settings = client.settings();
            settings.extend(TALKATIVE);
            settings.push(("PLANTED", secret));
            let checked = said(&crate::eddy_check(&stage.file(), &settings), CONFIGURATION);
            hides(&checked, "plain", secret, "eddy check");
            let mut replica = stage.start(BINARY, &settings);
            assert_eq!(replica.wait().code(), Some(CONFIGURATION));
            let log = replica.log();
            assert!(
                log.contains("librdkafka") && log.contains("TRACE"),
                "it says all that it can: {log}"
            );
            hides(&log, "plain", secret, "the log");
        }
    }
}

#[test]
fn a_password_from_the_environment_shows_nowhere_in_a_service_that_runs() {
    let stage = stage("wire-hidden-running", EXACTLY_ONCE);
    allow_all(&stage, "User:plain");
    let secret = password_of("plain");
    let client = Client::through(Door::Sasl)
        .named("PLAIN", "plain", "not this one")
        .set("SASL__PASSWORD", r#"{ env = "PLANTED" }"#);
    let mut settings = client.settings();
    settings.extend(TALKATIVE);
    settings.extend([("PLANTED", secret.as_str()), READABLE]);
    let mut replica = stage.start(BINARY, &settings);
    stage.send(&events(0));
    stage.wait_for_end(&mut replica);
    hides_everywhere(&replica, "plain", &secret);
    let environment = fs::read(format!("/proc/{}/environ", replica.pid())).unwrap();
    let name = b"PLANTED=";
    assert!(
        environment.windows(name.len()).any(|part| part == name),
        "only the value is gone"
    );
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
}

/// A client that gets its tokens from the provider, for a secret that is planted in its environment.
fn token_client(provider: &IdentityProvider) -> Client {
    Client::through(Door::Token)
        .set("SASL__MECHANISM", "OAUTHBEARER")
        .set("SASL__OIDC__TOKEN_ENDPOINT", &provider.endpoint())
        .set("SASL__OIDC__CLIENT_ID", TOKEN_CLIENT)
        .set("SASL__OIDC__CLIENT_SECRET", r#"{ env = "PLANTED" }"#)
}

#[test]
fn neither_the_secret_of_a_client_nor_a_token_shows_anywhere() {
    let stage = stage("wire-hidden-token", EXACTLY_ONCE);
    allow_all(&stage, "User:token-client");
    let provider = SecureKafka::shared().provider().twin();
    let client = token_client(&provider);
    let mut settings = client.settings();
    settings.extend(TALKATIVE);
    settings.extend([("PLANTED", TOKEN_SECRET), READABLE]);
    let mut replica = stage.start(BINARY, &settings);
    stage.send(&events(0));
    stage.wait_for_end(&mut replica);
    hides_everywhere(&replica, TOKEN_CLIENT, TOKEN_SECRET);
    // Header and signature of a token are enough to know it by.
    for token in provider.tokens() {
        for part in token.split('.') {
            hides(&replica.log(), TOKEN_CLIENT, part, "the log");
        }
    }
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
}

#[test]
fn a_secret_that_the_endpoint_refuses_shows_nowhere() {
    let stage = stage("wire-hidden-client", EXACTLY_ONCE);
    let provider = IdentityProvider::start(TOKEN_CLIENT, TOKEN_SECRET);
    let secret = "planted client Zx81";
    let client = token_client(&provider);
    let mut settings = client.settings();
    settings.extend(TALKATIVE);
    settings.push(("PLANTED", secret));
    let mut replica = stage.start(BINARY, &settings);
    assert_eq!(replica.wait().code(), Some(CONFIGURATION), "{}", replica.log());
    assert!(provider.turned_away() > 0);
    hides(&replica.log(), TOKEN_CLIENT, secret, "the log");
}

#[test]
fn the_password_of_a_key_shows_nowhere_whether_it_opens_or_not() {
    let stage = stage("wire-hidden-key", EXACTLY_ONCE);
    let ours = SecureKafka::shared().authority().issue("hidden", &[], Validity::Now);
    let secret = "planted key Zx81";
    let client = Client::through(Door::Mutual).presenting(&ours, Some(secret));
    for (value, words) in [(secret, "kafka-acls.sh"), ("planted wrong Zx81", "does not open")] {
        let client = client.settings().into_iter().chain(TALKATIVE);
        let mut settings: Vec<_> = client.filter(|(key, _)| !key.ends_with("KEY_PASSWORD")).collect();
        settings.push(("EDDY__KAFKA__TLS__KEY_PASSWORD", r#"{ env = "PLANTED" }"#));
        settings.push(("PLANTED", value));
        let mut replica = stage.start(BINARY, &settings);
        assert_eq!(replica.wait().code(), Some(CONFIGURATION));
        let log = replica.log();
        assert!(log.contains(words), "{log}");
        hides(&log, "hidden", value, "the log");
        for line in ours.key_pem_under(secret).lines().filter(|line| !line.starts_with('-')) {
            hides(&log, "hidden", line, "the log");
        }
    }
}

#[test]
fn a_crash_leaves_no_core_dump_unless_it_may() {
    let stage = stage("wire-core", EXACTLY_ONCE);
    allow_all(&stage, "User:plain");
    let client = Client::through(Door::Sasl).named("PLAIN", "plain", &password_of("plain"));
    let limit = |pid: u32| {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max core file size"))
            .unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let ready = |replica: &Replica| {
        wait_for("it to be ready", || (replica.code("/ready") == Some(200)).then_some(()));
    };
    let mut replica = client.start(&stage);
    ready(&replica);
    assert_eq!(limit(replica.pid())[..2], ["0", "0"]);
    let pid = replica.pid().to_string();
    assert!(Command::new("kill").args(["-ABRT", &pid]).status().unwrap().success());
    let status = replica.wait();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));

    let mut settings = client.settings();
    settings.push(READABLE);
    let mut replica = stage.start(BINARY, &settings);
    ready(&replica);
    assert_eq!(limit(replica.pid()), limit(std::process::id()), "left as it was");
    assert_eq!(replica.terminate().code(), Some(0));
}
