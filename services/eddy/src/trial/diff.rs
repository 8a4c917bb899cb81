//! What is expected against what came out.
//!
//! Owns: when two values are the same, which expectation belongs to which event, and what an expectation becomes that is
//! brought up to date.
//! Never does: read, write, or score.
//!
//! Invariant: every event and every expectation is compared, missing or surplus; none is passed over.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;
use serde_json::{Map, Number, Value};

/// The member that tells a dead letter from a prediction.
pub(crate) const DEAD_LETTER: &str = "dead_letter";
/// The member below which numbers are those of models, and may differ by the tolerance.
const MODELS: &str = "models";
/// The member that says which event is meant.
pub(crate) const ID: &str = "id";

/// What an event became: the document that a reader of the topic gets, but for what differs from run to run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    /// `eddy.id`.
    pub(crate) id: String,
    /// Where the event stands: `events.jsonl:3`.
    pub(crate) at: String,
    /// `{"id":…,"models":…}`, or `{"id":…,"dead_letter":…}`.
    pub(crate) document: Map<String, Value>,
}

/// What is expected of an event: the members of its document that are to be so. Others may be as they like.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expected {
    /// The event.
    pub(crate) id: String,
    /// Line of the file, from 1.
    pub(crate) line: usize,
    /// The line as it stands.
    pub(crate) text: String,
    /// The line as it is understood.
    pub(crate) document: Map<String, Value>,
}

/// One member that is not as expected.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Difference {
    /// Its path in the document: `models.m.probabilities[1]`.
    pub(crate) path: String,
    /// What is expected; `None` where there is to be nothing.
    pub(crate) expected: Option<Value>,
    /// What came out; `None` where nothing did.
    pub(crate) got: Option<Value>,
}

/// What is to be said of one event.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(crate) enum Finding {
    /// It is not as expected.
    Differs {
        /// Its id.
        id: String,
        /// Line of its expectation.
        line: usize,
        /// Where the event stands.
        event: String,
        /// The members that differ.
        differences: Vec<Difference>,
    },
    /// It is expected, and no event has its id.
    Missing {
        /// The id.
        id: String,
        /// Line of the expectation.
        line: usize,
    },
    /// It is an event of which nothing is expected.
    Surplus {
        /// Its id.
        id: String,
        /// Where the event stands.
        event: String,
    },
}

/// All that was compared.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Comparison {
    /// Events that are as expected.
    pub(crate) agree: usize,
    /// The others, in the order of the events; what is missing comes last.
    pub(crate) findings: Vec<Finding>,
    /// The lines of a file that expects what came out. Lines that agree stay as they were written.
    pub(crate) renewed: Vec<String>,
}

/// Compares. Of several events with one id, the first is compared with the first expectation of that id, and so on.
pub(crate) fn compare(expected: &[Expected], outcomes: &[Outcome], tolerance: f64) -> Comparison {
    let mut waiting: HashMap<&str, VecDeque<&Expected>> = HashMap::new();
    for one in expected {
        waiting.entry(&one.id).or_default().push_back(one);
    }
    let mut comparison = Comparison::default();
    for outcome in outcomes {
        let Some(wanted) = waiting.get_mut(outcome.id.as_str()).and_then(VecDeque::pop_front) else {
            comparison.findings.push(Finding::Surplus {
                id: outcome.id.clone(),
                event: outcome.at.clone(),
            });
            comparison.renewed.push(line(&outcome.document));
            continue;
        };
        let differences = differences(&wanted.document, &outcome.document, tolerance);
        if differences.is_empty() {
            comparison.agree += 1;
            comparison.renewed.push(wanted.text.clone());
            continue;
        }
        comparison.findings.push(Finding::Differs {
            id: outcome.id.clone(),
            line: wanted.line,
            event: outcome.at.clone(),
            differences,
        });
        let renewed = renewed(&wanted.document, &outcome.document, tolerance);
        comparison.renewed.push(line(&renewed));
    }
    let mut missing: Vec<&Expected> = waiting.into_values().flatten().collect();
    missing.sort_by_key(|one| one.line);
    comparison
        .findings
        .extend(missing.into_iter().map(|one| Finding::Missing {
            id: one.id.clone(),
            line: one.line,
        }));
    comparison
}

