//! Writer schemas: what a decoder asks of a schema registry, and what it hears.
//!
//! Owns: the question and its answers. Never does: reach a registry; whoever implements [`Schemas`] does, and not on the
//! lane's thread.
//!
//! Invariant: an event whose schema is not there yet is not judged. It is no dead letter; the stream waits.

use std::sync::Arc;

/// The language of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchemaKind {
    /// Apache Avro.
    Avro,
    /// Protocol Buffers, as the text of a `.proto` file.
    Protobuf,
    /// JSON Schema.
    Json,
}

impl SchemaKind {
    /// The word used in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Avro => "Avro",
            Self::Protobuf => "Protobuf",
            Self::Json => "JSON Schema",
        }
    }
}

/// A schema that another one refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaReference {
    /// The name by which it is referred to: a full name in Avro, an import's path in Protobuf, a URL in JSON Schema.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// One schema as the registry has it. It never changes: an id stands for one text for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterSchema {
    /// Its number in the registry.
    pub id: u32,
    /// Its language.
    pub kind: SchemaKind,
    /// Its text.
    pub text: String,
    /// What it refers to, directly or not, each before those that need it.
    pub references: Vec<SchemaReference>,
}

/// What is known of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Here it is.
    Known(Arc<WriterSchema>),
    /// The registry answered, and has none of this number.
    Unknown,
    /// The registry has not answered yet; why, and what to do, in one sentence.
    Awaited(String),
}

/// Where schemas come from.
///
/// Asked from the lane's thread, once for each id that is new to a decoder and again and again while the answer is
/// [`Found::Awaited`]: it never waits, and the first question for an id sets off its request.
pub trait Schemas: Send + Sync + std::fmt::Debug {
    /// What is known of the schema with this id.
    fn find(&self, id: u32) -> Found;
}

/// A schema without which an event cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// Its number in the registry.
    pub id: u32,
    /// Why it is not there, or why it is not to be read, and what to do, in one sentence.
    pub why: String,
    /// Whether it is there and does not fit, and `events.evolution` says to wait: then no registry ends that.
    pub is_there: bool,
}
