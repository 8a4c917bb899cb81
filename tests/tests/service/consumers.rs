//! The programs in `config/consumers`, run as their users run them, against what this test counts by itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use eddy_pipeline::select::Salt;
use eddy_tests::kafka::Message;
use eddy_tests::oracle::Outputs;
use eddy_tests::service::said;
use eddy_tests::stage::{self, Event, Plan, Stage, by_id};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};

use crate::{BINARY, EXACTLY_ONCE};

const EVENTS: usize = 2400;
const FRACTION: f64 = 0.2;

/// The pipeline of `config/cancer` with a label budget.
fn pipeline() -> String {
    let example = stage::examples().join("cancer");
    let text = std::fs::read_to_string(example.join("pipeline.toml")).expect("the example is there");
    let (_, from_events) = text.split_once("[events]").expect("it has this table");
    let at = |name: &str| format!("{:?}", example.join(name));
    format!("[events]{from_events}")
        .replace("\"model.onnx\"", &at("model.onnx"))
        .replace("\"golden.json\"", &at("golden.json"))
        .replace("confidence_below = 0.8", &format!("fraction = {FRACTION}"))
}

/// The example's events again and again, each a little different; and their labels, by id.
fn population() -> (Vec<Event>, BTreeMap<String, String>) {
    let text = std::fs::read_to_string(stage::examples().join("cancer/events.jsonl")).expect("the example is there");
    let originals: Vec<Value> = text.lines().map(json_of).collect();
    let mut labels = BTreeMap::new();
    let events = (0..EVENTS).map(|number| {
        let mut event = originals[number % originals.len()].clone();
        let id = format!("e-{number}");
        event["id"] = id.clone().into();
        for group in ["mean", "error", "worst"] {
            for (name, value) in event[group].as_object_mut().expect("measurements") {
                let draw = Salt::named(name).draw(&id);
                *value = (value.as_f64().expect("a number") * (0.9 + 0.2 * draw)).into();
            }
        }
        labels.insert(id, event["label"].as_str().expect("a label").to_owned());
        Event::new(event.to_string()).at((number % 3) as i32)
    });
    (events.collect(), labels)
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn value_of(message: &Message) -> Value {
    json_of(str::from_utf8(message.value.as_deref().expect("a value")).expect("UTF-8"))
}

/// One of the programs, with the address and the events topic of the stage.
pub(crate) fn run(stage: &Stage, program: &str, topic: &str, words: &[&str]) -> Output {
    let root = stage::examples().join("..");
    let python = root.join(".eddy/consumers/python/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run tests/setup/consumers",
        python.display()
    );
    Command::new(python)
        .arg(root.join("config/consumers").join(program))
        .args([
            "--bootstrap",
            &stage.kafka().bootstrap(),
            "--topic",
            &stage.topic(topic),
        ])
        .args(["--events", &stage.topic("events")])
        .args(words)
        .output()
        .expect("it can be started")
}

/// What it says.
pub(crate) fn report(stage: &Stage, program: &str, topic: &str, words: &[&str]) -> Value {
    let output = run(stage, program, topic, words);
    said(&output, 0);
    json_of(str::from_utf8(&output.stdout).expect("UTF-8"))
}

/// Writes copies of records, with other headers, in a transaction.
fn write(stage: &Stage, topic: &str, copies: &[Message], commits: bool) {
    let producer: BaseProducer = stage
        .kafka()
        .client()
        .set("transactional.id", format!("test-{topic}-{commits}"))
        .create()
        .expect("a producer can be made");
    let within = Duration::from_secs(60);
    producer.init_transactions(within).expect("Kafka is there");
    producer.begin_transaction().expect("none is open");
    for copy in copies {
        let headers = copy.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: value.as_deref(),
            })
        });
        let topic = stage.topic(topic);
        let mut record = BaseRecord::<[u8], [u8]>::to(&topic)
            .partition(copy.partition)
            .headers(headers);
        record.payload = copy.value.as_deref();
        producer
            .send(record)
            .map_err(|(error, _)| error)
            .expect("the queue has room");
    }
    producer.flush(within).expect("the records arrive");
    match commits {
        true => producer.commit_transaction(within).expect("it commits"),
        false => producer.abort_transaction(within).expect("it is given up"),
    }
}

/// A copy with some headers changed.
fn with(message: &Message, changes: &[(&str, &str)]) -> Message {
    let mut copy = message.clone();
    for (name, value) in changes {
        copy.headers.retain(|(known, _)| known != name);
        copy.headers.push(((*name).to_owned(), Some(value.as_bytes().to_vec())));
    }
    copy
}

