//! What is written today, held against what the first version wrote: whoever reads format 1 reads this as well.
//!
//! More headers and members may have come since, since readers ignore what they do not know; none may have gone or changed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use eddy_tests::kafka::Message;
use eddy_tests::service::wait_for;
use eddy_tests::stage::{Event, MLP, Stage};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use serde_json::{Value, json};

use super::recall::{file, succeeds};
use crate::{BINARY, EXACTLY_ONCE, stage};

/// How far numbers of the model may differ from those of another processor.
const TOLERANCE: f64 = 1e-4;

/// What differs from machine to machine, and what is a sentence for people.
const LOOSE: [&str; 2] = ["eddy.config", "eddy.detail"];

fn frozen(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/frozen/format-1");
    let text = std::fs::read(folder.join(name)).expect("the frozen files are there");
    serde_json::from_slice(&text).expect("they are JSON")
}

/// A record as the frozen files have it.
fn shown(message: &Message) -> Value {
    let text = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let headers: Vec<_> = message
        .headers
        .iter()
        .map(|(name, value)| json!([name, text(value)]))
        .collect();
    json!({ "key": text(&message.key), "headers": headers, "value": text(&message.value) })
}

/// That everything frozen is there today.
#[track_caller]
fn holds(place: &str, frozen: &Value, today: &Value) {
    match (frozen, today) {
        (Value::Object(members), Value::Object(_)) => {
            for (name, member) in members.iter().filter(|(name, _)| *name != "time") {
                holds(&format!("{place}.{name}"), member, &today[name]);
            }
        }
        (Value::Array(items), Value::Array(others)) if items.len() == others.len() => {
            for (number, (item, other)) in items.iter().zip(others).enumerate() {
                holds(&format!("{place}[{number}]"), item, other);
            }
        }
        (Value::Number(number), Value::Number(other)) => {
            let (number, other) = (number.as_f64().expect("a number"), other.as_f64().expect("a number"));
            assert!(
                (number - other).abs() <= TOLERANCE * number.abs().max(1.0),
                "{place}: {number} is {other}"
            );
        }
        _ => assert_eq!(frozen, today, "{place}"),
    }
}

/// The same for a record: headers in their order, structured ones and the value as JSON where they are.
#[track_caller]
fn record_holds(name: &str, today: &Message, is_json: bool) {
    let (frozen, today) = (frozen(name), shown(today));
    let headers = |record: &Value| -> Vec<(String, Value)> {
        let headers = record["headers"].as_array().expect("headers").iter();
        headers
            .map(|header| (header[0].as_str().expect("a name").to_owned(), header[1].clone()))
            .collect()
    };
    let parsed = |text: &Value| -> Value {
        let text = text.as_str().expect("text");
        serde_json::from_str(text).unwrap_or_else(|_| json!(text))
    };
    let all = headers(&today);
    let mut left = all.iter();
    for (header, value) in headers(&frozen) {
        let same = left.find(|(other, _)| *other == header);
        let (_, other) = same.unwrap_or_else(|| panic!("{name}: no header {header}, or in another order: {all:?}"));
        match header.as_str() {
            loose if LOOSE.contains(&loose) => assert!(other.is_string(), "{name}: {header}"),
            "eddy.selection" => holds(&header, &parsed(&value), &parsed(other)),
            _ => assert_eq!(*other, value, "{name}: {header}"),
        }
    }
    assert_eq!(frozen["key"], today["key"], "{name}");
    match is_json {
        true => holds(name, &parsed(&frozen["value"]), &parsed(&today["value"])),
        false => assert_eq!(frozen["value"], today["value"], "{name}"),
    }
}

