//! A lane whose blocking calls the watchdog sees: those of its clients, and the runs of its models.
//!
//! Owns: which calls can hang, how long each may take, and when a longer wait may help.
//! Never does: interrupt a call. One that hangs for ever beyond all its own timeouts is cured only by the end of the process,
//! which is safe, because what is not committed is done again.
//!
//! Invariant: an outage of Kafka ends no process. Calls hang through it as well, and come back after it; so before a call
//! that waits for Kafka is given up, Kafka itself is asked.

use std::ops::Range;
use std::time::Duration;

use eddy_broker::settings::Kafka;
use eddy_broker::{Broker, BrokerError, Polled, Reach, SendError, Silence, Ticket, Undelivered};
use eddy_host::{Beat, Call, Entered, Overdue, Verdict};
use eddy_pipeline::event::{Destination, Output, Partition, Record};
use eddy_pipeline::score::{RunError, Scorer};
use eddy_pipeline::tensor::{Inputs, TensorSpec, View};

/// What a call may take beyond its own time.
const GRACE: Duration = Duration::from_secs(30);
/// What it takes at most to take over a transactional id or to empty the producer's queue, and to close a client.
const CLIENT: Duration = Duration::from_secs(60);
/// What one request may take: librdkafka's `socket.timeout.ms`.
const REQUEST: Duration = Duration::from_secs(60);
/// What loading a model once more may take.
const LOAD: Duration = Duration::from_secs(15 * 60);

/// Judges calls that are overdue: one that waits for Kafka is waited on for as long as nobody answers there; any other
/// one is stuck, and `give_up` is called.
pub(crate) fn judge(answers: impl Fn() -> bool, give_up: impl Fn(&Overdue) -> Verdict) -> impl Fn(&Overdue) -> Verdict {
    move |overdue| {
        if !overdue.call.waits_outside || answers() {
            return give_up(overdue);
        }
        tracing::warn!("{overdue}; no broker answers, so it is waited on");
        Verdict::WaitOn
    }
}

/// How long the clients' calls may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    transaction: Duration,
    session: Duration,
    between: Duration,
    grace: Duration,
}

/// A broker under watch.
#[derive(Debug)]
pub(crate) struct Watched<B> {
    broker: B,
    beat: Beat,
    limits: Limits,
}

impl<B> Watched<B> {
    pub(crate) fn new(broker: B, beat: Beat, settings: &Kafka) -> Self {
        Self {
            broker,
            beat,
            limits: Limits {
                transaction: settings.transaction_timeout.0,
                session: settings.session_timeout().0,
                // Past this the group is near to taking the lane for dead, and nothing else would say why.
                between: settings.max_poll_interval().0 / 2,
                grace: GRACE,
            },
        }
    }

    /// Watches the time between two calls too, now that the lane has a thread to make them.
    pub(crate) fn watch_between(&self) {
        self.beat.watch_between(Call {
            name: "its own work between two calls",
            limit: self.limits.between,
            waits_outside: false,
        });
    }

    /// A call that waits for Kafka.
    fn remote(&self, name: &'static str, time: Duration) -> Entered {
        self.beat.enter(Call {
            name,
            limit: time + self.limits.grace,
            waits_outside: true,
        })
    }

    /// A call that only the client itself has to answer.
    fn local(&self, name: &'static str) -> Entered {
        self.beat.enter(Call {
            name,
            limit: self.limits.grace,
            waits_outside: false,
        })
    }
}

impl<B> Drop for Watched<B> {
    fn drop(&mut self) {
        self.beat.end();
    }
}

/// A model under watch. Its own watchdog terminates runs that take too long; this one sees those that do not end even
/// so, as on a device that hangs.
pub(crate) struct WatchedScorer {
    pub(crate) scorer: Box<dyn Scorer>,
    pub(crate) beat: Beat,
    /// `batch.run_limit`.
    pub(crate) run_limit: Duration,
}

impl WatchedScorer {
    fn run_of(&self, name: &'static str) -> Entered {
        self.beat.enter(Call {
            name,
            limit: self.run_limit * 2 + GRACE,
            waits_outside: false,
        })
    }
}

