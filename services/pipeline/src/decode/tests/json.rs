//! JSON: where values stand, what counts as what, what is captured.

use super::*;

const TWO: &str = "[fields.a]\ntype = \"float\"\n[fields.b]\ntype = \"float\"\n";

#[test]
fn members_land_in_the_order_of_the_file_whatever_their_order_in_the_event() {
    let mut rig = rig(TWO);
    assert_eq!(rig.decode(r#"{"a":1,"b":2.5}"#), Ok(vec![1.0, 2.5]));
    assert_eq!(rig.decode(r#"{"b":2.5,"z":[{}],"a":1}"#), Ok(vec![1.0, 2.5]));
}

#[test]
fn escaped_keys_are_the_keys_they_spell() {
    let mut rig = rig(TWO);
    assert_eq!(rig.decode(r#"{"\u0061":1,"b":2}"#), Ok(vec![1.0, 2.0]));
}

#[test]
fn pointers_reach_into_objects_and_arrays() {
    let mut rig = rig(r#"
        [fields.deep]
        type = "float"
        pointer = "/a/b/1/c"
        [fields.first]
        type = "float"
        pointer = "/a/b/0"
        [fields.odd]
        type = "float"
        pointer = "/x~1y"
    "#);
    assert_eq!(
        rig.decode(r#"{"x/y":3,"a":{"b":[2,{"c":1},{"c":9}]}}"#),
        Ok(vec![1.0, 2.0, 3.0])
    );
    let rejection = rig.decode(r#"{"x/y":3,"a":{"b":7}}"#).unwrap_err();
    assert_eq!(rejection.reason, Reason::MissingField);
    assert!(rejection.detail.contains("`/a/b/1/c`"), "{rejection}");
}

#[test]
fn the_whole_event_may_be_one_list() {
    let mut rig = rig("[fields.v]\ntype = \"vector\"\nlength = 3\npointer = \"\"");
    assert_eq!(rig.decode("[1, 2, 3]"), Ok(vec![1.0, 2.0, 3.0]));
    assert_eq!(rig.reason("{}"), Some(Reason::WrongType));
}

#[test]
fn an_event_that_is_no_object_says_so() {
    let mut rig = rig(TWO);
    for event in ["5", "null", "\"text\"", "[1,2]", "true"] {
        let rejection = rig.decode(event).unwrap_err();
        assert_eq!(rejection.reason, Reason::WrongType, "{event}");
        assert!(rejection.detail.contains("not an object"), "{rejection}");
    }
}

#[test]
fn numbers_keep_what_json_says_of_them() {
    let mut rig = rig("[fields.x]\ntype = \"float\"");
    let mut of = |number: &str| rig.decode(format!(r#"{{"x":{number}}}"#));
    assert_eq!(of("-0").unwrap()[0].to_bits(), (-0.0f64).to_bits());
    assert_eq!(
        of("12345678901234567890123"),
        Ok(vec![12_345_678_901_234_567_890_123.0])
    );
    assert_eq!(of("18446744073709551615"), Ok(vec![18_446_744_073_709_551_615.0]));
    assert_eq!(of("1e-400"), Ok(vec![0.0]));
    assert_eq!(of("0.1"), Ok(vec![0.1]));
    assert_eq!(of("1e999").unwrap_err().reason, Reason::OutOfRange);
    for broken in ["01", "1.", ".5", "+1", "NaN", "1e", "0x1"] {
        assert_eq!(of(broken).unwrap_err().reason, Reason::Malformed, "{broken}");
    }
}

#[test]
fn integers_are_whole_and_within_sixty_four_bits() {
    let mut rig = rig_of("[fields.x]\ntype = \"integer\"", &[spec("x", DType::Int64, &[])]);
    let mut of = |number: &str| rig.decode(format!(r#"{{"x":{number}}}"#));
    assert_eq!(of("3.0"), Ok(vec![3.0]));
    assert_eq!(of("-0"), Ok(vec![0.0]));
    assert_eq!(of("3.5").unwrap_err().reason, Reason::WrongType);
    assert_eq!(of("9223372036854775808").unwrap_err().reason, Reason::OutOfRange);
    assert_eq!(of("12345678901234567890").unwrap_err().reason, Reason::OutOfRange);
    assert_eq!(of("true").unwrap_err().reason, Reason::WrongType);
}

#[test]
fn a_number_that_the_models_type_cannot_hold_is_out_of_range() {
    let mut rig = rig_of("[fields.x]\ntype = \"float\"", &[spec("x", DType::Float32, &[1])]);
    let rejection = rig.decode(r#"{"x":1e300}"#).unwrap_err();
    assert_eq!(rejection.reason, Reason::OutOfRange);
    assert!(rejection.detail.contains("float32"), "{rejection}");
    assert_eq!(rig.decode(r#"{"x":3.4028234e38}"#), Ok(vec![f64::from(f32::MAX)]));
    let mut rig = rig_of("[fields.x]\ntype = \"integer\"", &[spec("x", DType::Int32, &[1])]);
    assert_eq!(rig.reason(r#"{"x":2147483648}"#), Some(Reason::OutOfRange));
}

#[test]
fn null_is_missing_unless_it_is_refused() {
    let mut rig = rig(r#"
        [fields.a]
        type = "float"
        default = "nan"
        [fields.b]
        type = "float"
        default = 7
        null = "reject"
    "#);
    let row = rig.decode(r#"{"a":null}"#).unwrap();
    assert!(row[0].is_nan());
    assert_eq!(row[1], 7.0);
    assert_eq!(rig.reason(r#"{"b":null}"#), Some(Reason::WrongType));
}

#[test]
fn a_default_stands_in_for_one_event_only() {
    let mut rig = rig("[fields.a]\ntype = \"float\"\ndefault = 7");
    assert_eq!(rig.decode(r#"{"a":1}"#), Ok(vec![1.0]));
    assert_eq!(rig.decode("{}"), Ok(vec![7.0]));
    assert_eq!(rig.decode(r#"{"a":2}"#), Ok(vec![2.0]));
}

#[test]
fn truth_values_are_numbers_only_when_asked_for() {
    let mut strict = rig("[fields.x]\ntype = \"float\"");
    assert_eq!(strict.reason(r#"{"x":true}"#), Some(Reason::WrongType));
    let mut lax = rig("[fields.x]\ntype = \"float\"\nzero_one = true\n[fields.b]\ntype = \"boolean\"\nzero_one = true");
    assert_eq!(lax.decode(r#"{"x":true,"b":0}"#), Ok(vec![1.0, 0.0]));
    assert_eq!(lax.reason(r#"{"x":true,"b":2}"#), Some(Reason::WrongType));
}

#[test]
fn a_category_is_its_word_to_a_string_input_and_its_index_to_a_number_input() {
    let file = "[fields.c]\ntype = \"category\"\ncategories = [\"red\", \"7\"]";
    let mut words = rig_of(file, &[spec("c", DType::String, &[1])]);
    words.decode(r#"{"c":"red"}"#).unwrap();
    assert_eq!(words.strings(0), ["red"]);
    let mut indices = rig_of(file, &[spec("c", DType::Int64, &[])]);
    assert_eq!(indices.decode(r#"{"c":"red"}"#), Ok(vec![0.0]));
    assert_eq!(indices.decode(r#"{"c":7}"#), Ok(vec![1.0]));
    assert_eq!(indices.reason(r#"{"c":"blue"}"#), Some(Reason::NotAllowed));
}

#[test]
fn a_shorter_text_replaces_a_longer_one_whole() {
    let mut rig = rig_of("[fields.s]\ntype = \"string\"", &[spec("s", DType::String, &[])]);
    rig.decode(r#"{"s":"a long text"}"#).unwrap();
    rig.decode(r#"{"s":"b\u00e9\n"}"#).unwrap();
    assert_eq!(rig.strings(0), ["bé\n"]);
}

#[test]
fn a_timestamp_becomes_a_column_for_each_part() {
    let mut rig = rig("[fields.t]\ntype = \"timestamp\"\nunit = \"s\"\nparts = [\"hour\", \"weekday\", \"age\"]");
    assert_eq!(rig.decode(r#"{"t":"2001-09-09T01:46:40Z"}"#), Ok(vec![1.0, 6.0, 5.5]));
    assert_eq!(rig.decode(r#"{"t":1000000000}"#), Ok(vec![1.0, 6.0, 5.5]));
    assert_eq!(rig.reason(r#"{"t":{}}"#), Some(Reason::WrongType));
}

#[test]
fn vectors_have_their_length_and_only_numbers() {
    let file = "[fields.v]\ntype = \"vector\"\nlength = 2\nmin = 0";
    // A vector for one float32 input has a way of its own, which must not differ.
    for dtype in [DType::Float64, DType::Float32] {
        vectors_hold_their_rules(rig_of(file, &[spec("x", dtype, &[2])]));
    }
}

fn vectors_hold_their_rules(mut rig: Rig) {
    assert_eq!(rig.decode(r#"{"v":[1,2.5]}"#), Ok(vec![1.0, 2.5]));
    for (event, reason) in [
        ("[1]", Reason::WrongShape),
        ("[1,2,3]", Reason::WrongShape),
        ("[]", Reason::WrongShape),
        ("[1,null]", Reason::WrongType),
        ("[1,[2]]", Reason::WrongType),
        ("[1,-2]", Reason::OutOfRange),
        ("[1,\"2\"]", Reason::WrongType),
        ("{}", Reason::WrongType),
        ("1", Reason::WrongType),
    ] {
        let rejection = rig.decode(format!(r#"{{"v":{event}}}"#)).unwrap_err();
        assert_eq!(rejection.reason, reason, "{event}: {rejection}");
        assert!(rejection.detail.contains("`v`"), "{rejection}");
    }
}

#[test]
fn a_vector_of_floats_refuses_what_its_input_cannot_hold_and_reads_text_when_asked() {
    let file = "[fields.v]\ntype = \"vector\"\nlength = 2\nparse_strings = true\nzero_one = true";
    let mut rig = rig_of(file, &[spec("x", DType::Float32, &[2])]);
    assert_eq!(rig.decode(r#"{"v":["1.5",true]}"#), Ok(vec![1.5, 1.0]));
    assert_eq!(rig.reason(r#"{"v":[1,1e300]}"#), Some(Reason::OutOfRange));
    assert_eq!(rig.reason(r#"{"v":[1,"NaN"]}"#), Some(Reason::NotFinite));
}

#[test]
fn a_refusal_names_the_field_and_the_byte() {
    let mut rig = rig(TWO);
    let rejection = rig.decode("{\"a\":1,\n \"b\":\"x\"}").unwrap_err();
    assert!(rejection.detail.contains("field `b`"), "{rejection}");
    // The text ends at byte 15, counted from 0.
    assert!(rejection.detail.ends_with("at byte 15"), "{rejection}");
}

#[test]
fn broken_documents_are_malformed() {
    let mut rig = rig(TWO);
    let broken: [&[u8]; 12] = [
        b"",
        b" ",
        b"{",
        br#"{"a":1,"b":2"#,
        br#"{"a":1,"b":2} x"#,
        br#"{"a":1 "b":2}"#,
        br#"{"a":1,"b":2,}"#,
        b"\xff\xff",
        b"{\"a\":1,\"b\":2,\"c\":\"\xc3\x28\"}",
        br#"{"a":1,"b":2,"c":"\ud800"}"#,
        b"{\"a\":1,\"b\":2,\"c\":\"\x01\"}",
        b"\xef\xbb\xbf{}",
    ];
    for event in broken {
        let rejection = rig.decode(event).unwrap_err();
        assert_eq!(rejection.reason, Reason::Malformed, "{event:?}: {rejection}");
    }
}

#[test]
fn the_framing_of_a_schema_registry_is_named() {
    let rejection = rig(TWO).decode(b"\x00\x00\x00\x00\x01{}").unwrap_err();
    assert_eq!(rejection.reason, Reason::Framed);
    assert!(
        rejection
            .detail
            .contains("the number of schema 1, the framing of a schema registry"),
        "{rejection}"
    );
}

#[test]
fn a_repeated_key_is_refused_at_every_level() {
    let mut rig = rig("[fields.x]\ntype = \"float\"\npointer = \"/o/x\"");
    assert_eq!(rig.reason(r#"{"o":{"x":1,"x":1}}"#), Some(Reason::DuplicateKey));
    assert_eq!(rig.reason(r#"{"o":{"x":1},"o":{}}"#), Some(Reason::DuplicateKey));
    assert_eq!(rig.decode(r#"{"o":{"x":1},"z":1,"z":1}"#), Ok(vec![1.0]));
}

#[test]
fn unknown_members_are_refused_where_fields_are_read_and_not_below_what_is_copied() {
    let mut rig = rig(r#"
        [events]
        unknown_fields = "reject"
        pass_through = ["/meta"]
        [fields.x]
        type = "float"
        pointer = "/o/x"
    "#);
    assert!(rig.decode(r#"{"o":{"x":1},"meta":{"any":1}}"#).is_ok());
    let rejection = rig.decode(r#"{"o":{"x":1,"y":2}}"#).unwrap_err();
    assert_eq!(rejection.reason, Reason::UnknownField);
    assert!(rejection.detail.contains("\"y\""), "{rejection}");
}

#[test]
fn pass_through_members_are_copied_as_they_were_written() {
    let mut rig = rig(r#"
        [events]
        pass_through = ["/customer", "/order/no", "/x"]
        [fields.x]
        type = "float"
        [fields.age]
        type = "float"
        pointer = "/customer/age"
    "#);
    let event = r#"{"x": 1.50, "customer": {"age": 4, "t":"\u0041"}, "order":{"no":"7"}}"#;
    assert_eq!(rig.decode(event), Ok(vec![1.5, 4.0]));
    let text = String::from_utf8(rig.captured.fields.clone()).unwrap();
    assert_eq!(text, r#""x":1.50,"customer":{"age": 4, "t":"\u0041"},"no":"7""#);
    assert_eq!(rig.decode(r#"{"x":1,"customer":{"age":4}}"#), Ok(vec![1.0, 4.0]));
    assert_eq!(rig.captured.fields, br#""x":1,"customer":{"age":4}"#);
}

#[test]
fn a_refusal_within_a_copied_member_counts_bytes_from_the_start_of_the_event() {
    let mut rig = rig(r#"
        [events]
        pass_through = ["/c"]
        [fields.x]
        type = "float"
        pointer = "/c/x"
    "#);
    let rejection = rig.decode(r#"{"c":{"x":"no"}}"#).unwrap_err();
    assert_eq!(rejection.reason, Reason::WrongType);
    assert!(rejection.detail.ends_with("at byte 13"), "{rejection}");
}

#[test]
fn the_id_comes_from_the_header_of_eddy_then_the_configured_header_then_the_field() {
    let file = "[events]\nid_header = \"uuid\"\nid_field = \"/id\"\n[fields.x]\ntype = \"float\"";
    let mut rig = rig(file);
    let ours = Header {
        name: HEADER_ID,
        value: Some(b"ours"),
    };
    let theirs = Header {
        name: "uuid",
        value: Some(b"theirs"),
    };
    let event = r#"{"x":1,"id":"field"}"#;
    for (headers, id) in [(&[theirs, ours][..], "ours"), (&[theirs], "theirs"), (&[], "field")] {
        rig.decode_with(event, headers).unwrap();
        assert_eq!(rig.captured.id.as_deref(), Some(id));
    }
    rig.decode(r#"{"id":-12,"x":1}"#).unwrap();
    assert_eq!(rig.captured.id.as_deref(), Some("-12"));
    rig.decode_with(r#"{"id":[],"x":1}"#, &[ours]).unwrap();
    assert_eq!(rig.captured.id.as_deref(), Some("ours"));
}

#[test]
fn an_id_that_is_missing_empty_long_or_no_name_is_refused() {
    let mut rig = rig("[events]\nid_field = \"/id\"\n[fields.x]\ntype = \"float\"");
    let long = format!("\"{}\"", "i".repeat(257));
    for id in ["\"\"", &long, "1.5", "true", "null", "[]", "{}"] {
        let event = format!(r#"{{"x":1,"id":{id}}}"#);
        assert_eq!(rig.reason(event), Some(Reason::InvalidId), "{id}");
        assert_eq!(rig.captured.id, None);
    }
    assert_eq!(rig.reason(r#"{"x":1}"#), Some(Reason::InvalidId));
    let long = format!(r#"{{"x":1,"id":"{}"}}"#, "i".repeat(256));
    assert_eq!(rig.decode(long), Ok(vec![1.0]));
    for value in [None, Some(&b""[..]), Some(&b"\xff"[..])] {
        let header = Header { name: HEADER_ID, value };
        let rejection = rig.decode_with(r#"{"x":1,"id":"a"}"#, &[header]).unwrap_err();
        assert_eq!(rejection.reason, Reason::InvalidId);
    }
}

#[test]
fn without_a_configured_id_an_event_needs_none() {
    let mut rig = rig("[fields.x]\ntype = \"float\"");
    assert!(rig.decode(r#"{"x":1,"id":"a"}"#).is_ok());
    assert_eq!(rig.captured.id, None);
}

#[test]
fn the_id_behind_a_refusal_is_found_all_the_same() {
    let mut rig = rig("[events]\nid_field = \"/meta/id\"\n[fields.x]\ntype = \"float\"");
    for (event, reason) in [
        (r#"{"x":"a","meta":{"id":"e1"}}"#, Reason::WrongType),
        (r#"{"x":1e999,"meta":{"id":"e1"}}"#, Reason::OutOfRange),
        (r#"{"x":1,"x":1,"meta":{"id":"e1"}}"#, Reason::DuplicateKey),
        (r#"{"x":1,"meta":{"id":"e1"}"#, Reason::Malformed),
        ("{\"meta\":{\"id\":\"e1\"},\"y\":\"\u{fffd}", Reason::Malformed),
    ] {
        assert_eq!(rig.reason(event), Some(reason), "{event}");
        assert_eq!(rig.captured.id.as_deref(), Some("e1"), "{event}");
    }
    assert_eq!(
        rig.reason(b"{\"y\":\"\xff\",\"meta\":{\"id\":\"e1\"}}"),
        Some(Reason::Malformed)
    );
    assert_eq!(rig.captured.id.as_deref(), Some("e1"));
}

#[test]
fn an_id_never_survives_into_the_next_event() {
    let mut rig = rig("[events]\nid_field = \"/id\"\n[fields.x]\ntype = \"float\"");
    rig.decode(r#"{"x":1,"id":"a"}"#).unwrap();
    assert_eq!(rig.reason("{"), Some(Reason::Malformed));
    assert_eq!(rig.captured.id, None);
}

#[test]
fn the_time_of_an_event_is_optional_but_never_misread() {
    let mut rig = rig("[events]\ntime_field = \"/at\"\ntime_unit = \"ms\"\n[fields.x]\ntype = \"float\"");
    for (at, expected) in [
        ("\"2001-09-09T01:46:40.123456Z\"", Some(1_000_000_000_123)),
        ("1000000000123", Some(1_000_000_000_123)),
        ("1000000000123.9", Some(1_000_000_000_123)),
        ("-1", Some(-1)),
        ("null", None),
    ] {
        rig.decode(format!(r#"{{"x":1,"at":{at}}}"#)).unwrap();
        assert_eq!(rig.captured.event_time_ms, expected, "{at}");
    }
    rig.decode(r#"{"x":1}"#).unwrap();
    assert_eq!(rig.captured.event_time_ms, None);
    assert_eq!(rig.reason(r#"{"x":1,"at":"noon"}"#), Some(Reason::WrongType));
    assert_eq!(rig.reason(r#"{"x":1,"at":[]}"#), Some(Reason::WrongType));
    assert_eq!(rig.reason(r#"{"x":1,"at":1e30}"#), Some(Reason::OutOfRange));
}

#[test]
fn what_is_masked_is_read_and_told_in_no_sentence_and_is_no_feature() {
    let file = "[events]\nmask = [\"/age\", \"/v/1\"]\n[fields.age]\ntype = \"integer\"\nmax = 120\n\
                [fields.v]\ntype = \"vector\"\nlength = 2\n[fields.word]\ntype = \"category\"\ncategories = [\"a\"]";
    let mut rig = rig(file);
    assert_eq!(
        rig.decode(r#"{"age":36,"v":[1,2],"word":"a"}"#),
        Ok(vec![36.0, 1.0, 2.0, 0.0])
    );
    for (event, reason, place) in [
        (
            r#"{"age":4711,"v":[1,2],"word":"a"}"#,
            Reason::OutOfRange,
            "field `age`",
        ),
        (
            r#"{"age":"4711","v":[1,2],"word":"a"}"#,
            Reason::WrongType,
            "field `age`",
        ),
        (
            r#"{"age":36,"v":[1,"4711"],"word":"a"}"#,
            Reason::WrongType,
            "element 1 of field `v`",
        ),
        (r#"{"age":36,"v":"4711","word":"a"}"#, Reason::WrongType, "field `v`"),
    ] {
        let rejection = rig.decode(event).unwrap_err();
        assert_eq!(rejection.reason, reason, "{rejection}");
        assert!(
            rejection.detail.starts_with(place) && !rejection.detail.contains("4711"),
            "{rejection}"
        );
    }
    let missing = rig.decode(r#"{"v":[1,2],"word":"a"}"#).unwrap_err();
    assert!(missing.detail.contains("is missing"), "{missing}");
    let open = rig.decode(r#"{"age":36,"v":[1,2],"word":"4711"}"#).unwrap_err();
    assert!(open.detail.contains("4711"), "what is not masked is told: {open}");
    let features: Vec<String> = rig.decoder.features().into_iter().map(|feature| feature.name).collect();
    assert_eq!(features, ["word"]);
}

#[test]
fn an_unknown_member_is_named_unless_its_name_may_be_masked() {
    let rejection = |mask: &str| {
        let file = format!(
            "[events]\nunknown_fields = \"reject\"\n{mask}[fields.age]\ntype = \"float\"\npointer = \"/person/age\""
        );
        let rejection = rig(&file).decode(r#"{"person":{"ada@x.org":1}}"#).unwrap_err();
        assert_eq!(rejection.reason, Reason::UnknownField, "{rejection}");
        rejection.detail
    };
    assert!(rejection("").contains("ada@x.org"));
    let masked = rejection("mask = [\"/person\"]\n");
    assert!(!masked.contains("ada") && masked.contains("at byte 21"), "{masked}");
}
