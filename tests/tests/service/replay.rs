//! A span of the stream once more, beside a replica that runs: nothing of Kafka moves, and the report is what arithmetic says.

use std::sync::atomic::AtomicBool;

use eddy::cli::ReplayArguments;
use eddy::compare::{self, Error};
use eddy_tests::stage::{Event, Plan, Stage};
use serde_json::Value;

use super::{eddy, file, json, succeeds};
use crate::{BINARY, EXACTLY_ONCE};

/// Events of the test; `make test-slow` takes more.
const EVENTS: usize = if cfg!(feature = "slow") { 100_000 } else { 20_000 };

/// A model that doubles three numbers, which are logits of three classes.
const DOUBLE: &str = r#"
[events]
id_field = "/id"

[fields.features]
type = "vector"
length = 3
pointer = "/a"

[[models]]
name = "double"
path = "{models}/two_outputs.onnx"
head = { type = "classification", from = "logits", output = "doubled", classes = ["x", "y", "z"] }

[select]
confidence_below = 0.5
"#;

/// The numbers of an event in both versions; every tenth has none in the second.
fn numbers(number: usize) -> ([f32; 3], Option<[f32; 3]>) {
    let mut random = fastrand::Rng::with_seed(number as u64);
    let mut three = |by: f32| [(); 3].map(|()| (random.f32() - 0.5) * by);
    let (a, change) = (three(4.0), three(1.0));
    let b = [a[0] + change[0], a[1] + change[1], a[2] + change[2]];
    (a, (number % 10 != 3).then_some(b))
}

fn event(number: usize) -> Event {
    let (a, b) = numbers(number);
    let second = b.map_or_else(String::new, |b| format!(",\"b\":{b:?}"));
    Event::new(format!(r#"{{"id":"<i>{number}</i>","a":{a:?}{second}}}"#)).at((number % 3) as i32)
}

/// A topic with events and two pipelines over it, the second of which reads the other numbers.
fn two_versions(name: &str, events: usize) -> (Stage, String) {
    let stage = Stage::new(&Plan {
        name,
        guarantee: EXACTLY_ONCE,
        partitions: 3,
        limits: &[],
        text: DOUBLE,
    });
    let text = std::fs::read_to_string(stage.file()).expect("the file is there");
    let other = stage.file().with_file_name("other.toml");
    std::fs::write(&other, text.replace("\"/a\"", "\"/b\"")).expect("the folder takes a file");
    stage.send(&(0..events).map(event).collect::<Vec<_>>());
    (stage, other.display().to_string())
}

/// Everything that a replay must leave as it is.
fn offsets(stage: &Stage) -> (Vec<Vec<i64>>, Vec<Option<i64>>, usize) {
    let topics = ["events", "predictions", "retraining", "dead-letters"];
    let ends = topics.map(|topic| stage.kafka().end_offsets(&stage.topic(topic)));
    let committed = stage.kafka().committed(&stage.group(), &stage.topic("events"));
    (ends.to_vec(), committed, stage.kafka().members(&stage.group()))
}

#[test]
fn a_replay_beside_a_running_replica_moves_nothing_and_tells_what_arithmetic_says() {
    let (stage, other) = two_versions("replay", EVENTS);
    let mut replica = stage.start(BINARY, &[]);
    stage.wait_for_end(&mut replica);
    let before = offsets(&stage);
    let page = stage.file().with_file_name("report.html").display().to_string();
    let file = file(&stage);
    let words = [
        "replay",
        &file,
        "--from",
        "1h",
        "--against",
        &other,
        "--json",
        "--html",
        &page,
    ];
    let report = json(&succeeds(&words));
    assert!(replica.is_running(), "{}", replica.log());
    assert_eq!(offsets(&stage), before, "offsets, ends and members of the group");
    assert_eq!(replica.terminate().code(), Some(0));

    let class = |numbers: [f32; 3]| (0..3).fold(0, |best, at| if numbers[at] > numbers[best] { at } else { best });
    let pairs: Vec<(usize, usize)> = (0..EVENTS)
        .filter_map(|number| {
            let (a, b) = numbers(number);
            Some((class(a), class(b?)))
        })
        .collect();
    assert_eq!(report["read"], EVENTS);
    assert_eq!(report["sides"][0]["scored"], EVENTS);
    assert_eq!(
        report["sides"][1]["dead_letters"]["missing_field"],
        EVENTS - pairs.len()
    );
    let changed = pairs.iter().filter(|(a, b)| a != b).count();
    assert!(changed > 100, "{changed}");
    assert_eq!(report["pair"]["changed"]["count"], changed);
    for row in report["pair"]["decisions"].as_array().expect("a table") {
        let at = |name: &Value| ["x", "y", "z"].iter().position(|class| name == class).expect("a class");
        let cell = (at(&row["first"]), at(&row["second"]));
        assert_eq!(
            row["count"],
            pairs.iter().filter(|pair| **pair == cell).count(),
            "{row}"
        );
    }
    let furthest = &report["pair"]["top"][0]["event"];
    let place = furthest["place"].as_str().expect("a place");
    assert!(place.starts_with(&format!("{}/", stage.topic("events"))), "{place}");
    let page = std::fs::read_to_string(page).expect("the page is there");
    assert!(
        page.contains("&lt;i&gt;") && !page.contains("<i>"),
        "ids of events are text"
    );
}

#[test]
fn a_replay_of_a_topic_goes_on_after_each_stop_and_ends_as_one_that_was_not_stopped() {
    let (stage, other) = two_versions("replay-resume", 2_500);
    let mut arguments = ReplayArguments {
        topic: None,
        pipeline: stage.file(),
        from: Some("1h".parse().expect("a span")),
        to: None,
        data: None,
        against: Some(other.into()),
        model: None,
        html: None,
        json: true,
        rows: None,
        resume: None,
    };
    let whole = compare::run(&arguments, Vec::new(), &AtomicBool::new(false)).expect("a report");
    arguments.resume = Some(stage.file().with_file_name("state.json"));
    let (mut stops, mut seen) = (0, 0);
    let resumed = loop {
        match compare::run(&arguments, Vec::new(), &AtomicBool::new(true)) {
            Err(Error::Stopped { read, .. }) => {
                assert!(read > seen, "each run goes on");
                (stops, seen) = (stops + 1, read);
                // What comes in later is no part of the span that was begun.
                stage.send(&[event(0)]);
            }
            other => break other.expect("a report"),
        }
    };
    assert!(stops >= 2, "2,500 events are several chunks: {stops}");
    let mut reports = [json(&whole), json(&resumed)];
    for report in &mut reports {
        // An hour back from two moments.
        report["source"].take();
    }
    let [whole, resumed] = reports;
    assert_eq!(resumed, whole);
}

#[test]
fn a_span_without_events_is_no_report() {
    let (stage, _) = two_versions("replay-empty", 1);
    let file = file(&stage);
    let (code, said, why) = eddy(&["replay", &file, "--from", "2020-01-01", "--to", "2020-01-02"]);
    assert_eq!((code, said.as_str()), (Some(64), ""), "{why}");
    assert!(
        why.contains("there are no events on") && why.contains("2020-01-02"),
        "{why}"
    );
    let (code, _, why) = eddy(&["replay", &file, "--from", "2020-01-02", "--to", "2020-01-01"]);
    assert!(
        code == Some(64) && why.contains("--from") && why.contains("swap"),
        "{why}"
    );
}
