//! The feed: numbered events at a bounded rate, never far ahead of what has come out.
//!
//! Owns: the producer of the events topic, and where each event came to lie.
//!
//! Invariant: an event that was handed out reaches its partition exactly once, in the order of numbers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use eddy_pipeline::partition::partition_for;
use eddy_tests::oracle;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Message as _};

use crate::scene::{PARTITIONS, Scene};
use crate::state::{State, locked};

/// How far ahead of what has come out, in seconds of the rate.
const AHEAD_SECONDS: u64 = 10;
/// How often events are handed out.
const TICK: Duration = Duration::from_millis(20);

struct Places(Arc<State>);

impl ClientContext for Places {}

impl ProducerContext for Places {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let record = match result {
            Ok(record) => record,
            Err((error, _)) => return self.0.mishap(format!("event {number} was not delivered: {error}")),
        };
        let mut places = locked(&self.0.places);
        let partition = &mut places[record.partition() as usize];
        // After a retry the broker may not say where the first attempt put it; reports come in order all the same.
        if record.offset() >= 0 && record.offset() != partition.len() as i64 {
            let (expected, got) = (partition.len(), record.offset());
            self.0
                .mishap(format!("event {number} lies at {got} and not at {expected}"));
        }
        partition.push(number as u64);
    }
}

/// Feeds until the run ends.
pub(crate) fn feed(scene: &Scene, state: &Arc<State>, rate: u64) {
    let producer: BaseProducer<Places> = ClientConfig::new()
        .set("bootstrap.servers", &scene.direct)
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "0")
        .set("linger.ms", "5")
        .set("reconnect.backoff.max.ms", "500")
        .create_with_context(Places(Arc::clone(state)))
        .expect("a producer can be made");
    let topic = scene.events();
    let started = Instant::now();
    let mut paused = Duration::ZERO;
    let mut next: u64 = 0;
    while !state.is_ending() {
        if let Some((code, why)) = producer.client().fatal_error() {
            return state.mishap(format!("the feed cannot go on: {code}: {why}"));
        }
        let behind = next.saturating_sub(locked(&state.checker).complete());
        let due = (started.elapsed() - paused).as_millis() as u64 * rate / 1000;
        let due = due.min(state.allowed.load(Ordering::SeqCst));
        if behind > rate * AHEAD_SECONDS || next >= due {
            if behind > rate * AHEAD_SECONDS {
                paused += TICK;
            }
            producer.poll(TICK);
            continue;
        }
        // Known before it is sent, so that no reader sees an event that never was.
        state.handed_out.store(due, Ordering::SeqCst);
        (next..due).for_each(|number| send(&producer, scene, &topic, number));
        next = due;
    }
}

fn send(producer: &BaseProducer<Places>, scene: &Scene, topic: &str, number: u64) {
    let event = scene.recipe.event(number);
    let place = (event.place % PARTITIONS as u32) as i32;
    let partition = partition_for(event.key.as_deref().map(str::as_bytes), place, PARTITIONS);
    let mut record = BaseRecord::<str, [u8], usize>::with_opaque_to(topic, number as usize)
        .partition(partition)
        .headers(oracle::headers(&event));
    record.key = event.key.as_deref();
    record.payload = event.value.as_deref();
    while let Err((error, unsent)) = producer.send(record) {
        let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
        assert_eq!(error, full, "the events topic takes events");
        producer.poll(Duration::from_millis(10));
        record = unsent;
    }
}
