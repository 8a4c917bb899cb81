//! What the group gives a lane and takes from it, between batches.
//!
//! Owns: the order of letting go: first what was done is durable or undone, then the partition is another member's.
//! Never does: take a partition without the budget that its last owner left with it.

use std::time::Duration;

use eddy_broker::{Broker, BrokerError, Polled};
use eddy_pipeline::event::Partition;

use super::Lane;
use crate::ledger::Stopped;

impl<B: Broker> Lane<B> {
    /// Between batches: takes what the group gives, and lets go of what it wants back once that is durable or undone.
    pub(super) fn take_up_rebalances(&mut self) -> Result<(), Stopped> {
        while let Some(rebalance) = self.link.first_rebalance().cloned() {
            if let Err(error) = self.take_up(&rebalance)? {
                // It stays the first, so the next turn takes it up again.
                self.undo(Some(error))?;
                return self.serve_group();
            }
            self.link.drop_first_rebalance(&rebalance);
            self.note_rebalance(&rebalance);
        }
        Ok(())
    }

    fn take_up(&mut self, rebalance: &Polled) -> Result<Result<(), BrokerError>, Stopped> {
        let (partitions, lost) = match rebalance {
            Polled::Assigned(partitions) if self.link.has_lost(partitions) => return Ok(Ok(())),
            Polled::Assigned(partitions) => return Ok(self.accept(partitions)),
            Polled::Revoked { partitions, lost } => (partitions, *lost),
            Polled::Record | Polled::Idle => return Ok(Ok(())),
        };
        if lost {
            self.undo(None)?;
        } else {
            let started = self.clock.now().monotonic;
            let settled = self.ledger.settle_all(&mut self.link, self.clock.as_ref())?;
            self.settled(settled, started);
            if self.link.has_lost(partitions) {
                return Ok(Ok(()));
            }
        }
        self.ledger.forget(partitions);
        self.link.forget(partitions);
        Ok(self.link.broker.release(partitions))
    }

    /// Takes partitions, each with the budget that its last owner left with it.
    fn accept(&mut self, partitions: &[Partition]) -> Result<(), BrokerError> {
        self.ledger.take(&mut self.link, partitions, self.clock.now())?;
        self.link.broker.accept(partitions)
    }

    fn note_rebalance(&mut self, rebalance: &Polled) {
        match rebalance {
            Polled::Assigned(partitions) => {
                self.report.assigned(partitions);
                self.stalls.learn_at = Duration::ZERO;
            }
            Polled::Revoked { partitions, lost } => {
                if *lost {
                    tracing::warn!(
                        count = partitions.len(),
                        "partitions were lost; their events are another member's now"
                    );
                }
                self.report.revoked(partitions);
                self.pauses.let_go(partitions);
            }
            Polled::Record | Polled::Idle => {}
        }
        let held = self.report.partitions();
        let named: Vec<(&str, i32)> = held.iter().map(|p| (self.link.broker.topic(*p), p.number)).collect();
        tracing::info!(partitions = ?named, "rebalanced");
        self.ledger.metrics().rebalanced(&named);
    }
}
