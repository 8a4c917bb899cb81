//! What the errors of the consumer mean, in sentences that name the place and the next step.
//!
//! Owns: the line between what passes by itself, what calls for a new client, and what is for an operator.
//! Never does: act on it.

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use eddy_pipeline::event::Partition;

use super::fault;
use super::intake::{ANSWER_WITHIN, Intake};
use crate::{BrokerError, Fault, Polled};

impl Intake {
    /// Adds the reason that the client last gave, which says more than its code.
    pub(super) fn explained(&self, error: BrokerError) -> BrokerError {
        self.poll_events_only();
        self.consumer.context().words.explain(error)
    }

    /// What an error of a poll means: most are passing, and the client heals itself.
    pub(super) fn interpret(&mut self, error: &KafkaError) -> Result<Polled, BrokerError> {
        let reason = self.consumer.context().words.take_reason();
        let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
        if let Some(fatal) = self.fatal() {
            return Err(fatal);
        }
        let fault = fault::of_code(code);
        if matches!(fault, Fault::Retriable | Fault::Abortable) {
            return Ok(self.next_rebalance()?.unwrap_or(Polled::Idle));
        }
        let reason = reason.unwrap_or_else(|| error.to_string());
        if matches!(fault, Fault::Fatal | Fault::Fenced | Fault::ConsumerFenced) {
            return Err(self.lost(code, &reason));
        }
        let (doing, message) = match code {
            Code::AutoOffsetReset => (
                format!("finding where to begin in {}", self.without_position()),
                format!(
                    "group `{}` has no offset there, or one whose event is gone ({reason}), and kafka.start is \"error\"; \
                     set it to \"earliest\", \"latest\" or a time, or set the group's offset by hand",
                    self.group
                ),
            ),
            Code::BadMessage | Code::BadCompression | Code::InvalidMessage | Code::UnsupportedCompressionType => (
                format!("reading {}", self.names(&self.assigned)),
                format!(
                    "a batch of events cannot be read and would be skipped silently: {reason}; mend the topic, or set \
                         the group's offset beyond it by hand"
                ),
            ),
            _ => {
                let step = self.consumer.context().words.access().next_step(code, None);
                let step = step.map_or_else(String::new, |step| format!("; {step}"));
                (self.reading(), format!("{reason}{step}"))
            }
        };
        Err(BrokerError { fault, doing, message })
    }

    /// The error that the client cannot recover from, if it has met one.
    pub(super) fn fatal(&self) -> Option<BrokerError> {
        let (code, reason) = self.consumer.client().fatal_error()?;
        Some(self.lost(code, &reason))
    }

    fn lost(&self, code: Code, reason: &str) -> BrokerError {
        fault::of_consumer(self.reading(), code, reason, self.consumer.context().session_ran_out())
    }

    pub(super) fn reading(&self) -> String {
        format!("reading `{}` as group `{}`", self.inputs.join("`, `"), self.group)
    }

    /// The failure of a call, or what is behind it once the client is beyond repair.
    pub(super) fn failed(&self, doing: impl Into<String>, error: &KafkaError) -> BrokerError {
        let mut failed = self.fatal().unwrap_or_else(|| fault::failed(doing, error));
        if failed.fault == Fault::Fatal {
            failed.fault = Fault::ConsumerLost;
        }
        failed
    }

    /// Names the assigned partitions whose committed offset is missing or out of range. Asks Kafka: for a last message
    /// only.
    pub(super) fn without_position(&self) -> String {
        let committed = self.committed(&self.assigned).unwrap_or_default();
        let is_lost = |(partition, offset): &(&Partition, &Option<i64>)| {
            let topic = self.topic(**partition);
            let range = self.consumer.fetch_watermarks(topic, partition.number, ANSWER_WITHIN);
            offset.is_none_or(|offset| range.is_ok_and(|(from, to)| !(from..=to).contains(&offset)))
        };
        let lost: Vec<Partition> = self
            .assigned
            .iter()
            .zip(&committed)
            .filter(is_lost)
            .map(|(partition, _)| *partition)
            .collect();
        self.names(if lost.is_empty() { &self.assigned } else { &lost })
    }
}
