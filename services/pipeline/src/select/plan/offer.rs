//! What a pipeline can say about an event, for a plan to choose from.

use std::sync::Arc;

use crate::conformal::Conformal;
use crate::signal::Signal;

/// What one model can say about an event.
#[derive(Debug, Clone)]
pub struct Served {
    /// Its name in the pipeline file.
    pub model: String,
    /// Its signals, each with what its reference profile certifies of it.
    pub signals: Vec<(Signal, Option<Arc<Conformal>>)>,
    /// Number of its classes; 0 without.
    pub classes: usize,
}

/// Several models that can disagree: their signals are measured once, as those of the first of them.
#[derive(Debug, Clone)]
pub struct Committee {
    /// Position of the first of them.
    pub first: usize,
    /// What they give together.
    pub signals: Vec<Signal>,
}

/// What a pipeline can say about an event.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// Each model.
    pub models: Vec<Served>,
    /// Those of them that can disagree, if several can.
    pub committee: Option<Committee>,
    /// Fields of type `category` with their words.
    pub categories: Vec<(String, Vec<String>)>,
}

impl Served {
    /// Whether the model gives this signal.
    pub(super) fn gives(&self, signal: Signal) -> bool {
        self.signals.iter().any(|(given, _)| *given == signal)
    }
}
