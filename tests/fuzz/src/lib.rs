//! What the targets share: a decoder on a stage, as a lane has it.
//!
//! Owns: nothing that judges. Each target states its own properties.

use std::sync::Arc;

use eddy_pipeline::decode::{
    Binding, Captured, Decoder, EventSettings, Found, LimitSettings, SchemaKind, SchemaReference, Schemas, WriterSchema,
};
use eddy_pipeline::event::{Header, Partition, Record, Source};
use eddy_pipeline::fields::FieldSettings;
use eddy_pipeline::rejection::Rejection;
use eddy_pipeline::tensor::{Buffer, DType, Inputs, TensorSpec};
use indexmap::IndexMap;
use serde::Deserialize;

/// Name of the only model.
const MODEL: &str = "m";
/// Every record is decoded into this row of three.
const ROW: usize = 1;

/// The decoder's part of a pipeline file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    events: EventSettings,
    fields: IndexMap<String, FieldSettings>,
    #[serde(default)]
    limits: LimitSettings,
}

/// An input of the model: its name, its type, the fields that fill it, the elements that they fill.
pub type Input<'a> = (&'a str, DType, &'a [&'a str], usize);

/// A decoder with room for three rows.
#[derive(Debug)]
pub struct Rig {
    decoder: Decoder,
    inputs: Vec<Inputs>,
    /// What the last event left beside its row.
    pub captured: Captured,
}

