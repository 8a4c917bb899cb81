//! What is refused before ONNX Runtime sees a byte of it.
//!
//! Owns: the walk over everything that an ONNX file holds, and the reasons to refuse one. Never does: change a byte,
//! open a file, or judge whether a model is any good; the runtime does that.
//! Invariant: any bytes give an answer, in time that grows with their number alone, on a stack of bounded depth.
//!
//! A model file is a program, and its loader is a large one that was not written for files from strangers. So the file
//! is held to the format here, more strictly than the loader does it: what is known has the type that it should have and
//! stands there once, a tensor has just the data that its dimensions promise, and nothing points out of the file.
//!
//! ```text
//! walk.rs       messages within messages, by the tables of format.rs
//! tensor.rs     dimensions, types, data, and data that lies elsewhere
//! operators.rs  known operators, and functions that call each other
//! place.rs      where something is, in words
//! ```

mod format;
mod operators;
mod place;
mod tensor;
#[cfg(test)]
mod tests;
mod walk;

use std::borrow::Cow;
use std::fmt;

use eddy_pipeline::settings::{Bytes, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::tensor::is_plain_file_name;
use crate::zipmap::unzip;

/// Deepest nesting that can be asked for: Protocol Buffers allow a hundred messages in each other, and a graph within a
/// graph takes three.
const MAX_DEPTH: u32 = 30;

/// How much a model may hold. Past these, it is refused before ONNX Runtime sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most nodes, counted as often as the functions that hold them are called. Default 100000.
    pub nodes: u64,
    /// Most tensors with data in the file: initializers, and constants in attributes. Default 100000.
    pub tensors: u64,
    /// Most bytes that one tensor may come to, by its type and dimensions. Default 2 GiB.
    pub tensor_bytes: Bytes,
    /// Deepest nesting of graphs, as loops and branches have them. Default 8; 1 to 30.
    pub depth: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nodes: 100_000,
            tensors: 100_000,
            tensor_bytes: Bytes::mib(2048),
            depth: 8,
        }
    }
}

impl Limits {
    /// What is wrong with them, with keys below `key` (`models[0].limits`).
    pub(crate) fn problems(&self, key: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !(1..=MAX_DEPTH).contains(&self.depth) {
            problems.push(Problem::new(
                format!("{key}.depth"),
                format!("must be 1 to {MAX_DEPTH}"),
            ));
        }
        problems
    }
}

/// Why a file was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The kind of fault.
    pub reason: Reason,
    /// Where in the file: `initializer \`w\` of graph \`main\``.
    pub place: String,
    /// What is wrong there and what to do, as the rest of a sentence that the place begins.
    pub fault: String,
}

/// Kinds of faults for which a file is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It breaks the rules of Protocol Buffers or of ONNX.
    Malformed,
    /// It is written in a version of the format that is not known here.
    Version,
    /// It points at memory of the process that loads it.
    Memory,
    /// It points at another file in a way that is never allowed.
    ExternalData,
    /// It uses operators that ONNX Runtime does not have, or that hold code for one device.
    Operator,
    /// It holds more than the limits allow.
    Limit,
    /// A tensor is not what its dimensions and type say.
    Tensor,
}

impl Reason {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Version => "version",
            Self::Memory => "memory",
            Self::ExternalData => "external_data",
            Self::Operator => "operator",
            Self::Limit => "limit",
            Self::Tensor => "tensor",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.place, self.fault)
    }
}

impl std::error::Error for Refusal {}

/// What a file that passed holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan<'a> {
    /// Its nodes, counted as often as the functions that hold them are called.
    pub nodes: u64,
    /// Its tensors.
    pub tensors: u64,
    /// Tensors whose data lies in files of their own.
    pub external: Vec<External<'a>>,
}

/// A tensor whose data lies in a file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External<'a> {
    /// The tensor: `initializer \`w\` of graph \`main\``.
    pub tensor: String,
    /// Name of the file, without any folder.
    pub file: &'a str,
    /// Where its data begins there.
    pub offset: u64,
    /// How many bytes it takes.
    pub length: u64,
}

/// Looks at everything that an ONNX file holds.
///
/// # Errors
/// The first [`Refusal`].
pub fn scan<'a>(model: &'a [u8], limits: &Limits) -> Result<Scan<'a>, Refusal> {
    walk::Walk::over(model, limits)
}

/// The bytes that ONNX Runtime is given for a model file: the file, with a `ZipMap` at its end cut out. For tests that are
/// about bytes and not about files.
///
/// # Errors
/// The [`Refusal`] of a file that the runtime is not given; also of one that keeps data in other files.
#[doc(hidden)]
pub fn admit<'a>(model: &'a [u8], limits: &Limits) -> Result<Cow<'a, [u8]>, Refusal> {
    let found = scan(model, limits)?;
    let refuse = |reason, place: &str, fault: String| Refusal {
        reason,
        place: place.into(),
        fault,
    };
    if let Some(external) = found.external.first() {
        let fault = format!("keeps its data in `{}`", external.file);
        return Err(refuse(Reason::ExternalData, &external.tensor, fault));
    }
    let unzipped = unzip(model).map_err(|error| refuse(Reason::Malformed, "the model", error.to_string()))?;
    Ok(unzipped.bytes)
}

/// Whether a file that is admitted still passes after it was rewritten; what is refused must be stood by the rewriting as
/// well. For fuzzing.
///
/// # Panics
/// When it does not pass.
#[doc(hidden)]
pub fn check_that_a_rewritten_model_passes(model: &[u8], limits: &Limits) {
    let Ok(admitted) = admit(model, limits) else {
        drop(unzip(model));
        return;
    };
    if let Err(refusal) = scan(&admitted, limits) {
        // `Identity`, which takes the place of a node, can be a function of the model.
        assert_eq!(refusal.reason, Reason::Limit, "{refusal}");
    }
}
