//! What a model takes and gives.
//!
//! Owns: reading it from a session, and refusing what cannot be handled. Never does: run anything.
//! Invariant: every input and output of a signature has a batch dimension and a type that the core knows.

use std::fmt::Write as _;

use eddy_pipeline::tensor::{DType, TensorSpec};
use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};

/// More elements than this in the rows of one run are a damaged file: gigabytes would be set aside for them.
const MAX_ELEMENTS: usize = 1 << 27;

/// Inputs and outputs in the model's order, without the batch dimension.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Signature {
    pub(crate) inputs: Vec<TensorSpec>,
    pub(crate) outputs: Vec<TensorSpec>,
    /// For each output, whether the model leaves even its number of dimensions open.
    pub(crate) is_unranked: Vec<bool>,
    pub(crate) batch: Batch,
}

/// How many rows one run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Batch {
    /// Any number.
    Open,
    /// Just this many.
    Fixed(usize),
}

impl Signature {
    /// Reads it from a session.
    ///
    /// # Errors
    /// A sentence that says what cannot be handled, and what to do.
    pub(crate) fn read(session: &Session) -> Result<Self, String> {
        if session.inputs().is_empty() || session.outputs().is_empty() {
            return Err("a model needs at least one input and one output".into());
        }
        let mut batch = Batch::Open;
        let mut inputs = Vec::new();
        for outlet in session.inputs() {
            let (dtype, shape) = tensor("input", outlet)?;
            let Some((first, rest)) = shape.split_first() else {
                return Err(format!(
                    "input `{}` has no batch dimension; export the model with a first dimension that counts the rows",
                    outlet.name()
                ));
            };
            batch = agree(batch, dimension(*first)).map_err(|fault| format!("input `{}` {fault}", outlet.name()))?;
            let rows = if let Batch::Fixed(rows) = batch { rows } else { 1 };
            if elements(rest)
                .and_then(|width| width.checked_mul(rows))
                .is_none_or(|all| all > MAX_ELEMENTS)
            {
                return Err(format!(
                    "input `{}` has more than {MAX_ELEMENTS} elements in a run; export the model with smaller rows",
                    outlet.name()
                ));
            }
            inputs.push(spec(outlet, dtype, rest));
        }
        let mut outputs = Vec::new();
        let mut is_unranked = Vec::new();
        for outlet in session.outputs() {
            let (dtype, shape) = tensor("output", outlet)?;
            // The runtime shows an unknown shape like a scalar's.
            is_unranked.push(shape.is_empty());
            outputs.push(spec(outlet, dtype, shape.get(1..).unwrap_or_default()));
        }
        Ok(Self {
            inputs,
            outputs,
            is_unranked,
            batch,
        })
    }
}

/// Everything that the model has, as one line for people.
pub(crate) fn describe(session: &Session) -> String {
    let mut text = String::new();
    for (word, outlets) in [("inputs", session.inputs()), ("and outputs", session.outputs())] {
        write!(text, "{}{word} ", if text.is_empty() { "" } else { " " }).expect("writing to a String cannot fail");
        for (i, outlet) in outlets.iter().enumerate() {
            let separator = if i > 0 { ", " } else { "" };
            write!(text, "{separator}`{}` {}", outlet.name(), kind(outlet.dtype()))
                .expect("writing to a String cannot fail");
        }
    }
    text
}

fn kind(value: &ValueType) -> String {
    let ValueType::Tensor { ty, shape, .. } = value else {
        return value.to_string();
    };
    let dims: Vec<String> = shape
        .iter()
        .map(|d| if *d < 0 { "?".into() } else { d.to_string() })
        .collect();
    let name = dtype(*ty).map_or_else(|| ty.to_string(), |dtype| dtype.to_string());
    format!("{name}[{}]", dims.join(","))
}

fn tensor<'a>(word: &str, outlet: &'a Outlet) -> Result<(DType, &'a [i64]), String> {
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
        return Err(format!(
            "{word} `{}` is not a tensor; where scikit-learn made the model, export it with the option \
             {{\"zipmap\": False}}",
            outlet.name()
        ));
    };
    let Some(dtype) = dtype(*ty) else {
        return Err(format!(
            "{word} `{}` has a type that cannot be handled; export the model with a cast to float32, int64 or another \
             of float64, float16, int32, bool, string",
            outlet.name()
        ));
    };
    Ok((dtype, shape))
}

/// The core's name of a type, where it has one.
pub(crate) fn dtype(ty: TensorElementType) -> Option<DType> {
    Some(match ty {
        TensorElementType::Float32 => DType::Float32,
        TensorElementType::Float64 => DType::Float64,
        TensorElementType::Float16 => DType::Float16,
        TensorElementType::Int32 => DType::Int32,
        TensorElementType::Int64 => DType::Int64,
        TensorElementType::Bool => DType::Bool,
        TensorElementType::String => DType::String,
        _ => return None,
    })
}

fn dimension(dim: i64) -> Option<usize> {
    usize::try_from(dim).ok()
}

/// Elements of a row, as far as its dimensions are known.
fn elements(row_shape: &[i64]) -> Option<usize> {
    row_shape
        .iter()
        .filter_map(|dim| dimension(*dim))
        .try_fold(1usize, |product, dim| product.checked_mul(dim))
}

fn spec(outlet: &Outlet, dtype: DType, rest: &[i64]) -> TensorSpec {
    let row_shape = rest.iter().map(|dim| dimension(*dim)).collect();
    TensorSpec {
        name: outlet.name().into(),
        dtype,
        row_shape,
    }
}

fn agree(batch: Batch, first: Option<usize>) -> Result<Batch, String> {
    match (batch, first) {
        (_, Some(0)) => Err("has a batch of no rows; export the model with an open first dimension".into()),
        (batch, None) => Ok(batch),
        (Batch::Open, Some(rows)) => Ok(Batch::Fixed(rows)),
        (Batch::Fixed(known), Some(rows)) if known == rows => Ok(batch),
        (Batch::Fixed(known), Some(rows)) => Err(format!(
            "has a batch of {rows} rows where another input has {known}; the first dimension must count the rows of \
             every input"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_batches_must_agree_and_an_open_one_fits_all() {
        let fold = |dims: &[Option<usize>]| dims.iter().try_fold(Batch::Open, |batch, dim| agree(batch, *dim));
        assert_eq!(fold(&[None, None]), Ok(Batch::Open));
        assert_eq!(fold(&[None, Some(4), None, Some(4)]), Ok(Batch::Fixed(4)));
        assert!(fold(&[Some(4), Some(1)]).is_err());
        assert!(fold(&[Some(0)]).is_err());
    }
}
