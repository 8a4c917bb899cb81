//! What all rounds share: a real Kafka, a topic full of events, the pipeline file.
//!
//! Owns: the broker, which is a process of its own and whose time is not counted.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use eddy_tests::kafka::Kafka;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;

use super::clients::Guarantee;
use super::{BINARY, events};

/// The topic of the events.
pub(crate) const EVENTS: &str = "events";
/// Partitions of every topic.
pub(crate) const PARTITIONS: i32 = 3;

/// What all rounds share.
pub(crate) struct Setting {
    pub(crate) kafka: Kafka,
    /// Mean bytes of an event.
    pub(crate) event_bytes: usize,
    /// More keys of the model, and more tables, of the pipeline files that are written from here on.
    pub(crate) more: (String, String),
    shape: Shape,
    folder: tempfile::TempDir,
}

/// What events and the model are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// 32 named floats, a network of two hidden layers.
    Named,
    /// A vector of 512 floats, a network of one layer.
    Vector,
}

impl Setting {
    /// Starts Kafka and fills the topic.
    pub(crate) fn prepare(events: usize) -> Self {
        Self::with(events, Shape::Named)
    }

    /// The same for events of another shape.
    pub(crate) fn with(events: usize, shape: Shape) -> Self {
        let different: Vec<Vec<u8>> = shape.events().into_iter().map(String::into_bytes).collect();
        Self::holding(events, shape, &different)
    }

    /// The same for these events, which are of that shape in whatever format.
    pub(crate) fn holding(events: usize, shape: Shape, different: &[Vec<u8>]) -> Self {
        let kafka = Kafka::start();
        kafka.create_topic(EVENTS, PARTITIONS, &[]);
        let event_bytes = fill(&kafka, events, different);
        let folder = tempfile::tempdir().expect("there is a place for temporary files");
        Self {
            kafka,
            event_bytes,
            more: Default::default(),
            shape,
            folder,
        }
    }

    /// Output topics of one run, which no other run writes to, and its pipeline file.
    pub(crate) fn pipeline(&self, name: &str, guarantee: Guarantee) -> PathBuf {
        for topic in ["predictions", "retraining", "dead-letters", "bare"] {
            self.kafka.create_topic(&format!("{name}-{topic}"), PARTITIONS, &[]);
        }
        let mut text = format!(
            r#"
            format = 2
            name = "{name}"
            [kafka]
            brokers = "{brokers}"
            start = "earliest"
            guarantee = "{guarantee}"
            [topics]
            events = "{EVENTS}"
            predictions = "{name}-predictions"
            retraining = "{name}-retraining"
            dead_letters = "{name}-dead-letters"
            [[models]]
            name = "mlp"
            path = "{model}"
            head = {{ type = "classification", from = "logits" }}
            {keys}
            {tables}
            "#,
            keys = self.more.0,
            tables = self.more.1,
            brokers = self.kafka.bootstrap(),
            guarantee = guarantee.as_str(),
            model = self.shape.model().display(),
        );
        text.push_str(&self.shape.fields());
        let path = self.folder.path().join(format!("{name}.toml"));
        std::fs::write(&path, text).expect("the temporary folder takes a file");
        path
    }

    /// The path of the model's reference profile on so many of the events, made by the command that users have.
    pub(crate) fn profile(&self, name: &str, rows: usize) -> String {
        let data = self.folder.path().join(format!("{name}.jsonl"));
        let events: Vec<String> = self.shape.events().into_iter().take(rows).collect();
        std::fs::write(&data, events.join("\n")).expect("the temporary folder takes a file");
        let profile = self.folder.path().join(format!("{name}.json"));
        let made = Command::new(BINARY)
            .arg("profile")
            .arg(self.pipeline(name, Guarantee::AtLeastOnce))
            .arg("--data")
            .arg(data)
            .arg("--out")
            .arg(&profile)
            .output()
            .expect("the program under test can be started");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        profile.display().to_string()
    }
}

impl Shape {
    /// The different events.
    pub(crate) fn events(self) -> Vec<String> {
        match self {
            Self::Named => events::different(),
            Self::Vector => events::vectors(),
        }
    }

    fn model(self) -> PathBuf {
        match self {
            Self::Named => model(),
            Self::Vector => model().with_file_name("linear512.onnx"),
        }
    }

    fn fields(self) -> String {
        let mut text = String::new();
        match self {
            Self::Named => {
                for field in events::NAMES {
                    write!(text, "[fields.{field}]\ntype = \"float\"\n").expect("writing to a String cannot fail");
                }
            }
            Self::Vector => {
                let length = events::LENGTH;
                write!(text, "[fields.features]\ntype = \"vector\"\nlength = {length}\n")
                    .expect("writing to a String cannot fail");
            }
        }
        text
    }
}

/// The tabular model: 32 floats, two hidden layers, ten classes.
pub(crate) fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models/mlp32.onnx")
}

/// Writes the events without keys, evenly over the partitions; gives their mean size.
fn fill(kafka: &Kafka, events: usize, different: &[Vec<u8>]) -> usize {
    let mut config = kafka.client();
    config.set("linger.ms", "20").set("acks", "all");
    let producer: BaseProducer = config.create().expect("a producer can be made");
    let mut bytes = 0;
    for (number, event) in different.iter().cycle().take(events).enumerate() {
        bytes += event.len();
        let partition = (number % PARTITIONS as usize) as i32;
        let mut record = BaseRecord::<[u8], [u8]>::to(EVENTS).partition(partition).payload(event);
        while let Err((error, unsent)) = producer.send(record) {
            assert_eq!(
                error,
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull),
                "Kafka takes events"
            );
            producer.poll(Duration::from_millis(10));
            record = unsent;
        }
    }
    producer.flush(Duration::from_secs(120)).expect("the events arrive");
    bytes / events
}
