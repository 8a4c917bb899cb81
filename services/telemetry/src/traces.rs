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

/// When what was done with the batch of a traced event, on the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchTimes {
    /// Its first record was taken in.
    pub taken: Duration,
    /// The models began.
    pub model: Duration,
    /// They, and the reading of their outputs, were done.
    pub scored: Duration,
    /// Its outputs began to be handed to the producer.
    pub handed: Duration,
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
    /// Rows of its batch.
    pub rows: usize,
    /// When.
    pub times: BatchTimes,
}

/// A traced event, and when it was durable.
pub type Told = (TracedEvent, Now);

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
    queue: SyncSender<Told>,
    metrics: TraceMetrics,
}

impl Traces {
    /// A queue of at most `limit` events, and its other end; that end learns by the channel when the last lane is gone.
    pub fn bounded(limit: usize, metrics: TraceMetrics) -> (Self, Receiver<Told>) {
        let (queue, events) = sync_channel(limit);
        (Self { queue, metrics }, events)
    }

    pub(crate) fn tell(&self, event: TracedEvent, now: Now) {
        let spans = event.spans();
        self.metrics.owed.fetch_add(spans as u64, Ordering::Relaxed);
        if self.queue.try_send((event, now)).is_err() {
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
