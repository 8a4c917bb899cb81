//! One pass over the tree of values of an event, straight into the row.
//!
//! Invariant: what is of no interest is counted against the limits as well.

use std::borrow::Cow;
use std::collections::HashMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, MapKey, ReflectMessage, Value};

use super::plan::{Plan, has_default};
use super::view::{View, Written, key_text, parts, spell, view};
use crate::decode::captured::{Captured, TIME, not_an_id};
use crate::decode::format::Event;
use crate::decode::leaf::{Leaf, quoted, to_element, to_field, to_id, to_json, to_time};
use crate::decode::rules::Rules;
use crate::decode::trie::{NodeId, Role, Trie};
use crate::fields::{Appetite, TimeReader, quote};
use crate::rejection::{Reason, Rejection};

/// A walk over one event.
pub(super) struct Walk<'w, 'e> {
    pub(super) plan: &'w Plan,
    pub(super) trie: &'w Trie,
    pub(super) rules: &'w Rules,
    pub(super) event: &'w mut Event<'e>,
    pub(super) text: &'w mut String,
    pub(super) elements: usize,
    /// Where entries of maps are read in the order of their keys.
    pub(super) order: Order,
    /// Whether a map of several entries was walked in no order, so that of several faults another could have been met first.
    pub(super) is_by_chance: bool,
}

/// Where the order of a map's entries matters: it has none of its own, and one event gives one text and one refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Nowhere, as long as nothing is refused.
    No,
    /// Where something is looked for: what is passed through is copied in the order in which it is met.
    Branches,
    /// Everywhere: of several faults the first is told.
    All,
}

