//! Numbers: one target or several, with or without their spread.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::numbers::all_finite;
use super::outputs::{Elements, ModelOutputs, Need, Output, WidthNeed, bad, problem};
use super::{Head, HeadType, Predictions, Signal, Widths};
use crate::render::json;
use crate::score::RunError;
use crate::settings::Problem;
use crate::tensor::View;

/// A head of type `regression`: the model's numbers as they are, written as 32-bit floats. It has no confidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegressionSettings {
    /// The model's output with the value, `[N]` or `[N,1]`, or with several, `[N,T]`. Default: the only floating-point
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The model's output with the standard deviation of each value, of the same shape. Default: none, predictions carry
    /// no `spread`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<String>,
}

const VALUE: Need = Need {
    key: "output",
    elements: Elements::Floats,
    width: WidthNeed::AtLeast(1),
    words: "one floating-point output [N], [N,1] or [N,T]",
};

const SPREAD: Need = Need { key: "spread", ..VALUE };

impl HeadType for RegressionSettings {
    fn compile(&self, model: &ModelOutputs<'_>) -> Result<Box<dyn Head>, Vec<Problem>> {
        let mut problems = Vec::new();
        let taken: Vec<&str> = self.spread.as_deref().into_iter().collect();
        let value = model
            .find_beside(&VALUE, self.output.as_deref(), &taken)
            .map_err(|p| problems.push(p))
            .ok();
        let spread = self
            .spread
            .as_deref()
            .and_then(|name| model.find(&SPREAD, Some(name)).map_err(|p| problems.push(p)).ok());
        if let (Some(value), Some(spread)) = (&value, &spread) {
            problems.extend(mismatch(value, spread));
        }
        match value {
            Some(value) if problems.is_empty() => Ok(Box::new(Regression { value, spread })),
            _ => Err(problems),
        }
    }

    #[cfg(test)]
    fn specimens() -> Vec<super::laws::Specimen> {
        use super::laws::{Fill, Specimen};
        let specimen = || Specimen::new(serde_json::json!({"type": "regression"}));
        vec![
            specimen().gives("variable", &[1], Fill::Reals),
            specimen().gives("targets", &[3], Fill::Reals),
            Specimen::new(serde_json::json!({"type": "regression", "spread": "std"}))
                .gives("mean", &[], Fill::Reals)
                .gives("std", &[], Fill::Probabilities),
        ]
    }
}

fn mismatch(value: &Output, spread: &Output) -> Option<Problem> {
    if value.name == spread.name {
        return Some(problem(
            "spread",
            format!(
                "`{}` is the value itself; name the output with the standard deviation",
                value.name
            ),
        ));
    }
    match (value.width, spread.width) {
        (Some(values), Some(spreads)) if values != spreads => Some(problem(
            "spread",
            format!(
                "`{}` has {spreads} numbers a row and `{}` has {values}; each value needs one standard deviation",
                spread.name, value.name
            ),
        )),
        _ => None,
    }
}

#[derive(Debug)]
struct Regression {
    value: Output,
    spread: Option<Output>,
}

impl Head for Regression {
    fn read(&self, outputs: &[View<'_>], rows: Range<usize>, into: &mut Predictions) -> Result<(), RunError> {
        let values = self.value.width_of(outputs)?;
        let count = rows.len();
        let widths = Widths {
            values,
            spread: if self.spread.is_some() { values } else { 0 },
        };
        let block = into.block(rows, widths)?;
        self.value.floats(outputs, block.values)?;
        if let Some(output) = &self.spread {
            output.expect_width(outputs, values)?;
            output.floats(outputs, block.spread)?;
        }
        for row in 0..count {
            let of_row = row * values..(row + 1) * values;
            let spread = if self.spread.is_some() { of_row.clone() } else { 0..0 };
            if !all_finite(&block.values[of_row.clone()]) || !all_finite(&block.spread[spread.clone()]) {
                block.values[of_row].fill(0.0);
                block.spread[spread].fill(0.0);
                continue;
            }
            if let Some(negative) = block.spread[spread].iter().find(|spread| **spread < 0.0) {
                return Err(bad(format!(
                    "the output for `spread` holds {negative}, which is no standard deviation; name an output that has them"
                )));
            }
            block.valid[row] = true;
        }
        Ok(())
    }

    fn render(&self, predictions: &Predictions, row: usize, json: &mut Vec<u8>) {
        json.extend_from_slice(b"\"value\":");
        one_or_several(predictions.values(row), json);
        if self.spread.is_some() {
            json.extend_from_slice(b",\"spread\":");
            one_or_several(predictions.spread(row), json);
        }
    }

    fn signals(&self) -> &'static [Signal] {
        &[]
    }
}

fn one_or_several(values: &[f32], json: &mut Vec<u8>) {
    match values {
        [value] => json::float(*value, json),
        values => json::floats(values, json),
    }
}
