//! Row-major buffers that a decoder fills and a model reads in place.

use half::f16;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Element types that a model may take or give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// 32-bit float.
    Float32,
    /// 64-bit float.
    Float64,
    /// 16-bit float.
    Float16,
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
    /// Boolean, one byte each.
    Bool,
    /// UTF-8 string.
    String,
}

impl DType {
    /// The word used in settings and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Float16 => "float16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Bool => "bool",
            Self::String => "string",
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Name, type and shape of one input or output, without the batch dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name in the model.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Shape of one row; empty for one scalar a row (`[N]`). `None` marks a dimension that the model leaves open.
    pub row_shape: Vec<Option<usize>>,
}

impl TensorSpec {
    /// Elements of one row, where every dimension is known.
    pub fn row_width(&self) -> Option<usize> {
        self.row_shape
            .iter()
            .copied()
            .try_fold(1usize, |product, dim| product.checked_mul(dim?))
    }
}

impl std::fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` {}[N", self.name, self.dtype)?;
        for dim in &self.row_shape {
            match dim {
                Some(n) => write!(f, ",{n}")?,
                None => f.write_str(",?")?,
            }
        }
        f.write_str("]")
    }
}

/// Elements of one tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum Buffer {
    /// 32-bit floats.
    Float32(Vec<f32>),
    /// 64-bit floats.
    Float64(Vec<f64>),
    /// 16-bit floats.
    Float16(Vec<f16>),
    /// 32-bit integers.
    Int32(Vec<i32>),
    /// 64-bit integers.
    Int64(Vec<i64>),
    /// Booleans.
    Bool(Vec<bool>),
    /// Strings; kept allocated and overwritten.
    String(Vec<String>),
}

impl Buffer {
    /// `len` zeros (empty strings) of a type.
    pub fn zeros(dtype: DType, len: usize) -> Self {
        match dtype {
            DType::Float32 => Self::Float32(vec![0.0; len]),
            DType::Float64 => Self::Float64(vec![0.0; len]),
            DType::Float16 => Self::Float16(vec![f16::ZERO; len]),
            DType::Int32 => Self::Int32(vec![0; len]),
            DType::Int64 => Self::Int64(vec![0; len]),
            DType::Bool => Self::Bool(vec![false; len]),
            DType::String => Self::String(vec![String::new(); len]),
        }
    }

    /// The element type.
    pub const fn dtype(&self) -> DType {
        match self {
            Self::Float32(_) => DType::Float32,
            Self::Float64(_) => DType::Float64,
            Self::Float16(_) => DType::Float16,
            Self::Int32(_) => DType::Int32,
            Self::Int64(_) => DType::Int64,
            Self::Bool(_) => DType::Bool,
            Self::String(_) => DType::String,
        }
    }
}

/// One model input for a whole batch: room for `capacity` rows of `width` elements.
#[derive(Debug, Clone)]
pub struct Input {
    /// Name in the model.
    pub name: String,
    /// Shape of one row, all dimensions known.
    pub row_shape: Vec<usize>,
    /// Elements of one row.
    pub width: usize,
    /// `capacity * width` elements.
    pub data: Buffer,
}

/// All inputs of one model for one batch. Only the first `rows` rows count.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// One for each input of the model, in the model's order.
    pub inputs: Vec<Input>,
    /// Rows that are filled.
    pub rows: usize,
    /// Rows that there is room for.
    pub capacity: usize,
}

impl Inputs {
    /// Empty buffers with room for `capacity` rows. Every dimension of every spec must be known.
    ///
    /// # Panics
    /// When a spec has an open dimension: the caller resolves those first.
    pub fn with_capacity(specs: &[TensorSpec], capacity: usize) -> Self {
        let inputs = specs
            .iter()
            .map(|spec| {
                let width = spec
                    .row_width()
                    .expect("open dimensions are resolved before buffers are made");
                Input {
                    name: spec.name.clone(),
                    row_shape: spec.row_shape.iter().flatten().copied().collect(),
                    width,
                    data: Buffer::zeros(spec.dtype, width * capacity),
                }
            })
            .collect();
        Self {
            inputs,
            rows: 0,
            capacity,
        }
    }
}

/// Elements of one output, borrowed from the runtime.
#[derive(Debug, Clone, Copy)]
pub enum Data<'a> {
    /// 32-bit floats.
    Float32(&'a [f32]),
    /// 64-bit floats.
    Float64(&'a [f64]),
    /// 16-bit floats.
    Float16(&'a [f16]),
    /// 32-bit integers.
    Int32(&'a [i32]),
    /// 64-bit integers.
    Int64(&'a [i64]),
    /// Booleans.
    Bool(&'a [bool]),
    /// Strings.
    String(&'a [String]),
}

/// One output of a run: `rows * width` elements, row-major.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Elements of one row.
    pub width: usize,
    /// The elements.
    pub data: Data<'a>,
}
