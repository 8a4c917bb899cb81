//! Why an event could not be scored: a closed set of reasons, each with the stage that gives it.

use std::borrow::Cow;

/// The step that refused the event; the value of the header `eddy.stage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Bytes to values.
    Decode,
    /// Values against the rules of the pipeline file.
    Validate,
    /// The model's run and the reading of what came out.
    Model,
    /// The writing of the outputs.
    Output,
    /// None: the person on call decided.
    Operator,
}

impl Stage {
    /// The word used in headers and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Validate => "validate",
            Self::Model => "model",
            Self::Output => "output",
            Self::Operator => "operator",
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $word:literal at $stage:ident,)+) => {
        /// Why an event became a dead letter; the value of the header `eddy.reason`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $variant,)+ }

        impl Reason {
            /// Every reason, in the order of the stages.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word used in headers and labels.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The stage that gives this reason.
            pub const fn stage(self) -> Stage {
                match self { $(Self::$variant => Stage::$stage,)+ }
            }
        }
    };
}

reasons! {
    /// The record has no value (a tombstone).
    Tombstone = "tombstone" at Decode,
    /// Larger than `limits.record_bytes`.
    TooLarge = "too_large" at Decode,
    /// More headers, or more bytes of headers, than the limits allow.
    TooManyHeaders = "too_many_headers" at Decode,
    /// Not what the format says: broken JSON, wrong number of bytes, an image that does not decode.
    Malformed = "malformed" at Decode,
    /// In the framing of a schema registry, where the pipeline file says plain JSON.
    Framed = "framed" at Decode,
    /// Written with a schema that the registry does not have, or that cannot be read.
    UnknownSchema = "unknown_schema" at Decode,
    /// Nested deeper, or with more elements or longer strings, than the limits allow.
    LimitExceeded = "limit_exceeded" at Decode,
    /// The same key twice in one JSON object.
    DuplicateKey = "duplicate_key" at Decode,
    /// The configured event id is missing, empty or too long.
    InvalidId = "invalid_id" at Decode,
    /// A required field is not there or null.
    MissingField = "missing_field" at Validate,
    /// Written with a schema that does not fit the pipeline file, where it forbids such schemas.
    SchemaRefused = "schema_refused" at Validate,
    /// A field that the pipeline file does not know, where it forbids such fields.
    UnknownField = "unknown_field" at Validate,
    /// A value of the wrong type.
    WrongType = "wrong_type" at Validate,
    /// A vector or image of the wrong shape.
    WrongShape = "wrong_shape" at Validate,
    /// NaN or an infinity where the field forbids it.
    NotFinite = "not_finite" at Validate,
    /// A number outside the field's range.
    OutOfRange = "out_of_range" at Validate,
    /// A value that is not among the allowed ones.
    NotAllowed = "not_allowed" at Validate,
    /// The model refuses this row and accepts others.
    ModelRefused = "model_refused" at Model,
    /// The model does not finish on this row within the limit.
    ModelTimeout = "model_timeout" at Model,
    /// The model's output for this row is not a number.
    OutputNotFinite = "output_not_finite" at Model,
    /// An output of this event is larger than its topic accepts.
    OutputTooLarge = "output_too_large" at Output,
    /// The person on call asked to skip this event.
    Skipped = "skipped" at Operator,
}

/// One event's refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Why, from the closed set.
    pub reason: Reason,
    /// One sentence that a person understands: names the field or place and, where short, the value.
    pub detail: Cow<'static, str>,
}

impl Rejection {
    /// A refusal with its sentence.
    pub fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.reason.as_str(), self.detail)
    }
}
