//! The question whether the group may be read, asked once at the start.
//!
//! Owns: telling a refusal before the group is joined. Never does: join it.

use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;

use super::events::ConsumerEvents;
use crate::{BrokerError, Fault};

/// How long to wait for the coordinator: a refusal comes at once, and what is not known after that will show later.
const PATIENCE_MS: [u64; 3] = [300, 700, 2_000];
/// How many events are looked at in between.
const EVENTS_AT_ONCE: usize = 64;

/// Asks for a committed offset, which takes permission to see the group.
///
/// # Errors
/// [`Fault::Refused`] when there is none. A coordinator that does not answer is no error here.
pub(super) fn may_be_read(
    consumer: &BaseConsumer<ConsumerEvents>,
    topic: &str,
    group: &str,
) -> Result<(), BrokerError> {
    for patience in PATIENCE_MS {
        let mut wanted = TopicPartitionList::with_capacity(1);
        wanted.add_partition(topic, 0);
        let asked = consumer.committed_offsets(wanted, Duration::from_millis(patience));
        let code = match asked {
            Ok(_) => return Ok(()),
            Err(error) => error.rdkafka_error_code(),
        };
        // A refused look for the coordinator is told as an event, while the question itself merely times out.
        let told = (0..EVENTS_AT_ONCE).filter_map(|_| consumer.poll(Duration::ZERO)?.err()?.rdkafka_error_code());
        if let Some(code) = told.chain(code).find(|code| *code == Code::GroupAuthorizationFailed) {
            let step = consumer.context().words.access().next_step(code, None);
            return Err(BrokerError {
                fault: Fault::Refused,
                doing: format!("looking for group `{group}`"),
                message: format!("{code}; {}", step.unwrap_or_default()),
            });
        }
    }
    Ok(())
}
