//! A value of an Arrow array as JSON.
//!
//! What counts as what: integers of all widths, and decimals, keep all their digits; a float is the shortest text that reads
//! back as the same number in its own width; NaN is `null`, because pandas writes missing numbers as NaN; infinities are
//! `"Infinity"` and `"-Infinity"`; dates and timestamps are RFC 3339 text in UTC (a timestamp without a zone is taken for
//! UTC), times of day are `"12:30:00"`; bytes are base64, as the pipeline reads images; structs, and maps with text keys,
//! are objects; lists are lists.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_schema::{DataType, Field, TimeUnit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::data::choice::{Fate, Fates, Taken};
use crate::data::json::object;
use crate::limits::{CELL_BYTES, DEPTH};
use crate::text::{clip, push_f32, push_f64, push_string};

/// Why a type cannot be read, and what to do; `None` when it can.
pub(crate) fn unsupported(data_type: &DataType) -> Option<String> {
    fn within(data_type: &DataType, depth: usize) -> Option<String> {
        if depth > DEPTH {
            return Some(format!("is nested deeper than {DEPTH} levels; flatten it"));
        }
        match data_type {
            DataType::Null
            | DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::UInt64
            | DataType::Float16
            | DataType::Float32
            | DataType::Float64
            | DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..)
            | DataType::Decimal256(..)
            | DataType::Timestamp(..)
            | DataType::Date32
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => None,
            DataType::Dictionary(_, values) => within(values, depth),
            DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
                within(field.data_type(), depth + 1)
            }
            DataType::Struct(fields) => fields.iter().find_map(|field| within(field.data_type(), depth + 1)),
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(pair) if pair.len() == 2 => match pair[0].data_type() {
                    DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => within(pair[1].data_type(), depth + 1),
                    _ => Some("is a map whose keys are not texts; write it as lists, or with text keys".to_owned()),
                },
                _ => Some("is a map of an unknown shape; write it as lists".to_owned()),
            },
            other => Some(format!(
                "is of the type {other}, which no event holds; write it as a number or a text"
            )),
        }
    }
    within(data_type, 1)
}

/// Why a value cannot be written.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) column: String,
    pub(crate) message: String,
}

/// Writes rows as JSON.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) json: String,
    pub(crate) taken: Taken,
}

