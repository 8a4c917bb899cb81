//! The admin pages, the end on SIGTERM, and the lanes of one replica.

use std::collections::{BTreeMap, BTreeSet};

use eddy_telemetry::catalogue::{self, Kind, Metric, Values};
use eddy_tests::oracle::Outputs;
use eddy_tests::service::{Replica, wait_for};
use eddy_tests::stage::{Event, Plan, Stage, by_id};
use serde_json::Value;

use crate::{AT_LEAST_ONCE, BINARY, EXACTLY_ONCE, PICK, stage};

fn json(text: Option<String>) -> Value {
    serde_json::from_str(&text.expect("the page answers")).expect("the page is JSON")
}

/// `/status` once so many events are in it and none is under way; it is written between batches.
pub(crate) fn closed_books(replica: &Replica, events: usize) -> Value {
    wait_for("the books to be closed", || {
        let status = replica.status()?;
        let book = &status["events"];
        (book["consumed"] == events && book["in_flight"] == 0).then_some(status)
    })
}

#[track_caller]
fn assert_balanced(status: &Value, events: usize) {
    let book = &status["events"];
    let count = |name: &str| book[name].as_u64().unwrap_or_else(|| panic!("no {name}: {status}")) as usize;
    assert_eq!(
        count("consumed"),
        count("predicted") + count("dead_lettered") + count("abandoned") + count("in_flight"),
        "{status}"
    );
    assert_eq!((count("consumed"), count("in_flight")), (events, 0), "{status}");
    assert_eq!(book["balanced"], true, "{status}");
}

/// The samples of a scrape: name and labels, as they stand there, and the value.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let parsed = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value in `{line}`"));
        let number = match value {
            "+Inf" => f64::INFINITY,
            value => value.parse().unwrap_or_else(|_| panic!("no number in `{line}`")),
        };
        (series.to_owned(), number)
    });
    parsed.collect()
}

fn metric_of(series: &str) -> &'static Metric {
    let name = series.split('{').next().unwrap();
    let parts = ["_bucket", "_sum", "_count"];
    let is = |metric: &&Metric| match metric.kind {
        Kind::Histogram { .. } => parts.iter().any(|part| name.strip_suffix(part) == Some(metric.name)),
        _ => metric.name == name,
    };
    catalogue::ALL
        .iter()
        .find(is)
        .unwrap_or_else(|| panic!("`{series}` is not in the catalogue"))
}

/// Every label of a series is one that the catalogue gives its metric, with an allowed value.
fn assert_labels(series: &str, metric: &Metric) {
    let Some((_, labels)) = series.split_once('{') else {
        panic!("`{series}` does not say its pipeline");
    };
    let labels = labels
        .strip_suffix('}')
        .unwrap_or_else(|| panic!("`{series}` is cut off"));
    for label in labels.split(',') {
        let (name, value) = label.split_once('=').unwrap_or_else(|| panic!("`{series}`: {label}"));
        let value = value.trim_matches('"');
        if name == "pipeline" || (name == "le" && matches!(metric.kind, Kind::Histogram { .. })) {
            continue;
        }
        let known = metric.labels.iter().find(|label| label.name == name);
        let known = known.unwrap_or_else(|| panic!("`{series}` has a label that the catalogue does not give it"));
        if let Values::Closed(words) = known.values {
            assert!(
                words().contains(&value),
                "`{series}`: `{value}` is not one of the closed set"
            );
        }
    }
}

#[test]
fn the_pages_answer_and_metrics_are_those_of_the_catalogue() {
    let stage = stage("pages", EXACTLY_ONCE, PICK);
    let mut events: Vec<Event> = (0..90).map(|n| Event::pair(f64::from(n % 10), 1.0)).collect();
    events.extend((0..10).map(|_| Event::new("no JSON")));
    stage.send(&events);
    let mut replica = stage.start(BINARY, &[]);
    wait_for("the service to be ready", || {
        assert!(replica.is_running(), "{}", replica.log());
        let code = replica.code("/ready");
        let status = replica.status();
        // Asked in this order: once it is ready, the models must be there.
        if code == Some(200) {
            assert_eq!(status.as_ref().unwrap()["models"][0]["name"], "pick");
        }
        (code == Some(200)).then_some(())
    });
    stage.wait_for_end(&mut replica);
    assert_eq!(replica.code("/live"), Some(200));
    assert_eq!(
        json(replica.get("/ready")),
        serde_json::json!({"ready": true, "causes": []})
    );
    assert_eq!(replica.code("/nowhere"), Some(404));

    let status = closed_books(&replica, 100);
    assert_balanced(&status, 100);
    assert_eq!((&status["pipeline"], &status["ready"]), (&"pages".into(), &true.into()));
    assert_eq!(status["lanes"][0]["partitions"], serde_json::json!([0]));

    let text = replica.get("/metrics").unwrap();
    let samples = samples(&text);
    for series in samples.keys() {
        assert_labels(series, metric_of(series));
    }
    let described = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let described: BTreeSet<&str> = described.map(|line| line.split(' ').next().unwrap()).collect();
    assert!(
        samples.keys().all(|series| described.contains(metric_of(series).name)),
        "{text}"
    );
    let sum = |name: &str| -> f64 {
        let of_name = samples
            .iter()
            .filter(|(series, _)| series.starts_with(&format!("{name}{{")));
        of_name.map(|(_, value)| value).sum()
    };
    assert_eq!(sum("eddy_events_consumed_total"), 100.0, "{text}");
    assert_eq!(sum("eddy_events_predicted_total"), 90.0, "{text}");
    assert_eq!(sum("eddy_events_dead_lettered_total"), 10.0, "{text}");
    assert_eq!(sum("eddy_ready"), 1.0, "{text}");
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
}

