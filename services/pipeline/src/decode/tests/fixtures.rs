//! Bytes that the reference serializers wrote, against what the reference deserializers make of them
//! (`tests/fixtures/registry`).
//!
//! Each event is read twice: as a whole, passed through, and each of its values as a field of its own.
#![expect(clippy::disallowed_methods, reason = "fixtures are files")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::registry::{Shelf, is_close};
use super::*;
use crate::decode::schemas::SchemaKind;

/// A file of fixtures.
#[derive(Debug, Deserialize)]
struct Book {
    kind: EventFormat,
    schemas: Vec<Written>,
    events: Vec<Known>,
}

#[derive(Debug, Deserialize)]
struct Written {
    id: u32,
    text: String,
    references: Vec<Named>,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
    text: String,
}

#[derive(Debug, Deserialize)]
struct Known {
    name: String,
    bytes: String,
    value: Value,
}

fn books() -> Vec<Book> {
    ["avro-python", "avro-java", "protobuf-python", "json-python"]
        .map(|name| {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/registry");
            let text = std::fs::read_to_string(format!("{folder}/{name}.json")).unwrap();
            serde_json::from_str(&text).unwrap()
        })
        .into()
}

impl Book {
    fn shelf(&self) -> Arc<Shelf> {
        let kind = match self.kind {
            EventFormat::Avro => SchemaKind::Avro,
            EventFormat::Protobuf => SchemaKind::Protobuf,
            _ => SchemaKind::Json,
        };
        let shelf = Shelf::of(kind, &[]);
        for schema in &self.schemas {
            let references: Vec<(&str, &str)> = schema
                .references
                .iter()
                .map(|reference| (reference.name.as_str(), reference.text.as_str()))
                .collect();
            shelf.put(kind, schema.id, &schema.text, &references);
        }
        shelf
    }

    fn rig(&self, file: &str, fields: &[(&str, &[&str])]) -> Rig {
        let format = self.kind.as_str();
        let file = format!("[events]\nformat = \"{format}\"\n{file}");
        let specs = [
            spec("numbers", DType::Float64, &[0]),
            spec("texts", DType::String, &[0]),
        ];
        let decoder = compile(&file, &specs, fields).unwrap_or_else(|problems| panic!("{problems:?}\n{file}"));
        let inputs = vec![Inputs::with_capacity(decoder.resolved_inputs("m"), 3)];
        Rig {
            decoder,
            inputs,
            captured: Captured::default(),
        }
        .with_schemas(&self.shelf())
    }

    /// Whether a text is how the reference writes a 64-bit integer, which Eddy keeps a number.
    fn is_integer(&self, text: &str) -> bool {
        self.kind == EventFormat::Protobuf && text.parse::<i128>().is_ok()
    }

    fn is_same(&self, ours: &Value, theirs: &Value) -> bool {
        match (ours, theirs) {
            (Value::Object(a), Value::Object(b)) => {
                a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| self.is_same(a, b)))
            }
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.is_same(a, b))
            }
            (Value::Number(a), Value::String(b)) => self.is_integer(b) && a.to_string() == *b,
            (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => a == b,
                _ => a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| is_close(a, b)),
            },
            (a, b) => a == b,
        }
    }
}

impl Known {
    fn bytes(&self) -> Vec<u8> {
        STANDARD.decode(&self.bytes).unwrap()
    }
}

/// Every value without parts, with its pointer.
fn leaves<'a>(value: &'a Value, pointer: &str, found: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                leaves(member, &format!("{pointer}/{name}"), found);
            }
        }
        Value::Array(elements) => {
            for (at, element) in elements.iter().enumerate() {
                leaves(element, &format!("{pointer}/{at}"), found);
            }
        }
        Value::Null => {}
        leaf => found.push((pointer.to_owned(), leaf)),
    }
}

