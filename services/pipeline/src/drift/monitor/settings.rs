//! The table `[drift]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::Problem;

/// Fewest series that a monitor can do anything with.
const LEAST_SERIES: usize = 100;

/// The table `[drift]`: what is counted of features and outputs, for models that have a reference profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DriftSettings {
    /// What is exported to Prometheus. Default `bins`.
    pub export: Export,
    /// Most series of one replica. The outputs of models come first, then features in the order of the file; those beyond
    /// are not watched, which `eddy_drift_features` shows. Default 5000, at least 100.
    #[schemars(range(min = 100))]
    pub max_series: usize,
}

/// What is exported to Prometheus of drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Export {
    /// Counts of every bin: recording rules make distances of them that are exact over any number of replicas.
    Bins,
    /// Nothing is counted.
    Off,
}

impl Default for DriftSettings {
    fn default() -> Self {
        Self {
            export: Export::Bins,
            max_series: 5_000,
        }
    }
}

impl DriftSettings {
    /// What is wrong with the table by itself.
    pub fn check(&self) -> Vec<Problem> {
        if self.max_series >= LEAST_SERIES {
            return Vec::new();
        }
        vec![Problem::new(
            "drift.max_series",
            format!(
                "{} series hold next to nothing; write {LEAST_SERIES} or more, or `export = \"off\"`",
                self.max_series
            ),
        )]
    }
}
