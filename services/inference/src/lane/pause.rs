//! When a lane takes no records: a sick model, a flood of dead letters, the wish of the person on call.
//!
//! Owns: how a pause begins, is sat out, tried to end, and ended. Never does: touch an offset.
//!
//! Invariant: what was done is durable before a pause begins, and the lane stays in its group throughout.

use std::time::Duration;

use eddy_broker::Broker;
use eddy_pipeline::decode::Awaited;
use eddy_pipeline::event::{Partition, Source};
use eddy_telemetry::catalogue::PauseCause;

use super::{IDLE, Lane, Turn};
use crate::ledger::Stopped;

/// A pause that is tried to end and meets no event for so long is over.
const QUIET_END: Duration = Duration::from_secs(10);
/// A schema that is there sooner is no pause worth showing: every new one is awaited for a moment.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// A pause that ends by itself.
#[derive(Debug)]
struct Pause {
    cause: PauseCause,
    retry_at: Duration,
    /// What ends it before that.
    schema: Option<AwaitedSchema>,
}

/// A schema that is waited for.
#[derive(Debug, Clone, Copy)]
struct AwaitedSchema {
    id: u32,
    /// Where the event lies that needs it. When that partition is let go, the wait is another member's.
    partition: Partition,
    /// From when on the pause is shown.
    shown_at: Duration,
}

/// Why a lane takes no records now, or has just begun to take them again.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    pause: Option<Pause>,
    /// The pause that is being tried to end, and since when. Until then it is still shown.
    trying: Option<(PauseCause, Duration)>,
    /// A model was sick on events that are not done again yet: they are scored one by one, so that the one that ails it
    /// can be named.
    is_suspicious: bool,
    /// A schema was not there; the event that needs it, in this partition, was put back.
    awaited: Option<(Partition, Awaited)>,
    /// Who asked for a pause.
    asked_by: Option<String>,
    /// Whether that is obeyed already.
    is_obeyed: bool,
    /// Versions of the orders, and how often they said to go on.
    seen: (u64, u64),
}

impl Pauses {
    /// Whether the lane waits for the end of a pause that ends by itself.
    pub(super) fn is_paused(&self) -> bool {
        self.pause.is_some()
    }

    /// Whether events are scored one by one.
    pub(super) fn is_suspicious(&self) -> bool {
        self.is_suspicious
    }

    fn retry_now(&mut self) {
        if let Some(pause) = &mut self.pause {
            pause.retry_at = Duration::ZERO;
        }
    }

    /// Partitions are let go: what lies in them is waited for no more.
    pub(super) fn let_go(&mut self, partitions: &[Partition]) {
        self.awaited.take_if(|(partition, _)| partitions.contains(partition));
        let schema = self.pause.as_ref().and_then(|pause| pause.schema);
        if schema.is_some_and(|schema| partitions.contains(&schema.partition)) {
            self.retry_now();
        }
    }
}

impl<B: Broker> Lane<B> {
    /// Looks whether there are orders, between batches.
    pub(super) fn take_orders(&mut self) {
        let version = self.orders.version();
        if version == self.pauses.seen.0 {
            return;
        }
        let standing = self.orders.standing();
        let is_told_to_go_on = standing.resumes != self.pauses.seen.1;
        self.pauses.seen = (version, standing.resumes);
        self.pauses.asked_by = standing.paused_by;
        // A skip may be just what ends the pause.
        if self.skips.take(standing.skips) || is_told_to_go_on {
            self.pauses.retry_now();
        }
    }

    /// Pauses, or ends the pause, as the person on call wishes.
    pub(super) fn pause_if_asked(&mut self) -> Result<Option<Turn>, Stopped> {
        match (self.pauses.asked_by.clone(), self.pauses.is_obeyed) {
            (Some(by), false) => {
                let started = self.clock.now().monotonic;
                let settled = self.ledger.settle_all(&mut self.link, self.clock.as_ref())?;
                self.settled(settled, started);
                tracing::warn!(by, "the stream is paused by hand; what was done is durable");
                let why = format!("paused by {by}; `eddy resume` ends it");
                self.ledger.hold(PauseCause::Operator, &why, Duration::ZERO);
                self.pauses.is_obeyed = true;
            }
            (None, true) => {
                self.ledger.free(PauseCause::Operator);
                self.pauses.is_obeyed = false;
            }
            _ => {}
        }
        if self.pauses.is_obeyed {
            return self.sit_out().map(Some);
        }
        Ok(None)
    }

    /// Makes what was done durable, takes the batch back and pauses, offsets untouched.
    pub(super) fn stop_the_stream(&mut self, cause: PauseCause, why: &str) -> Result<Turn, Stopped> {
        let why = match cause {
            PauseCause::Model => format!("{why}; {}", self.suspects()),
            _ => why.to_owned(),
        };
        let started = self.clock.now().monotonic;
        let settled = self.ledger.settle_all(&mut self.link, self.clock.as_ref())?;
        self.settled(settled, started);
        self.undo(None)?;
        let retry = self.settings.dead_letters.retry;
        tracing::error!(
            cause = cause.as_str(),
            why,
            "the stream is paused, offsets untouched; trying again in {retry}"
        );
        self.ledger.hold(cause, &why, Duration::ZERO);
        if let Some((tried, _)) = self.pauses.trying.take().filter(|(tried, _)| *tried != cause) {
            self.ledger.free(tried);
        }
        self.pauses.is_suspicious |= cause == PauseCause::Model;
        self.pauses.awaited = None;
        self.pauses.pause = Some(Pause {
            cause,
            retry_at: self.clock.now().monotonic + retry.0,
            schema: None,
        });
        self.sit_out()
    }

