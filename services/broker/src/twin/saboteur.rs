//! A broker that lies, so that a test can show that the schedules notice.

use std::collections::BTreeMap;
use std::time::Duration;

use eddy_pipeline::event::{Destination, Output, Partition, Record, Source};

use crate::{Broker, BrokerError, Polled, Reach, SendError, Silence, Ticket, Undelivered};

/// Which lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// None at all.
    Nothing,
    /// Says that everything is delivered as soon as it is sent, so that offsets are stored too early.
    OffsetsBeforeDelivery,
    /// Commits one record more of each partition than was done.
    OffsetTooFar,
    /// Commits one record less of each partition than was done.
    OffsetTooShort,
    /// Keeps failed deliveries to itself.
    SwallowsFailures,
    /// Does not go back when told to.
    ForgetsToRewind,
    /// Commits where it should abort.
    CommitsInsteadOfAborting,
    /// Sends every nth output twice.
    SendsTwice(u32),
    /// Drops every nth output.
    Drops(u32),
    /// Aborts every nth transaction and calls it committed.
    SkipsCheckpoint(u32),
    /// Knows of no committed offset, so that a commit of unknown fate counts as none.
    ForgetsWhatIsCommitted,
    /// Hands over the last record of a partition once more after it was let go, as a queue that nobody filters would.
    KeepsRowsOfLostPartitions,
}

/// Passes every call on to a broker, except where it lies.
#[derive(Debug)]
pub struct Saboteur<B> {
    broker: B,
    sabotage: Sabotage,
    sent: u32,
    commits: u32,
    /// The last record of each partition.
    last: BTreeMap<Partition, Row>,
    /// Records of partitions that were let go.
    late: Vec<Row>,
}

/// A record of its own.
#[derive(Debug)]
struct Row {
    source: Source,
    topic: String,
    timestamp_ms: Option<i64>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

impl Row {
    fn of(record: &Record<'_>) -> Self {
        Self {
            source: record.source,
            topic: record.topic.to_owned(),
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
        }
    }

    fn as_record(&self) -> Record<'_> {
        Record {
            source: self.source,
            topic: &self.topic,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &[],
        }
    }
}

impl<B: Broker> Saboteur<B> {
    /// A broker with one flaw.
    pub fn new(broker: B, sabotage: Sabotage) -> Self {
        Self {
            broker,
            sabotage,
            sent: 0,
            commits: 0,
            last: BTreeMap::new(),
            late: Vec::new(),
        }
    }

    /// The honest broker inside.
    pub fn inner(&self) -> &B {
        &self.broker
    }

    fn shifted(&self, offsets: &[(Partition, i64)]) -> Vec<(Partition, i64)> {
        let by = match self.sabotage {
            Sabotage::OffsetTooFar => 1,
            Sabotage::OffsetTooShort => -1,
            _ => 0,
        };
        offsets
            .iter()
            .map(|(partition, offset)| (*partition, offset + by))
            .collect()
    }
}

