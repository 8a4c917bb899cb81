//! Members of events whose values never leave the process: `events.mask`.
//!
//! Owns: which members those are, and a document without their values. Never does: look at any other value, or find a masked
//! member that stands at another place or under another name.
//!
//! Invariant: what comes out holds no value of a masked member, and no value that stands where it should be; a document that
//! cannot be read comes out not at all.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::decode::{EventFormat, EventSettings, FRAME, id_of, parse_pointer};
use crate::settings::Problem;

/// In a pointer, every member of an object and every element of a list.
const EVERY: &str = "*";

/// Which members are masked. Without any, everything goes out as it came.
#[derive(Debug, Clone, Default)]
pub struct Mask {
    root: Node,
    text: Text,
}

/// Where in a value the JSON stands.
#[derive(Debug, Clone, Copy, Default)]
enum Text {
    /// Nowhere: it cannot be masked in part.
    #[default]
    None,
    /// Behind so many bytes of a frame.
    Behind(usize),
}

#[derive(Debug, Clone, Default)]
struct Node {
    is_masked: bool,
    members: Vec<(String, Node)>,
    every: Option<Box<Node>>,
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Masked {
    /// It has no masked member and goes out as it is.
    Untouched,
    /// Some members are `null` now.
    Changed,
    /// It must not go out at all: it is no JSON, all of it is masked, or it is no object or list as the mask expects.
    Withheld,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.is_masked && self.members.is_empty() && self.every.is_none()
    }

    fn plant(&mut self, parts: &[String]) {
        let Some((first, rest)) = parts.split_first() else {
            self.is_masked = true;
            return;
        };
        if first == EVERY {
            return self.every.get_or_insert_default().plant(rest);
        }
        let known = self.members.iter().position(|(name, _)| name == first);
        let at = known.unwrap_or_else(|| {
            self.members.push((first.clone(), Self::default()));
            self.members.len() - 1
        });
        self.members[at].1.plant(rest);
    }

    /// What is masked in a member or element.
    fn within<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        let named = self.members.iter().filter(move |(member, _)| member == name);
        named.map(|(_, node)| node).chain(self.every.as_deref())
    }

    /// Whether a list can have all the members that this is about.
    fn is_of_list(&self) -> bool {
        self.members.iter().all(|(name, _)| is_index(name))
    }

    /// Whether an object can. A name that is an index stands for an element.
    fn is_of_object(&self) -> bool {
        !self.members.iter().any(|(name, _)| is_index(name))
    }

    fn covers(&self, parts: &[String]) -> bool {
        match parts.split_first() {
            _ if self.is_masked => true,
            None => !self.is_empty(),
            Some((first, rest)) => self.within(first).any(|node| node.covers(rest)),
        }
    }
}

fn is_index(name: &str) -> bool {
    let may_begin = matches!(name.as_bytes(), [b'0'] | [b'1'..=b'9', ..]);
    may_begin && name.bytes().all(|byte| byte.is_ascii_digit())
}

impl Mask {
    /// Compiles the pointers.
    ///
    /// # Errors
    /// Pointers that are none, a format without members, and settings that would tell what is masked.
    pub fn compile(events: &EventSettings) -> Result<Self, Vec<Problem>> {
        let mut mask = Self {
            root: Node::default(),
            text: match events.format {
                EventFormat::Json => Text::Behind(0),
                EventFormat::JsonSchema => Text::Behind(FRAME),
                _ => Text::None,
            },
        };
        let mut problems = Vec::new();
        for (position, pointer) in events.mask.iter().enumerate() {
            match parse_pointer(pointer) {
                Ok(parts) => mask.root.plant(&parts),
                Err(why) => problems.push(Problem::new(format!("events.mask[{position}]"), why)),
            }
        }
        let is_in_part = events.mask.iter().any(|pointer| !pointer.is_empty());
        if is_in_part && events.format != EventFormat::Json && !events.format.has_schemas() {
            problems.push(Problem::new(
                "events.mask",
                format!(
                    "has no meaning for {} events, which have no members; remove it, or write [\"\"] to leave events out of \
                     samples and dead letters",
                    events.format.as_str()
                ),
            ));
        }
        let told = [
            ("events.id_field", &events.id_field),
            ("events.time_field", &events.time_field),
        ];
        let told = told
            .into_iter()
            .filter_map(|(key, pointer)| Some((key.to_owned(), pointer.as_ref()?)));
        let passed = events.pass_through.iter().enumerate();
        let passed = passed.map(|(position, pointer)| (format!("events.pass_through[{position}]"), pointer));
        for (key, pointer) in told.chain(passed).filter(|(_, pointer)| mask.covers(pointer)) {
            problems.push(Problem::new(
                key,
                format!(
                    "stands in every output, and {pointer:?} is masked by `events.mask`; remove it from one of the two"
                ),
            ));
        }
        if problems.is_empty() { Ok(mask) } else { Err(problems) }
    }

