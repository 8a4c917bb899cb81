//! Kafka in and out, for one lane: one consumer and one producer behind one trait.
//!
//! Owns: the client library, its settings and its traps, the embedded development broker, the in-memory twin.
//! Never does: decide. What an error means for the ledger is decided by [`eddy_pipeline::checkpoint`]; this crate says
//! what kind of error it was.
//!
//! Invariant: a rebalance is only recorded here. Partitions come and go when the lane says [`Broker::accept`] and
//! [`Broker::release`].
#![deny(missing_docs)]

pub mod embedded;
mod inputs;
pub mod kafka;
pub mod registry;
pub mod settings;
pub mod start;
pub mod twin;
pub mod web;

use std::time::Duration;

use eddy_pipeline::event::{Destination, Output, Partition, Record};

/// A batch's ticket: every output carries its batch's, so that delivery reports can be counted by batch.
pub type Ticket = u32;

/// What one call of [`Broker::poll`] met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    /// One record, handed to the callback.
    Record,
    /// Nothing within the time.
    Idle,
    /// The group gives these partitions to this lane. Nothing of them is fetched until [`Broker::accept`].
    Assigned(Vec<Partition>),
    /// The group takes these partitions away. The group waits (unless `lost`) until [`Broker::release`].
    Revoked {
        /// Which ones.
        partitions: Vec<Partition>,
        /// Whether they may already belong to another member, so that nothing of them can be committed any more.
        lost: bool,
    },
}

pub use inputs::Inputs;

pub use eddy_pipeline::checkpoint::Fault;
pub use eddy_pipeline::stall::Reach;

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{doing}: {message}")]
pub struct BrokerError {
    /// What kind of failure.
    pub fault: Fault,
    /// What was being done, with topic and partition where there is one.
    pub doing: String,
    /// The client's own words, and the next step where there is one to name.
    pub message: String,
}

/// Why [`Broker::send`] did not take an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError {
    /// The producer's queue is full: serve it and try again.
    Full,
    /// The output alone is larger than Kafka or the client allows.
    TooLarge {
        /// One sentence with size and limit.
        detail: String,
    },
    /// Anything else.
    Failed(BrokerError),
}

/// An output that was taken by [`Broker::send`] and could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// Its batch.
    pub ticket: Ticket,
    /// Its number within the batch, as passed to [`Broker::send`].
    pub row: u32,
    /// Which topic it was for.
    pub to: Destination,
    /// Too large for the topic (then only this row is to blame), or anything else.
    pub too_large: bool,
    /// The failure.
    pub error: BrokerError,
}

/// Nobody answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// For how long.
    pub lasted: Duration,
    /// Who was asked: the addresses of the settings.
    pub brokers: String,
}

