use proptest::prelude::*;

use super::*;

fn events(json: serde_json::Value) -> EventSettings {
    serde_json::from_value(json).expect("sound settings")
}

fn mask(pointers: &[&str]) -> Mask {
    Mask::compile(&events(serde_json::json!({ "mask": pointers }))).expect("it compiles")
}

fn masked(pointers: &[&str], document: &str) -> (Masked, String) {
    let mut out = Vec::new();
    let masked = mask(pointers).apply(document.as_bytes(), &mut out);
    (masked, String::from_utf8(out).expect("text"))
}

#[test]
fn what_is_masked_is_null_and_the_rest_stays_as_it_was_written() {
    let document = r#"{ "x": 1.50, "who": {"name": "Ada", "age": 36, "tags": ["a"]}, "é\n": [1, 2] }"#;
    let expected = r#"{"x":1.50,"who":{"name":null,"age":36,"tags":["a"]},"é\n":[1, 2]}"#;
    assert_eq!(masked(&["/who/name"], document), (Masked::Changed, expected.to_owned()));
    let expected = r#"{"x":1.50,"who":null,"é\n":[1,null]}"#;
    assert_eq!(masked(&["/who", "/é\n/1"], document).1, expected);
}

#[test]
fn every_member_and_every_element_can_be_meant() {
    let document = r#"{"people":[{"name":"Ada","age":36},{"age":41},7,[]],"by":{"a":{"name":"x"},"b":{}}}"#;
    // The 7 and the list stand where a person should, so who it is may stand in them.
    let expected = r#"{"people":[{"name":null,"age":36},{"age":41},null,null],"by":{"a":{"name":null},"b":{}}}"#;
    assert_eq!(masked(&["/people/*/name", "/by/*/name"], document).1, expected);
    // Both ways to one member count.
    assert_eq!(
        masked(&["/by/a/x", "/by/*/name"], document).1,
        document.replace(r#""x""#, "null")
    );
}

#[test]
fn what_stands_where_something_with_masked_members_should_is_masked_whole() {
    for (pointer, document, expected) in [
        (
            "/items/*/card",
            r#"{"items":{"card":"4111"},"x":1}"#,
            r#"{"items":{"card":null},"x":1}"#,
        ),
        (
            "/items/*/card",
            r#"{"items":["4111",null]}"#,
            r#"{"items":[null,null]}"#,
        ),
        ("/person/name", r#"{"person":"Ada","x":1}"#, r#"{"person":null,"x":1}"#),
        ("/person/name", r#"{"person":true}"#, r#"{"person":null}"#),
        (
            "/person/name",
            r#"{"person":"{\"name\":\"Ada\"}"}"#,
            r#"{"person":null}"#,
        ),
        ("/person/name", r#"{"person":[{"name":"Ada"}]}"#, r#"{"person":null}"#),
        ("/v/0", r#"{"v":[7,8]}"#, r#"{"v":[null,8]}"#),
        ("/v/0", r#"{"v":7}"#, r#"{"v":null}"#),
        ("/v/", r#"{"v":[7]}"#, r#"{"v":null}"#),
        ("/v/0/x", r#"{"v":{"x":7}}"#, r#"{"v":null}"#),
    ] {
        assert_eq!(
            masked(&[pointer], document),
            (Masked::Changed, expected.to_owned()),
            "{document}"
        );
    }
    assert_eq!(masked(&["/person/name"], r#"{"person":null}"#).0, Masked::Untouched);
}

#[test]
fn a_document_that_is_no_object_is_withheld_unless_the_mask_is_about_lists() {
    for document in [r#""{\"name\":\"Ada\"}""#, r#"[{"name":"Ada"}]"#, "7", "[]"] {
        assert_eq!(masked(&["/name"], document).0, Masked::Withheld, "{document}");
    }
    let expected = (Masked::Changed, r#"[{"name":null}]"#.to_owned());
    assert_eq!(masked(&["/*/name"], r#"[{"name":"Ada"}]"#), expected);
    assert_eq!(masked(&["/*/name"], "7").0, Masked::Withheld);
}

#[test]
fn a_pointer_to_elements_does_not_make_a_list_of_what_another_takes_for_an_object() {
    assert_eq!(masked(&["/name", "/*/ssn"], r#"[{"name":"Ada"}]"#).0, Masked::Withheld);
    assert_eq!(masked(&["/v/name", "/v/0"], r#"{"v":["Ada","Bo"]}"#).1, r#"{"v":null}"#);
}

/// Every scalar of a document but null, as it is written.
fn scalars(document: &serde_json::Value, found: &mut Vec<String>) {
    match document {
        serde_json::Value::Array(elements) => elements.iter().for_each(|element| scalars(element, found)),
        serde_json::Value::Object(members) => members.values().for_each(|member| scalars(member, found)),
        serde_json::Value::Null => {}
        scalar => found.push(scalar.to_string()),
    }
}

/// Small documents whose scalars are all different, so that each can be told.
fn documents() -> impl Strategy<Value = serde_json::Value> {
    let leaf = (0u32..1_000_000).prop_map(serde_json::Value::from);
    leaf.prop_recursive(3, 24, 3, |inner| {
        let name = prop_oneof!["[ab]", "[01]"];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(serde_json::Value::from),
            proptest::collection::btree_map(name, inner, 0..3)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

fn revealed(pointers: &[String], document: &serde_json::Value) -> Vec<String> {
    let pointers: Vec<&str> = pointers.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    match masked(&pointers, &document.to_string()) {
        (Masked::Untouched, _) => scalars(document, &mut found),
        (Masked::Changed, text) => scalars(&serde_json::from_str(&text).expect("it is JSON"), &mut found),
        (Masked::Withheld, _) => {}
    }
    found
}

proptest! {
    #[test]
    fn another_pointer_never_reveals_more(
        document in documents(),
        pointers in proptest::collection::vec("(/[ab01*]){1,3}", 1..4),
        another in "(/[ab01*]){1,3}",
    ) {
        let before = revealed(&pointers, &document);
        let more: Vec<String> = pointers.into_iter().chain([another]).collect();
        for scalar in revealed(&more, &document) {
            prop_assert!(before.contains(&scalar), "{scalar} of {document}");
        }
    }
}

#[test]
fn all_members_of_one_name_are_masked_however_it_is_written() {
    let document = r#"{"name":"Ada","n\u0061me":"Grace"}"#;
    assert_eq!(masked(&["/name"], document).1, r#"{"name":null,"name":null}"#);
    assert_eq!(
        masked(&["/a~1b/m~0n"], r#"{"a/b":{"m~n":1}}"#).1,
        r#"{"a/b":{"m~n":null}}"#
    );
}

#[test]
fn a_document_without_them_is_untouched() {
    assert_eq!(
        masked(&["/name", "/a/b"], r#"{"a":{"c":1},"x":{"name":2}}"#).0,
        Masked::Untouched
    );
    assert_eq!(mask(&[]).apply(b"no json", &mut Vec::new()), Masked::Untouched);
}

#[test]
fn what_cannot_be_read_is_withheld() {
    for document in ["", "{", r#"{"name":"Ada"} x"#, "\u{feff}{}", r#"{"name":}"#] {
        assert_eq!(masked(&["/name"], document).0, Masked::Withheld, "{document}");
    }
    assert_eq!(
        mask(&["/name"]).apply(b"{\"name\":\"\xff\"}", &mut Vec::new()),
        Masked::Withheld
    );
    assert_eq!(masked(&[""], "{}").0, Masked::Withheld);
}

#[test]
fn a_frame_stays_and_binary_events_are_withheld_whole() {
    let framed = events(serde_json::json!({ "format": "json_schema", "mask": ["/name"] }));
    let framed = Mask::compile(&framed).expect("it compiles");
    let mut out = Vec::new();
    assert_eq!(framed.apply(b"\0\0\0\0\x07{\"name\":1}", &mut out), Masked::Changed);
    assert_eq!(out, b"\0\0\0\0\x07{\"name\":null}");
    assert_eq!(framed.apply(b"\0\0\0", &mut Vec::new()), Masked::Withheld);
    // Nobody knows what stands where the frame should.
    assert_eq!(framed.apply(b"Ada: {\"name\":1}", &mut Vec::new()), Masked::Withheld);
    let avro = events(serde_json::json!({ "format": "avro", "mask": ["/name"] }));
    let avro = Mask::compile(&avro).expect("it compiles");
    assert_eq!(avro.apply(b"{}", &mut Vec::new()), Masked::Withheld);
}

#[test]
fn a_field_is_covered_with_its_parts_and_as_a_part() {
    let mask = mask(&["/who/name", "/v/0", "/l/*/x"]);
    for covered in ["/who", "/who/name", "/who/name/first", "/v", "/v/0", "/l/3/x"] {
        assert!(mask.covers(covered), "{covered}");
    }
    for open in ["/who/age", "/v/1", "/name", "/l/3/y"] {
        assert!(!mask.covers(open), "{open}");
    }
}

#[test]
fn settings_that_would_tell_what_is_masked_are_problems() {
    let keys = |json| {
        let problems = Mask::compile(&events(json)).expect_err("a problem");
        problems.into_iter().map(|problem| problem.key).collect::<Vec<_>>()
    };
    let told = serde_json::json!({
        "mask": ["/who"], "id_field": "/who/id", "time_field": "/at", "pass_through": ["/x", "/who/name"],
    });
    assert_eq!(keys(told), ["events.id_field", "events.pass_through[1]"]);
    assert_eq!(keys(serde_json::json!({ "mask": ["/a", "name"] })), ["events.mask[1]"]);
    assert_eq!(
        keys(serde_json::json!({ "format": "raw", "mask": ["/a"] })),
        ["events.mask"]
    );
    assert!(Mask::compile(&events(serde_json::json!({ "format": "image", "mask": [""] }))).is_ok());
}
