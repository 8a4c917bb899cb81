//! How unusual an event is.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::members::{Content, Member};
use super::outputs::{Elements, ModelOutputs, Need, Output, WidthNeed};
use super::{Head, HeadType, Holds, Predictions, Values, Widths};
use crate::render::json;
use crate::score::RunError;
use crate::settings::Problem;
use crate::tensor::View;

/// A head of type `anomaly`: the model's score, turned where necessary so that higher is more anomalous. Everything
/// downstream (predictions, `select.anomaly_above`) uses the turned score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnomalySettings {
    /// What a higher score of the model means: `"anomalous"`, or `"normal"` as for scikit-learn's outlier detectors
    /// (IsolationForest, OneClassSVM, LocalOutlierFactor), whose score is then turned round by its sign. Required: the
    /// wrong one selects the most ordinary events.
    pub higher_is: Higher,
    /// The model's output with the score, `[N]` or `[N,1]`. Default: the only one that fits; an integer verdict beside
    /// it is left aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// What a higher score means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Higher {
    /// Higher is more anomalous: reconstruction errors, distances.
    Anomalous,
    /// Higher is more normal: scikit-learn's `decision_function` and `score_samples`.
    Normal,
}

const NEED: Need = Need {
    key: "output",
    elements: Elements::Floats,
    width: WidthNeed::Exactly(1),
    words: "one floating-point output [N] or [N,1]",
};

const SCORE: Member = Member::new(
    "score",
    Content::Number,
    "How unusual the event is; higher is more anomalous.",
);

impl HeadType for AnomalySettings {
    fn compile(&self, model: &ModelOutputs<'_>) -> Result<Box<dyn Head>, Vec<Problem>> {
        let output = model.find(&NEED, self.output.as_deref()).map_err(|p| vec![p])?;
        Ok(Box::new(Anomaly {
            higher_is: self.higher_is,
            output,
        }))
    }

    fn members() -> Vec<Member> {
        vec![SCORE]
    }

    #[cfg(test)]
    fn specimens() -> Vec<super::laws::Specimen> {
        use super::laws::{Fill, Specimen};
        let specimen = |higher: &str| {
            Specimen::new(serde_json::json!({"type": "anomaly", "higher_is": higher}))
                .gives("label", &[1], Fill::Labels(2))
                .gives("scores", &[1], Fill::Reals)
        };
        vec![specimen("anomalous"), specimen("normal")]
    }
}

#[derive(Debug)]
struct Anomaly {
    higher_is: Higher,
    output: Output,
}

impl Head for Anomaly {
    fn read(&self, outputs: &[View<'_>], rows: Range<usize>, into: &mut Predictions) -> Result<(), RunError> {
        self.output.expect_width(outputs, 1)?;
        let block = into.block(rows, Widths::of(1))?;
        self.output.floats(outputs, block.values)?;
        for (row, score) in block.values.iter_mut().enumerate() {
            if !score.is_finite() {
                *score = 0.0;
                continue;
            }
            if self.higher_is == Higher::Normal {
                // Not a bare minus: it would write a score of nothing as `-0.0`.
                *score = 0.0 - *score;
            }
            block.anomaly[row] = *score;
            block.valid[row] = true;
        }
        Ok(())
    }

    fn render(&self, predictions: &Predictions, row: usize, json: &mut Vec<u8>) {
        json.extend_from_slice(b"\"score\":");
        json::float(predictions.anomaly(row).unwrap_or(f32::NAN), json);
    }

    fn members(&self) -> Vec<Member> {
        vec![SCORE]
    }

    fn holds(&self) -> Holds {
        Holds::only(Values::Score)
    }
}
