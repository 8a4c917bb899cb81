//! What an ONNX file is made of: its messages and their fields, as tables.
//!
//! Owns: `onnx.proto`, as far as IR version [`IR_VERSION`] goes. Never does: look at a file.
//! Invariant: a field that is not in a table is one that no ONNX Runtime of that version reads.

use Holds::{Blob, Fixed32, Fixed32s, Fixed64s, Number, Numbers, Text};

/// The newest version of the format that these tables describe.
pub(super) const IR_VERSION: u64 = 14;

/// One kind of message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    /// The field that holds its name.
    pub(super) name: Option<u64>,
    pub(super) fields: &'static [Rule],
}

/// Messages that are looked at more closely than their table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Model,
    Graph,
    Function,
    Node,
    Tensor,
    SparseTensor,
    Type,
    Plain,
}

/// One field.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) number: u64,
    /// What people call it.
    pub(super) label: &'static str,
    pub(super) is_repeated: bool,
    pub(super) holds: Holds,
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Holds {
    Number,
    /// Many numbers, together or one by one.
    Numbers,
    Fixed32,
    Fixed32s,
    Fixed64s,
    Text,
    Blob,
    Message(&'static Message),
}

impl Message {
    pub(super) fn rule(&self, number: u64) -> Option<&'static Rule> {
        self.fields.iter().find(|rule| rule.number == number)
    }
}

const fn one(number: u64, label: &'static str, holds: Holds) -> Rule {
    Rule {
        number,
        label,
        is_repeated: false,
        holds,
    }
}

const fn many(number: u64, label: &'static str, holds: Holds) -> Rule {
    Rule {
        number,
        label,
        is_repeated: true,
        holds,
    }
}

const fn message(kind: Kind, name: u64, fields: &'static [Rule]) -> Message {
    Message {
        kind,
        name: Some(name),
        fields,
    }
}

const fn nameless(kind: Kind, fields: &'static [Rule]) -> Message {
    Message {
        kind,
        name: None,
        fields,
    }
}

const MAPPING: Holds = Holds::Message(&ENTRY);

pub(super) const MODEL_IR_VERSION: u64 = 1;
pub(super) const MODEL_GRAPH: u64 = 7;
pub(super) const MODEL_FUNCTION: u64 = 25;

pub(super) static MODEL: Message = nameless(
    Kind::Model,
    &[
        one(MODEL_IR_VERSION, "IR version", Number),
        one(2, "producer", Text),
        one(3, "producer version", Text),
        one(4, "domain", Text),
        one(5, "version", Number),
        one(6, "description", Text),
        one(MODEL_GRAPH, "graph", Holds::Message(&GRAPH)),
        many(8, "import", Holds::Message(&IMPORT)),
        many(14, "metadata", MAPPING),
        many(20, "training", Holds::Message(&TRAINING)),
        many(MODEL_FUNCTION, "function", Holds::Message(&FUNCTION)),
        many(26, "device configuration", Holds::Message(&DEVICES)),
    ],
);

pub(super) const GRAPH_INITIALIZER: u64 = 5;

pub(super) static GRAPH: Message = message(
    Kind::Graph,
    2,
    &[
        many(1, "node", Holds::Message(&NODE)),
        one(2, "name", Text),
        many(GRAPH_INITIALIZER, "initializer", Holds::Message(&TENSOR)),
        one(10, "description", Text),
        many(11, "input", Holds::Message(&VALUE)),
        many(12, "output", Holds::Message(&VALUE)),
        many(13, "value", Holds::Message(&VALUE)),
        many(14, "quantization", Holds::Message(&ANNOTATION)),
        many(15, "sparse initializer", Holds::Message(&SPARSE_TENSOR)),
        many(16, "metadata", MAPPING),
    ],
);

pub(super) const NODE_OUTPUT: u64 = 2;
pub(super) const NODE_OPERATOR: u64 = 4;
pub(super) const NODE_DOMAIN: u64 = 7;
pub(super) const NODE_OVERLOAD: u64 = 8;

