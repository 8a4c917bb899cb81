//! The registry of one process and the handles that do not belong to a lane.
//!
//! Owns: the registry, one family per row of the catalogue, the text that Prometheus reads.
//! Never does: use process-wide state, so a test has its own registry.
//!
//! Invariant: a scrape sees each lane's books whole. Lanes publish under the shared side of a lock and a scrape takes its
//! exclusive side, so that consumed events add up in *every* scrape, not only at rest.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use eddy_pipeline::drift::watch::View;
use eddy_pipeline::rejection::Reason;
use eddy_pipeline::select::{Arm, Drawn};
use eddy_pipeline::time::Now;
use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use crate::catalogue::{self, Certificate, CheckpointOutcome, Kind, LaneStage, Metric, RegistryOutcome, SpanOutcome};
use crate::drift::DriftFamilies;
use crate::lane::LaneMetrics;
use crate::traces::TraceMetrics;

/// What [`catalogue::MODEL_INFO`] says about a loaded model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFacts {
    /// Its name in the pipeline file.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its file, in hexadecimal digits.
    pub sha256: String,
    /// What it runs on: `cpu`, `cuda`, `tensorrt`.
    pub provider: String,
}

/// All metrics of one process. Cloning gives another handle to the same registry.
#[derive(Debug, Clone)]
pub struct Metrics {
    families: Arc<Families>,
}

#[derive(Debug)]
pub(crate) struct Families {
    registry: Registry,
    /// See the module's invariant.
    publishing: RwLock<()>,
    /// Times that everything was gathered.
    gathered: AtomicU64,
    pub(crate) consumed: IntCounter,
    pub(crate) predicted: IntCounter,
    pub(crate) selected: IntCounter,
    pub(crate) dead_lettered: IntCounterVec,
    pub(crate) abandoned: IntCounter,
    pub(crate) in_flight: IntGauge,
    pub(crate) consumed_bytes: IntCounter,
    pub(crate) predictions: IntCounterVec,
    pub(crate) selections: IntCounterVec,
    pub(crate) confidence: HistogramVec,
    pub(crate) signal: HistogramVec,
    pub(crate) draws: IntCounterVec,
    pub(crate) drift: DriftFamilies,
    pub(crate) event_latency: Histogram,
    pub(crate) consumer_lag: IntGaugeVec,
    pub(crate) paused: IntGaugeVec,
    pub(crate) partitions_assigned: IntGaugeVec,
    pub(crate) rebalances: IntCounterVec,
    pub(crate) schema_findings: IntCounterVec,
    pub(crate) batch_rows: Histogram,
    pub(crate) stage_seconds: HistogramVec,
    pub(crate) checkpoint_seconds: HistogramVec,
    pub(crate) transactions_aborted: IntCounter,
    pub(crate) transactions_replayed: IntCounter,
    pub(crate) producers_renewed: IntCounter,
    pub(crate) consumers_renewed: IntCounter,
    pub(crate) stalls: IntCounter,
    pub(crate) budget_available: GaugeVec,
    pub(crate) budget_limit: GaugeVec,
    model_info: IntGaugeVec,
    model_created: GaugeVec,
    feature_accepted: GaugeVec,
    pub(crate) model_run_seconds: HistogramVec,
    pub(crate) model_faults: IntCounterVec,
    pub(crate) batches_halved: IntCounterVec,
    registry_requests: IntCounterVec,
    registry_schemas: IntGauge,
    registry_answered: Gauge,
    trace_spans: IntCounterVec,
    certificate_expiry: GaugeVec,
    ready: IntGauge,
    deprecated_keys: IntGauge,
    start_time: Gauge,
}

/// What is told of the schema registry. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct RegistryMetrics {
    requests: IntCounterVec,
    schemas: IntGauge,
    answered: Gauge,
}

