//! The headers of a record of an output topic, as an object of texts by name.

use serde_json::{Value, json};

use super::prediction::{model_name, source};
use super::{Pipeline, arms, described, object, of_head, probability, signals, whole};
use crate::event::{
    BODY_MASKED, BODY_OMITTED, BODY_ORIGINAL, Destination, FORMAT, HEADER_BODY, HEADER_CONFIG, HEADER_DETAIL,
    HEADER_FORMAT, HEADER_ID, HEADER_POLICY, HEADER_PROBABILITY, HEADER_REASON, HEADER_SELECTION, HEADER_SHA256,
    HEADER_SOURCE, HEADER_STAGE, HEADER_TIME,
};
use crate::head::{HeadSettings, Member};
use crate::rejection::Reason;
use crate::select::Arm;

type Entry = (&'static str, bool, Value);

/// The schema of the headers of one of the output topics: of one pipeline, or of any.
pub fn headers(of: Option<&Pipeline<'_>>, to: Destination) -> Value {
    let (what, value) = match to {
        Destination::Predictions => ("a prediction", "a JSON document with a schema of its own"),
        Destination::Retraining => ("a sample", "the event's original bytes, where `eddy.body` says so"),
        Destination::DeadLetters => (
            "a dead letter",
            "the event's original bytes, where `eddy.body` says so; a tombstone has none",
        ),
    };
    let carried = match to {
        Destination::Predictions => "The event's trace context and CloudEvents attributes (`ce_…`) stand beside them",
        Destination::Retraining | Destination::DeadLetters => {
            "The event's own headers stand beside them, unless the body is omitted, and may repeat and hold any bytes"
        }
    };
    let about = format!(
        "The headers of {what} as an object, each by its name with its text in UTF-8. {carried}; none of those begins with \
         `eddy.`. The key of the record is the event's, its value {value}."
    );
    let mut entries = common();
    match to {
        Destination::Predictions => {}
        Destination::Retraining => entries.extend(sample(of)),
        Destination::DeadLetters => entries.extend(dead_letter()),
    }
    let mut schema = object(entries);
    let title = match of {
        Some(pipeline) => format!("Headers of {what} of the pipeline {}", pipeline.name),
        None => format!("Headers of {what}"),
    };
    match to {
        Destination::Predictions => {}
        Destination::Retraining => schema["allOf"] = json!([digest_of_what_is_omitted()]),
        Destination::DeadLetters => schema["allOf"] = json!([digest_of_what_is_omitted(), stages()]),
    }
    whole(title, &about, schema)
}

fn common() -> Vec<Entry> {
    vec![
        (
            HEADER_FORMAT,
            true,
            described("Format of these headers.", json!({ "const": FORMAT.to_string() })),
        ),
        (
            HEADER_ID,
            true,
            described(
                "Names the event, in each of its outputs.",
                json!({ "type": "string", "minLength": 1 }),
            ),
        ),
        (HEADER_SOURCE, true, source()),
    ]
}

fn sample(of: Option<&Pipeline<'_>>) -> Vec<Entry> {
    let mut entries = vec![
        (
            HEADER_SELECTION,
            true,
            described(
                "Why the event was selected: JSON, an entry for each model on whose account it was.",
                json!({
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": selection(of),
                }),
            ),
        ),
        (
            HEADER_PROBABILITY,
            true,
            described(
                "Probability with which the event was to be selected, by any arm: a decimal number above 0 and up to 1. A \
                 sample stands for so many events as its reciprocal says.",
                json!({ "type": "string", "pattern": r"^(0\.[0-9]+|1)$" }),
            ),
        ),
        (
            HEADER_TIME,
            false,
            described(
                "When the event happened, in milliseconds since the Unix epoch; left out where it is not known.",
                json!({ "type": "string", "pattern": "^-?[0-9]+$" }),
            ),
        ),
        (
            HEADER_POLICY,
            false,
            described("Hash of the policy file that selected it, where there was one.", hash()),
        ),
    ];
    entries.extend(provenance());
    entries
}

fn dead_letter() -> Vec<Entry> {
    let mut entries = vec![
        (
            HEADER_STAGE,
            true,
            described("The step that refused the event.", json!({ "type": "string" })),
        ),
        (
            HEADER_REASON,
            true,
            described("Why it could not be scored.", json!({ "type": "string" })),
        ),
        (
            HEADER_DETAIL,
            true,
            described("The same as a sentence for a person.", json!({ "type": "string" })),
        ),
    ];
    entries.extend(provenance());
    entries
}

/// What tells the settings and the bytes.
fn provenance() -> Vec<Entry> {
    vec![
        (
            HEADER_CONFIG,
            true,
            described("Hash of the settings that made it.", hash()),
        ),
        (
            HEADER_BODY,
            true,
            described(
                "What the value is: the event's own bytes, those with `null` for what `events.mask` names, or nothing, because \
                 they would not fit into the topic or may not leave the service.",
                super::one_of([BODY_ORIGINAL, BODY_MASKED, BODY_OMITTED]),
            ),
        ),
        (
            HEADER_SHA256,
            false,
            described(
                "SHA-256 of the original bytes, in hexadecimal, where the value is not they.",
                json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" }),
            ),
        ),
    ]
}

fn hash() -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-f]+$" })
}

