//! TOML text to [`Node`]s. Knows `toml_edit`; nothing else does.

use std::ops::Range;

use toml_edit::{Document, Item, TableLike, Value};

use super::problems::Diagnostic;
use super::tree::{Content, Entry, Node, Place};

/// Parses a text, or says where it stops being TOML.
pub(super) fn parse(text: &str) -> Result<Node, Diagnostic> {
    let places = Places::new(text);
    let document = Document::parse(text).map_err(|error| Diagnostic {
        place: places.at(error.span()),
        key: String::new(),
        message: explain(error.message()),
    })?;
    Ok(Node {
        content: table(document.as_table(), &places),
        place: places.at(None),
    })
}

/// Parses one value as TOML writes it, for a variable of the environment; everything in it stands at `place`.
pub(super) fn parse_value(text: &str, place: &Place) -> Option<Node> {
    let value: Value = text.trim().parse().ok()?;
    Some(Node {
        content: scalar_or_composite(&value, &Places::Fixed(place)),
        place: place.clone(),
    })
}

fn explain(message: &str) -> String {
    let sentence = message.trim().replace('\n', ", ");
    if sentence.starts_with("duplicate key") {
        return "this key stands twice in the same table; keep one of the two".to_owned();
    }
    format!("this is not TOML: {sentence}")
}

/// Turns byte offsets into places.
enum Places<'a> {
    Text { text: &'a str, line_starts: Vec<usize> },
    Fixed(&'a Place),
}

impl<'a> Places<'a> {
    fn new(text: &'a str) -> Self {
        let after_newlines = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        Self::Text {
            text,
            line_starts: std::iter::once(0).chain(after_newlines).collect(),
        }
    }

    fn at(&self, span: Option<Range<usize>>) -> Place {
        match self {
            Self::Fixed(place) => (*place).clone(),
            Self::Text { text, line_starts } => {
                let offset = text.floor_char_boundary(span.map_or(0, |span| span.start));
                let line = line_starts.partition_point(|start| *start <= offset);
                let column = text[line_starts[line - 1]..offset].chars().count() + 1;
                Place::File { line, column }
            }
        }
    }
}

fn table(table: &dyn TableLike, places: &Places<'_>) -> Content {
    let entries = table.iter().filter_map(|(name, item)| {
        let span = table.key(name).and_then(toml_edit::Key::span);
        let node = item_node(item, span.clone(), places)?;
        let key_place = if span.is_some() {
            places.at(span)
        } else {
            node.place.clone()
        };
        Some(Entry {
            key: name.to_owned(),
            key_place,
            node,
        })
    });
    Content::Table(entries.collect())
}

fn item_node(item: &Item, key: Option<Range<usize>>, places: &Places<'_>) -> Option<Node> {
    let content = match item {
        Item::None => return None,
        Item::Value(value) => scalar_or_composite(value, places),
        Item::Table(inner) => table(inner, places),
        Item::ArrayOfTables(tables) => Content::List(
            tables
                .iter()
                .map(|inner| Node {
                    content: table(inner, places),
                    place: places.at(inner.span()),
                })
                .collect(),
        ),
    };
    // A table that only `[a.b]` or `a.b = 1` brings into being has no place of its own.
    let span = item.span().or(key);
    Some(Node {
        content,
        place: places.at(span),
    })
}

fn scalar_or_composite(value: &Value, places: &Places<'_>) -> Content {
    match value {
        Value::String(text) => Content::String(text.value().clone()),
        Value::Integer(number) => Content::Integer(*number.value()),
        Value::Float(number) => Content::Float(*number.value()),
        Value::Boolean(flag) => Content::Boolean(*flag.value()),
        Value::Datetime(date) => Content::Date(date.value().to_string()),
        Value::Array(items) => Content::List(
            items
                .iter()
                .map(|item| Node {
                    content: scalar_or_composite(item, places),
                    place: places.at(item.span()),
                })
                .collect(),
        ),
        Value::InlineTable(inner) => table(inner, places),
    }
}