pub(super) static NODE: Message = message(
    Kind::Node,
    3,
    &[
        many(1, "input", Text),
        many(NODE_OUTPUT, "output", Text),
        one(3, "name", Text),
        one(NODE_OPERATOR, "operator", Text),
        many(5, "attribute", Holds::Message(&ATTRIBUTE)),
        one(6, "description", Text),
        one(NODE_DOMAIN, "domain", Text),
        one(NODE_OVERLOAD, "overload", Text),
        many(9, "metadata", MAPPING),
        many(10, "device configuration", Holds::Message(&NODE_DEVICES)),
    ],
);

static ATTRIBUTE: Message = message(
    Kind::Plain,
    1,
    &[
        one(1, "name", Text),
        one(2, "number", Fixed32),
        one(3, "whole number", Number),
        one(4, "string", Blob),
        one(5, "tensor", Holds::Message(&TENSOR)),
        one(6, "graph", Holds::Message(&GRAPH)),
        many(7, "numbers", Fixed32s),
        many(8, "whole numbers", Numbers),
        many(9, "strings", Blob),
        many(10, "tensor", Holds::Message(&TENSOR)),
        many(11, "graph", Holds::Message(&GRAPH)),
        one(13, "description", Text),
        one(14, "type", Holds::Message(&TYPE)),
        many(15, "type", Holds::Message(&TYPE)),
        one(20, "kind", Number),
        one(21, "reference", Text),
        one(22, "sparse tensor", Holds::Message(&SPARSE_TENSOR)),
        many(23, "sparse tensor", Holds::Message(&SPARSE_TENSOR)),
    ],
);

pub(super) const TENSOR_DIMS: u64 = 1;
pub(super) const TENSOR_TYPE: u64 = 2;
pub(super) const TENSOR_SEGMENT: u64 = 3;
pub(super) const TENSOR_FLOATS: u64 = 4;
pub(super) const TENSOR_INT32S: u64 = 5;
pub(super) const TENSOR_STRINGS: u64 = 6;
pub(super) const TENSOR_INT64S: u64 = 7;
pub(super) const TENSOR_RAW: u64 = 9;
pub(super) const TENSOR_DOUBLES: u64 = 10;
pub(super) const TENSOR_UINT64S: u64 = 11;
pub(super) const TENSOR_EXTERNAL: u64 = 13;
pub(super) const TENSOR_LOCATION: u64 = 14;

pub(super) static TENSOR: Message = message(
    Kind::Tensor,
    8,
    &[
        many(TENSOR_DIMS, "dimensions", Numbers),
        one(TENSOR_TYPE, "type", Number),
        one(TENSOR_SEGMENT, "segment", Holds::Message(&SEGMENT)),
        many(TENSOR_FLOATS, "data", Fixed32s),
        many(TENSOR_INT32S, "data", Numbers),
        many(TENSOR_STRINGS, "data", Blob),
        many(TENSOR_INT64S, "data", Numbers),
        one(8, "name", Text),
        one(TENSOR_RAW, "data", Blob),
        many(TENSOR_DOUBLES, "data", Fixed64s),
        many(TENSOR_UINT64S, "data", Numbers),
        one(12, "description", Text),
        many(TENSOR_EXTERNAL, "external data", MAPPING),
        one(TENSOR_LOCATION, "location of the data", Number),
        many(16, "metadata", MAPPING),
    ],
);

static SEGMENT: Message = nameless(Kind::Plain, &[one(1, "begin", Number), one(2, "end", Number)]);

pub(super) const ENTRY_KEY: u64 = 1;
pub(super) const ENTRY_VALUE: u64 = 2;

static ENTRY: Message = message(
    Kind::Plain,
    ENTRY_KEY,
    &[one(ENTRY_KEY, "key", Text), one(ENTRY_VALUE, "value", Text)],
);

pub(super) const SPARSE_VALUES: u64 = 1;
pub(super) const SPARSE_INDICES: u64 = 2;
pub(super) const SPARSE_DIMS: u64 = 3;

static SPARSE_TENSOR: Message = nameless(
    Kind::SparseTensor,
    &[
        one(SPARSE_VALUES, "values", Holds::Message(&TENSOR)),
        one(SPARSE_INDICES, "indices", Holds::Message(&TENSOR)),
        many(SPARSE_DIMS, "dimensions", Numbers),
    ],
);

