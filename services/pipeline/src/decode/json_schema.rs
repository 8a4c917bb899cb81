//! JSON events in the framing of a schema registry: the frame, then what [`json`](super::json) reads.
//!
//! Owns: the outline of a JSON Schema, by which it is compared with the pipeline file. Never does: validate events against
//! the schema, as the reference deserializers do not either unless they are told to; the fields' own rules hold.
//!
//! Of a schema are looked at: `type`, `enum`, `const`, `properties`, `additionalProperties`, `items`, `prefixItems`, `anyOf`,
//! `oneOf`, `allOf`, and `$ref` to a pointer within the schema or to one that it refers to.

use std::collections::HashMap;

use serde_json::Value;

use super::Captured;
use super::format::{Event, Format, Sources};
use super::framing::FRAME;
use super::json::Json;
use super::outline::{Look, LookId, Outline, Sort};
use super::registry::{self, Framed, Language, Part};
use super::schemas::{SchemaKind, WriterSchema};
use super::trie::Trie;
use crate::rejection::Rejection;
use crate::settings::Problem;

/// Most places of an outline, which only a schema made to be large has.
const MOST: usize = 1 << 18;

#[derive(Debug)]
struct Documents {
    json: Json,
}

/// A schema with what it refers to, by name.
#[derive(Debug)]
pub(crate) struct Parsed {
    whole: Value,
    references: HashMap<String, Value>,
}

pub(crate) fn compile(sources: &Sources<'_>) -> Result<Box<dyn Format>, Vec<Problem>> {
    let json = Json::new(registry::trie(sources)?, sources);
    Ok(Box::new(Framed::new(Documents { json }, sources)))
}

impl Language for Documents {
    const KIND: SchemaKind = SchemaKind::Json;
    type Source = Parsed;
    type Plan = ();

    fn trie(&self) -> &Trie {
        self.json.trie()
    }

    fn parse(&self, schema: &WriterSchema) -> Result<Parsed, String> {
        let whole = serde_json::from_str(&schema.text).map_err(|error| format!("it is not JSON: {error}"))?;
        let mut references = HashMap::new();
        for reference in &schema.references {
            let parsed = serde_json::from_str(&reference.text);
            let parsed =
                parsed.map_err(|error| format!("`{}`, which it refers to, is not JSON: {error}", reference.name))?;
            references.insert(reference.name.clone(), parsed);
        }
        Ok(Parsed { whole, references })
    }

    fn compile(&self, source: &Parsed, _: Part) -> Result<((), Outline), String> {
        Ok(((), outline(source)?))
    }

    fn read(&mut self, (): &(), value: &[u8], event: &mut Event<'_>) -> Result<(), Rejection> {
        self.json.read_behind(FRAME, value, event)
    }

    fn salvage(&mut self, (): &(), value: &[u8], captured: &mut Captured) {
        self.json.salvage_from(value.get(FRAME..).unwrap_or_default(), captured);
    }
}

/// Where a part of a schema stands: in which document, and by which address, since parts have no other name.
type Key<'a> = (usize, *const Value, std::marker::PhantomData<&'a Value>);

struct Builder<'a> {
    /// The schema itself, then those that it refers to.
    documents: Vec<(&'a str, &'a Value)>,
    looks: Vec<Look>,
    known: HashMap<Key<'a>, LookId>,
    open: Vec<(LookId, usize, &'a Value)>,
}

fn outline(parsed: &Parsed) -> Result<Outline, String> {
    let references = parsed.references.iter().map(|(name, value)| (name.as_str(), value));
    let mut builder = Builder {
        documents: [("", &parsed.whole)].into_iter().chain(references).collect(),
        looks: Vec::new(),
        known: HashMap::new(),
        open: Vec::new(),
    };
    let root = builder.look(0, &parsed.whole);
    while let Some((id, document, schema)) = builder.open.pop() {
        let look = builder.of(document, schema);
        builder.looks[id as usize] = look;
        if builder.looks.len() > MOST {
            return Err(format!("it has more than {MOST} parts"));
        }
    }
    Ok(Outline {
        looks: builder.looks,
        root,
    })
}

