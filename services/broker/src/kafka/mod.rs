//! [`crate::Broker`] on librdkafka.
//!
//! Owns: one consumer and one producer for one lane. Never does: work on a thread of its own; librdkafka's threads do the
//! talking, and the lane serves their callbacks in [`Broker::poll`] and [`Broker::serve`]. What may wait for long, or for
//! ever, has a thread for itself: fetching tokens ([`oidc`]), calls without a timeout ([`overdue`]), questions to Kafka in
//! moments of doubt ([`doubt`], [`handshake`]).
//!
//! Invariant: what librdkafka or its wrapper gets wrong is put right in here, each at the line that says so.

mod access;
mod begin;
mod check;
mod complaints;
mod deliveries;
mod doubt;
mod events;
mod fault;
mod group;
mod handshake;
mod intake;
mod job;
mod lists;
mod metadata;
mod native;
mod oidc;
mod outflow;
mod overdue;
mod reader;
mod rewind;
mod token;
mod topics;
mod words;

use std::time::Duration;

use eddy_pipeline::event::{Destination, Output, Partition, Record};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult};

pub use check::{CheckError, Report, TopicReport, answers, check, committed, input_topics};
pub use events::ConsumerStatistics;
pub use group::Committed;
pub use job::JobWriter;
pub use reader::{Stretch, TopicReader};
pub use topics::{Configuration, Created, Existing, TopicAdmin, Wanted};

use crate::settings::Settings;
use crate::{Broker, BrokerError, Fault, Inputs, Polled, Reach, SendError, Silence, Ticket, Undelivered};
use doubt::Doubt;
use intake::Intake;
use outflow::Outflow;

/// A lane's consumer and producer.
pub struct KafkaBroker {
    settings: Settings,
    lane: u16,
    intake: Intake,
    outflow: Outflow,
    doubt: Doubt,
}

impl KafkaBroker {
    /// Reaches the brokers, finds all topics, takes over the lane's transactional id and joins the group.
    ///
    /// # Errors
    /// [`Fault::Retriable`] when no broker answers in time, [`Fault::Refused`] when a topic is missing, a permission is
    /// lacking or a setting is wrong; the message says which.
    pub fn open(settings: &Settings, lane: u16) -> Result<Self, BrokerError> {
        Self::open_among(settings, lane, &Inputs::of(&settings.topics))
    }

    /// The same, with numbers of topics that other lanes share.
    ///
    /// # Errors
    /// As [`KafkaBroker::open`].
    pub fn open_among(settings: &Settings, lane: u16, inputs: &Inputs) -> Result<Self, BrokerError> {
        // Transactions come first: taking over the id ends what a predecessor left open, before its offsets are read.
        let outflow = Outflow::open(settings, lane)?;
        let intake = Intake::open(settings, lane, inputs)?;
        Ok(Self {
            settings: settings.clone(),
            lane,
            intake,
            outflow,
            doubt: Doubt::default(),
        })
    }

    /// What the consumer last said about itself; every few seconds there is news.
    pub fn statistics(&self) -> Option<ConsumerStatistics> {
        self.intake.statistics()
    }

