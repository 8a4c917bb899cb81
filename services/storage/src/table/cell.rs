//! One value of a table.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;

use super::ColumnType;

/// Whole floats up to here are exact; a larger one may stand for several integers.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A value, or none.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number, NaN and the infinities among them.
    Float(f64),
    /// A truth value.
    Boolean(bool),
    /// A text.
    Text(Cow<'a, str>),
    /// Milliseconds since the Unix epoch.
    TimestampMs(i64),
    /// A list of texts.
    Texts(Cow<'a, [String]>),
    /// A list of 64-bit floats.
    Floats(Cow<'a, [f64]>),
    /// A list of 32-bit floats.
    Floats32(Cow<'a, [f32]>),
}

impl<'a> Cell<'a> {
    /// A text.
    pub fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// The type of the columns that it fits; `None` where it fits all.
    pub const fn kind(&self) -> Option<ColumnType> {
        Some(match self {
            Self::Null => return None,
            Self::Integer(_) => ColumnType::Integer,
            Self::Float(_) => ColumnType::Float,
            Self::Boolean(_) => ColumnType::Boolean,
            Self::Text(_) => ColumnType::Text,
            Self::TimestampMs(_) => ColumnType::Timestamp,
            Self::Texts(_) => ColumnType::Texts,
            Self::Floats(_) => ColumnType::Floats,
            Self::Floats32(_) => ColumnType::Floats32,
        })
    }

    /// The cell of a column of this type for a field of an event, by what the pipeline's decoder takes for one: whole floats
    /// are integers, numbers and truth values are words, `"NaN"` and `"Infinity"` are floats. A time is RFC 3339 text; one
    /// that is a number has a unit that only the caller knows.
    ///
    /// # Errors
    /// A sentence without its subject: `is "x", not a whole number`.
    pub fn of_json(value: &'a Value, kind: ColumnType) -> Result<Self, String> {
        let cell = match (kind, value) {
            (_, Value::Null) => Some(Self::Null),
            (ColumnType::Integer, Value::Number(number)) => {
                number.as_i64().or_else(|| whole(number.as_f64()?)).map(Self::Integer)
            }
            (ColumnType::Float, value) => float(value).map(Self::Float),
            (ColumnType::Boolean, Value::Bool(b)) => Some(Self::Boolean(*b)),
            (ColumnType::Text, Value::String(text)) => Some(Self::text(text)),
            (ColumnType::Text, Value::Number(_) | Value::Bool(_)) => Some(Self::Text(Cow::Owned(value.to_string()))),
            (ColumnType::Timestamp, Value::String(text)) => {
                let time: Option<Timestamp> = text.parse().ok();
                time.map(|time| Self::TimestampMs(time.as_nanosecond().div_euclid(1_000_000) as i64))
            }
            (ColumnType::Texts, Value::Array(list)) => {
                let texts: Option<Vec<String>> = list.iter().map(|item| item.as_str().map(str::to_owned)).collect();
                texts.map(|texts| Self::Texts(texts.into()))
            }
            (ColumnType::Floats, Value::Array(list)) => {
                let floats: Option<Vec<f64>> = list.iter().map(float).collect();
                floats.map(|floats| Self::Floats(floats.into()))
            }
            (ColumnType::Floats32, Value::Array(list)) => {
                let floats: Option<Vec<f32>> = list.iter().map(|item| float(item).map(|x| x as f32)).collect();
                floats.map(|floats| Self::Floats32(floats.into()))
            }
            _ => None,
        };
        cell.ok_or_else(|| {
            let wanted = match kind {
                ColumnType::Integer => "a whole number of 64 bits",
                ColumnType::Float => "a number",
                ColumnType::Boolean => "a truth value",
                ColumnType::Text => "a text",
                ColumnType::Timestamp => "an RFC 3339 time",
                ColumnType::Texts => "a list of texts",
                ColumnType::Floats | ColumnType::Floats32 => "a list of numbers",
            };
            format!("is {}, not {wanted}", crate::text::clip(&value.to_string()))
        })
    }
}

fn whole(x: f64) -> Option<i64> {
    (x.fract() == 0.0 && x.abs() <= EXACT).then_some(x as i64)
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_becomes_the_cell_that_its_column_holds() {
        let texts = ["a".to_owned(), "b".to_owned()];
        let pairs = [
            (json!(3), ColumnType::Integer, Cell::Integer(3)),
            (json!(3.0), ColumnType::Integer, Cell::Integer(3)),
            (json!(i64::MIN), ColumnType::Integer, Cell::Integer(i64::MIN)),
            (json!(3), ColumnType::Float, Cell::Float(3.0)),
            (json!("-Infinity"), ColumnType::Float, Cell::Float(f64::NEG_INFINITY)),
            (json!(false), ColumnType::Boolean, Cell::Boolean(false)),
            (json!("x"), ColumnType::Text, Cell::text("x")),
            (json!(7), ColumnType::Text, Cell::text("7")),
            (
                json!("1970-01-01T01:00:00.0015+01:00"),
                ColumnType::Timestamp,
                Cell::TimestampMs(1),
            ),
            (
                json!("1969-12-31T23:59:59.9999Z"),
                ColumnType::Timestamp,
                Cell::TimestampMs(-1),
            ),
            (
                json!(["a", "b"]),
                ColumnType::Texts,
                Cell::Texts(texts.as_slice().into()),
            ),
            (
                json!([1, 0.5]),
                ColumnType::Floats,
                Cell::Floats([1.0, 0.5].as_slice().into()),
            ),
            (
                json!([0.1]),
                ColumnType::Floats32,
                Cell::Floats32([0.1f32].as_slice().into()),
            ),
        ];
        for (value, kind, expected) in &pairs {
            assert_eq!(Cell::of_json(value, *kind).as_ref(), Ok(expected), "{value}");
            assert_eq!(Cell::of_json(&Value::Null, *kind), Ok(Cell::Null));
        }
    }

    #[test]
    fn a_field_that_its_column_cannot_hold_is_refused() {
        let pairs = [
            (json!(3.5), ColumnType::Integer),
            (json!(u64::MAX), ColumnType::Integer),
            (json!("3"), ColumnType::Integer),
            (json!("3"), ColumnType::Float),
            (json!(true), ColumnType::Float),
            (json!(1), ColumnType::Boolean),
            (json!([]), ColumnType::Text),
            (json!("2026-05-01"), ColumnType::Timestamp),
            (json!(1), ColumnType::Timestamp),
            (json!([1]), ColumnType::Texts),
            (json!([null]), ColumnType::Floats),
            (json!(1.0), ColumnType::Floats32),
        ];
        for (value, kind) in &pairs {
            let why = Cell::of_json(value, *kind).unwrap_err();
            assert!(why.starts_with("is ") && why.contains(", not a"), "{why}");
        }
    }
}
