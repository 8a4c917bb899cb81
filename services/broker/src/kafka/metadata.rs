//! Questions about topics, asked once at the start.
//!
//! Owns: the sentences about brokers that do not answer and topics that are not there. Never does: create a topic.

use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::fault;
use crate::{BrokerError, Fault};

/// How long to wait for one answer.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How many partitions a topic has.
///
/// # Errors
/// [`Fault::Refused`] when it does not exist or may not be seen, [`Fault::Retriable`] when no broker answers.
pub(super) fn partitions<C: ClientContext>(client: &Client<C>, topic: &str) -> Result<i32, BrokerError> {
    let metadata = client
        .fetch_metadata(Some(topic), ANSWER_WITHIN)
        .map_err(|error| unanswered(topic, &error))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let code = match found.map(|found| found.error()) {
        None => Code::UnknownTopicOrPartition,
        Some(Some(error)) => Code::from(error),
        Some(None) => Code::NoError,
    };
    match (code, found) {
        (Code::NoError | Code::LeaderNotAvailable, Some(found)) if !found.partitions().is_empty() => {
            Ok(found.partitions().len() as i32)
        }
        (Code::UnknownTopic | Code::UnknownTopicOrPartition, _) => Err(BrokerError {
            fault: Fault::Refused,
            doing: format!("looking for topic `{topic}`"),
            message: "it does not exist; create it (kafka-topics.sh --create --topic …), or correct its name under \
                      [topics]"
                .into(),
        }),
        (code, _) => Err(BrokerError {
            fault: fault::of_code(code),
            doing: format!("looking for topic `{topic}`"),
            message: match fault::next_step(code) {
                Some(step) => format!("{code}; {step}"),
                None => format!("{code}; try again when the brokers have settled"),
            },
        }),
    }
}

fn unanswered(topic: &str, error: &KafkaError) -> BrokerError {
    let fault = match error.rdkafka_error_code() {
        Some(code) => fault::of_code(code),
        None => Fault::Refused,
    };
    BrokerError {
        fault,
        doing: format!("asking the brokers for topic `{topic}`"),
        message: format!("{error}; check kafka.brokers, the network and, if any, kafka.tls and kafka.sasl"),
    }
}
