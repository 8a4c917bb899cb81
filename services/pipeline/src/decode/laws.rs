//! Laws that every registered format inherits.

use proptest::prelude::*;

use super::format::FORMATS;
use super::schemas::SchemaKind;
use super::settings::EventFormat;
use super::tests::registry::{Shelf, framed};
use super::tests::{Rig, record, rig_of, spec};
use crate::rejection::Reason;
use crate::tensor::{Buffer, DType, Inputs};

/// A decoder of a format, and an event that it takes.
fn sample(format: EventFormat) -> (Rig, Vec<u8>) {
    let (file, event): (&str, Vec<u8>) = match format {
        EventFormat::Json => (&MEMBERS.replace("FORMAT", "json"), DOCUMENT.to_vec()),
        EventFormat::Raw => (
            r#"
            [events]
            format = "raw"
            raw = { dtype = "float32" }
            [limits]
            record_bytes = 4096
            [fields.v]
            type = "vector"
            length = 5
            "#,
            (0..5).flat_map(|i| (i as f32).to_le_bytes()).collect(),
        ),
        EventFormat::Image => (
            r#"
            [events]
            format = "image"
            [limits]
            record_bytes = 4096
            pixels = 100
            [fields.image]
            type = "image"
            image = { width = 5, height = 1, channels = "grey" }
            "#,
            include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../config/digits/events/digit-0162.png"
            ))
            .to_vec(),
        ),
        EventFormat::Avro | EventFormat::Protobuf | EventFormat::JsonSchema => return framed_sample(format),
    };
    (rig_of(file, &[spec("x", DType::Float64, &[5])]), event)
}

/// The same for the formats of registries, each with its schema.
fn framed_sample(format: EventFormat) -> (Rig, Vec<u8>) {
    let (kind, schema, payload) = match format {
        EventFormat::Avro => (
            SchemaKind::Avro,
            AVRO,
            // id "a", at 1 (an int), x 1.5, o: one block of two items of which the second is a record, v, junk
            [
                &b"\x02a\x02"[..],
                &1.5f64.to_le_bytes(),
                &b"\x04\x00\x02\x08\x00\x06"[..],
                &1f32.to_le_bytes(),
                &2f32.to_le_bytes(),
                &3f32.to_le_bytes(),
                &b"\x00\x02\x02j\x08junk\x00"[..],
            ]
            .concat(),
        ),
        EventFormat::Protobuf => (
            SchemaKind::Protobuf,
            PROTOBUF,
            // The first message; at 1, x 1.5, two `o` of which the second has p 4, v packed, junk, and at last the id:
            // without it, a message that is cut between two fields is a shorter message.
            [
                &b"\x00\x10\x01\x19"[..],
                &1.5f64.to_le_bytes(),
                &b"\x22\x00\x22\x02\x08\x04\x2a\x0c"[..],
                &1f32.to_le_bytes(),
                &2f32.to_le_bytes(),
                &3f32.to_le_bytes(),
                &b"\x32\x09\x0a\x01j\x12\x04junk\x0a\x01a"[..],
            ]
            .concat(),
        ),
        _ => (SchemaKind::Json, "{}", DOCUMENT.to_vec()),
    };
    let rig = rig_of(
        &MEMBERS.replace("FORMAT", format.as_str()),
        &[spec("x", DType::Float64, &[5])],
    );
    (rig.with_schemas(&Shelf::of(kind, &[(1, schema)])), framed(1, &payload))
}

const DOCUMENT: &[u8] = br#"{"id":"a","at":1,"x":1.5,"o":[0,{"p":4}],"v":[1,2,3],"junk":{"a":["b",null,true,-1e3]}}"#;

/// The pipeline file of events with members.
const MEMBERS: &str = r#"
    [events]
    format = "FORMAT"
    id_field = "/id"
    time_field = "/at"
    time_unit = "s"
    pass_through = ["/o", "/v"]
    [limits]
    record_bytes = 4096
    depth = 8
    elements = 64
    string_bytes = 64
    pixels = 100
    [fields.x]
    type = "float"
    default = "nan"
    [fields.deep]
    type = "integer"
    pointer = "/o/1/p"
    default = 0
    [fields.v]
    type = "vector"
    length = 3
"#;

