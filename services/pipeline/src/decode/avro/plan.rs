//! From types, and what the pipeline file looks for, to the steps of a walk.
//!
//! Invariant: a node stands for one type at one place that is looked at, or for one type wherever nothing is; so there are no
//! more nodes than pairs of the two, however a schema refers to itself.

use std::collections::HashMap;

use super::types::{Type, TypeId, Types};
use crate::decode::trie::{NodeId as PlaceId, Role, Trie};

/// Index of a node.
pub(super) type NodeId = u32;

/// Most nodes of a plan, which only a schema made to be large has.
const MOST: usize = 1 << 20;

/// What to do with one value.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) found: Type,
    /// `None`: nothing; it is skipped.
    pub(super) role: Option<Role>,
    pub(super) place: PlaceId,
    pub(super) parts: Parts,
}

/// The nodes of a value's parts.
#[derive(Debug)]
pub(super) enum Parts {
    None,
    /// In the order of the schema.
    All(Box<[NodeId]>),
    /// Of an array or map: those looked at, by index or by position among the place's keys, and all others.
    Some {
        chosen: Box<[NodeId]>,
        other: NodeId,
    },
}

/// The steps for one schema.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) nodes: Vec<Node>,
}

struct Compiler<'a> {
    types: &'a Types,
    trie: &'a Trie,
    nodes: Vec<Node>,
    known: HashMap<(TypeId, Option<PlaceId>), NodeId>,
    /// Nodes whose parts are not there yet.
    open: Vec<(NodeId, TypeId, Option<PlaceId>)>,
}

impl Plan {
    pub(super) fn compile(types: &Types, trie: &Trie) -> Result<Self, String> {
        let mut compiler = Compiler {
            types,
            trie,
            nodes: Vec::new(),
            known: HashMap::new(),
            open: Vec::new(),
        };
        compiler.node(types.root, Some(0));
        while let Some((node, found, place)) = compiler.open.pop() {
            let parts = compiler.parts(found, place);
            compiler.nodes[node as usize].parts = parts;
            if compiler.nodes.len() > MOST {
                return Err(format!(
                    "it makes more than {MOST} steps together with the pipeline file"
                ));
            }
        }
        Ok(Self { nodes: compiler.nodes })
    }
}

impl Compiler<'_> {
    fn node(&mut self, found: TypeId, place: Option<PlaceId>) -> NodeId {
        if let Some(known) = self.known.get(&(found, place)) {
            return *known;
        }
        let id = self.nodes.len() as NodeId;
        self.nodes.push(Node {
            found: self.types.types[found as usize].clone(),
            role: place.map(|place| self.trie.nodes[place as usize].role.clone()),
            place: place.unwrap_or_default(),
            parts: Parts::None,
        });
        self.known.insert((found, place), id);
        self.open.push((id, found, place));
        id
    }

    fn parts(&mut self, found: TypeId, place: Option<PlaceId>) -> Parts {
        let types = self.types;
        let here = place.map(|place| &self.trie.nodes[place as usize]);
        match &types.types[found as usize] {
            Type::Record(members) => Parts::All(
                members
                    .iter()
                    .map(|(name, member)| {
                        let child = here.and_then(|here| here.keys.find(name).map(|at| here.children[at]));
                        self.node(*member, child)
                    })
                    .collect(),
            ),
            Type::Union(branches) => Parts::All(branches.iter().map(|branch| self.node(*branch, place)).collect()),
            Type::Array(item) => {
                let indices = here.map_or(&[][..], |here| here.indices.as_slice());
                let chosen = indices
                    .iter()
                    .map(|(_, child)| self.node(*item, Some(*child)))
                    .collect();
                let other = self.node(*item, None);
                Parts::Some { chosen, other }
            }
            Type::Map(item) => {
                let children = here.map_or(&[][..], |here| here.children.as_slice());
                let chosen = children.iter().map(|child| self.node(*item, Some(*child))).collect();
                let other = self.node(*item, None);
                Parts::Some { chosen, other }
            }
            _ => Parts::None,
        }
    }
}
