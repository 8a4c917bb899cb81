//! What lanes tell of traced events, on its way to whoever exports it.
//!
//! Owns: the facts of a traced event, the bounded queue between lanes and the exporter, the form of OTLP.
//! Never does: send; that is the shell's. Nor does it hold a lane up: what does not fit into the queue is counted and dropped.
//!
//! Invariant: an event is told of once its outcome is durable, and nothing of its content is.

mod otlp;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use eddy_pipeline::event::Destination;
use eddy_pipeline::outcome::Outcome;
use eddy_pipeline::time::Now;
use eddy_pipeline::trace::Trace;
use prometheus::IntCounterVec;

pub use self::otlp::Resource;
use crate::catalogue::SpanOutcome;

/// When what was done with the batch of a traced event, on one clock of nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchTimes {
    /// Its first record was taken in.
    pub taken: u64,
    /// The models began.
    pub model: u64,
    /// They, and the reading of their outputs, were done.
    pub scored: u64,
    /// The first output was handed to the producer.
    pub handed: u64,
    /// Rows in it.
    pub rows: usize,
    /// What turns monotonic time into that clock.
    epoch: i64,
}

impl BatchTimes {
    /// Times of one batch; `now` ties monotonic time to the calendar, so that they differ as they did.
    pub fn new(rows: usize, [taken, model, scored, handed]: [Duration; 4], now: Now) -> Self {
        let epoch = now
            .unix_ms
            .saturating_mul(1_000_000)
            .saturating_sub(nanoseconds(now.monotonic));
        let at = |time: Duration| u64::try_from(epoch.saturating_add(nanoseconds(time))).unwrap_or(0);
        Self {
            taken: at(taken),
            model: at(model),
            scored: at(scored),
            handed: at(handed),
            rows,
            epoch,
        }
    }

    fn at(&self, monotonic: Duration) -> u64 {
        u64::try_from(self.epoch.saturating_add(nanoseconds(monotonic))).unwrap_or(0)
    }
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// One traced event, whose outputs were handed over.
#[derive(Debug, Clone, PartialEq)]
pub struct TracedEvent {
    /// Its trace.
    pub trace: Trace,
    /// `topic/partition/offset`.
    pub source: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether it was scored, also where its prediction turned out too large.
    pub is_scored: bool,
    /// When.
    pub times: BatchTimes,
    /// When it was durable, on the same clock; 0 before that.
    pub durable: u64,
}

impl TracedEvent {
    /// The outputs that it has.
    pub fn outputs(&self) -> &'static [Destination] {
        match self.outcome {
            Outcome::Predicted => &[Destination::Predictions],
            Outcome::Selected(_) => &[Destination::Predictions, Destination::Retraining],
            Outcome::DeadLettered(_) => &[Destination::DeadLetters],
        }
    }

    /// How many spans are told of it: one for all of it, one for the models, one for each output.
    pub fn spans(&self) -> usize {
        1 + usize::from(self.is_scored) + self.outputs().len()
    }
}

/// Where lanes tell of traced events. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Traces {
    queue: SyncSender<TracedEvent>,
    metrics: TraceMetrics,
}

impl Traces {
    /// A queue of at most `limit` events, and its other end; that end learns by the channel when the last lane is gone.
    pub fn bounded(limit: usize, metrics: TraceMetrics) -> (Self, Receiver<TracedEvent>) {
        let (queue, events) = sync_channel(limit);
        (Self { queue, metrics }, events)
    }

    pub(crate) fn tell(&self, mut event: TracedEvent, now: Now) {
        event.durable = event.times.at(now.monotonic);
        let spans = event.spans();
        self.metrics.owed.fetch_add(spans as u64, Ordering::Relaxed);
        if self.queue.try_send(event).is_err() {
            self.metrics.settle(SpanOutcome::Dropped, spans);
        }
    }
}

/// What is counted of spans. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct TraceMetrics {
    spans: IntCounterVec,
    /// Spans that were told of and of which nothing became yet.
    owed: Arc<AtomicU64>,
}

impl TraceMetrics {
    pub(crate) fn new(spans: &IntCounterVec) -> Self {
        Self {
            spans: spans.clone(),
            owed: Arc::default(),
        }
    }

    /// Counts what became of so many spans that were told of; not of those that were given up.
    pub fn settle(&self, outcome: SpanOutcome, spans: usize) {
        let take = |owed: u64| Some(owed.saturating_sub(spans as u64));
        let (Ok(owed) | Err(owed)) = self.owed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        let counted = owed.min(spans as u64);
        self.spans.with_label_values(&[outcome.as_str()]).inc_by(counted);
    }

    /// Counts all that were told of and of which nothing became yet as dropped.
    pub fn give_up(&self) {
        let owed = self.owed.swap(0, Ordering::Relaxed);
        let dropped = SpanOutcome::Dropped.as_str();
        self.spans.with_label_values(&[dropped]).inc_by(owed);
    }
}

#[cfg(test)]
mod tests;