impl<'w> Walk<'w, '_> {
    fn count(&mut self, more: usize) -> Result<(), Rejection> {
        self.elements += more;
        self.rules.within_elements(self.elements)
    }

    /// Reads the whole event.
    pub(super) fn root(&mut self, message: &DynamicMessage) -> Result<(), Rejection> {
        let whole = View::Message(message);
        let told = self.at(0, &whole, 0);
        if told.is_ok() || !self.is_by_chance {
            return told;
        }
        // Once more for the sentence. Not for each map: maps within maps would double the work at each level.
        (self.elements, self.order) = (0, Order::All);
        self.event.captured.fields.clear();
        self.at(0, &whole, 0).and(told)
    }

    /// A value at a place that is looked at.
    fn at(&mut self, place: NodeId, value: &View<'_>, depth: usize) -> Result<(), Rejection> {
        let role = &self.trie.nodes[place as usize].role;
        self.apply(role, place, value, depth)
    }

    fn apply(&mut self, role: &'w Role, place: NodeId, value: &View<'_>, depth: usize) -> Result<(), Rejection> {
        match role {
            Role::Field(field) => self.field(*field, value, depth),
            Role::Branch => self.branch(place, value, depth),
            Role::Id => {
                if self.event.captured.id.is_some() {
                    return self.skip(value, depth);
                }
                self.admit(value, false)?;
                with_leaf(value, |leaf| match leaf {
                    Ok(leaf) => to_id(self.event.captured, leaf, self.text),
                    Err(found) => Err(not_an_id(found)),
                })
            }
            Role::Time => {
                self.admit(value, false)?;
                if let View::Written(Written::Timestamp, message) = value {
                    self.event.captured.at(TimeReader::instant(TIME, instant_us(message))?);
                    return Ok(());
                }
                with_leaf(value, |leaf| match leaf {
                    Ok(leaf) => to_time(self.event.captured, self.rules.time, leaf, self.text),
                    Err(found) => Err(TIME.wrong_type(found, "a time")),
                })
            }
            Role::PassThrough(member) => {
                self.skip(value, depth)?;
                self.event.captured.begin_member(member);
                json(value, &mut self.event.captured.fields, self.text)
            }
            Role::Many(roles) => {
                let before = self.elements;
                for role in roles {
                    self.elements = before;
                    self.apply(role, place, value, depth)?;
                }
                Ok(())
            }
        }
    }

    /// The limit on a value without parts.
    fn admit(&self, value: &View<'_>, is_image: bool) -> Result<(), Rejection> {
        match value {
            _ if is_image => Ok(()),
            View::Leaf(Leaf::Text(text)) => self.rules.admit_text(text),
            View::Leaf(Leaf::Bytes(bytes)) if bytes.len() > self.rules.string_bytes => {
                Err(self.rules.too_long(bytes.len()))
            }
            _ => Ok(()),
        }
    }

    fn field(&mut self, field: usize, value: &View<'_>, depth: usize) -> Result<(), Rejection> {
        match value {
            View::List(list, kind) if self.event.row.is_vector(field) => {
                self.rules.enter(depth)?;
                self.count(list.len())?;
                for (at, element) in list.iter().enumerate() {
                    let element = view(element, kind);
                    self.admit(&element, false)?;
                    with_leaf(&element, |leaf| match leaf {
                        Ok(leaf) => to_element(&mut self.event.row, (field, at), leaf, self.text),
                        Err(found) => Err(self.event.row.element_mismatch(field, at, found)),
                    })?;
                }
                self.event.row.end_vector(field, list.len())
            }
            View::Written(Written::Timestamp, message) if self.event.row.appetite(field) == Appetite::Time => {
                self.event.row.instant(field, instant_us(message))
            }
            _ => {
                self.admit(value, self.event.row.is_image(field))?;
                with_leaf(value, |leaf| match leaf {
                    Ok(leaf) => to_field(&mut self.event.row, field, leaf, self.text),
                    Err(found) => Err(self.event.row.mismatch(field, found)),
                })
            }
        }
    }

    /// What holds something of interest.
    fn branch(&mut self, place: NodeId, value: &View<'_>, depth: usize) -> Result<(), Rejection> {
        let here = &self.trie.nodes[place as usize];
        match value {
            View::Message(message) | View::Written(_, message) => self.message(place, message, depth),
            View::List(list, kind) => {
                let depth = self.rules.enter(depth)?;
                self.count(list.len())?;
                let mut wanted = here.indices.iter().peekable();
                for (at, element) in list.iter().enumerate() {
                    let element = view(element, kind);
                    match wanted.next_if(|(index, _)| *index == at) {
                        Some((_, child)) => self.at(*child, &element, depth)?,
                        None => self.skip(&element, depth)?,
                    }
                }
                Ok(())
            }
            View::Map(Some(map), kind) => {
                let depth = self.rules.enter(depth)?;
                self.count(map.len())?;
                let is_ordered = self.order != Order::No;
                self.is_by_chance |= !is_ordered && map.len() > 1;
                each(Some(map), is_ordered, |key, value| {
                    let (key, value) = (key_text(key), view(value, kind));
                    self.rules.admit_text(&key)?;
                    match here.keys.find(&key) {
                        Some(position) => self.at(here.children[position], &value, depth),
                        None => self.skip(&value, depth),
                    }
                })
            }
            // What was looked for below cannot be here, so it counts as missing.
            _ => self.skip(value, depth),
        }
    }

    fn message(&mut self, place: NodeId, message: &DynamicMessage, depth: usize) -> Result<(), Rejection> {
        let depth = self.rules.enter(depth)?;
        let plan = self.plan;
        let node = &plan.nodes[place as usize];
        for member in &node.members {
            let value = match (present(message, &member.field), &member.default) {
                (Some(value), _) => {
                    self.count(1)?;
                    value
                }
                (None, Some(default)) => default,
                (None, None) => continue,
            };
            let value = view(value, &member.kind);
            // Empty and absent are the same bytes: none.
            if !matches!(value, View::List([], _)) {
                self.at(member.place, &value, depth)?;
            }
        }
        for (field, kind) in &node.others {
            if let Some(value) = present(message, field) {
                self.count(1)?;
                self.skip(&view(value, kind), depth)?;
            }
        }
        Ok(())
    }

    /// Passes over a value, to which the limits apply all the same.
    fn skip(&mut self, value: &View<'_>, depth: usize) -> Result<(), Rejection> {
        match value {
            View::Leaf(_) | View::Enum(..) => self.admit(value, false),
            View::Message(message) | View::Written(_, message) => {
                let depth = self.rules.enter(depth)?;
                for (field, value) in message.fields() {
                    self.count(1)?;
                    self.skip(&view(value, &field.kind()), depth)?;
                }
                Ok(())
            }
            View::List(list, kind) => {
                let depth = self.rules.enter(depth)?;
                self.count(list.len())?;
                list.iter()
                    .try_for_each(|element| self.skip(&view(element, kind), depth))
            }
            View::Map(map, kind) => {
                let depth = self.rules.enter(depth)?;
                let entries = map.map_or(0, HashMap::len);
                self.count(entries)?;
                let is_ordered = self.order == Order::All;
                self.is_by_chance |= !is_ordered && entries > 1;
                each(*map, is_ordered, |key, value| {
                    self.rules.admit_text(&key_text(key))?;
                    self.skip(&view(value, kind), depth)
                })
            }
        }
    }
}

/// The value of a field that is there.
fn present<'m>(message: &'m DynamicMessage, field: &FieldDescriptor) -> Option<&'m Value> {
    match message.has_field(field).then(|| message.get_field(field)) {
        Some(Cow::Borrowed(value)) => Some(value),
        _ => None,
    }
}