impl RegistryMetrics {
    /// Counts a request.
    pub fn asked(&self, outcome: RegistryOutcome) {
        self.requests.with_label_values(&[outcome.as_str()]).inc();
        if outcome == RegistryOutcome::Answered {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.answered.set(now.as_secs_f64());
        }
    }

    /// Shows how many schemas are kept.
    pub fn kept(&self, schemas: usize) {
        self.schemas.set(i64::try_from(schemas).unwrap_or(i64::MAX));
    }
}

impl Metrics {
    /// A registry with every metric of the catalogue, for the pipeline of this name and the program of this version.
    pub fn new(pipeline: &str, version: &str) -> Self {
        let constant = HashMap::from([(catalogue::PIPELINE.name.to_owned(), pipeline.to_owned())]);
        let registry =
            Registry::new_custom(None, Some(constant)).expect("no prefix and one constant label make a registry");
        let families = Families::register(registry, version);
        families.show_closed_sets();
        Self {
            families: Arc::new(families),
        }
    }

    /// Handles for one lane; `models` are the names of the pipeline's models, by whose position it is called later.
    pub fn lane(&self, lane: usize, models: &[&str]) -> LaneMetrics {
        LaneMetrics::new(Arc::clone(&self.families), lane, models)
    }

    /// The handles for the schema registry.
    pub fn registry(&self) -> RegistryMetrics {
        RegistryMetrics {
            requests: self.families.registry_requests.clone(),
            schemas: self.families.registry_schemas.clone(),
            answered: self.families.registry_answered.clone(),
        }
    }

    /// The handles for traces.
    pub fn traces(&self) -> TraceMetrics {
        TraceMetrics::new(&self.families.trace_spans)
    }

    /// Notes when the process started.
    pub fn set_start(&self, now: Now) {
        self.families.start_time.set(now.unix_ms as f64 / 1e3);
    }

    /// Notes whether the service is ready.
    pub fn set_ready(&self, ready: bool) {
        self.families.ready.set(i64::from(ready));
    }

