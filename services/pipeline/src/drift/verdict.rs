//! The verdict on one feature and one window: is it drift, and is it enough to matter?
//!
//! Owns: the rule. A window drifts when its PSI is larger than noise makes it ([`Noise::critical`]) *and* exceeds the mean of
//! the noise by a stated amount. The first keeps small windows quiet, the second large ones, in which everything is
//! significant.
//! Never does: move a threshold with the stream.
//!
//! Invariant: a verdict shows all numbers that it rests on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::distance::{Distance, Table};
use super::noise::Noise;
use crate::settings::Problem;

/// When a window drifts. PSI is about δ² for a mean that shifts by δ standard deviations, so 0.1 is a shift by 0.32 and 0.2
/// one by 0.46.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VerdictSettings {
    /// Share of windows without drift whose PSI counts as significant, above 0 and below 1. Default 0.001.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub false_alarms: f64,
    /// PSI beyond its mean without drift that is a warning. Above 0. Default 0.1.
    #[schemars(range(min = 0.0))]
    pub warn: f64,
    /// PSI beyond its mean without drift that is an alert. At least `warn`. Default 0.2.
    #[schemars(range(min = 0.0))]
    pub alert: f64,
    /// Least events of a window. Default 500.
    #[schemars(range(min = 1))]
    pub least_events: u64,
    /// Least events of a window for each bin; the larger of both counts. Default 50.
    pub least_events_per_bin: u64,
    /// Evaluations in a row that must agree. Default 3.
    #[schemars(range(min = 1))]
    pub evaluations: u32,
}

impl Default for VerdictSettings {
    fn default() -> Self {
        Self {
            false_alarms: 0.001,
            warn: 0.1,
            alert: 0.2,
            least_events: 500,
            least_events_per_bin: 50,
            evaluations: 3,
        }
    }
}

impl VerdictSettings {
    /// What is wrong with the table, below `key`.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |name: &str, message: String| problems.push(Problem::new(format!("{key}.{name}"), message));
        if !(self.false_alarms > 0.0 && self.false_alarms < 1.0) {
            wrong(
                "false_alarms",
                format!(
                    "a rate of false alarms lies between 0 and 1, and {} does not; write a number such as 0.001",
                    self.false_alarms
                ),
            );
        }
        if !(self.warn > 0.0 && self.warn.is_finite()) {
            wrong(
                "warn",
                format!("{} is no distance; write a number above 0, such as 0.1", self.warn),
            );
        }
        if !(self.alert >= self.warn && self.alert.is_finite()) {
            wrong(
                "alert",
                format!(
                    "{} is below `warn`, {}; write a number above that, such as {}",
                    self.alert,
                    self.warn,
                    2.0 * self.warn
                ),
            );
        }
        if self.least_events == 0 {
            wrong(
                "least_events",
                "an empty window has no distance; write 1 or more".into(),
            );
        }
        if self.evaluations == 0 {
            wrong("evaluations", "no evaluation gives no verdict; write 1 or more".into());
        }
        problems
    }

    /// Events that a window of so many bins needs.
    pub fn need(&self, bins: usize) -> u64 {
        let for_bins = self.least_events_per_bin.saturating_mul(bins as u64);
        self.least_events.max(for_bins)
    }
}

/// What follows from a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The window is too small for a verdict.
    InsufficientData {
        /// Events of the window.
        have: u64,
        /// Events that it takes.
        need: u64,
    },
    /// No drift that matters; also where nothing can be compared.
    Quiet,
    /// Drift.
    Warning,
    /// Much drift.
    Alert,
}

/// A verdict on one window, with all that it rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// What follows, from this window alone; see [`Sustained`].
    pub state: State,
    /// Events of the window.
    pub n: u64,
    /// `None` when there is nothing to compare: an empty window or reference, or a reference of one bin. Small windows have
    /// it, too.
    pub evidence: Option<Evidence>,
}

/// The numbers behind a verdict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// v: PSI.
    pub psi: f64,
    /// v₀: its mean without drift.
    pub expected: f64,
    /// v*: what it exceeds without drift no more often than asked for.
    pub critical: f64,
    /// v > v*.
    pub is_significant: bool,
    /// v − v₀ is above `warn`.
    pub is_large: bool,
}

