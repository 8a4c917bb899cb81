//! What names an event and what travels beside its bytes.

use std::fmt::{self, Write as _};

/// Header that names one event, on the way in and on every output. Never the Kafka key.
pub const HEADER_ID: &str = "eddy.id";
/// Header with `topic/partition/offset` of the input record.
pub const HEADER_SOURCE: &str = "eddy.source";
/// Header with the format number of what Eddy writes.
pub const HEADER_FORMAT: &str = "eddy.format";
/// Header of a retraining sample: a JSON list, one entry per model that selected it.
pub const HEADER_SELECTION: &str = "eddy.selection";
/// Header of a retraining sample: inclusion probability of the whole event.
pub const HEADER_PROBABILITY: &str = "eddy.probability";
/// Header of a retraining sample: event time, in milliseconds since the Unix epoch; left out where it is not known.
pub const HEADER_TIME: &str = "eddy.time";
/// Header with the hash of the configuration that made the output.
pub const HEADER_CONFIG: &str = "eddy.config";
/// Header with the hash of the policy file that selected a sample, where there is one.
pub const HEADER_POLICY: &str = "eddy.policy";
/// Header that says what the body is: `original`, `masked` or `omitted`.
pub const HEADER_BODY: &str = "eddy.body";
/// `eddy.body`: the event's own bytes.
pub const BODY_ORIGINAL: &str = "original";
/// `eddy.body`: the event's bytes with some of them changed.
pub const BODY_MASKED: &str = "masked";
/// `eddy.body`: nothing, because the bytes would not fit into the topic.
pub const BODY_OMITTED: &str = "omitted";
/// Header of an output without its body: sha256 of the original bytes, hexadecimal.
pub const HEADER_SHA256: &str = "eddy.sha256";
/// Header of a dead letter: the stage that refused it.
pub const HEADER_STAGE: &str = "eddy.stage";
/// Header of a dead letter: why, from a closed set.
pub const HEADER_REASON: &str = "eddy.reason";
/// Header of a dead letter: one sentence that a person understands.
pub const HEADER_DETAIL: &str = "eddy.detail";

/// The format number of everything that Eddy writes; readers ignore unknown fields.
pub const FORMAT: u32 = 1;

/// A partition of an input topic. `topic` indexes the broker's list of input topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// Index into the list of input topics.
    pub topic: u16,
    /// Partition number.
    pub number: i32,
}

/// Where a record stands: one record, one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The partition.
    pub partition: Partition,
    /// Offset within the partition.
    pub offset: i64,
}

impl Source {
    /// `topic/partition/offset`, appended to `text`.
    pub fn write(&self, topic: &str, text: &mut String) {
        text.push_str(topic);
        write!(text, "/{}/{}", self.partition.number, self.offset).expect("writing to a String cannot fail");
    }
}

/// Takes `topic/partition/offset` apart, as [`Source::write`] puts it together: topic, partition, offset.
///
/// # Errors
/// One sentence.
pub fn place(record: &str) -> Result<(&str, i32, i64), String> {
    let parse = || {
        let mut parts = record.rsplitn(3, '/');
        let offset: i64 = parts.next()?.parse().ok()?;
        let partition: i32 = parts.next()?.parse().ok()?;
        let topic = parts.next().filter(|topic| !topic.is_empty())?;
        (offset >= 0 && partition >= 0).then_some((topic, partition, offset))
    };
    parse().ok_or_else(|| {
        format!("`{record}` is no record; write topic/partition/offset, such as events/0/17, as `eddy.source` says it")
    })
}

/// One header: a name and, as Kafka allows, perhaps no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Name.
    pub name: &'a str,
    /// Value, if any.
    pub value: Option<&'a [u8]>,
}

/// One record as the broker hands it over, borrowed from its buffer for the length of a call.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Where it stands.
    pub source: Source,
    /// Name of its topic.
    pub topic: &'a str,
    /// Timestamp in milliseconds since the Unix epoch, if the record has one.
    pub timestamp_ms: Option<i64>,
    /// Key, if any.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers in their order.
    pub headers: &'a [Header<'a>],
}

impl Record<'_> {
    /// Bytes that it holds: key, value and headers.
    pub fn bytes(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|h| h.name.len() + h.value.map_or(0, <[u8]>::len))
            .sum();
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers
    }
}

/// The topics that Eddy writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Destination {
    /// One prediction for each event that was scored.
    Predictions,
    /// Events worth a label, with their original bytes.
    Retraining,
    /// Events that could not be scored, with their original bytes.
    DeadLetters,
}

impl Destination {
    /// All of them, in index order.
    pub const ALL: [Self; 3] = [Self::Predictions, Self::Retraining, Self::DeadLetters];

    /// The word used in settings, labels and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Predictions => "predictions",
            Self::Retraining => "retraining",
            Self::DeadLetters => "dead_letters",
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One record to be written, borrowed until the broker has copied it.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// Which topic.
    pub to: Destination,
    /// Which partition of it; see [`crate::partition`].
    pub partition: i32,
    /// Key: the event's own.
    pub key: Option<&'a [u8]>,
    /// Value; `None` when the body is omitted or the event was a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers in their order.
    pub headers: &'a [Header<'a>],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_apart_as_it_was_put_together() {
        let source = Source {
            partition: Partition { topic: 0, number: 12 },
            offset: 7,
        };
        let mut text = String::new();
        source.write("a.b_c-d", &mut text);
        assert_eq!(place(&text), Ok(("a.b_c-d", 12, 7)));
        for wrong in [
            "",
            "events",
            "events/0",
            "/0/1",
            "events/0/-1",
            "events/-1/0",
            "events/x/1",
            "events/0/1 ",
        ] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
