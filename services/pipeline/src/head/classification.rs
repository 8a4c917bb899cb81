//! One class out of several, from logits or probabilities.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::classes::Classes;
use super::members::{Content, Member, count};
use super::numbers::{Scale, all_finite, highest, probabilities, softmax};
use super::outputs::{Elements, ModelOutputs, Need, Output, WidthNeed};
use super::{Head, HeadType, Holds, Predictions, Values, Widths};
use crate::render::json;
use crate::score::RunError;
use crate::settings::Problem;
use crate::tensor::View;

/// A head of type `classification`: the class with the highest probability. Its confidence is that probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassificationSettings {
    /// What the model gives: `"logits"` (softmax is applied) or `"probabilities"`. Required: neither can be told from
    /// the other by its shape, and the wrong one gives wrong confidences.
    pub from: Scale,
    /// The model's output with one number for each class, `[N,C]`. Default: the only one that fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Names of the classes in the order of the numbers. Default: the model's own names, else `"0"`, `"1"`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
}

const NEED: Need = Need {
    key: "output",
    elements: Elements::Floats,
    width: WidthNeed::AtLeast(2),
    words: "one floating-point output [N,C] with a number for each of at least two classes",
};

impl HeadType for ClassificationSettings {
    fn compile(&self, model: &ModelOutputs<'_>) -> Result<Box<dyn Head>, Vec<Problem>> {
        let output = model.find(&NEED, self.output.as_deref()).map_err(|p| vec![p])?;
        let classes =
            Classes::resolve(self.classes.as_deref(), model.class_names, output.width).map_err(|p| vec![p])?;
        Ok(Box::new(Classification {
            from: self.from,
            output,
            classes,
        }))
    }

    fn members() -> Vec<Member> {
        class_members(&[])
    }

    #[cfg(test)]
    fn specimens() -> Vec<super::laws::Specimen> {
        use super::laws::{Fill, Specimen};
        let specimen = |from: &str, fill| {
            Specimen::new(serde_json::json!({"type": "classification", "from": from})).gives("scores", &[10], fill)
        };
        vec![
            specimen("logits", Fill::Reals),
            specimen("probabilities", Fill::Probabilities),
        ]
    }
}

#[derive(Debug)]
struct Classification {
    from: Scale,
    output: Output,
    classes: Classes,
}

impl Head for Classification {
    fn read(&self, outputs: &[View<'_>], rows: Range<usize>, into: &mut Predictions) -> Result<(), RunError> {
        let classes = self.classes.len();
        self.output.expect_width(outputs, classes)?;
        let block = into.block(rows, Widths::of(classes).with_logits(self.from))?;
        self.output.floats(outputs, block.values)?;
        if self.from == Scale::Logits {
            block.logits.copy_from_slice(block.values);
        }
        for (row, values) in block.values.chunks_exact_mut(classes).enumerate() {
            if !all_finite(values) {
                values.fill(0.0);
                continue;
            }
            match self.from {
                Scale::Logits => softmax(values),
                Scale::Probabilities => probabilities(values, &self.output.name, LOGITS_HINT)?,
            }
            let class = highest(values);
            block.class[row] = class as u32;
            block.confidence[row] = values[class];
            block.valid[row] = true;
        }
        Ok(())
    }

    fn render(&self, predictions: &Predictions, row: usize, json: &mut Vec<u8>) {
        render_class(&self.classes, predictions, row, json);
    }

    fn members(&self) -> Vec<Member> {
        class_members(self.classes.names())
    }

    fn classes(&self) -> &[String] {
        self.classes.names()
    }

    fn holds(&self) -> Holds {
        Holds::only(Values::Classes(self.classes.len())).with_logits(self.from)
    }
}

/// What [`render_class`] writes about these classes; about any where none are named.
pub(super) fn class_members(classes: &[String]) -> Vec<Member> {
    vec![
        Member::new(
            "label",
            Content::Class(classes.to_vec()),
            "The class that was decided for.",
        ),
        Member::new("confidence", Content::Probability, "The probability of that class."),
        Member::new(
            "probabilities",
            Content::Probabilities(count(classes)),
            "The probability of each class, in the order in which `label` names them.",
        ),
    ]
}

/// What to do when probabilities are none.
pub(super) const LOGITS_HINT: &str = "if the model gives logits, set `from = \"logits\"` in its head";

/// The members of every head that decides for one class: label, confidence, probabilities.
pub(super) fn render_class(classes: &Classes, predictions: &Predictions, row: usize, json: &mut Vec<u8>) {
    json.extend_from_slice(b"\"label\":");
    match predictions.class(row) {
        Some(class) => json.extend_from_slice(classes.json(class)),
        None => json.extend_from_slice(b"null"),
    }
    json.extend_from_slice(b",\"confidence\":");
    json::float(predictions.confidence(row).unwrap_or(f32::NAN), json);
    json.extend_from_slice(b",\"probabilities\":");
    json::floats(predictions.values(row), json);
}