    /// The same with all of what stands at these pointers.
    #[must_use]
    pub fn and<'a>(mut self, pointers: impl IntoIterator<Item = &'a str>) -> Self {
        for parts in pointers.into_iter().filter_map(|pointer| parse_pointer(pointer).ok()) {
            self.root.plant(&parts);
        }
        self
    }

    /// Whether nothing is masked.
    pub fn is_empty(&self) -> bool {
        self.root.is_empty()
    }

    /// Whether a value can go out in part.
    pub fn is_in_part(&self) -> bool {
        matches!(self.text, Text::Behind(_)) && !self.root.is_masked && !self.is_empty()
    }

    /// Whether a value at this pointer is masked, in part or as a part.
    pub fn covers(&self, pointer: &str) -> bool {
        parse_pointer(pointer).is_ok_and(|parts| self.root.covers(&parts))
    }

    /// Writes a value to `out`, which is empty, with `null` for what is masked. What is in `out` counts only if that says
    /// [`Masked::Changed`].
    pub fn apply(&self, value: &[u8], out: &mut Vec<u8>) -> Masked {
        match self.text {
            _ if self.is_empty() => Masked::Untouched,
            Text::Behind(frame) if self.is_in_part() => {
                if frame > 0 && id_of(value).is_none() {
                    return Masked::Withheld;
                }
                let (frame, document) = value.split_at(frame);
                match serde_json::from_slice::<&RawValue>(document) {
                    Ok(raw) if !is_of_another_shape(&[&self.root], raw) => {
                        out.extend_from_slice(frame);
                        match write(&[&self.root], raw, out) {
                            Ok(true) => Masked::Changed,
                            Ok(false) => Masked::Untouched,
                            Err(_) => Masked::Withheld,
                        }
                    }
                    _ => Masked::Withheld,
                }
            }
            _ => Masked::Withheld,
        }
    }
}

/// Whether a value cannot have the members that these nodes are about, so that they may stand in it in some other form: a
/// text instead of a person, a list instead of one.
fn is_of_another_shape(nodes: &[&Node], raw: &RawValue) -> bool {
    match raw.get().as_bytes() {
        _ if nodes.is_empty() => false,
        b"null" => false,
        [b'{', ..] => !nodes.iter().all(|node| node.is_of_object()),
        [b'[', ..] => !nodes.iter().all(|node| node.is_of_list()),
        _ => true,
    }
}

/// Writes a value in which these nodes say what is masked. Returns whether anything was.
fn write(nodes: &[&Node], raw: &RawValue, out: &mut Vec<u8>) -> serde_json::Result<bool> {
    if nodes.iter().any(|node| node.is_masked) || is_of_another_shape(nodes, raw) {
        out.extend_from_slice(b"null");
        return Ok(true);
    }
    let mut is_changed = false;
    match raw.get().as_bytes() {
        _ if nodes.is_empty() => out.extend_from_slice(raw.get().as_bytes()),
        [b'{', ..] => {
            let Members(members) = serde_json::from_str(raw.get())?;
            let mut separator = b'{';
            for (Name(name), value) in members {
                out.push(std::mem::replace(&mut separator, b','));
                serde_json::to_writer(&mut *out, &name)?;
                out.push(b':');
                is_changed |= write(&within(nodes, &name), value, out)?;
            }
            // Of an object without members, the bracket is still to come.
            out.extend_from_slice(if separator == b'{' { b"{}" } else { b"}" });
        }
        [b'[', ..] => {
            let elements: Vec<&RawValue> = serde_json::from_str(raw.get())?;
            out.push(b'[');
            for (at, element) in elements.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                is_changed |= write(&within(nodes, itoa::Buffer::new().format(at)), element, out)?;
            }
            out.push(b']');
        }
        scalar => out.extend_from_slice(scalar),
    }
    Ok(is_changed)
}

fn within<'a>(nodes: &[&'a Node], name: &'a str) -> Vec<&'a Node> {
    nodes.iter().flat_map(|node| node.within(name)).collect()
}

/// A name as it stands in the document, unless it is written with escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members of an object in their order, those with the same name too.
struct Members<'a>(Vec<(Name<'a>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfObject;
        impl<'de> Visitor<'de> for OfObject {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(OfObject)
    }
}

#[cfg(test)]
mod tests;
