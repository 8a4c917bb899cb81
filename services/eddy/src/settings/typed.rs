//! From the tree to Rust types, by serde. What fails here failed because of a rule that the schema cannot say.

use serde::de::value::StringDeserializer;
use serde::de::{self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::problems::Diagnostic;
use super::tree::{Content, Entry, Node, join};

/// Reads `T`, or reports the first value that does not fit.
pub(super) fn deserialise<T: de::DeserializeOwned>(root: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<T> {
    match T::deserialize(Reader(root)) {
        Ok(value) => Some(value),
        Err(failure) => {
            let key = failure.key();
            let place = root.find(&key).place.clone();
            let message = if key.is_empty() {
                failure.message
            } else {
                format!("`{key}`: {}", failure.message)
            };
            diagnostics.push(Diagnostic { place, key, message });
            None
        }
    }
}

/// A value that does not fit, with the way to it, innermost step first.
#[derive(Debug)]
pub(super) struct Failure {
    steps: Vec<Step>,
    message: String,
}

#[derive(Debug)]
enum Step {
    Key(String),
    Index(usize),
}

impl Failure {
    fn inside(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    fn key(&self) -> String {
        self.steps.iter().rev().fold(String::new(), |path, step| match step {
            Step::Key(key) => join(&path, key),
            Step::Index(index) => format!("{path}[{index}]"),
        })
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl de::Error for Failure {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self {
            steps: Vec::new(),
            message: message.to_string(),
        }
    }
}

/// A node as serde reads it.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a Node);

impl<'de> de::Deserializer<'de> for Reader<'_> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.0.content {
            Content::Table(entries) => visitor.visit_map(Entries {
                entries: entries.iter(),
                current: None,
            }),
            Content::List(items) => visitor.visit_seq(Items {
                items: items.iter().enumerate(),
            }),
            Content::String(text) | Content::Date(text) => visitor.visit_str(text),
            Content::Integer(number) => visitor.visit_i64(*number),
            Content::Float(number) => visitor.visit_f64(*number),
            Content::Boolean(flag) => visitor.visit_bool(*flag),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match &self.0.content {
            Content::String(text) => {
                let variant: StringDeserializer<Failure> = text.clone().into_deserializer();
                de::Deserializer::deserialize_enum(variant, name, variants, visitor)
            }
            Content::Table(entries) if entries.len() == 1 => visitor.visit_enum(Variant(&entries[0])),
            other => Err(de::Error::custom(format!(
                "expected one of {}, found {}",
                variants.join(", "),
                other.described()
            ))),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, Entry>,
    current: Option<&'a Entry>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        self.current = self.entries.next();
        match self.current {
            None => Ok(None),
            Some(entry) => {
                let key: StringDeserializer<Failure> = entry.key.clone().into_deserializer();
                seed.deserialize(key)
                    .map(Some)
                    .map_err(|failure| failure.inside(Step::Key(entry.key.clone())))
            }
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Failure> {
        let entry = self.current.expect("serde asks for a value only after its key");
        seed.deserialize(Reader(&entry.node))
            .map_err(|failure| failure.inside(Step::Key(entry.key.clone())))
    }
}

struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Failure;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Failure> {
        match self.items.next() {
            None => Ok(None),
            Some((index, item)) => seed
                .deserialize(Reader(item))
                .map(Some)
                .map_err(|failure| failure.inside(Step::Index(index))),
        }
    }
}

/// A table of one key, whose key names a variant.
struct Variant<'a>(&'a Entry);

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Failure;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Failure> {
        let variant: StringDeserializer<Failure> = self.0.key.clone().into_deserializer();
        Ok((seed.deserialize(variant)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        Err(de::Error::custom(format!(
            "`{}` takes no value here; write it as a string",
            self.0.key
        )))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Failure> {
        seed.deserialize(Reader(&self.0.node))
            .map_err(|failure| failure.inside(Step::Key(self.0.key.clone())))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Failure> {
        de::Deserializer::deserialize_any(Reader(&self.0.node), visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Failure> {
        de::Deserializer::deserialize_any(Reader(&self.0.node), visitor)
    }
}
