//! Tables: unknown keys, missing keys, and which variant of an enum is meant.

use eddy_pipeline::settings::nearest;
use serde_json::Value;

use super::{Walk, scalar};
use crate::settings::problems::Diagnostic;
use crate::settings::schema::{Alternative, Schema};
use crate::settings::tree::{Content, Entry, Node, join};

/// How deep the search goes for the table to which a stray key belongs.
const SEARCH_DEPTH: usize = 4;

impl Walk<'_> {
    /// Walks a table, given the alternatives that are tables.
    pub(super) fn table(&mut self, node: &mut Node, alternatives: &[Alternative], path: &str) -> bool {
        if let [only] = alternatives {
            return self.keys(node, only, path);
        }
        match common_tag(alternatives) {
            Some(tag) => self.tagged(node, alternatives, &tag, path),
            None => self.best(node, alternatives, |walk, node, alternative| {
                walk.keys(node, alternative, path)
            }),
        }
    }

    fn tagged(&mut self, node: &mut Node, alternatives: &[Alternative], tag: &str, path: &str) -> bool {
        let words: Vec<&str> = alternatives.iter().flat_map(|a| tag_words(a, tag)).collect();
        let written = match node.get(tag) {
            Some(Node {
                content: Content::String(word),
                ..
            }) => Some(word.clone()),
            Some(_) | None => None,
        };
        let chosen = written
            .as_deref()
            .and_then(|w| alternatives.iter().find(|a| tag_words(a, tag).contains(&w)));
        if let Some(chosen) = chosen {
            return self.keys(node, chosen, path);
        }
        match (node.get(tag), written) {
            (Some(value), Some(word)) => {
                let message = format!("`{}` {}", join(path, tag), scalar::unknown_word(&word, &words));
                self.report(&value.clone(), &join(path, tag), message);
            }
            (Some(value), None) => {
                let message = format!(
                    "`{}` must be one of {}",
                    join(path, tag),
                    crate::settings::schema::quoted(words)
                );
                self.report(&value.clone(), &join(path, tag), message);
            }
            // Without its tag there is no telling which keys belong, unless one of them is the tag misspelt.
            (None, _) => {
                let known = self.keys(node, &union(alternatives), path);
                let mended = matches!(
                    node.get(tag),
                    Some(Node {
                        content: Content::String(_),
                        ..
                    })
                );
                return known && mended && self.tagged(node, alternatives, tag, path);
            }
        }
        false
    }

    fn keys(&mut self, node: &mut Node, alternative: &Alternative, path: &str) -> bool {
        let place = node.place.clone();
        let Content::Table(entries) = &mut node.content else {
            return true;
        };
        let mut sound = true;
        let present: Vec<String> = entries.iter().map(|entry| entry.key.clone()).collect();
        let mut taken = Vec::new();
        let mut kept = Vec::with_capacity(entries.len());
        for mut entry in std::mem::take(entries) {
            let written_path = join(path, &entry.key);
            let schema = match alternative.property(&entry.key).or_else(|| alternative.other_keys()) {
                Some(schema) => schema,
                None => {
                    let meant = self.unknown_key(&entry, alternative, &present, path);
                    match meant.filter(|key| !present.contains(key) && !taken.contains(key)) {
                        Some(key) => entry.key = key,
                        None => continue,
                    }
                    taken.push(entry.key.clone());
                    alternative.property(&entry.key).expect("only known keys are suggested")
                }
            };
            if self.node(&mut entry.node, schema, &written_path) {
                kept.push(entry);
            } else if alternative.required().contains(&entry.key.as_str()) || is_table_or_list(&entry.node) {
                // A broken table cannot be left out: its default would make others look wrong.
                sound = false;
                taken.push(entry.key);
            } else {
                taken.push(entry.key);
            }
        }
        for key in alternative.required() {
            if !present.iter().any(|name| name == key) && !taken.iter().any(|name| name == key) {
                let wanted = self
                    .schema
                    .alternatives(alternative.property(key).unwrap_or(&Value::Bool(true)));
                let message = missing(key, &wanted, path);
                self.diagnostics.push(Diagnostic {
                    place: place.clone(),
                    key: join(path, key),
                    message,
                });
                sound = false;
            }
        }
        let count = kept.len();
        *entries = kept;
        if alternative.takes_one_key() && count != 1 && sound {
            let message = format!(
                "`{path}` has {count} keys; it takes exactly one: {}",
                alternative.described()
            );
            self.report(node, path, message);
            return false;
        }
        sound
    }

    /// Reports a key that nobody knows; gives the key that was probably meant, if it belongs in this table.
    fn unknown_key(&mut self, entry: &Entry, table: &Alternative, present: &[String], path: &str) -> Option<String> {
        let known: Vec<&str> = table.properties().map(|(key, _)| key).collect();
        let absent = known
            .iter()
            .copied()
            .filter(|key| !present.iter().any(|name| name == key));
        let meant = nearest(&entry.key, absent).or_else(|| nearest(&entry.key, known.iter().copied()));
        let advice = match meant {
            Some(key) => format!("did you mean `{key}`?"),
            None => match place_of(self.schema, &entry.key) {
                Some(table) if table.is_empty() => {
                    "it belongs at the top of the file, above the first [table]".to_owned()
                }
                Some(table) => format!("it belongs in [{table}]"),
                None => format!("known here: {}", known.join(", ")),
            },
        };
        self.diagnostics.push(Diagnostic {
            place: entry.key_place.clone(),
            key: join(path, &entry.key),
            message: format!("unknown key `{}`; {advice}", join(path, &entry.key)),
        });
        meant.map(str::to_owned)
    }
}

