//! The watcher: reads everything that the service writes, as any reader would, and tells the tally.
//!
//! Owns: the demo's own consumer, and the reading of predictions, samples and dead letters.
//! Never does: ask the service; what counts is what stands in the topics.
//!
//! Invariant: what belongs to another run, or cannot be understood, changes no number but its own count.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eddy_host::{ExitCode, Failure, Tasks};
use eddy_pipeline::event::{HEADER_ID, HEADER_REASON, HEADER_SELECTION};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde::Deserialize;

use super::stage::{self, Stage};
use super::tally::{Prediction, Sample};
use super::{Shared, configuration, not_started};
use crate::run::NotStarted;

const POLL: Duration = Duration::from_millis(100);
const METADATA: Duration = Duration::from_secs(10);

/// A prediction as it stands on its topic; the members that the demo needs.
#[derive(Debug, Deserialize)]
struct Written {
    models: BTreeMap<String, Verdict>,
}

/// What one model said, in predictions and in the header of samples.
#[derive(Debug, Deserialize)]
struct Verdict {
    label: String,
    confidence: f32,
    #[serde(default)]
    flags: Vec<String>,
}

/// One entry of the header `eddy.selection`.
#[derive(Debug, Deserialize)]
struct Selected {
    prediction: Verdict,
    arms: Vec<String>,
}

/// The name of an event in this run.
pub(super) fn id_of(run: &str, number: u64) -> String {
    format!("{run}-{number}")
}

fn number_of(run: &str, id: &[u8]) -> Option<u64> {
    let id = std::str::from_utf8(id).ok()?;
    id.strip_prefix(run)?.strip_prefix('-')?.parse().ok()
}

fn prediction(value: &[u8]) -> Option<Prediction> {
    let written: Written = serde_json::from_slice(value).ok()?;
    let verdict = written.models.into_values().next()?;
    Some(Prediction {
        digit: verdict.label.parse().ok()?,
        confidence: verdict.confidence,
        selected: !verdict.flags.is_empty(),
    })
}

fn sample(number: u64, selection: &[u8]) -> Option<Sample> {
    let entries: Vec<Selected> = serde_json::from_slice(selection).ok()?;
    let first = entries.into_iter().next()?;
    let digit = first.prediction.label.parse().ok();
    Some(Sample {
        number,
        reasons: first.arms,
        said: digit.map(|digit| (digit, first.prediction.confidence)),
    })
}

/// The thread that reads the outputs.
#[derive(Debug)]
pub(super) struct Watcher {
    is_over: Arc<AtomicBool>,
}

impl Watcher {
    /// Begins to read at the present end of the topics.
    ///
    /// # Errors
    /// When the topics cannot be asked for, or the thread cannot be started.
    pub(super) fn start(stage: &Stage, shared: &Shared, tasks: &Tasks) -> Result<Self, NotStarted> {
        let reader = Reader::open(stage, shared.clone()).map_err(|error| {
            let message = format!("the demo's own consumer cannot read the output topics: {error}; check the broker");
            not_started(ExitCode::Unreachable, message)
        })?;
        let is_over = Arc::new(AtomicBool::new(false));
        let seen_by_thread = Arc::clone(&is_over);
        tasks
            .spawn_thread("demo-watcher", stage::POLICY, move |_| reader.run(&seen_by_thread))
            .map_err(configuration)?;
        Ok(Self { is_over })
    }

    /// Everything has been seen.
    pub(super) fn stop(&self) {
        self.is_over.store(true, Ordering::Release);
    }
}

struct Reader {
    consumer: BaseConsumer,
    run: String,
    predictions: String,
    retraining: String,
    dead_letters: String,
    shared: Shared,
}

