//! The tables `[fields.*]` of the pipeline file, as types.
//!
//! Owns: the words a user writes and what each means. Never does: decide whether they fit together; that is
//! [`super::rule`], which turns these settings into a closed set of rules.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image::ImageSettings;

/// What a field holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// A number with a fraction. Integers are taken too.
    #[default]
    Float,
    /// A whole number of 64 bits. `3.0` counts as 3, `3.5` is of the wrong type.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// One word of a fixed list; see `categories`.
    Category,
    /// Any text.
    String,
    /// A point in time: RFC 3339 text, or a number where `unit` says of what.
    Timestamp,
    /// A list of `length` numbers.
    Vector,
    /// A JPEG or PNG; in JSON events as base64 text.
    Image,
}

impl FieldType {
    /// The word used in settings and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Category => "category",
            Self::String => "string",
            Self::Timestamp => "timestamp",
            Self::Vector => "vector",
            Self::Image => "image",
        }
    }
}

/// What `null` means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NullRule {
    /// The same as if the field were not there: the default, or a dead letter where the field is required.
    #[default]
    Missing,
    /// A dead letter with the reason `wrong_type`, even where there is a default.
    Reject,
}

/// What to do with a number outside `min` and `max`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutOfRange {
    /// A dead letter with the reason `out_of_range`.
    #[default]
    Reject,
    /// The nearest end of the range is used instead.
    Clamp,
}

/// What to do with NaN and the infinities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NonFinite {
    /// A dead letter with the reason `not_finite`.
    #[default]
    Reject,
    /// They reach the model. JSON has no such numbers, so the texts `"NaN"`, `"Infinity"` and `"-Infinity"` are read.
    Allow,
}

/// Unit of a timestamp that is written as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TimeUnit {
    /// Seconds since the Unix epoch; a fraction is kept.
    S,
    /// Milliseconds since the Unix epoch.
    Ms,
    /// Microseconds since the Unix epoch.
    Us,
}

/// One column made from a timestamp. All of them are in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TimePart {
    /// Seconds since the Unix epoch. A `float32` input keeps only about two minutes of precision.
    Epoch,
    /// Hour of the day, 0 to 23.
    Hour,
    /// Day of the week, 0 (Monday) to 6 (Sunday).
    Weekday,
    /// Day of the month, 1 to 31.
    Day,
    /// Month, 1 to 12.
    Month,
    /// Seconds from this timestamp to the record's timestamp; negative for a time in the record's future. A record
    /// without a timestamp is rejected as `missing_field`.
    Age,
}

impl TimePart {
    /// The word used in settings and names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Hour => "hour",
            Self::Weekday => "weekday",
            Self::Day => "day",
            Self::Month => "month",
            Self::Age => "age",
        }
    }
}

/// What a vector's elements are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Element {
    /// Numbers with a fraction.
    #[default]
    Float,
    /// Whole numbers, such as token numbers.
    Integer,
}

/// A number, truth value or text in the pipeline file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction; TOML also has `nan`, `inf` and `-inf`.
    Float(f64),
    /// Text.
    Text(String),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Boolean(b) => write!(f, "{b}"),
            Self::Integer(i) => write!(f, "{i}"),
            Self::Float(x) => write!(f, "{x}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// The value of a field that an event leaves out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DefaultValue {
    /// One value; for a vector it stands in every element.
    One(Scalar),
    /// The elements of a vector.
    Many(Vec<f64>),
}

/// What a category that is not in the list becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Other {
    /// This index. In a string input the text itself stands.
    Index(i64),
    /// `"reject"`: a dead letter with the reason `not_allowed`.
    Word(RejectWord),
}

/// The word `reject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RejectWord {
    /// The only word there is.
    Reject,
}

/// One field of an event: where it stands, what it may hold, what stands in for it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldSettings {
    /// What the field holds.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// JSON pointer (RFC 6901) to the field: `/customer/age`, `/items/0/price`. Default: `/` and the field's name. The
    /// empty pointer is the whole event. Has no meaning for raw and image events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Whether an event without the field becomes a dead letter. Default: yes, unless there is a `default`. Saying
    /// `false` asks for a `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// What stands in for a field that is not there. Floats and vectors may say `"nan"` (or TOML's `nan`) for models
    /// that know missing values. Default: none. Images have no default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<DefaultValue>,
    /// What `null` means. Default: `missing`.
    #[serde(default)]
    pub null: NullRule,
    /// Whether text that holds a number (`"1.5"`), or `"true"` and `"false"` for a boolean, is taken. Default: no. For
    /// floats, integers, booleans, vectors, and timestamps with a `unit`.
    #[serde(default)]
    pub parse_strings: bool,
    /// Whether `true` and `false` count as 1 and 0 in a float or integer field, and 1 and 0 as `true` and `false` in a
    /// boolean field. Default: no.
    #[serde(default)]
    pub zero_one: bool,
    /// Smallest value, inclusive; of each element of a vector. Default: none. For floats, integers and vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest value, inclusive; of each element of a vector. Default: none. For floats, integers and vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// What to do with a number outside `min` and `max`. Default: `reject`.
    #[serde(default)]
    pub out_of_range: OutOfRange,
    /// What to do with NaN and the infinities. Default: `reject`. For floats and vectors of floats.
    #[serde(default)]
    pub non_finite: NonFinite,
    /// The values that are allowed. Default: all. For floats, integers and strings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Vec<Scalar>>,
    /// The words of a category in the order of their indices. A string input gets the word, a number input its index
    /// from 0. An integer in the event counts as its decimal text. Default: any word, for string inputs only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Vec<String>>,
    /// What a word that is not among `categories` becomes: an index, or `"reject"`. Default: `"reject"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<Other>,
    /// Unit of a timestamp that is written as a number: `s`, `ms` or `us`. Default: none, only RFC 3339 text is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<TimeUnit>,
    /// What a timestamp becomes, one column each, in this order. Default: `["epoch"]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<TimePart>>,
    /// Number of elements of a vector; required there, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// What a vector's elements are. Default: `float`.
    #[serde(default)]
    pub elements: Element,
    /// How an image becomes a tensor. Required for images, except that image events may say it in `[events.image]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSettings>,
}

impl FieldSettings {
    /// A field of a type with nothing else said.
    pub fn of(kind: FieldType) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    /// Where the field of this name stands: its pointer, else its own name at the top, escaped as RFC 6901 says.
    pub fn pointer_or_default(&self, name: &str) -> Cow<'_, str> {
        match &self.pointer {
            Some(pointer) => Cow::Borrowed(pointer),
            None => Cow::Owned(format!("/{}", name.replace('~', "~0").replace('/', "~1"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_without_a_pointer_stands_at_the_top_under_its_escaped_name() {
        let mut field = FieldSettings::default();
        assert_eq!(field.pointer_or_default("a/b~c"), "/a~1b~0c");
        field.pointer = Some("/x".into());
        assert_eq!(field.pointer_or_default("a/b~c"), "/x");
    }
}
