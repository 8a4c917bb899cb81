//! The producer of one connection: its queue, its deliveries and their reports, the phase of its transaction.

use std::collections::{BTreeMap, VecDeque};

use crate::{BrokerError, Fault, Ticket, Undelivered};
use eddy_pipeline::event::Destination;

use super::cluster::ConnectionId;
use super::faults::{Mishap, Op};
use super::log::TwinRecord;
use super::state::{Slot, State, failure};
use super::transactions::Producer;

/// Where the producer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No transaction.
    Ready,
    /// In a transaction.
    Open,
    /// In a transaction that can only be aborted.
    MustAbort,
    /// A commit took effect, but its answer was lost: the same call again will say so.
    Unanswered,
    /// A commit or abort timed out: only a new producer knows.
    Unknown,
    /// Another producer took over.
    Fenced,
    /// Beyond repair.
    Broken,
}

#[derive(Debug)]
struct Pending {
    ticket: Ticket,
    row: u32,
    to: Destination,
    slot: Slot,
    record: TwinRecord,
}

/// A delivery that is decided and not reported yet.
#[derive(Debug)]
struct Report {
    ticket: Ticket,
    failed: Option<Undelivered>,
}

#[derive(Debug)]
pub(super) struct Outbox {
    /// `None`: at least once, without transactions.
    pub(super) producer: Option<Producer>,
    pub(super) phase: Phase,
    queued: VecDeque<Pending>,
    reports: VecDeque<Report>,
    outstanding: BTreeMap<Ticket, usize>,
    undelivered: Vec<Undelivered>,
}

impl Outbox {
    pub(super) fn new(producer: Option<Producer>) -> Self {
        Self {
            producer,
            phase: Phase::Ready,
            queued: VecDeque::new(),
            reports: VecDeque::new(),
            outstanding: BTreeMap::new(),
            undelivered: Vec::new(),
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.queued.len() + self.reports.len()
    }

    pub(super) fn outstanding(&self, ticket: Ticket) -> usize {
        self.outstanding.get(&ticket).copied().unwrap_or(0)
    }

    pub(super) fn take_undelivered(&mut self, into: &mut Vec<Undelivered>) {
        into.append(&mut self.undelivered);
    }

    pub(super) fn push(&mut self, (ticket, row): (Ticket, u32), (to, slot): (Destination, Slot), record: TwinRecord) {
        *self.outstanding.entry(ticket).or_default() += 1;
        self.queued.push_back(Pending {
            ticket,
            row,
            to,
            slot,
            record,
        });
    }

    /// Drops everything that is queued or not reported yet.
    pub(super) fn purge(&mut self) {
        self.queued.clear();
        self.reports.clear();
        self.outstanding.clear();
    }

    /// Sends at most `most` of the queued outputs to the broker, in their order. Returns how many were decided.
    pub(super) fn transmit(&mut self, state: &mut State, id: ConnectionId, most: usize) -> usize {
        let before = self.queued.len();
        for _ in 0..most {
            if state.is_away() || (self.producer.is_some() && self.phase != Phase::Open) {
                break;
            }
            let Some(pending) = self.queued.pop_front() else { break };
            let mishap = state.fate.of(Op::Deliver, &mut state.rng);
            self.deliver(state, id, pending, mishap);
        }
        before - self.queued.len()
    }

    fn deliver(&mut self, state: &mut State, id: ConnectionId, pending: Pending, mishap: Option<Mishap>) {
        let limit = state.topics[pending.slot.topic].max_message_bytes;
        let too_large = mishap == Some(Mishap::TooLarge) || bytes_of(&pending.record) > limit;
        let name = state.name_of(pending.slot);
        if too_large {
            let message = "the broker refuses the record as too large (MSG_SIZE_TOO_LARGE)";
            state.note(|_| format!("{id} cannot deliver to {name}: too large"));
            self.fail(
                pending,
                true,
                failure(Fault::Abortable, format!("delivering to {name}"), message),
            );
            return;
        }
        let given_up = matches!(mishap, Some(Mishap::Undelivered { .. }));
        if mishap != Some(Mishap::Undelivered { written: false }) && self.write(state, &pending).is_err() {
            state.note(|_| format!("{id} cannot deliver to {name}: fenced"));
            self.phase = Phase::Fenced;
            let error = failure(
                Fault::Fenced,
                format!("delivering to {name}"),
                "a newer producer has the same transactional id (INVALID_PRODUCER_EPOCH)",
            );
            self.give_up(pending, &error);
            return;
        }
        if given_up {
            state.note(|_| format!("{id} gives up deliveries from one to {name} on"));
            let error = failure(
                Fault::Abortable,
                format!("delivering to {name}"),
                "no acknowledgement came in time (MSG_TIMED_OUT)",
            );
            self.give_up(pending, &error);
            return;
        }
        self.reports.push_back(Report {
            ticket: pending.ticket,
            failed: None,
        });
    }

    fn write(&self, state: &mut State, pending: &Pending) -> Result<(), super::transactions::Fenced> {
        let record = state.stamped(pending.record.clone());
        let offset = match &self.producer {
            Some(producer) => state.write_in_transaction(producer, pending.slot, record)?,
            None => state.log_mut(pending.slot).append(record, None),
        };
        state.note(|state| format!("{}/{offset} is written", state.name_of(pending.slot)));
        Ok(())
    }

    /// An idempotent producer that gives up one delivery gives up what waits behind it too, so that order is kept.
    fn give_up(&mut self, first: Pending, error: &BrokerError) {
        self.fail(first, false, error.clone());
        for pending in std::mem::take(&mut self.queued) {
            self.fail(pending, false, error.clone());
        }
    }

    fn fail(&mut self, pending: Pending, too_large: bool, error: BrokerError) {
        if self.phase == Phase::Open {
            self.phase = Phase::MustAbort;
        }
        self.reports.push_back(Report {
            ticket: pending.ticket,
            failed: Some(Undelivered {
                ticket: pending.ticket,
                row: pending.row,
                to: pending.to,
                too_large,
                error,
            }),
        });
    }

    /// Reports at most `most` deliveries. Returns how many.
    pub(super) fn report(&mut self, most: usize) -> usize {
        let reported = most.min(self.reports.len());
        for report in self.reports.drain(..reported) {
            if let Some(outstanding) = self.outstanding.get_mut(&report.ticket) {
                *outstanding -= 1;
                if *outstanding == 0 {
                    self.outstanding.remove(&report.ticket);
                }
            }
            self.undelivered.extend(report.failed);
        }
        reported
    }

    pub(super) fn queued(&self) -> usize {
        self.queued.len()
    }

    pub(super) fn unreported(&self) -> usize {
        self.reports.len()
    }
}

pub(super) fn bytes_of(record: &TwinRecord) -> usize {
    let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    let headers: usize = record
        .headers
        .iter()
        .map(|(name, value)| name.len() + length(value))
        .sum();
    length(&record.key) + length(&record.value) + headers
}
