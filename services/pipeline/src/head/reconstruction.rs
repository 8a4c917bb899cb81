//! The model's input again, as an autoencoder gives it.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::embedding::read_vectors;
use super::members::{Content, Member};
use super::outputs::{Elements, ModelOutputs, Need, Output, WidthNeed, bad};
use super::{Head, HeadType, Holds, Predictions, Values};
use crate::render::json;
use crate::score::RunError;
use crate::settings::Problem;
use crate::tensor::{Buffer, Input, Inputs, View};

/// A head of type `reconstruction`: how far the model's output is from its input, as mean squared error. The output
/// itself is not written. It has no confidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReconstructionSettings {
    /// The model's output with the reconstruction, as many numbers a row as its one floating-point input has. Default:
    /// the only one that fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

const NEED: Need = Need {
    key: "output",
    elements: Elements::Floats,
    width: WidthNeed::AtLeast(1),
    words: "one floating-point output with the input's numbers",
};

const ERROR: Member = Member::new(
    "error",
    Content::Number,
    "Mean squared difference between the model's output and its input.",
);

impl HeadType for ReconstructionSettings {
    fn compile(&self, model: &ModelOutputs<'_>) -> Result<Box<dyn Head>, Vec<Problem>> {
        let output = model.find(&NEED, self.output.as_deref()).map_err(|p| vec![p])?;
        Ok(Box::new(Reconstruction { output }))
    }

    fn members() -> Vec<Member> {
        vec![ERROR]
    }

    #[cfg(test)]
    fn specimens() -> Vec<super::laws::Specimen> {
        use super::laws::{Fill, Specimen};
        vec![Specimen::new(serde_json::json!({"type": "reconstruction"})).gives("decoded", &[16], Fill::Reals)]
    }
}

#[derive(Debug)]
struct Reconstruction {
    output: Output,
}

impl Head for Reconstruction {
    fn read(&self, outputs: &[View<'_>], rows: Range<usize>, into: &mut Predictions) -> Result<(), RunError> {
        read_vectors(&self.output, outputs, rows, into)
    }

    fn compare(&self, inputs: &Inputs, rows: Range<usize>, into: &mut Predictions) -> Result<(), RunError> {
        let width = into.width();
        let is_float = |input: &&Input| {
            let is_float = matches!(input.data, Buffer::Float32(_) | Buffer::Float64(_) | Buffer::Float16(_));
            is_float && input.width == width
        };
        let Some(input) = inputs.inputs.iter().find(is_float) else {
            let name = &self.output.name;
            return Err(bad(format!(
                "output `{name}` has {width} values a row, and the model has no floating-point input of as many; name the \
                 output that reconstructs the input"
            )));
        };
        for row in rows {
            if into.is_valid(row) {
                let error = mean_squared_error(into.values(row), &input.data, row * width);
                into.set_anomaly(row, error);
            }
        }
        Ok(())
    }

    fn render(&self, predictions: &Predictions, row: usize, json: &mut Vec<u8>) {
        json.extend_from_slice(b"\"error\":");
        json::float(predictions.anomaly(row).unwrap_or(f32::NAN), json);
    }

    fn members(&self) -> Vec<Member> {
        vec![ERROR]
    }

    fn holds(&self) -> Holds {
        Holds::only(Values::Reconstruction)
    }
}

fn mean_squared_error(reconstruction: &[f32], input: &Buffer, from: usize) -> f32 {
    let here = from..from + reconstruction.len();
    let sum = match input {
        Buffer::Float32(data) => squares(reconstruction, data[here].iter().copied()),
        Buffer::Float64(data) => squares(reconstruction, data[here].iter().map(|x| *x as f32)),
        Buffer::Float16(data) => squares(reconstruction, data[here].iter().map(|x| x.to_f32())),
        _ => f32::NAN,
    };
    (sum / reconstruction.len() as f32).min(f32::MAX)
}

fn squares(reconstruction: &[f32], input: impl Iterator<Item = f32>) -> f32 {
    reconstruction.iter().zip(input).map(|(r, x)| (r - x) * (r - x)).sum()
}
