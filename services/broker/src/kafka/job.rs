//! Writing a job's records and its progress together, from outside of any group's membership.
//!
//! Owns: one transaction at a time: outputs, and the positions in the topic that they came from. Never does: share a group's
//! partitions with others.
//!
//! Invariants: a position is committed only together with what was written up to it. Whoever opened the job last is the only
//! one who can commit: taking over the transactional id ends what a predecessor left open, and fences it.

use std::time::{Duration, Instant};

use eddy_pipeline::event::{Destination, Output};
use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};

use super::fault;
use super::group::Committed;
use super::outflow::Outflow;
use super::reader::TopicReader;
use crate::settings::{Guarantee, Settings};
use crate::{BrokerError, Fault, SendError};

/// How long one wait for deliveries lasts before the rest is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How often a call is made that Kafka asks to be made again, and how long is waited in between.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// The writing end of a job. Everything goes to one topic: all outputs of the settings are that.
pub struct JobWriter {
    outflow: Outflow,
    patience: Duration,
    ticket: u32,
    row: u32,
}

impl std::fmt::Debug for JobWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobWriter").finish_non_exhaustive()
    }
}

impl JobWriter {
    /// Takes over the job whose name is the group of these settings, for copies from topic `from` to topic `to`. After that,
    /// and not before, its positions can be read: no predecessor can move them any more.
    ///
    /// # Errors
    /// As [`super::KafkaBroker::open`].
    pub fn open(settings: &Settings, from: &str, to: &str) -> Result<Self, BrokerError> {
        let mut settings = settings.clone();
        let topics = &mut settings.topics;
        topics.events = from.into();
        for output in [
            &mut topics.predictions,
            &mut topics.retraining,
            &mut topics.dead_letters,
        ] {
            to.clone_into(output);
        }
        settings.kafka.guarantee = Guarantee::ExactlyOnce;
        Ok(Self {
            patience: settings.kafka.transaction_timeout.0,
            outflow: Outflow::open(&settings, 0)?,
            ticket: 0,
            row: 0,
        })
    }

    /// Number of partitions of the topic that is written.
    pub fn partitions(&self) -> i32 {
        self.outflow.partitions_of(Destination::Predictions)
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn begin(&mut self) -> Result<(), BrokerError> {
        self.ticket = self.ticket.wrapping_add(1);
        self.row = 0;
        self.outflow.begin()
    }

    /// Puts one output into the transaction; waits for room.
    ///
    /// # Errors
    /// When it is too large, or cannot be sent; the transaction is then to be aborted.
    pub fn send(&mut self, output: &Output<'_>) -> Result<(), BrokerError> {
        let started = Instant::now();
        loop {
            match self.outflow.send(output, self.ticket, self.row) {
                Ok(()) => {
                    self.row += 1;
                    return Ok(());
                }
                Err(SendError::Failed(error)) => return Err(error),
                Err(SendError::TooLarge { detail }) => {
                    return Err(super::refused("sending a record", format!("{detail}; raise it")));
                }
                Err(SendError::Full) if started.elapsed() < self.patience => self.outflow.serve(LOOK),
                Err(SendError::Full) => return Err(self.late("waiting for room in the producer's queue")),
            }
        }
    }

    /// Waits for the deliveries and commits them together with the positions of the job, each with its partition's number.
    ///
    /// # Errors
    /// See [`Fault`]; nothing is committed then, except perhaps after [`Fault::TimedOut`]. Whoever opens the job again finds
    /// out.
    pub fn commit(&mut self, reader: &TopicReader, positions: &[(i32, Committed)]) -> Result<(), BrokerError> {
        self.drain()?;
        let mut tries = 0;
        loop {
            let member = reader.consumer.group_metadata().ok_or_else(|| {
                super::refused(
                    "committing the job's positions",
                    "the reader has no group; this is a bug".into(),
                )
            })?;
            match self.outflow.send_offsets(list(reader, positions)?, member) {
                Err(error) => again(&mut tries, error)?,
                Ok(()) => break,
            }
        }
        while let Err(error) = self.outflow.commit() {
            again(&mut tries, error)?;
        }
        Ok(())
    }

    /// Drops the transaction, as far as that can be done: whoever opens the job again drops it as well.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn abort(&mut self) -> Result<(), BrokerError> {
        self.outflow.abort()
    }

    fn drain(&mut self) -> Result<(), BrokerError> {
        let started = Instant::now();
        while self.outflow.in_flight() > 0 {
            self.outflow.serve(LOOK);
            if started.elapsed() >= self.patience {
                return Err(self.late("waiting for deliveries"));
            }
        }
        let mut undelivered = Vec::new();
        self.outflow.take_failures(&mut undelivered);
        undelivered
            .into_iter()
            .next()
            .map_or(Ok(()), |failed| Err(failed.error))
    }

    fn late(&self, doing: &str) -> BrokerError {
        BrokerError {
            fault: Fault::Retriable,
            doing: doing.into(),
            message: format!("no end of it within {} s; try again", self.patience.as_secs()),
        }
    }
}

/// Whether a call is to be made again.
fn again(tries: &mut u32, error: BrokerError) -> Result<(), BrokerError> {
    *tries += 1;
    if error.fault != Fault::Retriable || *tries >= TRIES {
        return Err(error);
    }
    std::thread::sleep(PAUSE);
    Ok(())
}

fn list(reader: &TopicReader, positions: &[(i32, Committed)]) -> Result<TopicPartitionList, BrokerError> {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for (partition, committed) in positions {
        let mut element = list.add_partition(reader.topic(), *partition);
        let offset = committed.offset;
        element.set_offset(Offset::Offset(offset)).map_err(|error| {
            let doing = format!("setting `{}` [{partition}] to {offset}", reader.topic());
            fault::failed(doing, &error)
        })?;
        element.set_metadata(committed.note.as_str());
    }
    Ok(list)
}
