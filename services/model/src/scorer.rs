//! A model as the core sees it.
//!
//! Owns: one engine, and a row that is known to be good. Never does: share anything with another scorer.
//! Invariant: the probe row has been through this very model with success.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use eddy_pipeline::score::{RunError, Scorer};
use eddy_pipeline::tensor::{Inputs, TensorSpec, View};

use crate::calibration::Calibration;
use crate::engine::Engine;
use crate::session::Source;
use crate::settings::Provider;
use crate::tensors::{copy_rows, like, refused};

/// One lane's session of a model.
#[derive(Debug)]
pub struct OrtScorer {
    parts: Parts,
    source: Arc<Source>,
    provider: Provider,
}

/// What a scorer is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) inputs: Vec<TensorSpec>,
    pub(crate) calibration: Calibration,
    /// One row, where one is known.
    pub(crate) probe: Option<Inputs>,
}

impl OrtScorer {
    pub(crate) fn new(parts: Parts, source: Arc<Source>, provider: Provider) -> Self {
        Self {
            parts,
            source,
            provider,
        }
    }

    /// Ends every run that takes longer, with [`eddy_pipeline::score::RunFault::TimedOut`]. Off until it is called;
    /// zero switches it off. A run ends between one and one and a quarter of the limit, and not before the operator
    /// that is being computed is done.
    pub fn set_time_limit(&mut self, limit: Duration) {
        self.parts.engine.set_time_limit((!limit.is_zero()).then_some(limit));
    }
}

impl Scorer for OrtScorer {
    fn run(&mut self, inputs: &Inputs, rows: Range<usize>, read: &mut dyn FnMut(&[View<'_>])) -> Result<(), RunError> {
        self.parts.engine.run(inputs, rows.clone(), read)?;
        if self.parts.probe.is_none() && !rows.is_empty() {
            let mut probe = like(inputs, 1);
            copy_rows(inputs, &mut probe, 1, |_| rows.start);
            self.parts.probe = Some(probe);
        }
        Ok(())
    }

    fn probe(&mut self) -> Result<(), RunError> {
        match &self.parts.probe {
            Some(probe) => self.parts.engine.run(probe, 0..1, &mut |_| {}),
            None => Err(refused("no row is known to be good yet; give the model golden rows")),
        }
    }

    fn rebuild(&mut self) -> Result<(), RunError> {
        let session = self.source.open_on(self.provider).map_err(refused)?;
        self.parts.engine.renew(session);
        Ok(())
    }

    fn expected_time(&self, rows: usize) -> Duration {
        self.parts.calibration.expected_time(rows).unwrap_or_default()
    }

    fn inputs(&self) -> &[TensorSpec] {
        &self.parts.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.parts.engine.signature().outputs
    }

    fn max_rows(&self) -> usize {
        self.parts.calibration.max_rows()
    }
}
