//! scikit-learn's default export ends in a `ZipMap`, which turns a table of probabilities into a list of maps. This
//! module turns it back, in the file's bytes, before the runtime sees them.
//!
//! Owns: the edit, and the class names that the node carried. Never does: understand the rest of the model; whatever
//! it does not change is copied byte for byte.
//! Invariant: a file without a `ZipMap` at one of its outputs is handed back unchanged.

use std::borrow::Cow;

use crate::wire::{Field, Value, WireError, fields, put_bytes, put_number, read_varint};

// Field numbers of onnx.proto.
const MODEL_GRAPH: u64 = 7;
const MODEL_OPSET_IMPORT: u64 = 8;
const OPSET_DOMAIN: u64 = 1;
const OPSET_VERSION: u64 = 2;
const GRAPH_NODE: u64 = 1;
const GRAPH_OUTPUT: u64 = 12;
const GRAPH_VALUE_INFO: u64 = 13;
const NODE_INPUT: u64 = 1;
const NODE_OUTPUT: u64 = 2;
const NODE_NAME: u64 = 3;
const NODE_OP_TYPE: u64 = 4;
const NODE_ATTRIBUTE: u64 = 5;
const NODE_DOMAIN: u64 = 7;
const ATTRIBUTE_NAME: u64 = 1;
const ATTRIBUTE_INTS: u64 = 8;
const ATTRIBUTE_STRINGS: u64 = 9;
const VALUE_NAME: u64 = 1;
const VALUE_TYPE: u64 = 2;
const TYPE_TENSOR: u64 = 1;
const TENSOR_ELEMENT: u64 = 1;
const TENSOR_SHAPE: u64 = 2;
const SHAPE_DIMENSION: u64 = 1;
const DIMENSION_VALUE: u64 = 1;
const ELEMENT_FLOAT: u64 = 1;

/// Where a file has no import of the standard operators, `Identity` of this opset is used.
const IDENTITY_OPSET: u64 = 9;

/// The classes of an output of probabilities, in the order of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClassNames {
    /// The output.
    pub(crate) output: String,
    /// One name for each column.
    pub(crate) names: Vec<String>,
}

/// A model file without `ZipMap`, and what its nodes knew.
#[derive(Debug)]
pub(crate) struct Unzipped<'a> {
    pub(crate) bytes: Cow<'a, [u8]>,
    pub(crate) classes: Vec<ClassNames>,
}

/// Replaces every `ZipMap` whose result is an output of the model by an `Identity`, so that the output is the table
/// itself, under the same name.
///
/// An `Identity`, because renaming the table instead would have to follow its name into every subgraph.
pub(crate) fn unzip(model: &[u8]) -> Result<Unzipped<'_>, WireError> {
    let unchanged = Unzipped {
        bytes: Cow::Borrowed(model),
        classes: Vec::new(),
    };
    let mut graph = None;
    let mut has_standard_operators = false;
    for field in fields(model) {
        let field = field?;
        if let Some(bytes) = field.bytes(MODEL_GRAPH)
            && graph.replace(bytes).is_some()
        {
            return Err(WireError::Malformed);
        }
        if let Some(import) = field.bytes(MODEL_OPSET_IMPORT) {
            has_standard_operators |= text(import, OPSET_DOMAIN)?.is_empty();
        }
    }
    let Some(graph) = graph else { return Ok(unchanged) };
    let classes = zipped_outputs(graph)?;
    if classes.is_empty() {
        return Ok(unchanged);
    }

    let new_graph = rewrite_graph(graph, &classes)?;
    let mut bytes = Vec::with_capacity(model.len() + 64);
    for field in fields(model) {
        let field = field?;
        match field.bytes(MODEL_GRAPH) {
            Some(_) => put_bytes(&mut bytes, MODEL_GRAPH, &new_graph),
            None => bytes.extend_from_slice(field.raw),
        }
    }
    if !has_standard_operators {
        let mut import = Vec::new();
        put_bytes(&mut import, OPSET_DOMAIN, b"");
        put_number(&mut import, OPSET_VERSION, IDENTITY_OPSET);
        put_bytes(&mut bytes, MODEL_OPSET_IMPORT, &import);
    }
    Ok(Unzipped {
        bytes: Cow::Owned(bytes),
        classes,
    })
}

/// The outputs of the graph that a `ZipMap` makes, each with the classes of its node.
fn zipped_outputs(graph: &[u8]) -> Result<Vec<ClassNames>, WireError> {
    let mut zipped = Vec::new();
    let mut outputs = Vec::new();
    for field in fields(graph) {
        let field = field?;
        if let Some(output) = field.bytes(GRAPH_OUTPUT) {
            outputs.push(text(output, VALUE_NAME)?);
        }
        if let Some(node) = field.bytes(GRAPH_NODE)
            && is_zipmap(node)?
        {
            zipped.push(ClassNames {
                output: text(node, NODE_OUTPUT)?.into(),
                names: class_names(node)?,
            });
        }
    }
    zipped.retain(|classes| outputs.contains(&classes.output.as_str()));
    Ok(zipped)
}

