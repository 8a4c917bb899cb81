//! The stage of one test: a pipeline file in a folder of its own, its four topics on a broker, events in, outputs out.
//!
//! Owns: names that no other test has, and reading what came out. Never does: judge it; tests and the oracle do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tempfile::TempDir;

use crate::contract::Contract;
use crate::kafka::{Isolation, Kafka, Message, Topics};
use crate::oracle::Outputs;
use crate::service::{Replica, wait_for};

/// The two values of `kafka.guarantee`.
pub const EXACTLY_ONCE: &str = "exactly-once";
/// See [`EXACTLY_ONCE`].
pub const AT_LEAST_ONCE: &str = "at-least-once";

/// A model that looks up a row of a table of ten: `pair(row, factor)` gives `[4 row, …, 4 row + 3]` times the factor, and
/// a row that the table does not have makes the whole run fail.
pub const PICK: &str = r#"
[fields.features]
type = "vector"
length = 2

[[models]]
name = "pick"
path = "{models}/pick.onnx"
head = { type = "regression" }
"#;

/// A model of 32 features: that of [`crate::oracle::For::Mlp32`].
pub const MLP: &str = r#"
[fields.features]
type = "vector"
length = 32

[[models]]
name = "mlp"
path = "{models}/mlp32.onnx"
head = { type = "classification", from = "logits" }
"#;

/// One event as its producer writes it.
#[derive(Debug, Clone, Default)]
pub struct Event {
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its bytes; none is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its headers in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Its partition.
    pub partition: i32,
    /// Its timestamp, where it is not the time of sending; -1 is none.
    pub timestamp_ms: Option<i64>,
}

impl Event {
    /// An event in partition 0, without key and headers.
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self {
            value: Some(value.into()),
            ..Self::default()
        }
    }

    /// A JSON event that fills the two features of the small models.
    pub fn pair(first: f64, second: f64) -> Self {
        Self::new(format!(r#"{{"features":[{first},{second}]}}"#))
    }

    /// The same with an `eddy.id`.
    #[must_use]
    pub fn named(self, id: &str) -> Self {
        self.header("eddy.id", id)
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), Some(value.into())));
        self
    }

    /// The same with a key.
    #[must_use]
    pub fn keyed(self, key: impl Into<Vec<u8>>) -> Self {
        Self {
            key: Some(key.into()),
            ..self
        }
    }

    /// The same with a timestamp of its own; -1 is none.
    #[must_use]
    pub fn stamped(self, timestamp_ms: i64) -> Self {
        Self {
            timestamp_ms: Some(timestamp_ms),
            ..self
        }
    }

    /// The same in another partition.
    #[must_use]
    pub fn at(self, partition: i32) -> Self {
        Self { partition, ..self }
    }
}

/// What a test wants.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// Name of the pipeline and beginning of its topics' names.
    pub name: &'a str,
    /// `kafka.guarantee`.
    pub guarantee: &'a str,
    /// Partitions of each topic.
    pub partitions: i32,
    /// `max.message.bytes` of topics, by the last part of their names, where it is not Kafka's default.
    pub limits: &'a [(&'a str, &'a str)],
    /// The file from `[events]` on. `{models}` stands for the folder of the fixtures.
    pub text: &'a str,
}

/// The last parts of the names of a pipeline's topics.
const TOPICS: [&str; 4] = ["events", "predictions", "retraining", "dead-letters"];

/// A pipeline of one test.
#[derive(Debug)]
pub struct Stage {
    kafka: Topics,
    name: String,
    folder: TempDir,
}

impl Stage {
    /// Creates the topics on the shared broker and writes the file.
    ///
    /// # Panics
    /// When there is no room, or no broker.
    pub fn new(plan: &Plan<'_>) -> Self {
        Self::on(Kafka::shared(), plan)
    }

    /// The same on another Kafka.
    ///
    /// # Panics
    /// When there is no room, or no broker.
    pub fn on(kafka: &Topics, plan: &Plan<'_>) -> Self {
        for topic in TOPICS {
            let limit = plan.limits.iter().find(|(limited, _)| *limited == topic);
            let limit = limit.map(|(_, bytes)| ("max.message.bytes", *bytes));
            // What a test stamps with an old time must not be deleted for its age.
            let configs: Vec<_> = limit.into_iter().chain([("retention.ms", "-1")]).collect();
            kafka.create_topic(&format!("{}-{topic}", plan.name), plan.partitions, &configs);
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let stage = Self {
            kafka: kafka.clone(),
            name: plan.name.to_owned(),
            folder,
        };
        let text = head(plan, &kafka.bootstrap()) + &plan.text.replace("{models}", &models().display().to_string());
        std::fs::write(stage.file(), text).expect("the temporary folder takes a file");
        stage
    }

    /// The broker.
    pub fn kafka(&self) -> &Topics {
        &self.kafka
    }

    /// The pipeline file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("pipeline.toml")
    }

