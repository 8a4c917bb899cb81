use serde_json::json;

use super::*;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is no object"),
    }
}

fn outcome(id: &str, mut value: Value) -> Outcome {
    value["id"] = id.into();
    Outcome {
        id: id.to_owned(),
        at: format!("events.jsonl of {id}"),
        document: object(value),
    }
}

/// An expectation, at this line.
fn expected(line: usize, id: &str, mut value: Value) -> Expected {
    value["id"] = id.into();
    Expected {
        id: id.to_owned(),
        line,
        text: value.to_string(),
        document: object(value),
    }
}

fn found(wanted: Value, got: Value) -> Vec<(String, Option<Value>, Option<Value>)> {
    let differences = differences(&object(wanted), &object(got), 1e-4);
    differences
        .into_iter()
        .map(|one| (one.path, one.expected, one.got))
        .collect()
}

#[test]
fn only_what_is_expected_is_compared() {
    let got = json!({"id": "a", "models": {"m": {"version": "1", "label": "x", "flags": []}}, "fields": {"k": 1}});
    assert_eq!(found(json!({"models": {"m": {"label": "x"}}}), got.clone()), []);
    assert_eq!(found(json!({"id": "a"}), got.clone()), []);
    let [(path, wanted, seen)] = &found(json!({"models": {"m": {"label": "y"}}}), got)[..] else {
        panic!("one member differs");
    };
    assert_eq!(
        (path.as_str(), wanted, seen),
        ("models.m.label", &Some(json!("y")), &Some(json!("x")))
    );
}

#[test]
fn a_member_that_is_not_there_is_a_difference_and_null_expects_that() {
    let got = json!({"id": "a", "models": {"m": {"label": "x"}}});
    assert_eq!(
        found(json!({"models": {"m": {"score": 1.0}}}), got.clone()),
        [("models.m.score".to_owned(), Some(json!(1.0)), None)]
    );
    assert_eq!(found(json!({"models": {"m": {"score": null}}}), got.clone()), []);
    assert_eq!(
        found(json!({"models": {"m": {"label": null}}}), got.clone()),
        [("models.m.label".to_owned(), None, Some(json!("x")))]
    );
    // A line of another format must not pass for an agreement.
    assert_eq!(found(json!({"probabilities": [1]}), got).len(), 1);
}

#[test]
fn numbers_of_models_may_differ_by_the_tolerance_absolute_up_to_one_and_relative_beyond() {
    let of = |x: f64| json!({"models": {"m": {"value": x}}});
    for (wanted, got, agree) in [
        (0.5, 0.500_09, true),
        (0.5, 0.500_11, false),
        (0.0, -0.000_09, true),
        (200.0, 200.019, true),
        (200.0, 200.021, false),
        (-200.0, -200.019, true),
    ] {
        assert_eq!(found(of(wanted), of(got)).is_empty(), agree, "{wanted} and {got}");
    }
    // One is written as a whole number, the other is not.
    let (whole, broken) = (
        json!({"models": {"m": {"value": 1}}}),
        json!({"models": {"m": {"value": 1.000_01}}}),
    );
    assert_eq!(found(whole, broken), []);
}

#[test]
fn numbers_that_no_model_computed_are_compared_exactly() {
    let of = |time: i64, customer: i64| json!({"time": time, "fields": {"customer": customer}});
    assert_eq!(found(of(1_777_000_000_000, 5), of(1_777_000_000_000, 5)), []);
    assert_eq!(found(of(1_777_000_000_000, 5), of(1_777_000_000_001, 5)).len(), 1);
    let large = 9_007_199_254_740_993_i64;
    assert_eq!(found(of(0, large), of(0, large - 1)).len(), 1);
    assert_eq!(found(json!({"fields": {"x": 1}}), json!({"fields": {"x": 1.0}})), []);
}

#[test]
fn an_item_is_named_by_its_place_and_lists_of_other_length_as_a_whole() {
    let of = |items: Value| json!({"models": {"m": {"probabilities": items}}});
    let [(path, ..)] = &found(of(json!([0.5, 0.5])), of(json!([0.5, 0.6])))[..] else {
        panic!("one item differs");
    };
    assert_eq!(path, "models.m.probabilities[1]");
    let [(path, wanted, _)] = &found(of(json!([0.5])), of(json!([0.5, 0.5])))[..] else {
        panic!("the list differs");
    };
    assert_eq!((path.as_str(), wanted), ("models.m.probabilities", &Some(json!([0.5]))));
}

