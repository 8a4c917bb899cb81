//! What the Avro decoder promises, on bytes written by hand after Avro's specification.

use super::registry::{Shelf, framed};
use super::*;
use crate::decode::schemas::SchemaKind;

fn rig_for(file: &str, schema: &str) -> Rig {
    let file = if file.contains("[events]") {
        file.replace("[events]", "[events]\nformat = \"avro\"")
    } else {
        format!("[events]\nformat = \"avro\"\n{file}")
    };
    rig(&file).with_schemas(&Shelf::of(SchemaKind::Avro, &[(1, schema)]))
}

fn of(members: &str) -> String {
    format!(r#"{{"type":"record","name":"E","fields":[{members}]}}"#)
}

/// A field of this type at `/v`, and a writer's member `v` of that type.
fn one(field: &str, member: &str) -> Rig {
    let schema = of(&format!(r#"{{"name":"v","type":{member}}}"#));
    rig_for(&format!("[fields.v]\n{field}"), &schema)
}

fn float(member: &str) -> Rig {
    one("type = \"float\"\ndefault = \"nan\"", member)
}

#[test]
fn every_primitive_number_is_a_number() {
    assert_eq!(float("\"int\"").decode(framed(1, &[5])), Ok(vec![-3.0]));
    assert_eq!(float("\"long\"").decode(framed(1, &[0x80, 0x01])), Ok(vec![64.0]));
    assert_eq!(
        float("\"float\"").decode(framed(1, &0.5f32.to_le_bytes())),
        Ok(vec![0.5])
    );
    assert_eq!(
        float("\"double\"").decode(framed(1, &0.1f64.to_le_bytes())),
        Ok(vec![0.1])
    );
}

#[test]
fn a_union_is_the_value_of_its_branch_and_null_is_missing() {
    let mut rig = float(r#"["null","double","int"]"#);
    assert!(rig.decode(framed(1, &[0])).unwrap()[0].is_nan());
    assert_eq!(
        rig.decode(framed(1, &[&[2][..], &1.5f64.to_le_bytes()].concat())),
        Ok(vec![1.5])
    );
    assert_eq!(rig.decode(framed(1, &[4, 6])), Ok(vec![3.0]));
    assert_eq!(rig.reason(framed(1, &[6, 6])), Some(Reason::Malformed));
    let mut strict = one("type = \"float\"\nnull = \"reject\"", r#"["null","double"]"#);
    assert_eq!(strict.reason(framed(1, &[0])), Some(Reason::WrongType));
}

#[test]
fn what_a_pointer_names_is_found_in_records_maps_and_arrays() {
    let schema = of(r#"{"name":"skipped","type":"string"},
           {"name":"r","type":{"type":"record","name":"R","fields":[
               {"name":"m","type":{"type":"map","values":{"type":"array","items":"int"}}}]}}"#);
    let mut rig = rig_for(
        "[fields.b]\ntype = \"integer\"\npointer = \"/r/m/k/1\"\n[fields.c]\ntype = \"integer\"\npointer = \"/r/m/l/0\"\ndefault = -1",
        &schema,
    );
    // A map of one block with its size in bytes, then one without; arrays of two blocks.
    let event = framed(
        1,
        &[
            &b"\x04no"[..],
            &b"\x01\x0e\x02k\x02\x12\x02\x14\x00"[..],
            &b"\x02\x02x\x00"[..],
            &b"\x00"[..],
        ]
        .concat(),
    );
    assert_eq!(rig.decode(&event), Ok(vec![10.0, -1.0]));
    // The same, saying another size.
    let mut wrong = event.clone();
    wrong[9] = 0x10;
    assert_eq!(rig.reason(&wrong), Some(Reason::Malformed));
}

#[test]
fn a_key_that_the_file_names_must_not_stand_twice_in_a_map() {
    let schema = r#"{"type":"map","values":"int"}"#;
    let mut rig = rig_for("[fields.x]\ntype = \"integer\"", schema);
    assert_eq!(rig.decode(framed(1, b"\x04\x02x\x02\x02y\x04\x00")), Ok(vec![1.0]));
    assert_eq!(
        rig.decode(framed(1, b"\x06\x02x\x02\x02y\x04\x02y\x04\x00")),
        Ok(vec![1.0])
    );
    assert_eq!(
        rig.reason(framed(1, b"\x04\x02x\x02\x02x\x04\x00")),
        Some(Reason::DuplicateKey)
    );
}

#[test]
fn enums_are_texts_and_fixed_and_bytes_are_bytes() {
    let words = r#"{"type":"enum","name":"C","symbols":["red","green"]}"#;
    let mut category = one("type = \"category\"\ncategories = [\"green\", \"red\"]", words);
    assert_eq!(category.decode(framed(1, &[0])), Ok(vec![1.0]));
    assert_eq!(category.decode(framed(1, &[2])), Ok(vec![0.0]));
    assert_eq!(category.reason(framed(1, &[4])), Some(Reason::Malformed));
    assert_eq!(float("\"bytes\"").reason(framed(1, &[2, 1])), Some(Reason::WrongType));
    let fixed = r#"{"type":"fixed","name":"F","size":3}"#;
    assert_eq!(float(fixed).reason(framed(1, &[1, 2, 3])), Some(Reason::WrongType));
    assert_eq!(float(fixed).reason(framed(1, &[1, 2])), Some(Reason::Malformed));
}

#[test]
fn an_image_is_taken_as_bytes_beyond_the_limit_on_texts() {
    let png = include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../config/digits/events/digit-0162.png"
    ));
    let file = "[limits]\nstring_bytes = 8\n[fields.v]\ntype = \"image\"\nimage = { width = 5, height = 1, channels = \"grey\" }";
    let schema = of(r#"{"name":"v","type":"bytes"}"#);
    let length = png.len() as u64 * 2;
    let head = [
        (length & 0x7F | 0x80) as u8,
        (length >> 7 & 0x7F | 0x80) as u8,
        (length >> 14) as u8,
    ];
    let framed_event = framed(1, &[&head[..], png].concat());
    let from_avro = rig_for(file, &schema).decode(&framed_event).unwrap();
    let alone = "[events]\nformat = \"image\"\n[fields.v]\ntype = \"image\"\nimage = { width = 5, height = 1, channels = \"grey\" }";
    assert_eq!(from_avro, rig(alone).decode(png).unwrap());
}

#[test]
fn logical_times_are_instants_for_timestamps_and_raw_numbers_for_numbers() {
    let at = "type = \"timestamp\"";
    // 2001-09-09T01:46:40Z, 1e9 s; its zigzag varint by an independent computation.
    fn long(value: i64) -> Vec<u8> {
        let mut raw = ((value << 1) ^ (value >> 63)) as u64;
        let mut bytes = Vec::new();
        while raw >= 0x80 {
            bytes.push(raw as u8 | 0x80);
            raw >>= 7;
        }
        bytes.push(raw as u8);
        framed(1, &bytes)
    }
    let logical = |base: &str, name: &str| format!(r#"{{"type":"{base}","logicalType":"{name}"}}"#);
    for (name, raw) in [
        ("timestamp-millis", 1_000_000_000_000),
        ("timestamp-micros", 1_000_000_000_000_000),
        ("timestamp-nanos", 1_000_000_000_000_000_000),
        ("local-timestamp-millis", 1_000_000_000_000),
        ("local-timestamp-micros", 1_000_000_000_000_000),
        ("local-timestamp-nanos", 1_000_000_000_000_000_000),
    ] {
        assert_eq!(
            one(at, &logical("long", name)).decode(long(raw)),
            Ok(vec![1e9]),
            "{name}"
        );
        assert_eq!(
            float(&logical("long", name)).decode(long(raw)),
            Ok(vec![raw as f64]),
            "{name}"
        );
    }
    assert_eq!(
        one(at, &logical("int", "date")).decode(long(11_574)),
        Ok(vec![11_574.0 * 86_400.0])
    );
    assert_eq!(float(&logical("int", "date")).decode(long(11_574)), Ok(vec![11_574.0]));
    let time = logical("int", "time-millis");
    assert_eq!(one(at, &time).reason(long(45_000_500)), Some(Reason::WrongType));
    assert_eq!(float(&time).decode(long(45_000_500)), Ok(vec![45_000_500.0]));
    assert_eq!(float(&logical("long", "time-micros")).decode(long(7)), Ok(vec![7.0]));
    // A number without a meaning still needs a unit.
    assert_eq!(one(at, "\"long\"").reason(long(1)), Some(Reason::WrongType));
    assert_eq!(
        one("type = \"timestamp\"\nunit = \"s\"", "\"long\"").decode(long(5)),
        Ok(vec![5.0])
    );
    // What no calendar has is no time.
    assert_eq!(
        one(at, &logical("long", "timestamp-millis")).reason(long(i64::MAX)),
        Some(Reason::OutOfRange)
    );
}

#[test]
fn decimals_are_exact_for_texts_and_nearest_for_floats() {
    let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":20,"scale":2}"#;
    let event = framed(1, &[4, 0x04, 0xCE]);
    assert_eq!(float(decimal).decode(&event), Ok(vec![12.3]));
    let mut category = one("type = \"category\"\ncategories = [\"12.30\"]", decimal);
    assert_eq!(category.decode(&event), Ok(vec![0.0]));
    let fixed = r#"{"type":{"type":"fixed","name":"D","size":4},"logicalType":"decimal","precision":9,"scale":1}"#;
    let mut integer = one("type = \"integer\"", fixed);
    assert_eq!(integer.decode(framed(1, &[0xFF, 0xFF, 0xFF, 0xF6])), Ok(vec![-1.0]));
    assert_eq!(integer.reason(framed(1, &[0, 0, 0, 5])), Some(Reason::WrongType));
}

#[test]
fn uuids_are_texts_and_durations_have_three_parts() {
    let uuid = r#"{"type":{"type":"fixed","name":"U","size":16},"logicalType":"uuid"}"#;
    let schema = of(&format!(
        r#"{{"name":"u","type":{uuid}}},{{"name":"d","type":{{"type":{{"type":"fixed","name":"D","size":12}},"logicalType":"duration"}}}}"#
    ));
    let mut rig = rig_for(
        "[events]\nid_field = \"/u\"\n[fields.days]\ntype = \"integer\"\npointer = \"/d/days\"",
        &schema,
    );
    let uuid: Vec<u8> = (0..16).collect();
    let duration: Vec<u8> = [1u32, 70_000, 3].iter().flat_map(|part| part.to_le_bytes()).collect();
    assert_eq!(rig.decode(framed(1, &[uuid, duration].concat())), Ok(vec![70_000.0]));
    assert_eq!(rig.captured.id.as_deref(), Some("00010203-0405-0607-0809-0a0b0c0d0e0f"));
}

#[test]
fn members_are_passed_through_as_json() {
    let schema = of(r#"{"name":"x","type":"int"},
           {"name":"o","type":["null",{"type":"record","name":"O","fields":[
               {"name":"t","type":"string"},{"name":"b","type":"bytes"},{"name":"f","type":{"type":"array","items":"float"}},
               {"name":"m","type":{"type":"map","values":["null","boolean"]}},
               {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},
               {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}]}]}"#);
    let mut rig = rig_for(
        "[events]\npass_through = [\"/o\", \"/x\", \"/none\"]\n[fields.x]\ntype = \"integer\"",
        &schema,
    );
    let event = [
        &b"\x0e\x02\x06\"\xC3\xA9\x06\xFF\x00\x01\x04"[..],
        &0.5f32.to_le_bytes(),
        &f32::INFINITY.to_le_bytes(),
        &b"\x00\x04\x02a\x00\x02b\x02\x01\x00\x02\x04\x04\xCE"[..],
    ]
    .concat();
    rig.decode(framed(1, &event)).unwrap();
    let expected = r#""x":7,"o":{"t":"\"é","b":"/wAB","f":[0.5,"Infinity"],"m":{"a":null,"b":true},"at":"1970-01-01T00:00:00.000001Z","d":"12.30"}"#;
    assert_eq!(String::from_utf8_lossy(&rig.captured.fields), expected);
    rig.decode(framed(1, &[14, 0])).unwrap();
    assert_eq!(rig.captured.fields, br#""x":7,"o":null"#);
}

#[test]
fn an_id_is_found_in_an_event_that_is_refused_before_it() {
    let schema = of(r#"{"name":"x","type":"string"},{"name":"who","type":{"type":"map","values":"long"}}"#);
    let mut rig = rig_for(
        "[events]\nid_field = \"/who/id\"\n[limits]\nstring_bytes = 4\n[fields.x]\ntype = \"float\"",
        &schema,
    );
    let rejection = rig.decode(framed(1, b"\x0cseldom\x02\x04id\x0e\x00")).unwrap_err();
    assert_eq!(rejection.reason, Reason::LimitExceeded, "{rejection}");
    assert_eq!(rig.captured.id.as_deref(), Some("7"));
}

#[test]
fn a_schema_that_refers_to_itself_is_followed_as_deep_as_the_limit_allows() {
    let schema = of(r#"{"name":"x","type":"int"},{"name":"next","type":["null","E"]}"#);
    let mut rig = rig_for(
        "[limits]\ndepth = 5\n[fields.x]\ntype = \"integer\"\npointer = \"/next/next/x\"\ndefault = 0",
        &schema,
    );
    assert_eq!(rig.decode(framed(1, &[2, 2, 4, 2, 6, 0])), Ok(vec![3.0]));
    assert_eq!(rig.decode(framed(1, &[2, 0])), Ok(vec![0.0]));
    let deep = |levels: usize| framed(1, &[[2, 2].repeat(levels), vec![2, 0]].concat());
    assert!(rig.decode(deep(4)).is_ok());
    assert_eq!(rig.reason(deep(5)), Some(Reason::LimitExceeded));
    // A record of itself has no end, and no bytes.
    let endless = of(r#"{"name":"next","type":"E"}"#);
    let mut rig = rig_for("[fields.x]\ntype = \"integer\"\ndefault = 0", &endless);
    assert_eq!(rig.reason(framed(1, &[])), Some(Reason::LimitExceeded));
}

#[test]
fn counts_without_bytes_end_at_the_limit_on_elements() {
    let mut rig = float(r#"{"type":"array","items":"null"}"#);
    let many = framed(1, &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]);
    let skipped = of(r#"{"name":"w","type":{"type":"array","items":"null"}}"#);
    let mut skips = rig_for("[fields.v]\ntype = \"float\"\ndefault = 0", &skipped);
    assert_eq!(skips.reason(&many), Some(Reason::LimitExceeded));
    assert_eq!(rig.reason(&many), Some(Reason::WrongType));
    // Two members each, forty levels deep: 2^40 values of no bytes at all.
    let mut schema = r#"{"type":"record","name":"R0","fields":[]}"#.to_owned();
    for level in 1..40 {
        schema = format!(
            r#"{{"type":"record","name":"R{level}","fields":[{{"name":"a","type":{schema}}},{{"name":"b","type":"R{}"}}]}}"#,
            level - 1
        );
    }
    let mut rig = rig_for("[fields.v]\ntype = \"float\"\ndefault = 0", &schema);
    assert_eq!(rig.reason(framed(1, &[])), Some(Reason::LimitExceeded));
}

#[test]
fn bytes_behind_the_end_are_refused() {
    let rejection = float("\"int\"").decode(framed(1, &[5, 5])).unwrap_err();
    assert_eq!(rejection.reason, Reason::Malformed);
    assert!(rejection.detail.contains("at byte 6"), "{rejection}");
}

#[test]
fn a_schema_is_read_with_what_it_refers_to() {
    let shelf = Shelf::of(SchemaKind::Avro, &[]);
    shelf.put(
        SchemaKind::Avro,
        1,
        r#"{"type":"record","name":"E","namespace":"a","fields":[{"name":"p","type":"b.P"},{"name":"q","type":"b.Q"}]}"#,
        &[
            ("b.Q", r#"{"type":"enum","name":"Q","namespace":"b","symbols":["n"]}"#),
            ("b.P", r#"{"type":"record","name":"P","namespace":"b","fields":[{"name":"x","type":"int"},{"name":"q","type":"Q"}]}"#),
        ],
    );
    let mut rig =
        rig("[events]\nformat = \"avro\"\n[fields.x]\ntype = \"integer\"\npointer = \"/p/x\"").with_schemas(&shelf);
    assert_eq!(rig.decode(framed(1, &[6, 0, 0])), Ok(vec![3.0]));
}

#[test]
fn a_text_that_is_no_schema_is_an_unknown_schema_with_the_parsers_words() {
    let deep = format!(
        "{}\"int\"{}",
        r#"{"type":"array","items":"#.repeat(200),
        "}".repeat(200)
    );
    for (text, words) in [
        ("{", "JSON"),
        ("[]]", "JSON"),
        (r#"{"type":"record","name":"E"}"#, "fields"),
        (
            r#"{"type":"record","name":"E","fields":[{"name":"x","type":"nowhere"}]}"#,
            "nowhere",
        ),
        (deep.as_str(), "recursion"),
        ("7", ""),
    ] {
        let rejection = rig_for("[fields.x]\ntype = \"float\"", text)
            .decode(framed(1, &[]))
            .unwrap_err();
        assert_eq!(rejection.reason, Reason::UnknownSchema, "{rejection}");
        assert!(rejection.detail.contains(words), "{rejection}");
        assert!(rejection.detail.len() < 400, "{rejection}");
    }
}

#[test]
fn wrong_defaults_and_comments_do_not_spoil_a_schema() {
    let schema = of(r#"{"name":"v","type":["null","double"],"default":5,"doc":7}"#);
    let mut rig = rig_for("[fields.v]\ntype = \"float\"\ndefault = 1", &schema);
    assert_eq!(rig.decode(framed(1, &[0])), Ok(vec![1.0]));
}

#[test]
fn an_event_that_is_no_object_is_said_to_be_none() {
    for (schema, bytes) in [("\"double\"", &[0; 8][..]), (r#"{"type":"array","items":"int"}"#, &[0])] {
        let rejection = rig_for("[fields.x]\ntype = \"float\"", schema)
            .decode(framed(1, bytes))
            .unwrap_err();
        assert_eq!(rejection.reason, Reason::WrongType, "{rejection}");
    }
    let mut whole = rig_for("[fields.x]\ntype = \"float\"\npointer = \"\"", "\"double\"");
    assert_eq!(whole.decode(framed(1, &1.5f64.to_le_bytes())), Ok(vec![1.5]));
}
