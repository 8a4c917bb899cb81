//! Readers of the three output topics with `read_committed`, from their first offset, into a checker.

use std::sync::atomic::Ordering;
use std::time::Duration;

use eddy_pipeline::event::Destination;
use eddy_tests::kafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::scene::{PARTITIONS, Scene};
use crate::state::{State, locked};

/// Longest wait for a record.
const WAIT: Duration = Duration::from_millis(100);
/// Nothing came for so long after as many records as are known: there are no more.
const QUIET: Duration = Duration::from_secs(2);
/// Nothing came for so long, and records are missing: they will not come.
const SILENT: Duration = Duration::from_secs(60);

/// Reads on until the run ends.
pub(crate) fn read_along(scene: &Scene, state: &State) {
    let consumer = consumer(scene);
    while !state.is_ending() {
        let Some((to, message)) = next(scene, &consumer, state) else {
            continue;
        };
        let mut checker = locked(&state.checker);
        checker.handed_out(state.handed_out.load(Ordering::SeqCst));
        checker.output(to, &message);
    }
}

/// Reads everything there is, once more. At least so many records are `known`.
pub(crate) fn read_again(scene: &Scene, state: &State, known: usize, mut take: impl FnMut(Destination, &Message)) {
    let consumer = consumer(scene);
    let (mut quiet, mut seen) = (Duration::ZERO, 0);
    while quiet < if seen < known { SILENT } else { QUIET } {
        match next(scene, &consumer, state) {
            Some((to, message)) => {
                quiet = Duration::ZERO;
                seen += 1;
                take(to, &message);
            }
            None => quiet += WAIT,
        }
    }
}

fn next(scene: &Scene, consumer: &BaseConsumer, state: &State) -> Option<(Destination, Message)> {
    match consumer.poll(WAIT)? {
        Ok(record) => {
            let topic = rdkafka::Message::topic(&record);
            let to = Destination::ALL.into_iter().find(|to| scene.output(*to) == topic)?;
            Some((to, Message::from(&record)))
        }
        Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset)) => {
            state.mishap("the reader lost its place: a record that was read is gone".into());
            None
        }
        // Of a broker that is away; the client goes on by itself.
        Err(_) => None,
    }
}

fn consumer(scene: &Scene) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &scene.direct)
        // librdkafka wants a group to assign partitions; it is neither joined nor committed to.
        .set("group.id", "chaos-reader")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "100")
        .set("queued.max.messages.kbytes", "16384")
        .set("reconnect.backoff.max.ms", "500")
        .create()
        .expect("a consumer can be made");
    let mut assignment = TopicPartitionList::new();
    for to in Destination::ALL {
        for partition in 0..PARTITIONS {
            let added = assignment.add_partition_offset(&scene.output(to), partition, Offset::Offset(0));
            added.expect("a valid offset");
        }
    }
    consumer.assign(&assignment).expect("partitions can be assigned");
    consumer
}
