//! One value of an event that is not JSON, on its way to a field, the id, the time or the prediction.
//!
//! Owns: what the types that JSON does not have mean to each of them. Everything else is as in JSON.
//!
//! | value | number field | timestamp field | text or category | passed through |
//! |---|---|---|---|---|
//! | timestamp, local timestamp, date | the raw number | the instant; local times and dates as if in UTC | RFC 3339 | RFC 3339 |
//! | time of day | the raw number | `wrong_type` | `12:30:00.5` | `"12:30:00.500"` |
//! | decimal | the nearest float, or the integer if it is whole | in the field's unit | `12.30` | `"12.30"` |
//! | UUID | `wrong_type` | `wrong_type` | lower-case text | the same |
//! | bytes | `wrong_type` | `wrong_type` | `wrong_type`; images take them | base64 |
//!
//! Vectors take what number fields take; ids the raw number of a time, and the text of what else has one.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::captured::{Captured, TIME, not_an_id};
use super::decimal::Decimal;
use super::moment::Moment;
use crate::fields::{Appetite, Row, TimeReader};
use crate::rejection::Rejection;

/// A value without parts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Leaf<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    /// An integer beyond `i64`.
    Large(u64),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Moment(Moment),
    Decimal(Decimal<'a>),
    Uuid([u8; 16]),
}

impl Leaf<'_> {
    /// What it is, in the words of a refusal.
    fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a truth value",
            Self::Integer(_) | Self::Large(_) => "a number",
            Self::Float(_) => "a number with a fraction or exponent",
            Self::Text(_) => "a text",
            Self::Bytes(_) => "bytes",
            Self::Moment(moment) => moment.name(),
            Self::Decimal(_) => "a decimal",
            Self::Uuid(_) => "a UUID",
        }
    }
}

/// Hands a value to its field. `text` is for what has to be spelled out on the way.
#[inline]
pub(crate) fn to_field(row: &mut Row<'_>, field: usize, leaf: Leaf<'_>, text: &mut String) -> Result<(), Rejection> {
    match leaf {
        Leaf::Null => row.null(field),
        Leaf::Boolean(b) => row.boolean(field, b),
        Leaf::Integer(i) => row.integer(field, i),
        Leaf::Large(i) => row.large(field, i),
        Leaf::Float(x) => row.float(field, x),
        Leaf::Text(text) => row.text(field, text),
        other => strange_to_field(row, field, other, text),
    }
}

/// What JSON does not have.
fn strange_to_field(row: &mut Row<'_>, field: usize, leaf: Leaf<'_>, text: &mut String) -> Result<(), Rejection> {
    text.clear();
    match (leaf, row.appetite(field)) {
        (Leaf::Bytes(bytes), Appetite::Image) => row.image(field, bytes),
        (Leaf::Moment(moment), Appetite::Number) => row.integer(field, moment.raw),
        (Leaf::Moment(moment), Appetite::Time) => match moment.instant_us() {
            Some(us) => row.instant(field, us),
            None => Err(row.mismatch(field, moment.name())),
        },
        (Leaf::Moment(moment), Appetite::Text) => {
            moment.write(text);
            row.text(field, text)
        }
        (Leaf::Decimal(decimal), Appetite::Text) => {
            decimal.write(text)?;
            row.text(field, text)
        }
        (Leaf::Decimal(decimal), Appetite::Number | Appetite::Time) => match decimal.whole(text)? {
            Some(i) => row.integer(field, i),
            None => {
                let x = decimal.nearest(text)?;
                row.float(field, x)
            }
        },
        (Leaf::Uuid(uuid), Appetite::Text) => {
            write_uuid(text, uuid);
            row.text(field, text)
        }
        (other, _) => Err(row.mismatch(field, other.name())),
    }
}

/// Hands one element to its vector.
#[inline]
pub(crate) fn to_element(
    row: &mut Row<'_>,
    (field, at): (usize, usize),
    leaf: Leaf<'_>,
    text: &mut String,
) -> Result<(), Rejection> {
    match leaf {
        Leaf::Float(x) => row.element_float(field, at, x),
        Leaf::Integer(i) => row.element_integer(field, at, i),
        Leaf::Large(i) => row.element_float(field, at, i as f64),
        Leaf::Boolean(b) => row.element_boolean(field, at, b),
        Leaf::Text(text) => row.element_text(field, at, text),
        Leaf::Moment(moment) => row.element_integer(field, at, moment.raw),
        Leaf::Decimal(decimal) => match decimal.whole(text)? {
            Some(i) => row.element_integer(field, at, i),
            None => {
                let x = decimal.nearest(text)?;
                row.element_float(field, at, x)
            }
        },
        other => Err(row.element_mismatch(field, at, other.name())),
    }
}

