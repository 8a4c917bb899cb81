//! Scoring a batch: events in, one fate and one prediction per model out. Free of broker types.
//!
//! Owns: the batch with its tensors, the run of the models, the search for a guilty row.
//! Never does: write anything, or decide what happens to a sick model.
//!
//! Invariant: a row is blamed only when it fails alone *and* a known-good row succeeds right after it. Otherwise the
//! model is sick, and the batch is left as it was.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use eddy_pipeline::decode::{Awaited, Captured, Decoder, NewSchema};
use eddy_pipeline::drift::monitor::Values;
use eddy_pipeline::event::Record;
use eddy_pipeline::head::{Head, Predictions};
use eddy_pipeline::rejection::{Reason, Rejection};
use eddy_pipeline::score::{RunError, RunFault, Scorer};
use eddy_pipeline::select::{Arm, Pick, Picks, Selection, Sighting};
use eddy_pipeline::signal::{Matrix, Signal};
use eddy_pipeline::tensor::Inputs;
use eddy_pipeline::time::{Clock, Now};

use crate::batch::Batch;
use crate::settings::BatchSettings;
use crate::signals::{self, BatchFacts, SignalPlan, Signals};

/// Most terminated runs of one model on one batch: enough to find two guilty rows in a batch of thousands, few enough
/// that the lane polls again before the group takes it for dead.
const MAX_TIMEOUTS: usize = 25;

/// One version of one model, ready to score.
#[derive(Debug, Clone)]
pub struct ModelIdentity {
    /// Name in the pipeline file.
    pub name: String,
    /// Version.
    pub version: String,
    /// sha256 of the model file, hexadecimal.
    pub sha256: String,
}

/// A model of a lane: who it is, what runs it, what reads it.
pub struct LaneModel {
    /// Who it is.
    pub identity: ModelIdentity,
    /// What runs it; owned by this lane.
    pub scorer: Box<dyn Scorer>,
    /// What reads its outputs.
    pub head: Arc<dyn Head>,
}

impl std::fmt::Debug for LaneModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LaneModel")
            .field("identity", &self.identity)
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

/// A model that fails even on a row that is known to be good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("model `{model}` fails on a row that is known to be good: {message}")]
pub struct Sick {
    /// Its name.
    pub model: String,
    /// The runtime's own words.
    pub message: String,
}

/// How one model's run on a batch went, for the metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFacts {
    /// Time of all its runs.
    pub took: Duration,
    /// Times the batch or a part of it was halved.
    pub halved: u64,
    /// Runs that failed, in order.
    pub faults: Vec<RunFault>,
}

struct Slot {
    model: LaneModel,
    predictions: Predictions,
    facts: RunFacts,
}

/// The scoring of one lane.
pub struct Scoring {
    decoder: Decoder,
    slots: Vec<Slot>,
    inputs: Vec<Inputs>,
    batch: Batch,
    captured: Captured,
    /// Position among `inputs` of the features, where they are captured.
    features: Option<usize>,
    signals: Signals,
    picks: Picks,
    max_rows: usize,
    max_bytes: usize,
}

impl std::fmt::Debug for Scoring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scoring")
            .field("rows", &self.batch.rows().len())
            .finish_non_exhaustive()
    }
}

impl Scoring {
    /// Makes the buffers of a lane. `decoder` was compiled for exactly these models, in this order, and `signals` too.
    pub fn new(decoder: Decoder, models: Vec<LaneModel>, signals: Arc<SignalPlan>, limits: &BatchSettings) -> Self {
        let calibrated = models.iter().map(|model| model.scorer.max_rows()).min();
        let max_rows = limits.rows.min(calibrated.unwrap_or(limits.rows)).max(1);
        let mut inputs: Vec<Inputs> = models
            .iter()
            .map(|model| Inputs::with_capacity(decoder.resolved_inputs(&model.identity.name), max_rows))
            .collect();
        let features = decoder.feature_input().map(|spec| {
            inputs.push(Inputs::with_capacity(std::slice::from_ref(spec), max_rows));
            inputs.len() - 1
        });
        Self {
            decoder,
            features,
            signals: Signals::new(signals),
            picks: Picks::default(),
            slots: models.into_iter().map(Slot::new).collect(),
            inputs,
            batch: Batch::default(),
            captured: Captured::default(),
            max_rows,
            max_bytes: limits.bytes.get(),
        }
    }

