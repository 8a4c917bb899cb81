//! A whole record with key, headers and value, through decoding and scoring to the outputs that are written about it:
//! what strangers put into ids, header names and members stays theirs, and what is Eddy's own word stays ours.
#![no_main]

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arbitrary::Arbitrary;
use eddy_inference::judge::{Judged, Provenance, judge};
use eddy_inference::scoring::{LaneModel, ModelIdentity, Scoring};
use eddy_inference::settings::BatchSettings;
use eddy_inference::{Batch, Body, Emitter, Fate, Row};
use eddy_pipeline::decode::{Binding, Decoder, EventSettings, LimitSettings};
use eddy_pipeline::drift::monitor::DriftSettings;
use eddy_pipeline::event::{Header, Output, Record};
use eddy_pipeline::head::{self, Head};
use eddy_pipeline::render::{ModelName, Renderer};
use eddy_pipeline::score::{RunError, Scorer};
use eddy_pipeline::select::{SelectSettings, Selection};
use eddy_pipeline::tensor::{Buffer, DType, Data, Inputs, TensorSpec, View};
use eddy_pipeline::time::{Clock, Now};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

#[derive(Debug, Arbitrary)]
struct Event {
    timestamp_ms: Option<i64>,
    key: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    value: Option<Vec<u8>>,
}

thread_local! {
    static LANE: RefCell<(Scoring, Emitter, Selection)> = RefCell::new(lane());
}

fuzz_target!(|event: Event| {
    LANE.with_borrow_mut(|(scoring, emitter, selection)| {
        let headers: Vec<Header<'_>> = event
            .headers
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_deref(),
            })
            .collect();
        let record = Record {
            key: event.key.as_deref(),
            timestamp_ms: event.timestamp_ms,
            ..eddy_fuzz::record(event.value.as_deref(), &headers)
        };
        scoring.push(&record);
        scoring.score(&Still).expect("the stub is never sick");
        scoring.select(selection, Still.now());
        assert_eq!(scoring.batch().rows().len(), 1);
        let row = scoring.batch().rows()[0].clone();
        match &row.fate {
            Fate::Scored(tensor_row) => predicted(scoring, emitter, &record, (&row, *tensor_row)),
            Fate::Rejected(rejection) => {
                for body in [Body::Original, Body::Omitted, Body::Bare] {
                    emitter.dead_letter(scoring.batch(), &row, rejection, body, |output| {
                        check(output, scoring.batch(), &row);
                        check_body(output, &record, body);
                        assert_eq!(word(output, "eddy.reason"), Some(rejection.reason.as_str()));
                        assert_eq!(word(output, "eddy.detail"), Some(rejection.detail.as_ref()));
                    });
                }
            }
        }
        scoring.clear();
    });
});

fn predicted(scoring: &Scoring, emitter: &mut Emitter, record: &Record<'_>, (row, tensor_row): (&Row, u32)) {
    let event: Value = serde_json::from_slice(record.value.expect("a tombstone is not scored")).expect("it was scored");
    emitter.prediction(scoring, row, tensor_row, |output| {
        check(output, scoring.batch(), row);
        let prediction: Value = serde_json::from_slice(output.value.expect("a prediction has a value")).expect("JSON");
        assert_eq!(prediction["id"].as_str(), word(output, "eddy.id"));
        assert_eq!(prediction["fields"].get("note"), event.get("note"));
        assert_eq!(prediction["models"]["stub"]["label"].as_u64(), Some(0));
        assert_eq!(output.key, record.key);
    });
    for body in [Body::Original, Body::Omitted, Body::Bare] {
        emitter.sample(scoring, row, tensor_row, body, |output| {
            check(output, scoring.batch(), row);
            check_body(output, record, body);
            let selection = word(output, "eddy.selection").expect("a sample says why");
            serde_json::from_str::<Value>(selection).expect("as JSON");
        });
    }
}

fn word<'a>(output: &Output<'a>, name: &str) -> Option<&'a str> {
    let header = output.headers.iter().find(|header| header.name == name)?;
    std::str::from_utf8(header.value?).ok()
}

