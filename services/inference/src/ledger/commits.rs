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
        let committed = self.commit_stored(link, (self.spans.len(), offsets), now);
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
    fn commit_stored<B: Broker>(
        &mut self,
        link: &mut Link<B>,
        (spans, delivered): (usize, Vec<(Partition, i64)>),
        now: Now,
    ) -> Result<(), BrokerError> {
        let mut offsets: BTreeMap<_, _> = self.durable_of_read().collect();
        offsets.extend(delivered);
        let offsets: Vec<_> = offsets.into_iter().collect();
        self.annotate(link, &offsets, spans);
        let committed = link.broker.store_offsets(&offsets, true);
        self.stored = 0;
        self.commit_at = committed.is_err().then(|| now.monotonic + PAUSE);
        committed
    }

    /// The same, where only a refusal matters: the client goes on trying by itself, and so does the lane, after as many
    /// events, when there is nothing else to do, and before a partition is let go.
    pub(super) fn try_to_commit<B: Broker>(
        &mut self,
        link: &mut Link<B>,
        delivered: (usize, Vec<(Partition, i64)>),
        now: Now,
    ) -> Result<(), BrokerError> {
        match self.commit_stored(link, delivered, now) {
            Err(error) if error.fault != Fault::Refused => {
                tracing::warn!(error = %error, "offsets of delivered outputs are not committed yet");
                Ok(())
            }
            committed => committed,
        }
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
        match self.try_to_commit(link, (0, Vec::new()), now) {
            Ok(()) => Ok(Settled::Nothing),
            Err(error) => self.give_up(link, clock, Some(error)),
        }
    }

    /// Whether something was stored that the lane has not committed itself.
    pub(super) fn has_uncommitted(&self) -> bool {
        self.stored > 0 || self.commit_at.is_some()
    }
}
