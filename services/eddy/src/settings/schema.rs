//! The JSON schema of a settings type, seen as the walk needs it: for each place a short list of alternatives without
//! references or combinators.
//!
//! Invariant: an [`Alternative`] holds no `$ref`, `allOf`, `anyOf` or `oneOf`; `null` is not among the alternatives,
//! because TOML cannot say it.

use schemars::JsonSchema;
use serde_json::{Map, Value};

/// References to references, nested combinators: settings have two or three levels of them, a broken schema endless ones.
const MAX_NESTING: usize = 16;

/// A whole schema with its definitions.
#[derive(Debug)]
pub(super) struct Schema {
    root: Value,
}

/// One way to satisfy a schema.
#[derive(Debug, Clone, Default)]
pub(super) struct Alternative {
    keywords: Map<String, Value>,
}

impl Schema {
    pub(super) fn of<T: JsonSchema>() -> Self {
        Self {
            root: schemars::schema_for!(T).to_value(),
        }
    }

    pub(super) fn root(&self) -> &Value {
        &self.root
    }

    /// The ways to satisfy `schema`.
    pub(super) fn alternatives(&self, schema: &Value) -> Vec<Alternative> {
        let mut found = self.expand(schema, 0);
        found.retain(|alternative| !alternative.is_null());
        found
    }

    fn expand(&self, schema: &Value, depth: usize) -> Vec<Alternative> {
        let Value::Object(keywords) = schema else {
            // `true`: anything goes.
            return vec![Alternative::default()];
        };
        if depth > MAX_NESTING {
            return vec![Alternative::default()];
        }
        let mut own = keywords.clone();
        let mut results = vec![Alternative::default()];
        if let Some(Value::String(reference)) = own.remove("$ref") {
            let target = self
                .root
                .pointer(reference.trim_start_matches('#'))
                .unwrap_or(&Value::Bool(true));
            results = combine(&results, &self.expand(target, depth + 1));
        }
        if let Some(Value::Array(parts)) = own.remove("allOf") {
            for part in &parts {
                results = combine(&results, &self.expand(part, depth + 1));
            }
        }
        for combinator in ["anyOf", "oneOf"] {
            if let Some(Value::Array(choices)) = own.remove(combinator) {
                let choices: Vec<_> = choices
                    .iter()
                    .flat_map(|choice| self.expand(choice, depth + 1))
                    .collect();
                results = combine(&results, &choices);
            }
        }
        combine(&results, &[Alternative { keywords: own }])
    }
}

/// Every pairing of one alternative of each side.
fn combine(left: &[Alternative], right: &[Alternative]) -> Vec<Alternative> {
    left.iter()
        .flat_map(|base| right.iter().map(move |addition| base.with(addition)))
        .collect()
}

impl Alternative {
    fn with(&self, addition: &Self) -> Self {
        let mut keywords = self.keywords.clone();
        for (keyword, value) in &addition.keywords {
            match (keywords.get_mut(keyword), value) {
                (Some(Value::Object(mine)), Value::Object(theirs)) if keyword == "properties" => {
                    mine.extend(theirs.clone());
                }
                (Some(Value::Array(mine)), Value::Array(theirs)) if keyword == "required" => {
                    mine.extend(
                        theirs
                            .iter()
                            .filter(|key| !mine.contains(key))
                            .cloned()
                            .collect::<Vec<_>>(),
                    );
                }
                _ => {
                    keywords.insert(keyword.clone(), value.clone());
                }
            }
        }
        Self { keywords }
    }

    /// A table with the keys of all alternatives, of which it needs `required`. A key with fixed words takes all of them.
    pub(super) fn union_of(alternatives: &[Self], required: &[&str]) -> Self {
        let mut properties = Map::new();
        for (key, schema) in alternatives.iter().flat_map(Self::properties) {
            let choices = properties
                .entry(key)
                .or_insert_with(|| serde_json::json!({ "anyOf": [] }));
            if let Some(Value::Array(choices)) = choices.get_mut("anyOf") {
                choices.push(schema.clone());
            }
        }
        let keywords = serde_json::json!({ "type": "object", "properties": properties, "required": required });
        match keywords {
            Value::Object(keywords) => Self { keywords },
            _ => Self::default(),
        }
    }

    fn is_null(&self) -> bool {
        self.types() == ["null"] || self.keywords.get("const") == Some(&Value::Null)
    }

