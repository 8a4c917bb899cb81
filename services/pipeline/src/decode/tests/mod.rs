//! What a decoder promises, seen from outside.

mod avro;
mod avro_peer;
mod bindings;
mod evolution;
mod features;
mod fixtures;
mod json;
mod json_schema;
mod limits;
mod other_formats;
mod protobuf;
pub(super) mod registry;

use indexmap::IndexMap;
use serde::Deserialize;

use super::*;
use crate::event::{Partition, Source};
use crate::tensor::{Buffer, DType};

/// The decoder's part of a pipeline file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    events: EventSettings,
    fields: IndexMap<String, FieldSettings>,
    #[serde(default)]
    limits: LimitSettings,
}

/// `name`, type and shape of a row; a zero dimension is an open one.
pub(super) fn spec(name: &str, dtype: DType, shape: &[usize]) -> TensorSpec {
    TensorSpec {
        name: name.into(),
        dtype,
        row_shape: shape.iter().map(|dim| (*dim > 0).then_some(*dim)).collect(),
    }
}

/// A decoder with room for a few rows and a record to change.
pub(super) struct Rig {
    pub(super) decoder: Decoder,
    pub(super) inputs: Vec<Inputs>,
    pub(super) captured: Captured,
}

pub(super) fn compile(file: &str, specs: &[TensorSpec], fields: &[(&str, &[&str])]) -> Result<Decoder, Vec<Problem>> {
    let file: File = toml::from_str(file).expect("the test's file is sound TOML");
    let fields = fields
        .iter()
        .map(|(input, names)| {
            (
                (*input).to_owned(),
                names.iter().map(|name| (*name).to_owned()).collect(),
            )
        })
        .collect();
    let binding = Binding {
        model: "m",
        inputs: specs,
        fields: &fields,
    };
    Decoder::compile(&file.events, &file.fields, &file.limits, &[binding])
}

pub(super) fn rig_of(file: &str, specs: &[TensorSpec]) -> Rig {
    let decoder = compile(file, specs, &[]).expect("the test's file has no problems");
    let inputs = vec![Inputs::with_capacity(decoder.resolved_inputs("m"), 3)];
    Rig {
        decoder,
        inputs,
        captured: Captured::default(),
    }
}

/// One `float64` input that takes every field.
pub(super) fn rig(file: &str) -> Rig {
    rig_of(file, &[spec("x", DType::Float64, &[0])])
}

pub(super) fn record<'a>(value: Option<&'a [u8]>, headers: &'a [Header<'a>]) -> Record<'a> {
    Record {
        source: Source {
            partition: Partition { topic: 0, number: 0 },
            offset: 7,
        },
        topic: "events",
        timestamp_ms: Some(1_000_000_005_500),
        key: None,
        value,
        headers,
    }
}

impl Rig {
    pub(super) fn decode(&mut self, value: impl AsRef<[u8]>) -> Result<Vec<f64>, Rejection> {
        self.decode_with(value, &[])
    }

