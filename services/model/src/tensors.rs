//! Between the core's buffers and the runtime's values.
//!
//! Owns: views of rows in both directions, and copies where one is needed. Never does: run anything.
//! Invariant: numbers are handed over in place; only strings are copied, because the runtime keeps its own.

use std::ops::Range;

use eddy_pipeline::score::{RunError, RunFault};
use eddy_pipeline::tensor::{Buffer, DType, Data, Input, Inputs, TensorSpec, View};
use ort::session::{SessionInputValue, SessionOutputs};
use ort::value::{DynValue, Tensor, TensorRef};

pub(crate) fn refused(error: impl std::fmt::Display) -> RunError {
    RunError {
        fault: RunFault::Refused,
        message: one_line(&error.to_string()),
    }
}

pub(crate) fn bad_output(message: String) -> RunError {
    RunError {
        fault: RunFault::BadOutput,
        message,
    }
}

/// The runtime's words without its line breaks.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Rows of an input as a value of the runtime: in place, but for strings.
pub(crate) fn bind(input: &Input, rows: Range<usize>) -> Result<SessionInputValue<'_>, RunError> {
    let span = rows.start * input.width..rows.end * input.width;
    let mut shape = Vec::with_capacity(1 + input.row_shape.len());
    shape.push(rows.len());
    shape.extend_from_slice(&input.row_shape);
    macro_rules! view {
        ($data:expr) => {
            TensorRef::from_array_view((shape, slice($data, span, input)?)).map(SessionInputValue::from)
        };
    }
    let value = match &input.data {
        Buffer::Float32(data) => view!(data),
        Buffer::Float64(data) => view!(data),
        Buffer::Float16(data) => view!(data),
        Buffer::Int32(data) => view!(data),
        Buffer::Int64(data) => view!(data),
        Buffer::Bool(data) => view!(data),
        Buffer::String(data) => {
            Tensor::from_string_array((shape, slice(data, span, input)?)).map(SessionInputValue::from)
        }
    };
    value.map_err(|error| refused(format!("input `{}`: {error}", input.name)))
}

fn slice<'a, T>(data: &'a [T], span: Range<usize>, input: &Input) -> Result<&'a [T], RunError> {
    data.get(span)
        .ok_or_else(|| refused(format!("input `{}` has fewer rows than are to be run", input.name)))
}

/// Copies rows of `from` to the front of `to`, row `i` being `pick(i)`.
pub(crate) fn copy_rows(from: &Inputs, to: &mut Inputs, rows: usize, pick: impl Fn(usize) -> usize) {
    for (from, to) in from.inputs.iter().zip(&mut to.inputs) {
        let width = from.width;
        macro_rules! copy {
            ($from:expr, $to:expr) => {
                for row in 0..rows {
                    let source = pick(row) * width;
                    $to[row * width..][..width].clone_from_slice(&$from[source..][..width]);
                }
            };
        }
        match (&from.data, &mut to.data) {
            (Buffer::Float32(from), Buffer::Float32(to)) => copy!(from, to),
            (Buffer::Float64(from), Buffer::Float64(to)) => copy!(from, to),
            (Buffer::Float16(from), Buffer::Float16(to)) => copy!(from, to),
            (Buffer::Int32(from), Buffer::Int32(to)) => copy!(from, to),
            (Buffer::Int64(from), Buffer::Int64(to)) => copy!(from, to),
            (Buffer::Bool(from), Buffer::Bool(to)) => copy!(from, to),
            (Buffer::String(from), Buffer::String(to)) => copy!(from, to),
            _ => unreachable!("both sides are made from the same specs"),
        }
    }
    to.rows = rows;
}

/// Buffers of the same inputs with room for `capacity` rows.
pub(crate) fn like(inputs: &Inputs, capacity: usize) -> Inputs {
    let specs: Vec<TensorSpec> = inputs
        .inputs
        .iter()
        .map(|input| TensorSpec {
            name: input.name.clone(),
            dtype: input.data.dtype(),
            row_shape: input.row_shape.iter().copied().map(Some).collect(),
        })
        .collect();
    Inputs::with_capacity(&specs, capacity)
}

