//! A vector that stands for the event.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::members::{Content, Member};
use super::numbers::all_finite;
use super::outputs::{Elements, ModelOutputs, Need, Output, WidthNeed};
use super::{Head, HeadType, Holds, Predictions, Values, Widths};
use crate::render::json;
use crate::score::RunError;
use crate::settings::Problem;
use crate::tensor::View;

/// A head of type `embedding`: the model's vector as it is, written as 32-bit floats. It has no confidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingSettings {
    /// The model's output with one vector for each event, `[N,D]`; token embeddings must be pooled in the model.
    /// Default: the only one that fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

const NEED: Need = Need {
    key: "output",
    elements: Elements::Floats,
    width: WidthNeed::AtLeast(1),
    words: "one floating-point output [N,D] with a vector for each row",
};

fn vector(width: Option<usize>) -> Member {
    Member::new(
        "embedding",
        Content::Numbers(width),
        "The vector that stands for the event.",
    )
}

impl HeadType for EmbeddingSettings {
    fn compile(&self, model: &ModelOutputs<'_>) -> Result<Box<dyn Head>, Vec<Problem>> {
        let output = model.find(&NEED, self.output.as_deref()).map_err(|p| vec![p])?;
        Ok(Box::new(Embedding { output }))
    }

    fn members() -> Vec<Member> {
        vec![vector(None)]
    }

    #[cfg(test)]
    fn specimens() -> Vec<super::laws::Specimen> {
        use super::laws::{Fill, Specimen};
        vec![Specimen::new(serde_json::json!({"type": "embedding"})).gives("embedding", &[16], Fill::Reals)]
    }
}

/// Reads an output as it is. A row with a number that is not finite is not valid.
pub(super) fn read_vectors(
    output: &Output,
    outputs: &[View<'_>],
    rows: Range<usize>,
    into: &mut Predictions,
) -> Result<(), RunError> {
    let width = output.width_of(outputs)?;
    let block = into.block(rows, Widths::of(width))?;
    output.floats(outputs, block.values)?;
    for (valid, vector) in block.valid.iter_mut().zip(block.values.chunks_exact_mut(width)) {
        *valid = all_finite(vector);
        if !*valid {
            vector.fill(0.0);
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Embedding {
    output: Output,
}

impl Head for Embedding {
    fn read(&self, outputs: &[View<'_>], rows: Range<usize>, into: &mut Predictions) -> Result<(), RunError> {
        read_vectors(&self.output, outputs, rows, into)
    }

    fn render(&self, predictions: &Predictions, row: usize, json: &mut Vec<u8>) {
        json.extend_from_slice(b"\"embedding\":");
        json::floats(predictions.values(row), json);
    }

    fn members(&self) -> Vec<Member> {
        vec![vector(self.output.width)]
    }

    fn holds(&self) -> Holds {
        Holds::only(Values::Vector)
    }
}
