//! The catalogue: every metric, named once.
//!
//! Owns: names, kinds, units, help, labels with their allowed values, buckets.
//! Never does: hold values; those live in [`crate::Metrics`].
//!
//! Invariant: names begin with `eddy_`, use base units, and end in `_total` if and only if they are counters. Labels take
//! values from closed sets or from the configuration, so the number of series is known before the first event.
//!
//! A new metric is one row in `catalogue!` and one handle in [`crate::Metrics`]; a test finds a row without a handle.

mod deprecated;
mod words;

pub use self::deprecated::{DEPRECATED, Deprecated};
pub(crate) use self::words::FAULTS;
pub use self::words::{
    Certificate, CheckpointOutcome, FeatureState, LaneStage, PauseCause, RegistryOutcome, Side, SpanOutcome, fault_word,
};
use self::words::{
    arm_words, change_words, drawn_words, fault_words, reason_words, signal_words, standing_words, statistic_words,
};

/// How a metric behaves over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only goes up, until the process restarts.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by size; its buckets are upper bounds.
    Histogram {
        /// Upper bounds, ascending; `+Inf` is added.
        buckets: &'static [f64],
    },
}

impl Kind {
    /// The word of the text format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram { .. } => "histogram",
        }
    }
}

/// What is counted or measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Events, or the records that carry them.
    Events,
    /// Predictions: one per event and model.
    Predictions,
    /// Rows of a batch.
    Rows,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// A number between 0 and 1.
    Ratio,
    /// A number on a scale of its own.
    Score,
    /// 1 for yes, 0 for no.
    Flag,
    /// Kafka partitions.
    Partitions,
    /// Times that something happened.
    Times,
    /// Features of events.
    Features,
    /// Keys of a file.
    Keys,
    /// Schemas of events.
    Schemas,
    /// Spans of traces.
    Spans,
}

impl Unit {
    /// The word used in the reference.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Predictions => "predictions",
            Self::Rows => "rows",
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
            Self::Ratio => "0 to 1",
            Self::Score => "its own scale",
            Self::Flag => "0 or 1",
            Self::Partitions => "partitions",
            Self::Times => "times",
            Self::Features => "features",
            Self::Keys => "keys",
            Self::Schemas => "schemas",
            Self::Spans => "spans",
        }
    }
}

/// Which values a label may take.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// Exactly these words.
    Closed(fn() -> Vec<&'static str>),
    /// Whatever the configuration, or Kafka for configured topics, names; this says what.
    Configured(&'static str),
}

/// One label of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its allowed values.
    pub values: Values,
}

/// One metric. Every one also carries the constant label [`PIPELINE`].
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its full name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What it measures.
    pub unit: Unit,
    /// One sentence for a person.
    pub help: &'static str,
    /// Its labels besides [`PIPELINE`], in the order in which handles are resolved.
    pub labels: &'static [Label],
}

const fn closed(name: &'static str, words: fn() -> Vec<&'static str>) -> Label {
    Label {
        name,
        values: Values::Closed(words),
    }
}

const fn configured(name: &'static str, what: &'static str) -> Label {
    Label {
        name,
        values: Values::Configured(what),
    }
}

/// Constant label of the whole registry.
pub const PIPELINE: Label = configured("pipeline", "`name` of the pipeline file");

