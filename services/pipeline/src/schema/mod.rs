//! JSON schemas (2020-12) of what Eddy writes: the value of a prediction, and the headers of each output.
//!
//! Owns: what readers may rely on, in the words that their tools understand.
//! Never does: say more than the format number promises. The schemas are open, because readers ignore members that they
//! do not know: a later release of the same format may add some.
//!
//! Invariant: whatever [`crate::render`] writes, and whatever headers are put on an output, conforms. Closed sets come from
//! the types that are written, members of heads from the [heads](crate::head::Head::members); tests hold the rest.

mod headers;
mod prediction;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

pub use self::headers::headers;
pub use self::prediction::prediction;
use crate::head::{Content, Head, Member};
use crate::select::Arm;
use crate::signal::{Range, Signal};

/// The dialect.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The pipeline whose outputs are described. Versions and digests of models are left open, so that a model can be
/// replaced without a new schema.
#[derive(Debug, Clone)]
pub struct Pipeline<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its models in the order of the file.
    pub models: Vec<ModelOutput<'a>>,
    /// Names of the members that are passed through.
    pub passed_through: Vec<String>,
}

/// A model of it.
#[derive(Debug, Clone, Copy)]
pub struct ModelOutput<'a> {
    /// Its name.
    pub name: &'a str,
    /// What makes predictions of its outputs.
    pub head: &'a dyn Head,
}

/// The same schema without its openness: an object has no members but those that are named, and of headers none begins with
/// `eddy.` but those. For whoever tests what this release writes; readers must not be as strict.
#[must_use]
pub fn closed(mut schema: Value) -> Value {
    close(&mut schema);
    schema
}

fn close(schema: &mut Value) {
    let Value::Object(keywords) = schema else {
        return;
    };
    let names: Option<Vec<String>> = keywords
        .get("properties")
        .and_then(Value::as_object)
        .map(|properties| properties.keys().cloned().collect());
    // Parts that only compare members have no type; they are about an object that another part closes.
    if let Some(names) = names.filter(|_| keywords.get("type") == Some(&"object".into())) {
        let are_headers = names.iter().any(|name| name.starts_with("eddy."));
        match are_headers {
            true => {
                let others = json!({ "not": { "pattern": r"^eddy\." } });
                keywords.insert("propertyNames".into(), json!({ "anyOf": [{ "enum": names }, others] }));
            }
            false => {
                keywords.insert("additionalProperties".into(), false.into());
            }
        }
    }
    for (_, part) in keywords.iter_mut() {
        match part {
            Value::Array(parts) => parts.iter_mut().for_each(close),
            part => close(part),
        }
    }
}

/// An object with these members, of which it needs some. Others may be there.
fn object(members: Vec<(&str, bool, Value)>) -> Value {
    let required: Vec<&str> = members
        .iter()
        .filter(|(_, is_required, _)| *is_required)
        .map(|(name, ..)| *name)
        .collect();
    let properties: Map<String, Value> = members
        .into_iter()
        .map(|(name, _, schema)| (name.to_owned(), schema))
        .collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

/// The schema with a description in front.
fn described(about: &str, mut schema: Value) -> Value {
    let mut whole = json!({ "description": about });
    if let (Value::Object(whole), Value::Object(schema)) = (&mut whole, &mut schema) {
        whole.append(schema);
    }
    whole
}

/// A schema that stands by itself.
fn whole(title: String, about: &str, mut schema: Value) -> Value {
    let mut whole = json!({ "$schema": DIALECT, "title": title, "description": about });
    if let (Value::Object(whole), Value::Object(schema)) = (&mut whole, &mut schema) {
        whole.append(schema);
    }
    whole
}

/// One of these words.
fn one_of(words: impl IntoIterator<Item = impl Into<String>>) -> Value {
    let words: Vec<String> = words.into_iter().map(Into::into).collect();
    json!({ "type": "string", "enum": words })
}

/// A number from 0 to 1.
fn probability() -> Value {
    json!({ "type": "number", "minimum": 0, "maximum": 1 })
}

/// A list of so many of these; of any number where it is not known.
fn list(items: &Value, count: Option<usize>) -> Value {
    match count {
        Some(count) => json!({ "type": "array", "items": items, "minItems": count, "maxItems": count }),
        None => json!({ "type": "array", "items": items }),
    }
}

/// Arms that selected an event.
fn arms() -> Value {
    json!({ "type": "array", "items": one_of(Arm::ALL.map(Arm::as_str)), "uniqueItems": true })
}

/// A number for each signal that was measured.
fn signals() -> Value {
    let members = Signal::ALL.map(|signal| {
        let schema = match signal.range() {
            Range::Unit => probability(),
            Range::Open => json!({ "type": "number" }),
        };
        (signal.as_str(), false, schema)
    });
    object(members.into())
}

/// The members that a head writes.
fn of_head(members: &[Member]) -> Vec<(&'static str, bool, Value)> {
    let schema = |member: &Member| {
        let schema = described(member.about, content(&member.content));
        (member.name, member.is_required, schema)
    };
    members.iter().map(schema).collect()
}

fn content(content: &Content) -> Value {
    let word = |names: &[String]| match names {
        [] => json!({ "type": "string" }),
        names => one_of(names),
    };
    let number = json!({ "type": "number" });
    match content {
        Content::Class(names) => word(names),
        Content::Labels(names) => json!({ "type": "array", "items": word(names), "uniqueItems": true }),
        Content::Probability => probability(),
        Content::Probabilities(count) => list(&probability(), *count),
        Content::Number | Content::NumberOrNumbers(Some(1)) => number,
        Content::Numbers(count) | Content::NumberOrNumbers(count @ Some(_)) => list(&number, *count),
        Content::NumberOrNumbers(None) => json!({ "anyOf": [number.clone(), list(&number, None)] }),
    }
}
