//! Tensors: a type, dimensions, and just the data that these promise.
//!
//! Owns: types and their sizes, and where data may lie. Never does: look at the numbers.
//! Invariant: a tensor that passed has exactly one place for its data, of exactly the right length.

use super::format::{
    ENTRY_KEY, ENTRY_VALUE, SPARSE_DIMS, SPARSE_INDICES, SPARSE_VALUES, TENSOR_DIMS, TENSOR_DOUBLES, TENSOR_EXTERNAL,
    TENSOR_FLOATS, TENSOR_INT32S, TENSOR_INT64S, TENSOR_LOCATION, TENSOR_RAW, TENSOR_SEGMENT, TENSOR_STRINGS,
    TENSOR_TYPE, TENSOR_UINT64S,
};
use super::place::{shown, text};
use super::{Limits, Reason};
use crate::wire::{Value, fields, read_varint};

/// More dimensions than any library has.
const MAX_RANK: usize = 64;
/// What ONNX Runtime takes for the address of memory in its own process.
const MEMORY_MARKERS: [&str; 2] = ["_ORT_MEM_ADDR_", "_ORT_NATIVE_ENDIAN_MEM_ADDR_"];
const DEFAULT_LOCATION: u64 = 0;
const EXTERNAL_LOCATION: u64 = 1;
const INT64: u64 = 7;
const RE_EXPORT: &str = "export the model again";

/// A kind of fault, and the sentence about it.
pub(super) type Fault = (Reason, String);

fn wrong(fault: impl Into<String>) -> Fault {
    (Reason::Tensor, fault.into())
}

/// A type of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Element {
    /// `None` where elements have no fixed size.
    bits: Option<u64>,
    /// The field that holds elements which are not raw bytes.
    field: u64,
    /// How many entries of that field make how many elements.
    entries: (u64, u64),
}

impl Element {
    fn of(number: u64) -> Option<Self> {
        let element = |bits, field| Self {
            bits: Some(bits),
            field,
            entries: (1, 1),
        };
        let pair = |bits, field| Self {
            entries: (2, 1),
            ..element(bits, field)
        };
        let packed = |bits| Self {
            entries: (1, 8 / bits),
            ..element(bits, TENSOR_INT32S)
        };
        Some(match number {
            1 => element(32, TENSOR_FLOATS),
            // 8-bit integers, booleans, and floats of 8 bits.
            2 | 3 | 9 | 17..=20 | 24 => element(8, TENSOR_INT32S),
            // 16-bit integers and floats.
            4 | 5 | 10 | 16 => element(16, TENSOR_INT32S),
            6 => element(32, TENSOR_INT32S),
            INT64 => element(64, TENSOR_INT64S),
            8 => Self {
                bits: None,
                ..element(0, TENSOR_STRINGS)
            },
            11 => element(64, TENSOR_DOUBLES),
            12 => element(32, TENSOR_UINT64S),
            13 => element(64, TENSOR_UINT64S),
            14 => pair(64, TENSOR_FLOATS),
            15 => pair(128, TENSOR_DOUBLES),
            21..=23 => packed(4),
            25 | 26 => packed(2),
            _ => return None,
        })
    }

    /// Bytes that so many elements take.
    fn bytes(self, elements: u64) -> Option<u64> {
        let bits = elements.checked_mul(self.bits?)?;
        Some(bits.div_ceil(8))
    }

    /// Entries of its field that so many elements take.
    fn entries(self, elements: u64) -> Option<u64> {
        let (entries, share) = self.entries;
        elements.div_ceil(share).checked_mul(entries)
    }
}

/// What a tensor says of itself.
#[derive(Debug, Default)]
struct Tensor<'a> {
    dims: Dims,
    element: u64,
    /// For each field that can hold data, how many entries it has: bytes, where it is raw.
    counts: [u64; TENSOR_UINT64S as usize + 1],
    has_raw: bool,
    external: Vec<&'a [u8]>,
    location: u64,
}

/// Dimensions, multiplied out.
#[derive(Debug, Clone, Copy)]
struct Dims {
    rank: usize,
    elements: u64,
    first: u64,
}

impl Default for Dims {
    fn default() -> Self {
        Self {
            rank: 0,
            elements: 1,
            first: 0,
        }
    }
}

/// The data of a tensor that lies in a file of its own.
#[derive(Debug)]
pub(super) struct Elsewhere<'a> {
    pub(super) file: &'a str,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// Checks a tensor whose fields are known to be sound.
