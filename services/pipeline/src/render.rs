//! What Eddy writes about an event: the value on the predictions topic and the header `eddy.selection`.
//!
//! Owns: the members of both, their names and their order.
//! Never does: allocate in the steady state, or decide anything: it writes down verdicts.
//!
//! Invariant: what is written is one valid JSON value, whatever names and ids hold.

pub mod json;

use crate::event::FORMAT;
use crate::head::{Head, Predictions};
use crate::select::{Arms, Pick};
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
    /// Id of its reference profile, where it has one.
    pub profile: Option<&'a str>,
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
    /// What was decided on it.
    pub pick: Pick<'a>,
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
    /// The signals that were measured, a column for each with a number for each row of the batch; NaN for none.
    pub signals: &'a [(Signal, Vec<f32>)],
    /// The features that make the event anomalous, most of all first, each with its part in the score.
    pub features: &'a [(&'a str, f32)],
    /// What was decided on the event.
    pub pick: Pick<'a>,
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
    /// `"<name>"`.
    name: Vec<u8>,
    /// `"<name>":{"version":"<version>",` as in predictions.
    prediction: Vec<u8>,
    /// `{"model":"<name>","version":"<version>","sha256":"<sha256>","prediction":{` as in selections.
    selection: Vec<u8>,
}

impl Fragments {
    fn new(model: &ModelName<'_>) -> Self {
        let mut name = Vec::new();
        json::string(model.name, &mut name);
        let mut prediction = name.clone();
        prediction.extend_from_slice(b":{\"version\":");
        json::string(model.version, &mut prediction);
        prediction.push(b',');

        let mut selection = b"{\"model\":".to_vec();
        json::string(model.name, &mut selection);
        selection.extend_from_slice(b",\"version\":");
        json::string(model.version, &mut selection);
        selection.extend_from_slice(b",\"sha256\":");
        json::string(model.sha256, &mut selection);
        if let Some(profile) = model.profile {
            selection.extend_from_slice(b",\"profile\":");
            json::string(profile, &mut selection);
        }
        selection.extend_from_slice(b",\"prediction\":{");
        Self {
            name,
            prediction,
            selection,
        }
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
            if !verdict.signals.is_empty() {
                json.extend_from_slice(b",\"signals\":{");
                let start = json.len();
                signals(&verdict, start, json);
                json.push(b'}');
            }
            json.extend_from_slice(b",\"flags\":");
            arms(verdict.pick.arms(verdict.model), json);
            json.push(b'}');
        }
        json.push(b'}');
        self.draws(event.pick, json);
        if !event.fields.is_empty() {
            json.extend_from_slice(b",\"fields\":");
            json.extend_from_slice(event.fields);
        }
        json.push(b'}');
    }

    /// `,"draws":[…]`: why an event that could have been selected was, or was not. Left out for events that could not.
    fn draws(&self, pick: Pick<'_>, json: &mut Vec<u8>) {
        let mut before: &[u8] = b",\"draws\":[";
        // What is certain was not drawn for: its flag says all.
        for chance in pick.chances.iter().filter(|chance| chance.probability < 1.0) {
            json.extend_from_slice(before);
            before = b",";
            json.extend_from_slice(b"{\"arm\":\"");
            json.extend_from_slice(chance.arm.as_str().as_bytes());
            json.push(b'"');
            if let Some(model) = chance.model {
                json.extend_from_slice(b",\"model\":");
                json.extend_from_slice(&self.models[model].name);
            }
            json.extend_from_slice(b",\"probability\":");
            json::double(chance.probability, json);
            json.extend_from_slice(b",\"draw\":");
            json::double(chance.draw, json);
            json.extend_from_slice(b",\"outcome\":\"");
            json.extend_from_slice(chance.drawn.as_str().as_bytes());
            json.extend_from_slice(b"\"}");
        }
        if before == b"," {
            json.push(b']');
        }
    }

    /// Appends the value of the header `eddy.selection`: one entry for each verdict that selected the event.
    pub fn selection<'a>(&self, verdicts: impl IntoIterator<Item = Verdict<'a>>, json: &mut Vec<u8>) {
        json.push(b'[');
        let start = json.len();
        for verdict in verdicts {
            let selected = verdict.pick.arms(verdict.model);
            if selected.is_empty() {
                continue;
            }
            comma(start, json);
            json.extend_from_slice(&self.models[verdict.model].selection);
            verdict.head.render(verdict.predictions, verdict.row, json);
            json.extend_from_slice(b"},\"arms\":");
            arms(selected, json);
            json.extend_from_slice(b",\"scores\":{");
            scores(&verdict, json);
            json.extend_from_slice(b"},\"probabilities\":{");
            probabilities(&verdict, json);
            json.push(b'}');
            if !verdict.features.is_empty() {
                features(verdict.features, json);
            }
            json.push(b'}');
        }
        json.push(b']');
    }
}

/// Separates members or elements of what began at `start`.
fn comma(start: usize, json: &mut Vec<u8>) {
    if json.len() > start {
        json.push(b',');
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

/// `"margin":0.41,…`: a number for each signal that has one.
fn signals(verdict: &Verdict<'_>, start: usize, json: &mut Vec<u8>) {
    for (signal, column) in verdict.signals {
        member(*signal, column[verdict.row], start, json);
    }
}

/// The same, and what the head itself gives.
fn scores(verdict: &Verdict<'_>, json: &mut Vec<u8>) {
    let start = json.len();
    for signal in [Signal::Confidence, Signal::Anomaly] {
        let value = verdict.predictions.signal(signal, verdict.row).unwrap_or(f32::NAN);
        if !verdict.signals.iter().any(|(measured, _)| *measured == signal) {
            member(signal, value, start, json);
        }
    }
    signals(verdict, start, json);
}

fn member(signal: Signal, value: f32, start: usize, json: &mut Vec<u8>) {
    if value.is_nan() {
        return;
    }
    comma(start, json);
    json.push(b'"');
    json.extend_from_slice(signal.as_str().as_bytes());
    json.extend_from_slice(b"\":");
    json::float(value, json);
}

/// `"explore":0.003,…`: the probability of each arm that could select the event on account of this model or of the event.
fn probabilities(verdict: &Verdict<'_>, json: &mut Vec<u8>) {
    let start = json.len();
    let model = verdict.model;
    let about = verdict
        .pick
        .chances
        .iter()
        .filter(|chance| chance.model.is_none_or(|about| about == model));
    for chance in about {
        comma(start, json);
        json.push(b'"');
        json.extend_from_slice(chance.arm.as_str().as_bytes());
        json.extend_from_slice(b"\":");
        json::double(chance.probability, json);
    }
}

/// `,"features":{"age":3.1,…}`
fn features(features: &[(&str, f32)], json: &mut Vec<u8>) {
    json.extend_from_slice(b",\"features\":{");
    let start = json.len();
    for (name, part) in features {
        comma(start, json);
        json::string(name, json);
        json.push(b':');
        json::float(*part, json);
    }
    json.push(b'}');
}

#[cfg(test)]
mod tests;
