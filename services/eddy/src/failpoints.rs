//! Points at which the process can be made to die or to freeze: for tests, behind the feature `failpoints`, in no
//! production build.
//!
//! `EDDY_FAILPOINT` names calls of the lane's broker, separated by commas: `commit:after:3` kills the process when the third
//! commit has returned, `commit:before` before the first, `commit:during:5:3` five milliseconds into the third, and
//! `commit:before:3:stop` freezes it there. A point counts once the one before it was met. Killed is as by the kernel:
//! SIGKILL, nothing is flushed, nobody is told.
//!
//! Owns: what the variable means. Never does: change what a call does or answers.
//!
//! Invariant: a process that is told to die or to freeze at a call does not get beyond it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use eddy_broker::kafka::KafkaBroker;
use eddy_broker::settings::Settings;
use eddy_broker::{Broker, BrokerError, Fault, Inputs, Polled, Reach, SendError, Silence, Ticket, Undelivered};
use eddy_pipeline::event::{Destination, Output, Partition, Record};
use rustix::process::{Signal, getpid, kill_process};
use signal_hook::consts::SIGCONT;

const VARIABLE: &str = "EDDY_FAILPOINT";

/// The calls that can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Open,
    Poll,
    Accept,
    Release,
    Rewind,
    Committed,
    Notes,
    Begin,
    Send,
    /// From the first look at what is in flight, after outputs were handed over, to the one that finds nothing.
    Drain,
    SendOffsets,
    Commit,
    Abort,
    RenewProducer,
    RenewConsumer,
    /// `store_offsets` that only notes.
    StoreOffsets,
    /// `store_offsets` that waits for the commit.
    CommitOffsets,
    Discard,
    Close,
}

const CALLS: [(&str, Call); 19] = [
    ("open", Call::Open),
    ("poll", Call::Poll),
    ("accept", Call::Accept),
    ("release", Call::Release),
    ("rewind", Call::Rewind),
    ("committed", Call::Committed),
    ("notes", Call::Notes),
    ("begin", Call::Begin),
    ("send", Call::Send),
    ("drain", Call::Drain),
    ("send_offsets", Call::SendOffsets),
    ("commit", Call::Commit),
    ("abort", Call::Abort),
    ("renew_producer", Call::RenewProducer),
    ("renew_consumer", Call::RenewConsumer),
    ("store_offsets", Call::StoreOffsets),
    ("commit_offsets", Call::CommitOffsets),
    ("discard", Call::Discard),
    ("close", Call::Close),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    After,
    /// So long after the call began, and at the latest when it ends.
    During(Duration),
}

/// One point of the variable.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Point {
    text: String,
    call: Call,
    when: When,
    /// Which of the calls it is, counted from 1, after the point before was met.
    number: u32,
    signal: Signal,
}

impl Point {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(':').peekable();
        let name = words.next()?;
        let (_, call) = CALLS.into_iter().find(|(known, _)| *known == name)?;
        let when = match words.next()? {
            "before" => When::Before,
            "after" => When::After,
            "during" => When::During(Duration::from_millis(words.next()?.parse().ok()?)),
            _ => return None,
        };
        let number = match words.next_if(|word| *word != "stop") {
            Some(word) => word.parse().ok().filter(|number| *number > 0)?,
            None => 1,
        };
        let signal = match (words.next(), words.next()) {
            (None, _) => Signal::KILL,
            (Some("stop"), None) => Signal::STOP,
            _ => return None,
        };
        Some(Self {
            text: text.to_owned(),
            call,
            when,
            number,
            signal,
        })
    }

    /// Does not return from a kill; from a freeze it does when the process is told to go on.
    fn strike(&self) {
        let goes_on = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGCONT, Arc::clone(&goes_on)).expect("a process may listen for SIGCONT");
        tracing::warn!(point = self.text, "the failpoint is met");
        kill_process(getpid(), self.signal).expect("a process may signal itself");
        // A freeze reaches the threads one after the other.
        while !goes_on.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn parse(variable: &str) -> Result<Vec<Point>, BrokerError> {
    let points = variable.split(',').filter(|text| !text.is_empty());
    points
        .map(|text| {
            Point::parse(text).ok_or_else(|| BrokerError {
                fault: Fault::Refused,
                doing: format!("reading {VARIABLE}"),
                message: format!(
                    "`{text}` is no failpoint; write CALL:before, CALL:after or CALL:during:MILLISECONDS, then :NUMBER for \
                     another call than the first, then :stop to freeze instead of dying; calls are {}",
                    CALLS.map(|(name, _)| name).join(", ")
                ),
            })
        })
        .collect()
}

