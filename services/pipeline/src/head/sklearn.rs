//! scikit-learn's classifiers as they are exported by default: a label and a matrix of probabilities.

use std::collections::HashMap;
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::classes::Classes;
use super::classification::{class_members, render_class};
use super::members::Member;
use super::numbers::{all_finite, probabilities};
use super::outputs::{Elements, Labels, ModelOutputs, Need, Output, WidthNeed, bad};
use super::{Head, HeadType, Holds, Predictions, Values, Widths};
use crate::score::RunError;
use crate::settings::Problem;
use crate::tensor::View;

/// A head of type `sklearn`: the label that the classifier itself decided for. The confidence is the probability of
/// that label, which is not the highest one for classifiers that decide by other means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SklearnSettings {
    /// The model's output with the label, `[N]`. Default: the only one with 64-bit integers or strings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The model's output with the probabilities, `[N,C]`; a ZipMap counts as such a matrix. Default: the only
    /// floating-point one that fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probabilities: Option<String>,
    /// Names of the classes in the order of the probabilities, to be written in place of the model's own. Default: the
    /// model's own names, else `"0"`, `"1"`, … Where the model carries no names, its integer labels are looked up among
    /// these when these are whole numbers, and are positions otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
}

const LABEL: Need = Need {
    key: "label",
    elements: Elements::Labels,
    width: WidthNeed::Exactly(1),
    words: "one output [N] with labels (int64 or string)",
};

const PROBABILITIES: Need = Need {
    key: "probabilities",
    elements: Elements::Floats,
    width: WidthNeed::AtLeast(2),
    words: "one floating-point output [N,C] with the probabilities",
};

const SCORES_HINT: &str = "a classifier that gives scores needs probability calibration before it is exported";

impl HeadType for SklearnSettings {
    fn compile(&self, model: &ModelOutputs<'_>) -> Result<Box<dyn Head>, Vec<Problem>> {
        let mut problems = Vec::new();
        let label = model
            .find(&LABEL, self.label.as_deref())
            .map_err(|p| problems.push(p))
            .ok();
        let matrix = model
            .find(&PROBABILITIES, self.probabilities.as_deref())
            .map_err(|p| problems.push(p))
            .ok();
        let (Some(label), Some(probabilities)) = (label, matrix) else {
            return Err(problems);
        };
        let classes =
            Classes::resolve(self.classes.as_deref(), model.class_names, probabilities.width).map_err(|p| vec![p])?;
        let positions = Positions::new(model.class_names.unwrap_or(classes.names()));
        Ok(Box::new(Sklearn {
            label,
            probabilities,
            classes,
            positions,
        }))
    }

    fn members() -> Vec<Member> {
        class_members(&[])
    }

    #[cfg(test)]
    fn specimens() -> Vec<super::laws::Specimen> {
        use super::laws::{Fill, Specimen};
        let specimen = || Specimen::new(serde_json::json!({"type": "sklearn"}));
        vec![
            specimen().gives("output_label", &[], Fill::Labels(3)).gives(
                "output_probability",
                &[3],
                Fill::Probabilities,
            ),
            specimen()
                .gives("output_label", &[1], Fill::Names(&["died", "survived"]))
                .gives("output_probability", &[2], Fill::Probabilities)
                .with_classes(&["died", "survived"]),
        ]
    }
}

/// The position of each label among the probabilities.
#[derive(Debug)]
struct Positions {
    by_name: HashMap<String, usize>,
    by_number: HashMap<i64, usize>,
}

impl Positions {
    fn new(names: &[String]) -> Self {
        let numbers: Option<HashMap<i64, usize>> = names
            .iter()
            .enumerate()
            .map(|(at, name)| Some((name.parse().ok()?, at)))
            .collect();
        Self {
            by_name: names.iter().cloned().zip(0..).collect(),
            by_number: numbers.unwrap_or_else(|| (0..).zip(0..names.len()).collect()),
        }
    }

    fn find(&self, labels: Labels<'_>, row: usize) -> Option<usize> {
        match labels {
            Labels::Integers(labels) => self.by_number.get(&labels[row]),
            Labels::Strings(labels) => self.by_name.get(&labels[row]),
        }
        .copied()
    }
}

#[derive(Debug)]
struct Sklearn {
    label: Output,
    probabilities: Output,
    classes: Classes,
    positions: Positions,
}

impl Sklearn {
    /// The label is not told: a model may give a text of the event back.
    fn unknown_label(&self) -> RunError {
        let (name, classes) = (&self.label.name, self.classes.len());
        bad(format!(
            "output `{name}` holds a label that is none of the {classes} classes; name the classes as the model \
             does with `classes` in its head"
        ))
    }
}

impl Head for Sklearn {
    fn read(&self, outputs: &[View<'_>], rows: Range<usize>, into: &mut Predictions) -> Result<(), RunError> {
        let classes = self.classes.len();
        self.probabilities.expect_width(outputs, classes)?;
        let labels = self.label.labels(outputs, rows.len())?;
        let block = into.block(rows, Widths::of(classes))?;
        self.probabilities.floats(outputs, block.values)?;
        for (row, values) in block.values.chunks_exact_mut(classes).enumerate() {
            if !all_finite(values) {
                values.fill(0.0);
                continue;
            }
            probabilities(values, &self.probabilities.name, SCORES_HINT)?;
            let class = self.positions.find(labels, row).ok_or_else(|| self.unknown_label())?;
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
        Holds::only(Values::Classes(self.classes.len()))
    }
}