    /// Puts an event back whose schema is not there yet. It was not consumed, and what came before it goes on.
    pub(super) fn hold_back(&mut self, source: Source, awaited: Awaited) -> Result<(), Stopped> {
        self.pauses.awaited = Some((source.partition, awaited));
        match self.link.broker.rewind(&[(source.partition, source.offset)]) {
            Ok(()) => Ok(()),
            Err(error) => {
                // The ledger puts back what it knows of, and tries until it is put back.
                self.ledger.consume(source);
                self.undo(Some(error))
            }
        }
    }

    /// Makes what came before that event durable, and pauses until its schema is there.
    pub(super) fn await_schema(&mut self) -> Result<(), Stopped> {
        let Some((partition, awaited)) = self.pauses.awaited.take() else {
            return Ok(());
        };
        let started = self.clock.now().monotonic;
        let settled = self.ledger.settle_all(&mut self.link, self.clock.as_ref())?;
        self.settled(settled, started);
        let now = self.clock.now().monotonic;
        let shown_at = match self.pauses.trying.take() {
            Some((PauseCause::Schema, _)) => now,
            tried => {
                tried.into_iter().for_each(|(tried, _)| self.ledger.free(tried));
                now + SHOWN_AFTER
            }
        };
        self.pauses.pause = Some(Pause {
            cause: PauseCause::Schema,
            retry_at: Duration::MAX,
            schema: Some(AwaitedSchema {
                id: awaited.id,
                partition,
                shown_at,
            }),
        });
        Ok(())
    }

    /// Whether the schema that a pause waits for is there. If not, shows after a moment what it waits for.
    fn has_come(&mut self, schema: AwaitedSchema) -> bool {
        let Err(awaited) = self.scoring.ready(schema.id) else {
            return true;
        };
        let is_shown = self.clock.now().monotonic >= schema.shown_at;
        if is_shown && self.ledger.hold(PauseCause::Schema, &awaited.why, Duration::ZERO) {
            let why = awaited.why;
            tracing::error!(
                schema = schema.id,
                why,
                "the stream waits for a schema, offsets untouched"
            );
        }
        false
    }

    /// Says of each schema that is new to the lane whether it fits the pipeline file.
    pub(super) fn tell_of_new_schemas(&mut self) {
        for schema in self.scoring.take_new_schemas() {
            self.ledger.metrics().new_schema(&schema);
            let (id, rule) = (schema.id, schema.rule.as_str());
            if schema.findings.is_empty() {
                tracing::info!(schema = id, "a schema is new, and fits the pipeline file");
            } else {
                tracing::warn!(
                    schema = id,
                    rule,
                    "a schema is new, and does not fit the pipeline file: {schema}"
                );
            }
        }
    }

    /// Which events a model failed on.
    fn suspects(&self) -> String {
        let batch = self.scoring.batch();
        match batch.rows() {
            [] => "it had no events".to_owned(),
            [only] => {
                let source = batch.source(only);
                format!("that began with {source}; if that event is to blame, `eddy skip {source}` leaves it out")
            }
            [first, .., last] => format!(
                "that began with a batch of {} events, {} to {}; trying again one by one",
                batch.rows().len(),
                batch.source(first),
                batch.source(last)
            ),
        }
    }

    /// Whether the pause is over: its time is up, and the models succeed on their known-good rows.
    pub(super) fn may_retry(&mut self) -> bool {
        let Some(pause) = &self.pauses.pause else {
            return true;
        };
        let now = self.clock.now().monotonic;
        let (cause, retry_at, schema) = (pause.cause, pause.retry_at, pause.schema);
        if now < retry_at && schema.is_none_or(|schema| !self.has_come(schema)) {
            return false;
        }
        if let Err(sick) = self.scoring.revive() {
            // What was waited for is there. What it is from now on is a pause because of the model.
            if schema.is_some() {
                self.ledger.free(cause);
            }
            let cause = if schema.is_some() { PauseCause::Model } else { cause };
            self.pauses.pause = Some(Pause {
                cause,
                retry_at: now + self.settings.dead_letters.retry.0,
                schema: None,
            });
            self.ledger.hold(cause, &sick.to_string(), Duration::ZERO);
            return false;
        }
        self.pauses.pause = None;
        if schema.is_none_or(|schema| now >= schema.shown_at) {
            tracing::info!(cause = cause.as_str(), "the stream is tried again");
            self.pauses.trying = Some((cause, now));
        }
        true
    }

    /// A pause is over when events went through once more, or when there are none.
    pub(super) fn end_of_pause(&mut self, rows: usize) {
        self.pauses.is_suspicious &= self.ledger.is_redoing();
        let Some((cause, since)) = self.pauses.trying else {
            return;
        };
        if rows > 0 || self.since(since) >= QUIET_END {
            self.ledger.free(cause);
            self.pauses.trying = None;
        }
    }

    /// A turn of a paused stream: serves the group, takes nothing.
    pub(super) fn sit_out(&mut self) -> Result<Turn, Stopped> {
        self.serve_group()?;
        self.take_up_rebalances()?;
        self.show(true);
        Ok(Turn::Paused(match &self.pauses.pause {
            Some(pause) if !self.pauses.is_obeyed => pause.cause,
            _ => PauseCause::Operator,
        }))
    }

    /// Serves the group for a moment, and takes nothing.
    pub(super) fn serve_group(&mut self) -> Result<(), Stopped> {
        match self.link.hold().and_then(|()| self.link.poll_group(IDLE)) {
            Ok(()) => Ok(()),
            Err(error) => self.undo(Some(error)),
        }
    }
}
