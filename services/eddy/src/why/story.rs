//! An event's story as data, and as one JSON document.
//!
//! Owns: what is told of each record. Never does: judge; what is in the outputs is told as it is.

use std::collections::{BTreeMap, BTreeSet};

use eddy_broker::kafka::Committed;
use eddy_pipeline::event::{
    HEADER_BODY, HEADER_CONFIG, HEADER_DETAIL, HEADER_ID, HEADER_POLICY, HEADER_PROBABILITY, HEADER_REASON,
    HEADER_SELECTION, HEADER_SHA256, HEADER_SOURCE, HEADER_STAGE, Record, place,
};
use eddy_pipeline::format::STORY;
use eddy_pipeline::select::{Arm, Salt};
use eddy_storage::table::Cell;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::thresholds::Thresholds;
use crate::recall::fields::Fields;
use crate::recall::moment::utc;
use crate::recall::output::{header, weight, without_frame};

/// One event's story.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Story {
    format: u32,
    pub(super) pipeline: String,
    /// What was asked for.
    pub(super) asked: String,
    /// `eddy.id`, once anything was found.
    pub(super) id: Option<String>,
    /// Where the event came in; several places where it was sent again.
    pub(super) events: Vec<Arrival>,
    /// Places that outputs name and where nothing is any more.
    pub(super) gone: Vec<String>,
    pub(super) predictions: Vec<Prediction>,
    pub(super) samples: Vec<Sampled>,
    pub(super) dead_letters: Vec<DeadLetter>,
    /// Outputs beyond those that are told.
    pub(super) left_out: u64,
    /// What the control arm draws for this id: it selects the event wherever its rate is above that.
    pub(super) control_draw: Option<f64>,
    /// The thresholds that are in force now.
    pub(super) thresholds: Thresholds,
    /// Topics that were searched.
    pub(super) looked: Vec<Looked>,
}

/// What the group has committed of each partition of each topic of events.
pub(super) type HowFar = BTreeMap<String, Vec<Option<Committed>>>;

impl Story {
    pub(super) fn new(pipeline: &str, asked: &str, thresholds: Thresholds) -> Self {
        Self {
            format: STORY.written,
            pipeline: pipeline.to_owned(),
            asked: asked.to_owned(),
            id: None,
            events: Vec::new(),
            gone: Vec::new(),
            predictions: Vec::new(),
            samples: Vec::new(),
            dead_letters: Vec::new(),
            left_out: 0,
            control_draw: None,
            thresholds,
            looked: Vec::new(),
        }
    }

    pub(super) fn has_outputs(&self) -> bool {
        !(self.predictions.is_empty() && self.samples.is_empty() && self.dead_letters.is_empty())
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && !self.has_outputs()
    }

    /// Notes a place where nothing is any more.
    pub(super) fn missing(&mut self, source: &str) {
        if !self.gone.iter().any(|gone| gone == source) {
            self.gone.push(source.to_owned());
        }
    }

    /// The places that outputs say the event came from.
    pub(super) fn sources(&self) -> BTreeSet<String> {
        let named = self.names();
        named.filter_map(|(_, source)| source.clone()).collect()
    }

    fn names(&self) -> impl Iterator<Item = (&Option<String>, &Option<String>)> {
        let predictions = self.predictions.iter().map(|one| (&one.seen.id, &one.seen.source));
        let samples = self.samples.iter().map(|one| (&one.seen.id, &one.seen.source));
        let dead = self.dead_letters.iter().map(|one| (&one.seen.id, &one.seen.source));
        predictions.chain(samples).chain(dead)
    }

    /// Of events without outputs: whether the pipeline had come to them, by what it had committed of each partition before
    /// its outputs were looked for.
    pub(super) fn say_how_far(&mut self, committed: &HowFar) {
        for event in &mut self.events {
            let Ok((topic, partition, offset)) = place(&event.seen.place) else {
                continue;
            };
            let partitions = committed.get(topic).map_or(&[][..], Vec::as_slice);
            let committed = partitions.get(partition as usize).and_then(Option::as_ref);
            event.is_done = Some(committed.is_some_and(|committed| committed.offset > offset));
        }
    }

