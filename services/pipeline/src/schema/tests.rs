//! The schemas against what is written: every head, every decision, every header.

use jsonschema::Validator;
use proptest::prelude::*;

use super::*;
use crate::event::{Destination, HEADER_SELECTION};
use crate::head::HeadSettings;
use crate::head::laws::{specimen_heads, specimen_rows};
use crate::rejection::Reason;
use crate::render::{ModelName, Named, Renderer, Verdict};
use crate::select::{Chance, Drawn, Pick};

const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn validator(schema: &Value) -> Validator {
    jsonschema::meta::validate(schema).expect("it is a schema itself");
    jsonschema::validator_for(schema).expect("the schema is sound")
}

#[track_caller]
fn conforms(validator: &Validator, document: &Value) {
    let wrong: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{document}: {wrong:#?}");
}

fn pipeline<'a>(heads: &'a [(String, Box<dyn Head>)]) -> Pipeline<'a> {
    let models = heads.iter().map(|(name, head)| ModelOutput {
        name,
        head: head.as_ref(),
    });
    Pipeline {
        name: "all",
        models: models.collect(),
        passed_through: vec!["customer".into()],
    }
}

/// The schema of `eddy.selection` within that of the headers of a sample.
fn selection(of: Option<&Pipeline<'_>>) -> Value {
    closed(headers(of, Destination::Retraining))["properties"][HEADER_SELECTION]["contentSchema"].take()
}

/// A chance of each arm about each model and about the event, with each outcome in turn.
fn chances(models: usize, seed: usize) -> Vec<Chance> {
    let about = (0..models).map(Some).chain([None]);
    let pairs = about.flat_map(|model| Arm::ALL.map(|arm| (model, arm)));
    let chance = |(at, (model, arm))| {
        let probability = [0.0, 0.000_001, 0.25, 1.0][(at + seed) % 4];
        Chance {
            arm,
            model,
            probability,
            draw: [0.0, 0.5, 0.999_999_9][(at + seed) % 3],
            drawn: Drawn::ALL[(at + seed) % 5],
        }
    };
    pairs.enumerate().map(chance).collect()
}