    /// Makes sure that an event can be judged, before it is pushed.
    ///
    /// # Errors
    /// The schema that it was written with is not there: hold it back until [`Self::ready`].
    pub fn prepare(&mut self, record: &Record<'_>) -> Result<(), Awaited> {
        self.decoder.prepare(record)
    }

    /// Whether events of this schema can be judged now.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn ready(&mut self, schema: u32) -> Result<(), Awaited> {
        self.decoder.ready(schema)
    }

    /// The schemas that were met for the first time since the last call.
    pub fn take_new_schemas(&mut self) -> Vec<NewSchema> {
        self.decoder.take_new_schemas()
    }

    /// Decodes one event into the next row of the tensors and notes what its outputs will need.
    pub fn push(&mut self, record: &Record<'_>) {
        let row = self.tensor_rows();
        let decoded = self.decoder.decode(record, &mut self.inputs, row, &mut self.captured);
        if decoded.is_ok() {
            for inputs in &mut self.inputs {
                inputs.rows += 1;
            }
        }
        self.batch.push(record, decoded, &self.captured);
    }

    /// Takes in one event that is not to be scored, for this reason. It takes no row of the tensors.
    pub fn push_rejected(&mut self, record: &Record<'_>, rejection: Rejection) {
        let row = self.tensor_rows();
        // For its id and its fields only; the next event overwrites the row.
        drop(self.decoder.decode(record, &mut self.inputs, row, &mut self.captured));
        self.batch.push(record, Err(rejection), &self.captured);
    }

    /// Whether another event has to wait for the next batch.
    pub fn is_full(&self) -> bool {
        self.batch.rows().len() >= self.max_rows || self.batch.bytes() >= self.max_bytes
    }

    /// Events of the batch.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Most rows of a batch.
    pub fn max_rows(&self) -> usize {
        self.max_rows
    }

    /// Runs every model on the batch and settles each row's fate.
    ///
    /// # Errors
    /// [`Sick`] when a model fails on a known-good row too; no fate is to be trusted then.
    pub fn score(&mut self, clock: &dyn Clock) -> Result<(), Sick> {
        let is_discreet = self.decoder.has_masked();
        for (slot, inputs) in self.slots.iter_mut().zip(&self.inputs) {
            slot.predictions.reset(inputs.rows);
            slot.facts = RunFacts::default();
            if inputs.rows == 0 {
                continue;
            }
            let started = clock.now().monotonic;
            let mut search = Search {
                slot,
                inputs,
                guilty: Vec::new(),
                is_discreet,
            };
            let searched = search.run(0..inputs.rows, false);
            for (row, rejection) in search.guilty {
                self.batch.reject(row, rejection);
            }
            slot.facts.took = clock.now().monotonic.saturating_sub(started);
            searched?;
        }
        self.reject_outputs_that_are_not_numbers();
        let features = signals::matrix(self.features.map(|at| &self.inputs[at]), self.tensor_rows());
        for (model, slot) in self.slots.iter_mut().enumerate() {
            self.signals.operate(model, &mut slot.predictions, features);
        }
        let predictions: Vec<&Predictions> = self.slots.iter().map(|slot| &slot.predictions).collect();
        self.signals.measure(&predictions, features);
        self.picks.reset(0);
        Ok(())
    }

    /// Takes up other signals, between batches. The features must be captured if the new ones need them.
    pub fn set_signals(&mut self, signals: Arc<SignalPlan>) {
        self.signals = Signals::new(signals);
    }

    /// Decides on every scored event of the batch, in the order of the stream.
    pub fn select(&mut self, selection: &mut Selection, now: Now) {
        let features = signals::matrix(self.features.map(|at| &self.inputs[at]), self.tensor_rows());
        let predictions: Vec<&Predictions> = self.slots.iter().map(|slot| &slot.predictions).collect();
        let rows = self.batch.rows();
        let scored = rows.iter().filter_map(|row| Some((row, row.tensor_row()?)));
        let bytes = |tensor_row: usize| {
            let mut scored = rows.iter().filter(|row| row.tensor_row() == Some(tensor_row as u32));
            scored.next().and_then(|row| self.batch.value(row)).unwrap_or_default()
        };
        let facts = BatchFacts {
            signals: &self.signals,
            predictions: &predictions,
            features,
            bytes: &bytes,
        };
        let partitions = scored.clone().map(|(row, _)| row.source.partition);
        selection.begin(features.rows(), partitions, &mut self.picks, now);
        for (row, tensor_row) in scored.clone() {
            let event = Sighting {
                id: self.batch.id(row),
                partition: row.source.partition,
                row: tensor_row as usize,
            };
            selection.decide(event, &facts, &mut self.picks, now);
        }
        for (_, tensor_row) in scored {
            if !self.picks.of(tensor_row as usize).all_arms().is_empty() {
                self.signals
                    .measure_selected(&predictions, features, tensor_row as usize);
            }
        }
    }

    fn tensor_rows(&self) -> usize {
        self.inputs.first().map_or(0, |inputs| inputs.rows)
    }

    fn reject_outputs_that_are_not_numbers(&mut self) {
        let rows = self.tensor_rows();
        for slot in &self.slots {
            for row in (0..rows).filter(|row| !slot.predictions.is_valid(*row)) {
                let detail = format!(
                    "the output of model `{}` for this event is not a number; look at the fields for values that the \
                     model cannot take",
                    slot.model.identity.name
                );
                self.batch
                    .reject(row as u32, Rejection::new(Reason::OutputNotFinite, detail));
            }
        }
    }

    /// Brings sick models back, where that is possible: probes each, and rebuilds the one that fails once.
    ///
    /// # Errors
    /// The first model that fails even so.
    pub fn revive(&mut self) -> Result<(), Sick> {
        for slot in &mut self.slots {
            let Err(error) = slot.model.scorer.probe() else {
                continue;
            };
            if slot.model.scorer.rebuild().is_err() {
                // What ails it says more than why it cannot be rebuilt.
                return Err(slot.sick(error));
            }
            slot.model.scorer.probe().map_err(|error| slot.sick(error))?;
        }
        Ok(())
    }

    /// The models, each with its predictions for the batch, in the order of the pipeline file.
    pub fn models(&self) -> impl ExactSizeIterator<Item = (&LaneModel, &Predictions)> {
        self.slots.iter().map(|slot| (&slot.model, &slot.predictions))
    }

    /// The features of the batch, one row for each scored event; empty where they are not captured.
    pub fn features(&self) -> Matrix<'_> {
        signals::matrix(self.features.map(|at| &self.inputs[at]), self.tensor_rows())
    }

    /// What was decided on a scored row.
    pub fn pick(&self, tensor_row: u32) -> Pick<'_> {
        self.picks.of(tensor_row as usize)
    }

    /// The signals of one model that outputs show.
    pub fn signals(&self, model: usize) -> &[(Signal, Vec<f32>)] {
        self.signals.shown(model)
    }

    /// The column of a signal of one model, where it was measured on every row.
    pub fn column(&self, model: usize, signal: Signal) -> Option<&[f32]> {
        self.signals.column(model, signal)
    }

    /// The features that make a row anomalous to a model, if that is why it was selected.
    pub fn top_features(&self, model: usize, tensor_row: u32) -> Vec<(&str, f32)> {
        let is_anomaly = self.pick(tensor_row).arms(model).contains(Arm::Anomaly);
        match self.features.filter(|_| is_anomaly) {
            Some(at) => {
                let features = signals::matrix(Some(&self.inputs[at]), self.tensor_rows());
                self.signals.top_features(model, features.row(tensor_row as usize))
            }
            None => Vec::new(),
        }
    }

    /// Turns a scored row into a rejected one, after the models have run.
    pub fn reject(&mut self, tensor_row: u32, rejection: Rejection) {
        self.batch.reject(tensor_row, rejection);
    }

    /// Dead letters of the batch so far.
    pub fn dead_letters(&self) -> usize {
        self.batch.rejected()
    }

    /// Those of them that the person on call asked for.
    pub fn skipped(&self) -> usize {
        self.batch.rejected_for(Reason::Skipped)
    }

    /// How each model's run on the batch went.
    pub fn facts(&self) -> impl Iterator<Item = &RunFacts> {
        self.slots.iter().map(|slot| &slot.facts)
    }

    /// Forgets the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.batch.clear();
        for inputs in &mut self.inputs {
            inputs.rows = 0;
        }
    }

    /// Expected time of the models on the next full batch.
    pub fn expected_time(&self) -> Duration {
        self.slots
            .iter()
            .map(|slot| slot.model.scorer.expected_time(self.max_rows))
            .sum()
    }
}