/// What a reader has to get along with: a record of somebody else, one of another pipeline, one that came twice, and one that
/// was rolled back.
fn disturb(stage: &Stage, topic: &str, outputs: &[Message]) {
    let first = outputs.first().expect("there are outputs");
    let foreign = Message {
        headers: Vec::new(),
        value: Some(b"hello".to_vec()),
        ..first.clone()
    };
    let other = with(first, &[("eddy.source", "another/0/1"), ("eddy.format", "2")]);
    write(stage, topic, &[foreign, other, first.clone()], true);
    let rolled_back = with(first, &[("eddy.id", "rolled-back"), ("eddy.source", "rolled/0/1")]);
    write(stage, topic, &[rolled_back], false);
}

#[track_caller]
fn is_near(found: &Value, expected: f64, within: f64) {
    let number = found.as_f64().unwrap_or(f64::NAN);
    assert!(
        (number - expected).abs() <= within,
        "{number} instead of {expected} ± {within}"
    );
}

#[track_caller]
fn counts(report: &Value, records: usize) {
    let expected = json!([records, 1, 1, 1]);
    let found = ["records", "foreign", "of_other_pipelines", "duplicates"].map(|name| report[name].clone());
    assert_eq!(json!(found), expected, "{report}");
}

#[test]
fn the_example_consumers_read_each_topic_and_the_weekly_job_estimates_and_retrains() {
    let stage = Stage::new(&Plan {
        name: "consumers",
        guarantee: EXACTLY_ONCE,
        partitions: 3,
        limits: &[],
        text: &pipeline(),
    });
    let (mut events, labels) = population();
    events.extend((0..4).map(|_| Event::new("{")));
    events.extend((0..2).map(|at| Event::new(format!(r#"{{"id":"bad-{at}","mean":{{"radius":-1}}}}"#))));
    events.push(Event::default());
    stage.send(&events);
    let outputs = stage.run(BINARY, &[]);
    assert_eq!((outputs.predictions.len(), outputs.dead_letters.len()), (EVENTS, 7));
    the_outputs_are_what_this_pipelines_schemas_say(&stage, &outputs);

    disturb(&stage, "predictions", &outputs.predictions);
    predictions_are_counted(&stage, &outputs);
    disturb(&stage, "dead-letters", &outputs.dead_letters);
    dead_letters_are_counted(&stage, &outputs);
    disturb(&stage, "retraining", &outputs.samples);
    samples_become_a_model(&stage, &outputs, &labels);
}

/// `eddy schema PIPELINE` is of this pipeline: its classes, its models.
fn the_outputs_are_what_this_pipelines_schemas_say(stage: &Stage, outputs: &Outputs) {
    let schema = |words: &[&str]| {
        let output = Command::new(BINARY)
            .arg("schema")
            .arg(stage.file())
            .args(words)
            .output();
        let output = output.expect("the program under test was built with the tests");
        said(&output, 0);
        json_of(str::from_utf8(&output.stdout).expect("UTF-8"))
    };
    let value = schema(&[]);
    let model = &value["properties"]["models"]["properties"]["cancer"]["properties"];
    assert_eq!(model["label"]["enum"], json!(["malignant", "benign"]), "{value}");
    let headers = |to: eddy_pipeline::event::Destination| schema(&["--topic", to.as_str(), "--headers"]);
    let contract = eddy_tests::contract::Contract::of(value, headers);
    contract.expect("the schemas are sound").hold(outputs);
}

fn predictions_are_counted(stage: &Stage, outputs: &Outputs) {
    let report = report(stage, "read_predictions.py", "predictions", &[]);
    counts(&report, EVENTS + 3);
    assert_eq!(
        (&report["predictions"], &report["events"]),
        (&json!(EVENTS), &json!(EVENTS))
    );
    let mut labels: BTreeMap<String, usize> = BTreeMap::new();
    let mut confidence = 0.0;
    for message in &outputs.predictions {
        let value = value_of(message);
        let says = &value["models"]["cancer"];
        *labels
            .entry(says["label"].as_str().expect("a label").to_owned())
            .or_default() += 1;
        confidence += says["confidence"].as_f64().expect("a number") / EVENTS as f64;
    }
    let found = &report["models"]["cancer"];
    assert_eq!(found["labels"], json!(labels));
    assert_eq!(found["versions"], json!(["1"]));
    assert_eq!(found["selected"], json!(outputs.samples.len()));
    is_near(&found["mean_confidence"], confidence, 1e-9);
}

fn dead_letters_are_counted(stage: &Stage, outputs: &Outputs) {
    let report = report(stage, "read_dead_letters.py", "dead-letters", &["--since", "all"]);
    counts(&report, outputs.dead_letters.len() + 3);
    let reasons = report["reasons"].as_object().expect("an object");
    let found: Vec<_> = reasons
        .iter()
        .map(|(name, reason)| (name.as_str(), reason["letters"].as_u64()))
        .collect();
    assert_eq!(
        found,
        [
            ("malformed", Some(4)),
            ("out_of_range", Some(2)),
            ("tombstone", Some(1))
        ]
    );
    assert_eq!(reasons["tombstone"]["example"]["value"], Value::Null);
    assert_eq!(reasons["malformed"]["example"]["value"], "{");
}

/// A sample as this test understands it.
struct Known {
    weight: f64,
    radius: f64,
    is_right: bool,
    is_control: bool,
}

fn known(id: &str, sample: &Message, labels: &BTreeMap<String, String>) -> Known {
    let probability: f64 = sample
        .header("eddy.probability")
        .and_then(|text| text.parse().ok())
        .expect("a number");
    let selection = json_of(sample.header("eddy.selection").expect("it says why"));
    let [said] = selection.as_array().expect("a list").as_slice() else {
        panic!("one model selects: {selection}");
    };
    Known {
        weight: 1.0 / probability,
        radius: value_of(sample)["mean"]["radius"].as_f64().expect("a number"),
        is_right: said["prediction"]["label"] == labels[id].as_str(),
        is_control: said["arms"].as_array().expect("a list").contains(&"explore".into()),
    }
}

fn samples_become_a_model(stage: &Stage, outputs: &Outputs, labels: &BTreeMap<String, String>) {
    write(
        stage,
        "retraining",
        &without_their_bytes(stage, &outputs.samples[0]),
        true,
    );

    let folder = stage.file().parent().expect("a folder").to_owned();
    let path = |name: &str| folder.join(name).display().to_string();
    let lines = label_lines(labels);
    std::fs::write(folder.join("labels.jsonl"), lines.join("\n")).expect("the folder takes a file");
    let pipeline = path("pipeline.toml");
    let (file, out) = (path("labels.jsonl"), path("new.onnx"));
    let words = ["--pipeline", &pipeline, "--labels", &file, "--out", &out];
    let found = report(stage, "retrain.py", "retraining", &words);
    estimates_are_right(&found, outputs, labels);
    the_new_model_serves(&found, stage, &folder);

    let topic = stage.topic("labels");
    stage.kafka().create_topic(&topic, 2, &[]);
    let records: Vec<Event> = lines.into_iter().map(Event::new).collect();
    stage::send(stage.kafka(), &topic, &records);
    let by_topic = report(stage, "retrain.py", "retraining", &["--labels-topic", &topic]);
    assert_eq!(
        by_topic["estimates"], found["estimates"],
        "labels are the same from wherever they come"
    );

    let newer = with(&outputs.samples[0], &[("eddy.format", "2")]);
    write(stage, "retraining", &[newer], true);
    let refused = run(stage, "retrain.py", "retraining", &["--labels", &file]);
    let why = said(&refused, 1);
    assert!(why.contains("is of format 2, and this program reads format 1"), "{why}");
}

/// Two samples, each of two events by its weight: bytes that did not fit, and bytes in which somebody hid a number. Nobody
/// labelled them.
fn without_their_bytes(stage: &Stage, sample: &Message) -> [Message; 2] {
    let digest = "0".repeat(64);
    let without = |body: &str, offset: usize, value: &str| {
        let source = format!("{}/0/{offset}", stage.topic("events"));
        let changes = [
            ("eddy.id", body),
            ("eddy.source", &source),
            ("eddy.probability", "0.5"),
            ("eddy.body", body),
            ("eddy.sha256", &digest),
        ];
        Message {
            value: Some(value.into()),
            ..with(sample, &changes)
        }
    };
    [
        without("omitted", 900_000, ""),
        without("masked", 900_001, r#"{"mean":{"radius":0}}"#),
    ]
}

/// Everything is labelled, and was labelled otherwise before.
fn label_lines(labels: &BTreeMap<String, String>) -> Vec<String> {
    let line = |id: &str, label: &str, time: &str| {
        json!({"id": id, "label": label, "time": time, "who": "a test"}).to_string()
    };
    let mut lines: Vec<String> = labels
        .iter()
        .map(|(id, label)| line(id, label, "2026-05-02T00:00:00Z"))
        .collect();
    lines.extend(labels.keys().map(|id| line(id, "unsure", "2026-05-01T00:00:00Z")));
    lines
}

fn estimates_are_right(found: &Value, outputs: &Outputs, labels: &BTreeMap<String, String>) {
    counts(found, outputs.samples.len() + 5);
    let samples: Vec<Known> = by_id(&outputs.samples)
        .into_iter()
        .map(|(id, sample)| known(id, sample, labels))
        .collect();
    assert_eq!(found["samples"], json!(samples.len() + 2));
    assert_eq!(
        (&found["without_body"], &found["labelled"]),
        (&json!(2), &json!(samples.len()))
    );

    // Exactly what the samples say.
    let sum = |of: &dyn Fn(&Known) -> f64| samples.iter().map(|sample| sample.weight * of(sample)).sum::<f64>();
    let (events, radius, right) = (
        sum(&|_| 1.0),
        sum(&|sample| sample.radius),
        sum(&|sample| f64::from(sample.is_right)),
    );
    let estimates = &found["estimates"];
    let with_the_two = events + 4.0;
    is_near(&estimates["events"]["estimate"], with_the_two, 1e-6);
    is_near(&estimates["means"]["mean_radius"]["estimate"], radius / events, 1e-9);
    is_near(&estimates["accuracy"]["estimate"], right / events, 1e-9);
    let plain = samples.iter().filter(|sample| sample.is_right).count() as f64 / samples.len() as f64;
    is_near(&estimates["accuracy_without_weights"], plain, 1e-12);
    let control: Vec<&Known> = samples.iter().filter(|sample| sample.is_control).collect();
    let by_control = &estimates["accuracy_by_control_arm"];
    assert_eq!(by_control["labels"], json!(control.len()));
    let share = control.iter().filter(|sample| sample.is_right).count() as f64 / control.len() as f64;
    is_near(&by_control["estimate"], share, 1e-12);

    // And about what is so: five standard errors are passed once in two million times.
    let error = |of: &Value| of["standard_error"].as_f64().expect("a number");
    let variance: f64 = samples
        .iter()
        .map(|sample| sample.weight * (sample.weight - 1.0))
        .sum::<f64>()
        + 4.0;
    is_near(&estimates["events"]["standard_error"], variance.sqrt(), 1e-6);
    is_near(
        &estimates["events"]["estimate"],
        EVENTS as f64 + 4.0,
        5.0 * error(&estimates["events"]),
    );
    let (truth, accuracy) = truth(outputs, labels);
    let mean = &estimates["means"]["mean_radius"];
    is_near(&mean["estimate"], truth, 5.0 * error(mean));
    let of_a_plain_sample = (accuracy * (1.0 - accuracy) / control.len() as f64).sqrt();
    is_near(&estimates["accuracy"]["estimate"], accuracy, 5.0 * of_a_plain_sample);
}

/// The mean radius of all events, and how many of all predictions are right.
fn truth(outputs: &Outputs, labels: &BTreeMap<String, String>) -> (f64, f64) {
    let (events, _) = population();
    let radius = |event: &Event| {
        let value = json_of(str::from_utf8(event.value.as_deref().expect("a value")).expect("UTF-8"));
        value["mean"]["radius"].as_f64().expect("a number")
    };
    let right = outputs.predictions.iter().filter(|message| {
        let value = value_of(message);
        value["models"]["cancer"]["label"] == labels[value["id"].as_str().expect("an id")].as_str()
    });
    let count = EVENTS as f64;
    (
        events.iter().map(radius).sum::<f64>() / count,
        right.count() as f64 / count,
    )
}

/// The file that came out is a model that the pipeline takes.
fn the_new_model_serves(found: &Value, stage: &Stage, folder: &Path) {
    let new = &found["new_model"];
    let usable = found["labelled"].as_u64().expect("a number");
    assert_eq!(
        new["fitted_to"]
            .as_u64()
            .zip(new["held_out"].as_u64())
            .map(|(fitted, held)| fitted + held),
        Some(usable)
    );
    let accuracy = new["accuracy"]["estimate"].as_f64().expect("a number");
    assert!(accuracy > 0.8, "{new}");
    let text = std::fs::read_to_string(stage.file()).expect("the file is there");
    let lines = text.lines().filter(|line| !line.starts_with("golden = "));
    let lines = lines.map(|line| match line.starts_with("path = ") {
        true => "path = \"new.onnx\"\n".to_owned(),
        false => format!("{line}\n"),
    });
    let next: PathBuf = folder.join("next.toml");
    std::fs::write(&next, lines.collect::<String>()).expect("the folder takes a file");
    let output = Command::new(BINARY).args(["check", "--offline"]).arg(&next).output();
    let report = said(&output.expect("the program under test was built with the tests"), 0);
    assert!(report.contains("new.onnx"), "{report}");
}
