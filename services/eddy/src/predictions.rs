//! In which form predictions are written: plain JSON, or JSON behind the number of its schema in the registry.
//!
//! Owns: the table `[predictions]`, and getting that number. Never does: write a prediction.
//!
//! Invariant: no prediction is written before its schema is registered; until then the start waits and `/ready` says why.

use std::time::Duration;

use eddy_broker::registry::{Failure, SchemaRegistry};
use eddy_broker::settings::Topics;
use eddy_host::{Readiness, Shutdown};
use eddy_pipeline::decode::SchemaKind;
use eddy_pipeline::settings::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::assemble::Assembly;
use crate::schema;

/// What `/ready` calls it.
const CONDITION: &str = "schema registry";
/// Pause between two attempts at the start.
const AGAIN: Duration = Duration::from_secs(1);

/// `[predictions]`: in which form predictions are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PredictionSettings {
    /// What the value of a prediction is. Default: `json`.
    pub format: PredictionFormat,
    /// The registry's subject under which the schema of predictions stands. Default: the name of the predictions topic and
    /// `-value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Whether the schema is registered at the start where it is not there yet. Else it has to be there. Default: true.
    pub register: bool,
}

/// What the value of a prediction is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PredictionFormat {
    /// One JSON document.
    #[default]
    Json,
    /// The same in the framing of a schema registry, with a JSON Schema. Needs `[registry]`.
    JsonSchema,
}

impl Default for PredictionSettings {
    fn default() -> Self {
        Self {
            format: PredictionFormat::Json,
            subject: None,
            register: true,
        }
    }
}

impl PredictionSettings {
    /// What is wrong with the table.
    pub fn check(&self, has_registry: bool) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |holds: bool, key: &str, message: &str| {
            if !holds {
                problems.push(Problem::new(format!("predictions.{key}"), message));
            }
        };
        let is_framed = self.is_framed();
        check(
            !is_framed || has_registry,
            "format",
            "their schema is registered in a schema registry; write where that is: [registry] with url",
        );
        check(
            is_framed || self.subject.is_none(),
            "subject",
            "plain JSON has no schema in a registry; write format = \"json_schema\", or remove this",
        );
        check(
            is_framed || self.register,
            "register",
            "plain JSON has no schema in a registry; write format = \"json_schema\", or remove this",
        );
        check(
            self.subject.as_ref().is_none_or(|subject| !subject.trim().is_empty()),
            "subject",
            "the name is empty; write one, or leave it out",
        );
        problems
    }

    /// Whether predictions have a schema in a registry.
    pub(crate) fn is_framed(&self) -> bool {
        self.format == PredictionFormat::JsonSchema
    }

    /// The subject of their schema.
    pub(crate) fn subject(&self, topics: &Topics) -> String {
        let named = || format!("{}-value", topics.predictions);
        self.subject.clone().unwrap_or_else(named)
    }
}

/// The number of the predictions' schema, where they have one.
///
/// # Errors
/// Why there is none.
pub(crate) fn number(assembly: &Assembly, registry: &SchemaRegistry, register: bool) -> Result<u32, Failure> {
    let file = assembly.file();
    let subject = file.predictions.subject(&file.topics);
    let text = schema::prediction(assembly).to_string();
    registry.number(&subject, SchemaKind::Json, &text, register)
}

/// The same at the start of a service: waits for a registry that does not answer; `None` also when the service is asked to
/// end before it did.
///
/// # Errors
/// What the registry refuses.
pub(crate) fn await_number(
    assembly: &Assembly,
    readiness: &Readiness,
    shutdown: &Shutdown,
) -> Result<Option<u32>, Failure> {
    let settings = &assembly.file().predictions;
    let Some(registry) = assembly.registry().filter(|_| settings.is_framed()) else {
        return Ok(None);
    };
    while !shutdown.is_requested() {
        match number(assembly, registry, settings.register) {
            Ok(id) => {
                readiness.met(CONDITION);
                tracing::info!(id, "predictions have a schema");
                return Ok(Some(id));
            }
            Err(failure) if failure.is_refused() => return Err(refused(failure, settings)),
            Err(failure) => {
                tracing::warn!(
                    reason = failure.sentence,
                    "the schema of predictions is not registered yet"
                );
                readiness.unmet(CONDITION, failure.sentence);
                shutdown.wait_for(AGAIN);
            }
        }
    }
    Ok(None)
}

/// What to do about a refusal, where the registry does not know.
pub(crate) fn refused(failure: Failure, settings: &PredictionSettings) -> Failure {
    use eddy_telemetry::catalogue::RegistryOutcome;
    if failure.outcome != RegistryOutcome::Unknown {
        return failure;
    }
    let advice = match settings.register {
        true => "check the subject",
        false => "register what `eddy schema` prints for this pipeline, or write register = true",
    };
    Failure {
        sentence: format!("the schema of predictions: {failure}; {advice}"),
        key: "predictions.register",
        ..failure
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn keys(table: Value, has_registry: bool) -> Vec<String> {
        let settings: PredictionSettings = serde_json::from_value(table).expect("it can be read");
        let problems = settings.check(has_registry);
        problems.into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn a_schema_needs_a_registry_and_plain_json_has_no_use_for_one() {
        assert_eq!(keys(json!({}), false), [""; 0]);
        let all = json!({ "format": "json_schema", "subject": "s", "register": false });
        assert_eq!(keys(all, true), [""; 0]);
        assert_eq!(keys(json!({ "format": "json_schema" }), false), ["predictions.format"]);
        assert_eq!(
            keys(json!({ "subject": "s", "register": false }), true),
            ["predictions.subject", "predictions.register"]
        );
        let empty = json!({ "format": "json_schema", "subject": " " });
        assert_eq!(keys(empty, true), ["predictions.subject"]);
    }

    #[test]
    fn the_subject_is_that_of_the_topic_unless_it_is_named() {
        let topics = Topics::default();
        let mut settings = PredictionSettings::default();
        assert_eq!(settings.subject(&topics), "predictions-value");
        settings.subject = Some("scores".into());
        assert_eq!(settings.subject(&topics), "scores");
    }
}
