//! When what was done with a batch, for those of its events that are traced.

use std::time::Duration;

use eddy_pipeline::outcome::Outcome;
use eddy_pipeline::time::Now;
use eddy_pipeline::trace::Trace;
use eddy_telemetry::{BatchTimes, TracedEvent};

use crate::batch::{Batch, Row};

/// Times of the present batch, on the monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    /// Its first record was taken in.
    pub(super) taken: Duration,
    /// The models began.
    pub(super) model: Duration,
    /// They were done.
    pub(super) scored: Duration,
}

impl Times {
    /// What there is to tell of an event; `handed` is when the batch's outputs began to be handed over.
    pub(super) fn traced(
        &self,
        trace: Trace,
        (batch, row): (&Batch, &Row),
        outcome: Outcome,
        handed: Now,
    ) -> TracedEvent {
        let times = [self.taken, self.model, self.scored, handed.monotonic];
        TracedEvent {
            trace,
            source: batch.source(row).to_owned(),
            outcome,
            is_scored: row.tensor_row().is_some(),
            times: BatchTimes::new(batch.rows().len(), times, handed),
            durable: 0,
        }
    }
}
