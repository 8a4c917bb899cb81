//! `[events]` and `[limits]`: what an event looks like from outside, and how large it may be.
//!
//! Owns: the words and their defaults. Checks that need the fields are made when the decoder is compiled.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evolution::EvolutionSettings;
use super::trie::member_name;
use crate::fields::{ImageSettings, TimeUnit};
use crate::settings::{Bytes, Problem};
use crate::tensor::DType;

/// What the value of a record is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventFormat {
    /// One JSON document.
    #[default]
    Json,
    /// The little-endian elements of one vector, nothing else.
    Raw,
    /// One JPEG or PNG.
    Image,
    /// An Avro value in the framing of a schema registry.
    Avro,
    /// A Protobuf message in the framing of a schema registry.
    Protobuf,
    /// A JSON document in the framing of a schema registry.
    JsonSchema,
}

impl EventFormat {
    /// Whether events say with which schema of a registry they were written.
    pub const fn has_schemas(self) -> bool {
        !matches!(self, Self::Json | Self::Raw | Self::Image)
    }

    /// The word used in settings and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Raw => "raw",
            Self::Image => "image",
            Self::Avro => "avro",
            Self::Protobuf => "protobuf",
            Self::JsonSchema => "json_schema",
        }
    }
}

/// What to do with a member that no field, id, time or pass-through names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnknownFields {
    /// Skip it; the limits hold for it all the same.
    #[default]
    Ignore,
    /// A dead letter with the reason `unknown_field`.
    Reject,
}

/// `[events.raw]`: how to read a raw tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawSettings {
    /// Type of the elements: `float32`, `float64`, `float16`, `int32`, `int64` or `bool` (one byte, 0 or 1). Little-endian.
    pub dtype: DType,
    /// The vector field that the elements fill; the number of bytes must be exactly its `length` times the size of
    /// `dtype`. Default: the only field there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// `[events]`: the format of an event, and where its id and time stand.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventSettings {
    /// What the value of a record is. Default: `json`.
    #[serde(default)]
    pub format: EventFormat,
    /// Header with the event's id. Default: none. The header `eddy.id` always wins; an event without the configured id
    /// becomes a dead letter with the reason `invalid_id`. Without `id_header` and `id_field` an event is named after
    /// its topic, partition and offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_header: Option<String>,
    /// JSON pointer to the event's id, a text or whole number of at most 256 bytes. Asked only when no header gave one.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_field: Option<String>,
    /// JSON pointer to the time of the event: RFC 3339 text, or a number in `time_unit`. It serves lateness and latency
    /// only, so an event without it is scored all the same; one whose time cannot be read is not. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_field: Option<String>,
    /// Unit of `time_field` when it is a number: `s`, `ms` or `us`. Default: none, only RFC 3339 text is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_unit: Option<TimeUnit>,
    /// JSON pointers to members that are copied into the prediction as they are. Each appears under the last part of
    /// its pointer: `/customer/id` as `"id"`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_through: Vec<String>,
    /// JSON pointers to members whose values never leave the process; `*` in one stands for every member or element, and `""`
    /// for the whole event. In samples and dead letters they are `null` (header `eddy.body` = `masked`, with the sha256 of the
    /// original, by which a value of few possibilities can be found by trying), and so is a value where an object or a list
    /// with such members should stand; what is no JSON, or no object, is left out whole (`omitted`). A number in a pointer stands
    /// for an element of a list. Members at another place or under another name are not found, nor one object in the place of a
    /// list of them, where `*` stands for its elements. Fields that are read from them are scored as ever, and stand in no profile, drift
    /// metric, page, report or sentence. Keys and headers are not masked. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mask: Vec<String>,
    /// What to do with members that nothing here names, in the objects that fields are read from. Default: `ignore`.
    /// Registry formats have `evolution` for that.
    #[serde(default)]
    pub unknown_fields: UnknownFields,
    /// What to do when a writer's schema does not fit this file. Only for registry formats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evolution: Option<EvolutionSettings>,
    /// How to read raw tensors. Required for `format = "raw"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<RawSettings>,
    /// How images become tensors, for the image field that does not say so itself. Only for `format = "image"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSettings>,
}

impl EventSettings {
    /// The same for JSON documents with the members that events of a registry format have.
    #[must_use]
    pub fn as_documents(&self) -> Self {
        Self {
            format: EventFormat::Json,
            evolution: None,
            ..self.clone()
        }
    }

    /// Names under which the members of `pass_through` appear in a prediction, in order.
    pub fn passed_through(&self) -> Vec<String> {
        self.pass_through.iter().map(|pointer| member_name(pointer)).collect()
    }
}

/// `[limits]`: how large an event may be. What is larger becomes a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Largest value of a record. Default: 1 MiB. Beyond it: `too_large`. A Protobuf event that is made for it takes up to 200
    /// times as much memory while it is read.
    pub record_bytes: Bytes,
    /// Deepest nesting of objects and arrays, 1 to 120; ignored members count. Default: 64. Beyond it:
    /// `limit_exceeded`.
    pub depth: usize,
    /// Most array elements and object members in one event, all levels together. Default: 1,000,000. Beyond it:
    /// `limit_exceeded`.
    pub elements: usize,
    /// Longest text, key or value of bytes, without quotes. Images are exempt. Default: 64 KiB. Beyond it:
    /// `limit_exceeded`.
    pub string_bytes: Bytes,
    /// Longest text of a writer's schema, and of all that it refers to together, in registry formats; `registry.max_bytes`
    /// bounds each answer before it is read. Default: 1 MiB. Beyond it: `unknown_schema`.
    pub schema_bytes: Bytes,
    /// Most writer schemas that are kept ready at a time, in registry formats. Default: 1,000. Beyond it, those at hand are
    /// dropped and made ready again when they are met.
    pub schemas: usize,
    /// Most headers of a record. Default: 128. Beyond it: `too_many_headers`.
    pub headers: usize,
    /// Most bytes of header names and values together. Default: 64 KiB. Beyond it: `too_many_headers`.
    pub header_bytes: Bytes,
    /// Most pixels of an image, looked up in its header before it is decoded. Default: 33,554,432 (32 Mi). Beyond it:
    /// `limit_exceeded`. Decoding takes up to eight bytes of memory a pixel.
    pub pixels: u64,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            record_bytes: Bytes::mib(1),
            depth: 64,
            elements: 1_000_000,
            string_bytes: Bytes::kib(64),
            schema_bytes: Bytes::mib(1),
            schemas: 1000,
            headers: 128,
            header_bytes: Bytes::kib(64),
            pixels: 32 << 20,
        }
    }
}

/// Deepest nesting that can be asked for: serde_json itself stops at 128.
const DEEPEST: usize = 120;

impl LimitSettings {
    /// What is wrong, with keys below `limits`.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.depth == 0 || self.depth > DEEPEST {
            problems.push(Problem::new(
                "limits.depth",
                format!("{} is not a depth that can be kept; write 1 to {DEEPEST}", self.depth),
            ));
        }
        let nothing = [
            ("record_bytes", self.record_bytes.0),
            ("elements", self.elements as u64),
            ("string_bytes", self.string_bytes.0),
            ("pixels", self.pixels),
            ("schema_bytes", self.schema_bytes.0),
            ("schemas", self.schemas as u64),
        ];
        for (name, value) in nothing {
            if value == 0 {
                problems.push(Problem::new(
                    format!("limits.{name}"),
                    "0 would reject every event; write a positive number",
                ));
            }
        }
        problems
    }
}
