//! The Avro decoder against the one of `apache-avro`: random schemas, with random values that `apache-avro` encodes and reads
//! back. What it reads, written as JSON, is what an event passes through as a whole.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Peer;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Days, Duration, Millis, Months, Schema};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::registry::{Shelf, framed, is_close};
use super::*;
use crate::decode::schemas::SchemaKind;

/// A schema without names, which are given to it at the end, and a value of it.
type Sample = (Value, Peer);

fn logical(base: &str, name: &str) -> Value {
    json!({ "type": base, "logicalType": name })
}

fn scalar() -> impl Strategy<Value = Sample> {
    let longs = |name: &'static str, make: fn(i64) -> Peer| {
        any::<i64>().prop_map(move |i| (logical("long", name), make(i))).boxed()
    };
    let ints = |name: &'static str, make: fn(i32) -> Peer| {
        any::<i32>().prop_map(move |i| (logical("int", name), make(i))).boxed()
    };
    let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
    let decimal = (proptest::collection::vec(any::<u8>(), 1..20), 0..6usize).prop_map(|(bytes, scale)| {
        let schema = json!({ "type": "bytes", "logicalType": "decimal", "precision": 60, "scale": scale });
        (schema, Peer::Decimal(bytes.into()))
    });
    let words = (1..5usize)
        .prop_flat_map(|count| (Just(count), 0..count))
        .prop_map(|(count, at)| {
            let symbols: Vec<String> = (0..count).map(|at| format!("S{at}")).collect();
            let chosen = Peer::Enum(at as u32, symbols[at].clone());
            (json!({ "type": "enum", "symbols": symbols }), chosen)
        });
    let fixed = bytes().prop_map(|bytes| {
        let schema = json!({ "type": "fixed", "size": bytes.len() });
        (schema, Peer::Fixed(bytes.len(), bytes))
    });
    let duration = any::<[u32; 3]>().prop_map(|[months, days, millis]| {
        let schema = json!({ "type": "fixed", "size": 12, "logicalType": "duration" });
        let value = Duration::new(Months::new(months), Days::new(days), Millis::new(millis));
        (schema, Peer::Duration(value))
    });
    prop_oneof![
        Just((json!("null"), Peer::Null)),
        any::<bool>().prop_map(|b| (json!("boolean"), Peer::Boolean(b))),
        any::<i32>().prop_map(|i| (json!("int"), Peer::Int(i))),
        any::<i64>().prop_map(|i| (json!("long"), Peer::Long(i))),
        any::<f32>().prop_map(|x| (json!("float"), Peer::Float(x))),
        any::<f64>().prop_map(|x| (json!("double"), Peer::Double(x))),
        bytes().prop_map(|bytes| (json!("bytes"), Peer::Bytes(bytes))),
        ".{0,12}".prop_map(|text| (json!("string"), Peer::String(text))),
        ints("date", Peer::Date),
        ints("time-millis", Peer::TimeMillis),
        longs("time-micros", Peer::TimeMicros),
        longs("timestamp-millis", Peer::TimestampMillis),
        longs("timestamp-micros", Peer::TimestampMicros),
        longs("timestamp-nanos", Peer::TimestampNanos),
        longs("local-timestamp-millis", Peer::LocalTimestampMillis),
        longs("local-timestamp-micros", Peer::LocalTimestampMicros),
        longs("local-timestamp-nanos", Peer::LocalTimestampNanos),
        decimal,
        words,
        fixed,
        duration,
    ]
}

