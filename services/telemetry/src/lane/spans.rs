//! What spans of a lane's work have observed and nobody sees yet.
//!
//! Owns: the order of spans, and their memory. Never does: publish one.
//!
//! Invariant: a span is seen once it is durable, and forgotten when it is undone.

use std::collections::VecDeque;

use eddy_pipeline::drift::monitor::Tally as DriftTally;
use eddy_pipeline::select::{Arm, Drawn};
use eddy_pipeline::signal::Signal;

use crate::traces::TracedEvent;

/// What spans of work have observed, oldest first, as [`eddy_pipeline::outcome::Remembers`] describes.
pub(super) struct Spans {
    pub(super) open: Span,
    marked: VecDeque<Span>,
    pub(super) durable: Vec<Span>,
    /// Emptied spans whose memory is used again.
    pub(super) spare: Vec<Span>,
    models: usize,
    /// Of drift, with nothing in it.
    empty: DriftTally,
}

#[derive(Default)]
pub(super) struct Span {
    pub(super) event_times: Vec<i64>,
    pub(super) models: Vec<ModelSpan>,
    pub(super) draws: [[u64; Drawn::ALL.len()]; Arm::ALL.len()],
    pub(super) drift: DriftTally,
    pub(super) traced: Vec<TracedEvent>,
}

#[derive(Default, Clone)]
pub(super) struct ModelSpan {
    pub(super) predictions: u64,
    pub(super) selections: [u64; Arm::ALL.len()],
    pub(super) confidences: Vec<f32>,
    pub(super) signals: Vec<(Signal, Vec<f32>)>,
}

impl Spans {
    pub(super) fn new(models: usize, empty: DriftTally) -> Self {
        Self {
            open: Span::new(models, empty.clone()),
            marked: VecDeque::new(),
            durable: Vec::new(),
            spare: Vec::new(),
            models,
            empty,
        }
    }

    pub(super) fn mark(&mut self) {
        let next = self.spare.pop();
        let next = next.unwrap_or_else(|| Span::new(self.models, self.empty.clone()));
        self.marked.push_back(std::mem::replace(&mut self.open, next));
    }

    pub(super) fn commit(&mut self) {
        self.durable.extend(self.marked.pop_front());
    }

    pub(super) fn rollback(&mut self) {
        self.open.clear();
        while let Some(mut span) = self.marked.pop_front() {
            span.clear();
            self.spare.push(span);
        }
    }
}

impl Span {
    pub(super) fn new(models: usize, drift: DriftTally) -> Self {
        Self {
            event_times: Vec::new(),
            models: vec![ModelSpan::default(); models],
            draws: Default::default(),
            drift,
            traced: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.event_times.clear();
        self.draws = Default::default();
        self.drift.clear();
        self.traced.clear();
        for model in &mut self.models {
            model.predictions = 0;
            model.selections = Default::default();
            model.confidences.clear();
            model.signals.iter_mut().for_each(|(_, values)| values.clear());
        }
    }
}
