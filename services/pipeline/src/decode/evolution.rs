//! Whether a writer's schema fits the pipeline file, and what is done when it does not.
//!
//! Owns: the policy `[events.evolution]` and its words. A schema is judged once, when it is new, and before any of its events.
//!
//! Invariant: what is found does not depend on events.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::outline::{Look, LookId, Outline, Sort};
use super::trie::{NodeId, Role, Trie};
use crate::fields::Field;
use crate::fields::{TimeReader, clip};

/// What to do about a schema that does not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EvolutionRule {
    /// Count it, and read its events: each by the ordinary rules of its fields.
    #[default]
    Accept,
    /// Every event of that schema becomes a dead letter with the reason `schema_refused`.
    Reject,
    /// The stream waits, offsets untouched, until the pipeline file fits.
    Pause,
}

impl EvolutionRule {
    /// The word used in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Pause => "pause",
        }
    }
}

/// `[events.evolution]`: what to do when a schema that is new to the stream does not fit the pipeline file. Only for
/// registry formats. It is counted in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvolutionSettings {
    /// The schema has a member that nothing in the pipeline file names, in the objects that fields are read from.
    /// `accept`, `reject` or `pause`. Default: `accept`; the member is skipped.
    pub unknown_field: EvolutionRule,
    /// The schema lacks what a field, `id_field`, `time_field` or `pass_through` names. `accept`, `reject` or `pause`.
    /// Default: `accept`; defaults stand in, and where there is none its events become dead letters (`missing_field`).
    pub missing_field: EvolutionRule,
    /// The schema gives a field a type, or one type of several, that cannot be read as the field's. `accept`, `reject` or
    /// `pause`. Default: `accept`; events that hold such a value become dead letters (`wrong_type`).
    pub changed_type: EvolutionRule,
}

/// How a schema does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// It has a member that nothing names.
    UnknownField,
    /// It lacks one that is named.
    MissingField,
    /// It has another type.
    ChangedType,
}

impl Change {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::UnknownField, Self::MissingField, Self::ChangedType];

    /// The word used in labels and settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownField => "unknown_field",
            Self::MissingField => "missing_field",
            Self::ChangedType => "changed_type",
        }
    }
}

impl EvolutionSettings {
    /// The rule for a change.
    pub fn rule(&self, change: Change) -> EvolutionRule {
        match change {
            Change::UnknownField => self.unknown_field,
            Change::MissingField => self.missing_field,
            Change::ChangedType => self.changed_type,
        }
    }
}

/// One thing about a schema that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How.
    pub change: Change,
    /// JSON pointer of the place.
    pub place: String,
    /// What is found and what was expected, as a part of a sentence.
    pub detail: String,
}

/// A schema that was new to a decoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSchema {
    /// Its number.
    pub id: u32,
    /// What does not fit, that with the strictest rule first; empty when it fits.
    pub findings: Vec<Finding>,
    /// What is done about it.
    pub rule: EvolutionRule,
}

impl NewSchema {
    /// How many findings there are of one kind, of which at most 256 are kept.
    pub fn count(&self, change: Change) -> usize {
        self.findings.iter().filter(|finding| finding.change == change).count()
    }
}

impl std::fmt::Display for NewSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        /// More make no sentence.
        const MOST: usize = 3;
        for (at, finding) in self.findings.iter().take(MOST).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}`{}` {}", clip(&finding.place), finding.detail)?;
        }
        let is_cut = Change::ALL.iter().any(|change| self.count(*change) == MOST_FINDINGS);
        match self.findings.len().saturating_sub(MOST) {
            0 => Ok(()),
            more if is_cut => write!(f, ", and at least {more} more"),
            more => write!(f, ", and {more} more"),
        }
    }
}

/// What a schema is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) trie: &'a Trie,
    pub(crate) fields: &'a [FieldTypes],
    pub(crate) time: TimeReader,
}

