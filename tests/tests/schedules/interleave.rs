//! A broker between whose calls other lanes take turns: so a lane meets what others did in the middle of its own turn,
//! between adding offsets and committing them, say. All on one thread, so that a seed plays the same schedule again.

use std::time::Duration;

use eddy_broker::twin::{Saboteur, Twin};
use eddy_broker::{Broker, BrokerError, Polled, Reach, SendError, Silence, Ticket, Undelivered};
use eddy_pipeline::event::{Destination, Output, Partition, Record};

/// Passes every call on, and first lets others have their turn.
pub(crate) struct Interleaved {
    broker: Saboteur<Twin>,
    others: Box<dyn Fn()>,
}

impl Interleaved {
    /// `others` decides by itself whether anybody takes a turn now.
    pub(crate) fn new(broker: Saboteur<Twin>, others: Box<dyn Fn()>) -> Self {
        Self { broker, others }
    }

    pub(crate) fn twin(&self) -> &Twin {
        self.broker.inner()
    }

    fn after_others(&mut self) -> &mut Saboteur<Twin> {
        (self.others)();
        &mut self.broker
    }
}

impl Broker for Interleaved {
    fn poll(&mut self, timeout: Duration, on_record: &mut dyn FnMut(&Record<'_>)) -> Result<Polled, BrokerError> {
        self.after_others().poll(timeout, on_record)
    }

    fn accept(&mut self, partitions: &[Partition]) -> Result<(), BrokerError> {
        self.after_others().accept(partitions)
    }

    fn release(&mut self, partitions: &[Partition]) -> Result<(), BrokerError> {
        self.after_others().release(partitions)
    }

    fn pause(&mut self, paused: bool) -> Result<(), BrokerError> {
        self.after_others().pause(paused)
    }

    fn rewind(&mut self, positions: &[(Partition, i64)]) -> Result<(), BrokerError> {
        self.after_others().rewind(positions)
    }

    fn committed(&mut self, partitions: &[Partition]) -> Result<Vec<Option<i64>>, BrokerError> {
        self.after_others().committed(partitions)
    }

    fn notes(&mut self, partitions: &[Partition]) -> Result<Vec<Option<String>>, BrokerError> {
        self.after_others().notes(partitions)
    }

    fn annotate(&mut self, partition: Partition, note: String) {
        self.broker.annotate(partition, note);
    }

    fn renew_consumer(&mut self) -> Result<Vec<Partition>, BrokerError> {
        self.after_others().renew_consumer()
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
        self.after_others().send(output, ticket, row)
    }

    fn serve(&mut self, timeout: Duration) {
        self.after_others().serve(timeout);
    }

    fn outstanding(&self, ticket: Ticket) -> usize {
        self.broker.outstanding(ticket)
    }

    fn in_flight(&self) -> usize {
        self.broker.in_flight()
    }

    fn undelivered(&mut self, into: &mut Vec<Undelivered>) {
        self.broker.undelivered(into);
    }

    fn begin(&mut self) -> Result<(), BrokerError> {
        self.after_others().begin()
    }

    fn send_offsets(&mut self, offsets: &[(Partition, i64)]) -> Result<(), BrokerError> {
        self.after_others().send_offsets(offsets)
    }

    fn commit(&mut self) -> Result<(), BrokerError> {
        self.after_others().commit()
    }

    fn abort(&mut self) -> Result<(), BrokerError> {
        self.after_others().abort()
    }

    fn renew_producer(&mut self) -> Result<(), BrokerError> {
        self.after_others().renew_producer()
    }

    fn store_offsets(&mut self, offsets: &[(Partition, i64)], wait: bool) -> Result<(), BrokerError> {
        self.after_others().store_offsets(offsets, wait)
    }

    fn discard(&mut self) -> Result<(), BrokerError> {
        self.after_others().discard()
    }

    fn close(&mut self) -> Result<(), BrokerError> {
        self.after_others().close()
    }
}
