//! What all tests of models share: the runtime, the fixtures, and rows from JSON.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use eddy_model::{BatchCaps, Error, Model, OrtScorer, Runtime, RuntimeSettings, Settings};
use eddy_pipeline::score::{RunError, Scorer};
use eddy_pipeline::settings::Span;
use eddy_pipeline::tensor::{Buffer, Data, Inputs, TensorSpec, View};
use half::f16;
use serde_json::Value;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn fixtures() -> PathBuf {
    root().join("tests/fixtures/models")
}

/// The runtime without calibration, which most tests do not need.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        load_runtime(&RuntimeSettings {
            calibration: Span::ms(0),
            ..RuntimeSettings::default()
        })
    });
    &RUNTIME
}

pub(crate) fn load_runtime(settings: &RuntimeSettings) -> Runtime {
    eddy_model::disable_runtime_telemetry();
    Runtime::load(settings, &root()).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn settings(path: impl Into<PathBuf>) -> Settings {
    let head = serde_json::from_str(r#"{"type": "regression"}"#).unwrap();
    Settings::new("test", path, head)
}

pub(crate) fn load(settings: &Settings, folder: &Path) -> Result<Model, Error> {
    Model::load(runtime(), settings, folder, BatchCaps::default())
}

pub(crate) fn fixture(name: &str) -> Model {
    load(&settings(format!("{name}.onnx")), &fixtures()).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn scorer(model: &Model) -> OrtScorer {
    model.scorer(model.inputs()).unwrap_or_else(|error| panic!("{error}"))
}

/// Rows of `{"input": [[…], …]}` in the order of the specs.
pub(crate) fn inputs(specs: &[TensorSpec], rows: &Value) -> Inputs {
    let count = rows[&specs[0].name].as_array().unwrap().len();
    let mut inputs = Inputs::with_capacity(specs, count);
    for (input, spec) in inputs.inputs.iter_mut().zip(specs) {
        let leaves = leaves(&rows[&spec.name]);
        assert_eq!(leaves.len(), count * input.width, "rows of `{}`", spec.name);
        let floats = || leaves.iter().map(float);
        match &mut input.data {
            Buffer::Float32(data) => *data = floats().map(|v| v as f32).collect(),
            Buffer::Float64(data) => *data = floats().collect(),
            Buffer::Float16(data) => *data = floats().map(f16::from_f64).collect(),
            Buffer::Int32(data) => *data = leaves.iter().map(|v| v.as_i64().unwrap() as i32).collect(),
            Buffer::Int64(data) => *data = leaves.iter().map(|v| v.as_i64().unwrap()).collect(),
            Buffer::Bool(data) => *data = leaves.iter().map(|v| v.as_bool().unwrap()).collect(),
            Buffer::String(data) => *data = leaves.iter().map(|v| v.as_str().unwrap().into()).collect(),
        }
    }
    inputs.rows = count;
    inputs
}

pub(crate) fn leaves(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.iter().flat_map(leaves).collect(),
        leaf => vec![leaf.clone()],
    }
}

pub(crate) fn float(value: &Value) -> f64 {
    match value.as_str() {
        Some("NaN") => f64::NAN,
        Some("Infinity") => f64::INFINITY,
        Some("-Infinity") => f64::NEG_INFINITY,
        _ => value.as_f64().unwrap(),
    }
}

/// One output of a run, copied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Output {
    pub(crate) width: usize,
    pub(crate) data: Vec<Value>,
}

impl Output {
    fn of(view: &View<'_>) -> Self {
        fn floats(data: impl Iterator<Item = f64>) -> Vec<Value> {
            let word = |v: f64| match v {
                v if v.is_nan() => "NaN".into(),
                f64::INFINITY => "Infinity".into(),
                f64::NEG_INFINITY => "-Infinity".into(),
                v => v.into(),
            };
            data.map(word).collect()
        }
        let data = match view.data {
            // Through its shortest decimals and the same parser that read what numpy wrote down.
            Data::Float32(data) => floats(
                data.iter()
                    .map(|v| serde_json::from_str(&v.to_string()).unwrap_or(f64::from(*v))),
            ),
            Data::Float64(data) => floats(data.iter().copied()),
            Data::Float16(data) => floats(data.iter().map(|v| v.to_f64())),
            Data::Int32(data) => data.iter().map(|v| (*v).into()).collect(),
            Data::Int64(data) => data.iter().map(|v| (*v).into()).collect(),
            Data::Bool(data) => data.iter().map(|v| (*v).into()).collect(),
            Data::String(data) => data.iter().map(|v| v.clone().into()).collect(),
        };
        Self {
            width: view.width,
            data,
        }
    }

    /// Asserts that these are the wanted elements: numbers to a tolerance, all else exactly.
    pub(crate) fn assert_near(&self, wanted: &[Value], tolerance: f64, what: &str) {
        assert_eq!(self.data.len(), wanted.len(), "elements of {what}");
        for (place, (got, wanted)) in self.data.iter().zip(wanted).enumerate() {
            let is_near = match (got, wanted) {
                (Value::Number(_), Value::Number(_)) => (float(got) - float(wanted)).abs() <= tolerance,
                _ => got == wanted,
            };
            assert!(is_near, "{what}, place {place}: got {got}, wanted {wanted}");
        }
    }
}

pub(crate) fn run(
    scorer: &mut OrtScorer,
    inputs: &Inputs,
    rows: std::ops::Range<usize>,
) -> Result<Vec<Output>, RunError> {
    let mut outputs = None;
    scorer.run(inputs, rows, &mut |views| {
        outputs = Some(views.iter().map(Output::of).collect())
    })?;
    Ok(outputs.expect("a run that succeeds hands over its outputs"))
}

/// What numpy computes for a fixture.
pub(crate) fn expected(name: &str) -> Value {
    let text = std::fs::read_to_string(fixtures().join("expected.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    all["models"][name].clone()
}
