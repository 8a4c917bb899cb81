//! The statistics of selection and drift against known answers that other implementations gave: one module for each file of
//! vectors, every case in it.
//!
//! The files lie in `tests/fixtures/golden` of the repository, or in the folder that `EDDY_GOLDEN` names.

mod calibration;
mod conformal;
mod detectors;
mod distance;
mod histogram;
mod mahalanobis;
mod multivariate;
mod ood;
mod peers;
mod selection;
mod sequential;
mod uncertainty;

use eddy_pipeline::head::{Head, HeadSettings, Holds, Predictions, compile};
use eddy_pipeline::signal::{Evidence, Matrix, Signal, Subject};
use eddy_pipeline::tensor::{DType, Data, TensorSpec, View};
use serde_json::Value;

/// One file of vectors.
#[expect(clippy::disallowed_methods, reason = "a test may be told of other vectors")]
fn golden(name: &str) -> Value {
    let folder = std::env::var("EDDY_GOLDEN")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/golden").to_owned());
    let path = format!("{folder}/{name}.json");
    let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The elements of an array, which must not be empty: a case that is skipped proves nothing.
fn cases(value: &Value) -> &[Value] {
    let cases = value.as_array().unwrap_or_else(|| panic!("{value} is no array"));
    assert!(!cases.is_empty());
    cases
}

/// A number; those that JSON lacks are written as strings.
fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some("NaN") => f64::NAN,
        Some("Infinity") => f64::INFINITY,
        Some("-Infinity") => f64::NEG_INFINITY,
        _ => value.as_f64().unwrap_or_else(|| panic!("{value} is no number")),
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    cases(value).iter().map(number).collect()
}

fn rows(value: &Value) -> Vec<Vec<f64>> {
    cases(value).iter().map(numbers).collect()
}

fn integer(value: &Value) -> usize {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count")) as usize
}

fn floats(rows: &[Vec<f64>]) -> Vec<f32> {
    rows.iter().flatten().map(|value| *value as f32).collect()
}

/// Tolerances of what is computed in 64 and in 32 bits.
const F64: f64 = 1e-9;
const F32: f64 = 1e-4;

/// That every number is the expected one, but for a part of its size or, for small numbers, of 1.
fn assert_near(what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
        let near = (got - expected).abs() <= tolerance * expected.abs().max(1.0);
        assert!(near, "{what}[{at}]: {got}, and {expected} is expected");
    }
}

/// What one head makes of one output.
struct Model {
    holds: Holds,
    predictions: Predictions,
}

impl Model {
    fn new(settings: Value, outputs: &[Vec<f64>]) -> Self {
        let settings: HeadSettings = serde_json::from_value(settings).expect("the settings are right");
        let spec = TensorSpec {
            name: "out".to_owned(),
            dtype: DType::Float32,
            row_shape: vec![Some(outputs[0].len())],
        };
        let head: Box<dyn Head> = compile(&settings, &[spec], None).expect("the head fits");
        let data = floats(outputs);
        let view = View {
            width: outputs[0].len(),
            data: Data::Float32(&data),
        };
        let mut predictions = Predictions::new();
        predictions.reset(outputs.len());
        head.read(&[view], 0..outputs.len(), &mut predictions)
            .expect("the outputs can be read");
        Self {
            holds: head.holds(),
            predictions,
        }
    }

    fn classes(from: &str, outputs: &[Vec<f64>]) -> Self {
        Self::new(serde_json::json!({"type": "classification", "from": from}), outputs)
    }

    fn subject(&self) -> Subject<'static> {
        Subject::bare(self.holds)
    }

    /// A signal of every row.
    fn measured(
        &self,
        signal: Signal,
        subject: &Subject<'_>,
        peers: &[&Predictions],
        features: Matrix<'_>,
    ) -> Vec<f64> {
        let measure = signal.measure(subject).unwrap_or_else(|| panic!("{signal} is served"));
        let evidence = Evidence {
            predictions: &self.predictions,
            peers,
            features,
        };
        let mut out = vec![f32::NAN; self.predictions.rows()];
        measure.measure(&evidence, &mut out);
        out.into_iter().map(f64::from).collect()
    }

    /// A signal that needs nothing but the predictions.
    fn signal(&self, signal: Signal, temperature: f64) -> Vec<f64> {
        let subject = Subject {
            temperature: temperature as f32,
            ..self.subject()
        };
        self.measured(signal, &subject, &[], Matrix::empty(self.predictions.rows()))
    }

    /// A signal against other models.
    fn against(&self, signal: Signal, subject: &Subject<'_>, peers: &[&Self]) -> Vec<f64> {
        let holds: Vec<Holds> = peers.iter().map(|peer| peer.holds).collect();
        let peers: Vec<&Predictions> = peers.iter().map(|peer| &peer.predictions).collect();
        let subject = Subject {
            peers: &holds,
            ..*subject
        };
        self.measured(signal, &subject, &peers, Matrix::empty(self.predictions.rows()))
    }
}

fn times(values: &[f64], by: f64) -> Vec<f64> {
    values.iter().map(|value| value * by).collect()
}
