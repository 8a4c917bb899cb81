//! What to do next on the way to a durable checkpoint, and what an error on that way means.
//!
//! Owns: the order of the steps of both guarantees, the recovery from each kind of [`Fault`], the budget of recoveries.
//! Never does: the steps. The shell performs one [`Step`], tells how it went, and is told the next one.
//!
//! Invariant: exactly once, `Publish` is only ever reached after the broker has confirmed `Commit`, or after `Inspect`
//! found the offsets committed; at least once, after `Drain` and a `StoreOffsets` that was not refused. Every other way out
//! passes `RollBack`.
//!
//! ```text
//! exactly once    Drain ▸ SendOffsets ▸ Commit ▸ Publish          at least once   Drain ▸ StoreOffsets ▸ Publish
//!                   └──────┴─ abortable ─▸ Abort ▸ Replay | RollBack                 └─▸ Discard ▸ RollBack
//!                   └─ fatal ─▸ Renew ─▸ (commit asked? Inspect) ▸ Publish | Replay | RollBack
//!                   └─ consumer lost ─▸ Abort ▸ Rejoin ▸ RollBack                      Discard ▸ Rejoin ▸ RollBack
//! ```
//!
//! `Replay` hands the outputs that are still held over again, in a new transaction, and goes on with `Drain`: nothing is
//! read or scored a second time. It needs the whole span and the partitions of all its events, which the shell knows; a
//! span that was given up half-way, or whose group has moved on, is rolled back.
//!
//! Nobody answering is not a failure: it uses up no budget, however long it lasts and however often it comes back.

use std::time::Duration;

use crate::time::Now;

/// What kind of failure a call to Kafka met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The same call with the same arguments may succeed.
    Retriable,
    /// The transaction must be aborted; the producer lives on.
    Abortable,
    /// The call's fate is unknown: it may still take effect. The producer must be replaced.
    TimedOut,
    /// Another producer with the same transactional id took over, or the broker gave the transaction up.
    Fenced,
    /// The producer is beyond repair and must be replaced.
    Fatal,
    /// The consumer is beyond repair and must be replaced; the partitions that it held are lost.
    ConsumerLost,
    /// Another consumer with the same static membership took over.
    ConsumerFenced,
    /// Kafka refuses for good: no permission, no such topic, wrong settings. Asking again is pointless.
    Refused,
}

/// Which promise the checkpoint keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guarantee {
    /// Outputs and offsets in one transaction.
    ExactlyOnce,
    /// Offsets after the delivery of the outputs.
    AtLeastOnce,
}

/// One thing for the shell to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Wait until every output of the span is delivered.
    Drain,
    /// Add the offsets to the transaction.
    SendOffsets,
    /// Commit the transaction.
    Commit,
    /// Store the offsets in the group.
    StoreOffsets,
    /// Abort the transaction.
    Abort,
    /// Drop what the producer has not sent.
    Discard,
    /// Replace the producer; that ends the old one's transaction one way or the other.
    Renew,
    /// Replace the consumer; what the old one held is lost.
    Rejoin,
    /// Read the group's committed offsets: did the commit of unknown fate take effect?
    Inspect,
    /// Hand the span's outputs over again, in a new transaction, if all are held and all partitions are still ours.
    Replay,
    /// The span is durable: publish what was counted on it.
    Publish,
    /// The span is lost: forget what was counted, go back to the last durable offsets.
    RollBack,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Went {
    /// Done.
    Well,
    /// Failed.
    Wrong(Fault),
    /// Answer of [`Step::Inspect`]: the offsets are committed.
    Committed,
    /// Answer of [`Step::Inspect`]: they are not.
    NotCommitted,
    /// Answer of [`Step::Replay`]: the outputs are not held any more, or not ours to write. Nothing was done.
    NotHeld,
}

/// Why the service cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stop {
    /// A twin with the same identity keeps taking over.
    Fenced,
    /// Kafka refuses, or the recoveries in a row are used up.
    GuaranteeLost,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Perform this step.
    Do(Step),
    /// The checkpoint is over; the span is durable.
    Durable,
    /// The checkpoint is over; the span was rolled back and will be done again.
    RolledBack,
    /// End the process; offsets stay where they are.
    Stop(Stop),
}

/// Limits on recoveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The same retriable call in a row, before it counts as of unknown fate.
    pub retries: u32,
    /// Replays of the same span, before it is rolled back.
    pub replays: u32,
    /// Producers that broke down within `window`, without a durable span in between.
    pub renewals: u32,
    /// The window of `renewals`; a second fencing within it is a twin.
    pub window: Duration,
    /// How long the broker keeps a transaction open: one that is older was given up by the broker, not by a twin.
    pub transaction: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            retries: 20,
            replays: 2,
            renewals: 5,
            window: Duration::from_secs(60),
            transaction: Duration::from_secs(10),
        }
    }
}

