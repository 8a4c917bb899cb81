//! Trying a model out: once in a rehearsal, where nothing can happen, then here.
//!
//! Owns: which rows a model is tried with, and what a failure on them means. Never does: run events.
//! Invariant: rows that are called known have been through the model with success.

use std::path::{Path, PathBuf};
use std::time::Instant;

use eddy_pipeline::score::{RunError, RunFault};
use eddy_pipeline::tensor::{Input, Inputs, TensorSpec};
use ort::session::Session;

use crate::calibration::{BatchCaps, Calibration, measure};
use crate::engine::Engine;
use crate::error::Error;
use crate::golden::Golden;
use crate::rehearsal::{self, Failure, Order, Outcome, Stage};
use crate::session::Source;
use crate::settings::Provider;
use crate::signature::{Batch, Signature, describe};
use crate::tensors::{copy_rows, like, one_line};

impl Source {
    /// Lets a process of its own load and run the model first. Where this program cannot be asked to, nothing is done.
    pub(crate) fn rehearse(&self) -> Result<(), Error> {
        let limits = &self.runtime.settings().rehearsal;
        let Some(program) = rehearsal::program().filter(|_| limits.enabled) else {
            return Ok(());
        };
        let order = Order {
            library: self.runtime.library_for_another_process(),
            limits: limits.clone(),
            run_limit: self.runtime.settings().trial_limit,
            model: self.settings.clone(),
        };
        let started = Instant::now();
        let outcome = Stage::set(program, &order)
            .and_then(|mut stage| stage.rehearse_with_weights(&self.bytes, &self.weights))
            .map_err(|failure| self.rehearsal_error(failure))?;
        tracing::info!(model = self.settings.name, ?outcome, took = ?started.elapsed(), "a model was rehearsed");
        // What does not load on the processor may still load elsewhere.
        match self.is_for_the_processor() {
            true => self.judge(outcome),
            false => Ok(()),
        }
    }

    fn is_for_the_processor(&self) -> bool {
        self.settings.providers.first() == Some(&Provider::Cpu)
    }

    fn judge(&self, outcome: Outcome) -> Result<(), Error> {
        let path = self.path.clone();
        Err(match outcome {
            Outcome::Sound => return Ok(()),
            Outcome::DoesNotLoad { reason } => Error::Load {
                path,
                reason: self.with_memory(reason),
            },
            Outcome::DoesNotFit { fault, signature } => Error::Signature { path, fault, signature },
            Outcome::DoesNotRun { reason } => Error::Trial {
                path,
                reason: self.with_memory(reason),
            },
            Outcome::NotHeld { reason } => self.rehearsal_error(Failure::NotHeld { reason }),
        })
    }

    /// The reason, with a word about the rehearsal's limit where memory was short.
    fn with_memory(&self, reason: String) -> String {
        let memory = self.runtime.settings().rehearsal.memory;
        match is_about_memory(&reason) {
            true => format!("{reason} (a rehearsal has {memory}: `runtime.rehearsal.memory`)"),
            false => reason,
        }
    }

    fn rehearsal_error(&self, failure: Failure) -> Error {
        Error::Rehearsal {
            path: self.path.clone(),
            failure: Box::new(failure),
        }
    }

    /// What a rehearsal does: loads the model on the processor, all that it has, and runs it where that is its place, as far
    /// as its rows are known without asking.
    pub(crate) fn try_out(&self) -> Result<(), Outcome> {
        let session = self.open_on(Provider::Cpu);
        let session = session.map_err(|reason| Outcome::DoesNotLoad { reason })?;
        let signature = Signature::read(&session).map_err(|fault| Outcome::DoesNotFit {
            fault,
            signature: describe(&session),
        })?;
        let specs = signature.inputs.clone();
        let mut engine = self.engine(session, signature).map_err(|error| Outcome::DoesNotRun {
            reason: one_line(&error.to_string()),
        })?;
        if !self.is_for_the_processor() || specs.iter().any(|spec| spec.row_width().is_none()) {
            return Ok(());
        }
        match Self::learn(&mut engine, &zeros(&specs)) {
            // Many a model takes no zeros, and golden rows, where there are any, say more than these. Memory is short for
            // any row.
            Err(error)
                if is_about_memory(&error.message)
                    || self.settings.golden.is_none() && error.fault != RunFault::Refused =>
            {
                Err(Outcome::DoesNotRun {
                    reason: format!("{}; {}", error.message, next_step(error.fault)),
                })
            }
            _ => Ok(()),
        }
    }

