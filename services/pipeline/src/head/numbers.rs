//! The arithmetic that heads share. Rows are slices; loops are plain, so that the compiler vectorises them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::outputs::bad;
use crate::score::RunError;

/// What the numbers of an output are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Any numbers, before softmax or the logistic function.
    Logits,
    /// Between 0 and 1.
    Probabilities,
}

/// How far outside 0 to 1 a probability may lie for rounding's sake; half precision sums up to about this.
const ROUNDING: f32 = 1e-3;

/// Whether all numbers are finite.
pub(crate) fn all_finite(values: &[f32]) -> bool {
    // `&` and not `&&`: without the early exit the loop vectorises.
    values.iter().fold(true, |finite, value| finite & value.is_finite())
}

/// Turns a row of finite logits into probabilities that sum to 1, without overflow.
pub(crate) fn softmax(row: &mut [f32]) {
    let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for value in row.iter_mut() {
        *value = (*value - highest).exp();
        sum += *value;
    }
    // Divided, not multiplied by the reciprocal: a part of a sum is then never more than 1.
    for value in row.iter_mut() {
        *value /= sum;
    }
}

/// The logistic function.
pub(crate) fn logistic(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// Position of the highest number, the first of several.
pub(crate) fn highest(row: &[f32]) -> usize {
    let mut best = 0;
    for (at, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = at;
        }
    }
    best
}

/// Puts numbers that are probabilities but for rounding between 0 and 1.
///
/// # Errors
/// When a finite number is none; `output` names where it was read, `hint` says what to do.
pub(crate) fn probabilities(row: &mut [f32], output: &str, hint: &str) -> Result<(), RunError> {
    let all_near = row.iter().fold(true, |near, value| {
        near & (*value >= -ROUNDING) & (*value <= 1.0 + ROUNDING)
    });
    if !all_near {
        // Which number it is stays unsaid: it may be one that the event masks.
        return Err(bad(format!(
            "output `{output}` holds a number outside of 0 to 1, which is no probability; {hint}"
        )));
    }
    for value in row.iter_mut() {
        *value = value.clamp(0.0, 1.0);
    }
    Ok(())
}