#[test]
fn a_dead_letter_in_the_place_of_a_prediction_is_told_once_with_its_reason() {
    let dead = json!({"id": "a", "dead_letter": {"stage": "validate", "reason": "out_of_range", "detail": "too old"}});
    let alive = json!({"id": "a", "models": {"m": {"label": "x", "confidence": 0.5}}});
    let reason = json!({"stage": "validate", "reason": "out_of_range", "detail": "too old"});
    assert_eq!(
        found(alive.clone(), dead.clone()),
        [("dead_letter".to_owned(), None, Some(reason))]
    );
    let expected = json!({"id": "a", "dead_letter": {"reason": "out_of_range"}});
    assert_eq!(found(expected.clone(), dead), []);
    assert_eq!(
        found(expected, alive),
        [("dead_letter".to_owned(), Some(json!({"reason": "out_of_range"})), None)]
    );
}

#[test]
fn reasons_of_dead_letters_are_compared() {
    let dead = |reason: &str| json!({"dead_letter": {"stage": "validate", "reason": reason}});
    assert_eq!(
        found(dead("missing_field"), dead("out_of_range")),
        [(
            "dead_letter.reason".to_owned(),
            Some(json!("missing_field")),
            Some(json!("out_of_range"))
        )]
    );
}

#[test]
fn what_is_missing_and_what_is_surplus_is_told_by_its_id() {
    let wanted = [
        expected(1, "gone", json!({"models": {}})),
        expected(2, "a", json!({"models": {}})),
    ];
    let got = [
        outcome("a", json!({"models": {}})),
        outcome("new", json!({"models": {}})),
    ];
    let comparison = compare(&wanted, &got, 1e-4);
    assert_eq!(comparison.agree, 1);
    assert_eq!(
        comparison.findings,
        [
            Finding::Surplus {
                id: "new".into(),
                event: "events.jsonl of new".into()
            },
            Finding::Missing {
                id: "gone".into(),
                line: 1
            },
        ]
    );
}

#[test]
fn events_of_one_id_are_compared_in_their_order() {
    let label = |label: &str| json!({"models": {"m": {"label": label}}});
    let wanted = [expected(1, "a", label("x")), expected(2, "a", label("y"))];
    let same = [outcome("a", label("x")), outcome("a", label("y"))];
    assert_eq!(compare(&wanted, &same, 0.0).findings, []);
    let turned = [outcome("a", label("y")), outcome("a", label("x"))];
    assert_eq!(compare(&wanted, &turned, 0.0).findings.len(), 2);
    let thrice = [&same[..], &same[..1]].concat();
    assert!(matches!(
        compare(&wanted, &thrice, 0.0).findings[..],
        [Finding::Surplus { .. }]
    ));
}

#[test]
fn a_renewed_file_keeps_lines_that_agree_and_the_members_that_were_written() {
    let wanted = [
        expected(1, "gone", json!({"models": {}})),
        expected(2, "same", json!({"models": {"m": {"value": 0.5}}})),
        expected(
            3,
            "other",
            json!({"models": {"m": {"value": 0.5, "label": "x", "old": 1, "none": null}}}),
        ),
        expected(4, "dead", json!({"models": {"m": {"value": 0.5}}})),
    ];
    let got = [
        outcome("same", json!({"models": {"m": {"value": 0.500_01, "version": "2"}}})),
        outcome(
            "other",
            json!({"models": {"m": {"value": 0.500_01, "label": "y", "version": "2"}}}),
        ),
        outcome("dead", json!({"dead_letter": {"reason": "malformed"}})),
        outcome("new", json!({"models": {"m": {"value": 1.0, "version": "2"}}})),
    ];
    let renewed = compare(&wanted, &got, 1e-4).renewed;
    assert_eq!(renewed[0], wanted[1].text);
    let read: Vec<Value> = renewed
        .iter()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect();
    assert_eq!(
        read[1..],
        [
            // What agrees within the tolerance keeps its number, so that a reference's own stays.
            json!({"id": "other", "models": {"m": {"value": 0.5, "label": "y", "none": null}}}),
            json!({"id": "dead", "dead_letter": {"reason": "malformed"}}),
            json!({"id": "new", "models": {"m": {"value": 1.0, "version": "2"}}}),
        ]
    );
    assert!(
        renewed[1..].iter().all(|line| line.starts_with("{\"id\":")),
        "{renewed:?}"
    );
}

#[test]
fn what_was_renewed_agrees_with_what_came_out() {
    let wanted = [expected(
        1,
        "a",
        json!({"models": {"m": {"p": [0.1, 0.9], "label": "x", "old": [1]}}, "time": 5}),
    )];
    let got = [outcome(
        "a",
        json!({"models": {"m": {"p": [0.4, 0.6], "label": "y"}}, "time": 6}),
    )];
    let renewed = compare(&wanted, &got, 1e-4).renewed;
    let document = object(serde_json::from_str(&renewed[0]).expect("a line is JSON"));
    assert_eq!(differences(&document, &got[0].document, 0.0), []);
}
