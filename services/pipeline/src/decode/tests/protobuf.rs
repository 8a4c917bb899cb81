//! What the Protobuf decoder promises, on bytes written by hand after Protobuf's specification.

use super::registry::{Shelf, framed};
use super::*;
use crate::decode::schemas::SchemaKind;

fn rig_for(file: &str, schema: &str) -> Rig {
    let file = if file.contains("[events]") {
        file.replace("[events]", "[events]\nformat = \"protobuf\"")
    } else {
        format!("[events]\nformat = \"protobuf\"\n{file}")
    };
    let schema = format!("syntax = \"proto3\"; {schema}");
    rig(&file).with_schemas(&Shelf::of(SchemaKind::Protobuf, &[(1, &schema)]))
}

/// An event that is the first message of its schema.
fn first(message: &[u8]) -> Vec<u8> {
    framed(1, &[&[0], message].concat())
}

const INTEGER: &str = "[fields.x]\ntype = \"integer\"";

#[test]
fn the_message_is_the_one_that_the_positions_name() {
    let schema = "message A {} message B { message C { int32 y = 1; } message D { int32 x = 2; } }";
    let mut rig = rig_for(INTEGER, schema);
    // Two positions, 1 and 1, in zigzag.
    assert_eq!(rig.decode(framed(1, &[4, 2, 2, 0x10, 9])), Ok(vec![9.0]));
    // The first message, in its short and its long form.
    assert_eq!(rig.reason(framed(1, &[0])), Some(Reason::MissingField));
    assert_eq!(rig.reason(framed(1, &[2, 0])), Some(Reason::MissingField));
    for nowhere in [&[2, 4][..], &[4, 2, 4], &[6, 2, 2, 2]] {
        let rejection = rig.decode(framed(1, nowhere)).unwrap_err();
        assert_eq!(rejection.reason, Reason::UnknownSchema, "{rejection}");
    }
    for broken in [&[][..], &[4, 2], &[1], &[0xFF; 9], &[40, 2]] {
        let rejection = rig.decode(framed(1, broken)).unwrap_err();
        assert_eq!(rejection.reason, Reason::Malformed, "{rejection}");
    }
}

#[test]
fn what_is_absent_without_presence_has_its_default_and_else_is_missing() {
    let file = "[fields.x]\ntype = \"integer\"\ndefault = -1";
    assert_eq!(
        rig_for(file, "message E { int32 x = 1; }").decode(first(b"")),
        Ok(vec![0.0])
    );
    assert_eq!(
        rig_for(file, "message E { optional int32 x = 1; }").decode(first(b"")),
        Ok(vec![-1.0])
    );
    let mut set = rig_for(file, "message E { optional int32 x = 1; }");
    assert_eq!(set.decode(first(&[8, 0])), Ok(vec![0.0]));
    let one_of = "message E { oneof o { int32 x = 1; string y = 2; } }";
    assert_eq!(rig_for(file, one_of).decode(first(b"\x12\x01a")), Ok(vec![-1.0]));
    assert_eq!(rig_for(file, one_of).decode(first(&[8, 3])), Ok(vec![3.0]));
    let wrapped = "import \"google/protobuf/wrappers.proto\"; message E { google.protobuf.Int64Value x = 1; }";
    assert_eq!(rig_for(file, wrapped).decode(first(b"")), Ok(vec![-1.0]));
    assert_eq!(rig_for(file, wrapped).decode(first(&[10, 0])), Ok(vec![0.0]));
    assert_eq!(rig_for(file, wrapped).decode(first(&[10, 2, 8, 5])), Ok(vec![5.0]));
    let vector = "[fields.x]\ntype = \"vector\"\nlength = 2\ndefault = 7";
    assert_eq!(
        rig_for(vector, "message E { repeated int32 x = 1; }").decode(first(b"")),
        Ok(vec![7.0, 7.0])
    );
}