/// The lane's one consumer and one producer. All calls come from the lane's thread.
///
/// Offsets are always those of the *next* record to be read.
pub trait Broker {
    /// Waits at most `timeout` for one record and hands it to `on_record`, or says what else happened.
    ///
    /// # Errors
    /// Only what the client cannot wait out by itself; an unreachable broker is [`Polled::Idle`].
    fn poll(&mut self, timeout: Duration, on_record: &mut dyn FnMut(&Record<'_>)) -> Result<Polled, BrokerError>;

    /// Takes partitions that [`Polled::Assigned`] named; fetching starts at the committed offset. Where there is none, the
    /// place to begin is committed first.
    ///
    /// # Errors
    /// When the client refuses, or that could not be done; the partitions are then not taken.
    fn accept(&mut self, partitions: &[Partition]) -> Result<(), BrokerError>;

    /// Lets go of partitions that [`Polled::Revoked`] named.
    ///
    /// # Errors
    /// When the client refuses.
    fn release(&mut self, partitions: &[Partition]) -> Result<(), BrokerError>;

    /// Stops (`true`) or resumes fetching of all assigned partitions, those included that are accepted meanwhile. `poll`
    /// goes on serving the group.
    ///
    /// # Errors
    /// When the client refuses.
    fn pause(&mut self, paused: bool) -> Result<(), BrokerError>;

    /// Goes back: the next record of each partition will be the one at its offset. Drops what was fetched ahead.
    ///
    /// # Errors
    /// When a position could not be set; names the partition.
    fn rewind(&mut self, positions: &[(Partition, i64)]) -> Result<(), BrokerError>;

    /// The committed offset of each partition in the group; `None` where there is none.
    ///
    /// # Errors
    /// When the group cannot be asked.
    fn committed(&mut self, partitions: &[Partition]) -> Result<Vec<Option<i64>>, BrokerError>;

    /// What stands beside the committed offset of each partition; `None` where there is no offset, or nothing beside it.
    ///
    /// # Errors
    /// As [`Broker::committed`].
    fn notes(&mut self, partitions: &[Partition]) -> Result<Vec<Option<String>>, BrokerError>;

    /// Puts a note beside every offset of a partition that is sent or stored from now on, until there is another note or
    /// the partition is released. An empty one is none.
    fn annotate(&mut self, partition: Partition, note: String);

    /// Replaces the consumer by a new one, which joins the group anew. Returns the partitions that the old one held: they
    /// are lost, and what [`Broker::poll`] had named and was not answered yet is void. Asks no broker.
    ///
    /// # Errors
    /// When no client can be made; the old one is of no use either way.
    fn renew_consumer(&mut self) -> Result<Vec<Partition>, BrokerError>;

    /// How far the client has fetched an assigned partition, and how far it could; asks Kafka, for a second at most.
    /// `None` when nobody answers, or the client does not know yet.
    fn reach(&mut self, partition: Partition) -> Option<Reach>;

    /// Since when no broker has answered the consumer, as far as is known without asking; `None` when they do. An outage
    /// shows within seconds.
    fn silence(&self) -> Option<Silence>;

    /// End of each assigned partition that is known without asking: the last stable offset, for the lag.
    fn ends(&mut self) -> Vec<(Partition, i64)>;

    /// Name of an input topic.
    fn topic(&self, partition: Partition) -> &str;

    /// Number of partitions of all input topics, this lane's and others', as last known.
    fn partitions_of_inputs(&self) -> i32;

    /// Number of partitions of an output topic, as last known.
    fn partitions_of(&self, to: Destination) -> i32;

    /// Puts one output into the producer's queue, where it is copied. `row` comes back in [`Undelivered`].
    ///
    /// # Errors
    /// [`SendError`]; the output was then not taken.
    fn send(&mut self, output: &Output<'_>, ticket: Ticket, row: u32) -> Result<(), SendError>;

    /// Serves the producer for at most `timeout` (zero: what is ready), so that delivery reports arrive.
    fn serve(&mut self, timeout: Duration);

    /// Outputs of a batch that were taken and are not yet reported.
    fn outstanding(&self, ticket: Ticket) -> usize;

    /// Outputs of all batches that were taken and are not yet reported.
    fn in_flight(&self) -> usize;

    /// Moves the failed deliveries since the last call into `into`.
    fn undelivered(&mut self, into: &mut Vec<Undelivered>);

    // Exactly once.

    /// Begins a transaction.
    ///
    /// # Errors
    /// See [`Fault`].
    fn begin(&mut self) -> Result<(), BrokerError>;

    /// Adds offsets to the transaction, under the group's present generation.
    ///
    /// # Errors
    /// See [`Fault`].
    fn send_offsets(&mut self, offsets: &[(Partition, i64)]) -> Result<(), BrokerError>;

    /// Commits the transaction. The queue must have been drained.
    ///
    /// # Errors
    /// See [`Fault`]; after [`Fault::TimedOut`] it may have been committed all the same.
    fn commit(&mut self) -> Result<(), BrokerError>;

    /// Drops what is queued and aborts the transaction. What had failed before stays for [`Broker::undelivered`].
    ///
    /// # Errors
    /// See [`Fault`].
    fn abort(&mut self) -> Result<(), BrokerError>;

    /// Replaces the producer by a new one, which fences the old one and ends its transaction.
    ///
    /// # Errors
    /// See [`Fault`].
    fn renew_producer(&mut self) -> Result<(), BrokerError>;

    // At least once.

    /// Notes offsets whose outputs are delivered; the client commits them now and then, and on `wait` at once.
    /// Partitions that are no longer assigned are left out silently: their next owner does the work again.
    ///
    /// # Errors
    /// When `wait` is set and the commit fails.
    fn store_offsets(&mut self, offsets: &[(Partition, i64)], wait: bool) -> Result<(), BrokerError>;

    /// Drops everything that is queued and not yet sent, at least once's counterpart of [`Broker::abort`]. What had failed
    /// before stays for [`Broker::undelivered`].
    ///
    /// # Errors
    /// When the queue cannot be emptied within the client's own time limit.
    fn discard(&mut self) -> Result<(), BrokerError>;

    /// Leaves the group and closes both clients. Everything must have been released or committed before.
    ///
    /// # Errors
    /// When the client does not close in time.
    fn close(&mut self) -> Result<(), BrokerError>;
}
