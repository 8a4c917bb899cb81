//! The example pipelines of `config/` give what the models' origins (scikit-learn, JAX) gave for the same events.
//!
//! Needs ONNX Runtime, which `tests/setup/onnxruntime` puts where it is found.

use std::path::{Path, PathBuf};
use std::time::Duration;

use eddy::assemble::assemble;
use eddy::file;
use eddy_inference::scoring::Scoring;
use eddy_pipeline::event::{Header, Partition, Record, Source};
use eddy_pipeline::time::{Clock, Now};
use serde_json::Value;

/// What two runtimes may differ by, on numbers around one.
const TOLERANCE: f64 = 2e-4;

#[derive(Debug)]
struct Frozen;

impl Clock for Frozen {
    fn now(&self) -> Now {
        Now {
            monotonic: Duration::ZERO,
            unix_ms: 0,
        }
    }
}

fn folder(example: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config").join(example)
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The events of an example as bytes, with the id where it is not in them.
fn events(example: &str, expected: &[Value]) -> Vec<(Option<String>, Vec<u8>)> {
    let jsonl = folder(example).join("events.jsonl");
    if jsonl.exists() {
        let text = std::fs::read_to_string(jsonl).unwrap();
        return text.lines().map(|line| (None, line.as_bytes().to_vec())).collect();
    }
    let ids = expected.iter().map(|line| line["id"].as_str().unwrap());
    ids.map(|id| {
        let image = folder(example).join("events").join(format!("{id}.png"));
        (Some(id.to_owned()), std::fs::read(image).unwrap())
    })
    .collect()
}

fn push(scoring: &mut Scoring, offset: usize, id: Option<&str>, value: &[u8]) {
    let header = id.map(|id| Header {
        name: "id",
        value: Some(id.as_bytes()),
    });
    scoring.push(&Record {
        source: Source {
            partition: Partition { topic: 0, number: 0 },
            offset: offset as i64,
        },
        topic: "events",
        timestamp_ms: Some(0),
        key: None,
        value: Some(value),
        headers: header.as_slice(),
    });
}

/// The predictions of all events of an example, as a reader of the topic sees them.
fn predictions(example: &str, expected: &[Value]) -> Vec<Value> {
    let pipeline = file::load(&folder(example).join("pipeline.toml"), []).unwrap_or_else(|error| panic!("{error}"));
    let assembly = assemble(&pipeline).unwrap_or_else(|error| panic!("{error}"));
    let mut scoring = assembly.scoring().unwrap();
    let mut emitter = assembly.emitter();
    let mut found = Vec::new();
    for (offset, (id, value)) in events(example, expected).iter().enumerate() {
        push(&mut scoring, offset, id.as_deref(), value);
        scoring.score(&Frozen).unwrap();
        let row = &scoring.batch().rows()[0];
        let tensor_row = row.tensor_row().unwrap_or_else(|| panic!("{example}: {:?}", row.fate));
        let json = emitter.prediction(&scoring, row, tensor_row, |output| output.value.unwrap().to_vec());
        found.push(serde_json::from_slice(&json).unwrap());
        scoring.clear();
    }
    found
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().map(|item| item.as_f64().unwrap()).collect(),
        number => vec![number.as_f64().unwrap_or_else(|| panic!("{number} is not a number"))],
    }
}

/// `members`: what the origin calls it, what the prediction calls it, and the factor between them.
fn agrees(example: &str, model: &str, members: (&str, &str, f64)) {
    let (theirs, ours, factor) = members;
    let expected = lines(&folder(example).join("expected.jsonl"));
    let found = predictions(example, &expected);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found["id"], expected["id"]);
        let (got, wanted) = (numbers(&found["models"][model][ours]), numbers(&expected[theirs]));
        assert_eq!(got.len(), wanted.len(), "{example}: {found}");
        for (got, wanted) in got.iter().zip(wanted) {
            let wanted = wanted * factor;
            let close = (got - wanted).abs() <= TOLERANCE * wanted.abs().max(1.0);
            assert!(close, "{example}: {got} instead of {wanted} in {found}");
        }
    }
}

#[test]
fn digits_are_recognised_as_by_jax() {
    agrees("digits", "digits", ("probabilities", "probabilities", 1.0));
}

#[test]
fn cancer_is_judged_as_by_scikit_learn() {
    agrees("cancer", "cancer", ("probabilities", "probabilities", 1.0));
}

#[test]
fn the_shuttle_is_judged_as_by_scikit_learn() {
    agrees("shuttle", "shuttle", ("probabilities", "probabilities", 1.0));
}

#[test]
fn diabetes_progresses_as_scikit_learn_says() {
    agrees("diabetes", "progression", ("value", "value", 1.0));
}

#[test]
fn embeddings_are_those_of_scikit_learn() {
    agrees("embedding", "embedding", ("embedding", "embedding", 1.0));
}

#[test]
fn survival_on_the_titanic_is_judged_as_by_scikit_learn() {
    agrees("titanic", "survival", ("probabilities", "probabilities", 1.0));
}

#[test]
fn strange_wines_are_as_strange_as_scikit_learn_finds_them_but_higher_is_stranger() {
    agrees("wine-anomaly", "strangeness", ("score", "score", -1.0));
}

#[test]
fn the_functions_of_genes_are_those_of_scikit_learn() {
    agrees("yeast", "functions", ("probabilities", "probabilities", 1.0));
}
