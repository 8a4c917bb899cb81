//! From the text of a schema to its types.
//!
//! Invariant: types are as many as the text has, and every one that they name is among them.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, UuidSchema};
use serde_json::{Value, json};

use crate::decode::moment::{Meaning, Unit};
use crate::decode::outline::{Look, Outline, Sort};
use crate::decode::schemas::WriterSchema;

/// Index of a type.
pub(super) type TypeId = u32;

/// What the bytes of a value mean.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Text,
    Bytes,
    Fixed(usize),
    Enum(Box<[Box<str>]>),
    /// `size`: of a fixed one.
    Decimal {
        scale: i64,
        size: Option<usize>,
    },
    /// A decimal that brings its own scale.
    BigDecimal,
    Uuid,
    Moment(Meaning),
    /// A part of a duration: 32 bits, little-endian.
    Little32,
    Array(TypeId),
    Map(TypeId),
    Record(Box<[(Box<str>, TypeId)]>),
    Union(Box<[TypeId]>),
}

/// The types of a schema.
#[derive(Debug, Default)]
pub(super) struct Types {
    pub(super) types: Vec<Type>,
    pub(super) root: TypeId,
}

impl Types {
    pub(super) fn outline(&self) -> Outline {
        let look = |found: &Type| match found {
            Type::Null => Look::Leaf(Sort::Null),
            Type::Boolean => Look::Leaf(Sort::Boolean),
            Type::Int | Type::Long | Type::Little32 => Look::Leaf(Sort::Integer),
            Type::Float | Type::Double => Look::Leaf(Sort::Float),
            Type::Text | Type::Enum(_) => Look::Leaf(Sort::Text),
            Type::Bytes | Type::Fixed(_) => Look::Leaf(Sort::Bytes),
            Type::Decimal { .. } | Type::BigDecimal => Look::Leaf(Sort::Decimal),
            Type::Uuid => Look::Leaf(Sort::Uuid),
            Type::Moment(Meaning::TimeOfDay(_)) => Look::Leaf(Sort::TimeOfDay),
            Type::Moment(_) => Look::Leaf(Sort::Time),
            Type::Array(item) => Look::List(*item),
            Type::Map(item) => Look::Map(*item),
            Type::Record(members) => Look::Object(members.to_vec()),
            Type::Union(branches) => Look::Either(branches.to_vec()),
        };
        Outline {
            looks: self.types.iter().map(look).collect(),
            root: self.root,
        }
    }
}

/// Parses a schema with what it refers to.
///
/// All of them become the members of one record, in their order, so that each name is known before it is needed; else
/// a chain of references would be followed down, one level of the stack for each.
pub(super) fn parse(schema: &WriterSchema) -> Result<Types, String> {
    let texts = schema
        .references
        .iter()
        .map(|reference| (reference.name.as_str(), reference.text.as_str()));
    let mut members = Vec::new();
    for (position, (name, text)) in texts.chain([("", schema.text.as_str())]).enumerate() {
        let parsed = serde_json::from_str::<Value>(text).or_else(|error| match text {
            // What a registry has of a schema that is one word.
            _ if text.bytes().all(|byte| byte.is_ascii_lowercase()) => Ok(Value::from(text)),
            _ if name.is_empty() => Err(format!("it is not JSON: {error}")),
            _ => Err(format!("`{name}`, which it refers to, is not JSON: {error}")),
        });
        let mut parsed = parsed?;
        leave_out_defaults(&mut parsed);
        members.push(json!({ "name": format!("m{position}"), "type": parsed }));
    }
    let whole = json!({ "type": "record", "name": "whole_of_schema_and_references", "fields": members });
    let whole = Schema::parse(&whole).map_err(|error| error.to_string())?;
    let Schema::Record(whole) = whole else {
        return Err("it is no schema".to_owned());
    };
    let mut builder = Builder::default();
    for field in &whole.fields {
        builder.types.root = builder.add(&field.schema)?;
    }
    Ok(builder.types)
}

