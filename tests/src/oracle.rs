//! The oracle: numbered events with known outcomes, and the checker of what became of them.
//!
//! Owns: which events there are, what must become of each, and every promise about the outputs as a check.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use serde_json::Value;

use crate::kafka::Message;

/// Width of the model's input.
const WIDTH: usize = 32;

/// What must become of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// A prediction.
    Prediction,
    /// A dead letter with this reason.
    DeadLetter(&'static str),
}

/// One event.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its `eddy.id`.
    pub id: String,
    /// Its key.
    pub key: Option<String>,
    /// Its bytes; none is a tombstone.
    pub value: Option<Vec<u8>>,
    /// What must become of it.
    pub expected: Expected,
}

/// How events get their keys.
#[derive(Debug, Clone, Copy)]
pub enum Keys {
    /// None has one.
    Null,
    /// So many distinct ones.
    Distinct(usize),
}

/// `count` events from a seed: 2 % of them poison of twelve kinds.
pub fn events(seed: u64, count: usize, keys: Keys) -> Vec<Event> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count)
        .map(|number| {
            let key = match keys {
                Keys::Null => None,
                Keys::Distinct(n) => Some(format!("camera-{}", random.usize(..n))),
            };
            let poisoned = random.usize(..100) < 2;
            let (value, expected) = if poisoned {
                poison(&mut random)
            } else {
                (Some(healthy(&mut random)), Expected::Prediction)
            };
            Event {
                id: format!("event-{number}"),
                key,
                value,
                expected,
            }
        })
        .collect()
}

