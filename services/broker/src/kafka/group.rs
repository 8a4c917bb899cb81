//! A consumer and its group before it joins, and how it leaves.
//!
//! Owns: telling a refusal before the group is joined, what was committed, the limit of a closing. Never does: join it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::events::ConsumerEvents;
use super::fault;
use super::lists::check_each;
use crate::{BrokerError, Fault};

/// How long to wait for the coordinator: a refusal comes at once, and what is not known after that will show later.
const PATIENCE_MS: [u64; 3] = [300, 700, 2_000];
/// How many events are served at once while there is nothing else to do: enough for all that `debug` logs in a second.
const EVENTS_AT_ONCE: usize = 2_000;
/// How long a consumer may take to leave the group.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// How long the group's offsets may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// What a group has committed of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Offset of the next record to be read.
    pub offset: i64,
    /// What stands beside it; empty for nothing.
    pub note: String,
}

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

/// What the group has committed of each partition of these topics, of which it is told how many partitions they have; `None`
/// where it has nothing. One request for all.
///
/// # Errors
/// When the group cannot be asked, or may not be seen.
pub(super) fn committed(
    consumer: &BaseConsumer<ConsumerEvents>,
    group: &str,
    topics: &[(String, i32)],
) -> Result<Vec<Vec<Option<Committed>>>, BrokerError> {
    let Some((first, _)) = topics.first() else {
        return Ok(Vec::new());
    };
    may_be_read(consumer, first, group)?;
    let mut wanted = TopicPartitionList::new();
    for (topic, partitions) in topics {
        wanted.add_partition_range(topic, 0, partitions - 1);
    }
    let found = consumer.committed_offsets(wanted, ANSWER_WITHIN).map_err(|error| {
        let mut failed = fault::failed(format!("asking group `{group}` for its offsets"), &error);
        let words = &consumer.context().words;
        let code = error.rdkafka_error_code();
        match code.and_then(|code| words.access().next_step(code, Some(first))) {
            Some(step) => failed.message = format!("{}; {step}", failed.message),
            None => failed = words.explain(failed),
        }
        failed
    })?;
    check_each(&found, "asking for the committed offset of")?;
    let mut offsets = BTreeMap::new();
    for element in found.elements() {
        if let Offset::Offset(offset) = element.offset() {
            let note = element.metadata().to_owned();
            offsets.insert(
                (element.topic().to_owned(), element.partition()),
                Committed { offset, note },
            );
        }
    }
    let mut of = |topic: &String, number| offsets.remove(&(topic.clone(), number));
    let of_topic = |(topic, partitions): &(String, i32)| (0..*partitions).map(|number| of(topic, number)).collect();
    Ok(topics.iter().map(of_topic).collect())
}

/// Leaves the group. Rebalances are answered by the callback from now on, and records are dropped.
///
/// # Errors
/// When that takes too long; one sentence. The consumer is then to be leaked, and ends with the process: dropped, it would
/// wait without a limit.
pub(super) fn leave(consumer: &BaseConsumer<ConsumerEvents>) -> Result<(), String> {
    consumer.context().start_closing();
    let closed = consumer.close_queue();
    let deadline = Instant::now() + CLOSE_WITHIN;
    while closed.is_ok() && !consumer.closed() && Instant::now() < deadline {
        drop(consumer.poll(Duration::from_millis(20)));
    }
    match closed {
        _ if consumer.closed() => Ok(()),
        Ok(()) => Err(format!("the client did not close within {} s", CLOSE_WITHIN.as_secs())),
        Err(error) => Err(error.to_string()),
    }
}
