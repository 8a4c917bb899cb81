//! `kafka.start`: where a group begins that has no offset.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where to begin in a topic for which the group has no valid offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest event: loses nothing.
    Earliest,
    /// At the newest event: skips what is there already, also what arrived while the group's offset expired.
    Latest,
    /// At the first event whose timestamp is not before this one, in milliseconds since the Unix epoch.
    At(i64),
    /// Nowhere: the service stops and says which partition it is. It takes a group that has offsets.
    Error,
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => f.write_str("earliest"),
            Self::Latest => f.write_str("latest"),
            Self::Error => f.write_str("error"),
            Self::At(ms) => match Timestamp::from_millisecond(*ms) {
                Ok(time) => write!(f, "{time}"),
                Err(_) => write!(f, "{ms} ms"),
            },
        }
    }
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            "error" => Ok(Self::Error),
            _ => match text.parse::<Timestamp>() {
                Ok(time) if time.as_millisecond() >= 0 => Ok(Self::At(time.as_millisecond())),
                _ => Err(format!(
                    "`{text}` is no start; write \"earliest\", \"latest\", \"error\" or a time such as \
                     \"2026-05-01T00:00:00Z\""
                )),
            },
        }
    }
}

impl Serialize for Start {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Start {
    fn schema_name() -> Cow<'static, str> {
        "Start".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "enum": ["earliest", "latest", "error"] },
                { "type": "string", "format": "date-time" }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_one_of_three_words_or_a_time() {
        // date -u -d 2026-05-01 +%s: 1777593600
        let cases = [
            ("earliest", Start::Earliest),
            ("latest", Start::Latest),
            ("error", Start::Error),
            ("2026-05-01T00:00:00Z", Start::At(1_777_593_600_000)),
        ];
        for (text, start) in cases {
            assert_eq!(text.parse(), Ok(start));
            assert_eq!(start.to_string(), text);
        }
        assert_eq!("2026-05-01T02:00:00.5+02:00".parse(), Ok(Start::At(1_777_593_600_500)));
        for odd in ["", "Earliest", "2026-05-01", "1960-01-01T00:00:00Z", "now"] {
            let error = odd.parse::<Start>().expect_err("that is none");
            assert!(error.contains("write \"earliest\""), "{error}");
        }
    }
}