/// What stands beside the committed offset of partition 0.
fn note(stage: &Stage, group: &str, topic: &str) -> Value {
    let mut config = stage.kafka().client();
    config.set("group.id", group).set("isolation.level", "read_uncommitted");
    let consumer: BaseConsumer = config.create().expect("a consumer can be made");
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition(topic, 0);
    let found = consumer
        .committed_offsets(wanted, Duration::from_secs(30))
        .expect("Kafka answers");
    let text = found.elements()[0].metadata().to_owned();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn decorated(value: String, id: &str) -> Event {
    Event::new(value)
        .keyed("k-1")
        .named(id)
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .header("ce_type", "camera.picture")
        .header("tenant", "north")
}

#[test]
fn outputs_and_the_notes_of_jobs_are_as_in_format_1() {
    let text = format!(
        "[events]\ntime_field = \"/at\"\ntime_unit = \"ms\"\npass_through = [\"/customer\"]\n{MLP}signals = [\"margin\", \
         \"entropy\"]\n\n[select]\nconfidence_below = 1.0\n"
    );
    let stage = stage("frozen", EXACTLY_ONCE, &text);
    let good = format!(r#"{{"features":{:?},"at":1777593600000,"customer":"c-7"}}"#, [0.25; 32]);
    let bad = format!("{good} and more");
    stage.send(&[decorated(good, "e-1"), decorated(bad, "e-2")]);
    let outputs = stage.run(BINARY, &[]);
    let job = ["redrive", &file(&stage), "--from", "dead_letters", "--job", "fix-1"];
    stage.kafka().create_topic(&stage.topic("again"), 1, &[]);
    succeeds(&[&job[..], &["--to", &stage.topic("again")]].concat());

    record_holds("prediction.json", &outputs.predictions[0], true);
    record_holds("sample.json", &outputs.samples[0], false);
    record_holds("dead-letter.json", &outputs.dead_letters[0], false);
    let note = note(&stage, "eddy-frozen-redrive-fix-1", &stage.topic("dead-letters"));
    holds("note", &frozen("job-note.json"), &note);
}

#[test]
fn a_replica_tells_of_old_names_in_its_log_and_by_a_metric() {
    let text = format!("{}max_bytes = \"1 GiB\"\n\n[dead_letters]\nwindow = 500\n", MLP);
    let stage = stage("frozen-names", EXACTLY_ONCE, &text);
    let today = std::fs::read_to_string(stage.file()).expect("it was written just now");
    std::fs::write(stage.file(), today.replacen("format = 2", "format = 1", 1)).expect("the folder takes a file");
    let mut replica = stage.start(BINARY, &[]);
    let page = wait_for("the page of metrics", || replica.get("/metrics"));
    assert!(
        page.contains("eddy_deprecated_keys{pipeline=\"frozen-names\"} 2\n"),
        "{page}"
    );
    let log = replica.log();
    for names in [
        "`models[0].max_bytes` is called `models[0].max_file_bytes`",
        "`dead_letters.window` is called `dead_letters.window_events`",
    ] {
        assert_eq!(log.matches(names).count(), 1, "{log}");
    }
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
}

#[test]
fn the_note_of_a_budget_has_the_members_of_format_1() {
    let text = format!("{MLP}\n[select]\nfraction = 0.5\nshares = {{ explore = 0.5, uncertainty = 0.5 }}\n");
    let stage = stage("frozen-note", EXACTLY_ONCE, &text);
    let events = (0..20).map(|number| Event::new(format!(r#"{{"features":{:?}}}"#, [f64::from(number) / 10.0; 32])));
    stage.send(&events.collect::<Vec<_>>());
    stage.run(BINARY, &[]);
    let members = |note: &Value| -> BTreeMap<String, &'static str> {
        let kind = |value: &Value| match value {
            Value::Number(_) => "number",
            Value::Object(_) => "object",
            _ => "other",
        };
        let members = note.as_object().expect("an object").iter();
        members.map(|(name, value)| (name.clone(), kind(value))).collect()
    };
    let (frozen, today) = (
        frozen("budget-note.json"),
        note(&stage, "eddy-frozen-note", &stage.topic("events")),
    );
    assert_eq!(frozen["format"], today["format"]);
    for (name, kind) in members(&frozen) {
        assert_eq!(members(&today).get(&name), Some(&kind), "{name}: {today}");
    }
    let levels =
        |note: &Value| -> Vec<String> { note["levels"].as_object().expect("levels").keys().cloned().collect() };
    assert_eq!(levels(&frozen), levels(&today));
}