/// The state machine of one lane's checkpoints.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    guarantee: Guarantee,
    budget: Budget,
    retries: u32,
    /// Replays that are left to the span.
    replays: u32,
    /// Set once `Commit` was asked for: from then on the span may be durable without our knowing.
    commit_asked: bool,
    /// Set when Kafka refused for good: what can be undone is undone first.
    stop_after_rollback: Option<Stop>,
    /// Set when the consumer is to be replaced before the positions are gone back to.
    consumer_lost: bool,
    /// When the transaction was begun.
    opened_at: Option<Duration>,
    renewed_at: Vec<Duration>,
    fenced_at: Option<Duration>,
}

impl Checkpoint {
    /// A machine at rest.
    pub fn new(guarantee: Guarantee, budget: Budget) -> Self {
        Self {
            guarantee,
            budget,
            retries: 0,
            replays: 0,
            commit_asked: false,
            stop_after_rollback: None,
            consumer_lost: false,
            opened_at: None,
            renewed_at: Vec::new(),
            fenced_at: None,
        }
    }

    /// The guarantee it keeps.
    pub fn guarantee(&self) -> Guarantee {
        self.guarantee
    }

    /// Notes that a transaction begins.
    pub fn opened(&mut self, now: Now) {
        self.opened_at = Some(now.monotonic);
    }

    /// The first step of a checkpoint.
    pub fn start(&mut self) -> Next {
        self.begin();
        self.replays = match self.guarantee {
            Guarantee::ExactlyOnce => self.budget.replays,
            Guarantee::AtLeastOnce => 0,
        };
        Next::Do(Step::Drain)
    }

    /// The first step when work failed with `fault` before its span was whole, or must not be committed. `is_open` says
    /// whether there is a span.
    pub fn give_up(&mut self, fault: Fault, is_open: bool, now: Now) -> Next {
        self.begin();
        match fault {
            Fault::Retriable | Fault::Abortable if is_open => Next::Do(self.undo()),
            Fault::Retriable | Fault::Abortable => Next::Do(Step::RollBack),
            Fault::TimedOut | Fault::Fenced | Fault::Fatal => self.recover(Step::SendOffsets, fault, now),
            // What can be undone is undone before the service stops.
            Fault::Refused if is_open => self.recover(Step::Drain, fault, now),
            Fault::Refused => Next::Stop(Stop::GuaranteeLost),
            Fault::ConsumerLost | Fault::ConsumerFenced => {
                self.note(fault);
                match (is_open, self.stop_after_rollback) {
                    (true, _) => Next::Do(self.undo()),
                    (false, Some(stop)) => Next::Stop(stop),
                    (false, None) => Next::Do(Step::Rejoin),
                }
            }
        }
    }

    fn begin(&mut self) {
        self.retries = 0;
        self.replays = 0;
        self.commit_asked = false;
    }

    /// The step after `step`, given how that went.
    pub fn next(&mut self, step: Step, went: Went, now: Now) -> Next {
        let fault = match went {
            Went::Wrong(fault) => fault,
            _ => return self.forward(step, went),
        };
        // An outage is waited out where nothing of ours can happen meanwhile.
        let is_harmless = matches!(step, Step::Renew | Step::Rejoin | Step::Inspect | Step::RollBack);
        if fault == Fault::Retriable && (is_harmless || self.retries < self.budget.retries) {
            self.retries = self.retries.saturating_add(1);
            return Next::Do(step);
        }
        self.retries = 0;
        // A retriable call that never succeeds has an unknown fate, like one that timed out.
        let fault = if fault == Fault::Retriable {
            Fault::TimedOut
        } else {
            fault
        };
        self.recover(step, fault, now)
    }

    fn forward(&mut self, step: Step, went: Went) -> Next {
        self.retries = 0;
        match step {
            Step::Drain if self.guarantee == Guarantee::ExactlyOnce => Next::Do(Step::SendOffsets),
            Step::Drain => Next::Do(Step::StoreOffsets),
            Step::SendOffsets => {
                self.commit_asked = true;
                Next::Do(Step::Commit)
            }
            Step::Commit | Step::StoreOffsets => Next::Do(Step::Publish),
            Step::Abort | Step::Discard => {
                // Aborted, it cannot have been committed.
                self.commit_asked = false;
                self.undone()
            }
            Step::Renew => self.undone(),
            Step::Rejoin => {
                // What the old consumer held is another member's now.
                (self.consumer_lost, self.replays) = (false, 0);
                self.undone()
            }
            Step::Inspect if went == Went::Committed => Next::Do(Step::Publish),
            Step::Inspect => {
                self.commit_asked = false;
                self.undone()
            }
            Step::Replay if went == Went::NotHeld => Next::Do(Step::RollBack),
            Step::Replay => Next::Do(Step::Drain),
            Step::Publish => {
                self.opened_at = None;
                self.renewed_at.clear();
                Next::Durable
            }
            Step::RollBack => {
                self.opened_at = None;
                self.stop_after_rollback.map_or(Next::RolledBack, Next::Stop)
            }
        }
    }