impl Evidence {
    /// v − v₀: how much of PSI is not noise, on average.
    pub fn effect(&self) -> f64 {
        self.psi - self.expected
    }

    fn new(table: &Table<'_>, settings: &VerdictSettings) -> Option<Self> {
        let psi = Distance::Psi.measure(table)?.value;
        let noise = Noise::new(table.bins(), table.reference_total(), table.current_total())?;
        let (expected, critical) = (noise.expected(), noise.critical(settings.false_alarms)?);
        Some(Self {
            psi,
            expected,
            critical,
            is_significant: psi > critical,
            is_large: psi - expected > settings.warn,
        })
    }
}

/// The verdict on a window. (Methods, E.4.)
pub fn judge(table: &Table<'_>, settings: &VerdictSettings) -> Verdict {
    let (n, need) = (table.current_total() as u64, settings.need(table.bins()));
    let evidence = Evidence::new(table, settings);
    let state = match evidence {
        _ if n < need => State::InsufficientData { have: n, need },
        Some(evidence) if evidence.is_significant && evidence.effect() > settings.alert => State::Alert,
        Some(evidence) if evidence.is_significant && evidence.is_large => State::Warning,
        _ => State::Quiet,
    };
    Verdict { state, n, evidence }
}

/// Waits until evaluations in a row agree, and forgets at the first that does not, as `for` of a rule of Prometheus does. A
/// window that is too small does not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sustained {
    evaluations: u32,
    /// The latest in a row that are at least a warning.
    warnings: u32,
    /// The latest in a row that are alerts.
    alerts: u32,
}

impl Sustained {
    /// Asks for so many evaluations in a row; 0 is as 1.
    pub const fn new(evaluations: u32) -> Self {
        Self {
            evaluations: if evaluations == 0 { 1 } else { evaluations },
            warnings: 0,
            alerts: 0,
        }
    }