fn sample() -> impl Strategy<Value = Sample> {
    scalar().prop_recursive(5, 40, 5, |inner| {
        let list = (inner.clone(), 0..4usize).prop_map(|((schema, value), count)| {
            (
                json!({ "type": "array", "items": schema }),
                Peer::Array(vec![value; count]),
            )
        });
        let map = (inner.clone(), 0..4usize).prop_map(|((schema, value), count)| {
            let members = (0..count).map(|at| (format!("k{at}"), value.clone())).collect();
            (json!({ "type": "map", "values": schema }), Peer::Map(members))
        });
        let record = proptest::collection::vec(inner.clone(), 0..5).prop_map(|members| {
            let mut fields = Vec::new();
            let mut values = Vec::new();
            for (at, (schema, value)) in members.into_iter().enumerate() {
                fields.push(json!({ "name": format!("f{at}"), "type": schema }));
                values.push((format!("f{at}"), value));
            }
            (json!({ "type": "record", "fields": fields }), Peer::Record(values))
        });
        let union = (inner, any::<bool>()).prop_map(|((schema, value), is_null)| {
            if schema == json!("null") || schema.is_array() {
                return (schema, value);
            }
            let value = if is_null {
                Peer::Union(0, Box::new(Peer::Null))
            } else {
                Peer::Union(1, Box::new(value))
            };
            (json!(["null", schema]), value)
        });
        prop_oneof![list, map, record, union]
    })
}

/// Gives every type that needs one a name of its own.
fn name(schema: &mut Value, next: &mut usize) {
    match schema {
        Value::Object(members) => {
            if matches!(members["type"].as_str(), Some("record" | "enum" | "fixed")) {
                members.insert("name".into(), json!(format!("N{next}")));
                *next += 1;
            }
            for key in ["type", "items", "values", "fields"] {
                if let Some(inner) = members.get_mut(key) {
                    name(inner, next);
                }
            }
        }
        Value::Array(branches) => branches.iter_mut().for_each(|branch| name(branch, next)),
        _ => {}
    }
}

/// What the peer read, as JSON, computed with other means than the decoder's.
fn expected(value: &Peer, schema: &Value) -> Value {
    use base64::Engine as _;
    let base64 = |bytes: &[u8]| json!(base64::engine::general_purpose::STANDARD.encode(bytes));
    let float = |x: f64| match x {
        _ if x.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        x => json!(x),
    };
    match value {
        Peer::Null => Value::Null,
        Peer::Boolean(b) => json!(b),
        Peer::Int(i) => json!(i),
        Peer::Long(i) => json!(i),
        Peer::Float(x) => float(f64::from(*x)),
        Peer::Double(x) => float(*x),
        Peer::Bytes(bytes) | Peer::Fixed(_, bytes) => base64(bytes),
        Peer::String(text) | Peer::Enum(_, text) => json!(text),
        Peer::Union(branch, value) => expected(value, &schema[*branch as usize]),
        Peer::Array(list) => list.iter().map(|value| expected(value, &schema["items"])).collect(),
        Peer::Map(members) => {
            let members = members
                .iter()
                .map(|(key, value)| (key.clone(), expected(value, &schema["values"])));
            Value::Object(members.collect())
        }
        Peer::Record(members) => {
            let members = members.iter().enumerate();
            let members =
                members.map(|(at, (key, value))| (key.clone(), expected(value, &schema["fields"][at]["type"])));
            Value::Object(members.collect())
        }
        Peer::Decimal(decimal) => {
            let bytes: Vec<u8> = decimal.try_into().expect("it was made of bytes");
            let fill = if bytes[0] >= 0x80 { 0xFF } else { 0 };
            if bytes.len() > 16 {
                return json!("too large for the test");
            }
            let mut wide = [fill; 16];
            wide[16 - bytes.len()..].copy_from_slice(&bytes);
            let (i, scale) = (i128::from_be_bytes(wide), schema["scale"].as_u64().unwrap() as usize);
            let (sign, digits) = (
                if i < 0 { "-" } else { "" },
                format!("{:0>1$}", i.unsigned_abs(), scale + 1),
            );
            let (whole, rest) = digits.split_at(digits.len() - scale);
            json!(format!("{sign}{whole}{}{rest}", if scale > 0 { "." } else { "" }))
        }
        Peer::Duration(duration) => json!({
            "months": u32::from(duration.months()), "days": u32::from(duration.days()), "milliseconds": u32::from(duration.millis()),
        }),
        Peer::Date(days) => {
            let at = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(*days).unwrap_or_default());
            let known = at
                .ok()
                .filter(|date| date.year() >= 1 && jiff::Span::new().try_days(*days).is_ok());
            known.map_or_else(|| json!(days.to_string()), |date| json!(date.to_string()))
        }
        Peer::TimeMillis(i) => time_of_day(i64::from(*i), 1000),
        Peer::TimeMicros(i) => time_of_day(*i, 1_000_000),
        Peer::TimestampMillis(i) => date_time(*i, 1000, "Z"),
        Peer::TimestampMicros(i) => date_time(*i, 1_000_000, "Z"),
        Peer::TimestampNanos(i) => date_time(*i, 1_000_000_000, "Z"),
        Peer::LocalTimestampMillis(i) => date_time(*i, 1000, ""),
        Peer::LocalTimestampMicros(i) => date_time(*i, 1_000_000, ""),
        Peer::LocalTimestampNanos(i) => date_time(*i, 1_000_000_000, ""),
        other => panic!("{other:?} is not made by this test"),
    }
}

fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| is_same(a, b)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| is_close(a, b))
        }
        (a, b) => a == b,
    }
}

fn fraction(i: i64, unit: i64) -> String {
    let nanos = i.rem_euclid(unit) * (1_000_000_000 / unit);
    match format!(".{nanos:09}") {
        text if nanos == 0 => text[..0].to_owned(),
        text if text.ends_with("000000") => text[..4].to_owned(),
        text if text.ends_with("000") => text[..7].to_owned(),
        text => text,
    }
}

fn time_of_day(i: i64, unit: i64) -> Value {
    let seconds = i.div_euclid(unit);
    if !(0..86_400).contains(&seconds) {
        return json!(i.to_string());
    }
    let (hour, minute, second) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
    json!(format!("{hour:02}:{minute:02}:{second:02}{}", fraction(i, unit)))
}

fn date_time(i: i64, unit: i64, zone: &str) -> Value {
    let epoch = jiff::civil::datetime(1970, 1, 1, 0, 0, 0, 0);
    let moved = jiff::Span::new().try_seconds(i.div_euclid(unit)).ok();
    let at = moved
        .and_then(|span| epoch.checked_add(span).ok())
        .filter(|at| at.year() >= 1);
    match at {
        Some(at) => json!(format!(
            "{}{}{zone}",
            at.strftime("%Y-%m-%dT%H:%M:%S"),
            fraction(i, unit)
        )),
        None => json!(i.to_string()),
    }
}

const FILE: &str = r#"
    [events]
    format = "avro"
    pass_through = ["/whole"]
    [fields.x]
    type = "float"
    pointer = "/nowhere"
    default = 0
"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn property_events_hold_what_the_peer_reads_in_them((mut schema, value) in sample()) {
        name(&mut schema, &mut 0);
        let text = json!({ "type": "record", "name": "Whole", "fields": [{ "name": "whole", "type": schema }] }).to_string();
        let parsed = Schema::parse_str(&text).unwrap();
        let whole = Peer::Record(vec![("whole".into(), value)]);
        let bytes = GenericDatumWriter::builder(&parsed).build().unwrap().write_value_to_vec(whole).unwrap();
        let read = GenericDatumReader::builder(&parsed).build().unwrap().read_value(&mut bytes.as_slice()).unwrap();
        let Peer::Record(members) = read else { panic!("a record was written") };
        let theirs = expected(&members[0].1, &schema);
        prop_assume!(!theirs.to_string().contains("too large for the test"));

        let mut rig = rig(FILE).with_schemas(&Shelf::of(SchemaKind::Avro, &[(1, &text)]));
        let event = framed(1, &bytes);
        let decoded = rig.decode(&event);
        prop_assert!(decoded.is_ok(), "{decoded:?} {text}");
        let ours = format!("{{{}}}", String::from_utf8(rig.captured.fields.clone()).unwrap());
        let ours: Value = serde_json::from_str(&ours).unwrap();
        prop_assert!(is_same(&ours["whole"], &theirs), "ours {}, theirs {theirs}: {text}", ours["whole"]);

        // Every shorter value ends in the middle of something, and a longer one has something behind its end.
        for end in 5..event.len() {
            let cut = rig.reason(&event[..end]);
            prop_assert!(cut == Some(Reason::Malformed), "cut at {end}: {cut:?} {text}");
        }
        prop_assert_eq!(rig.reason([&event[..], &[0]].concat()), Some(Reason::Malformed));
    }
}
