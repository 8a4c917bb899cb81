//! Records that the person on call asked to skip.
//!
//! Owns: which of them this lane still waits for. Never does: move an offset: a skipped record is a dead letter, and
//! becomes durable as any other.
//!
//! Invariant: a skip stands until the group is known to be beyond its record, whoever met it.

use std::time::Duration;

use eddy_broker::Broker;
use eddy_pipeline::event::{Partition, Record};
use eddy_pipeline::rejection::{Reason, Rejection};

use super::Lane;
use crate::orders::Skip;

/// How often the group is asked for partitions of which nothing was read here.
const ASK_EVERY: Duration = Duration::from_secs(60);

/// The skips that stand, as of the last look.
#[derive(Debug, Default)]
pub(super) struct Skips {
    pending: Vec<Skip>,
    ask_at: Duration,
}

impl Skips {
    /// Takes up the skips that stand. Returns whether there are new ones.
    pub(super) fn take(&mut self, standing: Vec<Skip>) -> bool {
        let is_new = standing.iter().any(|skip| !self.pending.contains(skip));
        if is_new {
            self.ask_at = Duration::ZERO;
        }
        self.pending = standing;
        is_new
    }

    /// Why this record is skipped, if it is.
    pub(super) fn of(&self, record: &Record<'_>) -> Option<Rejection> {
        let skip = self.pending.iter().find(|skip| skip.source == record.source)?;
        Some(Rejection::new(Reason::Skipped, format!("skipped by {}", skip.by)))
    }
}

impl<B: Broker> Lane<B> {
    /// Drops skips that the group is beyond, once a second; asks the group where this lane cannot know.
    pub(super) fn end_skips(&mut self, now: Duration) {
        let known = self.skips.pending.iter().filter_map(|skip| {
            let durable = self.ledger.durable_of(skip.source.partition)?;
            Some((skip.clone(), durable))
        });
        let known: Vec<(Skip, i64)> = known.collect();
        let is_known = |skip: &&Skip| known.iter().any(|(one, _)| one == *skip);
        let unknown: Vec<Skip> = self
            .skips
            .pending
            .iter()
            .filter(|skip| !is_known(skip))
            .cloned()
            .collect();
        self.end_those_before(known);
        if unknown.is_empty() || now < self.skips.ask_at || self.link.broker.silence().is_some() {
            return;
        }
        self.skips.ask_at = now + ASK_EVERY;
        let partitions: Vec<Partition> = unknown.iter().map(|skip| skip.source.partition).collect();
        match self.link.broker.committed(&partitions) {
            Ok(committed) => {
                let known = unknown.into_iter().zip(committed);
                self.end_those_before(known.filter_map(|(skip, offset)| Some((skip, offset?))));
            }
            Err(error) => tracing::debug!(%error, "whether a skip is done could not be asked"),
        }
    }

    fn end_those_before(&self, known: impl IntoIterator<Item = (Skip, i64)>) {
        for (skip, durable) in known {
            if skip.source.offset < durable {
                let topic = self.link.broker.topic(skip.source.partition);
                let (partition, offset) = (skip.source.partition.number, skip.source.offset);
                tracing::info!(
                    topic,
                    partition,
                    offset,
                    by = skip.by,
                    "the group is beyond a record to skip"
                );
                self.orders.done(skip.source);
            }
        }
    }
}
