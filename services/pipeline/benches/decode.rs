//! What decoding one event costs, beside what the parsers cost when they are driven by a seed as lean as can be.
//!
//! `eddy` is the decoder as the lane calls it: validation, limits, duplicate keys and all. `bare` is a seed that only
//! writes floats into a row, by `serde_json` and by `sonic-rs`. `value` builds a tree first, which is what not to do.
//!
//! The same 32 fields also come in each registry format, beside the decoder of the library that is known for it.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use eddy_pipeline::decode::{
    Binding, Captured, Decoder, EventFormat, EventSettings, Found, LimitSettings, SchemaKind, Schemas, WriterSchema,
};
use eddy_pipeline::event::{Partition, Record, Source};
use eddy_pipeline::fields::{FieldSettings, FieldType};
use eddy_pipeline::tensor::{DType, Inputs, TensorSpec};
use indexmap::IndexMap;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

const FIELDS: usize = 32;

fn name(field: usize) -> String {
    format!("feature_{field:02}")
}

fn value(field: usize) -> f64 {
    (field as f64 * 0.737).sin() * 10.0
}

/// 32 named fields, in the order of the file or shuffled.
fn named(shuffled: bool) -> String {
    let order = |at: usize| if shuffled { at * 13 % FIELDS } else { at };
    let members: Vec<String> = (0..FIELDS)
        .map(order)
        .map(|field| format!("\"{}\":{:.4}", name(field), value(field)))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn array() -> String {
    let elements: Vec<String> = (0..FIELDS).map(|field| format!("{:.12}", value(field))).collect();
    format!("{{\"id\":\"event-0001\",\"v\":[{}]}}", elements.join(","))
}

fn decoder(format: EventFormat, fields: IndexMap<String, FieldSettings>) -> (Decoder, Vec<Inputs>) {
    let specs = [TensorSpec {
        name: "x".into(),
        dtype: DType::Float32,
        row_shape: vec![Some(FIELDS)],
    }];
    let binding = Binding {
        model: "m",
        inputs: &specs,
        fields: &IndexMap::new(),
    };
    let events = EventSettings {
        format,
        ..EventSettings::default()
    };
    let decoder = Decoder::compile(&events, &fields, &LimitSettings::default(), &[binding]);
    let decoder = decoder.expect("the benchmark's settings are sound");
    let inputs = vec![Inputs::with_capacity(decoder.resolved_inputs("m"), 1)];
    (decoder, inputs)
}

/// A seed that knows its names, guesses the next one, and does nothing else.
struct Bare<'a> {
    names: &'a [String],
    row: &'a mut [f32],
}

struct Key<'a> {
    names: &'a [String],
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        if self.names.get(self.expected).is_some_and(|name| name == key) {
            return Ok(Some(self.expected));
        }
        Ok(self.names.iter().position(|name| name == key))
    }
}

impl<'de> DeserializeSeed<'de> for Bare<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bare<'_> {
    type Value = ();
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an event")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (names, mut expected) = (self.names, 0);
        while let Some(key) = map.next_key_seed(Key { names, expected })? {
            match key {
                Some(at) if names.len() == FIELDS => {
                    self.row[at] = map.next_value::<f32>()?;
                    expected = at + 1;
                }
                Some(_) => map.next_value_seed(Bare {
                    names,
                    row: &mut *self.row,
                })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        for cell in self.row {
            *cell = seq.next_element::<f32>()?.ok_or_else(|| A::Error::custom("too few"))?;
        }
        seq.next_element::<IgnoredAny>()?;
        Ok(())
    }
}

fn record(value: &[u8]) -> Record<'_> {
    Record {
        source: Source {
            partition: Partition { topic: 0, number: 0 },
            offset: 0,
        },
        topic: "events",
        timestamp_ms: None,
        key: None,
        value: Some(value),
        headers: &[],
    }
}

/// A registry of one schema.
#[derive(Debug)]
struct One(Arc<WriterSchema>);

impl Schemas for One {
    fn find(&self, _: u32) -> Found {
        Found::Known(self.0.clone())
    }
}

/// Named doubles in a registry's framing: getting ready and decoding, as the lane does, beside a peer that reads the payload.
fn compare_framed(
    c: &mut Criterion,
    (format, kind, text): (EventFormat, SchemaKind, &str),
    payload: &[u8],
    (peer, read): (&str, impl Fn(&[u8]) -> bool),
) {
    let mut group = c.benchmark_group(format!("decode/{}", format.as_str()));
    let event = [&[0, 0, 0, 0, 1], payload].concat();
    group.throughput(Throughput::Bytes(event.len() as u64));
    let fields = (0..FIELDS)
        .map(|at| (name(at), FieldSettings::of(FieldType::Float)))
        .collect();
    let (decoder, mut inputs) = decoder(format, fields);
    let mut decoder = decoder.with_schemas(Arc::new(One(Arc::new(WriterSchema {
        id: 1,
        kind,
        text: text.to_owned(),
        references: Vec::new(),
    }))));
    let mut captured = Captured::default();
    let record = record(&event);
    assert_eq!(decoder.decode(&record, &mut inputs, 0, &mut captured), Ok(()));
    group.bench_function("eddy", |b| {
        b.iter(|| {
            let record = black_box(&record);
            decoder.prepare(record).is_ok() && decoder.decode(record, &mut inputs, 0, &mut captured).is_ok()
        });
    });
    assert!(read(payload), "the peer reads it too");
    group.bench_function(peer, |b| b.iter(|| read(black_box(payload))));
    group.finish();
}