#[test]
fn integers_of_every_encoding_are_numbers() {
    let schema = "message E { sint32 a = 1; fixed64 b = 2; uint64 c = 3; sfixed32 d = 4; bool e = 5; }";
    let file = "[fields.a]\ntype = \"integer\"\n[fields.b]\ntype = \"integer\"\n[fields.c]\ntype = \"float\"\n[fields.d]\ntype = \"float\"\n[fields.e]\ntype = \"boolean\"";
    let event = [
        &[8, 3, 0x11][..],
        &7u64.to_le_bytes(),
        &[0x18, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0x25],
        &(-5i32).to_le_bytes(),
        &[0x28, 1],
    ]
    .concat();
    assert_eq!(
        rig_for(file, schema).decode(first(&event)),
        Ok(vec![-2.0, 7.0, u64::MAX as f64, -5.0, 1.0])
    );
}

#[test]
fn enums_are_their_names_and_numbers_without_one_stay_numbers() {
    let schema = "enum C { NONE = 0; RED = 5; } message E { C x = 1; }";
    let file = "[fields.x]\ntype = \"category\"\ncategories = [\"NONE\", \"RED\", \"6\"]";
    let mut rig = rig_for(file, schema);
    assert_eq!(rig.decode(first(b"")), Ok(vec![0.0]));
    assert_eq!(rig.decode(first(&[8, 5])), Ok(vec![1.0]));
    assert_eq!(rig.decode(first(&[8, 6])), Ok(vec![2.0]));
}

#[test]
fn maps_lists_and_messages_are_reached_by_pointer_with_the_names_of_the_file() {
    let schema = "message E { map<int32, P> by_id = 1; repeated P list = 2; } message P { int32 unit_price = 1; }";
    let file = "[fields.a]\ntype = \"integer\"\npointer = \"/by_id/7/unit_price\"\ndefault = -1\n[fields.b]\ntype = \"integer\"\npointer = \"/list/1/unit_price\"\ndefault = -1";
    let mut rig = rig_for(file, schema);
    let event = b"\x0a\x06\x08\x07\x12\x02\x08\x03\x0a\x06\x08\x08\x12\x02\x08\x04\x12\x02\x08\x05\x12\x00";
    assert_eq!(rig.decode(first(event)), Ok(vec![3.0, 0.0]));
    assert_eq!(rig.decode(first(b"")), Ok(vec![-1.0, -1.0]));
}

