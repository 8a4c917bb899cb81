//! What Prometheus gets to see, and when.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use eddy_pipeline::drift::monitor::DriftSettings;
use eddy_pipeline::drift::watch::{EmbeddingView, Standing};
use eddy_pipeline::outcome::{Accounts, Outcome, Remembers};
use eddy_pipeline::rejection::Reason;
use eddy_pipeline::score::RunFault;
use eddy_pipeline::select::{Arm, Arms, Chance, Drawn};
use eddy_pipeline::signal::Signal;
use eddy_pipeline::time::Now;
use eddy_telemetry::catalogue::{ALL, Certificate, CheckpointOutcome, PauseCause};
use eddy_telemetry::{BatchFacts, LaneMetrics, Metrics, ModelFacts, ModelVersion, Totals};

#[path = "metrics/drift.rs"]
mod drift;

use self::drift::{monitor, view};

const NOON: i64 = 1_700_000_000_000;

fn at(unix_ms: i64) -> Now {
    Now {
        monotonic: Duration::ZERO,
        unix_ms,
    }
}

fn metrics() -> Metrics {
    Metrics::new("digits", "0.1.0")
}

/// Samples of one scrape by name with labels: in alphabetical order, without the pipeline's.
fn samples(metrics: &Metrics) -> HashMap<String, f64> {
    let text = metrics.gather();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
            let (name, labels) = series.split_once('{').expect("every sample has the pipeline's label");
            let labels = labels.trim_end_matches('}').split(',');
            let mut labels: Vec<_> = labels.filter(|label| *label != "pipeline=\"digits\"").collect();
            labels.sort_unstable();
            let series = match labels.as_slice() {
                [] => name.to_owned(),
                labels => format!("{name}{{{}}}", labels.join(",")),
            };
            (series, value.parse().expect("a value is a number"))
        })
        .collect()
}

fn value(metrics: &Metrics, name: &str) -> f64 {
    *samples(metrics).get(name).unwrap_or_else(|| panic!("no {name}"))
}

/// Books with one batch of four: two predicted, one of them selected, one dead, one still without an outcome.
fn four_events() -> Accounts {
    let mut accounts = Accounts::new();
    accounts.consume(4);
    accounts.settle(Outcome::Predicted);
    accounts.settle(Outcome::Selected(Arms::NONE.with(Arm::Anomaly)));
    accounts.settle(Outcome::DeadLettered(Reason::Malformed));
    accounts
}

/// What the lane tells of the same batch.
fn observe(lane: &mut LaneMetrics) {
    lane.event_times([NOON - 30, NOON - 3_000]);
    lane.predictions(0, 2, [0.57, 0.999]);
    lane.selected(0, Arms::NONE.with(Arm::Anomaly));
    lane.signal(0, Signal::Margin, [0.43, f32::NAN]);
    lane.drawn(&[Chance {
        arm: Arm::Anomaly,
        model: Some(0),
        probability: 0.5,
        draw: 0.25,
        drawn: Drawn::Selected,
    }]);
}

#[test]
fn every_metric_of_the_catalogue_is_served_with_its_kind_and_help() {
    let metrics = metrics();
    let digits = ModelVersion {
        name: "digits",
        version: "3",
    };
    let mut lane = metrics
        .lane(0, &["digits"])
        .watching(monitor(), Totals::of(&monitor()), &[digits]);
    lane.lag("events", 3, 7);
    lane.signal(0, Signal::Margin, []);
    lane.budget(None, Arm::Anomaly, (3.0, 10.0));
    metrics.model_created("digits", "3", 1.7e9);
    metrics.certificate_expires(Certificate::Admin, 1.7e9);
    metrics.feature_accepted("abc", "age", 1.7e9);
    let mut view = view(&monitor(), &DriftSettings::default(), 3_000);
    view.models[0].evidence = Some(2.0);
    (view.outputs[0].psi, view.outputs[0].need) = (Some(0.1), 0);
    view.models[0].embedding = Some(EmbeddingView {
        profile: "abc".into(),
        distance: Some(0.5),
        critical: Some(0.25),
        state: Standing::Quiet,
    });
    metrics.show_drift(&view);
    metrics.model_loaded(&ModelFacts {
        name: "digits".into(),
        version: "1".into(),
        sha256: "00".into(),
        provider: "cpu".into(),
    });
    let text = metrics.gather();
    for metric in ALL {
        assert!(
            text.contains(&format!("# TYPE {} {}\n", metric.name, metric.kind.as_str())),
            "{}",
            metric.name
        );
        assert!(
            text.contains(&format!("# HELP {} {}\n", metric.name, metric.full_help())),
            "{}",
            metric.name
        );
    }
}

