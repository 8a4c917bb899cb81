//! JSON events: a rich field plan, checked against `serde_json::Value`: what the decoder takes is JSON and holds the
//! values that a tree of it has; what it calls no JSON is none.
#![no_main]

use std::cell::RefCell;

use eddy_fuzz::{Rig, allow_caught_panics};
use eddy_pipeline::rejection::Reason;
use eddy_pipeline::tensor::{Buffer, DType};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const RICH: &str = r#"
    [events]
    id_field = "/id"
    time_field = "/at"
    time_unit = "ms"
    pass_through = ["/customer", "/deep/list/0", "/x"]
    [limits]
    depth = 12
    elements = 500
    string_bytes = 512
    [fields.x]
    type = "float"
    [fields.n]
    type = "integer"
    pointer = "/deep/list/1/n"
    default = 0
    [fields.small]
    type = "float"
    pointer = "/customer/a~1b"
    default = "nan"
    min = -3
    max = 3
    out_of_range = "clamp"
    non_finite = "allow"
    parse_strings = true
    [fields.flag]
    type = "boolean"
    default = false
    zero_one = true
    null = "reject"
    [fields.colour]
    type = "category"
    categories = ["red", "green", "7"]
    other = -1
    default = "red"
    [fields.note]
    type = "string"
    default = "none"
    [fields.seen]
    type = "timestamp"
    unit = "s"
    parts = ["epoch", "hour", "weekday", "day", "month", "age"]
    default = 0
    [fields.v]
    type = "vector"
    length = 4
    default = 0.5
    [fields.tokens]
    type = "vector"
    length = 3
    elements = "integer"
    parse_strings = true
    default = 0
"#;

/// Strict where the other is lenient, with a picture in it.
const STRICT: &str = r#"
    [events]
    unknown_fields = "reject"
    [limits]
    depth = 4
    elements = 50
    pixels = 4096
    [fields.picture]
    type = "image"
    image = { width = 4, height = 4 }
    [fields.x]
    type = "float"
    default = 1
    [fields.whole]
    type = "float"
    pointer = "/x"
    allowed = [1, 2]
    zero_one = true
    default = 1
"#;

struct Rigs {
    rich: Rig,
    strict: Rig,
}

thread_local! {
    static RIGS: RefCell<Rigs> = RefCell::new(Rigs {
        rich: Rig::new(
            RICH,
            &[
                ("floats", DType::Float64, &["x", "small", "v"], 6),
                ("plain", DType::Float32, &["v"], 4),
                ("integers", DType::Int64, &["n", "flag", "colour"], 3),
                ("narrow", DType::Int32, &["tokens"], 3),
                ("halves", DType::Float16, &["flag", "seen"], 7),
                ("words", DType::String, &["note", "colour"], 2),
            ],
        ),
        strict: Rig::new(STRICT, &[("x", DType::Float32, &["picture", "x", "whole"], 50)]),
    });
}

fuzz_target!(init: allow_caught_panics(), |bytes: &[u8]| {
    let tree = serde_json::from_slice::<Value>(bytes);
    RIGS.with_borrow_mut(|Rigs { rich, strict }| {
        for rig in [&mut *strict, &mut *rich] {
            match (rig.decode(bytes), &tree) {
                (Ok(()), tree) => assert!(tree.is_ok(), "it was taken and is no JSON: {tree:?}"),
                (Err(rejection), Ok(_)) if rejection.reason == Reason::Malformed => {
                    assert!(
                        rejection.detail.contains("field `picture`"),
                        "it was called malformed and is JSON: {rejection}"
                    );
                }
                _ => {}
            }
        }
        // The rich one came last, so its row is there to be looked at.
        if let (Ok(()), Ok(tree)) = (rich.decode(bytes), &tree) {
            compare(rich, tree);
        }
    });
});

/// What the row must be, looked up in the tree member by member.
fn compare(rig: &Rig, tree: &Value) {
    let found = |pointer: &str| tree.pointer(pointer).filter(|value| !value.is_null());
    let (Buffer::Float64(floats), Buffer::Float32(plain)) = (rig.row(0), rig.row(1)) else {
        unreachable!("these types were asked for");
    };
    let (Buffer::Int64(integers), Buffer::String(words)) = (rig.row(2), rig.row(5)) else {
        unreachable!("these types were asked for");
    };

    assert_eq!(Some(floats[0]), found("/x").and_then(Value::as_f64), "x");
    match found("/deep/list/1/n") {
        // Whole floats count, up to where they are exact.
        Some(n) => assert_eq!(
            Some(integers[0]),
            n.as_i64().or_else(|| n.as_f64().map(|x| x as i64)),
            "n"
        ),
        None => assert_eq!(integers[0], 0, "n"),
    }
    match found("/customer/a~1b") {
        Some(Value::Number(small)) => assert_eq!(Some(floats[1]), small.as_f64().map(|x| x.clamp(-3.0, 3.0)), "small"),
        Some(_) => {}
        None => assert!(floats[1].is_nan(), "small"),
    }
    let flag = found("/flag").is_some_and(|flag| flag.as_bool().unwrap_or_else(|| flag.as_f64() == Some(1.0)));
    assert_eq!(integers[1], i64::from(flag), "flag");

    let colour = found("/colour").map(|colour| colour.as_str().map_or_else(|| colour.to_string(), str::to_owned));
    let colour = colour.as_deref().unwrap_or("red");
    let index = ["red", "green", "7"].iter().position(|known| *known == colour);
    assert_eq!(integers[2], index.map_or(-1, |index| index as i64), "colour");
    assert_eq!(words[1], colour, "colour");
    assert_eq!(
        Some(words[0].as_str()),
        found("/note").map_or(Some("none"), Value::as_str),
        "note"
    );

    let v: Vec<f64> = match found("/v") {
        Some(list) => list
            .as_array()
            .expect("a list was taken")
            .iter()
            .filter_map(Value::as_f64)
            .collect(),
        None => vec![0.5; 4],
    };
    assert_eq!(floats[2..], v, "v");
    let narrow: Vec<f32> = v.iter().map(|x| *x as f32).collect();
    assert_eq!(plain, narrow, "v in float32");

    let id = found("/id").map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
    assert_eq!(rig.captured.id, id, "id");
    let members = format!(
        "{{{}}}",
        std::str::from_utf8(&rig.captured.fields).expect("members are text")
    );
    let members: Value = serde_json::from_str(&members).expect("members are JSON");
    for (member, pointer) in [("customer", "/customer"), ("0", "/deep/list/0"), ("x", "/x")] {
        assert_eq!(members.get(member), tree.pointer(pointer), "{member} is passed through");
    }
}