    /// The types it allows, in the schema's words without `null`; empty for any.
    pub(super) fn types(&self) -> Vec<&str> {
        match self.keywords.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names
                .iter()
                .filter_map(Value::as_str)
                .filter(|name| *name != "null")
                .collect(),
            _ if self.keywords.contains_key("properties") => vec!["object"],
            _ if !self.words().is_empty() => vec!["string"],
            _ => Vec::new(),
        }
    }

    /// Whether it allows values of a type. A whole number is a number.
    pub(super) fn accepts(&self, type_name: &str) -> bool {
        let types = self.types();
        types.is_empty() || types.contains(&type_name) || (type_name == "integer" && types.contains(&"number"))
    }

    /// The strings it allows, where it lists them.
    pub(super) fn words(&self) -> Vec<&str> {
        match (self.keywords.get("const"), self.keywords.get("enum")) {
            (Some(Value::String(word)), _) => vec![word],
            (None, Some(Value::Array(words))) => words.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// The keys it knows, with their schemas.
    pub(super) fn properties(&self) -> impl Iterator<Item = (&str, &Value)> {
        let properties = self.keywords.get("properties").and_then(Value::as_object);
        properties
            .into_iter()
            .flatten()
            .map(|(key, schema)| (key.as_str(), schema))
    }

    /// The schema of one key it knows.
    pub(super) fn property(&self, key: &str) -> Option<&Value> {
        self.keywords.get("properties")?.get(key)
    }

    /// The schema of keys it does not know by name; `None` where there must be no others.
    pub(super) fn other_keys(&self) -> Option<&Value> {
        match self.keywords.get("additionalProperties") {
            Some(Value::Bool(false)) => None,
            Some(schema) => Some(schema),
            // A table with named keys is closed even where its type forgot to say so.
            None if self.properties().next().is_some() => None,
            None => Some(&Value::Bool(true)),
        }
    }

    /// The keys it must have.
    pub(super) fn required(&self) -> Vec<&str> {
        match self.keywords.get("required") {
            Some(Value::Array(keys)) => keys.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// The schema of the list's item at an index.
    pub(super) fn item(&self, index: usize) -> &Value {
        let by_position = self.keywords.get("prefixItems").and_then(|items| items.get(index));
        by_position
            .or_else(|| self.keywords.get("items"))
            .unwrap_or(&Value::Bool(true))
    }

    /// A bound such as `minimum` or `minItems`.
    pub(super) fn bound(&self, keyword: &str) -> Option<f64> {
        self.keywords.get(keyword)?.as_f64()
    }

    /// The format of a string or number.
    pub(super) fn format(&self) -> Option<&str> {
        self.keywords.get("format")?.as_str()
    }

    /// Whether it is a table of exactly one key out of several, such as a reference to a secret.
    pub(super) fn takes_one_key(&self) -> bool {
        self.bound("minProperties") == Some(1.0) && self.bound("maxProperties") == Some(1.0)
    }

    /// Any other keyword.
    pub(super) fn keyword(&self, keyword: &str) -> Option<&Value> {
        self.keywords.get(keyword)
    }

    /// What it wants, in plain words with the article.
    pub(super) fn described(&self) -> String {
        if let Some(format) = self.format() {
            match format {
                "span" => return "a span of time in quotes, such as \"250ms\"".to_owned(),
                "bytes" => return "a size, such as \"64 KiB\"".to_owned(),
                _ => {}
            }
        }
        if self.takes_one_key() {
            let ways: Vec<_> = self.properties().map(|(key, _)| format!("{{ {key} = … }}")).collect();
            return format!("a table {}", ways.join(" or "));
        }
        let required: Vec<_> = self.required().iter().map(|key| format!("{key} = …")).collect();
        let words = self.types().into_iter().map(|name| match name {
            "object" if !required.is_empty() => format!("a table {{ {} }}", required.join(", ")),
            "object" => "a table".to_owned(),
            "array" => match self.item(0).get("type").and_then(Value::as_str) {
                Some("string") => "a list of strings".to_owned(),
                Some("integer" | "number") => "a list of numbers".to_owned(),
                _ => "a list".to_owned(),
            },
            "string" if self.words().is_empty() => "a string".to_owned(),
            "string" => format!("one of {}", quoted(self.words())),
            "integer" => "a whole number".to_owned(),
            "number" => "a number".to_owned(),
            "boolean" => "true or false".to_owned(),
            other => other.to_owned(),
        });
        words.collect::<Vec<_>>().join(" or ")
    }
}

/// `"a", "b", "c"`.
pub(super) fn quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words
        .into_iter()
        .map(|word| format!("\"{word}\""))
        .collect::<Vec<_>>()
        .join(", ")
}