/// What a field can be read from.
#[derive(Debug, Clone)]
pub(crate) struct FieldTypes {
    type_name: &'static str,
    /// Sorts, and those of elements where it takes a list.
    sorts: Vec<Sort>,
    elements: Option<Vec<Sort>>,
}

const SORTS: [Sort; 9] = [
    Sort::Boolean,
    Sort::Integer,
    Sort::Float,
    Sort::Text,
    Sort::Bytes,
    Sort::Time,
    Sort::TimeOfDay,
    Sort::Decimal,
    Sort::Uuid,
];

impl FieldTypes {
    pub(crate) fn of(field: &Field) -> Self {
        let is_vector = field.reads_elements(Sort::Float);
        Self {
            type_name: field.type_name(),
            sorts: SORTS.into_iter().filter(|sort| field.reads(*sort)).collect(),
            elements: is_vector.then(|| SORTS.into_iter().filter(|sort| field.reads_elements(*sort)).collect()),
        }
    }
}

/// Most findings of one kind about one schema. Who reads so many reads the schema. For each kind, since each has a rule of its
/// own: many members that nothing names must not hide the one that is missing.
const MOST_FINDINGS: usize = 256;

/// Compares a schema with what the pipeline file names. Finds each thing once, and no more than [`MOST_FINDINGS`] of a kind.
pub(crate) fn judge(outline: &Outline, expected: Expected<'_>) -> Vec<Finding> {
    let mut judge = Judge {
        outline,
        expected,
        reached: vec![false; expected.trie.nodes.len()],
        seen: HashSet::new(),
        findings: Vec::new(),
        path: String::new(),
    };
    judge.at(0, outline.root);
    judge.missing(0);
    judge.findings
}

struct Judge<'a> {
    outline: &'a Outline,
    expected: Expected<'a>,
    /// For each node of the trie whether the schema has such a place.
    reached: Vec<bool>,
    /// What was looked at where: a schema may come back to itself, and by many ways at once.
    seen: HashSet<(NodeId, LookId)>,
    findings: Vec<Finding>,
    path: String,
}

/// What is done with a value at a node.
fn roles(role: &Role) -> &[Role] {
    match role {
        Role::Many(roles) => roles,
        role => std::slice::from_ref(role),
    }
}

impl<'a> Judge<'a> {
    fn find(&mut self, change: Change, detail: String) {
        let finding = Finding {
            change,
            place: self.path.clone(),
            detail,
        };
        let mut alike = self.findings.iter().filter(|known| known.change == change);
        if alike.clone().count() < MOST_FINDINGS && !alike.any(|known| *known == finding) {
            self.findings.push(finding);
        }
    }

    /// Does something one level further down.
    fn below(&mut self, name: &str, then: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push('/');
        self.path.push_str(&name.replace('~', "~0").replace('/', "~1"));
        then(self);
        self.path.truncate(length);
    }

    fn at(&mut self, place: NodeId, look: LookId) {
        if !self.seen.insert((place, look)) {
            return;
        }
        self.reached[place as usize] = true;
        let trie = self.expected.trie;
        let here = &trie.nodes[place as usize];
        let branches = self.outline.branches(look);
        for role in roles(&here.role) {
            if let Some((what, wanted)) = self.refusing(role, &branches) {
                let found = self.outline.words(look);
                self.find(Change::ChangedType, format!("is {found}, and {what} is {wanted}"));
            }
        }
        let is_branch = roles(&here.role).iter().any(|role| matches!(role, Role::Branch));
        if !is_branch {
            return;
        }
        let outline: &'a Outline = self.outline;
        for branch in branches {
            let branch = match &outline.looks[branch as usize] {
                Look::Both(_, parts) => *parts,
                _ => branch,
            };
            match &outline.looks[branch as usize] {
                Look::Object(members) => {
                    for (name, member) in members {
                        match here.keys.find(name) {
                            Some(position) => self.below(name, |judge| judge.at(here.children[position], *member)),
                            None => self.below(name, |judge| {
                                judge.find(
                                    Change::UnknownField,
                                    "is in the schema and not in the pipeline file".into(),
                                );
                            }),
                        }
                    }
                }
                Look::Map(value) => {
                    for (name, child) in here.keys.iter().zip(&here.children) {
                        self.below(name, |judge| judge.at(*child, *value));
                    }
                }
                Look::List(item) => {
                    for (index, child) in &here.indices {
                        self.below(itoa::Buffer::new().format(*index), |judge| judge.at(*child, *item));
                    }
                }
                Look::Anything => here.children.iter().for_each(|child| self.reach(*child)),
                Look::Leaf(_) | Look::Either(_) | Look::Both(..) => {}
            }
        }
    }

