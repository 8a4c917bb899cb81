//! From a message and what the pipeline file looks for to the fields that are looked at.
//!
//! Invariant: a place has one type. `Struct` and its like, whose parts have theirs from the event, have no node.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, Value};

use super::view::{Known, known};
use crate::decode::trie::{NodeId, Trie};

/// The steps for one message.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) message: MessageDescriptor,
    /// For each place of the trie, what to do with the fields of the message that stands there.
    pub(super) nodes: Vec<Node>,
}

/// The fields of a message.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) members: Vec<Member>,
    /// Those that nothing looks at, and their kinds.
    pub(super) others: Vec<(FieldDescriptor, Kind)>,
}

/// A field that is looked at.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) field: FieldDescriptor,
    pub(super) kind: Kind,
    pub(super) place: NodeId,
    /// What stands for it where it is absent; `None`: nothing, it is missing.
    pub(super) default: Option<Value>,
}

impl Plan {
    pub(super) fn compile(message: &MessageDescriptor, trie: &Trie) -> Self {
        let mut plan = Self {
            message: message.clone(),
            nodes: std::iter::repeat_with(Node::default).take(trie.nodes.len()).collect(),
        };
        plan.one(trie, 0, &Kind::Message(message.clone()));
        plan
    }

    /// What stands alone at a place.
    fn one(&mut self, trie: &Trie, place: NodeId, kind: &Kind) {
        let Kind::Message(message) = kind else {
            return;
        };
        if !matches!(known(message), Known::Nothing | Known::Written(_)) {
            return;
        }
        let here = &trie.nodes[place as usize];
        let mut node = Node::default();
        for field in message.fields() {
            let kind = field.kind();
            let Some(position) = here.keys.find(field.name()) else {
                node.others.push((field, kind));
                continue;
            };
            let place = here.children[position];
            self.field(trie, place, &field);
            node.members.push(Member {
                default: has_default(&field).then(|| field.default_value()),
                field,
                kind,
                place,
            });
        }
        self.nodes[place as usize] = node;
    }

    fn field(&mut self, trie: &Trie, place: NodeId, field: &FieldDescriptor) {
        let here = &trie.nodes[place as usize];
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let kind = entry.map_entry_value_field().kind();
                here.children.iter().for_each(|child| self.one(trie, *child, &kind));
            }
            kind if field.is_list() => here.indices.iter().for_each(|(_, child)| self.one(trie, *child, &kind)),
            kind => self.one(trie, place, &kind),
        }
    }
}

/// Whether an absent field is there all the same.
pub(super) fn has_default(field: &FieldDescriptor) -> bool {
    !field.supports_presence() && !field.is_list() && !field.is_map()
}
