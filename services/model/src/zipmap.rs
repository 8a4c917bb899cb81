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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(fields: &[(u64, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, bytes) in fields {
            put_bytes(&mut out, *number, bytes);
        }
        out
    }

    fn node(op: &str, domain: &str, attributes: &[u8]) -> Vec<u8> {
        let text = |text: &'static str| text.as_bytes();
        message(&[
            (NODE_INPUT, text("table")),
            (NODE_OUTPUT, text("zipped")),
            (NODE_NAME, text("last")),
            (NODE_OP_TYPE, op.as_bytes()),
            (NODE_ATTRIBUTE, attributes),
            (NODE_DOMAIN, domain.as_bytes()),
        ])
    }

    /// A model whose one node makes `zipped`, with fields that no version of the format knows.
    fn model(op: &str, output: &str, attributes: &[u8]) -> Vec<u8> {
        let output = message(&[(VALUE_NAME, output.as_bytes()), (VALUE_TYPE, b""), (99, b"kept")]);
        let node = node(op, "ai.onnx.ml", attributes);
        let mut graph = message(&[(77, b"unknown"), (GRAPH_NODE, &node), (GRAPH_OUTPUT, &output)]);
        put_number(&mut graph, 78, 300);
        message(&[(100, b"before"), (MODEL_GRAPH, &graph), (101, b"after")])
    }

    fn packed_labels() -> Vec<u8> {
        // 7, 300 and -1, packed as proto3 writers do.
        let packed = [&[7, 0xac, 0x02][..], &[0xff; 9], &[0x01]].concat();
        message(&[(ATTRIBUTE_NAME, b"classlabels_int64s"), (ATTRIBUTE_INTS, &packed)])
    }

    fn contains(bytes: &[u8], part: &[u8]) -> bool {
        bytes.windows(part.len()).any(|window| window == part)
    }

    #[test]
    fn a_zipmap_becomes_an_identity_and_all_else_is_kept() {
        let model = model("ZipMap", "zipped", &packed_labels());
        let unzipped = unzip(&model).unwrap();
        let names = ["7", "300", "-1"].map(String::from).to_vec();
        assert_eq!(
            unzipped.classes,
            [ClassNames {
                output: "zipped".into(),
                names
            }]
        );
        for part in ["unknown", "before", "after", "kept", "Identity", "table", "last"] {
            assert!(contains(&unzipped.bytes, part.as_bytes()), "{part}");
        }
        for part in ["ZipMap", "classlabels", "ai.onnx.ml"] {
            assert!(!contains(&unzipped.bytes, part.as_bytes()), "{part}");
        }
        let again = unzip(&unzipped.bytes).unwrap();
        assert!(matches!(again.bytes, Cow::Borrowed(_)), "there is nothing left to do");
    }

    #[test]
    fn names_of_classes_keep_their_order() {
        let labels = message(&[
            (ATTRIBUTE_NAME, b"classlabels_strings"),
            (ATTRIBUTE_STRINGS, b"z"),
            (ATTRIBUTE_STRINGS, "ż".as_bytes()),
            (ATTRIBUTE_STRINGS, b"a"),
        ]);
        assert_eq!(
            unzip(&model("ZipMap", "zipped", &labels)).unwrap().classes[0].names,
            ["z", "ż", "a"]
        );
    }

    #[test]
    fn a_zipmap_in_the_middle_of_a_model_is_left_alone() {
        let model = model("ZipMap", "something else", &packed_labels());
        assert!(matches!(unzip(&model).unwrap().bytes, Cow::Borrowed(_)));
    }

    #[test]
    fn a_second_graph_and_a_group_are_malformed() {
        let twice = message(&[(MODEL_GRAPH, b""), (MODEL_GRAPH, b"")]);
        assert_eq!(unzip(&twice).unwrap_err(), WireError::Malformed);
        assert_eq!(unzip(&[0x0b, 0x0c]).unwrap_err(), WireError::Malformed);
        assert_eq!(unzip(&[0x80; 20]).unwrap_err(), WireError::Malformed);
    }

    #[test]
    fn a_length_beyond_the_end_is_truncated_whatever_it_says() {
        let huge = [&[0x3a][..], &[0xff; 9], &[0x01]].concat();
        assert_eq!(unzip(&huge).unwrap_err(), WireError::Truncated);
        let model = model("ZipMap", "zipped", &packed_labels());
        assert_eq!(unzip(&model[..model.len() - 3]).unwrap_err(), WireError::Truncated);
    }

    proptest! {
        #[test]
        fn property_any_bytes_give_an_answer_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(unzipped) = unzip(&bytes)
                && unzipped.classes.is_empty()
            {
                prop_assert_eq!(&*unzipped.bytes, &bytes[..]);
            }
        }

        #[test]
        fn property_a_file_without_zipmap_comes_back_unchanged(
            op in "[A-Y][a-z]{0,8}",
            labels in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let model = model(&op, "zipped", &labels);
            let unzipped = unzip(&model).unwrap();
            prop_assert!(matches!(unzipped.bytes, Cow::Borrowed(_)));
            prop_assert_eq!(&*unzipped.bytes, &model[..]);
        }

        #[test]
        fn property_a_damaged_zipmap_model_never_panics(place in 0usize..1000, bit in 0u8..8, cut in 0usize..1000) {
            let mut model = model("ZipMap", "zipped", &packed_labels());
            let len = model.len();
            model[place % len] ^= 1 << bit;
            model.truncate(len - cut % len);
            drop(unzip(&model));
        }
    }
}