    /// Once everything was found: the id, and what follows from it.
    pub(super) fn settle(&mut self) {
        let of_outputs = self.names().find_map(|(id, _)| id.clone());
        self.id = of_outputs.or_else(|| self.events.first().map(|event| event.id.clone()));
        let explore = Salt::named(Arm::Explore.as_str());
        self.control_draw = self.id.as_deref().map(|id| explore.draw(id));
    }
}

/// Where and when a record was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Seen {
    /// `topic/partition/offset`.
    pub(super) place: String,
    /// Timestamp of the record in milliseconds since the Unix epoch.
    pub(super) time_ms: Option<i64>,
    /// The same in UTC.
    pub(super) time: Option<String>,
    /// `eddy.id` of an output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    /// `eddy.source` of an output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<String>,
}

impl Seen {
    pub(super) fn of(record: &Record<'_>) -> Self {
        let mut place = String::new();
        record.source.write(record.topic, &mut place);
        let text = |name: &str| header(record.headers, name).map(str::to_owned);
        Self {
            place,
            time_ms: record.timestamp_ms,
            time: record.timestamp_ms.map(utc),
            id: text(HEADER_ID),
            source: text(HEADER_SOURCE),
        }
    }
}

/// The event itself.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Arrival {
    #[serde(flatten)]
    pub(super) seen: Seen,
    #[serde(skip)]
    pub(super) id: String,
    /// The key as text, else in hexadecimal.
    pub(super) key: Option<String>,
    /// Bytes of its value; none for a tombstone.
    pub(super) bytes: Option<usize>,
    /// The event's own time in UTC, where a field gives it.
    pub(super) event_time: Option<String>,
    /// Fields as decoded; null for a value that is not there.
    pub(crate) fields: Map<String, Value>,
    /// Why the pipeline file does not take it, if it does not.
    pub(super) rejection: Option<String>,
    /// Of an event without outputs: whether the pipeline has committed it.
    pub(super) is_done: Option<bool>,
}

impl Arrival {
    pub(crate) fn of(record: &Record<'_>, fields: &mut Fields) -> Self {
        let seen = Seen {
            source: None,
            ..Seen::of(record)
        };
        let id = fields.id(record).map(str::to_owned);
        let (values, rejection) = match fields.read(record) {
            Ok(cells) => {
                let names = fields.columns().map(|column| column.name);
                (names.zip(cells.iter().map(value)).collect(), None)
            }
            Err(rejection) => (Map::new(), Some(rejection.detail.into_owned())),
        };
        Self {
            id: id.unwrap_or_else(|| seen.place.clone()),
            seen,
            key: record.key.map(text),
            bytes: record.value.map(<[u8]>::len),
            event_time: fields.event_time_ms().map(utc),
            fields: values,
            rejection,
            is_done: None,
        }
    }
}

/// A document as values, for telling it in words; null for none.
pub(super) fn parsed(document: &Option<Box<RawValue>>) -> Value {
    let document = document.as_ref();
    document
        .and_then(|document| serde_json::from_str(document.get()).ok())
        .unwrap_or_default()
}

/// A record of the predictions topic.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Prediction {
    #[serde(flatten)]
    pub(super) seen: Seen,
    /// Its value as it was written, to the last digit; none where that is not JSON.
    pub(super) prediction: Option<Box<RawValue>>,
}

impl Prediction {
    pub(super) fn of(seen: Seen, record: &Record<'_>) -> Self {
        Self {
            seen,
            prediction: serde_json::from_slice(without_frame(record.value.unwrap_or_default())).ok(),
        }
    }
}

