//! Numbers: one target or several, with or without their spread.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::members::{Content, Member};
use super::numbers::all_finite;
use super::outputs::{Elements, ModelOutputs, Need, Output, WidthNeed, bad, problem};
use super::{Head, HeadType, Holds, Predictions, Values, Widths};
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
    /// The model's output with the lower quantile of each value, of the same shape; `upper` names the other. Where one
    /// output has both, `[N,2]` with the lower one first, both keys name it. Predictions then carry an `interval` with
    /// both ends of each value in turn. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<String>,
    /// The model's output with the upper quantile of each value. Default: none; needs `lower`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<String>,
}

const VALUE: Need = Need {
    key: "output",
    elements: Elements::Floats,
    width: WidthNeed::AtLeast(1),
    words: "one floating-point output [N], [N,1] or [N,T]",
};

const SPREAD: Need = Need { key: "spread", ..VALUE };
const LOWER: Need = Need { key: "lower", ..VALUE };
const UPPER: Need = Need { key: "upper", ..VALUE };

fn value(width: Option<usize>) -> Member {
    Member::new(
        "value",
        Content::NumberOrNumbers(width),
        "The value; a list where the model has several targets.",
    )
}

fn spread(width: Option<usize>) -> Member {
    Member::new(
        "spread",
        Content::NumberOrNumbers(width),
        "The standard deviation of each value.",
    )
}

fn interval(width: Option<usize>) -> Member {
    Member::new(
        "interval",
        Content::Numbers(width.map(|width| 2 * width)),
        "The lower and the upper end of each value in turn.",
    )
}

impl HeadType for RegressionSettings {
    fn compile(&self, model: &ModelOutputs<'_>) -> Result<Box<dyn Head>, Vec<Problem>> {
        let mut problems = Vec::new();
        let beside = [&self.spread, &self.lower, &self.upper];
        let taken: Vec<&str> = beside.into_iter().flatten().map(String::as_str).collect();
        let value = model
            .find_beside(&VALUE, self.output.as_deref(), &taken)
            .map_err(|p| problems.push(p))
            .ok();
        let mut find = |need: &Need, name: &Option<String>| {
            let found = model.find(need, Some(name.as_deref()?));
            found.map_err(|p| problems.push(p)).ok()
        };
        let spread = find(&SPREAD, &self.spread);
        let (lower, upper) = (find(&LOWER, &self.lower), find(&UPPER, &self.upper));
        if self.lower.is_some() != self.upper.is_some() {
            let missing = if self.lower.is_some() { "upper" } else { "lower" };
            problems.push(problem(
                missing,
                "an interval has two ends; name the outputs of both with `lower` and `upper`, or leave both out",
            ));
        }
        let interval = lower.zip(upper).map(|(lower, upper)| Interval::new(lower, upper));
        if let Some(value) = &value {
            if let Some(spread) = &spread {
                problems.extend(mismatch(value, "spread", spread, 1));
            }
            match &interval {
                Some(Interval::Two(lower, upper)) => {
                    problems.extend(mismatch(value, "lower", lower, 1));
                    problems.extend(mismatch(value, "upper", upper, 1));
                }
                Some(Interval::One(both)) => problems.extend(mismatch(value, "lower", both, 2)),
                None => {}
            }
        }
        match value {
            Some(value) if problems.is_empty() => Ok(Box::new(Regression {
                value,
                spread,
                interval,
            })),
            _ => Err(problems),
        }
    }

    fn members() -> Vec<Member> {
        vec![value(None), spread(None).optional(), interval(None).optional()]
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
            Specimen::new(
                serde_json::json!({"type": "regression", "output": "median", "lower": "q05", "upper": "q95"}),
            )
            .gives("q05", &[2], Fill::Reals)
            .gives("median", &[2], Fill::Reals)
            .gives("q95", &[2], Fill::Reals),
            Specimen::new(serde_json::json!({"type": "regression", "lower": "ends", "upper": "ends"}))
                .gives("median", &[], Fill::Reals)
                .gives("ends", &[2], Fill::Reals),
        ]
    }
}

