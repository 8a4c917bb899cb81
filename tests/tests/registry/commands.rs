//! What commands make of framed events, with a registry and without.

use std::process::Command;

use eddy_tests::registry::{Apicurio, Mood, StandIn};
use eddy_tests::service::{free_port, said};
use eddy_tests::stage::{EXACTLY_ONCE, Event, PICK, Plan, Stage};
use serde_json::{Value, json};

use crate::BINARY;

const UNREACHABLE: i32 = 69;
const CONFIGURATION: i32 = 78;
const SCHEMA: &str = r#"{"type":"record","name":"E","fields":[
    {"name":"id","type":"string"},{"name":"features","type":{"type":"array","items":"double"}},
    {"name":"note","type":["null","string"]}]}"#;

fn eddy(words: &[&str], code: i32) -> String {
    let output = Command::new(BINARY).args(words).output();
    said(&output.expect("the program under test was built with the tests"), code)
}

fn stage(name: &str, url: &str) -> Stage {
    let text = format!(
        "[registry]\nurl = \"{url}\"\ntimeout = \"1s\"\n[events]\nformat = \"avro\"\nid_field = \"/id\"\n{PICK}inputs = {{ features \
         = [\"features\"] }}\n[fields.note]\ntype = \"string\"\ndefault = \"none\"\n[select]\nfraction = 0.5\nshares = {{ explore = 1.0 }}\n"
    );
    Stage::new(&Plan {
        name,
        guarantee: EXACTLY_ONCE,
        partitions: 1,
        limits: &[],
        text: &text,
    })
}

/// The event of this number, written by hand: Avro's bytes are few.
fn event(schema: u32, number: u8) -> Event {
    let mut bytes = vec![0];
    bytes.extend(schema.to_be_bytes());
    let id = format!("e-{number}");
    bytes.push(id.len() as u8 * 2);
    bytes.extend(id.bytes());
    bytes.push(4);
    bytes.extend(f64::from(number % 10).to_le_bytes());
    bytes.extend(1.0_f64.to_le_bytes());
    // The end of the list, then the branch of the union: nothing, or a text of one letter.
    bytes.push(0);
    match number % 2 {
        0 => bytes.push(0),
        _ => bytes.extend([2, 2, b'x']),
    }
    Event::new(bytes)
}

#[test]
fn check_asks_the_registry_and_names_what_is_wrong_with_it() {
    let registry = StandIn::start();
    let stage = stage("check-schemas", registry.url());
    let file = stage.file().display().to_string();
    let said = eddy(&["check", &file], 0);
    assert!(
        said.contains("there is no subject `check-schemas-events-value`"),
        "{said}"
    );
    let id = registry.put("check-schemas-events-value", json!({ "schema": SCHEMA }));
    let said = eddy(&["check", &file], 0);
    assert!(said.contains(&format!("version 1, schema {id}, Avro")), "{said}");
    // What topics a pattern means, Kafka says.
    let by_pattern = Command::new(BINARY)
        .args(["check", &file])
        .env("EDDY__TOPICS__EVENTS", "{ pattern = \"^check-schemas-events$\" }")
        .output();
    let said = eddy_tests::service::said(&by_pattern.expect("the program under test was built with the tests"), 0);
    assert!(said.contains(&format!("version 1, schema {id}, Avro")), "{said}");

    registry.set_mood(Mood::Status(401, String::new()));
    let said = eddy(&["check", &file], CONFIGURATION);
    assert!(
        said.contains("registry.password") || said.contains("registry.username"),
        "{said}"
    );
    registry.set_mood(Mood::Status(404, "<html>".into()));
    let said = eddy(&["check", &file], CONFIGURATION);
    assert!(said.contains("/apis/ccompat/v7"), "{said}");
    registry.set_mood(Mood::Hasty);
    let said = eddy(&["check", &file], UNREACHABLE);
    assert!(said.contains("does not answer"), "{said}");
    let asked = registry.asked().len();
    let said = eddy(&["check", "--offline", &file], 0);
    assert!(said.contains("not asked (--offline)"), "{said}");
    assert_eq!(registry.asked().len(), asked);
}