#[test]
fn a_whole_event_is_what_the_reference_deserializer_makes_of_it() {
    for book in books() {
        let file = "pass_through = [\"\"]\n[fields.x]\ntype = \"float\"\npointer = \"/nowhere\"\ndefault = 0\n[fields.t]\ntype = \"string\"\npointer = \"/nowhere\"\ndefault = \"\"";
        let mut rig = book.rig(file, &[("numbers", &["x"]), ("texts", &["t"])]);
        for event in &book.events {
            rig.decode(event.bytes())
                .unwrap_or_else(|rejection| panic!("{}: {rejection}", event.name));
            let text = format!("{{{}}}", String::from_utf8(rig.captured.fields.clone()).unwrap());
            let ours: Value = serde_json::from_str(&text).unwrap();
            assert!(
                book.is_same(&ours["event"], &event.value),
                "{}\nours   {}\ntheirs {}",
                event.name,
                ours["event"],
                event.value
            );
        }
    }
}

#[test]
fn every_value_as_a_field_is_what_the_reference_deserializer_makes_of_it() {
    let mut compared = 0;
    for book in books() {
        for event in &book.events {
            let mut found = Vec::new();
            leaves(&event.value, "", &mut found);
            // Fields of text take no bytes, and numbers that are none need a field that allows them.
            found.retain(|(pointer, leaf)| {
                !pointer.contains("bytes") && !matches!(leaf.as_str(), Some("NaN" | "Infinity" | "-Infinity"))
            });
            let mut file = "[fields.no_number]\ntype = \"float\"\ndefault = 0\n[fields.no_text]\ntype = \"string\"\ndefault = \"\"\n".to_owned();
            let (mut numbers, mut texts) = (vec!["no_number".to_owned()], vec!["no_text".to_owned()]);
            let (mut their_numbers, mut their_texts) = (vec![0.0], vec![String::new()]);
            for (at, (pointer, leaf)) in found.iter().enumerate() {
                let (kind, name) = match leaf {
                    Value::String(text) if !book.is_integer(text) => {
                        their_texts.push(text.clone());
                        texts.push(format!("f{at}"));
                        ("string", texts.last())
                    }
                    leaf => {
                        let number = leaf.as_f64().or_else(|| leaf.as_str()?.parse().ok());
                        their_numbers.push(number.unwrap_or_else(|| f64::from(leaf == &&Value::Bool(true))));
                        numbers.push(format!("f{at}"));
                        ("float\"\nzero_one = true #", numbers.last())
                    }
                };
                let name = name.expect("it was pushed");
                file.push_str(&format!("[fields.{name}]\npointer = {pointer:?}\ntype = \"{kind}\"\n"));
            }
            let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let mut rig = book.rig(&file, &[("numbers", &numbers), ("texts", &texts)]);
            rig.decode(event.bytes())
                .unwrap_or_else(|rejection| panic!("{}: {rejection}", event.name));
            assert_eq!(rig.row(0).len(), their_numbers.len());
            for (at, (ours, theirs)) in rig.row(0).into_iter().zip(their_numbers).enumerate() {
                assert!(
                    is_close(ours, theirs),
                    "{}, {}: {ours:?} is not {theirs:?}",
                    event.name,
                    numbers[at]
                );
            }
            assert_eq!(rig.strings(1), their_texts, "{}: {texts:?}", event.name);
            compared += found.len();
        }
    }
    assert!(compared > 300, "only {compared} values were compared");
}

#[test]
fn a_schema_that_evolves_while_events_come_is_read_by_its_own_plan() {
    let books = books();
    let book = &books[0];
    let file = "[fields.amount]\ntype = \"float\"\n[fields.id]\ntype = \"string\"\n[fields.note]\ntype = \"string\"\ndefault = \"none\"";
    let mut rig = book.rig(file, &[("numbers", &["amount"]), ("texts", &["id", "note"])]);
    let mut read = |name: &str| {
        let event = book.events.iter().find(|event| event.name == name).unwrap();
        rig.decode(event.bytes()).unwrap();
        (rig.row(0), rig.strings(1))
    };
    for _ in 0..2 {
        assert_eq!(
            read("before it evolved"),
            (vec![7.0], vec!["a".to_owned(), "none".to_owned()])
        );
        assert_eq!(
            read("after it evolved"),
            (vec![7.5], vec!["a".to_owned(), "more".to_owned()])
        );
    }
}