/// What is wrong with an output that should have `each` numbers for each value.
fn mismatch(value: &Output, key: &str, beside: &Output, each: usize) -> Option<Problem> {
    if value.name == beside.name {
        return Some(problem(
            key,
            format!("`{}` is the value itself; name another output", value.name),
        ));
    }
    match (value.width, beside.width) {
        (Some(values), Some(numbers)) if values * each != numbers => Some(problem(
            key,
            format!(
                "`{}` has {numbers} numbers a row and `{}` has {values}; each value needs {each}",
                beside.name, value.name
            ),
        )),
        _ => None,
    }
}

/// Where the ends of each value's interval come from.
#[derive(Debug)]
enum Interval {
    /// Lower and upper ends side by side in one output.
    One(Output),
    /// An output for the lower ends and one for the upper ends.
    Two(Output, Output),
}

impl Interval {
    fn new(lower: Output, upper: Output) -> Self {
        if lower.name == upper.name {
            Self::One(lower)
        } else {
            Self::Two(lower, upper)
        }
    }

    /// Lays the ends of `values` values a row side by side.
    fn read(&self, outputs: &[View<'_>], values: usize, into: &mut [f32]) -> Result<(), RunError> {
        let (lower, upper) = match self {
            Self::One(both) => {
                both.expect_width(outputs, 2 * values)?;
                return both.floats(outputs, into);
            }
            Self::Two(lower, upper) => (lower, upper),
        };
        for (end, output) in [lower, upper].into_iter().enumerate() {
            output.expect_width(outputs, values)?;
            output.every_other_float(outputs, end, into)?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Regression {
    value: Output,
    spread: Option<Output>,
    interval: Option<Interval>,
}

impl Head for Regression {
    fn read(&self, outputs: &[View<'_>], rows: Range<usize>, into: &mut Predictions) -> Result<(), RunError> {
        let values = self.value.width_of(outputs)?;
        let widths = Widths {
            spread: if self.spread.is_some() { values } else { 0 },
            interval: if self.interval.is_some() { 2 * values } else { 0 },
            ..Widths::of(values)
        };
        let count = rows.len();
        let block = into.block(rows, widths)?;
        self.value.floats(outputs, block.values)?;
        if let Some(output) = &self.spread {
            output.expect_width(outputs, values)?;
            output.floats(outputs, block.spread)?;
        }
        if let Some(interval) = &self.interval {
            interval.read(outputs, values, block.interval)?;
        }
        for row in 0..count {
            let columns = [
                &mut block.values[row * values..][..values],
                &mut block.spread[row * widths.spread..][..widths.spread],
                &mut block.interval[row * widths.interval..][..widths.interval],
            ];
            if !columns.iter().all(|column| all_finite(column)) {
                columns.into_iter().for_each(|column| column.fill(0.0));
                continue;
            }
            if columns[1].iter().any(|spread| *spread < 0.0) {
                let name = self.spread.as_ref().map_or("", |output| &output.name);
                return Err(bad(format!(
                    "output `{name}` holds a number below zero, which is no standard deviation; name as `spread` an output that \
                     has them"
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
        if self.interval.is_some() {
            json.extend_from_slice(b",\"interval\":");
            json::floats(predictions.interval(row), json);
        }
    }

    fn members(&self) -> Vec<Member> {
        let width = self.value.width;
        let mut members = vec![value(width)];
        members.extend(self.spread.as_ref().map(|_| spread(width)));
        members.extend(self.interval.as_ref().map(|_| interval(width)));
        members
    }

    fn holds(&self) -> Holds {
        Holds {
            spread: self.spread.is_some(),
            interval: self.interval.is_some(),
            ..Holds::only(Values::Targets)
        }
    }
}

fn one_or_several(values: &[f32], json: &mut Vec<u8>) {
    match values {
        [value] => json::float(*value, json),
        values => json::floats(values, json),
    }
}
