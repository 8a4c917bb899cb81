//! The series of drift: counts by bin, and what the reference has of each.
//!
//! Owns: the labels of what a [`Monitor`] counts, and of what a process makes of it. Never does: count, or compare.
//!
//! Invariant: every series is there from the start with 0, so that distances over a window know all bins.

use std::sync::{Arc, Mutex, PoisonError};

use eddy_pipeline::drift::distance::Distance;
use eddy_pipeline::drift::monitor::{Export, Monitor, Of, Series, Tally, What};
use eddy_pipeline::drift::watch::{Activity, ModelView, Standing, SubjectView, View};
use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use crate::catalogue::{self, FeatureState, Side};
use crate::metrics::{gauge, labelled};

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
    feature_drift: GaugeVec,
    output_drift: GaugeVec,
    verdicts: IntGaugeVec,
    catching_up: IntGauge,
    evidence: GaugeVec,
    changes: IntCounterVec,
    embedding: GaugeVec,
    embedding_critical: GaugeVec,
}

/// What one lane counts, and the shared counters of it.
pub(crate) struct Watch {
    pub(crate) monitor: Arc<Monitor>,
    counters: Vec<IntCounter>,
    totals: Totals,
}

/// What all lanes of a process have counted and made durable. Cloning gives another handle to the same.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    tally: Arc<Mutex<Tally>>,
}

impl Totals {
    /// Totals of a monitor, of nothing yet.
    pub fn of(monitor: &Monitor) -> Self {
        Self {
            tally: Arc::new(Mutex::new(monitor.tally())),
        }
    }