impl Scorer for WatchedScorer {
    fn run(&mut self, inputs: &Inputs, rows: Range<usize>, read: &mut dyn FnMut(&[View<'_>])) -> Result<(), RunError> {
        let _entered = self.run_of("the run of a model");
        self.scorer.run(inputs, rows, read)
    }

    fn probe(&mut self) -> Result<(), RunError> {
        let _entered = self.run_of("the probe of a model");
        self.scorer.probe()
    }

    fn rebuild(&mut self) -> Result<(), RunError> {
        let _entered = self.beat.enter(Call {
            name: "loading a model again",
            limit: LOAD,
            waits_outside: false,
        });
        self.scorer.rebuild()
    }

    fn expected_time(&self, rows: usize) -> Duration {
        self.scorer.expected_time(rows)
    }

    fn inputs(&self) -> &[TensorSpec] {
        self.scorer.inputs()
    }

    fn outputs(&self) -> &[TensorSpec] {
        self.scorer.outputs()
    }

    fn max_rows(&self) -> usize {
        self.scorer.max_rows()
    }
}

impl<B: Broker> Broker for Watched<B> {
    fn send_offsets(&mut self, offsets: &[(Partition, i64)]) -> Result<(), BrokerError> {
        let _entered = self.remote("send_offsets", self.limits.transaction);
        self.broker.send_offsets(offsets)
    }

    fn commit(&mut self) -> Result<(), BrokerError> {
        let _entered = self.remote("commit", self.limits.transaction);
        self.broker.commit()
    }

    fn abort(&mut self) -> Result<(), BrokerError> {
        let _entered = self.remote("abort", self.limits.transaction + CLIENT);
        self.broker.abort()
    }

    fn renew_producer(&mut self) -> Result<(), BrokerError> {
        let _entered = self.remote("renew_producer", CLIENT);
        self.broker.renew_producer()
    }

    fn close(&mut self) -> Result<(), BrokerError> {
        let _entered = self.remote("close", CLIENT);
        self.broker.close()
    }

    fn poll(&mut self, timeout: Duration, on_record: &mut dyn FnMut(&Record<'_>)) -> Result<Polled, BrokerError> {
        // What is ready is taken without a wait, and once a record: that is not watched.
        let _entered = (!timeout.is_zero()).then(|| self.remote("poll", timeout));
        self.broker.poll(timeout, on_record)
    }

    fn accept(&mut self, partitions: &[Partition]) -> Result<(), BrokerError> {
        // It asks where the group begins, for each topic that is new.
        let _entered = self.remote("accept", CLIENT);
        self.broker.accept(partitions)
    }

    fn release(&mut self, partitions: &[Partition]) -> Result<(), BrokerError> {
        let _entered = self.local("release");
        self.broker.release(partitions)
    }

    fn pause(&mut self, paused: bool) -> Result<(), BrokerError> {
        let _entered = self.local("pause");
        self.broker.pause(paused)
    }

    fn rewind(&mut self, positions: &[(Partition, i64)]) -> Result<(), BrokerError> {
        let _entered = self.remote("rewind", CLIENT);
        self.broker.rewind(positions)
    }

    fn committed(&mut self, partitions: &[Partition]) -> Result<Vec<Option<i64>>, BrokerError> {
        let _entered = self.remote("committed", REQUEST);
        self.broker.committed(partitions)
    }

    fn notes(&mut self, partitions: &[Partition]) -> Result<Vec<Option<String>>, BrokerError> {
        let _entered = self.remote("notes", REQUEST);
        self.broker.notes(partitions)
    }

    fn annotate(&mut self, partition: Partition, note: String) {
        self.broker.annotate(partition, note);
    }

    fn renew_consumer(&mut self) -> Result<Vec<Partition>, BrokerError> {
        let _entered = self.remote("renew_consumer", CLIENT);
        self.broker.renew_consumer()
    }

    fn reach(&mut self, partition: Partition) -> Option<Reach> {
        let _entered = self.remote("reach", REQUEST);
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
        let _entered = self.local("begin");
        self.broker.begin()
    }

    fn store_offsets(&mut self, offsets: &[(Partition, i64)], wait: bool) -> Result<(), BrokerError> {
        let _entered = self.remote("store_offsets", self.limits.session + REQUEST);
        self.broker.store_offsets(offsets, wait)
    }

    fn discard(&mut self) -> Result<(), BrokerError> {
        let _entered = self.remote("discard", CLIENT);
        self.broker.discard()
    }
}

#[cfg(test)]
mod tests;
