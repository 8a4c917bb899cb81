//! What is read out of a profile, and out of what is none.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[test]
fn property_what_was_written_reads_back_as_the_same_profile_with_the_same_id() {
    proptest!(ProptestConfig::with_cases(6), |(seed: u64)| {
        let written = profile(1_000, seed);
        let read = Profile::from_json(&written.to_json()).expect("it was written so");
        prop_assert_eq!(&read, &written);
        prop_assert_eq!(read.id(), written.id());
        prop_assert_eq!(read.to_json(), written.to_json());
        prop_assert_eq!(written.id().len(), 16);
    });
    assert_ne!(profile(1_000, 1).id(), profile(1_000, 2).id());
}

#[test]
fn every_signal_that_is_served_has_a_histogram_and_every_utility_thresholds() {
    let profile = profile(3_500, 8);
    let served = profile.measures(classifier().holds(), &[], &NAMES).expect("it fits");
    let words: Vec<&str> = served.iter().map(|measure| measure.signal().as_str()).collect();
    assert_eq!(
        words,
        [
            "confidence",
            "least_confidence",
            "margin",
            "entropy",
            "energy",
            "max_logit",
            "gen",
            "hbos",
            "mahalanobis",
            "knn",
            "z_max"
        ]
    );
    for measure in &served {
        let signal = measure.signal();
        let held_out: u64 = profile.outputs.signals[&signal].counts.iter().sum();
        assert!((1_000..1_350).contains(&held_out), "{signal}: {held_out}");
        if signal.is_utility() {
            assert!(profile.threshold(signal, 0.01).is_ok(), "{signal}");
            let error = profile.threshold(signal, 1e-6).expect_err("it takes a million rows");
            assert!(matches!(error, Error::Conformal(_)), "{error}");
        }
    }
    let none = profile.threshold(Signal::Js, 0.01);
    assert_eq!(none, Err(Error::NoSignal(Signal::Js)));
}

#[test]
fn the_realised_rate_of_false_alarms_lies_in_its_stated_interval() {
    let profile = profile(20_000, 9);
    let fresh = Data3::new(20_000, 10);
    for measure in profile.measures(classifier().holds(), &[], &NAMES).expect("it fits") {
        let signal = measure.signal();
        if !signal.is_utility() || signal.is_costly() {
            continue;
        }
        let scores = scores(&*measure, &fresh, fresh.matrix());
        for rate in [0.05, 0.01, 0.001] {
            let conformal = profile.conformal(signal).expect("it was measured");
            let threshold = conformal.threshold(rate).expect("there are enough rows");
            let (low, high) = conformal.realised(rate).expect("there are enough rows");
            let alarms = scores.iter().filter(|score| **score > threshold).count() as f64;
            // The interval is of the rate itself; fresh rows show it only up to their own noise.
            let noise = 2.0 * (rate / scores.len() as f64).sqrt();
            let realised = alarms / scores.len() as f64;
            assert!(
                realised > low - noise && realised < high + noise,
                "{signal} at {rate}: {realised} of {low} to {high}"
            );
        }
    }
}

#[test]
fn features_in_another_order_measure_the_same() {
    let profile = profile(1_000, 11);
    let fresh = Data3::new(50, 12);
    let order = [3, 5, 0, 4, 2, 1];
    let names: Vec<&str> = order.iter().map(|at| NAMES[*at]).collect();
    let moved: Vec<f32> = (0..50)
        .flat_map(|row| order.map(|at| fresh.matrix().row(row)[at]))
        .collect();
    let moved = Matrix::new(&moved, 50, NAMES.len());
    let holds = classifier().holds();
    let straight = profile.measures(holds, &[], &NAMES).expect("it fits");
    let reordered = profile.measures(holds, &[], &names).expect("it fits");
    for (a, b) in straight.iter().zip(&reordered) {
        for (a, b) in scores(&**a, &fresh, fresh.matrix())
            .iter()
            .zip(scores(&**b, &fresh, moved))
        {
            assert!((a - b).abs() <= 1e-4 * a.abs().max(1.0), "{a} {b}");
        }
    }
    let hashes = |names: &[&str], matrix: Matrix<'_>| -> Vec<u64> {
        let hash = profile.simhash(names).expect("it fits").expect("some numbers vary");
        (0..50).map(|row| hash.of(matrix.row(row))).collect()
    };
    assert_eq!(hashes(&NAMES, fresh.matrix()), hashes(&names, moved));
}

#[test]
fn a_feature_that_only_one_of_both_has_is_a_problem_that_names_it() {
    let profile = profile(1_000, 13);
    let names = ["height", "counts", "colour", "constant", "empty", "weight"];
    let problems = profile
        .measures(classifier().holds(), &[], &names)
        .expect_err("they differ");
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].message.contains("`counts`") && problems[0].message.contains("it has `count`"));
    assert!(problems[1].message.contains("`count`"), "{}", problems[1]);
    let other = head(json!({"type": "classification", "from": "logits"}), &[("out", 4)]);
    let problems = profile
        .measures(other.holds(), &[], &NAMES)
        .expect_err("it has another class");
    assert!(
        problems[0].message.contains("3 classes, and this one has 4"),
        "{}",
        problems[0]
    );
}

#[test]
fn another_format_and_what_is_no_profile_are_errors() {
    let refused = |text: &str| Profile::from_json(text.as_bytes()).expect_err("it is none");
    assert!(matches!(refused("{"), Error::NotJson(_)));
    assert!(matches!(refused("{}"), Error::NotJson(_)));
    assert!(matches!(refused(r#"{"format":2}"#), Error::Format(why) if why.contains("is of format 2")));
    assert!(matches!(refused(r#"{"format":1}"#), Error::NotJson(_)));
}

/// Every place in a document, as a JSON pointer.
fn places(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(key, v)| places(v, &format!("{at}/{key}"), into)),
        Value::Array(elements) => {
            let places_of = |(index, v): (usize, &Value)| places(v, &format!("{at}/{index}"), into);
            elements.iter().enumerate().for_each(places_of);
        }
        _ => {}
    }
}

#[test]
fn property_a_document_with_one_wrong_value_is_an_error_or_serves_without_panic() {
    let document: Value = serde_json::from_slice(&profile(1_000, 22).to_json()).expect("it is JSON");
    let mut all = Vec::new();
    places(&document, "", &mut all);
    let wrong = [
        json!(null),
        json!([]),
        json!(-1),
        json!(1e30),
        json!(""),
        json!("AAAA"),
        json!({}),
        json!([1, 0]),
    ];
    let fresh = Data3::new(20, 23);
    proptest!(ProptestConfig::with_cases(400), |(at: prop::sample::Index, with in prop::sample::select(wrong.to_vec()))| {
        let mut damaged = document.clone();
        let place = damaged.pointer_mut(&all[at.index(all.len())]).expect("it is a place");
        *place = with;
        let text = serde_json::to_vec(&damaged).expect("it is JSON");
        if let Ok(profile) = Profile::from_json(&text) {
            let served = profile.measures(classifier().holds(), &[], &NAMES);
            for measure in served.into_iter().flatten() {
                scores(&*measure, &fresh, fresh.matrix());
                drop(profile.threshold(measure.signal(), 0.05));
            }
        }
    });
}
