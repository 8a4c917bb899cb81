//! What decoding one event costs, beside what the parsers cost when they are driven by a seed as lean as can be.
//!
//! `eddy` is the decoder as the lane calls it: validation, limits, duplicate keys and all. `bare` is a seed that only
//! writes floats into a row, by `serde_json` and by `sonic-rs`. `value` builds a tree first, which is what not to do.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use eddy_pipeline::decode::{Binding, Captured, Decoder, EventSettings, LimitSettings};
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

fn decoder(fields: IndexMap<String, FieldSettings>) -> (Decoder, Vec<Inputs>) {
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
    let decoder = Decoder::compile(
        &EventSettings::default(),
        &fields,
        &LimitSettings::default(),
        &[binding],
    );
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

fn compare(c: &mut Criterion, shape: &str, event: &str, names: &[String], fields: IndexMap<String, FieldSettings>) {
    let mut group = c.benchmark_group(format!("decode/{shape}"));
    group.throughput(Throughput::Bytes(event.len() as u64));
    let (mut decoder, mut inputs) = decoder(fields);
    let mut captured = Captured::default();
    let record = Record {
        source: Source {
            partition: Partition { topic: 0, number: 0 },
            offset: 0,
        },
        topic: "events",
        timestamp_ms: None,
        key: None,
        value: Some(event.as_bytes()),
        headers: &[],
    };
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
}

criterion_group!(all, benches);
criterion_main!(all);