    /// What was counted so far.
    pub fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, tally: &Tally) {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).add(tally);
    }
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
            feature_drift: labelled(r, catalogue::FEATURE_DRIFT, GaugeVec::new),
            output_drift: labelled(r, catalogue::OUTPUT_DRIFT, GaugeVec::new),
            verdicts: labelled(r, catalogue::DRIFT_VERDICTS, IntGaugeVec::new),
            catching_up: gauge(r, catalogue::CATCHING_UP),
            evidence: labelled(r, catalogue::CONFIDENCE_EVIDENCE, GaugeVec::new),
            changes: labelled(r, catalogue::CONFIDENCE_CHANGES, IntCounterVec::new),
            embedding: labelled(r, catalogue::EMBEDDING_DRIFT, GaugeVec::new),
            embedding_critical: labelled(r, catalogue::EMBEDDING_CRITICAL, GaugeVec::new),
        }
    }

    /// Shows what a process makes of its own counts.
    pub(crate) fn show(&self, view: &View) {
        self.show_models(view);
        let all = || view.features.iter().chain(&view.outputs);
        for standing in Standing::ALL {
            let count = all().filter(|subject| subject.state == standing).count();
            self.verdicts.with_label_values(&[standing.as_str()]).set(count as i64);
        }
        all().for_each(|subject| self.show_subject(subject));
    }

    pub(crate) fn show_models(&self, view: &View) {
        self.catching_up.set(i64::from(view.state == Activity::CatchingUp));
        view.models.iter().for_each(|model| self.show_model(model));
    }

    /// Shows the distances of a subject; takes back those that rest on too little, or are not known any more.
    fn show_subject(&self, subject: &SubjectView) {
        let segment = subject.segment.as_deref().unwrap_or_default();
        let is_judged = subject.events >= subject.need && subject.state != Standing::CatchingUp;
        for distance in Distance::ALL {
            let value = match distance {
                Distance::Psi => subject.psi,
                other => subject.statistics.get(&other).copied(),
            };
            let (gauges, labels) = match (&subject.name, &subject.model, &subject.version, &subject.output) {
                (Some(feature), ..) => (&self.feature_drift, vec![subject.profile.as_str(), feature]),
                (None, Some(model), Some(version), Some(output)) => (
                    &self.output_drift,
                    vec![model.as_str(), version, &subject.profile, output],
                ),
                _ => continue,
            };
            let labels = [&labels[..], &[segment, distance.as_str()]].concat();
            match value.filter(|_| is_judged) {
                Some(value) => gauges.with_label_values(&labels).set(value),
                // The only error is that it is not shown, which is what is wanted.
                None => drop(gauges.remove_label_values(&labels)),
            }
        }
    }

    fn show_model(&self, model: &ModelView) {
        let labels = [model.name.as_str(), &model.version];
        if let Some(evidence) = model.evidence {
            self.evidence.with_label_values(&labels).set(evidence);
        }
        let changes = self.changes.with_label_values(&labels);
        changes.inc_by(model.changes.saturating_sub(changes.get()));
        if let Some(embedding) = &model.embedding {
            let labels = [labels[0], labels[1], &embedding.profile];
            let is_judged = !matches!(embedding.state, Standing::InsufficientData | Standing::CatchingUp);
            for (gauge, value) in [
                (&self.embedding, embedding.distance),
                (&self.embedding_critical, embedding.critical),
            ] {
                match value.filter(|_| is_judged) {
                    Some(value) => gauge.with_label_values(&labels).set(value),
                    None => drop(gauge.remove_label_values(&labels)),
                }
            }
        }
    }

    /// Resolves the counters of a monitor and shows what the reference has. `models` are those of the pipeline, in its order.
    pub(crate) fn watch(&self, (monitor, totals): (Arc<Monitor>, Totals), models: &[ModelVersion<'_>]) -> Watch {
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
        let counters = match monitor.export() {
            Export::Bins => monitor.series().iter().map(counter).collect(),
            Export::Values | Export::Off => Vec::new(),
        };
        Watch {
            counters,
            monitor,
            totals,
        }
    }

    fn of_feature(&self, [profile, feature]: [&str; 2], series: &Series) -> IntCounter {
        let segment = series.segment.as_deref().unwrap_or_default();
        match &series.what {
            What::Bin(bin) => {
                let labels = [profile, feature, bin, segment];
                self.reference.with_label_values(&labels).set(series.reference.ratio);
                self.reference_events
                    .with_label_values(&[profile, feature, segment])
                    .set(series.reference.of as i64);
                self.bins.with_label_values(&labels)
            }
            What::Missing => {
                let labels = [profile, feature, segment];
                self.reference_missing
                    .with_label_values(&labels)
                    .set(series.reference.ratio);
                self.missing.with_label_values(&labels)
            }
            What::Invalid => self.invalid.with_label_values(&[profile, feature, segment]),
            What::Below => self
                .out_of_range
                .with_label_values(&[profile, feature, Side::Below.as_str(), segment]),
            What::Above => self
                .out_of_range
                .with_label_values(&[profile, feature, Side::Above.as_str(), segment]),
        }
    }

    fn of_output(&self, labels: [&str; 4], series: &Series) -> IntCounter {
        let What::Bin(bin) = &series.what else {
            // Of outputs only the bins are shown; what is odd among them each replica judges for itself.
            return IntCounter::new("unshown", "Not shown.").expect("a name and a sentence make a counter");
        };
        let [model, version, profile, output] = labels;
        let segment = series.segment.as_deref().unwrap_or_default();
        let of_bin = [model, version, profile, output, bin, segment];
        self.output_reference
            .with_label_values(&of_bin)
            .set(series.reference.ratio);
        self.output_reference_events
            .with_label_values(&[model, version, profile, output, segment])
            .set(series.reference.of as i64);
        self.output_bins.with_label_values(&of_bin)
    }
}

impl Watch {
    /// Adds counts to those that are shared.
    pub(crate) fn publish(&self, tally: &Tally) {
        self.totals.add(tally);
        for (counter, count) in self.counters.iter().zip(&tally.counts) {
            if *count > 0 {
                counter.inc_by(*count);
            }
        }
    }
}