/// Does something with a map's entries until one is refused.
fn each<'m>(
    map: Option<&'m HashMap<MapKey, Value>>,
    is_ordered: bool,
    mut then: impl FnMut(&'m MapKey, &'m Value) -> Result<(), Rejection>,
) -> Result<(), Rejection> {
    match is_ordered {
        true => ordered(map).into_iter().try_for_each(|(key, value)| then(key, value)),
        false => map.into_iter().flatten().try_for_each(|(key, value)| then(key, value)),
    }
}

/// A map's entries in the order of their keys.
fn ordered(map: Option<&HashMap<MapKey, Value>>) -> Vec<(&MapKey, &Value)> {
    let mut entries: Vec<_> = map.into_iter().flatten().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries
}

fn instant_us(message: &DynamicMessage) -> i64 {
    let (seconds, nanos) = parts(message);
    seconds.saturating_mul(1_000_000).saturating_add(nanos.div_euclid(1000))
}

/// Hands on a value without parts, or what a value with parts is.
fn with_leaf<R>(value: &View<'_>, then: impl FnOnce(Result<Leaf<'_>, &'static str>) -> R) -> R {
    match value {
        View::Leaf(leaf) => then(Ok(*leaf)),
        View::Enum(number, kind) => {
            let word = kind.as_enum().and_then(|words| words.get_value(*number));
            match &word {
                Some(word) => then(Ok(Leaf::Text(word.name()))),
                None => then(Ok(Leaf::Integer((*number).into()))),
            }
        }
        View::Written(written, message) => {
            let mut text = String::new();
            spell(&mut text, *written, message);
            then(Ok(Leaf::Text(&text)))
        }
        View::List(..) => then(Err("a list")),
        View::Map(..) | View::Message(_) => then(Err("an object")),
    }
}

/// Writes a value, within the limits, as JSON.
fn json(value: &View<'_>, out: &mut Vec<u8>, text: &mut String) -> Result<(), Rejection> {
    match value {
        View::Message(message) => {
            out.push(b'{');
            let mut is_first = true;
            for field in message.descriptor().fields() {
                let is_there = message.has_field(&field);
                if !is_there && field.supports_presence() {
                    continue;
                }
                if !std::mem::take(&mut is_first) {
                    out.push(b',');
                }
                quoted(out, field.name());
                out.push(b':');
                json(&view(&message.get_field(&field), &field.kind()), out, text)?;
            }
            out.push(b'}');
            Ok(())
        }
        View::List(list, kind) => {
            out.push(b'[');
            for (at, element) in list.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                json(&view(element, kind), out, text)?;
            }
            out.push(b']');
            Ok(())
        }
        View::Map(map, kind) => {
            out.push(b'{');
            for (at, (key, value)) in ordered(*map).into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                quoted(out, &key_text(key));
                out.push(b':');
                json(&view(value, kind), out, text)?;
            }
            out.push(b'}');
            Ok(())
        }
        _ => with_leaf(value, |leaf| match leaf {
            Ok(leaf) => to_json(out, leaf, text),
            Err(found) => Err(Rejection::new(
                Reason::WrongType,
                format!("{} cannot be passed through", quote(found)),
            )),
        }),
    }
}

/// Looks for the id alone: types, ranges and limits do not matter.
pub(super) fn salvage(message: &DynamicMessage, pointer: &[String], captured: &mut Captured, text: &mut String) {
    fn seek(value: &View<'_>, pointer: &[String], captured: &mut Captured, text: &mut String) {
        let Some((part, rest)) = pointer.split_first() else {
            with_leaf(value, |leaf| {
                if let Ok(leaf) = leaf {
                    _ = to_id(captured, leaf, text);
                }
            });
            return;
        };
        match value {
            View::Message(message) | View::Written(_, message) => {
                if let Some(field) = message.descriptor().get_field_by_name(part)
                    && (message.has_field(&field) || has_default(&field))
                {
                    seek(&view(&message.get_field(&field), &field.kind()), rest, captured, text);
                }
            }
            View::List(list, kind) => {
                if let Some(element) = part.parse().ok().and_then(|at: usize| list.get(at)) {
                    seek(&view(element, kind), rest, captured, text);
                }
            }
            View::Map(map, kind) => {
                let found = map
                    .iter()
                    .copied()
                    .flatten()
                    .find(|(key, _)| key_text(key) == part.as_str());
                if let Some((_, value)) = found {
                    seek(&view(value, kind), rest, captured, text);
                }
            }
            View::Leaf(_) | View::Enum(_, _) => {}
        }
    }
    seek(&View::Message(message), pointer, captured, text);
}
