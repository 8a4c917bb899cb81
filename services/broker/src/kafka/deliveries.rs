//! Which outputs are on their way, by batch.
//!
//! Owns: the counters behind [`crate::Broker::outstanding`] and the list of failures.
//! Never does: talk to Kafka.
//!
//! Invariant: every reserved output is settled exactly once, delivered or not, and its ticket's counter is its own: a
//! ticket that would share another's counter is refused until that one is settled.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

use eddy_pipeline::event::Destination;

use crate::{Ticket, Undelivered};

/// Batches that may be on their way at once.
const SLOTS: usize = 1024;

/// Ticket, row and destination in one machine word, which travels through the client with its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waybill {
    pub(super) ticket: Ticket,
    pub(super) row: u32,
    pub(super) to: Destination,
}

const ROW_BITS: u32 = 30;
const _: () = assert!(usize::BITS == Ticket::BITS + ROW_BITS + 2 && Destination::ALL.len() <= 4);

impl Waybill {
    /// `None` when the row does not fit.
    pub(super) fn pack(self) -> Option<usize> {
        let row = (self.row < 1 << ROW_BITS).then_some(self.row as usize)?;
        Some((self.ticket as usize) << (ROW_BITS + 2) | row << 2 | self.to as usize)
    }

    pub(super) fn unpack(word: usize) -> Self {
        let to = Destination::ALL
            .get(word & 3)
            .copied()
            .expect("only `pack` makes these words");
        let row = (word >> 2) as u32 & ((1 << ROW_BITS) - 1);
        Self {
            ticket: (word >> (ROW_BITS + 2)) as Ticket,
            row,
            to,
        }
    }
}

#[derive(Debug, Default)]
struct Slot {
    ticket: AtomicU32,
    outstanding: AtomicU32,
}

/// The counters. They are atomic because the client's callbacks must be `Sync`; in fact one thread uses them.
#[derive(Debug)]
pub(super) struct Deliveries {
    slots: Box<[Slot]>,
    in_flight: AtomicUsize,
    settled: AtomicU64,
    failures: Mutex<Vec<Undelivered>>,
    /// What the client dropped of its own accord: consequences of a failure, and no news once the lane drops the rest.
    purged: Mutex<Vec<Undelivered>>,
}

