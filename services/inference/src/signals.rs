//! The signals of a batch: measured once, read by selection, outputs and metrics.
//!
//! Owns: the columns of each model, and what selection may ask about an event.
//! Never does: know a formula, or judge a number.
//!
//! Invariant: columns are those of the batch that was measured last; a row without a signal has NaN.

use std::sync::Arc;

use eddy_pipeline::fields::Feature;
use eddy_pipeline::head::Predictions;
use eddy_pipeline::policy::Thresholds;
use eddy_pipeline::select::{Column, Facts, Fingerprint, Plan};
use eddy_pipeline::signal::{Evidence, Matrix, Measure, Signal};
use eddy_pipeline::simhash::SimHash;
use eddy_pipeline::tensor::{Buffer, Inputs};
use twox_hash::XxHash3_64;

/// Most features that a sample names.
const TOP: usize = 3;

/// A signal that is measured.
#[derive(Debug)]
pub struct Measured {
    /// How.
    pub measure: Box<dyn Measure>,
    /// Whether on selected events only: it costs much, and nothing is decided by it.
    pub is_deferred: bool,
}

/// What is measured of one model: the same for all lanes.
#[derive(Debug, Default)]
pub struct ModelSignals {
    /// In the order of their columns; those that outputs show come first.
    pub measures: Vec<Measured>,
    /// How many of them outputs show.
    pub shown: usize,
    /// Positions of the other models of its committee.
    pub peers: Vec<usize>,
    /// Where it decides, if not where its head says.
    pub operating: Option<Operating>,
}

/// The operating point of a binary head.
#[derive(Debug)]
pub struct Operating {
    /// Where it decides.
    pub thresholds: Thresholds,
    /// The margin from each threshold.
    pub margins: Vec<(f32, Box<dyn Measure>)>,
}

/// What is measured in a pipeline: the same for all lanes.
#[derive(Debug, Default)]
pub struct SignalPlan {
    /// Each model's.
    pub models: Vec<ModelSignals>,
    /// For each column that the plan of selection reads: the model, and the position among its measures.
    pub columns: Vec<(usize, usize)>,
    /// The feature whose values are segments.
    pub segment: Option<usize>,
    /// What the features are called.
    pub features: Vec<Feature>,
    /// Tells near duplicates, where there is a reference profile.
    pub similar: Option<Arc<SimHash>>,
}

/// One lane's columns.
#[derive(Debug)]
pub(crate) struct Signals {
    plan: Arc<SignalPlan>,
    columns: Vec<Vec<(Signal, Vec<f32>)>>,
}

impl Signals {
    pub(crate) fn new(plan: Arc<SignalPlan>) -> Self {
        let columns = |model: &ModelSignals| {
            let measures = model.measures.iter();
            measures
                .map(|measured| (measured.measure.signal(), Vec::new()))
                .collect()
        };
        Self {
            columns: plan.models.iter().map(columns).collect(),
            plan,
        }
    }

    /// Whether a model decides elsewhere than its head.
    pub(crate) fn is_operated(&self, model: usize) -> bool {
        self.plan
            .models
            .get(model)
            .is_some_and(|model| model.operating.is_some())
    }

    /// Decides the rows of models with an operating point anew: each at the threshold of its segment.
    pub(crate) fn operate(&self, model: usize, predictions: &mut Predictions, features: Matrix<'_>) {
        let operating = self.plan.models.get(model).and_then(|model| model.operating.as_ref());
        let Some(Operating { thresholds, .. }) = operating else {
            return;
        };
        for row in 0..predictions.rows() {
            predictions.decide_at(row, thresholds.of(features.row(row)));
        }
    }

    /// Measures a batch, model by model.
    pub(crate) fn measure(&mut self, predictions: &[&Predictions], features: Matrix<'_>) {
        for ((model, columns), own) in self.plan.models.iter().zip(&mut self.columns).zip(predictions) {
            let peers = model.peers_among(predictions);
            let evidence = evidence(own, &peers, features);
            for (measured, (signal, column)) in model.measures.iter().zip(columns) {
                column.clear();
                column.resize(own.rows(), f32::NAN);
                match &model.operating {
                    _ if measured.is_deferred => {}
                    Some(operating) if *signal == Signal::Margin => operating.measure(&evidence, column),
                    _ => measured.measure.measure(&evidence, column),
                }
            }
        }
    }

    /// Measures what was left for selected events.
    pub(crate) fn measure_selected(&mut self, predictions: &[&Predictions], features: Matrix<'_>, row: usize) {
        for ((model, columns), own) in self.plan.models.iter().zip(&mut self.columns).zip(predictions) {
            let measures = model.measures.iter().zip(columns);
            for (measured, (_, column)) in measures.filter(|(measured, _)| measured.is_deferred) {
                let peers = model.peers_among(predictions);
                column[row] = measured.measure.measure_row(&evidence(own, &peers, features), row);
            }
        }
    }

    /// The columns of one model that outputs show.
    pub(crate) fn shown(&self, model: usize) -> &[(Signal, Vec<f32>)] {
        let shown = self.plan.models.get(model).map_or(0, |model| model.shown);
        self.columns.get(model).map_or(&[], |columns| &columns[..shown])
    }