pub(super) fn check<'a>(tensor: &'a [u8], limits: &Limits) -> Result<Option<Elsewhere<'a>>, Fault> {
    let tensor = read(tensor)?;
    let Some(element) = Element::of(tensor.element) else {
        return Err(wrong(format!(
            "has the type {}, which is not known; {RE_EXPORT}",
            tensor.element
        )));
    };
    let elements = tensor.dims.elements;
    let bytes = match element.bits {
        Some(_) => element.bytes(elements).unwrap_or(u64::MAX),
        None => 0,
    };
    if bytes > limits.tensor_bytes.0 {
        return Err(too_large(limits));
    }
    if let Some(elsewhere) = tensor.elsewhere(bytes, element)? {
        return Ok(Some(elsewhere));
    }
    let used = (0u64..)
        .zip(tensor.counts)
        .find(|(field, count)| *count > 0 && *field != element.field && *field != TENSOR_RAW);
    if used.is_some() {
        return Err(wrong(format!("has data of another type than its own; {RE_EXPORT}")));
    }
    let typed = tensor.counts[element.field as usize];
    if tensor.has_raw {
        let raw = tensor.counts[TENSOR_RAW as usize];
        return match typed == 0 && element.bits.is_some() && raw == bytes {
            true => Ok(None),
            false => Err(wrong(format!(
                "has {raw} bytes of data where its dimensions and type promise {bytes}; {RE_EXPORT}"
            ))),
        };
    }
    let promised = element.entries(elements);
    match promised == Some(typed) {
        true => Ok(None),
        false => Err(wrong(format!(
            "has {typed} elements where its dimensions promise {elements}; {RE_EXPORT}"
        ))),
    }
}

/// Checks a sparse tensor whose own tensors are known to be sound.
pub(super) fn check_sparse(sparse: &[u8], limits: &Limits) -> Result<(), Fault> {
    let (mut values, mut indices, mut dims) = (None, None, Dims::default());
    for field in fields(sparse).map_while(Result::ok) {
        match (field.number, field.value) {
            (SPARSE_VALUES, Value::Bytes(tensor)) => values = Some(read(tensor)?),
            (SPARSE_INDICES, Value::Bytes(tensor)) => indices = Some(read(tensor)?),
            (SPARSE_DIMS, value) => dims.take(value)?,
            _ => {}
        }
    }
    let (Some(values), Some(indices)) = (values, indices) else {
        return Err(wrong(format!("lacks its values or their indices; {RE_EXPORT}")));
    };
    let element = Element::of(values.element).filter(|element| element.bits.is_some());
    let Some(element) = element else {
        return Err(wrong(format!("has values of a type that it cannot have; {RE_EXPORT}")));
    };
    if dims.rank == 0 {
        return Err(wrong(format!("has no dimensions; {RE_EXPORT}")));
    }
    // A few values may stand for any number of zeros, which the runtime writes out.
    if element
        .bytes(dims.elements)
        .is_none_or(|bytes| bytes > limits.tensor_bytes.0)
    {
        return Err(too_large(limits));
    }
    let count = values.dims.elements;
    let is_one_each = indices.dims.rank == 1 && indices.dims.elements == count;
    let is_one_each_per_dim = indices.dims.rank == 2
        && indices.dims.first == count
        && Some(indices.dims.elements) == count.checked_mul(dims.rank as u64);
    let fits = values.dims.rank == 1
        && count <= dims.elements
        && indices.element == INT64
        && (is_one_each || is_one_each_per_dim);
    match fits {
        true => Ok(()),
        false => Err(wrong(format!(
            "has values and indices that do not fit together; {RE_EXPORT}"
        ))),
    }
}

fn read(tensor: &[u8]) -> Result<Tensor<'_>, Fault> {
    let mut read = Tensor::default();
    for field in fields(tensor).map_while(Result::ok) {
        match (field.number, field.value) {
            (TENSOR_DIMS, value) => read.dims.take(value)?,
            (TENSOR_TYPE, Value::Varint(element)) => read.element = element,
            (TENSOR_LOCATION, Value::Varint(location)) => read.location = location,
            (TENSOR_EXTERNAL, Value::Bytes(entry)) => read.external.push(entry),
            (TENSOR_SEGMENT, _) => {
                return Err(wrong(format!(
                    "is a part of a tensor, which no loader takes; {RE_EXPORT}"
                )));
            }
            (TENSOR_RAW, Value::Bytes(raw)) => {
                read.has_raw = true;
                read.counts[TENSOR_RAW as usize] = raw.len() as u64;
            }
            (
                TENSOR_FLOATS | TENSOR_INT32S | TENSOR_STRINGS | TENSOR_INT64S | TENSOR_DOUBLES | TENSOR_UINT64S,
                value,
            ) => {
                read.counts[field.number as usize] += entries(field.number, value);
            }
            _ => {}
        }
    }
    Ok(read)
}

