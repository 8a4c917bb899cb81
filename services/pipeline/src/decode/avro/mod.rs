//! Avro events, in the framing of a schema registry.
//!
//! Owns: the reading of Avro's bytes. Never does: parse a schema's text itself; `apache-avro` does, which is not used for the
//! bytes: it builds a tree of values, as deep as the bytes say and as large as they claim.
//!
//! What counts as what: records, maps and durations (`months`, `days`, `milliseconds`) are objects, a union is the value
//! of its branch, enums are texts; what logical types mean is said in [`leaf`](super::leaf). Members of records have the
//! names that the schema they were written with gives them; aliases are not looked at. A member of a map that the pipeline
//! file names is refused when it is there twice. Text that nothing asks for need not be UTF-8.
//!
//! A schema's text becomes types once ([`types`]), these with what the pipeline file looks for a plan ([`plan`]), and a
//! [`walk`] along the plan reads each event without allocating.

mod bytes;
mod plan;
mod types;
mod walk;

use self::bytes::Bytes;
use self::plan::Plan;
use self::types::Types;
use self::walk::{Aim, Walk};
use super::Captured;
use super::format::{Event, Format, Sources};
use super::framing::FRAME;
use super::outline::Outline;
use super::registry::{self, Framed, Language, Part};
use super::rules::Rules;
use super::schemas::{SchemaKind, WriterSchema};
use super::trie::{Seen, Trie};
use crate::rejection::{Reason, Rejection};
use crate::settings::Problem;

#[derive(Debug)]
struct Avro {
    trie: Trie,
    rules: Rules,
    seen: Seen,
    /// For what has to be spelled out.
    text: String,
}

pub(crate) fn compile(sources: &Sources<'_>) -> Result<Box<dyn Format>, Vec<Problem>> {
    let trie = registry::trie(sources)?;
    let avro = Avro {
        seen: Seen::of(&trie),
        rules: Rules::of(sources),
        text: String::new(),
        trie,
    };
    Ok(Box::new(Framed::new(avro, sources)))
}

impl Language for Avro {
    const KIND: SchemaKind = SchemaKind::Avro;
    type Source = Types;
    type Plan = Plan;

    fn trie(&self) -> &Trie {
        &self.trie
    }

    fn parse(&self, schema: &WriterSchema) -> Result<Types, String> {
        types::parse(schema)
    }

    fn compile(&self, source: &Types, _: Part) -> Result<(Plan, Outline), String> {
        Ok((Plan::compile(source, &self.trie)?, source.outline()))
    }

    fn read(&mut self, plan: &Plan, value: &[u8], event: &mut Event<'_>) -> Result<(), Rejection> {
        self.seen.begin();
        let mut walk = Walk::new(plan, &self.rules, Bytes::new(value, FRAME));
        let mut aim = Aim {
            trie: &self.trie,
            seen: &mut self.seen,
            event,
            text: &mut self.text,
        };
        walk.root(&mut aim).map_err(|rejection| at(rejection, walk.began))?;
        match walk.bytes.left() {
            0 => Ok(()),
            left => {
                let detail = format!(
                    "the value has {left} bytes behind its end; it was not written with the schema that it names"
                );
                Err(at(Rejection::new(Reason::Malformed, detail), value.len() - left))
            }
        }
    }

    fn salvage(&mut self, plan: &Plan, value: &[u8], captured: &mut Captured) {
        let mut walk = Walk::new(plan, &self.rules, Bytes::new(value, FRAME));
        walk.salvage(&self.trie, captured, &mut self.text);
    }
}

/// A refusal with the place of the value that was being read.
#[cold]
fn at(rejection: Rejection, byte: usize) -> Rejection {
    Rejection::new(rejection.reason, format!("{}, at byte {byte}", rejection.detail))
}
