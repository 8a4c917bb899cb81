//! Rows whose results are known, from the model's origin.
//!
//! Owns: the golden file and the comparison. Never does: run the model.
//! Invariant: a file that says anything which cannot be checked is refused; nothing in it is skipped.

use std::collections::BTreeMap;
use std::path::Path;

use eddy_pipeline::format::GOLDEN;
use eddy_pipeline::tensor::{Buffer, DType, Data, Inputs, TensorSpec, View};
use half::f16;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, GOLDEN_FILE};
use crate::file;

const MAX_BYTES: u64 = 64 << 20;

#[derive(Debug, Deserialize)]
struct GoldenFile {
    format: u32,
    #[serde(default = "default_tolerance")]
    tolerance: f64,
    inputs: BTreeMap<String, Vec<Value>>,
    outputs: BTreeMap<String, Vec<Value>>,
}

const fn default_tolerance() -> f64 {
    1e-4
}

/// For each row, its elements.
type FlatRows = Vec<Vec<Value>>;

/// Rows and results that fit one model's signature.
#[derive(Debug)]
pub(crate) struct Golden {
    pub(crate) inputs: Inputs,
    tolerance: f64,
    expected: Vec<Expected>,
}

/// What one output must be.
#[derive(Debug)]
struct Expected {
    /// The output's place in the model's order.
    index: usize,
    rows: Vec<Vec<Value>>,
}

/// The first place where the model and the file disagree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mismatch {
    pub(crate) output: usize,
    pub(crate) row: usize,
    pub(crate) expected: String,
    pub(crate) got: String,
}

impl Golden {
    /// Reads a golden file for a model with these inputs and outputs.
    pub(crate) fn read(
        path: &Path,
        inputs: &[TensorSpec],
        outputs: &[TensorSpec],
        tolerance: Option<f64>,
    ) -> Result<Self, Error> {
        let limit = file::Limit {
            what: GOLDEN_FILE,
            max_bytes: MAX_BYTES,
            setting: "nothing: use fewer rows",
        };
        let bytes = file::read(path, &limit)?;
        let parsed: Result<GoldenFile, _> = serde_json::from_slice(&bytes);
        let golden = parsed
            .map_err(|error| format!("it is not valid: {error}; write it as {{\"format\": 1, \"inputs\": …, …}}"))
            .and_then(|file| Self::fit(file, inputs, outputs, tolerance));
        golden.map_err(|fault| Error::Golden {
            path: path.into(),
            fault,
        })
    }

    fn fit(
        mut file: GoldenFile,
        inputs: &[TensorSpec],
        outputs: &[TensorSpec],
        tolerance: Option<f64>,
    ) -> Result<Self, String> {
        GOLDEN.judge(file.format.into())?;
        let count = file.inputs.values().next().map_or(0, Vec::len);
        if count == 0 || file.outputs.is_empty() {
            return Err("it holds no rows; write at least one row of inputs and of outputs".into());
        }
        let all = file.inputs.iter().chain(&file.outputs);
        if let Some((name, rows)) = all.clone().find(|(_, rows)| rows.len() != count) {
            return Err(format!(
                "`{name}` has {} rows where others have {count}; write the same number",
                rows.len()
            ));
        }
        let mut specs = Vec::new();
        let mut flat = Vec::new();
        for spec in inputs {
            let rows = file
                .inputs
                .remove(&spec.name)
                .ok_or_else(|| format!("it has no rows for the model's input {spec}; add them"))?;
            let (row_shape, rows) = flatten(spec, rows)?;
            specs.push(TensorSpec {
                row_shape,
                ..spec.clone()
            });
            flat.push(rows);
        }
        if let Some(unknown) = file.inputs.keys().next() {
            return Err(format!("the model has no input `{unknown}`; it has {}", list(inputs)));
        }
        let mut filled = Inputs::with_capacity(&specs, count);
        for ((input, spec), rows) in filled.inputs.iter_mut().zip(&specs).zip(flat) {
            fill(&mut input.data, spec, rows)?;
        }
        filled.rows = count;
        let mut expected = Vec::new();
        for (name, rows) in file.outputs {
            let index = outputs
                .iter()
                .position(|spec| spec.name == name)
                .ok_or_else(|| format!("the model has no output `{name}`; it has {}", list(outputs)))?;
            let rows = rows.into_iter().map(leaves).collect();
            expected.push(Expected { index, rows });
        }
        Ok(Self {
            inputs: filled,
            tolerance: tolerance.unwrap_or(file.tolerance),
            expected,
        })
    }

    pub(crate) fn tolerance(&self) -> f64 {
        self.tolerance
    }

