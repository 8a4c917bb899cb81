//! The events of one batch: what the outputs will need of them, copied once into two arenas.
//!
//! Owns: key, original bytes, headers, id and pass-through fields of each event, in input order, and its fate.
//! Never does: decode or score; tensors live in `Inputs`, row by row, filled straight from the broker's buffer.
//!
//! Invariant: the n-th scored row of the batch is row n of every model's tensors.

use std::ops::Range;

use eddy_pipeline::decode::Captured;
use eddy_pipeline::event::{Header, Record, Source};
use eddy_pipeline::rejection::{Reason, Rejection};

/// A piece of an arena.
type Piece = Range<u32>;

/// What became of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It stands in the tensors, at this row.
    Scored(u32),
    /// It could not be scored.
    Rejected(Rejection),
}

/// One event.
#[derive(Debug, Clone)]
pub struct Row {
    /// Where it came from.
    pub source: Source,
    /// Timestamp of the record, milliseconds since the Unix epoch.
    pub timestamp_ms: Option<i64>,
    /// Event time from the event's own field, else the record's timestamp.
    pub event_time_ms: Option<i64>,
    /// What became of it.
    pub fate: Fate,
    id: Piece,
    source_text: Piece,
    key: Option<Piece>,
    value: Option<Piece>,
    fields: Piece,
    headers: Piece,
}

impl Row {
    /// Its row in the tensors, if it was scored.
    pub fn tensor_row(&self) -> Option<u32> {
        match self.fate {
            Fate::Scored(tensor_row) => Some(tensor_row),
            Fate::Rejected(_) => None,
        }
    }
}

/// The events of a batch, reused from batch to batch.
#[derive(Debug, Default)]
pub struct Batch {
    rows: Vec<Row>,
    /// Keys, values, values of headers, pass-through fields.
    arena: Vec<u8>,
    /// Ids, sources, names of headers: apart, so that each use need not check again that they are text.
    texts: String,
    headers: Vec<(Piece, Option<Piece>)>,
    scored: u32,
    value_bytes: u64,
}

impl Batch {
    /// Takes an event in. `decoded` says whether it now stands in the tensors; `captured` holds its id and the like.
    pub fn push(&mut self, record: &Record<'_>, decoded: Result<(), Rejection>, captured: &Captured) {
        let source_start = self.texts.len() as u32;
        record.source.write(record.topic, &mut self.texts);
        let source_text = source_start..self.texts.len() as u32;
        let id = match &captured.id {
            Some(id) => store_text(&mut self.texts, id),
            None => source_text.clone(),
        };
        self.value_bytes += record.value.map_or(0, <[u8]>::len) as u64;
        let first_header = self.headers.len() as u32;
        for header in record.headers {
            let name = store_text(&mut self.texts, header.name);
            let value = header.value.map(|value| store(&mut self.arena, value));
            self.headers.push((name, value));
        }
        let fate = match decoded {
            Ok(()) => {
                self.scored += 1;
                Fate::Scored(self.scored - 1)
            }
            Err(rejection) => Fate::Rejected(rejection),
        };
        let fields = self.store_object(&captured.fields);
        self.rows.push(Row {
            source: record.source,
            timestamp_ms: record.timestamp_ms,
            event_time_ms: captured.event_time_ms.or(record.timestamp_ms),
            fate,
            id,
            source_text,
            key: record.key.map(|key| store(&mut self.arena, key)),
            value: record.value.map(|value| store(&mut self.arena, value)),
            fields,
            headers: first_header..self.headers.len() as u32,
        });
    }

    /// Stores JSON members as an object.
    fn store_object(&mut self, members: &[u8]) -> Piece {
        let start = self.arena.len() as u32;
        if !members.is_empty() {
            self.arena.push(b'{');
            self.arena.extend_from_slice(members);
            self.arena.push(b'}');
        }
        start..self.arena.len() as u32
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.arena.clear();
        self.texts.clear();
        self.headers.clear();
        self.scored = 0;
        self.value_bytes = 0;
    }

    /// Events in input order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Bytes that the events take.
    pub fn bytes(&self) -> usize {
        self.arena.len() + self.texts.len()
    }

    /// Turns a scored row into a rejected one: the model, or its output, refused it.
    pub fn reject(&mut self, tensor_row: u32, rejection: Rejection) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.fate == Fate::Scored(tensor_row)) {
            row.fate = Fate::Rejected(rejection);
        }
    }

    /// Bytes of the events' values.
    pub fn value_bytes(&self) -> u64 {
        self.value_bytes
    }

    /// Place and reason of the first rejected event, as an example of the others.
    pub fn first_rejected(&self) -> Option<(&str, &Rejection)> {
        self.rows.iter().find_map(|row| match &row.fate {
            Fate::Rejected(rejection) => Some((self.source(row), rejection)),
            Fate::Scored(_) => None,
        })
    }

    /// Rejected events.
    pub fn rejected(&self) -> usize {
        self.rows
            .iter()
            .filter(|row| matches!(row.fate, Fate::Rejected(_)))
            .count()
    }

    /// Events rejected for this reason.
    pub fn rejected_for(&self, reason: Reason) -> usize {
        self.rows
            .iter()
            .filter(|row| matches!(&row.fate, Fate::Rejected(rejection) if rejection.reason == reason))
            .count()
    }

    /// `eddy.id`.
    pub fn id<'a>(&'a self, row: &Row) -> &'a str {
        text(&self.texts, &row.id)
    }

    /// `topic/partition/offset`.
    pub fn source<'a>(&'a self, row: &Row) -> &'a str {
        text(&self.texts, &row.source_text)
    }

    /// The event's key.
    pub fn key<'a>(&'a self, row: &Row) -> Option<&'a [u8]> {
        row.key.as_ref().map(|piece| slice(&self.arena, piece))
    }

    /// The event's original bytes.
    pub fn value<'a>(&'a self, row: &Row) -> Option<&'a [u8]> {
        row.value.as_ref().map(|piece| slice(&self.arena, piece))
    }

    /// Pass-through fields as one JSON object; empty when there are none.
    pub fn fields<'a>(&'a self, row: &Row) -> &'a [u8] {
        slice(&self.arena, &row.fields)
    }

    /// The event's headers in their order.
    pub fn headers<'a>(&'a self, row: &Row) -> impl Iterator<Item = Header<'a>> {
        let range = row.headers.start as usize..row.headers.end as usize;
        self.headers[range].iter().map(|(name, value)| Header {
            name: text(&self.texts, name),
            value: value.as_ref().map(|piece| slice(&self.arena, piece)),
        })
    }
}

fn store(arena: &mut Vec<u8>, bytes: &[u8]) -> Piece {
    let start = arena.len() as u32;
    arena.extend_from_slice(bytes);
    start..arena.len() as u32
}

fn store_text(texts: &mut String, text: &str) -> Piece {
    let start = texts.len() as u32;
    texts.push_str(text);
    start..texts.len() as u32
}

fn slice<'a>(arena: &'a [u8], piece: &Piece) -> &'a [u8] {
    &arena[piece.start as usize..piece.end as usize]
}

fn text<'a>(texts: &'a str, piece: &Piece) -> &'a str {
    &texts[piece.start as usize..piece.end as usize]
}