    pub(super) fn decode_with(
        &mut self,
        value: impl AsRef<[u8]>,
        headers: &[Header<'_>],
    ) -> Result<Vec<f64>, Rejection> {
        let record = record(Some(value.as_ref()), headers);
        self.decoder.decode(&record, &mut self.inputs, 1, &mut self.captured)?;
        Ok(self.row(0))
    }

    /// Row 1 of an input.
    pub(super) fn row(&self, input: usize) -> Vec<f64> {
        let input = &self.inputs[0].inputs[input];
        let cells = input.width..2 * input.width;
        match &input.data {
            Buffer::Float64(data) => data[cells].to_vec(),
            Buffer::Float32(data) => data[cells].iter().map(|x| f64::from(*x)).collect(),
            Buffer::Int64(data) => data[cells].iter().map(|x| *x as f64).collect(),
            Buffer::Int32(data) => data[cells].iter().map(|x| f64::from(*x)).collect(),
            Buffer::Float16(data) => data[cells].iter().map(|x| x.to_f64()).collect(),
            Buffer::Bool(data) => data[cells].iter().map(|x| f64::from(*x)).collect(),
            Buffer::String(_) => Vec::new(),
        }
    }

    pub(super) fn strings(&self, input: usize) -> Vec<String> {
        let input = &self.inputs[0].inputs[input];
        match &input.data {
            Buffer::String(data) => data[input.width..2 * input.width].to_vec(),
            _ => Vec::new(),
        }
    }

    pub(super) fn reason(&mut self, value: impl AsRef<[u8]>) -> Option<Reason> {
        self.decode(value).err().map(|rejection| rejection.reason)
    }
}

const EVERY_REASON: &str = r#"
    [events]
    unknown_fields = "reject"
    id_field = "/id"
    [limits]
    record_bytes = 200
    headers = 1
    depth = 3
    [fields.x]
    type = "float"
    min = 0
    max = 10
    allowed = [1.0, 2.0]
    [fields.v]
    type = "vector"
    length = 2
    parse_strings = true
"#;

#[test]
fn every_reason_of_decoding_and_validating_can_be_met() {
    let many = [Header { name: "h", value: None }; 2];
    let long = " ".repeat(201);
    let event = |x: &str, v: &str| format!(r#"{{"id":1,"x":{x},"v":{v}}}"#);
    let cases: Vec<(Reason, Option<String>, &[Header<'_>])> = vec![
        (Reason::Tombstone, None, &[]),
        (Reason::TooLarge, Some(long), &[]),
        (Reason::TooManyHeaders, Some("{}".into()), &many),
        (Reason::Malformed, Some(event("1", "[1,2]") + "}"), &[]),
        (
            Reason::LimitExceeded,
            Some(event("1", "[1,2]").replace("\"x\":1", "\"x\":1,\"id2\":[[[[]]]]")),
            &[],
        ),
        (Reason::DuplicateKey, Some(event("1,\"x\":2", "[1,2]")), &[]),
        (
            Reason::InvalidId,
            Some(event("1", "[1,2]").replace("\"id\":1,", "")),
            &[],
        ),
        (Reason::MissingField, Some(r#"{"id":1,"x":1}"#.into()), &[]),
        (Reason::UnknownField, Some(event("1,\"y\":2", "[1,2]")), &[]),
        (Reason::WrongType, Some(event("\"a\"", "[1,2]")), &[]),
        (Reason::WrongShape, Some(event("1", "[1,2,3]")), &[]),
        (Reason::NotFinite, Some(event("1", r#"["NaN",2]"#)), &[]),
        (Reason::OutOfRange, Some(event("11", "[1,2]")), &[]),
        (Reason::NotAllowed, Some(event("1.5", "[1,2]")), &[]),
        (Reason::Framed, Some("\0\0\0\0\u{1}{}".into()), &[]),
    ];
    // Those of registry formats are met in `registry`.
    let of_schemas = [Reason::UnknownSchema, Reason::SchemaRefused];
    let reachable = |reason: &&Reason| {
        use crate::rejection::Stage;
        matches!(reason.stage(), Stage::Decode | Stage::Validate)
    };
    for reason in Reason::ALL.iter().filter(reachable) {
        assert!(
            cases.iter().any(|(met, ..)| met == reason) || of_schemas.contains(reason),
            "{reason:?} has no case here"
        );
    }
    // An unknown member that is too deep is met only where unknown members are skipped.
    let lenient = EVERY_REASON.replace("unknown_fields = \"reject\"", "");
    for (reason, value, headers) in cases {
        let file = if reason == Reason::LimitExceeded {
            &lenient
        } else {
            EVERY_REASON
        };
        let mut rig = rig(file);
        let record = record(value.as_ref().map(String::as_bytes), headers);
        let rejection = rig
            .decoder
            .decode(&record, &mut rig.inputs, 1, &mut rig.captured)
            .unwrap_err();
        assert_eq!(rejection.reason, reason, "{rejection}");
        assert!(rejection.detail.len() > 20, "{rejection} is no sentence");
    }
}

#[test]
fn a_decoder_can_be_handed_to_its_lanes_thread() {
    fn needs_send<T: Send>() {}
    needs_send::<Decoder>();
}

#[test]
fn a_sound_event_of_that_file_is_taken() {
    let mut rig = rig(EVERY_REASON);
    assert_eq!(rig.decode(r#"{"id":1,"x":2,"v":[3,"4.5"]}"#), Ok(vec![2.0, 3.0, 4.5]));
}

#[test]
fn no_sentence_quotes_more_than_a_little_of_the_event() {
    let mut rig = rig("[fields.x]\ntype = \"float\"\n[events]\nid_field = \"/id\"\nunknown_fields = \"reject\"");
    let secret = "s".repeat(5000);
    for event in [
        format!(r#"{{"x":"{secret}"}}"#),
        format!(r#"{{"{secret}":1}}"#),
        format!(r#"{{"id":"{secret}"}}"#),
        format!(r#"{{"x":{secret}}}"#),
    ] {
        let rejection = rig.decode(event).unwrap_err();
        assert!(rejection.detail.len() < 300, "{} bytes", rejection.detail.len());
    }
}
