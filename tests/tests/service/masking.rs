//! Values that the file says are nobody's business: they are scored, and found nowhere outside of the events topic.

use std::collections::BTreeMap;

use eddy_tests::kafka::Message;
use eddy_tests::service::wait_for;
use eddy_tests::stage::{AT_LEAST_ONCE, Event, MLP, by_id};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::recall::{file, succeeds};
use crate::{BINARY, stage};

/// What may be found nowhere: a name, a number that the model takes, a text where a number should be, a part of what is no JSON.
const SECRETS: [&str; 4] = ["Ada Lovelace", "7.0625", "Grace Hopper", "Mary Somerville"];

/// A field beside what is masked. It feeds no input.
const TALL: &str = r#"inputs = { features = ["features"] }
[fields.tall]
type = "boolean"
pointer = "/person/tall"
default = false
"#;

fn features(first: &str) -> String {
    let others: Vec<String> = (1..32).map(|number| format!("0.{number}")).collect();
    format!("[{first},{}]", others.join(","))
}

/// An event of each kind, by its id.
fn events() -> BTreeMap<&'static str, String> {
    let (sound, odd) = (features("7.0625"), features(r#""Grace Hopper""#));
    let long = format!("Ada Lovelace{}", " and so on".repeat(10));
    BTreeMap::from([
        (
            "sound",
            format!(r#"{{"id":"sound", "person":{{"name":"Ada Lovelace","tall":true}}, "features":{sound}}}"#),
        ),
        ("odd", format!(r#"{{"id":"odd","features":{odd}}}"#)),
        (
            "long",
            format!(r#"{{"id":"long","person":{{"name":"{long}"}},"features":{sound}}}"#),
        ),
        (
            "broken",
            r#"{"id":"broken","person":{"name":"Mary Somerville"#.to_owned(),
        ),
    ])
}

#[track_caller]
fn tells_no_secret(what: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{what} tells {secret}: {text}");
    }
}

fn tells_no_secret_to_readers(messages: &[Message]) {
    for message in messages {
        let value = message.value.as_deref().unwrap_or_default();
        tells_no_secret("a value", &String::from_utf8_lossy(value));
        for (name, value) in &message.headers {
            tells_no_secret(name, &String::from_utf8_lossy(value.as_deref().unwrap_or_default()));
        }
    }
}

#[test]
fn masked_values_are_scored_and_leave_in_no_output_page_log_table_or_sentence() {
    let tables =
        "[events]\nid_field = \"/id\"\nmask = [\"/person/name\", \"/features/0\"]\n[limits]\nstring_bytes = 64\n";
    let stage = stage(
        "masking",
        AT_LEAST_ONCE,
        &format!("{tables}{MLP}{TALL}\n[select]\nconfidence_below = 1.0\n"),
    );
    let events = events();
    let sent: Vec<Event> = events.values().map(|event| Event::new(event.clone())).collect();
    stage.send(&sent);

    let mut replica = stage.start(
        BINARY,
        &[
            ("EDDY__LOG__LEVEL", "trace"),
            ("EDDY__DEAD_LETTERS__FLOOD_SHARE", "1.0"),
        ],
    );
    stage.wait_for_end(&mut replica);
    let samples = wait_for("the sample on its page", || {
        replica.get("/samples").filter(|page| page.contains("mlp"))
    });
    tells_no_secret("/samples", &samples);
    for page in ["/status", "/drift", "/metrics", "/ready"] {
        tells_no_secret(page, &replica.get(page).expect("a page"));
    }
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    tells_no_secret("the log", &replica.log());

    let outputs = stage.outputs();
    for messages in [&outputs.predictions, &outputs.samples, &outputs.dead_letters] {
        tells_no_secret_to_readers(messages);
    }
    let sample = by_id(&outputs.samples)["sound"];
    assert_eq!(sample.header("eddy.body"), Some("masked"));
    let digest = format!("{:x}", Sha256::digest(&events["sound"]));
    assert_eq!(sample.header("eddy.sha256"), Some(digest.as_str()));
    let body: Value = serde_json::from_slice(sample.value.as_deref().expect("a body")).expect("JSON");
    let mut expected: Value = serde_json::from_str(&events["sound"]).expect("JSON");
    (expected["person"]["name"], expected["features"][0]) = (Value::Null, Value::Null);
    assert_eq!(body, expected);

    let dead_letters = by_id(&outputs.dead_letters);
    let odd = dead_letters["odd"];
    assert_eq!(
        (odd.header("eddy.body"), odd.header("eddy.reason")),
        (Some("masked"), Some("wrong_type"))
    );
    let detail = odd.header("eddy.detail").expect("a detail");
    assert!(
        detail.contains("element 0 of field `features`") && detail.contains("events.mask"),
        "{detail}"
    );
    let long = dead_letters["long"];
    assert_eq!(
        (long.header("eddy.body"), long.header("eddy.reason")),
        (Some("masked"), Some("limit_exceeded"))
    );
    let broken = dead_letters["broken"];
    assert_eq!(
        (broken.header("eddy.body"), broken.header("eddy.reason")),
        (Some("omitted"), Some("malformed"))
    );

    let (file, folder) = (file(&stage), tempfile::tempdir().expect("a temporary folder"));
    for id in events.keys() {
        tells_no_secret("why", &succeeds(&["why", &file, id]));
        tells_no_secret("why --json", &succeeds(&["why", &file, id, "--json"]));
    }
    let table = folder.path().join("samples.csv");
    succeeds(&[
        "samples",
        &file,
        "--since",
        "1h",
        "--out",
        table.to_str().expect("text"),
    ]);
    let table = std::fs::read_to_string(table).expect("a table");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    let cells = |name: &str| {
        let at = rows[0].iter().position(|column| *column == name);
        let at = at.expect("the column is there");
        rows[1..].iter().map(|row| row[at]).collect::<Vec<_>>()
    };
    // The event is there with its open field, and without the one that is masked in part.
    assert_eq!((cells("tall"), cells("features")), (vec!["true"], vec![""]), "{table}");
    tells_no_secret("samples", &table);
}
