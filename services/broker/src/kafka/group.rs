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
/// How many events are served at once while there is nothing else to do: enough for all that `debug` logs in a second.
const EVENTS_AT_ONCE: usize = 2_000;

/// Serves the events of a consumer that has no partitions. What it says of its group is kept.
pub(super) fn serve(consumer: &BaseConsumer<ConsumerEvents>) {
    for _ in 0..EVENTS_AT_ONCE {
        let Some(Err(error)) = consumer.poll(Duration::ZERO) else {
            continue;
        };
        if error.rdkafka_error_code() == Some(Code::GroupAuthorizationFailed) {
            consumer.context().words.group_is_refused();
        }
    }
}

/// Asks for a committed offset, which takes permission to see the group.
///
/// # Errors
/// [`Fault::Refused`] when there is none. A coordinator that does not answer is no error here.
pub(super) fn may_be_read(
    consumer: &BaseConsumer<ConsumerEvents>,
    topic: &str,
    group: &str,
) -> Result<(), BrokerError> {
    let code = Code::GroupAuthorizationFailed;
    let words = &consumer.context().words;
    for patience in PATIENCE_MS {
        let mut wanted = TopicPartitionList::with_capacity(1);
        wanted.add_partition(topic, 0);
        let asked = consumer.committed_offsets(wanted, Duration::from_millis(patience));
        let is_refused = asked
            .as_ref()
            .is_err_and(|error| error.rdkafka_error_code() == Some(code));
        // A refused look for the coordinator is told as an event, once, while the question itself merely times out.
        serve(consumer);
        if is_refused || words.is_group_refused() {
            let step = words.access().next_step(code, None);
            return Err(BrokerError {
                fault: Fault::Refused,
                doing: format!("looking for group `{group}`"),
                message: format!("{code}; {}", step.unwrap_or_default()),
            });
        }
        if asked.is_ok() {
            break;
        }
    }
    Ok(())
}
