//! What a profile says about the rows that it was built from.

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn fewer_than_1000_rows_are_refused_and_fewer_than_10000_noted() {
    let plan = || Plan::new(specs(), &*classifier());
    let error = built(&Data3::new(999, 1), plan()).expect_err("there are too few");
    assert_eq!(error, Error::TooFewRows { rows: 999 });
    let few = built(&Data3::new(1_000, 1), plan()).expect("there are enough");
    assert!(few.notes.contains(&Note::FewRows(1_000)), "{:?}", few.notes);
    assert_eq!((few.rows, few.sampled), (1_000, 1_000));
}

#[test]
fn property_the_order_of_rows_does_not_change_counts() {
    let counts = |profile: &Profile| {
        let of = |feature: &Feature| match feature {
            Feature::Number(n) => (n.edges.clone(), n.counts.clone(), n.missing),
            Feature::Category(c) => (vec![], c.counts.clone(), c.missing),
        };
        let features: Vec<_> = profile.features.iter().map(of).collect();
        (features, profile.outputs.class_counts.clone())
    };
    let data = Data3::new(1_500, 4);
    let plan = || Plan::new(specs(), &*classifier());
    let expected = counts(&built(&data, plan()).expect("there are enough rows"));
    proptest!(ProptestConfig::with_cases(4), |(seed: u64)| {
        let shuffled = built(&data.shuffled(seed), plan()).expect("there are enough rows");
        prop_assert_eq!(&counts(&shuffled), &expected);
    });
}

#[test]
fn features_are_counted_by_kind() {
    let profile = profile(2_000, 5);
    let height = number(&profile, "height");
    assert!(height.missing > 0 && height.edges.len() == 9, "{height:?}");
    assert_eq!(height.counts.iter().sum::<u64>() + height.missing, 2_000);
    // Twelve values: a bin for each.
    assert_eq!(
        number(&profile, "count").edges,
        (0..11).map(|v| v as f32).collect::<Vec<_>>()
    );
    let Feature::Category(colour) = &profile.features[2] else {
        panic!("{:?} is no category", profile.features[2]);
    };
    assert_eq!(colour.counts.iter().sum::<u64>(), 2_000);
    assert!(colour.counts.iter().all(|count| *count > 0), "{colour:?}");
}

#[test]
fn a_feature_that_is_constant_or_empty_breaks_nothing_and_is_noted() {
    let profile = profile(1_000, 6);
    assert!(profile.notes.contains(&Note::Constant("constant".to_owned())));
    assert!(profile.notes.contains(&Note::Empty("empty".to_owned())));
    assert_eq!(number(&profile, "empty").moments, None);
    assert_eq!(number(&profile, "constant").moments.map(|m| m.std), Some(0.0));
    let distances = profile.distances.as_ref().expect("some numbers vary");
    assert_eq!(distances.columns, ["height", "count", "weight"]);
    let fresh = Data3::new(100, 7);
    let served = profile.measures(classifier().holds(), &[], &NAMES).expect("it fits");
    for measure in served {
        let scores = scores(&*measure, &fresh, fresh.matrix());
        assert!(scores.iter().all(|score| score.is_finite()), "{measure:?}");
    }
}

#[test]
fn labels_give_temperature_calibrators_and_quality() {
    let profile = profile(9_000, 14);
    let outputs = &profile.outputs;
    // The logits are too large by 2.5.
    assert!((outputs.temperature - 2.5).abs() < 0.2, "{}", outputs.temperature);
    let quality = outputs.quality.expect("there are labels");
    assert!((2_800..3_200).contains(&quality.rows), "{quality:?}");
    assert!(quality.ece > 0.1 && quality.over_confidence > 0.1, "{quality:?}");
    assert!(quality.ece_noise < 0.03, "{quality:?}");
    assert_eq!(outputs.calibrators.len(), 3);
    for calibrator in &outputs.calibrators {
        // A model that is too sure is right less often than it says.
        let isotonic = calibrator.isotonic().expect("it rises");
        assert!(isotonic.apply(0.95) < 0.9, "{calibrator:?}");
    }
}

#[test]
fn without_labels_there_is_no_temperature_and_no_quality() {
    let data = Data3::new(1_000, 15);
    let mut builder = ProfileBuilder::new(Plan::new(specs(), &*classifier()));
    builder
        .push_batch(data.matrix(), &data.predictions(), &[])
        .expect("the rows fit");
    let profile = builder.finish(about()).expect("there are enough rows");
    assert_eq!(profile.outputs.temperature, 1.0);
    assert_eq!((profile.outputs.quality, profile.outputs.calibrators.len()), (None, 0));
}

#[test]
fn labels_that_are_the_models_own_decisions_are_noted_and_give_no_temperature() {
    let mut data = Data3::new(1_000, 16);
    let predictions = data.predictions();
    data.labels = (0..1_000).map(|row| predictions.class(row)).collect();
    let profile = built(&data, Plan::new(specs(), &*classifier())).expect("there are enough rows");
    assert!(profile.notes.contains(&Note::NoTemperature));
    assert_eq!(profile.outputs.temperature, 1.0);
}

