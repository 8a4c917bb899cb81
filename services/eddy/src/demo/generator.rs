//! The generator: sends what the reel gives at a steady rate, while the camera does what the script says.
//!
//! Owns: the producer, the pace, and the stop while too much waits for its outcome.
//! Never does: look at an outcome; the tally does.
//!
//! Invariant: an event is in the tally before it is sent. No more than [`MOST_UNANSWERED_BYTES`] wait for their
//! outcome: librdkafka's mock cluster keeps 5 MiB of a partition and drops the rest in silence.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use eddy_host::{ExitCode, Failure, Shutdown};
use eddy_pipeline::event::HEADER_ID;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::Shared;
use super::script::{Make, Moment, Phase, Reel, Script, Shot};
use super::stage::Stage;
use super::tally::{Sent, Tally};
use super::{configuration, watcher};
use crate::run::NotStarted;

/// Of all partitions together, so of each one as well.
const MOST_UNANSWERED_BYTES: usize = 2 << 20;
/// What a record takes beside key, value and id.
const RECORD_OVERHEAD_BYTES: usize = 64;
/// The digits pass in the same order in every run.
const SEED: u64 = 20_260;
/// How long the first event may take: the consumer group has to settle.
const FIRST_OUTCOME: Duration = Duration::from_secs(60);
/// How long what was sent last may take to arrive.
const FLUSH: Duration = Duration::from_secs(10);
/// Whoever is later than this does not catch up, but goes on from here.
const LATEST: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(5);

/// Sends events.
pub(super) struct Generator {
    producer: BaseProducer<Deliveries>,
    topic: String,
    run: String,
    shared: Shared,
    reel: Reel,
    script: Script,
    between: Duration,
}

/// Tells the tally of events that could not be sent after all.
struct Deliveries {
    tally: Arc<Mutex<Tally>>,
    /// How many; one line of the log stands for all of them.
    lost: AtomicU64,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        if let Err((error, _)) = result {
            if self.lost.fetch_add(1, Ordering::Relaxed) == 0 {
                tracing::warn!(%error, "an event could not be sent; more may follow without a line of their own");
            }
            lock(&self.tally).withdrawn(number as u64);
        }
    }
}

impl Generator {
    /// A generator for the stage's events topic.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub(super) fn new(stage: &Stage, shared: Shared, script: Script, rate: u32) -> Result<Self, NotStarted> {
        let deliveries = Deliveries {
            tally: Arc::clone(&shared.tally),
            lost: AtomicU64::new(0),
        };
        let mut config = stage.client_config();
        config
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("partitioner", "murmur2_random");
        Ok(Self {
            producer: config.create_with_context(deliveries).map_err(configuration)?,
            topic: stage.topics().events.stand_in().to_owned(),
            run: stage.run.clone(),
            shared,
            reel: Reel::new(SEED),
            script,
            between: Duration::from_secs(1) / rate.max(1),
        })
    }

    /// Sends the first event, waits for its outcome, then sends on until the end is requested.
    ///
    /// # Errors
    /// When the first outcome does not come, or the producer fails.
    pub(super) fn run(mut self, shutdown: &Shutdown) -> Result<(), Failure> {
        self.warm_up(shutdown)?;
        self.shared.time.begin();
        let mut next_due = Duration::ZERO;
        while !shutdown.is_requested() {
            self.producer.poll(Duration::ZERO);
            let now = self.shared.time.elapsed();
            next_due = next_due.max(now.saturating_sub(LATEST));
            if next_due > now {
                shutdown.wait_for(TICK.min(next_due - now));
            } else if lock(&self.shared.tally).unanswered_bytes() > MOST_UNANSWERED_BYTES {
                shutdown.wait_for(TICK);
            } else {
                self.send(self.script.at(now))?;
                next_due += self.between;
            }
        }
        self.producer.flush(FLUSH).map_err(failed)
    }

    /// Until one event has come through, the group has not settled, and sending would only pile events up.
    fn warm_up(&mut self, shutdown: &Shutdown) -> Result<(), Failure> {
        let before = Moment {
            phase: Phase::Straight,
            pose: self.script.at(Duration::ZERO).pose,
        };
        self.send(before)?;
        let mut waited = Duration::ZERO;
        while lock(&self.shared.tally).unanswered_bytes() > 0 && !shutdown.is_requested() {
            if waited > FIRST_OUTCOME {
                let message = format!(
                    "the first event had no outcome after {} s; see the log for what the service met",
                    FIRST_OUTCOME.as_secs()
                );
                return Err(Failure::new(ExitCode::GuaranteeLost, message));
            }
            self.producer.poll(Duration::ZERO);
            shutdown.wait_for(TICK);
            waited += TICK;
        }
        Ok(())
    }

    fn send(&mut self, moment: Moment) -> Result<(), Failure> {
        let shot = self.reel.shoot(moment.pose);
        let number = lock(&self.shared.tally).sent(Sent {
            label: shot.label,
            phase: moment.phase,
            picture: shot.picture,
            bytes: bytes_of(&shot),
        });
        let id = watcher::id_of(&self.run, number);
        let headers = OwnedHeaders::new().insert(Header {
            key: HEADER_ID,
            value: Some(&id),
        });
        let mut record = BaseRecord::with_opaque_to(&self.topic, number as usize)
            .key(&shot.camera)
            .headers(headers);
        record.payload = shot.value.as_deref();
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    self.producer.poll(Duration::from_millis(100));
                    record = again;
                }
                Err((error, _)) => {
                    lock(&self.shared.tally).withdrawn(number);
                    return Err(failed(error));
                }
            }
        }
    }
}

fn bytes_of(shot: &Shot) -> usize {
    debug_assert_eq!(shot.value.is_none(), shot.make == Make::Tombstone);
    shot.camera.len() + shot.value.as_ref().map_or(0, Vec::len) + RECORD_OVERHEAD_BYTES
}

fn failed(error: KafkaError) -> Failure {
    Failure::new(
        ExitCode::Unreachable,
        format!("events cannot be sent: {error}; check the broker"),
    )
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().expect("no holder of the tally panics")
}