#[test]
fn every_sample_is_in_the_catalogue_and_carries_the_pipeline() {
    let metrics = metrics();
    let _lane = metrics.lane(0, &["digits"]);
    for line in metrics.gather().lines().filter(|line| !line.starts_with('#')) {
        assert!(line.contains("pipeline=\"digits\""), "{line}");
        let name = line.split(['{', ' ']).next().expect("a line has a beginning");
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|part| name.strip_suffix(part));
        assert!(
            ALL.iter()
                .any(|metric| metric.name == name || Some(metric.name) == family),
            "{line}"
        );
    }
}

#[test]
fn series_of_closed_sets_are_there_before_their_first_increment() {
    let metrics = metrics();
    let _lane = metrics.lane(0, &["digits"]);
    for reason in Reason::ALL {
        let name = format!("eddy_events_dead_lettered_total{{reason=\"{}\"}}", reason.as_str());
        assert_eq!(value(&metrics, &name), 0.0);
    }
    for arm in Arm::ALL {
        let name = format!("eddy_selections_total{{arm=\"{arm}\",model=\"digits\"}}");
        assert_eq!(value(&metrics, &name), 0.0);
    }
}

#[test]
fn outcomes_stay_in_flight_until_their_span_is_durable() {
    let metrics = metrics();
    let mut lane = metrics.lane(0, &["digits"]);
    let mut accounts = four_events();
    observe(&mut lane);
    accounts.mark();
    lane.mark();
    lane.publish(&accounts, at(NOON));

    assert_eq!(value(&metrics, "eddy_events_consumed_total"), 4.0);
    assert_eq!(value(&metrics, "eddy_events_in_flight"), 4.0);
    assert_eq!(value(&metrics, "eddy_events_predicted_total"), 0.0);
    assert_eq!(value(&metrics, "eddy_event_latency_seconds_count"), 0.0);
    assert_eq!(value(&metrics, "eddy_predictions_total{model=\"digits\"}"), 0.0);
}

#[test]
fn a_durable_span_is_published_once() {
    let metrics = metrics();
    let mut lane = metrics.lane(0, &["digits"]);
    let mut accounts = four_events();
    observe(&mut lane);
    accounts.mark();
    lane.mark();
    accounts.commit();
    lane.commit();
    lane.publish(&accounts, at(NOON));
    lane.publish(&accounts, at(NOON + 1));

    assert_eq!(value(&metrics, "eddy_events_predicted_total"), 2.0);
    assert_eq!(value(&metrics, "eddy_events_selected_total"), 1.0);
    assert_eq!(value(&metrics, "eddy_events_in_flight"), 1.0);
    assert_eq!(
        value(&metrics, "eddy_events_dead_lettered_total{reason=\"malformed\"}"),
        1.0
    );
    assert_eq!(value(&metrics, "eddy_predictions_total{model=\"digits\"}"), 2.0);
    assert_eq!(
        value(&metrics, "eddy_selections_total{arm=\"anomaly\",model=\"digits\"}"),
        1.0
    );
    assert_eq!(
        value(&metrics, "eddy_signal_count{model=\"digits\",signal=\"margin\"}"),
        1.0,
        "none is no number"
    );
    assert_eq!(
        value(
            &metrics,
            "eddy_selection_draws_total{arm=\"anomaly\",outcome=\"selected\"}"
        ),
        1.0
    );
    assert_eq!(
        value(&metrics, "eddy_prediction_confidence_count{model=\"digits\"}"),
        2.0
    );
    assert_eq!(
        value(
            &metrics,
            "eddy_prediction_confidence_bucket{le=\"0.6\",model=\"digits\"}"
        ),
        1.0
    );
    assert_eq!(value(&metrics, "eddy_event_latency_seconds_count"), 2.0);
    assert_eq!(value(&metrics, "eddy_event_latency_seconds_sum"), 3.03);
}

