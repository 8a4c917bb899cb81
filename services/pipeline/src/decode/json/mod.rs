//! JSON events: one pass, no tree of values, straight into the row.
//!
//! Owns: finding fields by JSON pointer, the limits within a document, the words for what is wrong with it.
//!
//! What counts as what: whole floats (`3.0`) are integers; `-0` is zero; an integer beyond 64 bits is a float; a number
//! beyond a float (`1e999`) is `out_of_range`; a repeated key is refused among the keys that the pipeline file names, and
//! not looked for among the others. A field below something that is no object counts as missing.
//!
//! **Why serde_json.** Best time per event in ns, `benches/decode.rs`, two shared and busy cores, so differences below a
//! third mean little (`bare` is a seed that only writes floats; it searches shuffled keys one by one):
//!
//! | event | this decoder | bare `serde_json` | bare `sonic-rs` 0.5 | `serde_json::Value` |
//! |---|---|---|---|---|
//! | 32 named fields, in order | 1358 | 1078 | 664 | 4024 |
//! | the same, shuffled | 1623 | 2341 | 1997 | 3846 |
//! | one array of 32 | 866 | 671 | 814 | 1257 |
//!
//! `sonic-rs` wins 1.6× in one shape, 1.2× in another, and loses in the third. That does not pay for its unsafe code on
//! bytes that strangers send.

mod salvage;
mod values;
mod walk;

use serde::de::DeserializeSeed;

use self::walk::{NodeSeed, Walk};
use super::Captured;
use super::format::{Event, Format, Sources};
use super::rules::Rules;
use super::settings::UnknownFields;
use super::trie::{Seen, Trie};
use crate::fields::clip;
use crate::rejection::{Reason, Rejection};
use crate::settings::Problem;

#[derive(Debug)]
pub(super) struct Json {
    trie: Trie,
    rules: Rules,
    unknown: UnknownFields,
    seen: Seen,
}

pub(crate) fn compile(sources: &Sources<'_>) -> Result<Box<dyn Format>, Vec<Problem>> {
    let trie = Trie::compile(sources.events, sources.fields, sources.limits.depth)?;
    Ok(Box::new(Json::new(trie, sources)))
}

impl Json {
    pub(super) fn new(trie: Trie, sources: &Sources<'_>) -> Self {
        Self {
            seen: Seen::of(&trie),
            rules: Rules::of(sources),
            unknown: sources.events.unknown_fields,
            trie,
        }
    }

    pub(super) fn trie(&self) -> &Trie {
        &self.trie
    }

    /// Reads the document behind the first `frame` bytes of a value.
    pub(super) fn read_behind(&mut self, frame: usize, value: &[u8], event: &mut Event<'_>) -> Result<(), Rejection> {
        let document = text_of(value, frame)?;
        self.seen.begin();
        let mut walk = Walk {
            trie: &self.trie,
            rules: &self.rules,
            unknown: self.unknown,
            seen: &mut self.seen,
            event,
            start: document.as_ptr() as usize,
            elements: 0,
            refusal: None,
            refused_at: None,
        };
        let mut deserializer = serde_json::Deserializer::from_str(document);
        let root = NodeSeed {
            walk: &mut walk,
            node: 0,
            depth: 0,
        };
        let result = root.deserialize(&mut deserializer).and_then(|()| deserializer.end());
        result.map_err(|error| {
            let byte = frame + walk.refused_at.unwrap_or_else(|| byte_of(document, &error));
            let rejection = walk.refusal.take().unwrap_or_else(|| unreadable(&error));
            Rejection::new(rejection.reason, format!("{}, at byte {byte}", rejection.detail))
        })
    }

    pub(super) fn salvage_from(&self, document: &[u8], captured: &mut Captured) {
        if let Some(pointer) = &self.trie.id {
            salvage::salvage(document, pointer, captured);
        }
    }
}

impl Format for Json {
    fn read(&mut self, value: &[u8], event: &mut Event<'_>) -> Result<(), Rejection> {
        self.read_behind(0, value, event)
    }

    fn salvage(&mut self, value: &[u8], captured: &mut Captured) {
        self.salvage_from(value, captured);
    }
}

/// The document behind a frame, of no bytes where there is none, as text; or what its first bytes betray.
fn text_of(value: &[u8], frame: usize) -> Result<&str, Rejection> {
    let malformed = |detail: String| Err(Rejection::new(Reason::Malformed, detail));
    let document = &value[frame..];
    let what = match frame {
        0 => "the value",
        _ => "what follows the number of the schema",
    };
    match document {
        [] => return malformed(format!("{what} is empty; the pipeline expects a JSON document")),
        [0, ..] if frame > 0 => {
            let detail =
                format!("{what} begins with byte 0 and not with JSON; was it framed for a schema registry twice?");
            return Err(Rejection::new(Reason::Framed, detail));
        }
        [0, ..] => return Err(framed(value)),
        [0xEF, 0xBB, 0xBF, ..] => {
            return malformed(format!(
                "{what} begins with a byte order mark, which JSON does not allow"
            ));
        }
        _ => {}
    }
    std::str::from_utf8(document).or_else(|error| {
        malformed(format!(
            "the value is not UTF-8 text and so not JSON, from byte {} on",
            frame + error.valid_up_to()
        ))
    })
}

/// What is said of a record that a schema registry's serializer wrote.
#[cold]
fn framed(value: &[u8]) -> Rejection {
    let id = value.get(1..5).map_or_else(String::new, |id| {
        let id = u32::from_be_bytes(id.try_into().expect("four bytes"));
        format!(" and the number of schema {id}")
    });
    let detail = format!(
        "the value begins with byte 0{id}, the framing of a schema registry, and not with JSON; write `events.format` as \
         \"avro\", \"protobuf\" or \"json_schema\" and where the registry is, or have the producer write plain JSON"
    );
    Rejection::new(Reason::Framed, detail)
}

/// What a parser's error means.
fn unreadable(error: &serde_json::Error) -> Rejection {
    let text = error.to_string();
    let why = text.rsplit_once(" at line ").map_or(text.as_str(), |(why, _)| why);
    match why {
        "number out of range" => Rejection::new(
            Reason::OutOfRange,
            "the event holds a number that no 64-bit float can hold",
        ),
        "recursion limit exceeded" => Rejection::new(Reason::LimitExceeded, "the event is nested too deep"),
        _ => Rejection::new(Reason::Malformed, format!("the value is not JSON: {}", clip(why))),
    }
}

/// The byte that an error's line and column name.
fn byte_of(document: &str, error: &serde_json::Error) -> usize {
    let mut lines = document.as_bytes().split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines
        .by_ref()
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    // Columns count from 1, and 0 stands for the end of the line before.
    (before + error.column().saturating_sub(1)).min(document.len())
}