/// How many entries of a repeated field these are.
fn entries(field: u64, value: Value<'_>) -> u64 {
    let Value::Bytes(packed) = value else { return 1 };
    let count = match field {
        TENSOR_FLOATS => packed.len() / 4,
        TENSOR_DOUBLES => packed.len() / 8,
        TENSOR_STRINGS => 1,
        // Every number ends in a byte without the highest bit.
        _ => packed.iter().filter(|byte| **byte < 0x80).count(),
    };
    count as u64
}

fn too_large(limits: &Limits) -> Fault {
    let fault = format!(
        "has dimensions that come to more than {}; export a smaller model, or raise `limits.tensor_bytes`",
        limits.tensor_bytes
    );
    (Reason::Limit, fault)
}

impl Dims {
    fn take(&mut self, value: Value<'_>) -> Result<(), Fault> {
        match value {
            Value::Varint(dim) => self.take_one(dim),
            Value::Bytes(mut packed) => {
                while let Ok(dim) = read_varint(&mut packed) {
                    self.take_one(dim)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn take_one(&mut self, dim: u64) -> Result<(), Fault> {
        if dim > i64::MAX as u64 {
            return Err(wrong(format!("has a negative dimension; {RE_EXPORT}")));
        }
        if self.rank == MAX_RANK {
            return Err(wrong(format!("has more than {MAX_RANK} dimensions; {RE_EXPORT}")));
        }
        if self.rank == 0 {
            self.first = dim;
        }
        self.rank += 1;
        let Some(elements) = self.elements.checked_mul(dim) else {
            return Err(wrong(format!("has more elements than can be counted; {RE_EXPORT}")));
        };
        self.elements = elements;
        Ok(())
    }
}

impl<'a> Tensor<'a> {
    /// Where the data lies, unless it lies here.
    fn elsewhere(&self, bytes: u64, element: Element) -> Result<Option<Elsewhere<'a>>, Fault> {
        // Also where the tensor says that its data lies here: not every loader asks.
        let mut location = None;
        let (mut offset, mut length) = (0, bytes);
        for entry in &self.external {
            let (Some(key), Some(value)) = (utf8(entry, ENTRY_KEY), utf8(entry, ENTRY_VALUE)) else {
                return Err(wrong(format!("says unclearly where its data lies; {RE_EXPORT}")));
            };
            if MEMORY_MARKERS.iter().any(|marker| value.contains(marker)) {
                let fault =
                    "points at the memory of the process that loads it, which no exporter writes; do not use this file";
                return Err((Reason::Memory, fault.into()));
            }
            let number = || value.parse::<u64>().map_err(|_| unclear(key, value));
            match key {
                "location" if location.is_none() => location = Some(value),
                "offset" => offset = number()?,
                "length" => length = number()?,
                "checksum" => {}
                _ => return Err(unclear(key, value)),
            }
        }
        let file = match (self.location, location) {
            (DEFAULT_LOCATION, None) if self.external.is_empty() => return Ok(None),
            (EXTERNAL_LOCATION, Some(file)) => file,
            _ => {
                let fault = format!("says unclearly where its data lies; {RE_EXPORT}");
                return Err((Reason::ExternalData, fault));
            }
        };
        if !is_plain_file_name(file) {
            let fault = format!(
                "keeps its data in `{}`, which is not the plain name of a file beside the model; export the model with \
                 its data inside",
                shown(file.as_bytes())
            );
            return Err((Reason::ExternalData, fault));
        }
        let has_own_data = self.has_raw || self.counts.iter().any(|count| *count > 0);
        if has_own_data || element.bits.is_none() || length != bytes || offset.checked_add(length).is_none() {
            let fault = format!(
                "takes {length} bytes from {offset} of a file where its dimensions and type promise {bytes}, or has data \
                 of its own; {RE_EXPORT}"
            );
            return Err((Reason::ExternalData, fault));
        }
        Ok(Some(Elsewhere { file, offset, length }))
    }
}

fn unclear(key: &str, value: &str) -> Fault {
    let (key, value) = (shown(key.as_bytes()), shown(value.as_bytes()));
    let fault = format!("says `{key}` = `{value}` about its data, which is not understood; {RE_EXPORT}");
    (Reason::ExternalData, fault)
}

/// An entry's text; an absent one is empty.
fn utf8(entry: &[u8], field: u64) -> Option<&str> {
    std::str::from_utf8(text(entry, field).unwrap_or_default()).ok()
}

/// Whether this names a file and no folder, whatever system reads it.
pub(crate) fn is_plain_file_name(name: &str) -> bool {
    let is_strange = |c: char| c.is_control() || matches!(c, '/' | '\\' | ':' | '*');
    !name.is_empty() && name.len() <= 255 && !matches!(name, "." | "..") && !name.chars().any(is_strange)
}