impl Values for Scoring {
    fn features(&self) -> Matrix<'_> {
        Self::features(self)
    }

    fn predictions(&self, model: usize) -> &Predictions {
        &self.slots[model].predictions
    }

    fn signal(&self, model: usize, signal: Signal) -> Option<&[f32]> {
        self.column(model, signal)
    }

    fn is_operated(&self, model: usize) -> bool {
        self.signals.is_operated(model)
    }
}

impl Slot {
    fn new(model: LaneModel) -> Self {
        Self {
            model,
            predictions: Predictions::new(),
            facts: RunFacts::default(),
        }
    }

    fn sick(&self, error: RunError) -> Sick {
        Sick {
            model: self.model.identity.name.clone(),
            message: error.message,
        }
    }
}

/// The search for guilty rows in one model's batch.
struct Search<'a> {
    slot: &'a mut Slot,
    inputs: &'a Inputs,
    guilty: Vec<(u32, Rejection)>,
    /// Whether fields are masked.
    is_discreet: bool,
}

impl Search<'_> {
    /// Runs `rows`; on failure halves them until the guilty row stands alone. `probed`: a known-good row has succeeded
    /// since the last failure of a larger part, so that the model itself is known to be well.
    fn run(&mut self, rows: Range<usize>, probed: bool) -> Result<(), Sick> {
        let Err(error) = self.run_once(rows.clone()) else {
            return Ok(());
        };
        self.slot.facts.faults.push(error.fault);
        let timed_out = self
            .slot
            .facts
            .faults
            .iter()
            .filter(|fault| **fault == RunFault::TimedOut)
            .count();
        if timed_out > MAX_TIMEOUTS {
            return Err(self.slot.sick(error));
        }
        if error.fault == RunFault::BadOutput {
            return Err(self.slot.sick(error));
        }
        let alone = rows.len() == 1;
        if alone || !probed {
            self.slot
                .model
                .scorer
                .probe()
                .map_err(|probe_error| self.slot.sick(probe_error))?;
        }
        if alone {
            let rejection = blame(&self.slot.model.identity.name, &error, self.is_discreet);
            self.guilty.push((rows.start as u32, rejection));
            return Ok(());
        }
        self.slot.facts.halved += 1;
        let middle = rows.start + rows.len() / 2;
        self.run(rows.start..middle, true)?;
        self.run(middle..rows.end, true)
    }

    fn run_once(&mut self, rows: Range<usize>) -> Result<(), RunError> {
        let Slot { model, predictions, .. } = &mut *self.slot;
        let mut read = Ok(());
        model.scorer.run(self.inputs, rows.clone(), &mut |outputs| {
            read = model.head.read(outputs, rows.clone(), predictions);
        })?;
        read?;
        model.head.compare(self.inputs, rows, predictions)
    }
}

/// `is_discreet`: what a runtime says may quote a value, and some may not be told.
fn blame(model: &str, error: &RunError, is_discreet: bool) -> Rejection {
    match error.fault {
        RunFault::TimedOut => Rejection::new(
            Reason::ModelTimeout,
            format!("model `{model}` did not finish on this event within `batch.run_limit`"),
        ),
        _ if is_discreet => Rejection::new(
            Reason::ModelRefused,
            format!(
                "model `{model}` refuses this event and accepts others; its words may tell what `events.mask` hides"
            ),
        ),
        _ => Rejection::new(
            Reason::ModelRefused,
            format!(
                "model `{model}` refuses this event and accepts others: {}",
                short(&error.message)
            ),
        ),
    }
}

/// The first 200 characters of a runtime's message, which may quote much of a model.
fn short(message: &str) -> &str {
    message
        .char_indices()
        .nth(200)
        .map_or(message, |(end, _)| &message[..end])
}
