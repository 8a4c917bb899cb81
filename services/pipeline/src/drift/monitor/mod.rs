//! The monitor: what is counted of events and outputs, in bins that a reference profile fixed.
//!
//! Owns: which series there are, and the bin of every value. Never does: compare; sums over any number of lanes, replicas and
//! windows are compared elsewhere.
//!
//! Invariant: every value of a watched feature is counted in exactly one of its bins, as missing or as invalid; the number of
//! series is known before the first event and bounded by the configuration.

mod bins;
mod outputs;
mod settings;
#[cfg(test)]
mod tests;

use self::bins::{Binned, of_feature};
use self::outputs::OutputBins;
pub use self::settings::{DriftSettings, Export};
use crate::fields::Feature;
use crate::head::Predictions;
use crate::profile::Profile;
use crate::signal::{Matrix, Signal};

/// The lowest number that is no number of a class, for outputs without one.
const NO_CLASS: usize = usize::MAX;

/// What one series counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Whose values.
    pub of: Of,
    /// Which of them.
    pub what: What,
    /// How many of them the reference has, out of those that are in bins (of `Missing` and `Invalid`: out of all).
    pub reference: Reference,
}

/// Whose values a series counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// Those of a feature of the events.
    Feature(String),
    /// Those of an output of a model: `class`, a signal's word, or `target/NAME`.
    Output {
        /// Position of the model.
        model: usize,
        /// The output.
        output: String,
    },
}

/// Which values a series counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Those in this bin: its upper edge, `+Inf` for the last one, or a word; `(other)` for all other words.
    Bin(String),
    /// Rows without a value.
    Missing,
    /// Infinite values.
    Invalid,
    /// Values below the least one of the reference. They are in a bin too.
    Below,
    /// Values above the greatest one of the reference. They are in a bin too.
    Above,
}

/// What the reference has of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reference {
    /// Rows.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// Their share as distances take it: of a bin `(count + ½) / (of + bins/2)`, else `count / of`.
    pub ratio: f64,
}

/// What is counted of one model.
#[derive(Debug, Clone, Copy)]
pub struct Watched<'a> {
    /// Its reference profile.
    pub profile: &'a Profile,
    /// What its head calls its classes.
    pub classes: &'a [String],
}

/// What is counted, the same for all lanes. Counts lie flat, in the order of [`Monitor::series`].
#[derive(Debug, Default)]
pub struct Monitor {
    /// Id of the profile that the features are binned by.
    data_profile: Option<String>,
    features: Vec<(usize, Binned)>,
    models: Vec<Option<OutputBins>>,
    series: Vec<Series>,
    left_out: Vec<String>,
}

impl Monitor {
    /// Watches events by the first profile that there is, and each model's outputs by its own. `features` are those of the
    /// events, in the order of their columns. Outputs come first; features are left out from where on the series would be
    /// more than `max_series`.
    pub fn new(models: &[Option<Watched<'_>>], features: &[Feature], settings: &DriftSettings) -> Self {
        let mut monitor = Self::default();
        if settings.export == Export::Off {
            return monitor;
        }
        for (position, model) in models.iter().enumerate() {
            let outputs = model.map(|model| OutputBins::new(&model, monitor.series.len()));
            if let Some(outputs) = &outputs {
                monitor.series.extend(outputs.series(position));
            }
            monitor.models.push(outputs);
        }
        let data = models.iter().flatten().find(|model| !model.profile.features.is_empty());
        let Some(data) = data.map(|model| model.profile) else {
            return monitor;
        };
        monitor.data_profile = Some(data.id());
        for (column, feature) in features.iter().enumerate() {
            let known = data.features.iter().find(|known| known.name() == feature.name);
            let Some((binned, series)) = known.and_then(|known| of_feature(known, monitor.series.len())) else {
                continue;
            };
            if monitor.series.len() + series.len() > settings.max_series {
                monitor.left_out.push(feature.name.clone());
                continue;
            }
            monitor.series.extend(series);
            monitor.features.push((column, binned));
        }
        monitor
    }

    /// Everything that is counted, in the order of the counts.
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// Id of the profile that the features are binned by.
    pub fn data_profile(&self) -> Option<&str> {
        self.data_profile.as_deref()
    }

    /// Id of the profile that the outputs of a model are binned by.
    pub fn profile(&self, model: usize) -> Option<&str> {
        Some(&self.models.get(model)?.as_ref()?.profile)
    }

    /// Features that are watched, and the names of those that are not for want of series.
    pub fn features(&self) -> (usize, &[String]) {
        (self.features.len(), &self.left_out)
    }

    /// Whether it looks at the features of events.
    pub fn reads_features(&self) -> bool {
        !self.features.is_empty()
    }

    /// Signals of a model that it looks at.
    pub fn signals(&self, model: usize) -> impl Iterator<Item = Signal> {
        let outputs = self.models.get(model).and_then(Option::as_ref);
        outputs.into_iter().flat_map(OutputBins::signals)
    }

    /// Counts the features of these rows of a batch.
    ///
    /// # Panics
    /// When a row is not in the batch, or `counts` has not one place for each series.
    pub fn count_features(&self, features: Matrix<'_>, rows: &[u32], counts: &mut [u64]) {
        for (column, binned) in &self.features {
            binned.count(features, *column, rows, counts);
        }
    }

    /// Counts the outputs of a model for these rows of a batch; `signal` gives the columns that were measured.
    ///
    /// # Panics
    /// As [`Self::count_features`].
    pub fn count_outputs<'a>(
        &self,
        model: usize,
        predictions: &Predictions,
        signal: impl Fn(Signal) -> Option<&'a [f32]>,
        rows: &[u32],
        counts: &mut [u64],
    ) {
        if let Some(Some(outputs)) = self.models.get(model) {
            outputs.count(predictions, signal, rows, counts);
        }
    }
}

impl Series {
    /// The series of bins with these counts in the reference.
    fn bins(of: &Of, labels: impl IntoIterator<Item = String>, counts: &[u64]) -> Vec<Self> {
        let all: u64 = counts.iter().sum();
        let ratio = |count: u64| (count as f64 + 0.5) / (all as f64 + counts.len() as f64 / 2.0);
        let series = labels.into_iter().zip(counts).map(|(label, count)| Self {
            of: of.clone(),
            what: What::Bin(label),
            reference: Reference {
                count: *count,
                of: all,
                ratio: ratio(*count),
            },
        });
        series.collect()
    }

    fn rate(of: &Of, what: What, count: u64, all: u64) -> Self {
        Self {
            of: of.clone(),
            what,
            reference: Reference {
                count,
                of: all,
                ratio: if all == 0 { 0.0 } else { count as f64 / all as f64 },
            },
        }
    }
}

/// The upper edges of bins, as texts.
fn edge_labels(edges: &[f32]) -> impl Iterator<Item = String> {
    edges.iter().map(|edge| format!("{edge:?}")).chain(["+Inf".to_owned()])
}