/// The points that are not met yet.
#[derive(Debug)]
struct Armed(RefCell<VecDeque<Point>>);

impl Armed {
    #[expect(clippy::disallowed_methods, reason = "no setting: production builds do not have it")]
    fn of_process() -> Result<Self, BrokerError> {
        let points = parse(&std::env::var(VARIABLE).unwrap_or_default())?;
        if !points.is_empty() {
            tracing::warn!(?points, "failpoints are armed: this process will not live long");
        }
        Ok(Self(RefCell::new(points.into())))
    }

    /// Counts a call towards the next point, and gives that point when it is met.
    fn meet(&self, call: Call) -> Option<Point> {
        let mut points = self.0.borrow_mut();
        let next = points.front_mut().filter(|point| point.call == call)?;
        next.number -= 1;
        if next.number > 0 { None } else { points.pop_front() }
    }

    fn around<T>(&self, call: Call, act: impl FnOnce() -> T) -> T {
        let Some(point) = self.meet(call) else { return act() };
        match point.when {
            When::Before => {
                point.strike();
                act()
            }
            When::After => {
                let answer = act();
                point.strike();
                answer
            }
            When::During(time) => thread::scope(|scope| {
                // The scope waits for it, so that a call that is quicker than the time ends here all the same.
                scope.spawn(|| {
                    thread::sleep(time);
                    point.strike();
                });
                act()
            }),
        }
    }
}

/// A drain that may have to be struck.
#[derive(Debug)]
struct Drain {
    began: Instant,
    point: Option<Point>,
}

/// A lane's consumer and producer, and the points at which they take the process along.
pub(crate) struct FailingBroker {
    broker: KafkaBroker,
    armed: Armed,
    drain: RefCell<Option<Drain>>,
}

impl FailingBroker {
    /// [`KafkaBroker::open_among`], itself a call that can be named.
    pub(crate) fn open_among(settings: &Settings, lane: u16, inputs: &Inputs) -> Result<Self, BrokerError> {
        let armed = Armed::of_process()?;
        let broker = armed.around(Call::Open, || KafkaBroker::open_among(settings, lane, inputs))?;
        Ok(Self {
            broker,
            armed,
            drain: RefCell::default(),
        })
    }

    fn look_at_drain(&self, in_flight: usize) {
        let mut drain = self.drain.borrow_mut();
        let Drain { began, point } = drain.get_or_insert_with(|| Drain {
            began: Instant::now(),
            point: self.armed.meet(Call::Drain),
        });
        let is_met = |point: &mut Point| match point.when {
            When::Before => true,
            When::After => in_flight == 0,
            When::During(time) => in_flight == 0 || began.elapsed() >= time,
        };
        if let Some(point) = point.take_if(is_met) {
            point.strike();
        }
    }
}

impl fmt::Debug for FailingBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailingBroker")
            .field("armed", &self.armed)
            .finish_non_exhaustive()
    }
}

