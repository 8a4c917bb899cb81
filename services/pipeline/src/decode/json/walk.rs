//! One pass over a JSON document, straight into the row.
//!
//! Owns: the seeds that `serde_json` drives. What is of no interest is skipped by a seed of our own, because the limits
//! hold for it too.
//!
//! Invariant: the first refusal ends the walk. It is kept in the walk, since a parser's error carries only text.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::values::{FieldVisitor, IdVisitor, TimeVisitor};
use crate::decode::format::Event;
use crate::decode::rules::Rules;
use crate::decode::settings::UnknownFields;
use crate::decode::trie::{Node, NodeId, Role, Seen, Trie, twice};
use crate::fields::quote;
use crate::rejection::{Reason, Rejection};

/// A walk over one document.
#[derive(Debug)]
pub(super) struct Walk<'w, 'e> {
    pub(super) trie: &'w Trie,
    pub(super) rules: &'w Rules,
    pub(super) unknown: UnknownFields,
    pub(super) seen: &'w mut Seen,
    pub(super) event: &'w mut Event<'e>,
    /// Address of the document's first byte, to tell positions in pieces of it.
    pub(super) start: usize,
    pub(super) elements: usize,
    pub(super) refusal: Option<Rejection>,
    /// Byte at which a piece was refused.
    pub(super) refused_at: Option<usize>,
}

impl Walk<'_, '_> {
    #[cold]
    pub(super) fn refuse<E: Error>(&mut self, rejection: Rejection) -> E {
        self.refusal = Some(rejection);
        E::custom("refused")
    }

    #[inline]
    pub(super) fn keep<E: Error>(&mut self, result: Result<(), Rejection>) -> Result<(), E> {
        match result {
            Ok(()) => Ok(()),
            Err(rejection) => Err(self.refuse(rejection)),
        }
    }

    /// Counts one element or member.
    #[inline]
    pub(super) fn count<E: Error>(&mut self) -> Result<(), E> {
        self.elements += 1;
        self.within_elements()
    }

    #[inline]
    pub(super) fn within_elements<E: Error>(&mut self) -> Result<(), E> {
        let result = self.rules.within_elements(self.elements);
        self.keep(result)
    }

    /// Goes into an object or array that `depth` others enclose.
    #[inline]
    pub(super) fn enter<E: Error>(&mut self, depth: usize) -> Result<usize, E> {
        match self.rules.enter(depth) {
            Ok(depth) => Ok(depth),
            Err(rejection) => Err(self.refuse(rejection)),
        }
    }

    #[inline]
    pub(super) fn admit_text<E: Error>(&mut self, text: &str) -> Result<(), E> {
        let result = self.rules.admit_text(text);
        self.keep(result)
    }

    /// Reads a value whose role is known.
    fn read<'de, D: Deserializer<'de>>(
        &mut self,
        role: &Role,
        node: NodeId,
        depth: usize,
        deserializer: D,
    ) -> Result<(), D::Error> {
        match role {
            Role::Field(field) => deserializer.deserialize_any(FieldVisitor {
                walk: self,
                field: *field,
                depth,
            }),
            Role::Branch => deserializer.deserialize_any(BranchVisitor {
                walk: self,
                node,
                depth,
            }),
            Role::Id => deserializer.deserialize_any(IdVisitor { walk: self, depth }),
            Role::Time => deserializer.deserialize_any(TimeVisitor { walk: self }),
            Role::PassThrough(member) => {
                let raw = <&RawValue>::deserialize(deserializer)?.get();
                self.again(raw, |walk, deserializer| Skip { walk, depth }.deserialize(deserializer))?;
                self.event.captured.begin_member(member);
                self.event.captured.fields.extend_from_slice(raw.as_bytes());
                Ok(())
            }
            Role::Many(roles) => {
                let raw = <&RawValue>::deserialize(deserializer)?.get();
                let before = self.elements;
                for role in roles {
                    self.elements = before;
                    self.again(raw, |walk, deserializer| walk.read(role, node, depth, deserializer))?;
                }
                Ok(())
            }
        }
    }

    /// Reads a piece of the document once more.
    fn again<E: Error>(
        &mut self,
        piece: &str,
        read: impl FnOnce(&mut Self, &mut serde_json::Deserializer<serde_json::de::StrRead<'_>>) -> serde_json::Result<()>,
    ) -> Result<(), E> {
        let mut deserializer = serde_json::Deserializer::from_str(piece);
        read(self, &mut deserializer).map_err(|error| {
            if self.refusal.is_none() {
                self.refusal = Some(super::unreadable(&error));
            }
            let offset = piece.as_ptr() as usize - self.start;
            self.refused_at.get_or_insert(offset + super::byte_of(piece, &error));
            E::custom("refused")
        })
    }
}

/// The value at a node.
pub(super) struct NodeSeed<'a, 'w, 'e> {
    pub(super) walk: &'a mut Walk<'w, 'e>,
    pub(super) node: NodeId,
    pub(super) depth: usize,
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_, '_, '_> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let role = &self.walk.trie.nodes[self.node as usize].role;
        self.walk.read(role, self.node, self.depth, deserializer)
    }
}

