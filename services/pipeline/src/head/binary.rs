//! One of two classes, from one number or two.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::classes::Classes;
use super::classification::{LOGITS_HINT, class_members, render_class};
use super::members::Member;
use super::numbers::{Scale, all_finite, logistic, probabilities, softmax};
use super::outputs::{Elements, ModelOutputs, Need, Output, WidthNeed, problem};
use super::{Head, HeadType, Holds, Predictions, Values, Widths};
use crate::score::RunError;
use crate::settings::Problem;
use crate::tensor::View;

/// A head of type `binary`: the second class where its probability reaches the threshold, the first class elsewhere.
/// The confidence is the probability of the class that was decided for, so it may lie below 0.5 where the threshold
/// does not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BinarySettings {
    /// What the model gives: `"logits"` (the logistic function, or softmax over two, is applied) or `"probabilities"`.
    /// Required: neither can be told from the other by its shape.
    pub from: Scale,
    /// The model's output with one number (of the second class, `[N]` or `[N,1]`) or two (`[N,2]`). Default: the only
    /// one that fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Names of the two classes, the second being the one that is looked for. Default: the model's own, else `"0"` and
    /// `"1"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// Probability from which on the second class is decided for. From 0 (always) to 1; default 0.5.
    #[serde(default = "half")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub threshold: f32,
}

const fn half() -> f32 {
    0.5
}

const NEED: Need = Need {
    key: "output",
    elements: Elements::Floats,
    width: WidthNeed::AtMost(2),
    words: "one floating-point output [N], [N,1] or [N,2]",
};

impl HeadType for BinarySettings {
    fn compile(&self, model: &ModelOutputs<'_>) -> Result<Box<dyn Head>, Vec<Problem>> {
        let mut problems = Vec::new();
        let output = model
            .find(&NEED, self.output.as_deref())
            .map_err(|p| problems.push(p))
            .ok();
        let classes = Classes::resolve(self.classes.as_deref(), model.class_names, Some(2))
            .map_err(|p| problems.push(p))
            .ok();
        if !(0.0..=1.0).contains(&self.threshold) {
            problems.push(threshold_problem(self.threshold));
        }
        match (output, classes) {
            (Some(output), Some(classes)) if problems.is_empty() => Ok(Box::new(Binary {
                from: self.from,
                output,
                classes,
                threshold: self.threshold,
            })),
            _ => Err(problems),
        }
    }

    fn members() -> Vec<Member> {
        class_members(&[])
    }

    #[cfg(test)]
    fn specimens() -> Vec<super::laws::Specimen> {
        use super::laws::{Fill, Specimen};
        let specimen = |from: &str, shape: &[usize], fill| {
            Specimen::new(serde_json::json!({"type": "binary", "from": from, "threshold": 0.3}))
                .gives("score", shape, fill)
        };
        vec![
            specimen("logits", &[], Fill::Reals),
            specimen("logits", &[2], Fill::Reals),
            specimen("probabilities", &[1], Fill::Probabilities),
            specimen("probabilities", &[2], Fill::Probabilities),
        ]
    }
}

/// A threshold that no probability can be compared with.
pub(super) fn threshold_problem(threshold: f32) -> Problem {
    problem(
        "threshold",
        format!("a probability lies between 0 and 1, and {threshold} does not; write a number such as 0.5"),
    )
}

#[derive(Debug)]
struct Binary {
    from: Scale,
    output: Output,
    classes: Classes,
    threshold: f32,
}

impl Binary {
    /// Turns the numbers of one row, the second of which may be missing, into the probabilities of both classes.
    fn pair(&self, raw: &mut [f32]) -> Result<[f32; 2], RunError> {
        match (self.from, &mut *raw) {
            (Scale::Logits, [logit]) => Ok([logistic(-*logit), logistic(*logit)]),
            (Scale::Logits, pair) => {
                softmax(pair);
                Ok([pair[0], pair[1]])
            }
            (Scale::Probabilities, given) => {
                probabilities(given, &self.output.name, LOGITS_HINT)?;
                Ok(match *given {
                    [second] => [1.0 - second, second],
                    _ => [given[0], given[1]],
                })
            }
        }
    }
}

/// One logit z is taken for the pair (−z/2, z/2): it has the same probabilities and treats both classes alike.
fn pair_of_logits(raw: &[f32]) -> [f32; 2] {
    match *raw {
        [first, second] => [first, second],
        _ => [-0.5 * raw[0], 0.5 * raw[0]],
    }
}

impl Head for Binary {
    fn read(&self, outputs: &[View<'_>], rows: Range<usize>, into: &mut Predictions) -> Result<(), RunError> {
        let width = self.output.width_of(outputs)?;
        let count = rows.len();
        let block = into.block(rows, Widths::of(2).with_logits(self.from))?;
        self.output.floats(outputs, &mut block.values[..count * width])?;
        // From the last row to the first: one number a row is read from where no pair has been written yet.
        for row in (0..count).rev() {
            let mut raw = [0.0; 2];
            let raw = &mut raw[..width];
            raw.copy_from_slice(&block.values[row * width..][..width]);
            let pair = &mut block.values[2 * row..][..2];
            if !all_finite(raw) {
                pair.fill(0.0);
                continue;
            }
            if self.from == Scale::Logits {
                block.logits[2 * row..][..2].copy_from_slice(&pair_of_logits(raw));
            }
            pair.copy_from_slice(&self.pair(raw)?);
            let class = usize::from(pair[1] >= self.threshold);
            block.class[row] = class as u32;
            block.confidence[row] = pair[class];
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
        Holds {
            threshold: Some(self.threshold),
            ..Holds::only(Values::Classes(2)).with_logits(self.from)
        }
    }
}