const BIN: Label = configured(
    "bin",
    "upper edge of a bin of the reference profile, `+Inf` for the last one; a word, or `(other)` for all others; a class",
);
const FEATURE: Label = configured("feature", "name of a field, or of an element of a vector");
const FEATURE_STATE: Label = closed("state", FeatureState::words);
const OUTPUT: Label = configured(
    "output",
    "`class`, the word of a signal, `p/` and the word of a signal for its p-value, `target/` and the name of a target, or \
     `projection/` and a number",
);
const REGISTRY_OUTCOME: Label = closed("outcome", RegistryOutcome::words);
const SEGMENT: Label = configured(
    "segment",
    "a word of the field `drift.segment`; empty for all events together",
);
const STANDING: Label = closed("state", standing_words);
const TABLE: Label = closed("table", Certificate::words);
const STATISTIC: Label = closed("statistic", statistic_words);
const PROFILE: Label = configured("profile", "id of a reference profile");
const SIDE: Label = closed("side", Side::words);
const ARM: Label = closed("arm", arm_words);
const CAUSE: Label = closed("cause", PauseCause::words);
const CHANGE: Label = closed("change", change_words);
const FAULT: Label = closed("fault", fault_words);
const LANE: Label = configured("lane", "number of the lane, from 0 to `kafka.lanes` - 1");
const MODEL: Label = configured("model", "`name` of a model");
const OUTCOME: Label = closed("outcome", CheckpointOutcome::words);
const PARTITION: Label = configured("partition", "number of an assigned partition");
const PROVIDER: Label = configured("provider", "execution provider that the model runs on");
const REASON: Label = closed("reason", reason_words);
const SHA256: Label = configured("sha256", "SHA-256 of the model file, in hexadecimal digits");
const DRAWN: Label = closed("outcome", drawn_words);
const SIGNAL_LABEL: Label = closed("signal", signal_words);
const SPAN_OUTCOME: Label = closed("outcome", SpanOutcome::words);
const STAGE: Label = closed("stage", LaneStage::words);
const TOPIC: Label = configured("topic", "name of an events topic");
const VERSION: Label = configured("version", "version of the program or the model");

// A batch's stages run from microseconds (tiny models) to seconds (a device under load).
const STAGE_BUCKETS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_1, 0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0,
];
// From the millisecond that the design aims at, to the hours of a backlog.
const LATENCY_BUCKETS: &[f64] = &[
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 10_800.0,
];
const CHECKPOINT_BUCKETS: &[f64] = &[
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];
const ROW_BUCKETS: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0,
];
// Fine between 0 and 1, where most signals are, and by half decades beyond.
const SIGNAL_BUCKETS: &[f64] = &[
    -100.0, -30.0, -10.0, -3.0, 0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0, 3.0, 10.0,
    30.0, 100.0, 300.0, 1000.0,
];
// Finer near 1, where classifiers spend their time and calibration is judged.
const CONFIDENCE_BUCKETS: &[f64] = &[
    0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99, 1.0,
];

const COUNTER: Kind = Kind::Counter;
const GAUGE: Kind = Kind::Gauge;

const fn histogram(buckets: &'static [f64]) -> Kind {
    Kind::Histogram { buckets }
}

macro_rules! catalogue {
    ($($id:ident = $name:literal, $kind:expr, $unit:ident, [$($label:ident),*], $help:literal;)+) => {
        $(
            #[doc = $help]
            pub const $id: Metric = Metric {
                name: $name,
                kind: $kind,
                unit: Unit::$unit,
                help: $help,
                labels: &[$($label),*],
            };
        )+

        /// The whole catalogue.
        pub const ALL: &[Metric] = &[$($id,)+];
    };
}