fn is_table_or_list(node: &Node) -> bool {
    matches!(node.content, Content::Table(_) | Content::List(_))
}

fn missing(key: &str, wanted: &[Alternative], path: &str) -> String {
    let words: Vec<&str> = wanted.iter().flat_map(Alternative::words).collect();
    let wanted = match words.is_empty() {
        true => wanted
            .iter()
            .map(Alternative::described)
            .collect::<Vec<_>>()
            .join(" or "),
        false => format!("one of {}", crate::settings::schema::quoted(words)),
    };
    let table = match path {
        "" => "the file".to_owned(),
        path => format!("`{path}`"),
    };
    format!("{table} needs the key `{key}`: {wanted}")
}

/// The key that tells the variants apart: in each of them it takes fixed words.
fn common_tag(alternatives: &[Alternative]) -> Option<String> {
    let first = alternatives.first()?;
    let mut keys = first.properties().map(|(key, _)| key);
    let tag = keys.find(|key| {
        alternatives
            .iter()
            .all(|alternative| !tag_words(alternative, key).is_empty())
    });
    tag.map(str::to_owned)
}

fn tag_words<'a>(alternative: &'a Alternative, key: &str) -> Vec<&'a str> {
    match alternative.property(key).and_then(|schema| schema.get("const")) {
        Some(Value::String(word)) => vec![word],
        _ => Vec::new(),
    }
}

/// A table that takes the keys of all variants and needs what all of them need.
fn union(alternatives: &[Alternative]) -> Alternative {
    let required = |key: &&str| {
        alternatives
            .iter()
            .all(|alternative| alternative.required().contains(key))
    };
    let needed: Vec<&str> = alternatives.first().map(Alternative::required).unwrap_or_default();
    let needed: Vec<&str> = needed.into_iter().filter(required).collect();
    Alternative::union_of(alternatives, &needed)
}

/// The table that has `key`, for keys that slipped under the wrong header; empty for the file itself.
fn place_of(schema: &Schema, key: &str) -> Option<String> {
    search(schema, schema.root(), key, "", SEARCH_DEPTH)
}

fn search(schema: &Schema, at: &Value, key: &str, path: &str, depth: usize) -> Option<String> {
    if depth == 0 {
        return None;
    }
    let alternatives = schema.alternatives(at);
    if alternatives
        .iter()
        .any(|alternative| alternative.property(key).is_some())
    {
        return Some(path.to_owned());
    }
    alternatives
        .iter()
        .flat_map(|alternative| alternative.properties())
        .find_map(|(name, inner)| search(schema, inner, key, &join(path, name), depth - 1))
}
