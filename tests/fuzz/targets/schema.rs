//! Texts of schemas: the first byte chooses the language, the rest is the text. Whatever it is, an event that was written with
//! it is judged, and its parser's panics end nothing.
#![no_main]

use eddy_fuzz::{Rig, allow_caught_panics};
use eddy_pipeline::decode::SchemaKind;
use eddy_pipeline::tensor::DType;
use libfuzzer_sys::fuzz_target;

fn file(format: &str) -> String {
    format!(
        r#"
        [events]
        format = "{format}"
        id_field = "/id"
        pass_through = ["/o"]
        [limits]
        depth = 12
        elements = 500
        [fields.x]
        type = "float"
        default = 0
        [fields.y]
        type = "float"
        pointer = "/o/1/y"
        default = 0
        "#
    )
}

fuzz_target!(init: allow_caught_panics(), |bytes: &[u8]| {
    let Some((first, text)) = bytes.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let (format, kind) = match first % 3 {
        0 => ("avro", SchemaKind::Avro),
        1 => ("protobuf", SchemaKind::Protobuf),
        _ => ("json_schema", SchemaKind::Json),
    };
    let mut rig = Rig::new(&file(format), &[("x", DType::Float64, &["x", "y"], 2)]).with_schema(kind, text);
    for event in [&b""[..], b"\0", b"\0\0\0\0\0\0\0\0\0\0\0\0", b"\x02a\x04\x00\x02\x08\x00{}"] {
        _ = rig.decode_framed(event);
    }
});