catalogue! {
    EVENTS_CONSUMED = "eddy_events_consumed_total", COUNTER, Events, [],
        "Events taken from Kafka. Equals predicted + dead-lettered + abandoned + in flight in every scrape.";
    EVENTS_PREDICTED = "eddy_events_predicted_total", COUNTER, Events, [],
        "Events whose prediction is durable.";
    EVENTS_SELECTED = "eddy_events_selected_total", COUNTER, Events, [],
        "Events whose prediction is durable and which were also sent to the retraining topic.";
    EVENTS_DEAD_LETTERED = "eddy_events_dead_lettered_total", COUNTER, Events, [REASON],
        "Events that could not be scored and are durable in the dead-letters topic.";
    EVENTS_ABANDONED = "eddy_events_abandoned_total", COUNTER, Events, [],
        "Events that a rewind or a revoke threw away; they are read again, here or elsewhere.";
    EVENTS_IN_FLIGHT = "eddy_events_in_flight", GAUGE, Events, [],
        "Events taken from Kafka whose outcome is not durable yet.";
    CONSUMED_BYTES = "eddy_consumed_bytes_total", COUNTER, Bytes, [],
        "Bytes of the values of consumed events.";
    PREDICTIONS = "eddy_predictions_total", COUNTER, Predictions, [MODEL],
        "Durable predictions of each model.";
    SELECTIONS = "eddy_selections_total", COUNTER, Predictions, [MODEL, ARM],
        "Durable selections of each model's arms; an event that two arms select counts in both.";
    CONFIDENCE = "eddy_prediction_confidence", histogram(CONFIDENCE_BUCKETS), Ratio, [MODEL],
        "Confidence of durable predictions, for heads that give one.";
    SIGNAL = "eddy_signal", histogram(SIGNAL_BUCKETS), Score, [MODEL, SIGNAL_LABEL],
        "Signals of durable predictions, as far as they are measured: those between 0 and 1, and those on a scale of their own.";
    DRAWS = "eddy_selection_draws_total", COUNTER, Events, [ARM, DRAWN],
        "Draws for durable events that an arm could have selected, and what became of them.";
    FEATURE_BINS = "eddy_feature_bin_total", COUNTER, Events, [PROFILE, FEATURE, BIN, SEGMENT],
        "Durable events by the bin that a feature's value lies in.";
    FEATURE_MISSING = "eddy_feature_missing_total", COUNTER, Events, [PROFILE, FEATURE, SEGMENT],
        "Durable events without a value of a feature.";
    FEATURE_INVALID = "eddy_feature_invalid_total", COUNTER, Events, [PROFILE, FEATURE, SEGMENT],
        "Durable events with an infinite value of a feature.";
    FEATURE_OUT_OF_RANGE = "eddy_feature_out_of_range_total", COUNTER, Events, [PROFILE, FEATURE, SIDE, SEGMENT],
        "Durable events with a value of a feature beyond all of the reference; they are in a bin too.";
    FEATURE_REFERENCE = "eddy_feature_reference_ratio", GAUGE, Ratio, [PROFILE, FEATURE, BIN, SEGMENT],
        "Share of a bin in the reference, (count + ½) / (events + bins/2); the same on every replica.";
    FEATURE_REFERENCE_EVENTS = "eddy_feature_reference_events", GAUGE, Events, [PROFILE, FEATURE, SEGMENT],
        "Events of the reference that are in bins of a feature; the same on every replica.";
    FEATURE_REFERENCE_MISSING = "eddy_feature_reference_missing_ratio", GAUGE, Ratio, [PROFILE, FEATURE, SEGMENT],
        "Share of the events of the reference without a value of a feature; the same on every replica.";
    FEATURE_ACCEPTED = "eddy_feature_accepted_time_seconds", GAUGE, Seconds, [PROFILE, FEATURE],
        "End of the span from which `eddy profile accept` took what a feature is like, since the Unix epoch.";
    OUTPUT_BINS = "eddy_output_bin_total", COUNTER, Predictions, [MODEL, VERSION, PROFILE, OUTPUT, BIN, SEGMENT],
        "Durable predictions by the bin that an output of a model lies in.";
    OUTPUT_REFERENCE = "eddy_output_reference_ratio", GAUGE, Ratio, [MODEL, VERSION, PROFILE, OUTPUT, BIN, SEGMENT],
        "Share of a bin of an output in the reference, as of a feature; the same on every replica.";
    OUTPUT_REFERENCE_EVENTS = "eddy_output_reference_events", GAUGE, Predictions, [MODEL, VERSION, PROFILE, OUTPUT, SEGMENT],
        "Predictions of the reference that are in bins of an output; the same on every replica.";
    DRIFT_FEATURES = "eddy_drift_features", GAUGE, Features, [FEATURE_STATE],
        "Features that are counted for drift, and those that are not because `drift.max_series` is reached.";
    FEATURE_DRIFT = "eddy_feature_drift", GAUGE, Score, [PROFILE, FEATURE, SEGMENT, STATISTIC],
        "Distance between this replica's own window of a feature and the reference. Not to be averaged over replicas.";
    OUTPUT_DRIFT = "eddy_output_drift", GAUGE, Score, [MODEL, VERSION, PROFILE, OUTPUT, SEGMENT, STATISTIC],
        "Distance between this replica's own window of an output and the reference. Not to be averaged over replicas.";
    DRIFT_VERDICTS = "eddy_drift_verdicts", GAUGE, Features, [STANDING],
        "Features and outputs by how they stand in this replica's own view.";
    CATCHING_UP = "eddy_drift_catching_up", GAUGE, Flag, [],
        "1 while the lag exceeds `drift.catching_up_lag`: what comes is old, and drift is not judged.";
    CONFIDENCE_EVIDENCE = "eddy_confidence_evidence", GAUGE, Score, [MODEL, VERSION],
        "Natural logarithm of the e-SR detector on 1 - confidence, at least 0. exp of it may be averaged over replicas; the alarm is at 1 / drift.confidence.false_alarms.";
    CONFIDENCE_CHANGES = "eddy_confidence_changes_total", COUNTER, Times, [MODEL, VERSION],
        "Changes that ADWIN found in the means of confidence of each second.";
    EMBEDDING_DRIFT = "eddy_embedding_drift", GAUGE, Score, [MODEL, VERSION, PROFILE],
        "Squared Frechet distance between whitened projections of this replica's window and of the reference.";
    EMBEDDING_CRITICAL = "eddy_embedding_drift_critical", GAUGE, Score, [MODEL, VERSION, PROFILE],
        "What that distance exceeds without drift in one window of a thousand.";
    BUDGET_AVAILABLE = "eddy_budget_available_events", GAUGE, Events, [LANE, MODEL, ARM],
        "Events that an arm could select now. Negative while it pays back.";
    BUDGET_LIMIT = "eddy_budget_limit_events", GAUGE, Events, [LANE, MODEL, ARM],
        "Most events that an arm can save up.";
    EVENT_LATENCY = "eddy_event_latency_seconds", histogram(LATENCY_BUCKETS), Seconds, [],
        "Time from an event's own timestamp until its prediction was durable.";
    CONSUMER_LAG = "eddy_consumer_lag_events", GAUGE, Events, [TOPIC, PARTITION],
        "Events between what is durable and the end of an assigned partition.";
    PAUSED = "eddy_lane_paused", GAUGE, Flag, [LANE, CAUSE],
        "Whether the lane takes no events, and why.";
    PARTITIONS_ASSIGNED = "eddy_partitions_assigned", GAUGE, Partitions, [LANE],
        "Partitions that the lane holds.";
    REBALANCES = "eddy_rebalances_total", COUNTER, Times, [LANE],
        "Times that the group gave or took partitions.";
    SCHEMA_FINDINGS = "eddy_schema_findings_total", COUNTER, Times, [CHANGE],
        "What did not fit the pipeline file in schemas that were new to a lane, as `events.evolution` has it.";
    BATCH_ROWS = "eddy_batch_rows", histogram(ROW_BUCKETS), Rows, [],
        "Rows of a batch.";
    STAGE_SECONDS = "eddy_stage_seconds", histogram(STAGE_BUCKETS), Seconds, [STAGE],
        "Time that a lane spent in each stage of one batch, or in one checkpoint.";
    CHECKPOINT_SECONDS = "eddy_checkpoint_seconds", histogram(CHECKPOINT_BUCKETS), Seconds, [OUTCOME],
        "Duration of checkpoints by how they ended.";
    TRANSACTIONS_ABORTED = "eddy_transactions_aborted_total", COUNTER, Times, [],
        "Transactions that were aborted.";
    TRANSACTIONS_REPLAYED = "eddy_transactions_replayed_total", COUNTER, Times, [],
        "Aborted transactions whose outputs were sent again without reading their events a second time.";
    PRODUCERS_RENEWED = "eddy_producers_renewed_total", COUNTER, Times, [],
        "Times that a lane replaced its producer.";
    CONSUMERS_RENEWED = "eddy_consumers_renewed_total", COUNTER, Times, [],
        "Times that a lane replaced its consumer, which joined the group anew.";
    STALLS = "eddy_stalls_total", COUNTER, Times, [],
        "Times that a partition stood still although it had events, and was read from anew.";
    MODEL_INFO = "eddy_model_info", GAUGE, Flag, [MODEL, VERSION, SHA256, PROVIDER],
        "1 for each loaded version of a model.";
    MODEL_CREATED = "eddy_model_created_time_seconds", GAUGE, Seconds, [MODEL, VERSION],
        "When the file of the model was last changed, since the Unix epoch.";
    MODEL_RUN_SECONDS = "eddy_model_run_seconds", histogram(STAGE_BUCKETS), Seconds, [MODEL],
        "Duration of one run of a model over one batch.";
    MODEL_FAULTS = "eddy_model_faults_total", COUNTER, Times, [MODEL, FAULT],
        "Failed runs of a model.";
    BATCHES_HALVED = "eddy_batches_halved_total", COUNTER, Times, [MODEL],
        "Times that a batch was halved because a run failed or took too long.";
    REGISTRY_REQUESTS = "eddy_registry_requests_total", COUNTER, Times, [REGISTRY_OUTCOME],
        "Requests to the schema registry by what came of them.";
    REGISTRY_SCHEMAS = "eddy_registry_schemas", GAUGE, Schemas, [],
        "Schemas that are kept; they go on working while the schema registry is out of reach.";
    REGISTRY_ANSWERED = "eddy_registry_answered_time_seconds", GAUGE, Seconds, [],
        "When the schema registry last gave what it was asked for, since the Unix epoch; 0 before that.";
    TRACE_SPANS = "eddy_trace_spans_total", COUNTER, Spans, [SPAN_OUTCOME],
        "Spans of traced events by what became of them; none is traced without the table `traces`.";
    CERTIFICATE_EXPIRY = "eddy_certificate_expiry_time_seconds", GAUGE, Seconds, [TABLE],
        "When our certificate in a table of the pipeline file expires, since the Unix epoch: of `admin.tls` the one in use, of the others as it was at the start.";
    READY = "eddy_ready", GAUGE, Flag, [],
        "Whether the service is ready; the page /ready names the causes when it is not.";
    DEPRECATED_KEYS = "eddy_deprecated_keys", GAUGE, Keys, [],
        "Keys of the pipeline file, and of variables over it, that go by an old name; the log names them, `eddy migrate` renames them.";
    BUILD_INFO = "eddy_build_info", GAUGE, Flag, [VERSION],
        "1, with the version of the program.";
    START_TIME = "eddy_process_start_time_seconds", GAUGE, Seconds, [],
        "When the process started, in seconds since the Unix epoch.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_rules_of_prometheus_and_of_the_house() {
        for metric in ALL {
            let name = metric.name;
            assert!(name.starts_with("eddy_"), "{name}");
            assert!(
                name.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{name}"
            );
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            assert_eq!(
                name.trim_end_matches("_total").ends_with("_seconds"),
                metric.unit == Unit::Seconds,
                "{name}"
            );
            assert_eq!(
                name.trim_end_matches("_total").ends_with("_bytes"),
                metric.unit == Unit::Bytes,
                "{name}"
            );
        }
    }

    #[test]
    fn each_name_is_there_once() {
        let names: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn help_is_a_sentence() {
        for metric in ALL {
            assert!(metric.help.ends_with('.'), "{}", metric.name);
            assert!(
                metric.help.starts_with(|c: char| c.is_ascii_uppercase() || c == '1'),
                "{}",
                metric.name
            );
        }
    }

    #[test]
    fn buckets_ascend() {
        for metric in ALL {
            if let Kind::Histogram { buckets } = metric.kind {
                assert!(!buckets.is_empty(), "{}", metric.name);
                assert!(buckets.is_sorted_by(|a, b| a < b), "{}", metric.name);
            }
        }
    }

    #[test]
    fn closed_labels_have_distinct_words() {
        for label in ALL.iter().flat_map(|metric| metric.labels) {
            if let Values::Closed(words) = label.values {
                let words = words();
                let distinct: BTreeSet<_> = words.iter().collect();
                assert_eq!(distinct.len(), words.len(), "{}", label.name);
                assert!(!words.is_empty(), "{}", label.name);
            }
        }
    }
}