impl<'a> Builder<'a> {
    fn push(&mut self, look: Look) -> LookId {
        self.looks.push(look);
        (self.looks.len() - 1) as LookId
    }

    fn look(&mut self, document: usize, schema: &'a Value) -> LookId {
        let key = (document, std::ptr::from_ref(schema), std::marker::PhantomData);
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let id = self.push(Look::Anything);
        self.known.insert(key, id);
        self.open.push((id, document, schema));
        id
    }

    /// The part that a `$ref` names.
    fn target(&self, document: usize, reference: &str) -> Option<(usize, &'a Value)> {
        let (name, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let document = if name.is_empty() {
            document
        } else {
            let is_named = |(known, _): &(&str, &Value)| {
                *known == name || known.trim_start_matches("./") == name.trim_start_matches("./")
            };
            self.documents.iter().position(is_named)?
        };
        let whole = self.documents[document].1;
        whole.pointer(pointer).map(|found| (document, found))
    }

    fn of(&mut self, document: usize, schema: &'a Value) -> Look {
        let Some(members) = schema.as_object() else {
            return Look::Anything;
        };
        let mut either = Vec::new();
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            match self.target(document, reference) {
                Some((document, target)) => either.push(self.look(document, target)),
                None => return Look::Anything,
            }
        }
        for word in ["anyOf", "oneOf", "allOf"] {
            for branch in members.get(word).and_then(Value::as_array).into_iter().flatten() {
                either.push(self.look(document, branch));
            }
        }
        let types: Vec<&str> = match members.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let says = |word: &str| members.contains_key(word);
        let has_object = types.contains(&"object") || (types.is_empty() && says("properties"));
        let has_list = types.contains(&"array") || (types.is_empty() && (says("items") || says("prefixItems")));
        if has_object {
            let look = self.object(document, members);
            either.push(self.push(look));
        }
        if has_list {
            let item = members.get("items").or_else(|| members.get("prefixItems"));
            let look = match item {
                Some(item @ Value::Object(_)) => Look::List(self.look(document, item)),
                _ => Look::List(self.push(Look::Anything)),
            };
            either.push(self.push(look));
        }
        for sort in types.iter().filter_map(|word| sort_of(word)) {
            either.push(self.push(Look::Leaf(sort)));
        }
        if types.is_empty() {
            let values = members.get("enum").and_then(Value::as_array).into_iter().flatten();
            for value in values.chain(members.get("const")) {
                let look = match value {
                    Value::Null => Look::Leaf(Sort::Null),
                    Value::Bool(_) => Look::Leaf(Sort::Boolean),
                    Value::Number(number) if number.is_f64() => Look::Leaf(Sort::Float),
                    Value::Number(_) => Look::Leaf(Sort::Integer),
                    Value::String(_) => Look::Leaf(Sort::Text),
                    Value::Array(_) | Value::Object(_) => Look::Anything,
                };
                either.push(self.push(look));
            }
        }
        match either.as_slice() {
            [] => Look::Anything,
            _ => Look::Either(either),
        }
    }

    fn object(&mut self, document: usize, members: &'a serde_json::Map<String, Value>) -> Look {
        let properties = members.get("properties").and_then(Value::as_object);
        if let (None, Some(more @ Value::Object(_))) = (properties, members.get("additionalProperties")) {
            return Look::Map(self.look(document, more));
        }
        match properties {
            None => Look::Anything,
            Some(properties) => Look::Object(
                properties
                    .iter()
                    .map(|(name, schema)| (name.as_str().into(), self.look(document, schema)))
                    .collect(),
            ),
        }
    }
}

fn sort_of(word: &str) -> Option<Sort> {
    match word {
        "null" => Some(Sort::Null),
        "boolean" => Some(Sort::Boolean),
        "integer" => Some(Sort::Integer),
        "number" => Some(Sort::Float),
        "string" => Some(Sort::Text),
        _ => None,
    }
}
