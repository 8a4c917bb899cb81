//! What is found out about a schema that does not fit the pipeline file, in every language, and what is done about it.

use super::registry::{Shelf, framed};
use super::*;
use crate::decode::schemas::SchemaKind;

const FIELDS: &str = r#"
    [fields.x]
    type = "float"
    [fields.n]
    type = "integer"
    pointer = "/o/n"
    default = 0
    [fields.v]
    type = "vector"
    length = 1
    default = 0
"#;

/// The same two schemas in each language: one that fits, and one with an unknown member within and without, another type,
/// and two members missing.
const LANGUAGES: [(&str, SchemaKind, &str, &str); 3] = [
    (
        "avro",
        SchemaKind::Avro,
        r#"{"type":"record","name":"E","fields":[{"name":"x","type":["null","double"]},
            {"name":"o","type":{"type":"record","name":"O","fields":[{"name":"n","type":"int"}]}},
            {"name":"v","type":{"type":"array","items":"float"}}]}"#,
        r#"{"type":"record","name":"E","fields":[{"name":"x","type":["null","double","string"]},
            {"name":"o","type":{"type":"record","name":"O","fields":[{"name":"m","type":"int"}]}},
            {"name":"w","type":"string"}]}"#,
    ),
    (
        "protobuf",
        SchemaKind::Protobuf,
        r#"syntax = "proto3"; message E { double x = 1; O o = 2; repeated float v = 3; message O { int32 n = 1; } }"#,
        r#"syntax = "proto3"; message E { string x = 1; O o = 2; string w = 4; message O { int32 m = 1; } }"#,
    ),
    (
        "json_schema",
        SchemaKind::Json,
        r##"{"type":"object","properties":{"x":{"type":"number"},"o":{"$ref":"#/definitions/O"},
            "v":{"type":"array","items":{"type":"number"}}},
            "definitions":{"O":{"type":"object","properties":{"n":{"type":["integer","null"]}}}}}"##,
        r#"{"type":"object","properties":{"x":{"anyOf":[{"type":"number"},{"type":"string"}]},
            "o":{"properties":{"m":{"type":"integer"}}},"w":{}}}"#,
    ),
];

/// A decoder of a language that was asked to get ready for an event of its schema.
fn met(format: &str, kind: SchemaKind, schema: &str, evolution: &str) -> (Rig, Result<(), Awaited>, Vec<u8>) {
    let file = format!("[events]\nformat = \"{format}\"\nevolution = {{ {evolution} }}\n{FIELDS}");
    let mut rig = rig(&file).with_schemas(&Shelf::of(kind, &[(4, schema)]));
    let event = framed(4, b"\0");
    let ready = rig.decoder.prepare(&record(Some(&event), &[]));
    (rig, ready, event)
}

#[test]
fn a_schema_that_fits_has_no_findings() {
    for (format, kind, fits, _) in LANGUAGES {
        let pause = "unknown_field = \"pause\", missing_field = \"pause\", changed_type = \"pause\"";
        let (mut rig, ready, _) = met(format, kind, fits, pause);
        let new = rig.decoder.take_new_schemas();
        assert_eq!(ready, Ok(()), "{format}: {new:?}");
        assert_eq!((new.len(), new[0].id, new[0].findings.len()), (1, 4, 0), "{format}");
        assert!(rig.decoder.take_new_schemas().is_empty(), "{format}: it is told once");
    }
}