const PROTOBUF: &str = r#"
    syntax = "proto3";
    message Event {
        string id = 1;
        int32 at = 2;
        double x = 3;
        repeated P o = 4;
        repeated float v = 5;
        map<string, string> junk = 6;
    }
    message P { int64 p = 1; }
"#;

const AVRO: &str = r#"{"type": "record", "name": "Event", "fields": [
    {"name": "id", "type": "string"},
    {"name": "at", "type": "int"},
    {"name": "x", "type": "double"},
    {"name": "o", "type": {"type": "array", "items": ["null", {"type": "record", "name": "P", "fields": [
        {"name": "p", "type": "long"}]}]}},
    {"name": "v", "type": {"type": "array", "items": "float"}},
    {"name": "junk", "type": {"type": "map", "values": "string"}}
]}"#;

fn bits(inputs: &[Inputs]) -> Vec<u64> {
    match &inputs[0].inputs[0].data {
        Buffer::Float64(cells) => cells.iter().map(|x| x.to_bits()).collect(),
        other => unreachable!("the laws bind a float64 input, not {other:?}"),
    }
}

/// Decodes into the middle row of three, and checks what holds whatever the bytes are.
fn decode(rig: &mut Rig, value: &[u8]) -> Result<Vec<u64>, Reason> {
    const MARK: f64 = 12345.0;
    if let Buffer::Float64(cells) = &mut rig.inputs[0].inputs[0].data {
        cells.fill(MARK);
    }
    let record = record(Some(value), &[]);
    let result = rig.decoder.decode(&record, &mut rig.inputs, 1, &mut rig.captured);
    let cells = bits(&rig.inputs);
    let others = cells[..5].iter().chain(&cells[10..]);
    assert!(
        others.clone().all(|cell| *cell == MARK.to_bits()),
        "another row was touched"
    );
    assert_eq!(rig.inputs[0].rows, 0, "rows are the caller's to count");
    let row = cells[5..10].to_vec();
    match result {
        Ok(()) => {
            assert!(
                row.iter().all(|cell| *cell != MARK.to_bits()),
                "a column was left unwritten"
            );
            Ok(row)
        }
        Err(rejection) => {
            assert!(rejection.detail.len() < 400, "{rejection}");
            Err(rejection.reason)
        }
    }
}

fn every_format(mut law: impl FnMut(Rig, Vec<u8>)) {
    for (format, _) in FORMATS {
        let (rig, event) = sample(*format);
        law(rig, event);
    }
}

#[test]
fn every_format_takes_its_sample() {
    every_format(|mut rig, event| {
        decode(&mut rig, &event).unwrap();
    });
}

#[test]
fn every_format_gives_the_same_row_for_the_same_bytes() {
    every_format(|mut rig, event| {
        let first = decode(&mut rig, &event);
        decode(&mut rig, b"something else between").unwrap_err();
        assert_eq!(decode(&mut rig, &event), first);
    });
}

#[test]
fn every_format_refuses_what_is_too_large_empty_or_cut() {
    every_format(|mut rig, event| {
        let large = [event.as_slice(), &vec![b' '; 5000]].concat();
        assert_eq!(decode(&mut rig, &large), Err(Reason::TooLarge));
        assert_eq!(decode(&mut rig, b""), Err(Reason::Malformed));
        // The last quarter is left out: a PNG has all its pixels before its end marker.
        for end in 0..event.len() * 3 / 4 {
            assert!(decode(&mut rig, &event[..end]).is_err(), "cut at {end}");
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn property_arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        every_format(|mut rig, _| {
            _ = decode(&mut rig, &bytes);
        });
    }

    #[test]
    fn property_a_changed_sample_never_panics_and_means_one_thing(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
    ) {
        every_format(|mut rig, mut event| {
            for (index, byte) in &changes {
                let at = index.index(event.len());
                event[at] = *byte;
            }
            let first = decode(&mut rig, &event);
            assert_eq!(decode(&mut rig, &event), first);
        });
    }

    #[test]
    fn property_arbitrary_text_of_json_tokens_never_panics(
        tokens in proptest::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"x\"", "\"o\"", "\"v\"", "\"p\"", "\"id\"", "\"at\"", "1", "-0", "1e999",
            "null", "true", "\"\\ud800\"", "12345678901234567890", " ",
        ]), 0..60)
    ) {
        let (mut rig, _) = sample(EventFormat::Json);
        _ = decode(&mut rig, tokens.concat().as_bytes());
    }
}
