//! What Prometheus gets to see, and when.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use eddy_pipeline::drift::monitor::{DriftSettings, Export, Monitor, Values, Watched};
use eddy_pipeline::drift::watch::{EmbeddingView, ModelName, Standing, View, Watcher};
use eddy_pipeline::fields::{Feature, FeatureKind};
use eddy_pipeline::head::Predictions;
use eddy_pipeline::outcome::{Accounts, Outcome, Remembers};
use eddy_pipeline::profile::Profile;
use eddy_pipeline::rejection::Reason;
use eddy_pipeline::score::RunFault;
use eddy_pipeline::select::{Arm, Arms, Chance, Drawn};
use eddy_pipeline::signal::{Matrix, Signal};
use eddy_pipeline::time::Now;
use eddy_telemetry::catalogue::{ALL, CheckpointOutcome, PauseCause};
use eddy_telemetry::{BatchFacts, LaneMetrics, Metrics, ModelFacts, ModelVersion, Totals};

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

/// A monitor of one feature of four values and a word, by a profile that was written by hand.
fn monitor() -> Arc<Monitor> {
    monitor_with(&DriftSettings::default())
}

fn monitor_with(settings: &DriftSettings) -> Arc<Monitor> {
    let number = serde_json::json!({"number": {
        "name": "age", "missing": 10, "invalid": 0, "edges": [1.0, 2.0], "counts": [30, 40, 20], "bin_means": [1, 2, 3],
        "moments": {"min": 0.0, "max": 3.0, "mean": 1.0, "std": 1.0, "median": 1.0}, "hbos": null}});
    let profile = serde_json::json!({
        "format": 1, "model": "digits", "version": "3", "created": "2026-01-01T00:00:00Z", "source": "data",
        "rows": 100, "sampled": 100, "notes": [], "features": [number], "distances": null, "conformal": {},
        "outputs": {"classes": ["a", "b"], "class_counts": [60, 40], "targets": [], "scales": [], "signals": {},
                    "temperature": 1.0, "calibrators": [], "quality": null}});
    let profile = Profile::from_json(profile.to_string().as_bytes()).expect("a profile");
    let classes = ["a", "b"].map(str::to_owned);
    let watched = Watched {
        profile: &profile,
        classes: &classes,
        measured: &[],
    };
    let feature = Feature {
        name: "age".to_owned(),
        kind: FeatureKind::Number,
    };
    Arc::new(Monitor::new(&[Some(watched)], &[feature], settings))
}

/// Events of one feature, about which the model says nothing.
struct Rows<'a> {
    values: &'a [f32],
    predictions: Predictions,
}

impl<'a> Rows<'a> {
    fn new(values: &'a [f32]) -> Self {
        let mut predictions = Predictions::new();
        predictions.reset(values.len());
        Self { values, predictions }
    }
}

impl Values for Rows<'_> {
    fn features(&self) -> Matrix<'_> {
        Matrix::new(self.values, self.values.len(), 1)
    }

    fn predictions(&self, _: usize) -> &Predictions {
        &self.predictions
    }

    fn signal(&self, _: usize, _: Signal) -> Option<&[f32]> {
        None
    }
}

/// What is seen after so many events of age 2.5.
fn view(monitor: &Arc<Monitor>, settings: &DriftSettings, events: u64) -> View {
    let model = ModelName {
        name: "digits".to_owned(),
        version: "3".to_owned(),
    };
    let mut watcher = Watcher::new(monitor.clone(), settings.clone(), vec![model], Duration::ZERO);
    let mut tally = monitor.tally();
    let values = vec![2.5; events as usize];
    let rows: Vec<u32> = (0..events as u32).collect();
    monitor.count(&Rows::new(&values), &rows, &mut tally);
    for minute in 1..=3 {
        watcher.tick(Duration::from_secs(60 * minute), tally.clone(), (events, 0), "noon");
    }
    watcher.view().clone()
}