fn avro(c: &mut Criterion) {
    let fields: Vec<String> = (0..FIELDS)
        .map(|at| format!(r#"{{"name":"{}","type":"double"}}"#, name(at)))
        .collect();
    let text = format!(r#"{{"type":"record","name":"E","fields":[{}]}}"#, fields.join(","));
    let payload: Vec<u8> = (0..FIELDS).flat_map(|at| value(at).to_le_bytes()).collect();
    let schema = apache_avro::Schema::parse_str(&text).expect("the schema is sound");
    let reader = apache_avro::reader::datum::GenericDatumReader::builder(&schema).build();
    let reader = reader.expect("the schema is sound");
    let peer = |mut bytes: &[u8]| reader.read_value(&mut bytes).is_ok();
    compare_framed(
        c,
        (EventFormat::Avro, SchemaKind::Avro, &text),
        &payload,
        ("value apache-avro", peer),
    );
}

fn protobuf(c: &mut Criterion) {
    let fields: Vec<String> = (0..FIELDS)
        .map(|at| format!("double {} = {};", name(at), at + 1))
        .collect();
    let text = format!("syntax = \"proto3\"; message E {{ {} }}", fields.join(" "));
    let mut message = Vec::new();
    for at in 0..FIELDS {
        let tag = ((at + 1) << 3 | 1) as u16;
        match tag {
            0..0x80 => message.push(tag as u8),
            _ => message.extend([tag as u8 | 0x80, (tag >> 7) as u8]),
        }
        message.extend(value(at).to_le_bytes());
    }
    let file = protox::file::File::from_source("e.proto", &text).expect("the schema is sound");
    let mut pool = prost_reflect::DescriptorPool::new();
    let added = pool.add_file_descriptor_proto(file.file_descriptor_proto().clone());
    added.expect("the schema is sound");
    let descriptor = pool.get_message_by_name("E").expect("it is in the schema");
    let peer = |bytes: &[u8]| prost_reflect::DynamicMessage::decode(descriptor.clone(), &bytes[1..]).is_ok();
    let payload = [&[0], message.as_slice()].concat();
    let of = (EventFormat::Protobuf, SchemaKind::Protobuf, text.as_str());
    compare_framed(c, of, &payload, ("value prost-reflect", peer));
}

fn json_schema(c: &mut Criterion) {
    let peer = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).is_ok();
    let of = (EventFormat::JsonSchema, SchemaKind::Json, "{}");
    compare_framed(c, of, named(false).as_bytes(), ("value serde_json", peer));
}

fn compare(c: &mut Criterion, shape: &str, event: &str, names: &[String], fields: IndexMap<String, FieldSettings>) {
    let mut group = c.benchmark_group(format!("decode/{shape}"));
    group.throughput(Throughput::Bytes(event.len() as u64));
    let (mut decoder, mut inputs) = decoder(EventFormat::Json, fields);
    let mut captured = Captured::default();
    let record = record(event.as_bytes());
    group.bench_function("eddy", |b| {
        b.iter(|| {
            decoder
                .decode(black_box(&record), &mut inputs, 0, &mut captured)
                .is_ok()
        });
    });
    let mut row = vec![0.0; FIELDS];
    group.bench_function("bare serde_json", |b| {
        b.iter(|| {
            let mut parser = serde_json::Deserializer::from_slice(black_box(event.as_bytes()));
            Bare { names, row: &mut row }.deserialize(&mut parser).is_ok()
        });
    });
    group.bench_function("bare sonic-rs", |b| {
        b.iter(|| {
            let mut parser = sonic_rs::Deserializer::from_slice(black_box(event.as_bytes()));
            Bare { names, row: &mut row }.deserialize(&mut parser).is_ok()
        });
    });
    group.bench_function("value serde_json", |b| {
        b.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(event.as_bytes())).is_ok());
    });
    group.finish();
}

fn benches(c: &mut Criterion) {
    let names: Vec<String> = (0..FIELDS).map(name).collect();
    let floats: IndexMap<String, FieldSettings> = names
        .iter()
        .map(|name| (name.clone(), FieldSettings::of(FieldType::Float)))
        .collect();
    compare(c, "named in order", &named(false), &names, floats.clone());
    compare(c, "named shuffled", &named(true), &names, floats);
    let vector = FieldSettings {
        length: Some(FIELDS),
        ..FieldSettings::of(FieldType::Vector)
    };
    let fields = IndexMap::from([("v".to_owned(), vector)]);
    compare(c, "one array", &array(), &["v".to_owned()], fields);
    avro(c);
    protobuf(c);
    json_schema(c);
}

criterion_group!(all, benches);
criterion_main!(all);