#[test]
fn a_longer_stream_than_the_limit_is_sampled_evenly() {
    let plan = Plan {
        max_rows: 1_000,
        ..Plan::new(specs(), &*classifier())
    };
    let mut data = Data3::new(6_000, 17);
    // The constant tells the first half from the second.
    for (row, features) in data.features.chunks_exact_mut(NAMES.len()).enumerate() {
        features[3] = if row < 3_000 { 0.0 } else { 1.0 };
    }
    let profile = built(&data, plan).expect("there are enough rows");
    assert_eq!((profile.rows, profile.sampled), (6_000, 1_000));
    assert!(profile.notes.contains(&Note::Sampled(1_000)));
    let halves = &number(&profile, "constant").counts;
    assert!(halves.iter().all(|half| (430..570).contains(half)), "{halves:?}");
}

#[test]
fn rows_that_do_not_fit_are_errors_and_rows_without_an_output_are_counted() {
    let data = Data3::new(1_001, 18);
    let mut logits = data.logits.clone();
    logits[0] = f32::NAN;
    let predictions = read(&*classifier(), &[(3, logits)]);
    let mut builder = ProfileBuilder::new(Plan::new(specs(), &*classifier()));
    let narrow = builder
        .push(&[1.0], &predictions, 1, None)
        .expect_err("it has one feature");
    assert!(
        narrow.to_string().contains("1 features, and 6 are expected"),
        "{narrow}"
    );
    let label = builder
        .push(data.matrix().row(1), &predictions, 1, Some(3))
        .expect_err("3 is no class");
    assert!(
        matches!(
            label,
            Error::Label {
                label: 3,
                classes: 3,
                ..
            }
        ),
        "{label}"
    );
    builder
        .push_batch(data.matrix(), &predictions, &data.labels)
        .expect("the rows fit");
    assert_eq!(builder.rows(), 1_000);
    let profile = builder.finish(about()).expect("there are enough rows");
    assert!(profile.notes.contains(&Note::Unusable(1)));
}

fn wide(features: usize) -> Profile {
    let specs = (0..features).map(|at| fields::Feature {
        name: format!("f{at}"),
        kind: FeatureKind::Number,
    });
    let head = classifier();
    let data = Data3::new(1_000, 19);
    let numbers: Vec<f32> = (0..1_000 * features as u64).map(|at| uniform(20, at) as f32).collect();
    let mut builder = ProfileBuilder::new(Plan::new(specs.collect(), &*head));
    let matrix = Matrix::new(&numbers, 1_000, features);
    builder
        .push_batch(matrix, &data.predictions(), &data.labels)
        .expect("the rows fit");
    builder.finish(about()).expect("there are enough rows")
}

#[test]
fn more_than_64_features_have_no_mahalanobis_distance_and_more_than_1024_no_statistics() {
    let many = wide(65);
    assert!(many.notes.contains(&Note::NoMahalanobis(65)));
    assert!(!many.conformal.contains_key(&Signal::Mahalanobis));
    assert!(many.conformal.contains_key(&Signal::Knn));
    let pixels = wide(4_097);
    assert!(pixels.notes.contains(&Note::TooManyFeatures(4_097)));
    assert!(pixels.features.is_empty() && pixels.distances.is_none());
    assert!(pixels.conformal.contains_key(&Signal::Margin));
    let served = pixels.measures(classifier().holds(), &[], &["anything"]);
    assert!(
        served
            .expect("features do not matter")
            .iter()
            .all(|m| m.signal() != Signal::Hbos)
    );
}

#[test]
fn a_regression_has_targets_and_what_its_spread_and_interval_compare_with() {
    let settings = json!({"type": "regression", "output": "value", "spread": "std", "lower": "ends", "upper": "ends"});
    let head = head(settings, &[("value", 1), ("std", 1), ("ends", 2)]);
    let draw = |at: u64| normal(21, at) as f32;
    let value: Vec<f32> = (0..2_000).map(|row| 10.0 + 3.0 * draw(row)).collect();
    let std: Vec<f32> = (0..2_000).map(|row| draw(9_000 + row).abs()).collect();
    let ends = value
        .iter()
        .zip(&std)
        .flat_map(|(value, std)| [value - 2.0 * std, value + 2.0 * std]);
    let predictions = read(&*head, &[(1, value.clone()), (1, std.clone()), (2, ends.collect())]);
    let mut builder = ProfileBuilder::new(Plan::new(Vec::new(), &*head));
    builder
        .push_batch(Matrix::empty(2_000), &predictions, &[])
        .expect("the rows fit");
    let profile = builder.finish(about()).expect("there are enough rows");
    let scale = profile.outputs.scales[0];
    assert!((scale.std - 3.0).abs() < 0.2, "{scale:?}");
    // The median of |x| is 0.6745 for a standard normal x.
    assert!((scale.width - 4.0 * 0.6745).abs() < 0.2, "{scale:?}");
    assert_eq!(profile.outputs.targets[0].counts.iter().sum::<u64>(), 2_000);
    let words: Vec<&str> = profile.conformal.keys().map(|signal| signal.as_str()).collect();
    assert_eq!(words, ["interval", "spread"]);
    assert_eq!(Profile::from_json(&profile.to_json()), Ok(profile));
}
