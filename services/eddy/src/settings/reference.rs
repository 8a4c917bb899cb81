//! The reference of a settings type, made from its schema: one table of keys for each table of the file.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde_json::Value;

use super::schema::{Alternative, Schema, quoted};
use super::tree::join;

/// Tables nest three levels deep; a schema that refers to itself must end somewhere.
const MAX_DEPTH: usize = 6;

/// The JSON schema as text, for editors that complete and check TOML by it.
pub fn json_schema<T: JsonSchema>() -> String {
    let schema = schemars::schema_for!(T);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is plain JSON");
    text.push('\n');
    text
}

/// The reference in Markdown, without a title.
pub fn markdown<T: JsonSchema>() -> String {
    let schema = Schema::of::<T>();
    let mut pages = Pages {
        schema: &schema,
        text: String::new(),
    };
    pages.table(schema.root(), "", 0);
    pages.text
}

struct Pages<'a> {
    schema: &'a Schema,
    text: String,
}

impl Pages<'_> {
    fn table(&mut self, schema: &Value, path: &str, depth: usize) {
        let alternatives = self.schema.alternatives(&without_description(schema));
        let tables: Vec<_> = alternatives.iter().filter(|table| has_page(table)).collect();
        let field = schema.get("description").and_then(Value::as_str);
        for table in &tables {
            let several = tables.len() > 1;
            let own = table.keyword("description").and_then(Value::as_str);
            self.heading(path, table, several);
            if let Some(description) = if several { own.or(field) } else { field.or(own) }.filter(|_| !path.is_empty())
            {
                self.text.push_str(description);
                self.text.push_str("\n\n");
            }
            self.rows(table);
            self.inner_tables(table, path, depth);
        }
        // A table with free keys has one page for all of them.
        for map in alternatives
            .iter()
            .filter(|table| table.properties().next().is_none() && table.accepts("object"))
        {
            if let Some(inner) = map.other_keys().filter(|inner| inner.is_object()) {
                self.table(inner, &join_name(path), depth + 1);
            }
        }
    }

    fn heading(&mut self, path: &str, table: &Alternative, several: bool) {
        if path.is_empty() {
            self.text.push_str("## The file itself\n\n");
        } else {
            let (open, close) = if path.ends_with("[]") { ("[[", "]]") } else { ("[", "]") };
            let name = path.trim_end_matches("[]").replace("[]", "");
            let tag = table
                .properties()
                .find_map(|(key, schema)| Some((key, schema.get("const")?.as_str()?)));
            match tag {
                Some((key, word)) if several => {
                    write!(self.text, "## `{open}{name}{close}` with `{key} = \"{word}\"`\n\n")
                }
                _ => write!(self.text, "## `{open}{name}{close}`\n\n"),
            }
            .expect("writing to a String cannot fail");
        }
    }

    fn rows(&mut self, table: &Alternative) {
        self.text
            .push_str("| key | type | default | meaning |\n|---|---|---|---|\n");
        for (key, schema) in table.properties() {
            let alternatives = self.schema.alternatives(schema);
            let default = match schema.get("default") {
                _ if table.required().contains(&key) => "required".to_owned(),
                None | Some(Value::Null) => "–".to_owned(),
                Some(Value::Object(_)) => "see below".to_owned(),
                Some(value) => format!("`{value}`"),
            };
            let meaning = match (schema.get("description").and_then(Value::as_str), schema.get("const")) {
                (Some(description), _) => description,
                (None, Some(_)) => "Chooses this kind.",
                (None, None) => "",
            };
            let meaning = meaning.split_whitespace().collect::<Vec<_>>().join(" ");
            writeln!(
                self.text,
                "| `{key}` | {} | {default} | {} |",
                cell(&types(&alternatives)),
                cell(&meaning)
            )
            .expect("writing to a String cannot fail");
        }
        self.text.push('\n');
    }

    fn inner_tables(&mut self, table: &Alternative, path: &str, depth: usize) {
        if depth >= MAX_DEPTH {
            return;
        }
        for (key, schema) in table.properties() {
            let path = join(path, key);
            for alternative in self.schema.alternatives(schema) {
                let item = alternative.item(0);
                if alternative.types() == ["array"] && item.is_object() {
                    self.table(item, &format!("{path}[]"), depth + 1);
                }
            }
            self.table(schema, &path, depth + 1);
        }
    }
}

fn join_name(path: &str) -> String {
    format!("{path}.NAME")
}

/// Whether a table has a page of its own; a reference to a secret says all in its type.
fn has_page(table: &Alternative) -> bool {
    table.properties().next().is_some() && !table.takes_one_key()
}

fn without_description(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Value::Object(keywords) = &mut schema {
        keywords.remove("description");
    }
    schema
}

fn types(alternatives: &[Alternative]) -> String {
    let mut all: Vec<String> = alternatives.iter().map(type_of).collect();
    all.dedup();
    all.join(", ")
}

fn type_of(alternative: &Alternative) -> String {
    let words = alternative.words();
    if !words.is_empty() {
        return quoted(words);
    }
    match alternative.format() {
        Some("span") => return "span of time".to_owned(),
        Some("bytes") => return "size".to_owned(),
        _ => {}
    }
    if alternative.takes_one_key() {
        return alternative.described();
    }
    let words = alternative.types().into_iter().map(|name| match name {
        "object" => "table",
        "array" => "list",
        "integer" => "whole number",
        "boolean" => "`true` or `false`",
        other => other,
    });
    words.collect::<Vec<_>>().join(" or ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