/// Defaults and comments say nothing about the bytes, and there are schemas in use whose defaults are wrong.
fn leave_out_defaults(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("default");
            members.remove("doc");
            members.values_mut().for_each(leave_out_defaults);
        }
        Value::Array(elements) => elements.iter_mut().for_each(leave_out_defaults),
        _ => {}
    }
}

#[derive(Debug, Default)]
struct Builder {
    types: Types,
    names: HashMap<String, TypeId>,
}

impl Builder {
    fn push(&mut self, found: Type) -> TypeId {
        self.types.types.push(found);
        (self.types.types.len() - 1) as TypeId
    }

    /// Adds a type whose names are known before its parts are added, since these may name it.
    fn named(&mut self, schema: &Schema) -> TypeId {
        let id = self.push(Type::Null);
        if let Some(name) = schema.name() {
            self.names.insert(name.fullname(None), id);
            for alias in schema.aliases().into_iter().flatten() {
                self.names.entry(alias.fullname(name.namespace())).or_insert(id);
            }
        }
        id
    }

    fn add(&mut self, schema: &Schema) -> Result<TypeId, String> {
        let id = match schema {
            Schema::Ref { name } => {
                let name = name.fullname(None);
                return self
                    .names
                    .get(&name)
                    .copied()
                    .ok_or_else(|| format!("it has no type `{name}`"));
            }
            _ => self.named(schema),
        };
        let found = match schema {
            Schema::Ref { .. } | Schema::Null => Type::Null,
            Schema::Boolean => Type::Boolean,
            Schema::Int => Type::Int,
            Schema::Long => Type::Long,
            Schema::Float => Type::Float,
            Schema::Double => Type::Double,
            // The specification knows no UUID in bytes.
            Schema::Bytes | Schema::Uuid(UuidSchema::Bytes) => Type::Bytes,
            Schema::String | Schema::Uuid(UuidSchema::String) => Type::Text,
            Schema::Uuid(UuidSchema::Fixed(_)) => Type::Uuid,
            Schema::Fixed(fixed) => Type::Fixed(fixed.size),
            Schema::Enum(words) => Type::Enum(words.symbols.iter().map(|symbol| symbol.as_str().into()).collect()),
            Schema::Decimal(decimal) => Type::Decimal {
                scale: i64::try_from(decimal.scale).unwrap_or(i64::MAX),
                size: match &decimal.inner {
                    InnerDecimalSchema::Bytes => None,
                    InnerDecimalSchema::Fixed(fixed) => Some(fixed.size),
                },
            },
            Schema::BigDecimal => Type::BigDecimal,
            Schema::Date => Type::Moment(Meaning::Date),
            Schema::TimeMillis => Type::Moment(Meaning::TimeOfDay(Unit::Ms)),
            Schema::TimeMicros => Type::Moment(Meaning::TimeOfDay(Unit::Us)),
            Schema::TimestampMillis => Type::Moment(Meaning::Instant(Unit::Ms)),
            Schema::TimestampMicros => Type::Moment(Meaning::Instant(Unit::Us)),
            Schema::TimestampNanos => Type::Moment(Meaning::Instant(Unit::Ns)),
            Schema::LocalTimestampMillis => Type::Moment(Meaning::Local(Unit::Ms)),
            Schema::LocalTimestampMicros => Type::Moment(Meaning::Local(Unit::Us)),
            Schema::LocalTimestampNanos => Type::Moment(Meaning::Local(Unit::Ns)),
            Schema::Duration(_) => {
                let part = self.push(Type::Little32);
                Type::Record(
                    ["months", "days", "milliseconds"]
                        .map(|name| (name.into(), part))
                        .into(),
                )
            }
            Schema::Array(array) => Type::Array(self.add(&array.items)?),
            Schema::Map(map) => Type::Map(self.add(&map.types)?),
            Schema::Record(record) => {
                let members = record.fields.iter();
                let members = members.map(|field| Ok((field.name.as_str().into(), self.add(&field.schema)?)));
                Type::Record(members.collect::<Result<_, String>>()?)
            }
            Schema::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.add(branch));
                Type::Union(branches.collect::<Result<_, String>>()?)
            }
        };
        self.types.types[id as usize] = found;
        Ok(id)
    }
}