    /// Everything from here on may be there.
    fn reach(&mut self, place: NodeId) {
        self.reached[place as usize] = true;
        let trie = self.expected.trie;
        trie.nodes[place as usize]
            .children
            .iter()
            .for_each(|child| self.reach(*child));
    }

    /// What a role cannot take: who it is, and what it takes.
    fn refusing(&self, role: &Role, branches: &[LookId]) -> Option<(String, &'static str)> {
        let looks = &self.outline.looks;
        let leaf = |takes: &dyn Fn(Sort) -> bool| {
            let refuses = |look: &Look| match look {
                Look::Leaf(Sort::Null) | Look::Anything => false,
                Look::Leaf(sort) | Look::Both(sort, _) => !takes(*sort),
                _ => true,
            };
            branches.iter().any(|branch| refuses(&looks[*branch as usize]))
        };
        match role {
            Role::Field(field) => {
                let types = &self.expected.fields[*field];
                let takes_list = |item: LookId| {
                    types.elements.as_ref().is_some_and(|elements| {
                        self.outline
                            .branches(item)
                            .into_iter()
                            .all(|item| match &looks[item as usize] {
                                Look::Leaf(sort) | Look::Both(sort, _) => {
                                    *sort == Sort::Null || elements.contains(sort)
                                }
                                Look::Anything => true,
                                _ => false,
                            })
                    })
                };
                let refuses = branches.iter().any(|branch| match &looks[*branch as usize] {
                    Look::Leaf(Sort::Null) | Look::Anything => false,
                    Look::Leaf(sort) | Look::Both(sort, _) => !types.sorts.contains(sort),
                    Look::List(item) => !takes_list(*item),
                    _ => true,
                });
                refuses.then(|| ("the field".to_owned(), types.type_name))
            }
            Role::Id => {
                let takes = |sort| !matches!(sort, Sort::Boolean | Sort::Float | Sort::Bytes);
                leaf(&takes).then(|| ("`events.id_field`".to_owned(), "a text or a whole number"))
            }
            Role::Time => {
                let has_unit = self.expected.time.unit.is_some();
                let takes = |sort| match sort {
                    Sort::Text | Sort::Time => true,
                    Sort::Integer | Sort::Float | Sort::Decimal => has_unit,
                    _ => false,
                };
                leaf(&takes).then(|| ("`events.time_field`".to_owned(), "a time"))
            }
            Role::Branch | Role::PassThrough(_) | Role::Many(_) => None,
        }
    }

    fn missing(&mut self, place: NodeId) {
        let trie = self.expected.trie;
        let here = &trie.nodes[place as usize];
        if !self.reached[place as usize] {
            for role in roles(&here.role) {
                let what = match role {
                    Role::Branch | Role::Many(_) => continue,
                    Role::Field(field) => format!("a {} of the pipeline file", self.expected.fields[*field].type_name),
                    Role::Id => "`events.id_field`".to_owned(),
                    Role::Time => "`events.time_field`".to_owned(),
                    Role::PassThrough(_) => "a member to pass through".to_owned(),
                };
                self.find(Change::MissingField, format!("is {what} and not in the schema"));
            }
        }
        for (name, child) in here.keys.iter().zip(&here.children) {
            self.below(name, |judge| judge.missing(*child));
        }
    }
}
