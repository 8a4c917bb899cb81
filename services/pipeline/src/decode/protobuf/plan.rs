//! From a message and what the pipeline file looks for to the fields that are looked at.
//!
//! Invariant: a place has one type. `Struct` and its like, whose parts have theirs from the event, have no node.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::view::{Known, known};
use crate::decode::trie::{NodeId, Trie};

/// The steps for one message.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) message: MessageDescriptor,
    /// For each place of the trie that is a message: its fields that are looked at, by ascending number.
    pub(super) members: Vec<Vec<Member>>,
}

/// A field that is looked at.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) field: FieldDescriptor,
    pub(super) number: u32,
    pub(super) place: NodeId,
}

impl Plan {
    pub(super) fn compile(message: &MessageDescriptor, trie: &Trie) -> Self {
        let mut plan = Self {
            message: message.clone(),
            members: std::iter::repeat_with(Vec::new).take(trie.nodes.len()).collect(),
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
        let mut members = Vec::new();
        for (name, child) in here.keys.iter().zip(&here.children) {
            let Some(field) = message.get_field_by_name(name) else {
                continue;
            };
            self.field(trie, *child, &field);
            members.push(Member {
                number: field.number(),
                field,
                place: *child,
            });
        }
        members.sort_by_key(|member| member.number);
        self.members[place as usize] = members;
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