fn is_zipmap(node: &[u8]) -> Result<bool, WireError> {
    Ok(text(node, NODE_OP_TYPE)? == "ZipMap" && text(node, NODE_DOMAIN)? == "ai.onnx.ml")
}

fn class_names(node: &[u8]) -> Result<Vec<String>, WireError> {
    let mut names = Vec::new();
    for field in fields(node) {
        let Some(attribute) = field?.bytes(NODE_ATTRIBUTE) else {
            continue;
        };
        let is_labels = matches!(
            text(attribute, ATTRIBUTE_NAME)?,
            "classlabels_strings" | "classlabels_int64s"
        );
        if !is_labels {
            continue;
        }
        for field in fields(attribute) {
            let field = field?;
            match (field.number, field.value) {
                (ATTRIBUTE_STRINGS, Value::Bytes(name)) => names.push(utf8(name)?.into()),
                (ATTRIBUTE_INTS, Value::Varint(number)) => names.push((number as i64).to_string()),
                (ATTRIBUTE_INTS, Value::Bytes(mut packed)) => {
                    while !packed.is_empty() {
                        names.push((read_varint(&mut packed)? as i64).to_string());
                    }
                }
                _ => {}
            }
        }
    }
    Ok(names)
}

fn rewrite_graph(graph: &[u8], classes: &[ClassNames]) -> Result<Vec<u8>, WireError> {
    let of = |name: &str| classes.iter().find(|c| c.output == name);
    let mut out = Vec::with_capacity(graph.len());
    for field in fields(graph) {
        let field = field?;
        match (field.number, field.value) {
            (GRAPH_NODE, Value::Bytes(node)) if is_zipmap(node)? && of(text(node, NODE_OUTPUT)?).is_some() => {
                put_bytes(&mut out, GRAPH_NODE, &identity(node)?);
            }
            (GRAPH_OUTPUT, Value::Bytes(output)) => match of(text(output, VALUE_NAME)?) {
                Some(classes) => put_bytes(&mut out, GRAPH_OUTPUT, &table(output, classes.names.len())?),
                None => out.extend_from_slice(field.raw),
            },
            // What is remembered about the maps does not hold for the table.
            (GRAPH_VALUE_INFO, Value::Bytes(info)) if of(text(info, VALUE_NAME)?).is_some() => {}
            _ => out.extend_from_slice(field.raw),
        }
    }
    Ok(out)
}

/// The node with `Identity` in the place of `ZipMap`: the same input, output and name, and no attributes.
fn identity(node: &[u8]) -> Result<Vec<u8>, WireError> {
    let is_kept = |field: &Field<'_>| matches!(field.number, NODE_INPUT | NODE_OUTPUT | NODE_NAME);
    let mut out = copy(node, is_kept)?;
    put_bytes(&mut out, NODE_OP_TYPE, b"Identity");
    Ok(out)
}

/// The output with the type of a table of floats in the place of a list of maps.
fn table(output: &[u8], width: usize) -> Result<Vec<u8>, WireError> {
    let mut columns = Vec::new();
    if width > 0 {
        put_number(&mut columns, DIMENSION_VALUE, width as u64);
    }
    let mut shape = Vec::new();
    put_bytes(&mut shape, SHAPE_DIMENSION, &[]);
    put_bytes(&mut shape, SHAPE_DIMENSION, &columns);
    let mut tensor = Vec::new();
    put_number(&mut tensor, TENSOR_ELEMENT, ELEMENT_FLOAT);
    put_bytes(&mut tensor, TENSOR_SHAPE, &shape);
    let mut kind = Vec::new();
    put_bytes(&mut kind, TYPE_TENSOR, &tensor);

    let mut out = copy(output, |field| field.number != VALUE_TYPE)?;
    put_bytes(&mut out, VALUE_TYPE, &kind);
    Ok(out)
}

fn copy(message: &[u8], is_kept: impl Fn(&Field<'_>) -> bool) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::with_capacity(message.len());
    for field in fields(message) {
        let field = field?;
        if is_kept(&field) {
            out.extend_from_slice(field.raw);
        }
    }
    Ok(out)
}

/// The string in field `number`, empty where there is none. The last one counts, as everywhere in Protocol Buffers.
fn text(message: &[u8], number: u64) -> Result<&str, WireError> {
    let mut found: &[u8] = &[];
    for field in fields(message) {
        if let Some(bytes) = field?.bytes(number) {
            found = bytes;
        }
    }
    utf8(found)
}

fn utf8(bytes: &[u8]) -> Result<&str, WireError> {
    std::str::from_utf8(bytes).map_err(|_| WireError::Malformed)
}
