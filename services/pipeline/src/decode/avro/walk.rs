//! One pass over an event's bytes along a plan, straight into the row.
//!
//! Invariant: what is skipped is counted against the limits as well, so no bytes take longer than these allow.

use super::bytes::{Bytes, malformed};
use super::plan::{Node, NodeId, Parts, Plan};
use super::types::Type;
use crate::decode::captured::{Captured, TIME, not_an_id};
use crate::decode::decimal::Decimal;
use crate::decode::format::Event;
use crate::decode::leaf::{Leaf, quoted, to_element, to_field, to_id, to_json, to_time};
use crate::decode::moment::{Meaning, Moment, Unit};
use crate::decode::rules::Rules;
use crate::decode::trie::{Role, Seen, Trie, twice};
use crate::rejection::{Reason, Rejection};

/// A walk over one event.
#[derive(Debug)]
pub(super) struct Walk<'w> {
    plan: &'w Plan,
    rules: &'w Rules,
    pub(super) bytes: Bytes<'w>,
    elements: usize,
    /// Whether texts may be as long as they like.
    is_lenient: bool,
    /// Where the value stands that is being read.
    pub(super) began: usize,
}

/// What a walk fills.
pub(super) struct Aim<'a, 'e> {
    pub(super) trie: &'a Trie,
    pub(super) seen: &'a mut Seen,
    pub(super) event: &'a mut Event<'e>,
    pub(super) text: &'a mut String,
}

impl<'w> Walk<'w> {
    pub(super) fn new(plan: &'w Plan, rules: &'w Rules, bytes: Bytes<'w>) -> Self {
        Self {
            plan,
            rules,
            bytes,
            elements: 0,
            is_lenient: false,
            began: bytes.position(),
        }
    }

    /// Counts elements or members.
    #[inline]
    fn count(&mut self, more: usize) -> Result<(), Rejection> {
        self.elements = self.elements.saturating_add(more);
        self.rules.within_elements(self.elements)
    }