#[test]
fn timestamps_are_instants_and_texts_and_can_be_looked_into() {
    let schema = "import \"google/protobuf/timestamp.proto\"; message E { google.protobuf.Timestamp at = 1; }";
    let file = "[events]\ntime_field = \"/at\"\npass_through = [\"/at\"]\n[fields.at]\ntype = \"timestamp\"\n[fields.s]\ntype = \"integer\"\npointer = \"/at/seconds\"";
    let mut rig = rig_for(file, schema);
    // 1e9 s, 5e8 ns.
    let event = b"\x0a\x0c\x08\x80\x94\xeb\xdc\x03\x10\x80\xca\xb5\xee\x01";
    assert_eq!(rig.decode(first(event)), Ok(vec![1_000_000_000.5, 1e9]));
    assert_eq!(rig.captured.event_time_ms, Some(1_000_000_000_500));
    assert_eq!(rig.captured.fields, br#""at":"2001-09-09T01:46:40.500Z""#);
    let number = rig_for("[fields.at]\ntype = \"float\"", schema)
        .decode(first(event))
        .unwrap_err();
    assert_eq!(number.reason, Reason::WrongType);
}

#[test]
fn members_are_passed_through_as_the_json_mapping_has_them() {
    let schema = r#"
        import "google/protobuf/duration.proto"; import "google/protobuf/struct.proto"; import "google/protobuf/wrappers.proto";
        message E { int32 x = 1; O o = 2; }
        message O {
            bytes b = 1; google.protobuf.Duration d = 2; google.protobuf.Struct s = 3; google.protobuf.BoolValue w = 4;
            optional int32 absent = 5; uint64 large = 6; map<int32, string> m = 7; repeated float f = 8;
        }"#;
    let mut rig = rig_for(
        "[events]\npass_through = [\"/o\"]\n[fields.x]\ntype = \"integer\"",
        schema,
    );
    let o = [
        &b"\x0a\x03\xff\x00\x01"[..],
        // -1.5 s
        &b"\x12\x16\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x80\xb6\xca\x91\xfe\xff\xff\xff\xff\x01"[..],
        &b"\x1a\x09\x0a\x07\x0a\x01k\x12\x02\x08\x00"[..],
        &b"\x22\x02\x08\x01"[..],
        &b"\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"[..],
        &b"\x3a\x05\x08\x09\x12\x01i\x3a\x05\x08\x03\x12\x01c"[..],
        &b"\x42\x04\x00\x00\x80\x7f"[..],
    ]
    .concat();
    rig.decode(first(&[&[0x12, o.len() as u8][..], &o].concat())).unwrap();
    let expected = r#""o":{"b":"/wAB","d":"-1.500s","s":{"k":null},"w":true,"large":18446744073709551615,"m":{"3":"c","9":"i"},"f":["Infinity"]}"#;
    assert_eq!(String::from_utf8_lossy(&rig.captured.fields), expected);
    rig.decode(first(&[0x12, 0])).unwrap();
    assert_eq!(rig.captured.fields, br#""o":{"b":"","large":0,"m":{},"f":[]}"#);
}

#[test]
fn a_schema_is_read_with_its_imports() {
    let shelf = Shelf::of(SchemaKind::Protobuf, &[]);
    shelf.put(
        SchemaKind::Protobuf,
        1,
        "syntax = \"proto3\"; package a; import \"b/p.proto\"; message E { b.P p = 1; }",
        &[
            (
                "b/q.proto",
                "syntax = \"proto3\"; package b; message Q { int32 x = 1; }",
            ),
            (
                "b/p.proto",
                "syntax = \"proto3\"; package b; import \"b/q.proto\"; message P { Q q = 1; }",
            ),
        ],
    );
    let mut rig = rig("[events]\nformat = \"protobuf\"\n[fields.x]\ntype = \"integer\"\npointer = \"/p/q/x\"")
        .with_schemas(&shelf);
    assert_eq!(rig.decode(first(&[10, 4, 10, 2, 8, 3])), Ok(vec![3.0]));
}

/// Confluent's serializers register a schema without these: every client has them.
#[test]
fn files_that_every_client_has_are_there_without_a_reference() {
    let schema = "import \"google/type/money.proto\"; import \"confluent/meta.proto\"; import \"confluent/type/decimal.proto\"; \
                  message E { google.type.Money paid = 1; confluent.type.Decimal tax = 2 [(confluent.field_meta).doc = \"d\"]; }";
    let mut rig = rig_for("[fields.x]\ntype = \"integer\"\npointer = \"/paid/units\"", schema);
    // Field 1, Money, whose field 2 is `units`.
    assert_eq!(rig.decode(first(&[0x0a, 2, 0x10, 7])), Ok(vec![7.0]));
}

#[test]
fn of_two_faults_in_a_map_the_one_with_the_lesser_key_is_told_whatever_the_order_of_the_bytes() {
    let file = "[limits]\nstring_bytes = 5\n[events]\npass_through = [\"/m\"]\n[fields.x]\ntype = \"integer\"";
    let schema = "message E { int32 x = 1; map<string, string> m = 2; }";
    let skipped = file.replace("pass_through = [\"/m\"]", "");
    let (mut rig, mut skipping) = (rig_for(file, schema), rig_for(&skipped, schema));
    let entry = |key: u8, value: &[u8]| {
        [
            &[0x12, value.len() as u8 + 5, 0x0a, 1, key, 0x12, value.len() as u8],
            value,
        ]
        .concat()
    };
    let (a, b) = (entry(b'a', b"seven77"), entry(b'b', b"nine99999"));
    for event in [[a.clone(), b.clone()].concat(), [b, a].concat()] {
        for _ in 0..8 {
            let rejection = rig.decode(first(&event)).unwrap_err();
            assert!(rejection.detail.contains('7'), "{rejection}");
            assert_eq!(skipping.decode(first(&event)), Err(rejection));
        }
    }
}

/// Each decoder reads the event into a map with an order of its own.
#[test]
fn members_of_a_map_are_passed_through_in_the_order_of_their_keys() {
    let file =
        "[events]\npass_through = [\"/m/b\", \"/m/a\", \"/m/c\"]\n[fields.x]\ntype = \"integer\"\npointer = \"/m/d\"";
    let entry = |key: u8| [0x12, 5, 0x0a, 1, key, 0x10, key - b'a'];
    let event: Vec<u8> = [b'd', b'c', b'a', b'b'].into_iter().flat_map(entry).collect();
    for _ in 0..8 {
        let mut rig = rig_for(file, "message E { map<string, int32> m = 2; }");
        assert_eq!(rig.decode(first(&event)), Ok(vec![3.0]));
        assert_eq!(rig.captured.fields, br#""a":0,"b":1,"c":2"#);
    }
}

#[test]
fn limits_hold_for_what_is_skipped_too() {
    let schema = "message E { int32 x = 1; repeated int32 l = 2; E e = 3; string s = 4; }";
    let mut rig = rig_for(
        "[limits]\nelements = 10\ndepth = 5\nstring_bytes = 5\n[fields.x]\ntype = \"integer\"",
        schema,
    );
    assert_eq!(rig.decode(first(b"\x12\x04\0\0\0\0")), Ok(vec![0.0]));
    assert_eq!(
        rig.reason(first(b"\x12\x0a\0\0\0\0\0\0\0\0\0\0")),
        Some(Reason::LimitExceeded)
    );
    assert_eq!(rig.decode(first(b"\x1a\x06\x1a\x04\x1a\x02\x1a\x00")), Ok(vec![0.0]));
    assert_eq!(
        rig.reason(first(b"\x1a\x08\x1a\x06\x1a\x04\x1a\x02\x1a\x00")),
        Some(Reason::LimitExceeded)
    );
    assert_eq!(rig.reason(first(b"\x22\x06abcdef")), Some(Reason::LimitExceeded));
}

#[test]
fn messages_nested_beyond_what_is_read_at_all_are_refused() {
    let mut event = Vec::new();
    for _ in 0..2000 {
        let mut length = event.len();
        let mut outer = vec![0x1a];
        while length >= 0x80 {
            outer.push(length as u8 | 0x80);
            length >>= 7;
        }
        outer.push(length as u8);
        outer.extend(event);
        event = outer;
    }
    let mut rig = rig_for(INTEGER, "message E { int32 x = 1; E e = 3; }");
    assert_eq!(rig.reason(first(&event)), Some(Reason::LimitExceeded));
}

#[test]
fn bytes_that_are_no_message_are_malformed_and_an_id_is_found_behind_a_refusal() {
    let mut rig = rig_for(
        "[events]\nid_field = \"/who/id\"\n[fields.x]\ntype = \"float\"",
        "message E { string x = 1; W who = 2; } message W { int64 id = 1; }",
    );
    assert_eq!(rig.reason(first(&[0x0a, 9])), Some(Reason::Malformed));
    assert_eq!(rig.reason(first(b"\x0a\x01a\x12\x02\x08\x07")), Some(Reason::WrongType));
    assert_eq!(rig.captured.id.as_deref(), Some("7"));
}

#[test]
fn a_text_that_is_no_schema_is_an_unknown_schema_with_the_compilers_words() {
    let deep = format!("message E {{ option (a) = {{ {} }}; }}", "a { ".repeat(5000));
    for (text, word) in [
        ("message", "expected"),
        ("message E { Nowhere x = 1; }", "Nowhere"),
        ("import \"nowhere.proto\"; message E {}", "nowhere.proto"),
        ("", "no message"),
        (deep.as_str(), "nested"),
    ] {
        let rejection = rig_for(INTEGER, text).decode(first(b"")).unwrap_err();
        assert_eq!(rejection.reason, Reason::UnknownSchema, "{rejection}");
        assert!(rejection.detail.contains(word), "{rejection}");
        assert!(rejection.detail.len() < 400, "{rejection}");
    }
}
