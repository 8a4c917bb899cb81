//! Variables of the environment that override settings: `EDDY__KAFKA__BROKERS`, `EDDY__MODELS__0__PATH`.
//!
//! Two underscores separate the steps of a key, list items are counted from 0, and case does not matter: a variable
//! finds the key that the schema has. Its text is read as the schema wants it there: a string as it is, a number, `true`
//! or `false`, and tables and lists as TOML or JSON writes them (`["a", "b"]`; a list of strings also as `a,b`).
//!
//! Invariant: a variable with the prefix either sets a key that exists or is reported; none is ignored.

use eddy_pipeline::settings::nearest;
use serde_json::Value;

use super::history::Variable as Named;
use super::parse;
use super::problems::Diagnostic;
use super::schema::{Alternative, Schema};
use super::tree::{Content, Entry, Node, Place, join};

/// What the names of all overriding variables begin with.
pub const PREFIX: &str = "EDDY__";

/// The overriding variables of this process. One that is not UTF-8 comes with replacement characters.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where settings are read from the environment"
)]
pub fn of_process() -> Vec<(String, String)> {
    std::env::vars_os()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        })
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect()
}

/// Lays the variables over the tree; gives what is wrong with them. Variables without the prefix are none of ours.
pub(super) fn overlay(root: &mut Node, schema: &Schema, mut variables: Vec<Named>) -> Vec<Diagnostic> {
    variables.retain(|variable| variable.name.starts_with(PREFIX));
    // In the order of their keys: a whole table before what overrides a part of it, items by number.
    variables.sort_by_cached_key(|variable| {
        let steps = variable.means[PREFIX.len()..].split("__");
        steps
            .map(|step| (step.parse::<usize>().ok(), step.to_uppercase()))
            .collect::<Vec<_>>()
    });
    let mut diagnostics = Vec::new();
    for Named { name, means, text } in variables {
        let place = Place::Variable(name);
        let variable = Variable {
            schema,
            text: &text,
            place: &place,
        };
        let steps: Vec<&str> = means[PREFIX.len()..].split("__").collect();
        if let Err(fault) = variable.set(root, schema.root(), &steps, "") {
            diagnostics.push(Diagnostic {
                place,
                key: fault.key,
                message: fault.message,
            });
        }
    }
    diagnostics
}

struct Variable<'a> {
    schema: &'a Schema,
    text: &'a str,
    place: &'a Place,
}

struct Fault {
    key: String,
    message: String,
}