/// The shape of one row of an output that must have `rows` rows.
pub(crate) fn row_shape<'a>(value: &'a DynValue, spec: &TensorSpec, rows: usize) -> Result<&'a [i64], RunError> {
    let shape = value
        .dtype()
        .tensor_shape()
        .ok_or_else(|| bad_output(format!("output `{}` is not a tensor but {}", spec.name, value.dtype())))?;
    match shape.split_first() {
        Some((first, rest)) if usize::try_from(*first) == Ok(rows) => Ok(rest),
        _ => Err(bad_output(format!(
            "output `{}` has the shape {shape} for {rows} rows",
            spec.name
        ))),
    }
}

/// Strings of one run, which the runtime only hands out as copies; empty for outputs of numbers.
pub(crate) fn strings(outputs: &SessionOutputs<'_>, specs: &[TensorSpec]) -> Result<Vec<Vec<String>>, RunError> {
    if specs.iter().all(|spec| spec.dtype != DType::String) {
        return Ok(Vec::new());
    }
    let extract = |(i, spec): (usize, &TensorSpec)| match spec.dtype {
        DType::String => outputs[i].try_extract_strings().map(|(_, strings)| strings),
        _ => Ok(Vec::new()),
    };
    specs
        .iter()
        .enumerate()
        .map(extract)
        .collect::<ort::Result<_>>()
        .map_err(|error| bad_output(error.to_string()))
}

/// The output as the core sees it: in the runtime's own buffer, checked against what the model promised.
pub(crate) fn view<'a>(
    value: &'a DynValue,
    strings: Option<&'a Vec<String>>,
    spec: &TensorSpec,
    (rows, width): (usize, Option<usize>),
) -> Result<View<'a>, RunError> {
    let shape = row_shape(value, spec, rows)?;
    let found = shape
        .iter()
        .try_fold(1usize, |product, dim| product.checked_mul(usize::try_from(*dim).ok()?));
    let found = match (found, width) {
        (Some(found), Some(width)) if found == width => found,
        (Some(found), None) => found,
        _ => return Err(bad_output(format!("output {spec} has rows of the shape {shape:?}"))),
    };
    macro_rules! numbers {
        ($variant:ident) => {
            value.try_extract_tensor().map(|(_, data)| Data::$variant(data))
        };
    }
    let data = match spec.dtype {
        DType::Float32 => numbers!(Float32),
        DType::Float64 => numbers!(Float64),
        DType::Float16 => numbers!(Float16),
        DType::Int32 => numbers!(Int32),
        DType::Int64 => numbers!(Int64),
        DType::Bool => numbers!(Bool),
        DType::String => Ok(Data::String(strings.map_or(&[], Vec::as_slice))),
    };
    let data = data.map_err(|error| bad_output(format!("output `{}`: {error}", spec.name)))?;
    Ok(View { width: found, data })
}

/// Appends the first `rows` rows of a view to a buffer of the same type.
pub(crate) fn append(to: &mut Buffer, view: &View<'_>, rows: usize) {
    let count = rows * view.width;
    match (to, view.data) {
        (Buffer::Float32(to), Data::Float32(from)) => to.extend_from_slice(&from[..count]),
        (Buffer::Float64(to), Data::Float64(from)) => to.extend_from_slice(&from[..count]),
        (Buffer::Float16(to), Data::Float16(from)) => to.extend_from_slice(&from[..count]),
        (Buffer::Int32(to), Data::Int32(from)) => to.extend_from_slice(&from[..count]),
        (Buffer::Int64(to), Data::Int64(from)) => to.extend_from_slice(&from[..count]),
        (Buffer::Bool(to), Data::Bool(from)) => to.extend_from_slice(&from[..count]),
        (Buffer::String(to), Data::String(from)) => to.extend_from_slice(&from[..count]),
        _ => unreachable!("the buffer is made for the output's type"),
    }
}

/// A buffer as the core sees an output.
pub(crate) fn whole(buffer: &Buffer, width: usize) -> View<'_> {
    let data = match buffer {
        Buffer::Float32(data) => Data::Float32(data),
        Buffer::Float64(data) => Data::Float64(data),
        Buffer::Float16(data) => Data::Float16(data),
        Buffer::Int32(data) => Data::Int32(data),
        Buffer::Int64(data) => Data::Int64(data),
        Buffer::Bool(data) => Data::Bool(data),
        Buffer::String(data) => Data::String(data),
    };
    View { width, data }
}