/// An object or array that holds something of interest.
struct BranchVisitor<'a, 'w, 'e> {
    walk: &'a mut Walk<'w, 'e>,
    node: NodeId,
    depth: usize,
}

impl BranchVisitor<'_, '_, '_> {
    /// What was looked for below cannot be here, so it counts as missing; only the document itself must not be this.
    fn scalar<E: Error>(self, found: &str) -> Result<(), E> {
        if self.node == 0 {
            let detail = format!("the event is {found}, not an object; the fields are its members");
            return Err(self.walk.refuse(Rejection::new(Reason::WrongType, detail)));
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for BranchVisitor<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.scalar("a truth value")
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.scalar("a number")
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.scalar("a number")
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.scalar("a number")
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar("null")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.walk.admit_text(text)?;
        self.scalar("a text")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let walk = self.walk;
        let depth = walk.enter(self.depth)?;
        let node = &walk.trie.nodes[self.node as usize];
        let mut expected = 0;
        loop {
            let key = map.next_key_seed(KeySeed { walk, node, expected })?;
            let Some(found) = key else {
                return Ok(());
            };
            walk.count()?;
            let Some(position) = found else {
                map.next_value_seed(Skip { walk, depth })?;
                continue;
            };
            expected = position + 1;
            let child = node.children[position];
            if !walk.seen.meet(child) {
                let key = node.keys.get(position).unwrap_or_default();
                return Err(walk.refuse(twice(key)));
            }
            map.next_value_seed(NodeSeed {
                walk,
                node: child,
                depth,
            })?;
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let walk = self.walk;
        if self.node == 0 && walk.trie.nodes[0].indices.is_empty() {
            let detail = "the event is a list, not an object; the fields are its members";
            return Err(walk.refuse(Rejection::new(Reason::WrongType, detail)));
        }
        let depth = walk.enter(self.depth)?;
        let mut wanted = walk.trie.nodes[self.node as usize].indices.iter().peekable();
        for at in 0.. {
            let child = wanted.next_if(|(index, _)| *index == at).map(|(_, child)| *child);
            let more = match child {
                Some(node) => {
                    walk.seen.meet(node);
                    seq.next_element_seed(NodeSeed { walk, node, depth })?
                }
                None => seq.next_element_seed(Skip { walk, depth })?,
            };
            if more.is_none() {
                break;
            }
            walk.count()?;
        }
        Ok(())
    }
}

/// A key of an object: its position among the node's keys, if it is one of them.
struct KeySeed<'a, 'w, 'e> {
    walk: &'a mut Walk<'w, 'e>,
    node: &'w Node,
    /// The position that comes next when members stand in the order of the pipeline file.
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_, '_, '_> {
    type Value = Option<usize>;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_, '_, '_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    #[inline]
    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        if self.node.keys.get(self.expected) == Some(key) {
            return Ok(Some(self.expected));
        }
        let position = self.node.keys.find(key);
        if position.is_none() {
            self.walk.admit_text(key)?;
            if self.walk.unknown == UnknownFields::Reject {
                let detail = match self.walk.rules.has_mask {
                    true => {
                        "the pipeline file knows no such member here; its name may be masked (`events.mask`)".into()
                    }
                    false => format!("the pipeline file knows no member {} here", quote(key)),
                };
                return Err(self.walk.refuse(Rejection::new(Reason::UnknownField, detail)));
            }
        }
        Ok(position)
    }
}

/// A value of no interest, to which the limits apply all the same.
pub(super) struct Skip<'a, 'w, 'e> {
    pub(super) walk: &'a mut Walk<'w, 'e>,
    pub(super) depth: usize,
}

impl<'de> DeserializeSeed<'de> for Skip<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.walk.admit_text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { walk, depth } = self;
        let depth = walk.enter(depth)?;
        while seq.next_element_seed(Skip { walk, depth })?.is_some() {
            walk.count()?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { walk, depth } = self;
        let depth = walk.enter(depth)?;
        // A key is skipped as the text that it is.
        while map.next_key_seed(Skip { walk, depth })?.is_some() {
            walk.count()?;
            map.next_value_seed(Skip { walk, depth })?;
        }
        Ok(())
    }
}
