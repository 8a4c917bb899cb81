//! What the client makes of a registry's answers, and of none.

use std::net::TcpListener;
use std::sync::Arc;

use eddy_broker::registry::SchemaRegistry;
use eddy_broker::settings::Registry;
use eddy_pipeline::decode::{Found, SchemaKind, Schemas as _, WriterSchema};
use eddy_telemetry::Metrics;
use eddy_tests::certificates::{Authority, Validity};
use eddy_tests::registry::{Mood, StandIn};
use eddy_tests::service::wait_for;
use serde_json::{Value, json};

/// Settings as a pipeline file has them.
pub(crate) fn settings(table: Value) -> Registry {
    let settings: Registry = serde_json::from_value(table).expect("the table can be read");
    assert_eq!(settings.problems(), []);
    settings
}

fn client(table: Value) -> SchemaRegistry {
    SchemaRegistry::start(settings(table)).expect("there is a thread")
}

fn of(registry: &StandIn) -> SchemaRegistry {
    client(json!({ "url": registry.url(), "timeout": "1s", "retry": "1s" }))
}

/// What is found once it is definite.
fn definite(client: &SchemaRegistry, id: u32) -> Option<Arc<WriterSchema>> {
    wait_for("something definite", || match client.find(id) {
        Found::Known(schema) => Some(Some(schema)),
        Found::Unknown => Some(None),
        Found::Awaited(_) => None,
    })
}

/// The sentence while it is not, once it says this.
fn awaited(client: &SchemaRegistry, id: u32, part: &str) -> String {
    wait_for(part, || match client.find(id) {
        Found::Awaited(why) => why.contains(part).then_some(why),
        other => panic!("{other:?}"),
    })
}

fn avro(text: &str) -> Value {
    json!({ "schema": text })
}

#[test]
fn a_schema_is_fetched_once_and_avro_is_what_an_answer_without_a_type_means() {
    let registry = StandIn::start();
    let id = registry.put("a-value", avro("\"int\""));
    let proto = registry.put(
        "b-value",
        json!({ "schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF" }),
    );
    let of_json = registry.put(
        "c-value",
        json!({ "schema": "{}", "schemaType": "JSON", "references": null }),
    );
    let client = of(&registry);
    let kinds = [
        (id, SchemaKind::Avro),
        (proto, SchemaKind::Protobuf),
        (of_json, SchemaKind::Json),
    ];
    for (id, kind) in kinds {
        let schema = definite(&client, id).expect("it is there");
        assert_eq!((schema.id, schema.kind), (id, kind));
        for _ in 0..3 {
            assert_eq!(client.find(id), Found::Known(schema.clone()));
        }
    }
    assert_eq!(registry.asked(), kinds.map(|(id, _)| format!("GET /schemas/ids/{id}")));
}

#[test]
fn references_come_before_those_that_need_them_and_each_once() {
    let registry = StandIn::start();
    let named = |name: &str| json!({ "name": name, "subject": name, "version": 1 });
    registry.put("leaf", avro("leaf"));
    registry.put("left", json!({ "schema": "left", "references": [named("leaf")] }));
    registry.put(
        "right",
        json!({ "schema": "right", "references": [named("leaf"), named("left")] }),
    );
    let id = registry.put(
        "top",
        json!({ "schema": "top", "references": [named("left"), named("right")] }),
    );
    let schema = definite(&of(&registry), id).expect("it is there");
    let names: Vec<_> = schema
        .references
        .iter()
        .map(|reference| reference.text.as_str())
        .collect();
    assert_eq!(names, ["leaf", "left", "right"]);
    assert_eq!(registry.asked().len(), 4);
}