/// Whoever has not the bytes can tell whether he finds them elsewhere.
fn digest_of_what_is_omitted() -> Value {
    let is_original = json!({ "properties": { HEADER_BODY: { "const": BODY_ORIGINAL } } });
    json!({ "if": is_original, "else": { "required": [HEADER_SHA256] } })
}

/// Each stage with its reasons.
fn stages() -> Value {
    let mut stages: Vec<(&str, Vec<&str>)> = Vec::new();
    for reason in Reason::ALL {
        let stage = reason.stage().as_str();
        match stages.iter_mut().find(|(known, _)| *known == stage) {
            Some((_, reasons)) => reasons.push(reason.as_str()),
            None => stages.push((stage, vec![reason.as_str()])),
        }
    }
    let stages = stages.into_iter().map(|(stage, reasons)| {
        json!({ "properties": { HEADER_STAGE: { "const": stage }, HEADER_REASON: { "enum": reasons } } })
    });
    json!({ "oneOf": stages.collect::<Vec<_>>() })
}

/// The JSON of `eddy.selection`.
fn selection(of: Option<&Pipeline<'_>>) -> Value {
    let entry = match of {
        Some(pipeline) => {
            let entries = pipeline.models.iter();
            let entries = entries.map(|model| entry(json!({ "const": model.name }), prediction(&model.head.members())));
            match <[Value; 1]>::try_from(entries.collect::<Vec<_>>()) {
                Ok([only]) => only,
                Err(entries) => json!({ "oneOf": entries }),
            }
        }
        None => {
            let shapes = HeadSettings::members().into_iter();
            let shapes: Vec<Value> = shapes.map(|(_, members)| prediction(&members)).collect();
            entry(model_name(None), json!({ "anyOf": shapes }))
        }
    };
    json!({ "type": "array", "items": entry, "minItems": 1 })
}

fn prediction(head: &[Member]) -> Value {
    object(of_head(head))
}

fn entry(model: Value, prediction: Value) -> Value {
    let probabilities = Arm::ALL.map(|arm| (arm.as_str(), false, probability()));
    object(vec![
        ("model", true, described("The model.", model)),
        ("version", true, described("Its version.", json!({ "type": "string" }))),
        (
            "sha256",
            true,
            described("SHA-256 of its file, in hexadecimal.", hash()),
        ),
        (
            "profile",
            false,
            described(
                "Id of its reference profile, where it has one.",
                json!({ "type": "string" }),
            ),
        ),
        ("prediction", true, described("What it said of the event.", prediction)),
        (
            "arms",
            true,
            described(
                "The arms that selected the event on its account, or of the event itself.",
                {
                    let mut arms = arms();
                    arms["minItems"] = 1.into();
                    arms
                },
            ),
        ),
        ("scores", true, described("What was measured, by signal.", signals())),
        (
            "probabilities",
            true,
            described(
                "Probability with which each arm was to select it.",
                object(probabilities.into()),
            ),
        ),
        (
            "features",
            false,
            described(
                "The features that make the event anomalous, most of all first, each with its part in the score.",
                json!({ "type": "object", "additionalProperties": { "type": "number" } }),
            ),
        ),
    ])
}