/// What of one event is not as expected.
fn differences(expected: &Map<String, Value>, got: &Map<String, Value>, tolerance: f64) -> Vec<Difference> {
    let mut found = Vec::new();
    if is_another_kind(expected, got) {
        // Member by member it would only be said that nothing is there.
        found.push(Difference {
            path: DEAD_LETTER.to_owned(),
            expected: expected.get(DEAD_LETTER).cloned(),
            got: got.get(DEAD_LETTER).cloned(),
        });
        return found;
    }
    for (name, value) in expected {
        let tolerance = tolerance_of(name, tolerance);
        differ(name, value, got.get(name), tolerance, &mut found);
    }
    found
}

/// Whether one is a dead letter and the other a prediction.
fn is_another_kind(expected: &Map<String, Value>, got: &Map<String, Value>) -> bool {
    let is_dead = |document: &Map<String, Value>| document.get(DEAD_LETTER).is_some_and(|value| !value.is_null());
    is_dead(expected) != is_dead(got)
}

/// What models compute may be a little different on another machine; times, ids and fields may not.
fn tolerance_of(member: &str, tolerance: f64) -> f64 {
    if member == MODELS { tolerance } else { 0.0 }
}

fn differ(path: &str, expected: &Value, got: Option<&Value>, tolerance: f64, found: &mut Vec<Difference>) {
    match (expected, got) {
        (Value::Object(members), Some(Value::Object(others))) => {
            for (name, value) in members {
                differ(&format!("{path}.{name}"), value, others.get(name), tolerance, found);
            }
        }
        (Value::Array(items), Some(Value::Array(others))) if items.len() == others.len() => {
            for (at, (item, other)) in items.iter().zip(others).enumerate() {
                differ(&format!("{path}[{at}]"), item, Some(other), tolerance, found);
            }
        }
        _ if agrees(expected, got, tolerance) => {}
        _ => found.push(Difference {
            path: path.to_owned(),
            expected: (!expected.is_null()).then(|| expected.clone()),
            got: got.filter(|got| !got.is_null()).cloned(),
        }),
    }
}

/// Whether a value that has no members is as expected. `null` expects that nothing is there.
fn agrees(expected: &Value, got: Option<&Value>, tolerance: f64) -> bool {
    match (expected, got) {
        (Value::Null, None) => true,
        (Value::Number(expected), Some(Value::Number(got))) => is_near(expected, got, tolerance),
        (expected, Some(got)) => expected == got,
        (_, None) => false,
    }
}

/// Absolute for numbers up to one, relative beyond.
fn is_near(expected: &Number, got: &Number, tolerance: f64) -> bool {
    if expected == got {
        return true;
    }
    let is_whole = |number: &Number| !number.is_f64();
    // As floating-point numbers, large whole numbers that differ can be the same.
    if tolerance == 0.0 && is_whole(expected) && is_whole(got) {
        return false;
    }
    match (expected.as_f64(), got.as_f64()) {
        (Some(expected), Some(got)) => (expected - got).abs() <= tolerance * expected.abs().max(1.0),
        _ => false,
    }
}

/// An expectation brought up to date: the members that it has, with the values that came out. One of another kind is
/// replaced as a whole.
fn renewed(expected: &Map<String, Value>, got: &Map<String, Value>, tolerance: f64) -> Map<String, Value> {
    if is_another_kind(expected, got) {
        return got.clone();
    }
    let members = expected.iter().filter_map(|(name, value)| {
        let tolerance = tolerance_of(name, tolerance);
        renew(value, got.get(name), tolerance).map(|value| (name.clone(), value))
    });
    members.collect()
}

fn renew(expected: &Value, got: Option<&Value>, tolerance: f64) -> Option<Value> {
    match (expected, got) {
        (Value::Object(members), Some(Value::Object(others))) => {
            let members = members.iter().filter_map(|(name, value)| {
                renew(value, others.get(name), tolerance).map(|value| (name.clone(), value))
            });
            Some(Value::Object(members.collect()))
        }
        (Value::Array(items), Some(Value::Array(others))) if items.len() == others.len() => {
            let items = items.iter().zip(others);
            Some(
                items
                    .filter_map(|(item, other)| renew(item, Some(other), tolerance))
                    .collect(),
            )
        }
        _ if agrees(expected, got, tolerance) => Some(expected.clone()),
        (_, got) => got.cloned(),
    }
}

/// A document as a line: its id first, however the map keeps its members.
pub(crate) fn line(document: &Map<String, Value>) -> String {
    let id = document.get(ID).map(|id| (ID, id));
    let others = document.iter().map(|(name, value)| (name.as_str(), value));
    let members = id.into_iter().chain(others.filter(|(name, _)| *name != ID));
    let members = members.map(|(name, value)| format!("{}:{value}", Value::from(name)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests;