#[test]
fn a_circle_of_references_ends_and_too_many_are_not_followed() {
    let registry = StandIn::start();
    let named = |name: &str| json!({ "name": name, "subject": name, "version": 1 });
    registry.put("hen", json!({ "schema": "hen", "references": [named("egg")] }));
    let id = registry.put("egg", json!({ "schema": "egg", "references": [named("hen")] }));
    let schema = definite(&of(&registry), id).expect("it is there");
    assert_eq!(schema.references.len(), 2);

    let chain = |at: u32| json!({ "schema": format!("{at}"), "references": [named(&format!("s{}", at + 1))] });
    let first = registry.put("s0", chain(0));
    for at in 1..20 {
        registry.put(&format!("s{at}"), chain(at));
    }
    let client = client(json!({ "url": registry.url(), "references": 5 }));
    let why = awaited(&client, first, "registry.references");
    assert!(why.contains("more than 5 schemas"), "{why}");
}

#[test]
fn that_there_is_no_schema_is_believed_only_after_it_was_said_several_times_and_a_late_one_is_found() {
    let registry = StandIn::start();
    assert_eq!(definite(&of(&registry), 1), None);
    assert!(registry.asked().len() >= 3, "{:?}", registry.asked());

    // It says once that there is none, and does not answer the next question until the schema is there.
    let late = StandIn::start();
    late.set_mood_after(1, Mood::Silent);
    let client = client(json!({ "url": late.url(), "timeout": "60s" }));
    awaited(&client, 1, "has none: HTTP status 404, Schema not found");
    wait_for("the second question", || (late.asked().len() == 2).then_some(()));
    late.put("late-value", avro("\"int\""));
    late.set_mood(Mood::Well);
    assert!(definite(&client, 1).is_some());
}

#[test]
fn of_a_stream_of_senseless_numbers_each_is_asked_for_twice_and_not_three_times() {
    let registry = StandIn::start();
    let client = of(&registry);
    for id in 1..=3 {
        assert_eq!(definite(&client, id), None);
    }
    let asked = registry.asked().len();
    for id in 4..=10 {
        assert_eq!(definite(&client, id), None);
        let about = format!("GET /schemas/ids/{id}");
        assert_eq!(registry.asked()[asked..].iter().filter(|one| **one == about).count(), 2);
    }
}

