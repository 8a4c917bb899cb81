//! Questions about topics, asked once at the start.
//!
//! Owns: the sentences about brokers that do not answer and topics that are not there. Never does: create a topic.

use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::Metadata;

use super::fault;
use super::words::Words;
use crate::settings::Events;
use crate::{BrokerError, Fault};

/// How long to wait for an answer: so long, then the client is asked whether waiting helps, then longer.
const PATIENCE_MS: [u64; 3] = [500, 1_500, 8_000];

/// What is looked at on the way: a client's words, and how it is brought to speak.
pub(super) struct Ear<'a> {
    pub(super) words: &'a Words,
    pub(super) listen: &'a dyn Fn(),
}

/// A topic that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) partitions: i32,
    /// Replicas of the first partition.
    pub(super) replication: usize,
}

/// How many partitions a topic has.
///
/// # Errors
/// [`Fault::Refused`] when it does not exist or may not be seen, or when something stands in the way that waiting does not
/// remove; [`Fault::Retriable`] when no broker answers.
pub(super) fn partitions<C: ClientContext>(client: &Client<C>, topic: &str, ear: &Ear<'_>) -> Result<i32, BrokerError> {
    let shape = self::topic(client, topic, ear)?;
    shape.map(|shape| shape.partitions).ok_or_else(|| BrokerError {
        fault: Fault::Refused,
        doing: format!("looking for topic `{topic}`"),
        message:
            "it does not exist; create it (`eddy topics --apply`, or kafka-topics.sh --create --topic …), or correct \
                  its name under [topics]"
                .into(),
    })
}

/// A topic as it is; `None` when it does not exist.
///
/// # Errors
/// As [`partitions`], but for one that does not exist.
pub(super) fn topic<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    ear: &Ear<'_>,
) -> Result<Option<Shape>, BrokerError> {
    let metadata = ask(client, Some(topic), ear)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let code = match found.map(|found| found.error()) {
        None => Code::UnknownTopicOrPartition,
        Some(Some(error)) => Code::from(error),
        Some(None) => Code::NoError,
    };
    match (code, found) {
        (Code::NoError | Code::LeaderNotAvailable, Some(found)) if !found.partitions().is_empty() => Ok(Some(Shape {
            partitions: found.partitions().len() as i32,
            replication: found.partitions()[0].replicas().len(),
        })),
        (Code::UnknownTopic | Code::UnknownTopicOrPartition, _) => Ok(None),
        (code, _) => Err(BrokerError {
            fault: fault::of_code(code),
            doing: format!("looking for topic `{topic}`"),
            message: match ear.words.access().next_step(code, Some(topic)) {
                Some(step) => format!("{code}; {step}"),
                None => format!("{code}; try again when the brokers have settled"),
            },
        }),
    }
}

/// The topics that a pipeline reads, each with its partitions: those that are named, or those that match and may be seen.
///
/// # Errors
/// As [`partitions`].
pub(super) fn inputs<C: ClientContext>(
    client: &Client<C>,
    events: &Events,
    ear: &Ear<'_>,
) -> Result<Vec<(String, i32)>, BrokerError> {
    if events.matching().is_none() {
        let names = events.names().iter();
        return names
            .map(|name| Ok((name.clone(), partitions(client, name, ear)?)))
            .collect();
    }
    let (metadata, reads) = (ask(client, None, ear)?, events.reads());
    let found = metadata
        .topics()
        .iter()
        .filter(|topic| reads.has(topic.name()) && !topic.partitions().is_empty());
    let mut found: Vec<_> = found
        .map(|topic| (topic.name().to_owned(), topic.partitions().len() as i32))
        .collect();
    found.sort();
    Ok(found)
}

fn ask<C: ClientContext>(client: &Client<C>, topic: Option<&str>, ear: &Ear<'_>) -> Result<Metadata, BrokerError> {
    let mut unanswered = None;
    for patience in PATIENCE_MS {
        let error = match client.fetch_metadata(topic, Duration::from_millis(patience)) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => self::unanswered(topic, &error),
        };
        (ear.listen)();
        if let Some(obstacle) = ear.words.obstacle() {
            return Err(BrokerError {
                fault: obstacle.fault,
                message: obstacle.sentence,
                ..error
            });
        }
        unanswered = Some(error);
    }
    let unanswered = unanswered.expect("it was asked at least once");
    Err(ear.words.explain_start(unanswered))
}

fn unanswered(topic: Option<&str>, error: &KafkaError) -> BrokerError {
    let fault = match error.rdkafka_error_code() {
        Some(code) => fault::of_code(code),
        None => Fault::Refused,
    };
    BrokerError {
        fault,
        doing: match topic {
            Some(topic) => format!("asking the brokers for topic `{topic}`"),
            None => "asking the brokers for their topics".to_owned(),
        },
        message: format!("{error}; check kafka.brokers, the network and, if any, kafka.tls and kafka.sasl"),
    }
}
