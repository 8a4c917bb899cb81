//! Selection: which events are worth a label.
//!
//! Owns: the arms, their thresholds, and the decision on one row.
//! Never does: remember. Budgets will have state that moves with the ledger ([`crate::outcome::Remembers`]); a threshold
//! has none, so an event that is scored again is decided again in the same way.
//!
//! Invariant: a row whose output is not finite is never selected; it becomes a dead letter.

mod arm;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::arm::{Arm, Arms};
use crate::head::{Head, Predictions};
use crate::settings::Problem;

/// The table `[select]`: which events also go to the retraining topic, with their original bytes.
///
/// Without any threshold nothing is selected. An event is selected when one threshold of one model is passed; the
/// selection is deterministic, so its inclusion probability is 1.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SelectSettings {
    /// Selects events whose confidence lies *below* this (arm `uncertainty`). From 0 (selects nothing) to 1 (selects
    /// all but the perfectly sure). Default: none, the arm is off. Needs a head that gives a confidence.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub confidence_below: Option<f32>,
    /// Selects events whose anomaly score lies *above* this (arm `anomaly`), on the scale of the model, turned so that
    /// higher is more anomalous. Default: none, the arm is off. Needs a head of type `anomaly`.
    pub anomaly_above: Option<f32>,
}

impl SelectSettings {
    /// The threshold of an arm, if it is switched on.
    pub const fn threshold(&self, arm: Arm) -> Option<f32> {
        match arm {
            Arm::Uncertainty => self.confidence_below,
            Arm::Anomaly => self.anomaly_above,
        }
    }

    /// What is wrong with the table by itself.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(threshold) = self.confidence_below
            && !(0.0..=1.0).contains(&threshold)
        {
            problems.push(Problem::new(
                key(Arm::Uncertainty),
                format!("a confidence lies between 0 and 1, and {threshold} does not; write a number such as 0.6"),
            ));
        }
        if let Some(threshold) = self.anomaly_above
            && !threshold.is_finite()
        {
            problems.push(Problem::new(
                key(Arm::Anomaly),
                format!(
                    "{threshold} is no threshold; write a finite number, or leave the key out to switch the arm off"
                ),
            ));
        }
        problems
    }

    /// What is wrong with the table for these heads: an arm that none of them can serve.
    pub fn check_against<'a>(&self, heads: impl IntoIterator<Item = &'a dyn Head>) -> Vec<Problem> {
        let heads: Vec<_> = heads.into_iter().collect();
        Arm::ALL
            .into_iter()
            .filter(|arm| self.threshold(*arm).is_some())
            .filter(|arm| !heads.iter().any(|head| head.signals().contains(&arm.signal())))
            .map(|arm| {
                let signal = arm.signal();
                Problem::new(
                    key(arm),
                    format!("no model's head gives {signal}, so the arm `{arm}` would never select; leave the key out"),
                )
            })
            .collect()
    }
}

fn key(arm: Arm) -> &'static str {
    match arm {
        Arm::Uncertainty => "select.confidence_below",
        Arm::Anomaly => "select.anomaly_above",
    }
}

/// Decides, for one model's predictions, which arms select a row. Copies freely; holds no state.
#[derive(Debug, Clone, Copy)]
pub struct Selector {
    settings: SelectSettings,
}

impl Selector {
    /// A selector with the thresholds of the settings, which have been checked.
    pub const fn new(settings: SelectSettings) -> Self {
        Self { settings }
    }

    /// The arms that select this row: none for most.
    pub fn decide(&self, predictions: &Predictions, row: usize) -> Arms {
        let SelectSettings {
            confidence_below,
            anomaly_above,
        } = self.settings;
        let uncertain = both(predictions.confidence(row), confidence_below).is_some_and(|(value, limit)| value < limit);
        let anomalous = both(predictions.anomaly(row), anomaly_above).is_some_and(|(value, limit)| value > limit);
        let mut arms = Arms::NONE;
        if uncertain {
            arms = arms.with(Arm::Uncertainty);
        }
        if anomalous {
            arms = arms.with(Arm::Anomaly);
        }
        arms
    }

    /// The probability with which an event that these arms selected was to be selected. A threshold is no lottery: 1.
    pub const fn probability(&self, _arms: Arms) -> f32 {
        1.0
    }
}

/// A signal and its threshold, where the head has the one and the settings the other.
fn both(value: Option<f32>, limit: Option<f32>) -> Option<(f32, f32)> {
    Some((value?, limit?))
}

#[cfg(test)]
mod tests;