    /// Notes how many keys of the pipeline file go by an old name.
    pub fn set_deprecated_keys(&self, count: usize) {
        self.families
            .deprecated_keys
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Notes when a certificate of ours expires, in seconds since the Unix epoch.
    pub fn certificate_expires(&self, certificate: Certificate, seconds: f64) {
        let labels = [certificate.as_str()];
        self.families.certificate_expiry.with_label_values(&labels).set(seconds);
    }

    /// Shows what this process makes of its own counts for drift.
    pub fn show_drift(&self, view: &View) {
        self.families.drift.show(view);
    }

    /// Shows what of that changes every second.
    pub fn show_drift_of_models(&self, view: &View) {
        self.families.drift.show_models(view);
    }

    /// Notes when the file of a model was last changed, in seconds since the Unix epoch.
    pub fn model_created(&self, model: &str, version: &str, seconds: f64) {
        let labels = [model, version];
        self.families.model_created.with_label_values(&labels).set(seconds);
    }

    /// Notes until when a feature of a profile was measured anew, in seconds since the Unix epoch.
    pub fn feature_accepted(&self, profile: &str, feature: &str, seconds: f64) {
        let labels = [profile, feature];
        self.families.feature_accepted.with_label_values(&labels).set(seconds);
    }

    /// Notes that a version of a model is loaded.
    pub fn model_loaded(&self, model: &ModelFacts) {
        self.families.model_info.with_label_values(&model.labels()).set(1);
    }

    /// Takes back what [`Self::model_loaded`] noted.
    pub fn model_unloaded(&self, model: &ModelFacts) {
        // The only error is that it was never noted, which is what was asked for.
        let _absent = self.families.model_info.remove_label_values(&model.labels());
    }

    /// How often [`Self::gather`] was called.
    pub fn gathered(&self) -> u64 {
        self.families.gathered.load(Ordering::Acquire)
    }

    /// Everything, in the text format of Prometheus.
    pub fn gather(&self) -> String {
        // Before it looks, so that whoever sees the number knows that what it had published before is in the answer.
        self.families.gathered.fetch_add(1, Ordering::Release);
        let families = {
            let _whole = self.families.publishing.write().unwrap_or_else(PoisonError::into_inner);
            self.families.registry.gather()
        };
        TextEncoder::new()
            .encode_to_string(&families)
            .expect("families of the catalogue have names and values")
    }
}

impl ModelFacts {
    fn labels(&self) -> [&str; 4] {
        [&self.name, &self.version, &self.sha256, &self.provider]
    }
}

impl Families {
    /// Held while a lane publishes.
    pub(crate) fn publishing(&self) -> RwLockReadGuard<'_, ()> {
        self.publishing.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(registry: Registry, version: &str) -> Self {
        let r = &registry;
        labelled(r, catalogue::BUILD_INFO, IntGaugeVec::new)
            .with_label_values(&[version])
            .set(1);
        Self {
            publishing: RwLock::new(()),
            gathered: AtomicU64::new(0),
            consumed: counter(r, catalogue::EVENTS_CONSUMED),
            predicted: counter(r, catalogue::EVENTS_PREDICTED),
            selected: counter(r, catalogue::EVENTS_SELECTED),
            dead_lettered: labelled(r, catalogue::EVENTS_DEAD_LETTERED, IntCounterVec::new),
            abandoned: counter(r, catalogue::EVENTS_ABANDONED),
            in_flight: gauge(r, catalogue::EVENTS_IN_FLIGHT),
            consumed_bytes: counter(r, catalogue::CONSUMED_BYTES),
            predictions: labelled(r, catalogue::PREDICTIONS, IntCounterVec::new),
            selections: labelled(r, catalogue::SELECTIONS, IntCounterVec::new),
            confidence: histograms(r, catalogue::CONFIDENCE),
            signal: histograms(r, catalogue::SIGNAL),
            draws: labelled(r, catalogue::DRAWS, IntCounterVec::new),
            drift: DriftFamilies::register(r),
            event_latency: histogram(r, catalogue::EVENT_LATENCY),
            consumer_lag: labelled(r, catalogue::CONSUMER_LAG, IntGaugeVec::new),
            paused: labelled(r, catalogue::PAUSED, IntGaugeVec::new),
            partitions_assigned: labelled(r, catalogue::PARTITIONS_ASSIGNED, IntGaugeVec::new),
            rebalances: labelled(r, catalogue::REBALANCES, IntCounterVec::new),
            schema_findings: labelled(r, catalogue::SCHEMA_FINDINGS, IntCounterVec::new),
            batch_rows: histogram(r, catalogue::BATCH_ROWS),
            stage_seconds: histograms(r, catalogue::STAGE_SECONDS),
            checkpoint_seconds: histograms(r, catalogue::CHECKPOINT_SECONDS),
            transactions_aborted: counter(r, catalogue::TRANSACTIONS_ABORTED),
            transactions_replayed: counter(r, catalogue::TRANSACTIONS_REPLAYED),
            producers_renewed: counter(r, catalogue::PRODUCERS_RENEWED),
            consumers_renewed: counter(r, catalogue::CONSUMERS_RENEWED),
            stalls: counter(r, catalogue::STALLS),
            budget_available: labelled(r, catalogue::BUDGET_AVAILABLE, GaugeVec::new),
            budget_limit: labelled(r, catalogue::BUDGET_LIMIT, GaugeVec::new),
            model_info: labelled(r, catalogue::MODEL_INFO, IntGaugeVec::new),
            feature_accepted: labelled(r, catalogue::FEATURE_ACCEPTED, GaugeVec::new),
            model_created: labelled(r, catalogue::MODEL_CREATED, GaugeVec::new),
            model_run_seconds: histograms(r, catalogue::MODEL_RUN_SECONDS),
            model_faults: labelled(r, catalogue::MODEL_FAULTS, IntCounterVec::new),
            batches_halved: labelled(r, catalogue::BATCHES_HALVED, IntCounterVec::new),
            registry_requests: labelled(r, catalogue::REGISTRY_REQUESTS, IntCounterVec::new),
            registry_schemas: gauge(r, catalogue::REGISTRY_SCHEMAS),
            registry_answered: register(
                r,
                catalogue::REGISTRY_ANSWERED,
                Gauge::with_opts(opts(catalogue::REGISTRY_ANSWERED)),
            ),
            trace_spans: labelled(r, catalogue::TRACE_SPANS, IntCounterVec::new),
            certificate_expiry: labelled(r, catalogue::CERTIFICATE_EXPIRY, GaugeVec::new),
            ready: gauge(r, catalogue::READY),
            deprecated_keys: gauge(r, catalogue::DEPRECATED_KEYS),
            start_time: register(r, catalogue::START_TIME, Gauge::with_opts(opts(catalogue::START_TIME))),
            registry,
        }
    }

