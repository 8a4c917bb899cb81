//! What Eddy writes about an event: the value on the predictions topic and the header `eddy.selection`.
//!
//! Owns: the members of both, their names and their order.
//! Never does: allocate in the steady state, or decide anything: it writes down verdicts.
//!
//! Invariant: what is written is one valid JSON value, whatever names and ids hold.

pub mod json;

use crate::event::FORMAT;
use crate::head::{Head, Predictions};
use crate::select::Arms;
use crate::signal::Signal;

/// A model as outputs name it.
#[derive(Debug, Clone, Copy)]
pub struct ModelName<'a> {
    /// Name in the pipeline file.
    pub name: &'a str,
    /// Version.
    pub version: &'a str,
    /// Digest of the model file, in hexadecimal.
    pub sha256: &'a str,
}

/// An event as its prediction names it.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// What names the event; see [`crate::event::HEADER_ID`].
    pub id: &'a str,
    /// `topic/partition/offset`.
    pub source: &'a str,
    /// Event time in milliseconds since the Unix epoch, if known.
    pub time_ms: Option<i64>,
    /// Fields that are passed through, as one JSON object; left out when empty.
    pub fields: &'a [u8],
}

/// What one model says about one event.
#[derive(Debug, Clone, Copy)]
pub struct Verdict<'a> {
    /// Position of the model in the list that the renderer was made with.
    pub model: usize,
    /// The head that made the prediction.
    pub head: &'a dyn Head,
    /// The predictions of the batch; the row must be valid.
    pub predictions: &'a Predictions,
    /// The event's row.
    pub row: usize,
    /// The arms that selected the event for this model.
    pub arms: Arms,
    /// Probability with which it was to be selected, given what the model said.
    pub probability: f32,
}

/// Writes predictions and selections of one pipeline. Knows the constant parts; made again when a model is swapped.
///
/// Called from the lane's thread, once an event; the buffer is the caller's and is appended to.
#[derive(Debug, Clone)]
pub struct Renderer {
    models: Vec<Fragments>,
}

/// The constant parts of one model.
#[derive(Debug, Clone)]
struct Fragments {
    /// `"<name>":{"version":"<version>",` as in predictions.
    prediction: Vec<u8>,
    /// `{"model":"<name>","version":"<version>","sha256":"<sha256>","prediction":{` as in selections.
    selection: Vec<u8>,
}

impl Fragments {
    fn new(model: &ModelName<'_>) -> Self {
        let mut prediction = Vec::new();
        json::string(model.name, &mut prediction);
        prediction.extend_from_slice(b":{\"version\":");
        json::string(model.version, &mut prediction);
        prediction.push(b',');

        let mut selection = b"{\"model\":".to_vec();
        json::string(model.name, &mut selection);
        selection.extend_from_slice(b",\"version\":");
        json::string(model.version, &mut selection);
        selection.extend_from_slice(b",\"sha256\":");
        json::string(model.sha256, &mut selection);
        selection.extend_from_slice(b",\"prediction\":{");
        Self { prediction, selection }
    }
}

impl Renderer {
    /// A renderer for these models, in the order by which verdicts refer to them.
    pub fn new<'a>(models: impl IntoIterator<Item = ModelName<'a>>) -> Self {
        Self {
            models: models.into_iter().map(|model| Fragments::new(&model)).collect(),
        }
    }

    /// Appends the value of the predictions topic: one member of `models` for each verdict.
    pub fn prediction<'a>(
        &self,
        event: &Named<'_>,
        verdicts: impl IntoIterator<Item = Verdict<'a>>,
        json: &mut Vec<u8>,
    ) {
        json.extend_from_slice(b"{\"format\":");
        json::integer(i64::from(FORMAT), json);
        json.extend_from_slice(b",\"id\":");
        json::string(event.id, json);
        json.extend_from_slice(b",\"source\":");
        json::string(event.source, json);
        json.extend_from_slice(b",\"time\":");
        match event.time_ms {
            Some(time_ms) => json::integer(time_ms, json),
            None => json.extend_from_slice(b"null"),
        }
        json.extend_from_slice(b",\"models\":{");
        for (at, verdict) in verdicts.into_iter().enumerate() {
            if at > 0 {
                json.push(b',');
            }
            json.extend_from_slice(&self.models[verdict.model].prediction);
            verdict.head.render(verdict.predictions, verdict.row, json);
            json.extend_from_slice(b",\"flags\":");
            arms(verdict.arms, json);
            json.push(b'}');
        }
        json.push(b'}');
        if !event.fields.is_empty() {
            json.extend_from_slice(b",\"fields\":");
            json.extend_from_slice(event.fields);
        }
        json.push(b'}');
    }

    /// Appends the value of the header `eddy.selection`: one entry for each verdict that selected the event.
    pub fn selection<'a>(&self, verdicts: impl IntoIterator<Item = Verdict<'a>>, json: &mut Vec<u8>) {
        json.push(b'[');
        let selected = verdicts.into_iter().filter(|verdict| !verdict.arms.is_empty());
        for (at, verdict) in selected.enumerate() {
            if at > 0 {
                json.push(b',');
            }
            json.extend_from_slice(&self.models[verdict.model].selection);
            verdict.head.render(verdict.predictions, verdict.row, json);
            json.extend_from_slice(b"},\"arms\":");
            arms(verdict.arms, json);
            json.extend_from_slice(b",\"scores\":{");
            scores(&verdict, json);
            json.extend_from_slice(b"},\"probability\":");
            json::float(verdict.probability, json);
            json.push(b'}');
        }
        json.push(b']');
    }
}

/// `["uncertainty",…]`
fn arms(arms: Arms, json: &mut Vec<u8>) {
    json.push(b'[');
    for (at, arm) in arms.iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        json.push(b'"');
        json.extend_from_slice(arm.as_str().as_bytes());
        json.push(b'"');
    }
    json.push(b']');
}

/// `"confidence":0.41,…`: the signals that the arms decided on.
fn scores(verdict: &Verdict<'_>, json: &mut Vec<u8>) {
    for (at, arm) in verdict.arms.iter().enumerate() {
        let signal: Signal = arm.signal();
        if at > 0 {
            json.push(b',');
        }
        json.push(b'"');
        json.extend_from_slice(signal.as_str().as_bytes());
        json.extend_from_slice(b"\":");
        json::float(
            verdict.predictions.signal(signal, verdict.row).unwrap_or(f32::NAN),
            json,
        );
    }
}

#[cfg(test)]
mod tests;
