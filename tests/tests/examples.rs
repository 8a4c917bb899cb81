//! The example pipelines of `config/`: their predictions are those of the framework that trained the model.
//!
//! Each folder's `expected.jsonl` was written by that framework (never by ONNX Runtime); what is compared is the JSON that
//! a reader of the predictions topic gets.

use std::path::PathBuf;
use std::time::Duration;

use eddy::assemble::assemble;
use eddy::file;
use eddy_inference::scoring::Scoring;
use eddy_pipeline::event::{self, Partition, Record, Source};
use eddy_pipeline::time::{Clock, Now};
use eddy_tests::kafka::{Isolation, Kafka};
use eddy_tests::service::{Replica, wait_for};
use eddy_tests::stage::{self, Event};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_eddy-under-test");
/// What two runtimes may differ by, relative for numbers above one.
const TOLERANCE: f64 = 1e-4;

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

/// One example: its folder, its only model, the member of `expected.jsonl` and of the prediction that hold its numbers.
struct Example {
    folder: &'static str,
    model: &'static str,
    numbers: Numbers,
    label: Label,
}

/// Where the numbers stand: at the origin, in the prediction.
enum Numbers {
    Same(&'static str),
    /// The anomaly score is turned: higher is stranger.
    Turned(&'static str),
}

/// How the origin writes what the prediction calls a label.
enum Label {
    None,
    /// The position of the class; `score.json`, or the digit itself, has the name.
    Index,
    /// The name.
    Name,
    /// All names that hold.
    Names,
    /// -1 for strange, which the pipeline flags.
    Flag,
}

impl Example {
    fn path(&self, name: &str) -> PathBuf {
        stage::examples().join(self.folder).join(name)
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.path(name)).unwrap()).unwrap()
    }