#[test]
fn a_span_that_was_rolled_back_leaves_only_abandoned_events() {
    let metrics = metrics();
    let mut lane = metrics.lane(0, &["digits"]);
    let mut accounts = four_events();
    observe(&mut lane);
    accounts.mark();
    lane.mark();
    observe(&mut lane);
    accounts.rollback();
    lane.rollback();
    accounts.mark();
    lane.mark();
    accounts.commit();
    lane.commit();
    lane.publish(&accounts, at(NOON));

    assert_eq!(value(&metrics, "eddy_events_abandoned_total"), 4.0);
    assert_eq!(value(&metrics, "eddy_events_in_flight"), 0.0);
    assert_eq!(value(&metrics, "eddy_events_predicted_total"), 0.0);
    assert_eq!(value(&metrics, "eddy_event_latency_seconds_count"), 0.0);
    assert_eq!(value(&metrics, "eddy_predictions_total{model=\"digits\"}"), 0.0);
}

#[test]
fn an_event_from_the_future_has_no_negative_latency() {
    let metrics = metrics();
    let mut lane = metrics.lane(0, &[]);
    lane.event_times([NOON + 60_000]);
    lane.mark();
    lane.commit();
    lane.publish(&Accounts::new(), at(NOON));
    assert_eq!(value(&metrics, "eddy_event_latency_seconds_count"), 1.0);
    assert_eq!(value(&metrics, "eddy_event_latency_seconds_sum"), 0.0);
}

#[test]
fn lanes_add_up_to_one_pipeline() {
    let metrics = metrics();
    for number in 0..3 {
        let mut lane = metrics.lane(number, &["digits"]);
        lane.publish(&four_events(), at(NOON));
    }
    assert_eq!(value(&metrics, "eddy_events_consumed_total"), 12.0);
    assert_eq!(value(&metrics, "eddy_events_in_flight"), 12.0);
}