impl Writer {
    /// One row of several arrays as an object.
    pub(crate) fn object<'a>(
        &mut self,
        members: impl Iterator<Item = (&'a Field, &'a dyn Array)>,
        row: usize,
        fates: Option<&Fates>,
    ) -> Result<(), Fault> {
        self.json.push('{');
        let mut is_first = true;
        for (field, array) in members {
            let fault = |message: String| Fault {
                column: clip(field.name()).into_owned(),
                message,
            };
            let inner = match fates.and_then(|fates| fates.of_member(field.name())) {
                Some(Fate::Out) => continue,
                Some(Fate::Label) => {
                    let mut alone = Self {
                        json: String::new(),
                        taken: Taken::Nothing,
                    };
                    alone.value(array, row, None).map_err(fault)?;
                    self.taken = Taken::Label(object::label(&alone.json).map_err(fault)?);
                    continue;
                }
                Some(Fate::Within(inner)) => Some(inner),
                None => None,
            };
            if !is_first {
                self.json.push(',');
            }
            is_first = false;
            push_string(&mut self.json, field.name());
            self.json.push(':');
            self.value(array, row, inner).map_err(fault)?;
        }
        self.json.push('}');
        Ok(())
    }

    /// One value. `Err` says why it cannot be written, and what to do.
    fn value(&mut self, array: &dyn Array, row: usize, fates: Option<&Fates>) -> Result<(), String> {
        if array.is_null(row) {
            self.json.push_str("null");
            return Ok(());
        }
        match array.data_type() {
            DataType::Null => self.json.push_str("null"),
            DataType::Boolean => self
                .json
                .push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
            DataType::Float16 => push_f32(&mut self.json, array.as_primitive::<Float16Type>().value(row).to_f32()),
            DataType::Float32 => push_f32(&mut self.json, array.as_primitive::<Float32Type>().value(row)),
            DataType::Float64 => push_f64(&mut self.json, array.as_primitive::<Float64Type>().value(row)),
            DataType::Decimal32(..) => self
                .json
                .push_str(&array.as_primitive::<Decimal32Type>().value_as_string(row)),
            DataType::Decimal64(..) => self
                .json
                .push_str(&array.as_primitive::<Decimal64Type>().value_as_string(row)),
            DataType::Decimal128(..) => self
                .json
                .push_str(&array.as_primitive::<Decimal128Type>().value_as_string(row)),
            DataType::Decimal256(..) => self
                .json
                .push_str(&array.as_primitive::<Decimal256Type>().value_as_string(row)),
            DataType::Utf8 => return self.text(array.as_string::<i32>().value(row)),
            DataType::LargeUtf8 => return self.text(array.as_string::<i64>().value(row)),
            DataType::Utf8View => return self.text(array.as_string_view().value(row)),
            DataType::Binary => return self.bytes(array.as_binary::<i32>().value(row)),
            DataType::LargeBinary => return self.bytes(array.as_binary::<i64>().value(row)),
            DataType::BinaryView => return self.bytes(array.as_binary_view().value(row)),
            DataType::FixedSizeBinary(_) => return self.bytes(array.as_fixed_size_binary().value(row)),
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => return self.time(array, row),
            DataType::Time32(_) | DataType::Time64(_) => self.time_of_day(array, row),
            DataType::Dictionary(..) => return self.dictionary(array, row, fates),
            DataType::List(_) => return self.list(&array.as_list::<i32>().value(row)),
            DataType::LargeList(_) => return self.list(&array.as_list::<i64>().value(row)),
            DataType::FixedSizeList(..) => return self.list(&array.as_fixed_size_list().value(row)),
            DataType::Map(..) => return self.map(array, row),
            DataType::Struct(fields) => {
                let columns = array.as_struct().columns().iter().map(AsRef::as_ref);
                let members = fields.iter().map(AsRef::as_ref).zip(columns);
                return self.object(members, row, fates).map_err(nested);
            }
            _ => match whole(array, row) {
                Some(number) => self.json.push_str(&number.to_string()),
                None => return Err(unsupported(array.data_type()).unwrap_or_default()),
            },
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        if text.len() > CELL_BYTES {
            return Err(format!(
                "has {} bytes, and {CELL_BYTES} are read; shorten it or leave the column out",
                text.len()
            ));
        }
        push_string(&mut self.json, text);
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), String> {
        if bytes.len() > CELL_BYTES / 4 * 3 {
            return Err(format!(
                "has {} bytes, more than the {CELL_BYTES} that are read as base64; shorten it or leave the column out",
                bytes.len()
            ));
        }
        self.json.push('"');
        STANDARD.encode_string(bytes, &mut self.json);
        self.json.push('"');
        Ok(())
    }

    fn time(&mut self, array: &dyn Array, row: usize) -> Result<(), String> {
        let time = match array.data_type() {
            DataType::Date32 => {
                Timestamp::from_second(i64::from(array.as_primitive::<Date32Type>().value(row)) * 86_400)
            }
            DataType::Date64 => Timestamp::from_millisecond(array.as_primitive::<Date64Type>().value(row)),
            DataType::Timestamp(TimeUnit::Second, _) => {
                Timestamp::from_second(array.as_primitive::<TimestampSecondType>().value(row))
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                Timestamp::from_millisecond(array.as_primitive::<TimestampMillisecondType>().value(row))
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Timestamp::from_microsecond(array.as_primitive::<TimestampMicrosecondType>().value(row))
            }
            _ => Timestamp::from_nanosecond(i128::from(array.as_primitive::<TimestampNanosecondType>().value(row))),
        };
        match time {
            Ok(time) => push_string(&mut self.json, &time.to_string()),
            Err(_) => return Err("is a time beyond the year 9999; was it written in another unit?".to_owned()),
        }
        Ok(())
    }

    fn time_of_day(&mut self, array: &dyn Array, row: usize) {
        let ns = match array.data_type() {
            DataType::Time32(TimeUnit::Second) => {
                i64::from(array.as_primitive::<Time32SecondType>().value(row)) * 1_000_000_000
            }
            DataType::Time32(_) => i64::from(array.as_primitive::<Time32MillisecondType>().value(row)) * 1_000_000,
            DataType::Time64(TimeUnit::Microsecond) => array
                .as_primitive::<Time64MicrosecondType>()
                .value(row)
                .saturating_mul(1000),
            _ => array.as_primitive::<Time64NanosecondType>().value(row),
        };
        let (s, fraction) = (ns.div_euclid(1_000_000_000), ns.rem_euclid(1_000_000_000));
        let text = format!("{:02}:{:02}:{:02}.{fraction:09}", s / 3600, s / 60 % 60, s % 60);
        push_string(&mut self.json, text.trim_end_matches('0').trim_end_matches('.'));
    }

    fn dictionary(&mut self, array: &dyn Array, row: usize, fates: Option<&Fates>) -> Result<(), String> {
        let dictionary = array.as_any_dictionary();
        let values = dictionary.values();
        let key = whole(dictionary.keys(), row).and_then(|key| usize::try_from(key).ok());
        match key.filter(|key| *key < values.len()) {
            Some(key) => self.value(values, key, fates),
            None => Err("points beyond its dictionary; write the file again".to_owned()),
        }
    }

    fn list(&mut self, items: &dyn Array) -> Result<(), String> {
        self.json.push('[');
        for item in 0..items.len() {
            if item > 0 {
                self.json.push(',');
            }
            self.value(items, item, None)?;
        }
        self.json.push(']');
        Ok(())
    }

    fn map(&mut self, array: &dyn Array, row: usize) -> Result<(), String> {
        let entries = array.as_map().value(row);
        let (keys, values) = (entries.column(0), entries.column(1));
        let mut seen = std::collections::HashSet::new();
        self.json.push('{');
        for entry in 0..entries.len() {
            let mut key = Self {
                json: String::new(),
                taken: Taken::Nothing,
            };
            key.value(keys, entry, None)?;
            if entry > 0 {
                self.json.push(',');
            }
            self.json.push_str(&key.json);
            self.json.push(':');
            self.value(values, entry, None)?;
            if !seen.insert(key.json) {
                return Err("is a map with a key that stands twice; keep one".to_owned());
            }
        }
        self.json.push('}');
        Ok(())
    }
}

/// The words of a fault in a member.
fn nested(fault: Fault) -> String {
    format!("its member `{}` {}", fault.column, fault.message)
}

/// An integer of any width.
fn whole(array: &dyn Array, row: usize) -> Option<i128> {
    Some(match array.data_type() {
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).into(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(row).into(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).into(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).into(),
        _ => return None,
    })
}