impl Deliveries {
    pub(super) fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Slot::default()).collect(),
            in_flight: AtomicUsize::new(0),
            settled: AtomicU64::new(0),
            failures: Mutex::default(),
            purged: Mutex::default(),
        }
    }

    /// Counts an output that is about to be sent; `false` when its ticket must wait for another's to be settled.
    #[must_use]
    pub(super) fn reserve(&self, ticket: Ticket) -> bool {
        let slot = self.slot(ticket);
        let outstanding = slot.outstanding.load(Relaxed);
        if outstanding > 0 && slot.ticket.load(Relaxed) != ticket {
            return false;
        }
        slot.ticket.store(ticket, Relaxed);
        slot.outstanding.store(outstanding + 1, Relaxed);
        self.in_flight.store(self.in_flight.load(Relaxed) + 1, Relaxed);
        true
    }

    /// Counts an output as off its way: delivered, failed, or never taken.
    pub(super) fn settle(&self, ticket: Ticket) {
        let slot = self.slot(ticket);
        let outstanding = slot
            .outstanding
            .load(Relaxed)
            .checked_sub(1)
            .expect("only what was reserved is settled");
        slot.outstanding.store(outstanding, Relaxed);
        self.in_flight.store(self.in_flight.load(Relaxed) - 1, Relaxed);
        self.settled.store(self.settled.load(Relaxed) + 1, Relaxed);
    }

    pub(super) fn fail(&self, undelivered: Undelivered) {
        self.settle(undelivered.ticket);
        held(&self.failures).push(undelivered);
    }

    /// Counts an output that the client dropped without being asked to: it is as undelivered as one that failed.
    pub(super) fn purge(&self, undelivered: Undelivered) {
        self.settle(undelivered.ticket);
        held(&self.purged).push(undelivered);
    }

    /// Forgets what the client dropped of its own accord.
    pub(super) fn forget_purged(&self) {
        held(&self.purged).clear();
    }

    pub(super) fn outstanding(&self, ticket: Ticket) -> usize {
        let slot = self.slot(ticket);
        if slot.ticket.load(Relaxed) == ticket {
            slot.outstanding.load(Relaxed) as usize
        } else {
            0
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Grows with each settled output.
    pub(super) fn settled(&self) -> u64 {
        self.settled.load(Relaxed)
    }

    /// Moves all failures into `into`, those that are a cause before those that are a consequence.
    pub(super) fn take_failures(&self, into: &mut Vec<Undelivered>) {
        into.append(&mut held(&self.failures));
        into.append(&mut held(&self.purged));
    }

    fn slot(&self, ticket: Ticket) -> &Slot {
        &self.slots[ticket as usize % SLOTS]
    }
}

fn held(list: &Mutex<Vec<Undelivered>>) -> MutexGuard<'_, Vec<Undelivered>> {
    list.lock().expect("no code panics under this lock")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BrokerError, Fault};

    #[test]
    fn a_waybill_comes_back_as_it_went() {
        for to in Destination::ALL {
            for (ticket, row) in [(0, 0), (1, 2), (u32::MAX, (1 << ROW_BITS) - 1)] {
                let waybill = Waybill { ticket, row, to };
                assert_eq!(Waybill::unpack(waybill.pack().unwrap()), waybill);
            }
        }
    }

    #[test]
    fn a_row_that_does_not_fit_is_refused_and_not_cut() {
        assert_eq!(
            Waybill {
                ticket: 0,
                row: 1 << ROW_BITS,
                to: Destination::Predictions
            }
            .pack(),
            None
        );
    }

    #[test]
    fn outputs_are_counted_by_ticket() {
        let deliveries = Deliveries::new();
        assert!(deliveries.reserve(7) && deliveries.reserve(7) && deliveries.reserve(8));
        deliveries.settle(7);
        assert_eq!(
            (
                deliveries.outstanding(7),
                deliveries.outstanding(8),
                deliveries.in_flight()
            ),
            (1, 1, 2)
        );
        assert_eq!(deliveries.outstanding(9), 0);
    }

    #[test]
    fn what_the_client_drops_is_a_failure_until_the_lane_drops_the_rest() {
        let undelivered = |row| Undelivered {
            ticket: 1,
            row,
            to: Destination::Predictions,
            too_large: false,
            error: BrokerError {
                fault: Fault::Abortable,
                doing: "delivering".into(),
                message: "dropped".into(),
            },
        };
        let deliveries = Deliveries::new();
        let rows = |deliveries: &Deliveries| {
            let mut taken = Vec::new();
            deliveries.take_failures(&mut taken);
            taken.iter().map(|failed| failed.row).collect::<Vec<_>>()
        };
        let fail_both = || {
            assert!(deliveries.reserve(1) && deliveries.reserve(1));
            deliveries.purge(undelivered(0));
            deliveries.fail(undelivered(1));
            assert_eq!((deliveries.outstanding(1), deliveries.in_flight()), (0, 0));
        };
        fail_both();
        assert_eq!(rows(&deliveries), [1, 0], "the cause comes first");
        fail_both();
        deliveries.forget_purged();
        assert_eq!(rows(&deliveries), [1]);
    }

    #[test]
    fn a_ticket_waits_for_the_one_whose_counter_it_would_share() {
        let deliveries = Deliveries::new();
        let twin = 3 + SLOTS as Ticket;
        assert!(deliveries.reserve(3));
        assert!(!deliveries.reserve(twin));
        assert_eq!(deliveries.outstanding(twin), 0);
        deliveries.settle(3);
        assert!(deliveries.reserve(twin));
        assert_eq!((deliveries.outstanding(3), deliveries.outstanding(twin)), (0, 1));
    }
}