    /// A series that first appears with its first increment hides that increment from `rate()`.
    fn show_closed_sets(&self) {
        for reason in Reason::ALL {
            self.dead_lettered.with_label_values(&[reason.as_str()]);
        }
        for arm in Arm::ALL {
            for drawn in Drawn::ALL {
                self.draws.with_label_values(&[arm.as_str(), drawn.as_str()]);
            }
        }
        for outcome in RegistryOutcome::ALL {
            self.registry_requests.with_label_values(&[outcome.as_str()]);
        }
        for outcome in SpanOutcome::ALL {
            self.trace_spans.with_label_values(&[outcome.as_str()]);
        }
        for stage in LaneStage::ALL {
            self.stage_seconds.with_label_values(&[stage.as_str()]);
        }
        for outcome in CheckpointOutcome::ALL {
            self.checkpoint_seconds.with_label_values(&[outcome.as_str()]);
        }
    }
}

fn opts(metric: Metric) -> Opts {
    Opts::new(metric.name, metric.full_help())
}

fn label_names(metric: Metric) -> Vec<&'static str> {
    metric.labels.iter().map(|label| label.name).collect()
}

fn register<T: Collector + Clone + 'static>(registry: &Registry, metric: Metric, made: prometheus::Result<T>) -> T {
    let collector = made.unwrap_or_else(|error| panic!("the catalogue's row {} is sound: {error}", metric.name));
    registry
        .register(Box::new(collector.clone()))
        .unwrap_or_else(|error| panic!("the catalogue has {} once: {error}", metric.name));
    collector
}

fn counter(registry: &Registry, metric: Metric) -> IntCounter {
    register(registry, metric, IntCounter::with_opts(opts(metric)))
}

pub(crate) fn gauge(registry: &Registry, metric: Metric) -> IntGauge {
    register(registry, metric, IntGauge::with_opts(opts(metric)))
}

pub(crate) fn labelled<T: Collector + Clone + 'static>(
    registry: &Registry,
    metric: Metric,
    make: fn(Opts, &[&str]) -> prometheus::Result<T>,
) -> T {
    register(registry, metric, make(opts(metric), &label_names(metric)))
}

fn histogram_opts(metric: Metric) -> HistogramOpts {
    let Kind::Histogram { buckets } = metric.kind else {
        panic!(
            "the catalogue says that {} is a {}, not a histogram",
            metric.name,
            metric.kind.as_str()
        );
    };
    HistogramOpts::new(metric.name, metric.full_help()).buckets(buckets.to_vec())
}

fn histogram(registry: &Registry, metric: Metric) -> Histogram {
    register(registry, metric, Histogram::with_opts(histogram_opts(metric)))
}

fn histograms(registry: &Registry, metric: Metric) -> HistogramVec {
    register(
        registry,
        metric,
        HistogramVec::new(histogram_opts(metric), &label_names(metric)),
    )
}
