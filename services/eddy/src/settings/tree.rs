//! A settings file as a tree in which every key and value knows its place.
//!
//! Owns: the tree and the search for a dotted key.
//! Never does: judge a value.
//!
//! Invariant: [`Node::find`] always answers: with the node itself, or with the deepest one on the way that exists.

use std::fmt;

/// Where a key or value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Nowhere in particular: the file as a whole.
    Whole,
    /// In the file; both count from 1, columns in characters.
    File {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// In the environment variable of this name.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::File { line, column } => write!(f, "{line}:{column}"),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub content: Content,
    /// Where it was written: a table's place is its header.
    pub place: Place,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A table, in the order of the file.
    Table(Vec<Entry>),
    /// A list, or an array of tables.
    List(Vec<Node>),
    /// A string.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A number with a point, an exponent, or one of `inf` and `nan`.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// TOML's own date or time, as it was written.
    Date(String),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key, unquoted.
    pub key: String,
    /// Where the key was written.
    pub key_place: Place,
    /// Its value.
    pub node: Node,
}

impl Content {
    /// The JSON schema's word for the type; `date` for what JSON does not have.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Table(_) => "object",
            Self::List(_) => "array",
            Self::String(_) => "string",
            Self::Integer(_) => "integer",
            Self::Float(_) => "number",
            Self::Boolean(_) => "boolean",
            Self::Date(_) => "date",
        }
    }

    /// The type in plain words, with its article.
    pub(crate) fn described(&self) -> &'static str {
        match self {
            Self::Table(_) => "a table",
            Self::List(_) => "a list",
            Self::String(_) => "a string",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number with a point",
            Self::Boolean(_) => "a boolean",
            Self::Date(_) => "a date (put it in quotes to make it a string)",
        }
    }
}

impl Node {
    /// An empty table at a place.
    pub(crate) fn empty_table(place: Place) -> Self {
        Self {
            content: Content::Table(Vec::new()),
            place,
        }
    }

    /// The value of a key, if this is a table that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.content {
            Content::Table(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node),
            _ => None,
        }
    }

    /// The node at a dotted key (`models[0].inputs`, `kafka.properties."a.b"`), or the deepest one on the way to it.
    pub fn find(&self, key: &str) -> &Self {
        self.step(key).map_or(self, |(child, rest)| child.find(rest))
    }

    fn step<'k>(&self, key: &'k str) -> Option<(&Self, &'k str)> {
        match &self.content {
            Content::List(items) => {
                let (index, rest) = key.strip_prefix('[')?.split_once(']')?;
                let item = items.get(index.parse::<usize>().ok()?)?;
                Some((item, rest.strip_prefix('.').unwrap_or(rest)))
            }
            // Keys may contain dots and brackets, quoted or not; the longest one that fits is meant.
            Content::Table(entries) => entries
                .iter()
                .filter_map(|entry| Some((entry, after(key, &entry.key)?)))
                .min_by_key(|(_, rest)| rest.len())
                .map(|(entry, rest)| (&entry.node, rest)),
            _ => None,
        }
    }
}

/// What follows `key` in a dotted path that begins with it, bare or quoted.
fn after<'k>(path: &'k str, key: &str) -> Option<&'k str> {
    let quoted = || path.strip_prefix('"')?.strip_prefix(key)?.strip_prefix('"');
    let rest = quoted().or_else(|| path.strip_prefix(key))?;
    match rest.chars().next() {
        None | Some('[') => Some(rest),
        Some('.') => Some(&rest[1..]),
        Some(_) => None,
    }
}

/// `parent.key`, with quotes around a key that TOML would not take bare.
pub(crate) fn join(parent: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    match (parent.is_empty(), bare) {
        (true, true) => key.to_owned(),
        (true, false) => format!("\"{key}\""),
        (false, true) => format!("{parent}.{key}"),
        (false, false) => format!("{parent}.\"{key}\""),
    }
}