/// Each trouble is waited out, names itself and what to do, and is over when it is over.
#[test]
fn no_trouble_is_taken_for_an_answer() {
    let registry = StandIn::start();
    let troubles = [
        (Mood::Hasty, "does not answer"),
        (Mood::Half, "does not answer"),
        (Mood::Silent, "does not answer"),
        (
            Mood::Status(500, r#"{"error_code":50001,"message":"store"}"#.into()),
            "is in trouble: HTTP status 500, store",
        ),
        (Mood::Status(429, String::new()), "is in trouble: HTTP status 429"),
        (
            Mood::Status(503, "<html>busy</html>".into()),
            "is in trouble: HTTP status 503",
        ),
        (
            Mood::Status(401, String::new()),
            "registry.username and registry.password, or registry.token",
        ),
        (Mood::Status(403, String::new()), "does not let us in"),
        (Mood::Status(302, String::new()), "write the final URL"),
        (
            Mood::Status(404, "<html>no such page</html>".into()),
            "write the path of the registry's API",
        ),
        (
            Mood::Status(404, r#"{"message":"no route"}"#.into()),
            "write the path of the registry's API",
        ),
        (Mood::Odd("<html>log in</html>".into()), "not what registries answer"),
        (Mood::Odd(r#"{"schema":7}"#.into()), "not what registries answer"),
        (
            Mood::Odd(r#"{"schema":"x","schemaType":"THRIFT"}"#.into()),
            "written in \"THRIFT\"",
        ),
    ];
    for (mood, part) in troubles {
        let id = registry.put("a-value", avro(&format!("\"{}\"", registry.asked().len())));
        registry.set_mood(mood.clone());
        let client = of(&registry);
        let why = awaited(&client, id, part);
        assert!(why.contains(registry.url()) || why.contains("schema"), "{why}");
        // Also after it was asked again.
        let asked = registry.asked().len();
        wait_for("another question", || (registry.asked().len() > asked).then_some(()));
        assert!(matches!(client.find(id), Found::Awaited(_)), "{mood:?}");
        registry.set_mood(Mood::Well);
        assert!(definite(&client, id).is_some(), "{mood:?}");
    }
}

#[test]
fn what_was_fetched_goes_on_working_while_the_registry_is_away() {
    let registry = StandIn::start();
    let (old, new) = (
        registry.put("a-value", avro("old")),
        registry.put("a-value", avro("new")),
    );
    let client = of(&registry);
    definite(&client, old).expect("it is there");
    registry.set_mood(Mood::Hasty);
    awaited(&client, new, "does not answer");
    assert!(matches!(client.find(old), Found::Known(_)));
    registry.set_mood(Mood::Well);
    definite(&client, new).expect("it is there");
}

#[test]
fn an_answer_of_any_size_is_not_read_to_its_end() {
    let registry = StandIn::start();
    let id = registry.put("a-value", avro(&"x".repeat(5000)));
    let client = client(json!({ "url": registry.url(), "max_bytes": 1024, "retry": "1s" }));
    let why = awaited(&client, id, "registry.max_bytes");
    assert!(why.contains("more than 1 KiB"), "{why}");
}

#[test]
fn when_one_address_does_not_answer_the_next_is_asked() {
    let registry = StandIn::start();
    let id = registry.put("a-value", avro("x"));
    let closed = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port");
    let client = client(json!({ "url": format!("http://{closed}, {}", registry.url()) }));
    assert!(definite(&client, id).is_some());
    registry.set_mood(Mood::Status(500, String::new()));
    let other = registry.put("a-value", avro("y"));
    let why = awaited(&client, other, "is in trouble");
    assert!(why.contains(registry.url()), "{why}");
}

#[test]
fn name_and_password_or_a_token_are_shown_and_never_repeated() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let secret = folder.path().join("secret");
    let with_name = json!({ "username": "eddy", "password": { "file": secret } });
    let with_token = json!({ "token": { "file": secret } });
    // Made with `printf 'eddy:hunter2' | base64`.
    for (mut table, shown) in [(with_name, "Basic ZWRkeTpodW50ZXIy"), (with_token, "Bearer hunter2")] {
        std::fs::write(&secret, "hunter1\n").expect("the folder takes a file");
        let registry = StandIn::start();
        registry.let_in(shown);
        let id = registry.put("a-value", avro("x"));
        table["url"] = registry.url().into();
        table["retry"] = "1s".into();
        let client = client(table);
        let why = awaited(&client, id, "HTTP status 401, not with");
        assert!(
            why.contains("registry.password") || why.contains("have the token in file"),
            "{why}"
        );
        assert!(!why.contains("hunter1") && !why.contains("ZWRkeTpodW50ZXIx"), "{why}");
        // It is read again, so that somebody outside can mend it.
        std::fs::write(&secret, "hunter2\n").expect("the folder takes a file");
        assert!(definite(&client, id).is_some());
    }
    std::fs::remove_file(&secret).expect("it can be removed");
    let registry = StandIn::start();
    let client = client(json!({ "url": registry.url(), "token": { "file": secret } }));
    awaited(&client, 1, "could not be read");
    assert_eq!(registry.asked(), [""; 0]);
}

#[test]
fn tls_trusts_whom_the_file_names_and_shows_our_certificate() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("the folder takes a file");
        path
    };
    let (authority, stranger) = (Authority::new("the authority"), Authority::new("a stranger"));
    let server = authority.issue("registry", &["127.0.0.1"], Validity::Now);
    let ours = authority.issue("eddy", &[], Validity::Now);
    let (ca, other) = (write("ca.pem", &authority.pem()), write("other.pem", &stranger.pem()));
    let certificate = write("eddy.pem", &ours.certificate_pem());
    let (key, password) = (
        write("eddy.key", &ours.key_pem_under("hunter2")),
        write("password", "hunter2"),
    );

    let registry = StandIn::over_tls(&server, Some(&authority.pem()));
    let id = registry.put("a-value", avro("x"));
    let table = |tls: Value| json!({ "url": registry.url(), "tls": tls, "retry": "1s" });
    let identity = json!({ "ca": ca, "certificate": certificate, "key": key, "key_password": { "file": password } });
    assert!(definite(&client(table(identity)), id).is_some());

    awaited(&client(table(json!({ "ca": other }))), id, "registry.tls.ca");
    awaited(&client(json!({ "url": registry.url() })), id, "registry.tls.ca");
    let nobody = client(table(json!({ "ca": ca })));
    awaited(&nobody, id, "does not");
    let wrong = json!({ "ca": ca, "certificate": certificate, "key": key });
    awaited(&client(table(wrong)), id, "registry.tls.key_password");

    let over = authority.issue("registry", &["127.0.0.1"], Validity::Over);
    awaited(
        &client(json!({ "url": StandIn::over_tls(&over, None).url(), "tls": { "ca": ca } })),
        1,
        "clock",
    );
    let elsewhere = authority.issue("registry", &["registry.example"], Validity::Now);
    awaited(
        &client(json!({ "url": StandIn::over_tls(&elsewhere, None).url(), "tls": { "ca": ca } })),
        1,
        "the host for which its certificate was issued",
    );
}

#[test]
fn requests_are_counted_by_what_came_of_them_and_schemas_that_are_kept() {
    let registry = StandIn::start();
    let id = registry.put("a-value", avro("x"));
    let (metrics, client) = (Metrics::new("p", "1"), of(&registry));
    client.count_in(metrics.registry());
    registry.set_mood(Mood::Status(500, String::new()));
    awaited(&client, id, "in trouble");
    registry.set_mood(Mood::Well);
    definite(&client, id).expect("it is there");
    definite(&client, id + 1);
    let metric = |name: &str| -> f64 {
        let text = metrics.gather();
        let line = text.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
        line.rsplit_once(' ')
            .and_then(|(_, value)| value.parse().ok())
            .expect("a number")
    };
    let asked = |outcome: &str| metric(&format!("eddy_registry_requests_total{{outcome=\"{outcome}\""));
    wait_for("the count of schemas", || {
        (metric("eddy_registry_schemas") == 1.0).then_some(())
    });
    assert_eq!(asked("answered"), 1.0);
    assert!(asked("failed") >= 1.0 && asked("unknown") >= 3.0);
    assert_eq!(asked("denied"), 0.0);
    assert!(metric("eddy_registry_answered_time_seconds") > 1.6e9);
}

#[test]
fn a_schema_of_ours_is_registered_once_and_can_be_looked_up() {
    let registry = StandIn::start();
    let client = of(&registry);
    let missing = client
        .number("p-value", SchemaKind::Json, "{}", false)
        .expect_err("it is not there");
    assert!(missing.is_refused(), "{missing:?}");
    let id = client
        .number("p-value", SchemaKind::Json, "{}", true)
        .expect("it is taken");
    assert_eq!(
        client
            .number("p-value", SchemaKind::Json, "{}", true)
            .expect("it is known"),
        id
    );
    assert_eq!(
        client
            .number("p-value", SchemaKind::Json, "{}", false)
            .expect("it is known"),
        id
    );
    let latest = client.latest("p-value").expect("it is there");
    assert_eq!(
        (latest.version, latest.schema.id, latest.schema.kind),
        (1, id, SchemaKind::Json)
    );
    registry.set_mood(Mood::Status(
        409,
        r#"{"error_code":409,"message":"incompatible"}"#.into(),
    ));
    let refused = client
        .number("p-value", SchemaKind::Json, "[]", true)
        .expect_err("it is incompatible");
    assert!(
        refused.is_refused() && refused.sentence.contains("compatibility"),
        "{refused:?}"
    );
    registry.set_mood(Mood::Hasty);
    let away = client
        .number("p-value", SchemaKind::Json, "[]", true)
        .expect_err("nobody answers");
    assert!(!away.is_refused(), "{away:?}");
}