    /// Full name of a topic: `events`, `predictions`, `retraining`, `dead-letters`.
    pub fn topic(&self, topic: &str) -> String {
        format!("{}-{topic}", self.name)
    }

    /// Consumer group of the pipeline.
    pub fn group(&self) -> String {
        format!("eddy-{}", self.name)
    }

    /// Events that the group has not committed.
    pub fn lag(&self) -> i64 {
        self.kafka.lag(&self.group(), &self.topic("events"))
    }

    /// Events that the group has committed.
    pub fn committed(&self) -> i64 {
        let committed = self.kafka.committed(&self.group(), &self.topic("events"));
        committed.into_iter().flatten().sum()
    }

    /// Writes events, in order, and waits until all are there.
    ///
    /// # Panics
    /// When Kafka does not take them.
    pub fn send(&self, events: &[Event]) {
        send(&self.kafka, &self.topic("events"), events);
    }

    /// Starts a replica, with `settings` laid over the file.
    pub fn start(&self, binary: &str, settings: &[(&str, &str)]) -> Replica {
        Replica::start(binary, &self.file(), "replica-0", settings)
    }

    /// Runs a replica until every event is committed, and drains it.
    ///
    /// # Panics
    /// When the replica ends by itself, or with another code than 0.
    pub fn run(&self, binary: &str, settings: &[(&str, &str)]) -> Outputs {
        let mut replica = self.start(binary, settings);
        self.wait_for_end(&mut replica);
        let status = replica.terminate();
        assert_eq!(status.code(), Some(0), "{}", replica.log());
        self.outputs()
    }

    /// Waits until every event is committed.
    ///
    /// # Panics
    /// When the replica ends by itself.
    pub fn wait_for_end(&self, replica: &mut Replica) {
        wait_for("every event to be committed", || {
            assert!(replica.is_running(), "the replica ended by itself: {}", replica.log());
            (self.lag() == 0).then_some(())
        });
    }

    /// What a reader of committed records finds.
    ///
    /// # Panics
    /// When an output is not what its schema says.
    pub fn outputs(&self) -> Outputs {
        let read = |topic| self.kafka.read_all(&self.topic(topic), Isolation::ReadCommitted);
        let outputs = Outputs {
            predictions: read("predictions"),
            samples: read("retraining"),
            dead_letters: read("dead-letters"),
        };
        Contract::of_any().hold(&outputs);
        outputs
    }
}

/// The folder of the small models.
pub fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models")
}

/// The folder of the small images.
pub fn images() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/images")
}

/// The folder of the example pipelines.
pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config")
}

/// Writes events to a topic, in order, and waits until all are there.
///
/// # Panics
/// When Kafka does not take them.
pub fn send(kafka: &Topics, topic: &str, events: &[Event]) {
    let producer: BaseProducer = kafka
        .client()
        .set("enable.idempotence", "true")
        .set("message.max.bytes", "100000000")
        .create()
        .expect("a producer can be made");
    for event in events {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(event.partition);
        record.key = event.key.as_deref();
        record.payload = event.value.as_deref();
        record.timestamp = event.timestamp_ms;
        let headers = event.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: value.as_deref(),
            })
        });
        let sent = producer.send(record.headers(headers));
        sent.map_err(|(error, _)| error).expect("the producer's queue has room");
    }
    producer.flush(Duration::from_secs(60)).expect("the events arrive");
}

/// The messages by their `eddy.id`.
///
/// # Panics
/// When one has none, or two have the same.
pub fn by_id(messages: &[Message]) -> std::collections::BTreeMap<&str, &Message> {
    let named = messages.iter().map(|message| {
        let id = message.header("eddy.id").expect("every output has an id");
        (id, message)
    });
    let found: std::collections::BTreeMap<_, _> = named.collect();
    assert_eq!(found.len(), messages.len(), "no event has two outputs on one topic");
    found
}

fn head(plan: &Plan<'_>, brokers: &str) -> String {
    let Plan { name, guarantee, .. } = plan;
    format!(
        r#"format = 2
name = "{name}"

[kafka]
brokers = "{brokers}"
start = "earliest"
guarantee = "{guarantee}"
session_timeout = "6s"

[topics]
events = "{name}-events"
predictions = "{name}-predictions"
retraining = "{name}-retraining"
dead_letters = "{name}-dead-letters"
"#
    )
}
