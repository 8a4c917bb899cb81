//! Protobuf events: a message with every type in it, that refers to itself. What is taken gives the same row each time, and what
//! is passed through is JSON.
#![no_main]

use std::cell::RefCell;

use eddy_fuzz::{Rig, taking};
use eddy_pipeline::decode::SchemaKind;
use eddy_pipeline::tensor::DType;
use libfuzzer_sys::fuzz_target;

const SCHEMA: &str = r#"
    syntax = "proto3";
    import "google/protobuf/duration.proto";
    import "google/protobuf/struct.proto";
    import "google/protobuf/timestamp.proto";
    import "google/protobuf/wrappers.proto";
    message E {
        string id = 1;
        google.protobuf.Timestamp at = 2;
        oneof amount { double x = 3; string text = 4; }
        W word = 5;
        repeated float v = 6;
        map<int32, E> m = 7;
        google.protobuf.Struct more = 8;
        google.protobuf.Int64Value n = 9;
        repeated E list = 10;
        bytes raw = 11;
        uint64 large = 12;
        google.protobuf.Duration took = 13;
        message Inner { sint32 y = 1; }
    }
    enum W { RED = 0; GREEN = 3; }
"#;

const FILE: &str = r#"
    [events]
    format = "protobuf"
    id_field = "/id"
    time_field = "/at"
    pass_through = ["/m", "/more", "/list", "/took", "/raw", "/large"]
    [limits]
    depth = 12
    elements = 500
    string_bytes = 512
    [fields.x]
    type = "float"
    non_finite = "allow"
    default = 0
    [fields.n]
    type = "integer"
    default = 0
    [fields.word]
    type = "category"
    categories = ["RED", "GREEN"]
    other = -1
    default = "RED"
    [fields.inner]
    type = "float"
    pointer = "/m/7/list/1/large"
    default = "nan"
    [fields.k]
    type = "float"
    pointer = "/more/k/0"
    default = "nan"
    [fields.seen]
    type = "timestamp"
    pointer = "/at"
    default = "2001-01-01T00:00:00Z"
    [fields.v]
    type = "vector"
    length = 3
    non_finite = "allow"
    default = 0.5
"#;

thread_local! {
    static RIG: RefCell<Rig> = RefCell::new({
        let rig = Rig::new(
            FILE,
            &[
                ("floats", DType::Float64, &["x", "inner", "k", "seen", "v"], 7),
                ("plain", DType::Float32, &["v"], 3),
                ("integers", DType::Int64, &["n", "word"], 2),
            ],
        )
        .with_schema(SchemaKind::Protobuf, SCHEMA, &[]);
        taking(rig, b"\0\x0a\x01a")
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
