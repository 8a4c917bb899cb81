//! Records outside of a topic: rows of data sets as records, and copies of records in memory.
//!
//! Owns: their bytes. Never does: decode them.

use std::sync::Arc;

use eddy_pipeline::event::{Header, Partition, Record, Source};

/// A row of a data set as the record that it would have been; without an id of its own it is named after its number.
pub fn as_record<R>(number: u64, value: &[u8], now_ms: i64, see: impl FnOnce(&Record<'_>) -> R) -> R {
    see(&Record {
        source: Source {
            partition: Partition { topic: 0, number: 0 },
            offset: number as i64,
        },
        topic: "data",
        timestamp_ms: Some(now_ms),
        key: None,
        value: Some(value),
        headers: &[],
    })
}

/// A record in memory of its own.
#[derive(Debug, Clone)]
pub struct Held {
    /// Where it stands.
    pub source: Source,
    /// The same in words.
    pub place: String,
    topic: Arc<str>,
    timestamp_ms: Option<i64>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Held {
    /// A copy of a record of this topic.
    pub fn of(record: &Record<'_>, topic: &Arc<str>) -> Self {
        let mut place = String::new();
        record.source.write(topic, &mut place);
        let headers = record.headers.iter();
        Self {
            source: record.source,
            place,
            topic: Arc::clone(topic),
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: headers
                .map(|header| (header.name.to_owned(), header.value.map(<[u8]>::to_vec)))
                .collect(),
        }
    }

    /// Bytes that its value takes.
    pub fn bytes(&self) -> usize {
        self.value.as_ref().map_or(0, Vec::len)
    }

    pub(super) fn with<R>(&self, see: impl FnOnce(&Record<'_>) -> R) -> R {
        let headers = self.headers.iter().map(|(name, value)| Header {
            name,
            value: value.as_deref(),
        });
        let headers: Vec<Header<'_>> = headers.collect();
        see(&Record {
            source: self.source,
            topic: &self.topic,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &headers,
        })
    }
}