    /// The node of a value, which in a union is that of its branch.
    #[inline]
    fn resolve(&mut self, id: NodeId) -> Result<&'w Node, Rejection> {
        let plan = self.plan;
        let node = &plan.nodes[id as usize];
        self.began = self.bytes.position();
        match (&node.found, &node.parts) {
            (Type::Union(_), Parts::All(branches)) => {
                let at = self.bytes.long()?;
                let branch = usize::try_from(at).ok().and_then(|at| branches.get(at));
                match branch {
                    // A union holds no other union.
                    Some(branch) => Ok(&plan.nodes[*branch as usize]),
                    None => Err(malformed(format!(
                        "a union of {} types has branch {at}",
                        branches.len()
                    ))),
                }
            }
            _ => Ok(node),
        }
    }

    /// Reads the whole event.
    pub(super) fn root(&mut self, aim: &mut Aim<'_, '_>) -> Result<(), Rejection> {
        let node = self.resolve(0)?;
        if matches!(node.role, Some(Role::Branch)) {
            let found = match &node.found {
                Type::Record(_) | Type::Map(_) => None,
                Type::Array(_) if aim.trie.nodes[0].indices.is_empty() => Some("a list"),
                Type::Array(_) => None,
                _ => Some("a single value"),
            };
            if let Some(found) = found {
                return Err(Rejection::new(
                    Reason::WrongType,
                    format!("the event is {found}, not an object; the fields are its members"),
                ));
            }
        }
        match &node.role {
            Some(role) => self.apply(role, node, 0, aim),
            None => self.skip(node, 0),
        }
    }

    #[inline]
    fn value(&mut self, id: NodeId, depth: usize, aim: &mut Aim<'_, '_>) -> Result<(), Rejection> {
        let node = self.resolve(id)?;
        match &node.role {
            Some(role) => self.apply(role, node, depth, aim),
            None => self.skip(node, depth),
        }
    }

    fn apply(&mut self, role: &'w Role, node: &'w Node, depth: usize, aim: &mut Aim<'_, '_>) -> Result<(), Rejection> {
        match role {
            Role::Field(field) => self.field(*field, node, depth, aim),
            Role::Branch => self.branch(node, depth, aim),
            Role::Id => {
                // A header that named the event wins, and then the field is not even looked at.
                if aim.event.captured.id.is_some() {
                    return self.skip(node, depth);
                }
                match self.leaf(node, false)? {
                    Ok(leaf) => to_id(aim.event.captured, leaf, aim.text),
                    Err(found) => Err(not_an_id(found)),
                }
            }
            Role::Time => match self.leaf(node, false)? {
                Ok(leaf) => to_time(aim.event.captured, self.rules.time, leaf, aim.text),
                Err(found) => Err(TIME.wrong_type(found, "a time")),
            },
            Role::PassThrough(member) => {
                let before = aim.event.captured.fields.len();
                aim.event.captured.begin_member(member);
                let result = self.json(node, depth, &mut aim.event.captured.fields, aim.text);
                if result.is_err() {
                    aim.event.captured.fields.truncate(before);
                }
                result
            }
            Role::Many(roles) => {
                let (bytes, before) = (self.bytes, self.elements);
                for role in roles {
                    (self.bytes, self.elements) = (bytes, before);
                    self.apply(role, node, depth, aim)?;
                }
                Ok(())
            }
        }
    }

    #[inline]
    fn field(&mut self, field: usize, node: &'w Node, depth: usize, aim: &mut Aim<'_, '_>) -> Result<(), Rejection> {
        match &node.found {
            Type::Double => {
                let x = f64::from_le_bytes(self.bytes.array()?);
                aim.event.row.float(field, x)
            }
            Type::Array(_) if aim.event.row.is_vector(field) => self.vector(field, node, depth, aim),
            _ => {
                let is_image = aim.event.row.is_image(field);
                match self.leaf(node, is_image)? {
                    Ok(leaf) => to_field(&mut aim.event.row, field, leaf, aim.text),
                    Err(found) => Err(aim.event.row.mismatch(field, found)),
                }
            }
        }
    }

    fn vector(&mut self, field: usize, node: &'w Node, depth: usize, aim: &mut Aim<'_, '_>) -> Result<(), Rejection> {
        self.rules.enter(depth)?;
        let Parts::Some { other: item, .. } = node.parts else {
            unreachable!("an array has items");
        };
        let mut at = 0;
        loop {
            let (count, end) = self.bytes.block()?;
            if count == 0 {
                break;
            }
            self.count(count)?;
            if let Type::Double = self.plan.nodes[item as usize].found
                && let Some(mut vector) = aim.event.row.plain_vector(field)
            {
                for _ in 0..count {
                    self.began = self.bytes.position();
                    vector.float(at, f64::from_le_bytes(self.bytes.array()?))?;
                    at += 1;
                }
            } else {
                for _ in 0..count {
                    let node = self.resolve(item)?;
                    match self.leaf(node, false)? {
                        Ok(leaf) => to_element(&mut aim.event.row, (field, at), leaf, aim.text)?,
                        Err(found) => return Err(aim.event.row.element_mismatch(field, at, found)),
                    }
                    at += 1;
                }
            }
            self.bytes.end_block(end)?;
        }
        if aim.event.row.plain_vector(field).is_some() {
            aim.event.row.end_plain_vector(field, at)
        } else {
            aim.event.row.end_vector(field, at)
        }
    }

    /// What holds something of interest.
    fn branch(&mut self, node: &'w Node, depth: usize, aim: &mut Aim<'_, '_>) -> Result<(), Rejection> {
        match (&node.found, &node.parts) {
            (Type::Record(_), Parts::All(members)) => {
                let depth = self.rules.enter(depth)?;
                self.count(members.len())?;
                members.iter().try_for_each(|member| self.value(*member, depth, aim))
            }
            (Type::Array(_), Parts::Some { chosen, other }) => {
                let depth = self.rules.enter(depth)?;
                let indices = &aim.trie.nodes[node.place as usize].indices;
                let mut wanted = indices.iter().map(|(index, _)| *index).zip(chosen).peekable();
                let mut at = 0;
                self.blocks(|walk| {
                    let chosen = wanted.next_if(|(index, _)| *index == at);
                    at += 1;
                    walk.value(chosen.map_or(*other, |(_, node)| *node), depth, aim)
                })
            }
            (Type::Map(_), Parts::Some { chosen, other }) => {
                let depth = self.rules.enter(depth)?;
                let here = &aim.trie.nodes[node.place as usize];
                self.blocks(|walk| {
                    let key = walk.key()?;
                    let Some(position) = here.keys.find(key) else {
                        return walk.value(*other, depth, aim);
                    };
                    if !aim.seen.meet(here.children[position]) {
                        return Err(twice(key));
                    }
                    walk.value(chosen[position], depth, aim)
                })
            }
            // What was looked for below cannot be here, so it counts as missing.
            _ => self.skip(node, depth),
        }
    }

    /// Every item of an array or map.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Rejection>) -> Result<(), Rejection> {
        loop {
            let (count, end) = self.bytes.block()?;
            if count == 0 {
                return Ok(());
            }
            self.count(count)?;
            for _ in 0..count {
                item(self)?;
            }
            self.bytes.end_block(end)?;
        }
    }

    fn key(&mut self) -> Result<&'w str, Rejection> {
        self.began = self.bytes.position();
        let key = text_of(self.bytes.counted()?)?;
        self.rules.admit_text(key)?;
        Ok(key)
    }

    /// Reads a value without parts, or says what a value with parts is, of which nothing is read then.
    #[inline]
    fn leaf(&mut self, node: &'w Node, is_image: bool) -> Result<Result<Leaf<'w>, &'static str>, Rejection> {
        let bytes = &mut self.bytes;
        let leaf = match &node.found {
            Type::Null => Leaf::Null,
            Type::Boolean => Leaf::Boolean(bytes.boolean()?),
            Type::Int => Leaf::Integer(bytes.int()?.into()),
            Type::Long => Leaf::Integer(bytes.long()?),
            Type::Float => Leaf::Float(f32::from_le_bytes(bytes.array()?).into()),
            Type::Double => Leaf::Float(f64::from_le_bytes(bytes.array()?)),
            Type::Text => {
                let text = text_of(bytes.counted()?)?;
                if !is_image {
                    self.rules.admit_text(text)?;
                }
                Leaf::Text(text)
            }
            Type::Bytes => Leaf::Bytes(self.admitted(None, is_image)?),
            Type::Fixed(size) => Leaf::Bytes(self.admitted(Some(*size), is_image)?),
            Type::Enum(words) => {
                let at = bytes.int()?;
                let word = usize::try_from(at).ok().and_then(|at| words.get(at));
                let word = word.ok_or_else(|| malformed(format!("an enum of {} words has word {at}", words.len())))?;
                Leaf::Text(word)
            }
            Type::Decimal { scale, size } => Leaf::Decimal(Decimal {
                bytes: self.admitted(*size, false)?,
                scale: *scale,
            }),
            Type::BigDecimal => {
                let mut inner = Bytes::new(self.admitted(None, false)?, 0);
                let (bytes, scale) = (inner.counted()?, inner.long()?);
                Leaf::Decimal(Decimal { bytes, scale })
            }
            Type::Uuid => Leaf::Uuid(bytes.array()?),
            Type::Moment(meaning) => Leaf::Moment(Moment {
                raw: match meaning {
                    Meaning::Date | Meaning::TimeOfDay(Unit::Ms) => bytes.int()?.into(),
                    _ => bytes.long()?,
                },
                meaning: *meaning,
            }),
            Type::Little32 => Leaf::Integer(u32::from_le_bytes(bytes.array()?).into()),
            Type::Array(_) => return Ok(Err("a list")),
            Type::Map(_) | Type::Record(_) => return Ok(Err("an object")),
            Type::Union(_) => return Ok(Err("a union in a union")),
        };
        Ok(Ok(leaf))
    }

    /// Bytes that are not longer than allowed.
    fn admitted(&mut self, size: Option<usize>, is_image: bool) -> Result<&'w [u8], Rejection> {
        let bytes = match size {
            Some(size) => self.bytes.take(size)?,
            None => self.bytes.counted()?,
        };
        if bytes.len() > self.rules.string_bytes && !is_image && !self.is_lenient {
            return Err(self.rules.too_long(bytes.len()));
        }
        Ok(bytes)
    }

    /// Passes over a value, to which the limits apply all the same.
    fn skip(&mut self, node: &'w Node, depth: usize) -> Result<(), Rejection> {
        match (&node.found, &node.parts) {
            (Type::Record(_), Parts::All(members)) => {
                let depth = self.rules.enter(depth)?;
                self.count(members.len())?;
                members.iter().try_for_each(|member| {
                    let node = self.resolve(*member)?;
                    self.skip(node, depth)
                })
            }
            (Type::Array(_), Parts::Some { other, .. }) => {
                let depth = self.rules.enter(depth)?;
                self.blocks(|walk| {
                    let node = walk.resolve(*other)?;
                    walk.skip(node, depth)
                })
            }
            (Type::Map(_), Parts::Some { other, .. }) => {
                let depth = self.rules.enter(depth)?;
                self.blocks(|walk| {
                    walk.admitted(None, false)?;
                    let node = walk.resolve(*other)?;
                    walk.skip(node, depth)
                })
            }
            (Type::Text, _) => self.admitted(None, false).map(drop),
            _ => self.leaf(node, false).map(drop),
        }
    }

    /// Writes a value as JSON.
    fn json(&mut self, node: &'w Node, depth: usize, out: &mut Vec<u8>, text: &mut String) -> Result<(), Rejection> {
        match (&node.found, &node.parts) {
            (Type::Record(members), Parts::All(nodes)) => {
                let depth = self.rules.enter(depth)?;
                self.count(nodes.len())?;
                out.push(b'{');
                for (at, ((name, _), node)) in members.iter().zip(nodes).enumerate() {
                    separate(out, at);
                    quoted(out, name);
                    out.push(b':');
                    let node = self.resolve(*node)?;
                    self.json(node, depth, out, text)?;
                }
                out.push(b'}');
                Ok(())
            }
            (Type::Array(_), Parts::Some { other, .. }) => {
                let depth = self.rules.enter(depth)?;
                let mut at = 0;
                out.push(b'[');
                self.blocks(|walk| {
                    separate(out, at);
                    at += 1;
                    let node = walk.resolve(*other)?;
                    walk.json(node, depth, out, text)
                })?;
                out.push(b']');
                Ok(())
            }
            (Type::Map(_), Parts::Some { other, .. }) => {
                let depth = self.rules.enter(depth)?;
                let mut at = 0;
                out.push(b'{');
                self.blocks(|walk| {
                    separate(out, at);
                    at += 1;
                    quoted(out, walk.key()?);
                    out.push(b':');
                    let node = walk.resolve(*other)?;
                    walk.json(node, depth, out, text)
                })?;
                out.push(b'}');
                Ok(())
            }
            _ => match self.leaf(node, false)? {
                Ok(leaf) => to_json(out, leaf, text),
                Err(found) => Err(malformed(format!("{found} cannot be passed through"))),
            },
        }
    }

    /// Looks for the id alone: types, ranges and lengths do not matter; only bytes that cannot be followed, and the limits
    /// on depth and elements, end it.
    pub(super) fn salvage(&mut self, trie: &Trie, captured: &mut Captured, text: &mut String) {
        self.is_lenient = true;
        _ = self.seek(0, 0, &mut Sought { trie, captured, text });
    }

    fn seek(&mut self, id: NodeId, depth: usize, sought: &mut Sought<'_>) -> Result<(), Rejection> {
        let node = self.resolve(id)?;
        let is_id = |role: &Role| matches!(role, Role::Id);
        let has_id = match &node.role {
            Some(Role::Many(roles)) => roles.iter().any(is_id),
            Some(role) => is_id(role),
            None => return self.skip(node, depth),
        };
        if has_id && sought.captured.id.is_none() {
            let bytes = self.bytes;
            if let Ok(leaf) = self.leaf(node, true)? {
                _ = to_id(sought.captured, leaf, sought.text);
            }
            self.bytes = bytes;
        }
        let here = &sought.trie.nodes[node.place as usize];
        match (&node.found, &node.parts) {
            (Type::Record(_), Parts::All(members)) => {
                let depth = self.rules.enter(depth)?;
                self.count(members.len())?;
                members.iter().try_for_each(|member| self.seek(*member, depth, sought))
            }
            (Type::Map(_), Parts::Some { chosen, other }) => {
                let depth = self.rules.enter(depth)?;
                self.blocks(|walk| {
                    let key = text_of(walk.bytes.counted()?)?;
                    let chosen = here.keys.find(key).map(|position| chosen[position]);
                    walk.seek(chosen.unwrap_or(*other), depth, sought)
                })
            }
            (Type::Array(_), Parts::Some { chosen, other }) => {
                let depth = self.rules.enter(depth)?;
                let mut wanted = here.indices.iter().map(|(index, _)| *index).zip(chosen).peekable();
                let mut at = 0;
                self.blocks(|walk| {
                    let chosen = wanted.next_if(|(index, _)| *index == at);
                    at += 1;
                    walk.seek(chosen.map_or(*other, |(_, node)| *node), depth, sought)
                })
            }
            _ => self.skip(node, depth),
        }
    }
}

/// What a second pass looks for.
struct Sought<'a> {
    trie: &'a Trie,
    captured: &'a mut Captured,
    text: &'a mut String,
}

fn separate(out: &mut Vec<u8>, at: usize) {
    if at > 0 {
        out.push(b',');
    }
}

fn text_of(bytes: &[u8]) -> Result<&str, Rejection> {
    std::str::from_utf8(bytes).map_err(|_| malformed("a text is not UTF-8"))
}
