//! What JSON events in a registry's framing promise beyond those without.

use super::registry::{Shelf, framed};
use super::*;
use crate::decode::schemas::SchemaKind;

fn rig_for(file: &str, schema: &str) -> Rig {
    rig(&format!("[events]\nformat = \"json_schema\"\n{file}"))
        .with_schemas(&Shelf::of(SchemaKind::Json, &[(1, schema)]))
}

#[test]
fn the_document_behind_the_frame_is_read_as_json_is() {
    let mut rig = rig_for("id_field = \"/id\"\n[fields.x]\ntype = \"float\"", "{}");
    assert_eq!(rig.decode(framed(1, br#"{"x":1.5,"id":"a"}"#)), Ok(vec![1.5]));
    assert_eq!(rig.captured.id.as_deref(), Some("a"));
}

#[test]
fn bytes_are_counted_from_the_start_of_the_value() {
    let mut rig = rig_for("id_field = \"/id\"\n[fields.x]\ntype = \"float\"", "{}");
    let rejection = rig.decode(framed(1, br#"{"x":true,"id":7}"#)).unwrap_err();
    assert!(rejection.detail.ends_with("at byte 13"), "{rejection}");
    assert_eq!(rig.captured.id.as_deref(), Some("7"));
}

#[test]
fn a_schema_that_is_no_json_is_unknown() {
    let rejection = rig_for("[fields.x]\ntype = \"float\"", "{")
        .decode(framed(1, b"{}"))
        .unwrap_err();
    assert_eq!(rejection.reason, Reason::UnknownSchema);
}

#[test]
fn a_document_without_its_frame_is_named() {
    let rejection = rig_for("[fields.x]\ntype = \"float\"", "{}")
        .decode(r#"{"x":1}"#)
        .unwrap_err();
    assert_eq!(rejection.reason, Reason::Malformed);
    assert!(rejection.detail.contains("plain JSON"), "{rejection}");
}

#[test]
fn what_is_no_document_behind_the_frame_is_told_apart() {
    let mut rig = rig_for("[fields.x]\ntype = \"float\"", "{}");
    let twice = framed(1, &framed(1, b"{}"));
    for (event, reason, words) in [
        (
            framed(1, b""),
            Reason::Malformed,
            "what follows the number of the schema is empty",
        ),
        (twice, Reason::Framed, "framed for a schema registry twice"),
        (framed(1, b"{\"x\":\"\xff\"}"), Reason::Malformed, "from byte 11 on"),
    ] {
        let rejection = rig.decode(event).unwrap_err();
        assert_eq!(rejection.reason, reason, "{rejection}");
        assert!(rejection.detail.contains(words), "{rejection}");
    }
}