#[test]
fn every_scrape_sees_balanced_books() {
    let metrics = metrics();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in 0..2 {
            let mut lane = metrics.lane(number, &["digits"]);
            let is_done = &is_done;
            scope.spawn(move || {
                let mut accounts = Accounts::new();
                while !is_done.load(Ordering::Relaxed) {
                    accounts.consume(3);
                    accounts.settle(Outcome::Predicted);
                    accounts.settle(Outcome::DeadLettered(Reason::TooLarge));
                    accounts.mark();
                    accounts.commit();
                    lane.publish(&accounts, at(NOON));
                    accounts.rollback();
                }
            });
        }
        for _ in 0..200 {
            let samples = samples(&metrics);
            let get = |name: &str| samples[name];
            let dead: f64 = samples
                .iter()
                .filter(|(name, _)| name.starts_with("eddy_events_dead_lettered_total"))
                .map(|(_, value)| value)
                .sum();
            let accounted = get("eddy_events_predicted_total")
                + dead
                + get("eddy_events_abandoned_total")
                + get("eddy_events_in_flight");
            assert_eq!(get("eddy_events_consumed_total"), accounted);
        }
        is_done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_batch_shows_its_rows_and_stages_with_the_next_publication() {
    let metrics = metrics();
    let mut lane = metrics.lane(0, &["digits"]);
    lane.batch(&BatchFacts {
        rows: 20,
        bytes: 4096,
        model: Duration::from_millis(2),
        ..BatchFacts::default()
    });
    lane.model_run(0, Duration::from_millis(2));
    lane.checkpoint(CheckpointOutcome::Committed, Duration::from_millis(8));
    lane.publish(&Accounts::new(), at(NOON));

    assert_eq!(value(&metrics, "eddy_batch_rows_sum"), 20.0);
    assert_eq!(value(&metrics, "eddy_consumed_bytes_total"), 4096.0);
    assert_eq!(value(&metrics, "eddy_stage_seconds_sum{stage=\"model\"}"), 0.002);
    assert_eq!(value(&metrics, "eddy_stage_seconds_sum{stage=\"checkpoint\"}"), 0.008);
    assert_eq!(
        value(&metrics, "eddy_checkpoint_seconds_count{outcome=\"committed\"}"),
        1.0
    );
    assert_eq!(
        value(&metrics, "eddy_checkpoint_seconds_count{outcome=\"aborted\"}"),
        0.0
    );
    assert_eq!(value(&metrics, "eddy_model_run_seconds_count{model=\"digits\"}"), 1.0);
}

#[test]
fn faults_and_pauses_are_seen_at_once() {
    let metrics = metrics();
    let mut lane = metrics.lane(1, &["digits"]);
    lane.model_fault(0, RunFault::TimedOut);
    lane.batch_halved(0);
    lane.transaction_aborted();
    lane.producer_renewed();
    lane.pause(PauseCause::Flood);

    assert_eq!(
        value(
            &metrics,
            "eddy_model_faults_total{fault=\"timed_out\",model=\"digits\"}"
        ),
        1.0
    );
    assert_eq!(value(&metrics, "eddy_batches_halved_total{model=\"digits\"}"), 1.0);
    assert_eq!(value(&metrics, "eddy_transactions_aborted_total"), 1.0);
    assert_eq!(value(&metrics, "eddy_producers_renewed_total"), 1.0);
    assert_eq!(value(&metrics, "eddy_lane_paused{cause=\"flood\",lane=\"1\"}"), 1.0);
    lane.resume(PauseCause::Flood);
    assert_eq!(value(&metrics, "eddy_lane_paused{cause=\"flood\",lane=\"1\"}"), 0.0);
}

#[test]
fn the_lag_of_a_partition_goes_with_the_partition() {
    let metrics = metrics();
    let mut lane = metrics.lane(0, &[]);
    let shown = |metrics: &Metrics| {
        let mut lags: Vec<_> = samples(metrics)
            .into_iter()
            .filter(|(name, _)| name.starts_with("eddy_consumer_lag_events"))
            .map(|(_, lag)| lag as u64)
            .collect();
        lags.sort_unstable();
        lags
    };
    lane.rebalanced(&[("events", 0), ("events", 1)]);
    lane.lag("events", 0, 5);
    lane.lag("events", 1, 9);
    assert_eq!(shown(&metrics), [5, 9]);
    lane.rebalanced(&[("events", 1)]);
    assert_eq!(shown(&metrics), [9]);
    assert_eq!(value(&metrics, "eddy_partitions_assigned{lane=\"0\"}"), 1.0);
    assert_eq!(value(&metrics, "eddy_rebalances_total{lane=\"0\"}"), 2.0);
    drop(lane);
    assert_eq!(shown(&metrics), [] as [u64; 0]);
}

#[test]
fn an_unloaded_version_is_shown_no_more() {
    let metrics = metrics();
    let version = |version: &str| ModelFacts {
        name: "digits".into(),
        version: version.into(),
        sha256: "00".into(),
        provider: "cpu".into(),
    };
    metrics.model_loaded(&version("1"));
    metrics.model_loaded(&version("2"));
    metrics.model_unloaded(&version("1"));
    metrics.model_unloaded(&version("never loaded"));
    let text = metrics.gather();
    assert!(
        text.contains("version=\"2\"") && !text.contains("version=\"1\""),
        "{text}"
    );
}