    fn renew_if_wanted(&mut self) -> Result<(), BrokerError> {
        if self.outflow.wants_renewal() {
            self.outflow.renew(&self.settings, self.lane)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for KafkaBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaBroker")
            .field("settings", &self.settings)
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}

impl Broker for KafkaBroker {
    fn poll(&mut self, timeout: Duration, on_record: &mut dyn FnMut(&Record<'_>)) -> Result<Polled, BrokerError> {
        let polled = self.intake.poll(timeout, on_record)?;
        if matches!(polled, Polled::Idle) {
            self.check_hearing()?;
        }
        Ok(polled)
    }

    fn accept(&mut self, partitions: &[Partition]) -> Result<(), BrokerError> {
        self.intake.accept(partitions)
    }

    fn release(&mut self, partitions: &[Partition]) -> Result<(), BrokerError> {
        self.intake.release(partitions)
    }

    fn pause(&mut self, paused: bool) -> Result<(), BrokerError> {
        self.intake.pause(paused)
    }

    fn rewind(&mut self, positions: &[(Partition, i64)]) -> Result<(), BrokerError> {
        self.check_hearing()?;
        self.intake.rewind(positions)
    }

    fn committed(&mut self, partitions: &[Partition]) -> Result<Vec<Option<i64>>, BrokerError> {
        self.check_hearing()?;
        self.intake.committed(partitions)
    }

    fn notes(&mut self, partitions: &[Partition]) -> Result<Vec<Option<String>>, BrokerError> {
        self.check_hearing()?;
        self.intake.notes(partitions)
    }

    fn annotate(&mut self, partition: Partition, note: String) {
        self.intake.annotate(partition, note);
    }

    fn renew_consumer(&mut self) -> Result<Vec<Partition>, BrokerError> {
        let held = self.intake.renew(&self.settings, self.lane)?;
        self.doubt = Doubt::default();
        Ok(held)
    }

    fn reach(&mut self, partition: Partition) -> Option<Reach> {
        self.intake.reach(partition)
    }

    fn silence(&self) -> Option<Silence> {
        Some(Silence {
            lasted: self.intake.silent_for()?,
            brokers: self.settings.kafka.brokers.clone(),
        })
    }

    fn ends(&mut self) -> Vec<(Partition, i64)> {
        self.intake.ends()
    }

    fn topic(&self, partition: Partition) -> &str {
        self.intake.topic(partition)
    }

    fn partitions_of_inputs(&self) -> i32 {
        self.intake.partitions_of_inputs()
    }

    fn partitions_of(&self, to: Destination) -> i32 {
        self.outflow.partitions_of(to)
    }

    fn send(&mut self, output: &Output<'_>, ticket: Ticket, row: u32) -> Result<(), SendError> {
        self.outflow.send(output, ticket, row)
    }

    fn serve(&mut self, timeout: Duration) {
        self.outflow.serve(timeout);
    }

    fn outstanding(&self, ticket: Ticket) -> usize {
        self.outflow.outstanding(ticket)
    }

    fn in_flight(&self) -> usize {
        self.outflow.in_flight()
    }

    fn undelivered(&mut self, into: &mut Vec<Undelivered>) {
        self.outflow.take_failures(into);
    }

    fn begin(&mut self) -> Result<(), BrokerError> {
        self.outflow.begin()
    }

    fn send_offsets(&mut self, offsets: &[(Partition, i64)]) -> Result<(), BrokerError> {
        // The generation in it is what fences a zombie, so it is read anew for each transaction.
        let member = self.intake.group_metadata()?;
        self.outflow
            .send_offsets(self.intake.list_with_offsets(offsets)?, member)
    }

    fn commit(&mut self) -> Result<(), BrokerError> {
        self.outflow.commit()
    }

    fn abort(&mut self) -> Result<(), BrokerError> {
        self.outflow.abort()?;
        self.renew_if_wanted()
    }

    fn renew_producer(&mut self) -> Result<(), BrokerError> {
        self.outflow.renew(&self.settings, self.lane)
    }

    fn store_offsets(&mut self, offsets: &[(Partition, i64)], wait: bool) -> Result<(), BrokerError> {
        self.intake.store_offsets(offsets, wait)
    }

    fn discard(&mut self) -> Result<(), BrokerError> {
        self.outflow.discard()?;
        self.renew_if_wanted()
    }

    fn close(&mut self) -> Result<(), BrokerError> {
        self.intake.close()
    }
}

/// Makes a client. What librdkafka refuses at this point is a matter of settings.
fn create<C, T>(config: &ClientConfig, context: C, doing: &str) -> Result<T, BrokerError>
where
    C: ClientContext,
    T: FromClientConfigAndContext<C>,
{
    let mut config = config.clone();
    // What is worth showing is decided by the log's own filter.
    let level = if config.get("debug").is_some() {
        RDKafkaLogLevel::Debug
    } else {
        RDKafkaLogLevel::Info
    };
    config.set_log_level(level);
    let made: KafkaResult<T> = config.create_with_context(context);
    made.map_err(|error| {
        let reason = match error {
            // The value is left out: it may be a password.
            KafkaError::ClientConfig(_, reason, key, _) => format!("librdkafka refuses `{key}`: {reason}"),
            KafkaError::ClientCreation(reason) => reason,
            other => other.to_string(),
        };
        refused(doing, format!("{reason}; correct [kafka]"))
    })
}

fn refused(doing: &str, message: String) -> BrokerError {
    BrokerError {
        fault: Fault::Refused,
        doing: doing.into(),
        message,
    }
}
