//! The value of a record of the predictions topic.

use serde_json::{Map, Value, json};

use super::{Pipeline, arms, described, object, of_head, one_of, probability, signals, whole};
use crate::event::FORMAT;
use crate::head::{HeadSettings, Member};
use crate::select::{Arm, Drawn};

/// The schema of a prediction: of the predictions of one pipeline, or of any.
pub fn prediction(of: Option<&Pipeline<'_>>) -> Value {
    let title = match of {
        Some(pipeline) => format!("Prediction of the pipeline {}", pipeline.name),
        None => "Prediction".to_owned(),
    };
    let about = "The value of a record of the predictions topic: what the models say about one event. Members that are not \
                 named here may be there, and are to be ignored.";
    let schema = object(vec![
        (
            "format",
            true,
            described("Format of this value.", json!({ "const": FORMAT })),
        ),
        (
            "id",
            true,
            described(
                "Names the event, as `eddy.id` does: where one event has two predictions with the same id, it came twice.",
                json!({ "type": "string", "minLength": 1 }),
            ),
        ),
        ("source", true, source()),
        (
            "time",
            true,
            described(
                "When the event happened, in milliseconds since the Unix epoch; null where it is not known.",
                json!({ "type": ["integer", "null"] }),
            ),
        ),
        ("models", true, models(of)),
        ("draws", false, draws(of)),
        ("fields", false, fields(of)),
    ]);
    whole(title, about, schema)
}

/// `topic/partition/offset`.
pub(super) fn source() -> Value {
    described(
        "The record that the event came in as: topic/partition/offset.",
        json!({ "type": "string", "pattern": "^[^/]+/[0-9]+/[0-9]+$" }),
    )
}

fn models(of: Option<&Pipeline<'_>>) -> Value {
    let about = "What each model says, by its name.";
    let Some(pipeline) = of else {
        let shapes: Vec<Value> = HeadSettings::members()
            .into_iter()
            .map(|(head, members)| described(&format!("A model with a head of type `{head}`."), model(&members)))
            .collect();
        let any = json!({ "type": "object", "minProperties": 1, "additionalProperties": { "anyOf": shapes } });
        return described(about, any);
    };
    let each = pipeline.models.iter();
    let each = each.map(|output| (output.name, true, model(&output.head.members())));
    described(about, object(each.collect()))
}

fn model(head: &[Member]) -> Value {
    let mut members = vec![(
        "version",
        true,
        described("Version of the model.", json!({ "type": "string" })),
    )];
    members.extend(of_head(head));
    members.push((
        "signals",
        false,
        described("Signals that were measured, by name.", signals()),
    ));
    members.push((
        "flags",
        true,
        described("The arms that selected the event for a label, if any did.", arms()),
    ));
    object(members)
}

/// A model's name.
pub(super) fn model_name(of: Option<&Pipeline<'_>>) -> Value {
    match of {
        Some(pipeline) => one_of(pipeline.models.iter().map(|model| model.name)),
        None => json!({ "type": "string" }),
    }
}

fn draws(of: Option<&Pipeline<'_>>) -> Value {
    let draw = object(vec![
        ("arm", true, one_of(Arm::ALL.map(Arm::as_str))),
        (
            "model",
            false,
            described(
                "The model it was about; left out where it was about the event.",
                model_name(of),
            ),
        ),
        (
            "probability",
            true,
            described("With which it was to be selected.", probability()),
        ),
        (
            "draw",
            true,
            described(
                "The number that was drawn: below the probability, the event was drawn.",
                json!({ "type": "number", "minimum": 0, "exclusiveMaximum": 1 }),
            ),
        ),
        ("outcome", true, one_of(Drawn::ALL.map(Drawn::as_str))),
    ]);
    described(
        "Why an event that might have been selected was, or was not. Left out where none of it was a matter of chance.",
        json!({ "type": "array", "items": draw, "minItems": 1 }),
    )
}

fn fields(of: Option<&Pipeline<'_>>) -> Value {
    let about = "Members of the event that are passed through, as they were written there.";
    let mut schema = json!({ "type": "object", "minProperties": 1 });
    if let Some(pipeline) = of {
        let passed: Map<String, Value> = pipeline
            .passed_through
            .iter()
            .map(|name| (name.clone(), json!({})))
            .collect();
        schema["properties"] = passed.into();
    }
    described(about, schema)
}
