//! Protobuf events, in the framing of a schema registry.
//!
//! Owns: which message of a schema an event is, and the walk over it. Never does: read Protobuf's bytes; `prost-reflect` does,
//! along descriptors that `protox` makes from the text of the `.proto` file.
//!
//! Pointers name fields as the `.proto` file does (`unit_price`, not `unitPrice`). What counts as what is as in the JSON
//! mapping of Protobuf: enums are texts (numbers without a name stay numbers), wrappers their value, `Timestamp` and
//! `Duration` texts, `Struct`, `Value` and `ListValue` the JSON that they stand for, and bytes base64 when they are passed
//! through; but 64-bit integers stay numbers. A field without presence that is absent has its default value; one with
//! presence (`optional`, messages, members of a `oneof`) is missing then, and so is a repeated field without elements. A
//! timestamp field takes a `Timestamp`; `/at/seconds` reaches into it.
//!
//! An event becomes a tree of values, at most 100 levels deep, before `limits.depth` and `limits.elements` are looked at, and is
//! freed with it. Made for it, an event takes up to 200 times its bytes (measured: 185 MB for a list of messages of one field in
//! 1 MB), so what bounds the memory is `limits.record_bytes`.

mod plan;
mod source;
mod view;
mod walk;

use prost_reflect::DynamicMessage;

use self::plan::Plan;
use self::source::Source;
use self::walk::{Order, Walk};
use super::Captured;
use super::format::{Event, Format, Sources};
use super::framing::FRAME;
use super::outline::Outline;
use super::registry::{self, Framed, Language, Part};
use super::rules::Rules;
use super::schemas::{SchemaKind, WriterSchema};
use super::trie::Trie;
use crate::fields::clip;
use crate::rejection::{Reason, Rejection};
use crate::settings::Problem;

#[derive(Debug)]
struct Protobuf {
    trie: Trie,
    rules: Rules,
    order: Order,
    /// For what has to be spelled out.
    text: String,
}

pub(crate) fn compile(sources: &Sources<'_>) -> Result<Box<dyn Format>, Vec<Problem>> {
    let protobuf = Protobuf {
        trie: registry::trie(sources)?,
        rules: Rules::of(sources),
        order: match sources.events.pass_through.is_empty() {
            true => Order::No,
            false => Order::Branches,
        },
        text: String::new(),
    };
    Ok(Box::new(Framed::new(protobuf, sources)))
}

impl Language for Protobuf {
    const KIND: SchemaKind = SchemaKind::Protobuf;
    type Source = Source;
    type Plan = Plan;

    fn trie(&self) -> &Trie {
        &self.trie
    }

    fn parse(&self, schema: &WriterSchema) -> Result<Source, String> {
        Source::parse(schema)
    }

    fn part(&self, value: &[u8]) -> Result<Part, Rejection> {
        part_of(value).map(|(part, _)| part)
    }

    fn compile(&self, source: &Source, part: Part) -> Result<(Plan, Outline), String> {
        let message = source.message(part)?;
        Ok((Plan::compile(&message, &self.trie), source::outline(&message)))
    }

    fn read(&mut self, plan: &Plan, value: &[u8], event: &mut Event<'_>) -> Result<(), Rejection> {
        let (_, begin) = part_of(value)?;
        let message =
            DynamicMessage::decode(plan.message.clone(), &value[begin..]).map_err(|error| unreadable(&error))?;
        let mut walk = Walk {
            plan,
            trie: &self.trie,
            rules: &self.rules,
            event,
            text: &mut self.text,
            elements: 0,
            order: self.order,
            is_by_chance: false,
        };
        walk.root(&message)
    }

    fn salvage(&mut self, plan: &Plan, value: &[u8], captured: &mut Captured) {
        let Some((pointer, (_, begin))) = self.trie.id.as_deref().zip(part_of(value).ok()) else {
            return;
        };
        if let Ok(message) = DynamicMessage::decode(plan.message.clone(), &value[begin..]) {
            walk::salvage(&message, pointer, captured, &mut self.text);
        }
    }
}

/// Which message a value is, and where its bytes begin: behind the frame stand a count and so many positions, from the
/// file's messages inwards; a single 0 stands for the first message.
fn part_of(value: &[u8]) -> Result<(Part, usize), Rejection> {
    let mut part = Part::default();
    let mut at = FRAME;
    let count = varint(value, &mut at)?;
    if count == 0 {
        part.length = 1;
        return Ok((part, at));
    }
    let count = usize::try_from(count).ok().filter(|count| *count <= Part::DEEPEST);
    let Some(count) = count else {
        return Err(Rejection::new(
            Reason::Malformed,
            format!(
                "the value names a message that lies deeper than {} levels in its schema, or does not begin with a message's \
                 position; was it written by the registry's serializer for Protobuf?",
                Part::DEEPEST
            ),
        ));
    };
    for position in &mut part.at[..count] {
        let found = varint(value, &mut at)?;
        *position = u32::try_from(found).map_err(|_| no_position(value))?;
    }
    part.length = count as u8;
    Ok((part, at))
}

#[cold]
fn no_position(value: &[u8]) -> Rejection {
    Rejection::new(
        Reason::Malformed,
        format!(
            "the value of {} bytes does not say which message of its schema it is: behind byte 0 and the schema's number stand \
             positions of messages",
            value.len()
        ),
    )
}

/// A zigzag integer that is not below zero.
fn varint(value: &[u8], at: &mut usize) -> Result<u64, Rejection> {
    let mut raw = 0u64;
    for shift in (0..35).step_by(7) {
        let byte = *value.get(*at).ok_or_else(|| no_position(value))?;
        *at += 1;
        raw |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return if raw & 1 == 0 {
                Ok(raw >> 1)
            } else {
                Err(no_position(value))
            };
        }
    }
    Err(no_position(value))
}

#[cold]
fn unreadable(error: &prost_reflect::prost::DecodeError) -> Rejection {
    let text = error.to_string();
    if text.contains("recursion limit") {
        return Rejection::new(
            Reason::LimitExceeded,
            "the event is nested too deep: 100 messages are the most",
        );
    }
    Rejection::new(
        Reason::Malformed,
        format!(
            "the value is not the Protobuf message that its schema describes: {}",
            clip(&text)
        ),
    )
}
