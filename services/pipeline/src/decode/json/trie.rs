//! What to look for in a JSON document: a tree over the JSON pointers of fields, id, time and pass-through.
//!
//! Invariant: a pointer's node is reached by at most one path, so a document without repeated keys meets each node once.

use crate::decode::settings::EventSettings;
use crate::fields::{Field, Names};
use crate::settings::Problem;

/// Index of a node.
pub(super) type NodeId = u32;

/// What to do with the value at a node.
#[derive(Debug, Clone)]
pub(super) enum Role {
    /// Look at its members or elements.
    Branch,
    /// It is this field's value.
    Field(usize),
    /// It is the event's id.
    Id,
    /// It is the event's time.
    Time,
    /// Copy it as this member, which has its quotes and colon.
    PassThrough(Box<str>),
    /// Several of these: the value's text is read once for each.
    Many(Box<[Role]>),
}

/// One place in the document.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) role: Role,
    /// Members, in the order in which events are expected to have them.
    pub(super) keys: Names,
    /// The node of each key.
    pub(super) children: Vec<NodeId>,
    /// Elements of an array, by index, ascending.
    pub(super) indices: Vec<(usize, NodeId)>,
}

/// The tree; node 0 is the document itself.
#[derive(Debug)]
pub(super) struct Trie {
    pub(super) nodes: Vec<Node>,
    pub(super) id: Option<Vec<String>>,
}

/// A node while the tree grows.
#[derive(Debug, Default)]
struct Draft {
    roles: Vec<Role>,
    children: Vec<(String, usize)>,
}

/// The parts of a JSON pointer, unescaped.
pub(super) fn parse_pointer(pointer: &str) -> Result<Vec<String>, String> {
    if pointer.is_empty() {
        return Ok(Vec::new());
    }
    let Some(rest) = pointer.strip_prefix('/') else {
        return Err(format!("{pointer:?} is not a JSON pointer; write \"/{pointer}\""));
    };
    rest.split('/').map(|part| unescape(pointer, part)).collect()
}

/// The member of a prediction that what stands at a pointer is passed through as: its last part, or `event` for all of it.
pub(in crate::decode) fn member_name(pointer: &str) -> String {
    let last = parse_pointer(pointer).ok().and_then(|mut parts| parts.pop());
    last.unwrap_or_else(|| "event".to_owned())
}

fn unescape(pointer: &str, part: &str) -> Result<String, String> {
    let mut text = String::with_capacity(part.len());
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '~' { chars.next() } else { None }) {
            ('~', Some('0')) => text.push('~'),
            ('~', Some('1')) => text.push('/'),
            ('~', _) => {
                return Err(format!(
                    "{pointer:?} has a `~` that is neither `~0` (for `~`) nor `~1` (for `/`)"
                ));
            }
            (c, _) => text.push(c),
        }
    }
    Ok(text)
}

impl Trie {
    /// Grows the tree; `depth` is the deepest nesting that events may have.
    pub(super) fn compile(events: &EventSettings, fields: &[Field], depth: usize) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut drafts = vec![Draft::default()];
        let mut plant = |key: String, pointer: &str, role: Role| match parse_pointer(pointer) {
            Ok(parts) if parts.len() > depth => {
                problems.push(Problem::new(
                    key,
                    format!("lies {} levels deep, and `limits.depth` is {depth}", parts.len()),
                ));
                None
            }
            Ok(parts) => {
                grow(&mut drafts, &parts, role);
                Some(parts)
            }
            Err(why) => {
                problems.push(Problem::new(key, why));
                None
            }
        };
        for (index, field) in fields.iter().enumerate() {
            plant(
                format!("fields.{}.pointer", field.name),
                &field.pointer,
                Role::Field(index),
            );
        }
        let id = events
            .id_field
            .as_ref()
            .and_then(|pointer| plant("events.id_field".into(), pointer, Role::Id));
        if let Some(pointer) = &events.time_field {
            plant("events.time_field".into(), pointer, Role::Time);
        }
        let mut members: Vec<String> = Vec::new();
        let mut repeated = Vec::new();
        for (position, pointer) in events.pass_through.iter().enumerate() {
            let key = format!("events.pass_through[{position}]");
            let name = member_name(pointer);
            let member = format!("{}:", serde_json::Value::from(name.as_str()));
            plant(key.clone(), pointer, Role::PassThrough(member.into()));
            if members.contains(&name) {
                repeated.push(Problem::new(
                    key,
                    format!("would appear as {name:?} in the prediction, as an earlier one does; remove one of them"),
                ));
            }
            members.push(name);
        }
        problems.extend(repeated);
        if problems.is_empty() {
            Ok(Self {
                nodes: drafts.into_iter().map(finish).collect(),
                id,
            })
        } else {
            Err(problems)
        }
    }
}

fn grow(drafts: &mut Vec<Draft>, parts: &[String], role: Role) {
    let mut at = 0;
    for part in parts {
        let known = drafts[at]
            .children
            .iter()
            .find(|(name, _)| name == part)
            .map(|(_, node)| *node);
        at = known.unwrap_or_else(|| {
            drafts.push(Draft::default());
            let node = drafts.len() - 1;
            drafts[at].children.push((part.clone(), node));
            node
        });
    }
    drafts[at].roles.push(role);
}

fn finish(draft: Draft) -> Node {
    let mut roles = draft.roles;
    if !draft.children.is_empty() {
        roles.push(Role::Branch);
    }
    let mut indices: Vec<(usize, NodeId)> = draft
        .children
        .iter()
        // RFC 6901: an index has no leading zeros.
        .filter(|(name, _)| name == "0" || !name.starts_with(['0', '+']))
        .filter_map(|(name, node)| Some((name.parse().ok()?, *node as NodeId)))
        .collect();
    indices.sort_unstable();
    let role = if roles.len() > 1 {
        Role::Many(roles.into())
    } else {
        // Only an empty document root has no role at all; then nothing below it is of interest.
        roles.pop().unwrap_or(Role::Branch)
    };
    Node {
        role,
        keys: Names::new(draft.children.iter().map(|(name, _)| name.as_str())),
        children: draft.children.iter().map(|(_, node)| *node as NodeId).collect(),
        indices,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_read_as_rfc_6901_says() {
        let parts = |pointer| parse_pointer(pointer).unwrap();
        assert_eq!(parts(""), Vec::<String>::new());
        assert_eq!(parts("/"), [""]);
        assert_eq!(parts("/a~1b/m~0n/0"), ["a/b", "m~n", "0"]);
        assert_eq!(parts("/~01"), ["~1"]);
    }

    #[test]
    fn a_pointer_without_its_slash_or_with_a_stray_tilde_is_refused() {
        assert!(parse_pointer("age").unwrap_err().contains("\"/age\""));
        assert!(parse_pointer("/a~2").is_err());
        assert!(parse_pointer("/a~").is_err());
    }
}
