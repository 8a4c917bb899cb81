//! At least once: committing the offsets of delivered outputs.
//!
//! Owns: when the lane commits by itself, and tries again. Never does: wait for it, or undo anything because of it.

use std::collections::BTreeMap;
use std::time::Duration;

use eddy_broker::{Broker, BrokerError, Fault};
use eddy_pipeline::event::Partition;
use eddy_pipeline::time::{Clock, Now};

use super::{Ledger, Settled, Stopped};
use crate::link::Link;

/// The pause before offsets that could not be committed are tried again while there is nothing else to do.
const PAUSE: Duration = Duration::from_secs(1);

impl Ledger {
    /// Commits what was stored of all partitions, up to the end of everything under way, which must be delivered.
    pub(super) fn commit_all<B: Broker>(&mut self, link: &mut Link<B>, now: Now) -> Result<(), BrokerError> {
        let offsets = self.spans.offsets(usize::MAX);
        let committed = self.commit_stored(link, offsets, now);
        let is_outage = link.broker.silence().is_some();
        committed.map_err(|error| match error.fault {
            // While nobody answers, trying again at once helps nobody.
            Fault::Retriable if is_outage => BrokerError {
                fault: Fault::TimedOut,
                ..error
            },
            _ => error,
        })
    }

    /// The same, up to these offsets of delivered spans.
    pub(super) fn commit_stored<B: Broker>(
        &mut self,
        link: &mut Link<B>,
        delivered: impl IntoIterator<Item = (Partition, i64)>,
        now: Now,
    ) -> Result<(), BrokerError> {
        let mut offsets: BTreeMap<_, _> = self.durable_of_read().collect();
        offsets.extend(delivered);
        let offsets: Vec<_> = offsets.into_iter().collect();
        let committed = link.broker.store_offsets(&offsets, true);
        // Refused now, they are tried again after as many, before a partition is let go, and when there is time.
        (self.stored, self.commit_at) = match committed {
            Ok(()) => (0, None),
            Err(_) => (1, Some(now.monotonic + PAUSE)),
        };
        committed
    }

    /// Nothing is under way: commits what could not be committed before.
    pub(super) fn commit_again<B: Broker>(
        &mut self,
        link: &mut Link<B>,
        clock: &dyn Clock,
    ) -> Result<Settled, Stopped> {
        let now = clock.now();
        if self.commit_at.is_none_or(|at| now.monotonic < at) {
            return Ok(Settled::Nothing);
        }
        match self.commit_stored(link, [], now) {
            Ok(()) => Ok(Settled::Nothing),
            Err(error) if error.fault == Fault::Refused => self.give_up(link, clock, Some(error)),
            Err(error) => {
                tracing::warn!(error = %error, "offsets of delivered outputs are still not committed");
                Ok(Settled::Nothing)
            }
        }
    }
}
