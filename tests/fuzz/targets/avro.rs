//! Avro events: a schema with every type in it, that refers to itself. What is taken gives the same row each time, and what is
//! passed through is JSON.
#![no_main]

use std::cell::RefCell;

use eddy_fuzz::{Rig, taking};
use eddy_pipeline::decode::SchemaKind;
use eddy_pipeline::tensor::DType;
use libfuzzer_sys::fuzz_target;

const SCHEMA: &str = r#"{"type":"record","name":"E","fields":[
    {"name":"id","type":["null","string","long",{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}]},
    {"name":"at","type":["null",{"type":"long","logicalType":"timestamp-micros"},"double","string"]},
    {"name":"x","type":["null","int","long","float","double","string","boolean",
        {"type":"bytes","logicalType":"decimal","precision":30,"scale":3}]},
    {"name":"big","type":["null",{"type":"bytes","logicalType":"big-decimal"}]},
    {"name":"word","type":{"type":"enum","name":"W","symbols":["red","green","blue"]}},
    {"name":"seen","type":["null",{"type":"int","logicalType":"date"},{"type":"long","logicalType":"local-timestamp-nanos"}]},
    {"name":"v","type":["null",{"type":"array","items":["null","double","int","string"]}]},
    {"name":"m","type":{"type":"map","values":["null","long",{"type":"array","items":"E"},
        {"type":"fixed","name":"D","size":12,"logicalType":"duration"}]}},
    {"name":"next","type":["null","E","bytes"]}
]}"#;

const FILE: &str = r#"
    [events]
    format = "avro"
    id_field = "/id"
    time_field = "/at"
    time_unit = "ms"
    pass_through = ["/m", "/next", "/x"]
    [limits]
    depth = 12
    elements = 500
    string_bytes = 512
    [fields.x]
    type = "float"
    non_finite = "allow"
    parse_strings = true
    zero_one = true
    default = 0
    [fields.big]
    type = "float"
    default = "nan"
    [fields.n]
    type = "integer"
    pointer = "/m/k/1/x"
    default = 0
    [fields.days]
    type = "float"
    pointer = "/m/d/days"
    default = "nan"
    [fields.word]
    type = "category"
    categories = ["red", "green"]
    other = -1
    [fields.deep]
    type = "string"
    pointer = "/next/next/word"
    default = "none"
    [fields.seen]
    type = "timestamp"
    default = "2001-01-01T00:00:00Z"
    [fields.v]
    type = "vector"
    length = 3
    parse_strings = true
    default = 0.5
"#;

thread_local! {
    static RIG: RefCell<Rig> = RefCell::new({
        let rig = Rig::new(
            FILE,
            &[
                ("floats", DType::Float64, &["x", "big", "days", "seen", "v"], 7),
                ("plain", DType::Float32, &["v"], 3),
                ("integers", DType::Int64, &["n", "word"], 2),
                ("words", DType::String, &["deep"], 1),
            ],
        )
        .with_schema(SchemaKind::Avro, SCHEMA, &[]);
        taking(rig, b"\x02\x02a\0\0\0\0\0\0\0\0")
    });
}

fuzz_target!(|bytes: &[u8]| {
    RIG.with_borrow_mut(|rig| {
        _ = rig.decode_framed(bytes);
        let members = [b"{", rig.captured.fields.as_slice(), b"}"].concat();
        assert!(
            serde_json::from_slice::<serde_json::Value>(&members).is_ok(),
            "members are JSON"
        );
    });
});