/// A record of the retraining topic.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Sampled {
    #[serde(flatten)]
    pub(super) seen: Seen,
    /// Inclusion probability of the event.
    pub(super) probability: Option<f64>,
    /// What the sample counts for: 1 by that.
    pub(super) weight: Option<f64>,
    /// Hash of the configuration.
    pub(super) config: Option<String>,
    /// Hash of the policy file.
    pub(super) policy: Option<String>,
    /// What the value is.
    pub(super) body: Option<String>,
    /// `eddy.selection` as it was written.
    pub(super) selection: Option<Box<RawValue>>,
}

impl Sampled {
    pub(super) fn of(seen: Seen, record: &Record<'_>) -> Self {
        let text = |name: &str| header(record.headers, name);
        let probability: Option<f64> = text(HEADER_PROBABILITY).and_then(|probability| probability.parse().ok());
        Self {
            seen,
            probability,
            weight: weight(probability),
            config: text(HEADER_CONFIG).map(str::to_owned),
            policy: text(HEADER_POLICY).map(str::to_owned),
            body: text(HEADER_BODY).map(str::to_owned),
            selection: text(HEADER_SELECTION).and_then(|selection| serde_json::from_str(selection).ok()),
        }
    }
}

/// A record of the dead letters topic.
#[derive(Debug, Clone, Serialize)]
pub(super) struct DeadLetter {
    #[serde(flatten)]
    pub(super) seen: Seen,
    pub(super) stage: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) detail: Option<String>,
    pub(super) config: Option<String>,
    pub(super) body: Option<String>,
    /// Digest of a body that was left out.
    pub(super) sha256: Option<String>,
}

impl DeadLetter {
    pub(super) fn of(seen: Seen, record: &Record<'_>) -> Self {
        let text = |name: &str| header(record.headers, name).map(str::to_owned);
        Self {
            seen,
            stage: text(HEADER_STAGE),
            reason: text(HEADER_REASON),
            detail: text(HEADER_DETAIL),
            config: text(HEADER_CONFIG),
            body: text(HEADER_BODY),
            sha256: text(HEADER_SHA256),
        }
    }
}

/// A topic that was searched.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Looked {
    pub(super) topic: String,
    pub(super) since: String,
    pub(super) until: String,
    pub(super) records: u64,
}

impl Looked {
    pub(super) fn new(topic: &str, (since, until): (i64, i64), records: u64) -> Self {
        Self {
            topic: topic.to_owned(),
            since: utc(since),
            until: utc(until),
            records,
        }
    }
}

fn text(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// A field's value; numbers that JSON does not have are texts, as events may write them.
fn value(cell: &Cell<'_>) -> Value {
    let float = |x: f64| match x {
        x if x.is_finite() => Value::from(x),
        x if x.is_nan() => Value::from("NaN"),
        x if x > 0.0 => Value::from("Infinity"),
        _ => Value::from("-Infinity"),
    };
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(i) => Value::from(*i),
        Cell::Float(x) => float(*x),
        Cell::Boolean(b) => Value::from(*b),
        Cell::Text(text) => Value::from(text.as_ref()),
        Cell::TimestampMs(ms) => Value::from(utc(*ms)),
        Cell::Texts(texts) => texts.iter().map(String::as_str).collect(),
        Cell::Floats(list) => list.iter().map(|x| float(*x)).collect(),
        Cell::Floats32(list) => list.iter().map(|x| float(f64::from(*x))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pipeline_is_past_an_event_when_it_had_committed_more_before_outputs_were_looked_for() {
        let at = |place: &str| Arrival {
            seen: Seen {
                place: place.to_owned(),
                ..Seen::default()
            },
            ..Arrival::default()
        };
        let mut story = Story::new("p", "a", Thresholds::default());
        story.events = ["events/0/6", "events/0/7", "events/1/0", "events/9/0"].map(at).into();
        let committed = Committed {
            offset: 7,
            note: String::new(),
        };
        story.say_how_far(&HowFar::from([("events".to_owned(), vec![Some(committed), None])]));
        let done: Vec<Option<bool>> = story.events.iter().map(|event| event.is_done).collect();
        assert_eq!(done, [Some(true), Some(false), Some(false), Some(false)]);
    }
}
