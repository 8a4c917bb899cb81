//! Shares of events that are odd — missing, invalid, out of range, of a new category — against those of the reference.
//!
//! Owns: the rule, which as in [`super::verdict`] asks for significance and for size. Never does: drop the row or the
//! feature that is odd.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::verdict::State;
use crate::settings::Problem;

/// Events that are odd in one way, of all events. More odd events than events count as all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Odd events.
    pub count: u64,
    /// All events.
    pub of: u64,
}

/// When the share of odd events is an alert.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RateSettings {
    /// Standard errors by which the share must exceed the reference's. Above 0. Default 4.
    #[schemars(range(min = 0.0))]
    pub z: f64,
    /// Least difference of the shares, from 0 to 1. Default 0.01.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub least: f64,
    /// Least difference as a part of the reference's share; the larger of both counts. Default 0.5.
    #[schemars(range(min = 0.0))]
    pub relative: f64,
    /// Least events of a window. Default 500.
    #[schemars(range(min = 1))]
    pub least_events: u64,
}

impl Default for RateSettings {
    fn default() -> Self {
        Self {
            z: 4.0,
            least: 0.01,
            relative: 0.5,
            least_events: 500,
        }
    }
}

impl RateSettings {
    /// What is wrong with the table, below `key`.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |name: &str, message: String| problems.push(Problem::new(format!("{key}.{name}"), message));
        if !(self.z > 0.0 && self.z.is_finite()) {
            wrong(
                "z",
                format!("{} is no number of standard errors; write one such as 4", self.z),
            );
        }
        if !(0.0..=1.0).contains(&self.least) {
            wrong(
                "least",
                format!("{} is no share; write a number from 0 to 1, such as 0.01", self.least),
            );
        }
        if !(self.relative >= 0.0 && self.relative.is_finite()) {
            wrong(
                "relative",
                format!(
                    "{} is no part of a share; write a number of 0 or more, such as 0.5",
                    self.relative
                ),
            );
        }
        if self.least_events == 0 {
            wrong("least_events", "an empty window has no share; write 1 or more".into());
        }
        problems
    }
}

/// What a share is, and what follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateVerdict {
    /// What follows: never [`State::Warning`].
    pub state: State,
    /// `None` when the reference or the window is empty.
    pub rates: Option<Rates>,
}

/// The numbers behind a verdict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// The share of the reference, m₀.
    pub reference: f64,
    /// The share of the window, m̂.
    pub current: f64,
    /// (m̂ − m₀)/√(m̄(1−m̄)(1/n + 1/N)) with the share m̄ of both together; 0 when all events are alike.
    pub z: f64,
    /// z is larger than asked for.
    pub is_significant: bool,
    /// m̂ − m₀ is larger than asked for.
    pub is_large: bool,
}

/// The share of a window against that of the reference. Only more odd events than usual are an alert, and only when both
/// conditions hold. (Two-sample z-test of proportions.)
pub fn judge(reference: Share, current: Share, settings: &RateSettings) -> RateVerdict {
    let rates = Rates::new(reference, current, settings);
    let state = if current.of < settings.least_events {
        State::InsufficientData {
            have: current.of,
            need: settings.least_events,
        }
    } else if rates.is_some_and(|rates| rates.is_significant && rates.is_large) {
        State::Alert
    } else {
        State::Quiet
    };
    RateVerdict { state, rates }
}

impl Rates {
    fn new(reference: Share, current: Share, settings: &RateSettings) -> Option<Self> {
        if reference.of == 0 || current.of == 0 {
            return None;
        }
        let part = |share: Share| (share.count.min(share.of) as f64, share.of as f64);
        let ((odd_reference, all_reference), (odd_current, all_current)) = (part(reference), part(current));
        let (m0, m) = (odd_reference / all_reference, odd_current / all_current);
        let both = (odd_reference + odd_current) / (all_reference + all_current);
        let variance = both * (1.0 - both) * (1.0 / all_reference + 1.0 / all_current);
        let z = if variance > 0.0 {
            (m - m0) / variance.sqrt()
        } else {
            0.0
        };
        Some(Self {
            reference: m0,
            current: m,
            z,
            is_significant: z > settings.z,
            is_large: m - m0 > settings.least.max(settings.relative * m0),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::drift::distance::{Bins, Distance, Table};

    fn share(count: u64, of: u64) -> Share {
        Share { count, of }
    }

    fn state(reference: Share, current: Share) -> State {
        judge(reference, current, &RateSettings::default()).state
    }

    #[test]
    fn property_the_square_of_z_is_the_chi_square_of_the_two_by_two_table() {
        proptest!(|(a in 0..5000u64, rest_a in 1..5000u64, b in 0..5000u64, rest_b in 1..5000u64)| {
            let verdict = judge(share(a, a + rest_a), share(b, b + rest_b), &RateSettings::default());
            let z = verdict.rates.expect("neither is empty").z;
            let (reference, current) = ([a, rest_a], [b, rest_b]);
            let table = Table::new(&reference, &current, Bins::Categories).expect("two bins");
            let chi2 = Distance::Chi2.measure(&table).expect("neither is empty").value;
            prop_assert!((z * z - chi2).abs() <= 1e-9 * chi2.max(1.0), "{} {}", z * z, chi2);
        });
    }

    #[test]
    fn an_alert_takes_a_difference_that_is_significant_and_large() {
        let reference = share(1_000, 100_000);
        assert_eq!(state(reference, share(30, 1_000)), State::Alert);
        // Large, but 2 standard errors.
        assert_eq!(state(share(10, 1_000), share(22, 1_000)), State::Quiet);
        // 30 standard errors, but half a percent.
        assert_eq!(state(reference, share(15_000, 1_000_000)), State::Quiet);
        // Less than usual.
        assert_eq!(state(share(50_000, 100_000), share(100, 1_000)), State::Quiet);
        // More by a percent and more, but not by half of what is usual.
        assert_eq!(state(share(50_000, 100_000), share(6_000, 10_000)), State::Quiet);
    }

    #[test]
    fn what_cannot_be_compared_is_no_alert_and_no_nan() {
        let short = judge(share(0, 100), share(5, 10), &RateSettings::default());
        assert_eq!(short.state, State::InsufficientData { have: 10, need: 500 });
        for (reference, current) in [(share(0, 0), share(900, 1_000)), (share(5, 10), share(0, 0))] {
            assert_eq!(judge(reference, current, &RateSettings::default()).rates, None);
        }
        assert_eq!(state(share(0, 0), share(900, 1_000)), State::Quiet);
        for odd in [0, 1_000, 5_000] {
            let alike = judge(share(odd, 1_000), share(odd, 1_000), &RateSettings::default());
            assert_eq!(alike.rates.expect("neither is empty").z, 0.0);
            assert_eq!(alike.state, State::Quiet);
        }
    }

    #[test]
    fn settings_that_cannot_be_meant_are_named() {
        assert!(RateSettings::default().check("drift.rates").is_empty());
        let odd = RateSettings {
            z: 0.0,
            least: 1.5,
            relative: f64::NAN,
            least_events: 0,
        };
        let keys: Vec<String> = odd
            .check("drift.rates")
            .into_iter()
            .map(|problem| problem.key)
            .collect();
        assert_eq!(
            keys,
            [
                "drift.rates.z",
                "drift.rates.least",
                "drift.rates.relative",
                "drift.rates.least_events"
            ]
        );
    }
}
