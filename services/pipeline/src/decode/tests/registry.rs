//! What every registry format promises about schemas, whatever their language.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::*;
use crate::decode::schemas::SchemaKind;

/// A registry as a lane sees it: what it knows can be changed, and questions are counted.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    known: Mutex<HashMap<u32, Found>>,
    asked: Mutex<Vec<u32>>,
}

impl Shelf {
    pub(crate) fn of(kind: SchemaKind, schemas: &[(u32, &str)]) -> Arc<Self> {
        let shelf = Arc::new(Self::default());
        for (id, text) in schemas {
            shelf.put(kind, *id, text, &[]);
        }
        shelf
    }

    pub(crate) fn put(&self, kind: SchemaKind, id: u32, text: &str, references: &[(&str, &str)]) {
        let schema = WriterSchema {
            id,
            kind,
            text: text.to_owned(),
            references: references
                .iter()
                .map(|(name, text)| SchemaReference {
                    name: (*name).to_owned(),
                    text: (*text).to_owned(),
                })
                .collect(),
        };
        self.set(id, Found::Known(Arc::new(schema)));
    }

    fn set(&self, id: u32, found: Found) {
        self.known.lock().unwrap().insert(id, found);
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Schemas for Shelf {
    fn find(&self, id: u32) -> Found {
        self.asked.lock().unwrap().push(id);
        self.known.lock().unwrap().get(&id).cloned().unwrap_or(Found::Unknown)
    }
}

/// Whether two numbers are the same, but for the last bit: `serde_json`, which reads JSON in tests, rounds some that far off.
pub(crate) fn is_close(a: f64, b: f64) -> bool {
    a == b || a.to_bits().abs_diff(b.to_bits()) <= 1
}

/// A value in its frame.
pub(crate) fn framed(id: u32, payload: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), payload].concat()
}

impl Rig {
    pub(crate) fn with_schemas(mut self, shelf: &Arc<Shelf>) -> Self {
        self.decoder = self.decoder.with_schemas(shelf.clone());
        self
    }
}

const FILE: &str = "[events]\nformat = \"avro\"\n[fields.x]\ntype = \"float\"";
const X: &str = r#"{"type":"record","name":"E","fields":[{"name":"x","type":"double"}]}"#;

fn event(id: u32) -> Vec<u8> {
    framed(id, &2.5f64.to_le_bytes())
}

#[test]
fn without_a_registry_framed_events_wait_and_are_told_where_to_name_one() {
    let mut rig = rig(FILE);
    let event = event(7);
    let awaited = rig.decoder.prepare(&record(Some(&event), &[])).unwrap_err();
    assert_eq!(awaited.id, 7);
    assert!(awaited.why.contains("[registry]"), "{}", awaited.why);
}

#[test]
fn an_event_waits_until_its_schema_is_there_and_is_then_read() {
    let shelf = Shelf::of(SchemaKind::Avro, &[]);
    shelf.set(7, Found::Awaited("the registry does not answer".to_owned()));
    let mut rig = rig(FILE).with_schemas(&shelf);
    let event = event(7);
    let awaited = rig.decoder.prepare(&record(Some(&event), &[])).unwrap_err();
    assert_eq!(
        (awaited.why.as_str(), awaited.is_there),
        ("the registry does not answer", false)
    );
    assert!(rig.decoder.ready(7).is_err());
    shelf.put(SchemaKind::Avro, 7, X, &[]);
    rig.decoder.ready(7).unwrap();
    rig.decoder.prepare(&record(Some(&event), &[])).unwrap();
    assert_eq!(rig.decode(&event), Ok(vec![2.5]));
}

#[test]
fn the_registry_is_asked_once_for_each_schema_that_it_has() {
    let shelf = Shelf::of(SchemaKind::Avro, &[(1, X), (2, X)]);
    let mut rig = rig(FILE).with_schemas(&shelf);
    for id in [1, 2, 1, 2, 2, 1] {
        rig.decoder.prepare(&record(Some(&event(id)), &[])).unwrap();
        assert_eq!(rig.decode(event(id)), Ok(vec![2.5]));
    }
    assert_eq!(shelf.asked(), 2);
}

#[test]
fn what_the_registry_does_not_have_is_a_dead_letter_until_it_has_it() {
    let shelf = Shelf::of(SchemaKind::Avro, &[]);
    let mut rig = rig(FILE).with_schemas(&shelf);
    rig.decoder.prepare(&record(Some(&event(9)), &[])).unwrap();
    let rejection = rig.decode(event(9)).unwrap_err();
    assert_eq!(rejection.reason, Reason::UnknownSchema);
    assert!(rejection.detail.contains("schema 9"), "{rejection}");
    shelf.put(SchemaKind::Avro, 9, X, &[]);
    assert_eq!(rig.decode(event(9)), Ok(vec![2.5]));
}

#[test]
fn a_schema_of_another_language_says_which_format_to_write() {
    let shelf = Shelf::of(SchemaKind::Protobuf, &[(1, "message E {}")]);
    let rejection = rig(FILE).with_schemas(&shelf).decode(event(1)).unwrap_err();
    assert_eq!(rejection.reason, Reason::UnknownSchema);
    assert!(
        rejection.detail.contains("`events.format = \"protobuf\"`"),
        "{rejection}"
    );
}

#[test]
fn more_schemas_than_are_kept_are_read_all_the_same() {
    let schemas: Vec<(u32, &str)> = (0..10).map(|id| (id, X)).collect();
    let shelf = Shelf::of(SchemaKind::Avro, &schemas);
    let mut rig = rig(&format!("[limits]\nschemas = 3\n{FILE}")).with_schemas(&shelf);
    for id in (0..10).chain(0..10) {
        assert_eq!(rig.decode(event(id)), Ok(vec![2.5]));
    }
}

#[test]
fn a_schema_whose_text_is_too_long_is_refused_with_its_references() {
    let shelf = Shelf::of(SchemaKind::Avro, &[]);
    let mut rig = rig(&format!("[limits]\nschema_bytes = 200\n{FILE}")).with_schemas(&shelf);
    shelf.put(SchemaKind::Avro, 1, X, &[("a", &" ".repeat(200))]);
    let rejection = rig.decode(event(1)).unwrap_err();
    assert_eq!(rejection.reason, Reason::UnknownSchema);
    assert!(rejection.detail.contains("limits.schema_bytes"), "{rejection}");
}

#[test]
fn plain_json_met_by_a_registry_format_is_named() {
    let rejection = rig(FILE).decode(r#"{"x":1}"#).unwrap_err();
    assert_eq!(rejection.reason, Reason::Malformed);
    assert!(rejection.detail.contains("plain JSON"), "{rejection}");
}

#[test]
fn unknown_fields_are_the_business_of_the_schema() {
    let file = "[events]\nformat = \"avro\"\nunknown_fields = \"reject\"\n[fields.x]\ntype = \"float\"";
    let problems = compile(file, &[spec("x", DType::Float64, &[0])], &[]).unwrap_err();
    assert_eq!(problems[0].key, "events.unknown_fields");
    assert!(problems[0].message.contains("evolution"), "{}", problems[0].message);
}

#[test]
fn evolution_is_only_for_formats_with_schemas() {
    let file = "[events]\nevolution = { unknown_field = \"reject\" }\n[fields.x]\ntype = \"float\"";
    let problems = compile(file, &[spec("x", DType::Float64, &[0])], &[]).unwrap_err();
    assert_eq!(problems[0].key, "events.evolution");
}