impl Variable<'_> {
    fn set(&self, node: &mut Node, schema: &Value, steps: &[&str], path: &str) -> Result<(), Fault> {
        let alternatives = self.schema.alternatives(schema);
        let Some((step, rest)) = steps.split_first() else {
            *node = self.value(&alternatives, path)?;
            return Ok(());
        };
        if let Ok(index) = step.parse::<usize>()
            && let Some(list) = alternatives.iter().find(|alternative| alternative.types() == ["array"])
        {
            return self.set_item(node, list, (index, rest), path);
        }
        let Some((key, inner)) = find_key(&alternatives, step, node) else {
            return Err(unknown(&alternatives, step, path));
        };
        let path = join(path, &key);
        if !matches!(node.content, Content::Table(_)) {
            *node = Node::empty_table(self.place.clone());
        }
        let Content::Table(entries) = &mut node.content else {
            unreachable!("just made a table");
        };
        if let Some(entry) = entries.iter_mut().find(|entry| entry.key == key) {
            return self.set(&mut entry.node, &inner, rest, &path);
        }
        let mut value = Node::empty_table(self.place.clone());
        self.set(&mut value, &inner, rest, &path)?;
        entries.push(Entry {
            key,
            key_place: self.place.clone(),
            node: value,
        });
        Ok(())
    }

    fn set_item(&self, node: &mut Node, list: &Alternative, step: (usize, &[&str]), path: &str) -> Result<(), Fault> {
        let (index, rest) = step;
        if !matches!(node.content, Content::List(_)) {
            node.content = Content::List(Vec::new());
            node.place = self.place.clone();
        }
        let Content::List(items) = &mut node.content else {
            unreachable!("just made a list");
        };
        let path_of_item = format!("{path}[{index}]");
        if index > items.len() {
            let message = format!(
                "there is no `{path_of_item}`: `{path}` has {}; the next is {0}",
                items.len()
            );
            return Err(Fault {
                key: path_of_item,
                message,
            });
        }
        let mut item = items
            .get(index)
            .cloned()
            .unwrap_or_else(|| Node::empty_table(self.place.clone()));
        self.set(&mut item, list.item(index), rest, &path_of_item)?;
        match items.get_mut(index) {
            Some(slot) => *slot = item,
            None => items.push(item),
        }
        Ok(())
    }

    /// The text as the schema wants it; a text that does not fit is left a string, which the walk then reports.
    fn value(&self, alternatives: &[Alternative], path: &str) -> Result<Node, Fault> {
        let accepts = |name: &str| alternatives.iter().any(|alternative| alternative.accepts(name));
        let text = self.text.trim();
        let content = if accepts("boolean") && matches!(text, "true" | "false") {
            Content::Boolean(text == "true")
        } else if accepts("integer")
            && let Ok(number) = text.parse()
        {
            Content::Integer(number)
        } else if accepts("number")
            && let Ok(number) = text.parse()
        {
            Content::Float(number)
        } else if (accepts("array") || accepts("object")) && text.starts_with(['[', '{']) {
            return self.composite(text, path);
        } else if accepts("array") && !accepts("string") {
            let items = text
                .split(',')
                .map(|item| self.node(Content::String(item.trim().to_owned())));
            Content::List(
                items
                    .filter(|item| item.content != Content::String(String::new()))
                    .collect(),
            )
        } else {
            Content::String(self.text.to_owned())
        };
        Ok(self.node(content))
    }

    fn composite(&self, text: &str, path: &str) -> Result<Node, Fault> {
        let json = || {
            serde_json::from_str::<Value>(text)
                .ok()
                .and_then(|value| self.converted(&value))
        };
        parse::parse_value(text, self.place).or_else(json).ok_or_else(|| Fault {
            key: path.to_owned(),
            message: format!(
                "`{path}` is neither TOML nor JSON; write a list as [\"a\", \"b\"], a table as {{ key = \"value\" }}"
            ),
        })
    }

    fn converted(&self, value: &Value) -> Option<Node> {
        let content = match value {
            Value::Null => return None,
            Value::Bool(flag) => Content::Boolean(*flag),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => Content::Integer(whole),
                None => Content::Float(number.as_f64()?),
            },
            Value::String(text) => Content::String(text.clone()),
            Value::Array(items) => Content::List(items.iter().map(|item| self.converted(item)).collect::<Option<_>>()?),
            Value::Object(members) => {
                let entries = members.iter().map(|(key, value)| {
                    Some(Entry {
                        key: key.clone(),
                        key_place: self.place.clone(),
                        node: self.converted(value)?,
                    })
                });
                Content::Table(entries.collect::<Option<_>>()?)
            }
        };
        Some(self.node(content))
    }

    fn node(&self, content: Content) -> Node {
        Node {
            content,
            place: self.place.clone(),
        }
    }
}

/// The key that a step of a variable's name means, as the schema or the file spells it, with its schema.
fn find_key(alternatives: &[Alternative], step: &str, node: &Node) -> Option<(String, Value)> {
    let means = |key: &str| key.replace('-', "_").eq_ignore_ascii_case(&step.replace('-', "_"));
    let known = alternatives
        .iter()
        .flat_map(Alternative::properties)
        .find(|(key, _)| means(key));
    if let Some((key, schema)) = known {
        return Some((key.to_owned(), schema.clone()));
    }
    let tables = alternatives.iter().filter(|alternative| alternative.accepts("object"));
    let schema = tables.filter_map(Alternative::other_keys).next()?.clone();
    if step.is_empty() {
        return None;
    }
    let written = match &node.content {
        Content::Table(entries) => entries.iter().map(|entry| &entry.key).find(|key| means(key)).cloned(),
        _ => None,
    };
    Some((written.unwrap_or_else(|| step.to_lowercase()), schema))
}

fn unknown(alternatives: &[Alternative], step: &str, path: &str) -> Fault {
    let known: Vec<&str> = alternatives
        .iter()
        .flat_map(Alternative::properties)
        .map(|(key, _)| key)
        .collect();
    let key = join(path, &step.to_lowercase());
    let advice = match nearest(&step.to_lowercase(), known.iter().copied()) {
        Some(near) => format!("did you mean {}?", variable_name(&join(path, near))),
        None if known.is_empty() => format!("`{path}` has no keys of its own"),
        None => format!("known here: {}", known.join(", ")),
    };
    Fault {
        message: format!("unknown key `{key}`; {advice}"),
        key,
    }
}

/// The variable that overrides a key: `models[0].path` is `EDDY__MODELS__0__PATH`.
pub fn variable_name(key: &str) -> String {
    let steps = key
        .replace('[', "__")
        .replace(']', "")
        .replace('.', "__")
        .replace('-', "_");
    format!("{PREFIX}{}", steps.to_uppercase())
}
