//! How a value of Protobuf looks in the JSON mapping: which messages are more than their fields.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, Kind, MapKey, MessageDescriptor, ReflectMessage, Value};

use crate::decode::leaf::Leaf;
use crate::decode::moment::{date_time, fraction};

/// What a message is known to stand for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Known {
    Nothing,
    /// Its first field, with this default.
    Wrapper(Leaf<'static>),
    /// A text.
    Written(Written),
    Struct,
    Value,
    ListValue,
}

/// A message with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Timestamp,
    Duration,
}

pub(super) fn known(message: &MessageDescriptor) -> Known {
    let Some(name) = message.full_name().strip_prefix("google.protobuf.") else {
        return Known::Nothing;
    };
    match name {
        "DoubleValue" | "FloatValue" => Known::Wrapper(Leaf::Float(0.0)),
        "Int64Value" | "UInt64Value" | "Int32Value" | "UInt32Value" => Known::Wrapper(Leaf::Integer(0)),
        "BoolValue" => Known::Wrapper(Leaf::Boolean(false)),
        "StringValue" => Known::Wrapper(Leaf::Text("")),
        "BytesValue" => Known::Wrapper(Leaf::Bytes(b"")),
        "Timestamp" => Known::Written(Written::Timestamp),
        "Duration" => Known::Written(Written::Duration),
        "Struct" => Known::Struct,
        "Value" => Known::Value,
        "ListValue" => Known::ListValue,
        _ => Known::Nothing,
    }
}

/// A value as the JSON mapping has it.
#[derive(Debug)]
pub(super) enum View<'v> {
    Leaf(Leaf<'v>),
    /// An enum's number, whose name its kind has.
    Enum(i32, Kind),
    Written(Written, &'v DynamicMessage),
    List(&'v [Value], Kind),
    /// `None`: an empty one.
    Map(Option<&'v HashMap<MapKey, Value>>, Kind),
    Message(&'v DynamicMessage),
}

pub(super) fn view<'v>(value: &'v Value, kind: &Kind) -> View<'v> {
    View::Leaf(match value {
        Value::Bool(b) => Leaf::Boolean(*b),
        Value::I32(i) => Leaf::Integer((*i).into()),
        Value::I64(i) => Leaf::Integer(*i),
        Value::U32(i) => Leaf::Integer((*i).into()),
        Value::U64(i) => i64::try_from(*i).map_or(Leaf::Large(*i), Leaf::Integer),
        Value::F32(x) => Leaf::Float((*x).into()),
        Value::F64(x) => Leaf::Float(*x),
        Value::String(text) => Leaf::Text(text),
        Value::Bytes(bytes) => Leaf::Bytes(bytes),
        Value::EnumNumber(number) => return View::Enum(*number, kind.clone()),
        Value::List(list) => return View::List(list, kind.clone()),
        Value::Map(map) => {
            let kind = match kind {
                Kind::Message(entry) if entry.is_map_entry() => entry.map_entry_value_field().kind(),
                kind => kind.clone(),
            };
            return View::Map(Some(map), kind);
        }
        Value::Message(message) => return of_message(message),
    })
}

fn of_message(message: &DynamicMessage) -> View<'_> {
    let descriptor = message.descriptor();
    let content = || message.fields().next().map(|(field, value)| (value, field.kind()));
    match known(&descriptor) {
        Known::Nothing => View::Message(message),
        Known::Written(written) => View::Written(written, message),
        Known::Wrapper(default) => content().map_or(View::Leaf(default), |(value, kind)| view(value, &kind)),
        Known::Struct => content().map_or(View::Map(None, Kind::Bool), |(value, kind)| view(value, &kind)),
        Known::ListValue => content().map_or(View::List(&[], Kind::Bool), |(value, kind)| view(value, &kind)),
        // Its enum has only the word for null.
        Known::Value => match content() {
            None | Some((Value::EnumNumber(_), _)) => View::Leaf(Leaf::Null),
            Some((value, kind)) => view(value, &kind),
        },
    }
}

/// Seconds and nanoseconds.
pub(super) fn parts(message: &DynamicMessage) -> (i64, i64) {
    let (mut seconds, mut nanos) = (0, 0);
    for (field, value) in message.fields() {
        match (field.number(), value) {
            (1, Value::I64(i)) => seconds = *i,
            (2, Value::I32(i)) => nanos = i64::from(*i),
            _ => {}
        }
    }
    (seconds, nanos)
}

/// Appends the text of a timestamp or duration. What has none is written as its two numbers.
pub(super) fn spell(text: &mut String, written: Written, message: &DynamicMessage) {
    use std::fmt::Write as _;
    let (seconds, nanos) = parts(message);
    match written {
        Written::Timestamp => {
            let begin = text.len();
            if (0..1_000_000_000).contains(&nanos) && date_time(text, seconds, nanos) {
                text.push('Z');
                return;
            }
            text.truncate(begin);
            _ = write!(text, "{seconds} s {nanos} ns");
        }
        Written::Duration => {
            let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
            _ = write!(text, "{sign}{}", seconds.unsigned_abs());
            fraction(text, nanos.saturating_abs());
            text.push('s');
        }
    }
}

/// The text of a map's key.
pub(super) fn key_text(key: &MapKey) -> std::borrow::Cow<'_, str> {
    match key {
        MapKey::Bool(b) => if *b { "true" } else { "false" }.into(),
        MapKey::I32(i) => i.to_string().into(),
        MapKey::I64(i) => i.to_string().into(),
        MapKey::U32(i) => i.to_string().into(),
        MapKey::U64(i) => i.to_string().into(),
        MapKey::String(text) => text.into(),
    }
}
