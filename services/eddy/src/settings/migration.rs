//! The text of a settings file, brought to the newest format.
//!
//! Owns: which characters change: old names of keys, and the number of the format. All else, comments, order, blank lines
//! and line ends, stays as it is, byte for byte.
//! Never does: write a file.
//!
//! Invariant: the new text says what the old one said. It is read again before it is given away.

use std::ops::Range;

use eddy_pipeline::format::Version;

use super::Source;
use super::history::{FORMAT, History, Reading, parse_known};
use super::parse;
use super::problems::{Diagnostic, Problems};
use super::tree::{Content, Entry, Node, Place};

/// A version that reads every old name.
const BEFORE_ALL: Version = Version::new(0, 0);

/// What becomes of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The format that it was of.
    pub from: u32,
    /// The format that it is of now.
    pub to: u32,
    /// The text, which is the same where both are.
    pub text: String,
    /// What was to be done, one line each, with its place.
    pub changes: Problems,
}

/// Brings a text to the newest format of its kind.
///
/// # Errors
/// What cannot be decided: a file that is not TOML, of a format that is not read, or with both names of a key.
pub fn migrate(source: Source<'_>, history: &History) -> Result<Migrated, Problems> {
    let Source { name, text } = source;
    let alone = |diagnostic| Problems::new(name.to_owned(), vec![diagnostic]);
    let (mut root, format) = parse_known(text, history).map_err(alone)?;
    let from = format.ok_or_else(|| {
        alone(Diagnostic {
            place: root.get(FORMAT).map_or(Place::Whole, |node| node.place.clone()),
            key: FORMAT.to_owned(),
            message: format!("`{FORMAT}` must be a whole number; write the number of the format that the file is of"),
        })
    })?;
    let to = history.format.written;
    let reading = Reading {
        history,
        file: name,
        format: from,
        version: BEFORE_ALL,
    };
    let upgraded = reading.upgrade(&mut root);
    if !upgraded.wrong.is_empty() {
        return Err(Problems::new(name.to_owned(), upgraded.wrong));
    }
    let done = |text: String, changes: Vec<Diagnostic>| Migrated {
        from,
        to,
        text,
        changes: Problems::new(name.to_owned(), changes),
    };
    // An old name would have been wrong in it.
    if from == to {
        return Ok(done(text.to_owned(), Vec::new()));
    }
    let number = root.get(FORMAT);
    let renamings = upgraded.deprecated.iter().map(|(at, new)| rename(text, &at.place, new));
    let edits: Option<Vec<Edit>> = renamings.chain([Some(numbered(text, number, to))]).collect();
    let mut changes: Vec<Diagnostic> = upgraded.deprecated.into_iter().map(|(change, _)| change).collect();
    changes.push(Diagnostic {
        place: number.map_or(Place::Whole, |node| node.place.clone()),
        key: FORMAT.to_owned(),
        message: format!(
            "the file is of format {from}, and {to} is the newest of {}",
            history.format.of
        ),
    });
    let migrated = edits.map(|edits| apply(text, edits));
    match migrated.filter(|migrated| says(migrated, &root, to)) {
        Some(text) => Ok(done(text, changes)),
        None => Err(Problems::whole(
            name.to_owned(),
            format!(
                "cannot be rewritten without a change of what it says, which is a fault of this program; rename its keys by \
                 hand: {}",
                Problems::new(name.to_owned(), changes)
            ),
        )),
    }
}

/// Characters that go, and what comes in their place.
type Edit = (Range<usize>, String);

fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    let mut text = text.to_owned();
    edits.sort_by_key(|(range, _)| range.start);
    for (range, instead) in edits.into_iter().rev() {
        text.replace_range(range, &instead);
    }
    text
}

/// The renaming of the key at a place.
fn rename(text: &str, place: &Place, new: &str) -> Option<Edit> {
    let start = offset(text, place)?;
    let written = &text[start..];
    let length = match written.chars().next()? {
        // No old name holds a quote, so the next one ends it.
        quote @ ('"' | '\'') => written[1..].find(quote)? + 2,
        _ => written.find(|c: char| !is_bare(c)).unwrap_or(written.len()),
    };
    Some((start..start + length, new.to_owned()))
}

const fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// The new number in the place of the old one, or in a line of its own.
fn numbered(text: &str, number: Option<&Node>, to: u32) -> Edit {
    if let Some(start) = number.and_then(|node| offset(text, &node.place)) {
        let is_digit = |c: char| is_bare(c) || c == '+';
        let length = text[start..].find(|c| !is_digit(c)).unwrap_or(text.len() - start);
        return (start..start + length, to.to_string());
    }
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let start = if text.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    };
    let at = start + title(&text[start..]);
    // A header wants a blank line before it; other keys do not.
    let before_header = text[at..].starts_with('[') || text[at..].starts_with('#');
    let blank = if before_header { end } else { "" };
    (at..at, format!("{FORMAT} = {to}{end}{blank}"))
}

/// Length of the comment that a text begins with, if a blank line tells it from what follows.
fn title(text: &str) -> usize {
    let mut length = 0;
    for line in text.split_inclusive('\n') {
        match line.trim() {
            "" if length > 0 => return length + line.len(),
            comment if comment.starts_with('#') => length += line.len(),
            _ => break,
        }
    }
    0
}

/// Whether a text is of a format, and says what a tree says.
fn says(text: &str, root: &Node, format: u32) -> bool {
    let Ok(read) = parse::parse(text) else {
        return false;
    };
    let number = read.get(FORMAT).map(|node| &node.content);
    number == Some(&Content::Integer(format.into()))
        && meaning(&without_number(&read)) == meaning(&without_number(root))
}

fn without_number(root: &Node) -> Node {
    let mut root = root.clone();
    if let Content::Table(entries) = &mut root.content {
        entries.retain(|entry| entry.key != FORMAT);
    }
    root
}

/// What a tree says, without places.
fn meaning(node: &Node) -> Content {
    let bare = |node: &Node| Node {
        content: meaning(node),
        place: Place::Whole,
    };
    match &node.content {
        Content::Table(entries) => {
            let entries = entries.iter().map(|entry| Entry {
                key: entry.key.clone(),
                key_place: Place::Whole,
                node: bare(&entry.node),
            });
            Content::Table(entries.collect())
        }
        Content::List(items) => Content::List(items.iter().map(bare).collect()),
        // `nan` is not equal to itself, and here it is.
        Content::Float(number) => Content::String(format!("{number:?}")),
        other => other.clone(),
    }
}

/// Where a place begins.
fn offset(text: &str, place: &Place) -> Option<usize> {
    let Place::File { line, column } = place else {
        return None;
    };
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = text.get(start..)?;
    let (within, _) = rest.char_indices().nth(column - 1)?;
    Some(start + within)
}

#[cfg(test)]
mod tests;
