//! What every example writes, value and headers, against the schemas that its users are given.

use std::path::{Path, PathBuf};

use eddy::assemble::{Assembly, assemble};
use eddy::{file, schema};
use eddy_host::SystemClock;
use eddy_inference::scoring::Scoring;
use eddy_inference::{Body, Fate};
use eddy_pipeline::event::{Destination, Header, Output, Partition, Record, Source};
use eddy_pipeline::format::{PIPELINE, POLICY};
use eddy_pipeline::policy::PolicyFile;
use eddy_pipeline::schema::closed;
use eddy_pipeline::time::Clock as _;
use jsonschema::Validator;
use serde_json::{Map, Value};

fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

fn examples() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(config()).unwrap();
    let mut folders: Vec<_> = folders.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("pipeline.toml").is_file());
    folders.sort();
    folders
}

/// An example whose events are selected as well as predicted.
fn example(folder: &Path) -> Assembly {
    let variables = [
        ("EDDY__SELECT__FRACTION", "0.9"),
        ("EDDY__KAFKA__BROKERS", "127.0.0.1:1"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let pipeline = file::load(&folder.join("pipeline.toml"), variables).unwrap_or_else(|error| panic!("{error}"));
    assemble(&pipeline).unwrap_or_else(|error| panic!("{error}"))
}

/// The bytes of its events.
fn events(folder: &Path) -> Vec<Vec<u8>> {
    if let Ok(text) = std::fs::read_to_string(folder.join("events.jsonl")) {
        return text.lines().map(|line| line.as_bytes().to_vec()).collect();
    }
    let files = std::fs::read_dir(folder.join("events")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let images = files.filter(|path| path.extension().is_some_and(|kind| kind == "png"));
    images.map(|path| std::fs::read(path).unwrap()).collect()
}

/// The schemas of one topic: that of its values, where Eddy makes them, and that of its headers.
struct Schemas {
    of: [(Option<Validator>, Validator); 3],
}

impl Schemas {
    fn new(value: &Value, headers: impl Fn(Destination) -> Value) -> Self {
        let validator = |schema: &Value| {
            jsonschema::meta::validate(schema).unwrap_or_else(|error| panic!("{error}"));
            jsonschema::validator_for(&closed(schema.clone())).unwrap()
        };
        let of = |to| {
            let value = (to == Destination::Predictions).then(|| validator(value));
            let headers = headers(to);
            (value, validator(&headers))
        };
        Self {
            of: Destination::ALL.map(of),
        }
    }

    #[track_caller]
    fn judge(&self, output: &Output<'_>, context: &str) {
        let (value, headers) = &self.of[output.to as usize];
        if let Some(value) = value {
            conforms(value, &serde_json::from_slice(output.value.unwrap()).unwrap(), context);
        }
        conforms(headers, &headers_of(output), context);
    }
}

#[track_caller]
fn conforms(validator: &Validator, document: &Value, context: &str) {
    let wrong: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{context}: {document}: {wrong:#?}");
}

fn headers_of(output: &Output<'_>) -> Value {
    let text = |header: &Header<'_>| {
        let text = str::from_utf8(header.value.unwrap()).unwrap();
        (header.name.to_owned(), Value::from(text))
    };
    Value::Object(output.headers.iter().map(text).collect::<Map<_, _>>())
}

/// The JSON in the header `eddy.selection`, against its own schema.
#[track_caller]
fn selection_conforms(output: &Output<'_>, headers: Value, context: &str) {
    let inner = &closed(headers)["properties"]["eddy.selection"]["contentSchema"];
    let validator = jsonschema::validator_for(inner).unwrap();
    let header = output
        .headers
        .iter()
        .find(|header| header.name == "eddy.selection")
        .unwrap();
    conforms(
        &validator,
        &serde_json::from_slice(header.value.unwrap()).unwrap(),
        context,
    );
}

/// Makes a batch of one event.
fn push(scoring: &mut Scoring, offset: usize, event: Option<&[u8]>) {
    // Images are named by a header of this name; each event has a draw of its own.
    let id = format!("e-{offset}");
    let headers = ["id", "traceparent", "tenant"].map(|name| Header {
        name,
        value: Some(id.as_bytes()),
    });
    scoring.clear();
    scoring.push(&Record {
        source: Source {
            partition: Partition { topic: 0, number: 3 },
            offset: offset as i64,
        },
        topic: "events.of-all_1",
        timestamp_ms: Some(1_777_593_600_000),
        key: None,
        value: event,
        headers: &headers,
    });
}

#[test]
fn the_schemas_of_files_take_the_formats_that_are_read() {
    let policy = serde_json::to_value(schemars::schema_for!(PolicyFile)).unwrap();
    let pipeline: Value = serde_json::from_str(&file::schema()).unwrap();
    for (schema, format) in [(&pipeline, &PIPELINE), (&policy, &POLICY)] {
        let number = &schema["properties"]["format"];
        let range = (number["minimum"].as_u64(), number["maximum"].as_u64());
        assert_eq!(
            range,
            (Some(format.oldest.into()), Some(format.written.into())),
            "{}",
            format.of
        );
    }
}

#[test]
fn whatever_an_example_writes_conforms_to_its_own_schema_and_to_that_of_all() {
    for folder in examples() {
        let context = folder.display().to_string();
        let assembly = example(&folder);
        let own = Schemas::new(&schema::prediction(&assembly), |to| schema::headers(&assembly, to));
        let of_all = Schemas::new(&eddy_pipeline::schema::prediction(None), |to| {
            eddy_pipeline::schema::headers(None, to)
        });
        let mut scoring = assembly.scoring().unwrap();
        let (mut emitter, mut selection, clock) = (assembly.emitter(), assembly.selection(), SystemClock::start());
        let (mut predicted, mut selected, mut refused) = (0, 0, 0);
        let events = events(&folder);
        for (offset, event) in events
            .iter()
            .map(|event| Some(event.as_slice()))
            .chain([None, Some(&b"{"[..])])
            .enumerate()
        {
            push(&mut scoring, offset, event);
            scoring.score(&clock).unwrap();
            scoring.select(&mut selection, clock.now());
            let row = &scoring.batch().rows()[0];
            let judge = |output: &Output<'_>| {
                own.judge(output, &context);
                of_all.judge(output, &context);
            };
            match &row.fate {
                Fate::Scored(tensor_row) => {
                    emitter.prediction(&scoring, row, *tensor_row, judge);
                    predicted += 1;
                    if scoring.pick(*tensor_row).all_arms().is_empty() {
                        continue;
                    }
                    selected += 1;
                    for body in [Body::Original, Body::Omitted, Body::Bare] {
                        emitter.sample(&scoring, row, *tensor_row, body, |output| {
                            judge(output);
                            selection_conforms(output, schema::headers(&assembly, output.to), &context);
                            selection_conforms(output, eddy_pipeline::schema::headers(None, output.to), &context);
                        });
                    }
                }
                Fate::Rejected(rejection) => {
                    refused += 1;
                    for body in [Body::Original, Body::Omitted, Body::Bare] {
                        emitter.dead_letter(scoring.batch(), row, rejection, body, judge);
                    }
                }
            }
        }
        assert_eq!((predicted, refused), (events.len(), 2), "{context}");
        assert!(selected > 5, "{context}: {selected}");
    }
}

#[test]
fn an_example_names_its_classes_and_what_it_passes_through_and_not_the_version_of_its_model() {
    let cancer = schema::prediction(&example(&config().join("cancer")));
    let model = &cancer["properties"]["models"]["properties"]["cancer"]["properties"];
    assert_eq!(model["label"]["enum"], serde_json::json!(["malignant", "benign"]));
    assert_eq!(model["probabilities"]["maxItems"], 2);
    assert_eq!(model["version"].get("const"), None);
    let diabetes = schema::prediction(&example(&config().join("diabetes")));
    let passed = diabetes["properties"]["fields"]["properties"].as_object().unwrap();
    assert!(passed.contains_key("label"), "{passed:?}");
}