impl<B: Broker> Broker for Saboteur<B> {
    fn poll(&mut self, timeout: Duration, on_record: &mut dyn FnMut(&Record<'_>)) -> Result<Polled, BrokerError> {
        if self.sabotage != Sabotage::KeepsRowsOfLostPartitions {
            return self.broker.poll(timeout, on_record);
        }
        if let Some(row) = self.late.pop() {
            on_record(&row.as_record());
            return Ok(Polled::Record);
        }
        let last = &mut self.last;
        self.broker.poll(timeout, &mut |record| {
            last.insert(record.source.partition, Row::of(record));
            on_record(record);
        })
    }

    fn accept(&mut self, partitions: &[Partition]) -> Result<(), BrokerError> {
        self.broker.accept(partitions)
    }

    fn release(&mut self, partitions: &[Partition]) -> Result<(), BrokerError> {
        let rows = partitions.iter().filter_map(|partition| self.last.remove(partition));
        self.late.extend(rows);
        self.broker.release(partitions)
    }

    fn pause(&mut self, paused: bool) -> Result<(), BrokerError> {
        self.broker.pause(paused)
    }

    fn rewind(&mut self, positions: &[(Partition, i64)]) -> Result<(), BrokerError> {
        if self.sabotage == Sabotage::ForgetsToRewind {
            return Ok(());
        }
        self.broker.rewind(positions)
    }

    fn committed(&mut self, partitions: &[Partition]) -> Result<Vec<Option<i64>>, BrokerError> {
        let committed = self.broker.committed(partitions)?;
        if self.sabotage == Sabotage::ForgetsWhatIsCommitted {
            return Ok(vec![None; committed.len()]);
        }
        Ok(committed)
    }

    fn notes(&mut self, partitions: &[Partition]) -> Result<Vec<Option<String>>, BrokerError> {
        self.broker.notes(partitions)
    }

    fn annotate(&mut self, partition: Partition, note: String) {
        self.broker.annotate(partition, note);
    }

    fn renew_consumer(&mut self) -> Result<Vec<Partition>, BrokerError> {
        self.broker.renew_consumer()
    }

    fn reach(&mut self, partition: Partition) -> Option<Reach> {
        self.broker.reach(partition)
    }

    fn silence(&self) -> Option<Silence> {
        self.broker.silence()
    }

    fn ends(&mut self) -> Vec<(Partition, i64)> {
        self.broker.ends()
    }

    fn topic(&self, partition: Partition) -> &str {
        self.broker.topic(partition)
    }

    fn partitions_of_inputs(&self) -> i32 {
        self.broker.partitions_of_inputs()
    }

    fn partitions_of(&self, to: Destination) -> i32 {
        self.broker.partitions_of(to)
    }

    fn send(&mut self, output: &Output<'_>, ticket: Ticket, row: u32) -> Result<(), SendError> {
        self.sent = self.sent.wrapping_add(1);
        let is_nth = |n: u32| self.sent.is_multiple_of(n);
        match self.sabotage {
            Sabotage::Drops(n) if is_nth(n) => Ok(()),
            Sabotage::SendsTwice(n) if is_nth(n) => {
                self.broker.send(output, ticket, row)?;
                self.broker.send(output, ticket, row)
            }
            _ => self.broker.send(output, ticket, row),
        }
    }

    fn serve(&mut self, timeout: Duration) {
        self.broker.serve(timeout);
    }

    fn outstanding(&self, ticket: Ticket) -> usize {
        if self.sabotage == Sabotage::OffsetsBeforeDelivery {
            return 0;
        }
        self.broker.outstanding(ticket)
    }

    fn in_flight(&self) -> usize {
        if self.sabotage == Sabotage::OffsetsBeforeDelivery {
            return 0;
        }
        self.broker.in_flight()
    }

    fn undelivered(&mut self, into: &mut Vec<Undelivered>) {
        if self.sabotage == Sabotage::SwallowsFailures {
            self.broker.undelivered(&mut Vec::new());
            return;
        }
        self.broker.undelivered(into);
    }

    fn begin(&mut self) -> Result<(), BrokerError> {
        self.broker.begin()
    }

    fn send_offsets(&mut self, offsets: &[(Partition, i64)]) -> Result<(), BrokerError> {
        let offsets = self.shifted(offsets);
        self.broker.send_offsets(&offsets)
    }

    fn commit(&mut self) -> Result<(), BrokerError> {
        self.commits = self.commits.wrapping_add(1);
        match self.sabotage {
            Sabotage::SkipsCheckpoint(n) if self.commits.is_multiple_of(n) => self.broker.abort(),
            _ => self.broker.commit(),
        }
    }

    fn abort(&mut self) -> Result<(), BrokerError> {
        if self.sabotage == Sabotage::CommitsInsteadOfAborting && self.broker.commit().is_ok() {
            return Ok(());
        }
        self.broker.abort()
    }

    fn renew_producer(&mut self) -> Result<(), BrokerError> {
        self.broker.renew_producer()
    }

    fn store_offsets(&mut self, offsets: &[(Partition, i64)], wait: bool) -> Result<(), BrokerError> {
        let offsets = self.shifted(offsets);
        self.broker.store_offsets(&offsets, wait)
    }

    fn discard(&mut self) -> Result<(), BrokerError> {
        self.broker.discard()
    }

    fn close(&mut self) -> Result<(), BrokerError> {
        self.broker.close()
    }
}