    /// An engine for trial runs: each has the time that the settings allow.
    pub(crate) fn engine(&self, session: Session, signature: Signature) -> Result<Engine, Error> {
        let watch = self
            .runtime
            .watchdog()
            .watch()
            .map_err(|error| trial_error(&self.path, error))?;
        let mut engine = Engine::new(session, watch, signature);
        engine.set_time_limit(Some(self.runtime.settings().trial_limit.0));
        Ok(engine)
    }

    pub(crate) fn golden(&self, signature: &Signature, folder: &Path) -> Result<Option<(PathBuf, Golden)>, Error> {
        let Some(golden) = &self.settings.golden else {
            return Ok(None);
        };
        let path = folder.join(golden);
        let golden = Golden::read(&path, &signature.inputs, &signature.outputs, self.settings.tolerance)?;
        Ok(Some((path, golden)))
    }

    /// Rows that the model takes: the golden ones, or a row of zeros where it takes that. Runs them, which teaches the
    /// engine what the model leaves open about its outputs. `specs` have no open dimension.
    pub(crate) fn known_rows(
        &self,
        engine: &mut Engine,
        specs: &[TensorSpec],
        golden: Option<Inputs>,
    ) -> Result<Option<Inputs>, Error> {
        let is_golden = golden.is_some();
        let rows = golden.unwrap_or_else(|| zeros(specs));
        match Self::learn(engine, &rows) {
            Ok(()) => Ok(Some(rows)),
            Err(RunError {
                fault: RunFault::Refused,
                message,
            }) if !is_golden => {
                tracing::info!(
                    model = self.settings.name,
                    message,
                    "the model does not take a row of zeros, so it is not calibrated and the first good event serves \
                     as its probe; give it golden rows"
                );
                Ok(None)
            }
            Err(error) => Err(trial_error(
                &self.path,
                format!("{}; {}", error.message, next_step(error.fault)),
            )),
        }
    }

    /// Runs the rows, as many as a run takes.
    fn learn(engine: &mut Engine, rows: &Inputs) -> Result<(), RunError> {
        let count = match engine.signature().batch {
            // Two rows, so that an output which does not grow with its input is found out.
            Batch::Open => 2,
            Batch::Fixed(size) => size,
        };
        engine.learn_outputs(&repeat_rows(rows, count))
    }

    pub(crate) fn calibrate(&self, engine: &mut Engine, known: Option<&Inputs>, caps: BatchCaps) -> Calibration {
        let caps = BatchCaps {
            rows: self.settings.max_rows.unwrap_or(caps.rows),
            ..caps
        };
        let budget = self.runtime.settings().calibration.0;
        let points = match known {
            Some(rows) if !budget.is_zero() => measure(engine, rows, caps, budget),
            _ => Ok(Vec::new()),
        };
        let points = points.unwrap_or_else(|error| {
            tracing::warn!(
                model = self.settings.name,
                error = error.message,
                "the model could not be calibrated"
            );
            Vec::new()
        });
        Calibration::new(points, caps, engine.signature().batch).with_max_rows(self.settings.max_rows)
    }
}

/// Whether the runtime complains of too little memory: it has no code for that.
fn is_about_memory(reason: &str) -> bool {
    ["allocate memory", "bad_alloc", "bad allocation"]
        .iter()
        .any(|words| reason.contains(words))
}

/// What to do about a model that fails on rows that it should take.
fn next_step(fault: RunFault) -> &'static str {
    match fault {
        RunFault::Refused => "run the model on its golden rows with the `onnxruntime` of Python",
        RunFault::TimedOut => "raise `runtime.trial_limit`, or export a smaller model",
        RunFault::BadOutput => "export the model so that each output has one row for each row of the inputs",
    }
}

fn trial_error(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::Trial {
        path: path.into(),
        reason: reason.to_string(),
    }
}

pub(crate) fn has_shapes(rows: &Inputs, specs: &[TensorSpec]) -> bool {
    let is_same = |(input, spec): (&Input, &TensorSpec)| {
        input
            .row_shape
            .iter()
            .copied()
            .map(Some)
            .eq(spec.row_shape.iter().copied())
    };
    rows.inputs.iter().zip(specs).all(is_same)
}

fn zeros(specs: &[TensorSpec]) -> Inputs {
    let mut inputs = Inputs::with_capacity(specs, 1);
    inputs.rows = 1;
    inputs
}

/// So many rows, repeating the known ones.
pub(crate) fn repeat_rows(known: &Inputs, count: usize) -> Inputs {
    let mut rows = like(known, count);
    copy_rows(known, &mut rows, count, |row| row % known.rows);
    rows
}