    /// Compares the results of a run over all rows with what the file says.
    pub(crate) fn compare(&self, views: &[View<'_>]) -> Option<Mismatch> {
        self.expected.iter().find_map(|expected| {
            let view = &views[expected.index];
            let compare_row = |(row, wanted): (usize, &Vec<Value>)| self.compare_row(expected.index, view, row, wanted);
            expected.rows.iter().enumerate().find_map(compare_row)
        })
    }

    fn compare_row(&self, output: usize, view: &View<'_>, row: usize, wanted: &[Value]) -> Option<Mismatch> {
        let mismatch = |expected: String, got: String| {
            Some(Mismatch {
                output,
                row,
                expected,
                got,
            })
        };
        if wanted.len() != view.width {
            return mismatch(format!("{} elements", wanted.len()), format!("{} elements", view.width));
        }
        (0..view.width).find_map(|column| {
            let place = row * view.width + column;
            let wanted = &wanted[column];
            let (is_equal, got) = compare_element(&view.data, place, wanted, self.tolerance);
            let suffix = if view.width > 1 {
                format!(" at place {column}")
            } else {
                String::new()
            };
            if is_equal {
                None
            } else {
                mismatch(format!("{wanted}{suffix}"), got)
            }
        })
    }
}

/// Whether the element is what is wanted, and how it reads.
fn compare_element(data: &Data<'_>, place: usize, wanted: &Value, tolerance: f64) -> (bool, String) {
    let float = |got: f64| {
        (
            float(wanted).is_some_and(|wanted| is_near(got, wanted, tolerance)),
            got.to_string(),
        )
    };
    let integer = |got: i64| (wanted.as_i64() == Some(got), got.to_string());
    match data {
        Data::Float32(data) => float(f64::from(data[place])),
        Data::Float64(data) => float(data[place]),
        Data::Float16(data) => float(f64::from(data[place])),
        Data::Int32(data) => integer(i64::from(data[place])),
        Data::Int64(data) => integer(data[place]),
        Data::Bool(data) => (wanted.as_bool() == Some(data[place]), data[place].to_string()),
        Data::String(data) => (wanted.as_str() == Some(&data[place]), format!("{:?}", data[place])),
    }
}

/// Near enough: absolutely, or relatively where the wanted number is larger than one. No number is near no number.
fn is_near(got: f64, wanted: f64, tolerance: f64) -> bool {
    let allowed = tolerance * wanted.abs().max(1.0);
    got == wanted || (got.is_nan() && wanted.is_nan()) || (got - wanted).abs() <= allowed && wanted.is_finite()
}

/// A number; JSON has no word for those that are not finite, so they are written as strings.
fn float(value: &Value) -> Option<f64> {
    match value.as_str() {
        None => value.as_f64(),
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(_) => None,
    }
}

fn list(specs: &[TensorSpec]) -> String {
    specs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The elements of a row, in their order, whatever lists they are in.
fn leaves(row: Value) -> Vec<Value> {
    match row {
        Value::Array(items) => items.into_iter().flat_map(leaves).collect(),
        leaf => vec![leaf],
    }
}

/// The elements of every row, and the shape that they all have: the model's, or the file's where the model leaves it
/// open.
fn flatten(spec: &TensorSpec, rows: Vec<Value>) -> Result<(Vec<Option<usize>>, FlatRows), String> {
    let row_shape = match spec.row_width() {
        Some(_) => spec.row_shape.clone(),
        None => nesting(&rows[0]),
    };
    let is_open = |(promised, found): (&Option<usize>, &Option<usize>)| promised.is_none() || promised == found;
    if row_shape.len() != spec.row_shape.len() || !spec.row_shape.iter().zip(&row_shape).all(is_open) {
        return Err(format!(
            "a row of `{}` has the shape {row_shape:?} and the model takes {spec}",
            spec.name
        ));
    }
    let width: usize = row_shape.iter().flatten().product();
    let rows: Vec<Vec<Value>> = rows.into_iter().map(leaves).collect();
    if let Some(row) = rows.iter().position(|row| row.len() != width) {
        return Err(format!(
            "row {row} of `{}` has {} elements and the model takes {width}; correct the row",
            spec.name,
            rows[row].len()
        ));
    }
    Ok((row_shape, rows))
}

fn nesting(value: &Value) -> Vec<Option<usize>> {
    let mut shape = Vec::new();
    let mut value = Some(value);
    while let Some(Value::Array(items)) = value {
        shape.push(Some(items.len()));
        value = items.first();
    }
    shape
}

fn fill(buffer: &mut Buffer, spec: &TensorSpec, rows: Vec<Vec<Value>>) -> Result<(), String> {
    let width = rows.first().map_or(1, Vec::len).max(1);
    let values = rows.into_iter().flatten().enumerate();
    let wrong = |place: usize, value: &Value, dtype: DType| {
        format!(
            "row {} of `{}` holds {value}, which is no {dtype}; correct the row",
            place / width,
            spec.name
        )
    };
    let dtype = buffer.dtype();
    macro_rules! fill {
        ($data:expr, $convert:expr) => {
            for (place, value) in values {
                $data[place] = $convert(&value).ok_or_else(|| wrong(place, &value, dtype))?;
            }
        };
    }
    match buffer {
        Buffer::Float32(data) => fill!(data, |value| float(value).map(|number| number as f32)),
        Buffer::Float64(data) => fill!(data, float),
        Buffer::Float16(data) => fill!(data, |value| float(value).map(f16::from_f64)),
        Buffer::Int32(data) => fill!(data, |value: &Value| value.as_i64().and_then(|n| i32::try_from(n).ok())),
        Buffer::Int64(data) => fill!(data, Value::as_i64),
        Buffer::Bool(data) => fill!(data, Value::as_bool),
        Buffer::String(data) => fill!(data, |value: &Value| value.as_str().map(str::to_owned)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, dtype: DType, row_shape: &[Option<usize>]) -> TensorSpec {
        TensorSpec {
            name: name.into(),
            dtype,
            row_shape: row_shape.into(),
        }
    }

    fn fit(text: &str) -> Result<Golden, String> {
        let inputs = [spec("x", DType::Float32, &[Some(2)]), spec("n", DType::Int32, &[])];
        let outputs = [spec("y", DType::Float32, &[Some(1)]), spec("label", DType::String, &[])];
        Golden::fit(serde_json::from_str(text).unwrap(), &inputs, &outputs, None)
    }

    const GOOD: &str = r#"{"format": 1, "tolerance": 0.01,
        "inputs": {"x": [[1, 2.5], ["NaN", "-Infinity"]], "n": [7, [8]]},
        "outputs": {"y": [[0.5], ["NaN"]], "label": ["a", "b"]}}"#;

    #[test]
    fn rows_fill_the_inputs_in_the_models_order() {
        let golden = fit(GOOD).unwrap();
        let Buffer::Float32(x) = &golden.inputs.inputs[0].data else {
            panic!("x is float32")
        };
        assert_eq!(x[..2], [1.0, 2.5]);
        assert!(x[2].is_nan() && x[3] == f32::NEG_INFINITY);
        assert_eq!(golden.inputs.inputs[1].data, Buffer::Int32(vec![7, 8]));
        assert_eq!(golden.inputs.rows, 2);
    }

    #[test]
    fn the_first_difference_is_named_and_nan_equals_nan() {
        let golden = fit(GOOD).unwrap();
        let labels = ["a".to_owned(), "b".to_owned()];
        let run = |y: &[f32; 2]| {
            let y = View {
                width: 1,
                data: Data::Float32(y),
            };
            golden.compare(&[
                y,
                View {
                    width: 1,
                    data: Data::String(&labels),
                },
            ])
        };
        assert_eq!(run(&[0.509, f32::NAN]), None);
        let mismatch = run(&[0.5, 3.0]).unwrap();
        assert_eq!((mismatch.output, mismatch.row, mismatch.got.as_str()), (0, 1, "3"));
        assert!(run(&[f32::NAN, f32::NAN]).is_some());
        assert!(run(&[f32::INFINITY, f32::NAN]).is_some());
    }

    #[test]
    fn tolerance_is_relative_above_one_and_absolute_below() {
        assert!(is_near(1000.05, 1000.0, 1e-4));
        assert!(!is_near(1000.2, 1000.0, 1e-4));
        assert!(is_near(1e-5, 0.0, 1e-4));
        assert!(!is_near(1e30, f64::INFINITY, 1e-4));
        assert!(is_near(2.0, 2.0, 0.0));
    }

    #[test]
    fn a_file_that_does_not_fit_says_where() {
        let cases = [
            (GOOD.replace("\"format\": 1", "\"format\": 2"), "is of format 2"),
            (GOOD.replace("[1, 2.5]", "[1]"), "row 0 of `x`"),
            (GOOD.replace("[8]", "8.5"), "row 1 of `n`"),
            (GOOD.replace("[8]", "4000000000"), "row 1 of `n`"),
            (GOOD.replace("\"n\": [7, [8]]", "\"n\": [7]"), "rows where others have"),
            (GOOD.replace("\"n\"", "\"m\""), "no rows for the model's input `n`"),
            (GOOD.replace("\"y\"", "\"z\""), "no output `z`"),
        ];
        for (text, part) in cases {
            let error = fit(&text).unwrap_err();
            assert!(error.contains(part), "{error} should contain {part}");
        }
    }
}