    fn expected(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("expected.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Its events as a producer writes them. An image cannot hold its id; a header does.
    fn events(&self) -> Vec<Event> {
        if let Ok(text) = std::fs::read_to_string(self.path("events.jsonl")) {
            return text.lines().map(Event::new).collect();
        }
        let ids = self
            .expected()
            .into_iter()
            .map(|line| line["id"].as_str().unwrap().to_owned());
        ids.map(|id| {
            let image = std::fs::read(self.path("events").join(format!("{id}.png"))).unwrap();
            Event::new(image).header("id", id)
        })
        .collect()
    }

    /// The predictions without Kafka: decoder, ONNX Runtime, head, emission, in batches as a lane makes them.
    fn predict(&self) -> Vec<Value> {
        let pipeline = file::load(&self.path("pipeline.toml"), []).unwrap_or_else(|error| panic!("{error}"));
        let assembly = assemble(&pipeline).unwrap_or_else(|error| panic!("{error}"));
        let mut scoring = assembly.scoring().unwrap();
        let mut emitter = assembly.emitter();
        let mut selection = assembly.selection();
        let mut found = Vec::new();
        let mut emit = |scoring: &mut Scoring| {
            scoring.score(&Frozen).unwrap();
            scoring.select(&mut selection, Frozen.now());
            for row in scoring.batch().rows() {
                let tensor_row = row
                    .tensor_row()
                    .unwrap_or_else(|| panic!("{}: {:?}", self.folder, row.fate));
                let json = emitter.prediction(scoring, row, tensor_row, |output| output.value.unwrap().to_vec());
                found.push(serde_json::from_slice(&json).unwrap());
            }
            scoring.clear();
        };
        for (offset, event) in (0..).zip(self.events()) {
            if scoring.is_full() {
                emit(&mut scoring);
            }
            push(&mut scoring, offset, &event);
        }
        emit(&mut scoring);
        found
    }

    /// Compares predictions with what the origin says, event by event.
    fn agrees(&self, predictions: &[Value]) {
        let expected = self.expected();
        assert_eq!(
            predictions.len(),
            expected.len(),
            "{}: one prediction for each event",
            self.folder
        );
        for (prediction, expected) in predictions.iter().zip(&expected) {
            assert_eq!(prediction["id"], expected["id"]);
            let verdict = &prediction["models"][self.model];
            self.numbers_agree(verdict, expected);
            self.labels_agree(verdict, expected);
        }
    }

    fn numbers_agree(&self, verdict: &Value, expected: &Value) {
        let (member, sign) = match self.numbers {
            Numbers::Same(member) => (member, 1.0),
            Numbers::Turned(member) => (member, -1.0),
        };
        let (got, wanted) = (numbers(&verdict[member]), numbers(&expected[member]));
        assert_eq!(got.len(), wanted.len(), "{}: {verdict}", self.folder);
        for (got, wanted) in got.iter().zip(wanted) {
            let off = (got - sign * wanted).abs();
            assert!(
                off <= TOLERANCE * wanted.abs().max(1.0),
                "{}: {verdict} instead of {expected}",
                self.folder
            );
        }
    }

    fn labels_agree(&self, verdict: &Value, expected: &Value) {
        let context = || format!("{}: {verdict} instead of {expected}", self.folder);
        match self.label {
            Label::None => assert!(verdict.get("label").is_none(), "{}", context()),
            Label::Name => assert_eq!(verdict["label"], expected["label"], "{}", context()),
            Label::Names => assert_eq!(verdict["labels"], expected["label"], "{}", context()),
            Label::Index => {
                let index = expected["label"].as_u64().unwrap();
                let classes = self.json("score.json")["classes"].clone();
                let name = match classes.get(index as usize) {
                    Some(name) => name.clone(),
                    None => index.to_string().into(),
                };
                assert_eq!(verdict["label"], name, "{}", context());
            }
            Label::Flag => {
                let is_strange = expected["label"] == -1;
                let is_flagged = verdict["flags"] == serde_json::json!(["anomaly"]);
                assert_eq!(is_flagged, is_strange, "{}", context());
            }
        }
    }
}

fn push(scoring: &mut Scoring, offset: i64, event: &Event) {
    let headers = event.headers.iter().map(|(name, value)| event::Header {
        name,
        value: value.as_deref(),
    });
    let headers: Vec<_> = headers.collect();
    scoring.push(&Record {
        source: Source {
            partition: Partition { topic: 0, number: 0 },
            offset,
        },
        topic: "events",
        timestamp_ms: Some(0),
        key: None,
        value: event.value.as_deref(),
        headers: &headers,
    });
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().map(|item| item.as_f64().unwrap()).collect(),
        number => vec![number.as_f64().unwrap_or_else(|| panic!("{number} is not a number"))],
    }
}

const DIGITS: Example = Example {
    folder: "digits",
    model: "digits",
    numbers: Numbers::Same("probabilities"),
    label: Label::Index,
};
const CANCER: Example = Example {
    folder: "cancer",
    model: "cancer",
    numbers: Numbers::Same("probabilities"),
    label: Label::Index,
};

#[test]
fn images_of_digits_are_read_as_by_jax() {
    DIGITS.agrees(&DIGITS.predict());
}

#[test]
fn the_default_export_of_scikit_learn_with_its_zip_map_judges_as_scikit_learn_does() {
    CANCER.agrees(&CANCER.predict());
}

#[test]
fn gradient_boosted_trees_judge_as_scikit_learn_does() {
    let shuttle = Example {
        folder: "shuttle",
        model: "shuttle",
        ..CANCER
    };
    shuttle.agrees(&shuttle.predict());
}

#[test]
fn a_regression_gives_the_values_of_scikit_learn() {
    let diabetes = Example {
        folder: "diabetes",
        model: "progression",
        numbers: Numbers::Same("value"),
        label: Label::None,
    };
    let predictions = diabetes.predict();
    diabetes.agrees(&predictions);
    assert!(
        predictions.iter().all(|found| found["fields"]["label"].is_number()),
        "`pass_through` is carried along"
    );
}

#[test]
fn embeddings_are_those_of_scikit_learn() {
    let embedding = Example {
        folder: "embedding",
        model: "embedding",
        numbers: Numbers::Same("embedding"),
        label: Label::None,
    };
    embedding.agrees(&embedding.predict());
}

#[test]
fn texts_numbers_and_gaps_are_judged_as_by_scikit_learn() {
    let titanic = Example {
        folder: "titanic",
        model: "survival",
        label: Label::Name,
        ..CANCER
    };
    titanic.agrees(&titanic.predict());
}

#[test]
fn strange_wines_are_those_that_scikit_learn_calls_strange() {
    let wine = Example {
        folder: "wine-anomaly",
        model: "strangeness",
        numbers: Numbers::Turned("score"),
        label: Label::Flag,
    };
    wine.agrees(&wine.predict());
}

#[test]
fn a_gene_has_all_the_functions_that_scikit_learn_gives_it() {
    let yeast = Example {
        folder: "yeast",
        model: "functions",
        label: Label::Names,
        ..CANCER
    };
    yeast.agrees(&yeast.predict());
}

/// `eddy run config/NAME/pipeline.toml` as it stands there; only addresses and names of topics come from outside.
fn runs_on_kafka(example: &Example) {
    let kafka = Kafka::shared();
    let topic = |suffix: &str| format!("example-{}-{suffix}", example.folder);
    for suffix in ["events", "predictions", "retraining", "dead-letters"] {
        kafka.create_topic(&topic(suffix), 1, &[]);
    }
    stage::send(kafka, &topic("events"), &example.events());
    let log = tempfile::tempdir().unwrap();
    let settings = [
        ("EDDY__KAFKA__BROKERS", kafka.bootstrap()),
        ("EDDY__TOPICS__EVENTS", topic("events")),
        ("EDDY__TOPICS__PREDICTIONS", topic("predictions")),
        ("EDDY__TOPICS__RETRAINING", topic("retraining")),
        ("EDDY__TOPICS__DEAD_LETTERS", topic("dead-letters")),
    ];
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut replica = Replica::start_logging_to(log.path(), BINARY, &example.path("pipeline.toml"), &settings);
    wait_for("every event to be committed", || {
        assert!(replica.is_running(), "{}", replica.log());
        let lag = kafka.lag(&format!("eddy-{}", example.folder), &topic("events"));
        (lag == 0).then_some(())
    });
    assert_eq!(replica.terminate().code(), Some(0), "{}", replica.log());

    let read = |suffix| kafka.read_all(&topic(suffix), Isolation::ReadCommitted);
    let predictions = read("predictions");
    let json =
        |message: &eddy_tests::kafka::Message| serde_json::from_slice(message.value.as_deref().unwrap()).unwrap();
    let predictions: Vec<Value> = predictions.iter().map(json).collect();
    example.agrees(&predictions);
    assert!(read("dead-letters").is_empty());
    let flagged = predictions
        .iter()
        .filter(|prediction| prediction["models"][example.model]["flags"] != serde_json::json!([]));
    assert_eq!(
        read("retraining").len(),
        flagged.count(),
        "what is flagged flows back, and nothing else"
    );
}

#[test]
fn digits_stream_through_a_real_kafka() {
    runs_on_kafka(&DIGITS);
}

#[test]
fn cancer_streams_through_a_real_kafka() {
    runs_on_kafka(&CANCER);
}
