//! What is found on the topics, against the schemas that users are given: whatever a whole-service test makes the service
//! write has to conform.
//!
//! Owns: turning a message into the document that a schema is about. Never does: excuse anything; the schemas are closed
//! first, so that a member or header that they do not name is found.

use std::sync::LazyLock;

use eddy_pipeline::event::{Destination, HEADER_SELECTION};
use eddy_pipeline::schema::{closed, headers, prediction};
use jsonschema::Validator;
use serde_json::{Map, Value};

use crate::kafka::Message;
use crate::oracle::Outputs;

/// The schemas of one pipeline, or of any.
#[derive(Debug)]
pub struct Contract {
    value: Validator,
    headers: [Validator; Destination::ALL.len()],
    selection: Validator,
}

static OF_ANY: LazyLock<Contract> =
    LazyLock::new(|| Contract::of(prediction(None), |to| headers(None, to)).expect("the schemas are sound"));

impl Contract {
    /// That of any pipeline.
    pub fn of_any() -> &'static Self {
        &OF_ANY
    }

    /// That of these schemas: of a prediction's value, and of the headers of each topic.
    ///
    /// # Errors
    /// When one of them is none.
    pub fn of(value: Value, headers: impl Fn(Destination) -> Value) -> Result<Self, String> {
        let validator = |schema: &Value| jsonschema::validator_for(schema).map_err(|error| error.to_string());
        let headers = Destination::ALL.map(|to| closed(headers(to)));
        let sample = &headers[Destination::Retraining as usize];
        let selection = &sample["properties"][HEADER_SELECTION]["contentSchema"];
        let [first, second, third] = &headers;
        Ok(Self {
            value: validator(&closed(value))?,
            selection: validator(selection)?,
            headers: [validator(first)?, validator(second)?, validator(third)?],
        })
    }

    /// Looks at everything that was found.
    ///
    /// # Panics
    /// When something does not conform, with all that is wrong about it.
    pub fn hold(&self, outputs: &Outputs) {
        for message in &outputs.predictions {
            self.hold_one(Destination::Predictions, message);
            conforms(
                &self.value,
                &json(unframed(message.value.as_deref().unwrap_or_default())),
            );
        }
        for message in &outputs.samples {
            self.hold_one(Destination::Retraining, message);
            let selection = message.header(HEADER_SELECTION).unwrap_or_default();
            conforms(&self.selection, &json(selection.as_bytes()));
        }
        for message in &outputs.dead_letters {
            self.hold_one(Destination::DeadLetters, message);
        }
    }

    fn hold_one(&self, to: Destination, message: &Message) {
        let mut document = Map::new();
        for (name, value) in &message.headers {
            let text = value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
            let before = document.insert(name.clone(), text.into());
            assert!(
                before.is_none() || !name.starts_with("eddy."),
                "`{name}` stands there twice"
            );
        }
        conforms(&self.headers[to as usize], &Value::Object(document));
    }
}

/// Without the frame of a schema registry: a zero and the four bytes of a schema's number.
fn unframed(value: &[u8]) -> &[u8] {
    match value {
        [0, _, _, _, _, document @ ..] => document,
        plain => plain,
    }
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)))
}

fn conforms(validator: &Validator, document: &Value) {
    let wrong: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{document}: {wrong:#?}");
}