#[test]
fn what_a_replica_sees_by_itself_is_shown_and_its_bins_only_where_they_are_exported() {
    for export in [Export::Bins, Export::Values] {
        let settings = DriftSettings {
            export,
            ..DriftSettings::default()
        };
        let (metrics, monitor) = (metrics(), monitor_with(&settings));
        let digits = ModelVersion {
            name: "digits",
            version: "3",
        };
        let _lane = metrics
            .lane(0, &["digits"])
            .watching(monitor.clone(), Totals::of(&monitor), &[digits]);
        let view = view(&monitor, &settings, 3_000);
        metrics.show_drift(&view);
        let profile = monitor.data_profile().expect("it has features");
        let of = |statistic: &str| {
            format!(
                "eddy_feature_drift{{feature=\"age\",profile=\"{profile}\",segment=\"\",statistic=\"{statistic}\"}}"
            )
        };
        let age = &view.features[0];
        assert_eq!(Some(value(&metrics, &of("psi"))), age.psi);
        assert!(value(&metrics, &of("js")) > 0.5);
        assert_eq!(value(&metrics, "eddy_drift_verdicts{state=\"alert\"}"), 1.0);
        // The classes: nothing was decided.
        assert_eq!(value(&metrics, "eddy_drift_verdicts{state=\"insufficient_data\"}"), 1.0);
        assert_eq!(
            metrics.gather().contains("eddy_feature_bin_total{"),
            export == Export::Bins
        );
        // What rests on too little is not shown, and what was before not for ever.
        let mut little = view.clone();
        little.features[0].events = 3;
        metrics.show_drift(&little);
        assert!(!metrics.gather().contains("eddy_feature_drift{"));
    }
}

#[test]
fn counts_for_drift_are_there_from_the_start_and_grow_by_what_is_durable() {
    let metrics = metrics();
    let monitor = monitor();
    let totals = Totals::of(&monitor);
    let digits = ModelVersion {
        name: "digits",
        version: "3",
    };
    let mut lane = metrics
        .lane(0, &["digits"])
        .watching(monitor.clone(), totals.clone(), &[digits]);
    let profile = monitor.data_profile().expect("it has features").to_owned();
    let of = |bin: &str| {
        format!("eddy_feature_bin_total{{bin=\"{bin}\",feature=\"age\",profile=\"{profile}\",segment=\"\"}}")
    };
    let missing = format!("eddy_feature_missing_total{{feature=\"age\",profile=\"{profile}\",segment=\"\"}}");
    let above =
        format!("eddy_feature_out_of_range_total{{feature=\"age\",profile=\"{profile}\",segment=\"\",side=\"above\"}}");
    for series in [of("1.0"), of("2.0"), of("+Inf"), missing.clone(), above.clone()] {
        assert_eq!(value(&metrics, &series), 0.0, "{series}");
    }
    let reference = |bin: &str| of(bin).replace("bin_total", "reference_ratio");
    assert_eq!(value(&metrics, &reference("2.0")), 40.5 / 91.5);
    let missing_reference = missing.replace("missing_total", "reference_missing_ratio");
    assert_eq!(value(&metrics, &missing_reference), 0.1);
    let classes = |class: &str| {
        format!(
            "eddy_output_bin_total{{bin=\"{class}\",model=\"digits\",output=\"class\",profile=\"{profile}\",segment=\"\",version=\"3\"}}"
        )
    };
    assert_eq!(
        (value(&metrics, &classes("a")), value(&metrics, &classes("b"))),
        (0.0, 0.0)
    );
    assert_eq!(value(&metrics, "eddy_drift_features{state=\"watched\"}"), 1.0);

    let rows = [0.5, 1.5, 2.0, 99.0, f32::NAN];
    let count = |lane: &mut LaneMetrics| {
        lane.count(|monitor, tally| monitor.count(&Rows::new(&rows), &[0, 1, 2, 3, 4], tally));
    };
    count(&mut lane);
    lane.mark();
    count(&mut lane);
    lane.publish(&Accounts::new(), at(NOON));
    assert_eq!(value(&metrics, &of("2.0")), 0.0, "nothing is durable yet");
    lane.commit();
    lane.rollback();
    lane.publish(&Accounts::new(), at(NOON));
    let counted = [of("1.0"), of("2.0"), of("+Inf"), missing, above].map(|series| value(&metrics, &series));
    assert_eq!(
        counted,
        [1.0, 2.0, 1.0, 1.0, 1.0],
        "the first span counts once, the second was undone"
    );
    let tally = totals.tally();
    assert_eq!(
        tally.counts.iter().sum::<u64>(),
        6,
        "four values, one that is missing, one that is above"
    );
    assert_eq!(tally.sums, [0.5 + 1.5 + 2.0 + 99.0]);
}
