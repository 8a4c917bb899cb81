//! One output against its event.

use eddy_pipeline::event::Destination;
use serde_json::{Value, json};

use crate::kafka::Message;
use crate::oracle::{Event, Expected};

/// How far a confidence may be from what arithmetic says: the service computes in 32 bits.
const TOLERANCE: f64 = 1e-4;

/// Whether the output is what must become of the event; says whether it is a prediction with flags.
pub(super) fn judge(event: &Event, to: Destination, message: &Message) -> Result<bool, String> {
    let id = &event.id;
    expect(
        message.key.as_deref() == event.key.as_deref().map(str::as_bytes),
        || format!("{id}: the key is kept"),
    )?;
    expect(message.header("traceparent").is_some(), || {
        format!("{id}: the trace is carried through")
    })?;
    if event.key.is_none() {
        let source = super::source(message).map(|(partition, _)| partition);
        expect(source == Some(message.partition), || {
            format!(
                "{id}: without a key the partition is kept; {source:?} became {}",
                message.partition
            )
        })?;
    }
    match (to, event.expected) {
        (Destination::Predictions, Expected::Prediction | Expected::Class { .. }) => prediction(event, message),
        (Destination::Retraining, Expected::Prediction | Expected::Class { flagged: true, .. }) => {
            sample(event, message).map(|()| false)
        }
        (Destination::DeadLetters, Expected::DeadLetter(reason)) => dead_letter(event, message, reason).map(|()| false),
        _ => Err(format!(
            "{id}: does not belong there, {:?} was expected{}",
            event.expected,
            message
                .header("eddy.detail")
                .map_or(String::new(), |detail| format!("; it says: {detail}"))
        )),
    }
}

fn prediction(event: &Event, message: &Message) -> Result<bool, String> {
    let id = &event.id;
    let value: Value = serde_json::from_slice(message.value.as_deref().unwrap_or_default())
        .map_err(|error| format!("{id}: a prediction is JSON: {error}"))?;
    expect(value["id"] == **id, || {
        format!("{id}: a prediction names its event: {value}")
    })?;
    expect(value["source"].as_str() == message.header("eddy.source"), || {
        format!("{id}: a prediction names its source as its header does: {value}")
    })?;
    let said = &value["models"]["mlp"];
    let is_flagged = said["flags"] == json!(["uncertainty"]);
    expect(is_flagged || said["flags"] == json!([]), || {
        format!("{id}: a prediction has flags or none: {value}")
    })?;
    if let Expected::Class {
        label,
        confidence,
        flagged,
    } = event.expected
    {
        let label_is_right = said["label"] == json!(label.to_string());
        let confidence_is_right = said["confidence"]
            .as_f64()
            .is_some_and(|said| (said - confidence).abs() < TOLERANCE);
        expect(label_is_right && confidence_is_right && is_flagged == flagged, || {
            format!("{id}: {:?} was expected: {value}", event.expected)
        })?;
    }
    Ok(is_flagged)
}

fn sample(event: &Event, message: &Message) -> Result<(), String> {
    let id = &event.id;
    expect(message.value == event.value, || {
        format!("{id}: a sample has the event's own bytes")
    })?;
    let selection = message.header("eddy.selection");
    expect(selection.is_some_and(|text| text.contains("uncertainty")), || {
        format!("{id}: a sample says why: {selection:?}")
    })
}

fn dead_letter(event: &Event, message: &Message, reason: &str) -> Result<(), String> {
    let id = &event.id;
    expect(message.value == event.value, || {
        format!("{id}: a dead letter has the event's own bytes")
    })?;
    let said = message.header("eddy.reason");
    expect(said.is_some_and(|said| reason == "any" || said == reason), || {
        format!("{id}: the reason is {said:?}, and {reason} was expected")
    })?;
    expect(!message.header("eddy.detail").unwrap_or_default().is_empty(), || {
        format!("{id}: a reason has a sentence")
    })
}

fn expect(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}
