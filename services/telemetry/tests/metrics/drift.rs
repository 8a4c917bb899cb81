//! What is shown of drift.

use std::sync::Arc;
use std::time::Duration;

use eddy_pipeline::drift::monitor::{DriftSettings, Export, Monitor, Values, Watched};
use eddy_pipeline::drift::watch::{ModelName, View, Watcher};
use eddy_pipeline::fields::{Feature, FeatureKind};
use eddy_pipeline::head::Predictions;
use eddy_pipeline::outcome::{Accounts, Remembers as _};
use eddy_pipeline::profile::Profile;
use eddy_pipeline::signal::{Matrix, Signal};
use eddy_telemetry::{LaneMetrics, ModelVersion, Totals};

use crate::{NOON, at, metrics, value};

/// A monitor of one feature of four values and a word, by a profile that was written by hand.
pub(crate) fn monitor() -> Arc<Monitor> {
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
pub(crate) fn view(monitor: &Arc<Monitor>, settings: &DriftSettings, events: u64) -> View {
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
