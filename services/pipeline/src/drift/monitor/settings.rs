//! The table `[drift]`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::drift::distance::Distance;
use crate::drift::rate::RateSettings;
use crate::drift::verdict::VerdictSettings;
use crate::settings::{Problem, Span};

/// Fewest series that a monitor can do anything with.
const LEAST_SERIES: usize = 100;
/// Most series: a process keeps hundreds of snapshots of them.
const MOST_SERIES: usize = 100_000;
/// Most events of a window.
const MOST_EVENTS: u64 = 1_000_000_000;
/// Most segments.
const MOST_SEGMENTS: usize = 1_000;
/// Shortest window.
const LEAST_WINDOW: Duration = Duration::from_secs(10);
/// Longest window.
const WIDEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// The table `[drift]`: what is counted of features and outputs, for models that have a reference profile, and when it is
/// drift in the service's own view. Alerts of a fleet rest on Prometheus' rules instead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DriftSettings {
    /// What is exported to Prometheus. Default `bins`.
    pub export: Export,
    /// Most counts of one replica: of bins, missing, infinite and out-of-range values. Prometheus gets about as many series
    /// more, with what the references have; `eddy check` says how many. The outputs of models come first, then features in the order of the file, then segments;
    /// those beyond are not watched, which `eddy_drift_features` shows. A process keeps up to 490 snapshots of 8 bytes for
    /// each. Default 5000, 100 to 100000.
    #[schemars(range(min = 100, max = 100_000))]
    pub max_series: usize,
    /// Length of the window of the service's own view. Default `1h`, 10 s to 7 days.
    pub window: Span,
    /// The window holds the latest events, about so many, instead of a span of time, and none older than `widest`. At least
    /// 500.
    pub window_events: Option<u64>,
    /// How far a window with too few events widens. Default `24h`, at most 7 days.
    pub widest: Span,
    /// Distances that are shown beside PSI. Default `["js"]`.
    pub statistics: Vec<Distance>,
    /// Lag, in events of this replica's partitions, from which on the service catches up, if it lasts for a sixtieth of the
    /// window: what comes then is old, and no drift is told until half of it is worked off; windows begin anew then.
    /// Default 10000, at least 1.
    #[schemars(range(min = 1))]
    pub catching_up_lag: u64,
    /// A category among the fields by whose words events are also watched apart, each against the same part of the reference
    /// (`eddy profile --segment FIELD`).
    pub segment: Option<String>,
    /// Most words of it that are watched: the first ones. Default 10, at most 1000.
    #[schemars(range(min = 1, max = 1_000))]
    pub max_segments: usize,
    /// When a window drifts.
    pub verdict: VerdictSettings,
    /// When missing values are an alert.
    pub missing: RateSettings,
    /// Detectors of falling confidence.
    pub confidence: ConfidenceSettings,
}

/// The table `[drift.confidence]`: detectors of falling confidence, on its means of each second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConfidenceSettings {
    /// How far the mean may fall below the reference's. Above 0, below 1. Default 0.02.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub tolerance: f64,
    /// One over the least mean number of seconds to a false alarm. Default 0.00001, which is more than a day.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub false_alarms: f64,
    /// δ of ADWIN, which needs no reference. Default 0.002.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub delta: f64,
}

/// What is exported to Prometheus of drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Export {
    /// Counts of every bin, of which recording rules make distances that are exact over any number of replicas; and values.
    #[default]
    Bins,
    /// The distances of this replica's own window, which cannot be added up over replicas.
    Values,
    /// Nothing is counted.
    Off,
}

impl Default for DriftSettings {
    fn default() -> Self {
        Self {
            export: Export::Bins,
            max_series: 5_000,
            window: Span::seconds(3600),
            window_events: None,
            widest: Span::seconds(24 * 3600),
            statistics: vec![Distance::Js],
            catching_up_lag: 10_000,
            segment: None,
            max_segments: 10,
            verdict: VerdictSettings::default(),
            missing: RateSettings::default(),
            confidence: ConfidenceSettings::default(),
        }
    }
}

impl Default for ConfidenceSettings {
    fn default() -> Self {
        Self {
            tolerance: 0.02,
            false_alarms: 1e-5,
            delta: 0.002,
        }
    }
}

impl DriftSettings {
    /// What is wrong with the table by itself.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |name: &str, message: String| problems.push(Problem::new(format!("drift.{name}"), message));
        if self.max_series < LEAST_SERIES {
            let few = self.max_series;
            wrong(
                "max_series",
                format!("{few} series hold next to nothing; write {LEAST_SERIES} or more, or `export = \"off\"`"),
            );
        }
        if self.max_series > MOST_SERIES {
            let many = self.max_series;
            wrong(
                "max_series",
                format!("{many} series are more than a replica keeps; write {MOST_SERIES} or less"),
            );
        }
        if !(LEAST_WINDOW..=WIDEST).contains(&self.window.0) {
            wrong(
                "window",
                "a window has 10 s to 7 days; write a span such as \"1h\"".into(),
            );
        }
        if self.widest.0 < self.window.0 || self.widest.0 > WIDEST {
            wrong(
                "widest",
                format!(
                    "a window cannot widen to less than it is, or to more than 7 days; write `widest` from \"{}\" to \"7days\"",
                    self.window
                ),
            );
        }
        if let Some(events) = self
            .window_events
            .filter(|events| !(500..=MOST_EVENTS).contains(events))
        {
            wrong(
                "window_events",
                format!(
                    "{events} is not between 500, fewer than which show only noise, and {MOST_EVENTS}; or leave it out"
                ),
            );
        }
        if self.statistics.contains(&Distance::Psi) {
            wrong("statistics", "psi is always shown; leave it out".into());
        }
        if self.catching_up_lag == 0 {
            wrong(
                "catching_up_lag",
                "every stream lags by an event; write 1 or more".into(),
            );
        }
        if !(1..=MOST_SEGMENTS).contains(&self.max_segments) {
            wrong(
                "max_segments",
                format!("write 1 to {MOST_SEGMENTS}, or leave `segment` out"),
            );
        }
        problems.extend(self.verdict.check("drift.verdict"));
        problems.extend(self.missing.check("drift.missing"));
        problems.extend(self.confidence.check("drift.confidence"));
        problems
    }
}

impl ConfidenceSettings {
    fn check(&self, key: &str) -> Vec<Problem> {
        let shares = [
            ("tolerance", self.tolerance, 0.02),
            ("false_alarms", self.false_alarms, 1e-5),
            ("delta", self.delta, 0.002),
        ];
        let wrong = shares
            .into_iter()
            .filter(|(_, share, _)| !(*share > 0.0 && *share < 1.0));
        wrong
            .map(|(name, share, usual)| {
                let message = format!("{share} does not lie between 0 and 1; write a number such as {usual}");
                Problem::new(format!("{key}.{name}"), message)
            })
            .collect()
    }
}
