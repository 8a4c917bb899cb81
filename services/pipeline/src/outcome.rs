//! The ledger's accounting: what became of every record that was consumed.
//!
//! Owns: outcomes, their tallies, and the books that say what is published, in flight and abandoned.
//! Never does: decide when a checkpoint is due or whether it held; it is told.
//!
//! Invariant: `consumed = predicted + dead_lettered + abandoned + in_flight`, at every moment; see
//! [`Accounts::balance`].

use std::collections::VecDeque;

use crate::rejection::Reason;
use crate::select::{Arm, Arms};

/// What became of one record. Exactly one of these, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A prediction was written.
    Predicted,
    /// A prediction was written, and the event itself for a label.
    Selected(Arms),
    /// It could not be scored; it was written with its reason.
    DeadLettered(Reason),
}

/// Number of outcomes of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    predicted: u64,
    selected: u64,
    arms: [u64; Arm::ALL.len()],
    dead_lettered: [u64; Reason::ALL.len()],
}

impl Tally {
    /// Counts one outcome.
    pub fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Predicted => self.predicted += 1,
            Outcome::Selected(arms) => {
                self.predicted += 1;
                self.selected += 1;
                for arm in arms.iter() {
                    self.arms[arm.index()] += 1;
                }
            }
            Outcome::DeadLettered(reason) => self.dead_lettered[reason as usize] += 1,
        }
    }

    /// Counts everything that another tally has counted.
    pub fn merge(&mut self, other: &Self) {
        self.each(other, |mine, theirs| *mine += theirs);
    }

    /// What was counted since `earlier`, an older state of the same tally. Serves counters that only go up.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = *self;
        difference.each(earlier, |mine, theirs| *mine = mine.saturating_sub(theirs));
        difference
    }

    /// Records with an outcome: predicted and dead-lettered.
    pub fn settled(&self) -> u64 {
        self.predicted + self.dead_lettered()
    }

    /// Records that were predicted, selected ones among them.
    pub const fn predicted(&self) -> u64 {
        self.predicted
    }

    /// Records that were predicted and selected.
    pub const fn selected(&self) -> u64 {
        self.selected
    }

    /// Records that one arm selected. A record that two arms selected counts in both.
    pub const fn selected_by(&self, arm: Arm) -> u64 {
        self.arms[arm.index()]
    }

    /// Records that became dead letters.
    pub fn dead_lettered(&self) -> u64 {
        self.dead_lettered.iter().sum()
    }

    /// Records that became dead letters for one reason.
    pub const fn dead_lettered_for(&self, reason: Reason) -> u64 {
        self.dead_lettered[reason as usize]
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.settled() == 0
    }

    fn each(&mut self, other: &Self, mut f: impl FnMut(&mut u64, u64)) {
        f(&mut self.predicted, other.predicted);
        f(&mut self.selected, other.selected);
        for (mine, theirs) in self.arms.iter_mut().zip(other.arms) {
            f(mine, theirs);
        }
        for (mine, theirs) in self.dead_lettered.iter_mut().zip(other.dead_lettered) {
            f(mine, theirs);
        }
    }
}

/// Whatever remembers something about events moves with the ledger: it is published when its checkpoint is, and falls
/// back when the checkpoint does. So nothing is counted or spent twice when a batch is done again.
///
/// Called from the lane's thread: `mark` once a batch or checkpoint, `commit` once for each mark that held, `rollback`
/// when a checkpoint failed or the lane rewinds.
pub trait Remembers {
    /// Closes the current span (one batch or one checkpoint) and opens the next. An empty span counts as one.
    fn mark(&mut self);

    /// Makes the oldest marked span durable. Does nothing when there is none.
    fn commit(&mut self);

    /// Forgets everything that is not durable: the marked spans and the open one.
    fn rollback(&mut self);
}

/// One moment's totals since the start. In lanes' sum they add up as they do in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// Records handed over by the broker; one that was rewound and read again counts twice.
    pub consumed: u64,
    /// Of these, durably predicted.
    pub predicted: u64,
    /// Of these, durably dead-lettered.
    pub dead_lettered: u64,
    /// Of these, thrown away by a rewind or a revoke; they are read again, here or by another lane.
    pub abandoned: u64,
    /// Of these, still under way.
    pub in_flight: u64,
}

impl Balance {
    /// Whether every consumed record is accounted for.
    pub const fn holds(&self) -> bool {
        self.consumed == self.predicted + self.dead_lettered + self.abandoned + self.in_flight
    }
}

/// The books of one lane.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    consumed: u64,
    abandoned: u64,
    published: Tally,
    /// Consumed, and without an outcome yet.
    pending: u64,
    /// Outcomes since the last mark.
    open: Tally,
    /// Outcomes of marked spans, oldest first.
    marked: VecDeque<Tally>,
}

impl Accounts {
    /// Empty books.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `records` were taken from the broker.
    pub fn consume(&mut self, records: u64) {
        self.consumed += records;
        self.pending += records;
    }

    /// Notes the outcome of one consumed record, in the open span.
    ///
    /// # Panics
    /// When there is no consumed record without an outcome: one record would have two.
    pub fn settle(&mut self, outcome: Outcome) {
        self.pending = self
            .pending
            .checked_sub(1)
            .expect("every outcome belongs to one consumed record");
        self.open.add(outcome);
    }

    /// Notes that `records` without an outcome are dropped: their partition belongs to another lane now.
    ///
    /// # Panics
    /// When fewer consumed records are without an outcome.
    pub fn abandon(&mut self, records: u64) {
        self.pending = self
            .pending
            .checked_sub(records)
            .expect("only consumed records without an outcome are abandoned");
        self.abandoned += records;
    }

    /// What is durable. Only ever grows.
    pub const fn published(&self) -> &Tally {
        &self.published
    }

    /// Records that a rewind or a revoke threw away. Only ever grows.
    pub const fn abandoned(&self) -> u64 {
        self.abandoned
    }

    /// Records handed over by the broker. Only ever grows.
    pub const fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Outcomes since the last mark.
    pub const fn open(&self) -> &Tally {
        &self.open
    }

    /// Spans that are marked and not yet durable.
    pub fn spans(&self) -> usize {
        self.marked.len()
    }

    /// Records that are under way: without an outcome, or with one that is not durable.
    pub fn in_flight(&self) -> u64 {
        self.pending + self.unpublished()
    }

    /// The totals; they balance at every moment.
    pub fn balance(&self) -> Balance {
        Balance {
            consumed: self.consumed,
            predicted: self.published.predicted(),
            dead_lettered: self.published.dead_lettered(),
            abandoned: self.abandoned,
            in_flight: self.in_flight(),
        }
    }

    fn unpublished(&self) -> u64 {
        self.open.settled() + self.marked.iter().map(Tally::settled).sum::<u64>()
    }
}

impl Remembers for Accounts {
    /// Records without an outcome stay in the open span: they belong to the next batch.
    fn mark(&mut self) {
        self.marked.push_back(std::mem::take(&mut self.open));
    }

    fn commit(&mut self) {
        if let Some(span) = self.marked.pop_front() {
            self.published.merge(&span);
        }
    }

    fn rollback(&mut self) {
        self.abandoned += self.in_flight();
        self.pending = 0;
        self.open = Tally::default();
        self.marked.clear();
    }
}

#[cfg(test)]
mod tests;