#[test]
fn property_whatever_heads_signals_and_draws_say_the_outputs_conform() {
    let heads: Vec<(String, Box<dyn Head>)> = specimen_heads()
        .into_iter()
        .enumerate()
        .map(|(at, head)| (format!("model \"{at}\""), head))
        .collect();
    let of = pipeline(&heads);
    let of_pipeline = validator(&closed(prediction(Some(&of))));
    let of_any = validator(&closed(prediction(None)));
    let of_selection = [Some(&of), None].map(|of| validator(&selection(of)));
    let renderer = Renderer::new(heads.iter().map(|(name, _)| ModelName {
        name,
        version: "2",
        sha256: DIGEST,
        profile: Some("p"),
    }));
    proptest!(ProptestConfig::with_cases(32), |(seed: u64, time_ms: Option<i64>, fields: bool, unit in 0f32..=1.0)| {
        let rows = specimen_rows(seed);
        let chances = chances(heads.len(), seed as usize % 60);
        let pick = Pick { chances: &chances, probability: 1.0 };
        let signals: Vec<_> = Signal::ALL
            .map(|signal| (signal, vec![if signal.range() == Range::Unit { unit } else { -40.0 * unit }]))
            .into();
        let named = Named {
            id: "e-1",
            source: "events/0/17",
            time_ms,
            fields: if fields { br#"{"customer":{"id":7}}"# } else { b"" },
            pick,
        };
        let verdicts = || rows.iter().enumerate().map(|(model, predictions)| Verdict {
            model,
            head: heads[model].1.as_ref(),
            predictions,
            row: 0,
            signals: if seed % 2 == 0 { &signals } else { &[] },
            features: &[("age", 3.5)],
            pick,
        });
        let (mut value, mut selected) = (Vec::new(), Vec::new());
        renderer.prediction(&named, verdicts(), &mut value);
        renderer.selection(verdicts(), &mut selected);
        let value: Value = serde_json::from_slice(&value).expect("a prediction is JSON");
        conforms(&of_pipeline, &value);
        conforms(&of_any, &value);
        let selected: Value = serde_json::from_slice(&selected).expect("a selection is JSON");
        for validator in &of_selection {
            conforms(validator, &selected);
        }
    });
}

#[test]
fn a_head_writes_no_member_that_its_type_does_not_write() {
    let types = HeadSettings::members();
    assert_eq!(
        types.iter().map(|(word, _)| *word).collect::<Vec<_>>(),
        HeadSettings::TYPES
    );
    for (settings, head) in crate::head::laws::specimen_settings().into_iter().zip(specimen_heads()) {
        let (_, of_type) = types
            .iter()
            .find(|(word, _)| *word == settings.type_name())
            .expect("a type");
        for member in head.members() {
            let known = of_type.iter().find(|known| known.name == member.name);
            assert_eq!(
                known.map(|known| known.about),
                Some(member.about),
                "{settings:?}: {member:?}"
            );
        }
        for needed in of_type.iter().filter(|member| member.is_required) {
            assert!(
                head.members().iter().any(|member| member.name == needed.name),
                "{settings:?}"
            );
        }
    }
}

/// A prediction of a classifier, which conforms.
fn sound() -> Value {
    json!({
        "format": 1, "id": "e-1", "source": "events/0/1", "time": null,
        "models": { "m": { "version": "1", "label": "a", "confidence": 0.75, "probabilities": [0.75, 0.25], "flags": [] } },
    })
}

#[test]
fn what_is_wrong_in_one_place_does_not_conform_and_what_is_new_does() {
    let head = crate::head::laws::classifier(&["a", "b"]);
    let of = Pipeline {
        name: "p",
        models: vec![ModelOutput {
            name: "m",
            head: head.as_ref(),
        }],
        passed_through: Vec::new(),
    };
    let schema = validator(&prediction(Some(&of)));
    conforms(&schema, &sound());
    let mut newer = sound();
    newer["new"] = 1.into();
    newer["models"]["m"]["new"] = json!({});
    conforms(&schema, &newer);
    assert!(!validator(&closed(prediction(Some(&of)))).is_valid(&newer));
    let wrong: [(&str, Value); 10] = [
        ("/format", json!(2)),
        ("/id", json!("")),
        ("/source", json!("events/1")),
        ("/time", json!("2026")),
        ("/models", json!({})),
        ("/models/m/label", json!("c")),
        ("/models/m/confidence", json!(1.5)),
        ("/models/m/probabilities", json!([0.5])),
        ("/models/m/flags", json!(["unknown"])),
        ("/models/m/version", json!(1)),
    ];
    for (place, value) in wrong {
        let mut document = sound();
        *document.pointer_mut(place).expect("the place is there") = value;
        assert!(!schema.is_valid(&document), "{place}: {document}");
    }
}

/// The headers of a dead letter, which conform.
fn letter(reason: Reason) -> Value {
    json!({
        "eddy.format": "1", "eddy.id": "e", "eddy.source": "events/0/1", "eddy.stage": reason.stage().as_str(),
        "eddy.reason": reason.as_str(), "eddy.detail": "why", "eddy.config": "00ff", "eddy.body": "original", "tenant": "a",
    })
}

#[test]
fn a_dead_letter_has_a_reason_of_its_stage_and_the_digest_of_what_it_omits() {
    let schema = validator(&closed(headers(None, Destination::DeadLetters)));
    for reason in Reason::ALL {
        conforms(&schema, &letter(*reason));
    }
    let spoilt = |change: &dyn Fn(&mut Value)| {
        let mut headers = letter(Reason::Malformed);
        change(&mut headers);
        headers
    };
    assert!(!schema.is_valid(&spoilt(&|headers| headers["eddy.stage"] = "model".into())));
    assert!(!schema.is_valid(&spoilt(&|headers| headers["eddy.reason"] = "bad_luck".into())));
    assert!(!schema.is_valid(&spoilt(&|headers| headers["eddy.new"] = "1".into())));
    assert!(!schema.is_valid(&spoilt(&|headers| headers["eddy.body"] = "omitted".into())));
    let omitted = spoilt(&|headers| {
        headers["eddy.body"] = "omitted".into();
        headers["eddy.sha256"] = DIGEST.into();
    });
    conforms(&schema, &omitted);
}
