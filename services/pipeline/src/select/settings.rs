//! The table `[select]`: budgets, arms, thresholds, quotas, duplicates.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::arm::Arm;
use crate::settings::{Problem, Span};
use crate::signal::Signal;

/// Most segments: each has an account of its own in the metadata of a committed offset, whose size Kafka limits.
pub const MAX_SEGMENTS: usize = 32;

/// The table `[select]`: which events also go to the retraining topic, with their original bytes.
///
/// With a budget (`fraction`, `per_hour` or `per_day`), the arms share it, and each selects the events that are most worth
/// a label to it; every selected event carries the probability with which it was to be selected. Without a budget, an
/// event is selected when it passes `confidence_below` or `anomaly_above`, however many do.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SelectSettings {
    /// Share of all events that may be selected, above 0 and at most 1: 0.001 is one in a thousand. Default: none.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub fraction: Option<f64>,
    /// Most events selected an hour, over all replicas. Spent evenly; 1/24 of it can be saved up. Default: none.
    #[schemars(range(min = 1))]
    pub per_hour: Option<u64>,
    /// Most events selected a day, over all replicas. Spent evenly; an hour's worth can be saved up. Not together with
    /// `per_hour`. Default: none.
    #[schemars(range(min = 1))]
    pub per_day: Option<u64>,
    /// Selects only events whose confidence lies *below* this (arm `uncertainty`). From 0 (selects nothing) to 1 (selects
    /// all but the perfectly sure). Default: none. Needs a head that gives a confidence.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub confidence_below: Option<f32>,
    /// Selects only events whose anomaly score lies *above* this (arm `anomaly`), on the scale of the model, turned so that
    /// higher is more anomalous. Default: none. Needs a head that gives an anomaly score.
    pub anomaly_above: Option<f32>,
    /// How the arms share the budget.
    pub shares: Shares,
    /// What the arm `uncertainty` ranks by.
    pub uncertainty: UncertaintySettings,
    /// What the arm `anomaly` ranks by, and from where on an event is anomalous.
    pub anomaly: AnomalySettings,
    /// What the arm `disagreement` ranks by.
    pub disagreement: DisagreementSettings,
    /// Quotas by the values of a field. Default: none.
    pub segments: Option<SegmentSettings>,
    /// What counts as selected already. Only with a budget.
    pub duplicates: DuplicateSettings,
}

/// `[select.shares]`: what each arm gets of the budget, in proportion to the other arms that the pipeline can serve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Shares {
    /// The control arm: uniform over all events. Accuracy measured on it is that of the traffic. Default 0.3.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub explore: f64,
    /// Events that a model is not sure of. Default 0.4.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub uncertainty: f64,
    /// Events that are unlike what a model knows. Default 0.2.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub anomaly: f64,
    /// Events on which the models do not agree. Default 0.1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub disagreement: f64,
    /// Each class that a model predicts, the same for all. Default 0: off.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub class_floor: f64,
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            explore: 0.3,
            uncertainty: 0.4,
            anomaly: 0.2,
            disagreement: 0.1,
            class_floor: 0.0,
        }
    }
}

impl Shares {
    /// The share of one arm.
    pub const fn of(&self, arm: Arm) -> f64 {
        match arm {
            Arm::Explore => self.explore,
            Arm::Uncertainty => self.uncertainty,
            Arm::Anomaly => self.anomaly,
            Arm::Disagreement => self.disagreement,
            Arm::ClassFloor => self.class_floor,
        }
    }
}

/// `[select.uncertainty]`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UncertaintySettings {
    /// The signal to rank by. Default: the first that the head gives of `margin`, `label_entropy`, `interval` and `spread`.
    pub signal: Option<Signal>,
}

/// `[select.anomaly]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AnomalySettings {
    /// The signal to rank by. Default: the first that the pipeline can serve of `anomaly`, `reconstruction`,
    /// `mahalanobis`, `hbos` and `energy`.
    pub signal: Option<Signal>,
    /// Share of ordinary events that may be taken for anomalous, as the reference profile certifies it. Above 0 and below 1;
    /// a profile of n held-out rows certifies no less than 1/(n+1). Default 0.01. Not with `anomaly_above`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub false_alarms: f64,
}

impl Default for AnomalySettings {
    fn default() -> Self {
        Self {
            signal: None,
            false_alarms: 0.01,
        }
    }
}

/// `[select.disagreement]`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DisagreementSettings {
    /// The signal to rank by. Default: the first that the models give together of `js`, `bald`, `vote_entropy` and `delta`.
    pub signal: Option<Signal>,
}

/// `[select.segments]`: no value of a field takes more than its part of the budget. The control arm is exempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SegmentSettings {
    /// A field of type `category` with at most 31 `categories`; all other values are one more segment.
    pub field: String,
    /// Most of the budget that one segment may take. Above 0, at most 1. Default 0.5.
    #[serde(default = "half")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub most: f64,
}

const fn half() -> f64 {
    0.5
}