/// Takes a value as the event's id, unless a header named it.
pub(crate) fn to_id(captured: &mut Captured, leaf: Leaf<'_>, text: &mut String) -> Result<(), Rejection> {
    const PLACE: &str = "the id field";
    if captured.id.is_some() {
        return Ok(());
    }
    text.clear();
    match leaf {
        Leaf::Text(id) => return captured.name(id, PLACE),
        Leaf::Integer(raw) | Leaf::Moment(Moment { raw, .. }) => text.push_str(itoa::Buffer::new().format(raw)),
        Leaf::Large(i) => text.push_str(itoa::Buffer::new().format(i)),
        Leaf::Uuid(uuid) => write_uuid(text, uuid),
        Leaf::Decimal(decimal) => decimal.write(text)?,
        other => return Err(not_an_id(other.name())),
    }
    captured.name(text, PLACE)
}

/// Takes a value as the event's time.
pub(crate) fn to_time(
    captured: &mut Captured,
    reader: TimeReader,
    leaf: Leaf<'_>,
    text: &mut String,
) -> Result<(), Rejection> {
    let us = match leaf {
        Leaf::Null => return Ok(()),
        Leaf::Text(text) => reader.read_text(TIME, text)?,
        Leaf::Integer(i) => reader.read_integer(TIME, i)?,
        Leaf::Large(_) => reader.read_integer(TIME, i64::MAX)?,
        Leaf::Float(x) => reader.read_float(TIME, x)?,
        Leaf::Decimal(decimal) => {
            text.clear();
            let x = decimal.nearest(text)?;
            reader.read_float(TIME, x)?
        }
        Leaf::Moment(moment) => match moment.instant_us() {
            Some(us) => TimeReader::instant(TIME, us)?,
            None => return Err(TIME.wrong_type(moment.name(), "a time")),
        },
        other => return Err(TIME.wrong_type(other.name(), "a time")),
    };
    captured.at(us);
    Ok(())
}

/// Writes a value as JSON.
pub(crate) fn to_json(out: &mut Vec<u8>, leaf: Leaf<'_>, text: &mut String) -> Result<(), Rejection> {
    text.clear();
    match leaf {
        Leaf::Null => out.extend_from_slice(b"null"),
        Leaf::Boolean(b) => out.extend_from_slice(if b { b"true" } else { b"false" }),
        Leaf::Integer(i) => out.extend_from_slice(itoa::Buffer::new().format(i).as_bytes()),
        Leaf::Large(i) => out.extend_from_slice(itoa::Buffer::new().format(i).as_bytes()),
        Leaf::Float(x) if x.is_finite() => out.extend_from_slice(zmij::Buffer::new().format_finite(x).as_bytes()),
        // As in the JSON of Protobuf: JSON itself has no word for them.
        Leaf::Float(x) if x.is_nan() => out.extend_from_slice(b"\"NaN\""),
        Leaf::Float(x) if x > 0.0 => out.extend_from_slice(b"\"Infinity\""),
        Leaf::Float(_) => out.extend_from_slice(b"\"-Infinity\""),
        Leaf::Text(text) => quoted(out, text),
        Leaf::Bytes(bytes) => {
            STANDARD.encode_string(bytes, text);
            quoted(out, text);
        }
        Leaf::Moment(moment) => {
            moment.write(text);
            quoted(out, text);
        }
        Leaf::Decimal(decimal) => {
            decimal.write(text)?;
            quoted(out, text);
        }
        Leaf::Uuid(uuid) => {
            write_uuid(text, uuid);
            quoted(out, text);
        }
    }
    Ok(())
}

/// Writes a text as JSON.
pub(crate) fn quoted(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a buffer takes everything");
}

fn write_uuid(text: &mut String, uuid: [u8; 16]) {
    for (at, byte) in uuid.into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        _ = write!(text, "{byte:02x}");
    }
}
