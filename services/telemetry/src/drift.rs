//! The series of drift: counts by bin, and what the reference has of each.
//!
//! Owns: the labels of what a [`Monitor`] counts. Never does: count, or compare.
//!
//! Invariant: every series is there from the start with 0, so that distances over a window know all bins.

use std::sync::Arc;

use eddy_pipeline::drift::monitor::{Monitor, Of, Series, What};
use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGaugeVec, Registry};

use crate::catalogue::{self, FeatureState, Side};
use crate::metrics::labelled;

/// A model as the series of its outputs name it.
#[derive(Debug, Clone, Copy)]
pub struct ModelVersion<'a> {
    /// Its name in the pipeline file.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
}

#[derive(Debug)]
pub(crate) struct DriftFamilies {
    bins: IntCounterVec,
    missing: IntCounterVec,
    invalid: IntCounterVec,
    out_of_range: IntCounterVec,
    reference: GaugeVec,
    reference_events: IntGaugeVec,
    reference_missing: GaugeVec,
    output_bins: IntCounterVec,
    output_reference: GaugeVec,
    output_reference_events: IntGaugeVec,
    features: IntGaugeVec,
}

/// What one lane counts, and the shared counters of it.
pub(crate) struct Watch {
    pub(crate) monitor: Arc<Monitor>,
    counters: Vec<IntCounter>,
}

impl DriftFamilies {
    pub(crate) fn register(r: &Registry) -> Self {
        Self {
            bins: labelled(r, catalogue::FEATURE_BINS, IntCounterVec::new),
            missing: labelled(r, catalogue::FEATURE_MISSING, IntCounterVec::new),
            invalid: labelled(r, catalogue::FEATURE_INVALID, IntCounterVec::new),
            out_of_range: labelled(r, catalogue::FEATURE_OUT_OF_RANGE, IntCounterVec::new),
            reference: labelled(r, catalogue::FEATURE_REFERENCE, GaugeVec::new),
            reference_events: labelled(r, catalogue::FEATURE_REFERENCE_EVENTS, IntGaugeVec::new),
            reference_missing: labelled(r, catalogue::FEATURE_REFERENCE_MISSING, GaugeVec::new),
            output_bins: labelled(r, catalogue::OUTPUT_BINS, IntCounterVec::new),
            output_reference: labelled(r, catalogue::OUTPUT_REFERENCE, GaugeVec::new),
            output_reference_events: labelled(r, catalogue::OUTPUT_REFERENCE_EVENTS, IntGaugeVec::new),
            features: labelled(r, catalogue::DRIFT_FEATURES, IntGaugeVec::new),
        }
    }

    /// Resolves the counters of a monitor and shows what the reference has. `models` are those of the pipeline, in its order.
    pub(crate) fn watch(&self, monitor: Arc<Monitor>, models: &[ModelVersion<'_>]) -> Watch {
        let (watched, left_out) = monitor.features();
        for (state, count) in [
            (FeatureState::Watched, watched),
            (FeatureState::LeftOut, left_out.len()),
        ] {
            self.features.with_label_values(&[state.as_str()]).set(count as i64);
        }
        let counter = |series: &Series| match &series.of {
            Of::Feature(feature) => self.of_feature([monitor.data_profile().unwrap_or_default(), feature], series),
            Of::Output { model, output } => {
                let ModelVersion { name, version } = models[*model];
                let profile = monitor.profile(*model).unwrap_or_default();
                self.of_output([name, version, profile, output], series)
            }
        };
        Watch {
            counters: monitor.series().iter().map(counter).collect(),
            monitor,
        }
    }

    fn of_feature(&self, [profile, feature]: [&str; 2], series: &Series) -> IntCounter {
        match &series.what {
            What::Bin(bin) => {
                let labels = [profile, feature, bin];
                self.reference.with_label_values(&labels).set(series.reference.ratio);
                self.reference_events
                    .with_label_values(&labels[..2])
                    .set(series.reference.of as i64);
                self.bins.with_label_values(&labels)
            }
            What::Missing => {
                let labels = [profile, feature];
                self.reference_missing
                    .with_label_values(&labels)
                    .set(series.reference.ratio);
                self.missing.with_label_values(&labels)
            }
            What::Invalid => self.invalid.with_label_values(&[profile, feature]),
            What::Below => self
                .out_of_range
                .with_label_values(&[profile, feature, Side::Below.as_str()]),
            What::Above => self
                .out_of_range
                .with_label_values(&[profile, feature, Side::Above.as_str()]),
        }
    }

    fn of_output(&self, labels: [&str; 4], series: &Series) -> IntCounter {
        let What::Bin(bin) = &series.what else {
            // Outputs are finite and always there; only their bins are shown.
            return IntCounter::new("unshown", "Not shown.").expect("a name and a sentence make a counter");
        };
        let [model, version, profile, output] = labels;
        let of_bin = [model, version, profile, output, bin];
        self.output_reference
            .with_label_values(&of_bin)
            .set(series.reference.ratio);
        self.output_reference_events
            .with_label_values(&labels)
            .set(series.reference.of as i64);
        self.output_bins.with_label_values(&of_bin)
    }
}

impl Watch {
    /// Adds counts to the shared counters.
    pub(crate) fn publish(&self, counts: &[u64]) {
        for (counter, count) in self.counters.iter().zip(counts) {
            if *count > 0 {
                counter.inc_by(*count);
            }
        }
    }
}