/// `[select.duplicates]`: events like one that was selected already are left out by every arm but the control arm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DuplicateSettings {
    /// Whether they are. Default true.
    pub suppress: bool,
    /// Near duplicates differ in at most so many of the 64 bits of their SimHash; it needs a reference profile. 0: only the
    /// same hash is near. Default 3.
    #[schemars(range(min = 0, max = 32))]
    pub near_bits: u32,
    /// Near duplicates are looked for among so many events that a lane selected last. Default 4096.
    #[schemars(range(min = 1, max = 65536))]
    pub near_events: usize,
    /// An exact duplicate is remembered so long at least, and twice as long at most. Default 1h.
    pub period: Span,
}

impl Default for DuplicateSettings {
    fn default() -> Self {
        Self {
            suppress: true,
            near_bits: 3,
            near_events: 4096,
            period: Span::seconds(3600),
        }
    }
}

impl SelectSettings {
    /// Whether there is a budget.
    pub const fn has_budget(&self) -> bool {
        self.fraction.is_some() || self.per_hour.is_some() || self.per_day.is_some()
    }

    /// Events a second that may be selected, over all replicas, and most that can be saved up. One part in 24 of the
    /// budget is what can be saved up, and the rest is earned in time, so that no window of an hour or day holds more than
    /// the budget.
    pub(super) fn absolute(&self) -> Option<(f64, f64)> {
        let (budget, seconds) = match (self.per_hour, self.per_day) {
            (Some(events), _) => (events as f64, 3600.0),
            (None, Some(events)) => (events as f64, 86400.0),
            (None, None) => return None,
        };
        let saved_up = budget / 24.0;
        Some(((budget - saved_up) / seconds, saved_up))
    }

    /// What is wrong with the table by itself.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = self.check_budget();
        problems.extend(self.check_thresholds());
        let mut wrong = |key: &str, message: String| problems.push(Problem::new(format!("select.{key}"), message));
        let named = [
            ("uncertainty", self.uncertainty.signal),
            ("anomaly", self.anomaly.signal),
            ("disagreement", self.disagreement.signal),
        ];
        for (arm, signal) in named {
            if let Some(signal) = signal.filter(|signal| !signal.is_utility()) {
                let message = format!(
                    "`{}` is lower where a label is worth more, so it would select the least of all; write another one, such \
                     as `{}`, or leave the key out",
                    signal.as_str(),
                    Signal::LeastConfidence.as_str()
                );
                wrong(&format!("{arm}.signal"), message);
            }
        }
        if let Some(segments) = self.segments.as_ref().filter(|segments| !is_part(segments.most)) {
            wrong(
                "segments.most",
                format!(
                    "{} is no part of the budget; write a number above 0 and up to 1",
                    segments.most
                ),
            );
        }
        if self.segments.is_some() && !self.has_budget() {
            wrong(
                "segments",
                "quotas are parts of a budget, and there is none; write `fraction`, `per_hour` or `per_day`".into(),
            );
        }
        if self.duplicates.period.0.is_zero() {
            wrong(
                "duplicates.period",
                "is no time at all; write a span such as \"1h\", or `suppress = false`".into(),
            );
        }
        problems
    }

    fn check_budget(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |key: &str, message: String| problems.push(Problem::new(format!("select.{key}"), message));
        if let Some(fraction) = self.fraction.filter(|fraction| !is_part(*fraction)) {
            wrong(
                "fraction",
                format!("{fraction} is no share of the events; write a number above 0 and up to 1, such as 0.001"),
            );
        }
        if self.per_hour.is_some() && self.per_day.is_some() {
            wrong(
                "per_day",
                "`per_hour` is set too, and one of them is enough; remove the other".into(),
            );
        }
        for (key, budget) in [("per_hour", self.per_hour), ("per_day", self.per_day)] {
            if budget == Some(0) {
                wrong(key, "0 selects nothing; write 1 or more, or leave the key out".into());
            }
        }
        for arm in Arm::ALL {
            let share = self.shares.of(arm);
            if !(0.0..=1.0).contains(&share) {
                wrong(
                    &format!("shares.{arm}"),
                    format!("{share} is no share of the budget; write a number from 0 to 1"),
                );
            }
        }
        if self.has_budget() && Arm::ALL.iter().all(|arm| self.shares.of(*arm) == 0.0) {
            wrong(
                "shares",
                "every arm's share is 0, so the budget would never be spent; give one arm a share".into(),
            );
        }
        problems
    }

    fn check_thresholds(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |key: &str, message: String| problems.push(Problem::new(format!("select.{key}"), message));
        let is_confidence = |threshold: &f32| (0.0..=1.0).contains(threshold);
        if let Some(threshold) = self.confidence_below.filter(|threshold| !is_confidence(threshold)) {
            wrong(
                "confidence_below",
                format!("a confidence lies between 0 and 1, and {threshold} does not; write a number such as 0.6"),
            );
        }
        if let Some(threshold) = self.anomaly_above.filter(|threshold| !threshold.is_finite()) {
            wrong(
                "anomaly_above",
                format!("{threshold} is no threshold; write a finite number, or leave the key out to switch it off"),
            );
        }
        let rate = self.anomaly.false_alarms;
        if !(rate > 0.0 && rate < 1.0) {
            wrong(
                "anomaly.false_alarms",
                format!("{rate} is no rate of false alarms; write a number above 0 and below 1, such as 0.01"),
            );
        }
        problems
    }
}

fn is_part(value: f64) -> bool {
    value > 0.0 && value <= 1.0
}