    /// Takes the state of the next evaluation; out comes what has held long enough.
    pub fn update(&mut self, state: State) -> State {
        let (is_warning, is_alert) = match state {
            State::InsufficientData { .. } | State::Quiet => (false, false),
            State::Warning => (true, false),
            State::Alert => (true, true),
        };
        let longer = |streak: u32, goes_on: bool| if goes_on { streak.saturating_add(1) } else { 0 };
        self.warnings = longer(self.warnings, is_warning);
        self.alerts = longer(self.alerts, is_alert);
        if self.alerts >= self.evaluations {
            State::Alert
        } else if self.warnings >= self.evaluations {
            State::Warning
        } else if is_warning {
            State::Quiet
        } else {
            state
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::distance::Bins;
    use crate::histogram;
    use crate::seed::normal;

    fn verdict(reference: &[u64], current: &[u64]) -> Verdict {
        let table = Table::new(reference, current, Bins::Ordered).expect("the same bins");
        judge(&table, &VerdictSettings::default())
    }

    /// Counts of normal numbers in the deciles of 10 000 others.
    struct Stream {
        edges: Vec<f64>,
        reference: Vec<u64>,
    }

    impl Stream {
        fn new() -> Self {
            let mut sorted: Vec<f64> = (0..10_000).map(|at| normal(0, at)).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            let edges = histogram::equal_mass_edges(&sorted, 10);
            let reference = histogram::counts(&edges, sorted);
            Self { edges, reference }
        }

        fn window(&self, seed: u64, events: u64, shift: f64) -> Verdict {
            let values = (0..events).map(|at| normal(seed, at) + shift);
            verdict(&self.reference, &histogram::counts(&self.edges, values))
        }
    }

    #[test]
    fn without_drift_one_window_in_a_thousand_is_significant_and_none_is_a_warning() {
        let stream = Stream::new();
        let windows: Vec<Verdict> = (1..=2_000).map(|seed| stream.window(seed, 500, 0.0)).collect();
        let evidence = || windows.iter().filter_map(|window| window.evidence);
        assert_eq!(evidence().count(), windows.len());
        // Two are expected; the seeds are fixed, and eight would be one chance in a thousand.
        let significant = evidence().filter(|evidence| evidence.is_significant).count();
        assert!(significant < 8, "{significant}");
        assert!(windows.iter().all(|window| window.state == State::Quiet));
        let mean = evidence().map(|evidence| evidence.psi).sum::<f64>() / windows.len() as f64;
        let expected = windows[0].evidence.expect("it was counted").expected;
        assert!((mean / expected - 1.0).abs() < 0.05, "{mean} {expected}");
    }

    #[test]
    fn a_shift_of_half_a_deviation_is_a_warning_and_one_of_three_quarters_an_alert() {
        let stream = Stream::new();
        for seed in 1..=200 {
            let half = stream.window(seed, 1_000, 0.5).state;
            assert!(matches!(half, State::Warning | State::Alert), "{half:?}");
            assert_eq!(stream.window(seed, 1_000, 0.75).state, State::Alert);
        }
    }

    #[test]
    fn a_small_shift_of_a_large_window_is_significant_and_quiet() {
        let verdict = Stream::new().window(1, 50_000, 0.1);
        let evidence = verdict.evidence.expect("there is data");
        assert!(evidence.is_significant && !evidence.is_large, "{evidence:?}");
        assert_eq!(verdict.state, State::Quiet);
    }

    #[test]
    fn a_window_that_is_too_small_says_so_and_still_shows_its_numbers() {
        let verdict = Stream::new().window(1, 499, 3.0);
        assert_eq!(verdict.state, State::InsufficientData { have: 499, need: 500 });
        let evidence = verdict.evidence.expect("there is data");
        assert!(evidence.is_significant && evidence.is_large);
        assert_eq!(VerdictSettings::default().need(20), 1_000);
    }

    #[test]
    fn where_nothing_can_be_compared_there_is_no_evidence() {
        let empty = verdict(&[10, 10], &[0, 0]);
        assert_eq!(empty.state, State::InsufficientData { have: 0, need: 500 });
        assert_eq!(empty.evidence, None);
        for (reference, current) in [(&[10u64][..], &[1_000u64][..]), (&[0, 0], &[500, 500])] {
            let verdict = verdict(reference, current);
            assert_eq!((verdict.state, verdict.evidence), (State::Quiet, None));
        }
    }

    #[test]
    fn only_what_holds_for_evaluations_in_a_row_comes_out() {
        use State::{Alert, InsufficientData, Quiet, Warning};
        let short = InsufficientData { have: 1, need: 500 };
        let steps = [
            (Warning, Quiet),
            (Alert, Quiet),
            (Alert, Warning),
            (Alert, Alert),
            (Warning, Warning),
            (Quiet, Quiet),
            (Alert, Quiet),
            (Alert, Quiet),
            (short, short),
            (Alert, Quiet),
            (Alert, Quiet),
            (Alert, Alert),
        ];
        let mut sustained = Sustained::new(3);
        for (at, (state, held)) in steps.into_iter().enumerate() {
            assert_eq!(sustained.update(state), held, "{at}");
        }
        for evaluations in [0, 1] {
            assert_eq!(Sustained::new(evaluations).update(Warning), Warning);
        }
    }

    #[test]
    fn settings_that_cannot_be_meant_are_named() {
        assert!(VerdictSettings::default().check("drift").is_empty());
        let odd = VerdictSettings {
            false_alarms: 1.0,
            warn: f64::NAN,
            alert: f64::INFINITY,
            least_events: 0,
            least_events_per_bin: 0,
            evaluations: 0,
        };
        let keys: Vec<String> = odd.check("drift").into_iter().map(|problem| problem.key).collect();
        let expected = ["false_alarms", "warn", "alert", "least_events", "evaluations"];
        assert_eq!(keys, expected.map(|name| format!("drift.{name}")));
        let swapped = VerdictSettings {
            warn: 0.3,
            ..VerdictSettings::default()
        };
        assert_eq!(swapped.check("drift")[0].key, "drift.alert");
    }
}
