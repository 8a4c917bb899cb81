//! What is read back from the topics: one event's story, samples as a table, records sent again.

mod redrive;
mod replay;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use eddy_tests::kafka::Message;
use eddy_tests::service::said;
use eddy_tests::stage::{Event, MLP, Plan, Stage, by_id};
use serde_json::Value;

use crate::{BINARY, EXACTLY_ONCE};

/// A model of 32 features, of whose events a part is selected by arms that share a budget.
fn with_budget() -> String {
    format!("[events]\nid_field = \"/id\"\ntime_field = \"/at\"\n{MLP}\n[select]\nfraction = 0.3\n")
}

const EVENTS: usize = 3000;

/// The event of this number: features that look drawn, and are the same each time.
fn event(number: usize) -> Event {
    let mut state = number as u64;
    let mut feature = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as f64 / f64::from(1u32 << 31) - 0.5) * 4.0
    };
    let features: Vec<f64> = (0..32).map(|_| feature()).collect();
    Event::new(format!(
        r#"{{"id":"e-{number}","at":"2026-05-01T12:00:00.{:03}Z","features":{features:?}}}"#,
        number % 1000
    ))
    .keyed(format!("key-{number}"))
    .header("tenant", "north")
}

/// What the program says with these words, and its exit code.
fn eddy(words: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(BINARY).args(words).output();
    let output = output.expect("the program under test was built with the tests");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it speaks UTF-8");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[track_caller]
pub(crate) fn succeeds(words: &[&str]) -> String {
    let output = Command::new(BINARY).args(words).output();
    let output = output.expect("the program under test was built with the tests");
    said(&output, 0);
    String::from_utf8(output.stdout).expect("it speaks UTF-8")
}

fn ids(messages: &[Message]) -> BTreeSet<&str> {
    messages
        .iter()
        .filter_map(|message| message.header("eddy.id"))
        .collect()
}

pub(crate) fn file(stage: &Stage) -> String {
    stage.file().display().to_string()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn an_event_is_told_as_it_came_and_what_became_of_it_and_samples_are_a_table() {
    let stage = Stage::new(&Plan {
        name: "recall",
        guarantee: EXACTLY_ONCE,
        partitions: 3,
        limits: &[],
        text: &with_budget(),
    });
    let bad = Event::new(r#"{"id":"bad","features":[1]}"#);
    stage.send(
        &(0..EVENTS)
            .map(|number| event(number).at(number as i32 % 3))
            .chain([bad])
            .collect::<Vec<_>>(),
    );
    let outputs = stage.run(BINARY, &[]);
    let samples = by_id(&outputs.samples);
    assert!(
        !samples.is_empty(),
        "a budget of 30 % selects something of {EVENTS} events"
    );
    let file = file(&stage);

    let by_control = outputs.samples.iter().find(|sample| {
        let selection = json(sample.header("eddy.selection").expect("a sample says why"));
        selection[0]["arms"]
            .as_array()
            .is_some_and(|arms| arms.contains(&"explore".into()))
    });
    a_selected_event(&file, by_control.expect("the control arm selects some of so many"));
    let unselected = (0..EVENTS).map(|number| format!("e-{number}"));
    let unselected = unselected.into_iter().find(|id| !samples.contains_key(id.as_str()));
    an_event_that_was_not_selected(&file, &unselected.expect("30 % are not all"));

    let story = json(&succeeds(&["why", &file, "bad", "--json"]));
    assert_eq!(story["dead_letters"][0]["reason"], "wrong_shape", "{story}");
    assert!(story["events"][0]["rejection"].is_string(), "{story}");

    let unknown = succeeds(&["why", &file, "no-such-event", "--since", "1h"]);
    assert!(unknown.starts_with("nothing was found of `no-such-event`"), "{unknown}");
    for topic in ["events", "predictions", "retraining", "dead-letters"] {
        assert!(
            unknown.contains(&format!("{}  from 2", stage.topic(topic))),
            "{unknown}"
        );
    }

    the_samples_are_a_table(&stage, &samples);
}

fn a_selected_event(file: &str, sample: &Message) {
    let id = sample.header("eddy.id").expect("a sample has an id");
    let by_its_id = succeeds(&["why", file, id, "--json"]);
    let source = sample.header("eddy.source").expect("a sample has a source");
    let by_its_place = succeeds(&["why", file, source, "--json"]);
    let (story, again) = (json(&by_its_id), json(&by_its_place));
    for part in ["id", "events", "predictions", "samples", "control_draw"] {
        assert_eq!(story[part], again[part], "{part}");
    }
    assert_eq!(
        (&story["id"], &story["events"][0]["place"]),
        (&Value::from(id), &Value::from(source))
    );
    assert_eq!(
        story["events"][0]["fields"]["features"].as_array().map(Vec::len),
        Some(32)
    );
    let time = story["events"][0]["event_time"].as_str().unwrap_or_default();
    assert!(time.starts_with("2026-05-01T12:00:00."), "{time}");
    let probability: f64 = sample
        .header("eddy.probability")
        .and_then(|text| text.parse().ok())
        .expect("a number");
    assert_eq!(story["samples"][0]["probability"].as_f64(), Some(probability));
    let model = &story["predictions"][0]["prediction"]["models"]["mlp"];
    assert!(
        model["version"].is_string() && model["signals"]["margin"].is_number(),
        "{model}"
    );
    // The control arm's draw is the same for an id wherever it is worked out.
    let mut draws = story["predictions"][0]["prediction"]["draws"]
        .as_array()
        .into_iter()
        .flatten();
    let control = draws.find(|draw| draw["arm"] == "explore");
    let control = control.unwrap_or_else(|| panic!("the control arm selected it: {story}"));
    assert_eq!(control["draw"], story["control_draw"], "{story}");

    let told = succeeds(&["why", file, id]);
    for part in [
        "came in at",
        "predicted, at",
        "selected for a label, at",
        "mlp 1:",
        "signals: ",
        "inclusion probability",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

fn an_event_that_was_not_selected(file: &str, id: &str) {
    let told = succeeds(&["why", file, id]);
    assert!(
        told.contains("predicted, at") && !told.contains("selected for a label"),
        "{told}"
    );
    assert!(told.contains("not selected: "), "{told}");
}

fn the_samples_are_a_table(stage: &Stage, samples: &BTreeMap<&str, &Message>) {
    let file = file(stage);
    let folder = stage.file().parent().expect("a folder").to_owned();
    let [csv, parquet] = ["week.csv", "week.parquet"].map(|name| folder.join(name).display().to_string());
    let report = succeeds(&["samples", &file, "--since", "1h", "--out", &csv]);
    assert!(
        report.contains(&format!("{} rows", samples.len())) && report.contains("explore"),
        "{report}"
    );
    let table = std::fs::read_to_string(&csv).expect("the table is there");
    let mut lines = table.lines();
    let header: Vec<&str> = lines.next().expect("a line of names").split(',').collect();
    for name in [
        "eddy_id",
        "eddy_weight",
        "features",
        "eddy_mlp:label",
        "eddy_mlp:score:margin",
        "eddy_mlp:sha256",
    ] {
        assert!(header.contains(&name), "{name}: {header:?}");
    }
    let found: BTreeSet<&str> = lines.map(|line| line.split(',').next().unwrap_or_default()).collect();
    assert_eq!(found, samples.keys().copied().collect());
    assert!(table.contains(",2026-05-01T12:00:00"), "the event's own time is in it");

    succeeds(&["samples", &file, "--out", &parquet]);
    let bytes = std::fs::read(&parquet).expect("the table is there");
    assert_eq!((&bytes[..4], &bytes[bytes.len() - 4..]), (&b"PAR1"[..], &b"PAR1"[..]));
    let (code, _, why) = eddy(&["samples", &file, "--out", &parquet]);
    assert_eq!(code, Some(64), "{why}");
    let report = succeeds(&[
        "samples",
        &file,
        "--out",
        &parquet,
        "--force",
        "--since",
        "2020-01-01",
        "--until",
        "2020-01-02",
    ]);
    assert!(report.contains("week.parquet: 0 rows"), "{report}");
}

#[test]
fn a_profile_that_is_recorded_from_the_stream_is_that_of_the_same_events_in_a_file() {
    const COUNT: usize = 1600;
    let stage = Stage::new(&Plan {
        name: "profile-topic",
        guarantee: EXACTLY_ONCE,
        partitions: 1,
        limits: &[],
        text: &with_budget(),
    });
    let events: Vec<Event> = (0..COUNT).map(event).collect();
    stage.send(&events);
    let file = file(&stage);
    let path = |name: &str| stage.file().with_file_name(name).display().to_string();
    let (data, of_file, of_topic, of_part) = (path("e.jsonl"), path("f.json"), path("t.json"), path("p.json"));
    let lines: Vec<&[u8]> = events.iter().filter_map(|event| event.value.as_deref()).collect();
    std::fs::write(&data, lines.join(&b'\n')).expect("the stage's folder takes a file");

    succeeds(&["profile", &file, "--data", &data, "--out", &of_file]);
    let said = succeeds(&["profile", &file, "--since", "1h", "--out", &of_topic]);
    assert!(said.contains("rows         1600"), "{said}");
    let read = |path: &str| json(&std::fs::read_to_string(path).expect("the profile is there"));
    let (mut recorded, mut expected) = (read(&of_topic), read(&of_file));
    assert_eq!(
        (&recorded["source"], &expected["source"]),
        (&"recorded".into(), &"data".into())
    );
    for profile in [&mut recorded, &mut expected] {
        let members = profile.as_object_mut().expect("a profile is an object");
        members.retain(|name, _| name != "source" && name != "created");
    }
    assert_eq!(recorded, expected);

    let said = succeeds(&["profile", &file, "--since", "1h", "--rows", "1200", "--out", &of_part]);
    assert!(said.contains("rows         1200"), "{said}");
    let (code, _, why) = eddy(&[
        "profile",
        &file,
        "--since",
        "2020-01-01",
        "--until",
        "2020-01-02",
        "--out",
        &of_part,
    ]);
    assert_eq!((code, why.trim()), (Some(78), "there are no rows to score"));
    let (code, _, why) = eddy(&["profile", &file, "--since", "1d", "--until", "2d"]);
    assert_eq!(code, Some(64), "{why}");
}