impl Reader {
    fn open(stage: &Stage, shared: Shared) -> Result<Self, KafkaError> {
        let topics = stage.topics();
        let mut config = stage.client_config();
        config
            // The client wants a group although nothing is ever committed to it.
            .set("group.id", format!("{}-watcher", stage.run))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "100");
        let consumer: BaseConsumer = config.create()?;
        let mut positions = TopicPartitionList::new();
        for topic in [&topics.predictions, &topics.retraining, &topics.dead_letters] {
            let metadata = consumer.fetch_metadata(Some(topic), METADATA)?;
            let partitions = metadata.topics().iter().flat_map(|found| found.partitions());
            for partition in partitions {
                let (_, end) = consumer.fetch_watermarks(topic, partition.id(), METADATA)?;
                positions.add_partition_offset(topic, partition.id(), Offset::Offset(end))?;
            }
        }
        consumer.assign(&positions)?;
        Ok(Self {
            consumer,
            run: stage.run.clone(),
            predictions: topics.predictions.clone(),
            retraining: topics.retraining.clone(),
            dead_letters: topics.dead_letters.clone(),
            shared,
        })
    }

    fn run(self, is_over: &AtomicBool) -> Result<(), Failure> {
        while !is_over.load(Ordering::Acquire) {
            match self.consumer.poll(POLL) {
                None => {}
                Some(Ok(message)) => self.take(&message),
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    let message = format!("the demo's own consumer failed: {code}; check the broker");
                    return Err(Failure::new(ExitCode::Unreachable, message));
                }
                // The client tries again by itself.
                Some(Err(error)) => tracing::debug!(%error, "the demo's own consumer waits"),
            }
        }
        Ok(())
    }

    fn take(&self, message: &BorrowedMessage<'_>) {
        let header = |name: &str| {
            let headers = message.headers()?;
            headers
                .iter()
                .find(|header| header.key == name)
                .and_then(|header| header.value)
        };
        let Some(number) = header(HEADER_ID).and_then(|id| number_of(&self.run, id)) else {
            return;
        };
        let elapsed = self.shared.time.elapsed();
        let mut tally = self.shared.tally.lock().expect("no holder of the tally panics");
        let topic = message.topic();
        if topic == self.predictions {
            match message.payload().and_then(prediction) {
                Some(prediction) => tally.predicted(number, prediction, elapsed),
                None => tally.strange(),
            }
        } else if topic == self.retraining {
            match header(HEADER_SELECTION).and_then(|selection| sample(number, selection)) {
                Some(sample) => tally.flowed_back(sample),
                None => tally.strange(),
            }
        } else if topic == self.dead_letters {
            let reason = header(HEADER_REASON).and_then(|reason| std::str::from_utf8(reason).ok());
            match reason {
                Some(reason) => tally.died(number, reason, elapsed),
                None => tally.strange(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_its_run_and_its_number() {
        assert_eq!(number_of("demo-1f", id_of("demo-1f", 42).as_bytes()), Some(42));
        for other in ["demo-1f", "demo-1f-", "demo-1f-x", "demo-2a-42", "42", "demo-1f42"] {
            assert_eq!(number_of("demo-1f", other.as_bytes()), None, "{other}");
        }
        assert_eq!(number_of("demo-1f", &[0xff]), None);
    }

    #[test]
    fn a_prediction_is_read_by_the_contract_of_its_topic() {
        let value = br#"{"format":1,"id":"demo-1f-42","source":"e/0/7","time":1,"models":{"digits":{"version":"1",
            "label":"7","confidence":0.41,"probabilities":[0.1],"flags":["uncertainty"]}}}"#;
        let read = prediction(value).expect("it follows the contract");
        assert_eq!((read.digit, read.confidence, read.selected), (7, 0.41, true));
        assert_eq!(prediction(b"{}"), None);
        assert_eq!(prediction(br#"{"models":{}}"#), None);
    }

    #[test]
    fn a_sample_is_read_by_the_contract_of_its_header() {
        let header = br#"[{"model":"digits","version":"1","sha256":"ab","prediction":{"label":"7","confidence":0.41,
            "probabilities":[0.1]},"arms":["uncertainty"],"scores":{"confidence":0.41},"probability":1}]"#;
        let read = sample(42, header).expect("it follows the contract");
        assert_eq!((read.number, read.said), (42, Some((7, 0.41))));
        assert_eq!(read.reasons, ["uncertainty"]);
        assert_eq!(sample(42, b"[]"), None);
    }
}
