//! What the programs in `config/consumers` make of records that are old, late or there twice, and of words that are wrong.
//! No service runs: what it would have written is written here.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use eddy_tests::service::said;
use eddy_tests::stage::{self, EXACTLY_ONCE, Event, PICK, Plan, Stage};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::consumers::{report, run};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

fn stage(name: &str) -> Stage {
    Stage::new(&Plan {
        name,
        guarantee: EXACTLY_ONCE,
        partitions: 2,
        limits: &[],
        text: PICK,
    })
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("it is after 1970").as_millis() as i64
}

/// An output of the pipeline on the stage: the event's id, its place in the first events partition, and how long ago.
fn output(stage: &Stage, id: &str, offset: usize, ago_ms: i64) -> Event {
    Event::new(r#"{"mean":{"radius":14}}"#)
        .named(id)
        .header("eddy.format", "1")
        .header("eddy.source", format!("{}/0/{offset}", stage.topic("events")))
        .header("eddy.body", "original")
        .stamped(now_ms() - ago_ms)
}

fn letter(stage: &Stage, offset: usize, reason: &str, ago_ms: i64) -> Event {
    output(stage, &format!("e-{offset}"), offset, ago_ms)
        .header("eddy.stage", "validate")
        .header("eddy.reason", reason)
        .header("eddy.detail", "a sentence")
}

fn sample(stage: &Stage, id: &str, offset: usize, ago_ms: i64) -> Event {
    let said = json!([{ "model": "cancer", "version": "1", "arms": ["explore"], "prediction": { "label": "benign" } }]);
    output(stage, id, offset, ago_ms)
        .header("eddy.selection", said.to_string())
        .header("eddy.probability", "0.5")
}

/// Leaves the ends of a topic as the place of a group.
fn commit_ends(stage: &Stage, group: &str, topic: &str) {
    let mut ends = TopicPartitionList::new();
    for (partition, end) in (0..).zip(stage.kafka().end_offsets(topic)) {
        let added = ends.add_partition_offset(topic, partition, Offset::Offset(end));
        added.expect("a valid offset");
    }
    let consumer: BaseConsumer = stage
        .kafka()
        .client()
        .set("group.id", group)
        .create()
        .expect("consumer");
    consumer
        .commit(&ends, CommitMode::Sync)
        .expect("the group has no member");
}

#[test]
fn outputs_are_of_a_span_by_their_own_timestamps_and_of_those_that_repeat_the_latest_counts() {
    let stage = stage("consumers-spans");
    let letters = [
        letter(&stage, 1, "malformed", 2 * HOUR_MS),
        // Behind the first record of the span, and not of it.
        letter(&stage, 2, "tombstone", 3 * DAY_MS),
        letter(&stage, 3, "missing", 4 * HOUR_MS).at(1),
        letter(&stage, 3, "out_of_range", HOUR_MS),
        letter(&stage, 4, "missing", 4 * HOUR_MS),
        letter(&stage, 4, "out_of_range", HOUR_MS).at(1),
    ];
    stage::send(stage.kafka(), &stage.topic("dead-letters"), &letters);
    commit_ends(&stage, "another", &stage.topic("dead-letters"));

    let found = |words: &[&str]| {
        let report = report(&stage, "read_dead_letters.py", "dead-letters", words);
        let reasons = report["reasons"].as_object().expect("an object").iter();
        let letters: Value = reasons
            .map(|(name, reason)| (name.clone(), reason["letters"].clone()))
            .collect();
        json!([report["records"], report["duplicates"], letters])
    };
    assert_eq!(
        found(&["--since", "1d"]),
        json!([5, 2, { "malformed": 1, "out_of_range": 2 }])
    );
    let all = json!([6, 2, { "malformed": 1, "out_of_range": 2, "tombstone": 1 }]);
    assert_eq!(found(&["--since", "all"]), all);
    // Where a group stands is of no matter to a program that belongs to none.
    assert_eq!(found(&["--since", "all", "--group", "another"]), all);
}

#[test]
fn an_event_has_its_latest_sample_and_its_latest_label_in_whatever_partition_they_are() {
    let stage = stage("consumers-latest");
    let samples = [
        sample(&stage, "a", 1, HOUR_MS),
        sample(&stage, "a", 2, 4 * HOUR_MS).at(1),
        sample(&stage, "b", 3, 4 * HOUR_MS),
        sample(&stage, "b", 4, HOUR_MS).at(1),
    ];
    stage::send(stage.kafka(), &stage.topic("retraining"), &samples);
    let labels = stage.topic("labels");
    stage.kafka().create_topic(&labels, 2, &[]);
    let label = |id: &str, label: &str, time: &str, ago_ms: i64| {
        let text = json!({ "id": id, "label": label, "time": time }).to_string();
        Event::new(text).stamped(now_ms() - ago_ms)
    };
    let labelled = [
        // The same instant: the later record.
        label("a", "benign", "2026-05-01T10:00:00Z", HOUR_MS),
        label("a", "malignant", "2026-05-01T10:00:00Z", 4 * HOUR_MS).at(1),
        // By the clock on the wall the first one is later, and is not.
        label("b", "malignant", "2026-05-01T11:30:00+02:00", HOUR_MS),
        label("b", "benign", "2026-05-01T10:00:00Z", 4 * HOUR_MS).at(1),
    ];
    stage::send(stage.kafka(), &labels, &labelled);

    let table = stage.file().with_file_name("table.csv");
    let pipeline = stage::examples().join("cancer/pipeline.toml");
    let [table_word, pipeline] = [&table, &pipeline].map(|path| path.display().to_string());
    let words = [
        "--labels-topic",
        &labels,
        "--table",
        &table_word,
        "--pipeline",
        &pipeline,
    ];
    let report = report(&stage, "retrain.py", "retraining", &words);
    assert_eq!(report["duplicates"], 2, "{report}");
    // The events have this member and no other.
    let means = &report["estimates"]["means"];
    assert_eq!(means["mean_radius"]["estimate"], 14.0, "{report}");
    assert_eq!(means["mean_texture"], Value::Null, "{report}");
    let text = fs::read_to_string(&table).expect("the table is there");
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let column = |name: &str| {
        rows[0]
            .iter()
            .position(|column| *column == name)
            .expect("the column is there")
    };
    let [id, source, label] = ["eddy_id", "eddy_source", "label"].map(column);
    let found: Vec<_> = rows[1..].iter().map(|row| (row[id], row[source], row[label])).collect();
    let place = |offset: usize| format!("{}/0/{offset}", stage.topic("events"));
    let (first, fourth) = (place(1), place(4));
    assert_eq!(found, [("a", first.as_str(), "benign"), ("b", &fourth, "benign")]);
}

#[test]
fn what_is_wrong_is_told_in_a_sentence_and_an_old_model_stays() {
    let stage = stage("consumers-wrong");
    stage::send(
        stage.kafka(),
        &stage.topic("retraining"),
        &[sample(&stage, "a", 1, HOUR_MS)],
    );
    stage::send(
        stage.kafka(),
        &stage.topic("dead-letters"),
        &[letter(&stage, 2, "malformed", HOUR_MS)],
    );
    let file = |name: &str, text: &str| {
        let path = stage.file().with_file_name(name);
        fs::write(&path, text).expect("the folder takes a file");
        path.display().to_string()
    };
    let nobodys = file("nobodys.jsonl", "{\"id\": \"z\", \"label\": \"benign\"}\n");
    let broken = file(
        "broken.jsonl",
        "{\"id\": \"a\", \"label\": \"benign\"}\n{\"id\": \"a\"}\n",
    );
    let timeless = file(
        "timeless.jsonl",
        "{\"id\": \"a\", \"label\": \"benign\", \"time\": \"soon\"}\n",
    );
    let model = file("model.onnx", "the old one");
    let (retrain, predictions, letters) = ("retrain.py", "read_predictions.py", "read_dead_letters.py");
    let cases: &[(&str, &str, &[&str], &str)] = &[
        (
            letters,
            "dead-letters",
            &["--since", "5y"],
            "write a number and d, h or m",
        ),
        (letters, "dead-letters", &["--config", "linger"], "write KEY=VALUE"),
        (
            letters,
            "dead-letters",
            &["--config", "group.id=mine"],
            "--group have words",
        ),
        (
            letters,
            "dead-letters",
            &["--config", "no.such=1"],
            "No such configuration property",
        ),
        (letters, "nowhere", &[], "cannot be read; check --topic"),
        (
            letters,
            "retraining",
            &[],
            "-retraining/0/0 is no dead letter; check --topic",
        ),
        (
            predictions,
            "retraining",
            &[],
            "-retraining/0/0 is no prediction; check --topic",
        ),
        (
            retrain,
            "dead-letters",
            &["--labels", &nobodys],
            "-dead-letters/0/0 is no sample",
        ),
        (
            retrain,
            "retraining",
            &["--labels", "nowhere.jsonl"],
            "nowhere.jsonl cannot be read",
        ),
        (
            retrain,
            "retraining",
            &["--labels", &broken],
            "broken.jsonl, line 2 is no label: there is no 'label'",
        ),
        (
            retrain,
            "retraining",
            &["--labels", &timeless],
            "timeless.jsonl, line 1 is no label",
        ),
        (
            retrain,
            "retraining",
            &["--labels", &nobodys, "--out", &model],
            "none of 1 samples has a label",
        ),
    ];
    for (program, topic, words, sentence) in cases {
        let told = said(&run(&stage, program, topic, words), 1);
        assert!(
            told.contains(sentence) && !told.contains("Traceback"),
            "{program} {words:?}: {told}"
        );
    }
    assert_eq!(fs::read_to_string(&model).expect("it is there"), "the old one");
}
