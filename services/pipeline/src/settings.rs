//! What all settings share: problems with a key, durations and sizes with units.
//!
//! Every crate defines its own settings as types with `serde`, `schemars` and a doc comment on each field. The comment
//! states effect, default and edge values: it becomes the reference and the JSON schema.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Something wrong with the pipeline file, said so that its author can mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key it is about, dotted and indexed: `fields.age.range`, `models[0].inputs`. Empty for the whole file.
    pub key: String,
    /// One sentence: what is wrong, then what to do.
    pub message: String,
}

impl Problem {
    /// A problem at a dotted key.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.key.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.key, self.message)
        }
    }
}

/// The name among `candidates` that `name` was most likely meant to be, if any is near.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A span of time written with its unit: `"250ms"`, `"1m 30s"`; at most [`Span::LONGEST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// What can be written: a hundred years, which can be added to any time of day.
    pub const LONGEST: Self = Self::seconds(100 * 31_557_600);

    /// So many milliseconds.
    pub const fn ms(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
    /// Whole milliseconds.
    pub const fn as_ms(self) -> u64 {
        self.0.as_millis() as u64
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let span = humantime::parse_duration(&text).map(Self).map_err(|_| {
            serde::de::Error::custom(format!(
                "`{text}` is not a span of time; write a number with a unit, such as \"250ms\", \"5s\" or \"1m\""
            ))
        })?;
        if span > Self::LONGEST {
            let longest = Self::LONGEST;
            return Err(serde::de::Error::custom(format!(
                "`{text}` is more than {longest}; write less"
            )));
        }
        Ok(span)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "span", "examples": ["250ms", "5s", "1m"] })
    }
}

/// A number of bytes written with its unit: `"1 MiB"`, or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    /// So many KiB.
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }
    /// So many MiB.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }
    /// As a `usize`.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

impl std::fmt::Display for Bytes {
    /// Exact: what is written here reads back as the same number.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        let whole = units
            .into_iter()
            .find(|(_, size)| self.0 > 0 && self.0.is_multiple_of(*size));
        match whole {
            Some((unit, size)) => write!(f, "{} {unit}", self.0 / size),
            None => write!(f, "{} B", self.0),
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Number(u64),
            Text(String),
        }
        match Raw::deserialize(deserializer)? {
            Raw::Number(n) => Ok(Self(n)),
            Raw::Text(text) => text
                .parse::<bytesize::ByteSize>()
                .map(|size| Self(size.as_u64()))
                .map_err(|_| {
                    serde::de::Error::custom(format!(
                        "`{text}` is not a size; write \"64 KiB\", \"1 MiB\" or a number of bytes"
                    ))
                }),
        }
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "format": "bytes", "examples": ["64 KiB", "1 MiB"] })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Bytes, Span};

    proptest! {
        #[test]
        fn a_size_reads_back_as_it_was_written(n: u64) {
            let text = serde_json::to_string(&Bytes(n)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Bytes>(&text).unwrap(), Bytes(n));
        }
    }

    #[test]
    fn a_size_is_written_in_its_largest_whole_unit() {
        let texts = [0, 1000, 1 << 10, 3 << 20, 5 << 30].map(|n| Bytes(n).to_string());
        assert_eq!(texts, ["0 B", "1000 B", "1 KiB", "3 MiB", "5 GiB"]);
    }

    #[test]
    fn a_span_that_no_clock_can_bear_is_refused() {
        let span = |text: &str| serde_json::from_value::<Span>(text.into()).map_err(|error| error.to_string());
        assert_eq!(span("100years"), Ok(Span::LONGEST));
        assert_eq!(
            span("100years 1ms").unwrap_err(),
            "`100years 1ms` is more than 100years; write less"
        );
    }
}