/// What holds for every output.
fn check(output: &Output<'_>, batch: &Batch, row: &Row) {
    let own = output.headers.iter().filter(|header| header.name.starts_with("eddy."));
    let mut seen = HashSet::new();
    assert!(
        own.clone().all(|header| seen.insert(header.name)),
        "one word twice: {seen:?}"
    );
    assert_eq!(word(output, "eddy.format"), Some("1"));
    assert_eq!(word(output, "eddy.source"), Some("events/3/7"));
    assert_eq!(word(output, "eddy.id"), Some(batch.id(row)));
}

/// What an output that may carry the event itself carries.
fn check_body(output: &Output<'_>, record: &Record<'_>, body: Body) {
    let is_foreign = |header: &&Header<'_>| !header.name.starts_with("eddy.");
    let foreign: Vec<_> = output.headers.iter().filter(is_foreign).collect();
    match body {
        Body::Original => {
            let theirs: Vec<_> = record.headers.iter().filter(is_foreign).collect();
            assert_eq!(foreign, theirs, "all headers, in their order");
            assert_eq!((output.key, output.value), (record.key, record.value));
        }
        Body::Masked => unreachable!("this pipeline masks nothing"),
        Body::Omitted => assert_eq!((output.key, output.value), (record.key, Some(&[][..]))),
        Body::Bare => {
            assert!(foreign.is_empty());
            assert_eq!((output.key, output.value), (None, Some(&[][..])));
        }
    }
    let digest = word(output, "eddy.sha256");
    assert_eq!(
        digest.is_some(),
        body != Body::Original,
        "what is left out has a digest"
    );
    assert!(digest.is_none_or(|digest| digest.len() == 64));
}

fn lane() -> (Scoring, Emitter, Selection) {
    let inputs = vec![spec("x", 1)];
    let outputs = vec![spec("probabilities", 2)];
    let settings = serde_json::from_value(json!({"type": "classification", "from": "probabilities"}));
    let head = head::compile(&settings.expect("a head's settings"), &outputs, None);
    let head: Arc<dyn Head> = Arc::from(head.expect("the head fits the model"));
    let events: EventSettings =
        serde_json::from_value(json!({"id_header": "ce_id", "id_field": "/id", "pass_through": ["/note"]}))
            .expect("settings of events");
    let limits: LimitSettings =
        serde_json::from_value(json!({"headers": 8, "header_bytes": 256, "record_bytes": 2048})).expect("limits");
    let fields = serde_json::from_value(json!({"x": {"type": "float", "default": 1}})).expect("a field's settings");
    let binding = Binding {
        model: "stub",
        inputs: &inputs,
        fields: &Default::default(),
    };
    let decoder = Decoder::compile(&events, &fields, &limits, &[binding]).expect("the field fits the model");
    let select = SelectSettings {
        confidence_below: Some(1.0),
        ..SelectSettings::default()
    };
    let judged = Judged::bare("stub", head.as_ref());
    let judgement =
        judge((&select, &DriftSettings::default()), &[judged], Vec::new()).expect("the head gives a confidence");
    let model = LaneModel {
        identity: ModelIdentity {
            name: "stub".into(),
            version: "1".into(),
            sha256: "0".repeat(64),
        },
        scorer: Box::new(Stub { inputs, outputs }),
        head,
    };
    let renderer = Renderer::new([ModelName {
        name: "stub",
        version: "1",
        sha256: &model.identity.sha256,
        profile: None,
    }]);
    let scoring = Scoring::new(decoder, vec![model], judgement.signals, &BatchSettings::default());
    let emitter = Emitter::new(renderer, Provenance::default());
    (scoring, emitter, Selection::new(judgement.plan))
}

fn spec(name: &str, width: usize) -> TensorSpec {
    TensorSpec {
        name: name.into(),
        dtype: DType::Float32,
        row_shape: vec![Some(width)],
    }
}

/// A model that is always fairly sure of the first class.
struct Stub {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
}

impl Scorer for Stub {
    fn run(&mut self, inputs: &Inputs, rows: Range<usize>, read: &mut dyn FnMut(&[View<'_>])) -> Result<(), RunError> {
        assert!(matches!(&inputs.inputs[0].data, Buffer::Float32(data) if data[rows.start].is_finite()));
        read(&[View {
            width: 2,
            data: Data::Float32(&[0.75, 0.25]),
        }]);
        Ok(())
    }

    fn probe(&mut self) -> Result<(), RunError> {
        Ok(())
    }

    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn max_rows(&self) -> usize {
        1
    }
}

/// A clock that stands.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Now {
        Now::default()
    }
}