    /// The column of a signal that was measured on every row.
    pub(crate) fn column(&self, model: usize, signal: Signal) -> Option<&[f32]> {
        let measures = &self.plan.models.get(model)?.measures;
        let of_all = measures.iter().zip(self.columns.get(model)?);
        let mut of_all = of_all.filter(|(measured, _)| !measured.is_deferred);
        let (_, (_, column)) = of_all.find(|(_, (own, _))| *own == signal)?;
        Some(column)
    }

    /// The features with the largest parts in a model's anomaly score of a row, most of all first.
    pub(crate) fn top_features(&self, model: usize, features: &[f32]) -> Vec<(&str, f32)> {
        let measures = self.plan.models.get(model).map_or(&[][..], |model| &model.measures);
        let mut parts: Vec<(usize, f32)> = Vec::new();
        for Measured { measure, .. } in measures {
            measure.parts(features, &mut |feature, part| parts.push((feature, part)));
            if !parts.is_empty() {
                break;
            }
        }
        parts.retain(|(_, part)| part.is_finite());
        parts.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        parts.truncate(TOP);
        let named = parts
            .into_iter()
            .filter_map(|(at, part)| Some((self.plan.features.get(at)?.name.as_str(), part)));
        named.collect()
    }
}

impl ModelSignals {
    /// The signals that outputs show.
    pub fn shown_signals(&self) -> impl Iterator<Item = Signal> {
        self.measures[..self.shown]
            .iter()
            .map(|measured| measured.measure.signal())
    }

    /// Whether anything of it looks at the features of events.
    pub(crate) fn reads_features(&self) -> bool {
        let by_segment = self
            .operating
            .as_ref()
            .is_some_and(|own| own.thresholds.feature.is_some());
        by_segment || self.measures.iter().any(|own| own.measure.signal().reads_features())
    }

    fn peers_among<'a>(&self, predictions: &[&'a Predictions]) -> Vec<&'a Predictions> {
        self.peers.iter().map(|peer| predictions[*peer]).collect()
    }
}

const fn evidence<'a>(
    predictions: &'a Predictions,
    peers: &'a [&'a Predictions],
    features: Matrix<'a>,
) -> Evidence<'a> {
    Evidence {
        predictions,
        peers,
        features,
    }
}

impl Operating {
    /// How close each row comes to the threshold of its segment.
    fn measure(&self, evidence: &Evidence<'_>, column: &mut [f32]) {
        for (row, margin) in column.iter_mut().enumerate() {
            let threshold = self.thresholds.of(evidence.features.row(row));
            let from = self.margins.iter().find(|(of, _)| *of == threshold);
            *margin = from.map_or(f32::NAN, |(_, measure)| measure.measure_row(evidence, row));
        }
    }
}

/// The features of a batch, row by row; empty where none are captured.
pub(crate) fn matrix(inputs: Option<&Inputs>, rows: usize) -> Matrix<'_> {
    match inputs.and_then(|inputs| inputs.inputs.first()) {
        Some(input) => match &input.data {
            Buffer::Float32(cells) => Matrix::new(&cells[..rows * input.width], rows, input.width),
            _ => Matrix::empty(rows),
        },
        None => Matrix::empty(rows),
    }
}

/// What selection may ask about the rows of a batch.
pub(crate) struct BatchFacts<'a> {
    pub(crate) signals: &'a Signals,
    pub(crate) predictions: &'a [&'a Predictions],
    pub(crate) features: Matrix<'a>,
    /// The bytes of an event, for those without features.
    pub(crate) bytes: &'a dyn Fn(usize) -> &'a [u8],
}

/// Finds the columns that a plan reads among those that are measured.
///
/// # Panics
/// When the plan reads what is not measured.
pub(crate) fn locate(plan: &Plan, models: &[ModelSignals]) -> Vec<(usize, usize)> {
    let find = |Column { model, signal }: &Column| {
        let measures = &models[*model].measures;
        let position = measures
            .iter()
            .position(|measured| measured.measure.signal() == *signal);
        (*model, position.expect("a plan reads measured signals only"))
    };
    plan.columns().iter().map(find).collect()
}

impl Facts for BatchFacts<'_> {
    fn value(&self, column: usize, row: usize) -> f32 {
        let (model, position) = self.signals.plan.columns[column];
        self.signals.columns[model][position].1[row]
    }

    fn class(&self, model: usize, row: usize) -> Option<usize> {
        self.predictions[model].class(row)
    }

    fn segment(&self, row: usize) -> Option<usize> {
        let value = self.features.row(row)[self.signals.plan.segment?];
        (value >= 0.0).then_some(value as usize)
    }

    fn fingerprint(&self, row: usize) -> Fingerprint {
        if self.features.width() == 0 {
            return Fingerprint {
                exact: XxHash3_64::oneshot((self.bytes)(row)),
                near: None,
            };
        }
        let features = self.features.row(row);
        let mut bytes = Vec::with_capacity(features.len() * 4);
        for feature in features {
            // One form for each number: adding zero turns -0 into 0, and there is one NaN.
            let canonical = if feature.is_nan() { f32::NAN } else { feature + 0.0 };
            bytes.extend_from_slice(&canonical.to_le_bytes());
        }
        let similar = self.signals.plan.similar.as_ref();
        Fingerprint {
            exact: XxHash3_64::oneshot(&bytes),
            near: similar.map(|similar| similar.of(features)),
        }
    }
}