/// Each way through it would be one of eight, twenty times over.
#[test]
fn a_schema_that_comes_back_to_itself_by_many_ways_is_looked_at_once_in_each_place() {
    let branch = |n: usize| format!(r##"{{"properties":{{"a":{{"$ref":"#"}},"b{n}":{{"type":"string"}}}}}}"##);
    let branches: Vec<String> = (0..8).map(branch).collect();
    let schema = format!(r#"{{"anyOf":[{}]}}"#, branches.join(","));
    let file = format!(
        "[events]\nformat = \"json_schema\"\n[fields.x]\ntype = \"float\"\npointer = \"{}\"",
        "/a".repeat(20)
    );
    let mut rig = rig(&file).with_schemas(&Shelf::of(SchemaKind::Json, &[(4, &schema)]));
    let event = framed(4, b"{}");
    assert_eq!(rig.decoder.prepare(&record(Some(&event), &[])), Ok(()));
    let new = rig.decoder.take_new_schemas();
    assert_eq!(new[0].count(Change::UnknownField), 20 * 8);
    assert_eq!(new[0].count(Change::ChangedType), 1);
}

#[test]
fn what_does_not_fit_is_found_by_place_and_kind() {
    for (format, kind, _, differs) in LANGUAGES {
        let (mut rig, ready, _) = met(format, kind, differs, "");
        assert_eq!(ready, Ok(()), "{format}");
        let new = rig.decoder.take_new_schemas();
        let mut found: Vec<(Change, &str)> = new[0].findings.iter().map(|f| (f.change, f.place.as_str())).collect();
        found.sort_by_key(|(_, place)| *place);
        let expected = [
            (Change::UnknownField, "/o/m"),
            (Change::MissingField, "/o/n"),
            (Change::MissingField, "/v"),
            (Change::UnknownField, "/w"),
            (Change::ChangedType, "/x"),
        ];
        assert_eq!(found, expected, "{format}");
        assert_eq!(new[0].count(Change::MissingField), 2, "{format}");
        assert_eq!(new[0].rule, EvolutionRule::Accept);
    }
}

#[test]
fn members_that_nothing_names_hide_no_other_change_however_many_there_are() {
    let unnamed: Vec<String> = (0..300).map(|n| format!(r#"{{"name":"u{n}","type":"int"}}"#)).collect();
    let schema = format!(
        r#"{{"type":"record","name":"E","fields":[{},{{"name":"x","type":"string"}},
            {{"name":"v","type":{{"type":"array","items":"float"}}}}]}}"#,
        unnamed.join(",")
    );
    for (evolution, place) in [
        ("missing_field = \"pause\"", "`/o/n`"),
        ("changed_type = \"pause\"", "`/x`"),
    ] {
        let (mut rig, ready, _) = met("avro", SchemaKind::Avro, &schema, evolution);
        let new = rig.decoder.take_new_schemas().remove(0);
        assert_eq!(new.rule, EvolutionRule::Pause, "{evolution}");
        let counts = Change::ALL.iter().map(|change| new.count(*change));
        assert_eq!(counts.collect::<Vec<_>>(), [256, 1, 1], "{evolution}");
        let told = new.to_string();
        assert!(told.starts_with(place), "the cause comes first: {told}");
        assert!(told.ends_with("and at least 255 more"), "{told}");
        let why = ready.expect_err("the stream waits").why;
        assert!(why.contains(place) && !why.contains("more"), "{why}");
    }
}

#[test]
fn a_refused_schema_makes_dead_letters_that_name_the_fields_and_types() {
    for (format, kind, _, differs) in LANGUAGES {
        let (mut rig, ready, event) = met(format, kind, differs, "changed_type = \"reject\"");
        assert_eq!(ready, Ok(()), "{format}");
        let rejection = rig.decode(event).unwrap_err();
        assert_eq!(rejection.reason, Reason::SchemaRefused, "{format}");
        for word in ["schema 4", "`/x`", "text", "float"] {
            assert!(rejection.detail.contains(word), "{format}: {rejection}");
        }
        assert!(
            !rejection.detail.contains("/w"),
            "what is accepted is not blamed: {rejection}"
        );
    }
}

#[test]
fn a_schema_to_pause_for_is_awaited_with_what_to_do() {
    for (format, kind, _, differs) in LANGUAGES {
        let (mut rig, ready, _) = met(
            format,
            kind,
            differs,
            "missing_field = \"pause\", changed_type = \"reject\"",
        );
        let awaited = ready.unwrap_err();
        assert_eq!((awaited.id, awaited.is_there), (4, true), "{format}");
        for word in ["schema 4", "`/v`", "vector", "`/o/n`", "events.evolution", "skip"] {
            assert!(awaited.why.contains(word), "{format}: {}", awaited.why);
        }
        assert_eq!(rig.decoder.ready(4), Err(awaited), "{format}: it keeps waiting");
    }
}

#[test]
fn a_recursive_schema_is_judged_as_deep_as_the_file_looks() {
    let schema = r#"{"type":"record","name":"E","fields":[{"name":"x","type":"int"},{"name":"o","type":["null","E"]},
        {"name":"n","type":"long"},{"name":"v","type":{"type":"array","items":"int"}}]}"#;
    let (mut rig, _, _) = met("avro", SchemaKind::Avro, schema, "");
    let new = rig.decoder.take_new_schemas();
    let mut places: Vec<&str> = new[0].findings.iter().map(|finding| finding.place.as_str()).collect();
    places.sort_unstable();
    assert_eq!(places, ["/n", "/o/o", "/o/v", "/o/x"]);
}

#[test]
fn types_that_a_field_reads_are_no_change() {
    let judge = |field: &str, member: &str| {
        let schema = format!(r#"{{"type":"record","name":"E","fields":[{{"name":"x","type":{member}}}]}}"#);
        let file = format!("[events]\nformat = \"avro\"\n[fields.x]\n{field}");
        let mut rig = rig(&file).with_schemas(&Shelf::of(SchemaKind::Avro, &[(4, &schema)]));
        rig.decoder.ready(4).unwrap();
        rig.decoder.prepare(&record(Some(&framed(4, b"")), &[])).unwrap();
        rig.decoder.take_new_schemas()[0].findings.len()
    };
    let time = r#"{"type":"long","logicalType":"timestamp-millis"}"#;
    let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}"#;
    for (field, fits, differs) in [
        ("type = \"float\"", "\"int\"", "\"string\""),
        ("type = \"float\"", decimal, "\"bytes\""),
        ("type = \"float\"\nparse_strings = true", "\"string\"", "\"boolean\""),
        ("type = \"float\"\nzero_one = true", "\"boolean\"", "\"string\""),
        ("type = \"integer\"", time, r#"{"type":"map","values":"int"}"#),
        ("type = \"boolean\"", "\"boolean\"", "\"int\""),
        ("type = \"boolean\"\nzero_one = true", "\"int\"", "\"string\""),
        ("type = \"category\"\ncategories = [\"a\"]", "\"long\"", "\"double\""),
        ("type = \"timestamp\"", time, "\"long\""),
        ("type = \"timestamp\"\nunit = \"s\"", "\"long\"", "\"bytes\""),
        (
            "type = \"vector\"\nlength = 1",
            r#"{"type":"array","items":["int","double"]}"#,
            r#"{"type":"array","items":"string"}"#,
        ),
        (
            "type = \"image\"\nimage = { width = 2, height = 2 }",
            "\"bytes\"",
            "\"int\"",
        ),
    ] {
        assert_eq!(judge(field, fits), 0, "{field} {fits}");
        assert_eq!(judge(field, differs), 1, "{field} {differs}");
    }
}
