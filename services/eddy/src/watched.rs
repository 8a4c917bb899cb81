//! A broker whose blocking calls the watchdog sees.
//!
//! Owns: which calls can hang, and how long each may take. librdkafka's `send_offsets` ignores its timeout and can hang
//! for ever; ending the process is the only cure, and safe, because what is not committed is done again.

use std::sync::Arc;
use std::time::Duration;

use eddy_broker::settings::Kafka;
use eddy_broker::{Broker, BrokerError, Polled, SendError, Ticket, Undelivered};
use eddy_host::{Beat, Entered, SystemClock};
use eddy_pipeline::event::{Destination, Output, Partition, Record};
use eddy_pipeline::time::Clock;

/// What a call may take beyond the transaction's own time.
const GRACE: Duration = Duration::from_secs(30);
/// What closing the clients may take.
const CLOSE: Duration = Duration::from_secs(60);

/// A broker under watch.
#[derive(Debug)]
pub(crate) struct Watched<B> {
    broker: B,
    beat: Beat,
    clock: Arc<SystemClock>,
    limit: Duration,
}

impl<B> Watched<B> {
    pub(crate) fn new(broker: B, beat: Beat, clock: Arc<SystemClock>, settings: &Kafka) -> Self {
        Self {
            broker,
            beat,
            clock,
            limit: settings.transaction_timeout.0 + GRACE,
        }
    }

    fn enter(&self, call: &'static str, limit: Duration) -> Entered {
        self.beat.enter(call, limit, self.clock.now())
    }
}

impl<B: Broker> Broker for Watched<B> {
    fn send_offsets(&mut self, offsets: &[(Partition, i64)]) -> Result<(), BrokerError> {
        let _entered = self.enter("send_offsets", self.limit);
        self.broker.send_offsets(offsets)
    }

    fn commit(&mut self) -> Result<(), BrokerError> {
        let _entered = self.enter("commit", self.limit);
        self.broker.commit()
    }

    fn abort(&mut self) -> Result<(), BrokerError> {
        let _entered = self.enter("abort", self.limit);
        self.broker.abort()
    }

    fn renew_producer(&mut self) -> Result<(), BrokerError> {
        let _entered = self.enter("renew_producer", self.limit + CLOSE);
        self.broker.renew_producer()
    }

    fn close(&mut self) -> Result<(), BrokerError> {
        let _entered = self.enter("close", CLOSE);
        self.broker.close()
    }

    fn poll(&mut self, timeout: Duration, on_record: &mut dyn FnMut(&Record<'_>)) -> Result<Polled, BrokerError> {
        self.broker.poll(timeout, on_record)
    }

    fn accept(&mut self, partitions: &[Partition]) -> Result<(), BrokerError> {
        self.broker.accept(partitions)
    }

    fn release(&mut self, partitions: &[Partition]) -> Result<(), BrokerError> {
        self.broker.release(partitions)
    }

    fn pause(&mut self, paused: bool) -> Result<(), BrokerError> {
        self.broker.pause(paused)
    }

    fn rewind(&mut self, positions: &[(Partition, i64)]) -> Result<(), BrokerError> {
        self.broker.rewind(positions)
    }

    fn committed(&mut self, partitions: &[Partition]) -> Result<Vec<Option<i64>>, BrokerError> {
        self.broker.committed(partitions)
    }

    fn ends(&mut self) -> Vec<(Partition, i64)> {
        self.broker.ends()
    }

    fn topic(&self, partition: Partition) -> &str {
        self.broker.topic(partition)
    }

    fn partitions_of(&self, to: Destination) -> i32 {
        self.broker.partitions_of(to)
    }

    fn send(&mut self, output: &Output<'_>, ticket: Ticket, row: u32) -> Result<(), SendError> {
        self.broker.send(output, ticket, row)
    }

    fn serve(&mut self, timeout: Duration) {
        self.broker.serve(timeout);
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
        self.broker.begin()
    }

    fn store_offsets(&mut self, offsets: &[(Partition, i64)], wait: bool) -> Result<(), BrokerError> {
        self.broker.store_offsets(offsets, wait)
    }

    fn discard(&mut self) -> Result<(), BrokerError> {
        self.broker.discard()
    }
}