/// A JSON event of one of three shapes: plain, with unknown members around, with nested members in front.
fn healthy(random: &mut fastrand::Rng) -> Vec<u8> {
    let features = features(random, WIDTH);
    match random.usize(..3) {
        0 => format!(r#"{{"features":{features}}}"#),
        1 => format!(
            r#"{{"note":"{}","features":{features},"extra":[1,{{"a":null}}]}}"#,
            "x".repeat(random.usize(..200))
        ),
        _ => format!(
            r#"{{"meta":{{"site":{{"n":{}}},"ok":true}},"features":{features}}}"#,
            random.u32(..)
        ),
    }
    .into_bytes()
}

fn features(random: &mut fastrand::Rng, width: usize) -> String {
    let mut text = String::from("[");
    for at in 0..width {
        let separator = if at == 0 { "" } else { "," };
        write!(text, "{separator}{:.3}", random.f64() * 6.0 - 3.0).expect("writing to a String cannot fail");
    }
    text + "]"
}

fn poison(random: &mut fastrand::Rng) -> (Option<Vec<u8>>, Expected) {
    let whole = String::from_utf8(healthy(random)).expect("healthy events are text");
    let (text, reason) = match random.usize(..12) {
        0 => return (None, Expected::DeadLetter("tombstone")),
        1 => return (Some(vec![0xFF; 64]), Expected::DeadLetter("malformed")),
        2 => (String::new(), "malformed"),
        3 => (whole[..whole.len() / 2].to_owned(), "malformed"),
        4 => (format!("{whole} trailing"), "malformed"),
        5 => (
            format!(r#"{{"features":{}}}"#, features(random, WIDTH - 1)),
            "wrong_shape",
        ),
        6 => (r#"{"features":"thirty-two numbers"}"#.to_owned(), "wrong_type"),
        7 => (r#"{"other":1}"#.to_owned(), "missing_field"),
        8 => (r#"{"features":null}"#.to_owned(), "missing_field"),
        9 => (
            format!(
                r#"{{"deep":{}{},"features":[]}}"#,
                "[".repeat(10_000),
                "]".repeat(10_000)
            ),
            "limit_exceeded",
        ),
        10 => (
            format!(r#"{{"features":{0},"features":{0}}}"#, features(random, WIDTH)),
            "duplicate_key",
        ),
        _ => (
            format!(
                r#"{{"features":{}}}"#,
                features(random, WIDTH).replacen('[', "[1e999,", 1)
            ),
            "any",
        ),
    };
    (Some(text.into_bytes()), Expected::DeadLetter(reason))
}

/// Sends events to a topic, in order, and waits until all are there.
///
/// # Panics
/// When Kafka does not take them.
pub fn send(client: &ClientConfig, topic: &str, events: &[Event]) {
    send_through(&producer(client), topic, events);
}

/// A producer of events.
pub fn producer(client: &ClientConfig) -> BaseProducer {
    let mut config = client.clone();
    config.set("enable.idempotence", "true").set("linger.ms", "5");
    config.create().expect("a producer can be made")
}

/// The same as [`send`], through a producer that is there already.
///
/// # Panics
/// When Kafka does not take them.
pub fn send_through(producer: &BaseProducer, topic: &str, events: &[Event]) {
    for event in events {
        let headers = OwnedHeaders::new()
            .insert(Header {
                key: "eddy.id",
                value: Some(&event.id),
            })
            .insert(Header {
                key: "traceparent",
                value: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            });
        let mut record = BaseRecord::<str, [u8]>::to(topic).headers(headers);
        record.key = event.key.as_deref();
        record.payload = event.value.as_deref();
        while let Err((error, unsent)) = producer.send(record) {
            assert_eq!(
                error,
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull),
                "{topic} takes events"
            );
            producer.poll(Duration::from_millis(10));
            record = unsent;
        }
    }
    producer.flush(Duration::from_secs(60)).expect("the events arrive");
}

/// All outputs of a run.
#[derive(Debug)]
pub struct Outputs {
    /// Of the predictions topic.
    pub predictions: Vec<Message>,
    /// Of the retraining topic.
    pub samples: Vec<Message>,
    /// Of the dead-letters topic.
    pub dead_letters: Vec<Message>,
}

/// What the checker counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events with a prediction.
    pub predictions: usize,
    /// Events with a sample.
    pub samples: usize,
    /// Events with a dead letter.
    pub dead_letters: usize,
    /// Outputs beyond the first of their event and topic.
    pub duplicates: usize,
}

/// Checks every promise about the outputs of these events; `duplicates` is how many there may be.
///
/// # Panics
/// With the first promise that was broken.
pub fn check(events: &[Event], outputs: &Outputs, duplicates: usize) -> Counts {
    let by_id: HashMap<&str, &Event> = events.iter().map(|event| (event.id.as_str(), event)).collect();
    let mut counts = Counts::default();
    let predicted = distinct(&outputs.predictions, &by_id, &mut counts.duplicates);
    let sampled = distinct(&outputs.samples, &by_id, &mut counts.duplicates);
    let dead = distinct(&outputs.dead_letters, &by_id, &mut counts.duplicates);
    assert!(
        counts.duplicates <= duplicates,
        "{} duplicates, {duplicates} are allowed",
        counts.duplicates
    );
    for event in events {
        let id = event.id.as_str();
        match event.expected {
            Expected::Prediction => assert!(
                predicted.contains_key(id) && !dead.contains_key(id),
                "{id} must be predicted, and only that; its dead letter: {:?}",
                dead.get(id).map(|message| message.header("eddy.detail"))
            ),
            Expected::DeadLetter(reason) => {
                assert!(
                    dead.contains_key(id) && !predicted.contains_key(id),
                    "{id} must be a dead letter ({reason})"
                );
                let got = dead[id].header("eddy.reason").expect("a dead letter has a reason");
                assert!(
                    reason == "any" || got == reason,
                    "{id}: the reason is {got}, and {reason} was expected"
                );
                assert!(
                    !dead[id].header("eddy.detail").unwrap_or_default().is_empty(),
                    "{id}: a reason has a sentence"
                );
            }
        }
    }
    for (id, sample) in &sampled {
        assert!(predicted.contains_key(id), "{id} was sampled and not predicted");
        assert_eq!(
            sample.value, by_id[id].value,
            "{id}: a sample has the event's own bytes"
        );
        assert!(
            sample
                .header("eddy.selection")
                .is_some_and(|text| text.contains("uncertainty")),
            "{id}: says why"
        );
    }
    for (id, message) in &predicted {
        let value: Value = serde_json::from_slice(message.value.as_deref().unwrap_or_default()).expect("JSON");
        let flagged = value["models"]["mlp"]["flags"] == serde_json::json!(["uncertainty"]);
        assert_eq!(
            flagged,
            sampled.contains_key(id),
            "{id}: the flag of a prediction says whether it was sampled"
        );
        assert_eq!(value["id"], *id);
    }
    for (id, message) in &dead {
        assert_eq!(
            message.value, by_id[id].value,
            "{id}: a dead letter has the event's own bytes"
        );
    }
    for message in outputs
        .predictions
        .iter()
        .chain(&outputs.samples)
        .chain(&outputs.dead_letters)
    {
        let id = message.header("eddy.id").expect("every output has an id");
        assert_eq!(
            message.key.as_deref(),
            by_id[id].key.as_deref().map(str::as_bytes),
            "{id}: the key is kept"
        );
        assert!(
            message.header("traceparent").is_some(),
            "{id}: the trace is carried through"
        );
    }
    counts.predictions = predicted.len();
    counts.samples = sampled.len();
    counts.dead_letters = dead.len();
    counts
}

/// Checks that each topic has the events of one input partition in their order.
///
/// # Panics
/// At the first event that comes before an earlier one.
pub fn check_order(outputs: &Outputs) {
    for messages in [&outputs.predictions, &outputs.samples, &outputs.dead_letters] {
        let mut last: BTreeMap<(i32, String), i64> = BTreeMap::new();
        for message in messages {
            let source = message.header("eddy.source").expect("every output has a source");
            let (partition, offset) = source.rsplit_once('/').expect("topic/partition/offset");
            let offset: i64 = offset.parse().expect("an offset is a number");
            if let Some(before) = last.insert((message.partition, partition.to_owned()), offset) {
                assert!(before < offset, "{source} comes after offset {before}");
            }
        }
    }
}

fn distinct<'a>(
    messages: &'a [Message],
    events: &HashMap<&str, &Event>,
    duplicates: &mut usize,
) -> HashMap<&'a str, &'a Message> {
    let mut found: HashMap<&str, &Message> = HashMap::new();
    let mut unknown = HashSet::new();
    for message in messages {
        let id = message.header("eddy.id").expect("every output has an id");
        if !events.contains_key(id) {
            unknown.insert(id);
        }
        if let Some(first) = found.insert(id, message) {
            *duplicates += 1;
            assert_eq!(first.value, message.value, "{id}: duplicates are the same");
        }
    }
    assert!(unknown.is_empty(), "outputs of events that never were: {unknown:?}");
    found
}