/// Each run of this model takes a third of a millisecond or more for each of its events.
const SLOW: &str = r#"
[fields.features]
type = "vector"
length = 2

[[models]]
name = "slow"
path = "{models}/slow.onnx"
max_rows = 16
head = { type = "regression" }

[checkpoint]
interval = "50ms"
"#;

fn drains_under_load(name: &str, guarantee: &str) {
    const EVENTS: usize = 4000;
    let stage = stage(name, guarantee, SLOW);
    let events = (0..EVENTS).map(|n| Event::pair(3.0, n as f64).named(&n.to_string()));
    stage.send(&events.collect::<Vec<_>>());
    let mut replica = stage.start(BINARY, &[]);
    wait_for("some events to be committed", || {
        assert!(replica.is_running(), "{}", replica.log());
        (stage.committed() > 0).then_some(())
    });
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());

    let done = stage.committed() as usize;
    assert!(done < EVENTS, "it was asked to end while there was work left");
    assert_eq!(stage.lag() as usize, EVENTS - done);
    let Outputs { predictions, .. } = stage.outputs();
    let offsets: Vec<usize> = predictions
        .iter()
        .map(|message| message.header("eddy.id").unwrap().parse().unwrap())
        .collect();
    assert_eq!(
        offsets,
        (0..done).collect::<Vec<_>>(),
        "what was written is what was committed, in order"
    );

    let outputs = stage.run(BINARY, &[]);
    assert_eq!(
        by_id(&outputs.predictions).len(),
        EVENTS,
        "the next run does the rest, and nothing twice"
    );
    assert!(outputs.dead_letters.is_empty());
}

#[test]
fn exactly_once_sigterm_under_load_commits_what_was_taken_and_ends_with_0() {
    drains_under_load("drain-eos", EXACTLY_ONCE);
}

#[test]
fn at_least_once_sigterm_under_load_commits_what_was_taken_and_ends_with_0() {
    drains_under_load("drain-alo", AT_LEAST_ONCE);
}

#[test]
fn two_lanes_of_one_replica_share_the_partitions() {
    let stage = Stage::new(&Plan {
        name: "lanes",
        guarantee: EXACTLY_ONCE,
        partitions: 4,
        limits: &[],
        text: PICK,
    });
    let mut replica = stage.start(BINARY, &[("EDDY__KAFKA__LANES", "2")]);
    let held = |status: &Value| -> Vec<usize> {
        let lanes = status["lanes"].as_array().cloned().unwrap_or_default();
        lanes
            .iter()
            .map(|lane| lane["partitions"].as_array().unwrap().len())
            .collect()
    };
    wait_for("two partitions for each lane", || {
        assert!(replica.is_running(), "{}", replica.log());
        replica.status().filter(|status| held(status) == [2, 2])
    });
    let events = (0..400).map(|n| Event::pair(f64::from(n % 10), 1.0).named(&n.to_string()).at(n % 4));
    stage.send(&events.collect::<Vec<_>>());
    stage.wait_for_end(&mut replica);
    let status = closed_books(&replica, 400);
    assert_balanced(&status, 400);
    let by_lane = status["lanes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lane| lane["events"]["predicted"].clone());
    assert_eq!(by_lane.collect::<Vec<_>>(), [200, 200], "each lane did its share");
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());
    assert_eq!(by_id(&stage.outputs().predictions).len(), 400);
}

#[test]
fn a_second_sigterm_ends_a_service_at_once_that_is_still_draining_and_its_event_is_done_again() {
    let text = r#"
[fields.features]
type = "vector"
length = 2

[[models]]
name = "slow"
path = "{models}/slow.onnx"
max_rows = 8
head = { type = "regression" }
"#;
    let stage = stage("impatient", EXACTLY_ONCE, text);
    let patient = [("EDDY__BATCH__RUN_LIMIT", "1h"), ("EDDY__DRAIN__DEADLINE", "1h")];
    let mut replica = stage.start(BINARY, &patient);
    stage.send(&[Event::pair(0.0, 1.0).named("quick")]);
    stage.wait_for_end(&mut replica);
    let before = replica.ticks_of("lane-0");
    // Five minutes of work, when nothing else runs.
    stage.send(&[Event::pair(1e6, 1.0).named("slow")]);
    wait_for("the model to be at work", || {
        (replica.ticks_of("lane-0") > before + 50).then_some(())
    });
    assert!(replica.signal("TERM"), "it had ended: {}", replica.log());
    wait_for("the drain", || replica.log().contains("drain number=1").then_some(()));
    // Signals of the same second are one wish; one of these is another.
    wait_for("the end", || {
        assert!(replica.signal("TERM"), "it had ended: {}", replica.log());
        (!replica.is_running()).then_some(())
    });
    assert_eq!(replica.wait().code(), Some(76), "{}", replica.log());
    assert_eq!(stage.committed(), 1);

    let outputs = stage.run(
        BINARY,
        &[
            ("EDDY__BATCH__RUN_LIMIT", "2s"),
            ("EDDY__DEAD_LETTERS__FLOOD_SHARE", "1.0"),
        ],
    );
    assert_eq!(by_id(&outputs.predictions).into_keys().collect::<Vec<_>>(), ["quick"]);
    let dead = by_id(&outputs.dead_letters);
    assert_eq!(dead["slow"].header("eddy.reason"), Some("model_timeout"));
}