impl Broker for FailingBroker {
    fn poll(&mut self, timeout: Duration, on_record: &mut dyn FnMut(&Record<'_>)) -> Result<Polled, BrokerError> {
        self.armed.around(Call::Poll, || self.broker.poll(timeout, on_record))
    }

    fn accept(&mut self, partitions: &[Partition]) -> Result<(), BrokerError> {
        self.armed.around(Call::Accept, || self.broker.accept(partitions))
    }

    fn release(&mut self, partitions: &[Partition]) -> Result<(), BrokerError> {
        self.armed.around(Call::Release, || self.broker.release(partitions))
    }

    fn pause(&mut self, paused: bool) -> Result<(), BrokerError> {
        self.broker.pause(paused)
    }

    fn rewind(&mut self, positions: &[(Partition, i64)]) -> Result<(), BrokerError> {
        self.armed.around(Call::Rewind, || self.broker.rewind(positions))
    }

    fn committed(&mut self, partitions: &[Partition]) -> Result<Vec<Option<i64>>, BrokerError> {
        self.armed.around(Call::Committed, || self.broker.committed(partitions))
    }

    fn notes(&mut self, partitions: &[Partition]) -> Result<Vec<Option<String>>, BrokerError> {
        self.armed.around(Call::Notes, || self.broker.notes(partitions))
    }

    fn annotate(&mut self, partition: Partition, note: String) {
        self.broker.annotate(partition, note);
    }

    fn renew_consumer(&mut self) -> Result<Vec<Partition>, BrokerError> {
        self.armed.around(Call::RenewConsumer, || self.broker.renew_consumer())
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
        self.drain.take();
        self.armed.around(Call::Send, || self.broker.send(output, ticket, row))
    }

    fn serve(&mut self, timeout: Duration) {
        self.broker.serve(timeout);
    }

    fn outstanding(&self, ticket: Ticket) -> usize {
        self.broker.outstanding(ticket)
    }

    fn in_flight(&self) -> usize {
        let in_flight = self.broker.in_flight();
        self.look_at_drain(in_flight);
        in_flight
    }

    fn undelivered(&mut self, into: &mut Vec<Undelivered>) {
        self.broker.undelivered(into);
    }

    fn begin(&mut self) -> Result<(), BrokerError> {
        self.armed.around(Call::Begin, || self.broker.begin())
    }

    fn send_offsets(&mut self, offsets: &[(Partition, i64)]) -> Result<(), BrokerError> {
        self.armed
            .around(Call::SendOffsets, || self.broker.send_offsets(offsets))
    }

    fn commit(&mut self) -> Result<(), BrokerError> {
        self.armed.around(Call::Commit, || self.broker.commit())
    }

    fn abort(&mut self) -> Result<(), BrokerError> {
        self.armed.around(Call::Abort, || self.broker.abort())
    }

    fn renew_producer(&mut self) -> Result<(), BrokerError> {
        self.armed.around(Call::RenewProducer, || self.broker.renew_producer())
    }

    fn store_offsets(&mut self, offsets: &[(Partition, i64)], wait: bool) -> Result<(), BrokerError> {
        let call = if wait { Call::CommitOffsets } else { Call::StoreOffsets };
        self.armed.around(call, || self.broker.store_offsets(offsets, wait))
    }

    fn discard(&mut self) -> Result<(), BrokerError> {
        self.armed.around(Call::Discard, || self.broker.discard())
    }

    fn close(&mut self) -> Result<(), BrokerError> {
        self.armed.around(Call::Close, || self.broker.close())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(text: &str, call: Call, when: When, number: u32, signal: Signal) -> Point {
        Point {
            text: text.into(),
            call,
            when,
            number,
            signal,
        }
    }

    #[test]
    fn a_point_names_a_call_a_moment_a_number_and_what_happens() {
        let during = When::During(Duration::from_millis(5));
        assert_eq!(
            parse("commit:after:3,open:before,send:during:5:2:stop,close:after:stop").unwrap(),
            [
                point("commit:after:3", Call::Commit, When::After, 3, Signal::KILL),
                point("open:before", Call::Open, When::Before, 1, Signal::KILL),
                point("send:during:5:2:stop", Call::Send, during, 2, Signal::STOP),
                point("close:after:stop", Call::Close, When::After, 1, Signal::STOP),
            ]
        );
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn what_is_no_point_is_refused_with_all_names() {
        for text in [
            "comit:after",
            "commit",
            "commit:later",
            "commit:after:0",
            "commit:after:x",
            "commit:during",
            "commit:during:after",
            "commit:after:1:halt",
            "commit:after:stop:1",
            "open:before,,commit",
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.fault, Fault::Refused);
            assert!(CALLS.iter().all(|(name, _)| error.message.contains(name)), "{error}");
        }
    }

    #[test]
    fn points_are_met_one_after_the_other_each_once_by_its_call_and_number() {
        let points = parse("commit:after:3,begin:after").unwrap();
        let armed = Armed(RefCell::new(points.into()));
        assert_eq!(armed.meet(Call::Begin), None, "the commit comes first");
        let commits: Vec<bool> = (0..5).map(|_| armed.meet(Call::Commit).is_some()).collect();
        assert_eq!(commits, [false, false, true, false, false]);
        assert!(armed.meet(Call::Begin).is_some());
        assert_eq!(armed.meet(Call::Abort), None);
    }
}