static VALUE: Message = message(
    Kind::Plain,
    1,
    &[
        one(1, "name", Text),
        one(2, "type", Holds::Message(&TYPE)),
        one(3, "description", Text),
        many(4, "metadata", MAPPING),
    ],
);

static TYPE: Message = nameless(
    Kind::Type,
    &[
        one(1, "tensor", Holds::Message(&TENSOR_TYPED)),
        one(4, "sequence", Holds::Message(&NESTED)),
        one(5, "map", Holds::Message(&MAP)),
        one(6, "description", Text),
        one(7, "opaque type", Holds::Message(&OPAQUE)),
        one(8, "sparse tensor", Holds::Message(&TENSOR_TYPED)),
        one(9, "optional", Holds::Message(&NESTED)),
    ],
);

static TENSOR_TYPED: Message = nameless(
    Kind::Plain,
    &[one(1, "type", Number), one(2, "shape", Holds::Message(&SHAPE))],
);

static NESTED: Message = nameless(Kind::Plain, &[one(1, "type", Holds::Message(&TYPE))]);

static MAP: Message = nameless(
    Kind::Plain,
    &[
        one(1, "type of the keys", Number),
        one(2, "type", Holds::Message(&TYPE)),
    ],
);

static OPAQUE: Message = message(Kind::Plain, 2, &[one(1, "domain", Text), one(2, "name", Text)]);

static SHAPE: Message = nameless(Kind::Plain, &[many(1, "dimension", Holds::Message(&DIMENSION))]);

static DIMENSION: Message = message(
    Kind::Plain,
    2,
    &[
        one(1, "size", Number),
        one(2, "name", Text),
        one(3, "description", Text),
    ],
);

static IMPORT: Message = message(Kind::Plain, 1, &[one(1, "domain", Text), one(2, "version", Number)]);

static ANNOTATION: Message = message(Kind::Plain, 1, &[one(1, "name", Text), many(2, "parameter", MAPPING)]);

static TRAINING: Message = nameless(
    Kind::Plain,
    &[
        one(1, "graph", Holds::Message(&GRAPH)),
        one(2, "graph", Holds::Message(&GRAPH)),
        many(3, "binding", MAPPING),
        many(4, "binding", MAPPING),
    ],
);

pub(super) const FUNCTION_NAME: u64 = 1;
pub(super) const FUNCTION_DOMAIN: u64 = 10;
pub(super) const FUNCTION_OVERLOAD: u64 = 13;

static FUNCTION: Message = message(
    Kind::Function,
    FUNCTION_NAME,
    &[
        one(FUNCTION_NAME, "name", Text),
        many(4, "input", Text),
        many(5, "output", Text),
        many(6, "attribute", Text),
        many(7, "node", Holds::Message(&NODE)),
        one(8, "description", Text),
        many(9, "import", Holds::Message(&IMPORT)),
        one(FUNCTION_DOMAIN, "domain", Text),
        many(11, "attribute", Holds::Message(&ATTRIBUTE)),
        many(12, "value", Holds::Message(&VALUE)),
        one(FUNCTION_OVERLOAD, "overload", Text),
        many(14, "metadata", MAPPING),
    ],
);

static DEVICES: Message = message(
    Kind::Plain,
    1,
    &[one(1, "name", Text), one(2, "devices", Number), many(3, "device", Text)],
);

static NODE_DEVICES: Message = message(
    Kind::Plain,
    1,
    &[
        one(1, "name", Text),
        many(2, "sharding", Holds::Message(&SHARDING)),
        one(3, "stage", Number),
    ],
);

static SHARDING: Message = message(
    Kind::Plain,
    1,
    &[
        one(1, "name", Text),
        many(2, "devices", Numbers),
        many(3, "group", Holds::Message(&GROUP)),
        many(4, "dimension", Holds::Message(&SHARDED)),
    ],
);

static GROUP: Message = nameless(Kind::Plain, &[one(1, "key", Number), many(2, "devices", Numbers)]);

static SHARDED: Message = nameless(
    Kind::Plain,
    &[one(1, "axis", Number), many(2, "sharding", Holds::Message(&SHARD))],
);

static SHARD: Message = message(
    Kind::Plain,
    2,
    &[one(1, "size", Number), one(2, "name", Text), one(3, "shards", Number)],
);