#[test]
fn a_registry_format_without_a_registry_is_a_problem_of_the_file() {
    let stage = stage("no-registry", "http://127.0.0.1:1");
    let text = std::fs::read_to_string(stage.file()).expect("it is there");
    let start = text.find("[registry]").expect("the table");
    let end = text.find("[events]").expect("the table");
    std::fs::write(stage.file(), format!("{}{}", &text[..start], &text[end..])).expect("it can be written");
    let said = eddy(&["run", &stage.file().display().to_string()], CONFIGURATION);
    assert!(said.contains("[registry]") && said.contains("events.format"), "{said}");
}

#[test]
fn what_was_framed_is_read_back_scored_again_and_tested_as_json() {
    let url = Apicurio::shared().url();
    let stage = stage("framed-commands", &url);
    let client = eddy_broker::registry::SchemaRegistry::start(super::client::settings(json!({ "url": url })));
    let client = client.expect("there is a thread");
    let kind = eddy_pipeline::decode::SchemaKind::Avro;
    let id = client
        .number("framed-commands-events-value", kind, SCHEMA, true)
        .expect("it is taken");
    let events: Vec<Event> = (0..200).map(|number| event(id, number)).collect();
    stage.send(&events);
    let outputs = stage.run(BINARY, &[]);
    assert_eq!(outputs.predictions.len(), 200);
    assert!(outputs.samples.len() > 20, "{}", outputs.samples.len());
    let file = stage.file().display().to_string();

    let told = eddy(&["why", &file, "e-7", "--json"], 0);
    let story: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(story["events"][0]["fields"]["features"], json!([7.0, 1.0]), "{told}");
    assert_eq!(story["events"][0]["fields"]["note"], "x", "{told}");
    let told = eddy(&["why", &file, "framed-commands-events/0/8", "--json"], 0);
    let story: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(story["events"][0]["fields"]["note"], Value::Null, "{told}");

    let table = stage.file().with_file_name("week.csv").display().to_string();
    eddy(&["samples", &file, "--since", "1d", "--out", &table], 0);
    let rows = std::fs::read_to_string(&table).expect("it is there");
    assert_eq!(rows.lines().count(), 1 + outputs.samples.len(), "{rows}");
    for sample in &outputs.samples {
        let id = sample.header("eddy.id").expect("an id");
        let row = rows.lines().find(|row| row.split(',').any(|cell| cell == id));
        let number: u8 = id[2..].parse().expect("a number");
        let features = format!("[{}", number % 10);
        assert!(row.is_some_and(|row| row.contains(&features)), "{id} in {rows}");
    }

    let told = eddy(&["replay", &file, "--from", "1d", "--json"], 0);
    let report: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(
        (&report["read"], &report["sides"][0]["scored"]),
        (&json!(200), &json!(200)),
        "{told}"
    );

    // The tests beside the pipeline are JSON, and ask nobody.
    let beside = |name: &str, text: &str| std::fs::write(stage.file().with_file_name(name), text).expect("room");
    beside("events.jsonl", "{\"id\":\"a\",\"features\":[3,1],\"note\":null}\n");
    let away = stage.file().with_file_name("away.toml");
    let text = std::fs::read_to_string(stage.file()).expect("it is there");
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    std::fs::write(&away, text.replace(&url, &nowhere)).expect("room");
    let away = away.display().to_string();
    let said = eddy(&["test", &away, "--update"], 0);
    assert!(said.contains("no registry is asked"), "{said}");
    eddy(&["test", &away], 0);

    // What needs a schema says so, and does not take the event for bad.
    for words in [
        &["why", &away, "framed-commands-events/0/8"][..],
        &["replay", &away, "--from", "1d"],
    ] {
        let said = eddy(words, UNREACHABLE);
        assert!(
            said.contains(&format!("schema {id} of an event is not to be had")),
            "{said}"
        );
    }
}
