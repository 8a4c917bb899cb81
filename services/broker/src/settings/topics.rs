//! `[topics]`: which topics are read and written.
//!
//! Owns: their names. Invariant: no two are the same, or records would go in circles.

use eddy_pipeline::event::Destination;
use eddy_pipeline::settings::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[topics]`: the names of the topics. All four differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Topics {
    /// What is read. Default: `"events"`.
    pub events: String,
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

    /// Every topic with the key that names it.
    pub fn all(&self) -> [(&'static str, &str); 4] {
        [
            (Self::EVENTS, &self.events),
            (Self::PREDICTIONS, &self.predictions),
            (Self::RETRAINING, &self.retraining),
            (Self::DEAD_LETTERS, &self.dead_letters),
        ]
    }

    /// Everything that is wrong with the table.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let all = self.all();
        for (at, (key, name)) in all.iter().enumerate() {
            if !is_topic_name(name) {
                let message = format!("`{name}` is not a topic name; use 1 to 249 letters, digits, `.`, `_` and `-`");
                problems.push(Problem::new(*key, message));
            }
            if let Some((twin, _)) = all[..at].iter().find(|(_, other)| other == name) {
                let message =
                    format!("`{name}` is also {twin}; give each its own topic, or records would go in circles");
                problems.push(Problem::new(*key, message));
            }
        }
        problems
    }
}

fn is_topic_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name.bytes().all(allowed) && name != "." && name != ".."
}
