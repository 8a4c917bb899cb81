//! From the text of a `.proto` file and its imports to descriptors.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use protox::Compiler;
use protox::file::{ChainFileResolver, DescriptorSetFileResolver, File, FileResolver, GoogleFileResolver};

use crate::decode::outline::{Look, LookId, Outline, Sort};
use crate::decode::registry::Part;
use crate::decode::schemas::WriterSchema;

/// The name of the file that has the schema itself, which a registry does not name.
const ITSELF: &str = "the-schema-itself.proto";
/// Files that serializers do not register with a schema, because every client brings them along: `google/type/*` and those
/// of Confluent. Made by `tests/fixtures/known-protos.py`.
const KNOWN: &[u8] = include_bytes!("known.binpb");
/// Most levels of brackets in a file, within which a parser has to call itself.
const DEEPEST: usize = 100;

/// The descriptors of a schema.
#[derive(Debug)]
pub(crate) struct Source {
    pool: DescriptorPool,
}

/// The files that a schema brings along.
#[derive(Debug)]
struct Shelf {
    texts: HashMap<String, String>,
}

impl FileResolver for Shelf {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.texts.get(name) {
            Some(text) => match descriptor(name, text) {
                Some(file) => Ok(file),
                None => File::from_source(name, text),
            },
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// A file that is not text but a descriptor in base64. Confluent's Python client registers files so; its own registry gives
/// their text back, others what they were given.
fn descriptor(name: &str, text: &str) -> Option<File> {
    let bytes = STANDARD.decode(text.trim()).ok()?;
    let mut file = FileDescriptorProto::decode(bytes.as_slice()).ok()?;
    file.name = Some(name.to_owned());
    Some(File::from_file_descriptor_proto(file))
}

impl Source {
    pub(super) fn parse(schema: &WriterSchema) -> Result<Self, String> {
        let mut names = Vec::new();
        let mut texts = HashMap::new();
        let references = schema
            .references
            .iter()
            .map(|reference| (reference.name.as_str(), &reference.text));
        for (name, text) in references.chain([(ITSELF, &schema.text)]) {
            if depth(text) > DEEPEST {
                return Err(format!("it is nested deeper than {DEEPEST} levels"));
            }
            names.push(name);
            texts.insert(name.to_owned(), text.clone());
        }
        let mut resolver = ChainFileResolver::new();
        resolver.add(Shelf { texts });
        resolver.add(GoogleFileResolver::new());
        resolver.add(DescriptorSetFileResolver::decode(KNOWN).expect("what is built in can be read"));
        let mut compiler = Compiler::with_file_resolver(resolver);
        // In their order, so that a chain of imports is not followed down, one level of the stack for each.
        for name in names {
            compiler.open_file(name).map_err(|error| words(&error))?;
        }
        Ok(Self {
            pool: compiler.descriptor_pool(),
        })
    }

    /// The message at a position.
    pub(super) fn message(&self, part: Part) -> Result<MessageDescriptor, String> {
        let file = self.pool.get_file_by_name(ITSELF).ok_or("it has no messages")?;
        let positions = &part.at[..part.length.into()];
        let (first, inner) = positions.split_first().ok_or("no message is named")?;
        let missing = || format!("it has no message at position {positions:?}");
        let mut message = file.messages().nth(*first as usize).ok_or_else(missing)?;
        for position in inner {
            let child = message.child_messages().nth(*position as usize);
            message = child.ok_or_else(missing)?;
        }
        if message.is_map_entry() {
            return Err(missing());
        }
        Ok(message)
    }
}

/// A compiler's words, with what is behind them.
fn words(error: &protox::Error) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let inner_words = inner.to_string();
        if !words.contains(&inner_words) {
            words = format!("{words}: {inner_words}");
        }
        source = inner.source();
    }
    words.replace(ITSELF, "the schema")
}

/// How deep brackets are nested in the text of a file, outside of comments and quotes.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'/' if bytes.peek() == Some(&b'/') => while bytes.next().is_some_and(|byte| byte != b'\n') {},
            b'/' if bytes.peek() == Some(&b'*') => {
                bytes.next();
                let mut last = 0;
                for byte in bytes.by_ref() {
                    if (last, byte) == (b'*', b'/') {
                        break;
                    }
                    last = byte;
                }
            }
            b'"' | b'\'' => {
                while let Some(inner) = bytes.next()
                    && inner != byte
                {
                    if inner == b'\\' {
                        bytes.next();
                    }
                }
            }
            b'{' | b'[' | b'(' | b'<' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' | b')' | b'>' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// What a message looks like.
pub(super) fn outline(message: &MessageDescriptor) -> Outline {
    let mut builder = Builder::default();
    let root = builder.message(message);
    while let Some((id, message)) = builder.open.pop() {
        let members = message
            .fields()
            .map(|field| {
                let look = builder.field(&field);
                (field.name().into(), look)
            })
            .collect();
        builder.looks[id as usize] = Look::Object(members);
    }
    Outline {
        looks: builder.looks,
        root,
    }
}

#[derive(Debug, Default)]
struct Builder {
    looks: Vec<Look>,
    known: HashMap<String, LookId>,
    open: Vec<(LookId, MessageDescriptor)>,
}

impl Builder {
    fn push(&mut self, look: Look) -> LookId {
        self.looks.push(look);
        (self.looks.len() - 1) as LookId
    }

    fn message(&mut self, message: &MessageDescriptor) -> LookId {
        if let Some(known) = self.known.get(message.full_name()) {
            return *known;
        }
        let id = self.push(Look::Anything);
        self.known.insert(message.full_name().to_owned(), id);
        self.open.push((id, message.clone()));
        id
    }

    fn field(&mut self, field: &FieldDescriptor) -> LookId {
        if field.is_map()
            && let Kind::Message(entry) = field.kind()
        {
            let value = self.kind(&entry.map_entry_value_field().kind());
            return self.push(Look::Map(value));
        }
        let one = self.kind(&field.kind());
        if field.is_list() {
            return self.push(Look::List(one));
        }
        one
    }

    fn kind(&mut self, kind: &Kind) -> LookId {
        let sort = match kind {
            Kind::Double | Kind::Float => Sort::Float,
            Kind::Bool => Sort::Boolean,
            Kind::String | Kind::Enum(_) => Sort::Text,
            Kind::Bytes => Sort::Bytes,
            Kind::Message(message) => return self.well_known(message),
            _ => Sort::Integer,
        };
        self.push(Look::Leaf(sort))
    }

    fn well_known(&mut self, message: &MessageDescriptor) -> LookId {
        let name = message.full_name().strip_prefix("google.protobuf.");
        let sort = match name.unwrap_or_default() {
            "DoubleValue" | "FloatValue" => Sort::Float,
            "Int64Value" | "UInt64Value" | "Int32Value" | "UInt32Value" => Sort::Integer,
            "BoolValue" => Sort::Boolean,
            "StringValue" => Sort::Text,
            "BytesValue" => Sort::Bytes,
            "Timestamp" | "Duration" => {
                let parts = self.message(message);
                return self.push(Look::Both(Sort::Text, parts));
            }
            "Struct" | "Value" | "ListValue" => return self.push(Look::Anything),
            _ => return self.message(message),
        };
        self.push(Look::Leaf(sort))
    }
}
