//! Any number of labels at once, each with a probability of its own.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::binary::threshold_problem;
use super::classes::Classes;
use super::classification::LOGITS_HINT;
use super::members::{Content, Member, count};
use super::numbers::{Scale, all_finite, logistic, probabilities};
use super::outputs::{Elements, ModelOutputs, Need, Output, WidthNeed, problem};
use super::{Head, HeadType, Holds, Predictions, Values, Widths};
use crate::render::json;
use crate::score::RunError;
use crate::settings::Problem;
use crate::tensor::View;

/// A head of type `multi-label`: every label whose probability p reaches its threshold. The confidence is that of the
/// least certain label: the minimum, over all labels, of max(p, 1 − p); so it lies between 0.5 and 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MultiLabelSettings {
    /// What the model gives: `"logits"` (the logistic function is applied to each) or `"probabilities"`. Required:
    /// neither can be told from the other by its shape.
    pub from: Scale,
    /// The model's output with one number for each label, `[N,L]`. Default: the only floating-point one that fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Names of the labels in the order of the numbers. Default: the model's own, else `"0"`, `"1"`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// Probability from which on a label is given: one number for all, or a list with one for each label in order. From
    /// 0 (always) to 1; default 0.5.
    #[serde(default)]
    pub threshold: Threshold,
}

/// One threshold for all labels, or one for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Threshold {
    /// The same for all labels.
    One(f32),
    /// One for each label, in order.
    Each(Vec<f32>),
}

impl Default for Threshold {
    fn default() -> Self {
        Self::One(0.5)
    }
}

impl Threshold {
    fn of_each(&self, labels: usize) -> Result<Vec<f32>, Problem> {
        let thresholds = match self {
            Self::One(threshold) => vec![*threshold; labels],
            Self::Each(thresholds) => thresholds.clone(),
        };
        if thresholds.len() != labels {
            let given = thresholds.len();
            return Err(problem(
                "threshold",
                format!("{given} thresholds are given for {labels} labels; write one for each, or one number for all"),
            ));
        }
        match thresholds.iter().find(|threshold| !(0.0..=1.0).contains(*threshold)) {
            Some(threshold) => Err(threshold_problem(*threshold)),
            None => Ok(thresholds),
        }
    }
}

const NEED: Need = Need {
    key: "output",
    elements: Elements::Floats,
    width: WidthNeed::AtLeast(1),
    words: "one floating-point output [N,L] with a number for each label",
};

/// What is written about these labels; about any where none are named.
fn label_members(labels: &[String]) -> Vec<Member> {
    vec![
        Member::new(
            "labels",
            Content::Labels(labels.to_vec()),
            "The labels whose probability reaches their threshold.",
        ),
        Member::new(
            "confidence",
            Content::Probability,
            "That of the least certain label: the minimum of max(p, 1 - p).",
        ),
        Member::new(
            "probabilities",
            Content::Probabilities(count(labels)),
            "The probability of each label, in the order in which `labels` names them.",
        ),
    ]
}

impl HeadType for MultiLabelSettings {
    fn compile(&self, model: &ModelOutputs<'_>) -> Result<Box<dyn Head>, Vec<Problem>> {
        let output = model.find(&NEED, self.output.as_deref()).map_err(|p| vec![p])?;
        let classes =
            Classes::resolve(self.classes.as_deref(), model.class_names, output.width).map_err(|p| vec![p])?;
        let thresholds = self.threshold.of_each(classes.len()).map_err(|p| vec![p])?;
        Ok(Box::new(MultiLabel {
            from: self.from,
            output,
            classes,
            thresholds,
        }))
    }

    fn members() -> Vec<Member> {
        label_members(&[])
    }

    #[cfg(test)]
    fn specimens() -> Vec<super::laws::Specimen> {
        use super::laws::{Fill, Specimen};
        let settings =
            |from: &str| serde_json::json!({"type": "multi-label", "from": from, "threshold": [0.5, 0.1, 0.9]});
        vec![
            Specimen::new(settings("logits")).gives("scores", &[3], Fill::Reals),
            Specimen::new(settings("probabilities"))
                .gives("label", &[3], Fill::Labels(2))
                .gives("probabilities", &[3], Fill::Probabilities),
        ]
    }
}

#[derive(Debug)]
struct MultiLabel {
    from: Scale,
    output: Output,
    classes: Classes,
    thresholds: Vec<f32>,
}

impl Head for MultiLabel {
    fn read(&self, outputs: &[View<'_>], rows: Range<usize>, into: &mut Predictions) -> Result<(), RunError> {
        let labels = self.classes.len();
        self.output.expect_width(outputs, labels)?;
        let block = into.block(rows, Widths::of(labels).with_logits(self.from))?;
        self.output.floats(outputs, block.values)?;
        if self.from == Scale::Logits {
            block.logits.copy_from_slice(block.values);
        }
        for (row, values) in block.values.chunks_exact_mut(labels).enumerate() {
            if !all_finite(values) {
                values.fill(0.0);
                continue;
            }
            match self.from {
                Scale::Logits => values.iter_mut().for_each(|value| *value = logistic(*value)),
                Scale::Probabilities => probabilities(values, &self.output.name, LOGITS_HINT)?,
            }
            block.confidence[row] = values.iter().map(|p| p.max(1.0 - p)).fold(1.0, f32::min);
            block.valid[row] = true;
        }
        Ok(())
    }

    fn render(&self, predictions: &Predictions, row: usize, json: &mut Vec<u8>) {
        json.extend_from_slice(b"\"labels\":[");
        let values = predictions.values(row);
        let mut is_first = true;
        for (label, (value, threshold)) in values.iter().zip(&self.thresholds).enumerate() {
            if value >= threshold {
                if !std::mem::take(&mut is_first) {
                    json.push(b',');
                }
                json.extend_from_slice(self.classes.json(label));
            }
        }
        json.extend_from_slice(b"],\"confidence\":");
        json::float(predictions.confidence(row).unwrap_or(f32::NAN), json);
        json.extend_from_slice(b",\"probabilities\":");
        json::floats(values, json);
    }

    fn classes(&self) -> &[String] {
        self.classes.names()
    }

    fn thresholds(&self) -> &[f32] {
        &self.thresholds
    }

    fn members(&self) -> Vec<Member> {
        label_members(self.classes.names())
    }

    fn holds(&self) -> Holds {
        Holds::only(Values::Labels(self.classes.len())).with_logits(self.from)
    }
}
