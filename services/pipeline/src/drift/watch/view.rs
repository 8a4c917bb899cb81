//! What is shown of drift: plain data, as the page `/drift` has it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::drift::distance::Distance;

/// How things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// No drift that matters.
    Quiet,
    /// Too few events for a verdict, whatever the window.
    InsufficientData,
    /// The service works through old events; nothing is judged.
    CatchingUp,
    /// Drift.
    Warning,
    /// Much drift.
    Alert,
}

impl Standing {
    /// All of them, the best first.
    pub const ALL: [Self; 5] = [
        Self::Quiet,
        Self::InsufficientData,
        Self::CatchingUp,
        Self::Warning,
        Self::Alert,
    ];

    /// The word of labels and pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::InsufficientData => "insufficient_data",
            Self::CatchingUp => "catching_up",
            Self::Warning => "warning",
            Self::Alert => "alert",
        }
    }
}

/// What a service is about, as far as drift goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Its models are not loaded yet.
    Starting,
    /// It compares.
    Watching,
    /// It works through old events.
    CatchingUp,
    /// `drift.export` is `off`.
    Off,
    /// No model has a reference profile.
    NoProfile,
}

/// Everything that is known of drift in one process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct View {
    /// What the service is about.
    pub state: Activity,
    /// Events that it is behind.
    pub lag: u64,
    /// Over what it looks.
    pub window: WindowView,
    /// When it last compared, RFC 3339.
    pub evaluated: Option<String>,
    /// The features.
    pub features: Vec<SubjectView>,
    /// The outputs of models.
    pub outputs: Vec<SubjectView>,
    /// The models.
    pub models: Vec<ModelView>,
    /// Features and segments that are not watched for want of series.
    pub left_out: Vec<String>,
}

impl View {
    /// Nothing is known yet.
    pub const fn starting() -> Self {
        Self {
            state: Activity::Starting,
            lag: 0,
            window: WindowView {
                seconds: 0.0,
                widest_seconds: 0.0,
                events: None,
            },
            evaluated: None,
            features: Vec::new(),
            outputs: Vec::new(),
            models: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// Gives everything a value, so that all that can be shown is: for forecasts.
    pub fn pretend_all_is_known(&mut self, statistics: &[Distance]) {
        for subject in self.features.iter_mut().chain(&mut self.outputs) {
            (subject.state, subject.psi, subject.need) = (Standing::Quiet, Some(0.0), 0);
            subject.statistics = statistics.iter().map(|distance| (*distance, 0.0)).collect();
        }
        self.models.iter_mut().for_each(|model| model.evidence = Some(0.0));
    }

    /// Takes over what changes every second: all but the comparisons.
    pub fn follow(&mut self, other: &Self) {
        (self.state, self.lag) = (other.state, other.lag);
        self.models.clone_from(&other.models);
    }
}

/// The length of a window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WindowView {
    /// Seconds.
    pub seconds: f64,
    /// Seconds of the widest that it widens to.
    pub widest_seconds: f64,
    /// Events, instead of seconds.
    pub events: Option<u64>,
}

/// One feature or output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubjectView {
    /// Of a feature: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of an output: the position of the model.
    #[serde(skip)]
    pub position: Option<usize>,
    /// Of an output: the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Of an output: the model's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Of an output: which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Of the events of this segment only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// Id of the reference profile.
    pub profile: String,
    /// `number` or `category`.
    pub kind: &'static str,
    /// How it stands: the worst of all that was looked at.
    pub state: Standing,
    /// What made it a warning or an alert: `psi`, `missing`, `invalid`, `out_of_range`; or `as_last_week`, which kept it from
    /// being one.
    pub reasons: Vec<&'static str>,
    /// Events of the window that are in bins.
    pub events: u64,
    /// Events that a verdict takes.
    pub need: u64,
    /// Seconds of the window.
    pub seconds: f64,
    /// PSI; none where there is nothing to compare.
    pub psi: Option<f64>,
    /// Its mean without drift.
    pub noise: Option<f64>,
    /// What it exceeds without drift no more often than `drift.verdict.false_alarms`.
    pub critical: Option<f64>,
    /// The other distances that are shown.
    pub statistics: BTreeMap<Distance, f64>,
    /// Missing values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<RateView>,
    /// Infinite values in the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invalid: Option<u64>,
    /// Values below the least one of the reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<u64>,
    /// Values above the greatest one of the reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<u64>,
    /// Mean of the window, and of the reference, where there are numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<[f64; 2]>,
    /// The bins.
    pub bins: Vec<BinView>,
    /// PSI of the latest comparisons, oldest first.
    pub history: Vec<Option<f64>>,
}

/// A share of odd values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RateView {
    /// In the window.
    pub ratio: f64,
    /// In the reference.
    pub reference: f64,
    /// How it stands.
    pub state: Standing,
}

/// One bin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BinView {
    /// Its upper edge, or a word.
    pub label: String,
    /// Events of the window.
    pub current: u64,
    /// Share of the reference.
    pub reference: f64,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelView {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// ln M of the detector of falling confidence; none where nothing can be compared with, or nothing has come.
    pub evidence: Option<f64>,
    /// What is an alarm.
    pub alarm_at: f64,
    /// Changes of confidence that were found without a reference.
    pub changes: u64,
    /// How far its embeddings are from the reference's.
    pub embedding: Option<EmbeddingView>,
}

/// The distance of embeddings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EmbeddingView {
    /// Id of the reference profile.
    pub profile: String,
    /// Squared Fréchet distance of whitened projections; none for an empty window.
    pub distance: Option<f64>,
    /// What one window in a thousand exceeds without drift.
    pub critical: Option<f64>,
    /// How it stands.
    pub state: Standing,
}
