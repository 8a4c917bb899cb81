//! The log of one partition: records, markers, and which of them a reader may see.
//!
//! Invariant: offsets only grow; a transaction's marker takes an offset of its own, as in Kafka, so offsets have gaps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A record, owned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TwinRecord {
    /// Key, if any.
    pub key: Option<Vec<u8>>,
    /// Value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since the Unix epoch; the cluster fills in its own time where there is none.
    pub timestamp_ms: Option<i64>,
}

impl TwinRecord {
    /// A record with a value and nothing else.
    pub fn of(value: impl Into<Vec<u8>>) -> Self {
        Self {
            value: Some(value.into()),
            ..Self::default()
        }
    }

    /// The value of the first header with this name, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }
}

/// A record where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// The record.
    pub record: Arc<TwinRecord>,
}

/// What a reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Everything.
    ReadUncommitted,
    /// What is not in a transaction, or in a committed one; nothing beyond the first open one.
    ReadCommitted,
}

/// Number of a transaction on the cluster.
pub(super) type Serial = u64;

#[derive(Debug)]
struct Entry {
    offset: i64,
    record: Arc<TwinRecord>,
    transaction: Option<Serial>,
}

/// One partition.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: Vec<Entry>,
    end: i64,
    /// Open transactions with the offset of their first record.
    open: BTreeMap<Serial, i64>,
    aborted: BTreeSet<Serial>,
}

impl Log {
    pub(super) fn append(&mut self, record: Arc<TwinRecord>, transaction: Option<Serial>) -> i64 {
        let offset = self.end;
        self.entries.push(Entry {
            offset,
            record,
            transaction,
        });
        if let Some(serial) = transaction {
            self.open.entry(serial).or_insert(offset);
        }
        self.end += 1;
        offset
    }

    /// Leaves offsets out, as compaction does.
    pub(super) fn skip(&mut self, offsets: i64) {
        self.end += offsets;
    }

    /// Writes the marker of a transaction that ended.
    pub(super) fn finish(&mut self, serial: Serial, committed: bool) {
        if self.open.remove(&serial).is_none() {
            return;
        }
        if !committed {
            self.aborted.insert(serial);
        }
        self.end += 1;
    }

    /// The offset that the next record will have.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// The first offset that belongs to an open transaction, else the end.
    pub(super) fn last_stable(&self) -> i64 {
        self.open.values().copied().min().unwrap_or(self.end)
    }

    /// The records from `position` on that a reader may see.
    pub(super) fn read(&self, position: i64, isolation: Isolation) -> impl Iterator<Item = (i64, &Arc<TwinRecord>)> {
        let limit = match isolation {
            Isolation::ReadUncommitted => self.end,
            Isolation::ReadCommitted => self.last_stable(),
        };
        let first = self.entries.partition_point(|entry| entry.offset < position);
        self.entries[first..]
            .iter()
            .take_while(move |entry| entry.offset < limit)
            .filter(move |entry| isolation == Isolation::ReadUncommitted || !self.is_aborted(entry))
            .map(|entry| (entry.offset, &entry.record))
    }

    fn is_aborted(&self, entry: &Entry) -> bool {
        entry.transaction.is_some_and(|serial| self.aborted.contains(&serial))
    }
}
