//! Texts of schemas: the first byte chooses the language, the rest is the text, and behind each line `#reference NAME` stands
//! the text of a schema that it refers to. Whatever they are, an event that was written with them is judged, and their
//! parsers' panics end nothing. A schema is refused for what it is and not for its events; what is not refused is read alike,
//! whether schemas that do not fit are accepted or rejected.
#![no_main]

use eddy_fuzz::{Rig, allow_caught_panics};
use eddy_pipeline::decode::SchemaKind;
use eddy_pipeline::rejection::{Reason, Rejection};
use eddy_pipeline::tensor::DType;
use libfuzzer_sys::fuzz_target;

/// One in each language that a schema of the corpus fits, and bytes.
const EVENTS: [&[u8]; 7] = [
    b"\x02a\0\0\0\0\0\0\0\0\0",
    b"\0\x0a\x01a",
    b"{\"id\":\"a\",\"x\":1}",
    b"",
    b"\0",
    b"\0\0\0\0\0\0\0\0\0\0\0\0",
    b"\x02a\x04\x00\x02\x08\x00{}",
];

fn file(format: &str, rule: &str) -> String {
    format!(
        r#"
        [events]
        format = "{format}"
        id_field = "/id"
        pass_through = ["/o"]
        [events.evolution]
        unknown_field = "{rule}"
        missing_field = "{rule}"
        changed_type = "{rule}"
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

fn is_refused(result: &Result<(), Rejection>) -> bool {
    matches!(result, Err(rejection) if rejection.reason == Reason::SchemaRefused)
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
    let mut texts = text.split("\n#reference ");
    let text = texts.next().unwrap_or_default();
    let references: Vec<(&str, &str)> = texts.filter_map(|part| part.split_once('\n')).collect();
    let rig = |rule| {
        let inputs = [("x", DType::Float64, &["x", "y"][..], 2)];
        Rig::new(&file(format, rule), &inputs).with_schema(kind, text, &references)
    };
    let (mut accepting, mut rejecting) = (rig("accept"), rig("reject"));
    let mut refused = 0;
    for event in EVENTS {
        let (accepted, rejected) = (accepting.decode_framed(event), rejecting.decode_framed(event));
        assert!(!is_refused(&accepted), "{accepted:?}");
        if is_refused(&rejected) {
            refused += 1;
            continue;
        }
        assert_eq!(accepted, rejected);
        if accepted.is_ok() {
            assert_eq!(accepting.row(0), rejecting.row(0));
        }
    }
    // In Protobuf each event chooses a message of the schema.
    if kind != SchemaKind::Protobuf {
        assert!([0, EVENTS.len()].contains(&refused), "{refused} of {}", EVENTS.len());
    }
});