    /// The producer holds nothing any more: what is left is to see how far the group came, and then to hand the outputs
    /// over once more, or to go back to their events.
    fn undone(&mut self) -> Next {
        if self.consumer_lost {
            return Next::Do(Step::Rejoin);
        }
        if self.commit_asked {
            return Next::Do(Step::Inspect);
        }
        if self.replays == 0 || self.stop_after_rollback.is_some() {
            return Next::Do(Step::RollBack);
        }
        self.replays -= 1;
        Next::Do(Step::Replay)
    }

    fn recover(&mut self, step: Step, fault: Fault, now: Now) -> Next {
        self.note(fault);
        if fault == Fault::Fenced && self.is_twin(now) {
            return Next::Stop(Stop::Fenced);
        }
        match (step, fault) {
            (Step::RollBack | Step::Inspect, Fault::ConsumerLost) => Next::Do(Step::Rejoin),
            (Step::Rejoin, _) if self.stop_after_rollback.is_none() => Next::Do(Step::Rejoin),
            // None can be refused its purpose: without the old offsets there is no way back.
            (Step::RollBack | Step::Inspect | Step::Rejoin, _)
            | (Step::Renew | Step::Abort | Step::Discard, Fault::Refused) => {
                Next::Stop(self.stop_after_rollback.unwrap_or(Stop::GuaranteeLost))
            }
            // The outputs are there and the client keeps the offsets, which it commits when it has joined again. Doing the
            // events once more would repeat them for certain.
            (Step::StoreOffsets, Fault::Abortable | Fault::TimedOut) => Next::Do(Step::Publish),
            // The group has moved on without us, and would refuse the same offsets again.
            (Step::SendOffsets, Fault::Abortable) => {
                self.replays = 0;
                Next::Do(self.undo())
            }
            (
                Step::Drain | Step::SendOffsets | Step::Commit | Step::Replay,
                Fault::Abortable | Fault::Refused | Fault::ConsumerLost | Fault::ConsumerFenced,
            )
            | (Step::StoreOffsets | Step::Publish, _)
            | (Step::Drain, Fault::TimedOut) => Next::Do(self.undo()),
            _ => self.renew(fault, now),
        }
    }

    /// Notes what a fault means for the way out.
    fn note(&mut self, fault: Fault) {
        match fault {
            Fault::Refused => self.stop_after_rollback = Some(Stop::GuaranteeLost),
            Fault::ConsumerFenced => self.stop_after_rollback = Some(Stop::Fenced),
            Fault::ConsumerLost => self.consumer_lost = true,
            _ => {}
        }
    }

    /// The step that takes back what the producer still holds.
    fn undo(&self) -> Step {
        match self.guarantee {
            Guarantee::ExactlyOnce => Step::Abort,
            Guarantee::AtLeastOnce => Step::Discard,
        }
    }

    /// A producer that breaks down again and again is lost; one that nobody answers waits for the brokers.
    fn renew(&mut self, fault: Fault, now: Now) -> Next {
        if fault == Fault::Fatal {
            let since = now.monotonic.saturating_sub(self.budget.window);
            self.renewed_at.retain(|at| *at >= since);
            if self.renewed_at.len() >= self.budget.renewals as usize {
                return Next::Stop(Stop::GuaranteeLost);
            }
            self.renewed_at.push(now.monotonic);
        }
        Next::Do(Step::Renew)
    }

    /// Who fenced us: the broker, which gives up a transaction that outlasted its time, or a twin. One fencing of a young
    /// transaction may have been a request of our own that was late; a second one soon after is a twin.
    fn is_twin(&mut self, now: Now) -> bool {
        let is_old = |at: Duration| now.monotonic.saturating_sub(at) >= self.budget.transaction;
        if self.opened_at.is_some_and(is_old) {
            return false;
        }
        let before = self.fenced_at.replace(now.monotonic);
        before.is_some_and(|at| now.monotonic.saturating_sub(at) < self.budget.window)
    }
}

#[cfg(test)]
mod tests;