impl Rig {
    /// Compiles a part of a pipeline file for one model.
    ///
    /// # Panics
    /// When the file is not sound: it is the target's own.
    pub fn new(file: &str, inputs: &[Input<'_>]) -> Self {
        let file: File = toml::from_str(file).expect("the target's file is sound TOML");
        let specs: Vec<TensorSpec> = inputs
            .iter()
            .map(|(name, dtype, _, width)| TensorSpec {
                name: (*name).into(),
                dtype: *dtype,
                row_shape: vec![Some(*width)],
            })
            .collect();
        let fields = inputs
            .iter()
            .map(|(name, _, fields, _)| {
                (
                    (*name).to_owned(),
                    fields.iter().map(|field| (*field).to_owned()).collect(),
                )
            })
            .collect();
        let binding = Binding {
            model: MODEL,
            inputs: &specs,
            fields: &fields,
        };
        let decoder = Decoder::compile(&file.events, &file.fields, &file.limits, &[binding])
            .unwrap_or_else(|problems| panic!("the target's file has problems: {problems:?}"));
        let inputs = vec![Inputs::with_capacity(decoder.resolved_inputs(MODEL), 3)];
        Self {
            decoder,
            inputs,
            captured: Captured::default(),
        }
    }

    /// The same with a registry that has one schema, number 1, which refers to others: their names and texts.
    pub fn with_schema(self, kind: SchemaKind, text: &str, references: &[(&str, &str)]) -> Self {
        let references = references.iter().map(|(name, text)| SchemaReference {
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        });
        let schema = WriterSchema {
            id: 1,
            kind,
            text: text.to_owned(),
            references: references.collect(),
        };
        Self {
            decoder: self.decoder.with_schemas(Arc::new(One(Arc::new(schema)))),
            ..self
        }
    }

    /// Decodes a value in the frame of a registry, as [`Self::decode`] does.
    ///
    /// # Errors
    /// The decoder's refusal.
    pub fn decode_framed(&mut self, payload: &[u8]) -> Result<(), Rejection> {
        let value = [&[0, 0, 0, 0, 1], payload].concat();
        let prepared = self.decoder.prepare(&record(Some(&value), &[]));
        assert_eq!(prepared, Ok(()), "the schema is there");
        self.decode(&value)
    }

    /// Decodes a value, twice, and checks what holds whatever it is: it means the same each time, no other row is
    /// touched, and a refusal is one short sentence.
    ///
    /// # Errors
    /// The decoder's refusal.
    pub fn decode(&mut self, value: &[u8]) -> Result<(), Rejection> {
        let first = self.decode_once(value);
        let row: Vec<Buffer> = self.rows().collect();
        let kept = self.kept();
        let second = self.decode_once(value);
        assert_eq!(first, second, "the same bytes mean the same");
        if first.is_ok() {
            assert!(
                row.iter().zip(self.rows()).all(|(a, b)| is_same(a, &b)),
                "the same bytes give the same row"
            );
            assert_eq!(kept, self.kept(), "the same bytes leave the same behind");
        }
        for input in &self.inputs[0].inputs {
            assert!(others_are_zero(&input.data, input.width), "another row was touched");
        }
        assert_eq!(self.inputs[0].rows, 0, "rows are the caller's to count");
        if let Err(rejection) = &first {
            assert!((20..400).contains(&rejection.detail.len()), "{rejection}");
            assert!(!rejection.detail.contains('\n'), "{rejection}");
        }
        first
    }

    fn decode_once(&mut self, value: &[u8]) -> Result<(), Rejection> {
        let record = record(Some(value), &[]);
        self.decoder.decode(&record, &mut self.inputs, ROW, &mut self.captured)
    }

    /// The row, input by input.
    fn rows(&self) -> impl Iterator<Item = Buffer> {
        (0..self.inputs[0].inputs.len()).map(|input| self.row(input))
    }

    /// What is kept beside the row.
    fn kept(&self) -> (Option<String>, Option<i64>, Vec<u8>) {
        let Captured {
            id,
            event_time_ms,
            fields,
            ..
        } = &self.captured;
        (id.clone(), *event_time_ms, fields.clone())
    }

    /// The decoded row of one input.
    pub fn row(&self, input: usize) -> Buffer {
        let input = &self.inputs[0].inputs[input];
        let cells = ROW * input.width..(ROW + 1) * input.width;
        match &input.data {
            Buffer::Float32(data) => Buffer::Float32(data[cells].to_vec()),
            Buffer::Float64(data) => Buffer::Float64(data[cells].to_vec()),
            Buffer::Float16(data) => Buffer::Float16(data[cells].to_vec()),
            Buffer::Int32(data) => Buffer::Int32(data[cells].to_vec()),
            Buffer::Int64(data) => Buffer::Int64(data[cells].to_vec()),
            Buffer::Bool(data) => Buffer::Bool(data[cells].to_vec()),
            Buffer::String(data) => Buffer::String(data[cells].to_vec()),
        }
    }
}

/// The rig, after it took an event that it is to take: with a schema that cannot be read, a target would find nothing.
///
/// # Panics
/// When it does not take it.
pub fn taking(mut rig: Rig, payload: &[u8]) -> Rig {
    rig.decode_framed(payload)
        .expect("the target's schema reads its own event");
    rig
}

/// A registry of one schema.
#[derive(Debug)]
struct One(Arc<WriterSchema>);

impl Schemas for One {
    fn find(&self, id: u32) -> Found {
        if id == 1 {
            Found::Known(self.0.clone())
        } else {
            Found::Unknown
        }
    }
}

/// Whether two rows are the same bit by bit: NaN is NaN.
fn is_same(a: &Buffer, b: &Buffer) -> bool {
    match (a, b) {
        (Buffer::Float32(a), Buffer::Float32(b)) => a.iter().map(|x| x.to_bits()).eq(b.iter().map(|x| x.to_bits())),
        (Buffer::Float64(a), Buffer::Float64(b)) => a.iter().map(|x| x.to_bits()).eq(b.iter().map(|x| x.to_bits())),
        (Buffer::Float16(a), Buffer::Float16(b)) => a.iter().map(|x| x.to_bits()).eq(b.iter().map(|x| x.to_bits())),
        (a, b) => a == b,
    }
}

/// Whether rows 0 and 2 are as they were made.
fn others_are_zero(data: &Buffer, width: usize) -> bool {
    fn check<T: PartialEq>(data: &[T], width: usize, zero: &T) -> bool {
        let others = data[..width].iter().chain(&data[2 * width..]);
        others.into_iter().all(|cell| cell == zero)
    }
    match data {
        Buffer::Float32(data) => check(data, width, &0.0),
        Buffer::Float64(data) => check(data, width, &0.0),
        Buffer::Float16(data) => check(data, width, &half::f16::ZERO),
        Buffer::Int32(data) => check(data, width, &0),
        Buffer::Int64(data) => check(data, width, &0),
        Buffer::Bool(data) => check(data, width, &false),
        Buffer::String(data) => check(data, width, &String::new()),
    }
}

/// A record as the broker would hand it over.
pub fn record<'a>(value: Option<&'a [u8]>, headers: &'a [Header<'a>]) -> Record<'a> {
    Record {
        source: Source {
            partition: Partition { topic: 0, number: 3 },
            offset: 7,
        },
        topic: "events",
        timestamp_ms: Some(1_000_000_005_500),
        key: None,
        value,
        headers,
    }
}

/// Lets panics be that the decoder itself catches and turns into dead letters: those of other people's image decoders.
/// A panic that leaves the target still ends it; this only takes away the hook that would end it before.
pub fn allow_caught_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or("", |place| place.file());
        if !place.contains("/registry/") {
            eprintln!("{panic}");
            std::process::abort();
        }
    }));
}
