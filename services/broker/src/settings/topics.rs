//! `[topics]`: which topics are read and written.
//!
//! Owns: their names. Invariant: no two are the same, or records would go in circles.

use eddy_pipeline::event::Destination;
use eddy_pipeline::settings::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::events::{Events, no_name};

/// `[topics]`: the names of the topics. All differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Topics {
    /// What is read: a topic, a list of topics, or `{ pattern = "^orders-.*$" }` for all that match. Default: `"events"`.
    pub events: Events,
    /// Where predictions are written. Default: `"predictions"`.
    pub predictions: String,
    /// Where events worth a label are written, with their original bytes. Pipelines may share it, except that those which
    /// read the same events topic need one each: whose a sample is, is told by where its event came in. Default:
    /// `"retraining"`.
    pub retraining: String,
    /// Where events that could not be scored are written, with their original bytes. Shared as `retraining` is. Default:
    /// `"dead-letters"`.
    pub dead_letters: String,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            events: "events".into(),
            predictions: "predictions".into(),
            retraining: "retraining".into(),
            dead_letters: "dead-letters".into(),
        }
    }
}

impl Topics {
    /// The key of what is read.
    pub const EVENTS: &str = "topics.events";
    /// The key of where predictions are written.
    pub const PREDICTIONS: &str = "topics.predictions";
    /// The key of where samples are written.
    pub const RETRAINING: &str = "topics.retraining";
    /// The key of where dead letters are written.
    pub const DEAD_LETTERS: &str = "topics.dead_letters";

    /// The name of an output topic.
    pub fn output(&self, to: Destination) -> &str {
        match to {
            Destination::Predictions => &self.predictions,
            Destination::Retraining => &self.retraining,
            Destination::DeadLetters => &self.dead_letters,
        }
    }

    /// Every topic that is named, with its key. A pattern names none.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let events = self.events.names().iter();
        events.map(|name| (Self::EVENTS, name.as_str())).chain(self.outputs())
    }

    /// The output topics, each with the key that names it.
    pub fn outputs(&self) -> [(&'static str, &str); 3] {
        [
            (Self::PREDICTIONS, &self.predictions),
            (Self::RETRAINING, &self.retraining),
            (Self::DEAD_LETTERS, &self.dead_letters),
        ]
    }

    /// Everything that is wrong with the table.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let outputs = self.outputs();
        let reads = self.events.reads();
        problems.extend(self.events.problems());
        for (at, (key, name)) in outputs.iter().enumerate() {
            if !is_topic_name(name) {
                problems.push(Problem::new(*key, no_name(name)));
            }
            let twin = outputs[..at].iter().find(|(_, other)| other == name);
            let twin = match (&self.events, twin) {
                (_, Some((twin, _))) => format!("is also {twin}"),
                (_, None) if !reads.has(name) => continue,
                (Events::Matching(matching), None) => format!("matches topics.events.pattern (`{}`)", matching.pattern),
                (_, None) => format!("is also {}", Self::EVENTS),
            };
            let message = format!("`{name}` {twin}; give each its own topic, or records would go in circles");
            problems.push(Problem::new(*key, message));
        }
        problems
    }
}

pub(super) fn is_topic_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name.bytes().all(allowed) && name != "." && name != ".."
}
